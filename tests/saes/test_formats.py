"""Checkpoints of other libraries: activations, decoders, fingerprints that don't depend on the file.

Weights and inputs are binary fractions, so activations are compared to the last bit on any processor; the formats that
divide by a norm on the way are compared within a bound.
"""

from __future__ import annotations

import json

import pytest
import torch
from safetensors.torch import save_file

from sae_vis.errors import CheckpointError
from sae_vis.saes.activations import TopK
from sae_vis.saes.base import dense_to_codes
from sae_vis.saes.dictionary_learning_format import TENSORS, load_dictionary_learning
from sae_vis.saes.formats import load_dictionary
from sae_vis.saes.saelens_format import load_sae
from sae_vis.saes.tensors import TensorOptions, from_tensors
from tests.saes import layouts
from tests.saes.checkpoints import checkpoint
from tests.saes.compare import assert_activations, same
from tests.saes.indexing import assert_indexed
from tests.saes.layouts import D_IN, D_SAE, K, inputs

ROWS = (0, 1, 3, 300, 1200)  # less and more than one block


def assert_encodes(sae, reference, *, exact=True):
    """Equal to ``reference`` on blocks of any size, dense and sparse, and in an index."""
    fired = [bool((assert_activations(sae, reference, inputs(n), exact=exact) > 0).any()) for n in ROWS]
    assert fired == [n > 0 for n in ROWS]
    assert_indexed(sae, reference, exact=exact)


@pytest.mark.parametrize("dict_class", sorted(TENSORS))
def test_dictionary_learning(tmp_path, dict_class):
    tensors = layouts.dictionary_learning_tensors(dict_class)
    path = layouts.write_dictionary_learning(tmp_path / "trainer_0", dict_class)
    sae = load_dictionary(path)
    by_norms = dict_class == "AutoEncoder"  # decoder directions are scaled to norm 1
    assert_encodes(sae, lambda x: layouts.dictionary_learning_reference(dict_class, tensors, x), exact=not by_norms)
    assert (sae.d_in, sae.d_sae, sae.hook_name) == (D_IN, D_SAE, "blocks.3.hook_resid_post")
    directions = tensors["W_dec"] if "W_dec" in tensors else tensors["decoder.weight"].T
    if dict_class == "AutoEncoder":
        directions = directions / directions.norm(dim=1, keepdim=True)
    torch.testing.assert_close(sae.decoder, directions, rtol=1e-6, atol=1e-6)
    described = sae.describe()
    assert (described["format"], described["architecture"]) == ("dictionary_learning", dict_class)
    json.dumps(described)
    assert load_dictionary(path / "ae.pt").fingerprint() == sae.fingerprint()


def test_dictionary_learning_checkpoints_within_a_run_use_the_configuration_above_them(tmp_path):
    path = layouts.write_dictionary_learning(tmp_path / "trainer_0", "BatchTopKSAE")
    (path / "checkpoints").mkdir()
    (path / "ae.pt").rename(path / "checkpoints" / "ae_1000.pt")
    sae = load_dictionary(path, subfolder="checkpoints/ae_1000.pt")
    assert sae.describe()["architecture"] == "BatchTopKSAE"


def test_dictionary_learning_without_a_configuration(tmp_path):
    for dict_class in ("AutoEncoder", "AutoEncoderNew", "GatedAutoEncoder", "MatryoshkaBatchTopKSAE"):
        path = layouts.write_dictionary_learning(tmp_path / dict_class, dict_class)
        with_configuration = load_dictionary(path)
        (path / "config.json").unlink()
        alone = load_dictionary(path / "ae.pt")
        assert alone.describe()["architecture"] == dict_class
        assert alone.hook_name is None
        assert alone.fingerprint() == with_configuration.fingerprint()
    path = layouts.write_dictionary_learning(tmp_path / "k", "AutoEncoderTopK")
    (path / "config.json").unlink()
    with pytest.raises(CheckpointError, match=r"don't say which class .*; put its config.json beside it, with trainer"):
        load_dictionary(path)


def test_dictionary_learning_decoder_norms_can_be_left_alone(tmp_path):
    tensors = layouts.dictionary_learning_tensors("AutoEncoder")
    path = layouts.write_dictionary_learning(tmp_path / "a", "AutoEncoder")
    raw = load_dictionary_learning(path, normalize_decoder=False)
    expected = torch.relu(
        torch.nn.functional.linear(inputs() - tensors["bias"], tensors["encoder.weight"], tensors["encoder.bias"])
    )
    assert torch.equal(raw.encode_dense(inputs()), expected)
    assert torch.equal(raw.decoder, tensors["decoder.weight"].T)
    scaled = load_dictionary(path)
    torch.testing.assert_close(
        scaled.encode_dense(inputs()) @ scaled.decoder, raw.encode_dense(inputs()) @ raw.decoder, rtol=1e-3, atol=1e-3
    )
    tensors["decoder.weight"] = tensors["decoder.weight"].clone()
    tensors["decoder.weight"][:, 5] = 0
    dead = layouts.write_dictionary_learning(tmp_path / "dead", "AutoEncoder", tensors)
    with pytest.raises(CheckpointError, match="1 decoder directions are zero and can't be scaled to norm 1"):
        load_dictionary(dead)
    load_dictionary_learning(dead, normalize_decoder=False)


