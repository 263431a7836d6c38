// Lines in a chart at the values of the pinned token and of the one that the pointer is on, their labels side by side.
import type { VNode } from "preact";
import type { Card, TokenAt } from "../state/card";
import { number } from "../data/format";
import { useSignal } from "../state/signal";

/** Characters of a label; longer ones are cut. */
const LONGEST = 14;
/** Pixels between a line and its label, and between two labels. */
const GAP = 5;
/** Where a line begins that would otherwise cross a label. */
const BELOW_LABELS = 30;

export interface MarkersProps {
  readonly card: Card;
  /** Where a token's line stands; null for no line. */
  readonly mark: (token: TokenAt) => number | null;
  /** A line's value in words. */
  readonly say?: ((value: number) => string) | undefined;
  readonly x: (value: number) => number;
  readonly width: number;
  readonly height: number;
  readonly margin: { readonly bottom: number };
}

interface Mark {
  readonly name: "marker" | "marker pinned";
  readonly x: number;
  readonly text: string;
  readonly value: string;
  readonly size: number;
}

export function Markers(props: MarkersProps): VNode | null {
  const { card, width, height, margin } = props;
  const [pinned, token] = [useSignal(card.pinned), useSignal(card.token)];
  const again = pinned !== null && token !== null && same(pinned, token);
  const marks = [markOf("marker pinned", pinned, props), again ? null : markOf("marker", token, props)].filter((m) => m !== null);
  if (marks.length === 0) return null;
  const left = labels(marks, width);
  return (
    <>
      {marks.map((mark) => (
        <g key={mark.name} class={mark.name} transform={`translate(${mark.x},0)`}>
          <line y1={marks.some((m) => crosses(mark.x, left.get(m) ?? 0, m.size)) ? BELOW_LABELS : 4} y2={height - margin.bottom} />
          <text x={(left.get(mark) ?? 0) - mark.x} y={11}>
            {mark.text}
          </text>
          <text class="value" x={(left.get(mark) ?? 0) - mark.x} y={25}>
            {mark.value}
          </text>
        </g>
      ))}
    </>
  );
}

/** Whether a line would strike a label through. */
function crosses(x: number, left: number, size: number): boolean {
  return x > left - 1 && x < left + size + 1;
}

function same(a: TokenAt, b: TokenAt): boolean {
  return a.id === b.id && a.sequence === b.sequence && a.position === b.position;
}

function markOf(name: Mark["name"], token: TokenAt | null, { card, mark, x, say }: MarkersProps): Mark | null {
  const value = token === null ? null : mark(token);
  if (token === null || value === null || Number.isNaN(value)) return null;
  const whole = card.texts.plain(token.id);
  const text = whole.length > LONGEST ? `${whole.slice(0, LONGEST - 1)}…` : whole;
  const words = (say ?? number)(value);
  return { name, x: x(value), text, value: words, size: Math.max(widthOf(text), widthOf(words)) };
}

let ruler: CanvasRenderingContext2D | null = null;

function widthOf(text: string): number {
  if (ruler === null) {
    ruler = document.createElement("canvas").getContext("2d");
    if (ruler !== null) ruler.font = `600 13px ${getComputedStyle(document.documentElement).fontFamily}`;
  }
  return ruler?.measureText(text).width ?? 8 * text.length;
}

/** Where each label begins: right of its line where there is room; of two, the lefter label on the left side. */
function labels(marks: readonly Mark[], width: number): ReadonlyMap<Mark, number> {
  const right = (mark: Mark): number => mark.x + GAP;
  const left = (mark: Mark): number => mark.x - GAP - mark.size;
  const [one, two] = [...marks].sort((a, b) => a.x - b.x);
  if (one === undefined) return new Map();
  if (two === undefined) return new Map([[one, right(one) + one.size <= width ? right(one) : left(one)]]);
  let first = Math.max(right(one) + one.size + GAP <= two.x ? right(one) : left(one), 0);
  let second = right(two) + two.size <= width ? right(two) : left(two);
  // Where the lines stand close together and near an end, both labels move away from it.
  second = Math.max(second, first + one.size + GAP);
  if (second + two.size > width) second = width - two.size;
  first = Math.max(Math.min(first, second - GAP - one.size), 0);
  return new Map([
    [one, first],
    [two, second],
  ]);
}
