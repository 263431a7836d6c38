"""Notes of the user's on features: one small file, written whole, none ever lost to another's."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from threading import Lock

from sae_vis.checks import shown, surrogate_at
from sae_vis.contract import Note, Notes
from sae_vis.errors import InputError

if sys.platform != "win32":
    import fcntl

FORMAT = "sae_vis notes"
LONGEST = 10_000  # characters of a note
MOST = (1 << 31) - 1  # of a feature and a revision


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
        with self._alone():
            notes = self._read()
            there = notes.get(feature, Note(feature=feature, text="", revision=0))
            if there.revision != revision:
                raise StaleNoteError(there)
            made = Note(feature=feature, text=text, revision=revision + 1)
            self._write({**notes, feature: made})
        return made

    @contextmanager
    def _alone(self) -> Iterator[None]:
        """Keep other threads and other servers of the same index from writing.

        Other servers by a lock on a file beside the notes (``flock``; none on Windows, nor on file systems without).
        """
        with self._lock:
            handle = self._opened_lock()
            try:
                yield
            finally:
                if handle is not None:
                    os.close(handle)

    def _opened_lock(self) -> int | None:
        if sys.platform == "win32":
            return None
        try:
            handle = os.open(self.path.with_name(f".{self.path.name}.lock"), os.O_RDWR | os.O_CREAT, 0o644)
        except OSError as error:
            raise self._unwritten(error) from error
        with suppress(OSError):  # a file system without locks
            fcntl.flock(handle, fcntl.LOCK_EX)
        return handle

    def _read(self) -> dict[int, Note]:
        try:
            data = self.path.read_bytes()
        except FileNotFoundError:
            return {}
        except OSError as error:
            raise InputError(f"the notes in {self.path} can't be read: {error.strerror or error}") from error
        try:
            return _notes(json.loads(data))
        except (ValueError, RecursionError) as error:
            raise InputError(
                f"{self.path} is not a file of notes ({error}); it is left as it is: move it away, or mend it"
            ) from error

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
            with suppress(OSError):
                temporary.unlink(missing_ok=True)
            raise self._unwritten(error) from error
        with suppress(OSError):  # a file system that can't: the note is there, and lost only with the machine's power
            _sync(self.path.parent)

    def _unwritten(self, error: OSError) -> InputError:
        return InputError(
            f"the note can't be written to {self.path}: {error.strerror or error}; all notes are as they were"
        )


def _sync(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _notes(found: object) -> dict[int, Note]:
    """The notes of a file. Raises `ValueError` for what would be lost or changed when it is written again."""
    if not isinstance(found, dict) or found.get("format") != FORMAT:
        raise ValueError(f"it does not say that its format is {FORMAT!r}")
    listed = found.get("notes")
    if set(found) != {"format", "notes"} or not isinstance(listed, list):
        raise ValueError("expected 'format' and a list of 'notes', and nothing else")
    notes = [_note(number, one) for number, one in enumerate(listed)]
    made = {note.feature: note for note in notes}
    if len(made) < len(notes):
        raise ValueError("a feature has two notes")
    return made


def _note(number: int, found: object) -> Note:
    if isinstance(found, dict) and set(found) == {"feature", "text", "revision"}:
        feature, text, revision = found["feature"], found["text"], found["revision"]
        counted = type(feature) is int and type(revision) is int and 0 <= feature <= MOST and 1 <= revision <= MOST
        if counted and isinstance(text, str) and surrogate_at(text) is None:
            return Note(feature=feature, text=text, revision=revision)
    raise ValueError(f"entry {number} is not a note with 'feature', 'text' and 'revision': {shown(found)}")
