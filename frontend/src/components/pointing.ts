// Pointer and keyboard on the tokens of a card's examples: one set of listeners for all of them.
import { useLayoutEffect, useMemo } from "preact/hooks";
import { fires, pin, point, setPin, tip, within, type Card, type Range, type TokenAt } from "../state/card";
import { detail, expand } from "../marks/examples";
import { TIP_ID } from "../marks/Tooltip";
import { selecting, treeOf } from "../state/tree";
import { copyRow, readRow, RowTools } from "./rowTools";
import type { Read } from "./types";

/** A token of an example, or one of its source tokens. */
const TOKEN = "[data-t], [data-s]";

type Root = { readonly current: HTMLElement | null };

export interface TokenHandlers {
  readonly tabIndex: number;
  readonly role: "group";
  readonly "aria-label": string;
  readonly onPointerOver: (event: PointerEvent) => void;
  readonly onPointerLeave: () => void;
  readonly onFocusIn: (event: FocusEvent) => void;
  readonly onFocusOut: (event: FocusEvent) => void;
  readonly onClick: (event: MouseEvent) => void;
  readonly onKeyDown: (event: KeyboardEvent) => void;
}

/** Hover, focus, pin, expand, copy, and arrow keys from token to token. */
export function useTokens(card: Card, root: Root, expandable: boolean, read?: Read): TokenHandlers {
  return useMemo(() => {
    const grow = (row: HTMLLIElement): void => {
      const at = row.contains(treeOf(row).activeElement) ? tokenOf(treeOf(row).activeElement) : null;
      if (!expand(row, card)) return;
      follow(row, card, at);
      tools.refresh();
      repaint(root.current, card);
    };
    const tools = new RowTools(card, expandable, grow, read);
    const reach = (target: EventTarget | null): boolean => {
      const row = rowAt(target);
      if (row !== null) tools.moveTo(row);
      return row !== null && detail(row, card);
    };
    return {
      tabIndex: 0,
      role: "group",
      "aria-label": "Examples. Arrow keys move from token to token; Enter pins a token's details, e shows more text, c copies it.",
      onPointerOver(event) {
        const fresh = reach(event.target);
        show(card, tokenOf(fresh && root.current !== null ? treeOf(root.current).elementFromPoint(event.clientX, event.clientY) : event.target));
      },
      onPointerLeave: () => show(card, null),
      onFocusIn(event) {
        reach(event.target);
        const element = tokenOf(event.target);
        if (element !== null) show(card, element);
      },
      onFocusOut(event) {
        const row = rowAt(event.target);
        if (row !== null && row !== rowAt(event.relatedTarget)) align(row);
        show(card, null);
      },
      onClick(event) {
        const element = tokenOf(event.target);
        const row = rowAt(event.target);
        if (root.current !== null && selecting(root.current)) return;
        if (element !== null) {
          focus(element, true);
          toggle(card, element);
        } else if (row !== null) grow(row);
      },
      onKeyDown: (event) => onKey(event, card, grow, read),
    };
  }, [card, root, expandable, read]);
}

function onKey(event: KeyboardEvent, card: Card, grow: (row: HTMLLIElement) => void, read?: Read): void {
  if (event.ctrlKey || event.metaKey || event.altKey || event.target instanceof HTMLButtonElement) return;
  const root = event.currentTarget as HTMLElement;
  const current = tokenOf(event.target);
  const row = rowAt(current);
  if (event.key === "Escape") {
    if (current === null) return;
    if (pin.value !== null) {
      setPin(null);
      show(card, current);
    } else {
      show(card, null);
      root.focus();
    }
  } else if (event.key === "Enter" && current !== null) toggle(card, current);
  else if (event.key === "e" && row !== null) grow(row);
  else if (event.key === "c" && row !== null) void copyRow(row, card);
  else if (event.key === "r" && row !== null && read !== undefined) readRow(row, card, read);
  else {
    const next = neighbour(root, current, event.key, card);
    if (next === null) return;
    focus(next, false);
  }
  event.preventDefault();
  event.stopPropagation();
}

function tokenAt(card: Card, element: Element): TokenAt | null {
  const source = element.getAttribute("data-s");
  return source === null ? card.at(Number(element.getAttribute("data-t"))) : card.sourceAt(Number(source));
}

/** Leads the keyboard to the first example, among those of the card that `from` is in, whose feature fires on a token. */
export function goToToken(from: Element, card: Card, id: number): void {
  const tokens = from.closest("article")?.querySelectorAll<HTMLElement>(".examples [data-t]") ?? [];
  for (const token of tokens) {
    const at = tokenAt(card, token);
    if (at?.id !== id || !fires(at.act)) continue;
    const row = rowAt(token);
    if (row !== null) detail(row, card); // its elements are new then
    const found = row?.querySelector<HTMLElement>(`[data-t="${token.dataset["t"] ?? ""}"]`) ?? token;
    found.scrollIntoView({ block: "nearest" });
    focus(found, true);
    return;
  }
}

/** Details of a token, its lines in the charts, and the same token wherever else it stands. */
function show(card: Card, element: Element | null): void {
  const token = element === null ? null : tokenAt(card, element);
  point(card, token);
  const held = element !== null && pin.value?.near === element;
  tip.set(token === null || element === null || held ? null : { kind: "token", card, token, near: element });
}

