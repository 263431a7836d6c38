// Details of a token that concern attention: what it gives as a source, what it gets as a destination.
import type { VNode } from "preact";
import type { Attention, SourcePart } from "../state/card";
import { percent, plural, signed } from "../data/format";

/** Heads named among a token's details. */
const NAMED = 6;

/** Of a source token. */
export function SourceLines({ part }: { part: SourcePart }): VNode {
  return (
    <>
      <dt>Source</dt>
      <dd>{part.back === 0 ? "the bold token itself" : `${plural(part.back, "token")} before the bold one`}</dd>
      <dt>Gives</dt>
      <dd>
        <b>{signed(part.value)}</b> of {signed(part.total)} ({percent(part.value / part.total)})
      </dd>
      {part.head >= 0 && <dt>Most through</dt>}
      {part.head >= 0 && (
        <dd>
          head {part.head}: {signed(part.headValue)}
        </dd>
      )}
    </>
  );
}

/** Of a destination: what attention gives, head by head, and what is left for biases. */
export function AttentionLines({ attention, act }: { attention: Attention; act: number }): VNode {
  const heads = Array.from(attention.heads, (value, head) => ({ head, value })).sort((a, b) => Math.abs(b.value) - Math.abs(a.value));
  return (
    <>
      <dt>From attention</dt>
      <dd>
        {signed(attention.total)}, biases {signed(act - attention.total)}
      </dd>
      <dt>Through heads</dt>
      <dd>
        {heads.slice(0, NAMED).map(({ head, value }) => (
          <div key={head}>
            head {head}: {signed(value)} <span class="quiet">{percent(value / attention.total)}</span>
          </div>
        ))}
        {heads.length > NAMED && <div class="quiet">and {plural(heads.length - NAMED, "smaller one", "smaller ones")}</div>}
      </dd>
    </>
  );
}
