// Token text, never HTML: runs of characters become text nodes.
import type { VNode } from "preact";
import type { Run } from "../data/tokens";

/** Runs as they stand in a sentence. */
export function runs(list: readonly Run[]): (string | VNode)[] {
  return list.map((run) => (run.kind === "text" ? run.text : <i class={run.kind}>{run.text}</i>));
}

/** A token by itself: spaces at its ends are shown as dots, since they tell tokens apart. */
export function Chip({ list, tone }: { list: readonly Run[]; tone?: string }): VNode {
  return (
    <span class={`chip ${tone ?? ""}`} dir="auto">
      {list.map((run, i) => {
        const before = i === 0 ? (/^ +/.exec(run.text)?.[0].length ?? 0) : 0;
        const body = run.text.slice(before);
        const after = i === list.length - 1 ? (/ +$/.exec(body)?.[0].length ?? 0) : 0;
        const shown = [dots(before), body.slice(0, body.length - after), dots(after)];
        return run.kind === "text" ? shown : <i class={run.kind}>{shown}</i>;
      })}
    </span>
  );
}

function dots(n: number): VNode | null {
  return n === 0 ? null : <i class="line">{"·".repeat(n)}</i>;
}
