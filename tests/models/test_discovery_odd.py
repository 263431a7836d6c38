"""Models that nobody foresaw: what is claimed of them is true, and what cannot be known is said, not raised."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional
from transformers import Gemma2Config, Gemma2ForCausalLM, PretrainedConfig, PreTrainedModel
from transformers.modeling_outputs import CausalLMOutput

from sae_vis.errors import InputError
from sae_vis.models.base import Edit
from sae_vis.models.huggingface import HuggingFaceModel
from sae_vis.models.loading import load_model
from sae_vis.models.norms import norm_of
from sae_vis.models.trace import Call, Trace
from tests.tiny_models import GEMMA

D, N_VOCAB = 16, 50


class Mixes(nn.Module):
    """Attention under a name that does not say so."""

    def __init__(self, d: int) -> None:
        super().__init__()
        self.qkv, self.out = nn.Linear(d, 3 * d), nn.Linear(d, d)

    def forward(self, x: Tensor) -> Tensor:
        q, k, v = self.qkv(x).chunk(3, -1)
        return self.out(functional.scaled_dot_product_attention(q, k, v, is_causal=True))


class Mlp(nn.Module):
    def __init__(self, d: int) -> None:
        super().__init__()
        self.up, self.act, self.down = nn.Linear(d, 2 * d), nn.GELU(), nn.Linear(2 * d, d)

    def forward(self, x: Tensor) -> Tensor:
        return self.down(self.act(self.up(x)))


class Scale(nn.Module):
    def __init__(self, d: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(d))

    def forward(self, x: Tensor) -> Tensor:
        return x * self.weight


class Block(nn.Module):
    """Pre-norm; what is odd comes in the subclasses."""

    def __init__(self, d: int) -> None:
        super().__init__()
        self.n1, self.a, self.n2, self.m = nn.LayerNorm(d), Mixes(d), nn.LayerNorm(d), Mlp(d)

    def forward(self, x: Tensor) -> Tensor:
        x = x + self.a(self.n1(x))
        return x + self.m(self.n2(x))


class LayerScaled(Block):
    def __init__(self, d: int) -> None:
        super().__init__(d)
        self.s1, self.s2 = Scale(d), Scale(d)

    def forward(self, x: Tensor) -> Tensor:
        x = x + self.s1(self.a(self.n1(x)))
        return x + self.s2(self.m(self.n2(x)))


class Scalar(Block):
    def __init__(self, d: int) -> None:
        super().__init__(d)
        self.scalar = nn.Parameter(torch.zeros(()))

    def forward(self, x: Tensor) -> Tensor:
        return self.scalar * super().forward(x)


class SharedPostNorm(Block):
    def forward(self, x: Tensor) -> Tensor:
        read = self.n1(x)
        return x + self.n2(self.a(read) + self.m(read))


class InSequences(Block):
    """Both sublayers are of one class, and one of them is a list that is longer than the model."""

    def __init__(self, d: int) -> None:
        super().__init__(d)
        self.a = nn.Sequential(Mixes(d))
        self.m = nn.Sequential(nn.Linear(d, d), nn.GELU(), nn.Linear(d, d), nn.Dropout(0.1))


class InPlace(Block):
    """As Falcon does: what one sublayer gave is written into."""

    def forward(self, x: Tensor) -> Tensor:
        read = self.n1(x)
        made, more = self.a(read), self.m(read)
        more += made
        return x + more


class Random(Block):
    def forward(self, x: Tensor) -> Tensor:
        return x + self.a(self.n1(x)) * (0.5 + torch.rand(()))


class NotFinite(Block):
    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x) * float("nan")


class Factor(Block):
    factor = 0.2199

    def forward(self, x: Tensor) -> Tensor:
        return x + self.factor * self.a(self.n1(x))


class OnlyOnce(Block):
    calls = 0

    def forward(self, x: Tensor) -> Tensor:
        self.calls += 1
        if self.calls > 1:
            raise RuntimeError("one call and no more")
        return super().forward(x)


class HalfKnown(Block):
    """One more MLP, which reads the stream in a way that no module shows."""

    def __init__(self, d: int) -> None:
        super().__init__(d)
        self.more = Mlp(d)

    def forward(self, x: Tensor) -> Tensor:
        x = super().forward(x)
        return x + self.more(functional.layer_norm(x, x.shape[-1:]))


class OddConfig(PretrainedConfig):
    model_type = "odd"


class Odd(PreTrainedModel):
    """A model of somebody's own, of blocks as given."""

    config_class = OddConfig

    def __init__(self, block: Callable[[int], nn.Module], n: int = 3, d: int = D, **config: Any) -> None:
        super().__init__(OddConfig(**config))
        self.wte = nn.Embedding(N_VOCAB, d)
        self.core = nn.ModuleList(block(d) for _ in range(n))
        self.norm, self.head = nn.LayerNorm(d), nn.Linear(d, N_VOCAB, bias=False)
        self.post_init()
        drawn = torch.Generator().manual_seed(0)
        with torch.no_grad():
            for parameter in self.parameters():
                parameter.normal_(0.1, 0.4, generator=drawn)
        self.eval()

    def _init_weights(self, module: nn.Module) -> None:
        """Weights are drawn above."""

    def get_input_embeddings(self) -> nn.Module:
        return self.wte

    def forward(self, input_ids: Tensor) -> CausalLMOutput:  # no use_cache: not everybody knows that option
        x = self.wte(input_ids)
        for block in self.core:
            x = block(x)
        return CausalLMOutput(logits=self.head(self.norm(x)))


