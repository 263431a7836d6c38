// What the page's numbers were made from.
import type { VNode } from "preact";
import { count, percent } from "../format";
import type { Head } from "../source";

export function Header({ head }: { head: Head }): VNode {
  const { meta } = head;
  const facts: [string, string | null][] = [
    ["Model", meta.model],
    ["Hook", meta.hook],
    ["SAE", meta.sae],
    ["Text", `${meta.corpus}: ${count(meta.n_tokens)} tokens in ${count(meta.n_sequences)} sequences`],
    ["Mask", meta.mask],
    ["Dead features", `${count(meta.n_dead)} of ${count(meta.d_sae)} (${percent(meta.n_dead / Math.max(meta.d_sae, 1))})`],
    ["On this page", meta.selection],
  ];
  return (
    <header class="about">
      <h1>{meta.title}</h1>
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
    </header>
  );
}
