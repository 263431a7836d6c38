// Opening a feature: at once where the data is at hand, later where it must come from elsewhere.
import { useLayoutEffect, useMemo, useState } from "preact/hooks";
import type { FeatureView } from "./payload";
import type { Loaded, Source } from "./source";

export type State =
  | { readonly kind: "open"; readonly view: FeatureView }
  | { readonly kind: "missing" }
  | { readonly kind: "loading" }
  | { readonly kind: "failed"; readonly reason: string };

export function useFeature(source: Source, feature: number): State {
  const [late, setLate] = useState<{ feature: number; state: State } | null>(null);
  const now = useMemo(() => load(source, feature), [source, feature]);
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

function load(source: Source, feature: number): State | Promise<State> {
  const arrived = (view: Loaded): State => (view === null ? { kind: "missing" } : { kind: "open", view });
  const failed = (error: unknown): State => ({ kind: "failed", reason: reasonOf(error) });
  try {
    const got = source.feature(feature);
    return got instanceof Promise ? got.then(arrived, failed) : arrived(got);
  } catch (error) {
    return failed(error);
  }
}

export function reasonOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
