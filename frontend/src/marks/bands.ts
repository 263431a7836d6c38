// Tokens coloured by several features at once: each feature has a hue and a band of the token's height of its own.
import { strength } from "./colours";

/** One feature's activation at every token, and the largest size of any. */
export interface Band {
  readonly acts: Float32Array;
  readonly most: number;
}

/** Colours the tokens of a text: `elements[i]` are those of token `i`, `before` those that were coloured last; returns these. */
export function shadeBands(elements: readonly (readonly HTMLElement[])[], bands: readonly Band[], before: ReadonlySet<HTMLElement>): Set<HTMLElement> {
  for (const element of before) {
    element.classList.remove("fires", "below-0", "below-1", "below-2");
    for (const name of ["--a0", "--a1", "--a2"]) element.style.removeProperty(name);
  }
  const coloured = new Set<HTMLElement>();
  bands.forEach(({ acts, most }, k) => {
    acts.forEach((act, token) => {
      if (act === 0) return;
      for (const element of elements[token] ?? []) {
        coloured.add(element);
        element.classList.add("fires");
        if (act < 0) element.classList.add(`below-${k}`);
        element.style.setProperty(`--a${k}`, String(strength(act / most)));
      }
    });
  });
  return coloured;
}
