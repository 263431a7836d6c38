// What may follow a frame later than the rest.
import { useEffect, useState } from "preact/hooks";
import { afterFrame } from "../data/idle";

/** A value, changed once the frame in which it changed is on screen: what hangs on it alone does not hold up that frame. */
export function useLate<T>(value: T): T {
  const [late, set] = useState(value);
  useEffect(() => {
    if (late === value) return undefined;
    return afterFrame(() => {
      set(value);
      return () => undefined;
    });
  }, [value]);
  return late;
}
