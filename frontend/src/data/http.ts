// The explorer's data by asking for it: from the server that the page came from, or over another wire.
import { decodeAnswer, decodeShared, TokenStore } from "./blocks";
import type { DecoderMap, Compared, ComparisonHead, EveryLayer, ExplorerHead, FeatureView, FirstRows, MatchTable, Note, NumberColumn, PromptPart, ReaderFiring, ReaderPage, ReaderPlace, RowTexts, SearchAnswer, TokenLogits, TriedText, WholeColumn } from "./contract";
import { StaleNote, type Beside, type ExplorerSource, type Values } from "./explorer";
import type { Head, Late, Source } from "./source";

/** Cards kept for the way back. */
const MOST_CARDS = 300;

/** What carries questions and answers; each question is a path, and what is posted there. */
export interface Wire {
  /** The block that answers. Throws what the other side says went wrong, or that there is none. */
  readonly block: (path: string, how?: RequestInit) => Promise<Uint8Array>;
  /** The blocks of an answer of many, as they come. Throws where it is cut off. */
  readonly blocks: (path: string, how: RequestInit) => AsyncIterable<Uint8Array>;
  /** What becomes of a note that is written. */
  readonly written: (path: string, note: RequestInit) => Promise<{ readonly ok: boolean; readonly said: unknown }>;
}

/** The explorer of an index; of the server's first where none is named. Its head is in the page, unless it could not be had. */
export async function openExplorer(page: Document, identity: string | null): Promise<ExplorerSource> {
  const there = page.getElementById("head")?.textContent;
  if (there !== undefined) return sourceOf(page, HTTP, there);
  return openOver(page, HTTP, identity === null ? "head" : `i/${identity}/head`);
}

/** The explorer whose head is at a path. */
export async function openOver(page: Document, wire: Wire, path: string): Promise<ExplorerSource> {
  return sourceOf(page, wire, await wire.block(path));
}

function sourceOf(page: Document, wire: Wire, head: Uint8Array | string): ExplorerSource {
  const store = new TokenStore();
  return new AskingSource(page, wire, decodeAnswer<ExplorerHead>(head, "ExplorerHead", store), store);
}

class AskingSource implements ExplorerSource {
  readonly head: Head;
  readonly n: number;
  readonly first: FirstRows;
  readonly chosen = null;
  readonly pages = [];
  private readonly at: string;
  private readonly cards = new Map<number, FeatureView>();
  private readonly asked = new Map<number, Promise<FeatureView>>();
  private readonly columns = new Map<string, Late<Values>>();

  constructor(
    private readonly page: Document,
    private readonly wire: Wire,
    readonly info: ExplorerHead,
    readonly store: TokenStore,
  ) {
    this.head = { ...info.page, ids: new Int32Array(), tokenBytes: store, special: store.special };
    this.n = info.page.meta.d_sae;
    this.first = info.first;
    this.at = `i/${info.identity}`;
  }

  readonly card = (feature: number): Late<FeatureView> => {
    const kept = this.cards.get(feature);
    if (kept !== undefined) return kept;
    let asked = this.asked.get(feature);
    if (asked === undefined) {
      asked = this.get<FeatureView>(`card/${feature}`, "FeatureView").then((view) => this.keep(view));
      asked.catch(() => undefined).finally(() => this.asked.delete(feature));
      this.asked.set(feature, asked);
    }
    return asked;
  };

  readonly fullCard = async (feature: number, signal: AbortSignal): Promise<FeatureView> =>
    this.keep(await this.get<FeatureView>(`full/${feature}`, "FeatureView", { signal }));

  private keep(view: FeatureView): FeatureView {
    this.cards.delete(view.feature);
    this.cards.set(view.feature, view);
    const oldest = this.cards.keys().next().value;
    if (this.cards.size > MOST_CARDS && oldest !== undefined) this.cards.delete(oldest);
    return view;
  }

  readonly column = (name: string): Late<Values> => {
    let found = this.columns.get(name);
    if (found === undefined) {
      const whole = ["token", "label"].includes(this.info.columns.find((one) => one.name === name)?.kind ?? "");
      const asked = this.get<NumberColumn | WholeColumn>(`column/${encodeURIComponent(name)}`, whole ? "WholeColumn" : "NumberColumn");
      found = asked.then(({ values }) => {
        this.columns.set(name, values);
        return values;
      });
      found.catch(() => this.columns.delete(name));
      this.columns.set(name, found);
    }
    return found;
  };

  readonly map = (): Promise<DecoderMap> => this.get("map", "DecoderMap");

  readonly rows = (features: readonly number[]): Promise<RowTexts> => this.get(`rows?f=${features.join(",")}`, "RowTexts");

  readonly search = async (words: string, signal: AbortSignal): Promise<SearchAnswer["hits"]> =>
    (await this.get<SearchAnswer>(`search?q=${encodeURIComponent(words)}`, "SearchAnswer", { signal })).hits;

  readonly wakes = (text: string, signal: AbortSignal): Promise<SearchAnswer> => this.get("wakes", "SearchAnswer", { ...posted({ text }), signal });

  readonly tried = (text: string, signal: AbortSignal): Promise<TriedText> => this.get("try", "TriedText", { ...posted({ text }), signal });

  readonly prompt = (text: string, compare: string | null, signal: AbortSignal): Promise<PromptPart> =>
    this.get("prompt", "PromptPart", { ...posted({ text, compare }), signal });

  readonly effects: ExplorerSource["effects"] = async (asked, take, signal) => {
    for await (const part of this.wire.blocks(`${this.at}/effects`, { ...posted(asked), signal })) take(decodeAnswer(part, "MeasuredEffects", this.store));
  };

