// What all parts of a prompt page share: what is chosen, the ranking that follows from it, and what is pointed at.
import { createContext } from "preact";
import { useContext, useLayoutEffect, useMemo, useRef, useState } from "preact/hooks";
import { pin, type Card, type TokenAt } from "../card";
import { Signal } from "../signal";
import type { Source } from "../../data/source";
import { promptFields, type Aggregate, type Order, type Place, type PromptAddress, type Span } from "../address";
import { prefixed } from "../fields";
import type { Within } from "../history";
import { usePage, type Page } from "../page";
import { Prompts, usualMost, usualOrder, type Measure, type Pillar } from "./pairs";
import { passing, rank, type Ranking } from "./rank";

/** Features in the heat map at most. */
export const MOST_MAPPED = 40;

/** A token, a feature, or both, that the pointer or the keyboard is on. */
export interface Pointed {
  readonly place: Place | null;
  /** Row in the table of firing features. */
  readonly row: number | null;
  /** Beside what the details are shown; null: no details. */
  readonly near: DOMRect | null;
}

const NOTHING: Pointed = { place: null, row: null, near: null };

/** The page's one pointer, and the cards that follow it. */
export class Pointer {
  readonly at = new Signal<Pointed>(NOTHING);
  private readonly cards = new Set<Card>();
  private resting: (card: Card) => Place | null = () => null;

  constructor(private readonly prompts: Prompts) {}

  set(next: Partial<Pointed> | null): void {
    const now = next === null ? NOTHING : { ...NOTHING, ...next };
    this.at.set(now);
    for (const card of this.cards) card.token.set(this.tokenOf(card, now.place));
  }

  /** A card comes to the screen; returns what takes it off. */
  follow(card: Card): () => void {
    this.cards.add(card);
    if (pin.value === null) card.pinned.set(this.tokenOf(card, this.resting(card)));
    return () => this.cards.delete(card);
  }

  /** Where each card's line stands while nothing is pinned. */
  rest(place: (card: Card) => Place | null): void {
    this.resting = place;
    for (const card of this.cards) card.pinned.set(this.tokenOf(card, place(card)));
  }

  /** What a card knows of a token of the prompt; where its feature does not fire there is no line for its activation. */
  tokenOf(card: Card, place: Place | null): TokenAt | null {
    const pairs = place === null ? undefined : this.prompts.sides[place.side];
    if (place === null || pairs === undefined) return null;
    const id = pairs.view.tokens[place.position] ?? -1;
    const act = this.actOf(card.view.feature, place);
    const known = card.same({ id, act: NaN, logit: null, effect: null, sequence: -1, position: -1, labels: [] });
    // Places of a prompt are in no sequence of the corpus; the number only tells the two prompts' tokens apart.
    return { id, act: act === 0 ? NaN : act, logit: known?.logit ?? null, effect: null, sequence: -1 - place.side, position: place.position, labels: [] };
  }

  /** A feature's activation at a token of the prompt. */
  actOf(feature: number, place: Place): number {
    const pairs = this.prompts.side(place.side);
    const row = this.prompts.rowOf.get(feature);
    const pair = row === undefined ? -1 : pairs.at(row, place.position);
    return pair < 0 ? 0 : (this.prompts.measure("act_size", 0).values[place.side]?.[pair] ?? NaN);
  }
}

export interface PromptState extends Page<PromptAddress> {
  readonly prompts: Prompts;
  readonly pointer: Pointer;
  readonly measure: Measure;
  readonly order: Order;
  /** How the tokens' values become one; of a single token there is only one. */
  readonly by: Aggregate;
  /** The density, in percent, up to which features are ranked. */
  readonly most: number;
  /** For each firing feature, 1 where the density filter lets it pass. */
  readonly kept: Uint8Array;
  readonly sets: readonly Uint8Array[];
  readonly ranking: Ranking;
  /** Rows of the ranking that are listed, and those of the heat map. */
  readonly listed: Int32Array;
  readonly mapped: Int32Array;
  /** Features whose cards are open. */
  readonly open: readonly number[];
}

export const PromptContext = createContext<PromptState | null>(null);

