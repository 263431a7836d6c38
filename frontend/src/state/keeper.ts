// Where a page's state is kept, as the text of an address: #name=value&…

/** Steps replace the entry in the history, choices add one. */
export type How = "push" | "replace";

export interface Keeper {
  /** What it says now, with what is still on its way. */
  readonly read: () => string;
  readonly write: (hash: string, how: How) => void;
  /** Calls `changed` when it was changed elsewhere; returns the function that ends it. */
  readonly follow: (changed: () => void) => () => void;
}
