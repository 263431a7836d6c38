"""Sparse encoding: equal to its dense definition in every bit, at every shape, ties included; polite to its inputs."""

from __future__ import annotations

import pickle
import threading

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from sae_vis.errors import InputError
from sae_vis.saes import linear
from sae_vis.saes.activations import (
    GroupMax,
    JumpReLU,
    Linear,
    SignedTopK,
    TopK,
    gated_codes,
    gated_dense,
    rescaled_gate_codes,
    rescaled_gate_dense,
)
from sae_vis.saes.base import dense_to_codes
from sae_vis.saes.saelens_format import load_sae
from tests.kernels import binary
from tests.saes.checkpoints import ARCHITECTURES, checkpoint
from tests.saes.compare import same

shapes = st.tuples(st.integers(0, 9), st.sampled_from([1, 7, 8, 30, 64, 96, 512, 1000, 2048]))
kinds = st.sampled_from(["normal", "whole", "negative", "constant", "zero"])


def numbers(shape, kind, seed):
    drawn = torch.randn(*shape, generator=torch.Generator().manual_seed(seed))
    return {
        "normal": drawn,
        "whole": (2 * drawn).round(),  # ties everywhere
        "negative": -drawn.abs() - 0.01,
        "constant": torch.ones_like(drawn),
        "zero": torch.zeros_like(drawn),
    }[kind]


@settings(max_examples=150, deadline=None)
@given(shapes, kinds, kinds, st.integers(1, 70), st.booleans(), st.booleans(), st.booleans(), st.integers(0, 999))
def test_topk_codes_are_the_definition(shape, kind, bias_kind, k, scaled, relu_first, ordered, seed):
    product, bias = numbers(shape, kind, seed), 0.1 * numbers(shape[1:], bias_kind, seed + 1)
    scale = numbers(shape[1:], "normal", seed + 2).abs() if scaled else None
    topk = TopK(min(k, shape[1]), scale, relu_first, ordered)
    expected = dense_to_codes(topk.dense(product, bias))
    assert same(topk.codes(product, bias), expected)


@settings(max_examples=100, deadline=None)
@given(shapes, kinds, kinds, st.integers(1, 70), st.booleans(), st.integers(0, 999))
def test_signed_topk_codes_are_the_definition(shape, kind, bias_kind, k, by_size, seed):
    product, bias = numbers(shape, kind, seed), 0.1 * numbers(shape[1:], bias_kind, seed + 1)
    topk = SignedTopK(min(k, shape[1]), by_size)
    expected = dense_to_codes(topk.dense(product, bias))
    assert same(topk.codes(product, bias), expected)


@settings(max_examples=150, deadline=None)
@given(shapes, kinds, kinds, kinds, st.booleans(), st.integers(0, 999))
def test_jumprelu_codes_are_the_definition(shape, kind, bias_kind, threshold_kind, scaled, seed):
    product, bias = numbers(shape, kind, seed), numbers(shape[1:], bias_kind, seed + 1)
    scale = numbers(shape[1:], "normal", seed + 2).abs() if scaled else None
    jumprelu = JumpReLU(numbers(shape[1:], threshold_kind, seed + 3), scale)
    expected = dense_to_codes(jumprelu.dense(product, bias))
    assert same(jumprelu.codes(product, bias), expected)


@settings(max_examples=100, deadline=None)
@given(shapes, kinds, kinds, st.integers(0, 999))
def test_gated_codes_are_the_definition(shape, kind, bias_kind, seed):
    gate, magnitude = numbers(shape, kind, seed), numbers(shape, "normal", seed + 1)
    biases = numbers(shape[1:], bias_kind, seed + 2), numbers(shape[1:], bias_kind, seed + 3)
    expected = dense_to_codes(gated_dense(gate, biases[0], magnitude, biases[1]))
    assert same(gated_codes(gate, biases[0], magnitude, biases[1]), expected)


@settings(max_examples=100, deadline=None)
@given(shapes, kinds, kinds, st.integers(0, 999))
def test_gated_codes_of_one_product_are_the_definition(shape, kind, bias_kind, seed):
    product, scale = numbers(shape, kind, seed), numbers(shape[1:], "normal", seed + 1).exp()
    biases = numbers(shape[1:], bias_kind, seed + 2), numbers(shape[1:], bias_kind, seed + 3)
    expected = dense_to_codes(rescaled_gate_dense(product, biases[0], scale, biases[1]))
    assert same(rescaled_gate_codes(product, biases[0], scale, biases[1]), expected)


@settings(max_examples=100, deadline=None)
@given(shapes, kinds, kinds, st.sampled_from([1, 2, 8]), st.integers(0, 999))
def test_groupmax_codes_are_the_definition(shape, kind, bias_kind, k, seed):
    product, bias = numbers(shape, kind, seed), 0.1 * numbers(shape[1:], bias_kind, seed + 1)
    groupmax = GroupMax(k if shape[1] % k == 0 else 1)
    expected = groupmax.dense(product, bias)
    assert same(groupmax.codes(product, bias), dense_to_codes(expected))
    assert int((expected > 0).sum(dim=1).max() if len(expected) else 0) <= groupmax.k


