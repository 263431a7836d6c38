// Where in the prompt a feature fires, and how strongly: a bar for each token; of two prompts, one upwards, one downwards.
import type { VNode } from "preact";
import { useMemo } from "preact/hooks";
import type { Prompts } from "./pairs";
import { usePrompt } from "./state";

const HEIGHT = 20;

export function Sparkline({ row }: { row: number }): VNode {
  const { prompts, sets, address } = usePrompt();
  const path = useMemo(() => bars(prompts, row), [prompts, row]);
  const band = useMemo(() => (address.span === null ? "" : chosen(prompts, sets)), [prompts, sets, address.span]);
  return (
    <svg class="spark" viewBox={`0 0 ${prompts.pillars.length} ${HEIGHT}`} preserveAspectRatio="none" aria-hidden="true">
      <path class="span" d={band} />
      <path class="floor" d={`M0 ${floorOf(prompts)}H${prompts.pillars.length}`} vector-effect="non-scaling-stroke" />
      <path class="acts" d={path} />
    </svg>
  );
}

function floorOf({ two }: Prompts): number {
  return two ? HEIGHT / 2 : HEIGHT - 0.5;
}

function bars(prompts: Prompts, row: number): string {
  const lines = prompts.sides.map((pairs, i) => pairs.line(row, prompts.measure("act_size", 0).values[i] ?? new Float32Array()));
  const most = Math.max(1e-30, ...lines.map((line) => line.reduce((high, act) => Math.max(high, Math.abs(act)), 0)));
  const floor = floorOf(prompts);
  const bar = (x: number, act: number | undefined, way: number): string => {
    const tall = (Math.abs(act ?? 0) / most) * (floor - 1);
    return act === undefined || act === 0 ? "" : `M${x + 0.1} ${floor}V${floor + way * Math.max(tall, 1)}H${x + 0.9}V${floor}Z`;
  };
  return prompts.pillars.map(({ a, b }, x) => (a < 0 ? "" : bar(x, lines[0]?.[a], -1)) + (b < 0 ? "" : bar(x, lines[1]?.[b], 1))).join("");
}

/** Columns of the chosen tokens. */
function chosen(prompts: Prompts, sets: readonly Uint8Array[]): string {
  return prompts.pillars.map(({ a, b }, x) => (sets[0]?.[a] === 1 || sets[1]?.[b] === 1 ? `M${x} 0H${x + 1}V${HEIGHT}H${x}Z` : "")).join("");
}
