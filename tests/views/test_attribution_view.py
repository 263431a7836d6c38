"""Source tokens on feature pages: what is kept of the parts, when there are none, and what is said then."""

from __future__ import annotations

from dataclasses import fields, replace

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from numpy.testing import assert_allclose

from sae_vis import Corpus, Index, ModelAndSae, TokenText, index_features
from sae_vis.api import save_feature_page
from sae_vis.deliver.page import render_page
from sae_vis.effects.attention import AttentionAttribution, NoAttention
from sae_vis.errors import InputError
from sae_vis.layout import Column, SaeVisLayoutConfig, SeqMultiGroupConfig
from sae_vis.models.loading import load_model
from sae_vis.saes.module import from_module
from sae_vis.views.attribution import NAMED, SIGNIFICANT_BITS, rounded
from sae_vis.views.feature import feature_page
from sae_vis.views.sources import ViewSources
from tests.effects.conftest import D_SAE, tiny_sae
from tests.effects.test_attention import Odd
from tests.fixtures.page_decoder import read_page
from tests.tiny_models import build

SHOWN = [0, 3, 7, 12]


def parts_at(site: str) -> ModelAndSae:
    """In float64, since a sequence alone and one of a batch may round in another way."""
    model = load_model(build("llama").double())
    return ModelAndSae(model=model, sae=tiny_sae(model.hook_point(site).d), hook=site)


def indexed(parts: ModelAndSae) -> Index:
    tokens = torch.randint(1, 30, (6, 12), generator=torch.Generator().manual_seed(4))
    return index_features(Corpus.from_tokens(tokens), parts, text=TokenText.labels())


@pytest.fixture(scope="module", params=["blocks.1.attn.hook_z", "blocks.1.hook_attn_out"])
def parts(request: pytest.FixtureRequest) -> ModelAndSae:
    return parts_at(request.param)


@pytest.fixture(scope="module")
def index(parts: ModelAndSae) -> Index:
    return indexed(parts)


def layout(**options: object) -> SaeVisLayoutConfig:
    return SaeVisLayoutConfig([Column(SeqMultiGroupConfig(n_quantiles=2, **options))])


def page(index: Index, attention: AttentionAttribution | NoAttention | None, **options: object):
    sources = ViewSources(index=index, text=index.text, attention=attention)
    return feature_page(sources, SHOWN, layout(**options))


@pytest.mark.parametrize("buffer", [(2, 1), (0, 0), (30, 30), None])
def test_every_example_has_the_sources_around_its_largest(parts, index, buffer) -> None:
    attribution = parts.attribution()
    n = 0
    for view in page(index, attribution, dfa_buffer=buffer).features:
        for group in view.sequences:
            shown = group.contexts.sources
            for i in range(len(group.contexts.sequence)):
                text = index.tokens[index.offsets[(row := group.contexts.sequence[i])] : index.offsets[row + 1]]
                position = int(group.contexts.start[i] + group.contexts.focus[i])
                ((_, exact),) = attribution.of_text(torch.from_numpy(text.copy()).long(), [position], [view.feature])
                check(shown, i, exact.astype(np.float64), buffer)
                span = slice(*shown.offsets[i : i + 2])
                assert shown.tokens[span].tolist() == text[shown.start[i] :][: span.stop - span.start].tolist()
                n += 1
    assert n > 40


def check(shown, i: int, exact: np.ndarray, buffer: tuple[int, int] | None) -> None:
    """Of one example, against all of its parts [n_heads, n_src]."""
    by_source, span = exact.sum(axis=0), slice(*shown.offsets[i : i + 2])
    largest = int(by_source.argmax())
    before, after = buffer or (99, 99)
    here = slice(max(largest - before, 0), min(largest + after + 1, len(by_source)))
    assert (int(shown.start[i]), int(shown.main[i])) == (here.start, largest - here.start)
    bound = {"rtol": 2.0**-SIGNIFICANT_BITS + 1e-6, "atol": 1e-6}
    assert_allclose(shown.parts[span], by_source[here], **bound)
    assert_allclose(shown.total[i], exact.sum(), rtol=1e-5, atol=1e-6)
    n_heads = shown.n_heads
    assert_allclose(shown.heads[i * n_heads : (i + 1) * n_heads], exact.sum(axis=1), **bound)
    told = np.abs(by_source[here]) >= NAMED * by_source[largest]
    head = np.abs(exact[:, here]).argmax(axis=0)
    assert shown.head[span].tolist() == np.where(told, head, -1).tolist()
    assert_allclose(shown.head_parts[span], np.where(told, exact[head, np.arange(len(by_source))[here]], 0), **bound)


