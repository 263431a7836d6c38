"""Dictionaries with activations of either sign: every statistic against its slow definition, and the mirror law."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st

from sae_vis.api import ActivationFacts, ModelAndSae, index_activations, index_features, save_feature_page
from sae_vis.config import IndexConfig
from sae_vis.corpus.mask import MaskConfig
from sae_vis.corpus.tokens import Corpus
from sae_vis.index.build import Source, build_index
from sae_vis.index.index import Index
from sae_vis.layout import ActsHistogramConfig, Column, SaeVisLayoutConfig, SeqMultiGroupConfig
from sae_vis.saes.directions import from_directions
from tests.fixtures.page_decoder import BLOCK, Reader, read_page
from tests.index.checks import check_everything
from tests.index.test_build import corpora, same, some_corpus, source_of
from tests.whole_numbers import SignedSae, WholeModel, dense_of


def signed_source(corpus: Corpus, seed: int = 0, sign: float = 1.0) -> Source:
    model, sae = WholeModel(seed=seed), SignedSae(seed=seed, sign=sign)
    return Source(corpus=corpus, model=model, sae=sae, hook=model.hook_point("here"))


@settings(max_examples=60, deadline=None)
@given(
    corpus=corpora(), seed=st.integers(0, 50), before=st.sampled_from([0, 2, None]), after=st.sampled_from([0, 1, None])
)
def test_every_statistic_equals_the_slow_reference(corpus, seed, before, after):
    source = signed_source(corpus, seed)
    index = build_index(source, config=IndexConfig(correlated_features=4, correlated_neurons=3, batch_tokens=20))
    assert index.signed
    dense = dense_of(corpus, source.model, source.sae, source.hook)
    check_everything(index, dense, before=before, after=after, n_bins=1 + seed % 12)


@settings(max_examples=40, deadline=None)
@given(
    corpus=corpora(),
    batch=st.integers(1, 50),
    shard=st.integers(1, 60),
    part=st.integers(1, 80),
    block=st.sampled_from([1 << 16, 1 << 20]),
)
def test_any_split_and_batch_size_give_the_same_bits(corpus, batch, shard, part, block):
    config = IndexConfig(batch_tokens=batch, shard_tokens=shard, part_firings=part, block_bytes=block)
    assert same(build_index(signed_source(corpus)), build_index(signed_source(corpus), config=config))


ROUNDED_OTHERWISE = Corpus(
    tokens=np.array([2, 2, 0], dtype=np.int32),
    offsets=np.array([0, 1, 3]),
    documents=np.array([0, 1, 3]),
    mask=MaskConfig(),
)
"""Where standard deviations of the mirror differ in their last bits."""


def correlations_of(index: Index, feature: int) -> dict[int, float]:
    others, pearson = (index.lists(f"correlated_features_{name}", feature) for name in ("index", "pearson"))
    return dict(zip(others.tolist(), pearson.tolist(), strict=True))


@settings(max_examples=40, deadline=None)
@given(corpus=corpora(), seed=st.integers(0, 50), n=st.integers(1, 7))
@example(corpus=ROUNDED_OTHERWISE, seed=0, n=1)
def test_a_negated_dictionary_is_the_mirror_image(corpus, seed, n):
    config = IndexConfig(correlated_features=8)  # all others, so that no tie decides who is listed
    index, mirror = (build_index(signed_source(corpus, seed, sign), config=config) for sign in (1.0, -1.0))
    for a, b in (("max", "min"), ("max_position", "min_position")):
        sign = 1 if "position" in a else -1
        assert np.array_equal(index.column(a), sign * mirror.column(b))
        assert np.array_equal(index.column(b), sign * mirror.column(a))
    assert np.array_equal(index.column("mean"), -mirror.column("mean"))
    for name in ("n_firings", "density"):
        assert index.features[name].equals(mirror.features[name])
    for feature in range(index.n_features):
        # sums run from the smallest activation to the largest, the other way round in the mirror: last bits may differ
        one, other = (correlations_of(built, feature) for built in (index, mirror))
        assert one.keys() == other.keys()
        assert np.allclose([one[key] for key in one], [other[key] for key in one], rtol=0, atol=1e-6)
        assert index.lists("acts_histogram", feature).tolist() == mirror.lists("acts_histogram", feature)[::-1].tolist()
        assert np.array_equal(index.histogram([feature], n)[0], mirror.histogram([feature], n)[0][::-1])
        top, bottom = index.top_examples(feature, 3), mirror.bottom_examples(feature, 3)
        assert np.array_equal(top.positions, bottom.positions)
        assert np.array_equal(top.acts, -bottom.acts)
        assert np.array_equal(top.repeats, bottom.repeats)
        for one, other in zip(index.intervals(feature, n, 2), mirror.intervals(feature, n, 2)[::-1], strict=True):
            assert (one.low, one.high, one.n_firings) == (-other.high, -other.low, other.n_firings)
            assert np.array_equal(one.examples.positions, other.examples.positions)


def test_a_feature_above_zero_has_the_same_examples_in_a_signed_dictionary():
    """Feature 8 is positive everywhere; beside it others are not."""
    signed = build_index(signed_source(some_corpus()))
    plain = build_index(source_of(some_corpus()))
    assert signed.signed
    assert not plain.signed
    for mine, theirs in zip(signed.intervals(8, 4, 3), plain.intervals(8, 4, 3), strict=True):
        assert mine[:3] == theirs[:3]
        assert all(np.array_equal(a, b) for a, b in zip(mine.examples, theirs.examples, strict=True))
    assert all(np.array_equal(a, b) for a, b in zip(signed.top_examples(8, 5), plain.top_examples(8, 5), strict=True))
    for name in ("max", "mean", "std", "quantiles", "density"):
        assert signed.features[name][8] == plain.features[name][8]


def test_only_a_signed_index_says_so_and_has_a_minimum(tmp_path: Path):
    corpus = some_corpus()
    signed = build_index(signed_source(corpus), tmp_path / "signed", config=IndexConfig(shard_tokens=30))
    plain = build_index(source_of(corpus), tmp_path / "plain")
    files = {name: json.loads((tmp_path / name / "manifest.json").read_text()) for name in ("signed", "plain")}
    assert files["signed"]["signed"] is True
    assert "signed" not in files["plain"]
    extra = set(signed.features.column_names) - set(plain.features.column_names)
    assert extra == {"min", "min_position"}
    assert Index.open(tmp_path / "signed").signed
    assert same(Index.open(tmp_path / "signed"), signed)
    assert [len(index.lists("acts_histogram", 8)) for index in (signed, plain)] == [100, 50]


def test_activations_of_ones_own_and_directions_give_one_index():
    corpus = some_corpus()
    model = WholeModel(site="resid")
    signed = from_directions(torch.eye(6)[:4], signed=True, hook_name="here")
    ordinary = index_features(corpus, ModelAndSae(model=model, sae=signed))
    x = model.activations(torch.from_numpy(corpus.tokens.astype(np.int64)).view(12, 10), model.hook_point("here"))
    own = index_activations(
        corpus, x[..., :4], facts=ActivationFacts(decoder=torch.eye(6)[:4], unembedding=model.unembed)
    )
    assert ordinary.signed
    assert same(own, ordinary)
    blocks = index_activations(corpus, lambda: iter(x[..., :4].flatten(0, 1).split(7)), facts=ActivationFacts(d_sae=4))
    assert np.array_equal(blocks.column("min"), own.column("min"))
    counted = torch.from_numpy(corpus.counted).view(12, 10)
    assert own.column("n_firings").tolist() == [int((x[..., f][counted] != 0).sum()) for f in range(4)]


def test_a_page_shows_both_sides(tmp_path: Path):
    index = build_index(signed_source(some_corpus()))
    layout = SaeVisLayoutConfig(
        [
            Column(
                ActsHistogramConfig(n_bins=6), SeqMultiGroupConfig(n_quantiles=3, top_acts_group_size=4, buffer=(2, 2))
            )
        ]
    )
    save_feature_page(index, tmp_path / "page.html", features=None, layout=layout)
    head, views = read_page((tmp_path / "page.html").read_text())
    assert head["meta"]["signed"] is True
    summary = head["summary"]
    for place, feature in enumerate(summary.feature.tolist()):
        acts, view = index.firings(feature).acts, views[feature]
        assert (view.stats.max, view.stats.min) == (max(acts.max(), 0), min(acts.min(), 0))
        reach = float(np.abs(acts).max())
        assert abs(summary.max[place]) == reach
        assert summary.max[place] in acts
        histogram = view.acts_histogram
        assert histogram.counts.sum() == len(acts)
        assert histogram.low <= min(acts.min(), 0)
        assert histogram.high >= max(acts.max(), 0)
        assert (histogram.high - histogram.low) / len(histogram.counts) == pytest.approx(reach / 6)
        kinds = [group.kind for group in view.sequences]
        assert kinds.count("top") == int(acts.max() > 0)
        assert kinds.count("bottom") == int(acts.min() < 0)
        for group in view.sequences:
            shown = group.contexts.acts[group.contexts.offsets[:-1] + group.contexts.focus]
            assert group.kind != "bottom" or list(shown) == sorted(shown)
            assert ((shown >= group.low) & (shown <= group.high)).all()
        intervals = [group for group in view.sequences if group.kind == "interval"]
        assert sum(group.n_firings for group in intervals) == len(acts)
        assert [group.low for group in intervals] == sorted((group.low for group in intervals), reverse=True)


def test_another_page_does_not_speak_of_it(tmp_path: Path):
    save_feature_page(build_index(source_of(some_corpus())), tmp_path / "page.html", features=None)
    html = (tmp_path / "page.html").read_text()
    assert read_page(html)[0]["meta"]["signed"] is False
    assert b'"signed"' not in Reader(dict(BLOCK.findall(html))["head"]).raw
