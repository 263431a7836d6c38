// A page of two dictionaries over the same tokens: a feature of A beside its nearest of B, and lists of all features.
import type { VNode } from "preact";
import { useLayoutEffect, useMemo, useState } from "preact/hooks";
import { tip } from "../../state/card";
import { Help } from "../../components/Help";
import { FailedLoad, MissingFeature, Notice } from "../../components/Messages";
import { SideMark } from "../../marks/SideMark";
import { type Side } from "../../state/sides";
import { Stepper } from "../../components/Stepper";
import { TopBar } from "../../components/TopBar";
import { count } from "../../data/format";
import { Tooltips } from "../../marks/Tooltip";
import type { PageMeta } from "../../data/contract";
import { VIEWS, type View } from "../../state/address";
import { KEYS, ON_TABS } from "./keys";
import { useKeys } from "../../state/keys";
import { neighbour } from "../../state/page";
import { Matches, Splits } from "./Lists";
import { Nearest } from "./Nearest";
import { PairCards } from "./PairCards";
import { PairTexts } from "./PairTexts";
import type { Comparison, Source } from "../../data/source";
import { CompareContext, useCompare, useCompareState } from "../../state/compare/state";

export function CompareApp({ source, comparison }: { source: Source; comparison: Comparison }): VNode {
  const state = useCompareState(source, comparison);
  const { head, address, move } = state;
  const [help, setHelp] = useState(false);
  useKeys(KEYS, { ...state, help, setHelp }, ON_TABS);
  useLayoutEffect(() => () => tip.set(null), [address.a, address.b, address.view]);
  const about = useMemo(() => <About a={source.head.meta} b={comparison.b.head.meta} />, [source, comparison]);
  return (
    <CompareContext.Provider value={state}>
      <TopBar theme={address.theme} setTheme={(theme) => move({ theme }, "replace")} openHelp={() => setHelp(true)}>
        <nav class="picker" aria-label="Feature of A">
          <SideMark side={0} />
          <Stepper
            head={head}
            feature={address.a}
            step={(by) => move({ a: neighbour(head, address.a, by), b: null, view: "pair" }, "replace")}
            go={(a) => move({ a, b: null, view: "pair" })}
          />
        </nav>
      </TopBar>
      {about}
      <main class="compare-page">
        <Tabs />
        <div id="view" role="tabpanel" aria-labelledby={`tab-${address.view}`}>
          <Shown />
        </div>
      </main>
      <Tooltips below several />
      <Notice />
      {help && <Help keys={KEYS} close={() => setHelp(false)} />}
    </CompareContext.Provider>
  );
}

function About({ a, b }: { a: PageMeta; b: PageMeta }): VNode {
  const facts: [string, string][] = [
    ...(a.model === null ? [] : [["Model", a.model] as [string, string]]),
    ["Text", `${a.corpus}: ${count(a.n_tokens)} tokens in ${count(a.n_sequences)} sequences`],
    ["Mask", a.mask],
    ["Features of A on this page", a.selection],
  ];
  return (
    <header class="about">
      <h1>{a.title}</h1>
      <dl>
        <Dictionary side={0} meta={a} />
        <Dictionary side={1} meta={b} />
      </dl>
      <dl>
        {facts.map(([name, value]) => (
          <div key={name}>
            <dt>{name}</dt>
            <dd>{value}</dd>
          </div>
        ))}
      </dl>
    </header>
  );
}

function Dictionary({ side, meta }: { side: Side; meta: PageMeta }): VNode {
  return (
    <div class="dictionary">
      <dt>
        <SideMark side={side} />
      </dt>
      <dd>
        {meta.sae}, at {meta.hook}; {count(meta.n_dead)} dead
      </dd>
    </div>
  );
}

const TITLES: Readonly<Record<View, string>> = {
  pair: "Side by side",
  lost: "A without B",
  new: "B without A",
  splits: "Splits",
  merges: "Merges",
};

function Tabs(): VNode {
  const { address, move, comparison } = useCompare();
  const { splits, merges } = comparison.overview;
  const noted: Partial<Record<View, number>> = { splits: splits.feature.length, merges: merges.feature.length };
  const go = (view: View): void => move({ view, by: "usual", down: false });
  const onKeyDown = (event: KeyboardEvent): void => {
    const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
    if (step === undefined) return;
    const next = VIEWS[(VIEWS.indexOf(address.view) + step + VIEWS.length) % VIEWS.length] ?? "pair";
    go(next);
    document.getElementById(`tab-${next}`)?.focus();
    event.preventDefault();
    event.stopPropagation();
  };
  return (
    <div class="tabs" role="tablist" aria-label="What is shown" onKeyDown={onKeyDown}>
      {VIEWS.map((view, i) => (
        <button
          key={view}
          type="button"
          role="tab"
          id={`tab-${view}`}
          aria-controls="view"
          aria-selected={view === address.view}
          tabIndex={view === address.view ? 0 : -1}
          title={`${TITLES[view]} (${i + 1})`}
          onClick={() => go(view)}
        >
          {TITLES[view]}
          {noted[view] !== undefined && <span class="quiet"> {count(noted[view])}</span>}
        </button>
      ))}
    </div>
  );
}

function Shown(): VNode {
  const { address } = useCompare();
  switch (address.view) {
    case "pair":
      return <Pair />;
    case "lost":
      return <Matches side={0} />;
    case "new":
      return <Matches side={1} />;
    case "splits":
      return <Splits side={0} />;
    case "merges":
      return <Splits side={1} />;
  }
}

function Pair(): VNode {
  const { compared, row, address, head, comparison } = useCompare();
  if (compared.kind === "missing") return <MissingFeature feature={address.a} head={head} />;
  if (compared.kind === "loading") return <p class="message">Loading feature {address.a}…</p>;
  if (compared.kind === "failed") return <FailedLoad what={`Feature ${address.a}`} reason={compared.reason} />;
  const { table, pairs } = compared.view;
  const b = table.index[row] ?? null;
  const groups = pairs[row];
  const { matches_a, matches_b } = comparison.overview;
  const scale = (max: Float32Array, feature: number): number => Math.abs(max[feature] ?? 0) || 1;
  return (
    <>
      {address.b !== null && b !== null && address.b !== b && (
        <p class="message" role="status">
          Feature {address.b} of B is not among the nearest of feature {address.a} of A; the nearest is shown.
        </p>
      )}
      <Nearest compared={compared.view} />
      {b !== null && groups !== undefined && (
        <PairTexts
          key={`${address.a}-${b}`}
          groups={groups}
          a={address.a}
          b={b}
          scales={[scale(matches_a.features.max, address.a), scale(matches_b.features.max, b)]}
        />
      )}
      <PairCards a={address.a} b={b} />
    </>
  );
}
