// Explanations of a feature, under the head of its card.
import type { VNode } from "preact";
import { number } from "../data/format";
import type { Card } from "../state/card";

/** What is said that the feature means. */
export function Said({ card }: { readonly card: Card }): VNode | null {
  const { explanations } = card.view;
  if (explanations.length === 0) return null;
  return (
    <ul class="said" aria-label="Explanations">
      {explanations.map(({ text, score, measure, source }, i) => (
        <li key={i}>
          {text}{" "}
          <small>
            {[source, score === null ? "" : `${measure || "explanation score"} ${number(score)}`].filter((word) => word !== "").join(" · ")}
          </small>
        </li>
      ))}
    </ul>
  );
}
