// What the table is narrowed down to, each with a way to let it go, and what can be done with what is left.
import type { VNode } from "preact";
import type { ColumnInfo } from "../../data/contract";
import type { ExplorerSource } from "../../data/explorer";
import { count, shown } from "../../data/format";
import type { ExplorerAddress } from "../../state/explorer/address";
import { narrowed } from "../../state/explorer/brush";
import type { Lasso } from "../../state/explorer/lasso";
import type { Range } from "../../state/explorer/order";
import type { Table } from "../../state/explorer/table";
import type { Moves } from "../../state/history";

export interface ChipsProps {
  readonly source: ExplorerSource;
  readonly table: Table;
  readonly address: ExplorerAddress;
  readonly move: Moves<ExplorerAddress>;
  readonly lasso: Lasso;
}

/** Features that fire nowhere. */
const DEAD: Range = { column: "density", low: -Infinity, high: 0 };

export function Chips({ source, table, address, move, lasso }: ChipsProps): VNode {
  const { where } = address;
  const { n_dead: dead } = source.head.meta;
  const filter = (next: readonly Range[]): void => move({ where: next }, "replace");
  return (
    <div class="chips">
      <span role="status">
        {table.left === null ? (
          "Loading…"
        ) : (
          <>
            <b>{count(table.left)}</b> of {count(source.n)} features
          </>
        )}
      </span>
      {dead > 0 && !where.some(({ column }) => column === DEAD.column) && (
        <button type="button" class="filter-chip" title="Show those that fire on no token of this text" onClick={() => filter(narrowed(where, DEAD.column, DEAD))}>
          {count(dead)} dead
        </button>
      )}
      {where.map((range) => (
        <button key={range.column} type="button" class="filter-chip" title="Let go of this filter" onClick={() => filter(narrowed(where, range.column, null))}>
          {words(range, source.info.columns.find(({ name }) => name === range.column))} <span aria-hidden="true">×</span>
        </button>
      ))}
      {lasso.features !== null && (
        <button type="button" class="filter-chip" title="Let go of this filter" onClick={() => lasso.set(null)}>
          {count(lasso.features.length)} drawn around on the map <span aria-hidden="true">×</span>
        </button>
      )}
      {where.length > 1 && (
        <button type="button" class="filter-chip" onClick={() => filter([])}>
          all filters <span aria-hidden="true">×</span>
        </button>
      )}
    </div>
  );
}

function words({ column, low, high }: Range, info: ColumnInfo | undefined): string {
  const name = info?.title ?? column;
  const [from, to] = [low, high].map((value) => (info === undefined ? String(value) : shown(value, info)));
  if (low === -Infinity) return `${name} at most ${to}`;
  return high === Infinity ? `${name} at least ${from}` : `${name} ${from} to ${to}`;
}
