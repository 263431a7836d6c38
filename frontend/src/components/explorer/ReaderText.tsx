// A page of the corpus as text: drawn once, coloured as features are pinned; one set of listeners for all its tokens.
import type { VNode } from "preact";
import { useLayoutEffect, useMemo, useRef } from "preact/hooks";
import { plural } from "../../data/format";
import type { TokenTexts } from "../../data/tokens";
import { shadeBands } from "../../marks/bands";
import { positionOf, tokenNodes } from "../../marks/prompt/tokens";
import { dotted } from "../../marks/prompt/words";
import type { PageText } from "../../state/explorer/reading";
import type { Signal } from "../../state/signal";
import { selecting, treeOf } from "../../state/tree";

/** The token that the pointer or the keyboard is on, and its place in the window. */
export interface Pointed {
  readonly token: number;
  readonly box: DOMRect;
}

export interface ReaderTextProps {
  readonly text: PageText;
  readonly texts: TokenTexts;
  readonly pinned: readonly number[];
  /** The token that is held. */
  readonly held: number | null;
  readonly pointed: Signal<Pointed | null>;
  readonly hold: (token: number | null) => void;
  /** Pin the nth of the features that fire on a token, or let it go. */
  readonly pinNth: (token: number, n: number) => void;
  /** The keyboard is on a token. */
  readonly reach: (token: number) => void;
  readonly tipId: string;
}

const NAME = "Text. Arrow keys move from token to token; Enter holds a token and lists what fires there, 1 to 9 pin the features of that list.";

export function ReaderText(props: ReaderTextProps): VNode {
  const { text, texts, pinned, held, pointed, hold, pinNth, reach, tipId } = props;
  const root = useRef<HTMLDivElement>(null);
  const drawn = useMemo(() => drawing(text, texts), [text, texts]);
  const coloured = useRef<Set<HTMLElement>>(new Set());
  useLayoutEffect(() => {
    root.current?.replaceChildren(...drawn.nodes);
    return () => pointed.set(null);
  }, [drawn]);
  useLayoutEffect(() => {
    const bands = pinned.map((feature) => ({ acts: text.acts(feature), most: text.most(feature) }));
    coloured.current = shadeBands(drawn.elements, bands, coloured.current);
  }, [drawn, pinned]);
  const focus = (token: number, scroll: ScrollLogicalPosition | null): void => {
    const element = drawn.elements[token]?.[0];
    if (element === undefined) return;
    element.tabIndex = -1;
    element.setAttribute("role", "button");
    element.setAttribute("aria-label", tokenWords(text, texts, token));
    element.setAttribute("aria-pressed", String(token === held));
    element.setAttribute("aria-describedby", tipId);
    element.focus({ preventScroll: true });
    if (scroll !== null) element.scrollIntoView({ block: scroll });
  };
  useLayoutEffect(() => {
    const elements = held === null ? [] : (drawn.elements[held] ?? []);
    for (const element of elements) element.classList.add("held");
    if (held !== null && elements.every((element) => element !== treeOf(element).activeElement)) focus(held, "center");
    else elements[0]?.setAttribute("aria-pressed", "true");
    return () => {
      for (const element of elements) element.classList.remove("held");
      elements[0]?.setAttribute("aria-pressed", "false");
    };
  }, [drawn, held]);
  const show = (target: EventTarget | null): void => {
    const token = positionOf(target);
    const box = (target as Element | null)?.closest("[data-t]")?.getBoundingClientRect();
    pointed.set(token === null || box === undefined ? null : { token, box });
  };
  const onKey = (event: KeyboardEvent): void => {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const token = positionOf(event.target);
    const next = beside(drawn.elements, token, event.key, texts.direction(text.page.tokens));
    if (next !== null) focus(next, "nearest");
    else if (token === null) return;
    else if (event.key === "Enter" || event.key === " ") hold(token === held ? null : token);
    else if (event.key === "Escape" && held !== null) hold(null);
    else if (event.key === "Escape") root.current?.focus();
    else if (/^[1-9]$/.test(event.key)) pinNth(token, Number(event.key) - 1);
    else return;
    event.preventDefault();
    event.stopPropagation();
  };
  return (
    <div
      ref={root}
      class={`prompt-text reader-text bands-${pinned.length}`}
      dir={texts.direction(text.page.tokens)}
      tabIndex={0}
      role="group"
      aria-label={NAME}
      onPointerOver={(event) => show(event.target)}
      onPointerLeave={() => pointed.set(null)}
      onFocusIn={(event) => {
        show(event.target);
        const token = positionOf(event.target);
        if (token !== null) reach(token);
      }}
      onFocusOut={() => pointed.set(null)}
      onClick={(event) => {
        const token = positionOf(event.target);
        if (token === null || selecting(event.currentTarget)) return;
        focus(token, null);
        hold(token === held ? null : token);
      }}
      onKeyDown={onKey}
    />
  );
}

