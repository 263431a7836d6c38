// A flat map of all features by their decoder directions: zoom, pan, a lasso, names where few points are in view.
import type { VNode } from "preact";
import { useCallback, useEffect, useLayoutEffect, useMemo, useRef, useState } from "preact/hooks";
import type { ColumnInfo, DecoderMap as MapOfFeatures } from "../../data/contract";
import { count, plural, shown as inColumn } from "../../data/format";
import type { Values } from "../../data/explorer";
import { shade } from "../../marks/mapPicture";
import { inView, lassoed, nearest, panned, placesOf, shading, SHADES, whole, zoomed, type Places, type Size, type View } from "../../state/explorer/places";
import { Painter } from "./mapPainter";
import { treeOf } from "../../state/tree";

export interface DecoderMapProps {
  readonly map: MapOfFeatures;
  /** The column that colours the points, and its values; null: not chosen, or not there yet. */
  readonly column: ColumnInfo | null;
  readonly colour: Values | null;
  /** Features that pass all filters, 1 for each; null: all. */
  readonly shown: Uint8Array | null;
  readonly current: number | null;
  readonly name: (feature: number) => string;
  readonly open: (feature: number) => void;
  /** Features within a line that was drawn around them. */
  readonly lasso: (features: Int32Array) => void;
  /** Features whose names are drawn. */
  readonly inSight: (features: readonly number[]) => void;
}

/** Pixels within which a point is pointed at. */
const REACH = 9;
/** Names that are drawn, at most. */
const MOST_NAMES = 60;
/** Pixels that the pointer may move within a click. */
const STILL = 4;
const STEP = 60;

export function DecoderMap(props: DecoderMapProps): VNode {
  const { map, column, colour, shown, current, name, open, inSight } = props;
  const places = useMemo(() => placesOf(map), [map]);
  const shades = useMemo(() => (colour === null || column === null ? null : shading(colour, column.scale === "log")), [colour, column]);
  const box = useRef<HTMLDivElement>(null);
  const canvas = useRef<HTMLCanvasElement>(null);
  const painter = useMemo(() => new Painter(), []);
  const size = useSize(box);
  const [asked, setView] = useState<View | null>(null);
  const view = asked ?? whole(places, size);
  const [drawing, setDrawing] = useState(false);
  const [line, setLine] = useState<readonly number[] | null>(null);
  const [under, setPointed] = useState<number | null>(null);
  const pointed = under !== null && (shown === null || shown[under] === 1) ? under : null;
  const [said, say] = useState("");
  const theme = useTheme();
  const named = useMemo(() => inView(places, shown, view, size, MOST_NAMES), [places, shown, view.x, view.y, view.scale, size]);
  const written = useMemo(() => [...new Set([...(named ?? []), ...(pointed === null ? [] : [pointed]), ...(current === null ? [] : [current])])], [named, pointed, current]);
  useEffect(() => inSight(written), [written]);
  useEffect(() => setView(null), [places]);
  useLayoutEffect(() => {
    if (canvas.current === null) return;
    const names = written.map((feature) => [feature, name(feature)] as const);
    painter.paint(canvas.current, { points: { places, shades: shades?.shades ?? null, shown }, view, size, theme, names, current, pointed, line });
  });
  const zoom = (by: number, at?: readonly [number, number]): void => setView((before) => zoomed(before ?? whole(places, size), by, places, size, at));
  const pan = (dx: number, dy: number): void => setView((before) => panned(before ?? whole(places, size), dx, dy, places));
  const at = (feature: number | null): string => (feature === null ? "no feature near the middle" : `nearest to the middle: ${name(feature)}`);
  const middle = (): number | null => nearest(places, shown, view.x, view.y, Math.min(size.width, size.height) / 2 / view.scale);
  const finish = (points: readonly number[]): void => {
    setLine(null);
    setDrawing(false);
    if (points.length >= 6) props.lasso(lassoed(places, shown, points));
  };
  const hand = usePointer({ box, places, shown, view, drawing, setLine, finish, setPointed, open, pan, zoom });
  useWheel(box, zoom);
  const keys: Readonly<Record<string, () => void>> = {
    ArrowLeft: () => pan(STEP, 0),
    ArrowRight: () => pan(-STEP, 0),
    ArrowUp: () => pan(0, STEP),
    ArrowDown: () => pan(0, -STEP),
    "+": () => zoom(1.5),
    "=": () => zoom(1.5),
    "-": () => zoom(1 / 1.5),
    "0": () => setView(null),
    Enter: () => {
      const feature = middle();
      if (feature !== null) open(feature);
    },
  };
  const onKey = (event: KeyboardEvent): void => {
    const act = keys[event.key];
    if (act === undefined || event.ctrlKey || event.metaKey || event.altKey) return;
    event.preventDefault();
    event.stopPropagation();
    act();
  };
  useEffect(() => {
    if (!focused(box.current)) return undefined;
    const timer = setTimeout(() => say(at(middle())), 400);
    return () => clearTimeout(timer);
  }, [view.x, view.y, view.scale]);
  return (
    <figure class="decoder-map">
      <div class="map-tools" role="toolbar" aria-label="Map">
        <Tool name="Zoom in" sign="+" act={() => zoom(1.5)} />
        <Tool name="Zoom out" sign="−" act={() => zoom(1 / 1.5)} />
        <Tool name="Whole map" sign="□" act={() => setView(null)} />
        <button type="button" aria-pressed={drawing} title="Draw around features to narrow the table down to them (or Shift and drag)" onClick={() => setDrawing(!drawing)}>
          Lasso
        </button>
      </div>
      <figcaption id="map-summary">
        <Legend column={column} ends={shades} />
        <span>{summary(map, places, shown)}</span>
      </figcaption>
      <div
        ref={box}
        class={`map-box${drawing ? " lasso" : ""}`}
        tabIndex={0}
        role="application"
        aria-label="Map of decoder directions: arrow keys move, + and - zoom, 0 shows it whole, Enter opens the feature nearest the middle"
        aria-describedby="map-summary"
        onKeyDown={onKey}
        onFocus={() => say(at(middle()))}
        {...hand}
      >
        <canvas ref={canvas} aria-hidden="true" />
        {focused(box.current) && <i class="map-middle" aria-hidden="true" />}
        <span class="unseen" role="status">
          {said}
        </span>
      </div>
    </figure>
  );
}

