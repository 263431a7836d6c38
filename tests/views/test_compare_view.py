"""The page of two dictionaries holds the numbers of its indices, and is read back as it was written."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from sae_vis.api import save_compare_page
from sae_vis.deliver.page import render_page
from sae_vis.errors import InputError
from sae_vis.index.between import between
from sae_vis.index.build import Source, build_index
from sae_vis.index.index import Index
from sae_vis.index.splits import merges, splits
from sae_vis.views.compare import CompareSettings, CompareSources, chosen_features, compare_page
from tests.fixtures.page_decoder import read_page
from tests.fixtures.two_dictionaries import SAES, made
from tests.index.test_build import some_corpus
from tests.reference import Dense
from tests.whole_numbers import WholeModel, WholeSae


@pytest.fixture(scope="module", params=list(SAES))
def case(request) -> tuple[CompareSources, list[Dense]]:
    return made(SAES[request.param])


def test_a_compare_page_holds_the_numbers_of_its_indices(case):
    sources, (a, b) = case
    settings = CompareSettings(partners=3, examples=4, buffer=(2, 1))
    page = compare_page(sources, range(9), settings=settings)
    head, views = read_page(render_page(page))
    part = head["compare"]
    assert sorted(views) == list(range(9))
    assert part["b"][0]["meta"]["d_sae"] == sources.b.index.n_features
    decoders = [view.sae.decoder.double().numpy() for view in (sources.a, sources.b)]
    for feature, one in part["compared"].items():
        own, table = a.column(feature), one.table
        assert set(table.index.tolist()) <= set(part["b"][1])
        for row, other in enumerate(table.index.tolist()):
            column = b.column(other)
            both = int(((own != 0) & (column != 0)).sum())
            x, y = decoders[0][feature], decoders[1][other]
            scale = np.linalg.norm(x) * np.linalg.norm(y)
            expected = {
                "pearson": a.pearson(own, column),
                "cosine": a.cosine(own, column),
                "together": both,
                "share_a": both / (own != 0).sum(),
                "share_b": both / (column != 0).sum(),
                "decoder": x @ y / scale if scale else 0,
            }
            assert {name: getattr(table, name)[row] for name in expected} == pytest.approx(expected, abs=1e-6)
            check_groups(one.pairs[row], a, b, (feature, other), settings)


def check_groups(groups, a: Dense, b: Dense, pair: tuple[int, int], settings: CompareSettings) -> None:
    """Each group against a loop over all tokens."""
    x, y = a.acts[:, pair[0]], b.acts[:, pair[1]]
    counted = [t for t in range(len(a.tokens)) if a.counted[t]]
    top = [max(values[t] for t in counted) for values in (x, y)]
    kinds = {
        "both": [(min(x[t] / top[0], y[t] / top[1]), t) for t in counted if x[t] and y[t]],
        "a": [(x[t], t) for t in counted if x[t] and not y[t]],
        "b": [(y[t], t) for t in counted if y[t] and not x[t]],
    }
    before, after = settings.buffer
    assert [group.kind for group in groups] == list(kinds)
    for group in groups:
        ordered = [t for _, t in sorted(kinds[group.kind], key=lambda one: (-one[0], one[1]))]
        contexts: dict[tuple[object, ...], list[int]] = {}
        for t in ordered:
            contexts.setdefault(a.context(t, before, after), []).append(t)
        shown = list(contexts.values())[: settings.examples]
        assert group.n_tokens == len(ordered)
        assert group.repeats.tolist() == [len(same) - 1 for same in shown]
        assert len(group.offsets) == len(shown) + 1
        for i, (t, *_) in enumerate(shown):
            window = a.window(t, before, after)
            span = slice(group.offsets[i], group.offsets[i + 1])
            assert group.tokens[span].tolist() == [int(a.tokens[at]) for at in window]
            assert window[group.focus[i]] == t
            row = a.sequence_of(t)
            assert (group.sequence[i], group.start[i]) == (row, window[0] - a.offsets[row])
            for acts, values in ((group.acts_a, x), (group.acts_b, y)):
                expected = [values[at] if a.counted[at] else np.nan for at in window]
                np.testing.assert_array_equal(acts[span], np.array(expected, dtype=np.float32))


def test_the_lists_are_of_every_feature_of_both(case):
    sources, (a, b) = case
    indices = sources.a.index, sources.b.index
    head, _ = read_page(render_page(compare_page(sources, [2])))
    part = head["compare"]
    for name, own, other in (("matches_a", a, b), ("matches_b", b, a)):
        table = part[name]
        assert table.features.feature.tolist() == list(range(own.acts.shape[1]))
        for feature in range(own.acts.shape[1]):
            every = [own.pearson(own.column(feature), other.column(j)) for j in range(other.acts.shape[1])]
            best = np.nanmax([0.0, *every])
            assert table.pearson[feature] == pytest.approx(best, abs=1e-6)
            assert (table.best[feature] == -1) == (best < 1e-9)
            if best > 1e-9:
                assert every[table.best[feature]] == pytest.approx(best, abs=1e-6)
    for name, found in (("splits", splits(*indices, sources.between)), ("merges", merges(*indices, sources.between))):
        table = part[name]
        assert table.feature.tolist() == [split.feature for split in found]
        assert table.covered.tolist() == pytest.approx([split.covered for split in found])
        assert table.parts.tolist() == [part.feature for split in found for part in split.parts]
        assert table.covers.tolist() == pytest.approx([part.covers for split in found for part in split.parts])
        assert np.diff(table.offsets).tolist() == [len(split.parts) for split in found]


def test_without_decoders_or_with_other_widths_there_is_no_decoder_cosine(case):
    sources, _ = case
    bare = CompareSources(a=replace(sources.a, sae=None), b=sources.b, between=sources.between)
    wide = WholeSae(seed=1, d_sae=sources.b.index.n_features)
    wide.dec = wide.dec.repeat(1, 2)
    other = CompareSources(a=sources.a, b=replace(sources.b, sae=wide), between=sources.between)
    for given in (bare, other):
        head, _ = read_page(render_page(compare_page(given, [2, 3])))
        assert all(one.table.decoder is None for one in head["compare"]["compared"].values())


def test_a_dead_feature_and_one_without_counterpart_have_pages(case):
    sources, _ = case
    head, views = read_page(render_page(compare_page(sources, [0])))
    assert views[0].stats.n_firings == 0
    assert len(head["compare"]["compared"][0].table.index) == 0
    assert len(head["compare"]["b"][1]) == 1


def test_features_worth_comparing_are_chosen(case):
    sources, _ = case
    indices: tuple[Index, Index] = (sources.a.index, sources.b.index)
    every, rule = chosen_features(*indices, sources.between, None)
    assert every == indices[0].select(None).tolist()
    assert rule == f"all {len(every)} features that fire"
    some, rule = chosen_features(*indices, sources.between, 4)
    worst = min(every, key=lambda feature: (sources.between.of_a.best[feature], feature))
    assert worst in some
    assert 1 <= len(some) <= 4
    assert rule.startswith(
        f"{len(some)} of the {len(every)} features that fire: the 1 with the least counterparts in B"
    )
    with pytest.raises(InputError, match="asked for 0 features"):
        chosen_features(*indices, sources.between, 0)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"partners": 0}, "CompareSettings.partners is 0, expected at least 1"),
        ({"examples": 0}, "CompareSettings.examples is 0, expected at least 1"),
        ({"buffer": (-1, 2)}, r"CompareSettings.buffer is \(-1, 2\), expected \(tokens before, tokens after\)"),
    ],
)
def test_bad_settings(settings, message):
    with pytest.raises(InputError, match=message):
        CompareSettings(**settings)


def test_bad_input(case, tmp_path: Path):
    sources, _ = case
    indices = sources.a.index, sources.b.index
    with pytest.raises(InputError, match="feature 99 does not exist"):
        save_compare_page(*indices, tmp_path / "a.html", features=[99])
    with pytest.raises(InputError, match="a_page is 'javascript:x', expected the address of a page"):
        save_compare_page(*indices, tmp_path / "a.html", settings=CompareSettings(a_page="javascript:x"))
    with pytest.raises(InputError, match="features is empty, expected at least one feature id"):
        save_compare_page(*indices, tmp_path / "a.html", features=[])
    assert list(tmp_path.iterdir()) == []


def test_two_indices_over_other_tokens_are_refused(tmp_path):
    model = WholeModel()
    indices = [
        build_index(Source(corpus=some_corpus(n), model=model, sae=WholeSae(), hook=model.hook_point("here")))
        for n in (8, 9)
    ]
    with pytest.raises(InputError, match="A has 8 sequences, B has 9; index both dictionaries over the same corpus"):
        save_compare_page(*indices, tmp_path / "a.html")


def test_the_same_index_twice(case):
    sources, _ = case
    found = between(sources.a.index, sources.a.index)
    head, _ = read_page(render_page(compare_page(CompareSources(a=sources.a, b=sources.a, between=found), range(1, 9))))
    for feature, one in head["compare"]["compared"].items():
        if sources.a.index.column("std")[feature] > 0:
            row = one.table.index.tolist().index(feature)
            assert one.table.pearson[row] == 1
            assert [group.n_tokens for group in one.pairs[row][1:]] == [0, 0]