@pytest.mark.parametrize("skip", [False, True])
@pytest.mark.parametrize("transcode", [False, True])
@pytest.mark.parametrize(("activation", "k"), [("topk", K), ("groupmax", 8)])
def test_sparsify(tmp_path, activation, k, transcode, skip):
    cfg = {"activation": activation, "k": k, "transcode": transcode, "skip_connection": skip}
    path = layouts.write_sparsify(tmp_path / "layers.5", **cfg)
    tensors = layouts.sparsify_tensors()
    sae = load_dictionary(path)
    assert_encodes(sae, lambda x: layouts.sparsify_reference(tensors, x, k, activation, transcode=transcode))
    assert torch.equal(sae.decoder, tensors["W_dec"])
    assert sae.hook_name == (None if transcode else "blocks.5.hook_resid_post")
    assert load_dictionary(path / "sae.safetensors").fingerprint() == sae.fingerprint()
    json.dumps(sae.describe())


@pytest.mark.parametrize("signed", [False, True])
def test_signed_sparsify(tmp_path, signed):
    sae = load_dictionary(layouts.write_sparsify(tmp_path / "layers.5", signed=signed))
    tensors = layouts.sparsify_tensors()
    assert_encodes(sae, lambda x: layouts.sparsify_reference(tensors, x, K, "topk", transcode=False, signed=signed))
    assert bool((sae.encode_dense(inputs()) < 0).any()) == signed


def test_sparsify_older_configurations(tmp_path):
    path = layouts.write_sparsify(tmp_path / "layers.5.mlp")
    old = {"expansion_factor": 4, "normalize_decoder": True, "num_latents": 0, "k": K, "signed": False, "d_in": D_IN}
    tensors = {name: t[: 4 * D_IN] if name != "b_dec" else t for name, t in layouts.sparsify_tensors().items()}
    save_file({name: t.contiguous() for name, t in tensors.items()}, path / "sae.safetensors")
    (path / "cfg.json").write_text(json.dumps(old))
    sae = load_dictionary(path)
    assert torch.equal(
        sae.encode_dense(inputs()), layouts.sparsify_reference(tensors, inputs(), K, "topk", transcode=False)
    )
    assert (sae.d_sae, sae.hook_name, sae.describe()["metadata"]["hookpoint"]) == (96, None, "layers.5.mlp")


def test_gemma_scope(tmp_path):
    folder = tmp_path / "gemma-scope-2b-pt-res" / "layer_20" / "width_16k" / "average_l0_71"
    path = layouts.write_gemma_scope(folder)
    tensors = layouts.gemma_scope_tensors()
    sae = load_dictionary(path)
    assert_encodes(sae, lambda x: layouts.gemma_scope_reference(tensors, x))
    assert torch.equal(sae.decoder, tensors["W_dec"])
    assert sae.hook_name == "blocks.20.hook_resid_post"
    assert load_dictionary(layouts.write_gemma_scope(tmp_path / "other")).hook_name is None
    assert load_dictionary(path / "params.npz").fingerprint() == sae.fingerprint()


@pytest.mark.parametrize("tied", [False, True])
@pytest.mark.parametrize("activation", ["TopK", "TopK, Identity", "Identity", "ReLU", None])
def test_openai(tmp_path, activation, tied):
    entries = layouts.openai_entries(activation, tied=tied)
    sae = load_dictionary(layouts.write_openai(tmp_path / "autoencoder.pt", entries))
    topk = str(activation).startswith("TopK")  # divides by the standard deviation first
    assert_encodes(sae, lambda x: layouts.openai_reference(entries, x, activation), exact=not topk)
    directions = entries["encoder.weight"] if tied else entries["decoder.weight"].T
    assert torch.equal(sae.decoder, directions)
    x = inputs()
    scale = sae.output_scale(x)
    if topk:
        torch.testing.assert_close(scale, x.std(dim=-1))
    else:
        assert scale is None


@pytest.mark.parametrize("suffix", [".safetensors", ".npz", ".pt"])
@pytest.mark.parametrize("kind", ["relu", "threshold", "one threshold", "k"])
@pytest.mark.parametrize("shifts", [True, False])
def test_plain_tensors(tmp_path, suffix, kind, shifts):
    tensors = layouts.gemma_scope_tensors()
    threshold = tensors.pop("threshold")

    def pre(x):
        return (x - tensors["b_dec"] if shifts else x) @ tensors["W_enc"] + tensors["b_enc"]

    extra, reference = {
        "relu": ({}, lambda x: torch.relu(pre(x))),
        "threshold": ({"threshold": threshold}, lambda x: torch.relu(pre(x)) * (pre(x) > threshold)),
        "one threshold": ({"threshold": torch.tensor(2.0)}, lambda x: torch.relu(pre(x)) * (pre(x) > 2.0)),
        "k": ({"k": torch.tensor(5)}, lambda x: topk(pre(x), 5)),
    }[kind]
    file = tmp_path / f"weights{suffix}"
    if suffix == ".npz":
        layouts.write_gemma_scope(tmp_path, tensors | extra)
        (tmp_path / "params.npz").rename(file)
    elif suffix == ".pt":
        torch.save(tensors | extra, file)
    else:
        save_file(tensors | extra, file)
    sae = load_dictionary(file, format="tensors", apply_b_dec_to_input=shifts)
    assert_encodes(sae, reference)
    in_memory = from_tensors(tensors | extra, TensorOptions(apply_b_dec_to_input=shifts, hook_name="hook_embed"))
    assert in_memory.fingerprint() == sae.fingerprint()
    assert in_memory.hook_name == "hook_embed"
    assert torch.equal(sae.decoder, tensors["W_dec"])


