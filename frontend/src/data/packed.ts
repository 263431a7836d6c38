// The explorer's data from the files of a site: no server, each file as a whole.
import { decodeAnswer, decodePack, decodeShared, TokenStore } from "./blocks";
import type { DecoderMap, ExplainedWords, FeatureView, FirstRows, Hits, NumberColumn, RowTexts, SiteHead, WholeColumn, WordFeatures, WordList } from "./contract";
import type { ExplorerSource, Values } from "./explorer";
import type { Head, Late } from "./source";

/** Files kept of each kind. */
const MOST_KEPT = 12;
/** Cards kept decoded. */
const MOST_CARDS = 200;
/** Words of explanations that are looked up for a beginning of one, at most. */
const MOST_WORDS = 64;
const MOST_FOUND = 2000;
/** A word in more explanations than this is only looked for by itself. */
const COMMON = 1 << 14;

/** The explanations that hold a word, by their number. */
interface Explained {
  readonly rows: ReadonlyMap<number, { readonly feature: number; readonly share: number }>;
  readonly total: number;
  readonly common: boolean;
}

/** The explorer of the site whose data lie at an address relative to the page. */
export async function openSite(page: Document, at: string): Promise<ExplorerSource> {
  const store = new TokenStore();
  const site = decodeAnswer<SiteHead>(await file(`${at}/head.bin`), "SiteHead", store);
  return new PackedSource(page, site, store, at);
}

class PackedSource implements ExplorerSource {
  readonly info: SiteHead["explorer"];
  readonly head: Head;
  readonly n: number;
  readonly first: FirstRows;
  readonly chosen: Int32Array | null;
  readonly pages: SiteHead["pages"];
  private readonly packs = new Files<readonly (() => FeatureView)[]>();
  private readonly cards = new Map<number, FeatureView>();
  private readonly texts = new Files<RowTexts>();
  private readonly words = new Files<WordList>();
  private readonly features = new Files<WordFeatures>();
  private readonly explanations = new Files<ExplainedWords>();
  private readonly columns = new Map<string, Late<Values>>();

  constructor(
    private readonly page: Document,
    private readonly site: SiteHead,
    readonly store: TokenStore,
    private readonly at: string,
  ) {
    this.info = site.explorer;
    this.first = site.explorer.first;
    this.chosen = site.chosen.length === 0 ? null : site.chosen;
    this.pages = site.pages;
    this.head = { ...this.info.page, ids: new Int32Array(), tokenBytes: store, special: store.special };
    this.n = this.info.page.meta.d_sae;
  }

  readonly card = (feature: number): Late<FeatureView> => {
    if (feature >= this.n) return Promise.reject(new Error(`there are ${this.n} features, 0 to ${this.n - 1}`));
    const kept = this.cards.get(feature);
    if (kept !== undefined) return kept;
    const place = this.placeOf(feature);
    if (place < 0) return Promise.reject(new Error(`feature ${feature} is not on this site, which holds ${this.site.chosen.length} of ${this.n}`));
    const number = Math.floor(place / this.site.cards_in_file);
    const pack = this.packs.get(number, async () => decodePack<FeatureView>(await file(`${this.at}/cards/${Math.floor(number / this.site.files_in_folder)}/${number}.bin`), "FeatureView", this.store));
    const of = (cards: readonly (() => FeatureView)[]): FeatureView => {
      const found = cards[place - number * this.site.cards_in_file]?.();
      if (found === undefined) throw new Error("the file of cards is cut off");
      const oldest = this.cards.keys().next().value;
      if (this.cards.size > MOST_CARDS && oldest !== undefined) this.cards.delete(oldest);
      this.cards.set(feature, found);
      return found;
    };
    return pack instanceof Promise ? pack.then(of) : of(pack);
  };

  readonly column = (name: string): Late<Values> => {
    const found = this.columns.get(name);
    if (found !== undefined) return found;
    const valued = this.info.columns.filter(({ kind }) => kind !== "tokens" && kind !== "words");
    const number = valued.findIndex((column) => column.name === name);
    const whole = valued[number]?.kind !== "number";
    const asked = this.get<NumberColumn | WholeColumn>("columns", number, whole ? "WholeColumn" : "NumberColumn").then((held) => {
      const values = this.spread(held.values);
      this.columns.set(name, values);
      return values;
    });
    asked.catch(() => this.columns.delete(name));
    this.columns.set(name, asked);
    return asked;
  };

  readonly map = (): Promise<DecoderMap> => this.get("map", 0, "DecoderMap");

  readonly rows = async (features: readonly number[]): Promise<RowTexts> => {
    const size = this.site.rows_in_file;
    const numbers = [...new Set(features.map((feature) => Math.floor(this.placeOf(feature) / size)))];
    const files = new Map(await Promise.all(numbers.map(async (number) => [number, await this.texts.get(number, () => this.get("rows", number, "RowTexts"))] as const)));
    return joined(features, (feature) => {
      const place = this.placeOf(feature);
      const number = Math.floor(place / size);
      return [files.get(number), place - number * size];
    });
  };

