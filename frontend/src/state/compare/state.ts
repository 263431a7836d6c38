// What all parts of a page of two dictionaries share.
import { createContext } from "preact";
import { useCallback, useContext, useMemo } from "preact/hooks";
import { useHash, type Moves } from "../history";
import { useLoaded, type State } from "../load";
import type { Compared } from "../../data/contract";
import { TokenTexts } from "../../data/tokens";
import { parse, write, type CompareAddress } from "./address";
import type { CompareSource } from "../../data/compare";

export interface CompareState {
  readonly source: CompareSource;
  readonly texts: TokenTexts;
  readonly address: CompareAddress;
  readonly move: Moves<CompareAddress>;
  /** Whether the page holds a feature of A, of B. */
  readonly hasA: (feature: number) => boolean;
  readonly hasB: (feature: number) => boolean;
  readonly compared: State<Compared>;
  /** Row of the table of nearest features that is shown; -1 where there is none. */
  readonly row: number;
}

export const CompareContext = createContext<CompareState | null>(null);

export function useCompare(): CompareState {
  const state = useContext(CompareContext);
  if (state === null) throw new Error("not on a page of two dictionaries");
  return state;
}

export function useCompareState(source: CompareSource): CompareState {
  const { head } = source.a;
  const first = head.meta.first ?? head.summary.feature[0] ?? 0;
  const read = useCallback((hash: string) => parse(hash, first), [first]);
  const [address, move] = useHash(read, write);
  const texts = useMemo(() => new TokenTexts(head.tokenBytes, head.special), [head]);
  const [hasA, hasB] = useMemo(() => [source.a, source.b].map((one) => holds(one.head.summary.feature)) as [Holds, Holds], [source]);
  const compared = useLoaded(source.compared, address.a);
  const row = compared.kind === "open" ? rowOf(compared.view, address.b) : -1;
  return useMemo(
    () => ({ source, texts, address, move, hasA, hasB, compared, row }),
    [source, texts, address, move, hasA, hasB, compared, row],
  );
}

type Holds = (feature: number) => boolean;

function holds(features: Int32Array): Holds {
  const known = new Set(features);
  return (feature) => known.has(feature);
}

/** The row of a feature of B; of one that is not among the nearest, the first. */
function rowOf({ table }: Compared, b: number | null): number {
  if (table.index.length === 0) return -1;
  return b === null ? 0 : Math.max(table.index.indexOf(b), 0);
}
