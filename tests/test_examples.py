"""The scripts in `examples/`, in the manner of sae_vis 0.3, run as they are."""

from __future__ import annotations

import json
import runpy
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.fixtures.page_decoder import read_page
from tests.libraries import library

pytestmark = pytest.mark.slow

EXAMPLES = Path(__file__).parents[1] / "examples"


def run(name: str, path: Path, *words: str) -> tuple[dict[str, Any], dict[int, Any]]:
    """Head and features of the page that a script writes."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "argv", [name, str(path), *words])
        runpy.run_path(str(EXAMPLES / name), run_name="__main__")
    return read_page(path.read_text(encoding="utf-8"))


def test_vanilla(tmp_path):
    head, views = run("vanilla.py", tmp_path / "page.html")
    assert sorted(views) == list(range(64))
    assert head["meta"]["first"] == 8


@pytest.mark.filterwarnings("ignore")
def test_vanilla_through_transformer_lens(tmp_path):
    library("transformer_lens")
    _, expected = run("vanilla.py", tmp_path / "a.html")
    _, views = run("vanilla.py", tmp_path / "b.html", "--transformer-lens")
    for feature, view in expected.items():
        assert abs(views[feature].stats.n_firings - view.stats.n_firings) <= 2
        assert views[feature].stats.max == pytest.approx(view.stats.max, rel=1e-3, abs=1e-4)
        assert views[feature].logits_table.top_tokens.tolist() == view.logits_table.top_tokens.tolist()


def test_custom_layout(tmp_path):
    head, views = run("custom_layout.py", tmp_path / "page.html")
    assert sorted(views) == list(range(8, 24))
    assert head["layout"]["height"] == 1000
    assert len(head["layout"]["columns"]) == 2


def test_two_saes(tmp_path):
    """Three pages, whose links lead from one to the others."""
    head, views = run("two_saes.py", tmp_path / "page.html")
    assert head["meta"]["b"]["page"] == "page-b.html"
    assert head["meta"]["b"]["compare"] == "page-compare.html"
    assert all(len(view.correlated_b_features.index) == 3 for view in views.values())
    b_head, b_views = read_page((tmp_path / "page-b.html").read_text(encoding="utf-8"))
    assert b_head["meta"]["b"]["page"] == "page.html"
    both, a_views = read_page((tmp_path / "page-compare.html").read_text(encoding="utf-8"))
    assert sorted(a_views) == sorted(views)
    for feature, view in views.items():
        assert {int(other) for other in view.correlated_b_features.index} <= set(b_views)
        table = both["compare"]["compared"][feature].table
        assert table.index[:3].tolist() == view.correlated_b_features.index.tolist()
        assert table.decoder is not None
    assert len(both["compare"]["splits"].feature) + len(both["compare"]["merges"].feature) > 0


def test_othello(tmp_path):
    head, views = run("othello/page.py", tmp_path / "page.html", "80")
    report = json.loads((EXAMPLES / "othello" / "assets" / "measured.json").read_text(encoding="utf-8"))
    assert sorted(views) == sorted(row["feature"] for row in report["features"][:32])
    assert report["measured"]["legal_top1"] > 0.94
    assert head["board"]["game"] == "Othello"
    sides = [(probe["side"], probe["name"]) for probe in head["probes"]]
    states = [f"board: {state}" for state in ("mine", "theirs", "empty")]
    assert sides == [("moves", "Logit effect of moves"), *((s, n) for s in ("input", "output") for n in states)]
    for view in views.values():
        n_contexts = sum(len(group.contexts.focus) for group in view.sequences)
        assert view.boards.pieces.shape == (64 * n_contexts,)
        assert {group.contexts.effects.against for group in view.sequences} <= {"reference"}


def test_prompt_centric(tmp_path):
    head, _ = run("prompt_centric.py", tmp_path / "page.html")
    part = head["prompt"]
    assert (part.metric, part.position, part.n_features) == ("act_quantile", 3, 8)


def test_labels(tmp_path, capsys):
    head, views = run("labels.py", tmp_path / "page.html")
    assert "most uneven over kind: " in capsys.readouterr().out
    assert len(views) == 64
    names = [labelling["name"] for labelling in head["labellings"]]
    assert names == ["source", "kind"]
    density = {view.feature: view.stats.n_firings for view in views.values()}
    assert all(view.labels[0].n_firings.sum() == density[feature] for feature, view in views.items())
    labels = head["labellings"][0]["labels"]
    preferred = {labels[group.label] for view in views.values() for group in view.sequences if group.kind == "label"}
    assert {"austen", "python_stdlib", "sotu"} <= preferred


def attention_page(path: Path, *words: str) -> dict[int, Any]:
    head, views = run("attention.py", path, *words)
    assert head["meta"]["first"] == 0
    assert head["meta"]["no_sources"] is None
    assert sorted(views) == list(range(32))
    return views


def test_attention(tmp_path):
    """Feature 0 is an induction feature: its sources come after the same token, through head 0."""
    views = attention_page(tmp_path / "page.html")
    contexts = views[0].sequences[0].contexts
    sources = contexts.sources
    heads = sources.heads.reshape(-1, sources.n_heads).sum(axis=0)
    assert heads.argmax() == 0
    assert heads[0] > 0.7 * heads.sum()
    repeated = 0
    for i, first in enumerate(sources.offsets[:-1]):
        bold = contexts.tokens[contexts.offsets[i] + contexts.focus[i]]
        repeated += int(sources.main[i] > 0 and sources.tokens[first + sources.main[i] - 1] == bold)
    assert repeated >= 0.9 * len(contexts.sequence)


@pytest.mark.filterwarnings("ignore")
def test_attention_through_transformer_lens(tmp_path):
    pytest.importorskip("transformer_lens", reason="transformer-lens is not installed", exc_type=ImportError)
    expected = attention_page(tmp_path / "a.html")
    views = attention_page(tmp_path / "b.html", "--transformer-lens")
    for feature, view in expected.items():
        if not view.sequences:
            continue
        found, wanted = (v.sequences[0].contexts.sources for v in (views[feature], view))
        assert found.total[0] == pytest.approx(wanted.total[0], rel=1e-3)
        assert found.heads[: found.n_heads] == pytest.approx(wanted.heads[: found.n_heads], rel=1e-2, abs=1e-3)


def test_crosscoder(tmp_path):
    """What fine-tuning on dialogues made: the features that differ most between the models are about these."""
    head, views = run("crosscoder.py", tmp_path / "page.html")
    share = dict(zip(head["summary"].feature.tolist(), head["summary"].share.tolist(), strict=True))
    assert head["meta"]["places"]["model_names"] == ["base", "tuned"]
    order = sorted(views, key=share.__getitem__)
    assert share[order[0]] < 0.45
    assert share[order[-1]] > 0.55
    shown = [head["token_bytes"][int(t)] for t in views[order[-1]].sequences[0].contexts.tokens]
    assert b" can" in shown
    assert b" help" in shown
    assert all(len(view.places.logits) == 2 for view in views.values())
