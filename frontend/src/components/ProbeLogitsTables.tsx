// How much of each linear probe's classes the feature reads or writes: tables, or boards where classes are squares.
import type { VNode } from "preact";
import { useCallback, useMemo, useState } from "preact/hooks";
import { tip, type Card } from "../state/card";
import { number, signed } from "../data/format";
import { DataTable, type BarWords } from "../marks/Bars";
import { SQUARE, boardSize, edgeNames, gridPath, placeOf, squareAt } from "../marks/boards";
import type { BoardLook, ProbeHead, ProbeReadout } from "../data/contract";
import { NotComputed } from "./Messages";
import type { ComponentProps } from "./types";

const SIDES: Readonly<Record<ProbeHead["side"], { readonly title: string; readonly means: string }>> = {
  moves: { title: "Moves", means: "The feature's logit effect on each move" },
  input: { title: "Reads", means: "Dot product of the feature's encoder direction with the probe's direction of each class" },
  output: { title: "Writes", means: "Dot product of the feature's decoder direction, in the residual stream, with the probe's direction of each class" },
};

export function ProbeLogitsTables({ card }: ComponentProps): VNode {
  const { probes, board } = card.head;
  if (probes.length === 0) {
    return (
      <section>
        <h3>Linear probes</h3>
        <NotComputed what="comparison with linear probes (none were given)" />
      </section>
    );
  }
  const sides = (["moves", "input", "output"] as const).filter((side) => probes.some((head) => head.side === side));
  return (
    <section class="probes">
      {sides.map((side) => (
        <section key={side}>
          <h3 title={SIDES[side].means}>{SIDES[side].title}</h3>
          <p class="quiet">{SIDES[side].means}</p>
          <div class={probes.some((head) => head.side === side && head.board) ? "heats" : ""}>
            {probes.map((head, i) => {
              const readout = card.view.probes[i];
              if (head.side !== side || readout === undefined) return null;
              if (head.board && board !== null) return <Heat key={i} head={head} readout={readout} look={board} />;
              return <Tables key={i} head={head} readout={readout} card={card} />;
            })}
          </div>
        </section>
      ))}
    </section>
  );
}

interface ReadoutProps {
  readonly head: ProbeHead;
  readonly readout: ProbeReadout;
}

function Tables({ head, readout }: ReadoutProps & { readonly card: Card }): VNode {
  const { n_top, classes } = readout;
  return (
    <section class="probe">
      <h4>{head.name}</h4>
      <div class="pair">
        <Half title="Least" tone="down" head={head} readout={readout} first={n_top} last={classes.length} />
        <Half title="Most" tone="up" head={head} readout={readout} first={0} last={n_top} />
      </div>
    </section>
  );
}

interface HalfProps extends ReadoutProps {
  readonly title: string;
  readonly tone: "up" | "down";
  readonly first: number;
  readonly last: number;
}

function Half({ head, readout, title, tone, first, last }: HalfProps): VNode {
  const { classes, values, cosines } = readout;
  const most = Math.max(...values.map(Math.abs), 1e-30);
  const rows = Array.from({ length: last - first }, (_, i) => first + i);
  return (
    <table class={`logits ${tone}`}>
      <caption>
        {title} <span class="unseen">of {head.name}</span>
      </caption>
      <thead class="unseen">
        <tr>
          <th>Class</th>
          <th>Dot product</th>
        </tr>
      </thead>
      <tbody>
        {rows.map((i) => {
          const value = values[i] ?? NaN;
          return (
            <tr key={i} title={`cosine ${signed(cosines[i] ?? NaN)}`}>
              <td>{head.classes[classes[i] ?? -1] ?? "?"}</td>
              <td style={{ "--share": `${(100 * Math.abs(value)) / most}%` }}>{signed(value)}</td>
            </tr>
          );
        })}
      </tbody>
    </table>
  );
}

