// Where a page's data comes from. One interface; each way of delivering data implements it once.
import type { Head, Named } from "./blocks";
import type { Compared, FeatureView, Overview, PromptPart } from "./contract";
import type { Progress } from "./search";

export type { Head, Named } from "./blocks";

/** At once where the data is at hand, so that the next feature is on screen in the same frame; else a promise of it. */
export type Late<T> = T | Promise<T>;

/** A column of the table of features; of labels, by the number of their labelling. */
export type Column = "density" | "max" | "top_token" | "share" | `unevenness ${number}` | `label ${number}`;

/** What a source can give beside cards; a page hides what its source lacks. */
export interface Can {
  readonly columns: ReadonlySet<Column>;
  /** Whether it can search the text of the examples. */
  readonly search: boolean;
}

export interface Source {
  readonly head: Head;
  readonly can: Can;
  /** A feature's data; null when the source does not hold that feature. */
  readonly card: (feature: number) => Late<FeatureView | null>;
  /** Columns by name, a row for each feature of `head.summary.feature`; only those that it can give. */
  readonly columns: (names: readonly Column[]) => Late<readonly ArrayLike<number>[]>;
  /** Search the text of all features' examples; returns the function that ends it. */
  readonly search: (words: string, report: (progress: Progress) => void) => () => void;
  /** Data of a user's own component that all features share. */
  readonly shared: (type: string) => Named;
  /** What makes the page prompt-centric; null on others. */
  readonly prompt: PromptPart | null;
  /** The second dictionary, on a page that compares two; null on others. */
  readonly comparison: Comparison | null;
}

export interface Comparison {
  readonly b: Source;
  readonly overview: Overview;
  /** A feature of the first dictionary and what is near it in the second; null when the source does not hold it. */
  readonly compared: (feature: number) => Late<Compared | null>;
}
