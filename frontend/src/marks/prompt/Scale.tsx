// What a scale of colours runs from and to.
import type { VNode } from "preact";

export interface Ends {
  /** Colours and words of values above and below zero. */
  readonly tones: readonly [string, string];
  readonly words: readonly [string, string];
}

/** `ends`: of a diverging scale, null for one that begins at zero; `most`: its end in words. */
export function Scale({ ends, most }: { ends: Ends | null; most: string }): VNode {
  if (ends === null) {
    return (
      <span class="scale">
        0 <span class="ramp" /> {most}
      </span>
    );
  }
  return (
    <span class="scale">
      {ends.words[1]} <span class={`ramp ${ends.tones[1]}`} /> 0 <span class={`ramp ${ends.tones[0]}`} />{" "}
      {ends.words[0]}, to {most.replace(/^[+−]/, "±")}
    </span>
  );
}
