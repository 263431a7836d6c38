"""Notes: written whole, never lost, never put in place of somebody else's."""

from __future__ import annotations

import errno
import json
import os
import threading
from pathlib import Path
from typing import Any

import pytest

from sae_vis.contract import Note, Notes
from sae_vis.errors import InputError
from sae_vis.server.notes import FORMAT, LONGEST, NoteFile, StaleNoteError
from tests.fixtures.live_server import running
from tests.server.conftest import decoded, identity_of, server_of

pytestmark = pytest.mark.explorer


def stored(*notes: tuple[int, str, int]) -> str:
    listed = [{"feature": feature, "text": text, "revision": revision} for feature, text, revision in notes]
    return json.dumps({"format": FORMAT, "notes": listed})


@pytest.fixture
def client(folder, parts, tokenizer):
    """A live server of a copy of the index, with notes."""
    with running(server_of(folder, parts=parts, tokenizer=tokenizer)) as found:
        yield found


def test_notes_of_a_server(client, folder):
    own = f"i/{identity_of(client)}"
    assert decoded(client.get(f"{own}/notes").body, Notes).notes == ()
    texts = {7: "law 😀 </script> \0", 2047: "", 0: "\u2028" * LONGEST}
    for feature, text in texts.items():
        answer = client.send(f"{own}/note/{feature}", {"text": text, "revision": 0}, method="PUT")
        assert (answer.status, answer.said) == (200, {"feature": feature, "text": text, "revision": 1})
        assert answer.headers["cache-control"] == "no-store"
    assert client.send(f"{own}/note/7", {"text": "once more", "revision": 1}, method="PUT").said["revision"] == 2
    expected = tuple(
        Note(feature=f, text=t, revision=r) for f, t, r in ((0, texts[0], 1), (7, "once more", 2), (2047, "", 1))
    )
    assert decoded(client.get(f"{own}/notes").body, Notes).notes == expected
    with running(server_of(folder)) as other:
        assert decoded(other.get(f"i/{identity_of(other)}/notes").body, Notes).notes == expected


def test_the_second_of_two_writers_gets_the_text_of_the_first(client):
    at = f"i/{identity_of(client)}/note/7"
    assert client.send(at, {"text": "first", "revision": 0}, method="PUT").status == 200
    for revision in (0, 2, 10**4000):
        answer = client.send(at, {"text": "second", "revision": revision}, method="PUT")
        assert answer.status == 409
        assert answer.said["note"] == {"feature": 7, "text": "first", "revision": 1}
        assert answer.error.startswith("the note on feature 7 was changed elsewhere since you opened it; nothing was")
    assert client.send(at, {"text": "second", "revision": 1}, method="PUT").said["revision"] == 2


@pytest.mark.parametrize(
    ("feature", "asked", "said"),
    [
        (7, {"text": "a"}, "the revision is None, expected that of the note that was read, 0 for none"),
        (7, {"text": "a", "revision": -1}, "the revision is -1 "),
        (7, {"text": "a", "revision": True}, "the revision is True "),
        (7, {"text": "a", "revision": "0"}, "the revision is '0', "),
        (7, {"text": "a", "revision": 0.0}, "the revision is 0.0 "),
        (7, {"text": "a\ud800", "revision": 0}, "the text holds half a character ('\\ud800' at index 1), which is no"),
        (7, {"text": "a" * (LONGEST + 1), "revision": 0}, "the note has 10,001 characters, expected at most 10,000"),
        (7, {"text": 5, "revision": 0}, "the request has no 'text', expected a text"),
        (2048, {"text": "a", "revision": 0}, "feature 2048 does not exist: the SAE has features 0 to 2047"),
    ],
)
def test_notes_that_are_none(client, folder, feature, asked, said):
    answer = client.send(f"i/{identity_of(client)}/note/{feature}", asked, method="PUT")
    assert answer.status == 400
    assert answer.error.startswith(said)
    assert not (folder / "notes.json").exists()


def test_a_server_without_notes_keeps_none(made):
    with running(server_of(made, notes=False)) as client:
        own = f"i/{identity_of(client)}"
        answer = client.send(f"{own}/note/7", {"text": "a", "revision": 0}, method="PUT")
        assert (answer.status, answer.error) == (400, "this server keeps no notes")
        assert decoded(client.get(f"{own}/notes").body, Notes).notes == ()
    assert not [path for path in made.iterdir() if "notes" in path.name]


def full(*_: object) -> None:
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


class FullFile:
    """A file on a disk that is full."""

    def __enter__(self) -> FullFile:
        return self

    def __exit__(self, *_: object) -> None:
        pass

    write = full


def break_disk(patched: pytest.MonkeyPatch, place: str) -> None:
    """Let nothing be written any more; what is there can be read."""
    opens = Path.open

    def opened(self: Path, mode: str = "r", *args: Any, **kwargs: Any) -> Any:
        if "w" not in mode:
            return opens(self, mode, *args, **kwargs)
        return full() if place == "open" else FullFile()

    if place == "fsync":
        patched.setattr("sae_vis.server.notes.os.fsync", full)
    elif place == "replace":
        patched.setattr(Path, "replace", full)
    else:
        patched.setattr(Path, "open", opened)