def kinds(adapter: HuggingFaceModel) -> list[list[str]]:
    return [[part.kind for part in block.parts] for block in adapter.anatomy.blocks]


def arrives(adapter: HuggingFaceModel, name: str) -> None:
    """A small change at a place is in the last residual what `to_residual` says, what reads it held still."""
    hook = adapter.hook_point(name)
    tokens = torch.tensor([[1, 2, 3, 4]])
    last = adapter.final_residual
    before = adapter.activations(tokens, last)
    delta = torch.randn(hook.d, generator=torch.Generator().manual_seed(1))
    paths = [part.module for block in adapter.anatomy.blocks[1:] for part in block.parts]
    kept = {path: adapter.activations(tokens, adapter.hook_point(path)) for path in paths}
    handles = [
        adapter.model.get_submodule(path).register_forward_hook(lambda _, __, ___, was=was: was)
        for path, was in kept.items()
    ]
    handle = adapter.model.get_submodule(hook.module).register_forward_hook(lambda _, __, made: made + delta)
    after = adapter.activations(tokens, last)
    for one in (handle, *handles):
        one.remove()
    expected = adapter.to_residual(delta[None], hook)[0].expand_as(before)
    torch.testing.assert_close(after - before, expected, rtol=1e-3, atol=1e-3 * float(expected.abs().max()))


@pytest.mark.parametrize(
    ("block", "expected"),
    [
        (Block, ["mixer", "mlp"]),
        (LayerScaled, ["mixer", "mlp"]),
        (Scalar, ["mixer", "mlp"]),
        (SharedPostNorm, ["mixer"]),
        (InSequences, ["mixer", "mlp"]),
        (InPlace, ["mixer", "mlp"]),
    ],
)
@pytest.mark.parametrize("n", [1, 2])
def test_blocks_of_somebodys_own(block: type[Block], expected: list[str], n: int) -> None:
    adapter = load_model(Odd(block, n))
    assert adapter.anatomy.unknown == {}
    assert adapter.anatomy.stack == "core"
    assert kinds(adapter) == [expected] * n
    arrives(adapter, "blocks.0.hook_resid_post")
    if block in {LayerScaled, Scalar}:
        assert [part.reads for part in adapter.anatomy.blocks[0].parts] == ["core.0.n1", "core.0.n2"]


def test_a_model_without_the_option_use_cache_runs() -> None:
    adapter = load_model(Odd(Block))
    tokens, hook = torch.tensor([[1, 2, 3]]), adapter.hook_point("blocks.1.hook_resid_mid")
    assert adapter.activations(tokens, hook).shape == (1, 3, D)
    assert not torch.equal(adapter.logits(tokens), adapter.logits(tokens, Edit(hook=hook, delta=torch.ones(1, 3, D))))


