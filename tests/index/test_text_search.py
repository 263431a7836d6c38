"""A phrase is found wherever the text has it, and nowhere else: every byte against a plain loop."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sae_vis.corpus.mask import MaskConfig
from sae_vis.corpus.text import TokenText
from sae_vis.corpus.tokens import Corpus
from sae_vis.errors import InputError
from sae_vis.index import text_search
from sae_vis.index.build import Source, build_index
from sae_vis.index.text_search import Matches, TextSearch
from tests.whole_numbers import WholeModel, WholeSae

BOS, EOS = 0, 1
PIECES = [
    b"a",
    b"aa",
    b"ab",
    b"b",
    b"B",
    b" ",
    b"",
    "é".encode(),
    "🚀".encode(),
    b"\xc3",
    b"\xa9",
    b"\xf0\x9f",
    b"\x9a",
]
TEXT = TokenText({BOS: b"<s>", EOS: b"</s>", **{2 + i: piece for i, piece in enumerate(PIECES)}}, special=[BOS, EOS])
NO_TEXT = 2 + len(PIECES)  # an id that the vocabulary lacks


def slow(corpus: Corpus, phrase: bytes, *, fold: bool = False) -> list[tuple[int, int, int, int]]:
    """Rows of `Matches`: the text as lists of bytes, each with its position and its place in its token."""
    first = {int(token) for token in corpus.tokens[corpus.offsets[:-1]]}
    stretches: list[list[tuple[int, int, int, int]]] = [[]]
    for position, token in enumerate(corpus.tokens.tolist()):
        if position in corpus.documents:
            stretches.append([])
        if TEXT.is_special(token):
            if not (first == {token} and position in corpus.offsets):
                stretches.append([])
            continue
        data = TEXT.bytes_of(token)
        stretches[-1] += [(byte, position, i, len(data)) for i, byte in enumerate(data)]
    found = []
    for stretch in stretches:
        data = bytes(byte for byte, *_ in stretch)
        data = data.lower() if fold else data
        for at in range(len(data) - len(phrase) + 1):
            if data[at : at + len(phrase)] == phrase:
                _, start, before, _ = stretch[at]
                _, last, place, length = stretch[at + len(phrase) - 1]
                found.append((start, last + 1, before, length - place - 1))
    return found


def rows(matches: Matches) -> list[tuple[int, ...]]:
    return [tuple(int(value) for value in row) for row in zip(*matches, strict=True)]


def search_of(corpus: Corpus, text: TokenText = TEXT) -> TextSearch:
    return TextSearch(corpus.tokens, corpus.offsets, corpus.documents, text)


@st.composite
def corpora(draw) -> Corpus:
    """Documents of pieces, packed into sequences with BOS in front of each or without; EOS and other gaps inside."""
    ids = st.one_of(st.integers(2, NO_TEXT - 1), st.integers(2, 5), st.sampled_from([BOS, EOS, NO_TEXT]))
    documents = draw(st.lists(st.lists(ids, min_size=1, max_size=12), min_size=1, max_size=5))
    body, bos = draw(st.integers(1, 9)), draw(st.sampled_from([(), (BOS,)]))
    tokens: list[int] = []
    begins: list[int] = []
    starts: list[int] = []
    filled = body
    for document in documents:
        for i, token in enumerate(document):
            if filled == body:
                begins.append(len(tokens))
                tokens += bos
                filled = 0
            if i == 0:
                starts.append(len(tokens))
            tokens.append(token)
            filled += 1
    return Corpus(
        tokens=np.array(tokens, dtype=np.int32),
        offsets=np.array([*begins, len(tokens)], dtype=np.int64),
        documents=np.array([*starts, len(tokens)], dtype=np.int64),
        mask=MaskConfig(),
    )


phrases = st.lists(st.sampled_from([piece for piece in PIECES if piece]), min_size=1, max_size=5).map(b"".join)


@settings(max_examples=500, deadline=None)
@given(corpus=corpora(), phrase=phrases, cut=st.tuples(st.integers(0, 2), st.integers(0, 2)), fold=st.booleans())
def test_every_match_and_no_other(corpus, phrase, cut, fold):
    phrase = phrase[cut[0] : len(phrase) - cut[1]] or phrase
    if fold and not phrase.isascii():
        fold = False
    found = search_of(corpus).find(phrase, ignore_case=fold)
    expected = slow(corpus, phrase.lower() if fold else phrase, fold=fold)
    assert rows(found) == expected
    assert found.exact.tolist() == [before == after == 0 for _, _, before, after in expected]
    assert found.positions.tolist() == sorted({p for start, stop, *_ in expected for p in range(start, stop)})


@settings(max_examples=100, deadline=None)
@given(corpus=corpora(), phrase=phrases, limit=st.integers(1, 5), chunk=st.integers(1, 9))
def test_neither_chunks_nor_a_limit_change_what_comes_first(corpus, phrase, limit, chunk):
    whole = rows(search_of(corpus).find(phrase))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(text_search, "CHUNK", chunk)
        assert rows(search_of(corpus).find(phrase)) == whole
        assert rows(search_of(corpus).find(phrase, limit=limit)) == whole[:limit]


def of_rows(*rows: list[int], documents: tuple[int, ...] = (0,)) -> Corpus:
    offsets = np.cumsum([0, *map(len, rows)])
    tokens = np.array([token for row in rows for token in row], dtype=np.int32)
    return Corpus(tokens=tokens, offsets=offsets, documents=np.array([*documents, len(tokens)]), mask=MaskConfig())


def test_overlapping_matches_are_all_there():
    found = search_of(of_rows([3, 2, 3])).find("aa")  # aa a aa
    assert rows(found) == [(0, 1, 0, 0), (0, 2, 1, 0), (1, 3, 0, 1), (2, 3, 0, 0)]
    assert rows(found.rows(found.exact)) == [(0, 1, 0, 0), (2, 3, 0, 0)]


def test_a_document_goes_on_in_the_next_sequence_and_ends_with_itself():
    a, b = 2, 5
    in_one = of_rows([BOS, b, a], [BOS, b, b])
    assert rows(search_of(in_one).find("ab")) == [(2, 5, 0, 0)]
    in_two = of_rows([BOS, b, a], [BOS, b, b], documents=(0, 4))
    assert rows(search_of(in_two).find("ab")) == []
    without_bos = of_rows([b, a], [b, b])
    assert rows(search_of(without_bos).find("ab")) == [(1, 3, 0, 0)]


def test_special_tokens_within_a_sequence_break_the_text():
    a, b = 2, 5
    for gap in (BOS, EOS, NO_TEXT):
        assert rows(search_of(of_rows([BOS, a, gap, b], [BOS, a])).find("ab")) == []
    assert rows(search_of(of_rows([BOS, a], [EOS, b])).find("ab")) == []  # not every sequence begins so
    assert rows(search_of(of_rows([BOS, a])).find("<s>")) == []


def test_a_part_of_a_character_is_found_by_its_bytes():
    a, accented, first, second, front, third = (
        2 + PIECES.index(piece) for piece in (b"a", "é".encode(), b"\xc3", b"\xa9", b"\xf0\x9f", b"\x9a")
    )
    corpus = of_rows([a, front, third, a])
    assert rows(search_of(corpus).find(b"\x9f\x9a")) == [(1, 3, 1, 0)]
    split = of_rows([first, second, accented])
    assert rows(search_of(split).find("é")) == [(0, 2, 0, 0), (2, 3, 0, 0)]


def test_case_of_ascii_letters_can_be_ignored_and_of_no_others():
    corpus = of_rows([2, 6, 5])  # a B b
    assert rows(search_of(corpus).find("AB", ignore_case=True)) == [(0, 2, 0, 0)]
    assert rows(search_of(corpus).find("AB")) == []
    with pytest.raises(InputError, match=r"case of 'É' can't be ignored, only that of A to Z; search each spelling"):
        search_of(corpus).find("É", ignore_case=True)


@pytest.mark.parametrize(
    ("phrase", "message"),
    [
        ("", "the phrase is empty, expected at least one character"),
        (b"", "the phrase is empty"),
        (7, r"the phrase is 7 \(int\), expected text, or bytes for a part of a character"),
        (None, "the phrase is None, expected text"),
        ("a\ud83d", "holds half a character; give the bytes"),
    ],
)
def test_what_is_no_phrase(phrase, message):
    with pytest.raises(InputError, match=message):
        search_of(of_rows([2])).find(phrase)


def test_a_limit_is_a_number_above_zero():
    for limit in (0, -1):
        with pytest.raises(InputError, match=f"limit is {limit}, expected at least 1"):
            search_of(of_rows([2])).find("a", limit=limit)


def index_of(corpus: Corpus, text: TokenText | None) -> object:
    model = WholeModel()
    return build_index(Source(corpus=corpus, model=model, sae=WholeSae(), hook=model.hook_point("here"), text=text))


def test_an_index_searches_masked_tokens_too_and_says_where_it_has_no_text():
    tokens = np.array([[2, 3, 4, 2, 3]])
    text = TokenText({2: b"in", 3: b"dex", 4: b" "})
    index = index_of(Corpus.from_tokens(tokens, MaskConfig(ids=(3,))), text)
    assert rows(index.find_text("index")) == [(0, 2, 0, 0), (3, 5, 0, 0)]
    assert index.find_text("INDEX", limit=1, ignore_case=True).positions.tolist() == [0, 1]
    bare = index_of(Corpus.from_tokens(tokens), None)
    with pytest.raises(InputError, match=r"built without token text, so nothing in it can be searched: build it again"):
        bare.find_text("index")
