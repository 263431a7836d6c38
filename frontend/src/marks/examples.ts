// Rows of examples, made by hand: they are most of a card's elements, and the next feature must stand in one frame.
//
// A row starts with elements for the tokens that matter (firing, masked, in focus, with a loss effect); the text between
// them is plain. `detail` gives every token of a row its element, once the pointer or the keyboard comes to the row.
import { lossOf, type Card } from "../card";
import { count, number } from "../format";
import type { Contexts } from "../payload";
import type { Piece, Run } from "../tokens";
import { strength } from "./colours";

interface Row {
  readonly contexts: Contexts;
  readonly index: number;
  /** Number of the context's first token, counted through all groups of the card. */
  readonly number: number;
}

const rowOf = new WeakMap<Element, Row>();

/** One list item for each context of a group whose first token has the number `start`. */
export function exampleRows(contexts: Contexts, start: number, card: Card): HTMLLIElement[] {
  return Array.from({ length: contexts.offsets.length - 1 }, (_, index) => {
    const item = document.createElement("li");
    const row = { contexts, index, number: start + (contexts.offsets[index] ?? 0) };
    rowOf.set(item, row);
    item.append(
      element("span", "act", number(contexts.acts[(contexts.offsets[index] ?? 0) + (contexts.focus[index] ?? 0)] ?? NaN)),
      text(row, card, false),
    );
    const repeats = contexts.repeats[index] ?? 0;
    if (repeats > 0) {
      const note = element("span", "repeats", `×${count(repeats + 1)}`);
      note.title = `${count(repeats)} more firings show this very context`;
      item.append(note);
    }
    return item;
  });
}

/** Give every token of a row an element of its own; nothing on screen moves. Returns whether anything was left to do. */
export function detail(item: HTMLLIElement, card: Card): boolean {
  const row = rowOf.get(item);
  if (row === undefined) return false;
  rowOf.delete(item);
  item.querySelector(".text")?.replaceWith(text(row, card, true));
  return true;
}

/** The context's text: what stands before the token in focus, and the rest. */
function text({ contexts, index, number: first }: Row, card: Card, full: boolean): HTMLElement {
  const from = contexts.offsets[index] ?? 0;
  const focus = contexts.focus[index] ?? 0;
  const pieces = card.texts.pieces(contexts.tokens.subarray(from, contexts.offsets[index + 1] ?? from));
  const drawing: Drawing = { contexts, from, first, focus, scale: card.scale, full };
  const [inner, after] = [element("span"), element("span", "after")];
  for (const piece of pieces) (piece.last < focus ? inner : after).append(...drawPiece(piece, drawing));
  const before = element("span", "before");
  before.append(inner);
  const whole = element("span", "text");
  whole.dir = "auto";
  whole.append(before, after);
  return whole;
}

interface Drawing {
  readonly contexts: Contexts;
  /** Index of the context's first token among the group's. */
  readonly from: number;
  readonly first: number;
  readonly focus: number;
  readonly scale: number;
  readonly full: boolean;
}

/** A token's text; or a character of several tokens, drawn once over a band for each of them. */
function drawPiece(piece: Piece, d: Drawing): Node[] {
  if (piece.first === piece.last) {
    const content = runNodes(piece.runs);
    if (!d.full && !matters(piece.first, d)) return content;
    const token = band(piece.first, d);
    token.append(...content);
    return [token];
  }
  const shared = element("span", d.focus >= piece.first && d.focus <= piece.last ? "shared focus" : "shared");
  const bands = element("span", "bands");
  for (let token = piece.first; token <= piece.last; token++) bands.append(band(token, d));
  const glyph = element("span", "glyph");
  glyph.append(...runNodes(piece.runs));
  shared.append(bands, glyph);
  return [shared];
}

function runNodes(runs: readonly Run[]): Node[] {
  return runs.map((run) => (run.kind === "text" ? document.createTextNode(run.text) : element("i", run.kind, run.text)));
}

/** Whether a token looks other than plain text. */
function matters(token: number, { contexts, from, focus }: Drawing): boolean {
  const loss = lossOf(contexts)?.[from + token] ?? NaN;
  return token === focus || contexts.acts[from + token] !== 0 || loss < 0 || loss > 0;
}

/** A token's element: its number, and what it does as classes. */
function band(token: number, { contexts, from, first, focus, scale }: Drawing): HTMLElement {
  const act = contexts.acts[from + token] ?? NaN;
  const loss = lossOf(contexts)?.[from + token] ?? NaN;
  let name = token === focus ? "tok focus" : "tok";
  if (Number.isNaN(act)) name += " masked";
  else if (act !== 0) name += act > 0 ? " on" : " on below";
  if (loss < 0) name += " loss helps";
  else if (loss > 0) name += " loss harms";
  const made = element("span", name);
  made.dataset["t"] = String(first + token);
  if (act !== 0 && !Number.isNaN(act)) made.style.setProperty("--a", String(strength(act / scale)));
  return made;
}

function element(tag: "span" | "i", name?: string, content?: string): HTMLElement {
  const made = document.createElement(tag);
  if (name !== undefined) made.className = name;
  if (content !== undefined) made.textContent = content;
  return made;
}
