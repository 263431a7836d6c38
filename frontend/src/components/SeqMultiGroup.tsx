// Examples: the largest firings, and a random sample of each activation interval, aligned at the token that fires.
import type { ComponentChildren, VNode } from "preact";
import { useLayoutEffect, useMemo, useRef } from "preact/hooks";
import { tip, within, type Card, type Range } from "../card";
import { count, number, percent, plural } from "../format";
import { detail, exampleRows } from "../marks/examples";
import { TIP_ID } from "../marks/Tooltip";
import type { Contexts, SequenceGroup } from "../payload";
import { NotComputed } from "./Messages";
import type { ComponentProps } from "./types";

/** Contexts longer than this wrap over lines; shorter ones stand on one line with their firing tokens aligned. */
const LONGEST_LINE = 32;
/** Pixels that a row takes, and that stand above the first one, at least. */
const LEAST_ROW = 22;
const LEAST_ABOVE = 200;

export function SeqMultiGroup({ card, wrap, set }: ComponentProps): VNode {
  const root = useRef<HTMLElement>(null);
  useLight(root, card);
  const { sequences } = card.view;
  const split = useMemo(() => shape(sequences), [sequences]);
  if (card.dead) return <p class="quiet">No examples: the feature never fires.</p>;
  if (sequences.length === 0) return <NotComputed what="examples" />;
  return (
    <section class={`examples ${wrap || split.long ? "wraps" : "lines"}`} ref={root} style={{ "--before": split.before }} {...useTokens(card)}>
      <Legend card={card}>
        {!split.long && (
          <label class="switch wrapping">
            <input type="checkbox" checked={wrap} onChange={(event) => set({ wrap: event.currentTarget.checked })} /> wrap lines
          </label>
        )}
      </Legend>
      {sequences.map((group, g) => (
        <Group key={g} group={group} start={card.start(g)} card={card} inSight={inSight(sequences, g, split.long)} />
      ))}
    </section>
  );
}

/** Whether contexts are too long for a line, and where on the line the firing token stands. */
function shape(groups: readonly SequenceGroup[]): { long: boolean; before: string } {
  let [before, after] = [0, 1];
  for (const { contexts: c } of groups) {
    c.focus.forEach((focus, i) => {
      before = Math.max(before, focus);
      after = Math.max(after, (c.offsets[i + 1] ?? 0) - (c.offsets[i] ?? 0) - focus);
    });
  }
  const share = Math.min(Math.max(before / (before + after), 0), 0.8);
  return { long: before + after > LONGEST_LINE, before: `${Math.round(share * 100)}%` };
}

function Legend({ card, children }: { card: Card; children: ComponentChildren }): VNode {
  const all = card.view.sequences.map((group) => group.contexts);
  const masked = all.some((c) => c.acts.some(Number.isNaN));
  const below = all.some((c) => c.acts.some((act) => act < 0));
  const loss = all.some((c) => c.effects !== null);
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
      {children}
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
  readonly inSight: boolean;
}

function Group({ group, start, card, inSight }: GroupProps): VNode {
  const { contexts } = group;
  const n = contexts.offsets.length - 1;
  return (
    <section
      class={n === 0 ? "group none" : "group"}
      onPointerEnter={() => card.band.set(group.kind === "interval" ? group : null)}
      onPointerLeave={() => card.band.set(null)}
    >
      <header class="titled">
        <h3>{group.kind === "top" ? "Top activations" : `${number(group.low)} to ${number(group.high)}`}</h3>
        <span class="quiet">{group.kind === "top" ? topWords(card, n) : intervalWords(group, n)}</span>
        {group.kind === "interval" && n > 0 && <span class="meter" style={{ "--share": `${group.share * 100}%` }} />}
      </header>
      {n > 0 && <Rows contexts={contexts} start={start} card={card} inSight={inSight} />}
    </section>
  );
}

/** How far the reader has scrolled down, kept at hand since asking for it would lay out the page too early. */
let depth = 0;
document.addEventListener(
  "scroll",
  (event) => {
    depth = event.target instanceof Element ? event.target.scrollTop : window.scrollY;
  },
  { capture: true, passive: true },
);

/** Whether a group can be in the window, by the number of rows above it. */
function inSight(groups: readonly SequenceGroup[], g: number, long: boolean): boolean {
  const above = groups.slice(0, g).reduce((rows, group) => rows + group.contexts.offsets.length, 0);
  return LEAST_ABOVE + above * LEAST_ROW * (long ? 2 : 1) < depth + window.innerHeight;
}

interface RowsProps {
  readonly contexts: Contexts;
  readonly start: number;
  readonly card: Card;
  readonly inSight: boolean;
}

/** Rows out of sight are made once the frame with those in sight is on screen. */
function Rows({ contexts, start, card, inSight }: RowsProps): VNode {
  const list = useRef<HTMLOListElement>(null);
  useLayoutEffect(() => {
    const fill = (): void => list.current?.replaceChildren(...exampleRows(contexts, start, card));
    if (inSight) {
      fill();
      return undefined;
    }
    let timer = 0;
    const frame = requestAnimationFrame(() => (timer = window.setTimeout(fill)));
    return () => {
      cancelAnimationFrame(frame);
      clearTimeout(timer);
    };
  }, [contexts, start, card]);
  return <ol ref={list} />;
}

function topWords(card: Card, n: number): string {
  const { n_firings, max } = card.view.stats;
  return `${plural(n, "example")} of ${plural(n_firings, "firing")} · max ${number(max)}`;
}

function intervalWords(group: SequenceGroup, shown: number): string {
  if (group.n_firings === 0) return "no firings";
  return `${percent(group.share)} of firings (${count(group.n_firings)}), ${count(shown)} at random`;
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
      const fresh = detailAt(event.target, card);
      if (!isPinned()) show(tokenOf(fresh ? document.elementFromPoint(event.clientX, event.clientY) : event.target));
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
        const next = neighbour(root, current, event.key, card);
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

/** The row that an element is in gets an element for each of its tokens. */
function detailAt(target: EventTarget | null, card: Card): boolean {
  const row = target instanceof Element ? target.closest("li") : null;
  return row !== null && detail(row, card);
}

/** The token that an arrow key leads to: beside it, or the firing token of the example above or below. */
function neighbour(root: HTMLElement, current: HTMLElement | null, key: string, card: Card): HTMLElement | null {
  if (!key.startsWith("Arrow")) return null;
  if (current === null) return focusOf(root.querySelector("li"), card);
  const step = key === "ArrowRight" || key === "ArrowDown" ? 1 : -1;
  const row = current.closest("li");
  const rows = [...root.querySelectorAll("li")];
  const beyond = row === null ? undefined : rows[rows.indexOf(row) + step];
  if (key === "ArrowUp" || key === "ArrowDown") return focusOf(beyond, card) ?? current;
  detailAt(beyond ?? null, card);
  return root.querySelector<HTMLElement>(`[data-t="${Number(current.getAttribute("data-t")) + step}"]`) ?? current;
}

function focusOf(row: HTMLLIElement | null | undefined, card: Card): HTMLElement | null {
  if (!row) return null;
  detail(row, card);
  return row.querySelector<HTMLElement>(".focus[data-t], .focus [data-t]");
}

/** Lights up the tokens whose values are in the range that the pointer is on in a chart. */
function useLight(root: { current: HTMLElement | null }, card: Card): void {
  useLayoutEffect(() => {
    const light = (range: Range | null): void => {
      const element = root.current;
      if (element === null) return;
      element.classList.toggle("dimmed", range !== null);
      if (range?.of === "logit") for (const row of element.querySelectorAll("li")) detail(row, card);
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
