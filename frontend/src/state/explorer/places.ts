// Places on the map of decoder directions: which are in view, which is nearest, which are within a drawn line.
import type { DecoderMap } from "../../data/contract";

/** What of the map is in view: its middle, in the map's steps, and pixels for each step. */
export interface View {
  readonly x: number;
  readonly y: number;
  readonly scale: number;
}

export interface Size {
  readonly width: number;
  readonly height: number;
}

const STEPS = 65535;
/** Pixels around a map that is in view as a whole. */
const MARGIN = 14;
/** Pixels for each step, at most. */
const CLOSEST = 4;
/** Cells on each side of the grid by which the nearest is found. */
const CELLS = 256;

/** The whole map in view. */
export function whole({ right, top }: Places, { width, height }: Size): View {
  const scale = Math.min((width - 2 * MARGIN) / (right || 1), (height - 2 * MARGIN) / (top || 1));
  return { x: right / 2, y: top / 2, scale: Math.max(scale, 1e-6) };
}

/** Larger by a factor, what is at a place on the screen (from the middle) staying there. */
export function zoomed(view: View, by: number, places: Places, size: Size, at: readonly [number, number] = [0, 0]): View {
  const scale = Math.min(Math.max(view.scale * by, whole(places, size).scale / 2), CLOSEST);
  const moved = 1 / view.scale - 1 / scale;
  return { x: view.x + at[0] * moved, y: view.y - at[1] * moved, scale };
}

/** Moved by pixels; the middle stays within the map. */
export function panned(view: View, dx: number, dy: number, { right, top }: Places): View {
  const within = (value: number, end: number): number => Math.min(Math.max(value, 0), end);
  return { ...view, x: within(view.x - dx / view.scale, right), y: within(view.y + dy / view.scale, top) };
}

/** A map, its ends, and its features by cells of a grid. */
export interface Places {
  readonly map: DecoderMap;
  readonly right: number;
  readonly top: number;
  /** Features without a place. */
  readonly lost: number;
  readonly starts: Int32Array;
  readonly features: Int32Array;
}

export function placesOf(map: DecoderMap): Places {
  const { x, y } = map;
  const starts = new Int32Array(CELLS * CELLS + 1);
  let [right, top, lost] = [0, 0, 0];
  for (let i = 0; i < x.length; i++) {
    const [px, py] = [x[i] ?? 0, y[i] ?? 0];
    if (px === 0) lost++;
    else starts[cell(px, py) + 1] = (starts[cell(px, py) + 1] ?? 0) + 1;
    if (px > right) right = px;
    if (py > top) top = py;
  }
  for (let i = 0; i < CELLS * CELLS; i++) starts[i + 1] = (starts[i + 1] ?? 0) + (starts[i] ?? 0);
  const features = new Int32Array(x.length - lost);
  const next = starts.slice();
  for (let i = 0; i < x.length; i++) {
    const [px, py] = [x[i] ?? 0, y[i] ?? 0];
    if (px === 0) continue;
    const at = cell(px, py);
    features[next[at] ?? 0] = i;
    next[at] = (next[at] ?? 0) + 1;
  }
  return { map, right, top, lost, starts, features };
}

function cell(x: number, y: number): number {
  return line(y) * CELLS + line(x);
}

function line(value: number): number {
  return Math.min(Math.max(Math.floor((value * CELLS) / (STEPS + 1)), 0), CELLS - 1);
}

/** Calls with every shown feature of the cells that a box touches. */
function within({ starts, features }: Places, shown: Uint8Array | null, box: readonly [number, number, number, number], take: (feature: number) => void): void {
  const [left, bottom, right, top] = box;
  for (let row = line(bottom); row <= line(top); row++) {
    const [from, to] = [starts[row * CELLS + line(left)] ?? 0, starts[row * CELLS + line(right) + 1] ?? 0];
    for (let at = from; at < to; at++) {
      const feature = features[at] ?? 0;
      if (shown === null || shown[feature] === 1) take(feature);
    }
  }
}

