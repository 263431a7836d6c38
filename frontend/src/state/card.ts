// One opened feature and what the pointer is on: shared by all components of a card.
import type { Contexts, FeatureView, SequenceGroup, TokenEffects } from "../data/contract";
import { Signal } from "./signal";
import type { Head } from "../data/source";
import type { TokenTexts } from "../data/tokens";

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
  /** For each labelling of the page the token's label; -1: none. */
  readonly labels: readonly number[];
  /** Where its activation comes from; absent or null: not a token in focus of an attention SAE's examples. */
  readonly attention?: Attention | null;
  /** What it gives as a source of another token; absent: it is shown as itself. */
  readonly source?: SourcePart;
}

/** What the feature does to the prediction of the token after this one. */
export interface Effect {
  readonly kind: TokenEffects["kind"];
  /** What the loss is of: the next token, or a reference distribution. */
  readonly against: TokenEffects["against"];
  /** In nats, negative: the feature helps. */
  readonly loss: number;
  readonly next: number;
  readonly probWith: number;
  readonly probWithout: number;
  /** Tokens whose log-probability it raises and lowers most, largest change first. */
  readonly up: readonly Change[];
  readonly down: readonly Change[];
}

/** What attention gives a feature at a token: the sum of all its parts, and each head's. */
export interface Attention {
  readonly total: number;
  readonly heads: Float32Array;
}

/** What one source token gives a feature at another token. */
export interface SourcePart {
  readonly value: number;
  /** Of this sum of all parts. */
  readonly total: number;
  /** Tokens from the source to the destination. */
  readonly back: number;
  /** The head with the largest part of it; -1: not told. */
  readonly head: number;
  readonly headValue: number;
}

export interface Change {
  readonly id: number;
  readonly value: number;
}

/** A range of activations, logit effects or positions, low end exclusive (below zero the high end); or one token, one label. */
export interface Range {
  readonly of: "act" | "logit" | "position" | "id" | "label";
  /** Of a label: its place among the page's labellings. */
  readonly labelling?: number;
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
  | { readonly kind: "token"; readonly card: Card; readonly token: TokenAt; readonly near: Element }
  | { readonly kind: "lines"; readonly lines: readonly string[]; readonly box: DOMRect };

/** The tooltip of what the pointer or the keyboard is on. */
export const tip = new Signal<Tip | null>(null);

/** A token that stays in view until it is let go. */
export interface Pin {
  readonly card: Card;
  readonly token: TokenAt;
  readonly near: Element;
}

/** The page's one pinned token. */
export const pin = new Signal<Pin | null>(null);

/** The cards on screen: what is pointed at in one is marked in the others. */
const open = new Set<Card>();

/** Take a card to the screen; returns the function that takes it off. */
export function opened(card: Card): () => void {
  open.add(card);
  card.pinned.set(pin.value === null ? null : card.same(pin.value.token));
  return () => {
    open.delete(card);
    if (pin.value?.card === card) setPin(null);
  };
}

/** The pointer or the keyboard is on a token of a card, null: on none. */
export function point(card: Card, token: TokenAt | null): void {
  card.token.set(token);
  for (const other of open) if (other !== card) other.token.set(other.same(token));
}

export function setPin(next: Pin | null): void {
  pin.set(next);
  for (const card of open) card.pinned.set(next === null ? null : card === next.card ? next.token : card.same(next.token));
}

/** Where a card shows a token of the corpus. */
export interface Shown {
  readonly group: number;
  readonly context: number;
  /** Counted through all groups of the card. */
  readonly number: number;
}

export class Card {
  /** The token that the pointer or the keyboard is on. */
  readonly token = new Signal<TokenAt | null>(null);
  /** What the card knows of the page's pinned token. */
  readonly pinned = new Signal<TokenAt | null>(null);
  /** The values that the pointer is on in a chart. */
  readonly range = new Signal<Range | null>(null);
  /** The interval group that the pointer is on. */
  readonly band = new Signal<Band | null>(null);
  /** Largest size of an activation: the end of the colour scale. */
  readonly scale: number;
  private readonly starts: number[] = [];
  private readonly sourceStarts: number[] = [];
  private logits: Map<number, number> | null = null;

