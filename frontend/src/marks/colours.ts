// One colour scale for a card: from the paper's colour to full strength at the largest activation.
import type { Stop } from "./Bars";

/** Weakest tint of a token that fires at all, in percent of full strength: it must be seen. */
const FAINTEST = 12;
/** Weakest tint of a bar: thin bars need more than tokens. */
const FAINTEST_BAR = 38;

/** Strength in percent, of an activation's share of the scale. */
export function strength(share: number, faintest = FAINTEST): number {
  return Math.round((faintest + (100 - faintest) * Math.min(Math.abs(share), 1)) * 10) / 10;
}

/** Colours of a histogram's bars between two shares of the scale. */
export function barStops(low: number, high: number): Stop[] {
  const shares = [low, ...(low < 0 && high > 0 ? [-1e-9, 0] : []), high];
  return shares.map((share) => ({
    at: (share - low) / (high - low || 1),
    colour: `color-mix(in oklab, var(${share < 0 ? "--act-below" : "--act"}) ${strength(share, FAINTEST_BAR)}%, var(--paper))`,
  }));
}
