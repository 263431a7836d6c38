// What the feature does to the logit of every token of the vocabulary.
import type { VNode } from "preact";
import { Bars, type Stop } from "../marks/Bars";
import { Meaning } from "../marks/Meaning";
import { count, number, plural } from "../data/format";
import { NotComputed } from "./Messages";
import type { ComponentProps } from "./types";

export function LogitsHistogram({ card }: ComponentProps): VNode {
  const histogram = card.view.logits_histogram;
  const total = histogram?.counts.reduce((a, b) => a + b, 0) ?? 0;
  return (
    <section>
      <header class="titled">
        <h3>
          <Meaning of="logit effect">Logit effects</Meaning>
        </h3>
        {histogram !== null && <span class="quiet">{plural(total, "vocabulary token")}</span>}
      </header>
      {histogram === null ? (
        <NotComputed what="logit effects (no model, or none asked for)" />
      ) : (
        <Bars
          name="logit-effects"
          card={card}
          histogram={histogram}
          of="logit"
          unit="vocabulary tokens"
          log={false}
          label={`Histogram of the feature's effect on the logits of ${count(total)} tokens, ${number(histogram.low)} to ${number(histogram.high)}.`}
          stops={sides(histogram.low, histogram.high)}
          mark={(token) => token.logit}
        />
      )}
    </section>
  );
}

/** One colour below 0, another above. */
function sides(low: number, high: number): Stop[] {
  const zero = Math.min(Math.max(-low / (high - low || 1), 0), 1);
  return [
    { at: zero, colour: "var(--down)" },
    { at: zero, colour: "var(--up)" },
  ];
}
