// The table of all features: only the rows in sight are drawn, of a million as of a hundred.
import type { ComponentChildren, RefObject, VNode } from "preact";
import { useLayoutEffect, useRef, useState } from "preact/hooks";
import { GridRows, type RowsOf } from "../../marks/gridRows";

export const ROW = 30;
/** Browsers end at some 33 million pixels; above this the scroll bar stands for more rows than it has pixels. */
const TALLEST = 8_000_000;

export interface GridProps extends RowsOf {
  /** What is scrolled, and has the focus. */
  readonly grid: RefObject<HTMLDivElement | null>;
  /** Features in their order. */
  readonly list: Int32Array;
  /** How many features there are in the list once it is whole: until then those at its end are missing. */
  readonly total: number;
  /** Whether the list is. */
  readonly whole: boolean;
  /** Differs whenever another order, filter or search was asked for. */
  readonly asked: string;
  readonly open: (feature: number) => void;
  readonly inSight: (features: readonly number[]) => void;
  readonly head: ComponentChildren;
  /** Widths of all columns, as the head has them. */
  readonly template: string;
}

export function Grid(props: GridProps): VNode {
  const { list, total, current, inSight, grid, asked } = props;
  const [height, setHeight] = useState(600);
  const scroll = useScroll(grid, total, height);
  const shown = Math.ceil(height / ROW) + 1;
  const first = Math.floor(scroll.row);
  const rows = Array.from(list.subarray(first, first + shown));
  useLayoutEffect(() => {
    const element = grid.current;
    const head = element?.firstElementChild;
    if (element === null || !(head instanceof HTMLElement)) return undefined;
    const watch = new ResizeObserver(() => setHeight(Math.max(element.clientHeight - head.offsetHeight, ROW)));
    watch.observe(element);
    watch.observe(head);
    return () => watch.disconnect();
  }, []);
  const drawn = useRef<HTMLDivElement>(null);
  const drawer = useRef<GridRows | null>(null);
  useLayoutEffect(() => {
    if (drawn.current === null) return;
    (drawer.current ??= new GridRows(drawn.current)).draw(rows, first, props);
  });
  useLayoutEffect(() => inSight(rows), [rows.join(), inSight]);
  const place = current === null ? -1 : list.indexOf(current);
  const before = useRef({ asked, current, place: -1, top: false });
  useLayoutEffect(() => {
    // Where only the rest of the list has come, nothing moves.
    if (asked === before.current.asked && current === before.current.current && place === before.current.place) return;
    // What was asked for anew is seen from its beginning, until another feature is opened.
    const top = current === before.current.current && (before.current.top || asked !== before.current.asked);
    before.current = { asked, current, place, top };
    if (top) {
      scroll.to(0);
      return;
    }
    const fits = Math.floor(height / ROW);
    const below = place - fits + 1;
    if (place < 0 || (place >= scroll.row && below <= scroll.row)) return;
    const far = place < scroll.row - fits || below > scroll.row + fits;
    scroll.to(far ? place - Math.floor(fits / 2) : place < scroll.row ? place : below);
  }, [place, list, asked]);
  return (
    <div ref={grid} class="grid" style={{ "--columns": props.template }} role="grid" aria-label="Features" aria-rowcount={total + 1} tabIndex={0} aria-activedescendant={place >= first && place < first + shown ? `row-${current ?? ""}` : undefined} onKeyDown={(event) => keys(event, props, place, Math.max(Math.floor(height / ROW) - 1, 1))} onScroll={scroll.onScroll}>
      {props.head}
      <div class="grid-body" role="presentation" onClick={(event) => clicked(event, props)}>
        <div role="presentation" style={{ height: `${scroll.tall}px` }} />
        <div ref={drawn} class="grid-rows" role="rowgroup" style={{ transform: `translateY(${scroll.offset - scroll.tall}px)` }} />
      </div>
    </div>
  );
}

interface Scroll {
  /** The first row in sight, and a part of it. */
  readonly row: number;
  readonly tall: number;
  /** Where the first drawn row begins, in pixels from the top of what is scrolled. */
  readonly offset: number;
  readonly to: (row: number) => void;
  readonly onScroll: () => void;
}

/** A scroll bar over `n` rows, which are taller than a browser can scroll. */
function useScroll(body: RefObject<HTMLDivElement | null>, n: number, height: number): Scroll {
  const [row, setRow] = useState(0);
  const expected = useRef(0);
  const most = Math.max(n - height / ROW, 0);
  const tall = Math.max(Math.min(n * ROW, TALLEST), height);
  const scaled = n * ROW > TALLEST;
  const top = (at: number): number => (scaled ? (most === 0 ? 0 : (at / most) * (tall - height)) : at * ROW);
  const to = (wanted: number): void => {
    const at = Math.min(Math.max(wanted, 0), most);
    setRow(at);
    expected.current = top(at);
    if (body.current !== null) body.current.scrollTop = expected.current;
  };
  useLayoutEffect(() => {
    const element = body.current;
    if (element === null || !scaled) return undefined;
    // A wheel moves by rows, not by the scroll bar's pixels, of which each stands for several rows.
    const onWheel = (event: WheelEvent): void => {
      if (event.ctrlKey || Math.abs(event.deltaX) > Math.abs(event.deltaY)) return;
      event.preventDefault();
      to(row + (event.deltaMode === 1 ? event.deltaY : event.deltaY / ROW));
    };
    element.addEventListener("wheel", onWheel, { passive: false });
    return () => element.removeEventListener("wheel", onWheel);
  });
  useLayoutEffect(() => {
    if (row > most) to(most);
  }, [most]);
  const at = Math.min(row, most);
  const scrolled = top(at);
  return {
    row: at,
    tall,
    offset: scaled ? scrolled - (at - Math.floor(at)) * ROW : Math.floor(at) * ROW,
    to,
    onScroll() {
      const now = body.current?.scrollTop ?? 0;
      if (Math.abs(now - expected.current) < 1.5) return;
      expected.current = now;
      setRow(scaled ? (now / (tall - height)) * most : now / ROW);
    },
  };
}

function keys(event: KeyboardEvent, { list, total, whole, open }: GridProps, place: number, page: number): void {
  if (event.target !== event.currentTarget || event.ctrlKey || event.metaKey || event.altKey) return;
  const to: Readonly<Record<string, number>> = { ArrowDown: place + 1, ArrowUp: place - 1, PageDown: place + page, PageUp: place - page, Home: 0, End: list.length === total ? total - 1 : place };
  const wanted = to[event.key];
  if (wanted === undefined) return;
  event.preventDefault();
  event.stopPropagation();
  if (place < 0 && !whole && event.key !== "Home") return; // which row comes next is not known yet
  const feature = list[Math.min(Math.max(wanted, 0), list.length - 1)];
  if (feature !== undefined) open(feature);
}

function clicked(event: MouseEvent, { open }: GridProps): void {
  const row = event.target instanceof Element ? event.target.closest<HTMLElement>("[data-feature]") : null;
  if (row !== null) open(Number(row.dataset["feature"]));
}