/** What the map is, and how far it can be trusted. */
function summary({ kept, k, looked_at: lookedAt }: MapOfFeatures, { features, lost }: Places, shown: Uint8Array | null): string {
  const left = shown === null ? "" : ` ${count(features.reduce((n, feature) => n + (shown[feature] ?? 0), 0))} pass the filters.`;
  const share = k === 0 ? "" : ` A flat map keeps ${kept < 0.01 ? "less than 1" : `about ${Math.round(100 * kept)}`}% of true neighbours (of the ${k} nearest${lookedAt < features.length ? `, measured on ${count(lookedAt)} features` : ""}); exact ones are in the card.`;
  const without = lost === 0 ? "" : ` ${plural(lost, "feature")} without a decoder direction ${lost === 1 ? "has" : "have"} no place.`;
  return `${plural(features.length, "feature")}, near each other where their decoder directions are alike.${left}${share}${without}`;
}

function Tool({ name, sign, act }: { readonly name: string; readonly sign: string; readonly act: () => void }): VNode {
  return (
    <button type="button" class="icon" aria-label={name} title={name} onClick={act}>
      {sign}
    </button>
  );
}

function Legend({ column, ends }: { readonly column: ColumnInfo | null; readonly ends: { readonly low: number; readonly high: number } | null }): VNode | null {
  if (column === null || ends === null) return null;
  const stops = Array.from({ length: 9 }, (_, i) => shade(i / 8));
  return (
    <span class="map-legend">
      <b>{column.title}</b> {inColumn(ends.low, column)} or less <i style={{ background: `linear-gradient(to right, ${stops.join(", ")})` }} role="img" aria-label={`from blue to orange in ${SHADES} shades${column.scale === "log" ? ", by logarithm" : ""}`} /> {inColumn(ends.high, column)} or more
    </span>
  );
}

function useSize(box: { readonly current: HTMLDivElement | null }): Size {
  const [size, setSize] = useState<Size>({ width: 600, height: 600 });
  useLayoutEffect(() => {
    const element = box.current;
    if (element === null) return undefined;
    const measure = (): void => setSize({ width: Math.max(element.clientWidth, 50), height: Math.max(element.clientHeight, 50) });
    measure();
    const watch = new ResizeObserver(measure);
    watch.observe(element);
    return () => watch.disconnect();
  }, []);
  return size;
}

/** Changes with the theme: the page's, or the system's. */
function useTheme(): string {
  const now = (): string => `${document.documentElement.dataset["theme"] ?? ""} ${String(matchMedia("(prefers-color-scheme: dark)").matches)} ${window.devicePixelRatio}`;
  const [theme, setTheme] = useState(now);
  useEffect(() => {
    const change = (): void => setTheme(now());
    const watch = new MutationObserver(change);
    watch.observe(document.documentElement, { attributes: true, attributeFilter: ["data-theme"] });
    const system = matchMedia("(prefers-color-scheme: dark)");
    system.addEventListener("change", change);
    window.addEventListener("resize", change);
    change();
    return () => {
      watch.disconnect();
      system.removeEventListener("change", change);
      window.removeEventListener("resize", change);
    };
  }, []);
  return theme;
}

