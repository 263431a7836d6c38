"""Checkpoints in the SAELens layout: what is read, what is honoured, what is refused and in which words."""

from __future__ import annotations

import copy
import json

import pytest
import torch

from sae_vis.errors import CheckpointError, InputError
from sae_vis.saes.base import dense_to_codes
from sae_vis.saes.saelens_format import load_sae
from tests.kernels import binary
from tests.saes.checkpoints import ARCHITECTURES, checkpoint
from tests.saes.compare import assert_activations, same


def scaled_input(n=40, d_in=12, seed=1):
    return binary(2 * torch.randn(n, d_in, generator=torch.Generator().manual_seed(seed)))


@pytest.mark.parametrize("architecture", ARCHITECTURES)
@pytest.mark.parametrize("normalize", ["none", "constant_norm_rescale", "layer_norm"])
@pytest.mark.parametrize("apply_b_dec", [True, False])
def test_activations_are_those_of_the_plain_definition(tmp_path, architecture, normalize, apply_b_dec):
    made = checkpoint(architecture, normalize_activations=normalize, apply_b_dec_to_input=apply_b_dec)
    sae = load_sae(made.write(tmp_path / "sae"))
    x = scaled_input()
    assert (assert_activations(sae, made.reference, x, exact=made.exact) != 0).any()
    assert (sae.d_in, sae.d_sae, sae.hook_name) == (12, 64, "blocks.3.hook_resid_post")


def test_topk_rescaled_by_decoder_norms_keeps_the_reconstruction(tmp_path):
    made = checkpoint("topk", rescale_acts_by_decoder_norm=True)
    sae = load_sae(made.write(tmp_path / "sae"))
    x = scaled_input()
    assert_activations(sae, made.reference, x, exact=False)
    acts = sae.encode_dense(x)
    norms = made.weights["W_dec"].norm(dim=-1)
    torch.testing.assert_close(acts @ sae.decoder, (acts / norms) @ made.weights["W_dec"])


def test_scale_of_the_output_undoes_the_normalisation(tmp_path):
    x = scaled_input()
    plain = load_sae(checkpoint("standard").write(tmp_path / "a"))
    constant = load_sae(checkpoint("standard", normalize_activations="constant_norm_rescale").write(tmp_path / "b"))
    layer = load_sae(checkpoint("standard", normalize_activations="layer_norm").write(tmp_path / "c"))
    assert plain.output_scale(x) is None
    torch.testing.assert_close(constant.output_scale(x), x.norm(dim=-1) / 12**0.5)
    torch.testing.assert_close(layer.output_scale(x), x.std(dim=-1))


@pytest.mark.parametrize("stored", [torch.float16, torch.bfloat16, torch.float64])
def test_half_precision_weights_are_widened(tmp_path, stored):
    made = checkpoint("topk")
    made.weights = {name: tensor.to(stored) for name, tensor in made.weights.items()}
    sae = load_sae(made.write(tmp_path / "sae"))
    x = scaled_input()
    assert torch.equal(sae.encode_dense(x), made.reference(x))
    assert sae.encode(x).acts.dtype == torch.float32
    assert sae.describe()["stored_dtype"] == str(stored).removeprefix("torch.")


@pytest.mark.parametrize("architecture", ARCHITECTURES)
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_computation_in_half_precision_is_equal_too(tmp_path, architecture, dtype):
    sae = load_sae(checkpoint(architecture, d_sae=256).write(tmp_path / "sae"), dtype=dtype)
    x = scaled_input().to(torch.bfloat16)
    assert same(sae.encode(x), dense_to_codes(sae.encode_dense(x)))


def test_version_3_to_5_configurations(tmp_path):
    made = checkpoint("standard")
    made.cfg = {
        "d_in": 12,
        "d_sae": 64,
        "activation_fn_str": "topk",
        "activation_fn_kwargs": {"k": 7},
        "apply_b_dec_to_input": False,
        "finetuning_scaling_factor": False,
        "context_size": 128,
        "model_name": "gpt2",
        "hook_point": "blocks.1.attn.hook_z",
        "hook_point_layer": 1,
        "hook_point_head_index": None,
        "prepend_bos": True,
        "dataset_path": "x/y",
        "dataset_trust_remote_code": True,
        "normalize_activations": False,
        "dtype": "torch.float32",
        "device": "mps",
        "sae_lens_training_version": "3.1.0",
        "neuronpedia_id": None,
        "l1_coefficient": 1e-3,
    }
    sae = load_sae(made.write(tmp_path / "sae"))
    expected = checkpoint("topk", k=7, apply_b_dec_to_input=False)
    expected.weights = made.weights
    x = scaled_input()
    assert torch.equal(sae.encode_dense(x), expected.reference(x))
    assert sae.hook_name == "blocks.1.attn.hook_z"
    assert sae.describe()["metadata"]["model_name"] == "gpt2"


def test_finetuning_factor_scales_what_a_feature_adds(tmp_path):
    made = checkpoint("standard", finetuning_scaling_factor=True)
    made.weights["scaling_factor"] = torch.full((64,), 1.5)
    x = scaled_input()
    sae = load_sae(made.write(tmp_path / "sae"))
    assert torch.equal(sae.encode_dense(x), made.reference(x))
    torch.testing.assert_close(sae.decoder, made.weights["W_dec"] * 1.5)
    made.weights["scaling_factor"] = torch.ones(64)
    made.cfg["finetuning_scaling_factor"] = False
    torch.testing.assert_close(load_sae(made.write(tmp_path / "ones")).decoder, made.weights["W_dec"])
    made.weights["scaling_factor"] = torch.full((64,), 1.5)
    with pytest.raises(CheckpointError, match="has a scaling factor, but finetuning_scaling_factor is not true"):
        load_sae(made.write(tmp_path / "both"))


