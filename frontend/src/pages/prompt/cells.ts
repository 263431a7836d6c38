// Cells of the heat map: the metric of each of its features at each token, or the difference between two prompts.
import type { Place } from "../../state/address";
import type { Side } from "../../state/sides";
import type { Pillar } from "../../state/prompt/pairs";
import { SIDE_NAMES } from "../../state/sides";
import type { PromptState } from "../../state/prompt/state";
import { differenceTone, extent, toneOf, tokenWords, valueWords, type DifferenceTone, type Tone } from "../../marks/prompt/words";

export interface Cells {
  /** Columns. */
  readonly n: number;
  /** Row by row; NaN where not computed. */
  readonly values: Float64Array;
  /** 1 where the feature fires, in one prompt at least. */
  readonly fires: Uint8Array;
  /** The value at the end of the scale. */
  readonly most: number;
  /** null: not computed. */
  readonly tones: (cell: number) => Tone | DifferenceTone | null;
  /** Of the scale, 0 to 1. */
  readonly share: (cell: number) => number;
  readonly words: (cell: number) => string;
}

export function cellsOf({ prompts, measure, mapped }: PromptState): Cells {
  const n = prompts.pillars.length;
  const values = new Float64Array(n * mapped.length);
  const fires = new Uint8Array(n * mapped.length);
  prompts.sides.forEach((pairs, side) => {
    const column = new Int32Array(pairs.n);
    prompts.pillars.forEach(({ a, b }, x) => (side === 0 ? a : b) >= 0 && (column[side === 0 ? a : b] = x));
    mapped.forEach((row, y) => {
      for (const pair of pairs.ofRow(row)) {
        const cell = y * n + (column[pairs.positions[pair] ?? 0] ?? 0);
        fires[cell] = 1;
        values[cell] = (values[cell] ?? 0) + (side === 0 ? 1 : -1) * (measure.values[side]?.[pair] ?? NaN);
      }
    });
  });
  const masked = prompts.pillars.map((pillar) => isMasked(prompts.sides, pillar));
  let [most, far] = [0, 0];
  values.forEach((value, cell) => {
    const reach = masked[cell % n] === true ? 0 : extent(measure, value);
    if (reach > far) [most, far] = [Math.abs(value), reach];
  });
  return {
    n,
    values,
    fires,
    most,
    tones(cell) {
      const value = values[cell] ?? NaN;
      return Number.isNaN(value) ? null : prompts.two ? differenceTone(value) : toneOf(measure, value);
    },
    share: (cell) => Math.min(extent(measure, values[cell] ?? 0) / (far || 1), 1),
    words: (cell) => (fires[cell] === 0 ? "" : valueWords(measure, values[cell] ?? NaN, prompts.two)),
  };
}

/** What a column is of, in words. */
export function wordsOf({ prompts, texts }: PromptState, { a, b }: Pillar): string {
  const one = (side: Side, position: number): string => {
    const which = prompts.two ? `${SIDE_NAMES[side]} ` : "";
    return `${tokenWords({ side, position }, prompts, texts)} (${which}${position})`;
  };
  return [a < 0 ? null : one(0, a), b < 0 ? null : one(1, b)].filter((words) => words !== null).join(" / ");
}

/** The token that a column is about first. */
export function placeIn({ a, b }: Pillar): Place {
  return a >= 0 ? { side: 0, position: a } : { side: 1, position: b };
}

export function columnOf(pillars: readonly Pillar[], { side, position }: Place): number {
  return pillars.findIndex(({ a, b }) => (side === 0 ? a : b) === position);
}

function isMasked(sides: PromptState["prompts"]["sides"], { a, b }: Pillar): boolean {
  return sides[0]?.view.masked[a] === 1 || sides[1]?.view.masked[b] === 1;
}