/** The wheel zooms around the pointer; a touch pad's pinch comes as a wheel, too. */
function useWheel(box: { readonly current: HTMLDivElement | null }, zoom: (by: number, at: readonly [number, number]) => void): void {
  const latest = useRef(zoom);
  latest.current = zoom;
  useLayoutEffect(() => {
    const element = box.current;
    if (element === null) return undefined;
    const onWheel = (event: WheelEvent): void => {
      event.preventDefault();
      const pixels = event.deltaMode === 1 ? event.deltaY * 30 : event.deltaY;
      latest.current(Math.exp(-pixels * (event.ctrlKey ? 0.01 : 0.002)), fromMiddle(element, event));
    };
    element.addEventListener("wheel", onWheel, { passive: false });
    return () => element.removeEventListener("wheel", onWheel);
  }, []);
}

function fromMiddle(element: Element, { clientX, clientY }: MouseEvent): readonly [number, number] {
  const { left, top, width, height } = element.getBoundingClientRect();
  return [clientX - left - width / 2, clientY - top - height / 2];
}

interface Hand {
  readonly box: { readonly current: HTMLDivElement | null };
  readonly places: Places;
  readonly shown: Uint8Array | null;
  readonly view: View;
  readonly drawing: boolean;
  readonly setLine: (line: readonly number[] | null) => void;
  readonly finish: (line: readonly number[]) => void;
  readonly setPointed: (feature: number | null) => void;
  readonly open: (feature: number) => void;
  readonly pan: (dx: number, dy: number) => void;
  readonly zoom: (by: number, at: readonly [number, number]) => void;
}

interface Pointing {
  onPointerDown: (event: PointerEvent) => void;
  onPointerMove: (event: PointerEvent) => void;
  onPointerUp: (event: PointerEvent) => void;
  onPointerCancel: (event: PointerEvent) => void;
  onPointerLeave: () => void;
}

/** Dragging moves the map, or draws the lasso; two fingers zoom; a click opens what is pointed at. */
function usePointer({ box, places, shown, view, drawing, setLine, finish, setPointed, open, pan, zoom }: Hand): Pointing {
  const down = useRef(new Map<number, readonly [number, number]>());
  const line = useRef<number[] | null>(null);
  const far = useRef(0);
  const place = useCallback((event: PointerEvent): readonly [number, number] => (box.current === null ? [0, 0] : fromMiddle(box.current, event)), []);
  const point = ([x, y]: readonly [number, number]): number | null => nearest(places, shown, view.x + x / view.scale, view.y - y / view.scale, REACH / view.scale);
  const extend = ([x, y]: readonly [number, number]): void => {
    line.current?.push(view.x + x / view.scale, view.y - y / view.scale);
    setLine(line.current === null ? null : line.current.slice());
  };
  const leave = (event: PointerEvent): void => {
    down.current.delete(event.pointerId);
    line.current = null;
    setLine(null);
  };
  return {
    onPointerDown(event) {
      if (event.button !== 0) return;
      event.currentTarget instanceof Element && event.currentTarget.setPointerCapture(event.pointerId);
      if (down.current.size === 0) far.current = 0;
      down.current.set(event.pointerId, place(event));
      if (down.current.size === 1 && (drawing || event.shiftKey)) line.current = [];
    },
    onPointerMove(event) {
      const now = place(event);
      const before = down.current.get(event.pointerId);
      if (before === undefined) return setPointed(point(now));
      const [dx, dy] = [now[0] - before[0], now[1] - before[1]];
      far.current += Math.abs(dx) + Math.abs(dy);
      if (line.current !== null) extend(now);
      else if (down.current.size === 2) {
        const other = [...down.current].find(([id]) => id !== event.pointerId)?.[1] ?? now;
        const apart = (from: readonly [number, number]): number => Math.hypot(from[0] - other[0], from[1] - other[1]) || 1;
        zoom(apart(now) / apart(before), other);
      } else if (far.current > STILL) pan(dx, dy);
      down.current.set(event.pointerId, now);
    },
    onPointerUp(event) {
      const drawn = line.current;
      const alone = down.current.size === 1;
      if (!down.current.has(event.pointerId)) return;
      leave(event);
      if (drawn !== null && drawn.length > 0) finish(drawn);
      else if (alone && far.current <= STILL) {
        const feature = point(place(event));
        if (feature !== null) open(feature);
      }
    },
    onPointerCancel: leave,
    onPointerLeave: () => setPointed(null),
  };
}

function focused(element: HTMLElement | null): boolean {
  return element !== null && treeOf(element).activeElement === element;
}
