// Where a tooltip goes: beside its anchor, inside the window, off everything that must stay in sight.

const GAP = 8;
/** What covering one pixel of what must stay in sight costs, in pixels of what had better stay in sight. */
const FORBIDDEN = 100;
/** What each further choice of place costs, in the same pixels. */
const FURTHER = 150;

export interface Box {
  readonly left: number;
  readonly top: number;
  readonly right: number;
  readonly bottom: number;
}

/**
 * Moves a fixed element beside `at` (under it rather than over it where `below`) and returns the box that it then takes.
 * `taken` must stay in sight, `spare` had better.
 */
export function place(element: HTMLElement, at: Box, taken: readonly Box[], below: boolean, spare: readonly Box[] = []): Box {
  const { offsetWidth: width, offsetHeight: height } = element;
  const covered = (box: Box, others: readonly Box[]): number => others.reduce((sum, other) => sum + overlap(box, other), 0);
  let best: Box | null = null;
  let least = Infinity;
  let further = 0;
  for (const spot of spots(at, width, height, taken, below)) {
    const box = inside(spot, width, height);
    const cost = FORBIDDEN * covered(box, taken) + covered(box, spare) + further;
    if (cost < least) [best, least] = [box, cost];
    further += FURTHER;
    if (further >= least) break;
  }
  const box = best ?? inside({ left: 0, top: 0 }, width, height);
  // What it is fixed to is not the window where something around it is transformed or a container.
  const { left, top } = originOf(element);
  element.style.transform = `translate(${box.left - left}px, ${box.top - top}px)`;
  return box;
}

/** Where a fixed element would be without being moved. */
function originOf(element: HTMLElement): Spot {
  element.style.transform = "none";
  return element.getBoundingClientRect();
}

interface Spot {
  readonly left: number;
  readonly top: number;
}

/** From the best to the worst: under or over the anchor, also pushed aside; at its sides; next to what is taken; corners. */
function* spots(at: Box, width: number, height: number, taken: readonly Box[], below: boolean): Generator<Spot> {
  const lefts = [(at.left + at.right - width) / 2, at.right + GAP, at.left - width - GAP];
  const tops = (box: Box): number[] => {
    const [under, over] = [box.bottom + GAP, box.top - GAP - height];
    return below ? [under, over] : [over, under];
  };
  for (const left of lefts) for (const top of tops(at)) yield { left, top };
  for (const left of lefts.slice(1)) yield { left, top: (at.top + at.bottom - height) / 2 };
  for (const box of taken) for (const top of tops(box)) for (const left of lefts) yield { left, top };
  for (const box of taken) for (const left of [box.right + GAP, box.left - width - GAP]) yield { left, top: box.top };
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
