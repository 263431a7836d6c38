// The user's notes on features, as the server keeps them.
import { useCallback, useEffect, useState } from "preact/hooks";
import type { Note } from "../../data/contract";
import { StaleNote, type ExplorerSource } from "../../data/explorer";
import { reasonOf } from "../load";
import { say } from "../notice";

export interface NoteBook {
  readonly notes: ReadonlyMap<number, Note>;
  /** Keep a note; whether it was kept. Where it was changed elsewhere meanwhile, that text is shown, and nothing is lost. */
  readonly write: (feature: number, text: string) => Promise<boolean>;
}

const EMPTY: ReadonlyMap<number, Note> = new Map();

export function useNotes(source: ExplorerSource): NoteBook {
  const [notes, setNotes] = useState(EMPTY);
  useEffect(() => {
    if (!source.info.can.notes) return;
    source.notes().then(
      (found) => setNotes(new Map(found.filter(({ text }) => text !== "").map((note) => [note.feature, note]))),
      (error: unknown) => say(reasonOf(error)),
    );
  }, [source]);
  const write = useCallback(
    async (feature: number, text: string): Promise<boolean> => {
      const keep = (note: Note): void => setNotes((before) => new Map(before).set(feature, note));
      try {
        keep(await source.write({ feature, text, revision: notes.get(feature)?.revision ?? 0 }));
        return true;
      } catch (error) {
        if (error instanceof StaleNote) keep(error.note);
        say(reasonOf(error));
        return false;
      }
    },
    [source, notes],
  );
  return { notes, write };
}
