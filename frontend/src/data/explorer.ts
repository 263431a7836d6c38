// What the explorer asks for: everything about one index that does not fit into a page.
import type { DecoderMap, EveryLayer, ExplorerHead, FeatureView, FirstRows, Hits, MeasuredEffects, Note, PromptPart, ReaderFiring, ReaderPage, ReaderPlace, RowTexts, SearchAnswer, SitePage, TokenLogits, TriedText } from "./contract";
import type { TokenStore } from "./blocks";
import type { Comparison, Head, Late, Named, Source } from "./source";

/** Values of a column, one for each feature of the dictionary; -1 or NaN where there is none. */
export type Values = Float32Array | Int32Array;

/** A note that was changed elsewhere since it was read: the one that is there now. */
export class StaleNote extends Error {
  constructor(
    reason: string,
    readonly note: Note,
  ) {
    super(reason);
  }
}

/** Two indices beside each other, as a page that compares them takes its data. */
export interface Beside {
  readonly source: Source;
  readonly comparison: Comparison;
}

export interface ExplorerSource {
  readonly info: ExplorerHead;
  /** Of cards; `tokenBytes` grows with every answer. */
  readonly head: Head;
  readonly store: TokenStore;
  /** Features of the dictionary. */
  readonly n: number;
  /** The features that are here, ascending; null: all. */
  readonly chosen: Int32Array | null;
  /** A feature's card; at once where it was asked for lately. */
  readonly card: (feature: number) => Late<FeatureView>;
  /** Rows that the table begins with, before any column is there. */
  readonly first: FirstRows;
  /** Pages that lie beside the explorer. */
  readonly pages: readonly SitePage[];
  /** With all effects computed; from then on `card` gives it, too. */
  readonly fullCard: (feature: number, signal: AbortSignal) => Promise<FeatureView>;
  readonly column: (name: string) => Late<Values>;
  /** Where every feature lies by its decoder direction. */
  readonly map: () => Promise<DecoderMap>;
  readonly rows: (features: readonly number[]) => Promise<RowTexts>;
  readonly search: (words: string, signal: AbortSignal) => Promise<readonly Hits[]>;
  /** Features that fire when the model reads a text, and the tokens that it read. */
  readonly wakes: (text: string, signal: AbortSignal) => Promise<SearchAnswer>;
  readonly tried: (text: string, signal: AbortSignal) => Promise<TriedText>;
  readonly prompt: (text: string, compare: string | null, signal: AbortSignal) => Promise<PromptPart>;
  /** Full effects of the pairs of largest attribution, as they are measured. */
  readonly effects: (asked: { readonly text: string; readonly compare: string | null; readonly pairs: number }, take: (some: MeasuredEffects) => void, signal: AbortSignal) => Promise<void>;
  /** A prompt at every index of the server that is live. */
  readonly layers: (text: string, signal: AbortSignal) => Promise<EveryLayer>;
  /** This index beside another over the same tokens. */
  readonly beside: (identity: string) => Promise<Beside>;
  /** A page of a document of the corpus; `pinned`: features whose firings must be there even without codes by token. */
  readonly read: (document: number, page: number, pinned: readonly number[], signal: AbortSignal) => Promise<ReaderPage>;
  /** Where in the documents a token of an example is. */
  readonly place: (sequence: number, position: number) => Promise<ReaderPlace>;
  /** The firing of a feature after a corpus position, or the one before it. Throws where the feature never fires. */
  readonly nextFiring: (feature: number, position: number, by: 1 | -1) => Promise<ReaderFiring>;
  readonly notes: () => Promise<readonly Note[]>;
  /** Throws `StaleNote` where the note is not that of the revision any more. */
  readonly write: (note: Note) => Promise<Note>;
  /** A feature's logit effects on the tokens that hold some words. */
  readonly logits: (feature: number, words: string, signal: AbortSignal) => Promise<TokenLogits>;
  /** A page of some features as a file; null: such pages can't be made here. */
  readonly pageOf: ((features: readonly number[], title: string) => Promise<Blob>) | null;
  /** Data of a user's own component that all features share. */
  readonly shared: (type: string) => Named;
  /** The address of the explorer of another index of the same server. */
  readonly other: (identity: string) => string;
}
