// Paints the map's canvas: points, then names, the open feature, what is pointed at, the lasso.
import { diameter, drawPoints, paletteOf, type Palette, type Points } from "../../marks/mapPicture";
import type { Size, View } from "../../state/explorer/places";

export interface Painted {
  readonly points: Points;
  readonly view: View;
  readonly size: Size;
  /** Differs where colours or the screen's pixels do. */
  readonly theme: string;
  readonly names: readonly (readonly [feature: number, name: string])[];
  readonly current: number | null;
  readonly pointed: number | null;
  readonly line: readonly number[] | null;
}

type Box = readonly [left: number, top: number, right: number, bottom: number];

export class Painter {
  private image: ImageData | null = null;
  private palette: Palette | null = null;
  /** What the image was drawn from. */
  private drawn: readonly unknown[] = [];

  paint(canvas: HTMLCanvasElement, what: Painted): void {
    const context = canvas.getContext("2d");
    if (context === null) return;
    const { points, view, size, theme } = what;
    const ratio = window.devicePixelRatio || 1;
    const pixels = { width: Math.round(size.width * ratio), height: Math.round(size.height * ratio) };
    const from = [points.places, points.shades, points.shown, view.x, view.y, view.scale, pixels.width, pixels.height, theme];
    if (this.image === null || from.some((one, i) => one !== this.drawn[i])) {
      if (this.palette === null || this.drawn.at(-1) !== theme) this.palette = paletteOf(canvas.parentElement ?? document.body);
      if (this.image?.width !== pixels.width || this.image.height !== pixels.height) this.image = new ImageData(pixels.width, pixels.height);
      drawPoints(new Uint32Array(this.image.data.buffer), points, view, pixels, ratio, this.palette);
      this.drawn = from;
    }
    if (canvas.width !== pixels.width || canvas.height !== pixels.height) Object.assign(canvas, pixels);
    context.putImageData(this.image, 0, 0);
    context.setTransform(ratio, 0, 0, ratio, 0, 0);
    over(context, what, diameter(points.places, view, pixels, ratio));
  }
}

/** What stands on the points. */
function over(context: CanvasRenderingContext2D, { points, view, size, names, current, pointed, line }: Painted, dot: number): void {
  const style = getComputedStyle(context.canvas);
  const [ink, paper, accent] = ["--ink", "--paper", "--accent"].map((name) => resolved(context.canvas, name)) as [string, string, string];
  const { map } = points.places;
  const place = (feature: number): readonly [number, number] => [size.width / 2 + ((map.x[feature] ?? 0) - view.x) * view.scale, size.height / 2 - ((map.y[feature] ?? 0) - view.y) * view.scale];
  context.font = `13px ${style.fontFamily}`;
  context.textBaseline = "middle";
  context.lineJoin = "round";
  const taken: Box[] = [];
  const write = (feature: number, name: string, always: boolean): void => {
    const [x, y] = place(feature);
    const wide = context.measureText(name).width;
    const gap = dot / 2 + (always ? 10 : 5);
    const left = x + gap + wide > size.width ? x - gap - wide : x + gap;
    const own: Box = [left, y - 9, left + wide, y + 9];
    if (!always && taken.some((other) => own[0] < other[2] && own[2] > other[0] && own[1] < other[3] && own[3] > other[1])) return;
    taken.push(own);
    Object.assign(context, { strokeStyle: paper, lineWidth: 4, fillStyle: ink });
    context.strokeText(name, left, y);
    context.fillText(name, left, y);
  };
  const ring = (feature: number, colour: string): void => {
    if ((map.x[feature] ?? 0) === 0) return;
    const [x, y] = place(feature);
    for (const [strokeStyle, lineWidth] of [[paper, 5], [colour, 2.5]] as const) {
      Object.assign(context, { strokeStyle, lineWidth });
      context.beginPath();
      context.arc(x, y, dot / 2 + 5, 0, 2 * Math.PI);
      context.stroke();
    }
  };
  const named = new Map(names);
  for (const [feature, colour] of [[current, accent], [pointed, ink]] as const) {
    if (feature === null || (feature === current && colour === ink)) continue;
    ring(feature, colour);
  }
  for (const feature of [pointed, current]) {
    const name = feature === null ? undefined : named.get(feature);
    if (feature !== null && name !== undefined) write(feature, name, true);
    if (feature !== null) named.delete(feature);
  }
  for (const [feature, name] of named) write(feature, name, false);
  if (line !== null && line.length >= 4) lasso(context, line, view, size, accent);
}

function lasso(context: CanvasRenderingContext2D, line: readonly number[], view: View, { width, height }: Size, colour: string): void {
  context.beginPath();
  for (let i = 0; i < line.length; i += 2) context.lineTo(width / 2 + ((line[i] ?? 0) - view.x) * view.scale, height / 2 - ((line[i + 1] ?? 0) - view.y) * view.scale);
  context.closePath();
  Object.assign(context, { fillStyle: colour, strokeStyle: colour, lineWidth: 2, globalAlpha: 0.14 });
  context.fill();
  context.globalAlpha = 1;
  context.stroke();
}

/** A custom property as a colour. */
function resolved(element: Element, name: string): string {
  const probe = document.createElement("i");
  probe.style.color = `var(${name})`;
  element.parentElement?.append(probe);
  const { color } = getComputedStyle(probe);
  probe.remove();
  return color;
}
