// Two of a kind: prompts or dictionaries.

/** The first or the second. */
export type Side = 0 | 1;

export const SIDE_NAMES = ["A", "B"] as const;
export const SIDE_TONES = ["in-a", "in-b"] as const;
