// A word of the pages with its meaning as a tip.
import type { ComponentChildren, VNode } from "preact";
import { WORDS, type Word } from "../data/words";

export function Meaning({ of, children }: { readonly of: Word; readonly children: ComponentChildren }): VNode {
  return (
    <span class="word" title={WORDS[of]}>
      {children}
    </span>
  );
}
