// The sign of each of two: prompts or dictionaries.
import type { VNode } from "preact";
import { SIDE_NAMES, SIDE_TONES, type Side } from "../state/sides";

/** Which of two, in its colour. */
export function SideMark({ side }: { side: Side }): VNode {
  return <b class={`side ${SIDE_TONES[side]}`}>{SIDE_NAMES[side]}</b>;
}
