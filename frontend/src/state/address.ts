// What the addresses of pages say: every field of every kind of page, by name.
import type { PromptPart } from "../data/contract";
import type { Head } from "../data/source";
import { choice, flag, percentage, whole, wholeOf, within, type Field, type Fields, type Said } from "./fields";
import type { Side } from "./sides";

export const THEMES = ["system", "light", "dark"] as const;
export type Theme = (typeof THEMES)[number];

/** How a page looks, whatever it shows. */
export interface Look {
  /** Whether counts of the activation histogram are on a log scale. */
  readonly log: boolean;
  /** Whether contexts wrap, so that none is cut off, rather than stand on one line each. */
  readonly wrap: boolean;
  readonly theme: Theme;
}

export const LOOK: Fields<Look> = { log: flag("log"), wrap: flag("wrap"), theme: choice("theme", THEMES, "system") };

/** Features side by side at most. */
export const MOST_BESIDE = 4;

/** A page of features: #f=12,345&log=1&wrap=1&theme=dark */
export interface FeatureAddress extends Look {
  /** The open features, from left to right. */
  readonly features: readonly number[];
}

/** A page whose address names no feature opens with its first. */
export function featureFields(head: Head): Fields<FeatureAddress> {
  return {
    features: {
      read(text) {
        const named = featuresOf(text("f"));
        return named.length > 0 ? named : [firstOf(head)];
      },
      write: (open) => [["f", open.length > 0 ? open.join(",") : null]],
    },
    ...LOOK,
  };
}

function featuresOf(text: string): readonly number[] {
  return text.split(",").map(wholeOf).filter((id) => id !== null).slice(0, MOST_BESIDE);
}

/** The features that a link of a page of features leads to. */
export function linked({ hash }: HTMLAnchorElement): readonly number[] {
  return featuresOf(new URLSearchParams(hash.slice(1)).get("f") ?? "");
}

function firstOf({ meta, summary }: Head): number {
  return meta.first ?? summary.feature[0] ?? 0;
}

/** The pair side by side, or a list of all features. */
export const VIEWS = ["pair", "lost", "new", "splits", "merges"] as const;
export type View = (typeof VIEWS)[number];

const LIST_ORDERS = ["usual", "feature", "pearson", "density", "covered", "added", "parts"] as const;
/** What a list is ordered by; `usual` is its own. */
export type By = (typeof LIST_ORDERS)[number];

/** A page of two dictionaries: #a=12&b=34 for a pair, &view=lost for a list, &by=… for its order. */
export interface CompareAddress extends Look {
  readonly a: number;
  /** The feature of B beside it; null: the nearest. */
  readonly b: number | null;
  readonly view: View;
  readonly by: By;
  readonly down: boolean;
}

export function compareFields(head: Head): Fields<CompareAddress> {
  return {
    a: { read: (text) => wholeOf(text("a")) ?? firstOf(head), write: (a) => [["a", a]] },
    b: whole("b", null),
    view: choice("view", VIEWS, "pair"),
    by: choice("by", LIST_ORDERS, "usual"),
    down: flag("down"),
    ...LOOK,
  };
}

/** Cards side by side at most. */
export const MOST_CARDS = 4;
/** Features in a ranking at most. */
export const MOST_RANKED = 500;

export const AGGREGATES = ["max", "mean", "sum", "count"] as const;
export type Aggregate = (typeof AGGREGATES)[number];

export const ORDERS = ["large", "small", "size"] as const;
/** Which values come first: large ones, small ones, or those far from zero. */
export type Order = (typeof ORDERS)[number];

/** A token of a prompt. */
export interface Place {
  readonly side: Side;
  readonly position: number;
}

/** Tokens that are ranked over: both ends belong to it, and may be the same. */
export interface Span {
  readonly side: Side;
  readonly from: number;
  readonly to: number;
}

/** A page of prompts: #metric=act_size&pos=5 or &span=3-7, &f=12 for the open card, and how the features are ranked. */
export interface PromptAddress extends Look {
  readonly metric: string;
  /** Which of a position's targets the logit effect is on. */
  readonly target: number;
  /** null: the metric's own. */
  readonly order: Order | null;
  readonly by: Aggregate;
  /** null: the whole prompt. */
  readonly span: Span | null;
  /** The feature whose card was chosen; null: the ranking's first. */
  readonly feature: number | null;
  /** A token of the chosen feature's card that stays marked. */
  readonly held: Place | null;
  /** Cards side by side. */
  readonly cards: number;
  readonly n: number;
  /** Densities that a ranked feature may have, in percent; `max` null: the metric's own. */
  readonly min: number;
  readonly max: number | null;
}

export function promptFields(part: PromptPart): Fields<PromptAddress> {
  const [first] = part.prompts;
  return {
    metric: {
      read: (text) => first?.metrics.find((m) => m.name === text("metric"))?.name ?? part.metric,
      write: (metric) => [["metric", encodeURIComponent(metric)]],
    },
    target: within("target", 0, Math.max((first?.n_targets ?? 1) - 1, 0), 0),
    order: choice("order", ORDERS, null),
    by: choice("by", AGGREGATES, "max"),
    span: spanField(part),
    feature: whole("f", null),
    held: { read: (text) => placeOf(text("hold"), part), write: (held) => [["hold", held === null ? null : `${held.side === 1 ? "b" : ""}${held.position}`]] },
    cards: within("cards", 1, MOST_CARDS, 1),
    n: within("n", 1, MOST_RANKED, Math.min(part.n_features, MOST_RANKED)),
    min: percentage("min", 0),
    max: percentage("max", null),
    ...LOOK,
  };
}

/** `pos` is a token, `span` several; `side` says of which prompt. */
function spanField(part: PromptPart): Field<Span | null> {
  return {
    read(text) {
      const side: Side = text("side") === "b" && part.prompts.length > 1 ? 1 : 0;
      const last = (part.prompts[side]?.tokens.length ?? 0) - 1;
      const [, from, to] = /^(\d{1,9})-(\d{1,9})$/.exec(text("span")) ?? [];
      if (from !== undefined && Number(from) <= Number(to) && Number(to) <= last) return { side, from: Number(from), to: Number(to) };
      const position = text("pos");
      if (position === "all") return null;
      const at = wholeOf(position);
      if (at !== null && at <= last) return { side, from: at, to: at };
      return part.position === null ? null : { side: 0, from: part.position, to: part.position };
    },
    write(span): Said {
      if (span === null) return [["pos", part.position === null ? null : "all"]];
      const { side, from, to } = span;
      return [from === to ? ["pos", from] : ["span", `${from}-${to}`], ["side", side === 1 ? "b" : null]];
    },
  };
}

function placeOf(text: string, part: PromptPart): Place | null {
  const [, b, position] = /^(b?)(\d{1,9})$/.exec(text) ?? [];
  const side: Side = b === "b" ? 1 : 0;
  const n = part.prompts[side]?.tokens.length ?? 0;
  return position !== undefined && Number(position) < n ? { side, position: Number(position) } : null;
}
