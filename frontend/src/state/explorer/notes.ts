// The user's notes on features, as the server keeps them, and what is typed and not kept yet.
import { useCallback, useEffect, useMemo, useRef, useState } from "preact/hooks";
import type { Note } from "../../data/contract";
import { StaleNote, type ExplorerSource } from "../../data/explorer";
import { reasonOf } from "../load";
import { say } from "../notice";

/** A text that is not kept yet. */
export interface Draft {
  readonly text: string;
  /** Why it could not be kept; null: nobody tried. */
  readonly failed: string | null;
}

export interface NoteBook {
  readonly notes: ReadonlyMap<number, Note>;
  /** Texts that are not kept yet, by feature: they stay when another feature is opened. */
  readonly drafts: ReadonlyMap<number, Draft>;
  readonly type: (feature: number, text: string) => void;
  /** Keep what was typed. Where the note was changed elsewhere meanwhile, both texts are there, and nothing is lost. */
  readonly write: (feature: number) => Promise<void>;
}

const EMPTY: ReadonlyMap<number, Note> = new Map();
const NO_DRAFTS: ReadonlyMap<number, Draft> = new Map();

export function useNotes(source: ExplorerSource): NoteBook {
  const [notes, setNotes] = useState(EMPTY);
  const [drafts, setDrafts] = useState(NO_DRAFTS);
  const now = useRef({ notes, drafts });
  now.current = { notes, drafts };
  useEffect(() => {
    if (!source.info.can.notes) return;
    source.notes().then(
      (found) => setNotes(new Map(found.filter(({ text }) => text !== "").map((note) => [note.feature, note]))),
      (error: unknown) => say(reasonOf(error)),
    );
  }, [source]);
  const draft = useCallback((feature: number, change: (before: Draft | undefined) => Draft | null): void => {
    setDrafts((before) => {
      const after = new Map(before);
      const made = change(before.get(feature));
      if (made === null) after.delete(feature);
      else after.set(feature, made);
      return after;
    });
  }, []);
  const type = useCallback((feature: number, text: string) => draft(feature, () => ({ text, failed: null })), [draft]);
  const write = useCallback(
    async (feature: number): Promise<void> => {
      const text = now.current.drafts.get(feature)?.text;
      if (text === undefined) return;
      const there = now.current.notes.get(feature);
      const keep = (note: Note): void => setNotes((before) => new Map(before).set(feature, note));
      const written = (before: Draft | undefined): Draft | null => (before === undefined || before.text === text ? null : before);
      if (text === (there?.text ?? "")) {
        draft(feature, written);
        return;
      }
      try {
        keep(await source.write({ feature, text, revision: there?.revision ?? 0 }));
        draft(feature, written);
      } catch (error) {
        if (error instanceof StaleNote) keep(error.note);
        const failed = error instanceof StaleNote ? `not kept, since it was changed elsewhere to “${error.note.text}”; leave yours again to put it in its place` : `not kept: ${reasonOf(error)}`;
        draft(feature, (before) => ({ text: before?.text ?? text, failed }));
        say(`The note on feature ${feature} is not kept`);
      }
    },
    [source, draft],
  );
  return useMemo(() => ({ notes, drafts, type, write }), [notes, drafts, type, write]);
}
