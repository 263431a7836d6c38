"""Direct feature attribution against a brute-force sum in float64 with plain modules, and against the SAE itself."""

from __future__ import annotations

import copy

import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose
from torch import Tensor

from sae_vis.effects.attention import AttentionAttribution
from sae_vis.errors import InputError
from sae_vis.models import attention as models_attention
from sae_vis.models.base import Destinations, HookPoint
from sae_vis.models.huggingface import HuggingFaceModel
from sae_vis.models.loading import load_model
from sae_vis.saes.activations import GroupMax, JumpReLU, TopK
from sae_vis.saes.base import Dictionary
from sae_vis.saes.directions import from_neurons
from sae_vis.saes.linear import Decoder, GatedAutoencoder, InputMap, SparseAutoencoder
from sae_vis.saes.module import from_module
from tests.effects.conftest import D_SAE, tiny_sae
from tests.kernels import rounding
from tests.tiny_models import BUILDERS, build

KINDS = tuple(BUILDERS)
SITES = ("blocks.1.attn.hook_z", "blocks.1.hook_attn_out", "blocks.2.hook_attn_out")
TOKENS = torch.randint(1, 30, (11,), generator=torch.Generator().manual_seed(1))
EVERY = np.meshgrid(np.arange(11), np.arange(D_SAE), indexing="ij")
POSITIONS, FEATURES = (part.ravel() for part in EVERY)


def attributed(model: HuggingFaceModel, sae: Dictionary, hook: HookPoint) -> dict[tuple[int, int], np.ndarray]:
    """Parts of every feature at every position, by position and feature."""
    found = AttentionAttribution(model, sae, hook).of_text(TOKENS, POSITIONS, FEATURES)
    return {(int(POSITIONS[pair]), int(FEATURES[pair])): parts for pair, parts in found}


def eager_weights(model: HuggingFaceModel, layer: int) -> Tensor:
    """The pattern that an eager model gives by itself, float64 [n_heads, n_dst, n_src]."""
    plain = copy.deepcopy(model.model).double()
    plain.set_attn_implementation("eager")
    with torch.no_grad():
        return plain(TOKENS[None], output_attentions=True, use_cache=False).attentions[layer][0].double()


