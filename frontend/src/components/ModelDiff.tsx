// Which of two models the feature belongs to, among all features of the crosscoder.
import type { VNode } from "preact";
import { count, number, plural } from "../data/format";
import { Bars, type Stop } from "../marks/Bars";
import { Meaning } from "../marks/Meaning";
import { cosine } from "./DecoderNorms";
import { NotComputed } from "./Messages";
import type { ComponentProps } from "./types";

/** Relative norms below and above which a feature is mostly of one model. */
export const SHARED = { from: 0.3, to: 0.7 } as const;

export function ModelDiff({ card, places, share }: ComponentProps): VNode {
  const weights = card.view.places;
  if (weights === null || places === null || places.shares.length === 0) {
    return (
      <section>
        <h3>Two models</h3>
        <NotComputed what="comparison of two models (the dictionary reads one)" />
      </section>
    );
  }
  const [a = "", b = ""] = places.model_names;
  const counts = Int32Array.from(places.shares);
  const total = counts.reduce((sum, n) => sum + n, 0);
  return (
    <section>
      <header class="titled">
        <h3>Two models</h3>
        <span class="quiet">{plural(total, "feature")}</span>
      </header>
      <p class="diff">
        <b>{Number.isNaN(share) ? "No direction" : verdict(share, a, b)}</b>
        <span>
          {" "}
          <Meaning of="relative norm">relative norm</Meaning> <b>{Number.isNaN(share) ? "undefined" : number(share)}</b>
        </span>
        {weights.cosines.length === 1 && (
          <span>
            {" "}
            · cosine <b>{number(cosine(weights, 0, 1))}</b>
          </span>
        )}
      </p>
      <Bars
        name="model-diff"
        card={card}
        histogram={{ low: 0, high: 1, counts }}
        of="none"
        unit="features"
        log={false}
        label={`Histogram of ${count(total)} features by relative norm of the decoder: 0 writes in ${a} only, 1 in ${b} only; this feature is at ${number(share)}.`}
        stops={STOPS}
        mark={() => null}
        fixed={Number.isNaN(share) ? null : share}
      />
      <p class="quiet">
        0: {a} only, 1: {b} only. Loss effects and the logit histogram are of {places.model_names[places.measured]}.
      </p>
      {places.undefined > 0 && <p class="quiet">{plural(places.undefined, "feature")} without directions left out.</p>}
    </section>
  );
}

const STOPS: readonly Stop[] = [
  { at: 0, colour: "var(--down)" },
  { at: SHARED.from, colour: "var(--down)" },
  { at: SHARED.from, colour: "var(--act)" },
  { at: SHARED.to, colour: "var(--act)" },
  { at: SHARED.to, colour: "var(--up)" },
  { at: 1, colour: "var(--up)" },
];

/** In words. */
export function verdict(share: number, a: string, b: string): string {
  if (share < SHARED.from) return `Mostly ${a}:`;
  return share > SHARED.to ? `Mostly ${b}:` : "Shared:";
}
