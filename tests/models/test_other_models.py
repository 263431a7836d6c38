"""Experts, multi-modal models, models without a head: what is known of them is used, what is not is said."""

from __future__ import annotations

import pytest
import torch

from sae_vis.api import index_features, save_feature_page, save_prompt_page
from sae_vis.corpus.mask import MaskConfig
from sae_vis.corpus.tokens import Corpus
from sae_vis.errors import InputError
from sae_vis.models.loading import load_model
from sae_vis.parts import ModelAndSae
from tests.effects.conftest import tiny_sae
from tests.models import zoo
from tests.tiny_models import build


def test_the_router_of_experts_is_read_and_their_output_is_the_mlps() -> None:
    adapter = load_model(zoo.tiny_model("mixtral"))
    tokens = zoo.random_tokens(7)
    router = adapter.hook_point("model.layers.1.mlp.gate")
    n_experts = adapter.model.config.num_local_experts
    assert (router.site, router.d, router.layer) == ("other", n_experts, 1)
    logits = adapter.activations(tokens, router)
    assert logits.shape == (1, 7, n_experts)
    x = adapter.activations(tokens, adapter.hook_point("blocks.1.mlp.hook_in"))
    torch.testing.assert_close(logits, x @ adapter.model.model.layers[1].mlp.gate.weight.T)
    assert adapter.hook_point("blocks.1.hook_mlp_out").place == "model.layers.1.mlp:output"
    with pytest.raises(InputError, match=r"mlp.hook_post' in .* adds to the stream is 'model.layers.1.self_attn"):
        adapter.hook_point("blocks.1.mlp.hook_post")


def test_tokens_that_stand_for_images_must_be_masked() -> None:
    parts = ModelAndSae(model=load_model(build("gemma3")), sae=tiny_sae(12), hook="blocks.1.hook_resid_post")
    tokens = torch.tensor([[1, 30, 30, 5, 6, 7]])
    with pytest.raises(InputError, match=r"^2 tokens have the id 30 \(image_token_index\): .* MaskConfig\(ids=\(30,"):
        index_features(Corpus.from_tokens(tokens), parts)
    index = index_features(Corpus.from_tokens(tokens, MaskConfig(ids=(30,))), parts)
    assert index.n_counted == 4


@pytest.mark.parametrize("kind", ["base:llama", "masked:bert", "openai-gpt"])
def test_pages_of_models_without_a_way_to_the_logits(kind: str, tmp_path) -> None:
    adapter = load_model(zoo.tiny_model(kind))
    parts = ModelAndSae(model=adapter, sae=tiny_sae(adapter.d_model), hook="blocks.1.hook_resid_post")
    tokens = zoo.random_tokens(9)
    index = index_features(Corpus.from_tokens(tokens), parts)
    assert save_feature_page(index, tmp_path / "features.html", features=3, parts=parts).path.exists()
    assert save_prompt_page(index, tmp_path / "prompt.html", tokens[0].tolist(), parts=parts).path.exists()