/** The shown feature nearest a place, at most `reach` steps away; of equally near ones the lowest. */
export function nearest(places: Places, shown: Uint8Array | null, x: number, y: number, reach: number): number | null {
  let [best, least] = [-1, reach * reach];
  const { x: xs, y: ys } = places.map;
  within(places, shown, [x - reach, y - reach, x + reach, y + reach], (feature) => {
    const [dx, dy] = [(xs[feature] ?? 0) - x, (ys[feature] ?? 0) - y];
    const apart = dx * dx + dy * dy;
    if (apart < least || (apart === least && (best < 0 || feature < best))) [best, least] = [feature, apart];
  });
  return best < 0 ? null : best;
}

/** Shown features in view; null where there are more than `most`. */
export function inView(places: Places, shown: Uint8Array | null, view: View, { width, height }: Size, most: number): Int32Array | null {
  const { map } = places;
  const [w, h] = [width / 2 / view.scale, height / 2 / view.scale];
  const [left, bottom, right, top] = [view.x - w, view.y - h, view.x + w, view.y + h];
  if (countIn(places, left, bottom, right, top) > 64 * most) return null;
  const found: number[] = [];
  within(places, shown, [left, bottom, right, top], (feature) => {
    const [x, y] = [map.x[feature] ?? 0, map.y[feature] ?? 0];
    if (x >= left && x <= right && y >= bottom && y <= top) found.push(feature);
  });
  return found.length > most ? null : Int32Array.from(found);
}

function countIn({ starts }: Places, left: number, bottom: number, right: number, top: number): number {
  let n = 0;
  for (let row = line(bottom); row <= line(top); row++) n += (starts[row * CELLS + line(right) + 1] ?? 0) - (starts[row * CELLS + line(left)] ?? 0);
  return n;
}

/** The shown features within a closed line of x and y in turn, ascending (by the even-odd rule). */
export function lassoed(places: Places, shown: Uint8Array | null, points: readonly number[]): Int32Array {
  const { x: xs, y: ys } = places.map;
  const [px, py] = [points.filter((_, i) => i % 2 === 0), points.filter((_, i) => i % 2 === 1)];
  const box = [Math.min(...px), Math.min(...py), Math.max(...px), Math.max(...py)] as const;
  const found: number[] = [];
  within(places, shown, box, (feature) => {
    if (isWithin(px, py, xs[feature] ?? 0, ys[feature] ?? 0)) found.push(feature);
  });
  return Int32Array.from(found).sort();
}

function isWithin(px: readonly number[], py: readonly number[], x: number, y: number): boolean {
  let odd = false;
  for (let i = 0, j = px.length - 1; i < px.length; j = i++) {
    const [x1, y1, x2, y2] = [px[i] ?? 0, py[i] ?? 0, px[j] ?? 0, py[j] ?? 0];
    if (y1 > y !== y2 > y && x < ((x2 - x1) * (y - y1)) / (y2 - y1) + x1) odd = !odd;
  }
  return odd;
}

/** Colours of a scale. */
export const SHADES = 32;
/** The shade of a feature that has no value, behind those of the scale. */
export const NO_SHADE = SHADES;

/** How a column's values are coloured: the ends of the scale are its 1st and 99th percentile. */
export interface Shading {
  readonly low: number;
  readonly high: number;
  readonly shades: Uint8Array;
}

/** Values looked at for the ends of a scale, at most. */
const SAMPLE = 20_000;

/** null: there is no value. */
export function shading(values: ArrayLike<number>, log: boolean): Shading | null {
  const step = Math.max(Math.floor(values.length / SAMPLE), 1);
  const some: number[] = [];
  for (let i = 0; i < values.length; i += step) {
    const value = values[i] ?? NaN;
    if (Number.isFinite(value) && (!log || value > 0)) some.push(value);
  }
  if (some.length === 0) return null;
  some.sort((a, b) => a - b);
  const [low, high] = [0.01, 0.99].map((share) => some[Math.round(share * (some.length - 1))] ?? 0) as [number, number];
  const on = log ? Math.log : (value: number): number => value;
  const [from, span] = [on(low), on(high) - on(low) || 1];
  const shades = new Uint8Array(values.length);
  for (let i = 0; i < values.length; i++) {
    const value = values[i] ?? NaN;
    const place = log && value <= 0 ? NaN : (on(value) - from) / span;
    shades[i] = place === place ? Math.min(Math.max(Math.floor(place * SHADES), 0), SHADES - 1) : NO_SHADE;
  }
  return { low, high, shades };
}
