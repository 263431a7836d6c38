// The cards of a pair side by side, their parts in common rows.
import type { VNode } from "preact";
import { useLayoutEffect, useMemo } from "preact/hooks";
import { Card, opened } from "../../state/card";
import { Columns, type Shared } from "../../components/Columns";
import { Stats } from "../../components/CardHead";
import { DeadFeature, FailedLoad, MissingFeature } from "../../components/Messages";
import { Said } from "../../components/Said";
import { SideMark } from "../../marks/SideMark";
import { SIDE_NAMES, type Side } from "../../state/sides";
import { useLoaded } from "../../state/load";
import type { Source } from "../../data/source";
import { TokenTexts } from "../../data/tokens";
import { useCompare } from "../../state/compare/state";

export function PairCards({ a, b }: { a: number; b: number | null }): VNode {
  const { source, comparison } = useCompare();
  const parts = source.head.layout.columns.reduce((n, column) => n + column.components.length, 0);
  return (
    <div class="beside pair-cards" style={{ "--panes": b === null ? 1 : 2, "--parts": parts }}>
      <PairCard key={`a${a}`} side={0} feature={a} source={source} />
      {b !== null && <PairCard key={`b${b}`} side={1} feature={b} source={comparison.b} />}
    </div>
  );
}

interface PairCardProps {
  readonly side: Side;
  readonly feature: number;
  readonly source: Source;
}

function PairCard({ side, feature, source }: PairCardProps): VNode {
  const { head } = source;
  const texts = useMemo(() => new TokenTexts(head.tokenBytes, head.special), [head]);
  const state = useLoaded(source.card, feature);
  const card = useMemo(() => (state.kind === "open" ? new Card(state.view, head, texts) : null), [state, head, texts]);
  useLayoutEffect(() => (card === null ? undefined : opened(card)), [card]);
  const shared = useShared(side, source);
  const page = useCompare().comparison.overview[side === 0 ? "a_page" : "b_page"];
  return (
    <article class={`card pane ${side === 0 ? "in-a" : "in-b"}`} aria-label={`Feature ${feature} of ${SIDE_NAMES[side]}`}>
      <header class="card-head">
        <h2>
          <SideMark side={side} /> Feature <b>{feature}</b>
        </h2>
        {page !== null && (
          <a class="whole" href={`${page}#f=${feature}`}>
            its own page
          </a>
        )}
        {state.kind === "missing" && <MissingFeature feature={feature} head={head} />}
        {state.kind === "loading" && <p class="message">Loading feature {feature}…</p>}
        {state.kind === "failed" && <FailedLoad what={`Feature ${feature}`} reason={state.reason} />}
        {card !== null && (card.dead ? <DeadFeature feature={feature} head={head} /> : <Stats stats={card.view.stats} signed={head.meta.signed} />)}
        {card !== null && <Said card={card} />}
      </header>
      {card !== null && <Columns card={card} head={head} several shared={shared} />}
    </article>
  );
}

function useShared(side: Side, source: Source): Shared {
  const { address, move, href, has, hasB } = useCompare();
  const { log, wrap } = address;
  return {
    log,
    wrap,
    set: (change) => move(change, "replace"),
    go: (feature) => move(side === 0 ? { a: feature, b: null } : { b: feature }),
    has: side === 0 ? has : hasB,
    href: (feature) => href(side === 0 ? { a: feature, b: null } : { b: feature }),
    shared: (type) => source.shared(type),
  };
}