def topk(pre, k):
    values, indices = torch.topk(pre, k, dim=-1, sorted=False)
    return torch.zeros_like(pre).scatter_(-1, indices, torch.relu(values))


def test_one_dictionary_has_one_fingerprint_whatever_file_it_came_from(tmp_path):
    tensors = layouts.gemma_scope_tensors()
    gemma = load_dictionary(layouts.write_gemma_scope(tmp_path / "gemma"))
    library = load_dictionary(layouts.write_dictionary_learning(tmp_path / "dl", "JumpReluAutoEncoder", tensors))
    made = checkpoint("jumprelu", D_IN, D_SAE, apply_b_dec_to_input=False)
    made.weights = tensors
    lens = load_sae(made.write(tmp_path / "lens"))
    plain = from_tensors(tensors, TensorOptions(apply_b_dec_to_input=False))
    assert len({sae.fingerprint() for sae in (gemma, library, lens, plain)}) == 1

    coder = layouts.sparsify_tensors()
    sparsify = load_dictionary(layouts.write_sparsify(tmp_path / "sparsify"))
    names = {"encoder.weight": coder["encoder.weight"], "encoder.bias": coder["encoder.bias"], "b_dec": coder["b_dec"]}
    as_topk = names | {"decoder.weight": coder["W_dec"].T, "k": torch.tensor(K)}
    library = load_dictionary(layouts.write_dictionary_learning(tmp_path / "topk", "AutoEncoderTopK", as_topk))
    made = checkpoint("topk", D_IN, D_SAE, k=K)
    made.weights = {
        "W_enc": coder["encoder.weight"].T,
        "b_enc": coder["encoder.bias"],
        "W_dec": coder["W_dec"],
        "b_dec": coder["b_dec"],
    }
    lens = load_sae(made.write(tmp_path / "topk-lens"))
    assert len({sae.fingerprint() for sae in (sparsify, library, lens)}) == 1
    assert sparsify.fingerprint() != gemma.fingerprint()
    groups = load_dictionary(layouts.write_sparsify(tmp_path / "groups", activation="groupmax", k=8))
    eight = load_dictionary(layouts.write_sparsify(tmp_path / "eight", k=8))
    assert len({sparsify.fingerprint(), groups.fingerprint(), eight.fingerprint()}) == 3


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_computation_in_half_precision_breaks_ties_as_the_library_does(tmp_path, dtype):
    """In half precision pre-activations are often equal at the k-th place."""
    tensors = {name: t.to(dtype) for name, t in layouts.sparsify_tensors().items()}
    sae = load_dictionary(layouts.write_sparsify(tmp_path / "a", tensors), dtype=dtype)
    x = inputs().to(dtype)
    expected = layouts.sparsify_reference(tensors, x, K, "topk", transcode=False)
    assert torch.equal(sae.encode_dense(x), expected)
    assert same(sae.encode(x), dense_to_codes(expected))


def test_equal_features_are_chosen_between_as_each_library_chooses(tmp_path):
    coder = layouts.sparsify_tensors()
    coder["encoder.weight"] = coder["encoder.weight"][: D_SAE // 8].repeat(8, 1)
    coder["encoder.bias"] = coder["encoder.bias"][: D_SAE // 8].repeat(8)
    sae = load_dictionary(layouts.write_sparsify(tmp_path / "a", coder))
    assert_encodes(sae, lambda x: layouts.sparsify_reference(coder, x, K, "topk", transcode=False))
    assert sae._activation == TopK(K, relu_first=True)
    openai = load_dictionary(layouts.write_openai(tmp_path / "o.pt"))
    assert openai._activation == TopK(K, ordered=True)  # `torch.topk(pre, k)`; what each option chooses: test_encode.py


def test_weights_stored_in_half_precision_are_widened(tmp_path):
    tensors = {name: t.bfloat16() for name, t in layouts.sparsify_tensors().items()}
    sae = load_dictionary(layouts.write_sparsify(tmp_path / "a", tensors))
    wide = {name: t.float() for name, t in tensors.items()}
    assert_encodes(sae, lambda x: layouts.sparsify_reference(wide, x, K, "topk", transcode=False))
    assert sae.describe()["stored_dtype"] == "bfloat16"
