// What the page's numbers were made from.
import type { ComponentChildren, VNode } from "preact";
import { useLayoutEffect, useMemo, useState } from "preact/hooks";
import { count, percent } from "../data/format";
import type { Head } from "../data/source";

export function Header({ head }: { head: Head }): VNode {
  return (
    <header class="about">
      <h1>{head.meta.title}</h1>
      <Folded>
        <Facts head={head} more={[]} />
      </Folded>
    </header>
  );
}

type Fact = readonly [name: string, value: string | null];

/** Model, text, mask, and whatever else there is to say. */
export function Facts({ head, more }: { readonly head: Head; readonly more: readonly Fact[] }): VNode {
  const { meta } = head;
  const facts: readonly Fact[] = [
    ["Model", meta.model],
    ["Hook", meta.hook],
    ["SAE", meta.sae],
    ["Activations", meta.acts],
    ["Text", `${meta.corpus}: ${count(meta.n_tokens)} tokens in ${count(meta.n_sequences)} sequences`],
    ["Mask", meta.mask],
    ["Dead features", `${count(meta.n_dead)} of ${count(meta.d_sae)} (${percent(meta.n_dead / Math.max(meta.d_sae, 1))})`],
    ["On this page", meta.selection],
    ...more,
  ];
  return (
    <dl>
      {facts.map(([name, value]) =>
        value === null ? null : (
          <div key={name}>
            <dt>{name}</dt>
            <dd>{value}</dd>
          </div>
        ),
      )}
    </dl>
  );
}

const NARROW = "(max-width: 860px)";

/** Open on wide screens and on paper; on narrow ones opened on request, so that the first card is in sight. */
function Folded({ children }: { children: ComponentChildren }): VNode {
  const [narrow, paper] = useMemo(() => [window.matchMedia(NARROW), window.matchMedia("print")] as const, []);
  const [open, setOpen] = useState(!narrow.matches || paper.matches);
  useLayoutEffect(() => {
    const fit = (): void => setOpen(!narrow.matches || paper.matches);
    for (const media of [narrow, paper]) media.addEventListener("change", fit);
    return () => {
      for (const media of [narrow, paper]) media.removeEventListener("change", fit);
    };
  }, []);
  return (
    <details class="facts" open={open} onToggle={(event) => setOpen(event.currentTarget.open)}>
      <summary>Model, text, mask</summary>
      {children}
    </details>
  );
}
