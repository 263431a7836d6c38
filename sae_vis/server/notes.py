"""Notes of the user's on features: one small file, written whole, none ever lost to another's."""

from __future__ import annotations

import json
import os
from pathlib import Path
from threading import Lock
from typing import Any

from sae_vis.contract import Note, Notes
from sae_vis.errors import InputError

FORMAT = "sae_vis notes"
LONGEST = 10_000  # characters of a note


class StaleNoteError(InputError):
    """A note that was changed by somebody else since it was read; holds the one that is there now."""

    def __init__(self, note: Note) -> None:
        super().__init__(
            f"the note on feature {note.feature} was changed elsewhere since you opened it; nothing was written: look "
            "at what is there now, and write yours again"
        )
        self.note = note


class NoteFile:
    """The notes on one index.

    Args:
        path: the file; made with the first note.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._lock = Lock()

    def read(self) -> Notes:
        """All notes, by feature.

        Raises:
            InputError: a file that is none of notes; it is left as it is.
        """
        found = self._read()
        return Notes(notes=tuple(found[feature] for feature in sorted(found)))

    def write(self, feature: int, text: str, revision: int) -> Note:
        """Put a note in place of the one of this revision (0: of none). An empty text leaves an empty note.

        Raises:
            StaleNoteError: there is another revision by now.
            InputError: a text that is too long, or a file that can't be written; the notes are as they were.
        """
        if len(text) > LONGEST:
            raise InputError(f"the note has {len(text):,} characters, expected at most {LONGEST:,}")
        with self._lock:
            notes = self._read()
            there = notes.get(feature, Note(feature=feature, text="", revision=0))
            if there.revision != revision:
                raise StaleNoteError(there)
            made = Note(feature=feature, text=text, revision=revision + 1)
            self._write({**notes, feature: made})
        return made

    def _read(self) -> dict[int, Note]:
        try:
            data = self.path.read_bytes()
        except FileNotFoundError:
            return {}
        except OSError as error:
            raise InputError(f"the notes in {self.path} can't be read: {error.strerror or error}") from error
        try:
            found = json.loads(data)
            if found["format"] != FORMAT:
                raise ValueError(f"its format is {found['format']!r}")
            notes = [_note(one) for one in found["notes"]]
        except (ValueError, KeyError, TypeError) as error:
            raise InputError(
                f"{self.path} is no file of notes ({error}); it is left as it is: move it away, or give another --notes"
            ) from error
        return {note.feature: note for note in notes}

    def _write(self, notes: dict[int, Note]) -> None:
        """The old file or the new one, whatever happens on the way; on disk before it is said to be written."""
        listed = [{"feature": n.feature, "text": n.text, "revision": n.revision} for _, n in sorted(notes.items())]
        text = json.dumps({"format": FORMAT, "notes": listed}, ensure_ascii=True, indent=1)
        temporary = self.path.with_name(f".{self.path.name}.writing")
        try:
            with temporary.open("w", encoding="ascii") as file:
                file.write(text + "\n")
                file.flush()
                os.fsync(file.fileno())
            temporary.replace(self.path)
        except OSError as error:
            temporary.unlink(missing_ok=True)
            raise InputError(
                f"the note can't be written to {self.path}: {error.strerror or error}; all notes are as they were"
            ) from error


def _note(found: dict[str, Any]) -> Note:
    return Note(feature=int(found["feature"]), text=str(found["text"]), revision=int(found["revision"]))
