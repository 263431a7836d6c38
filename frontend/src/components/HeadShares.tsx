// What the examples of an attention SAE say of its heads: a key to the colours of sources, each head's share.
import type { VNode } from "preact";
import type { Card } from "../state/card";
import { number, percent } from "../data/format";
import type { FeatureView } from "../data/contract";

/** Shares smaller than this are told together. */
const SMALL = 0.05;

interface Share {
  readonly head: number;
  readonly share: number;
}

/** Each head's share of what attention gives the feature at its top examples, largest first; none without them. */
export function headShares({ sequences }: FeatureView): Share[] {
  const sources = sequences.find((group) => group.kind === "top")?.contexts.sources ?? sequences[0]?.contexts.sources ?? null;
  if (sources === null || sources.n_heads === 0) return [];
  const sums = new Float64Array(sources.n_heads);
  sources.heads.forEach((value, i) => {
    const head = i % sources.n_heads;
    sums[head] = (sums[head] ?? 0) + value;
  });
  const total = sums.reduce((sum, value) => sum + value, 0);
  return Array.from(sums, (sum, head) => ({ head, share: sum / total })).sort((a, b) => Math.abs(b.share) - Math.abs(a.share));
}

export function HeadShares({ card }: { card: Card }): VNode | null {
  const { no_sources: reason } = card.head.meta;
  if (reason !== null) return <p class="quiet">No source tokens: {reason}.</p>;
  const shares = headShares(card.view);
  if (shares.length === 0) return null;
  const named = shares.filter(({ share }) => Math.abs(share) >= SMALL);
  const rest = shares.filter(({ share }) => Math.abs(share) < SMALL);
  return (
    <section class="heads" aria-label="Heads">
      <h3>Heads</h3>
      <dl>
        {named.map(({ head, share }) => (
          <div key={head}>
            <dt>head {head}</dt>
            <dd>
              <span class={share < 0 ? "bar-of takes" : "bar-of gives"} style={{ "--share": `${Math.min(Math.abs(share), 1) * 100}%` }} /> {percent(share)}
            </dd>
          </div>
        ))}
        {rest.length > 0 && (
          <div>
            <dt>{rest.length === 1 ? `head ${rest[0]?.head}` : `${rest.length} others`}</dt>
            <dd>{percent(rest.reduce((sum, { share }) => sum + share, 0))}</dd>
          </div>
        )}
      </dl>
      <p class="quiet" title="Each head's part of the pre-activation, less biases, summed over the top examples, of the sum of all heads' parts">
        of the top examples' activation
      </p>
    </section>
  );
}

export function SourcesKey({ card }: { card: Card }): VNode | null {
  const { sequences } = card.view;
  if (!sequences.some(({ contexts }) => contexts.sources !== null)) return null;
  const takes = sequences.some(({ contexts }) => contexts.sources?.parts.some((part) => part < 0) ?? false);
  return (
    <span title={`Second line of an example: the text around its largest source token. Darkest: the example's largest part, at most ${number(card.scale)}`}>
      source <span class="tok gives key">gives</span> {takes && <span class="tok takes key">takes</span>}
    </span>
  );
}
