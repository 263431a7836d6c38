// Bars of equal width over an axis, with labelled lines, and a table of the same numbers behind them.
import type { VNode } from "preact";
import { useCallback, useLayoutEffect, useMemo, useRef, useState } from "preact/hooks";
import { tip, type Card, type Range, type TokenAt } from "../state/card";
import { edges, type Bins } from "../data/bins";
import { count, number } from "../data/format";
import { say } from "../state/notice";
import { useSignal } from "../state/signal";
import { Markers } from "./Markers";
import { save, type Kind } from "./picture";
import { linear, logarithmic, tickFormat, type Ends, type Scale } from "./scale";

const HEIGHT = 150;
const MARGIN = { top: 30, right: 10, bottom: 22, left: 42 };

export interface BarsProps {
  readonly card: Card;
  readonly histogram: Bins;
  /** What the axis is of: what a bar lights up. */
  readonly of: Range["of"] | "none";
  /** What is counted, such as "firings". */
  readonly unit: string;
  /** A bar's bin in words, where it is not its two ends; and its height, where it is not a count. */
  readonly words?: BarWords;
  /** The chart's accessible name. */
  readonly label: string;
  /** What files of it are called. */
  readonly name: string;
  readonly log: boolean;
  /** Colour by value, as stops from the low end (0) to the high end (1). */
  readonly stops: readonly Stop[];
  /** Where a token's line stands; null for no line. */
  readonly mark: (token: TokenAt) => number | null;
  /** Where a line stands that is always there. */
  readonly fixed?: number | null;
}

export interface BarWords {
  /** Heads of the table's columns. */
  readonly heads: readonly string[];
  /** A bar's cells in the table. */
  readonly cells: (bin: number) => readonly string[];
  /** Lines of the tooltip. */
  readonly lines: (bin: number) => readonly string[];
  /** The value at a token's line. */
  readonly mark?: (value: number) => string;
  /** A height on the axis. */
  readonly tick: (height: number) => string;
}

/** A colour of the gradient that fills the bars. */
export interface Stop {
  readonly at: number;
  readonly colour: string;
}

interface Frame {
  readonly x: Scale;
  readonly y: Scale;
  readonly width: number;
}

export function Bars(props: BarsProps): VNode {
  const { histogram, log, label } = props;
  const words = props.words ?? countWords(props);
  const [box, width] = useWidth();
  const frame = useMemo(() => frameOf(histogram, width, log), [histogram, width, log]);
  const bin = useBin(props, words, frame);
  return (
    <div class="chart" ref={box}>
      <svg width={width} height={HEIGHT} role="img" aria-label={`${label} Arrow keys move over the bars.`} tabIndex={0} {...bin.handlers}>
        {props.of === "act" && <Interval card={props.card} frame={frame} />}
        <Grid frame={frame} log={log} tick={words.tick} whole={props.words === undefined} />
        <BarShapes {...props} frame={frame} active={bin.active} />
        <XAxis frame={frame} />
        {typeof props.fixed === "number" && <Fixed x={frame.x(props.fixed)} value={number(props.fixed)} />}
        <Markers card={props.card} mark={props.mark} say={props.words?.mark} x={frame.x} width={frame.width} margin={MARGIN} height={HEIGHT} />
      </svg>
      <DataTable n={histogram.counts.length} words={words} file={`${props.name}-${props.card.view.feature}`} />
    </div>
  );
}

function countWords({ histogram, unit }: BarsProps): BarWords {
  const ends = (i: number): [string, string] => edges(histogram, i).map(number) as [string, string];
  const height = (i: number): string => count(histogram.counts[i] ?? 0);
  return {
    heads: ["From", "To", unit],
    cells: (i) => [...ends(i), height(i)],
    lines: (i) => [ends(i).join(" to "), `${height(i)} ${unit}`],
    tick: short,
  };
}

function frameOf({ low, high, counts }: Bins, width: number, log: boolean): Frame {
  let most = counts instanceof Int32Array ? 1 : 0;
  for (const n of counts) most = Math.max(most, n);
  most ||= 1;
  const across: Ends = [MARGIN.left, Math.max(width - MARGIN.right, MARGIN.left + 1)];
  const up: Ends = [HEIGHT - MARGIN.bottom, MARGIN.top];
  const x = linear([low, high > low ? high : low + 1], across);
  const y = log ? logarithmic([0.5, most * 1.05], up) : linear([0, most], up);
  return { x, y, width };
}

