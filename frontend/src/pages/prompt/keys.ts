// Keys of a page of prompts.
import { useRef } from "preact/hooks";
import { PAGE_KEYS, useKeys, type Keys } from "../../state/keys";
import type { Place, Span } from "../../state/prompt/address";
import type { PromptState } from "../../state/prompt/state";
import type { Side } from "../../state/sides";

export const KEYS: Keys = [
  [
    "Prompt",
    [
      ["← →, or click", "the token before, the token after"],
      ["Shift + ← →, drag, Shift + click", "a span of tokens"],
      ["↑ ↓", "the other prompt, where two are compared"],
      ["Esc, or “Whole prompt”", "back to the whole prompt"],
    ],
  ],
  [
    "Ranking",
    [
      ["m, M", "the next metric, the one before"],
      ["Enter, 1 to 9", "open the card of the first feature, of the nth"],
      ["hover a row", "the prompt is coloured by that feature"],
      ["click a row", "keep that feature's card and colours; again: let go"],
    ],
  ],
  [
    "Heat map, charts, examples (Tab leads there)",
    [
      ["← → ↑ ↓", "from cell to cell, bar to bar, token to token"],
      ["Enter", "keep the cell's feature and token; pin a token of an example"],
    ],
  ],
  ...PAGE_KEYS,
];

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

export function usePromptKeys(state: PromptState, step: Step, help: boolean, setHelp: (open: boolean) => void): void {
  useKeys({
    help,
    setHelp,
    act: (event) => act(event, state, step),
    release: () => release(state),
    taken: ({ key }, target) => target.matches("input") || (key === "Enter" && target.matches("button, a, summary")),
  });
}

/** The marked cell, then the chosen feature, then the chosen tokens. */
function release({ address, move, pointer }: PromptState): boolean {
  if (pointer.at.value.near !== null) pointer.set(null);
  else if (address.feature !== null || address.held !== null) move({ feature: null, held: null });
  else if (address.span !== null) move({ span: null });
  else return false;
  return true;
}

function act(event: KeyboardEvent, state: PromptState, step: Step): boolean {
  const { key, shiftKey } = event;
  const { address, prompts } = state;
  const rtl = state.texts.direction(prompts.side(address.span?.side ?? 0).view.tokens) === "rtl" ? -1 : 1;
  if (key === "ArrowRight") step(rtl, shiftKey);
  else if (key === "ArrowLeft") step(-rtl, shiftKey);
  else if ((key === "ArrowUp" || key === "ArrowDown") && prompts.two) return cross(state, key === "ArrowDown" ? 1 : 0);
  else if (key === "m") nextMetric(state, 1);
  else if (key === "M") nextMetric(state, -1);
  else if (key === "Enter") return openNth(state, 0);
  else if (/^[1-9]$/.test(key)) return openNth(state, Number(key) - 1);
  else return false;
  return true;
}

/** To the token of the other prompt that stands for the chosen one. */
function cross({ address, move, prompts }: PromptState, side: Side): boolean {
  const { span } = address;
  if (span === null || span.side === side) return false;
  const partner = prompts.partner({ side: span.side, position: span.from });
  if (partner === null) return false;
  move({ span: { side, from: partner.position, to: partner.position }, held: null }, "replace");
  return true;
}

function nextMetric({ prompts, measure, move }: PromptState, by: number): void {
  const names = (prompts.part.prompts[0]?.metrics ?? []).map((metric) => metric.name);
  const next = names[(names.indexOf(measure.metric.name) + by + names.length) % names.length];
  if (next !== undefined) move({ metric: next, order: null });
}

function openNth({ listed, prompts, move }: PromptState, n: number): boolean {
  const row = listed[n];
  if (row !== undefined) move({ feature: prompts.part.firing.feature[row] ?? null, held: null });
  return row !== undefined;
}
