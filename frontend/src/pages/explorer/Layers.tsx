// One prompt at every index of the server, such as every layer of a model.
import type { VNode } from "preact";
import type { EveryLayer } from "../../data/contract";
import type { ExplorerSource } from "../../data/explorer";
import { signed } from "../../data/format";
import type { TokenTexts } from "../../data/tokens";
import { Chip } from "../../marks/TokenText";
import { useAsked } from "../../state/explorer/asked";

const PAUSE = 400;

export interface LayersProps {
  readonly source: ExplorerSource;
  readonly texts: TokenTexts;
  readonly text: string;
}

export function Layers({ source, texts, text }: LayersProps): VNode | null {
  const ask = text === "" ? null : (signal: AbortSignal): Promise<EveryLayer> => source.layers(text, signal);
  const { found, failed } = useAsked({ ask, pause: PAUSE, clear: "never" }, [source, text]);
  if (failed !== null) {
    return (
      <p class="message failed" role="alert">
        {failed}
      </p>
    );
  }
  if (found === null) return text === "" ? null : <p class="quiet">Reading the prompt at every layer…</p>;
  return (
    <div class="layers">
      {found.layers.map(({ identity, metric, features, values, positions, top_tokens: tops }) => {
        const index = source.info.indices.find((one) => one.identity === identity);
        const value = (i: number): string => signed(values[i] ?? NaN);
        return (
          <section key={identity} class="layer">
            <h3>
              {index?.title} <span class="quiet">{index?.hook}, by {metric.toLowerCase()}</span>
            </h3>
            <ul>
              {Array.from(features, (feature, i) => (
                <li key={feature}>
                  <a href={`${source.other(identity)}#f=${feature}&text=${encodeURIComponent(text)}`} title={`Feature ${feature} at token ${positions[i] ?? 0}: ${value(i)}`}>
                    <b>{feature}</b> {value(i)} <Chip list={texts.runs(found.tokens[positions[i] ?? -1] ?? -1)} />
                    <span class="quiet"> in the corpus strongest on </span>
                    <Chip list={texts.runs(tops[i] ?? -1)} />
                  </a>
                </li>
              ))}
            </ul>
          </section>
        );
      })}
    </div>
  );
}
