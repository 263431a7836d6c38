// A prompt page's address: #metric=act_size&pos=5 or &span=3-7, &f=12 for the open card, and how the features are ranked.
import type { PromptPart } from "../../data/contract";
import { Fields, unless, wholeOf, written, type Look } from "../fields";
import type { Side } from "../sides";

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
  /** Densities that a ranked feature may have, in percent. */
  readonly min: number;
  readonly max: number;
}

export function parse(hash: string, part: PromptPart): PromptAddress {
  const fields = new Fields(hash);
  const side: Side = fields.text("side") === "b" && part.prompts.length > 1 ? 1 : 0;
  return {
    metric: part.prompts[0]?.metrics.find((m) => m.name === fields.text("metric"))?.name ?? part.metric,
    target: fields.within("target", 0, Math.max((part.prompts[0]?.n_targets ?? 1) - 1, 0), 0),
    order: fields.choice("order", ORDERS) ?? null,
    by: fields.choice("by", AGGREGATES) ?? "max",
    span: spanOf(fields, side, part),
    feature: fields.whole("f"),
    held: placeOf(fields.text("hold"), part),
    cards: fields.within("cards", 1, MOST_CARDS, 1),
    n: fields.within("n", 1, MOST_RANKED, Math.min(part.n_features, MOST_RANKED)),
    min: percentOf(fields.text("min"), 0),
    max: percentOf(fields.text("max"), 100),
    ...fields.look(),
  };
}

/** What the user typed as a percentage; what is none counts as no limit. */
export function percentOf(text: string, otherwise: number): number {
  const value = text.trim() === "" ? NaN : Number(text.trim().replace("%", "").replace(",", "."));
  return value >= 0 && value <= 100 ? value : otherwise;
}

function spanOf(fields: Fields, side: Side, part: PromptPart): Span | null {
  const last = (part.prompts[side]?.tokens.length ?? 0) - 1;
  const [, from, to] = /^(\d{1,9})-(\d{1,9})$/.exec(fields.text("span")) ?? [];
  if (from !== undefined && Number(from) <= Number(to) && Number(to) <= last) return { side, from: Number(from), to: Number(to) };
  const position = fields.text("pos");
  if (position === "all") return null;
  const at = wholeOf(position);
  if (at !== null && at <= last) return { side, from: at, to: at };
  return part.position === null ? null : { side: 0, from: part.position, to: part.position };
}

function placeOf(text: string, part: PromptPart): Place | null {
  const [, b, position] = /^(b?)(\d{1,9})$/.exec(text) ?? [];
  const side: Side = b === "b" ? 1 : 0;
  const n = part.prompts[side]?.tokens.length ?? 0;
  return position !== undefined && Number(position) < n ? { side, position: Number(position) } : null;
}

/** Only what differs from the page's beginning. */
export function write(address: PromptAddress, part: PromptPart): string {
  const { held } = address;
  return written(
    [
      ["metric", encodeURIComponent(address.metric)],
      ["target", unless(0, address.target)],
      ["order", address.order],
      ["by", unless("max", address.by)],
      ...spanWords(address.span, part),
      ["f", address.feature],
      ["hold", held === null ? null : `${held.side === 1 ? "b" : ""}${held.position}`],
      ["cards", unless(1, address.cards)],
      ["n", unless(part.n_features, address.n)],
      ["min", unless(0, address.min)],
      ["max", unless(100, address.max)],
    ],
    address,
  );
}

function spanWords(span: Span | null, part: PromptPart): [string, string | number | null][] {
  if (span === null) return [["pos", part.position === null ? null : "all"]];
  const where: [string, string | number] = span.from === span.to ? ["pos", span.from] : ["span", `${span.from}-${span.to}`];
  return [where, ["side", span.side === 1 ? "b" : null]];
}
