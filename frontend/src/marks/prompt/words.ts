// Values, orders and tokens of a prompt in words, worded by the metric.
import { number, percent, plural, signed } from "../../data/format";
import type { TokenTexts } from "../../data/tokens";
import type { Aggregate, Order, Place, Span } from "../../state/address";
import { helps, isFull, type Measure, type Prompts } from "../../state/prompt/pairs";
import type { Ends } from "./Scale";

/** Zeros after the point of the share of tokens above a quantile, from which on all look the same. */
const FINEST_QUANTILE = 6;

/** A value of a metric; of a difference, always with its sign. */
export function valueWords({ metric, signed: both }: Measure, value: number, difference = false): string {
  if (Number.isNaN(value)) return "not computed";
  if (metric.name === "act_quantile") return difference ? `${signed(100 * value)} pp` : quantile(value);
  return both || difference ? signed(value) : number(value);
}

/** In percent, with as many digits as tell it from 100%. */
export function quantile(value: number): string {
  const above = 1 - value;
  if (!(above > 0) || above > 0.1) return percent(value);
  const digits = Math.min(Math.max(Math.ceil(-Math.log10(above * 100)) + 1, 1), FINEST_QUANTILE - 1);
  return `${(100 * value).toFixed(digits)}%`;
}

/** How far a bar or a colour goes for a value: quantiles by how rare a larger activation is, since all are close to 1. */
export function extent({ metric }: Measure, value: number): number {
  if (metric.name !== "act_quantile") return Math.abs(value);
  return value <= 0 ? 0 : Math.min(-Math.log10(Math.max(1 - Math.abs(value), 10 ** -FINEST_QUANTILE)), FINEST_QUANTILE);
}

/** On which side of a diverging scale a value is. */
export type Tone = "plain" | "toward" | "against";

/** What helps is one colour, what harms another. */
export function toneOf({ metric, signed: both }: Measure, value: number): Tone {
  if (!both) return "plain";
  const sign = helps(metric);
  if (sign === null) return value >= 0 ? "plain" : "toward"; // the colours of activations
  return (sign === "large" ? value : -value) >= 0 ? "toward" : "against";
}

/** Of a difference: higher in the first prompt, higher in the second. */
export type DifferenceTone = "in-a" | "in-b";

export function differenceTone(value: number): DifferenceTone {
  return value >= 0 ? "in-a" : "in-b";
}

/** Both ends of a diverging scale in a word, that which helps first. */
export function toneWords({ metric }: Measure): readonly [toward: string, against: string] {
  const sign = helps(metric);
  if (sign === null) return ["above zero", "below zero"];
  if (metric.name !== "logit_effect" && metric.name !== "attribution") return ["helps", "harms"];
  return sign === "large" ? ["raises", "lowers"] : ["lowers", "raises"];
}

/** The scale of a metric with a meaning on both sides of zero; null for another. */
export function endsOf(measure: Measure): Ends | null {
  if (!measure.signed) return null;
  return { tones: helps(measure.metric) === null ? ["", "below"] : ["toward", "against"], words: toneWords(measure) };
}

export function orderWords(order: Order, measure: Measure, two: boolean): string {
  if (two) return { large: "higher in A first", small: "higher in B first", size: "largest difference first" }[order];
  const [toward, against] = toneWords(measure);
  if (measure.metric.name === "act_quantile") return order === "large" ? "highest first" : "lowest first";
  const sign = helps(measure.metric);
  if (order === "size") return sign === null ? "largest first, either sign" : "largest effect first, either way";
  if (sign === null) return order === "large" ? "positive first" : "negative first";
  return `${order === sign ? toward : against} most first`;
}

export const AGGREGATE_WORDS: Readonly<Record<Aggregate, string>> = {
  max: "strongest token",
  mean: "mean over tokens",
  sum: "sum over tokens",
  count: "number of firings",
};

/** One prompt's tokens in a few words, such as "token 5 ·the". */
export function spanWords(span: Span | null, prompts: Prompts, texts: TokenTexts): string {
  if (span === null) return prompts.two ? "both prompts" : "the whole prompt";
  const of = prompts.two ? ` of ${span.side === 0 ? "A" : "B"}` : "";
  if (span.from !== span.to) return `tokens ${span.from} to ${span.to}${of} (${plural(span.to - span.from + 1, "token")})`;
  return `token ${span.from}${of}, “${tokenWords({ side: span.side, position: span.from }, prompts, texts)}”`;
}

/** A token's text by itself, spaces at its ends as dots. */
export function tokenWords({ side, position }: Place, prompts: Prompts, texts: TokenTexts): string {
  return dotted(texts.plain(prompts.side(side).view.tokens[position] ?? -1));
}

export function dotted(text: string): string {
  return text.replace(/^ +| +$/g, (spaces) => "·".repeat(spaces.length));
}

/** Of how many pairs a metric is known, and what became of the others. */
export function unmeasuredWords({ metric }: Measure, n_pairs: number, n_measured: number): string {
  const start = isFull(metric) ? "Full effects were measured for" : `${metric.title} is known of`;
  return `${start} ${n_measured} of the ${plural(n_pairs, "pair")} of token and feature here; the ranking leaves the others out.`;
}
