"""A forward leaves nothing behind (hooks, modes, random state, inference tensors) and does no work after the hook."""

from __future__ import annotations

import subprocess
import sys

import pytest
import torch
from torch import nn
from torch.testing import assert_close

from sae_vis.errors import InputError
from sae_vis.models.forward import with_cache
from sae_vis.models.loading import load_model


class ExplosionError(Exception):
    pass


def explode(*_args, **_kwargs):
    raise ExplosionError("this should not have run")


def hooks_of(model: nn.Module) -> list[int]:
    return [id(hook) for m in model.modules() for hook in (*m._forward_hooks.values(), *m._forward_pre_hooks.values())]


def test_nothing_runs_after_the_hook(adapter, tokens, monkeypatch) -> None:
    post = adapter.hook_point("blocks.1.hook_resid_post")
    clean = adapter.activations(tokens, post)
    after = adapter.model.get_submodule(adapter.hook_point("blocks.2.hook_resid_post").module)
    monkeypatch.setattr(after, "forward", explode)
    monkeypatch.setattr(adapter.model.get_output_embeddings(), "forward", explode)
    assert_close(adapter.activations(tokens, post), clean)
    adapter.activations(tokens, adapter.hook_point("blocks.2.hook_resid_pre"))
    with pytest.raises(ExplosionError):
        adapter.activations(tokens, adapter.hook_point("blocks.2.hook_resid_post"))


def test_the_causal_lm_itself_runs_only_for_what_is_outside_its_decoder(make, tokens, monkeypatch) -> None:
    adapter = load_model(make("gemma3"))
    inside, outside = (adapter.hook_point(name) for name in ("blocks.2.hook_resid_post", "lm_head"))
    monkeypatch.setattr(adapter.model, "forward", explode)
    adapter.activations(tokens, inside)
    with pytest.raises(ExplosionError):
        adapter.activations(tokens, outside)


def test_an_input_is_read_before_its_module_runs(adapter, tokens, monkeypatch) -> None:
    for name in ("blocks.1.attn.hook_z", "blocks.1.mlp.hook_post"):
        hook = adapter.hook_point(name)
        monkeypatch.setattr(adapter.model.get_submodule(hook.module), "forward", explode)
        assert adapter.activations(tokens, hook).shape == (*tokens.shape, hook.d)
        monkeypatch.undo()


@pytest.mark.parametrize("name", ["blocks.1.hook_resid_post", "blocks.1.hook_resid_pre"])
def test_hooks_are_gone_afterwards_even_if_the_model_fails(make, tokens, monkeypatch, name) -> None:
    adapter = load_model(make("llama"))
    hook, before = adapter.hook_point(name), hooks_of(adapter.model)
    adapter.activations(tokens, hook)
    assert hooks_of(adapter.model) == before
    monkeypatch.setattr(adapter.model.model.layers[0].mlp, "forward", explode)
    with pytest.raises(ExplosionError):
        adapter.activations(tokens, hook)
    assert hooks_of(adapter.model) == before


def test_training_mode_is_off_for_the_forward_and_back_afterwards(make, tokens, monkeypatch) -> None:
    model = make("gpt2").train()  # dropout of 0.1 everywhere
    model.transformer.h[1].eval()
    modes = {name: module.training for name, module in model.named_modules()}
    assert set(modes.values()) == {True, False}
    adapter = load_model(model)
    hook = adapter.hook_point("blocks.2.hook_resid_post")
    acts = adapter.activations(tokens, hook)
    assert {name: module.training for name, module in model.named_modules()} == modes
    monkeypatch.setattr(model.transformer.h[0].mlp, "forward", explode)
    with pytest.raises(ExplosionError):
        adapter.activations(tokens, hook)
    assert {name: module.training for name, module in model.named_modules()} == modes
    monkeypatch.undo()
    assert_close(acts, load_model(make("gpt2")).activations(tokens, hook))


def test_model_and_random_state_are_untouched(adapter, tokens) -> None:
    before = {name: tensor.clone() for name, tensor in adapter.model.state_dict().items()}
    state, kept = torch.get_rng_state(), tokens.clone()
    hook = adapter.hook_point("blocks.1.hook_mlp_out")
    adapter.activations(tokens, hook)
    adapter.to_residual(torch.ones(2, hook.d), hook)
    adapter.unembedding()
    adapter.fingerprint()
    assert torch.equal(torch.get_rng_state(), state)
    assert torch.equal(tokens, kept)
    assert all(torch.equal(tensor, before[name]) for name, tensor in adapter.model.state_dict().items())
    assert all(parameter.requires_grad and parameter.grad is None for parameter in adapter.model.parameters())


def test_activations_are_ordinary_tensors(make, tokens) -> None:
    adapter = load_model(make("gpt2"))
    hook = adapter.hook_point("blocks.1.hook_resid_post")
    with torch.inference_mode():
        inside = adapter.activations(tokens, hook)
    for acts in (inside, adapter.activations(tokens, hook)):
        assert not acts.is_inference()
        assert not acts.requires_grad
        (acts.clone().requires_grad_() ** 2).sum().backward()


@pytest.mark.parametrize(
    ("bad", "text"),
    [
        (torch.zeros(5, dtype=torch.int64), r"tokens are \[n_seqs, seq_len\]; got the shape \(5,\)"),
        (torch.zeros(1, 5), r"tokens are integer ids \(int64\); got torch.float32"),
        (torch.tensor([[0, 31]]), "token ids from 0 to 31, but GPT2LMHeadModel has ids 0 to 30: were the tokens made"),
        (torch.tensor([[-100, 3]]), "token ids from -100 to 3, but"),
        (torch.zeros(1, 17, dtype=torch.int64), "sequences of 17 tokens; GPT2LMHeadModel has 16 positions"),
    ],
)
def test_wrong_tokens(make, bad, text) -> None:
    adapter = load_model(make("gpt2"))
    with pytest.raises(InputError, match=text):
        adapter.activations(bad, adapter.hook_point("blocks.1.hook_resid_post"))


def test_a_hook_point_of_another_model(make, tokens) -> None:
    hook = load_model(make("llama")).hook_point("blocks.1.hook_resid_post")
    with pytest.raises(InputError, match=r"hook point 'blocks.1.hook_resid_post' is of another model: this one has no"):
        load_model(make("gpt2")).activations(tokens, hook)


def test_transformers_is_not_imported_until_a_model_is_loaded() -> None:
    check = "import sys, sae_vis.models.huggingface; sys.exit('transformers' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", check], check=False).returncode == 0


class OfTransformers523(nn.Module):
    def forward(self, input_ids, past_key_values=None, use_cache=None, **kwargs):
        return past_key_values, use_cache, kwargs


class OfTransformers524(nn.Module):
    def forward(self, input_ids, cache=None, use_cache=None, **kwargs):
        return cache, use_cache, kwargs


@pytest.mark.parametrize("kind", [OfTransformers523, OfTransformers524])
def test_a_cache_goes_in_by_the_name_that_the_release_has(kind: type[nn.Module]) -> None:
    kept = object()
    assert kind()(torch.zeros(1, 1), **with_cache(kind(), kept)) == (kept, True, {})
