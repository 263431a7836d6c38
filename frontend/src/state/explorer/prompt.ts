// Prompts of the user's own, live: asked for as they are typed, full effects as they are measured.
import { useEffect, useRef, useState } from "preact/hooks";
import type { FeatureView, MeasuredEffects, PromptPart } from "../../data/contract";
import type { ExplorerSource } from "../../data/explorer";
import type { Late, Source } from "../../data/source";
import { reasonOf } from "../load";

/** Milliseconds after the last key until the model runs. */
const PAUSE = 400;

export interface LivePrompt {
  /** What is shown: of these texts, or of those before while they are on their way. */
  readonly part: PromptPart | null;
  readonly state: "none" | "running" | "there";
  readonly failed: string | null;
  readonly measuring: { readonly done: number; readonly total: number } | null;
  readonly measure: (pairs: number) => void;
  readonly cancel: () => void;
}

export function useLivePrompt(source: ExplorerSource, text: string, compare: string): LivePrompt {
  const [part, setPart] = useState<PromptPart | null>(null);
  const [state, setState] = useState<LivePrompt["state"]>("none");
  const [failed, setFailed] = useState<string | null>(null);
  const [measuring, setMeasuring] = useState<LivePrompt["measuring"]>(null);
  const running = useRef<AbortController | null>(null);
  const second = compare === "" ? null : compare;
  const cancel = (): void => {
    running.current?.abort();
    running.current = null;
    setMeasuring(null);
  };
  useEffect(() => {
    cancel();
    setFailed(null);
    if (text === "") {
      setPart(null);
      setState("none");
      return undefined;
    }
    setState("running");
    const stop = new AbortController();
    const timer = setTimeout(() => {
      source.prompt(text, second, stop.signal).then(
        (found) => {
          setPart(found);
          setState("there");
        },
        (error: unknown) => {
          if (stop.signal.aborted) return;
          setFailed(reasonOf(error));
          setState("none");
        },
      );
    }, PAUSE);
    return () => {
      clearTimeout(timer);
      stop.abort();
    };
  }, [source, text, second]);
  const measure = (pairs: number): void => {
    cancel();
    const stop = new AbortController();
    running.current = stop;
    setFailed(null);
    setMeasuring({ done: 0, total: pairs });
    const take = (some: MeasuredEffects): void => {
      if (stop.signal.aborted) return;
      setPart((before) => (before === null ? null : withEffects(before, some)));
      setMeasuring({ done: some.done, total: some.total });
    };
    source.effects({ text, compare: second, pairs }, take, stop.signal).then(
      () => running.current === stop && cancel(),
      (error: unknown) => {
        if (stop.signal.aborted) return;
        cancel();
        setFailed(reasonOf(error));
      },
    );
  };
  return { part, state, failed, measuring, measure, cancel };
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
