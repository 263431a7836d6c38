// From values to places on the screen, and round values between two ends.
import { ticks, tickStep } from "d3-array";

export interface Scale {
  (value: number): number;
  /** The value at a place. */
  readonly invert: (place: number) => number;
  /** Values at the ends, and where they are. */
  readonly domain: Ends;
  readonly range: Ends;
  /** Round values, about as many as asked for. */
  readonly ticks: (count: number) => readonly number[];
}

export type Ends = readonly [from: number, to: number];

export function linear(domain: Ends, range: Ends): Scale {
  return Object.assign((value: number) => between(range, part(domain, value)), {
    invert: (place: number) => between(domain, part(range, place)),
    domain,
    range,
    ticks: (count: number) => ticks(...domain, count),
  });
}

/** Its ticks are powers of ten. */
export function logarithmic(domain: Ends, range: Ends): Scale {
  const logs: Ends = [Math.log(domain[0]), Math.log(domain[1])];
  const [from, to] = [Math.log10(domain[0]), Math.log10(domain[1])];
  return Object.assign((value: number) => between(range, part(logs, Math.log(value))), {
    invert: (place: number) => Math.exp(between(logs, part(range, place))),
    domain,
    range,
    ticks: (count: number) =>
      ticks(from, to, Math.min(to - from, count))
        .filter((power) => power % 1 === 0)
        .map((power) => 10 ** power),
  });
}

/** Writes ticks of a linear scale, about as many as `asked` for, with the decimals that the step between them has. */
export function tickFormat({ domain }: Scale, asked: number): (value: number) => string {
  const decimals = Math.max(-Math.floor(Math.log10(tickStep(...domain, asked)) + 1e-9), 0);
  return (value) => {
    const [whole = "", rest] = Math.abs(value).toFixed(decimals).split(".");
    const size = whole.replace(/\B(?=(\d{3})+$)/g, ",") + (rest === undefined ? "" : `.${rest}`);
    return value < 0 && /[1-9]/.test(size) ? `−${size}` : size;
  };
}

/** How far a value is on the way from one end to the other, 0 to 1. */
function part([from, to]: Ends, value: number): number {
  return (value - from) / (to - from);
}

function between([from, to]: Ends, at: number): number {
  return from * (1 - at) + to * at;
}
