// Sorting, filtering and counting columns of up to a million features, on typed arrays.
import type { Values } from "../../data/explorer";

/** Features in the order of a column: ties by number, what has no value last. */
export function ordered(values: Values, down: boolean): Int32Array {
  const n = values.length;
  const keys = new Uint32Array(n);
  const bits = values instanceof Float32Array ? new Uint32Array(values.buffer, values.byteOffset, n) : null;
  let [first, unknown] = [new Int32Array(n), 0];
  let at = 0;
  const none = new Int32Array(n);
  for (let i = 0; i < n; i++) {
    const value = values[i] ?? NaN;
    if (value !== value || (bits === null && value < 0)) {
      none[unknown++] = i;
      continue;
    }
    let key = bits === null ? value | 0 : value === 0 ? 0 : (bits[i] ?? 0);
    // A float's bits in the order of its values: those below zero turned around, the others above them.
    if (bits !== null) key = key & 0x80000000 ? ~key : key | 0x80000000;
    keys[i] = down ? ~key : key;
    first[at++] = i;
  }
  const known = first.subarray(0, at);
  const other = new Int32Array(at);
  byDigit(known, other, keys, 0);
  byDigit(other, known, keys, 16);
  first = new Int32Array(n);
  first.set(known);
  first.set(none.subarray(0, unknown), at);
  return first;
}

/** One pass of a radix sort, by 16 bits of each key. */
function byDigit(from: Int32Array, to: Int32Array, keys: Uint32Array, shift: number): void {
  const starts = new Int32Array(65537);
  for (let i = 0; i < from.length; i++) {
    const digit = ((keys[from[i] ?? 0] ?? 0) >>> shift) & 0xffff;
    starts[digit + 1] = (starts[digit + 1] ?? 0) + 1;
  }
  for (let digit = 0; digit < 65536; digit++) starts[digit + 1] = (starts[digit + 1] ?? 0) + (starts[digit] ?? 0);
  for (let i = 0; i < from.length; i++) {
    const feature = from[i] ?? 0;
    const digit = ((keys[feature] ?? 0) >>> shift) & 0xffff;
    const place = starts[digit] ?? 0;
    to[place] = feature;
    starts[digit] = place + 1;
  }
}

/** Values of a column that pass, both ends included. */
export interface Range {
  readonly column: string;
  readonly low: number;
  readonly high: number;
}

/** Which features pass all ranges and are in all of some lists (null: no list); 1 for each that does. A column that is not there yet lets none pass. */
export function passing(n: number, ranges: readonly (readonly [Range, Values | null])[], lists: readonly (ArrayLike<number> | null)[]): Uint8Array {
  const mask = new Uint8Array(n);
  const given = lists.filter((list) => list !== null);
  for (const [turn, list] of given.entries()) {
    for (let i = 0; i < list.length; i++) if (mask[list[i] ?? 0] === turn) mask[list[i] ?? 0] = turn + 1;
  }
  for (let i = 0; i < n; i++) mask[i] = mask[i] === given.length ? 1 : 0;
  for (const [{ low, high }, values] of ranges) {
    if (values === null) return mask.fill(0);
    for (let i = 0; i < n; i++) {
      const value = values[i] ?? NaN;
      if (!(value >= low && value <= high)) mask[i] = 0;
    }
  }
  return mask;
}

/** Those of an order that pass. */
export function kept(order: Int32Array, mask: Uint8Array): Int32Array {
  const out = new Int32Array(order.length);
  let at = 0;
  for (let i = 0; i < order.length; i++) {
    const feature = order[i] ?? 0;
    if (mask[feature] === 1) out[at++] = feature;
  }
  return out.subarray(0, at);
}

/** A histogram above a column: all features, and those that pass. */
export interface Bins {
  readonly low: number;
  readonly high: number;
  readonly log: boolean;
  readonly all: Int32Array;
  readonly passing: Int32Array;
}

export const BINS = 48;

/** The ends of a column's histogram: of its values above zero where the scale is logarithmic; null where it has none. */
export function extent(values: Values, log: boolean): readonly [number, number] | null {
  let [low, high] = [Infinity, -Infinity];
  for (let i = 0; i < values.length; i++) {
    const value = values[i] ?? NaN;
    if (log && !(value > 0)) continue;
    if (value < low) low = value;
    if (value > high) high = value;
  }
  return low <= high ? [low, high] : null;
}

/** Values in equal bins, of their logarithms where the scale is logarithmic; values that have none are left out. */
export function binned(values: Values, mask: Uint8Array, log: boolean, ends: readonly [number, number]): Bins {
  const [low, high] = log ? [Math.log(ends[0]), Math.log(ends[1])] : ends;
  const scale = BINS / (high - low || 1);
  const [all, within] = [new Int32Array(BINS), new Int32Array(BINS)];
  for (let i = 0; i < values.length; i++) {
    const value = values[i] ?? NaN;
    if (log && !(value > 0)) continue;
    const bin = Math.min(Math.floor(((log ? Math.log(value) : value) - low) * scale), BINS - 1);
    if (!(bin >= 0)) continue;
    all[bin] = (all[bin] ?? 0) + 1;
    if (mask[i] === 1) within[bin] = (within[bin] ?? 0) + 1;
  }
  return { low: ends[0], high: ends[1], log, all, passing: within };
}

/** The value at a share (0 to 1) of a histogram's width, and the other way round. */
export function valueAt({ low, high, log }: Pick<Bins, "low" | "high" | "log">, share: number): number {
  return log ? Math.exp(Math.log(low) + share * Math.log(high / low)) : low + share * (high - low);
}

export function shareOf({ low, high, log }: Pick<Bins, "low" | "high" | "log">, value: number): number {
  if (value <= low) return 0;
  if (value >= high) return 1;
  return log ? Math.log(value / low) / Math.log(high / low) : (value - low) / (high - low);
}