  readonly layers = (text: string, signal: AbortSignal): Promise<EveryLayer> => this.get("layers", "EveryLayer", { ...posted({ text }), signal });

  readonly beside = async (identity: string): Promise<Beside> => {
    const other = await openOver(this.page, this.wire, `i/${identity}/head`);
    const { overview, layout } = await this.get<ComparisonHead>(`with/${identity}/head`, "ComparisonHead");
    const found = new Map<number, Late<Compared>>();
    const compared = (feature: number): Late<Compared> => {
      const kept = found.get(feature);
      if (kept !== undefined) return kept;
      const asked = this.get<Compared>(`with/${identity}/pair/${feature}`, "Compared");
      found.set(feature, asked);
      asked.then((pair) => found.set(feature, pair), () => found.delete(feature));
      return asked;
    };
    const side = (own: ExplorerSource, { features }: MatchTable): Source => ({
      head: { ...own.head, meta: { ...own.head.meta, selection: "those that fire" }, layout, summary: features, compare: true },
      can: { columns: new Set(), search: false },
      card: own.card,
      columns: () => [],
      search: () => () => undefined,
      shared: own.shared,
      prompt: null,
      comparison: null,
    });
    const comparison = { b: side(other, overview.matches_b), overview, compared };
    return { source: { ...side(this, overview.matches_a), comparison }, comparison };
  };

  readonly read = (document: number, page: number, pinned: readonly number[], signal: AbortSignal): Promise<ReaderPage> =>
    this.get(`read/${document}/${page}${pinned.length === 0 ? "" : `?f=${pinned.join(",")}`}`, "ReaderPage", { signal });

  readonly place = (sequence: number, position: number): Promise<ReaderPlace> => this.get(`place/${sequence}/${position}`, "ReaderPlace");

  readonly nextFiring = (feature: number, position: number, by: 1 | -1): Promise<ReaderFiring> =>
    this.get(`firing/${feature}?${by === 1 ? "after" : "before"}=${position}`, "ReaderFiring");

  readonly logits = (feature: number, words: string, signal: AbortSignal): Promise<TokenLogits> =>
    this.get(`logits/${feature}?q=${encodeURIComponent(words)}`, "TokenLogits", { signal });

  readonly pageOf = async (features: readonly number[], title: string): Promise<Blob> =>
    new Blob([(await this.wire.block(`${this.at}/page`, posted({ features, title }))).slice()], { type: "text/html" });

  readonly notes = async (): Promise<readonly Note[]> => (await this.get<{ notes: readonly Note[] }>("notes", "Notes")).notes;

  readonly write = async ({ feature, text, revision }: Note): Promise<Note> => {
    const { ok, said } = await this.wire.written(`${this.at}/note/${feature}`, { ...posted({ text, revision }), method: "PUT" });
    const { note, error } = said as { error?: string; note?: Note };
    if (note !== undefined) throw new StaleNote(error ?? "", note);
    if (!ok) throw new Error(error ?? "the note was not kept");
    return said as Note;
  };

  readonly shared: ExplorerSource["shared"] = (type) => {
    const data = this.page.getElementById(`c${this.head.modules.indexOf(type)}`)?.textContent;
    if (data === undefined || data === null) throw new Error(`the page holds no data of the component ${type}`);
    return decodeShared(data);
  };

  readonly other = (identity: string): string => `?index=${identity}`;

  private async get<T>(path: string, record: string, how?: RequestInit): Promise<T> {
    return decodeAnswer<T>(await this.wire.block(`${this.at}/${path}`, how), record, this.store);
  }
}

function posted(value: object): RequestInit {
  return { method: "POST", headers: { "content-type": "application/json" }, body: JSON.stringify(value) };
}

const HTTP: Wire = {
  block: async (path, how) => new Uint8Array(await (await answered(path, how)).arrayBuffer()),
  async *blocks(path, how) {
    yield* framed(await answered(path, how));
  },
  async written(path, note) {
    const answer = await fetch(path, note);
    return { ok: answer.ok, said: await answer.json() };
  },
};

/** The parts of an answer, each behind its length. Throws where it is cut off, and what went wrong: the text behind a part of no bytes. */
async function* framed({ body }: Response): AsyncGenerator<Uint8Array> {
  let held = new Uint8Array();
  let wrong = false;
  const reader = body?.getReader();
  for (let read = await reader?.read(); read !== undefined && !read.done; read = await reader?.read()) {
    const joined = new Uint8Array(held.length + read.value.length);
    joined.set(held);
    joined.set(read.value, held.length);
    held = joined;
    for (;;) {
      const size = held.length < 4 ? Infinity : new DataView(held.buffer, held.byteOffset).getUint32(0, true);
      if (held.length < 4 + size) break;
      const part = held.slice(4, 4 + size);
      if (wrong) throw new Error(new TextDecoder().decode(part));
      wrong = size === 0;
      if (!wrong) yield part;
      held = held.slice(4 + size);
    }
  }
  if (held.length > 0 || wrong) throw new Error("the answer was cut off");
}

/** Throws what the server says went wrong. */
async function answered(path: string, how?: RequestInit): Promise<Response> {
  let answer: Response;
  try {
    answer = await fetch(path, how);
  } catch (error) {
    if (error instanceof DOMException && error.name === "AbortError") throw error;
    throw new Error("the server does not answer; it may have been stopped");
  }
  if (answer.ok) return answer;
  const said = await answer.json().catch(() => null);
  throw new Error((said as { error?: string } | null)?.error ?? `the server answered ${answer.status}`);
}
