"""How a model is put together is found out in half precision, too, with odd weights, and at small cost."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import nn

from sae_vis.errors import InputError
from sae_vis.models.anatomy import Anatomy, Norm
from sae_vis.models.discovery import discover
from sae_vis.models.loading import load_model
from sae_vis.models.norms import norm_of
from sae_vis.models.stream import summed
from sae_vis.models.trace import Call, Trace, traced
from tests.tiny_models import BUILDERS, build

PARALLEL = {"gptj", "gpt_neox-parallel", "phi"}
POST_NORMS = {"gemma2", "gemma3", "gemma3_text", "olmo2"}


@pytest.mark.parametrize("kind", sorted(BUILDERS))
def test_what_is_found_of_the_best_known_kinds(kind: str) -> None:
    adapter = load_model(build(kind))
    found = adapter.anatomy
    assert found.unknown == {}
    assert [(block.layer, block.carry, block.onward) for block in found.blocks] == [(0, 1, 1), (1, 1, 1), (2, 1, 1)]
    for block in found.blocks:
        assert [part.kind for part in block.parts] == ["attn", "mlp"]
        assert all(part.factor == 1 and part.projection for part in block.parts)
        assert block.parallel == (kind in PARALLEL)
        assert all((part.post_norm is not None) == (kind in POST_NORMS) for part in block.parts)
    gains = {norm.gain_offset for norm in found.norms.values()}
    assert gains == ({1.0} if kind.startswith("gemma") else {0.0})
    ending = found.ending
    assert (ending.norm_factor, ending.factor, ending.projection) == (1, 1, None)
    assert found.norms[ending.final_norm].eps == adapter.unembedding().eps


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.float64])
@pytest.mark.parametrize("kind", sorted(BUILDERS))
def test_the_same_is_found_in_other_dtypes(kind: str, dtype: torch.dtype) -> None:
    expected, found = load_model(build(kind)).anatomy, load_model(build(kind).to(dtype)).anatomy
    assert found.unknown == {}
    assert found.blocks == expected.blocks
    assert found.norms == expected.norms
    assert (found.embed, found.stack, found.width) == (expected.embed, expected.stack, expected.width)
    assert replace(found.ending, softcap=None) == replace(expected.ending, softcap=None)
    assert found.ending.softcap == expected.ending.softcap


@pytest.mark.parametrize("kind", ["gpt2", "llama", "gemma2"])
def test_it_costs_four_forwards_of_a_few_tokens_once(kind: str) -> None:
    model = build(kind)
    blocks, last = [], f"blocks.{2}.hook_resid_post"
    adapter = load_model(model)
    stack = model.get_submodule(adapter.anatomy.stack)
    handles = [block.register_forward_hook(lambda _, args, __: blocks.append(args)) for block in stack]
    again = load_model(model)
    for _ in range(3):
        again.hook_point(last)
        again.unembedding()
    assert len(blocks) <= 4 * len(stack)  # watched, changed; and a part of the model against the whole
    for handle in handles:
        handle.remove()


def test_nothing_is_left_behind() -> None:
    model = build("llama").train()
    state, weights = torch.get_rng_state(), {name: value.clone() for name, value in model.state_dict().items()}
    assert load_model(model).anatomy.ending is not None
    assert torch.equal(torch.get_rng_state(), state)
    assert model.training
    assert all(torch.equal(value, weights[name]) for name, value in model.state_dict().items())
    assert not any(module._forward_hooks or module._forward_pre_hooks for module in model.modules())


def test_a_model_that_does_not_run_is_read_no_further() -> None:
    def fails(tokens: torch.Tensor) -> None:
        raise ValueError("no such thing")

    found = discover(nn.Linear(2, 2), {}, {}, torch.zeros(2, 6, dtype=torch.int64), fails)
    assert found == Anatomy(unknown={"stream": "a forward of a few tokens failed (ValueError: no such thing)"})


class Adds(nn.Module):
    """A block of known coefficients."""

    def __init__(self, carry: float, *factors: float) -> None:
        super().__init__()
        self.parts = nn.ModuleList(nn.Linear(8, 8) for _ in factors)
        self.carry, self.factors = carry, factors

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        out = x
        for factor, part in zip(self.factors, self.parts, strict=True):
            out = out + factor * torch.tanh(part(x)) if factor < 0 else out + factor * part(out)
        return self.carry * out


def trace_of(module: nn.Module) -> tuple[Trace, Call]:
    whole = nn.Sequential(module)
    x = torch.randn(2, 6, 8, generator=torch.Generator().manual_seed(1))
    trace, _ = traced(whole, dict(whole.named_modules()), torch.zeros(2, 6), lambda: whole(x))
    return trace, trace.of("0")


@pytest.mark.parametrize(
    ("carry", "factors"), [(1.0, (1.0, 1.0)), (1.0, (0.22, 0.22)), (0.7, (1.0,)), (-2.0, (3.0, 0.5))]
)
def test_coefficients_of_a_block_are_solved_for(carry: float, factors: tuple[float, ...]) -> None:
    torch.manual_seed(0)
    found = summed(*trace_of(Adds(carry, *factors)), constants=(0.22, 0.7))
    assert [call.path for call, _ in found.terms] == [f"0.parts.{number}" for number in range(len(factors))]
    assert found.carry == pytest.approx(carry, rel=1e-5)
    assert [c for _, c in found.terms] == pytest.approx([carry * factor for factor in factors], rel=1e-4)


def test_a_block_that_is_no_sum_says_so() -> None:
    torch.manual_seed(0)
    with pytest.raises(InputError, match="its output is not its input plus what some of its modules give"):
        summed(*trace_of(Adds(1.0, -1.0)))  # what is added is the tanh of what the module gives


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("centred", [True, False])
def test_norms_are_told_apart(centred: bool, bias: bool) -> None:
    torch.manual_seed(0)
    norm = nn.LayerNorm(8, eps=1e-3, bias=bias) if centred else nn.RMSNorm(8, eps=1e-3)
    nn.init.normal_(norm.weight)
    trace, call = trace_of(norm)
    assert norm_of(trace, norm, call) == Norm(centred=centred, gain_offset=0.0, eps=1e-3)
    other = nn.Linear(8, 8)
    trace, call = trace_of(other)
    assert norm_of(trace, other, call) is None