export function usePrompt(): PromptState {
  const state = useContext(PromptContext);
  if (state === null) throw new Error("not on a prompt page");
  return state;
}

/** Part of what is pointed at; drawn again only when that part changes. */
export function usePointed<T extends string | number | boolean | null>(pointer: Pointer, part: (pointed: Pointed) => T): T {
  const now = part(pointer.at.value);
  const shown = useRef(now);
  shown.current = now;
  const [, redraw] = useState(0);
  useLayoutEffect(() =>
    pointer.at.subscribe((pointed) => {
      if (part(pointed) !== shown.current) redraw((n) => n + 1);
    }),
  );
  return now;
}

export function usePromptState(source: Source, prompts: Prompts, within?: Within): PromptState {
  const pointer = useMemo(() => new Pointer(prompts), [prompts]);
  const fields = useMemo(() => {
    const own = promptFields(prompts.part);
    return within === undefined ? own : prefixed(within.prefix, own);
  }, [prompts, within]);
  const page = usePage(source, fields, undefined, within?.others);
  const { address } = page;
  const { span, feature, metric, target, min, max, n } = address;
  const measure = useMemo(() => prompts.measure(metric, target), [prompts, metric, target]);
  const order = address.order ?? usualOrder(measure, prompts.two);
  const by = single(span) ? "max" : address.by;
  const most = max ?? usualMost(measure);
  const kept = useMemo(() => passing(prompts.part.firing.density, min, most), [prompts, min, most]);
  const sets = useMemo(() => prompts.sets(span), [prompts, span]);
  const ranking = useMemo(
    () => rank({ sides: prompts.sides, values: measure.values, sets, by, order, kept }),
    [prompts, measure, sets, by, order, kept],
  );
  const open = useMemo(() => openOf(prompts, ranking, feature, address.cards), [prompts, ranking, feature, address.cards]);
  return useMemo(() => {
    const listed = ranking.rows.subarray(0, n);
    const mapped = ranking.rows.subarray(0, MOST_MAPPED);
    return { ...page, prompts, pointer, measure, order, by, most, kept, sets, ranking, listed, mapped, open };
  }, [page, prompts, pointer, measure, order, by, most, kept, sets, ranking, open, n]);
}

export function single(span: Span | null): boolean {
  return span !== null && span.from === span.to;
}

/** The ranking's first features; a chosen one stands alone, or before the others where it is not among them. */
function openOf({ part }: Prompts, { rows }: Ranking, feature: number | null, cards: number): readonly number[] {
  const first = Array.from(rows.subarray(0, cards), (row) => part.firing.feature[row] ?? -1);
  if (feature === null || (cards > 1 && first.includes(feature))) return first;
  return [feature, ...first].slice(0, cards);
}

/** Where a card's line stands: the token that was marked, the one chosen, or the one of a span where it fires most. */
export function restingPlace({ address, prompts, sets, pointer }: PromptState, card: Card): Place | null {
  const { held, span } = address;
  if (held !== null) return held;
  if (span !== null && span.from === span.to) return { side: span.side, position: span.from };
  const row = prompts.rowOf.get(card.view.feature);
  if (row === undefined) return null;
  let best: Place | null = null;
  let most = 0;
  prompts.sides.forEach((pairs, i) => {
    const side = i === 1 ? 1 : 0;
    for (const pair of pairs.ofRow(row)) {
      const place: Place = { side, position: pairs.positions[pair] ?? 0 };
      const act = sets[side]?.[place.position] === 1 ? Math.abs(pointer.actOf(card.view.feature, place)) : 0;
      if (act > most) [best, most] = [place, act];
    }
  });
  return best;
}

/** A feature's value in a column of the heat map; null where it fires in neither prompt. */
export function cellOf({ prompts, measure }: PromptState, row: number, { a, b }: Pillar): number | null {
  const at = (side: number, position: number): number | null => {
    const pair = position < 0 ? -1 : (prompts.sides[side]?.at(row, position) ?? -1);
    return pair < 0 ? null : (measure.values[side]?.[pair] ?? NaN);
  };
  const [first, second] = [at(0, a), at(1, b)];
  return first === null && second === null ? null : (first ?? 0) - (second ?? 0);
}
