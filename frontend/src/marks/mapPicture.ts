// The map's points, written into the pixels of an image: a million in one frame, with no library that makes code from strings.
import { NO_SHADE, SHADES, type Places, type Size, type View } from "../state/explorer/places";

/** Colours as pixels: those of the scale, of no value, and of features that a filter leaves out. */
export interface Palette {
  readonly shades: Uint32Array;
  readonly plain: number;
  readonly out: number;
}

/** From the page's colours, which the theme decides. */
export function paletteOf(element: Element): Palette {
  const canvas = document.createElement("canvas");
  canvas.width = canvas.height = 1;
  const context = canvas.getContext("2d", { willReadFrequently: true });
  const probe = document.createElement("i");
  element.append(probe);
  const pixel = (colour: string): number => {
    probe.style.color = colour;
    if (context === null) return 0;
    context.fillStyle = getComputedStyle(probe).color;
    context.fillRect(0, 0, 1, 1);
    return new Uint32Array(context.getImageData(0, 0, 1, 1).data.buffer)[0] ?? 0;
  };
  const shades = new Uint32Array(SHADES + 1);
  for (let i = 0; i < SHADES; i++) shades[i] = pixel(shade(i / (SHADES - 1)));
  shades[NO_SHADE] = pixel("color-mix(in oklab, var(--edge) 55%, var(--paper))");
  const found = { shades, plain: pixel("var(--soft)"), out: pixel("color-mix(in oklab, var(--line) 80%, var(--paper))") };
  probe.remove();
  return found;
}

/** The colour at a share of the scale: from blue over purple to orange, lighter all the way. */
export function shade(share: number): string {
  const [from, to, part] = share < 0.5 ? ["--map-low", "--map-middle", 2 * share] : ["--map-middle", "--map-high", 2 * share - 1];
  return `color-mix(in oklab, var(${to}) ${Math.round(100 * part)}%, var(${from}))`;
}

export interface Points {
  readonly places: Places;
  /** Of each feature its shade; null: all are plain. */
  readonly shades: Uint8Array | null;
  readonly shown: Uint8Array | null;
}

/** Draws all points; `size` and `ratio` are those of the image: its pixels, and how many of them a pixel of the page has. */
export function drawPoints(pixels: Uint32Array, { places, shades, shown }: Points, view: View, size: Size, ratio: number, palette: Palette): void {
  pixels.fill(0);
  const dot = dotOf(Math.max(Math.round(diameter(places, view, size, ratio) * ratio), 1), size.width);
  const every = { places, shown, view, size, ratio, dot };
  if (shown !== null) draw(pixels, every, 0, null, new Uint32Array([palette.out]));
  if (shades === null) draw(pixels, every, 1, null, new Uint32Array([palette.plain]));
  else {
    // Those without a value lie under the others: in a large dictionary many never fire.
    draw(pixels, every, 1, shades, palette.shades.map((colour, i) => (i === NO_SHADE ? colour : 0)));
    draw(pixels, every, 1, shades, palette.shades.map((colour, i) => (i === NO_SHADE ? 0 : colour)));
  }
}

/** Of a point, in pixels of the page: larger where fewer are in view. */
export function diameter({ features, right, top }: Places, view: View, { width, height }: Size, ratio: number): number {
  const area = Math.max(right * top * view.scale ** 2, 1);
  const visible = features.length * Math.min((width * height) / ratio ** 2 / area, 1);
  return Math.min(Math.max(Math.sqrt((0.22 * width * height) / ratio ** 2 / Math.max(visible, 1)), 1), 9);
}

/** Steps from a pixel to all those of a round dot around it. */
function dotOf(diameter: number, width: number): { readonly steps: Int32Array; readonly reach: number } {
  const steps: number[] = [];
  const [from, to] = [-Math.floor((diameter - 1) / 2), Math.floor(diameter / 2)];
  const middle = (from + to) / 2;
  for (let dy = from; dy <= to; dy++) {
    for (let dx = from; dx <= to; dx++) {
      if (diameter < 3 || (dx - middle) ** 2 + (dy - middle) ** 2 <= (diameter / 2) ** 2) steps.push(dy * width + dx);
    }
  }
  return { steps: Int32Array.from(steps), reach: Math.max(-from, to) };
}

interface Every {
  readonly places: Places;
  readonly shown: Uint8Array | null;
  readonly view: View;
  readonly size: Size;
  readonly ratio: number;
  readonly dot: ReturnType<typeof dotOf>;
}

/** Those whose place in `shown` is `which` (all where there is no `shown`), in the colours of their shades; 0: not at all. */
function draw(pixels: Uint32Array, { places, shown, view, size, ratio, dot }: Every, which: number, shades: Uint8Array | null, colours: Uint32Array): void {
  const { x: xs, y: ys } = places.map;
  const { width, height } = size;
  const { steps, reach } = dot;
  const scale = view.scale * ratio;
  const [left, up] = [width / 2 - view.x * scale, height / 2 + view.y * scale];
  const [right, bottom] = [width - reach, height - reach];
  const n = xs.length;
  const single = steps.length === 1;
  for (let i = 0; i < n; i++) {
    if (shown !== null && shown[i] !== which) continue;
    const colour = colours[shades === null ? 0 : (shades[i] ?? 0)] ?? 0;
    const step = xs[i] ?? 0;
    if (step === 0 || colour === 0) continue;
    const px = (left + step * scale) | 0;
    const py = (up - (ys[i] ?? 0) * scale) | 0;
    if (px < reach || py < reach || px >= right || py >= bottom) continue;
    const at = py * width + px;
    if (single) pixels[at] = colour;
    else for (let k = 0; k < steps.length; k++) pixels[at + (steps[k] ?? 0)] = colour;
  }
}