@settings(max_examples=50, deadline=None)
@given(shapes, kinds, kinds, st.integers(0, 999))
def test_linear_codes_are_the_definition(shape, kind, bias_kind, seed):
    product, bias = numbers(shape, kind, seed), numbers(shape[1:], bias_kind, seed + 1)
    expected = dense_to_codes(Linear().dense(product, bias))
    assert same(Linear().codes(product, bias), expected)


def test_a_sum_that_rounds_up_to_the_threshold_does_not_fire_and_one_above_does():
    threshold = torch.full((8,), 1.0)
    bias = torch.full((8,), 2.0**-24)
    product = torch.tensor([[1.0, 1.0 + 2.0**-23, 1.0 - 2.0**-24, 0.5, 2.0, -1.0, 0.0, 1.0]])
    jumprelu = JumpReLU(threshold)
    assert dense_to_codes(jumprelu.dense(product, bias)).features.tolist() == [1, 4]
    assert jumprelu.codes(product, bias).features.tolist() == [1, 4]


def test_a_tie_is_broken_as_torch_topk_breaks_it():
    pre = torch.zeros(1, 512)
    pre[0, 100:140] = 1.0
    topk = TopK(8)
    codes = topk.codes(pre.clone(), torch.zeros(512))
    assert codes.features.tolist() == sorted(torch.topk(pre, 8, sorted=False).indices[0].tolist())
    assert codes.acts.tolist() == [1.0] * 8


def test_infinite_pre_activations_are_not_lost():
    pre = torch.randn(4, 1024)
    pre[2, 77] = torch.inf
    topk, zeros = TopK(6), torch.zeros(1024)
    assert same(topk.codes(pre.clone(), zeros), dense_to_codes(topk.dense(pre, zeros)))
    assert same(JumpReLU(zeros).codes(pre.clone(), zeros), dense_to_codes(torch.relu(pre)))


@pytest.fixture(params=ARCHITECTURES)
def sae(request, tmp_path):
    return load_sae(checkpoint(request.param, d_sae=512).write(tmp_path / "sae"))


@pytest.mark.parametrize("n", [0, 1, 3, 16, 17, 40])
def test_blocks_of_rows(sae, n, monkeypatch):
    monkeypatch.setattr(linear, "BLOCK_ROWS", 16)
    x = torch.randn(n, 12)
    codes = sae.encode(x)
    assert same(codes, dense_to_codes(sae.encode_dense(x)))
    assert codes.offsets.shape == (n + 1,)
    assert (codes.offsets.dtype, codes.features.dtype, codes.acts.dtype) == (torch.int64, torch.int64, torch.float32)


def test_rows_that_never_fire(tmp_path):
    made = checkpoint("topk")
    made.weights["b_enc"] -= 1000
    codes = load_sae(made.write(tmp_path / "sae")).encode(torch.randn(5, 12))
    assert codes.offsets.tolist() == [0] * 6
    assert codes.features.shape == codes.acts.shape == (0,)


def test_inputs_and_global_state_are_left_alone(sae):
    x = torch.randn(20, 12)
    before, state = x.clone(), torch.get_rng_state()
    first = sae.encode(x)
    kept = [tensor.clone() for tensor in first]
    sae.encode(2 * x)
    assert torch.equal(x, before)
    assert same(first, kept)  # no result lives in a reused buffer
    assert torch.equal(torch.get_rng_state(), state)
    with torch.inference_mode():
        inside = sae.encode(x)
    assert not any(tensor.is_inference() for tensor in inside)
    assert same(inside, sae.encode(x.clone().requires_grad_()))
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert same(sae.encode(x), first)


def test_threads_share_a_dictionary(sae):
    inputs = [torch.randn(50, 12) for _ in range(4)]
    expected = [sae.encode(x) for x in inputs]
    failures = []

    def work(number):
        if not all(same(sae.encode(inputs[number]), expected[number]) for _ in range(20)):
            failures.append(number)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failures


def test_scratch_memory_is_not_pickled(sae):
    x = binary(torch.randn(9, 12))  # weights lie elsewhere in memory now, which must change nothing
    codes = sae.encode(x)
    copy = pickle.loads(pickle.dumps(sae))
    assert not copy._buffers
    assert same(copy.encode(x), codes)
    assert copy.fingerprint() == sae.fingerprint()


def test_half_precision_activations_of_the_model_are_widened(sae):
    x = torch.randn(9, 12).bfloat16()
    assert same(sae.encode(x), sae.encode(x.float()))


def test_errors_say_what_was_found(sae):
    with pytest.raises(InputError, match=r"the dictionary has d_in 12, but the activations at blocks.3.* are 13 wide"):
        sae.encode(torch.zeros(2, 13))
    with pytest.raises(InputError, match=r"must be \[n, d_in\]; found a tensor of shape \[2, 3, 12\]"):
        sae.encode_dense(torch.zeros(2, 3, 12))
    for poison in (torch.nan, torch.inf, -torch.inf):
        x = torch.zeros(5, 12)
        x[3, 2] = poison
        with pytest.raises(InputError, match="hold NaN or infinity, first in row 3"):
            sae.encode(x)
    sae.encode(torch.full((2, 12), 3e38))  # a sum that overflows is not an infinite value


def test_decoder_and_centre(tmp_path):
    made = checkpoint("standard")
    sae = load_sae(made.write(tmp_path / "sae"))
    assert torch.equal(sae.decoder, made.weights["W_dec"])
    assert torch.equal(sae.centre, made.weights["b_dec"])