def test_older_jumprelu_checkpoints_hold_the_logarithm_of_the_threshold(tmp_path):
    made = checkpoint("jumprelu")
    old = copy.deepcopy(made)
    old.weights["log_threshold"] = old.weights.pop("threshold").log()
    x = scaled_input()
    torch.testing.assert_close(load_sae(old.write(tmp_path / "sae")).encode_dense(x), made.reference(x))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"novel_setting": 3}, r"unknown keys \['novel_setting'\].*Keys that are honoured: \['activation_fn'"),
        ({"architecture": "clockwork"}, r"architecture 'clockwork' is not supported; known: \['abstopk'"),
        ({"activation_fn": "tanh-relu"}, "activation function 'tanh-relu' is not supported"),
        ({"normalize_activations": "expected_average_only_in"}, "Fold them into the weights with SAELens"),
        ({"normalize_activations": "other"}, "normalize_activations 'other' is unknown"),
        ({"reshape_activations": "hook_z"}, "reshape_activations is 'hook_z', but the hook is 'blocks.3"),
        ({"reshape_activations": "other"}, "must be 'none' or 'hook_z'; found 'other'"),
        ({"d_in": "12"}, "d_in must be a positive integer; found '12'"),
        ({"d_sae": None}, "d_sae must be a positive integer; found None"),
        ({"apply_b_dec_to_input": 1}, "apply_b_dec_to_input must be true or false; found 1"),
        ({"d_sae": 32}, r"W_(enc|dec) has shape \[.*\]; expected \[.*\] \(d_in 12, d_sae 32 in cfg.json\)"),
        ({"metadata": 3}, "metadata must be an object; found 3"),
        ({"k": 65}, "k is 65, but there are only 64 features"),
        ({"k": 0}, "k must be a positive integer; found 0"),
    ],
)
def test_refused_configurations(tmp_path, change, message):
    made = checkpoint("topk")
    made.cfg |= change
    with pytest.raises(CheckpointError, match=message):
        load_sae(made.write(tmp_path / "sae"))


def test_refused_weights(tmp_path):
    made = checkpoint("jumprelu")
    for name, altered, message in [
        ("threshold", None, r"missing: \['threshold'\], unexpected: \[\]"),
        ("r_mag", torch.zeros(64), r"missing: \[\], unexpected: \['r_mag'\]"),
        ("W_enc", torch.zeros(12, 64, dtype=torch.int64), "W_enc is int64; expected one of float32, float16"),
        ("b_enc", torch.full((64,), torch.nan), "b_enc holds 64 values that are NaN or infinite"),
        ("b_dec", torch.zeros(13), r"b_dec has shape \[13\]; expected \[12\]"),
    ]:
        broken = copy.deepcopy(made)
        broken.weights.pop(name, None)
        if altered is not None:
            broken.weights[name] = altered
        with pytest.raises(CheckpointError, match=message):
            load_sae(broken.write(tmp_path / "sae"))


def test_missing_and_damaged_files(tmp_path):
    with pytest.raises(CheckpointError, match=r"cfg.json does not exist: give a SAELens directory"):
        load_sae(tmp_path / "nowhere")
    path = checkpoint("topk").write(tmp_path / "sae")
    weights = path / "sae_weights.safetensors"
    whole = weights.read_bytes()
    weights.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(CheckpointError, match="is not a whole safetensors file"):
        load_sae(path)
    weights.unlink()
    with pytest.raises(CheckpointError, match=r"sae_weights.safetensors does not exist"):
        load_sae(path)
    (path / "cfg.json").write_text("{")
    with pytest.raises(CheckpointError, match="is not readable JSON"):
        load_sae(path)
    (path / "cfg.json").write_text(json.dumps([1]))
    with pytest.raises(CheckpointError, match="must hold a JSON object; found list"):
        load_sae(path)
    with pytest.raises(InputError, match="is not supported for an SAE; choose one of float32"):
        load_sae(path, dtype=torch.float64)


def test_fingerprint_is_of_the_numbers(tmp_path):
    made = checkpoint("topk")
    made.weights = {name: tensor.half() for name, tensor in made.weights.items()}
    one = load_sae(made.write(tmp_path / "one"))
    made.weights = {name: tensor.float() for name, tensor in made.weights.items()}
    made.cfg["metadata"]["note"] = "elsewhere"
    assert one.fingerprint() == load_sae(made.write(tmp_path / "two")).fingerprint()
    assert one.fingerprint().startswith("sha256:")
    seen = {one.fingerprint()}
    for change in ({"k": 6}, {"apply_b_dec_to_input": False}, {"rescale_acts_by_decoder_norm": True}):
        altered = copy.deepcopy(made)
        altered.cfg |= change
        seen.add(load_sae(altered.write(tmp_path / "three")).fingerprint())
    for name in made.weights:
        altered = copy.deepcopy(made)
        altered.weights[name].view(-1)[3] += 1
        seen.add(load_sae(altered.write(tmp_path / "four")).fingerprint())
    seen.add(load_sae(tmp_path / "one", dtype=torch.float16).fingerprint())
    assert len(seen) == 1 + 3 + 4 + 1
    json.dumps(one.describe())
