// Where in the prompt a feature fires, and how strongly: a bar for each token; of two prompts, one upwards, one downwards.
import type { VNode } from "preact";
import { useMemo } from "preact/hooks";
import type { Prompts } from "./pairs";
import { SIDE_TONES } from "./Scale";
import { usePrompt } from "./state";

const HEIGHT = 20;

export function Sparkline({ row }: { row: number }): VNode {
  const { prompts, sets, address } = usePrompt();
  const paths = useMemo(() => bars(prompts, row), [prompts, row]);
  const band = useMemo(() => (address.span === null ? "" : chosen(prompts, sets)), [prompts, sets, address.span]);
  return (
    <svg class="spark" viewBox={`0 0 ${prompts.pillars.length} ${HEIGHT}`} preserveAspectRatio="none" aria-hidden="true">
      <path class="span" d={band} />
      <path class="floor" d={`M0 ${floorOf(prompts)}H${prompts.pillars.length}`} vector-effect="non-scaling-stroke" />
      {paths.map((path, side) => (
        <path key={side} class={`acts ${prompts.two ? (SIDE_TONES[side] ?? "") : ""}`} d={path} />
      ))}
    </svg>
  );
}

function floorOf({ two }: Prompts): number {
  return two ? HEIGHT / 2 : HEIGHT - 0.5;
}

/** One path for each prompt. */
function bars(prompts: Prompts, row: number): string[] {
  const lines = prompts.sides.map((_, side) => prompts.acts(side, row));
  const most = Math.max(1e-30, ...lines.map((line) => line.reduce((high, act) => Math.max(high, Math.abs(act)), 0)));
  const floor = floorOf(prompts);
  const bar = (x: number, act: number | undefined, way: number): string => {
    const tall = (Math.abs(act ?? 0) / most) * (floor - 1);
    return act === undefined || act === 0 ? "" : `M${x + 0.1} ${floor}V${floor + way * Math.max(tall, 1)}H${x + 0.9}V${floor}Z`;
  };
  return lines.map((line, side) =>
    prompts.pillars.map(({ a, b }, x) => (side === 0 ? bar(x, line[a], -1) : bar(x, line[b], 1))).join(""),
  );
}

/** Columns of the chosen tokens. */
function chosen(prompts: Prompts, sets: readonly Uint8Array[]): string {
  const inside = prompts.pillars.map(({ a, b }) => sets[0]?.[a] === 1 || sets[1]?.[b] === 1);
  return inside.map((is, x) => (is ? `M${x} 0H${x + 1}V${HEIGHT}H${x}Z` : "")).join("");
}
