// A page of two dictionaries over the same tokens: a feature of A beside its nearest of B, and lists of all features.
import type { VNode } from "preact";
import { useLayoutEffect, useMemo, useState } from "preact/hooks";
import { tip } from "../../state/card";
import { Help } from "../../components/Help";
import { Notice } from "../../components/Messages";
import { SideMark } from "../../marks/SideMark";
import { type Side } from "../../state/sides";
import { TopBar } from "../../components/TopBar";
import { count } from "../../data/format";
import { Tooltips } from "../../marks/Tooltip";
import type { PageMeta } from "../../data/contract";
import { KEYS, ON_TABS } from "./keys";
import { useKeys } from "../../state/keys";
import type { Comparison, Source } from "../../data/source";
import { CompareContext, useCompareState } from "../../state/compare/state";
import { CompareBody, FeatureOfA } from "./CompareBody";

export function CompareApp({ source, comparison }: { source: Source; comparison: Comparison }): VNode {
  const state = useCompareState(source, comparison);
  const { address, move } = state;
  const [help, setHelp] = useState(false);
  useKeys(KEYS, { ...state, help, setHelp }, ON_TABS);
  useLayoutEffect(() => () => tip.set(null), [address.a, address.b, address.view]);
  const about = useMemo(() => <About a={source.head.meta} b={comparison.b.head.meta} />, [source, comparison]);
  return (
    <CompareContext.Provider value={state}>
      <TopBar theme={address.theme} setTheme={(theme) => move({ theme }, "replace")} openHelp={() => setHelp(true)}>
        <FeatureOfA />
      </TopBar>
      {about}
      <main class="compare-page">
        <CompareBody />
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
        {meta.acts !== null && `; activations ${meta.acts}`}
      </dd>
    </div>
  );
}
