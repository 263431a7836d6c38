"""Old keywords: the same result as the new way, one warning that says it, and no others."""

from __future__ import annotations

import re
import warnings
from dataclasses import dataclass

import numpy as np
import pytest
import torch

import sae_vis as sv
from sae_vis.errors import InputError
from sae_vis.index.build import build_index
from sae_vis.models.any_model import as_model
from sae_vis.moved import Moved, moved
from sae_vis.neutral import neutrally
from tests.docs_blocks import ROOT
from tests.index.test_build import some_corpus, source_of
from tests.test_modes import PROBE, SAE, TOKENS
from tests.tiny_models import build


@dataclass(frozen=True, kw_only=True)
class Words:
    """An option object."""

    title: str | None = None
    first: int = 0


@moved(Moved("words", Words, ("title", "first")), Moved("pair", tuple, ("left", "right")), Moved("new", None, ("old",)))
@neutrally
def call(path, *, words=None, pair=(None, None), new=None):
    return path, words, pair, new


def test_old_keywords_become_the_new_ones_with_one_warning():
    said = (
        "title=, first=, right=, old= of call will not be taken by the next version: give "
        "words=Words(title=…, first=…); pair=(left, right); new=…"
    )
    with pytest.warns(DeprecationWarning, match=f"^{re.escape(said)}$") as told:
        found = call("a", title="b", first=2, right=3, old=4)
    assert found == call("a", words=Words(title="b", first=2), pair=(None, 3), new=4)
    assert len(told) == 1
    assert told[0].filename == __file__


def test_an_old_keyword_adds_to_the_object():
    with pytest.warns(DeprecationWarning, match="^first= of call"):
        assert call("a", words=Words(title="b"), first=2) == call("a", words=Words(title="b", first=2))
    with pytest.warns(DeprecationWarning, match="^title= of call"):
        assert call("a", title=None) == call("a")


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"words": Words(first=1), "first": 2}, "first= of call is given twice, the second time in words=; leave the"),
        ({"pair": (1, 2), "left": 2}, "left= of call is given twice, the second time in pair=; leave the first out"),
        ({"new": 1, "old": 2}, "new and old are two names of one parameter, and both are given; give one"),
    ],
)
def test_nothing_is_given_twice(given, words):
    with pytest.raises(InputError, match=f"^{re.escape(words)}"):
        call("a", **given)


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("titel", "call() has no parameter 'titel'; near it: words=Words(title=…)"),
        ("word", "call() has no parameter 'word'; near it: words="),
        ("qqq", "call() has no parameter 'qqq'; it has path=, words=, pair=, new="),
    ],
)
def test_unknown_names_are_refused(name, words):
    with pytest.raises(TypeError, match=f"^{re.escape(words)}$"):
        call("a", **{name: 1})


# The calls of the library


@pytest.fixture(scope="module")
def parts():
    return sv.ModelAndSae(model=as_model(build("gpt2")), sae=SAE)


@pytest.fixture(scope="module")
def index(parts):
    return sv.index_features(sv.Corpus.from_tokens(TOKENS), parts)


def same_bytes(folder, old, new):
    """What both calls write is the same; the old one warns once."""
    with pytest.warns(DeprecationWarning, match="will not be taken by the next version") as told:
        old(folder / "old.html")
    assert len([one for one in told if one.category is DeprecationWarning]) == 1
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        new(folder / "new.html")
    assert (folder / "old.html").read_bytes() == (folder / "new.html").read_bytes()


def test_feature_pages(index, parts, tmp_path):
    chosen = {"features": [2, 5], "parts": parts}
    same_bytes(
        tmp_path,
        lambda path: sv.save_feature_page(
            index,
            path,
            **chosen,
            title="T",
            first=5,
            effects=False,
            linear_probes=[PROBE],
            index_b=index,
            b_page="b.html",
        ),
        lambda path: index.save_page(
            path,
            **chosen,
            settings=sv.FeatureSettings(title="T", first=5),
            compute=sv.ComputeSettings(effects=False, linear_probes=[PROBE]),
            second=sv.SecondIndex(index_b=index, b_page="b.html"),
        ),
    )
    words = "b_page= of save_feature_page needs index_b=, which is not given: give both, as second=SecondIndex("
    with pytest.raises(InputError, match=re.escape(words)):
        sv.save_feature_page(index, tmp_path / "no.html", b_page="b.html")


def test_compare_pages(index, parts, tmp_path):
    same_bytes(
        tmp_path,
        lambda path: sv.save_compare_page(index, index, path, features=[2, 5], parts_a=parts, parts_b=parts, first=5),
        lambda path: sv.save_compare_page(
            index, index, path, features=[2, 5], parts=(parts, parts), settings=sv.CompareSettings(first=5)
        ),
    )
    with pytest.raises(InputError, match="parts= takes two of them, of A and of B, such as"):
        sv.save_compare_page(index, index, tmp_path / "no.html", parts=parts)


