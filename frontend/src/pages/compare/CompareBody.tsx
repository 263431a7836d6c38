// A feature of A beside its nearest of B, and lists of all features.
import type { VNode } from "preact";
import { FailedLoad, MissingFeature } from "../../components/Messages";
import { Stepper } from "../../components/Stepper";
import { count } from "../../data/format";
import { SideMark } from "../../marks/SideMark";
import { VIEWS, type View } from "../../state/address";
import { useCompare } from "../../state/compare/state";
import { neighbour } from "../../state/page";
import { treeOf } from "../../state/tree";
import { Matches, Splits } from "./Lists";
import { Nearest } from "./Nearest";
import { PairCards } from "./PairCards";
import { PairTexts } from "./PairTexts";

export function CompareBody(): VNode {
  const { address } = useCompare();
  return (
    <>
      <Tabs />
      <div id="view" role="tabpanel" aria-labelledby={`tab-${address.view}`}>
        <Shown />
      </div>
    </>
  );
}

/** Which feature of A is open, and the way to others. */
export function FeatureOfA(): VNode {
  const { head, address, move } = useCompare();
  return (
    <nav class="picker" aria-label="Feature of A">
      <SideMark side={0} />
      <Stepper
        head={head}
        feature={address.a}
        step={(by) => move({ a: neighbour(head, address.a, by), b: null, view: "pair" }, "replace")}
        go={(a) => move({ a, b: null, view: "pair" })}
      />
    </nav>
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
  const onKeyDown = (event: KeyboardEvent & { readonly currentTarget: HTMLElement }): void => {
    const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
    if (step === undefined) return;
    const next = VIEWS[(VIEWS.indexOf(address.view) + step + VIEWS.length) % VIEWS.length] ?? "pair";
    go(next);
    treeOf(event.currentTarget).querySelector<HTMLElement>(`#tab-${next}`)?.focus();
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
