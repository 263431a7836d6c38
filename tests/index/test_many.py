"""Queries over many features at once equal the queries of an index, feature by feature and to the last bit."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from sae_vis.api import index_activations
from sae_vis.corpus.tokens import Corpus
from sae_vis.errors import InputError
from sae_vis.index import many
from sae_vis.index.index import Index
from sae_vis.index.many import FeatureBlock, ManyExamples, blocks, lists_of

VALUES = (-2.5, -1.0, 0.0, 0.0, 0.0, 0.25, 1.0, 1.0, 3.0)  # with equal ones, and features of one sign


def same(a: Any, b: Any) -> bool:
    """Whether two arrays hold the same bits (NaN for NaN)."""
    return np.array_equal(np.asarray(a), np.asarray(b), equal_nan=np.asarray(a).dtype.kind == "f")


def example_set(found: ManyExamples, i: int) -> tuple[Any, Any, Any]:
    own = slice(found.offsets[i], found.offsets[i + 1])
    return found.positions[own], found.acts[own], found.repeats[own]


@st.composite
def indices(draw: st.DrawFn, *, labels: bool = False) -> Index:
    """Few different tokens, so that contexts come again; dead features, and dense ones."""
    lengths = draw(st.lists(st.integers(1, 12), min_size=1, max_size=6))
    rng = np.random.default_rng(draw(st.integers(0, 1000)))
    tokens = [rng.integers(0, draw(st.sampled_from([1, 2, 9])), n) for n in lengths]
    acts = rng.choice(VALUES, (sum(lengths), 5)).astype(np.float32)
    acts[:, 0] = 0
    acts[:, 1] = np.abs(acts[:, 1])
    acts[:, 2] = -np.abs(acts[:, 2])
    if draw(st.booleans()):
        acts = np.abs(acts)
    words = {"kind": ["b", *(draw(st.sampled_from(["a", "b", None])) for _ in lengths[1:])]} if labels else None
    rows = [row.tolist() for row in tokens]
    return index_activations(Corpus.from_tokens(rows, labels=words), torch.from_numpy(acts))


features = st.lists(st.integers(0, 4), min_size=1, max_size=6)
reaches = st.sampled_from([0, 1, 3, None])


@settings(max_examples=60, deadline=None)
@given(indices(), features, reaches, reaches, st.integers(0, 6))
def test_examples_and_their_windows(index: Index, ids: list[int], before: int | None, after: int | None, k: int):
    block = FeatureBlock(index, ids)
    for name in ("top_examples", "bottom_examples"):
        found = getattr(block, name)(k, before=before, after=after)
        row = np.repeat(np.arange(len(ids)), np.diff(found.offsets))
        windows = block.windows(row, found.positions, before=before, after=after)
        for i, feature in enumerate(ids):
            expected = getattr(index, name)(feature, k, before=before, after=after)
            assert all(same(a, b) for a, b in zip(example_set(found, i), expected, strict=True))
            slow = index.windows(feature, expected.positions, before=before, after=after)
            first, stop = found.offsets[i], found.offsets[i + 1]
            tokens = slice(windows.offsets[first], windows.offsets[stop])
            assert same(windows.offsets[first : stop + 1] - windows.offsets[first], slow.offsets)
            assert same(windows.focus[first:stop], slow.focus)
            assert all(same(getattr(windows, n)[tokens], getattr(slow, n)) for n in ("positions", "tokens", "acts"))


@settings(max_examples=60, deadline=None)
@given(indices(), features, st.integers(0, 5), st.integers(0, 4), st.integers(0, 9))
def test_intervals(index: Index, ids: list[int], n: int, k: int, seed: int):
    found = FeatureBlock(index, ids).intervals(n, k, seed=seed)
    for i, feature in enumerate(ids):
        own = np.flatnonzero(found.row == i)
        expected = index.intervals(feature, n, k, seed=seed)
        assert len(own) == len(expected)
        for j, interval in zip(own.tolist(), expected, strict=True):
            assert (found.low[j], found.high[j], found.n_firings[j]) == interval[:3]
            assert all(same(a, b) for a, b in zip(example_set(found.examples, j), interval.examples, strict=True))


@settings(max_examples=40, deadline=None)
@given(indices(), features, st.integers(1, 7))
def test_histograms_positions_and_lists(index: Index, ids: list[int], n: int):
    block = FeatureBlock(index, ids)
    assert same(block.histogram(n), index.histogram(ids, n))
    found, quantiles = block.by_position(n), lists_of(index, "quantiles", ids)
    for i, feature in enumerate(ids):
        width, n_tokens, n_firings, mean = index.by_position(feature, n)
        assert found.width == width
        assert same(found.n_tokens, n_tokens)
        assert same(found.n_firings[i], n_firings)
        assert same(found.mean[i], mean)
        assert same(quantiles[i], index.lists("quantiles", feature))


@settings(max_examples=40, deadline=None)
@given(indices(labels=True), features, reaches, st.integers(0, 4))
def test_examples_by_label(index: Index, ids: list[int], reach: int | None, k: int):
    n_labels = len(index.labelling("kind").labels)
    labels = [list(range(n_labels))[:: 1 - 2 * (i % 2)][: 2 - i % 3] for i in range(len(ids))]
    found = FeatureBlock(index, ids).top_examples_by_label("kind", labels, k, before=reach, after=1)
    number = 0
    for feature, own in zip(ids, labels, strict=True):
        for expected in index.top_examples_by_label(feature, "kind", own, k, before=reach, after=1):
            assert all(same(a, b) for a, b in zip(example_set(found, number), expected, strict=True))
            number += 1
    assert number == len(found.offsets) - 1


@pytest.fixture(scope="module")
def large() -> Index:
    """Enough firings for candidates, filters and samples to leave some out."""
    rng = np.random.default_rng(3)
    tokens = rng.integers(0, 3, (40, 100))
    tokens[:30] = tokens[0]  # most contexts come again and again
    acts = np.abs(rng.normal(size=(4000, 4)) * (rng.random((4000, 4)) < [0.9, 0.5, 0.01, 0.2])).astype(np.float32)
    acts[:, 3] = np.tile(acts[:100, 3], 40)
    return index_activations(tokens, torch.from_numpy(acts))


@pytest.mark.parametrize("bits", [0, 3, 12])
@pytest.mark.parametrize("k", [1, 7, 60])
def test_many_firings_of_few_contexts(large: Index, k: int, bits: int, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(many, "FILTER_BITS", bits)
    monkeypatch.setattr(many, "CANDIDATES", 1)
    found = FeatureBlock(large, range(4)).top_examples(k, before=2, after=1)
    assert found.repeats.max() > 10
    for feature in range(4):
        expected = large.top_examples(feature, k, before=2, after=1)
        assert all(same(a, b) for a, b in zip(example_set(found, feature), expected, strict=True))


@pytest.mark.parametrize("slack", [-19, 16])
def test_large_intervals(large: Index, slack: int, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(many, "SAMPLED_MORE", slack)  # with nearly no slack samples come out short at first
    found = FeatureBlock(large, range(4)).intervals(3, 5)
    expected = [interval for feature in range(4) for interval in large.intervals(feature, 3, 5)]
    assert len(expected) == len(found.row)
    for i, interval in enumerate(expected):
        assert all(same(a, b) for a, b in zip(example_set(found.examples, i), interval.examples, strict=True))


def test_blocks_hold_all_features_in_order(large: Index):
    ids = [3, 0, 2, 2, 1]
    for most in (1, 2000, 10**9):
        cut = [list(block.features) for block in blocks(large, ids, most)]
        assert [feature for block in cut for feature in block] == ids
        assert len(cut) == {1: 5, 2000: 4, 10**9: 1}[most]
    with pytest.raises(InputError, match="feature 4 does not exist"):
        list(blocks(large, [0, 4]))
    with pytest.raises(InputError, match="feature -1 does not exist"):
        list(blocks(large, [-1]))