  /** Where a feature is among those that are here; -1: it isn't. */
  private placeOf(feature: number): number {
    if (this.chosen === null) return feature;
    let [low, high] = [0, this.chosen.length];
    while (low < high) {
      const middle = (low + high) >> 1;
      if ((this.chosen[middle] ?? 0) < feature) low = middle + 1;
      else high = middle;
    }
    return this.chosen[low] === feature ? low : -1;
  }

  /** Values of the features that are here as those of all. */
  private spread(values: Values): Values {
    const { chosen } = this;
    if (chosen === null) return values;
    const out = values instanceof Float32Array ? new Float32Array(this.n).fill(NaN) : new Int32Array(this.n).fill(-1);
    chosen.forEach((feature, i) => (out[feature] = values[i] ?? NaN));
    return out;
  }

  readonly search = async (words: string): Promise<readonly Hits[]> => {
    const found = await this.spelled(words.trim().toLowerCase());
    const [fires, pushes] = [new Map<number, number>(), new Map<number, number>()];
    let n = 0;
    for (const [text, tokens] of found) {
      n += tokens;
      const [file, i] = await this.featuresOf(text);
      for (let at = file.fires_offsets[i] ?? 0; at < (file.fires_offsets[i + 1] ?? 0); at++) {
        const feature = file.fires[at] ?? -1;
        fires.set(feature, (fires.get(feature) ?? 0) + (file.shares[at] ?? 0));
      }
      for (let at = file.pushes_offsets[i] ?? 0; at < (file.pushes_offsets[i + 1] ?? 0); at++) {
        const feature = file.pushes[at] ?? -1;
        pushes.set(feature, Math.max(pushes.get(feature) ?? 0, file.effects[at] ?? 0));
      }
    }
    const hits = [
      ranked("fires", "share of its firings that are on such tokens", n, fires),
      ranked("pushes", "largest logit effect on such a token", n, pushes),
    ];
    return this.info.can.explanations ? [...hits, await this.inExplanations(words)] : hits;
  };

  /** Features whose explanations hold all words, each a word of them or the beginning of one. */
  private async inExplanations(words: string): Promise<Hits> {
    const asked = await Promise.all([...new Set(wordsOf(words))].map((word) => this.explained(word)));
    const rare = asked.filter(({ common }) => !common);
    const [first, ...others] = rare.length > 0 ? rare : asked;
    const best = new Map<number, number>();
    let n = 0;
    for (const [row, { feature, share }] of first?.rows ?? []) {
      const more = others.map(({ rows }) => rows.get(row)?.share);
      if (more.includes(undefined)) continue;
      const whole = more.reduce<number>((sum, own) => sum + (own ?? 0), share);
      best.set(feature, Math.max(best.get(feature) ?? 0, whole));
      n++;
    }
    const total = rare.length === 0 && others.length === 0 ? (first?.total ?? 0) : n;
    return ranked("explanation", "share of the explanation's words that were asked for", total, best);
  }

  /** The explanations that hold a word, or else words that begin with it. */
  private async explained(wanted: string): Promise<Explained> {
    const { explained_letters: letters } = this.site;
    const counts = new Map<number, { readonly feature: number; readonly length: number; n: number }>();
    let total = 0;
    const take = ({ offsets, totals, rows, features, counts: own, lengths }: ExplainedWords, i: number): void => {
      total = Math.max(total, totals[i] ?? 0);
      for (let at = offsets[i] ?? 0; at < (offsets[i + 1] ?? 0); at++) {
        const row = rows[at] ?? -1;
        const there = counts.get(row) ?? { feature: features[at] ?? -1, length: lengths[at] ?? 1, n: 0 };
        there.n += own[at] ?? 0;
        counts.set(row, there);
      }
    };
    let taken = 0;
    for (let at = fileOf(letters, wanted); at >= 0 && at < letters.length && taken < MOST_WORDS; at++) {
      if (taken > 0 && !(letters[at] ?? "").startsWith(wanted)) break;
      const file = await this.explanations.get(at, () => this.get("explained", at, "ExplainedWords"));
      const same = file.words.indexOf(wanted);
      if (same >= 0) {
        take(file, same);
        break;
      }
      file.words.forEach((word, i) => {
        if (!word.startsWith(wanted) || taken >= MOST_WORDS) return;
        take(file, i);
        taken++;
      });
      if (taken === 0 && !(letters[at + 1] ?? "").startsWith(wanted)) break;
    }
    const rows = new Map([...counts].map(([row, { feature, length, n }]) => [row, { feature, share: n / length }]));
    return { rows, total: Math.max(total, rows.size), common: Math.max(total, rows.size) > COMMON };
  }

