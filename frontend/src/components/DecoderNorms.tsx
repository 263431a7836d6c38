// How strongly the feature writes at each place, and how alike its directions are there.
import type { VNode } from "preact";
import { number } from "../data/format";
import { Meaning } from "../marks/Meaning";
import type { PlaceWeights } from "../data/contract";
import { NotComputed } from "./Messages";
import type { ComponentProps } from "./types";

export function DecoderNorms({ card, places }: ComponentProps): VNode {
  const weights = card.view.places;
  if (weights === null || places === null) {
    return (
      <section>
        <h3>Decoder norms</h3>
        <NotComputed what="norms by place (the dictionary writes at one place)" />
      </section>
    );
  }
  const most = Math.max(...weights.norms, 1e-30);
  const strongest = weights.norms.indexOf(Math.max(...weights.norms));
  return (
    <section>
      <header class="titled">
        <h3>Decoder norms</h3>
        <span class="quiet">by {new Set(places.models).size > 1 ? "model" : "layer"}</span>
      </header>
      <table class="norms">
        <thead>
          <tr>
            <th>Written at</th>
            <th>
              <Meaning of="decoder norm">Norm</Meaning>
            </th>
            {weights.cosines.length > 0 && (
              <th title={`Cosine of the direction with that at ${places.names[strongest] ?? ""}, where the norm is largest`}>
                Cosine
              </th>
            )}
          </tr>
        </thead>
        <tbody>
          {places.labels.map((label, i) => (
            <tr key={i}>
              <th scope="row" title={places.names[i]}>
                {label}
              </th>
              <td style={{ "--share": `${(100 * (weights.norms[i] ?? 0)) / most}%` }}>{number(weights.norms[i] ?? NaN)}</td>
              {weights.cosines.length > 0 && <td>{i === strongest ? <span class="quiet">largest</span> : number(cosine(weights, i, strongest))}</td>}
            </tr>
          ))}
        </tbody>
      </table>
    </section>
  );
}

/** Of the directions at two places; pairs run (0, 1), (0, 2), …, (1, 2), …. */
export function cosine({ norms, cosines }: PlaceWeights, a: number, b: number): number {
  const [low, high] = [Math.min(a, b), Math.max(a, b)];
  const before = low * norms.length - (low * (low + 1)) / 2;
  return cosines[before + high - low - 1] ?? NaN;
}
