"""The reader's pages, and where features fire next, against loops over tokens and dense activations."""

from __future__ import annotations

import re
from itertools import pairwise
from typing import NamedTuple

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sae_vis.config import IndexConfig
from sae_vis.contract import ReaderFiring, ReaderPage
from sae_vis.corpus.labels import labelling_of
from sae_vis.corpus.mask import MaskConfig
from sae_vis.corpus.text import TokenText
from sae_vis.corpus.tokens import Corpus
from sae_vis.errors import InputError
from sae_vis.explore.reader import Reader
from sae_vis.index import firings
from sae_vis.index.build import Source, build_index
from sae_vis.index.index import Index
from tests.reference import Dense
from tests.test_codec import page_decoder, same
from tests.whole_numbers import SignedSae, WholeModel, WholeSae, dense_of

BOS, EOS = 0, 1
# The emoji is in pieces: first two bytes, and two of one; a byte that begins nothing; two that hold whole characters.
PIECES = [b"a", b" b", b"\xf0\x9f", b"\x9a", b"\x80", b"\xff", "é".encode(), b"", b"\x80z", b"\n"]
TEXT = TokenText({BOS: b"<s>", EOS: b"</s>", **{2 + i: piece for i, piece in enumerate(PIECES)}}, special=[BOS, EOS])
WORDS = [None, "de", "</b>"]


class Case(NamedTuple):
    """A corpus, and of each token: its document, its labels of two labellings."""

    corpus: Corpus
    owner: list[int]
    words: list[str | None]
    parity: list[str]