interface Drawing {
  readonly nodes: readonly Node[];
  /** Of each token: one, or two where it ends or begins within a character. */
  readonly elements: readonly (readonly HTMLElement[])[];
}

function drawing(text: PageText, texts: TokenTexts): Drawing {
  const elements: HTMLElement[][] = Array.from({ length: text.n }, () => []);
  const nodes = tokenNodes(texts.pieces(text.page.tokens), (token) => {
    const made = document.createElement("span");
    made.className = text.masked(token) ? "tok masked" : "tok";
    made.dataset["t"] = String(token);
    elements[token]?.push(made);
    return made;
  });
  for (const token of text.page.begins) elements[token]?.[0]?.classList.add("begins");
  return { nodes, elements };
}

function tokenWords(text: PageText, texts: TokenTexts, token: number): string {
  const firing = text.whole ? `, ${text.masked(token) ? "masked" : `${plural(text.at(token).length, "feature")} firing`}` : "";
  return `${dotted(texts.plain(text.page.tokens[token] ?? -1))}, token ${token}${firing}`;
}

/** The token that a key leads to: beside another, on the line above or below, the first or last; null: it leads nowhere. */
function beside(elements: Drawing["elements"], token: number | null, key: string, dir: "ltr" | "rtl"): number | null {
  const last = elements.length - 1;
  if (key === "Home" || key === "End") return token === null ? null : key === "Home" ? 0 : last;
  if (!key.startsWith("Arrow") || last < 0) return null;
  if (token === null) return firstInSight(elements);
  const ahead = key === "ArrowDown" || key === (dir === "rtl" ? "ArrowLeft" : "ArrowRight");
  if (key === "ArrowLeft" || key === "ArrowRight") return Math.min(Math.max(token + (ahead ? 1 : -1), 0), last);
  return onNextLine(elements, token, ahead ? 1 : -1);
}

/** The first token that is in the window of the text. */
function firstInSight(elements: Drawing["elements"]): number {
  const top = elements[0]?.[0]?.closest(".reader-text")?.getBoundingClientRect().top ?? 0;
  const found = elements.findIndex(([element]) => element !== undefined && element.getBoundingClientRect().top >= top);
  return Math.max(found, 0);
}

/** The nearest token of the next line of text, or of the one before; the same where there is none. */
function onNextLine(elements: Drawing["elements"], token: number, by: 1 | -1): number {
  const from = boxOf(elements, token);
  if (from === null) return token;
  const [middle, half] = [(from.left + from.right) / 2, from.height / 2];
  let best = token;
  let [line, least] = [NaN, Infinity];
  for (let at = token + by; at >= 0 && at < elements.length; at += by) {
    const box = boxOf(elements, at);
    if (box === null || Math.abs(box.top - from.top) <= half) continue;
    if (!Number.isNaN(line) && Math.abs(box.top - line) > half) break;
    line = box.top;
    const far = Math.max(box.left - middle, middle - box.right, 0);
    if (far < least) [best, least] = [at, far];
  }
  return best;
}

/** Of the first line that a token takes. */
function boxOf(elements: Drawing["elements"], token: number): DOMRect | null {
  return elements[token]?.[0]?.getClientRects()[0] ?? null;
}
