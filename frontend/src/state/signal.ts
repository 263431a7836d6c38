// A value that says when it changes: hovering a token moves lines in two charts without drawing the card again.
import { useLayoutEffect, useState } from "preact/hooks";

export class Signal<T> {
  private readonly listeners = new Set<(value: T) => void>();

  constructor(private current: T) {}

  get value(): T {
    return this.current;
  }

  set(value: T): void {
    if (value === this.current) return;
    this.current = value;
    for (const listener of [...this.listeners]) listener(value);
  }

  /** Returns the function that ends it. */
  subscribe(listener: (value: T) => void): () => void {
    this.listeners.add(listener);
    return () => this.listeners.delete(listener);
  }
}

/** The signal's value; the component is drawn again when it changes. */
export function useSignal<T>(signal: Signal<T>): T {
  const [, redraw] = useState(0);
  useLayoutEffect(() => {
    const seen = signal.value;
    const end = signal.subscribe(() => redraw((n) => n + 1));
    if (seen !== signal.value) redraw((n) => n + 1);
    return end;
  }, [signal]);
  return signal.value;
}
