"""Codes by token and the features of tokens, against loops over dense activations."""

from __future__ import annotations

import math
from decimal import Decimal, localcontext

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sae_vis.config import IndexConfig
from sae_vis.corpus.mask import MaskConfig
from sae_vis.corpus.tokens import Corpus
from sae_vis.errors import InputError
from sae_vis.index import token_codes
from sae_vis.index.build import build_index
from sae_vis.index.codes_by_position import TokenCodes
from sae_vis.index.index import Index
from sae_vis.index.token_codes import log_likelihood_ratio
from tests.index.test_build import corpora, some_corpus, source_of
from tests.index.test_signed import signed_source
from tests.reference import Dense
from tests.whole_numbers import dense_of


def both(corpus: Corpus, seed: int, *, signed: bool = False) -> tuple[Index, Dense]:
    source = (signed_source if signed else source_of)(corpus, seed)
    return build_index(source), dense_of(corpus, source.model, source.sae, source.hook)


def rows(codes: TokenCodes) -> list[list[tuple[int, float]]]:
    """Features and activations of each token."""
    return [
        list(zip(codes.features[low:high].tolist(), codes.acts[low:high].tolist(), strict=True))
        for low, high in zip(codes.offsets[:-1], codes.offsets[1:], strict=True)
    ]


def slow_codes(dense: Dense, position: int) -> list[tuple[int, float]]:
    acts = dense.acts[position] if dense.counted[position] else []
    return [(feature, float(act)) for feature, act in enumerate(acts) if act != 0]


@settings(max_examples=60, deadline=None)
@given(
    corpus=corpora(),
    seed=st.integers(0, 50),
    places=st.lists(st.integers(0, 200), max_size=30),
    signed=st.booleans(),
    gap=st.sampled_from([1, 3, 256]),
    run=st.sampled_from([2, 5, 1 << 16]),
)
def test_codes_of_any_positions_in_any_order(corpus, seed, places, signed, gap, run):
    index, dense = both(corpus, seed, signed=signed)
    places = [place % corpus.n_tokens for place in places]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(token_codes, "GAP", gap)
        patch.setattr(token_codes, "RUN", run)
        found = index.codes(places)
    assert rows(found) == [slow_codes(dense, place) for place in places]
    assert (found.offsets.dtype, found.features.dtype, found.acts.dtype) == (np.int64, np.int32, np.float32)


def test_neighbours_are_read_together_and_far_ones_apart():
    asked = []

    def read(start: int, stop: int) -> TokenCodes:
        asked.append((start, stop))
        one_each = np.arange(start, stop)
        return TokenCodes(np.arange(stop - start + 1), one_each.astype(np.int32), one_each.astype(np.float32))

    positions = np.array([100_005, 3, 4, 200, 100_000, 3])
    assert rows(token_codes.codes_at(read, positions)) == [[(p, float(p))] for p in positions]
    assert asked == [(3, 201), (100_000, 100_006)]


def g2(a: int, here: int, total: int, n: int) -> float:
    """Dunning's statistic from the four cells, with its sign."""
    cells = {(True, True): a, (True, False): here - a, (False, True): total - a, (False, False): n - here - total + a}
    found = 0.0
    for (inside, fires), observed in cells.items():
        expected = (here if inside else n - here) * (total if fires else n - total) / n
        found += 2 * observed * math.log(observed / expected) if observed else 0.0
    if n == here:
        return 0.0
    difference = a * (n - here) - (total - a) * here
    return 0.0 if difference == 0 else math.copysign(found, difference)


def slow_features(dense: Dense, places: list[int], rank: str) -> list[tuple[int, list[float]]]:
    """Every feature that is to be listed, with its row of `FeaturesThere`, best first."""
    here = sorted({place for place in places if dense.counted[place]})
    found = []
    for feature in range(dense.acts.shape[1]):
        every = dict(dense.firings(feature))
        acts = [abs(every[place]) for place in here if place in every]
        elsewhere = (len(every) - len(acts)) / (dense.n - len(here)) if dense.n > len(here) else math.nan
        lift = g2(len(acts), len(here), len(every), dense.n) if here else 0.0
        score = {"lift": lift, "count": float(len(acts)), "mass": sum(acts)}[rank]
        if score > 0:
            found.append((feature, [score, len(acts), len(acts) / len(here), elsewhere, sum(acts)]))
    return sorted(found, key=lambda one: (-one[1][0], one[0]))