@pytest.mark.parametrize("place", ["open", "write", "fsync", "replace"])
def test_a_full_disk_leaves_all_notes_as_they_were(client, folder, monkeypatch, place):
    own, file = f"i/{identity_of(client)}", folder / "notes.json"
    assert client.send(f"{own}/note/7", {"text": "law", "revision": 0}, method="PUT").status == 200
    before, there = file.read_bytes(), set(folder.iterdir())
    with monkeypatch.context() as patched:
        break_disk(patched, place)
        for feature, revision in ((7, 1), (8, 0)):
            answer = client.send(f"{own}/note/{feature}", {"text": "lost", "revision": revision}, method="PUT")
            assert answer.status == 400
            assert answer.error == (
                f"the note can't be written to {file}: No space left on device; all notes are as they were"
            )
        assert file.read_bytes() == before
        assert set(folder.iterdir()) == there
    assert client.send(f"{own}/note/7", {"text": "law and order", "revision": 1}, method="PUT").status == 200


def test_a_folder_that_may_only_be_read_is_said(tmp_path, monkeypatch):
    def refused(*_: object) -> int:
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))

    monkeypatch.setattr("sae_vis.server.notes.os.open", refused)
    with pytest.raises(
        InputError, match=r"can't be written to .*notes\.json: Permission denied; all notes are as they"
    ):
        NoteFile(tmp_path / "notes.json").write(1, "a", 0)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "Expecting value"),
        ("{", "Expecting property name"),
        ("null", "it does not say that its format is 'sae_vis notes'"),
        ("[]", "it does not say that its format is"),
        ('{"notes": []}', "it does not say that its format is"),
        ('{"format": "other", "notes": []}', "it does not say that its format is"),
        (f'{{"format": "{FORMAT}"}}', "expected 'format' and a list of 'notes', and nothing else"),
        (f'{{"format": "{FORMAT}", "notes": {{}}}}', "expected 'format' and a list of 'notes', and nothing else"),
        (
            f'{{"format": "{FORMAT}", "notes": [], "mine": 1}}',
            "expected 'format' and a list of 'notes', and nothing else",
        ),
        (f'{{"format": "{FORMAT}", "notes": [3]}}', "entry 0 is not a note with 'feature', 'text' and 'revision': 3"),
        (stored((1, "a", 1), (1, "b", 1)), "a feature has two notes"),
        (stored((1, "a", 1), (-1, "b", 1)), "entry 1 is not a note"),
        (stored((1, "a", 0)), "entry 0 is not a note"),
        (stored((1, "a\ud800", 1)), "entry 0 is not a note"),
        (stored((1, None, 1)), "entry 0 is not a note"),
        (stored((1, "a", float("inf"))), "entry 0 is not a note"),
        (stored((True, "a", 1)), "entry 0 is not a note"),
        (stored((1 << 40, "a", 1)), "entry 0 is not a note"),
        (stored((1, "a", 1)).replace('"text"', '"words"'), "entry 0 is not a note"),
        (stored((1, "a", 1))[:-9], "Unterminated string"),
        ('{"format":' * 100_000, "maximum recursion depth exceeded"),
        (stored((1, "é", 1)).encode().replace(b"\\u00e9", b"\xe9"), "'utf-8' codec can't decode"),
    ],
    ids=lambda value: repr(value)[:30],
)
def test_a_damaged_file_is_left_as_it_is(tmp_path, text, said):
    path = tmp_path / "notes.json"
    data = text if isinstance(text, bytes) else text.encode()
    path.write_bytes(data)
    notes = NoteFile(path)
    for ask in (notes.read, lambda: notes.write(1, "new", 0)):
        with pytest.raises(InputError) as caught:
            ask()
        assert str(caught.value).startswith(f"{path} is not a file of notes ({said}")
        assert str(caught.value).endswith("it is left as it is: move it away, or mend it")
    assert path.read_bytes() == data


def test_a_damaged_file_is_an_answer(client, folder):
    (folder / "notes.json").write_text("[]")
    own = f"i/{identity_of(client)}"
    for answer in (
        client.get(f"{own}/notes"),
        client.send(f"{own}/note/1", {"text": "a", "revision": 0}, method="PUT"),
    ):
        assert answer.status == 400
        assert "is not a file of notes" in answer.error
    assert client.get(f"{own}/card/5").status == 200


def test_a_folder_in_place_of_the_file_is_said(tmp_path):
    (tmp_path / "notes.json").mkdir()
    with pytest.raises(InputError, match=r"the notes in .*notes\.json can't be read: Is a directory"):
        NoteFile(tmp_path / "notes.json").read()


def test_notes_by_hand_are_taken(tmp_path):
    path = tmp_path / "notes.json"
    path.write_text(stored((5, "five", 3), (1, "one", 1)), encoding="utf-8")
    notes = NoteFile(path)
    assert [note.feature for note in notes.read().notes] == [1, 5]
    with pytest.raises(StaleNoteError) as caught:
        notes.write(5, "six", 0)
    assert caught.value.note == Note(feature=5, text="five", revision=3)


def test_none_is_lost_among_many_writers(tmp_path):
    """Each adds its mark to the same note, as often as it is told that somebody was first; as servers of their own."""
    path, failed = tmp_path / "notes.json", []

    def add(mark: str) -> None:
        own = NoteFile(path)
        for number in range(5):
            there = Note(feature=3, text="", revision=0)
            while True:
                try:
                    own.write(3, f"{there.text}{mark}{number} ", there.revision)
                    break
                except StaleNoteError as stale:
                    there = stale.note
                except InputError as error:
                    failed.append(error)
                    return

    threads = [threading.Thread(target=add, args=[mark]) for mark in "abcdef"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    [note] = NoteFile(path).read().notes
    assert failed == []
    assert sorted(note.text.split()) == sorted(f"{mark}{number}" for mark in "abcdef" for number in range(5))
    assert note.revision == 30