/** The width of a chart before its own is known: the last one seen. */
let usualWidth = 400;

/** The width of the chart's box, followed as it changes. */
function useWidth(): [{ current: HTMLDivElement | null }, number] {
  const box = useRef<HTMLDivElement>(null);
  const [width, setWidth] = useState(usualWidth);
  useLayoutEffect(() => {
    const element = box.current;
    if (element === null) return undefined;
    // The observer looks after the browser's own layout; asking for the width here would lay out the page too early.
    const watcher = new ResizeObserver(() => {
      usualWidth = Math.max(element.clientWidth, 160);
      setWidth(usualWidth);
    });
    watcher.observe(element);
    return () => watcher.disconnect();
  }, []);
  return [box, width];
}

interface BinHandlers {
  readonly onPointerMove: (event: PointerEvent) => void;
  readonly onPointerLeave: () => void;
  readonly onBlur: () => void;
  readonly onKeyDown: (event: KeyboardEvent) => void;
}

/** The bar under the pointer or the keyboard: it lights up tokens of its range and says its count. */
function useBin({ card, histogram, of }: BarsProps, words: BarWords, frame: Frame): { active: number | null; handlers: BinHandlers } {
  const [active, setActive] = useState<number | null>(null);
  const show = useCallback(
    (i: number | null, svg: Element | null) => {
      setActive(i);
      if (i === null || svg === null) {
        card.range.set(null);
        tip.set(null);
        return;
      }
      const [low, high] = edges(histogram, i);
      // A bin of positions holds its low end, one of values its high end.
      const shift = of === "position" ? 0.5 : 0;
      if (of !== "none") card.range.set({ of, low: low - shift, high: high - shift, closed: i === 0 });
      const at = svg.getBoundingClientRect();
      const left = at.left + frame.x(low);
      const box = new DOMRect(left, at.top + MARGIN.top, frame.x(high) - frame.x(low), HEIGHT - MARGIN.top);
      tip.set({ kind: "lines", lines: words.lines(i), box });
    },
    [card, histogram, of, words, frame],
  );
  const n = histogram.counts.length;
  const handlers: BinHandlers = {
    onPointerMove(event) {
      const svg = event.currentTarget as SVGElement;
      const [low, high] = frame.x.domain;
      const at = frame.x.invert(event.clientX - svg.getBoundingClientRect().left);
      const i = Math.floor(((at - low) / (high - low)) * n);
      const next = i >= 0 && i < n ? i : null;
      if (next !== active) show(next, svg);
    },
    onPointerLeave: () => show(null, null),
    onBlur: () => show(null, null),
    onKeyDown(event) {
      const step = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
      if (step === undefined) {
        if (event.key === "Escape") show(null, null);
        return;
      }
      event.preventDefault();
      event.stopPropagation();
      show(Math.min(Math.max((active ?? (step > 0 ? -1 : n)) + step, 0), n - 1), event.currentTarget as SVGElement);
    },
  };
  return { active, handlers };
}

/** Charts made so far: each has a gradient of its own. */
let next = 0;

/** All bars in one path, filled by a gradient along the axis: a bar's colour depends on its place only. */
function BarShapes({ histogram, of, stops, frame, active, log }: BarsProps & { frame: Frame; active: number | null }): VNode {
  const floor = frame.y(log ? 0.5 : 0);
  const bar = (i: number): string => {
    const n = histogram.counts[i] ?? 0;
    if (n === 0) return "";
    const [low, high] = edges(histogram, i).map(frame.x) as [number, number];
    const gap = high - low > 4 ? 0.5 : 0;
    const top = Math.min(frame.y(n), floor - 1);
    return `M${low + gap} ${floor}V${top}H${high - gap}V${floor}Z`;
  };
  const [low, high] = frame.x.range;
  const fill = useMemo(() => `fill-${next++}`, []);
  return (
    <g>
      <linearGradient id={fill} gradientUnits="userSpaceOnUse" x1={low} x2={high} y1="0" y2="0">
        {stops.map(({ at, colour }, i) => (
          <stop key={i} offset={at} style={{ "stop-color": colour }} />
        ))}
      </linearGradient>
      <path class={`bars ${of}`} d={Array.from(histogram.counts, (_, i) => bar(i)).join("")} fill={`url(#${fill})`} />
      {active !== null && <path class="active" d={bar(active)} />}
    </g>
  );
}

