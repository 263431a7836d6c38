// Answers to what is typed: asked for once the typing pauses, taken back when it goes on.
import { useEffect, useState } from "preact/hooks";
import { reasonOf } from "../load";

export interface Asked<T> {
  /** The last answer that came; null: none yet. */
  readonly found: T | null;
  readonly failed: string | null;
  /** Whether what is asked now is not answered yet. */
  readonly asking: boolean;
}

export interface Asking<T> {
  /** Asks for an answer; null: there is nothing to ask. */
  readonly ask: ((signal: AbortSignal) => Promise<T>) | null;
  /** Milliseconds after the last key. */
  readonly pause: number;
  /** Whether the answer before goes at once, or when the next one comes: one about another feature must not stay. */
  readonly clear: "at once" | "when asked nothing" | "never";
}

/** `about` is what an answer is about: another one is asked for when any of it changes. */
export function useAsked<T>({ ask, pause, clear }: Asking<T>, about: readonly unknown[]): Asked<T> {
  const [found, setFound] = useState<T | null>(null);
  const [failed, setFailed] = useState<string | null>(null);
  const [asking, setAsking] = useState(false);
  useEffect(() => {
    if (clear === "at once" || (clear === "when asked nothing" && ask === null)) {
      setFound(null);
      setFailed(null);
    }
    setAsking(ask !== null);
    if (ask === null) return undefined;
    const cancel = new AbortController();
    const timer = setTimeout(() => {
      ask(cancel.signal).then(
        (answer) => {
          if (cancel.signal.aborted) return;
          setFound(answer);
          setFailed(null);
          setAsking(false);
        },
        (error: unknown) => {
          if (cancel.signal.aborted) return;
          setFailed(reasonOf(error));
          setAsking(false);
        },
      );
    }, pause);
    return () => {
      clearTimeout(timer);
      cancel.abort();
    };
  }, about);
  return { found, failed, asking };
}