def test_largest_is_towards_an_activation_below_zero() -> None:
    from sae_vis.views.attribution import _found

    parts = np.array([[1.0, -0.5, -3.0], [0.5, -0.5, 0.1]], dtype=np.float32)
    assert _found(parts, 1.0, (0, 0)).start == 0
    assert _found(parts, -1.0, (0, 0)).start == 2


@given(hnp.arrays(np.float32, st.integers(0, 20), elements=st.floats(-(2.0**99), 2.0**99, width=32)))
def test_rounding_is_within_its_bound(values) -> None:
    found = rounded(values)
    assert_allclose(found, values, rtol=2.0**-SIGNIFICANT_BITS, atol=1e-38)
    assert not (found.view(np.uint32) & ((1 << (24 - SIGNIFICANT_BITS)) - 1)).any()


def test_what_is_written_reads_back(parts, index) -> None:
    made = page(index, parts.attribution())
    _, views = read_page(render_page(made))
    for view in made.features:
        for group, read in zip(view.sequences, views[view.feature].sequences, strict=True):
            assert len(group.contexts.sources.tokens) > 0 or len(group.contexts.sequence) == 0
            for field in fields(group.contexts.sources):
                written, found = (getattr(g.contexts.sources, field.name) for g in (group, read))
                assert field.name == "n_heads" or np.array_equal(written, found), field.name


def test_default_pages_of_attention_saes_show_sources(parts, index, tmp_path) -> None:
    path = tmp_path / "page.html"
    save_feature_page(index, path, features=SHOWN, parts=parts)
    head, views = read_page(path.read_text(encoding="utf-8"))
    assert head["meta"]["no_sources"] is None
    assert all(group.contexts.sources is not None for view in views.values() for group in view.sequences)
    save_feature_page(index, path, features=SHOWN, parts=parts, layout=layout(dfa_for_attn_saes=False))
    _, views = read_page(path.read_text(encoding="utf-8"))
    assert all(group.contexts.sources is None for view in views.values() for group in view.sequences)


def test_without_model_there_are_none(index, tmp_path) -> None:
    path = tmp_path / "page.html"
    save_feature_page(index, path, features=SHOWN)
    head, views = read_page(path.read_text(encoding="utf-8"))
    assert head["meta"]["no_sources"] is None
    assert all(group.contexts.sources is None for view in views.values() for group in view.sequences)


@pytest.mark.parametrize("site", ["blocks.1.hook_mlp_out", "blocks.1.hook_resid_post"])
def test_a_hook_without_attention_pattern(site, tmp_path) -> None:
    """Silently none by default; an error where they are asked for."""
    parts = parts_at(site)
    index = indexed(parts)
    path = tmp_path / "page.html"
    save_feature_page(index, path, features=SHOWN, parts=parts)
    head, views = read_page(path.read_text(encoding="utf-8"))
    assert head["meta"]["no_sources"] is None
    assert all(group.contexts.sources is None for view in views.values() for group in view.sequences)
    with pytest.raises(InputError, match=rf"is 'require', but '{site}' has no attention pattern .*at True"):
        save_feature_page(index, path, features=SHOWN, parts=parts, layout=layout(dfa_for_attn_saes="require"))


def test_an_attention_sae_without_linear_encoder_says_why(tmp_path) -> None:
    parts = parts_at("blocks.1.attn.hook_z")
    parts = replace(parts, sae=from_module(Odd(18)))
    assert parts.sae.d_sae == D_SAE
    path = tmp_path / "page.html"
    index = indexed(parts)
    save_feature_page(index, path, features=SHOWN, parts=parts)
    head, _ = read_page(path.read_text(encoding="utf-8"))
    assert head["meta"]["no_sources"].startswith("no linear encoder is known of this Odd dictionary")
    with pytest.raises(InputError, match="dfa_for_attn_saes is 'require', but no linear encoder"):
        save_feature_page(index, path, features=SHOWN, parts=parts, layout=layout(dfa_for_attn_saes="require"))
