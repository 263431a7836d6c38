// Colours of a prompt's tokens: by the metric's first value at each of them, or by one feature.
import type { Side } from "../../state/sides";
import { bestAt } from "../../state/prompt/rank";
import type { PromptState } from "../../state/prompt/state";
import type { Shade } from "./tokens";
import { extent, toneOf } from "./words";

export interface Colouring {
  readonly shade: (position: number) => Shade | null;
  /** The value at the end of the scale. */
  readonly most: number;
}

/** Of all prompts of the page, on one scale. */
export function colouring({ prompts, measure, order, kept }: PromptState, row: number | null): readonly Colouring[] {
  const first = prompts.two ? (measure.signed ? "size" : "large") : order;
  const lines = prompts.sides.map((pairs, i) => {
    const values = measure.values[i] ?? new Float32Array();
    return row === null ? bestAt(pairs, values, first, kept) : pairs.line(row, values);
  });
  let [most, far] = [0, 0];
  lines.forEach((line, i) => {
    const masked = prompts.sides[i]?.view.masked;
    line.forEach((value, position) => {
      const reach = masked?.[position] === 1 ? 0 : extent(measure, value);
      if (reach > far) [most, far] = [Math.abs(value), reach];
    });
  });
  return lines.map((line) => ({
    most,
    shade(position) {
      const value = line[position] ?? NaN;
      return Number.isNaN(value) || value === 0 ? null : { tone: toneOf(measure, value), share: extent(measure, value) / (far || 1) };
    },
  }));
}

/** Of one prompt's tokens by the activation of a feature, on a given scale. */
export function activations({ prompts }: PromptState, side: Side, row: number, scale: number): Colouring {
  const line = prompts.acts(side, row);
  return {
    most: scale,
    shade(position) {
      const act = line[position] ?? 0;
      return act === 0 ? null : { tone: act > 0 ? "plain" : "toward", share: Math.abs(act) / scale };
    },
  };
}
