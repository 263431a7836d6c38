// A prompt's pairs of token and feature, as rankings and pictures read them: by token as they come, and by feature.
import type { FeatureSummary, PromptMetric, PromptPart, PromptView } from "../../data/contract";
import type { Order, Place, Span } from "../address";
import type { Side } from "../sides";

export class Pairs {
  /** Tokens of the prompt. */
  readonly n: number;
  /** Of each pair: the feature's row in the table of firing features. */
  readonly rows: Int32Array;
  readonly positions: Int32Array;
  /** Row `i` owns `order[starts[i]..starts[i + 1]]`, pairs in the order of their positions. */
  private readonly starts: Int32Array;
  private readonly order: Int32Array;

  constructor(
    readonly view: PromptView,
    readonly firing: FeatureSummary,
    rowOf: ReadonlyMap<number, number>,
  ) {
    const { offsets, features } = view;
    this.n = view.tokens.length;
    this.rows = features.map((id) => rowOf.get(id) ?? 0);
    this.positions = new Int32Array(features.length);
    for (let i = 0; i < this.n; i++) this.positions.fill(i, offsets[i], offsets[i + 1]);
    this.starts = new Int32Array(firing.feature.length + 1);
    for (const row of this.rows) this.starts[row + 1] = (this.starts[row + 1] ?? 0) + 1;
    for (let row = 0; row < firing.feature.length; row++) this.starts[row + 1] = (this.starts[row + 1] ?? 0) + (this.starts[row] ?? 0);
    this.order = new Int32Array(features.length);
    const next = this.starts.slice();
    this.rows.forEach((row, pair) => {
      this.order[next[row] ?? 0] = pair;
      next[row] = (next[row] ?? 0) + 1;
    });
  }

  /** Features that fire at a position. */
  fires(position: number): number {
    return (this.view.offsets[position + 1] ?? 0) - (this.view.offsets[position] ?? 0);
  }

  /** Pairs of a feature, in the order of their positions. */
  ofRow(row: number): Int32Array {
    return this.order.subarray(this.starts[row], this.starts[row + 1]);
  }

  /** The pair of a feature and a position; -1 where it does not fire. */
  at(row: number, position: number): number {
    return this.ofRow(row).find((pair) => this.positions[pair] === position) ?? -1;
  }

  /** A feature's values over the prompt: 0 where it does not fire, NaN where it was not computed. */
  line(row: number, values: Float32Array): Float32Array {
    const out = new Float32Array(this.n);
    for (const pair of this.ofRow(row)) out[this.positions[pair] ?? 0] = values[pair] ?? NaN;
    return out;
  }
}

/** A metric and its values in each prompt, of one target where it is about targets. */
export interface Measure {
  readonly metric: PromptMetric;
  readonly values: readonly Float32Array[];
  /** Whether values on both sides of zero have a meaning. */
  readonly signed: boolean;
  /** Whether there is a value anywhere. */
  readonly known: boolean;
}

/** A column of the heat map: a token, or two that stand for each other; -1 where a prompt has none. */
export interface Pillar {
  readonly a: number;
  readonly b: number;
}

/** All of a prompt page's data that does not change. */
export class Prompts {
  readonly sides: readonly Pairs[];
  readonly rowOf: ReadonlyMap<number, number>;
  readonly pillars: readonly Pillar[];
  /** For each prompt, the position in the other that stands for each of its own; -1 where none does. */
  readonly partners: readonly Int32Array[];
  private readonly measures = new Map<string, Measure>();

  constructor(readonly part: PromptPart) {
    this.rowOf = new Map(Array.from(part.firing.feature, (id, row) => [id, row]));
    this.sides = part.prompts.map((view) => new Pairs(view, part.firing, this.rowOf));
    this.partners = partnersOf(part);
    this.pillars = pillarsOf(this.partners);
  }

  get two(): boolean {
    return this.sides.length > 1;
  }

  side(side: Side): Pairs {
    const pairs = this.sides[side];
    if (pairs === undefined) throw new Error(`the page has no prompt ${side}`);
    return pairs;
  }

  /** A feature's activations over a prompt. */
  acts(side: number, row: number): Float32Array {
    return this.sides[side]?.line(row, this.measure("act_size", 0).values[side] ?? new Float32Array()) ?? new Float32Array();
  }

