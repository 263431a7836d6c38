// What every component of a layout gets.
import type { Card } from "../state/card";
import type { ComponentSpec, WrittenPlaces } from "../data/contract";
import type { Named } from "../data/source";

/** Opens the document that a token of an example stands in. */
export type Read = (feature: number, sequence: number, position: number) => unknown;

export interface ComponentProps {
  readonly type: string;
  readonly card: Card;
  readonly options: ComponentSpec["options"];
  /** Counts of the activation histogram on a log scale. */
  readonly log: boolean;
  /** Contexts wrap rather than stand on one line each. */
  readonly wrap: boolean;
  readonly set: (change: { readonly log?: boolean; readonly wrap?: boolean }) => void;
  /** Open a feature; only for those that are on the page. */
  readonly go: (feature: number) => void;
  readonly has: (feature: number) => boolean;
  readonly href: (feature: number) => string;
  /** Where the dictionary writes, if at several places. */
  readonly places: WrittenPlaces | null;
  /** Relative norm of the second model's decoder of the feature; NaN where there is none. */
  readonly share: number;
  /** Absent where the corpus itself is not at hand. */
  readonly read?: Read | undefined;
  /** Data of a user's own component that all features of the page share. */
  readonly shared: (type: string) => Named;
}
