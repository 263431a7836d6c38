// What all parts of a page of two dictionaries share.
import { createContext } from "preact";
import { useContext, useMemo } from "preact/hooks";
import { useLoaded, type State } from "../load";
import type { Compared } from "../../data/contract";
import { compareFields, type CompareAddress } from "../address";
import { prefixed, whole, type Fields } from "../fields";
import type { Within } from "../history";
import { holds, usePage, type Page } from "../page";
import type { Comparison, Source } from "../../data/source";

export interface CompareState extends Page<CompareAddress> {
  readonly comparison: Comparison;
  /** Whether the page holds a feature of B. */
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

/** `within`, the open feature of the explorer that it is a part of, and `first`, its feature where none was chosen, stay the same. */
export function useCompareState(source: Source, comparison: Comparison, within?: Within & { readonly first: number | null }): CompareState {
  const fields = useMemo(() => {
    const own = compareFields(source.head);
    if (within === undefined) return own;
    const { prefix, first } = within;
    const a = whole("f", null);
    const open: Fields<CompareAddress>["a"] = { read: (text) => a.read(text) ?? first ?? own.a.read(() => ""), write: a.write };
    return { ...prefixed(prefix, own), a: open };
  }, [source, within]);
  const page = usePage(source, fields, undefined, within?.others);
  const hasB = useMemo(() => holds(comparison.b.head), [comparison]);
  const compared = useLoaded(comparison.compared, page.address.a);
  const row = compared.kind === "open" ? rowOf(compared.view, page.address.b) : -1;
  return useMemo(() => ({ ...page, comparison, hasB, compared, row }), [page, comparison, hasB, compared, row]);
}

/** The row of a feature of B; of one that is not among the nearest, the first. */
function rowOf({ table }: Compared, b: number | null): number {
  if (table.index.length === 0) return -1;
  return b === null ? 0 : Math.max(table.index.indexOf(b), 0);
}
