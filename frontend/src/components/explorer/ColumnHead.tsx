// The head of a column: sort by it, see how its values are spread, and take out a part of them.
import type { VNode } from "preact";
import { useMemo, useRef, useState } from "preact/hooks";
import type { ColumnInfo } from "../../data/contract";
import { shown } from "../../data/format";
import type { Values } from "../../data/explorer";
import type { Brush } from "../../state/explorer/brush";
import { BINS, binned, binsOf, extent, shareOf, valueAt, type Bins, type Range } from "../../state/explorer/order";

export interface ColumnHeadProps {
  readonly column: ColumnInfo;
  /** null: not there yet, or a column of texts. */
  readonly values: Values | null;
  /** Features that pass all filters but this column's. */
  readonly mask: Uint8Array;
  readonly range: Range | null;
  readonly sorted: "up" | "down" | null;
  readonly sort: (down: boolean) => void;
  /** null: no filter. */
  readonly filter: (range: Range | null) => void;
  readonly brush: Brush;
}

export function ColumnHead(props: ColumnHeadProps): VNode {
  const { column, sorted, sort, values } = props;
  const sortable = column.kind !== "tokens" && column.kind !== "words";
  const down = sorted === null ? column.best === "high" : sorted !== "down";
  return (
    <div class={`column-head ${column.kind}`} role="columnheader" aria-sort={sorted === null ? "none" : sorted === "down" ? "descending" : "ascending"} title={column.meaning}>
      {sortable ? (
        <button type="button" class="by" onClick={() => sort(down)}>
          {column.title}
          {sorted === null ? "" : sorted === "down" ? " ↓" : " ↑"}
        </button>
      ) : (
        <span class="by">{column.title}</span>
      )}
      {column.kind === "number" && values !== null && <Spread {...props} values={values} />}
    </div>
  );
}

/** The column's histogram; dragging over it takes out a part. */
function Spread({ column, values, mask, range, filter, brush }: ColumnHeadProps & { readonly values: Values }): VNode | null {
  const log = column.scale === "log";
  const ends = useMemo(() => extent(values, log), [values, log]);
  const places = useMemo(() => (ends === null ? null : binsOf(values, log, ends)), [values, log, ends]);
  const bins = useMemo<Bins | null>(() => (ends === null || places === null ? null : { low: ends[0], high: ends[1], log, ...binned(places, mask) }), [places, mask, log, ends]);
  const [drag, setDrag] = useState<readonly [number, number] | null>(null);
  const box = useRef<HTMLDivElement>(null);
  const bars = useMemo(() => (bins === null ? null : <Bars bins={bins} />), [bins]);
  if (bins === null) return null;
  const share = (event: PointerEvent): number => {
    const { left, width } = box.current?.getBoundingClientRect() ?? { left: 0, width: 1 };
    return Math.min(Math.max((event.clientX - left) / width, 0), 1);
  };
  const chosen = drag ?? (range === null ? null : ([shareOf(bins, range.low), shareOf(bins, range.high)] as const));
  const taken = (ends: readonly [number, number]): Range | null => {
    const [from, to] = ends[0] < ends[1] ? ends : [ends[1], ends[0]];
    return to - from < 0.02 ? null : { column: column.name, low: from <= 0 ? -Infinity : valueAt(bins, from), high: to >= 1 ? Infinity : valueAt(bins, to) };
  };
  const pull = (to: number): void => {
    if (drag === null) return;
    setDrag([drag[0], to]);
    brush.drag(column.name, taken([drag[0], to]));
  };
  const settle = (): void => {
    if (drag === null) return;
    setDrag(null);
    filter(taken(drag));
  };
  const leave = (): void => {
    setDrag(null);
    brush.end();
  };
  return (
    <div
      ref={box}
      class="spread"
      onPointerDown={(event) => {
        if (event.button !== 0) return;
        event.currentTarget.setPointerCapture(event.pointerId);
        setDrag([share(event), share(event)]);
      }}
      onPointerMove={(event) => pull(share(event))}
      onPointerUp={settle}
      onPointerCancel={leave}
    >
      {bars}
      {chosen !== null && <i class="brush" style={{ left: `${100 * Math.min(...chosen)}%`, width: `${100 * Math.abs(chosen[1] - chosen[0])}%` }} />}
      <span class="unseen">
        {shown(bins.low, column)} to {shown(bins.high, column)}
      </span>
    </div>
  );
}

/** Bars of all features behind those that pass, on a square root scale so that few are seen beside many. */
function Bars({ bins }: { readonly bins: Bins }): VNode {
  const most = Math.sqrt(Math.max(...bins.all, 1));
  const path = (counts: Int32Array): string => {
    let out = "";
    counts.forEach((n, i) => {
      if (n > 0) out += `M${i} 20h1v${-Math.max((20 * Math.sqrt(n)) / most, 1)}h-1z`;
    });
    return out;
  };
  return (
    <svg viewBox={`0 0 ${BINS} 20`} preserveAspectRatio="none" aria-hidden="true">
      <path class="all" d={path(bins.all)} />
      <path class="passing" d={path(bins.passing)} />
    </svg>
  );
}
