// The cards of a pair side by side, their parts in common rows.
import type { VNode } from "preact";
import { useLayoutEffect, useMemo } from "preact/hooks";
import { Card, opened } from "../../state/card";
import { Columns, type Shared } from "../../components/Columns";
import { Stats } from "../../components/CardHead";
import { DeadFeature, FailedLoad, MissingFeature } from "../../components/Messages";
import { SideMark } from "../../marks/SideMark";
import { SIDE_NAMES, type Side } from "../../state/sides";
import { useFeature } from "../../state/load";
import type { Source } from "../../data/source";
import { TokenTexts } from "../../data/tokens";
import { write } from "../../state/compare/address";
import { useCompare } from "../../state/compare/state";

export function PairCards({ a, b }: { a: number; b: number | null }): VNode {
  const { source } = useCompare();
  const parts = source.a.head.layout.columns.reduce((n, column) => n + column.components.length, 0);
  return (
    <div class="beside pair-cards" style={{ "--panes": b === null ? 1 : 2, "--parts": parts }}>
      <PairCard key={`a${a}`} side={0} feature={a} source={source.a} />
      {b !== null && <PairCard key={`b${b}`} side={1} feature={b} source={source.b} />}
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
  const state = useFeature(source, feature);
  const card = useMemo(() => (state.kind === "open" ? new Card(state.view, head, texts) : null), [state, head, texts]);
  useLayoutEffect(() => (card === null ? undefined : opened(card)), [card]);
  const shared = useShared(side, source);
  const page = useCompare().source.overview[side === 0 ? "a_page" : "b_page"];
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
      </header>
      {card !== null && <Columns card={card} head={head} several shared={shared} />}
    </article>
  );
}

function useShared(side: Side, source: Source): Shared {
  const { address, move, hasA, hasB } = useCompare();
  const { log, wrap } = address;
  return {
    log,
    wrap,
    set: (change) => move(change, "replace"),
    go: (feature) => move(side === 0 ? { a: feature, b: null } : { b: feature }),
    has: side === 0 ? hasA : hasB,
    href: (feature) => write({ ...address, ...(side === 0 ? { a: feature, b: null } : { b: feature }) }),
    shared: (type) => source.shared(type),
  };
}
