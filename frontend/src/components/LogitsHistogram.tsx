// What the feature does to the logit of every token of the vocabulary.
import type { VNode } from "preact";
import { Bars } from "../marks/Bars";
import { count, number, plural } from "../format";
import { NotComputed } from "./Messages";
import type { ComponentProps } from "./types";

export function LogitsHistogram({ card }: ComponentProps): VNode {
  const histogram = card.view.logits_histogram;
  const total = histogram?.counts.reduce((a, b) => a + b, 0) ?? 0;
  return (
    <section>
      <header class="titled">
        <h3>Logit effects</h3>
        {histogram !== null && <span class="quiet">{plural(total, "vocabulary token")}</span>}
      </header>
      {histogram === null ? (
        <NotComputed what="logit effects (no model, or none asked for)" />
      ) : (
        <Bars
          card={card}
          histogram={histogram}
          of="logit"
          unit="vocabulary tokens"
          log={false}
          label={`Histogram of the feature's effect on the logits of ${count(total)} tokens, ${number(histogram.low)} to ${number(histogram.high)}.`}
          colour={(middle) => (middle < 0 ? "var(--down)" : "var(--up)")}
          mark={(token) => token.logit}
        />
      )}
    </section>
  );
}