def test_prompt_pages(index, parts, tmp_path):
    first, second = TOKENS[0].tolist(), TOKENS[1].tolist()
    settings = sv.PromptSettings(compare=second, title="Two")
    same_bytes(
        tmp_path,
        lambda path: sv.save_prompt_page(index, path, first, parts=parts, compare=second, title="Two"),
        lambda path: index.save_prompt_page(path, first, parts=parts, settings=settings),
    )


def test_activations():
    acts = torch.rand(12, 16, 5)
    with pytest.warns(DeprecationWarning, match=r"give facts=ActivationFacts\(name=…, d_sae=…\)$"):
        old = sv.index_activations(TOKENS, acts, name="mine", d_sae=5)
    new = sv.index_activations(TOKENS, acts, facts=sv.ActivationFacts(name="mine", d_sae=5))
    assert old.features.equals(new.features)
    assert old.manifest.provenance == new.manifest.provenance


def test_create(parts):
    given = {"model": parts.model, "tokens": TOKENS}
    with pytest.warns(DeprecationWarning, match=r"give options=CreateOptions\(labels=…\); sae=…$") as told:
        old = sv.SaeVisData.create(encoder=SAE, labels={"half": ["a", "b"] * 6}, **given)
    assert told[0].filename == __file__
    options = sv.CreateOptions(labels={"half": ["a", "b"] * 6})
    assert old.index.features.equals(sv.SaeVisData.create(SAE, **given, options=options).index.features)


def test_what_the_old_names_are_is_in_the_docs():
    text = (ROOT / "docs" / "how-to" / "new-calls.md").read_text(encoding="utf-8")
    pages = [sv.save_feature_page, sv.save_compare_page, sv.save_prompt_page]
    old = [sv.SaeVisData.create, sv.SaeVisData.save_feature_centric_vis]
    for function in [*pages, *old, sv.index_activations, sv.Corpus.from_texts]:
        for one in function.moved:
            assert [name for name in one.names if f"`{name}=`" not in text] == []
            assert one.new_way(list(one.names)).partition("(")[0].removesuffix("…") in text


# Methods of an index


def test_an_index_has_its_pages_wherever_it_comes_from(index, tmp_path, parts):
    made = sv.index_features(sv.Corpus.from_tokens(TOKENS), parts, tmp_path / "index")
    for one in (
        index,
        made,
        sv.Index.open(tmp_path / "index"),
        sv.index_several(sv.Corpus.from_tokens(TOKENS), [(parts, None)])[0],
    ):
        assert type(one) is sv.Index
        assert sv.Index.of(one) is one
    inner = build_index(source_of(some_corpus(), seed=1))
    assert sv.Index.of(inner).tokens is inner.tokens
    assert sv.Index.of(inner).density().tolist() == inner.density().tolist()


def test_a_feature_of_an_index(index, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    feature = int(index.select(1)[0])
    card = index.feature(np.int64(feature))
    firings = index.firings(feature)
    stats = card.stats
    assert stats.n_firings == len(firings.acts)
    assert stats.density == len(firings.acts) / index.n_counted
    assert stats.max == firings.acts.max()
    assert stats.mean == pytest.approx(firings.acts.mean(dtype=np.float64))
    assert stats.std == pytest.approx(firings.acts.std(dtype=np.float64))
    assert stats.top_token == index.tokens[firings.positions[firings.acts.argmax()]]
    assert card.top_examples(3).acts.tolist() == index.top_examples(feature, 3).acts.tolist()
    said = repr(card).splitlines()
    assert said[0] == f"Feature {feature} of 40 at blocks.1.hook_resid_post"
    assert said[1].startswith(f"  fires {stats.n_firings} times on 192 tokens: density ")
    assert said[3] == f"  most strongly on '⟨{stats.top_token}⟩'"
    shown = card._repr_html_()
    assert shown.startswith("<iframe sandbox=")
    assert "Features at blocks.1.hook_resid_post" in shown
    assert list(tmp_path.iterdir()) == []


def test_a_feature_that_never_fires_and_none_at_all():
    acts = torch.zeros(12, 16, 2)
    acts[0, 3, 0] = 1.5
    index = sv.index_activations(TOKENS, acts)
    assert repr(index.feature(1)) == "Feature 1 of 2 at own activations\n  never fires on the 192 tokens of the index"
    assert index.feature(1).stats.top_token is None
    assert "fires 1 time on 192 tokens: density 0.521%" in repr(index.feature(0))
    for wrong in (2, -1):
        with pytest.raises(InputError, match=f"feature {wrong} does not exist: the SAE has features 0 to 1"):
            index.feature(wrong)
