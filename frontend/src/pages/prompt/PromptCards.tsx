// Cards of the features at the head of the ranking, or of the one chosen; drawn as the layout says.
import type { VNode } from "preact";
import { useLayoutEffect, useMemo } from "preact/hooks";
import { Card, opened, pin } from "../../state/card";
import { Columns, type Shared } from "../../components/Columns";
import { DeadFeature, FailedLoad } from "../../components/Messages";
import { Said } from "../../components/Said";
import { count, number, percent, plural } from "../../data/format";
import { Meaning } from "../../marks/Meaning";
import { useLoaded } from "../../state/load";
import { restingPlace, single, usePrompt, type PromptState } from "../../state/prompt/state";
import { AGGREGATE_WORDS, valueWords } from "../../marks/prompt/words";

export function PromptCards(): VNode | null {
  const state = usePrompt();
  const { open, pointer, address, sets } = state;
  useLayoutEffect(() => {
    const settle = (): void => {
      if (pin.value === null) pointer.rest((card) => restingPlace(state, card));
    };
    settle();
    // The cards forget their lines when a token is let go; what stands there otherwise comes after that.
    return pin.subscribe(() => queueMicrotask(settle));
  }, [pointer, address.held, address.span, sets]);
  if (open.length === 0) return null;
  return (
    <div class="prompt-cards" style={{ "--cards": open.length }}>
      {open.map((feature) => (
        <PromptCard key={feature} feature={feature} />
      ))}
    </div>
  );
}

function PromptCard({ feature }: { feature: number }): VNode {
  const state = usePrompt();
  const { source, head, texts, pointer, address } = state;
  const loaded = useLoaded(source.card, feature);
  const card = useMemo(() => (loaded.kind === "open" ? new Card(loaded.view, head, texts) : null), [loaded, head, texts]);
  useLayoutEffect(() => {
    if (card === null) return undefined;
    const ends = [opened(card), pointer.follow(card)];
    return () => ends.forEach((end) => end());
  }, [card, pointer]);
  return (
    <article class={`card pane ${address.feature === feature ? "active" : ""}`} aria-label={`Feature ${feature}`}>
      <header class="card-head">
        <h2>
          Feature <b>{feature}</b>
        </h2>
        <Here feature={feature} />
        {loaded.kind === "missing" && <NoCard feature={feature} />}
        {loaded.kind === "loading" && <p class="message">Loading feature {feature}…</p>}
        {loaded.kind === "failed" && <FailedLoad what={`Feature ${feature}`} reason={loaded.reason} />}
        {card !== null && (card.dead ? <DeadFeature feature={feature} head={head} /> : <Stats card={card} />)}
        {card !== null && <Said card={card} />}
      </header>
      {card !== null && <Columns card={card} head={head} several shared={sharedOf(state)} />}
    </article>
  );
}

/** What put the card here: its place in the ranking and its value. */
function Here({ feature }: { feature: number }): VNode {
  const { prompts, ranking, measure, by, address, move } = usePrompt();
  const row = prompts.rowOf.get(feature);
  const place = row === undefined ? -1 : ranking.rows.indexOf(row);
  const value = ranking.values[place] ?? NaN;
  const how = single(address.span) ? "" : `, ${AGGREGATE_WORDS[by]}`;
  return (
    <p class="here">
      {row === undefined ? (
        "does not fire on the prompt"
      ) : place < 0 ? (
        "not in this ranking"
      ) : (
        <span>
          <b>#{place + 1}</b> of {count(ranking.rows.length)}: {by === "count" ? "" : measure.metric.title}{" "}
          <b>{by === "count" ? count(value) : valueWords(measure, value, prompts.two)}</b>
          {prompts.two ? " (A − B)" : ""}
          {how}
        </span>
      )}
      {address.feature === feature && (
        <button type="button" title="Back to the ranking's first (Esc)" onClick={() => move({ feature: null, held: null })}>
          Unlock
        </button>
      )}
    </p>
  );
}

function Stats({ card }: { card: Card }): VNode {
  const { density, max, mean } = card.view.stats;
  return (
    <p class="stats">
      <span>
        <Meaning of="density">fires on</Meaning> <b>{percent(density)}</b> of the corpus
      </span>
      <span>
        <Meaning of="max">max</Meaning> <b>{number(max)}</b>
      </span>
      <span>
        <Meaning of="mean">mean</Meaning> <b>{number(mean)}</b>
      </span>
    </p>
  );
}

function NoCard({ feature }: { feature: number }): VNode {
  const { head, prompts } = usePrompt();
  const fires = prompts.rowOf.has(feature);
  return (
    <p class="message" role="status" data-message="missing">
      {fires
        ? `Feature ${feature} fires on the prompt and is ranked, but its card is not on this page, which holds the cards of ${head.meta.selection}.`
        : `Feature ${feature} does not fire on the prompt; this page holds the cards of ${plural(head.summary.feature.length, "feature")} that do.`}
    </p>
  );
}

function sharedOf({ address, move, href, source, has }: PromptState): Shared {
  return {
    log: address.log,
    wrap: address.wrap,
    set: (change) => move(change, "replace"),
    go: (feature) => move({ feature, held: null }),
    has,
    href: (feature) => href({ feature, held: null }),
    shared: (type) => source.shared(type),
  };
}
