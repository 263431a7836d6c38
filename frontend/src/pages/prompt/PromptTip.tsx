// Details beside a token of the prompt: what the model expects next there; or what one feature does there.
import { Fragment, type VNode } from "preact";
import { useLayoutEffect, useRef } from "preact/hooks";
import { number, percent, plural } from "../../data/format";
import { place as putBeside } from "../../marks/place";
import { Chip } from "../../marks/TokenText";
import { useSignal } from "../../state/signal";
import type { Place } from "../../state/address";
import { SIDE_NAMES } from "../../state/sides";
import { treeOf } from "../../state/tree";
import { usePrompt, type PromptState } from "../../state/prompt/state";
import { valueWords } from "../../marks/prompt/words";

export function PromptTip(): VNode {
  const state = usePrompt();
  const { place, row, near } = useSignal(state.pointer.at);
  const box = useRef<HTMLDivElement>(null);
  const shown = near !== null && place !== null;
  useLayoutEffect(() => {
    if (near === null || box.current === null) return;
    const clear = state.prompts.two ? beyondTexts(near, treeOf(box.current)) : near;
    putBeside(box.current, clear, [clear], true);
  }, [near, place, row]);
  return (
    <div ref={box} id="prompt-tip" class="tip" role="tooltip" hidden={!shown}>
      {shown && row !== null && <FeatureHere state={state} row={row} place={place} />}
      {shown && <TokenLines state={state} place={place} brief={row !== null} />}
    </div>
  );
}

/** Of two prompts, both stay in sight, as the token that stands for the one pointed at is marked: from the first to the last. */
function beyondTexts(near: DOMRect, tree: ParentNode): DOMRect {
  const texts = Array.from(tree.querySelectorAll(".strip-text"), (text) => text.getBoundingClientRect());
  const [top, bottom] = [texts[0]?.top ?? 0, texts.at(-1)?.bottom ?? 0];
  return near.top < top || near.bottom > bottom ? near : new DOMRect(near.left, top, near.width, bottom - top);
}

function TokenLines({ state, place, brief }: { state: PromptState; place: Place; brief: boolean }): VNode {
  const { prompts, texts } = state;
  const { side, position } = place;
  const pairs = prompts.side(side);
  const { view } = pairs;
  const id = view.tokens[position] ?? -1;
  const partner = prompts.partner(place);
  return (
    <dl>
      <dt>Token</dt>
      <dd>
        <Chip list={texts.runs(id)} />{" "}
        <span class="quiet">
          id {id}, position {position}
          {prompts.two && ` of ${SIDE_NAMES[side]}`}
        </span>
      </dd>
      {view.masked[position] === 1 && <dt>Masked</dt>}
      {view.masked[position] === 1 && <dd>in no statistic of the corpus</dd>}
      {prompts.two && <dt>Stands for</dt>}
      {prompts.two && (
        <dd>{partner === null ? <span class="quiet">no token of the other prompt</span> : <Counterpart state={state} place={partner} />}</dd>
      )}
      {!brief && <Expected state={state} place={place} />}
      {!brief && <dt>Firing</dt>}
      {!brief && <dd>{plural(pairs.fires(position), "feature")}</dd>}
    </dl>
  );
}

function Counterpart({ state, place: { side, position } }: { state: PromptState; place: Place }): VNode {
  return (
    <>
      <Chip list={state.texts.runs(state.prompts.side(side).view.tokens[position] ?? -1)} />{" "}
      <span class="quiet">position {position} of {SIDE_NAMES[side]}</span>
    </>
  );
}

/** The token that follows, and what the model takes for likeliest. */
function Expected({ state, place: { side, position } }: { state: PromptState; place: Place }): VNode {
  const { view } = state.prompts.side(side);
  const { n_predicted: n, loss, predicted, predicted_prob } = view;
  const next = view.tokens[position + 1];
  const nats = loss[position] ?? NaN;
  return (
    <>
      <dt>Next token</dt>
      <dd>
        {next === undefined ? (
          <span class="quiet">none: the prompt ends here</span>
        ) : (
          <>
            <Chip list={state.texts.runs(next)} /> probability {percent(Math.exp(-nats))}, loss {number(nats)} nats
          </>
        )}
      </dd>
      <dt>Likeliest next</dt>
      <dd>
        <table class="likely">
          <tbody>
            {Array.from({ length: n }, (_, k) => position * n + k).map((k) => (
              <tr key={k}>
                <td>
                  <Chip list={state.texts.runs(predicted[k] ?? -1)} />
                </td>
                <td style={{ "--share": `${100 * (predicted_prob[k] ?? 0)}%` }}>{percent(predicted_prob[k] ?? NaN)}</td>
              </tr>
            ))}
          </tbody>
        </table>
      </dd>
    </>
  );
}

/** All that is known of a feature at a token, the chosen metric first; of two prompts, at both tokens. */
function FeatureHere({ state, row, place }: { state: PromptState; row: number; place: Place }): VNode {
  const { prompts, measure } = state;
  const partner = prompts.partner(place);
  const places = [place, partner].filter((p) => p !== null).sort((a, b) => a.side - b.side);
  const names = [measure.metric.name, ...measuresBut(state)];
  return (
    <>
      <p class="which">Feature {prompts.part.firing.feature[row]}</p>
      {places.map((at) => {
        const pair = prompts.side(at.side).at(row, at.position);
        const title = prompts.two ? `${SIDE_NAMES[at.side]}: ` : "";
        if (pair < 0) {
          return (
            <p key={at.side}>
              {title}
              <span class="quiet">does not fire here</span>
            </p>
          );
        }
        return (
          <dl key={at.side}>
            {names.map((name, i) => {
              const shown = i === 0 ? measure : prompts.measure(name, 0);
              const words = valueWords(shown, shown.values[at.side]?.[pair] ?? NaN);
              return (
                <Fragment key={name}>
                  <dt>
                    {title}
                    {shown.metric.title}
                  </dt>
                  <dd>{i === 0 ? <b>{words}</b> : words}</dd>
                </Fragment>
              );
            })}
          </dl>
        );
      })}
    </>
  );
}

function measuresBut({ prompts, measure }: PromptState): string[] {
  return (prompts.part.prompts[0]?.metrics ?? []).map((metric) => metric.name).filter((name) => name !== measure.metric.name);
}
