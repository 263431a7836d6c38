"""Labels on a page: what is in it is what the index says, and a reader finds it again."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from sae_vis.contract import FeaturePage
from sae_vis.corpus.text import TokenText
from sae_vis.corpus.tokens import Corpus
from sae_vis.deliver.page import render_page
from sae_vis.errors import InputError
from sae_vis.index.build import build_index
from sae_vis.index.index import Index
from sae_vis.layout import Column, LabelsConfig, SaeVisLayoutConfig, SeqMultiGroupConfig
from sae_vis.views.feature import feature_page
from sae_vis.views.labels import most_uneven
from sae_vis.views.sources import ViewSources
from tests.fixtures.page_decoder import read_page
from tests.index.test_build import source_of
from tests.test_cli import command, failure
from tests.test_page import equal
from tests.whole_numbers import VOCAB

ROWS = ["de", "</script><i>", None, "日本語", "de"] * 6
PARITY = [i % 2 for i in range(len(ROWS))]
GROUPS = SeqMultiGroupConfig(by_label="language", label_group_size=3, top_acts_group_size=4, n_quantiles=2)
LAYOUT = SaeVisLayoutConfig([Column(LabelsConfig()), Column(GROUPS)])


def labelled_corpus() -> Corpus:
    tokens = np.random.default_rng(1).integers(0, VOCAB, (len(ROWS), 8))
    return Corpus.from_tokens(tokens, labels={"language": ROWS, "parity": PARITY})


@pytest.fixture(scope="module")
def index() -> Index:
    return build_index(source_of(labelled_corpus(), seed=2))


def page_of_all(index: Index, layout: SaeVisLayoutConfig | None = LAYOUT) -> FeaturePage:
    return feature_page(ViewSources(index=index, text=TokenText.labels()), range(index.n_features), layout)


def test_a_page_holds_the_labels_of_its_index_and_reads_back(index: Index):
    page = page_of_all(index)
    head, views = read_page(render_page(page))
    table = index.labels("language")
    assert [words["name"] for words in head["labellings"]] == ["language", "parity"]
    assert head["labellings"][0]["labels"] == ["</script><i>", "de", "日本語"]
    assert head["labellings"][0]["n_tokens"] == table.tokens.n_tokens.tolist() == [48, 96, 48, 48]
    for written, read in zip(page.label_ranks, head["label_ranks"], strict=True):
        assert equal(written, read)
    assert head["label_ranks"][0].top.tolist() == table.top.tolist()
    for view in page.features:
        assert equal(view, views[view.feature])
        of_language, of_parity = view.labels
        assert (of_language.labelling, of_parity.labelling) == (0, 1)
        assert of_language.n_firings.sum() == of_parity.n_firings.sum() == view.stats.n_firings
        assert of_language.unevenness == table.unevenness[view.feature]
        np.testing.assert_allclose(of_language.log_odds, table.log_odds[view.feature], rtol=1e-6)


def test_groups_of_labels_hold_the_largest_firings_there(index: Index):
    counts, density = index.labels("language").counts, index.labels("language").density
    codes = [{"de": 1, "</script><i>": 0, "日本語": 2}.get(word or "", -1) for word in ROWS]
    for view in page_of_all(index).features:
        own = [group for group in view.sequences if group.kind == "label"]
        shown = [group.label for group in own]
        assert shown == sorted(np.flatnonzero(density[view.feature]), key=lambda i: (-density[view.feature, i], i))
        acts, positions = index.firings(view.feature).acts, index.firings(view.feature).positions
        for group in own:
            assert group.labelling == 0
            assert group.n_firings == counts.n_firings[view.feature, group.label]
            assert {codes[row] for row in group.contexts.sequence} == {group.label}
            inside = [float(a) for a, t in zip(acts, positions, strict=True) if codes[t // 8] == group.label]
            assert (group.high, group.n_firings) == (max(inside), len(inside))
            assert len(group.contexts.focus) <= 3
        for group in view.sequences:
            rows = np.repeat(group.contexts.sequence, np.diff(group.contexts.offsets))
            assert group.contexts.labels[0].tolist() == [codes[row] for row in rows]
            assert group.contexts.labels[1].tolist() == [row % 2 for row in rows]


def test_few_groups_are_those_of_the_densest_labels(index: Index):
    layout = SaeVisLayoutConfig([Column(SeqMultiGroupConfig(by_label="parity", n_label_groups=1, n_quantiles=0))])
    density = index.labels("parity").density
    for view in page_of_all(index, layout).features:
        own = [group.label for group in view.sequences if group.kind == "label"]
        assert own == ([int(density[view.feature].argmax())] if view.stats.n_firings else [])


def test_the_default_layout_shows_labels_where_there_are_some(index: Index):
    assert page_of_all(index, None).layout.columns[0].components[0].type == "Labels"
    plain = build_index(source_of(Corpus.from_tokens(np.ones((2, 3), dtype=int))))
    page = page_of_all(plain, None)
    assert "Labels" not in [c.type for column in page.layout.columns for c in column.components]
    assert (page.labellings, page.label_ranks, page.features[0].labels) == ((), (), ())
    assert page.features[-1].sequences[0].contexts.labels == ()
    with pytest.raises(InputError, match="no labelling 'language'; its corpus has no labels"):
        page_of_all(plain, SaeVisLayoutConfig([Column(GROUPS)]))
    shown = page_of_all(plain, SaeVisLayoutConfig([Column(LabelsConfig())]))
    assert shown.features[0].labels == ()


def test_one_labelling_of_several(index: Index):
    layout = SaeVisLayoutConfig([Column(LabelsConfig(labelling="parity"))])
    assert [profile.labelling for profile in page_of_all(index, layout).features[3].labels] == [1]
    with pytest.raises(InputError, match="no labelling 'class'; there are 'language', 'parity'"):
        page_of_all(index, SaeVisLayoutConfig([Column(LabelsConfig(labelling="class"))]))


def test_the_rule_of_a_choice_is_said(index: Index):
    every = index.rank_by_label("language").tolist()
    chosen = most_uneven(index, "language", 3)
    assert chosen.features == every[:3]
    assert chosen.rule == (
        f"the 3 features that fire most unevenly over language, of {len(every)} that fire on a label"
    )
    on_label = most_uneven(index, "language", None, label="de")
    assert on_label.features == index.rank_by_label("language", label="de").tolist()
    assert "prefer language de most, by log-odds" in on_label.rule
    with pytest.raises(InputError, match="asked for 0 features"):
        most_uneven(index, "language", 0)


def test_commands(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    built = build_index(source_of(labelled_corpus(), seed=2), tmp_path / "index")
    command("labels", tmp_path / "index")
    said = capsys.readouterr().out
    assert "language: 3 labels" in said
    assert "'日本語'" in said
    assert "(no label)" in said
    command("labels", tmp_path / "index", "language", "-n", 3)
    lines = capsys.readouterr().out.splitlines()
    assert [int(line.split()[0]) for line in lines[1:]] == built.rank_by_label("language", k=3).tolist()
    command("labels", tmp_path / "index", "language", "--label", "de", "--by", "information")
    assert "de (" in capsys.readouterr().out
    page = tmp_path / "page.html"
    command("feature", tmp_path / "index", "--most-uneven", "language", "--count", 4, "-o", page)
    head, views = read_page(page.read_text(encoding="utf-8"))
    assert set(views) == set(built.rank_by_label("language", k=4).tolist())
    assert "fire most unevenly over language" in head["meta"]["selection"]
    feature = ("feature", tmp_path / "index", "-o", page)
    assert "--label says which label of --most-uneven" in failure(capsys, *feature, "--label", "de")
    assert "give one of the two" in failure(capsys, *feature, "3", "--most-uneven", "language")
    assert "--by is 'size', expected one of unevenness, information" in failure(
        capsys, "labels", tmp_path / "index", "language", "--by", "size"
    )
