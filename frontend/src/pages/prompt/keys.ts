// Keys of a page of prompts.
import { useRef } from "preact/hooks";
import { keyMap, type KeyState } from "../../state/keys";
import type { Place, Span } from "../../state/address";
import type { PromptState } from "../../state/prompt/state";
import type { Side } from "../../state/sides";

export interface PromptKeys extends PromptState, KeyState {
  readonly step: Step;
}

const NUMBERS = ["1", "2", "3", "4", "5", "6", "7", "8", "9"];

export const KEYS = keyMap<PromptKeys>([
  [
    "Prompt",
    [
      { keys: [["ArrowLeft", "ArrowRight"]], shift: false, or: "or click", does: "the token before, the token after", act: (state, n) => turn(state, n, false) },
      { keys: [["ArrowLeft", "ArrowRight"]], shift: true, or: "drag, Shift + click", does: "a span of tokens", act: (state, n) => turn(state, n, true) },
      { keys: [["ArrowUp", "ArrowDown"]], does: "the other prompt, where two are compared", act: (state, n) => cross(state, n === 0 ? 0 : 1) },
      { keys: [["Escape"]], or: "or “Whole prompt”", does: "back to the whole prompt", act: release },
    ],
  ],
  [
    "Ranking",
    [
      { keys: [["m"], ["M"]], does: "the next metric, the one before", act: nextMetric },
      { keys: [["Enter"], NUMBERS], does: "open the card of the first feature, of the nth", act: openNth },
      { keys: [], or: "hover a row", does: "the prompt is coloured by that feature" },
      { keys: [], or: "click a row", does: "keep that feature's card and colours; again: let go" },
    ],
  ],
  [
    "Heat map, charts, examples (Tab leads there)",
    [
      { keys: [["ArrowLeft", "ArrowRight", "ArrowUp", "ArrowDown"]], does: "from cell to cell, bar to bar, token to token" },
      { keys: [["Enter"]], does: "keep the cell's feature and token; pin a token of an example" },
    ],
  ],
]);

/** What is in focus and has keys of its own. */
export const ON_CONTROLS = {
  taken: ({ key }: KeyboardEvent, target: HTMLElement): boolean => target.matches("input") || (key === "Enter" && target.matches("button, a, summary")),
};

export interface Step {
  (by: number, extend?: boolean): void;
}

/** The token before or after; of a span, beyond the end that moves. From the whole prompt, its first or last token. */
export function useStep({ address, move, prompts }: PromptState): Step {
  const ends = useRef<{ readonly anchor: Place; readonly moving: Place } | null>(null);
  return (by, extend = false) => {
    const { span } = address;
    const side: Side = span?.side ?? 0;
    const n = prompts.side(side).n;
    const known = ends.current;
    const ours = known !== null && span !== null && same(spanOf(known.anchor, known.moving), span);
    const start = by > 0 ? -1 : n;
    const moving = ours ? known.moving.position : (span?.[by > 0 ? "to" : "from"] ?? start);
    const to: Place = { side, position: Math.min(Math.max(moving + by, 0), n - 1) };
    const fixed = ours ? known.anchor : { side, position: (by > 0 ? span?.from : span?.to) ?? to.position };
    const anchor = extend ? fixed : to;
    ends.current = { anchor, moving: to };
    move({ span: spanOf(anchor, to), held: null }, "replace");
  };
}

function spanOf(a: Place, b: Place): Span {
  return { side: a.side, from: Math.min(a.position, b.position), to: Math.max(a.position, b.position) };
}

function same(a: Span, b: Span): boolean {
  return a.side === b.side && a.from === b.from && a.to === b.to;
}

/** The marked cell, then the chosen feature, then the chosen tokens. */
function release({ address, move, pointer }: PromptState): boolean {
  if (pointer.at.value.near !== null) pointer.set(null);
  else if (address.feature !== null || address.held !== null) move({ feature: null, held: null });
  else if (address.span !== null) move({ span: null });
  else return false;
  return true;
}

function turn({ address, prompts, texts, step }: PromptKeys, n: number, extend: boolean): void {
  const rtl = texts.direction(prompts.side(address.span?.side ?? 0).view.tokens) === "rtl";
  step((n === 0) === rtl ? 1 : -1, extend);
}

/** To the token of the other prompt that stands for the chosen one. */
function cross({ address, move, prompts }: PromptState, side: Side): boolean {
  const { span } = address;
  if (!prompts.two || span === null || span.side === side) return false;
  const partner = prompts.partner({ side: span.side, position: span.from });
  if (partner === null) return false;
  move({ span: { side, from: partner.position, to: partner.position }, held: null }, "replace");
  return true;
}

function nextMetric({ prompts, measure, move }: PromptState, _: number, key: string): void {
  const by = key === "m" ? 1 : -1;
  const known = (prompts.part.prompts[0]?.metrics ?? []).filter(({ name }) => name === measure.metric.name || prompts.known(name));
  const names = known.map(({ name }) => name);
  const next = names[(names.indexOf(measure.metric.name) + by + names.length) % names.length];
  if (next !== undefined) move({ metric: next, order: null });
}

function openNth({ listed, prompts, move }: PromptState, n: number): boolean {
  const row = listed[n];
  if (row !== undefined) move({ feature: prompts.part.firing.feature[row] ?? null, held: null });
  return row !== undefined;
}
