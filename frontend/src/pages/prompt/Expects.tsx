// What the model expects next: after the chosen token, or after the whole prompt. A click ranks by what that token's logit owes to each feature.
import type { VNode } from "preact";
import { percent } from "../../data/format";
import { Chip } from "../../marks/TokenText";
import type { Side } from "../../state/sides";
import { single, usePrompt } from "../../state/prompt/state";
import { dotted } from "../../marks/prompt/words";

/** Of the likeliest tokens so many are named. */
const NAMED = 3;
const LOGIT = "logit_effect";

export function Expects({ side }: { readonly side: Side }): VNode | null {
  const { prompts, address, texts } = usePrompt();
  const { view, n } = prompts.side(side);
  const { span } = address;
  if (n === 0 || (span !== null && (span.side !== side || !single(span)))) return null;
  const at = span === null ? n - 1 : span.from;
  const next = view.tokens[at + 1];
  return (
    <p class="expects">
      <span class="quiet">{next === undefined ? "After the prompt the model expects" : "Here the model expects"}</span>{" "}
      {Array.from({ length: Math.min(NAMED, view.n_predicted) }, (_, k) => (
        <ByLogit key={k} side={side} at={at} k={k} />
      ))}
      {next !== undefined && (
        <>
          <span class="quiet">; the text goes on with</span> <Chip list={texts.runs(next)} /> {percent(Math.exp(-(view.loss[at] ?? NaN)))}
        </>
      )}
    </p>
  );
}

interface ByLogitProps {
  readonly side: Side;
  readonly at: number;
  /** Which of the likeliest tokens. */
  readonly k: number;
}

/** One of the likeliest next tokens: ranks by what features add to its logit, at the token before it. */
function ByLogit({ side, at, k }: ByLogitProps): VNode {
  const { prompts, address, texts, measure, move } = usePrompt();
  const { predicted, predicted_prob, n_predicted: n } = prompts.side(side).view;
  const id = predicted[at * n + k] ?? -1;
  const { span } = address;
  const on = measure.metric.name === LOGIT && address.target === k + 1 && span !== null && single(span) && span.from === at && span.side === side;
  const rank = (): void => move({ span: { side, from: at, to: at }, held: null, metric: LOGIT, target: k + 1, order: null });
  return (
    <>
      <button type="button" class="filter-chip" aria-pressed={on} disabled={!prompts.known(LOGIT)} title={`Rank by what features add to the logit of “${dotted(texts.plain(id))}” here`} onClick={rank}>
        “{dotted(texts.plain(id))}” {percent(predicted_prob[at * n + k] ?? NaN)}
      </button>{" "}
    </>
  );
}

/** What is said where the text ends, and nothing that is measured by the tokens that follow can be known. */
export function NothingFollows(): VNode | null {
  const { prompts, address, measure, ranking, texts, move } = usePrompt();
  const { span } = address;
  if (span === null || !single(span) || !prompts.known(LOGIT)) return null;
  const { view, n } = prompts.side(span.side);
  if (span.from !== n - 1 || measure.metric.name === LOGIT || ranking.values.some((value) => value !== 0)) return null;
  const likeliest = dotted(texts.plain(view.predicted[span.from * view.n_predicted] ?? -1));
  return (
    <p class="note" role="status">
      No token follows the last one, so no feature has a share in its loss.{" "}
      <button type="button" class="filter-chip" onClick={() => move({ metric: LOGIT, target: 1, order: null })}>
        rank by the logit of “{likeliest}”, the likeliest next
      </button>
    </p>
  );
}
