// The open card: what is at hand at once, then with all that the model computes.
import { useEffect, useMemo, useRef, useState } from "preact/hooks";
import type { FeatureView } from "../../data/contract";
import type { ExplorerSource } from "../../data/explorer";
import { Card } from "../card";
import { reasonOf } from "../load";
import { afterFrame, whenIdle } from "../../data/idle";
import type { TokenTexts } from "../../data/tokens";

/** Milliseconds that a card stays open until its effects are computed: those that are stepped past are not. */
const STAYS = 400;

export interface OpenCard {
  /** Of the feature; of the one before until that of this one is there; null: none yet. */
  readonly card: Card | null;
  readonly feature: number;
  readonly effects: "none" | "computing" | "computed";
  readonly failed: string | null;
}

export function useCard(source: ExplorerSource, texts: TokenTexts, feature: number, ahead: readonly number[]): OpenCard {
  const [late, setLate] = useState<{ readonly feature: number; readonly view: FeatureView | null; readonly failed: string | null }>({ feature: -1, view: null, failed: null });
  const [effects, setEffects] = useState<OpenCard["effects"]>("none");
  const now = useMemo(() => source.card(feature), [source, feature]);
  useEffect(() => {
    const cancel = new AbortController();
    const take = (view: FeatureView): void => {
      if (!cancel.signal.aborted) setLate({ feature, view, failed: null });
    };
    const fail = (error: unknown): void => {
      if (!cancel.signal.aborted) setLate({ feature, view: null, failed: reasonOf(error) });
    };
    setEffects("none");
    if (now instanceof Promise) now.then(take, fail);
    const idle = afterFrame(() =>
      whenIdle(() => {
        for (const next of ahead) void Promise.resolve(source.card(next)).catch(() => undefined);
      }),
    );
    const timer = setTimeout(() => {
      if (!source.info.can.live) return;
      setEffects("computing");
      source.fullCard(feature, cancel.signal).then(
        (view) => {
          take(view);
          if (!cancel.signal.aborted) setEffects("computed");
        },
        () => {
          if (!cancel.signal.aborted) setEffects("none");
        },
      );
    }, STAYS);
    return () => {
      idle();
      clearTimeout(timer);
      cancel.abort();
    };
  }, [source, feature, now]);
  const last = useRef<FeatureView | null>(null);
  const failed = late.feature === feature ? late.failed : null;
  const there = late.feature === feature ? late.view : now instanceof Promise ? null : now;
  const view = there ?? (failed === null ? last.current : null);
  last.current = view;
  const card = useMemo(() => (view === null ? null : new Card(view, source.head, texts)), [view, source, texts]);
  return { card, feature, effects, failed };
}
