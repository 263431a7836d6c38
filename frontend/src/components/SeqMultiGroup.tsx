// Examples: the largest and the most negative firings, those on each label, and a random sample of each interval, aligned
// at the firing token.
import type { ComponentChildren, VNode } from "preact";
import { useCallback, useLayoutEffect, useMemo, useRef } from "preact/hooks";
import type { Card } from "../state/card";
import { count, number, percent, plural } from "../data/format";
import { Meaning } from "../marks/Meaning";
import { exampleRows, type RowStyle, type Step } from "../marks/examples";
import type { ComponentSpec, Contexts, SequenceGroup, TokenEffects } from "../data/contract";
import { afterFrame, whenIdle } from "../data/idle";
import { HeadShares, SourcesKey } from "./HeadShares";
import { NotComputed } from "./Messages";
import { repaint, useMarks, useTokens } from "./pointing";
import type { ComponentProps } from "./types";

/** Contexts longer than this wrap over lines; shorter ones stand on one line with their firing tokens aligned. */
const LONGEST_LINE = 32;
/** Tokens on each side of the first wider view, where the page holds more than that. */
const FIRST_STEP = 16;
/** Moves shown on each side of the last one under a board, before the whole game is asked for. */
const MOVES = 3;
/** Pixels that a row takes, and that stand above the first one, at least. */
const LEAST_ROW = 24;
const LEAST_ABOVE = 230;

export function SeqMultiGroup({ card, options, wrap, set, read }: ComponentProps): VNode {
  const root = useRef<HTMLElement>(null);
  const { sequences } = card.view;
  const steps = useMemo(() => stepsOf(options), [options]);
  const { long, before } = useMemo(() => shape(sequences, steps[0]), [sequences, steps]);
  const focusOnly = options["compute_buffer"] === false;
  const { board } = card.head;
  const drawn = board !== null && card.view.boards !== null;
  const style = useMemo(() => ({ steps, breaks: long && !drawn, focusOnly: focusOnly && !drawn, boards: null }), [steps, long, focusOnly, drawn]);
  const styles = useMemo(() => stylesOf(card, style), [card, style]);
  const handlers = useTokens(card, root, steps.length > 1, read);
  useMarks(root, card);
  const filled = useCallback(() => repaint(root.current, card), [card]);
  if (card.dead) return <p class="quiet">No examples: the feature never fires.</p>;
  if (sequences.length === 0) return <NotComputed what="examples" />;
  const perRow = { "--boards": Number(options["n_boards_per_row"] ?? 3) };
  const sourced = sequences.some(({ contexts }) => contexts.sources !== null) ? "sourced" : "";
  const lines = `${wrap || long ? "wraps" : "lines"} ${long ? "broken" : ""} ${steps.length > 1 ? "expands" : ""}`;
  const look = `examples ${drawn ? "boards expands" : lines} ${sourced}`;
  return (
    <section class={look} ref={root} style={{ "--before": before, ...perRow }} {...handlers}>
      <Legend card={card}>
        {steps.length > 1 && <span class="hint">{drawn ? "Click beside the moves for the whole game" : "Click beside a text for more of it"}</span>}
        {drawn && <BoardKey />}
        {!long && !drawn && (
          <label class="switch wrapping">
            <input type="checkbox" checked={wrap} onChange={(event) => set({ wrap: event.currentTarget.checked })} /> wrap lines
          </label>
        )}
      </Legend>
      <HeadShares card={card} />
      {sequences.map((group, g) => (
        <Group
          key={g}
          group={group}
          start={card.start(g)}
          sourceStart={card.sourceStart(g)}
          card={card}
          style={styles[g] ?? style}
          inSight={inSight(sequences, g, long ? 2 : 1)}
          filled={filled}
        />
      ))}
    </section>
  );
}

/** The style of each group's rows: boards are counted through all groups. */
function stylesOf(card: Card, style: RowStyle): RowStyle[] {
  const { sequences, boards } = card.view;
  const look = card.head.board;
  let first = 0;
  return sequences.map(({ contexts }) => {
    const own = boards === null || look === null ? null : { look, boards, first };
    first += contexts.offsets.length - 1;
    return { ...style, boards: own };
  });
}