@st.composite
def cases(draw) -> Case:
    """Documents packed into rows, BOS in front of each row or of none; labels by document and by token."""
    ids = st.integers(1, 1 + len(PIECES))
    documents = draw(st.lists(st.lists(ids, min_size=1, max_size=40), min_size=1, max_size=6))
    body, bos = draw(st.integers(1, 12)), draw(st.booleans())
    words = [draw(st.sampled_from(WORDS)) for _ in documents]
    flat, owner, begins, starts = [], [], [], []
    filled = body
    for number, document in enumerate(documents):
        for i, token in enumerate(document):
            if filled == body:
                begins.append(len(flat))
                filled = 0
                if bos:  # it belongs to the document whose token it stands in front of
                    flat.append(BOS)
                    owner.append(number)
            if i == 0:
                starts.append(len(flat))
            flat.append(token)
            owner.append(number)
            filled += 1
    mask = MaskConfig(bos_id=BOS, ids=tuple(draw(st.sets(st.integers(2, 4), max_size=2))))
    tokens, offsets = np.array(flat, dtype=np.int32), np.array([*begins, len(flat)], dtype=np.int64)
    if not mask.counted(tokens, offsets).any():
        mask = MaskConfig()
    first = [owner.index(number) for number in range(len(documents))]
    parity = [str(i // 3 % 2) for i in range(len(flat))]
    labellings = (
        labelling_of("language", words, np.array(first, dtype=np.int64)),
        labelling_of("odd", parity, np.arange(len(flat), dtype=np.int64)),
    )
    corpus = Corpus(
        tokens=tokens,
        offsets=offsets,
        documents=np.array([*starts, len(flat)], dtype=np.int64),
        mask=mask,
        labellings=labellings,
    )
    return Case(corpus, owner, [words[number] for number in owner], parity)


def both(corpus: Corpus, seed: int = 0, *, signed: bool = False, codes: bool = True) -> tuple[Index, Dense]:
    model, sae = WholeModel(seed=seed), (SignedSae if signed else WholeSae)(seed=seed)
    source = Source(corpus=corpus, model=model, sae=sae, hook=model.hook_point("here"), text=TEXT)
    return build_index(source, config=IndexConfig(codes=codes)), dense_of(corpus, model, sae, source.hook)


def in_a_character(corpus: Corpus, position: int) -> bool:
    """Whether the text of a token begins in the midst of a character, by its first byte."""
    data = TEXT.bytes_of(int(corpus.tokens[position]))
    return bool(data) and data[0] >> 6 == 0b10


def check_page(page: ReaderPage, case: Case, dense: Dense, reader: Reader) -> None:
    """Everything on a page, token by token."""
    corpus = case.corpus
    mine = [p for p, document in enumerate(case.owner) if document == page.document]
    assert (page.n_documents, page.document_start, page.document_tokens) == (case.owner[-1] + 1, mine[0], len(mine))
    places = range(page.start, page.start + len(page.tokens))
    assert page.tokens.tolist() == [int(corpus.tokens[p]) for p in places]
    sequence = max(i for i, start in enumerate(corpus.offsets[:-1]) if start <= page.start)
    assert (page.sequence, page.offset) == (sequence, page.start - corpus.offsets[sequence])
    assert page.begins.tolist() == [i for i, p in enumerate(places) if p in corpus.offsets]
    assert page.masked.tolist() == [i for i, p in enumerate(places) if not corpus.counted[p]]
    for labels, name, words in zip(page.labels, ("language", "odd"), (case.words, case.parity), strict=True):
        assert labels.name == name
        assert labels.starts[0] == 0
        assert len(labels.starts) == len(labels.labels)
        spans = np.searchsorted(labels.starts, np.arange(len(places)), side="right") - 1
        assert [labels.labels[span] for span in spans] == [words[p] or None for p in places]
    for i, p in enumerate(places):
        place = reader.place(p)
        assert place == reader.place_in(*(int(value[0]) for value in reader._index.place(np.array([p]))))
        assert (place.position, place.document, place.page, place.token) == (p, page.document, page.page, i)


def fires_at(dense: Dense, position: int) -> list[tuple[int, float]]:
    acts = dense.acts[position] if dense.counted[position] else []
    return [(feature, float(act)) for feature, act in enumerate(acts) if act != 0]


def check_firing(page: ReaderPage, dense: Dense, pinned: list[int]) -> None:
    """What fires on a page, and how strongly it does anywhere."""
    fires = [fires_at(dense, p) for p in range(page.start, page.start + len(page.tokens))]
    listed = set(pinned)
    if page.codes is not None:
        offsets, features, acts = page.codes.offsets, page.codes.features.tolist(), page.codes.acts.tolist()
        found = [list(zip(features[a:b], acts[a:b], strict=True)) for a, b in pairwise(offsets)]
        assert found == fires
        listed |= set(features)
    for one in page.pinned:
        assert one.n_firings == len(dense.firings(one.feature))
        own = [(i, dict(row)[one.feature]) for i, row in enumerate(fires) if one.feature in dict(row)]
        assert list(zip(one.at.tolist(), one.acts.tolist(), strict=True)) == own
    assert [one.feature for one in page.pinned] == pinned
    assert page.firing.feature.tolist() == sorted(listed)
    for feature, most in zip(page.firing.feature.tolist(), page.firing.max.tolist(), strict=True):
        assert abs(most) == max((abs(act) for _, act in dense.firings(feature)), default=0)


@settings(max_examples=40, deadline=None)
@given(
    case=cases(),
    seed=st.integers(0, 50),
    signed=st.booleans(),
    codes=st.booleans(),
    size=st.integers(8, 20),
    pinned=st.lists(st.integers(0, 8), unique=True, max_size=3),
)
def test_pages_hold_every_token_of_a_document_once(case, seed, signed, codes, size, pinned):
    index, dense = both(case.corpus, seed, signed=signed, codes=codes)
    reader = Reader(index, page_tokens=size)
    assert reader.n_documents == case.owner[-1] + 1
    at = 0
    for document in range(reader.n_documents):
        n_pages = reader.page(document).n_pages
        assert n_pages == -(-case.owner.count(document) // size)
        for number in range(n_pages):
            page = reader.page(document, number, pinned=pinned)
            assert (page.document, page.page, page.n_pages, page.start) == (document, number, n_pages, at)
            assert len(page.tokens) <= size + 3
            check_page(page, case, dense, reader)
            check_firing(page, dense, pinned)
            at += len(page.tokens)
    assert at == case.corpus.n_tokens


@settings(max_examples=40, deadline=None)
@given(case=cases(), size=st.integers(8, 20))
def test_a_page_begins_with_a_character_wherever_one_is_near(case, size):
    index, _ = both(case.corpus)
    reader = Reader(index, page_tokens=size)
    for document in range(reader.n_documents):
        for number in range(1, reader.page(document).n_pages):
            page = reader.page(document, number)
            edge = page.document_start + number * size
            near = [p for p in range(edge, edge - 4, -1) if not in_a_character(case.corpus, p)]
            assert page.start == (near[0] if near else edge)


def walked(dense: Dense, feature: int, position: int, direction: int) -> tuple[int, bool] | None:
    """The next firing's position, token after token and then from the other end; and whether it was found there."""
    n, fires = len(dense.counted), {p for p, _ in dense.firings(feature)}
    onward = range(position + 1, n) if direction == 1 else range(position - 1, -1, -1)
    again = range(n)[::direction]
    return next(((p, wrapped) for wrapped, walk in enumerate((onward, again)) for p in walk if p in fires), None)


@settings(max_examples=40, deadline=None)
@given(case=cases(), seed=st.integers(0, 50), direction=st.sampled_from([1, -1]), data=st.data())
def test_the_next_firing_is_the_first_that_a_walk_meets(case, seed, direction, data):
    index, dense = both(case.corpus, seed)
    reader = Reader(index, page_tokens=8)
    position = data.draw(st.integers(-1, case.corpus.n_tokens))
    for feature in range(index.n_features):
        found, expected = reader.next_firing(feature, position, direction), walked(dense, feature, position, direction)
        if expected is None:
            assert found is None
            continue
        firings = dense.firings(feature)
        assert found is not None
        assert (found.place.position, found.wrapped) == expected
        assert (found.feature, found.place) == (feature, reader.place(expected[0]))
        assert firings[found.number] == (found.place.position, found.act)
        assert found.n_firings == len(firings)


def test_stepping_meets_every_firing_and_comes_round():
    tokens = np.random.default_rng(3).integers(2, 12, (6, 20))
    index, dense = both(Corpus.from_tokens(tokens))
    reader = Reader(index)
    feature = next(f for f in range(index.n_features) if 3 < len(dense.firings(f)) < 60)
    positions = [p for p, _ in dense.firings(feature)]
    for direction, order in ((1, positions), (-1, positions[::-1])):
        at, met, wraps = order[0], [], []
        for _ in positions:
            step = reader.next_firing(feature, at, direction)
            assert step is not None
            at = step.place.position
            met.append(at)
            wraps.append(step.wrapped)
        assert met == [*order[1:], order[0]]
        assert wraps == [False] * (len(positions) - 1) + [True]


def test_records_travel():
    from sae_vis.deliver.blocks import BlockWriter
    from sae_vis.deliver.codec import encode

    rows = [[2, 3, 2, 9], [4, 5, 6, 2]]
    index, _ = both(Corpus.from_tokens(rows, labels={"language": ["de", None]}))
    reader = Reader(index)
    ids = np.arange(12, dtype=np.int32)
    firing = reader.next_firing(8, 2)
    for record, value in ((ReaderPage, reader.page(1, pinned=[8, 3])), (ReaderFiring, firing)):
        out = BlockWriter()
        encode(out, record, value, lambda tokens: tokens.astype(np.int64))
        assert same(value, page_decoder.Decoder(out.finish(), ids).record(record.__name__))
    assert isinstance(firing, ReaderFiring)
    assert reader.page(1).labels[0].labels == (None,)


def test_a_position_among_many_firings_is_found_by_halves(monkeypatch):
    tokens = np.random.default_rng(5).integers(2, 12, (8, 40))
    index, dense = both(Corpus.from_tokens(tokens))
    for searched in (1, 7, 1 << 16):
        monkeypatch.setattr(firings, "SEARCHED", searched)
        for feature in range(index.n_features):
            every = dense.firings(feature)
            for position in range(-1, index.tokens.size + 1, 13):
                passed = index.firings_before(feature, position)
                assert passed == sum(p < position for p, _ in every)
                rest = index.firings(feature, passed, passed + 3)
                assert list(zip(rest.positions.tolist(), rest.acts.tolist(), strict=True)) == every[passed : passed + 3]


def test_a_bos_belongs_to_the_document_behind_it_and_other_first_tokens_to_their_own():
    documents = np.array([1, 3, 6, 8], dtype=np.int64)  # the second ends with the first token of the second row
    corpus = {"tokens": np.array([0, 2, 3, 4, 5, 0, 6, 7], dtype=np.int32), "offsets": np.array([0, 5, 8])}
    made = Reader(both(Corpus(documents=documents, mask=MaskConfig(bos_id=0), **corpus))[0])
    assert [made.page(i).tokens.tolist() for i in range(3)] == [[0, 2, 3], [4, 5], [0, 6, 7]]
    corpus["tokens"] = np.array([1, 2, 3, 4, 5, 0, 6, 7], dtype=np.int32)  # rows that begin with different tokens
    made = Reader(both(Corpus(documents=documents, mask=MaskConfig(bos_id=0), **corpus))[0])
    assert [made.page(i).tokens.tolist() for i in range(3)] == [[1, 2, 3], [4, 5, 0], [6, 7]]


def test_pages_from_the_end_and_questions_that_have_no_answer():
    index, _ = both(Corpus.from_tokens(np.full((2, 30), 2)))
    reader = Reader(index, page_tokens=8)
    assert reader.page(0, -1).start == 24
    assert reader.page(1, 0).start == 30
    for question, said in (
        (lambda: reader.page(2), "document 2 does not exist: the corpus has documents 0 to 1"),
        (lambda: reader.page(-1), "document -1 does not exist: the corpus has documents 0 to 1"),
        (lambda: reader.page("x"), "document is 'x', expected a whole number"),
        (lambda: reader.page(0, 4), "page 4 does not exist: document 0 has pages 0 to 3"),
        (lambda: reader.page(0, -5), "page -5 does not exist: document 0 has pages 0 to 3"),
        (lambda: reader.page(0, pinned=[9]), "feature 9 does not exist: the SAE has features 0 to 8"),
        (lambda: reader.page(0, pinned=[1, 1]), "pinned names feature 1 more than once"),
        (lambda: reader.next_firing(-1, 0), "feature -1 does not exist: the SAE has features 0 to 8"),
        (lambda: reader.next_firing(1, 61), "position 61 does not exist: the corpus has positions 0 to 59"),
        (lambda: reader.next_firing(1, 0, 2), "direction is 2, expected 1 (the next firing) or -1 (the one before)"),
        (lambda: index.firings(1, -1), "the number of a firing is -1, expected at least 0"),
        (lambda: index.firings(1, 0, 1.5), "the number of a firing is 1.5 (float), expected a whole number"),
        (lambda: reader.place(60), "position 60 does not exist: the corpus has positions 0 to 59"),
        (lambda: reader.place_in(2, 0), "sequence 2 does not exist: the corpus has sequences 0 to 1"),
        (lambda: reader.place_in(1, 30), "position 30 does not exist: sequence 1 has positions 0 to 29"),
        (lambda: Reader(index, page_tokens=7), "page_tokens is 7, expected at least 8"),
    ):
        with pytest.raises(InputError, match=re.escape(said)):
            question()