  /** The token of the other prompt that stands for this one. */
  partner({ side, position }: Place): Place | null {
    const other = this.partners[side]?.[position] ?? -1;
    return other < 0 ? null : { side: side === 0 ? 1 : 0, position: other };
  }

  measure(name: string, target: number): Measure {
    const key = name === "logit_effect" ? `${name} ${target}` : name;
    let found = this.measures.get(key);
    if (found === undefined) this.measures.set(key, (found = this.measured(name, target)));
    return found;
  }

  private measured(name: string, target: number): Measure {
    const metrics = this.part.prompts.map((view) => view.metrics.find((m) => m.name === name));
    const metric = metrics[0];
    if (metric === undefined) throw new Error(`the page has no metric ${name}`);
    const values = this.part.prompts.map((view, i) => {
      const own = metrics[i]?.values ?? new Float32Array(view.features.length).fill(NaN);
      return name === "logit_effect" && target > 0 ? own.map((_, pair) => view.logit_effects[pair * view.n_targets + target] ?? NaN) : own;
    });
    const signed = helps(metric) !== null || values.some((all) => all.some((v) => v < 0));
    const known = values.some((all) => all.some((v) => !Number.isNaN(v)));
    return { metric, values, signed, known };
  }

  /** Whether a metric has a value anywhere. */
  known(name: string): boolean {
    return this.measure(name, 0).known;
  }

  /** For each prompt, 1 at the positions of a span and at those that stand for them. */
  sets(span: Span | null): Uint8Array[] {
    return this.sides.map((pairs, side) => {
      const set = new Uint8Array(pairs.n);
      if (span === null) set.fill(1);
      else if (span.side === side) set.fill(1, span.from, span.to + 1);
      else for (let i = span.from; i <= span.to; i++) mark(set, this.partners[span.side]?.[i] ?? -1);
      return span !== null && span.from === span.to ? set : unmasked(set, pairs.view.masked);
    });
  }
}

function mark(set: Uint8Array, position: number): void {
  if (position >= 0) set[position] = 1;
}

/** Over several tokens, those that the corpus's statistics leave out are left out too, unless there are no others. */
function unmasked(set: Uint8Array, masked: Int32Array): Uint8Array {
  const kept = set.map((inside, i) => (masked[i] === 1 ? 0 : inside));
  return kept.includes(1) ? kept : set;
}

function partnersOf({ prompts, aligned }: PromptPart): Int32Array[] {
  const out = prompts.map((view) => new Int32Array(view.tokens.length).fill(-1));
  const [a, b] = out;
  if (a === undefined || b === undefined) return out;
  for (let i = 0; i + 1 < aligned.length; i += 2) {
    const [at, bt] = [aligned[i] ?? 0, aligned[i + 1] ?? 0];
    a[at] = bt;
    b[bt] = at;
  }
  return out;
}

/** Tokens that stand for each other share a column; the others have their own, in the order of the texts. */
function pillarsOf([first, second]: readonly Int32Array[]): Pillar[] {
  const out: Pillar[] = [];
  let b = 0;
  first?.forEach((partner, a) => {
    if (partner >= 0) for (; b < partner; b++) out.push({ a: -1, b });
    out.push({ a, b: partner });
    if (partner >= 0) b = partner + 1;
  });
  for (; b < (second?.length ?? 0); b++) out.push({ a: -1, b });
  return out;
}

/** Which sign of an effect helps what it is on: a lower loss, a higher logit; null: the metric is no effect. */
export function helps({ name }: PromptMetric): "large" | "small" | null {
  return name === "logit_effect" ? "large" : ["loss_effect", "attribution", ...FULL].includes(name) ? "small" : null;
}

/** Metrics that are measured by running the model for each pair. */
const FULL: readonly string[] = ["full_loss_effect", "full_later_effect"];

export function isFull({ name }: PromptMetric): boolean {
  return FULL.includes(name);
}

/** The density, in percent, up to which features are ranked by a metric unless told otherwise. */
export function usualMost({ metric }: Measure): number {
  return Number((100 * metric.max_density).toPrecision(6));
}

/** The order that a ranking has unless another is chosen. */
export function usualOrder(measure: Measure, two: boolean): Order {
  return two ? "size" : measure.metric.first;
}
