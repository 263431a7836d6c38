// Bins of equal width.

/** Heights of the bars between two ends of an axis. */
export interface Bins {
  readonly low: number;
  readonly high: number;
  readonly counts: Int32Array | Float32Array;
}

/** The two ends of a bin. */
export function edges({ low, high, counts }: Bins, i: number): [number, number] {
  const step = (high - low) / counts.length;
  const edge = (k: number): number => {
    const at = k === counts.length ? high : low + k * step;
    return Math.abs(at) < step * 1e-9 ? 0 : at; // of both sides of zero, zero is an edge: not what rounding left of it
  };
  return [edge(i), edge(i + 1)];
}