/** The views of a context, from the layout's `buffer` to the widest that its `expand` put into the page. */
function stepsOf({ buffer, expand, othello }: ComponentSpec["options"]): Step[] {
  const all = { before: Infinity, after: Infinity, name: "the whole sequence" };
  const widest = expand === "sequence" ? Infinity : typeof expand === "number" ? expand : 0;
  if (othello === true && !Array.isArray(buffer)) return [{ before: MOVES, after: MOVES, name: "the first view" }, { ...all, name: "the whole game" }];
  if (!Array.isArray(buffer) || widest === 0) return [all];
  const [before = 0, after = 0] = buffer as readonly number[];
  const each = [FIRST_STEP, widest].filter((n, i) => n > Math.min(before, after) && (i === 1 || n < widest));
  const wider = each.map((n) => ({ before: Math.max(before, n), after: Math.max(after, n), name: `${n} tokens on each side` }));
  return [{ before, after, name: "the first view" }, ...wider.map((step) => (step.before === Infinity ? all : step))];
}

/** Whether contexts are too long for a line, and where on the line the firing token stands. */
function shape(groups: readonly SequenceGroup[], first: Step | undefined): { long: boolean; before: string } {
  let [before, after] = [0, 1];
  for (const { contexts: c } of groups) {
    c.focus.forEach((focus, i) => {
      before = Math.max(before, Math.min(focus, first?.before ?? Infinity));
      after = Math.max(after, Math.min((c.offsets[i + 1] ?? 0) - (c.offsets[i] ?? 0) - focus, (first?.after ?? Infinity) + 1));
    });
  }
  const share = Math.min(Math.max(before / (before + after), 0), 0.8);
  return { long: before + after > LONGEST_LINE, before: `${Math.round(share * 100)}%` };
}

function Legend({ card, children }: { card: Card; children: ComponentChildren }): VNode {
  const all = card.view.sequences.map((group) => group.contexts);
  const masked = all.some((c) => c.acts.some(Number.isNaN));
  const below = all.some((c) => c.acts.some((act) => act < 0));
  const effects = all.find((c) => c.effects !== null)?.effects ?? null;
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
      <span>{effects === null ? "Loss effect: not computed" : <LossKey kind={effects.kind} against={effects.against} />}</span>
      <SourcesKey card={card} />
      {children}
    </div>
  );
}

/** What the marks on a board mean. */
function BoardKey(): VNode {
  const mark = (name: string, d: string, words: string): VNode => (
    <span>
      <svg class="board key" viewBox="0 0 16 16" aria-hidden="true">
        <path class={name} d={d} />
      </svg>{" "}
      {words}
    </span>
  );
  return (
    <>
      {mark("last", "M2 2h12v12h-12Z", "last move")}
      {mark("captured", "M8 3l5 5l-5 5l-5 -5Z", "captured by it")}
      {mark("legal", "M4.5 8a3.5 3.5 0 1 0 7 0a3.5 3.5 0 1 0 -7 0Z", "legal next move")}
    </>
  );
}

const KINDS: Readonly<Record<TokenEffects["kind"], string>> = {
  direct: "Loss of the next token with the feature, less the loss without it: what the feature adds to the residual stream is taken out before the final norm, all later layers left as they were",
  full: "Loss of the next token with the feature, less the loss without it: what the feature adds is taken out at the hook, and the rest of the model is run again",
};

const AGAINST: Readonly<Record<TokenEffects["against"], string>> = {
  next: "",
  reference: ", against a reference",
};

function LossKey({ kind, against }: Pick<TokenEffects, "kind" | "against">): VNode {
  const of = against === "reference" ? " The loss is the cross entropy against the distribution given as target_logits." : "";
  return (
    <span class="loss-key">
      loss effect ({kind}
      {AGAINST[against]}) <span class="tok loss helps">helps</span> <span class="tok loss harms">harms</span>{" "}
      <details class="why">
        <summary aria-label="What is a loss effect?">?</summary>
        <p>
          {KINDS[kind]}. In nats; below zero, where the text is better predicted with the feature, it helps.{of}
        </p>
      </details>
    </span>
  );
}

interface GroupProps {
  readonly group: SequenceGroup;
  readonly start: number;
  readonly sourceStart: number;
  readonly card: Card;
  readonly style: RowStyle;
  readonly inSight: boolean;
  /** Called once the group's rows stand. */
  readonly filled: () => void;
}