interface GridProps {
  readonly frame: Frame;
  readonly log: boolean;
  readonly tick: (height: number) => string;
  /** Counts have no fractions. */
  readonly whole: boolean;
}

function Grid({ frame, log, tick, whole }: GridProps): VNode {
  const plain = frame.y.ticks(3).filter((t) => !whole || t % 1 === 0);
  const ticks = log ? frame.y.ticks(4).filter((t) => t >= 1) : plain;
  return (
    <g class="grid">
      {ticks.map((t) => (
        <g key={t}>
          <line x1={MARGIN.left} x2={frame.width - MARGIN.right} y1={frame.y(t)} y2={frame.y(t)} />
          <text x={MARGIN.left - 6} y={frame.y(t)} dy="0.32em" text-anchor="end">
            {tick(t)}
          </text>
        </g>
      ))}
    </g>
  );
}

function short(n: number): string {
  if (n < 10_000) return count(n);
  return n < 1_000_000 ? `${number(n / 1000).replace(/\.?0+$/, "")}k` : `${number(n / 1e6).replace(/\.?0+$/, "")}M`;
}

function XAxis({ frame }: { frame: Frame }): VNode {
  const asked = Math.max(Math.floor(frame.width / 70), 2);
  const format = tickFormat(frame.x, asked);
  const y = HEIGHT - MARGIN.bottom;
  return (
    <g class="axis">
      <line x1={MARGIN.left} x2={frame.width - MARGIN.right} y1={y} y2={y} />
      {frame.x.ticks(asked).map((t) => (
        <text key={t} x={frame.x(t)} y={y + 15} text-anchor="middle">
          {format(t)}
        </text>
      ))}
    </g>
  );
}

/** The interval whose examples the pointer is on. */
function Interval({ card, frame }: { card: Card; frame: Frame }): VNode | null {
  const band = useSignal(card.band);
  if (band === null) return null;
  const left = frame.x(band.low);
  return <rect class="interval" x={left} width={frame.x(band.high) - left} y={MARGIN.top} height={HEIGHT - MARGIN.top - MARGIN.bottom} />;
}

/** A line that is always there, with its value. */
function Fixed({ x, value }: { readonly x: number; readonly value: string }): VNode {
  return (
    <g class="marker pinned" transform={`translate(${x},0)`}>
      <line y1={18} y2={HEIGHT - MARGIN.bottom} />
      <text class="value" y={13} text-anchor="middle">
        {value}
      </text>
    </g>
  );
}

/** The same numbers in a table, made when it is opened. */
interface DataTableProps {
  readonly n: number;
  readonly words: BarWords;
  /** What files of the chart are called; absent: it can't be one. */
  readonly file?: string;
}

/** The numbers of a chart, and the chart as a file. */
export function DataTable({ n, words, file }: DataTableProps): VNode {
  const [open, setOpen] = useState(false);
  return (
    <details class="data" onToggle={(event) => setOpen(event.currentTarget.open)}>
      <summary>As a table</summary>
      {open && file !== undefined && (
        <p class="files">
          {(["svg", "png"] as const).map((kind) => (
            <button type="button" key={kind} onClick={(event) => void saveChart(event.currentTarget, file, kind)}>
              Save as {kind.toUpperCase()}
            </button>
          ))}
        </p>
      )}
      {open && (
        <div class="scroll" tabIndex={0} role="region" aria-label="The chart as a table">
          <table>
            <thead>
              <tr>
                {words.heads.map((head) => (
                  <th key={head}>{head}</th>
                ))}
              </tr>
            </thead>
            <tbody>
              {Array.from({ length: n }, (_, i) => (
                <tr key={i}>
                  {words.cells(i).map((cell, k) => (
                    <td key={k}>{cell}</td>
                  ))}
                </tr>
              ))}
            </tbody>
          </table>
        </div>
      )}
    </details>
  );
}

/** The chart that a button stands under, as a file. */
async function saveChart(button: Element, name: string, kind: Kind): Promise<void> {
  const chart = button.closest(".chart")?.querySelector("svg");
  if (chart == null) return;
  try {
    await save(chart, name, kind);
  } catch {
    say(`This browser can't make a ${kind.toUpperCase()} of the chart`);
  }
}
