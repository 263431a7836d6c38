// A prompt's tokens as elements, and their colours: one for each token, so that colours change without a new drawing.
import { strength } from "../colours";
import type { Piece, Run } from "../../data/tokens";
import type { Tone } from "./words";

/** The colour of one token: how strong, from 0 to 1, and which. */
export interface Shade {
  readonly tone: Tone;
  readonly share: number;
}

const TONES = ["on", "toward", "against"] as const;
const CLASS: Readonly<Record<Tone, (typeof TONES)[number]>> = { plain: "on", toward: "toward", against: "against" };

/**
 * Elements of all tokens; a character of several tokens is drawn once over a band for each of them. Lines break where the
 * text does, unless told otherwise.
 */
export function tokenNodes(pieces: readonly Piece[], token: (position: number) => HTMLElement, breaks = true): Node[] {
  return pieces.map((piece) => {
    if (piece.first === piece.last) {
      const made = token(piece.first);
      made.append(...runNodes(piece.runs, breaks));
      return made;
    }
    const [shared, bands, glyph] = [element("shared"), element("bands"), element("glyph")];
    for (let i = piece.first; i <= piece.last; i++) bands.append(token(i));
    for (const box of [shared, bands, glyph]) box.setAttribute("role", "presentation");
    glyph.append(...runNodes(piece.runs, breaks));
    shared.append(bands, glyph);
    return shared;
  });
}

function element(name: string): HTMLElement {
  const made = document.createElement("span");
  made.className = name;
  return made;
}

function runNodes(runs: readonly Run[], breaks: boolean): Node[] {
  return runs.flatMap((run): Node[] => {
    if (run.kind === "text") return [document.createTextNode(run.text)];
    const marks = run.kind === "line" ? Array.from(run.text) : [run.text];
    return marks.flatMap((mark) => {
      const made = document.createElement("i");
      made.className = run.kind;
      made.textContent = mark;
      return run.kind === "line" && breaks ? [made, document.createTextNode(mark === "↵" ? "\n" : "\t")] : [made];
    });
  });
}

/** Colours every token that stands below an element. */
export function shadeTokens(root: Element, shade: (position: number) => Shade | null): void {
  for (const token of root.querySelectorAll<HTMLElement>("[data-t]")) {
    const wanted = token.classList.contains("masked") ? null : shade(Number(token.dataset["t"]));
    for (const name of TONES) token.classList.toggle(name, wanted !== null && CLASS[wanted.tone] === name);
    if (wanted === null) token.style.removeProperty("--a");
    else token.style.setProperty("--a", String(strength(wanted.share)));
  }
}

/** Marks some tokens with a class, and no others. */
export function markTokens(root: Element, name: string, marked: (position: number) => boolean): void {
  for (const token of root.querySelectorAll<HTMLElement>("[data-t]")) token.classList.toggle(name, marked(Number(token.dataset["t"])));
}

export function positionOf(target: EventTarget | null): number | null {
  const token = target instanceof Element ? target.closest<HTMLElement>("[data-t]") : null;
  return token === null ? null : Number(token.dataset["t"]);
}
