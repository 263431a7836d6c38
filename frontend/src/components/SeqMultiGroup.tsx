// Examples: the largest firings, and a random sample of each activation interval, aligned at the token that fires.
import type { VNode } from "preact";
import { useEffect, useMemo, useRef } from "preact/hooks";
import { tip, within, type Card, type Range } from "../card";
import { count, number, percent, plural } from "../format";
import { strength } from "../marks/colours";
import { runs } from "../marks/TokenText";
import { TIP_ID } from "../marks/Tooltip";
import type { Contexts, SequenceGroup } from "../payload";
import type { Piece } from "../tokens";
import { NotComputed } from "./Messages";
import type { ComponentProps } from "./types";

/** Contexts longer than this wrap over lines; shorter ones stand on one line with their firing tokens aligned. */
const LONGEST_LINE = 32;

export function SeqMultiGroup({ card }: ComponentProps): VNode {
  const root = useRef<HTMLElement>(null);
  useLight(root, card);
  const { sequences } = card.view;
  const split = useMemo(() => shape(sequences), [sequences]);
  if (card.dead) return <p class="quiet">No examples: the feature never fires.</p>;
  if (sequences.length === 0) return <NotComputed what="examples" />;
  return (
    <section class={`examples ${split.wraps ? "wraps" : "lines"}`} ref={root} style={{ "--before": split.before }} {...useTokens(card)}>
      <Legend card={card} />
      {sequences.map((group, g) => (
        <Group key={g} group={group} start={card.start(g)} card={card} first={g === 0} />
      ))}
    </section>
  );
}

/** Whether contexts wrap, and where on the line the firing token stands. */
function shape(groups: readonly SequenceGroup[]): { wraps: boolean; before: string } {
  let [before, after] = [0, 1];
  for (const { contexts: c } of groups) {
    c.focus.forEach((focus, i) => {
      before = Math.max(before, focus);
      after = Math.max(after, (c.offsets[i + 1] ?? 0) - (c.offsets[i] ?? 0) - focus);
    });
  }
  const share = Math.min(Math.max(before / (before + after), 0), 0.8);
  return { wraps: before + after > LONGEST_LINE, before: `${Math.round(share * 100)}%` };
}

function Legend({ card }: { card: Card }): VNode {
  const all = card.view.sequences.map((group) => group.contexts);
  const masked = all.some((c) => c.acts.some(Number.isNaN));
  const below = all.some((c) => c.acts.some((act) => act < 0));
  const loss = all.some((c) => c.loss_effect !== null);
  return (
    <div class="legend">
      <span class="scale">
        {below && <span>−{number(card.scale)}</span>}
        {below && <span class="ramp below" />}
        <span>0</span>
        <span class="ramp" />
        <span>{number(card.scale)}</span>
      </span>
      {masked && (
        <span>
          <span class="tok masked">masked</span> in no statistic
        </span>
      )}
      <span>{loss ? <LossKey /> : "Loss effect: not computed"}</span>
    </div>
  );
}

function LossKey(): VNode {
  return (
    <>
      loss effect <span class="tok loss helps">helps</span> <span class="tok loss harms">harms</span>
    </>
  );
}

interface GroupProps {
  readonly group: SequenceGroup;
  readonly start: number;
  readonly card: Card;
  readonly first: boolean;
}

function Group({ group, start, card, first }: GroupProps): VNode {
  const { contexts } = group;
  const n = contexts.offsets.length - 1;
  return (
    <section class={`group ${first ? "" : "later"} ${n === 0 ? "none" : ""}`}>
      <header class="titled">
        <h3>{group.kind === "top" ? "Top activations" : `${number(group.low)} to ${number(group.high)}`}</h3>
        <span class="quiet">{group.kind === "top" ? topWords(card, n) : intervalWords(group, n)}</span>
        {group.kind === "interval" && <span class="meter" style={{ "--share": `${group.share * 100}%` }} />}
      </header>
      {n > 0 && (
        <ol>
          {Array.from({ length: n }, (_, i) => (
            <Example key={i} contexts={contexts} index={i} start={start} card={card} />
          ))}
        </ol>
      )}
    </section>
  );
}

function topWords(card: Card, n: number): string {
  const { n_firings, max } = card.view.stats;
  return `${plural(n, "example")} of ${plural(n_firings, "firing")} · max ${number(max)}`;
}

function intervalWords(group: SequenceGroup, shown: number): string {
  if (group.n_firings === 0) return "no firings";
  return `${percent(group.share)} of firings (${count(group.n_firings)}), ${count(shown)} at random`;
}

interface ExampleProps {
  readonly contexts: Contexts;
  readonly index: number;
  readonly start: number;
  readonly card: Card;
}

function Example({ contexts, index, start, card }: ExampleProps): VNode {
  const [from, to] = [contexts.offsets[index] ?? 0, contexts.offsets[index + 1] ?? 0];
  const focus = contexts.focus[index] ?? 0;
  const repeats = contexts.repeats[index] ?? 0;
  const pieces = card.texts.pieces(contexts.tokens.subarray(from, to));
  const cut = pieces.findIndex((piece) => piece.last >= focus);
  const at = cut < 0 ? pieces.length : cut;
  const draw = (piece: Piece): VNode => drawPiece(piece, { contexts, from, start, focus, scale: card.scale });
  return (
    <li>
      <span class="act">{number(contexts.acts[from + focus] ?? NaN)}</span>
      <span class="text" dir="auto">
        <span class="before">
          <span>{pieces.slice(0, at).map(draw)}</span>
        </span>
        <span class="after">{pieces.slice(at).map(draw)}</span>
      </span>
      {repeats > 0 && (
        <span class="repeats" title={`This very context fires ${repeats} more times`}>
          ×{count(repeats + 1)}
        </span>
      )}
    </li>
  );
}

