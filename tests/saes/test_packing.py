"""Codes into slots: equal to the definition where there are enough of them, and without waiting for the device."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch._subclasses.fake_tensor import FakeTensorMode

from sae_vis.saes import linear
from sae_vis.saes.activations import Activation, GroupMax, JumpReLU, SignedTopK, TopK, WeightedThreshold
from sae_vis.saes.base import dense_to_codes
from sae_vis.saes.linear import Decoder, GatedAutoencoder, InputMap, SparseAutoencoder
from sae_vis.saes.packing import has_static_selection, packed, unpacked
from sae_vis.saes.saelens_format import load_sae
from tests.saes.checkpoints import ARCHITECTURES, checkpoint
from tests.saes.compare import same

D_IN, D_SAE = 12, 64


def activations(d: int, seed: int) -> dict[str, Activation]:
    dice = torch.Generator().manual_seed(seed)
    some, positive = torch.randn(d, generator=dice), torch.rand(d, generator=dice)
    return {
        "jumprelu": JumpReLU(some),
        "scaled": JumpReLU(some, positive),
        "topk": TopK(min(5, d)),
        "scaled topk": TopK(min(5, d), positive, relu_first=True),
        "weighted": WeightedThreshold(torch.full((d,), 0.3), positive),
        "signed": SignedTopK(min(5, d), by_size=True),
        "groupmax": GroupMax(1),
    }


@settings(max_examples=150, deadline=None)
@given(
    st.lists(st.integers(0, 6), min_size=1, max_size=3),
    st.sampled_from([1, 7, 64, 100]),
    st.sampled_from(sorted(activations(1, 0))),
    st.booleans(),
    st.integers(0, 999),
)
def test_slots_of_blocks_are_the_definition(heights, d, kind, whole, seed):
    activation, dice = activations(d, seed)[kind], torch.Generator().manual_seed(seed + 1)
    product, bias = torch.randn(sum(heights), d, generator=dice), 0.1 * torch.randn(d, generator=dice)
    product = (2 * product).round() if whole else product  # ties everywhere
    expected = dense_to_codes(activation.dense(product, bias))
    blocks = [(len(x), activation.slots(x.clone(), bias, x.numel())) for x in product.split(heights)]
    codes = packed(blocks)
    assert not bool(codes.short)
    assert same(unpacked(codes), expected)


@settings(max_examples=60, deadline=None)
@given(st.integers(1, 8), st.integers(0, 60), st.integers(0, 999))
def test_whoever_has_too_few_slots_is_told(n, m, seed):
    """Whatever is missing is told; and nothing is where slots are left over."""
    product = torch.randn(n, 30, generator=torch.Generator().manual_seed(seed))
    activation, bias = JumpReLU(torch.full((30,), 0.8)), torch.zeros(30)
    codes, expected = packed([(n, activation.slots(product.clone(), bias, m))]), activation.codes(product, bias)
    if not bool(codes.short):
        assert same(unpacked(codes), expected)
    assert bool(codes.short) or len(expected.features) <= m
    if len(expected.features) < min(m, product.numel()):
        assert not bool(codes.short)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=str)
@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_a_dictionary_packs_what_it_encodes(architecture, dtype, tmp_path, monkeypatch):
    monkeypatch.setattr(linear, "BLOCK_ROWS", 16)  # several blocks
    stored = checkpoint(architecture, d_sae=512)
    for name in {"b_enc", "b_gate"} & set(stored.weights):
        stored.weights[name] -= 4  # so that few fire
    sae = load_sae(stored.write(tmp_path / "sae"), dtype=dtype)
    x = torch.randn(70, D_IN, generator=torch.Generator().manual_seed(0))
    codes = sae.pack(x, room=128)
    assert codes is not None
    assert not bool(codes.short)
    expected = sae.encode(x)
    assert len(expected.features) > 70
    assert same(unpacked(codes), expected)


def test_no_slots_are_set_aside_where_most_features_fire():
    sae = made(JumpReLU(torch.zeros(D_SAE)), "cpu")
    assert sae.pack(torch.randn(3, D_IN), room=D_SAE // 4) is not None
    assert sae.pack(torch.randn(3, D_IN), room=D_SAE // 2) is None


def made(activation: Activation, device: str, dtype: torch.dtype = torch.float32) -> SparseAutoencoder:
    decoder = Decoder(directions=torch.zeros(D_SAE, D_IN, device=device), bias=torch.zeros(D_IN, device=device))
    weights = torch.zeros(D_IN, D_SAE, device=device, dtype=dtype), torch.zeros(D_SAE, device=device, dtype=dtype)
    input_map = InputMap(normalize="constant_norm_rescale", shift=torch.zeros(D_IN, device=device, dtype=dtype))
    return SparseAutoencoder(*weights, activation, input_map, decoder)


def gated(device: str) -> GatedAutoencoder:
    decoder = Decoder(directions=torch.zeros(D_SAE, D_IN, device=device), bias=torch.zeros(D_IN, device=device))
    vectors = [torch.zeros(D_SAE, device=device) for _ in range(3)]
    return GatedAutoencoder(torch.zeros(D_IN, D_SAE, device=device), *vectors, InputMap(), decoder)


KINDS = sorted(activations(1, 0))


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=str)
@pytest.mark.parametrize("kind", [*KINDS, "gated"])
def test_nothing_waits_for_a_gpu(kind, dtype, monkeypatch):
    """On a pretended CUDA device, where every number that the host would have to wait for is an error."""
    monkeypatch.setattr(linear, "DEVICE_ROWS", 16)
    monkeypatch.setattr(linear, "has_static_selection", lambda device: True)
    with FakeTensorMode():
        on_gpu = {name: onto(activation, "cuda", dtype) for name, activation in activations(D_SAE, 0).items()}
        sae = gated("cuda") if kind == "gated" else made(on_gpu[kind], "cuda", dtype)
        x = torch.zeros(40, D_IN, device="cuda", dtype=torch.bfloat16)
        codes = sae.pack(x, room=8)
        assert codes is not None
        assert {part.device.type for part in codes} == {"cuda"}
        assert len(codes.counts) == 40
        with pytest.raises(RuntimeError):  # the ordinary way asks how many there are
            sae.encode(x)


def onto(activation: Activation, device: str, dtype: torch.dtype) -> Activation:
    """With its tensors on another device."""
    moved = {
        name: torch.zeros(value.shape, device=device, dtype=dtype)
        for name, value in vars(activation).items()
        if isinstance(value, torch.Tensor)
    }
    return type(activation)(**{**vars(activation), **moved})


def test_a_device_that_selects_into_no_slots(monkeypatch):
    """As CUDA before torch 2.7."""

    def refuse(*args: object, **options: object) -> None:
        raise NotImplementedError("could not run 'aten::nonzero_static' with arguments from the 'CUDA' backend")

    assert has_static_selection(torch.device("cpu"))
    has_static_selection.cache_clear()
    monkeypatch.setattr(torch, "nonzero_static", refuse)
    assert made(JumpReLU(torch.zeros(D_SAE)), "cpu").pack(torch.randn(3, D_IN), room=1) is None
    has_static_selection.cache_clear()
