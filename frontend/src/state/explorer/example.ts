// A text of the corpus to begin with, so that an empty prompt is one click from a first answer.
import type { FeatureView } from "../../data/contract";
import type { ExplorerSource } from "../../data/explorer";
import type { TokenTexts } from "../../data/tokens";
import { peakOf } from "../card";

/** Tokens before a feature's strongest firing, and after it. */
const BEFORE = 16;
const AFTER = 6;

/** Parts of characters, of which the rest lies outside. */
const CUT = /^\uFFFD+|\uFFFD+$/g;

export interface Example {
  readonly text: string;
  /** The feature that fires most strongly there; null: it is the beginning of the corpus. */
  readonly feature: number | null;
}

/** Where a feature fires most strongly; without one, or where its card shows no text, the beginning of the corpus. */
export async function exampleFor(source: ExplorerSource, texts: TokenTexts, feature: number | null, signal: AbortSignal): Promise<Example | null> {
  const around = feature === null ? null : tokensAround(await source.card(feature));
  const tokens = around ?? (await source.read(0, 0, [], signal)).tokens.subarray(0, BEFORE + AFTER);
  const whole = texts.raw(tokens.filter((token) => !source.store.special.has(token)));
  const text = whole.replace(CUT, ""); // a token may end within a character
  return text.trim() === "" ? null : { text, feature: around === null ? null : feature };
}

function tokensAround(view: FeatureView): Int32Array | null {
  const peak = peakOf(view);
  if (peak === null) return null;
  const { tokens, offsets } = peak.group.contexts;
  let context = offsets.length - 1;
  while ((offsets[context] ?? 0) > peak.t) context--;
  return tokens.subarray(Math.max(offsets[context] ?? 0, peak.t - BEFORE), Math.min(offsets[context + 1] ?? 0, peak.t + AFTER + 1));
}
