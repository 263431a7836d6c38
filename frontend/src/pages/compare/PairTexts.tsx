// Texts on which both features of a pair fire, or only one: each token has A's activation above and B's below.
import type { VNode } from "preact";
import { useLayoutEffect, useRef } from "preact/hooks";
import { tip } from "../../state/card";
import { SideMark } from "../../marks/SideMark";
import { SIDE_NAMES } from "../../state/sides";
import { count, number, plural } from "../../data/format";
import { strength } from "../../marks/colours";
import { TIP_ID } from "../../marks/Tooltip";
import type { PairGroup } from "../../data/contract";
import { tokenNodes } from "../../marks/prompt/tokens";
import type { TokenTexts } from "../../data/tokens";
import { useCompare } from "../../state/compare/state";

export interface PairTextsProps {
  readonly groups: readonly PairGroup[];
  readonly a: number;
  readonly b: number;
  /** Largest activation of each: the end of its colour scale. */
  readonly scales: readonly [number, number];
}

const TITLES: Readonly<Record<PairGroup["kind"], string>> = { both: "Both fire", a: "Only A fires", b: "Only B fires" };

export function PairTexts(props: PairTextsProps): VNode {
  const { groups, a, b, scales } = props;
  return (
    <section class="pair-texts" aria-labelledby="texts-title">
      <header class="titled">
        <h2 id="texts-title">Where they fire</h2>
        <span class="legend">
          <span class="scale">
            <SideMark side={0} /> feature {a}: 0 <span class="ramp in-a" /> {number(scales[0])}
          </span>
          <span class="scale">
            <SideMark side={1} /> feature {b}: 0 <span class="ramp in-b down" /> {number(scales[1])}
          </span>
          <span>above: A, below: B; the strongest first</span>
        </span>
      </header>
      <div class="pair-groups">
        {groups.map((group) => (
          <Group key={group.kind} group={group} {...props} />
        ))}
      </div>
    </section>
  );
}

function Group({ group, ...props }: PairTextsProps & { group: PairGroup }): VNode {
  const { texts } = useCompare();
  const root = useRef<HTMLDivElement>(null);
  const list = useRef<HTMLOListElement>(null);
  useLayoutEffect(() => list.current?.replaceChildren(...rowsOf(group, props, texts)), [group, texts]);
  const n = group.offsets.length - 1;
  return (
    <div class={`pair-group ${group.kind}`}>
      <h3>
        {TITLES[group.kind]} <span class="quiet">{n === 0 ? "on no token" : `${count(n)} of ${plural(group.n_tokens, "token")}`}</span>
      </h3>
      {n > 0 && (
        <div
          ref={root}
          role="group"
          tabIndex={0}
          aria-label={`${TITLES[group.kind]}: ${plural(n, "text")}. Arrow keys move from token to token.`}
          onPointerOver={(event) => show(tokenOf(event.target), group, props, texts)}
          onPointerLeave={() => tip.set(null)}
          onFocusIn={(event) => show(tokenOf(event.target), group, props, texts)}
          onFocusOut={() => tip.set(null)}
          onKeyDown={(event) => walk(event, root.current)}
        >
          <ol ref={list} />
        </div>
      )}
    </div>
  );
}

function rowsOf(group: PairGroup, { scales }: PairTextsProps | Omit<PairTextsProps, "group">, texts: TokenTexts): HTMLLIElement[] {
  return Array.from({ length: group.offsets.length - 1 }, (_, i) => {
    const [from, to] = [group.offsets[i] ?? 0, group.offsets[i + 1] ?? 0];
    const tokens = group.tokens.subarray(from, to);
    const item = document.createElement("li");
    item.dir = texts.direction(tokens);
    const focus = group.focus[i] ?? 0;
    item.append(...tokenNodes(texts.pieces(tokens), (t) => tokenElement(group, from + t, t === focus, scales), false));
    const repeats = group.repeats[i] ?? 0;
    if (repeats > 0) {
      const note = document.createElement("span");
      note.className = "again";
      note.textContent = ` ×${count(repeats + 1)}`;
      note.title = `${count(repeats)} more tokens of this kind have this very context`;
      item.append(note);
    }
    return item;
  });
}

function tokenElement(group: PairGroup, at: number, focus: boolean, scales: readonly [number, number]): HTMLElement {
  const made = document.createElement("span");
  const [a, b] = [group.acts_a[at] ?? NaN, group.acts_b[at] ?? NaN];
  made.dataset["t"] = String(at);
  made.className = `tok${focus ? " focus" : ""}`;
  if (Number.isNaN(a)) made.classList.add("masked");
  else if (a !== 0 || b !== 0) {
    made.classList.add("duo");
    made.style.setProperty("--a", String(a === 0 ? 0 : strength(a / (scales[0] || 1))));
    made.style.setProperty("--b", String(b === 0 ? 0 : strength(b / (scales[1] || 1))));
  }
  return made;
}

function tokenOf(target: EventTarget | null): HTMLElement | null {
  return target instanceof Element ? target.closest<HTMLElement>("[data-t]") : null;
}

/** What both features do on a token. */
function show(token: HTMLElement | null, group: PairGroup, { a, b }: Omit<PairTextsProps, "groups">, texts: TokenTexts): void {
  if (token === null) {
    tip.set(null);
    return;
  }
  const at = Number(token.dataset["t"]);
  let context = 0;
  while ((group.offsets[context + 1] ?? Infinity) <= at) context++;
  const position = (group.start[context] ?? 0) + at - (group.offsets[context] ?? 0);
  const does = (act: number): string => (Number.isNaN(act) ? "masked: in no statistic" : act === 0 ? "does not fire" : number(act));
  const lines = [
    `“${texts.plain(group.tokens[at] ?? -1)}” · sequence ${group.sequence[context] ?? -1}, position ${position}`,
    `${SIDE_NAMES[0]}, feature ${a}: ${does(group.acts_a[at] ?? NaN)}`,
    `${SIDE_NAMES[1]}, feature ${b}: ${does(group.acts_b[at] ?? NaN)}`,
  ];
  tip.set({ kind: "lines", lines, box: token.getBoundingClientRect() });
}

/** From token to token, and from text to text, by the arrow keys. */
function walk(event: KeyboardEvent, root: HTMLElement | null): void {
  if (root === null || event.ctrlKey || event.metaKey || event.altKey) return;
  if (event.key === "Escape" && tokenOf(event.target) !== null) root.focus();
  else if (!event.key.startsWith("Arrow")) return;
  else focus(neighbour(root, tokenOf(event.target), event.key));
  event.preventDefault();
  event.stopPropagation();
}

function neighbour(root: HTMLElement, token: HTMLElement | null, key: string): HTMLElement | null {
  const middle = (row: Element | null | undefined): HTMLElement | null => row?.querySelector<HTMLElement>(".focus") ?? null;
  if (token === null) return middle(root.querySelector("li"));
  const row = token.closest("li");
  if (key === "ArrowDown") return middle(row?.nextElementSibling) ?? token;
  if (key === "ArrowUp") return middle(row?.previousElementSibling) ?? token;
  const ahead = row !== null && getComputedStyle(row).direction === "rtl" ? "ArrowLeft" : "ArrowRight";
  const tokens = [...root.querySelectorAll<HTMLElement>("[data-t]")];
  return tokens[tokens.indexOf(token) + (key === ahead ? 1 : -1)] ?? token;
}

function focus(token: HTMLElement | null): void {
  if (token === null) return;
  token.tabIndex = -1;
  token.setAttribute("aria-describedby", TIP_ID);
  token.focus();
}
