// The explorer's data from the files of a site: no server, each file as a whole.
import { decodeAnswer, decodePack, decodeShared, TokenStore } from "./blocks";
import type { DecoderMap, ExplainedWords, FeatureView, FirstRows, Hits, NumberColumn, RowTexts, SiteHead, TokenFeatures, WholeColumn, WordList } from "./contract";
import type { ExplorerSource, Values } from "./explorer";
import type { Head, Late } from "./source";

/** Files kept of each kind. */
const MOST_KEPT = 12;
/** Cards kept decoded. */
const MOST_CARDS = 200;
/** Tokens that are looked up for a beginning of a word, at most. */
const MOST_TOKENS = 64;
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
  readonly pages: SiteHead["pages"];
  private readonly packs = new Files<readonly (() => FeatureView)[]>();
  private readonly cards = new Map<number, FeatureView>();
  private readonly texts = new Files<RowTexts>();
  private readonly words = new Files<WordList>();
  private readonly tokens = new Files<TokenFeatures>();
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
    this.pages = site.pages;
    this.head = { ...this.info.page, ids: new Int32Array(), tokenBytes: store, special: store.special };
    this.n = this.info.page.meta.d_sae;
  }

  readonly card = (feature: number): Late<FeatureView> => {
    if (feature >= this.n) return Promise.reject(new Error(`there are ${this.n} features, 0 to ${this.n - 1}`));
    const kept = this.cards.get(feature);
    if (kept !== undefined) return kept;
    const number = Math.floor(feature / this.site.cards_in_file);
    const pack = this.packs.get(number, async () => decodePack<FeatureView>(await file(`${this.at}/cards/${number}.bin`), "FeatureView", this.store));
    const of = (cards: readonly (() => FeatureView)[]): FeatureView => {
      const found = cards[feature - number * this.site.cards_in_file]?.();
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
    const asked = this.get<NumberColumn | WholeColumn>("columns", number, whole ? "WholeColumn" : "NumberColumn").then(({ values }) => {
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
    const numbers = [...new Set(features.map((feature) => Math.floor(feature / size)))];
    const files = new Map(await Promise.all(numbers.map(async (number) => [number, await this.texts.get(number, () => this.get("rows", number, "RowTexts"))] as const)));
    return joined(features, (feature) => {
      const number = Math.floor(feature / size);
      return [files.get(number), feature - number * size];
    });
  };

  readonly search = async (words: string): Promise<readonly Hits[]> => {
    const ids = await this.spelled(words.trim().toLowerCase());
    const [fires, pushes] = [new Map<number, number>(), new Map<number, number>()];
    for (const id of ids) {
      const own = await this.featuresOf(id);
      if (own === null) continue;
      const [file, i] = own;
      for (let at = file.fires_offsets[i] ?? 0; at < (file.fires_offsets[i + 1] ?? 0); at++) {
        const feature = file.fires[at] ?? -1;
        fires.set(feature, (fires.get(feature) ?? 0) + (file.shares[at] ?? 0));
      }
      for (let at = file.pushes_offsets[i] ?? 0; at < (file.pushes_offsets[i + 1] ?? 0); at++) {
        const feature = file.pushes[at] ?? -1;
        pushes.set(feature, Math.max(pushes.get(feature) ?? 0, file.effects[at] ?? 0));
      }
    }
    const found = [
      ranked("fires", "share of its firings that are on such tokens", ids.length, fires),
      ranked("pushes", "largest logit effect on such a token", ids.length, pushes),
    ];
    return this.info.can.explanations ? [...found, await this.inExplanations(words)] : found;
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
    for (let at = fileOf(letters, wanted); at >= 0 && at < letters.length && taken < MOST_TOKENS; at++) {
      if (taken > 0 && !(letters[at] ?? "").startsWith(wanted)) break;
      const file = await this.explanations.get(at, () => this.get("explained", at, "ExplainedWords"));
      const same = file.words.indexOf(wanted);
      if (same >= 0) {
        take(file, same);
        break;
      }
      file.words.forEach((word, i) => {
        if (!word.startsWith(wanted) || taken >= MOST_TOKENS) return;
        take(file, i);
        taken++;
      });
      if (taken === 0 && !(letters[at + 1] ?? "").startsWith(wanted)) break;
    }
    const rows = new Map([...counts].map(([row, { feature, length, n }]) => [row, { feature, share: n / length }]));
    return { rows, total: Math.max(total, rows.size), common: Math.max(total, rows.size) > COMMON };
  }

  /** Tokens whose text is a word, or begins with it where none is. */
  private async spelled(wanted: string): Promise<readonly number[]> {
    const { letters } = this.site;
    const number = fileOf(letters, wanted);
    const out: number[] = [];
    for (let at = Math.max(number, 0); at < letters.length && out.length < MOST_TOKENS; at++) {
      if (at > number && !(letters[at] ?? "").startsWith(wanted)) break;
      const { words, offsets, ids } = await this.words.get(at, () => this.get("words", at, "WordList"));
      const same = words.indexOf(wanted);
      if (same >= 0) return Array.from(ids.subarray(offsets[same], offsets[same + 1]));
      words.forEach((word, i) => {
        if (word.startsWith(wanted) && out.length < MOST_TOKENS) out.push(...ids.subarray(offsets[i], offsets[i + 1]));
      });
    }
    return out;
  }

  /** The file that tells of a token, and the token's place in it. */
  private async featuresOf(id: number): Promise<readonly [TokenFeatures, number] | null> {
    const { token_files: starts } = this.site;
    let number = starts.length - 1;
    while (number > 0 && (starts[number] ?? 0) > id) number--;
    if (number < 0) return null;
    const found = await this.tokens.get(number, () => this.get("tokens", number, "TokenFeatures"));
    const place = found.ids.indexOf(id);
    return place < 0 ? null : [found, place];
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

/** The file whose words begin at or before a word: the last of those that do. */
function fileOf(letters: readonly string[], wanted: string): number {
  let number = letters.length - 1;
  while (number > 0 && (letters[number] ?? "") > wanted) number--;
  return number;
}

/** Runs of letters and digits, in small letters. */
function wordsOf(text: string): readonly string[] {
  return text.toLowerCase().match(/[\p{L}\p{N}]+/gu) ?? [];
}

function none(): Promise<never> {
  return Promise.reject(new Error("a site has no model: serve the index with sae-vis serve"));
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
