"""The owning library writes, we read and index: activations are those of its own ``encode``.

Weights and inputs are binary fractions, so they are compared bit for bit on any machine, however products are split
and wherever their operands lie in memory; the one class that divides by norms is compared within a bound.
Skipped where a library is not installed; `make test-libraries` installs them. Run against dictionary-learning 0.1.0,
eai-sparsify 1.3.3 and (for the Gemma Scope tutorial's class) eai-delphi 0.1.3; OpenAI's package is not on PyPI.
"""

from __future__ import annotations

import importlib
import inspect
import json

import pytest
import torch

from sae_vis.saes.dictionary_learning_format import TENSORS
from sae_vis.saes.formats import load_dictionary
from sae_vis.saes.module import from_module
from tests.kernels import binary
from tests.libraries import library
from tests.saes import layouts
from tests.saes.compare import assert_activations, assert_equal, clear
from tests.saes.indexing import assert_indexed
from tests.saes.layouts import D_IN, D_SAE, inputs

pytestmark = pytest.mark.filterwarnings("ignore")
ROWS = (1, 2, 7, 64, 300, 1024)
PLACES = 6  # with the 4 of the inputs, sums of 512 products below 2^13 are exact in float32


def randomised(module, size=0.3):
    generator = torch.Generator().manual_seed(0)
    for name, tensor in module.state_dict(keep_vars=True).items():
        if name in ("k", "group_sizes"):
            continue
        drawn = binary(size * torch.randn(tensor.shape, generator=generator), PLACES)
        tensor.data.copy_(drawn.abs() if name == "threshold" else drawn)  # into the library's own memory layout
    return module


def assert_same_encoder(ours, encode, d_in=D_IN, *, exact=True):
    for n in ROWS:
        expected = assert_activations(ours, encode, 2 * inputs(n, d_in), exact=exact)
    assert (expected > 0).any()


def class_named(name):
    library("dictionary_learning")
    for module in ("dictionary", "trainers.top_k", "trainers.batch_top_k", "trainers.matryoshka_batch_top_k"):
        found = getattr(importlib.import_module(f"dictionary_learning.{module}"), name, None)
        if found is not None:
            return found
    raise AssertionError(name)


@pytest.mark.parametrize("sizes", [(D_IN, D_SAE), (512, 4096)])
@pytest.mark.parametrize("name", sorted(TENSORS))
def test_dictionary_learning(tmp_path, name, sizes):
    made = class_named(name)
    options = {"k": 7} if "k" in inspect.signature(made).parameters else {}
    if name.startswith("Matryoshka"):
        options["group_sizes"] = [sizes[1] // 4, sizes[1] - sizes[1] // 4]
    torch.save(randomised(made(*sizes, **options), 1.5 / sizes[0] ** 0.5).state_dict(), tmp_path / "ae.pt")
    trainer = {"dict_class": name, "activation_dim": sizes[0], "dict_size": sizes[1], "layer": 3}
    (tmp_path / "config.json").write_text(json.dumps({"trainer": trainer | ({"k": 7} if options else {})}))
    theirs = made.from_pretrained(tmp_path / "ae.pt")
    ours = load_dictionary(tmp_path)
    exact = name != "AutoEncoder"  # decoder directions are scaled to norm 1
    assert_same_encoder(ours, theirs.encode, sizes[0], exact=exact)
    assert_indexed(ours, theirs.encode, exact=exact)
    directions = theirs.W_dec if hasattr(theirs, "W_dec") else theirs.decoder.weight.T
    assert torch.equal(ours.decoder, directions.detach())
    x = inputs(40, sizes[0])
    adds = theirs.decode(theirs.encode(x)) - theirs.decode(torch.zeros(1, sizes[1]))
    torch.testing.assert_close(ours.encode_dense(x) @ ours.decoder, adds.detach(), rtol=1e-3, atol=1e-3)
    as_module = from_module(theirs)
    assert_equal(as_module.encode_dense(x), ours.encode_dense(x), None if exact else clear(theirs.encode, x))
    torch.testing.assert_close(as_module.decoder, ours.decoder)


def scattered(encoded, d_sae):
    zeros = encoded.top_acts.new_zeros(encoded.top_acts.shape[0], d_sae)
    return zeros.scatter_(1, encoded.top_indices, encoded.top_acts)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("transcode", [False, True])
@pytest.mark.parametrize("activation", ["topk", "groupmax"])
@pytest.mark.parametrize(("d_in", "d_sae"), [(D_IN, D_SAE), (512, 4096)])
def test_sparsify(tmp_path, activation, transcode, dtype, d_in, d_sae):
    sparsify = library("sparsify")
    cfg = sparsify.SparseCoderConfig(
        activation=activation, num_latents=d_sae, k=8, transcode=transcode, skip_connection=transcode
    )
    randomised(sparsify.SparseCoder(d_in, cfg, dtype=dtype)).save_to_disk(tmp_path / "layers.2")
    theirs = sparsify.SparseCoder.load_from_disk(tmp_path / "layers.2")
    ours = load_dictionary(tmp_path / "layers.2", dtype=dtype)
    assert_same_encoder(ours, lambda x: scattered(theirs.encode(x.to(dtype)), d_sae), d_in)
    assert_indexed(ours, lambda x: scattered(theirs.encode(x.to(dtype)), d_sae))
    assert torch.equal(ours.decoder, theirs.W_dec.detach().float())
    x = inputs(40, d_in).to(dtype)
    as_module = from_module(theirs)
    assert torch.equal(as_module.encode_dense(x), ours.encode_dense(x))


def test_gemma_scope(tmp_path):
    library("delphi")
    theirs = importlib.import_module("delphi.sparse_coders.custom.gemmascope").JumpReluSae(D_IN, D_SAE)
    theirs.load_state_dict(layouts.gemma_scope_tensors())
    ours = load_dictionary(layouts.write_gemma_scope(tmp_path))
    assert_same_encoder(ours, theirs.encode)
    assert_indexed(ours, theirs.encode)
    assert torch.equal(ours.decoder, theirs.W_dec.detach())


def test_dictionary_learning_as_sae_lens_reads_it(tmp_path):
    """Another library, another memory layout: close, not equal in every bit."""
    library("sae_lens")
    sae = importlib.import_module("sae_lens").JumpReLUSAE
    cfg = importlib.import_module("sae_lens").JumpReLUSAEConfig(d_in=D_IN, d_sae=D_SAE, apply_b_dec_to_input=False)
    theirs = sae(cfg)
    tensors = layouts.dictionary_learning_tensors("JumpReluAutoEncoder")
    theirs.load_state_dict(tensors)
    ours = load_dictionary(layouts.write_dictionary_learning(tmp_path, "JumpReluAutoEncoder"))
    torch.testing.assert_close(ours.encode_dense(inputs()), theirs.encode(inputs()).detach())
