"""The tokens that features fire on most: rank, shares, ties, wide vocabularies, and any order of the corpus."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sae_vis.config import IndexConfig
from sae_vis.errors import ForeignIndexError, InputError
from sae_vis.index import fired_tokens as module
from sae_vis.index.build import build_index
from sae_vis.index.fired_tokens import token_cells, token_columns
from sae_vis.index.postings import Postings
from sae_vis.index.shards import offsets_of
from tests.index.checks import check_fired_tokens
from tests.index.test_build import corpora, some_corpus, source_of
from tests.index.test_signed import signed_source
from tests.whole_numbers import dense_of


@settings(max_examples=60, deadline=None)
@given(corpus=corpora(), seed=st.integers(0, 50), k=st.integers(1, 14), signed=st.booleans(), cells=st.integers(1, 60))
def test_listed_tokens_equal_the_slow_reference(corpus, seed, k, signed, cells):
    source = (signed_source if signed else source_of)(corpus, seed)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "CELLS", cells)
        index = build_index(source, config=IndexConfig(fired_tokens=k))
    dense = dense_of(corpus, source.model, source.sae, source.hook)
    for feature in range(index.n_features):
        check_fired_tokens(index, dense, feature)


@st.composite
def postings(draw) -> tuple[Postings, np.ndarray]:
    """Firings of three features with activations that round when they are added, on tokens of any id."""
    tokens = np.array(draw(st.lists(st.sampled_from([0, 1, 7, 262_143, 2**31 - 1]), min_size=1, max_size=20)), np.int32)
    own = [draw(st.lists(st.integers(0, len(tokens) - 1), unique=True).map(sorted)) for _ in range(3)]
    acts = st.floats(0.0625, 1000, width=32) | st.floats(-1000, -0.0625, width=32)
    n = sum(map(len, own))
    values = np.array(draw(st.lists(acts, min_size=n, max_size=n)), dtype=np.float32)
    positions = np.array([place for places in own for place in places], dtype=np.int32)
    return Postings(offsets_of(np.array([len(places) for places in own])), positions, values), tokens


@settings(max_examples=100, deadline=None)
@given(postings(), st.randoms(use_true_random=False))
def test_the_order_of_the_corpus_changes_no_bit(made, order):
    whole, tokens = made
    places = list(range(len(tokens)))
    order.shuffle(places)
    moved, shuffled = np.argsort(places), tokens[places]
    positions, acts = [], []
    for low, high in zip(whole.offsets[:-1], whole.offsets[1:], strict=True):
        new = moved[whole.positions[low:high]]
        positions.append(np.sort(new))
        acts.append(whole.acts[low:high][np.argsort(new)])
    other = Postings(whole.offsets, np.concatenate(positions), np.concatenate(acts))
    for a, b in zip(token_cells(whole, tokens), token_cells(other, shuffled), strict=True):
        np.testing.assert_array_equal(a, b)
    a, b = token_columns(whole, tokens, 2), token_columns(other, shuffled, 2)
    assert all(a[name].equals(b[name]) for name in a)


def test_ties_stand_by_mass_then_by_id():
    tokens = np.array([9, 3, 5, 4, 3, 5, 8, 2], dtype=np.int32)
    acts = np.array([7, 1, 2, 5, 3, 2, 5, -6], dtype=np.float32)
    made = Postings(np.array([0, 8]), np.arange(8, dtype=np.int32), acts)
    columns = token_columns(made, tokens, 5)
    assert columns["fired_tokens"].to_pylist() == [[3, 5, 9, 2, 4]]
    assert columns["fired_tokens_count"].to_pylist() == [[2, 2, 1, 1, 1]]
    assert columns["fired_tokens_mass"].to_pylist() == [[4.0, 4.0, 7.0, 6.0, 5.0]]
    assert columns["n_fired_tokens"].to_pylist() == [6]


def test_none_are_kept_where_none_are_asked_for(tmp_path):
    source = source_of(some_corpus())
    index = build_index(source, tmp_path, config=IndexConfig(fired_tokens=0))
    assert not [name for name in index.column_names if "fired_tokens" in name]
    with pytest.raises(InputError, match=r"it was built with IndexConfig\(fired_tokens=0\), or by an older version"):
        index.fired_tokens(3)
    with pytest.raises(ForeignIndexError, match="made from another setting fired_tokens; nothing was written"):
        build_index(source, tmp_path)
    with pytest.raises(InputError, match=r"IndexConfig.fired_tokens is -1; it must be at least 0"):
        IndexConfig(fired_tokens=-1)
    with pytest.raises(InputError, match="feature 9 does not exist: the SAE has features 0 to 8"):
        build_index(source).fired_tokens(9)