function Group({ group, start, sourceStart, card, style, inSight, filled }: GroupProps): VNode {
  const { contexts } = group;
  const n = contexts.offsets.length - 1;
  return (
    <section
      class={n === 0 ? "group none" : "group"}
      onPointerEnter={() => card.band.set(group.kind === "interval" ? group : null)}
      onPointerLeave={() => card.band.set(null)}
    >
      <header class="titled">
        <h3 dir="auto">{group.kind === "interval" ? <Meaning of="interval">{title(group, card)}</Meaning> : title(group, card)}</h3>
        <span class="quiet">{words(group, card, n)}</span>
        {group.kind === "interval" && n > 0 && <span class="meter" style={{ "--share": `${group.share * 100}%` }} />}
      </header>
      {n > 0 && <Rows contexts={contexts} start={start} sourceStart={sourceStart} card={card} style={style} inSight={inSight} filled={filled} />}
    </section>
  );
}

/** How far the reader has scrolled down, and the window: kept at hand since asking would lay out the page too early. */
let depth = 0;
document.addEventListener(
  "scroll",
  (event) => {
    depth = event.target instanceof Element ? event.target.scrollTop : window.scrollY;
  },
  { capture: true, passive: true },
);

let windowHeight = window.innerHeight;
window.addEventListener("resize", () => (windowHeight = window.innerHeight));

/** Whether a group can be in the window, by the number of rows above it. */
function inSight(groups: readonly SequenceGroup[], g: number, lines: number): boolean {
  const above = groups.slice(0, g).reduce((rows, { contexts: c }) => rows + c.offsets.length * (c.sources === null ? 1 : 2), 0);
  return LEAST_ABOVE + above * LEAST_ROW * lines < depth + windowHeight;
}

type RowsProps = Omit<GroupProps, "group"> & { readonly contexts: Contexts };

/**
 * Rows out of sight are made once the frame with those in sight is on screen. They are laid out when the page has nothing
 * else to do, or when they come into sight.
 */
function Rows({ contexts, start, sourceStart, card, style, inSight, filled }: RowsProps): VNode {
  const list = useRef<HTMLOListElement>(null);
  useLayoutEffect(() => {
    const element = list.current;
    if (element === null) return undefined;
    const fill = (): void => {
      element.replaceChildren(...exampleRows(contexts, start, sourceStart, card, style));
      filled();
    };
    element.classList.toggle("late", !inSight);
    if (inSight) {
      fill();
      return undefined;
    }
    element.style.setProperty("--rows", String(contexts.focus.length * (contexts.sources === null ? 1 : 2)));
    return afterFrame(() => {
      fill();
      return whenIdle(() => element.classList.remove("late"));
    });
  }, [contexts, start, sourceStart, card, style]);
  return <ol ref={list} />;
}

const TITLES = { top: "Top activations", bottom: "Most negative activations" } as const;

function title(group: SequenceGroup, card: Card): string {
  if (group.kind === "interval") return `${number(group.low)} to ${number(group.high)}`;
  if (group.kind !== "label") return TITLES[group.kind];
  const labelling = card.head.labellings[group.labelling];
  return `${labelling?.name ?? ""}: ${labelling?.labels[group.label] ?? ""}`;
}

function words(group: SequenceGroup, card: Card, n: number): string {
  if (group.kind === "interval") return intervalWords(group, n);
  return group.kind === "label" ? labelWords(group, card, n) : endWords(group, card, n);
}

function labelWords({ labelling, label, n_firings, low, high }: SequenceGroup, card: Card, n: number): string {
  const tokens = card.head.labellings[labelling]?.n_tokens[label] ?? NaN;
  const end = -low > high ? `min ${number(low)}` : `max ${number(high)}`;
  return `fires on ${percent(n_firings / tokens)} of its tokens · ${plural(n, "example")} of ${plural(n_firings, "firing")} · ${end}`;
}

function endWords({ kind }: SequenceGroup, card: Card, n: number): string {
  const { n_firings, max, min } = card.view.stats;
  const end = kind === "top" ? `max ${number(max)}` : `min ${number(min)}`;
  return `${plural(n, "example")} of ${plural(n_firings, "firing")} · ${end}`;
}

function intervalWords(group: SequenceGroup, shown: number): string {
  if (group.n_firings === 0) return "no firings";
  return `${percent(group.share)} of firings (${count(group.n_firings)}), ${count(shown)} at random`;
}
