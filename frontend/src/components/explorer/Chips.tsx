// What the table is narrowed down to, each with a way to let it go, and what can be done with what is left.
import type { VNode } from "preact";
import type { ColumnInfo } from "../../data/contract";
import { count, shown } from "../../data/format";
import type { Lasso } from "../../state/explorer/lasso";
import type { Range } from "../../state/explorer/order";

export interface ChipsProps {
  readonly where: readonly Range[];
  readonly columns: readonly ColumnInfo[];
  readonly drop: (range: Range) => void;
  readonly clear: () => void;
  /** null: not known yet. */
  readonly left: number | null;
  readonly n: number;
  readonly lasso: Lasso;
}

export function Chips({ where, columns, drop, clear, left, n, lasso }: ChipsProps): VNode {
  return (
    <div class="chips">
      <span role="status">
        {left === null ? (
          "Loading…"
        ) : (
          <>
            <b>{count(left)}</b> of {count(n)} features
          </>
        )}
      </span>
      {where.map((range) => (
        <button key={range.column} type="button" class="filter-chip" title="Let go of this filter" onClick={() => drop(range)}>
          {words(range, columns.find(({ name }) => name === range.column))} <span aria-hidden="true">×</span>
        </button>
      ))}
      {lasso.features !== null && (
        <button type="button" class="filter-chip" title="Let go of this filter" onClick={() => lasso.set(null)}>
          {count(lasso.features.length)} drawn around on the map <span aria-hidden="true">×</span>
        </button>
      )}
      {where.length > 1 && (
        <button type="button" class="filter-chip" onClick={clear}>
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