def plain_values(model: HuggingFaceModel, heads: HookPoint, n_heads: int) -> Tensor:
    """Values of each query head, from the weights: float64 [n_src, n_heads, d_head]."""
    config = model.model.config.get_text_config()
    module = model.model.get_submodule(heads.module.rpartition(".")[0])
    seen: list[Tensor] = []
    projection = next(
        part
        for name in ("v_proj", "c_attn", "query_key_value", "qkv_proj")
        if (part := getattr(module, name, None)) is not None
    )
    handle = projection.register_forward_hook(lambda _m, _i, out: seen.append(out.detach()))
    with torch.no_grad():
        model.model(TOKENS[None], use_cache=False)
    handle.remove()
    out, d_head = seen[0][0].double(), heads.d // n_heads
    if hasattr(module, "query_key_value"):
        return out.view(len(TOKENS), n_heads, 3, d_head)[:, :, 2]
    n_kv = getattr(config, "num_key_value_heads", n_heads)
    values = out[:, -n_kv * d_head :].view(len(TOKENS), n_kv, d_head)
    return torch.stack([values[:, h * n_kv // n_heads] for h in range(n_heads)], dim=1)


def brute_force(model: HuggingFaceModel, sae: SparseAutoencoder, hook: HookPoint) -> Tensor:
    """Each source's and head's z alone, through the model's own modules: [n_dst, n_features, n_heads, n_src]."""
    heads = model.heads_behind(hook)
    pattern = eager_weights(model, heads.layer)
    n_heads, n = pattern.shape[0], len(TOKENS)
    values = plain_values(model, heads, n_heads)
    d_head, encoder = heads.d // n_heads, sae._W_enc.double()
    found = torch.zeros(n, encoder.shape[1], n_heads, n, dtype=torch.float64)
    for dst in range(n):
        for src in range(dst + 1):
            for head in range(n_heads):
                z = torch.zeros(heads.d, dtype=torch.float64)
                z[head * d_head : (head + 1) * d_head] = pattern[head, dst, src] * values[src, head]
                found[dst, :, head, src] = carried(model, heads, hook, z, dst) @ encoder
    return found


def carried(model: HuggingFaceModel, heads: HookPoint, hook: HookPoint, z: Tensor, at: int) -> Tensor:
    """What a part of z is at the hook, each module's bias left out and a norm's divisor held where the token has it."""
    for path in heads.onward[: len(heads.onward) - len(hook.onward)]:
        module = copy.deepcopy(model.model.get_submodule(path)).double()
        with torch.no_grad():
            if not path.endswith("norm"):
                z = module(z[None])[0] - module(torch.zeros_like(z)[None])[0]
                continue
            y = model.activations(TOKENS[None], model.hook_point(f"{path}:input"))[0, at].double()
            z = z * (module(y) / y)
    return z


@pytest.mark.parametrize("site", SITES)
@pytest.mark.parametrize("kind", KINDS)
def test_equals_the_sum_over_destinations_sources_and_heads(kind, site) -> None:
    model = load_model(build(kind))
    hook = model.hook_point(site)
    sae = tiny_sae(hook.d)
    expected = brute_force(model, sae, hook)
    assert float(expected.abs().max()) > 0.1
    for (position, feature), parts in attributed(model, sae, hook).items():
        assert parts.shape == (expected.shape[2], position + 1)
        assert_allclose(parts, expected[position, feature, :, : position + 1], atol=2e-5, rtol=1e-4)


def saes(d: int) -> dict[str, Dictionary]:
    """Every architecture with a linear encoder, and every normalisation of the input."""
    generator = torch.Generator().manual_seed(3)
    plain = tiny_sae(d)
    W_enc, b_enc, bias = plain._W_enc, plain._b_enc, torch.randn(d, generator=generator)
    decoder = Decoder(directions=plain.decoder, bias=bias)
    scale = torch.rand(D_SAE, generator=generator) + 0.5
    relu = JumpReLU(torch.zeros(D_SAE))
    made: dict[str, Dictionary] = {
        "standard": plain,
        "jumprelu": SparseAutoencoder(W_enc, b_enc, JumpReLU(torch.full((D_SAE,), 0.3)), InputMap(), decoder),
        "batchtopk": SparseAutoencoder(W_enc, b_enc, JumpReLU(torch.full((D_SAE,), 0.3), scale), InputMap(), decoder),
        "topk": SparseAutoencoder(W_enc, b_enc, TopK(9), InputMap(shift=bias), decoder),
        "topk-scaled": SparseAutoencoder(W_enc, b_enc, TopK(9, scale), InputMap(shift=bias), decoder),
        "groupmax": SparseAutoencoder(W_enc, b_enc, GroupMax(8), InputMap(), decoder),
        "gated": GatedAutoencoder(W_enc, scale.log(), b_enc, 0.2 + b_enc, InputMap(shift=bias), decoder),
        "neurons": from_neurons(d),
    }
    for normalize in ("constant_norm_rescale", "layer_norm"):
        made[normalize] = SparseAutoencoder(W_enc, b_enc, relu, InputMap(normalize=normalize, shift=bias), decoder)
    return made


@pytest.mark.parametrize("name", list(saes(3)))
@pytest.mark.parametrize("site", ["blocks.1.attn.hook_z", "blocks.1.hook_attn_out"])
@pytest.mark.parametrize("kind", ["gemma2", "gpt2"])
def test_parts_and_biases_add_up_to_the_activation(kind, site, name) -> None:
    """The biases are what the encoder makes of an input that attention gives nothing to, normalised as the real one."""
    model = load_model(build(kind))
    hook = model.hook_point(site)
    sae = saes(hook.d)[name]
    x = model.activations(TOKENS[None], hook)[0]
    codes = sae.encode(x)
    at = torch.repeat_interleave(codes.offsets.diff())
    attribution = AttentionAttribution(model, sae, hook)
    scale = sae.input_scale(x)
    empty = carried_constant(model, hook)
    n = 0
    for pair, parts in attribution.of_text(TOKENS, at, codes.features):
        position, feature = int(at[pair]), int(codes.features[pair])
        direction = sae.encoder_directions(codes.features[pair][None])[0]
        factor = 1.0 if scale is None else float(scale[position])
        constant = factor * float(empty @ direction) + encoder_bias(sae, feature)
        assert parts.sum(dtype=np.float64) + constant == pytest.approx(float(codes.acts[pair]), rel=1e-4, abs=1e-4)
        n += 1
    assert n > 30


def carried_constant(model: HuggingFaceModel, hook: HookPoint) -> Tensor:
    """What the hook reads of heads that give nothing: the output projection's bias."""
    heads = model.heads_behind(hook)
    if hook.site == "heads":
        return torch.zeros(hook.d)
    with torch.no_grad():
        projection = model.model.get_submodule(heads.onward[0])
        bias = projection(torch.zeros(1, heads.d))[0]
    assert len(heads.onward) == 1 or not bias.any()  # the tiny Gemma's projection has none
    return bias


def encoder_bias(sae: Dictionary, feature: int) -> float:
    """The encoder's own constant, by its formula: (bias - shift @ W) with whatever scales the feature."""
    if not isinstance(sae, (SparseAutoencoder, GatedAutoencoder)):
        return 0.0
    shift = sae._input_map.shift
    column = sae._W_enc[:, feature]
    if isinstance(sae, GatedAutoencoder):
        column, bias, scale = column * sae._scale[feature], sae._b_mag[feature], 1.0
    else:
        bias = sae._b_enc[feature]
        scale = getattr(sae._activation, "scale", None)
        scale = 1.0 if scale is None else float(scale[feature])
    return float(scale * (bias - (0 if shift is None else shift @ column)))


@pytest.mark.parametrize(
    ("kind", "implementation"),
    [
        (kind, implementation)
        for kind in ("gpt2", "gemma2", "mistral", "gpt_neox-parallel")
        for implementation in ("eager", "sdpa")
        if (kind, implementation) != ("gemma2", "sdpa")  # its soft-capping is not in SDPA
    ],
)
def test_whatever_implementation_runs_it_is_left_as_it_was(kind, implementation) -> None:
    raw = build(kind)
    raw.set_attn_implementation(implementation)
    model = load_model(raw)
    hook = model.hook_point("blocks.1.attn.hook_z")
    module = raw.get_submodule(hook.module.rpartition(".")[0])
    registry = models_attention._registry(module)
    before = (module.config, raw.config.to_dict(), set(registry), torch.get_rng_state(), model.fingerprint())
    raw.train()
    parts = attributed(model, tiny_sae(hook.d), hook)
    assert raw.training
    raw.eval()
    assert module.config is before[0]
    assert raw.config.to_dict() == before[1]
    assert raw.config._attn_implementation == implementation
    assert set(registry) == before[2]
    assert torch.equal(torch.get_rng_state(), before[3])
    assert not any(part._forward_hooks or part._forward_pre_hooks for part in raw.modules())
    expected = brute_force(model, tiny_sae(hook.d), hook)
    assert_allclose(parts[10, 0], expected[10, 0], atol=2e-5, rtol=1e-4)


def test_an_error_on_the_way_leaves_the_model_as_it_was(monkeypatch) -> None:
    raw = build("llama")
    model = load_model(raw)
    heads = model.hook_point("blocks.1.attn.hook_z")
    module = raw.get_submodule(heads.module.rpartition(".")[0])
    config = module.config

    def broken(*_args: object, **_options: object) -> None:
        raise RuntimeError("broken")

    monkeypatch.setattr(models_attention, "_pattern", broken)
    with pytest.raises(RuntimeError, match="broken"):
        attributed(model, tiny_sae(heads.d), heads)
    assert module.config is config
    assert not any(str(name).startswith("sae_vis") for name in models_attention._registry(module))


def test_the_way_round_the_dispatch_gives_the_same(monkeypatch) -> None:
    """Architectures and releases without a dispatch are read from the weights that they give."""
    model = load_model(build("llama"))
    model.model.set_attn_implementation("eager")
    hook = model.hook_point("blocks.1.hook_attn_out")
    expected = attributed(model, tiny_sae(hook.d), hook)
    monkeypatch.setattr("sae_vis.models.huggingface.dispatches", lambda _module: False)
    found = attributed(model, tiny_sae(hook.d), hook)
    for key, parts in expected.items():
        assert_allclose(found[key], parts, atol=1e-5)


def test_attention_that_is_not_what_it_seems_is_refused(monkeypatch) -> None:
    model = load_model(build("llama"))
    heads = model.hook_point("blocks.1.attn.hook_z")
    true = models_attention._pattern
    monkeypatch.setattr(models_attention, "_pattern", lambda *parts: true(*parts) * 0.9)
    with pytest.raises(InputError, match="pattern times values of LlamaAttention is not what its heads give"):
        attributed(model, tiny_sae(heads.d), heads)


def test_half_precision_is_taken_as_it_is() -> None:
    model = load_model(build("llama").bfloat16())
    hook = model.hook_point("blocks.1.attn.hook_z")
    exact = load_model(build("llama"))
    found, expected = (attributed(m, tiny_sae(hook.d), hook) for m in (model, exact))
    largest = max(float(np.abs(parts).max()) for parts in expected.values())
    for key, parts in expected.items():
        assert_allclose(found[key], parts, atol=0.1 * largest)


@pytest.mark.parametrize("rows", [12, 60, 1 << 19])
def test_batches_and_order_change_nothing(rows, monkeypatch) -> None:
    """A corpus of sequences of all lengths, pairs in any order, some twice: as each sequence by itself.

    In float64, since products of other shapes may round in another way; directions at the heads stay float32.
    """
    model = load_model(build("qwen2").double())
    hook = model.hook_point("blocks.1.hook_attn_out")
    sae = tiny_sae(hook.d)
    generator = torch.Generator().manual_seed(5)
    lengths = [4, 9, 1, 9, 7]
    tokens = torch.randint(1, 30, (sum(lengths),), generator=generator)
    offsets = np.concatenate([[0], np.cumsum(lengths)])
    positions = torch.randint(sum(lengths), (50,), generator=generator).numpy()
    features = torch.randint(D_SAE, (50,), generator=generator).numpy()
    monkeypatch.setattr("sae_vis.effects.attention.PATTERN_ROWS", rows)
    monkeypatch.setattr("sae_vis.effects.attention.PRODUCTS", rows)
    monkeypatch.setattr("sae_vis.effects.batches.BATCH_TOKENS", 20)
    attribution = AttentionAttribution(model, sae, hook)
    found = dict(attribution.of_corpus(tokens.numpy(), offsets, positions, features))
    assert sorted(found) == list(range(50))
    for pair in range(50):
        row = int(np.searchsorted(offsets, positions[pair], side="right")) - 1
        own = tokens[offsets[row] : offsets[row + 1]]
        (alone,) = attribution.of_text(own, [int(positions[pair] - offsets[row])], [int(features[pair])])
        assert_allclose(found[pair], alone.parts, atol=rounding(alone.parts, 4))


def test_nothing_has_the_size_of_destinations_sources_heads_and_values() -> None:
    """A long text, every position a destination: no tensor comes near n_dst * n_src * n_heads * d_head."""
    from torch.utils._python_dispatch import TorchDispatchMode

    n, n_dst = 600, 64
    raw = build("llama")
    model = load_model(raw)
    hook = model.hook_point("blocks.1.attn.hook_z")
    tokens = torch.randint(1, 30, (n,), generator=torch.Generator().manual_seed(2))
    positions = torch.arange(n - n_dst, n)
    largest = [0]

    class Watch(TorchDispatchMode):
        def __torch_dispatch__(self, function, types, args=(), kwargs=None):
            out = function(*args, **(kwargs or {}))
            for tensor in out if isinstance(out, (tuple, list)) else (out,):
                if isinstance(tensor, Tensor):
                    largest[0] = max(largest[0], tensor.untyped_storage().nbytes() // tensor.element_size())
            return out

    attribution = AttentionAttribution(model, tiny_sae(hook.d), hook)
    with Watch():
        n_parts = sum(1 for _ in attribution.of_text(tokens, positions, positions % D_SAE))
    assert n_parts == n_dst
    n_heads, d_head = 3, hook.d // 3
    dense = n_dst * n * n_heads * d_head
    model_own = n * n * n_heads  # what the model's attention itself may make
    assert largest[0] <= max(model_own, 2 * n_dst * n * n_heads)
    assert dense > 0.6 * model_own


def test_destinations_alone_are_computed() -> None:
    """The pattern has a row for each destination asked for, and no other."""
    model = load_model(build("llama"))
    heads = model.hook_point("blocks.1.attn.hook_z")
    parts = model.attention(TOKENS[None], heads, Destinations(torch.tensor([0, 0]), torch.tensor([4, 9])))
    assert parts.pattern.shape == (2, 3, 11)
    assert parts.values.shape == (1, 11, 1, 6)
    assert float(parts.pattern[0, :, 5:].abs().max()) == 0


class Odd(torch.nn.Module):
    """An encoder of the user's own, of which nothing is known."""

    def __init__(self, d: int) -> None:
        super().__init__()
        self.W_dec = torch.nn.Parameter(torch.randn(D_SAE, d))

    def encode(self, x: Tensor) -> Tensor:
        return torch.relu(torch.tanh(x) @ self.W_dec.T)


def test_errors_say_what_is_wrong() -> None:
    model = load_model(build("gpt2"))
    heads = model.hook_point("blocks.1.attn.hook_z")
    for site in ("blocks.1.hook_mlp_out", "blocks.1.mlp.hook_post", "blocks.1.hook_resid_post"):
        hook = model.hook_point(site)
        with pytest.raises(InputError, match=f"'{site}' has no attention pattern .*source tokens are known of"):
            AttentionAttribution(model, tiny_sae(hook.d), hook)
    with pytest.raises(InputError, match="no linear encoder is known of this Odd dictionary"):
        AttentionAttribution(model, from_module(Odd(heads.d)), heads)
    with pytest.raises(InputError, match=r"reads 5 numbers, but 'blocks.1.attn.hook_z' is 12 wide"):
        AttentionAttribution(model, tiny_sae(5), heads)
    attribution = AttentionAttribution(model, tiny_sae(heads.d), heads)
    with pytest.raises(InputError, match="feature 40 does not exist"):
        list(attribution.of_text(TOKENS, [0], [40]))
    with pytest.raises(InputError, match="position 11 is out of range"):
        list(attribution.of_text(TOKENS, [11], [0]))
    with pytest.raises(InputError, match="got 2 and 1"):
        list(attribution.of_text(TOKENS, [0, 1], [0]))
    with pytest.raises(InputError, match="a destination at place 11"):
        model.attention(TOKENS[None], heads, Destinations(torch.tensor([0]), torch.tensor([11])))
