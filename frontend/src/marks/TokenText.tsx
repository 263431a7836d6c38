// Token text, never HTML: runs of characters become text nodes.
import type { VNode } from "preact";
import type { Run } from "../data/tokens";
import { element } from "./pieces";

/** Runs as they stand in a sentence. */
export function runs(list: readonly Run[]): (string | VNode)[] {
  return list.map((run) => (run.kind === "text" ? run.text : <i class={run.kind}>{run.text}</i>));
}

/** A token by itself: spaces at its ends are shown as dots, since they tell tokens apart. */
export function Chip({ list, tone }: { list: readonly Run[]; tone?: string }): VNode {
  return (
    <span class={`chip ${tone ?? ""}`} dir="auto">
      {list.map((run, i) => {
        const { before, body, after } = endsOf(run.text, i === 0, i === list.length - 1);
        const shown = [dots(before), body, dots(after)];
        return run.kind === "text" ? shown : <i class={run.kind}>{shown}</i>;
      })}
    </span>
  );
}

/** As `Chip`, made by hand. */
export function chipElement(list: readonly Run[]): HTMLElement {
  const made = element("span", "chip");
  made.dir = "auto";
  list.forEach(({ kind, text }, i) => {
    const { before, body, after } = endsOf(text, i === 0, i === list.length - 1);
    const into = kind === "text" ? made : made.appendChild(element("i", kind));
    if (before > 0) into.append(element("i", "line", "·".repeat(before)));
    into.append(body);
    if (after > 0) into.append(element("i", "line", "·".repeat(after)));
  });
  return made;
}

/** A run of a token: spaces at the token's beginning, what is between, spaces at its end. */
function endsOf(text: string, first: boolean, last: boolean): { readonly before: number; readonly body: string; readonly after: number } {
  const before = first ? (/^ +/.exec(text)?.[0].length ?? 0) : 0;
  const rest = text.slice(before);
  const after = last ? (/ +$/.exec(rest)?.[0].length ?? 0) : 0;
  return { before, body: rest.slice(0, rest.length - after), after };
}

function dots(n: number): VNode | null {
  return n === 0 ? null : <i class="line">{"·".repeat(n)}</i>;
}
