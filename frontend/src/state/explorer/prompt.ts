// Prompts of the user's own, live: asked for as they are typed, full effects as they are measured.
import { useEffect, useRef, useState } from "preact/hooks";
import type { FeatureView, MeasuredEffects, PromptPart } from "../../data/contract";
import type { ExplorerSource } from "../../data/explorer";
import type { Late, Source } from "../../data/source";
import { reasonOf } from "../load";
import { useAsked } from "./asked";

/** Milliseconds after the last key until the model runs. */
const PAUSE = 400;

/** Pairs of token and feature whose full effects were measured, of those that were asked for. */
interface Progress {
  readonly done: number;
  readonly total: number;
}

export interface LivePrompt {
  /** What is shown: of these texts, or of those before while they are on their way. */
  readonly part: PromptPart | null;
  readonly state: "none" | "running" | "there";
  readonly failed: string | null;
  readonly measuring: Progress | null;
  /** How far the full effects of this prompt are known; null: none was measured. */
  readonly measured: Progress | null;
  readonly measure: (pairs: number) => void;
  readonly cancel: () => void;
}

export function useLivePrompt(source: ExplorerSource, text: string, compare: string): LivePrompt {
  const [measured, setMeasured] = useState<Measured | null>(null);
  const [measuring, setMeasuring] = useState<LivePrompt["measuring"]>(null);
  const running = useRef<AbortController | null>(null);
  const second = compare === "" ? null : compare;
  const cancel = (): void => {
    running.current?.abort();
    running.current = null;
    setMeasuring(null);
  };
  const about = [source, text, second];
  const ask = text === "" ? null : (signal: AbortSignal): Promise<PromptPart> => source.prompt(text, second, signal);
  const { found, failed, asking } = useAsked({ ask, pause: PAUSE, clear: "when asked nothing" }, about);
  useEffect(() => {
    cancel();
    setMeasured(null);
  }, about);
  const own = measured?.of === found ? measured : null;
  const measure = (pairs: number): void => {
    cancel();
    if (found === null) return;
    const stop = new AbortController();
    running.current = stop;
    const change = (to: Partial<Measured>): void => setMeasured((before) => ({ part: found, progress: null, failed: null, ...(before?.of === found ? before : {}), ...to, of: found }));
    change({ failed: null });
    setMeasuring({ done: 0, total: pairs });
    const take = (some: MeasuredEffects): void => {
      if (stop.signal.aborted) return;
      setMeasured((before) => (before?.of === found ? { ...before, part: withEffects(before.part, some), progress: furthest(before.progress, some) } : before));
      setMeasuring({ done: some.done, total: some.total });
    };
    source.effects({ text, compare: second, pairs }, take, stop.signal).then(
      () => running.current === stop && cancel(),
      (error: unknown) => {
        if (stop.signal.aborted) return;
        cancel();
        change({ failed: reasonOf(error) });
      },
    );
  };
  const state = asking ? "running" : failed !== null || found === null ? "none" : "there";
  return { part: own?.part ?? found, state, failed: asking ? null : (failed ?? own?.failed ?? null), measuring, measured: own?.progress ?? null, measure, cancel };
}

/** A prompt with the full effects that were measured so far. */
interface Measured {
  /** As it was answered. */
  readonly of: PromptPart;
  readonly part: PromptPart;
  readonly progress: Progress | null;
  /** Why no more could be measured; null: nothing is wrong. */
  readonly failed: string | null;
}

/** What is measured again is known already. */
function furthest(before: Progress | null, { done, total }: Progress): Progress {
  return before !== null && before.done > done ? before : { done, total };
}

/** A prompt with some more full effects. */
function withEffects(part: PromptPart, { side, pairs, loss, later }: MeasuredEffects): PromptPart {
  const added = (name: string, values: Float32Array): Float32Array => {
    const news = name === "full_loss_effect" ? loss : name === "full_later_effect" ? later : null;
    if (news === null) return values;
    const out = values.slice();
    pairs.forEach((pair, i) => (out[pair] = news[i] ?? NaN));
    return out;
  };
  const prompts = part.prompts.map((view, i) => (i === side ? { ...view, metrics: view.metrics.map((metric) => ({ ...metric, values: added(metric.name, metric.values) })) } : view));
  return { ...part, prompts };
}

/** What a prompt's page takes its data from. */
export function promptSource(source: ExplorerSource, part: PromptPart): Source {
  return {
    head: { ...source.head, summary: part.firing, prompt: true },
    can: { columns: new Set(), search: false },
    card: (feature): Late<FeatureView> => source.card(feature),
    columns: () => [],
    search: () => () => undefined,
    shared: source.shared,
    prompt: part,
    comparison: null,
  };
}
