// This index beside another over the same tokens, as on a page that compares them.
import type { VNode } from "preact";
import { useEffect, useLayoutEffect, useState } from "preact/hooks";
import { Help } from "../../components/Help";
import type { Beside, ExplorerSource } from "../../data/explorer";
import { tip } from "../../state/card";
import { CompareContext, useCompareState } from "../../state/compare/state";
import type { ExplorerAddress } from "../../state/explorer/address";
import type { Moves, Within } from "../../state/history";
import { useKeys } from "../../state/keys";
import { reasonOf } from "../../state/load";
import { CompareBody, FeatureOfA } from "../compare/CompareBody";
import { KEYS, ON_TABS } from "../compare/keys";

/** The comparison's part of the address, which it shares with the explorer's; the open feature is that of both. */
const WITHIN: Within = { prefix: "c.", others: (name) => name !== "f" && !name.startsWith("c.") };

export interface ComparePaneProps {
  readonly source: ExplorerSource;
  readonly address: ExplorerAddress;
  readonly move: Moves<ExplorerAddress>;
  /** The feature that is open in the explorer. */
  readonly current: number | null;
  readonly help: boolean;
  readonly setHelp: (open: boolean) => void;
}

export function ComparePane({ source, address, move, current, help, setHelp }: ComparePaneProps): VNode {
  const others = source.info.indices.filter(({ identity, same_text: same }) => same && identity !== source.info.identity);
  const other = others.find(({ identity }) => identity === address.other) ?? others[0];
  const [found, setFound] = useState<{ readonly identity: string; readonly beside: Beside | null; readonly failed: string | null } | null>(null);
  const identity = other?.identity ?? null;
  useEffect(() => {
    if (identity === null) return undefined;
    let wanted = true;
    source.beside(identity).then(
      (beside) => wanted && setFound({ identity, beside, failed: null }),
      (error: unknown) => wanted && setFound({ identity, beside: null, failed: reasonOf(error) }),
    );
    return () => {
      wanted = false;
    };
  }, [source, identity]);
  if (identity === null) {
    return <p class="message">No other index of this server is over the same tokens, so there is nothing to compare with.</p>;
  }
  const now = found?.identity === identity ? found : null;
  return (
    <section class="compare-page" aria-label="Two dictionaries">
      <p class="choose-other">
        <label>
          B is{" "}
          <select value={identity} onChange={(event) => move({ other: event.currentTarget.value })}>
            {others.map((one) => (
              <option key={one.identity} value={one.identity}>
                {one.title}: {one.sae}, {one.hook}
              </option>
            ))}
          </select>
        </label>
      </p>
      {now === null && (
        <p class="message" role="status">
          Correlating the features of both… (once for each pair of indices; it is kept)
        </p>
      )}
      {now !== null && now.failed !== null && (
        <p class="message failed" role="alert">
          The two can't be compared: {now.failed}
        </p>
      )}
      {now !== null && now.beside !== null && <Shown key={identity} beside={now.beside} current={current} open={(feature, partner) => move({ feature, partner }, "replace")} help={help} setHelp={setHelp} />}
    </section>
  );
}

interface ShownProps {
  readonly beside: Beside;
  readonly current: number | null;
  /** The pair that is open becomes the explorer's. */
  readonly open: (feature: number, partner: number | null) => void;
  readonly help: boolean;
  readonly setHelp: (open: boolean) => void;
}

function Shown({ beside, current, open, help, setHelp }: ShownProps): VNode {
  const [within] = useState(() => ({ ...WITHIN, first: current }));
  const own = useCompareState(beside.source, beside.comparison, within);
  const { address } = own;
  const move: typeof own.move = (change, how) => {
    own.move(change, how);
    open(change.a ?? address.a, "b" in change ? (change.b ?? null) : address.b);
  };
  const state = { ...own, move };
  useKeys(KEYS, { ...state, help, setHelp }, ON_TABS);
  useLayoutEffect(() => () => tip.set(null), [address.a, address.b, address.view]);
  return (
    <CompareContext.Provider value={state}>
      <FeatureOfA />
      <CompareBody />
      {help && <Help keys={KEYS} close={() => setHelp(false)} />}
    </CompareContext.Provider>
  );
}
