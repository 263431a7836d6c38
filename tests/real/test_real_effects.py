"""Effects of a real SAE's features, against editing the real model."""

from __future__ import annotations

import gzip
import os
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose

from sae_vis.effects.ablation import DirectEffects
from sae_vis.effects.attribution import NextTokenLoss, attribute
from sae_vis.effects.intervention import FullEffects

pytestmark = [pytest.mark.real, pytest.mark.slow]
SHARED = Path(__file__).parents[3] / "shared" / "testbed"
N_TOKENS = 48


def _folder(variable: str, default: Path, holds: str) -> Path:
    folder = Path(os.environ.get(variable, default))
    if not (folder / holds).exists():
        pytest.skip(f"no {holds} in {folder}: run `make testbed`, or set {variable}")
    return folder


@pytest.fixture(scope="module")
def model():
    from sae_vis.models.loading import load_model

    folder = _folder("SAE_VIS_TESTBED", Path.home() / ".cache" / "sae_vis" / "testbed", "model.safetensors")
    return load_model(folder, dtype=torch.float32)


@pytest.fixture(scope="module")
def sae():
    from sae_vis.saes.saelens_format import load_sae

    return load_sae(_folder("SAE_VIS_TESTBED_SAE", SHARED / "smollm2-l8-topk", "cfg.json"))


@pytest.fixture(scope="module")
def tokens(model) -> torch.Tensor:
    from sae_vis.models.loading import load_tokenizer

    corpora = _folder("SAE_VIS_TESTBED_CORPORA", SHARED / "corpora", "sotu.txt.gz")
    tokenizer = load_tokenizer(os.environ.get("SAE_VIS_TESTBED", Path.home() / ".cache" / "sae_vis" / "testbed"))
    with gzip.open(corpora / "sotu.txt.gz", "rt", encoding="utf-8") as file:
        return torch.tensor(tokenizer(file.read(4000))["input_ids"][:N_TOKENS])


@torch.no_grad()
def log_probs(model, tokens: torch.Tensor) -> torch.Tensor:
    return model.model(tokens[None]).logits[0].log_softmax(-1)


def losses(log_probs: torch.Tensor, tokens: torch.Tensor) -> torch.Tensor:
    return -log_probs[:-1].gather(1, tokens[1:, None])[:, 0]


def test_effects_are_what_editing_the_model_does(model, sae, tokens) -> None:
    """Direct: the final residual edited, norm and unembedding run. Full: a plain hook at the block. 12 firings each."""
    hook = model.hook_point(sae.hook_name)
    direct, full = DirectEffects(model, sae, hook), FullEffects(model, sae, hook)
    prepared = direct.prepare(tokens)
    shortlist = attribute(model, sae, hook, tokens, NextTokenLoss()).largest(12)
    pairs = (shortlist.positions, shortlist.features, shortlist.acts)
    found, run = direct.at(prepared, *pairs), full.at(tokens, *pairs)
    decoder, clean = model.model.model, log_probs(model, tokens)
    block = model.model.get_submodule(hook.module)
    for i, (position, feature, act) in enumerate(zip(*pairs, strict=True)):
        contribution = act * sae.decoder[feature]

        def without(_module, _inputs, output, position=position, contribution=contribution):
            hidden = (output if isinstance(output, torch.Tensor) else output[0]).clone()
            hidden[:, position] -= contribution
            return hidden if isinstance(output, torch.Tensor) else (hidden, *output[1:])

        handle = block.register_forward_hook(without)
        edited = log_probs(model, tokens)
        handle.remove()
        assert_allclose(run.loss[i, :-1], losses(clean, tokens) - losses(edited, tokens), atol=1e-4)
        assert_allclose(run.kl[i], (clean.exp() * (clean - edited)).sum(1), atol=1e-4)
        with torch.no_grad():
            residual = prepared.residual[position] - contribution
            last = model.model.lm_head(decoder.norm(residual[None]))[0].log_softmax(-1)
        if position + 1 < N_TOKENS:
            change = clean[position] - last
            assert found.loss[i] == pytest.approx(-float(change[tokens[position + 1]]), abs=1e-4)
            assert_allclose(found.top_changes[i], change.topk(5).values, atol=1e-4)
    assert float(np.abs(run.loss[:, :-1]).max()) > 0.1


def test_all_firing_features_of_a_prompt(model, sae, tokens) -> None:
    """None missing, NaN at the end; the largest attributions mostly have the sign of the full effects."""
    hook = model.hook_point(sae.hook_name)
    direct = DirectEffects(model, sae, hook)
    prepared = direct.prepare(tokens)
    codes = sae.encode(prepared.hooked)
    positions = torch.repeat_interleave(codes.offsets.diff())
    effects = direct.losses_only(prepared, positions, codes.features, codes.acts)
    at_end = positions.numpy() == N_TOKENS - 1
    assert np.isnan(effects[at_end]).all()
    assert np.isfinite(effects[~at_end]).all()
    shortlist = attribute(model, sae, hook, tokens, NextTokenLoss()).largest(40)
    full = FullEffects(model, sae, hook).at(tokens, shortlist.positions, shortlist.features, shortlist.acts)
    assert (np.sign(full.total_loss) == np.sign(shortlist.values)).mean() > 0.7
