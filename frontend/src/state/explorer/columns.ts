// Columns and texts of rows as they arrive.
import { useCallback, useEffect, useMemo, useRef, useState } from "preact/hooks";
import type { ExplorerSource, Values } from "../../data/explorer";
import type { RowTexts } from "../../data/contract";
import { reasonOf } from "../load";

export interface Columns {
  /** null: not there yet, or it can't be had. */
  readonly values: (name: string) => Values | null;
  /** As `values`; of a column that is on its way those of the first rows, NaN for the others, where they are known. */
  readonly shown: (name: string) => Values | null;
  /** Why a column can't be had. */
  readonly failed: ReadonlyMap<string, string>;
  /** Changes whenever a column arrives. */
  readonly version: number;
}

/** Columns by name, asked for as soon as they are named. */
export function useColumns(source: ExplorerSource, names: readonly string[]): Columns {
  const [version, arrived] = useState(0);
  const store = useRef(new Map<string, Values | null>());
  const early = useMemo(() => earlyValues(source), [source]);
  const failed = useRef(new Map<string, string>());
  const wanted = [...new Set(names)].sort().join("\n");
  useEffect(() => {
    for (const name of wanted.split("\n")) {
      if (name === "" || store.current.has(name)) continue;
      store.current.set(name, null);
      const take = (values: Values): void => {
        store.current.set(name, values);
        arrived((n) => n + 1);
      };
      const found = source.column(name);
      if (!(found instanceof Promise)) take(found);
      else {
        found.then(take, (error: unknown) => {
          failed.current.set(name, reasonOf(error));
          arrived((n) => n + 1);
        });
      }
    }
  }, [source, wanted]);
  const values = useCallback((name: string) => store.current.get(name) ?? null, []);
  const shown = useCallback((name: string) => store.current.get(name) ?? early.get(name) ?? null, [early]);
  return useMemo(() => ({ values, shown, failed: failed.current, version }), [values, shown, version]);
}

function earlyValues({ first, n }: ExplorerSource): ReadonlyMap<string, Values> {
  const out = new Map<string, Values>();
  first.columns.forEach((name, column) => {
    const values = new Float32Array(n).fill(NaN);
    first.features.forEach((feature, i) => (values[feature] = first.values[column * first.features.length + i] ?? NaN));
    out.set(name, values);
  });
  return out;
}

/** Tokens of one row. */
export interface RowText {
  readonly top: number;
  readonly fired: Int32Array;
  readonly up: Int32Array;
  readonly down: Int32Array;
  /** What is said that the feature means; may be empty. */
  readonly explanation: string;
}

const MOST_ASKED = 128;
/** Milliseconds that rows stay in sight before their texts are asked for: those that are scrolled past are not. */
const SETTLED = 40;

export interface RowTextsAt {
  /** null: not there yet. */
  readonly text: (feature: number) => RowText | null;
  /** These rows are in sight now: what is missing of them is asked for once they stay. */
  readonly want: (features: readonly number[]) => void;
}

/** Texts of rows in sight; what was seen before is kept. */
export function useRowTexts(source: ExplorerSource): RowTextsAt {
  const [version, arrived] = useState(0);
  const kept = useMemo(() => {
    const known = new Map<number, RowText | null>();
    keep(known, source.first.texts);
    return known;
  }, [source]);
  const timer = useRef<ReturnType<typeof setTimeout>>(undefined);
  useEffect(() => () => clearTimeout(timer.current), []);
  const want = useCallback(
    (features: readonly number[]) => {
      clearTimeout(timer.current);
      timer.current = setTimeout(() => {
        const missing = features.filter((feature) => !kept.has(feature)).slice(0, MOST_ASKED);
        if (missing.length === 0) return;
        for (const feature of missing) kept.set(feature, null);
        source.rows(missing).then(
          (texts) => {
            keep(kept, texts);
            arrived((n) => n + 1);
          },
          () => {
            for (const feature of missing) kept.delete(feature);
          },
        );
      }, SETTLED);
    },
    [source, kept],
  );
  return useMemo(() => ({ text: (feature) => kept.get(feature) ?? null, want }), [kept, want, version]);
}

function keep(kept: Map<number, RowText | null>, { features, top, fired, up, down, explanations }: RowTexts): void {
  features.forEach((feature, i) => {
    const [own, above, below] = [fired, up, down].map(({ offsets, tokens }) => tokens.subarray(offsets[i] ?? 0, offsets[i + 1] ?? 0));
    const none = new Int32Array();
    kept.set(feature, { top: top[i] ?? -1, fired: own ?? none, up: above ?? none, down: below ?? none, explanation: explanations[i] ?? "" });
  });
}
