// One colour scale for a card: from the paper's colour to full strength at the largest activation.

/** Weakest tint of a token that fires at all, in percent of full strength: it must be seen. */
const FAINTEST = 12;

/** Strength in percent, of an activation's share of the scale. */
export function strength(share: number): number {
  return Math.round((FAINTEST + (100 - FAINTEST) * Math.min(Math.abs(share), 1)) * 10) / 10;
}

/** Colour of an activation by its share of the scale, as CSS. */
export function actColour(share: number): string {
  const tone = share < 0 ? "--act-below" : "--act";
  return `color-mix(in oklab, var(${tone}) ${strength(share)}%, var(--paper))`;
}
