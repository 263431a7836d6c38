"""Whole runs: several places read at once, changes on the way, gradients, and that nothing is left behind."""

from __future__ import annotations

from collections import OrderedDict, namedtuple

import pytest
import torch
from torch import nn
from torch.testing import assert_close

from sae_vis.errors import InputError
from sae_vis.models.base import Edit
from sae_vis.models.forward import changed
from sae_vis.models.loading import load_model

NAMES = ("blocks.2.hook_resid_post", "blocks.0.hook_resid_pre", "blocks.1.attn.hook_z", "blocks.1.hook_mlp_out")
Pair = namedtuple("Pair", "number tensor")


class Gives(nn.Module):
    """Gives what it was made with."""

    def __init__(self, value: object) -> None:
        super().__init__()
        self.value = value

    def forward(self, *_args: object, **_kwargs: object) -> object:
        return self.value


def test_several_places_in_one_forward(adapter, tokens) -> None:
    hooks = [*map(adapter.hook_point, NAMES), adapter.final_residual]
    for acts, hook in zip(adapter.activations_at(tokens, hooks), hooks, strict=True):
        assert_close(acts, adapter.activations(tokens, hook), rtol=0, atol=0)


def test_the_final_residual_is_what_the_last_block_gives(adapter, tokens, n_layers) -> None:
    last = adapter.hook_point(f"blocks.{n_layers - 1}.hook_resid_post")
    assert_close(adapter.activations(tokens, adapter.final_residual), adapter.activations(tokens, last))


def test_a_run_without_a_change_is_the_models_own(adapter, tokens) -> None:
    with torch.no_grad():
        expected = adapter.model(tokens, use_cache=False).logits  # a cache gives keys and values another layout
    assert_close(adapter.logits(tokens), expected, rtol=0, atol=0)
    hook = adapter.hook_point(
        "blocks.1.hook_resid_mid" if not adapter.anatomy.blocks[1].parallel else "blocks.1.hook_resid_pre"
    )
    nothing = Edit(hook=hook, delta=torch.zeros(*tokens.shape, hook.d))
    assert_close(adapter.logits(tokens, nothing), expected, rtol=0, atol=0)


def test_gradient_of_the_final_residual_is_that_of_norm_and_unembedding(adapter, tokens) -> None:
    found = adapter.gradient(tokens, adapter.final_residual, lambda logits: logits[1, 3, 5] - logits[0, 2, 7])
    x = found.acts.clone().requires_grad_()
    norm = adapter.model.get_submodule(adapter.final_residual.module)
    logits = adapter.model.get_output_embeddings()(norm(x))
    if adapter.logit_softcap is not None:
        logits = adapter.logit_softcap * torch.tanh(logits / adapter.logit_softcap)
    value = logits[1, 3, 5] - logits[0, 2, 7]
    (expected,) = torch.autograd.grad(value, x)
    assert found.value == pytest.approx(float(value.detach()), rel=1e-5)
    assert_close(found.gradient, expected, rtol=1e-4, atol=1e-5)


def test_hooks_and_modes_are_restored_if_the_model_fails(make, tokens, monkeypatch) -> None:
    adapter = load_model(make("llama"))
    adapter.model.train()
    hook = adapter.hook_point("blocks.1.hook_resid_post")
    with pytest.raises(InputError, match="start is 1, but no prefix"):
        adapter.logits(tokens, start=1)
    monkeypatch.setattr(adapter.model.lm_head, "forward", lambda *_: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        adapter.logits(tokens, Edit(hook=hook, delta=torch.ones(*tokens.shape, hook.d)))
    with pytest.raises(ZeroDivisionError):
        adapter.gradient(tokens, hook, lambda logits: logits.sum())
    assert all(module.training for module in adapter.model.modules())
    assert not any(module._forward_hooks or module._forward_pre_hooks for module in adapter.model.modules())


@pytest.mark.parametrize(
    "value",
    [
        torch.zeros(2),
        (None, torch.zeros(2), torch.zeros(3)),
        [1, torch.zeros(2)],
        Pair(1, torch.zeros(2)),
        OrderedDict(number=1, tensor=torch.zeros(2)),
    ],
)
def test_the_first_tensor_of_an_output_is_changed_and_what_was_given_is_not(value) -> None:
    module = Gives(value)
    with changed(module, "output", lambda x: x + 1):
        found = module()
    assert type(found) is type(value)
    items, before = (list(v.values() if isinstance(v, dict) else v) for v in (found, value))
    first = next(i for i, item in enumerate(before) if isinstance(item, torch.Tensor))
    assert (items[first] == 1).all()
    assert (before[first] == 0).all()
    assert all(a is b for i, (a, b) in enumerate(zip(items, before, strict=True)) if i > first and type(found) is tuple)


def test_inputs_are_changed_by_position_or_by_name() -> None:
    module = nn.Identity()
    with changed(module, "input", lambda x: x + 1):
        assert float(module(torch.zeros(()))) == 1
        assert float(module(input=torch.zeros(()))) == 1
        with pytest.raises(InputError, match="this module's call holds no tensor there, so there is nothing to change"):
            module(None)
    assert float(module(torch.zeros(()))) == 0


def test_only_one_vector_for_each_token_can_be_changed(make, tokens) -> None:
    adapter = load_model(make("llama"))
    hook = adapter.hook_point("blocks.1.hook_resid_post")
    adapter.model.model.layers[1].register_forward_hook(lambda _module, _args, output: output[:, :4])
    with pytest.raises(InputError, match=r"there is a tensor of shape \(2, 4, 12\), and the change is \(2, 9, 12\)"):
        adapter.logits(tokens, Edit(hook=hook, delta=torch.zeros(2, 9, 12)))
