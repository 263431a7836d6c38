// Keys of a page: what they do, and the words for it in the help. What is in focus (a chart, the examples, a list) comes first.
import { useLayoutEffect } from "preact/hooks";
import { useFrame } from "./frame";
import { pin, setPin, tip } from "./card";

/** What keys act on, beside what is the page's own. */
export interface KeyState {
  readonly help: boolean;
  readonly setHelp: (open: boolean) => void;
}

/** A line of the help. */
export interface KeyLine<S> {
  /** Keys as events name them; those that belong together in one list. */
  readonly keys: readonly (readonly string[])[];
  /** What else does the same, in words. */
  readonly or?: string;
  readonly does: string;
  /** Whether Shift must be held, or must not; left out: either. */
  readonly shift?: boolean;
  /**
   * What a key does; false: nothing now. `n` is its place in its list. Left out where what is in focus does it.
   */
  readonly act?: (state: S, n: number, key: string) => boolean | void;
}

/** Titled lists of keys. */
export type KeyMap<S> = readonly (readonly [title: string, lines: readonly KeyLine<S>[]])[];

/** Keys of every page, behind its own. */
const PAGE_KEYS: KeyMap<KeyState> = [
  [
    "Page",
    [
      { keys: [["Escape"]], does: "close or let go of what came last" },
      { keys: [["?"]], does: "this list", act: ({ setHelp }) => setHelp(true) },
    ],
  ],
];

/** A page's keys, with those of every page. */
export function keyMap<S extends KeyState>(own: KeyMap<S>): KeyMap<S> {
  return [...own, ...PAGE_KEYS];
}

export interface Focus {
  /** Close what the page has open, which comes before a pinned token and the tooltip; whether there was something. */
  readonly close?: () => boolean;
  /** Whether a key belongs to what is in focus, beside text that is typed. */
  readonly taken?: (event: KeyboardEvent, target: HTMLElement) => boolean;
}

export function useKeys<S extends KeyState>(map: KeyMap<S>, state: S, { close, taken }: Focus = {}): void {
  const { keys: heard } = useFrame();
  useLayoutEffect(() => {
    const onKey = (event: Event): void => {
      if (!(event instanceof KeyboardEvent) || event.ctrlKey || event.metaKey || event.altKey) return;
      if (event.key === "Escape") {
        if (!closeTopmost(state, close)) run(map, state, event);
      } else if (state.help || isTaken(event, taken) || !run(map, state, event)) return;
      event.preventDefault();
    };
    heard.addEventListener("keydown", onKey);
    return () => heard.removeEventListener("keydown", onKey);
  });
}

/** Does what a key does; whether there was something to do. */
function run<S>(map: KeyMap<S>, state: S, { key, shiftKey }: KeyboardEvent): boolean {
  for (const [, lines] of map) {
    for (const { keys, shift, act } of lines) {
      const list = keys.find((some) => some.includes(key));
      if (list !== undefined && act !== undefined && (shift ?? shiftKey) === shiftKey) return act(state, list.indexOf(key), key) !== false;
    }
  }
  return false;
}

/** Help, then what the page has open, then the pinned token, then the tooltip; whether there was one of these. */
function closeTopmost({ help, setHelp }: KeyState, close: Focus["close"]): boolean {
  if (help) setHelp(false);
  else if (close?.() === true) return true;
  else if (pin.value !== null) setPin(null);
  else if (tip.value !== null) tip.set(null);
  else return false;
  return true;
}

function isTaken(event: KeyboardEvent, taken: Focus["taken"]): boolean {
  const { target } = event;
  if (!(target instanceof HTMLElement)) return false;
  return target.matches("input:not([type=checkbox]), textarea, select") || taken?.(event, target) === true;
}

const SIGNS: Readonly<Record<string, string>> = { ArrowLeft: "←", ArrowRight: "→", ArrowUp: "↑", ArrowDown: "↓", Escape: "Esc" };

/** A line's keys as the help shows them. */
export function keyWords<S>({ keys, or, shift }: KeyLine<S>): string {
  const words = keys.map((list) => (list.length > 4 ? `${list[0] ?? ""} to ${list.at(-1) ?? ""}` : list.map((key) => SIGNS[key] ?? key).join(" ")));
  const all = (shift === true ? "Shift + " : "") + words.join(", ");
  return [all, ...(or === undefined ? [] : [or])].filter((word) => word !== "").join(", ");
}