function toggle(card: Card, element: HTMLElement): void {
  const token = tokenAt(card, element);
  setPin(token === null || pin.value?.near === element ? null : { card, token, near: element });
  show(card, element);
}

/** The line's token in focus back in its place, after the keyboard led to one that was cut off. */
function align(row: HTMLLIElement): void {
  for (const box of row.querySelectorAll(".text, .before")) box.scrollLeft = 0;
}

function focus(token: HTMLElement, stays: boolean): void {
  token.tabIndex = -1;
  token.setAttribute("aria-describedby", TIP_ID);
  token.focus({ preventScroll: true });
  if (!stays) token.scrollIntoView({ block: "nearest", inline: "nearest" }); // focus alone leaves one that is half cut off
}

/** After a row is drawn anew: pin and keyboard stay on their tokens, or let go of those no longer shown. */
function follow(row: HTMLLIElement, card: Card, focused: HTMLElement | null): void {
  const again = (old: Element): HTMLElement | null => row.querySelector(
      old.hasAttribute("data-s") ? `[data-s="${old.getAttribute("data-s") ?? ""}"]` : `[data-t="${old.getAttribute("data-t") ?? ""}"]`,
    );
  const place = focused === null ? null : (again(focused) ?? focusOf(row, card));
  if (place !== null) focus(place, true);
  const held = pin.value;
  if (held !== null && !held.near.isConnected) {
    const near = again(held.near);
    setPin(near === null ? null : { ...held, near });
  }
  const shown = tip.value;
  if (shown?.kind !== "token" || shown.near.isConnected) return;
  const near = again(shown.near);
  show(card, near);
}

function tokenOf(target: EventTarget | null): HTMLElement | null {
  return target instanceof Element ? target.closest<HTMLElement>(TOKEN) : null;
}

function rowAt(target: EventTarget | null): HTMLLIElement | null {
  return target instanceof Element ? target.closest("li") : null;
}

/** The token that an arrow key leads to: beside it, or the firing token of the example above or below. */
function neighbour(root: HTMLElement, current: HTMLElement | null, key: string, card: Card): HTMLElement | null {
  if (!key.startsWith("Arrow")) return null;
  if (current === null) return focusOf(root.querySelector("li"), card);
  const row = current.closest("li");
  const ahead = row !== null && getComputedStyle(row.querySelector(".text") ?? row).direction === "rtl" ? "ArrowLeft" : "ArrowRight";
  const step = key === ahead || key === "ArrowDown" ? 1 : -1;
  const rows = [...root.querySelectorAll("li")];
  const beyond = row === null ? undefined : rows[rows.indexOf(row) + step];
  if (key === "ArrowUp" || key === "ArrowDown") return focusOf(beyond, card) ?? current;
  if (beyond !== undefined) detail(beyond, card);
  const tokens = [...(row?.querySelectorAll<HTMLElement>(TOKEN) ?? [])];
  const beside = tokens[tokens.indexOf(current) + step];
  const over = beyond?.querySelectorAll<HTMLElement>(TOKEN);
  return beside ?? over?.[step > 0 ? 0 : over.length - 1] ?? current;
}

function focusOf(row: HTMLLIElement | null | undefined, card: Card): HTMLElement | null {
  if (!row) return null;
  detail(row, card);
  return row.querySelector<HTMLElement>(".focus[data-t], .focus [data-t]");
}

/** Marks the tokens that the card's signals name, wherever they stand among the examples. */
export function useMarks(root: Root, card: Card): void {
  useLayoutEffect(() => {
    const ends = [
      card.token.subscribe((token) => paint(root.current, card, token, "linked")),
      card.pinned.subscribe((token) => paint(root.current, card, token, "held")),
      card.range.subscribe((range) => light(root.current, card, range)),
    ];
    repaint(root.current, card);
    return () => {
      ends.forEach((end) => end());
      if (card.range.value !== null) light(root.current, card, null);
    };
  }, [root, card]);
}

/** Again, after rows have come or changed. */
export function repaint(root: HTMLElement | null, card: Card): void {
  if (card.pinned.value !== null) paint(root, card, card.pinned.value, "held");
}

function paint(root: HTMLElement | null, card: Card, token: TokenAt | null, name: "linked" | "held"): void {
  if (root === null) return;
  for (const old of root.querySelectorAll(`.${name}`)) old.classList.remove(name);
  if (token === null) return;
  for (const { group, context, number } of card.places(token)) {
    const row = root.querySelectorAll(".group")[group]?.querySelector<HTMLLIElement>(`li:nth-child(${context + 1})`);
    if (!row) continue;
    detail(row, card);
    row.querySelector(`[data-t="${number}"]`)?.classList.add(name);
  }
}

/** Lights up the tokens whose values are in the range that the pointer is on in a chart. */
function light(root: HTMLElement | null, card: Card, range: Range | null): void {
  if (root === null) return;
  root.classList.toggle("dimmed", range !== null);
  if (range?.of === "logit") for (const row of root.querySelectorAll("li")) detail(row, card);
  for (const token of root.querySelectorAll("[data-t]")) {
    const at = range === null ? null : tokenAt(card, token);
    token.classList.toggle("lit", at !== null && range !== null && within(at, range));
  }
}