@settings(max_examples=80, deadline=None)
@given(
    corpus=corpora(),
    seed=st.integers(0, 50),
    places=st.lists(st.integers(0, 200), max_size=30),
    signed=st.booleans(),
    rank=st.sampled_from(["lift", "count", "mass"]),
    k=st.integers(0, 12),
)
def test_features_of_positions_equal_their_definition(corpus, seed, places, signed, rank, k):
    index, dense = both(corpus, seed, signed=signed)
    places = [place % corpus.n_tokens for place in places]
    found = index.features_of(places, k, rank=rank)
    expected = slow_features(dense, places, rank)
    assert found.n_tokens == len({place for place in places if dense.counted[place]})
    assert len(found.feature) == min(k, len(expected))
    assert list(found.score) == pytest.approx([row[0] for _, row in expected[:k]], rel=1e-9, abs=1e-9)
    rows_of = dict(expected)
    for feature, *row in zip(*found[:-1], strict=True):
        assert row == pytest.approx(rows_of[int(feature)], rel=1e-9, abs=1e-9, nan_ok=True)
    if rank != "lift":  # no rounding here: equal ones stand by number
        assert found.feature.tolist() == [feature for feature, _ in expected[:k]]


def precise(a: int, here: int, total: int, n: int) -> float:
    """`g2` with fifty digits."""
    with localcontext() as context:
        context.prec = 50
        cells = ((a, here, total), (here - a, here, n - total), (total - a, n - here, total))
        cells += ((n - here - total + a, n - here, n - total),)
        found = sum(2 * o * (Decimal(o) * n / (Decimal(row) * column)).ln() for o, row, column in cells if o)
        return math.copysign(float(found), a * n - total * here)


counts = st.one_of(st.integers(0, 50), st.integers(0, 10**6), st.integers(0, 10**10))


@settings(max_examples=300, deadline=None)
@given(both_=counts, here_alone=counts, there_alone=counts, neither=counts)
def test_the_ratio_is_precise_for_any_table(both_, here_alone, there_alone, neither):
    here, total, n = both_ + here_alone, both_ + there_alone, both_ + here_alone + there_alone + neither
    if n == 0:
        return
    found = log_likelihood_ratio(np.array([both_]), here, np.array([total]), n)[0]
    assert found == pytest.approx(precise(both_, here, total, n), rel=1e-11)


def test_equal_shares_are_no_lift_and_fewer_firings_are_below_zero():
    count, total = np.array([3, 1, 3, 2, 0]), np.array([30, 80, 30, 20, 5])
    found = log_likelihood_ratio(count, 10, total, 100)
    assert found[[0, 2, 3]].tolist() == [0, 0, 0]  # 3 of 10 here, 30 of 100 in all
    assert (found[[1, 4]] < 0).all()


def test_counts_whose_products_pass_64_bits():
    n = 5_000_000_000
    found = log_likelihood_ratio(np.array([2_000_000_001, 2_000_000_000]), n // 2, np.array([4_000_000_000] * 2), n)
    assert found[0] == pytest.approx(precise(2_000_000_001, n // 2, 4_000_000_000, n), rel=1e-11)
    assert found[0] > 0
    assert found[1] == 0


def test_all_tokens_at_once_have_no_elsewhere():
    index, dense = both(some_corpus(), 0)
    every = np.arange(len(index.tokens))
    assert len(index.features_of(every).feature) == 0
    found = index.features_of(every, rank="count")
    assert np.isnan(found.elsewhere).all()
    assert found.n_tokens == dense.n
    assert found.n_firings.tolist() == index.column("n_firings")[found.feature].tolist()


def test_masked_tokens_alone_have_no_features():
    index, _ = both(some_corpus(mask=MaskConfig(ids=(3, 4))), 0)
    masked = np.flatnonzero(~index.counted)
    found = index.features_of(masked, rank="mass")
    assert (found.n_tokens, len(found.feature)) == (0, 0)
    assert index.codes(masked).offsets.tolist() == [0] * (len(masked) + 1)
    assert len(index.features_of([]).feature) == len(index.codes([]).acts) == 0


def test_what_is_no_position_and_no_rank():
    index, _ = both(some_corpus(n_seqs=2, seq_len=5), 0)
    for positions in ([0, 10], [-1]):
        with pytest.raises(InputError, match=r"position (10|-1) does not exist: the corpus has positions 0 to 9"):
            index.codes(positions)
    for positions in ([0.5], [[1, 2]], 3, [[1], [2, 3]], "1", [True]):
        with pytest.raises(InputError, match=r"positions are .*, expected corpus positions, such as \[4, 8\]"):
            index.features_of(positions)
    with pytest.raises(InputError, match="rank is 'best', expected one of lift, count, mass"):
        index.features_of([1], rank="best")
    with pytest.raises(InputError, match="k is -1, expected at least 0"):
        index.features_of([1], -1)


def test_an_index_without_codes_says_how_to_have_them():
    index = build_index(source_of(some_corpus()), config=IndexConfig(codes=False))
    for question in (lambda: index.codes([1]), lambda: index.features_of([1])):
        with pytest.raises(InputError, match=r"no codes by position: build it with IndexConfig\(codes=True\)"):
            question()
