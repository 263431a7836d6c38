// A page of the corpus as it is read: what fires at each token, how strongly each feature does, what a token's place is.
import { useEffect, useState } from "preact/hooks";
import type { ReaderPage } from "../../data/contract";
import type { ExplorerSource } from "../../data/explorer";
import { reasonOf } from "../load";

/** A feature at a token. */
export interface Fires {
  readonly feature: number;
  readonly act: number;
  /** Of its largest activation in the whole corpus, 0 to 1. */
  readonly share: number;
  /** The token on which it fires most strongly; -1: none. */
  readonly top: number;
}

/** Where a token is: row of the corpus, and position in the row. */
export interface Place {
  readonly sequence: number;
  readonly position: number;
}

const NONE = new Float32Array();

export class PageText {
  readonly n: number;
  private readonly rowOf: ReadonlyMap<number, number>;
  private readonly masks: ReadonlySet<number>;

  constructor(readonly page: ReaderPage) {
    this.n = page.tokens.length;
    this.rowOf = new Map(Array.from(page.firing.feature, (feature, row) => [feature, row]));
    this.masks = new Set(page.masked);
  }

  /** Whether what fires at a token is known of every feature, or only of those that are pinned. */
  get whole(): boolean {
    return this.page.codes !== null;
  }

  masked(token: number): boolean {
    return this.masks.has(token);
  }

  /** Largest size of a feature's activations in the whole corpus; NaN where the page does not know. */
  most(feature: number): number {
    const row = this.rowOf.get(feature);
    return row === undefined ? NaN : Math.abs(this.page.firing.max[row] ?? NaN);
  }

  /** What fires at a token, by share of each feature's largest activation. */
  at(token: number): Fires[] {
    const { codes, pinned } = this.page;
    const found: Fires[] = [];
    if (codes === null) {
      for (const { feature, at, acts } of pinned) {
        const i = at.indexOf(token);
        if (i >= 0) found.push(this.fires(feature, acts[i] ?? NaN));
      }
    } else {
      for (let i = codes.offsets[token] ?? 0; i < (codes.offsets[token + 1] ?? 0); i++) {
        found.push(this.fires(codes.features[i] ?? -1, codes.acts[i] ?? NaN));
      }
    }
    return found.sort((a, b) => b.share - a.share || a.feature - b.feature);
  }

  private fires(feature: number, act: number): Fires {
    const row = this.rowOf.get(feature) ?? -1;
    return { feature, act, share: Math.abs(act) / this.most(feature), top: this.page.firing.top_token[row] ?? -1 };
  }

  /** A feature's activation at every token, 0 where it does not fire; empty where the page does not know. */
  acts(feature: number): Float32Array {
    const { codes, pinned } = this.page;
    const own = pinned.find((one) => one.feature === feature);
    if (codes === null && own === undefined) return NONE;
    const out = new Float32Array(this.n);
    if (own !== undefined) own.at.forEach((token, i) => (out[token] = own.acts[i] ?? 0));
    else if (codes !== null && this.rowOf.has(feature)) {
      let token = 0;
      codes.features.forEach((one, i) => {
        if (one !== feature) return;
        while ((codes.offsets[token + 1] ?? Infinity) <= i) token++;
        out[token] = codes.acts[i] ?? 0;
      });
    }
    return out;
  }

  place(token: number): Place {
    const { begins, sequence, offset } = this.page;
    const passed = upTo(begins, token);
    if (passed === 0) return { sequence, position: offset + token };
    return { sequence: sequence + passed - (begins[0] === 0 ? 1 : 0), position: token - (begins[passed - 1] ?? 0) };
  }

  /** A token's labels by the corpus's labellings; null: it has none. */
  labels(token: number): { name: string; label: string | null }[] {
    return this.page.labels.map(({ name, starts, labels }) => ({ name, label: labels[upTo(starts, token) - 1] ?? null }));
  }

  /** The labels that are on the page, each once, by labelling. */
  get labelled(): { name: string; labels: string[] }[] {
    return this.page.labels.map(({ name, labels }) => ({ name, labels: [...new Set(labels.filter((label) => label !== null))] }));
  }
}

/** How many of some ascending numbers are at most `value`. */
function upTo(ascending: Int32Array, value: number): number {
  let [low, high] = [0, ascending.length];
  while (low < high) {
    const middle = (low + high) >> 1;
    if ((ascending[middle] ?? 0) <= value) low = middle + 1;
    else high = middle;
  }
  return low;
}

export interface Reading {
  /** The page asked for; until it is there, the one before; null: none yet. */
  readonly text: PageText | null;
  readonly busy: boolean;
  readonly failed: string | null;
}

/** A page, asked for as soon as it is named; again with the features that are pinned where only their own firings tell. */
export function useReading(source: ExplorerSource, document: number, page: number, pins: readonly number[]): Reading {
  const [state, set] = useState<Reading & { readonly named: string }>({ text: null, busy: true, failed: null, named: "" });
  const asked = source.info.can.phrases ? "" : pins.join();
  const named = `${document} ${page} ${asked}`;
  useEffect(() => {
    const cancel = new AbortController();
    source.read(document, page, asked === "" ? [] : pins, cancel.signal).then(
      (found) => {
        if (!cancel.signal.aborted) set({ text: new PageText(found), busy: false, failed: null, named });
      },
      (error: unknown) => {
        if (!cancel.signal.aborted) set({ text: null, busy: false, failed: reasonOf(error), named });
      },
    );
    return () => cancel.abort();
  }, [source, named]);
  return state.named === named ? state : { ...state, busy: true, failed: null };
}