def test_a_model_without_blocks_or_with_all_kinds_of_names_is_no_crash() -> None:
    assert load_model(Odd(Block, 0)).n_layers is None
    model = Odd(Block)
    model.core = nn.Sequential(OrderedDict(zip(("first", "second", "third"), model.core, strict=True)))
    assert [(block.path, block.layer) for block in load_model(model).anatomy.blocks] == [
        ("core.first", 0),
        ("core.second", 1),
        ("core.third", 2),
    ]


def test_a_block_with_a_second_name_is_one_block_under_both() -> None:
    model = Odd(Block)
    core = model.core
    del model.core
    model.first, model.core = core[0], core
    adapter = load_model(model)
    assert [block.layer for block in adapter.anatomy.blocks] == [0, 1, 2]
    assert adapter.anatomy.positions is None
    assert adapter.hook_point("core.0").onward == ()
    assert adapter.hook_point("blocks.0.hook_resid_post").module == adapter.hook_point("core.0").module


def test_a_block_that_is_called_twice_is_no_place() -> None:
    class Loops(Odd):
        def forward(self, input_ids: Tensor) -> CausalLMOutput:
            x = self.core[0](self.wte(input_ids))
            for block in self.core:
                x = block(x)
            return CausalLMOutput(logits=self.head(self.norm(x)))

    adapter = load_model(Loops(Block))
    assert "each of them once" in adapter.anatomy.unknown["stream"]
    with pytest.raises(InputError, match="hook names such as 'hook_embed' are not known for Loops"):
        adapter.hook_point("hook_embed")


@pytest.mark.parametrize("value", [float("inf"), float("nan"), 1e300])
def test_any_number_may_be_in_a_configuration(value: float) -> None:
    assert load_model(Odd(Block, limit=value)).anatomy.unknown == {}


def test_what_is_not_finite_or_fails_is_said() -> None:
    found = load_model(Odd(NotFinite)).anatomy
    assert found.unknown["core.0"] == "it is given or gives numbers that are NaN or infinite"
    found = load_model(Odd(OnlyOnce)).anatomy
    assert found.unknown["stream"] == (
        "a second forward, with changes at the blocks, failed (RuntimeError: one call and no more)"
    )


def test_a_block_that_is_another_sum_at_every_call_is_none() -> None:
    adapter = load_model(Odd(Random))
    assert set(adapter.anatomy.unknown) >= {"core.0", "core.1", "core.2"}
    assert not any(block.parts or block.carries for block in adapter.anatomy.blocks)
    assert adapter.hook_point("blocks.0.hook_resid_post").onward is None


def test_a_model_that_does_not_name_its_embeddings_is_told_so() -> None:
    class Unnamed(Odd):
        def get_input_embeddings(self) -> nn.Module:
            raise NotImplementedError

    with pytest.raises(InputError, match="Unnamed does not say which module its token embeddings are: give its class"):
        load_model(Unnamed(Block))


@pytest.mark.parametrize("zeros", ["a", "m", "am"])
def test_sublayers_that_add_nothing_leave_the_rest_known(zeros: str) -> None:
    model = Odd(Block)
    for block in model.core:
        for projection in [block.a.out] * ("a" in zeros) + [block.m.down] * ("m" in zeros):
            nn.init.zeros_(projection.weight)
            nn.init.zeros_(projection.bias)
    adapter = load_model(model)
    assert adapter.anatomy.unknown == {}
    assert kinds(adapter) == [[kind for kind, name in (("mixer", "a"), ("mlp", "m")) if name not in zeros]] * 3
    arrives(adapter, "blocks.0.hook_resid_post")
    if zeros == "am":
        with pytest.raises(InputError, match=r"of the block 'core.1' this is known: it adds nothing to the stream"):
            adapter.hook_point("blocks.1.hook_attn_out")


