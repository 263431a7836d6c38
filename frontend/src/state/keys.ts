// Keys of a whole page; what is in focus (a chart, the examples, a list) has keys of its own and comes first.
import { useLayoutEffect } from "preact/hooks";
import { pin, setPin, tip } from "./card";

/** Titled lists of what keys do. */
export type Keys = readonly (readonly [title: string, rows: readonly (readonly [keys: string, does: string])[]])[];

/** Keys of every page, behind its own. */
export const PAGE_KEYS: Keys = [
  [
    "Page",
    [
      ["Esc", "close or let go of what came last"],
      ["?", "this list"],
    ],
  ],
];

export interface PageKeys {
  readonly help: boolean;
  readonly setHelp: (open: boolean) => void;
  /** What the page's own keys do; whether the key is one. */
  readonly act: (event: KeyboardEvent) => boolean;
  /** Close or let go of what came last, beside the help, a pinned token and the tooltip; whether there was something. */
  readonly close?: (() => boolean) | undefined;
  /** What comes after these; whether there was something. */
  readonly release?: (() => boolean) | undefined;
  /** Whether a key belongs to what is in focus, beside text that is typed. */
  readonly taken?: ((event: KeyboardEvent, target: HTMLElement) => boolean) | undefined;
}

export function useKeys(keys: PageKeys): void {
  useLayoutEffect(() => {
    const onKey = (event: KeyboardEvent): void => {
      if (event.ctrlKey || event.metaKey || event.altKey) return;
      if (event.key === "Escape") closeTopmost(keys);
      else if (keys.help || isTaken(event, keys)) return;
      else if (event.key === "?") keys.setHelp(true);
      else if (!keys.act(event)) return;
      event.preventDefault();
    };
    window.addEventListener("keydown", onKey);
    return () => window.removeEventListener("keydown", onKey);
  }, [keys]);
}

/** Help, then what the page has open, then the pinned token, then the tooltip, then what the page holds. */
function closeTopmost({ help, setHelp, close, release }: PageKeys): void {
  if (help) setHelp(false);
  else if (close?.() === true) return;
  else if (pin.value !== null) setPin(null);
  else if (tip.value !== null) tip.set(null);
  else release?.();
}

function isTaken(event: KeyboardEvent, { taken }: PageKeys): boolean {
  const { target } = event;
  if (!(target instanceof HTMLElement)) return false;
  return target.matches("input:not([type=checkbox]), textarea, select") || taken?.(event, target) === true;
}
