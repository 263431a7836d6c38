"""What a page holds of a crosscoder: norms, cosines and logits of each place, and the two models' shares."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose

from sae_vis import Corpus, ModelAndSae, index_features, save_feature_page
from sae_vis.layout import (
    ActsHistogramConfig,
    Column,
    DecoderNormsConfig,
    LogitsByPlaceConfig,
    ModelDiffConfig,
    SaeVisLayoutConfig,
)
from sae_vis.models.loading import load_model
from sae_vis.saes.crosscoder import CrosscoderPlaces
from sae_vis.views.places import place_labels
from tests.effects.test_crosscoder_effects import ADDED, D_SAE, D, tiny_crosscoder, two_models
from tests.effects.test_transcoders import make
from tests.fixtures.page_decoder import read_page
from tests.tiny_models import build

TOKENS = torch.randint(1, 31, (6, 9), generator=torch.Generator().manual_seed(2))


def page_of(parts, tmp_path, **options):
    index = index_features(Corpus.from_tokens(TOKENS), parts)
    path = tmp_path / "page.html"
    given = parts if options.pop("with_model", True) else None
    save_feature_page(index, path, features=range(12), parts=given, **options)
    return index, *read_page(path.read_text(encoding="utf-8"))


@pytest.mark.parametrize("kind", ["two models", "layers"])
def test_a_page_holds_every_place_by_its_definition(kind, tmp_path) -> None:
    if kind == "two models":
        parts, _ = two_models()
        models = [parts.model, parts.other_models[0]]
        hooks = ["blocks.1.hook_resid_post"] * 2
    else:
        sae = tiny_crosscoder(CrosscoderPlaces(reads=["blocks.0.hook_mlp_in"], writes=ADDED), 1, 3)
        parts = ModelAndSae(model=load_model(build("gemma2")), sae=sae)
        models, hooks = [parts.model] * 3, ADDED
    _, head, views = page_of(parts, tmp_path)
    directions = parts.sae.decoder.view(D_SAE, len(hooks), D).double()
    for feature, view in views.items():
        own = directions[feature]
        assert_allclose(view.places.norms, own.norm(dim=1), rtol=1e-6)
        pairs = [(a, b) for a in range(len(hooks)) for b in range(a + 1, len(hooks))]
        expected = [float(own[a] @ own[b] / (own[a].norm() * own[b].norm())) for a, b in pairs]
        assert_allclose(view.places.cosines, expected, atol=1e-6)
        for place, (model, hook, table) in enumerate(zip(models, hooks, view.places.logits, strict=True)):
            end = model.unembedding()
            d = model.to_residual(own[[place]], model.hook_point(hook))[0]
            d = d - d.mean() if end.centred else d
            logits = end.weight.double() @ (end.gain.double() * d)
            logits = logits - logits.mean()
            assert_allclose(table.top_values, logits.topk(10).values, atol=1e-4)
            assert_allclose(table.bottom_values, logits.topk(10, largest=False).values, atol=1e-4)
            assert_allclose(logits[torch.from_numpy(table.top_tokens).long()], table.top_values, atol=1e-4)
    types = [component["type"] for column in head["layout"]["columns"] for component in column["components"]]
    assert types[:2] == (["ModelDiff", "DecoderNorms"] if kind == "two models" else ["DecoderNorms", "FeatureTables"])


def test_shares_of_all_features(tmp_path) -> None:
    parts, _ = two_models()
    parts.other_models[0].name = "tuned"
    parts.sae.decoder_norms[3] = 0
    layout = SaeVisLayoutConfig([Column(ModelDiffConfig(n_bins=5))])
    index, head, _ = page_of(parts, tmp_path, layout=layout)
    norms = np.array(index.features["decoder_norms"].to_pylist())
    with np.errstate(invalid="ignore"):
        shares = norms[:, 1] / norms.sum(axis=1)
    assert_allclose(head["summary"].share, shares[:12], rtol=1e-6)
    assert np.isnan(head["summary"].share[3])
    places = head["meta"]["places"]
    counts = np.bincount((shares[~np.isnan(shares)] * 5).astype(int).clip(max=4), minlength=5)
    assert places["shares"] == counts.tolist()
    assert (places["undefined"], places["measured"], places["models"]) == (1, 1, [0, 1])
    assert places["labels"] == places["model_names"] == ["GPT2LMHeadModel", "tuned"]


def test_labels_are_short() -> None:
    model = load_model(build("gpt2"))

    def labels(names, hooks_in=("blocks.0.hook_mlp_in",)):
        sae = tiny_crosscoder(CrosscoderPlaces(reads=list(hooks_in), writes=names), len(hooks_in), len(names))
        return place_labels(index_features(Corpus.from_tokens(TOKENS), ModelAndSae(model=model, sae=sae)))

    assert labels(ADDED) == ["layer 0", "layer 1", "layer 2"]
    assert labels(["blocks.0.hook_mlp_out", "blocks.1.hook_resid_post"]) == ["layer 0 mlp_out", "layer 1 resid_post"]
    assert labels(["transformer.h.0.mlp", "blocks.1.hook_mlp_out"]) == ["transformer.h.0.mlp", "layer 1 mlp_out"]


def test_a_page_without_the_model_has_norms_and_no_logits(tmp_path) -> None:
    parts, _ = two_models()
    _, head, views = page_of(parts, tmp_path, with_model=False)
    assert head["meta"]["places"] is not None
    assert all(len(view.places.norms) == 2 and view.places.logits == () for view in views.values())


def test_a_layout_that_shows_no_places_and_a_dictionary_that_has_one(tmp_path) -> None:
    parts, _ = two_models()
    _, head, views = page_of(parts, tmp_path, layout=SaeVisLayoutConfig([Column(ActsHistogramConfig())]))
    assert head["meta"]["places"] is None
    assert all(view.places is None for view in views.values())
    layout = SaeVisLayoutConfig([Column(DecoderNormsConfig(), LogitsByPlaceConfig(), ModelDiffConfig())])
    plain = make("gpt2", "blocks.1.hook_mlp_in", "blocks.1.hook_mlp_out").parts
    _, head, views = page_of(plain, tmp_path, layout=layout)
    assert head["meta"]["places"] is None
    assert head["summary"].share is None
    assert all(view.places is None for view in views.values())
