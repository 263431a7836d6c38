// Rows of examples, made by hand: they are most of a card's elements, and the next feature must stand in one frame.
//
// A row starts with elements for the tokens that matter (firing, masked, in focus, with a loss effect); the text between
// them is plain. `detail` gives every token of a row its element, once the pointer or the keyboard comes to the row.
import { fires, lossOf, type Card } from "../state/card";
import { boardNodes, type GroupBoards } from "./boards";
import { count, number } from "../data/format";
import type { Contexts } from "../data/contract";
import { strength } from "./colours";
import { alignedText, element } from "./pieces";
import { detailSources, sourceLine } from "./sources";

/** How much of a context a row shows, in tokens before and after the one in focus. */
export interface Step {
  readonly before: number;
  readonly after: number;
  /** What is shown then, in words. */
  readonly name: string;
}

/** How the rows of a card are drawn. */
export interface RowStyle {
  /** From the first view of a context to the widest. */
  readonly steps: readonly Step[];
  /** Lines break where the text does. */
  readonly breaks: boolean;
  /** Tokens other than the one in focus are plain text. */
  readonly focusOnly: boolean;
  /** Boards of the group that the rows are of; null where rows are text. */
  readonly boards: GroupBoards | null;
}

interface Row {
  readonly contexts: Contexts;
  readonly index: number;
  /** Number of the context's first token, counted through all groups of the card. */
  readonly number: number;
  readonly style: RowStyle;
  readonly step: number;
  /** Whether every token has its element. */
  readonly full: boolean;
}

const rowOf = new WeakMap<Element, Row>();

/** One list item for each context of a group whose first token has the number `start`, and first source token `sourceStart`. */
export function exampleRows(contexts: Contexts, start: number, sourceStart: number, card: Card, style: RowStyle): HTMLLIElement[] {
  return Array.from({ length: contexts.offsets.length - 1 }, (_, index) => {
    const item = document.createElement("li");
    const full = style.boards !== null; // moves stand apart, which takes an element for each
    const row = { contexts, index, number: start + (contexts.offsets[index] ?? 0), style, step: 0, full };
    rowOf.set(item, row);
    item.append(...(style.boards === null ? [actOf(contexts, index)] : boardNodes(contexts, index, card, style.boards)), text(row, card));
    if (contexts.sources !== null) item.append(sourceLine({ contexts, sources: contexts.sources, index, start: sourceStart, full: false }, card));
    const repeats = contexts.repeats[index] ?? 0;
    if (repeats > 0) {
      const note = element("span", "repeats", `×${count(repeats + 1)}`);
      note.title = `${count(repeats)} more firings show this very context`;
      item.append(note);
    }
    return item;
  });
}

function actOf(contexts: Contexts, index: number): HTMLElement {
  return element("span", "act", number(contexts.acts[(contexts.offsets[index] ?? 0) + (contexts.focus[index] ?? 0)] ?? NaN));
}

/** Give every token of a row an element of its own; nothing on screen moves. Returns whether anything was left to do. */
export function detail(item: HTMLLIElement, card: Card): boolean {
  const row = rowOf.get(item);
  if (row === undefined || row.full) return false;
  redraw(item, { ...row, full: true }, card);
  detailSources(item, card);
  return true;
}

/** Show more of a row's context; after the widest view, the first again. Returns whether it has another view. */
export function expand(item: HTMLLIElement, card: Card): boolean {
  const row = rowOf.get(item);
  const step = row === undefined ? null : nextStep(row);
  if (row === undefined || step === null) return false;
  item.classList.toggle("open", step > 0);
  redraw(item, { ...row, step, full: true }, card);
  return true;
}

/** What `expand` would show, in words; null where there is nothing else to show. */
export function nextView(item: HTMLLIElement): string | null {
  const row = rowOf.get(item);
  const step = row === undefined ? null : nextStep(row);
  return step === null ? null : (step === 0 ? "Show less" : `Show ${row?.style.steps[step]?.name ?? "more"}`);
}