  /** The place of the text that is wanted, or those of the words that begin with it where none is; how many tokens each stands for. */
  private async spelled(wanted: string): Promise<readonly (readonly [number, number])[]> {
    const { letters } = this.site;
    const out: (readonly [number, number])[] = [];
    const begin = fileOf(letters, wanted);
    for (let at = begin; at < letters.length && (at === begin || letters[at]?.startsWith(wanted) === true); at++) {
      const { first, words, n_tokens } = await this.words.get(at, () => this.get("words", at, "WordList"));
      const entry = (i: number): readonly [number, number] => [first + i, n_tokens[i] ?? 0];
      const same = words.indexOf(wanted);
      if (same >= 0) return [entry(same)];
      words.forEach((word, i) => word.startsWith(wanted) && out.push(entry(i)));
    }
    return out;
  }

  /** The file that tells of a text, and the text's place in it. */
  private async featuresOf(text: number): Promise<readonly [WordFeatures, number]> {
    const number = fileOf(this.site.text_files, text);
    const found = await this.features.get(number, () => this.get("texts", number, "WordFeatures"));
    return [found, text - (this.site.text_files[number] ?? 0)];
  }

  readonly shared: ExplorerSource["shared"] = (type) => {
    const data = this.page.getElementById(`c${this.head.modules.indexOf(type)}`)?.textContent;
    if (data === undefined || data === null) throw new Error(`the page holds no data of the component ${type}`);
    return decodeShared(data);
  };

  readonly other = (): string => "";
  readonly notes = async (): Promise<[]> => [];
  readonly fullCard = none;
  readonly wakes = none;
  readonly tried = none;
  readonly prompt = none;
  readonly effects = none;
  readonly layers = none;
  readonly beside = none;
  readonly logits = none;
  readonly pageOf = null;
  readonly read = none;
  readonly place = none;
  readonly nextFiring = none;
  readonly write = none;

  private async get<T>(kind: string, number: number, record: string): Promise<T> {
    return decodeAnswer<T>(await file(`${this.at}/${kind}/${number}.bin`), record, this.store);
  }
}

/** Runs of letters and digits, in small letters. */
function wordsOf(text: string): readonly string[] {
  return text.toLowerCase().match(/[\p{L}\p{N}]+/gu) ?? [];
}

function none(): Promise<never> {
  return Promise.reject(new Error("a site has no model: serve the index with sae-vis serve"));
}

/** The last file that does not begin behind what is wanted. */
function fileOf<T>(firsts: ArrayLike<T>, wanted: T): number {
  let number = firsts.length - 1;
  while (number > 0 && (firsts[number] ?? wanted) > wanted) number--;
  return Math.max(number, 0);
}

/** Files that were read lately. */
class Files<T> {
  private readonly held = new Map<number, Late<T>>();

  get(number: number, read: () => Promise<T>): Late<T> {
    const found = this.held.get(number);
    if (found !== undefined) {
      this.held.delete(number);
      this.held.set(number, found);
      return found;
    }
    const asked = read().then((value) => {
      this.held.set(number, value);
      return value;
    });
    asked.catch(() => this.held.delete(number));
    this.held.set(number, asked);
    const oldest = this.held.keys().next().value;
    if (this.held.size > MOST_KEPT && oldest !== undefined) this.held.delete(oldest);
    return asked;
  }
}

/** Rows of several files as one. */
function joined(features: readonly number[], place: (feature: number) => readonly [RowTexts | undefined, number]): RowTexts {
  const lists = (["fired", "up", "down"] as const).map((kind) => {
    const offsets = new Int32Array(features.length + 1);
    const tokens: number[] = [];
    features.forEach((feature, i) => {
      const [texts, at] = place(feature);
      const own = texts?.[kind];
      if (own !== undefined) tokens.push(...own.tokens.subarray(own.offsets[at], own.offsets[at + 1]));
      offsets[i + 1] = tokens.length;
    });
    return [kind, { offsets, tokens: Int32Array.from(tokens) }] as const;
  });
  const top = Int32Array.from(features, (feature) => {
    const [texts, at] = place(feature);
    return texts?.top[at] ?? -1;
  });
  const explanations = features.map((feature) => {
    const [texts, at] = place(feature);
    return texts?.explanations[at] ?? "";
  });
  return { features: Int32Array.from(features), top, explanations, ...(Object.fromEntries(lists) as Pick<RowTexts, "fired" | "up" | "down">) };
}

function ranked(way: Hits["way"], said: string, n: number, scores: ReadonlyMap<number, number>): Hits {
  const best = [...scores].sort((a, b) => b[1] - a[1] || a[0] - b[0]).slice(0, MOST_FOUND);
  return { way, said, n_places: n, features: Int32Array.from(best, ([feature]) => feature), scores: Float32Array.from(best, ([, score]) => score) };
}

async function file(path: string): Promise<Uint8Array> {
  const answer = await fetch(path).catch(() => null);
  if (answer === null || !answer.ok) throw new Error(`${path} is not there; the site may be cut off, or being copied`);
  return new Uint8Array(await answer.arrayBuffer());
}
