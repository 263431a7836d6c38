// The address of a page of two dictionaries: #a=12&b=34 for a pair, &view=lost for a list, &sort=… for its order.
import { Fields, unless, written, type Look } from "../fields";

/** The pair side by side, or a list of all features. */
export const VIEWS = ["pair", "lost", "new", "splits", "merges"] as const;
export type View = (typeof VIEWS)[number];

export const ORDERS = ["usual", "feature", "pearson", "density", "covered", "added", "parts"] as const;
/** What a list is ordered by; `usual` is its own. */
export type By = (typeof ORDERS)[number];

export interface CompareAddress extends Look {
  readonly a: number;
  /** The feature of B beside it; null: the nearest. */
  readonly b: number | null;
  readonly view: View;
  readonly by: By;
  readonly down: boolean;
}

export function parse(hash: string, first: number): CompareAddress {
  const fields = new Fields(hash);
  return {
    a: fields.whole("a") ?? first,
    b: fields.whole("b"),
    view: fields.choice("view", VIEWS) ?? "pair",
    by: fields.choice("by", ORDERS) ?? "usual",
    down: fields.text("down") === "1",
    ...fields.look(),
  };
}

export function write({ a, b, view, by, down, ...look }: CompareAddress): string {
  return written([["a", a], ["b", b], ["view", unless("pair", view)], ["by", unless("usual", by)], ["down", down ? 1 : null]], look);
}
