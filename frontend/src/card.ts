// One opened feature and what the pointer is on: shared by all components of a card.
import type { Contexts, FeatureView, SequenceGroup, TokenEffects } from "./payload";
import { Signal } from "./signal";
import type { Head } from "./source";
import type { TokenTexts } from "./tokens";

/** One token of one example, with all that is known about it. */
export interface TokenAt {
  readonly id: number;
  readonly act: number;
  /** null: no logit lens was made. */
  readonly logit: number | null;
  /** null: not computed for this token. */
  readonly effect: Effect | null;
  readonly sequence: number;
  readonly position: number;
}

/** What the feature does to the prediction of the token after this one. */
export interface Effect {
  readonly kind: TokenEffects["kind"];
  /** In nats, negative: the feature helps. */
  readonly loss: number;
  readonly next: number;
  readonly probWith: number;
  readonly probWithout: number;
  /** Tokens whose log-probability it raises and lowers most, largest change first. */
  readonly up: readonly Change[];
  readonly down: readonly Change[];
}

export interface Change {
  readonly id: number;
  readonly value: number;
}

/** A range of activations or of logit effects, low end exclusive. */
export interface Range {
  readonly of: "act" | "logit";
  readonly low: number;
  readonly high: number;
  /** The first bin of a histogram holds its low end too. */
  readonly closed: boolean;
}

/** Activations between two values, as of an interval group. */
export interface Band {
  readonly low: number;
  readonly high: number;
}

/** What the tooltip shows, and beside what. */
export type Tip =
  | { readonly kind: "token"; readonly token: TokenAt; readonly near: Element; readonly pinned: boolean }
  | { readonly kind: "lines"; readonly lines: readonly string[]; readonly box: DOMRect };

/** The page's one tooltip. */
export const tip = new Signal<Tip | null>(null);

export class Card {
  /** The token that the pointer or the keyboard is on. */
  readonly token = new Signal<TokenAt | null>(null);
  /** The values that the pointer is on in a chart. */
  readonly range = new Signal<Range | null>(null);
  /** The interval group that the pointer is on. */
  readonly band = new Signal<Band | null>(null);
  /** Largest size of an activation: the end of the colour scale. */
  readonly scale: number;
  private readonly starts: number[] = [];

  constructor(
    readonly view: FeatureView,
    readonly head: Head,
    readonly texts: TokenTexts,
  ) {
    let at = 0;
    for (const group of view.sequences) {
      this.starts.push(at);
      at += group.contexts.tokens.length;
    }
    let scale = view.stats.max;
    for (const { contexts } of view.sequences) for (const act of contexts.acts) if (Math.abs(act) > scale) scale = Math.abs(act);
    this.scale = scale || 1;
  }

  get dead(): boolean {
    return this.view.stats.n_firings === 0;
  }

  /** Number of a group's first token, counted through all groups of the card. */
  start(group: number): number {
    return this.starts[group] ?? 0;
  }

  /** The token of a number. */
  at(number: number): TokenAt | null {
    let g = this.starts.length - 1;
    while (g > 0 && this.start(g) > number) g--;
    const group = this.view.sequences[g];
    return group === undefined ? null : tokenAt(group, number - this.start(g));
  }
}

function tokenAt({ contexts: c }: SequenceGroup, t: number): TokenAt | null {
  const id = c.tokens[t];
  if (id === undefined) return null;
  let context = 0;
  while ((c.offsets[context + 1] ?? Infinity) <= t) context++;
  return {
    id,
    act: c.acts[t] ?? NaN,
    logit: c.logits?.[t] ?? null,
    effect: effectAt(c, t),
    sequence: c.sequence[context] ?? -1,
    position: (c.start[context] ?? 0) + t - (c.offsets[context] ?? 0),
  };
}

function effectAt({ effects }: Contexts, t: number): Effect | null {
  const i = effects?.at.indexOf(t) ?? -1;
  if (effects === null || i < 0) return null;
  const span = [i * effects.n_changed, (i + 1) * effects.n_changed] as const;
  const changes = (ids: Int32Array, values: Float32Array): Change[] =>
    Array.from(ids.subarray(...span), (id, k) => ({ id, value: values[span[0] + k] ?? NaN }));
  return {
    kind: effects.kind,
    loss: effects.loss[i] ?? NaN,
    next: effects.next_token[i] ?? -1,
    probWith: effects.prob_with[i] ?? NaN,
    probWithout: effects.prob_without[i] ?? NaN,
    up: changes(effects.up_tokens, effects.up_values),
    down: changes(effects.down_tokens, effects.down_values),
  };
}

const losses = new WeakMap<TokenEffects, Float32Array>();

/** Loss effect of each token of a group's contexts, NaN where it was not computed; null where none was. */
export function lossOf({ effects, tokens }: Contexts): Float32Array | null {
  if (effects === null) return null;
  let out = losses.get(effects);
  if (out === undefined) {
    out = new Float32Array(tokens.length).fill(NaN);
    for (const [i, t] of effects.at.entries()) out[t] = effects.loss[i] ?? NaN;
    losses.set(effects, out);
  }
  return out;
}

/** Whether a token's value is in a range; what is not known is in none, nor is an activation of 0 (not a firing). */
export function within(token: TokenAt, range: Range): boolean {
  const value = range.of === "act" ? token.act : token.logit;
  if (value === null || (range.of === "act" && value === 0)) return false;
  return (value > range.low || (range.closed && value === range.low)) && value <= range.high;
}
