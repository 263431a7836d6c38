// Sorting, filtering and counting columns of up to a million features, on typed arrays.
import type { Values } from "../../data/explorer";

/** Features in the order of a column: ties by number, what has no value last. */
export function ordered(values: Values, down: boolean): Int32Array {
  const n = values.length;
  const bits = values instanceof Float32Array ? new Uint32Array(values.buffer, values.byteOffset, n) : null;
  let from: Keyed = { features: new Int32Array(n), keys: new Uint32Array(n) };
  let to: Keyed = { features: new Int32Array(n), keys: new Uint32Array(n) };
  const none = new Int32Array(n);
  let [at, unknown] = [0, 0];
  for (let i = 0; i < n; i++) {
    const value = values[i] ?? NaN;
    if (value !== value || (bits === null && value < 0)) {
      none[unknown++] = i;
      continue;
    }
    let key = bits === null ? value | 0 : value === 0 ? 0 : (bits[i] ?? 0);
    // A float's bits in the order of its values: those below zero turned around, the others above them.
    if (bits !== null) key = key & 0x80000000 ? ~key : key | 0x80000000;
    from.keys[at] = down ? ~key : key;
    from.features[at++] = i;
  }
  for (let shift = 0; shift < 32; shift += DIGIT) {
    byDigit(from, to, at, shift);
    [from, to] = [to, from];
  }
  from.features.set(none.subarray(0, unknown), at);
  return from.features;
}

/** Features, and by what they are sorted, which goes along with them so that it is read in one run. */
interface Keyed {
  readonly features: Int32Array;
  readonly keys: Uint32Array;
}

/** Bits of a key that a pass sorts by: as many places to write to at once as stay in a processor's cache. */
const DIGIT = 11;

/** One pass of a radix sort over the first `n`. */
function byDigit(from: Keyed, to: Keyed, n: number, shift: number): void {
  const starts = new Int32Array((1 << DIGIT) + 1);
  const last = (1 << DIGIT) - 1;
  for (let i = 0; i < n; i++) {
    const digit = ((from.keys[i] ?? 0) >>> shift) & last;
    starts[digit + 1] = (starts[digit + 1] ?? 0) + 1;
  }
  for (let digit = 0; digit <= last; digit++) starts[digit + 1] = (starts[digit + 1] ?? 0) + (starts[digit] ?? 0);
  for (let i = 0; i < n; i++) {
    const key = from.keys[i] ?? 0;
    const place = starts[(key >>> shift) & last] ?? 0;
    to.keys[place] = key;
    to.features[place] = from.features[i] ?? 0;
    starts[(key >>> shift) & last] = place + 1;
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

/** Which of `BINS` equal bins each value is in, of their logarithms where the scale is logarithmic; `BINS`: in none. */
export function binsOf(values: Values, log: boolean, ends: readonly [number, number]): Uint8Array {
  const [low, high] = log ? [Math.log(ends[0]), Math.log(ends[1])] : ends;
  const scale = BINS / (high - low || 1);
  const out = new Uint8Array(values.length);
  for (let i = 0; i < values.length; i++) {
    const value = values[i] ?? NaN;
    const bin = Math.min(Math.floor(((log ? Math.log(value) : value) - low) * scale), BINS - 1);
    out[i] = bin >= 0 && (!log || value > 0) ? bin : BINS;
  }
  return out;
}

/** How many features are in each bin, and how many of those that pass. */
export function binned(bins: Uint8Array, mask: Uint8Array): Pick<Bins, "all" | "passing"> {
  const [all, within] = [new Int32Array(BINS + 1), new Int32Array(BINS + 1)];
  for (let i = 0; i < bins.length; i++) {
    const bin = bins[i] ?? BINS;
    all[bin] = (all[bin] ?? 0) + 1;
    within[bin] = (within[bin] ?? 0) + (mask[i] ?? 0);
  }
  return { all: all.subarray(0, BINS), passing: within.subarray(0, BINS) };
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