@pytest.mark.parametrize(("factor", "expected"), [(0.2199, 0.2199), (0.22, 0.22), (1.0005, 1.0005), (1.0, 1.0)])
def test_a_measured_factor_is_a_constant_only_if_roundings_allow(factor: float, expected: float) -> None:
    class Own(Factor):
        pass

    Own.factor = factor
    found = load_model(Odd(Own, multiplier=0.22, other=999.5, another=1000)).anatomy
    parts = [part.factor for block in found.blocks for part in block.parts]
    assert parts == pytest.approx([expected] * 3, rel=1e-6)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
@pytest.mark.parametrize("size", [1e-1, 1e-2])
def test_small_parts_are_found_beside_a_massive_stream(dtype: torch.dtype, size: float) -> None:
    model = Odd(Block, d=64)
    with torch.no_grad():
        model.wte.weight.add_(2 * torch.sign(model.wte.weight))
        model.wte.weight[:, 3] = 300.0
        for block in model.core:
            block.a.out.weight.mul_(size)
            block.a.out.bias.mul_(size)
    adapter = load_model(model.to(dtype))
    assert adapter.anatomy.unknown == {}
    assert kinds(adapter) == [["mixer", "mlp"]] * 3
    assert [[part.after for part in block.parts] for block in adapter.anatomy.blocks] == [[0, 1]] * 3
    assert {part.factor for block in adapter.anatomy.blocks for part in block.parts} == {1.0}


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
@pytest.mark.parametrize("cap", [30.0, None])
def test_a_soft_cap_that_hardly_bends_the_logits_is_found_and_none_invented(
    dtype: torch.dtype, cap: float | None
) -> None:
    sizes = {**GEMMA, "vocab_size": 200}
    config = Gemma2Config(**sizes, final_logit_softcapping=cap, attn_logit_softcapping=50.0)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = Gemma2ForCausalLM(config).eval()
        for parameter in model.parameters():
            nn.init.normal_(parameter, mean=0.1, std=0.4)
    ending = load_model(model.to(dtype)).anatomy.ending
    assert (ending.softcap, ending.factor) == (cap, 1.0)


def test_what_leaves_a_normalised_vector_as_it_is_is_no_norm() -> None:
    x = torch.randn(12, 8, generator=torch.Generator().manual_seed(0))
    x = x / x.pow(2).mean(-1, keepdim=True).sqrt()
    trace = Trace((2, 6), torch.bfloat16)
    scale = Scale(8)
    with torch.no_grad():
        scale.weight.uniform_(0.5, 2, generator=torch.Generator().manual_seed(1))
        assert norm_of(trace, nn.Dropout(0.5), Call("x", 1, 0, 2, given=x, made=x)) is None
        assert norm_of(trace, scale, Call("x", 1, 0, 2, given=x, made=scale(x))) is None


def test_a_place_before_a_part_that_reads_who_knows_what_is_only_read() -> None:
    adapter = load_model(Odd(HalfKnown))
    assert [part.reads for part in adapter.anatomy.blocks[0].parts] == ["core.0.n1", "core.0.n2", None]
    hook, tokens = adapter.hook_point("blocks.0.hook_resid_mid"), torch.tensor([[1, 2, 3]])
    assert adapter.activations(tokens, hook).shape == (1, 3, D)
    with pytest.raises(InputError, match=r"it is not known where 'core.0.more' there reads the stream"):
        adapter.logits(tokens, Edit(hook=hook, delta=torch.ones(1, 3, D)))


def test_many_layers_and_many_parts_are_found() -> None:
    class Many(nn.Module):
        def __init__(self, d: int) -> None:
            super().__init__()
            self.norm, self.many = nn.LayerNorm(d), nn.ModuleList(nn.Linear(d, d) for _ in range(64))

        def forward(self, x: Tensor) -> Tensor:
            read = self.norm(x)
            return x + sum(one(read) for one in self.many)

    assert load_model(Odd(Block, 40)).n_layers == 40
    found = load_model(Odd(Many, 2, d=32)).anatomy
    assert [len(block.parts) for block in found.blocks] == [64, 64]
    assert {part.factor for block in found.blocks for part in block.parts} == {1.0}
