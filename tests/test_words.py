"""The check of words and sentences finds what it should; pictures that are drawn from the code are of today's code."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from tests.test_rooms import ROOMS

DOCS = Path(__file__).parents[1] / "docs"
sys.path.insert(0, str(DOCS))

import check_words  # noqa: E402
import rooms_picture  # noqa: E402

LONG = " ".join(["word"] * 31) + "."


def found(source: str) -> list[str]:
    return [f"{one.line}: {one.what}" for one in check_words.problems("page.md", source)]


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("Two data sets.", "1: “data sets”: write dataset"),
        ("# The behavior\n", "1: “behavior”: write the British spelling"),
        ("One.\n\n- normalized rows", "3: “normalized”: write the British spelling: -is-"),
        ("Use it, e.g. here.", "1: “e.g.”: write for example, that is, and so on"),
        ("| a | b |\n|---|---|\n| x | the latents |", "3: “latents”: write feature"),
    ],
)
def test_a_wrong_word_is_found_with_its_line(source: str, expected: str):
    assert found(source) == [expected]


@pytest.mark.parametrize(
    "source",
    [
        "The option `data set`, and a block:\n\n```python\nnormalized = 'data sets'\n```\n",
        "[a page](latents.md) and <img alt='x' src='color.png'>",
        "The group “data sets” of another tool.",
    ],
)
def test_code_addresses_and_quotations_are_left_out(source: str):
    assert found(source) == []


def test_a_sentence_is_counted_in_words_not_lines():
    assert found(LONG) == [f"1: a sentence of 31 words: {LONG}"]
    assert found(LONG.replace("word ", "word\n")) == [f"1: a sentence of 31 words: {LONG}"]
    assert found(LONG.removeprefix("word ")) == []
    half = " ".join(["word"] * 20)
    assert found(f"{half}. Word {half}. “Word {half}!” Word {half}?") == []
    assert found(f"- {half}\n- {half}\n\n{half}\n\n{half}") == []


def test_a_cell_is_a_list():
    half = " ".join(["word"] * 20)
    assert found(f"| {half}; {half} | {half} |") == []
    assert found(f"| {LONG} |") == [f"1: a sentence of 31 words: {LONG}"]
    assert found(f"| {'`name.py`, ' * 40} |") == []


def test_a_link_counts_as_its_words():
    assert found(f"[{LONG.removesuffix('.')}](somewhere.md#place).") == [f"1: a sentence of 31 words: {LONG}"]
    assert found(f"{LONG.removeprefix('word word ')} [b](c d.md)") == []


def test_every_room_is_on_the_picture():
    assert [room for floor in rooms_picture.checked_floors() for room in floor.rooms] == list(ROOMS)
    with pytest.raises(SystemExit, match="cellar is on no floor"):
        rooms_picture.checked_floors((*ROOMS, "cellar"))
    with pytest.raises(SystemExit, match="no room errors"):
        rooms_picture.checked_floors(ROOMS[:-1])
    with pytest.raises(SystemExit, match="another order"):
        rooms_picture.checked_floors(ROOMS[::-1])


@pytest.mark.parametrize("scheme", rooms_picture.SCHEMES)
def test_the_picture_of_the_rooms_is_fresh(scheme: str):
    kept = (DOCS / "gallery" / f"rooms-{scheme}.svg").read_text(encoding="utf-8")
    assert kept == rooms_picture.picture(rooms_picture.SCHEMES[scheme]), "python docs/rooms_picture.py"
