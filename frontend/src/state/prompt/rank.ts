// Exact rankings of all features that fire on some of a prompt's tokens; everything in typed arrays, no object for a pair.
import type { Aggregate, Order } from "../address";
import type { Pairs } from "./pairs";

export interface Question {
  readonly sides: readonly Pairs[];
  /** For each prompt, the metric's values of its pairs. */
  readonly values: readonly Float32Array[];
  /** For each prompt, 1 at the positions to rank over. */
  readonly sets: readonly Uint8Array[];
  readonly by: Aggregate;
  readonly order: Order;
  /** For each firing feature, 1 where the filter lets it pass. */
  readonly kept: Uint8Array;
}

export interface Ranking {
  /** Rows in the table of firing features, first in the ranking first; all of them. */
  readonly rows: Int32Array;
  /** Their values: of one prompt, or of the first less that of the second. */
  readonly values: Float64Array;
  /** For each prompt, the value of each row of the table of firing features. */
  readonly totals: readonly Totals[];
  /** Features that fire there, and how many of them the filter lets pass. */
  readonly n_firing: number;
  readonly n_kept: number;
  /** Pairs of the tokens and the features that pass, and how many of them have a value. */
  readonly n_pairs: number;
  readonly n_measured: number;
}

/** Of each firing feature over some of a prompt's positions. */
export interface Totals {
  readonly fired: Int32Array;
  readonly known: Int32Array;
  /** 0 where it does not fire, NaN where it fires and no value is known. */
  readonly value: Float64Array;
  /** The value that comes first in the order, NaN where none is known. */
  readonly best: Float64Array;
}

/** What comes first has the larger one. */
export function worth(value: number, order: Order): number {
  return order === "large" ? value : order === "small" ? -value : Math.abs(value);
}

export function totalsOf(pairs: Pairs, values: Float32Array, set: Uint8Array, by: Aggregate, order: Order): Totals {
  const n = pairs.firing.feature.length;
  const [fired, known] = [new Int32Array(n), new Int32Array(n)];
  const [sum, best, value] = [new Float64Array(n), new Float64Array(n).fill(NaN), new Float64Array(n)];
  const { offsets } = pairs.view;
  let size = 0;
  for (let i = 0; i < set.length; i++) {
    if (set[i] === 0) continue;
    size++;
    for (let pair = offsets[i] ?? 0; pair < (offsets[i + 1] ?? 0); pair++) {
      const row = pairs.rows[pair] as number;
      const v = values[pair] as number;
      (fired[row] as number)++;
      if (Number.isNaN(v)) continue;
      (known[row] as number)++;
      (sum[row] as number) += v;
      const before = best[row] as number;
      if (Number.isNaN(before) || worth(v, order) > worth(before, order)) best[row] = v;
    }
  }
  for (let row = 0; row < n; row++) {
    const [f, k] = [fired[row] as number, known[row] as number];
    if (by === "count") value[row] = f;
    else if (f === 0) value[row] = 0;
    else if (k === 0) value[row] = NaN;
    else if (by === "max") value[row] = best[row] as number;
    else value[row] = by === "sum" ? (sum[row] as number) : (sum[row] as number) / (size - f + k);
  }
  return { fired, known, value, best };
}

export function rank(question: Question): Ranking {
  const { sides, values, sets, by, order, kept } = question;
  const inner = innerOrder(question);
  const totals = sides.map((pairs, i) => totalsOf(pairs, values[i] ?? new Float32Array(), sets[i] ?? new Uint8Array(), by, inner));
  const [a, b] = totals;
  const rows: number[] = [];
  const scores = new Float64Array(kept.length);
  let [n_firing, n_kept, n_pairs, n_measured] = [0, 0, 0, 0];
  for (let row = 0; row < kept.length; row++) {
    const fired = (a?.fired[row] ?? 0) + (b?.fired[row] ?? 0);
    if (fired === 0) continue;
    n_firing++;
    if (kept[row] === 0) continue;
    n_kept++;
    n_pairs += fired;
    n_measured += (a?.known[row] ?? 0) + (b?.known[row] ?? 0);
    const score = (a?.value[row] ?? 0) - (b?.value[row] ?? 0);
    scores[row] = score;
    if (!Number.isNaN(score)) rows.push(row);
  }
  const first = by === "count" && sides.length === 1 ? "large" : order;
  const tie = (row: number): number => (by === "count" ? (worth(a?.best[row] ?? 0, inner) || 0) : 0);
  rows.sort((x, y) => worth(scores[y] ?? 0, first) - worth(scores[x] ?? 0, first) || tie(y) - tie(x) || x - y);
  const sorted = Int32Array.from(rows);
  return { rows: sorted, values: Float64Array.from(sorted, (row) => scores[row] ?? NaN), totals, n_firing, n_kept, n_pairs, n_measured };
}

/** Which value of a feature stands for its tokens: of one prompt that which the ranking wants, of two the strongest. */
function innerOrder({ sides, values, order }: Question): Order {
  if (sides.length === 1) return order;
  return values.some((all) => all.some((v) => v < 0)) ? "size" : "large";
}

/** The first value at each position, of the features that pass; NaN where there is none. */
export function bestAt(pairs: Pairs, values: Float32Array, order: Order, kept: Uint8Array): Float32Array {
  const out = new Float32Array(pairs.n).fill(NaN);
  for (let pair = 0; pair < values.length; pair++) {
    const v = values[pair] as number;
    if (Number.isNaN(v) || kept[pairs.rows[pair] as number] === 0) continue;
    const i = pairs.positions[pair] as number;
    const before = out[i] as number;
    if (Number.isNaN(before) || worth(v, order) > worth(before, order)) out[i] = v;
  }
  return out;
}

/** 1 for each firing feature whose density is between the two, which are in percent. */
export function passing(density: Float32Array, min: number, max: number): Uint8Array {
  const [low, high] = [Math.fround(min / 100), Math.fround(max / 100)]; // as densities are rounded
  return Uint8Array.from(density, (share) => (share >= low && share <= high ? 1 : 0));
}
