// One prompt's tokens as text: drawn once, then coloured and marked as the page's pointer and choices change.
import type { VNode } from "preact";
import { useLayoutEffect, useRef } from "preact/hooks";
import type { Place } from "../../state/address";
import type { Side } from "../../state/sides";
import type { Colouring } from "./colours";
import { usePrompt, type Pointed, type PromptState } from "../../state/prompt/state";
import { markTokens, positionOf, shadeTokens, tokenNodes } from "./tokens";
import { dotted } from "./words";

export interface PromptTextProps {
  readonly side: Side;
  /** Colours for what the pointer is on. */
  readonly colours: (pointed: Pointed) => Colouring;
  /** What the details beside a token are about, beside the token: a row in the table of firing features. */
  readonly row: number | null;
  /** Called with a token that is pressed, dragged over or let go; the main text's, where tokens are options to choose. */
  readonly choose: (position: number, event: PointerEvent) => void;
  readonly list?: TokenList;
}

/** Where the tokens are options of a list: its accessible name, and the beginning of its options' ids. */
export interface TokenList {
  readonly label: string;
  readonly id: string;
}

export function PromptText({ side, colours, row, choose, list }: PromptTextProps): VNode {
  const state = usePrompt();
  const { pointer, texts, prompts } = state;
  const root = useRef<HTMLDivElement>(null);
  const { tokens } = prompts.side(side).view;
  useLayoutEffect(() => {
    const named = new Set<number>();
    const nodes = tokenNodes(texts.pieces(tokens), (position) => {
      // A token that ends or begins within a character stands in two pieces; the first is the option to choose.
      const id = named.has(position) ? undefined : list?.id;
      named.add(position);
      return tokenElement(state, { side, position }, id);
    });
    root.current?.replaceChildren(...nodes);
  }, [texts, tokens]);
  useLayoutEffect(() => {
    const element = root.current;
    if (element === null) return undefined;
    let last: number | null | undefined;
    const paint = (pointed: Pointed): void => {
      if (pointed.row !== last) shadeTokens(element, colours(pointed).shade);
      last = pointed.row;
      const partner = pointed.place === null ? null : prompts.partner(pointed.place);
      markTokens(element, "linked", (i) => isAt(pointed.place, side, i) || isAt(partner, side, i));
    };
    paint(pointer.at.value);
    return pointer.at.subscribe(paint);
  }, [pointer, prompts, side, tokens, colours]);
  useLayoutEffect(() => {
    if (root.current !== null) markChosen(root.current, state, side, list !== undefined);
  }, [state.sets, state.address.span, state.address.held, side, tokens]);
  const show = (event: PointerEvent): void => {
    const position = positionOf(event.target);
    const near = (event.target as Element).closest("[data-t]")?.getBoundingClientRect() ?? null;
    pointer.set(position === null ? null : { place: { side, position }, row, near });
  };
  return (
    <div
      ref={root}
      class="prompt-text"
      dir={texts.direction(tokens)}
      {...(list === undefined ? {} : listAttributes(list, state, side))}
      onPointerOver={(event) => {
        show(event);
        const position = positionOf(event.target);
        if (position !== null && event.buttons === 1 && event.pointerType === "mouse") choose(position, event);
      }}
      onPointerDown={(event) => {
        const position = positionOf(event.target);
        if (position !== null && event.button === 0 && event.pointerType === "mouse") choose(position, event);
      }}
      onClick={(event) => {
        const position = positionOf(event.target);
        if (position !== null) choose(position, event as unknown as PointerEvent);
      }}
      onPointerLeave={() => pointer.set(null)}
    />
  );
}

function isAt(place: Place | null, side: Side, position: number): boolean {
  return place !== null && place.side === side && place.position === position;
}

function tokenElement({ prompts, texts }: PromptState, { side, position }: Place, id: string | undefined): HTMLElement {
  const { view } = prompts.side(side);
  const made = document.createElement("span");
  made.className = view.masked[position] === 1 ? "tok masked" : "tok";
  if (prompts.two && prompts.partner({ side, position }) === null) made.classList.add("alone");
  made.dataset["t"] = String(position);
  if (id === undefined) {
    made.setAttribute("role", "presentation");
    return made;
  }
  made.id = `${id}-${position}`;
  made.setAttribute("role", "option");
  made.setAttribute("aria-label", `${dotted(texts.plain(view.tokens[position] ?? -1))}, token ${position}`);
  return made;
}

function listAttributes(list: TokenList, { address }: PromptState, side: Side): Record<string, string | number> {
  const { span } = address;
  const active = span !== null && span.side === side ? { "aria-activedescendant": `${list.id}-${span.from}` } : {};
  return { role: "listbox", tabIndex: 0, "aria-label": list.label, "aria-multiselectable": "true", ...active };
}

/** The chosen tokens, and the one that stays marked. */
function markChosen(root: Element, { address, sets }: PromptState, side: Side, options: boolean): void {
  const { span, held } = address;
  const inside = (i: number): boolean => span !== null && (span.side === side ? i >= span.from && i <= span.to : sets[side]?.[i] === 1);
  markTokens(root, "chosen", inside);
  markTokens(root, "held", (i) => isAt(held, side, i));
  if (!options) return;
  for (const token of root.querySelectorAll<HTMLElement>("[role=option]")) {
    token.setAttribute("aria-selected", String(inside(Number(token.dataset["t"]))));
  }
}
