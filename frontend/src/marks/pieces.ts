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
  for (const piece of texts.pieces(tokens)) (piece.last < look.focus ? inner : after).append(...drawPiece(piece, look));
  const before = element("span", "before");
  before.append(inner);
  const whole = element("span", "text");
  whole.dir = texts.direction(tokens);
  whole.append(before, after);
  return whole;
}

/** A token's text; or a character of several tokens, drawn once over a band for each of them. */
function drawPiece(piece: Piece, look: Look): Node[] {
  if (piece.first === piece.last) {
    const content = runNodes(piece.runs, look.breaks);
    if (look.plain(piece.first)) return content;
    const token = look.band(piece.first);
    token.append(...content);
    return [token];
  }
  const shared = element("span", look.focus >= piece.first && look.focus <= piece.last ? "shared focus" : "shared");
  const bands = element("span", "bands");
  for (let token = piece.first; token <= piece.last; token++) bands.append(look.band(token));
  const glyph = element("span", "glyph");
  glyph.append(...runNodes(piece.runs, look.breaks));
  shared.append(bands, glyph);
  return [shared];
}

function runNodes(runs: readonly Run[], breaks: boolean): Node[] {
  return runs.flatMap((run): Node[] => {
    if (run.kind === "text") return [document.createTextNode(run.text)];
    if (run.kind !== "line" || !breaks) return [element("i", run.kind, run.text)];
    return Array.from(run.text, (mark) => [element("i", "line", mark), document.createTextNode(mark === "↵" ? "\n" : "\t")]).flat();
  });
}

export function element(tag: "span" | "i", name?: string, content?: string): HTMLElement {
  const made = document.createElement(tag);
  if (name !== undefined) made.className = name;
  if (content !== undefined) made.textContent = content;
  return made;
}
