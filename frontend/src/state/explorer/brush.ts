// A part of a histogram that is being taken out: it filters as it is dragged, and stands in the address once it is let go.
import { useCallback, useMemo, useRef, useState } from "preact/hooks";
import type { Range } from "./order";

export interface Brush {
  /** null: nothing is dragged. */
  readonly now: { readonly column: string; readonly range: Range | null } | null;
  /** What a drag takes out of a column so far (null: nothing); at most once for each frame. */
  readonly drag: (column: string, range: Range | null) => void;
  readonly end: () => void;
}

export function useBrush(): Brush {
  const [now, set] = useState<Brush["now"]>(null);
  const frame = useRef(0);
  const drag = useCallback((column: string, range: Range | null) => {
    cancelAnimationFrame(frame.current);
    frame.current = requestAnimationFrame(() => set({ column, range }));
  }, []);
  const end = useCallback(() => {
    cancelAnimationFrame(frame.current);
    set(null);
  }, []);
  return useMemo(() => ({ now, drag, end }), [now, drag, end]);
}

/** Filters with another range, or none, of one column. */
export function narrowed(where: readonly Range[], column: string, range: Range | null): readonly Range[] {
  return [...where.filter((one) => one.column !== column), ...(range === null ? [] : [range])];
}
