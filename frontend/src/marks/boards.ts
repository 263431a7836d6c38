// Boards of a game as pictures: pieces, the last move, what it captured, the legal next moves. Shapes of one kind are one
// path, so that a card of many boards has few elements.
import type { Card } from "../state/card";
import { lossOf } from "../state/card";
import { number, plural, signed } from "../data/format";
import type { BoardLook, Boards, Contexts } from "../data/contract";

const CELL = 24;
const MARGIN = 18;
const DISC = 9.5;
const MARKS = { last: 1, captured: 2, legal: 4 } as const;
const SVG = "http://www.w3.org/2000/svg";

/** Boards of one group of examples. */
export interface GroupBoards {
  readonly look: BoardLook;
  readonly boards: Boards;
  /** Which of the boards is the group's first. */
  readonly first: number;
}

/** One board, square by square from the top left. */
interface State {
  readonly pieces: Uint8Array;
  readonly marks: Uint8Array;
  readonly toMove: number;
}

/** Where a square is drawn. */
export interface Place {
  readonly x: number;
  readonly y: number;
}

export function boardSize({ rows, columns }: BoardLook): { width: number; height: number } {
  return { width: MARGIN + columns * CELL + 2, height: MARGIN + rows * CELL + 2 };
}

export function placeOf({ columns }: BoardLook, square: number): Place {
  return { x: MARGIN + (square % columns) * CELL, y: MARGIN + Math.floor(square / columns) * CELL };
}

export const SQUARE = CELL;

export function squareName({ columns, row_names, column_names }: BoardLook, square: number): string {
  return `${row_names[Math.floor(square / columns)] ?? ""}${column_names[square % columns] ?? ""}`;
}

/** The square at a point of the picture's own coordinates, null beside the board. */
export function squareAt({ rows, columns }: BoardLook, x: number, y: number): number | null {
  const [column, row] = [Math.floor((x - MARGIN) / CELL), Math.floor((y - MARGIN) / CELL)];
  return row >= 0 && column >= 0 && row < rows && column < columns ? row * columns + column : null;
}

/** Lines of the grid: around squares, or through the crossings where pieces stand. */
export function gridPath({ rows, columns, grid }: BoardLook): string {
  const shift = grid === "crossings" ? CELL / 2 : 0;
  const [right, bottom] = [MARGIN + columns * CELL - shift, MARGIN + rows * CELL - shift];
  const lines: string[] = [];
  for (let r = 0; r <= rows - (shift ? 1 : 0); r++) lines.push(`M${MARGIN + shift} ${MARGIN + shift + r * CELL}H${right}`);
  for (let c = 0; c <= columns - (shift ? 1 : 0); c++) lines.push(`M${MARGIN + shift + c * CELL} ${MARGIN + shift}V${bottom}`);
  return lines.join("");
}

/** Names of rows and columns, with the place of the middle of each. */
export function edgeNames({ row_names, column_names }: BoardLook): { text: string; x: number; y: number }[] {
  const rows = row_names.map((text, r) => ({ text, x: MARGIN / 2 - 1, y: MARGIN + (r + 0.5) * CELL }));
  return [...column_names.map((text, c) => ({ text, x: MARGIN + (c + 0.5) * CELL, y: MARGIN / 2 })), ...rows];
}

/** The board of an example and what stands with it: the move, the feature's activation and its loss effect. */
export function boardNodes(contexts: Contexts, index: number, card: Card, { look, boards, first }: GroupBoards): Element[] {
  const n = look.rows * look.columns;
  const own = (first + index) * n;
  const state = { pieces: boards.pieces.subarray(own, own + n), marks: boards.marks.subarray(own, own + n), toMove: boards.to_move[first + index] ?? -1 };
  return [picture(look, state), caption(contexts, index, card, look, state)];
}

function caption(contexts: Contexts, index: number, card: Card, look: BoardLook, state: State): HTMLElement {
  const token = (contexts.offsets[index] ?? 0) + (contexts.focus[index] ?? 0);
  const move = (contexts.start[index] ?? 0) + (contexts.focus[index] ?? 0) + 1;
  const loss = lossOf(contexts)?.[token] ?? NaN;
  const made = html("div", "board-facts");
  const name = html("span", "move", card.texts.raw(contexts.tokens.subarray(token, token + 1)));
  made.append(
    fact(`move ${move}`, name),
    fact("act", html("b", "", number(contexts.acts[token] ?? NaN))),
    fact("loss", html("span", loss < 0 ? "helps" : loss > 0 ? "harms" : "", Number.isNaN(loss) ? "not computed" : signed(loss))),
    html("span", "turn quiet", turn(look, state)),
  );
  return made;
}

