// Opening a feature: at once where the data is at hand, later where it must come from elsewhere.
import { useLayoutEffect, useMemo, useState } from "preact/hooks";
import type { Late } from "../data/source";

export type State<T> =
  | { readonly kind: "open"; readonly view: T }
  | { readonly kind: "missing" }
  | { readonly kind: "loading" }
  | { readonly kind: "failed"; readonly reason: string };

/** What is loaded by a number, such as a feature's; `find` stays the same as long as the page. */
export function useLoaded<T>(find: (feature: number) => Late<T | null>, feature: number): State<T> {
  const [late, setLate] = useState<{ feature: number; state: State<T> } | null>(null);
  const now = useMemo(() => load(find, feature), [find, feature]);
  useLayoutEffect(() => {
    if (!(now instanceof Promise)) return undefined;
    let wanted = true;
    void now.then((state) => wanted && setLate({ feature, state }));
    return () => {
      wanted = false;
    };
  }, [now, feature]);
  if (!(now instanceof Promise)) return now;
  return late?.feature === feature ? late.state : { kind: "loading" };
}

function load<T>(find: (feature: number) => Late<T | null>, feature: number): State<T> | Promise<State<T>> {
  const arrived = (view: T | null): State<T> => (view === null ? { kind: "missing" } : { kind: "open", view });
  const failed = (error: unknown): State<T> => ({ kind: "failed", reason: reasonOf(error) });
  try {
    const got = find(feature);
    return got instanceof Promise ? got.then(arrived, failed) : arrived(got);
  } catch (error) {
    return failed(error);
  }
}

export function reasonOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
