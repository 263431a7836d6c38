"""Sums over pairs of features: to the last bit those of a loop in corpus order, however the work is cut."""

from __future__ import annotations

import tracemalloc
from collections import defaultdict
from itertools import pairwise

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from sae_vis.config import IndexConfig
from sae_vis.index import build, cofirings
from sae_vis.index.build import build_index
from sae_vis.index.cofirings import Cofirings, count_products, plan_blocks
from sae_vis.index.shards import CodedBatch, RunCodes, Shard, run_codes
from sae_vis.saes.base import SparseCodes
from tests.index.test_build import some_corpus, source_of

Token = dict[int, float]


def shard_of(tokens: list[Token], first: int, d: int) -> Shard:
    """A run of tokens as a shard."""
    features = [feature for token in tokens for feature in sorted(token)]
    acts = [token[feature] for token in tokens for feature in sorted(token)]
    offsets = torch.tensor(np.cumsum([0, *(len(token) for token in tokens)]))
    codes = SparseCodes(offsets, torch.tensor(features, dtype=torch.int64), torch.tensor(acts, dtype=torch.float32))
    return run_codes([CodedBatch(np.arange(first, first + len(tokens)), codes, torch.empty(0))]).by_feature(d)


def slow(tokens: list[Token], d: int) -> dict[int, dict[int, tuple[float, int]]]:
    """Sum and count of every pair, one product after the other."""
    found: dict[int, dict[int, tuple[float, int]]] = {row: defaultdict(lambda: (0.0, 0)) for row in range(d)}
    for token in tokens:
        for i, a in token.items():
            for j, b in token.items():
                total, n = found[i][j]
                found[i][j] = total + float(np.float32(a)) * float(np.float32(b)), n + 1
    return found


def fast(shards: list[Shard], d: int, block_bytes: int) -> dict[int, dict[int, tuple[float, int]]]:
    """The same, as a build asks for it."""
    codes: list[RunCodes] = [shard.by_token() for shard in shards]
    n_products = count_products(shards, d)
    found: dict[int, dict[int, tuple[float, int]]] = {}

    def take(rows, pairs):
        return [
            (int(row), pairs.columns[span].tolist(), pairs.sums[span].tolist(), pairs.together[span].tolist())
            for row, span in zip(rows, map(slice, pairs.offsets[:-1], pairs.offsets[1:]), strict=True)
        ]

    for first, stop in plan_blocks(n_products, d, block_bytes):
        block = Cofirings(shards, codes, range(first, stop), n_products[first:stop], d)
        for row, columns, sums, counts in (one for group in block.map(take) for one in group):
            assert columns == sorted(set(columns))
            found[first + row] = {j: (s, n) for j, s, n in zip(columns, sums, counts, strict=True)}
    return found


@st.composite
def corpora(draw) -> tuple[list[Token], int]:
    d = draw(st.integers(1, 40))
    acts = st.floats(-8, 8, width=32).filter(lambda a: a != 0)
    return draw(st.lists(st.dictionaries(st.integers(0, d - 1), acts, max_size=8), min_size=1, max_size=30)), d


@settings(max_examples=80, deadline=None)
@given(
    case=corpora(),
    cuts=st.sets(st.integers(1, 29), max_size=4),
    block_bytes=st.sampled_from([1, 200, 1 << 20]),
    dense=st.sampled_from([0, 1, 4, 10**6]),
    part=st.sampled_from([1, 7, 1 << 17]),
    threads=st.sampled_from([1, 3]),
)
def test_blocks_runs_threads_and_ways_change_no_bit(case, cuts, block_bytes, dense, part, threads):
    tokens, d = case
    edges = sorted({0, len(tokens), *(cut for cut in cuts if cut < len(tokens))})
    shards = [shard_of(tokens[low:high], low, d) for low, high in pairwise(edges)]
    before = torch.get_num_threads()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(cofirings, "DENSE", dense)  # 0: no row is dense, 10**6: every one that makes a product
        patch.setattr(cofirings, "SLICE", part)
        torch.set_num_threads(threads)
        found = fast(shards, d, block_bytes)
        torch.set_num_threads(before)
    expected = {row: dict(pairs) for row, pairs in slow(tokens, d).items()}
    assert {row: pairs for row, pairs in found.items() if pairs} == {row: p for row, p in expected.items() if p}


def test_a_wide_dictionary_costs_its_products_not_its_width():
    d, rng = 1 << 20, np.random.default_rng(0)
    tokens = [{int(f): 1.5 for f in rng.choice(d, 16, replace=False)} for _ in range(60)]
    shards = [shard_of(tokens, 0, d)]
    n_products = count_products(shards, d)
    assert n_products.sum() == 60 * 16 * 16
    codes = [shards[0].by_token()]
    tracemalloc.start()
    made = 0
    for first, stop in plan_blocks(n_products, d, 1 << 20):
        if n_products[first:stop].any():
            block = Cofirings(shards, codes, range(first, stop), n_products[first:stop], d)
            made += sum(block.map(lambda rows, pairs: int(pairs.together.sum())))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert made == 60 * 16 * 16
    assert peak < 64 << 20  # a row of every column for each feature of one block alone would take 32 GiB


def test_neuron_sums_that_are_too_large_are_left_out_unless_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    corpus = some_corpus(30)
    monkeypatch.setattr(build, "MOST_BYTES", 10)
    words = r"neurons are not correlated: .* more than 0; IndexConfig\(neuron_correlations='always'\)"
    with pytest.warns(UserWarning, match=words):
        without = build_index(source_of(corpus))
    assert "correlated_neurons_index" not in without.column_names
    made = build_index(source_of(corpus), config=IndexConfig(neuron_correlations="always"))
    assert "correlated_neurons_index" in made.column_names
    silent = build_index(source_of(corpus), config=IndexConfig(neuron_correlations="never"))
    assert "correlated_neurons_index" not in silent.column_names
