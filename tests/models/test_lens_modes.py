"""TransformerLens models and SAELens SAEs in other modes of torch and in wrappings; what accelerate wraps around."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from sae_vis.effects.ablation import DirectEffects
from sae_vis.effects.attribution import NextTokenLoss, attribute
from sae_vis.effects.intervention import FullEffects
from sae_vis.models.any_model import as_model
from sae_vis.models.base import LanguageModel
from sae_vis.saes.formats import as_dictionary
from tests.effects.conftest import tiny_sae
from tests.lens_models import FORMS, hf_model, lens_model
from tests.libraries import library
from tests.test_modes import all_at_once

pytestmark = pytest.mark.filterwarnings("ignore")
SITE = "blocks.1.hook_resid_post"
TOKENS = torch.randint(1, 30, (9,), generator=torch.Generator().manual_seed(1))
SAE = tiny_sae(12)
PAIRS = [1, 4, 6], [2, 3, 3], [1.0, 2.0, 0.5]
WRAPPINGS = [nn.DataParallel, lambda module: torch.compile(module, backend="eager")]


@pytest.fixture(scope="module", params=FORMS)
def lens(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Any:
    return lens_model(hf_model("gpt2"), request.param, tmp_path_factory.mktemp("lens"))


def effects(model: LanguageModel) -> list[np.ndarray]:
    hook = model.hook_point(SITE)
    direct = DirectEffects(model, SAE, hook)
    return [
        direct.at(direct.prepare(TOKENS), *PAIRS).loss,
        FullEffects(model, SAE, hook).at(TOKENS, *PAIRS).loss[:, :-1],
        attribute(model, SAE, hook, TOKENS, NextTokenLoss()).values,
        np.array([model.fingerprint()]),
    ]


def the_same(found: list[np.ndarray], expected: list[np.ndarray]) -> None:
    for ours, theirs in zip(found, expected, strict=True):
        np.testing.assert_array_equal(ours, theirs)


def test_any_mode(lens: Any):
    expected = effects(as_model(lens))
    with all_at_once():
        found = effects(as_model(lens))
    the_same(found, expected)


@pytest.mark.parametrize("wrap", WRAPPINGS)
def test_a_wrapped_model(lens: Any, wrap: Any):
    found = as_model(wrap(lens))
    assert found.model is lens
    the_same(effects(found), effects(as_model(lens)))


@pytest.mark.parametrize("form", FORMS)
def test_weights_that_were_made_in_inference_mode(form: str, tmp_path: Path):
    expected = effects(as_model(lens_model(hf_model("gpt2"), form, tmp_path)))
    with torch.inference_mode():
        model = hf_model("gpt2")
        model.load_state_dict({name: value.clone() for name, value in model.state_dict().items()}, assign=True)
        model.tie_weights()
        made = lens_model(model, form, tmp_path)
        inner = getattr(made, "original_model", made)
    assert all(parameter.is_inference() for parameter in inner.parameters())
    the_same(effects(as_model(made)), expected)
    assert all(parameter.is_inference() for parameter in inner.parameters())


@pytest.mark.parametrize("wrap", WRAPPINGS)
def test_a_wrapped_sae_of_sae_lens(wrap: Any, tmp_path: Path):
    sae_lens = library("sae_lens")
    sae = sae_lens.TopKSAE(sae_lens.TopKSAEConfig(d_in=12, d_sae=30, k=3))
    found, expected = as_dictionary(wrap(sae)), as_dictionary(sae)
    assert found.describe()["format"] == "saelens"
    assert found.fingerprint() == expected.fingerprint()
    with all_at_once():
        assert as_dictionary(sae).fingerprint() == expected.fingerprint()


def test_a_model_that_accelerate_prepared_for_mixed_precision():
    """Autocast is around its forward, and around nothing where its blocks are run alone."""
    accelerate = library("accelerate")
    model = accelerate.Accelerator(mixed_precision="bf16", cpu=True).prepare(hf_model("gpt2"))
    forward, plain = model.forward, as_model(hf_model("gpt2"))
    assert not torch.equal(model(TOKENS[None]).logits, plain.logits(TOKENS[None]))
    found = as_model(model)
    assert torch.equal(found.logits(TOKENS[None]), plain.logits(TOKENS[None]))
    the_same(effects(found), effects(plain))
    assert model.forward is forward