function fact(title: string, value: HTMLElement): HTMLElement {
  const made = html("span", "fact");
  made.append(html("span", "quiet", title), value);
  return made;
}

function turn({ players }: BoardLook, { toMove }: State): string {
  return toMove < 0 ? "game over" : `${players[toMove] ?? ""} to move`;
}

function picture(look: BoardLook, state: State): SVGElement {
  const { width, height } = boardSize(look);
  const out = svg("svg", { class: "board", viewBox: `0 0 ${width} ${height}`, role: "img", "aria-label": inWords(look, state) });
  const area = { x: MARGIN, y: MARGIN, width: look.columns * CELL, height: look.rows * CELL };
  out.append(svg("rect", { class: "ground", ...area }), svg("path", { class: "lines", d: gridPath(look) }));
  for (const { text, x, y } of edgeNames(look)) {
    const label = svg("text", { x, y, dy: "0.35em" });
    label.textContent = text;
    out.append(label);
  }
  look.pieces.forEach((piece, i) => {
    const squares = where(state.pieces, (value) => value === i + 1);
    if (piece.look !== "text") out.append(discs(look, squares, DISC, `disc ${piece.look}`));
    else for (const square of squares) out.append(letter(look, square, piece.text));
  });
  const marked = (bit: number): number[] => where(state.marks, (value) => (value & bit) !== 0);
  const [captured, occupied] = [marked(MARKS.captured), (square: number) => state.pieces[square] !== 0];
  out.append(
    discs(look, marked(MARKS.legal), 3.5, "legal"),
    svg("path", { class: "captured", d: captured.map((square) => diamond(look, square)).join("") }),
    svg("path", { class: "last", d: marked(MARKS.last).map((square) => frame(look, square)).join("") }),
  );
  out.classList.toggle("bare", !state.pieces.some((_, square) => occupied(square)));
  return out;
}

function where(values: Uint8Array, wanted: (value: number) => boolean): number[] {
  const found: number[] = [];
  values.forEach((value, square) => {
    if (wanted(value)) found.push(square);
  });
  return found;
}

function middle(look: BoardLook, square: number): Place {
  const { x, y } = placeOf(look, square);
  return { x: x + CELL / 2, y: y + CELL / 2 };
}

function discs(look: BoardLook, squares: readonly number[], radius: number, name: string): SVGElement {
  const round = (square: number): string => {
    const { x, y } = middle(look, square);
    return `M${x - radius} ${y}a${radius} ${radius} 0 1 0 ${2 * radius} 0a${radius} ${radius} 0 1 0 ${-2 * radius} 0Z`;
  };
  return svg("path", { class: name, d: squares.map(round).join("") });
}

function diamond(look: BoardLook, square: number): string {
  const { x, y } = middle(look, square);
  return `M${x} ${y - 5}l5 5l-5 5l-5 -5Z`;
}

function frame(look: BoardLook, square: number): string {
  const { x, y } = placeOf(look, square);
  return `M${x + 1.5} ${y + 1.5}h${CELL - 3}v${CELL - 3}h${3 - CELL}Z`;
}

function letter(look: BoardLook, square: number, text: string): SVGElement {
  const { x, y } = middle(look, square);
  const made = svg("text", { class: "piece", x, y, dy: "0.35em" });
  made.textContent = text;
  return made;
}

/** What a board shows, in words. */
function inWords(look: BoardLook, state: State): string {
  const names = (bit: number): string[] => where(state.marks, (value) => (value & bit) !== 0).map((square) => squareName(look, square));
  const counts = look.pieces.map(({ name }, i) => plural(where(state.pieces, (value) => value === i + 1).length, name));
  const parts = [`${look.game} board: ${counts.join(", ")}`, turn(look, state)];
  const told: [string, number][] = [["last move", MARKS.last], ["captured", MARKS.captured], ["legal moves", MARKS.legal]];
  for (const [what, bit] of told) if (names(bit).length > 0) parts.push(`${what} ${names(bit).join(", ")}`);
  return `${parts.join("; ")}.`;
}

function svg(tag: string, attributes: Readonly<Record<string, string | number>>): SVGElement {
  const made = document.createElementNS(SVG, tag);
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, String(value));
  return made;
}

function html(tag: "div" | "span" | "b", name: string, content?: string): HTMLElement {
  const made = document.createElement(tag);
  if (name) made.className = name;
  if (content !== undefined) made.textContent = content;
  return made;
}
