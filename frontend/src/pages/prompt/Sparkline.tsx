// Where in the prompt a feature fires, and how strongly: a bar for each token, downwards below zero; of two prompts, sizes
// of the one upwards, of the other downwards.
import type { VNode } from "preact";
import { useMemo } from "preact/hooks";
import type { Prompts } from "../../state/prompt/pairs";
import { SIDE_TONES } from "../../state/sides";
import { usePrompt } from "../../state/prompt/state";

const HEIGHT = 20;

export function Sparkline({ row }: { row: number }): VNode {
  const { prompts, sets, address } = usePrompt();
  const { floor, paths } = useMemo(() => bars(prompts, row), [prompts, row]);
  const band = useMemo(() => (address.span === null ? "" : chosen(prompts, sets)), [prompts, sets, address.span]);
  return (
    <svg class="spark" viewBox={`0 0 ${prompts.pillars.length} ${HEIGHT}`} preserveAspectRatio="none" aria-hidden="true">
      <path class="span" d={band} />
      <path class="floor" d={`M0 ${floor}H${prompts.pillars.length}`} vector-effect="non-scaling-stroke" />
      {paths.map(({ name, d }) => (
        <path key={name} class={`acts ${name}`} d={d} />
      ))}
    </svg>
  );
}

interface Drawing {
  /** Where bars begin. */
  readonly floor: number;
  readonly paths: readonly { readonly name: string; readonly d: string }[];
}

/** One path for each prompt; of one prompt, one for each side of zero. */
function bars(prompts: Prompts, row: number): Drawing {
  const lines = prompts.sides.map((_, side) => prompts.acts(side, row));
  const most = Math.max(1e-30, ...lines.map((line) => line.reduce((high, act) => Math.max(high, Math.abs(act)), 0)));
  const below = lines.some((line) => line.some((act) => act < 0));
  const floor = prompts.two || below ? HEIGHT / 2 : HEIGHT - 0.5;
  const bar = (x: number, act: number | undefined, way: number): string => {
    const tall = (Math.abs(act ?? 0) / most) * (floor - 1);
    return act === undefined || act === 0 ? "" : `M${x + 0.1} ${floor}V${floor + way * Math.max(tall, 1)}H${x + 0.9}V${floor}Z`;
  };
  const path = (name: string, side: number, way: number, shown: (act: number) => boolean): Drawing["paths"][number] => {
    const at = (x: number): number | undefined => lines[side]?.[side === 0 ? (prompts.pillars[x]?.a ?? -1) : (prompts.pillars[x]?.b ?? -1)];
    return { name, d: prompts.pillars.map((_, x) => (shown(at(x) ?? 0) ? bar(x, at(x), way) : "")).join("") };
  };
  if (prompts.two) return { floor, paths: SIDE_TONES.map((name, side) => path(name, side, side === 0 ? -1 : 1, () => true)) };
  return { floor, paths: [path("", 0, -1, (act) => act > 0), path("below", 0, 1, (act) => act < 0)] };
}

/** Columns of the chosen tokens. */
function chosen(prompts: Prompts, sets: readonly Uint8Array[]): string {
  const inside = prompts.pillars.map(({ a, b }) => sets[0]?.[a] === 1 || sets[1]?.[b] === 1);
  return inside.map((is, x) => (is ? `M${x} 0H${x + 1}V${HEIGHT}H${x}Z` : "")).join("");
}