/** A board whose squares are coloured by value, from blue to vermillion; equal shades are equal sizes. */
function Heat({ head, readout, look }: ReadoutProps & { readonly look: BoardLook }): VNode {
  const { values, cosines } = readout;
  const most = useMemo(() => Math.max(...Array.from(values, (v) => (Number.isNaN(v) ? 0 : Math.abs(v))), 1e-30), [values]);
  const words = useMemo(() => wordsOf(head, readout), [head, readout]);
  const square = useSquare(look, words);
  const { width, height } = boardSize(look);
  return (
    <figure class="heat">
      <figcaption>
        <b>{head.name}</b> <span class="quiet">±{number(most)}</span>
      </figcaption>
      <svg
        class="board"
        viewBox={`0 0 ${width} ${height}`}
        role="img"
        aria-label={`${head.name}: ${extremes(head, values)}. Arrow keys move over the squares.`}
        tabIndex={0}
        {...square.handlers}
      >
        {Array.from(values, (value, i) => {
          const { x, y } = placeOf(look, i);
          const share = Number.isNaN(value) ? "none" : value < 0 ? "low" : "high";
          const strength = Number.isNaN(value) ? 0 : Math.round((100 * Math.abs(value)) / most);
          return <rect key={i} class={`heat-${share}`} x={x} y={y} width={SQUARE} height={SQUARE} style={{ "--a": strength }} />;
        })}
        <path class="lines" d={gridPath({ ...look, grid: "squares" })} />
        {edgeNames(look).map(({ text, x, y }) => (
          <text key={`${x},${y}`} x={x} y={y} dy="0.35em">
            {text}
          </text>
        ))}
        {square.at !== null && <rect class="active" {...placeOf(look, square.at)} width={SQUARE} height={SQUARE} />}
      </svg>
      <DataTable n={values.length} words={cosines.length > 0 ? words : { ...words, heads: words.heads.slice(0, 2) }} />
    </figure>
  );
}

function wordsOf({ classes, side }: ProbeHead, { values, cosines }: ReadoutProps["readout"]): BarWords {
  const told = (i: number): string => (Number.isNaN(values[i] ?? NaN) ? "no such move" : signed(values[i] ?? NaN));
  const cosine = (i: number): string[] => (cosines.length > 0 ? [signed(cosines[i] ?? NaN)] : []);
  const what = side === "moves" ? "Logit effect" : "Dot product";
  return {
    heads: ["Square", what, "Cosine"],
    cells: (i) => [classes[i] ?? "?", told(i), ...cosine(i)],
    lines: (i) => [classes[i] ?? "?", `${what} ${told(i)}`, ...cosine(i).map((c) => `Cosine ${c}`)],
    tick: number,
  };
}

/** The most and least of a board, for readers who don't see it. */
function extremes({ classes }: ProbeHead, values: Float32Array): string {
  const order = Array.from(values, (_, i) => i).filter((i) => !Number.isNaN(values[i] ?? NaN));
  order.sort((a, b) => (values[b] ?? 0) - (values[a] ?? 0));
  const tell = (list: number[]): string => list.map((i) => `${classes[i] ?? "?"} ${signed(values[i] ?? NaN)}`).join(", ");
  return `most ${tell(order.slice(0, 3))}; least ${tell(order.slice(-3).reverse())}`;
}

interface SquareHandlers {
  readonly onPointerMove: (event: PointerEvent) => void;
  readonly onPointerLeave: () => void;
  readonly onBlur: () => void;
  readonly onKeyDown: (event: KeyboardEvent) => void;
}

/** The square under the pointer or the keyboard: the tooltip says its value. */
function useSquare(look: BoardLook, words: BarWords): { at: number | null; handlers: SquareHandlers } {
  const [at, setAt] = useState<number | null>(null);
  const show = useCallback(
    (square: number | null, element: SVGElement | null) => {
      setAt(square);
      if (square === null || element === null) {
        tip.set(null);
        return;
      }
      const box = element.getBoundingClientRect();
      const scale = box.width / boardSize(look).width;
      const { x, y } = placeOf(look, square);
      const near = new DOMRect(box.left + x * scale, box.top + y * scale, SQUARE * scale, SQUARE * scale);
      tip.set({ kind: "lines", lines: words.lines(square), box: near });
    },
    [look, words],
  );
  const handlers: SquareHandlers = {
    onPointerMove(event) {
      const element = event.currentTarget as SVGElement;
      const box = element.getBoundingClientRect();
      const scale = box.width / boardSize(look).width;
      const next = squareAt(look, (event.clientX - box.left) / scale, (event.clientY - box.top) / scale);
      if (next !== at) show(next, element);
    },
    onPointerLeave: () => show(null, null),
    onBlur: () => show(null, null),
    onKeyDown(event) {
      const step = { ArrowLeft: -1, ArrowRight: 1, ArrowUp: -look.columns, ArrowDown: look.columns }[event.key];
      if (step === undefined) {
        if (event.key === "Escape") show(null, null);
        return;
      }
      event.preventDefault();
      event.stopPropagation();
      const next = at === null ? 0 : at + step;
      const sameRow = Math.abs(step) > 1 || Math.floor(next / look.columns) === Math.floor((at ?? 0) / look.columns);
      show(next >= 0 && next < look.rows * look.columns && sameRow ? next : at, event.currentTarget as SVGElement);
    },
  };
  return { at, handlers };
}
