// Text of an example as elements: what stands before the token in focus, and the rest, so that lines align there.
import type { Piece, Run, TokenTexts } from "../data/tokens";

/** How the tokens of a text are drawn. */
export interface Look {
  /** The token at which lines align. */
  readonly focus: number;
  /** Lines break where the text does. */
  readonly breaks: boolean;
  /** Whether a token needs no element of its own. */
  readonly plain: (token: number) => boolean;
  /** A token's element, without its text. */
  readonly band: (token: number) => HTMLElement;
}

/** Tokens as one text. */
export function alignedText(tokens: Int32Array, texts: TokenTexts, look: Look): HTMLElement {
  const [inner, after] = [element("span"), element("span", "after")];
  const [first, rest]: [Part[], Part[]] = [[], []];
  for (const piece of texts.pieces(tokens)) drawPiece(piece, look, piece.last < look.focus ? first : rest);
  inner.append(...first);
  after.append(...rest);
  const before = element("span", "before");
  before.append(inner);
  const whole = element("span", "text");
  whole.dir = texts.direction(tokens);
  whole.append(before, after);
  return whole;
}

/** A text, or an element. */
type Part = string | HTMLElement;

/** A token's text; or a character of several tokens, drawn once over a band for each of them. */
function drawPiece(piece: Piece, look: Look, out: Part[]): void {
  if (piece.first === piece.last) {
    if (look.plain(piece.first)) return drawRuns(piece.runs, look.breaks, out);
    const token = look.band(piece.first);
    token.append(...runs(piece.runs, look.breaks));
    out.push(token);
    return;
  }
  const shared = element("span", look.focus >= piece.first && look.focus <= piece.last ? "shared focus" : "shared");
  const bands = element("span", "bands");
  for (let token = piece.first; token <= piece.last; token++) bands.append(look.band(token));
  const glyph = element("span", "glyph");
  glyph.append(...runs(piece.runs, look.breaks));
  shared.append(bands, glyph);
  out.push(shared);
}

function runs(list: readonly Run[], breaks: boolean): Part[] {
  const out: Part[] = [];
  drawRuns(list, breaks, out);
  return out;
}

/** Text goes on with the text before it, so that a line is a few long texts, and not one for each token. */
function drawRuns(list: readonly Run[], breaks: boolean, out: Part[]): void {
  for (const { kind, text } of list) {
    if (kind === "text") write(text, out);
    else if (kind !== "line" || !breaks) out.push(element("i", kind, text));
    else {
      for (const mark of text) {
        out.push(element("i", "line", mark));
        write(mark === "↵" ? "\n" : "\t", out);
      }
    }
  }
}

function write(text: string, out: Part[]): void {
  const last = out[out.length - 1];
  if (typeof last === "string") out[out.length - 1] = last + text;
  else out.push(text);
}

export function element(tag: "span" | "i", name?: string, content?: string): HTMLElement {
  const made = document.createElement(tag);
  if (name !== undefined) made.className = name;
  if (content !== undefined) made.textContent = content;
  return made;
}
