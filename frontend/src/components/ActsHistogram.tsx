// How strongly the feature fires, and how often.
import type { VNode } from "preact";
import { barStops } from "../marks/colours";
import { Bars } from "../marks/Bars";
import { Meaning } from "../marks/Meaning";
import { count, number, percent, plural } from "../data/format";
import { NotComputed } from "./Messages";
import type { ComponentProps } from "./types";

export function ActsHistogram({ card, log, set }: ComponentProps): VNode {
  const { acts_histogram: histogram, stats } = card.view;
  return (
    <section>
      <header class="titled">
        <h3>Activations</h3>
        <span class="quiet">
          <Meaning of="density">density</Meaning> {percent(stats.density)} · <Meaning of="firing">{plural(stats.n_firings, "firing")}</Meaning>
        </span>
        {histogram !== null && !card.dead && (
          <label class="switch">
            <input type="checkbox" checked={log} onChange={(event) => set({ log: event.currentTarget.checked })} /> log counts
          </label>
        )}
      </header>
      {card.dead ? (
        <p class="quiet">No firings to count.</p>
      ) : histogram === null ? (
        <NotComputed what="activation histogram" />
      ) : (
        <Bars
          name="activations"
          card={card}
          histogram={histogram}
          of="act"
          unit="firings"
          log={log}
          label={`Histogram of ${count(stats.n_firings)} firings by activation, ${number(histogram.low)} to ${number(histogram.high)}, mean ${number(stats.mean)}.`}
          stops={barStops(histogram.low / card.scale, histogram.high / card.scale)}
          mark={(token) => token.act}
        />
      )}
    </section>
  );
}