interface Drawing {
  readonly contexts: Contexts;
  readonly from: number;
  readonly start: number;
  readonly focus: number;
  readonly scale: number;
}

/** A token's text; or a character of several tokens, drawn once over a band for each of them. */
function drawPiece(piece: Piece, d: Drawing): VNode {
  if (piece.first === piece.last) return band(piece.first, d, runs(piece.runs));
  const bands = Array.from({ length: piece.last - piece.first + 1 }, (_, i) => band(piece.first + i, d, null));
  const bold = d.focus >= piece.first && d.focus <= piece.last ? " focus" : "";
  return (
    <span class={`shared${bold}`}>
      <span class="bands">{bands}</span>
      <span class="glyph">{runs(piece.runs)}</span>
    </span>
  );
}

function band(token: number, d: Drawing, content: (string | VNode)[] | null): VNode {
  const t = d.from + token;
  const act = d.contexts.acts[t] ?? NaN;
  const loss = d.contexts.loss_effect?.[t] ?? NaN;
  let name = "tok";
  if (token === d.focus) name += " focus";
  if (Number.isNaN(act)) name += " masked";
  else if (act !== 0) name += act > 0 ? " on" : " on below";
  if (loss < 0) name += " loss helps";
  else if (loss > 0) name += " loss harms";
  if (act === 0 || Number.isNaN(act)) {
    return (
      <span class={name} data-t={d.start + t}>
        {content}
      </span>
    );
  }
  return (
    <span class={name} data-t={d.start + t} style={{ "--a": String(strength(act / d.scale)) }}>
      {content}
    </span>
  );
}

interface TokenHandlers {
  readonly tabIndex: number;
  readonly role: "group";
  readonly "aria-label": string;
  readonly onPointerOver: (event: PointerEvent) => void;
  readonly onPointerLeave: () => void;
  readonly onFocusIn: (event: FocusEvent) => void;
  readonly onFocusOut: () => void;
  readonly onClick: (event: MouseEvent) => void;
  readonly onKeyDown: (event: KeyboardEvent) => void;
}

/** One set of listeners for all tokens: hover, focus, pin, and arrow keys from token to token. */
function useTokens(card: Card): TokenHandlers {
  const show = (element: Element | null, pin = false): void => {
    const token = element === null ? null : card.at(Number(element.getAttribute("data-t")));
    card.token.set(token);
    tip.set(token === null || element === null ? null : { kind: "token", token, near: element, pinned: pin });
  };
  const isPinned = (): boolean => tip.value?.kind === "token" && tip.value.pinned;
  return {
    tabIndex: 0,
    role: "group",
    "aria-label": "Examples. Arrow keys move from token to token, Enter pins a token's details, Escape lets go.",
    onPointerOver: (event) => {
      if (!isPinned()) show(tokenOf(event.target));
    },
    onPointerLeave: () => {
      if (!isPinned()) show(null);
    },
    onFocusIn: (event) => {
      const element = tokenOf(event.target);
      if (element !== null && !isPinned()) show(element);
    },
    onFocusOut: () => {
      if (!isPinned()) show(null);
    },
    onClick: (event) => {
      const element = tokenOf(event.target);
      const again = isPinned() && tip.value?.kind === "token" && tip.value.near === element;
      show(again ? null : element, !again);
    },
    onKeyDown: (event) => {
      const root = event.currentTarget as HTMLElement;
      const current = tokenOf(event.target);
      if (event.key === "Escape") {
        show(null);
        if (current !== null) root.focus();
      } else if (event.key === "Enter" && current !== null) show(current, !isPinned());
      else {
        const next = neighbour(root, current, event.key);
        if (next === null) return;
        event.preventDefault();
        if (isPinned()) tip.set(null);
        next.tabIndex = -1;
        next.setAttribute("aria-describedby", TIP_ID);
        next.focus();
      }
      event.stopPropagation();
    },
  };
}

function tokenOf(target: EventTarget | null): HTMLElement | null {
  return target instanceof Element ? target.closest<HTMLElement>("[data-t]") : null;
}

/** The token that an arrow key leads to: beside it, or the firing token of the example above or below. */
function neighbour(root: HTMLElement, current: HTMLElement | null, key: string): HTMLElement | null {
  if (!key.startsWith("Arrow")) return null;
  if (current === null) return root.querySelector<HTMLElement>(".focus[data-t], .focus [data-t]");
  const step = key === "ArrowRight" || key === "ArrowDown" ? 1 : -1;
  if (key === "ArrowLeft" || key === "ArrowRight") {
    return root.querySelector<HTMLElement>(`[data-t="${Number(current.getAttribute("data-t")) + step}"]`) ?? current;
  }
  const lines = [...root.querySelectorAll("li")];
  const line = lines[lines.indexOf(current.closest("li") as HTMLLIElement) + step];
  return line?.querySelector<HTMLElement>(".focus[data-t], .focus [data-t]") ?? current;
}

/** Lights up the tokens whose values are in the range that the pointer is on in a chart. */
function useLight(root: { current: HTMLElement | null }, card: Card): void {
  useEffect(() => {
    const light = (range: Range | null): void => {
      const element = root.current;
      if (element === null) return;
      element.classList.toggle("dimmed", range !== null);
      for (const token of element.querySelectorAll("[data-t]")) {
        const at = range === null ? null : card.at(Number(token.getAttribute("data-t")));
        token.classList.toggle("lit", at !== null && range !== null && within(at, range));
      }
    };
    const end = card.range.subscribe(light);
    return () => {
      end();
      light(null);
    };
  }, [card]);
}
