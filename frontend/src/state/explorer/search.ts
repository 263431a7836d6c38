// What was searched for, and what was found: by number, in tokens, in the text, in notes, through the model.
import { useEffect, useState } from "preact/hooks";
import type { Hits, Note } from "../../data/contract";
import type { ExplorerSource } from "../../data/explorer";
import { reasonOf } from "../load";

/** Milliseconds after the last key until a search begins. */
const PAUSE = 200;

export type Search =
  | { readonly kind: "none" }
  | { readonly kind: "searching"; readonly words: string }
  | { readonly kind: "failed"; readonly words: string; readonly reason: string }
  | {
      readonly kind: "found";
      readonly words: string;
      readonly hits: readonly Hits[];
      /** The tokens that the model read; null: it did not, or not yet. */
      readonly tokens: Int32Array | null;
      /** Whether the model still reads the words; else why it could not, null: it could, or there is none. */
      readonly model: "reading" | { readonly failed: string } | null;
    };

const NONE: Search = { kind: "none" };

/** Searches as words are typed; with `live` also through the model. */
export function useSearch(source: ExplorerSource, words: string, notes: ReadonlyMap<number, Note>, live: boolean): Search {
  const [found, setFound] = useState<Search>(NONE);
  useEffect(() => {
    if (words.trim() === "") {
      setFound(NONE);
      return undefined;
    }
    setFound((before) => (before.kind === "found" ? before : { kind: "searching", words }));
    const cancel = new AbortController();
    const say = (search: Search): void => {
      if (!cancel.signal.aborted) setFound(search);
    };
    const begin = async (): Promise<void> => {
      try {
        const hits = [...(await source.search(words, cancel.signal)), inNotes(words, notes)];
        say({ kind: "found", words, hits, tokens: null, model: live ? "reading" : null });
        if (live) await byModel(hits);
      } catch (error) {
        say({ kind: "failed", words, reason: reasonOf(error) });
      }
    };
    const byModel = async (hits: readonly Hits[]): Promise<void> => {
      try {
        const read = await source.wakes(words, cancel.signal);
        say({ kind: "found", words, hits: [...hits, ...read.hits], tokens: read.tokens, model: null });
      } catch (error) {
        say({ kind: "found", words, hits, tokens: null, model: { failed: reasonOf(error) } });
      }
    };
    const timer = setTimeout(() => void begin(), PAUSE);
    return () => {
      clearTimeout(timer);
      cancel.abort();
    };
  }, [source, words, notes, live]);
  return words.trim() === "" ? NONE : found;
}

function inNotes(words: string, notes: ReadonlyMap<number, Note>): Hits {
  const wanted = words.trim().toLowerCase();
  const features = [...notes.values()].filter(({ text }) => text.toLowerCase().includes(wanted)).map(({ feature }) => feature);
  return { way: "note", said: "1 for each note", n_places: features.length, features: Int32Array.from(features), scores: new Float32Array(features.length).fill(1) };
}

/** The hits to show: of the way that was chosen, else of the first that found something. */
export function shownHits(search: Search, way: Hits["way"] | null): Hits | null {
  if (search.kind !== "found") return null;
  return search.hits.find((hits) => hits.way === way) ?? search.hits.find(({ features }) => features.length > 0) ?? search.hits[0] ?? null;
}
