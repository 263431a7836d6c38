// What the features are ranked by, over which tokens, and which of them may take part.
import type { VNode } from "preact";
import { percent } from "../../data/format";
import { AGGREGATES, MOST_CARDS, MOST_RANKED, ORDERS, type Order } from "../../state/address";
import { percentOf } from "../../state/fields";
import { isFull, usualOrder, type Measure } from "../../state/prompt/pairs";
import { single, usePrompt } from "../../state/prompt/state";
import { Typed } from "../../marks/Typed";
import { AGGREGATE_WORDS, dotted, orderWords, spanWords } from "../../marks/prompt/words";

/** The chosen tokens, and the way to the ones beside and back to all. */
export function Chosen({ step }: { step: (by: number) => void }): VNode {
  const { address, move, prompts, texts } = usePrompt();
  return (
    <div class="chosen-tokens" role="group" aria-label="Chosen tokens">
      <button type="button" class="icon" aria-label="Previous token" title="Previous token (←)" onClick={() => step(-1)}>
        ‹
      </button>
      <span class="chosen-words" aria-live="polite">
        {spanWords(address.span, prompts, texts)}
      </span>
      <button type="button" class="icon" aria-label="Next token" title="Next token (→)" onClick={() => step(1)}>
        ›
      </button>
      {address.span !== null && (
        <button type="button" title="The whole prompt (Esc)" onClick={() => move({ span: null, held: null })}>
          {prompts.two ? "Both prompts" : "Whole prompt"}
        </button>
      )}
    </div>
  );
}

export function Controls(): VNode {
  const { address, move, prompts, measure, most, head } = usePrompt();
  const metrics = prompts.part.prompts[0]?.metrics ?? [];
  const { metric } = measure;
  return (
    <form class="controls" aria-label="Ranking" onSubmit={(event) => event.preventDefault()}>
      <label>
        Rank by{" "}
        <select value={metric.name} onChange={(event) => move({ metric: event.currentTarget.value, order: null })}>
          {metrics.map((one) => (
            <option key={one.name} value={one.name} disabled={!prompts.known(one.name)}>
              {one.title}
              {prompts.known(one.name) ? "" : isFull(one) ? ": measure first" : ": not known here"}
            </option>
          ))}
        </select>
      </label>
      {metric.name === "logit_effect" && <Target />}
      {(measure.signed || prompts.two || (metric.name === "act_quantile" && head.meta.signed)) && <OrderChoice />}
      {!single(address.span) && <AggregateChoice />}
      <NumberBox label="Features" value={address.n} take={(n) => move({ n: Math.min(Math.max(Math.round(n), 1), MOST_RANKED) })} />
      <fieldset>
        <legend class="unseen">Density in the corpus, in percent</legend>
        <span aria-hidden="true">Density</span>
        <NumberBox label="from" value={address.min} take={(min) => move({ min: percentOf(String(min), 0) })} />
        <NumberBox label="to" value={most} take={(max) => move({ max: percentOf(String(max), 100) })} /> %
      </fieldset>
      <Cards />
      <p class="quiet meaning">
        {metric.meaning}
        {metric.name === "attribution" && ` Target: ${prompts.part.prompts[0]?.attributed ?? ""}.`}
        {address.max === null && most < 100 && ` Features that fire on more than ${most}% of the corpus would come first on every text: they are left out.`}
        {prompts.two && " Ranked by its value in A minus that in B; 0 where the feature does not fire."}
      </p>
    </form>
  );
}

function OrderChoice(): VNode {
  const { move, prompts, measure, order } = usePrompt();
  const choose = (text: string): void => move({ order: orderOf(text, usualOrder(measure, prompts.two)) });
  return (
    <label>
      Order{" "}
      <select value={order} onChange={(event) => choose(event.currentTarget.value)}>
        {ordersFor(measure, prompts.two).map((name) => (
          <option key={name} value={name}>
            {orderWords(name, measure, prompts.two)}
          </option>
        ))}
      </select>
    </label>
  );
}

function AggregateChoice(): VNode {
  const { address, move } = usePrompt();
  const choose = (text: string): void => move({ by: AGGREGATES.find((name) => name === text) ?? "max" });
  return (
    <label>
      Over the tokens{" "}
      <select value={address.by} onChange={(event) => choose(event.currentTarget.value)}>
        {AGGREGATES.map((name) => (
          <option key={name} value={name}>
            {AGGREGATE_WORDS[name]}
          </option>
        ))}
      </select>
    </label>
  );
}

function ordersFor({ metric }: Measure, two: boolean): readonly Order[] {
  if (metric.name === "act_quantile" && !two) return ["large", "small"]; // all above zero: by size is by value
  const { first } = metric;
  return [first, ...ORDERS.filter((order) => order !== first)];
}

/** null: the metric's own, which the address need not name. */
function orderOf(text: string, usual: Order): Order | null {
  const order = ORDERS.find((name) => name === text) ?? null;
  return order === usual ? null : order;
}

/** The token whose logit it is; of several positions, by its place among what the model expects there. */
function Target(): VNode {
  const { address, move, prompts, texts } = usePrompt();
  const { span, target } = address;
  const { view } = prompts.side(span?.side ?? 0);
  const { n_targets: n, targets, predicted_prob, n_predicted } = view;
  const name = (k: number): string => {
    if (k > n_predicted) return dotted(texts.plain(targets[k] ?? -1)); // asked for by name: the same at every position
    const place = k === 0 ? "the token that follows" : k === 1 ? "the likeliest next" : `${k}. likeliest next`;
    if (!single(span) || span === null) return place;
    const id = targets[span.from * n + k] ?? -1;
    if (id < 0) return `${place}: none`;
    const share = k === 0 ? "" : ` (${percent(predicted_prob[span.from * n_predicted + k - 1] ?? NaN)})`;
    return `${place}: ${dotted(texts.plain(id))}${share}`;
  };
  return (
    <label>
      Logit of{" "}
      <select class="target" value={target} onChange={(event) => move({ target: Number(event.currentTarget.value) })}>
        {Array.from({ length: n }, (_, k) => (
          <option key={k} value={k}>
            {name(k)}
          </option>
        ))}
      </select>
    </label>
  );
}

interface NumberBoxProps {
  readonly label: string;
  readonly value: number;
  readonly take: (value: number) => void;
}

function NumberBox({ label, value, take }: NumberBoxProps): VNode {
  const taken = (text: string): boolean => {
    const typed = Number(text.trim().replace("%", "").replace(",", "."));
    if (text.trim() === "" || !Number.isFinite(typed)) return false;
    take(typed);
    return true;
  };
  return (
    <label>
      {label} <Typed value={String(value)} size={4} take={taken} />
    </label>
  );
}

function Cards(): VNode {
  const { address, move } = usePrompt();
  return (
    <fieldset class="segments">
      <legend class="unseen">Cards side by side</legend>
      <span aria-hidden="true">Cards</span>
      {Array.from({ length: MOST_CARDS }, (_, i) => i + 1).map((k) => (
        <label key={k} class={k === address.cards ? "on" : ""}>
          <input type="radio" class="unseen" name="cards" checked={k === address.cards} onChange={() => move({ cards: k })} />
          <span class="unseen">Cards side by side: </span>
          {k}
        </label>
      ))}
    </fieldset>
  );
}
