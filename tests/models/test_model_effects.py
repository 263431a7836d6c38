"""Directions on their way to the logits, each tested by causing the effect in the model."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor
from torch.testing import assert_close

from sae_vis.errors import InputError
from sae_vis.models.loading import load_model

EPS = 0.5


def written_places(adapter) -> list[str]:
    """Every place of block 1 whose way to the residual stream is known, but copies of the stream, which go nowhere."""
    ends = {adapter.hook_point(f"blocks.1.hook_resid_{end}").place for end in ("pre", "post")}
    places = {
        f"{place.module}:{place.side}": place
        for place in adapter._hooks.places
        if place.layer == 1 and place.onward is not None
    }
    return [name for name, place in places.items() if place.site != "resid" or name in ends]


def add(side: str, direction: Tensor):
    """A hook that adds `direction` to every vector of a module's input or output."""

    def to(value):
        return value + direction if isinstance(value, Tensor) else (value[0] + direction, *value[1:])

    def on_input(_module, args, kwargs):
        if args:
            return to(args), kwargs
        key = next(iter(kwargs))
        return args, {**kwargs, key: kwargs[key] + direction}

    return on_input if side == "input" else lambda _module, _args, output: to(output)


def residual_change(adapter, tokens: Tensor, hook, direction: Tensor) -> Tensor:
    """What adding `direction` at `hook` does to the residual stream at the nearest place where it has been added."""
    pre = adapter.hook_point("blocks.1.hook_resid_pre")
    between = (
        hook.site in {"heads", "attn_out"} and not adapter.anatomy.blocks[1].parallel
    )  # else the MLP doesn't see it
    after = adapter.hook_point("blocks.1.hook_resid_mid" if between else "blocks.1.hook_resid_post")
    after = pre if hook.place == pre.place else after
    clean = adapter.activations(tokens, after)
    module = adapter.model.get_submodule(hook.module)
    if hook.side == "input":
        handle = module.register_forward_pre_hook(add("input", direction), with_kwargs=True)
    else:
        handle = module.register_forward_hook(add("output", direction))
    try:
        return adapter.activations(tokens, after) - clean
    finally:
        handle.remove()


def rms(x: Tensor, eps: float) -> Tensor:
    return (x.pow(2).mean(-1, keepdim=True) + eps).sqrt()


def test_directions_reach_the_residual_stream_as_predicted(adapter, tokens) -> None:
    generator = torch.Generator().manual_seed(2)
    assert len(written_places(adapter)) >= 8
    for name in written_places(adapter):
        hook = adapter.hook_point(name)
        direction = torch.randn(1, hook.d, generator=generator)
        caused = residual_change(adapter, tokens, hook, EPS * direction[0])
        predicted = EPS * adapter.to_residual(direction, hook)[0]
        norms = [path for path in hook.onward if path.endswith("norm")]
        if norms:
            # Divisor y -> rms(y) as in the clean and in the edited run; what is left is the gain on the direction.
            before = adapter.activations(tokens, adapter.hook_point(f"{norms[0]}:input"))
            norm = adapter.model.get_submodule(norms[0])
            through = direction
            for path in hook.onward[:-1]:
                through = through @ adapter.model.get_submodule(path).weight.detach().T
            eps = getattr(norm, "eps", None) or norm.variance_epsilon
            clean, edited = rms(before, eps), rms(before + EPS * through[0], eps)
            unscaled = norm(before).detach() * clean
            predicted = predicted / edited + unscaled * (1 / edited - 1 / clean)
        assert_close(caused, predicted.expand_as(caused), rtol=1e-4, atol=1e-4, msg=lambda m, n=name: f"{n}: {m}")


def test_gains_of_post_norms_are_applied_as_the_model_does(make) -> None:
    adapter = load_model(make("gemma2"))
    norm = adapter.model.model.layers[1].post_feedforward_layernorm
    directions = torch.eye(adapter.d_model)
    before = adapter.to_residual(directions, adapter.hook_point("model.layers.1.mlp"))
    assert_close(before, torch.diag(1 + norm.weight.detach()))
    added = adapter.to_residual(directions, adapter.hook_point("blocks.1.hook_mlp_out"))
    assert_close(added, directions)


def test_logits_come_from_the_last_residual_by_our_unembedding(adapter, tokens, n_layers) -> None:
    end = adapter.unembedding()
    x = adapter.activations(tokens, adapter.hook_point(f"blocks.{n_layers - 1}.hook_resid_post")).double()
    x = x - x.mean(-1, keepdim=True) if end.centred else x
    logits = (x / rms(x, end.eps) * end.gain) @ end.weight.double().T
    logits = logits if end.bias is None else logits + end.bias
    if adapter.logit_softcap is not None:
        logits = adapter.logit_softcap * torch.tanh(logits / adapter.logit_softcap)
    with torch.no_grad():
        assert_close(logits.float(), adapter.model(tokens).logits, rtol=1e-4, atol=1e-4)


def test_which_ends_are_centred_biased_capped(kind, adapter) -> None:
    end = adapter.unembedding()
    layer_norm = kind.startswith(("gpt", "phi")) and kind != "phi3"
    assert end.centred is layer_norm
    assert (end.bias is not None) is layer_norm
    assert adapter.logit_softcap == (2.0 if kind == "gemma2" else None)
    assert end.gain.shape == (adapter.d_model,)
    assert end.weight.shape == (adapter.n_vocab, adapter.d_model)


def test_unembedding_is_float32_and_leaves_the_model_alone(make) -> None:
    model = make("gptj").to(torch.bfloat16)
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    end = load_model(model).unembedding()
    assert {tensor.dtype for tensor in (end.gain, end.weight, end.bias)} == {torch.float32}
    assert not any(tensor.requires_grad for tensor in (end.gain, end.weight, end.bias))
    assert all(torch.equal(tensor, before[name]) for name, tensor in model.state_dict().items())


@pytest.mark.parametrize(("given", "got"), [("bfloat16", "float32"), ("float32", "float32"), ("float64", "float64")])
def test_directions_are_mapped_in_float32_or_finer(make, given, got) -> None:
    adapter = load_model(make("llama").to(torch.bfloat16))
    directions = torch.ones(2, 20, dtype=getattr(torch, given))
    assert adapter.to_residual(directions, adapter.hook_point("blocks.0.mlp.hook_post")).dtype == getattr(torch, got)


def test_wrong_directions(make) -> None:
    adapter = load_model(make("llama"))
    neurons = adapter.hook_point("blocks.0.mlp.hook_post")
    with pytest.raises(InputError, match=r"directions at 'blocks.0.mlp.hook_post' are \[n, 20\]; got \(3, 12\)"):
        adapter.to_residual(torch.ones(3, 12), neurons)
    gate = adapter.hook_point("model.layers.0.mlp.gate_proj")
    with pytest.raises(InputError, match=r"no known way from 'model.layers.0.mlp.gate_proj' to the residual stream"):
        adapter.to_residual(torch.ones(3, 20), gate)
