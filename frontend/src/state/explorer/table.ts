// The table as it is: which features are left, in which order.
import { useMemo, useRef } from "preact/hooks";
import type { ColumnInfo, Hits } from "../../data/contract";
import type { ExplorerSource } from "../../data/explorer";
import type { ExplorerAddress } from "./address";
import { useColumns, type Columns } from "./columns";
import { kept, ordered, passing, type Range } from "./order";

const NOTHING = new Int32Array();

export interface Table {
  readonly columns: readonly ColumnInfo[];
  readonly data: Columns;
  /** Features that pass, in their order. */
  readonly list: Int32Array;
  /** Whether the list has all of them, not only the first rows. */
  readonly whole: boolean;
  /** How many pass; null: not known yet. */
  readonly left: number | null;
  readonly mask: Uint8Array;
  /** Features that pass all filters but that of one column: what its histogram shows. */
  readonly but: (column: string) => Uint8Array;
  /** How well features match a search, by number; null: nothing is searched for. */
  readonly scores: ReadonlyMap<number, number> | null;
  /** What that is, in words. */
  readonly meaning: string;
  /** Whether the order is that of the search's scores. */
  readonly byScore: boolean;
  /** The column that it is sorted by, `score` of a search, or `feature`. */
  readonly sort: string;
  /** Whether the column that it is sorted by is still on its way. */
  readonly waiting: boolean;
}

/** The table as an address says, but for its filters: `where` is what they are now. */
export function useTable(source: ExplorerSource, address: ExplorerAddress, where: readonly Range[], hits: Hits | null, lasso: Int32Array | null): Table {
  const { down } = address;
  const sort = hits === null && address.sort === "score" ? source.info.sort : address.sort;
  const infos = source.info.columns;
  const columns = useMemo(() => address.columns.flatMap((name) => infos.find((one) => one.name === name) ?? []), [address.columns, infos]);
  const byScore = hits !== null && (sort === "score" || sort === source.info.sort);
  const ofValues = columns.filter(({ kind }) => kind !== "tokens" && kind !== "words" && kind !== "token").map(({ name }) => name);
  const sorter = sort === "score" || sort === "feature" ? [] : [sort];
  const data = useColumns(source, [...ofValues, ...sorter, ...where.map(({ column }) => column)]);
  const values = sorter.length === 0 ? null : data.values(sort);
  const { n } = source;
  const order = useMemo(() => {
    if (byScore && hits !== null) return down || sort !== "score" ? hits.features : hits.features.slice().reverse();
    if (values !== null) return ordered(values, down);
    const every = new Int32Array(n);
    for (let i = 0; i < n; i++) every[i] = i;
    return sort === "feature" && down ? every.reverse() : every;
  }, [byScore, hits, values, sort, down, n]);
  const found = hits?.features ?? null;
  const pass = (ranges: readonly Range[]): Uint8Array => passing(n, ranges.map((range) => [range, data.values(range.column)] as const), [found, lasso, source.chosen]);
  const mask = useMemo(() => pass(where), [where, found, lasso, data.version, n]);
  const others = useMemo(() => new Map(where.map((range) => [range.column, pass(where.filter((one) => one !== range))])), [where, found, lasso, data.version, n]);
  const waiting = sorter.length > 0 && values === null && !data.failed.has(sort);
  const early = waiting && down && sort === source.info.sort && where.length === 0 && hits === null && lasso === null ? source.first.features : null;
  const known = useMemo(() => early ?? kept(order, mask), [order, mask, early]);
  const missing = where.some(({ column }) => data.values(column) === null && !data.failed.has(column));
  // Until a column is there the rows before stay in their place.
  const last = useRef<Int32Array>(NOTHING);
  const late = (waiting && early === null) || missing;
  const list = late ? last.current : known;
  last.current = list;
  const scores = useMemo(() => (hits === null ? null : new Map(Array.from(hits.features, (feature, i) => [feature, hits.scores[i] ?? NaN]))), [hits]);
  return {
    columns,
    data,
    list,
    whole: early === null && !late,
    left: early !== null ? (source.chosen?.length ?? n) : late && list.length === 0 ? null : list.length,
    mask,
    but: (column) => others.get(column) ?? mask,
    scores,
    meaning: `How well it matches the search: ${hits?.said ?? ""}`,
    byScore,
    sort: byScore ? "score" : sort,
    waiting: late,
  };
}
