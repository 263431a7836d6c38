// Where a tooltip goes: beside its anchor, inside the window, off everything that must stay in sight.

const GAP = 8;

export interface Box {
  readonly left: number;
  readonly top: number;
  readonly right: number;
  readonly bottom: number;
}

/** Moves a fixed element beside `at` and returns the box that it then takes. */
export function place(element: HTMLElement, at: Box, taken: readonly Box[], below: boolean): Box {
  const { offsetWidth: width, offsetHeight: height } = element;
  let best: Box | null = null;
  let least = Infinity;
  for (const spot of spots(at, width, height, below)) {
    const box = inside(spot, width, height);
    const covered = taken.reduce((sum, other) => sum + overlap(box, other), 0);
    if (covered >= least) continue;
    best = box;
    least = covered;
    if (covered === 0) break;
  }
  const box = best ?? inside({ left: 0, top: 0 }, width, height);
  element.style.transform = `translate(${box.left}px, ${box.top}px)`;
  return box;
}

interface Spot {
  readonly left: number;
  readonly top: number;
}

/** From the best to the worst: under or over the anchor, also pushed aside; at its sides; in the window's corners. */
function* spots(at: Box, width: number, height: number, below: boolean): Generator<Spot> {
  const middle = (at.left + at.right - width) / 2;
  const [under, over] = [at.bottom + GAP, at.top - GAP - height];
  const lefts = [middle, at.left - width - GAP, at.right + GAP];
  for (const left of lefts) for (const top of below ? [under, over] : [over, under]) yield { left, top };
  for (const left of lefts.slice(1)) yield { left, top: (at.top + at.bottom - height) / 2 };
  for (const left of [0, window.innerWidth]) for (const top of [0, window.innerHeight]) yield { left, top };
}

/** The box at a spot, pushed into the window. */
function inside({ left, top }: Spot, width: number, height: number): Box {
  const x = Math.round(Math.max(Math.min(left, window.innerWidth - width - GAP), GAP));
  const y = Math.round(Math.max(Math.min(top, window.innerHeight - height - GAP), GAP));
  return { left: x, top: y, right: x + width, bottom: y + height };
}

function overlap(a: Box, b: Box): number {
  const across = Math.min(a.right, b.right) - Math.max(a.left, b.left);
  const down = Math.min(a.bottom, b.bottom) - Math.max(a.top, b.top);
  return across > 0 && down > 0 ? across * down : 0;
}