/** Tokens of a row as shown. */
export function shownTokens(item: HTMLLIElement): Int32Array {
  const row = rowOf.get(item);
  if (row === undefined) return new Int32Array();
  const from = row.contexts.offsets[row.index] ?? 0;
  const [first, last] = windowOf(row, row.step);
  return row.contexts.tokens.subarray(from + first, from + last);
}

/** Where a row's token in focus is in the corpus. */
export function rowPlace(item: HTMLLIElement): { sequence: number; position: number } | null {
  const row = rowOf.get(item);
  if (row === undefined) return null;
  const { contexts: c, index } = row;
  return { sequence: c.sequence[index] ?? -1, position: (c.start[index] ?? 0) + (c.focus[index] ?? 0) };
}

/** The label of a row's token in focus, for each labelling of the page; -1: none. */
export function rowLabels(item: HTMLLIElement): number[] {
  const row = rowOf.get(item);
  if (row === undefined) return [];
  const { contexts: c, index } = row;
  return c.labels.map((own) => own[(c.offsets[index] ?? 0) + (c.focus[index] ?? 0)] ?? -1);
}

function redraw(item: HTMLLIElement, row: Row, card: Card): void {
  rowOf.set(item, row);
  item.querySelector(".text")?.replaceWith(text(row, card));
}

/** The next wider view; the first one after the widest; null where all views are one. */
function nextStep(row: Row): number | null {
  const size = (step: number): number => windowOf(row, step)[1] - windowOf(row, step)[0];
  for (let step = row.step + 1; step < row.style.steps.length; step++) if (size(step) > size(row.step)) return step;
  return row.step === 0 ? null : 0;
}

/** First and last token (exclusive) of a view, within the context. */
function windowOf({ contexts, index, style }: Row, step: number): [number, number] {
  const n = (contexts.offsets[index + 1] ?? 0) - (contexts.offsets[index] ?? 0);
  const { before, after } = style.steps[step] ?? { before: Infinity, after: Infinity };
  const focus = contexts.focus[index] ?? 0;
  return [Math.max(focus - before, 0), Math.min(focus + after + 1, n)];
}

/** The context's text: what stands before the token in focus, and the rest. */
function text(row: Row, card: Card): HTMLElement {
  const { contexts, index, style, step, full } = row;
  const [skip, stop] = windowOf(row, step);
  const from = (contexts.offsets[index] ?? 0) + skip;
  const tokens = contexts.tokens.subarray(from, from + stop - skip);
  const focus = (contexts.focus[index] ?? 0) - skip;
  const breaks = style.breaks || step > 0;
  const drawing: Drawing = { contexts, from, first: row.number + skip, focus, scale: card.scale, focusOnly: style.focusOnly };
  return alignedText(tokens, card.texts, {
    focus,
    breaks,
    plain: (token) => !full && !matters(token, drawing),
    band: (token) => band(token, drawing),
  });
}

interface Drawing {
  readonly contexts: Contexts;
  /** Index of the context's first token among the group's. */
  readonly from: number;
  readonly first: number;
  readonly focus: number;
  readonly scale: number;
  readonly focusOnly: boolean;
}

/** Whether a token looks other than plain text. */
function matters(token: number, { contexts, from, focus, focusOnly }: Drawing): boolean {
  if (focusOnly) return token === focus;
  const loss = lossOf(contexts)?.[from + token] ?? NaN;
  return token === focus || contexts.acts[from + token] !== 0 || loss < 0 || loss > 0;
}

/** A token's element: its number, and what it does as classes. */
function band(token: number, { contexts, from, first, focus, scale, focusOnly }: Drawing): HTMLElement {
  const made = element("span", token === focus ? "tok focus" : "tok");
  made.dataset["t"] = String(first + token);
  if (focusOnly && token !== focus) return made;
  const act = contexts.acts[from + token] ?? NaN;
  const loss = lossOf(contexts)?.[from + token] ?? NaN;
  let name = made.className;
  if (Number.isNaN(act)) name += " masked";
  else if (act !== 0) name += act > 0 ? " on" : " on below";
  if (loss < 0) name += " loss helps";
  else if (loss > 0) name += " loss harms";
  made.className = name;
  if (fires(act)) made.style.setProperty("--a", String(strength(act / scale)));
  return made;
}