  constructor(
    readonly view: FeatureView,
    readonly head: Head,
    readonly texts: TokenTexts,
  ) {
    let [at, source] = [0, 0];
    for (const { contexts } of view.sequences) {
      this.starts.push(at);
      this.sourceStarts.push(source);
      at += contexts.tokens.length;
      source += contexts.sources?.tokens.length ?? 0;
    }
    let scale = Math.max(view.stats.max, -view.stats.min);
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

  /** Number of a group's first source token, counted alike. */
  sourceStart(group: number): number {
    return this.sourceStarts[group] ?? 0;
  }

  /** The token of a number. */
  at(number: number): TokenAt | null {
    const g = groupOf(this.starts, number);
    const group = this.view.sequences[g];
    return group === undefined ? null : tokenAt(group, number - this.start(g));
  }

  /** The source token of a number. */
  sourceAt(number: number): TokenAt | null {
    const g = groupOf(this.sourceStarts, number);
    const group = this.view.sequences[g];
    return group === undefined ? null : sourceTokenAt(group, number - this.sourceStart(g));
  }

  /** Where the token at this place of the corpus is among the card's examples. */
  places({ sequence, position }: TokenAt): Shown[] {
    const out: Shown[] = [];
    if (sequence < 0) return out;
    this.view.sequences.forEach(({ contexts: c }, group) => {
      c.sequence.forEach((row, context) => {
        const from = c.offsets[context] ?? 0;
        const at = from + position - (c.start[context] ?? 0);
        if (row !== sequence || at < from || at >= (c.offsets[context + 1] ?? 0)) return;
        out.push({ group, context, number: this.start(group) + at });
      });
    });
    return out;
  }

  /** What this card knows of a token of another: all, where it shows it; or the logit effect on the same token id. */
  same(token: TokenAt | null): TokenAt | null {
    if (token === null) return null;
    const place = this.places(token)[0];
    if (place !== undefined) return this.at(place.number);
    const logit = this.logitOf(token.id);
    return logit === null ? null : { id: token.id, act: NaN, logit, effect: null, sequence: -1, position: -1, labels: [] };
  }

  private logitOf(id: number): number | null {
    if (this.logits === null) {
      const known = (this.logits = new Map<number, number>());
      const learn = (ids: Int32Array, values: Float32Array): void => ids.forEach((t, i) => known.set(t, values[i] ?? NaN));
      const { logits_table: table, sequences } = this.view;
      if (table !== null) learn(table.top_tokens, table.top_values);
      if (table !== null) learn(table.bottom_tokens, table.bottom_values);
      for (const { contexts } of sequences) if (contexts.logits !== null) learn(contexts.tokens, contexts.logits);
    }
    return this.logits.get(id) ?? null;
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
    labels: c.labels.map((own) => own[t] ?? -1),
    attention: t - (c.offsets[context] ?? 0) === c.focus[context] ? attentionOf(c, context) : null,
  };
}

/** A token of a group of examples. */
export interface InGroup {
  readonly group: SequenceGroup;
  readonly t: number;
}

/** The firing of largest size among a card's examples; null: it shows none. */
export function peakOf({ sequences }: FeatureView): InGroup | null {
  let best: InGroup | null = null;
  let most = 0;
  for (const group of sequences) {
    group.contexts.acts.forEach((act, t) => {
      if (Math.abs(act) > most) [best, most] = [{ group, t }, Math.abs(act)];
    });
  }
  return best;
}

/** Where in the corpus `peakOf` is. */
export function strongest(view: FeatureView): TokenAt | null {
  const peak = peakOf(view);
  return peak === null ? null : tokenAt(peak.group, peak.t);
}

/** The group that a number belongs to, by the numbers that groups start with. */
function groupOf(starts: readonly number[], number: number): number {
  let g = starts.length - 1;
  while (g > 0 && (starts[g] ?? 0) > number) g--;
  return g;
}

function attentionOf({ sources }: Contexts, context: number): Attention | null {
  if (sources === null) return null;
  const n = sources.n_heads;
  return { total: sources.total[context] ?? NaN, heads: sources.heads.subarray(context * n, (context + 1) * n) };
}

function sourceTokenAt({ contexts: c }: SequenceGroup, s: number): TokenAt | null {
  const id = c.sources?.tokens[s];
  if (c.sources === null || id === undefined) return null;
  let context = 0;
  while ((c.sources.offsets[context + 1] ?? Infinity) <= s) context++;
  const position = (c.sources.start[context] ?? 0) + s - (c.sources.offsets[context] ?? 0);
  const source = {
    value: c.sources.parts[s] ?? NaN,
    total: c.sources.total[context] ?? NaN,
    back: (c.start[context] ?? 0) + (c.focus[context] ?? 0) - position,
    head: c.sources.head[s] ?? -1,
    headValue: c.sources.head_parts[s] ?? NaN,
  };
  return { id, act: NaN, logit: null, effect: null, sequence: c.sequence[context] ?? -1, position, labels: [], source };
}

function effectAt({ effects }: Contexts, t: number): Effect | null {
  const i = effects?.at.indexOf(t) ?? -1;
  if (effects === null || i < 0) return null;
  const list = effects.listed.indexOf(i);
  const first = list * effects.n_changed;
  const changes = (ids: Int32Array, values: Float32Array): Change[] =>
    list < 0 ? [] : Array.from(ids.subarray(first, first + effects.n_changed), (id, k) => ({ id, value: values[first + k] ?? NaN }));
  const [loss, prob] = [effects.loss[i] ?? NaN, effects.prob[i] ?? NaN];
  return {
    kind: effects.kind,
    against: effects.against,
    loss,
    next: effects.next_token[i] ?? -1,
    probWith: prob,
    probWithout: prob * Math.exp(loss),
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

/** Whether an activation is that of a firing: neither 0 nor masked. */
export function fires(act: number): boolean {
  return act !== 0 && !Number.isNaN(act);
}

/** Whether a token's value is in a range; what is not known is in none. But for logit effects, only firings are. */
export function within(token: TokenAt, range: Range): boolean {
  const value = range.of === "label" ? (token.labels[range.labelling ?? -1] ?? null) : token[range.of];
  if (value === null || (range.of !== "logit" && !fires(token.act))) return false;
  if (range.of === "act" && value < 0) return value >= range.low && value < range.high;
  return (value > range.low || (range.closed && value === range.low)) && value <= range.high;
}
