"""circuit-tracer and SAELens read or write the newer layouts, we read them: activations are those of their ``encode``.

Run against circuit-tracer 0.5.0 and SAELens 6.54.12. Weights and inputs are binary fractions, so activations are equal
to the last bit in whatever order each side adds. The decoders' sums are compared within a bound.
"""

from __future__ import annotations

import importlib

import pytest
import torch

from sae_vis.saes.base import dense_to_codes
from sae_vis.saes.formats import load_dictionary
from tests.libraries import library
from tests.saes.fractions import fractions
from tests.saes.indexing import assert_indexed
from tests.saes.test_newer_formats import (
    D_SAE,
    QWEN,
    TRACER,
    D,
    K,
    gemma_config,
    gemma_tensors,
    write_gemma,
    write_qwen,
    x_of,
)

pytestmark = pytest.mark.filterwarnings("ignore")
N = 3


def assert_same(ours, encode):
    x = x_of(300)
    with torch.no_grad():
        expected = encode(x)
    assert torch.equal(ours.encode_dense(x), expected)
    assert all(torch.equal(a, b) for a, b in zip(ours.encode(x), dense_to_codes(expected), strict=True))
    assert (expected != 0).any()
    assert_indexed(ours, encode)


def tracer(module):
    library("circuit_tracer")
    return importlib.import_module(f"circuit_tracer.transcoder.{module}")


@pytest.mark.parametrize("skip", [False, True])
@pytest.mark.parametrize("kind", ["relu", "jumprelu"])
def test_a_set_of_transcoders_that_circuit_tracer_writes(tmp_path, kind, skip):
    single, functions = tracer("single_layer_transcoder"), tracer("activation_functions")
    made = {}
    for layer in range(N):
        function = torch.nn.functional.relu
        if kind == "jumprelu":
            function = functions.JumpReLU(fractions(D_SAE, seed=layer + 9).abs())
        theirs = single.SingleLayerTranscoder(
            D, D_SAE, function, layer, skip_connection=skip, device=torch.device("cpu"), dtype=torch.float32
        )
        for seed, name in enumerate(("W_enc", "W_dec", "b_enc", "b_dec", *(["W_skip"] if skip else []))):
            parameter = getattr(theirs, name)
            parameter.data = fractions(*parameter.shape, seed=10 * layer + seed)
        made[layer] = theirs
    single.TranscoderSet(made, "mlp.hook_in", "hook_mlp_out").to_safetensors(str(tmp_path))
    (tmp_path / "config.yaml").write_text(TRACER)
    read = single.load_transcoder_set(
        {layer: str(tmp_path / f"layer_{layer}.safetensors") for layer in range(N)},
        scan="here",
        feature_input_hook="mlp.hook_in",
        feature_output_hook="hook_mlp_out",
        device=torch.device("cpu"),
    )
    for layer in range(N):
        ours = load_dictionary(tmp_path, subfolder=f"layer_{layer}.safetensors")
        assert_same(ours, read[layer].encode)
        x = x_of()
        with torch.no_grad():
            acts = read[layer].encode(x)
            adds = read[layer].decode(acts, x) - read[layer].decode(0 * acts, x)
        torch.testing.assert_close(acts @ ours.decoder, adds, rtol=1e-4, atol=1e-3)
        assert ours.hook_name == f"blocks.{layer}.{read.feature_input_hook}"
        assert ours.hook_name_out == f"blocks.{layer}.{read.feature_output_hook}"


@pytest.mark.parametrize("kind", ["relu", "jump_relu"])
def test_a_cross_layer_transcoder_that_circuit_tracer_writes(tmp_path, kind):
    cross = tracer("cross_layer_transcoder")
    theirs = cross.CrossLayerTranscoder(
        N, D_SAE, D, kind, lazy_decoder=False, device=torch.device("cpu"), dtype=torch.float32
    )
    for seed, (name, parameter) in enumerate(theirs.named_parameters()):
        drawn = fractions(*parameter.shape, seed=seed)
        parameter.data = drawn.abs() if "threshold" in name else drawn
    theirs.to_safetensors(str(tmp_path))
    read = cross.load_clt(str(tmp_path), device=torch.device("cpu"), dtype=torch.float32, lazy_decoder=False)
    x = fractions(30, N, D, seed=5)
    with torch.no_grad():
        acts = read.encode(x.transpose(0, 1))
        rebuilt = read.decode(acts) - read.b_dec[:, None]
    total = torch.zeros(N, 30, D)
    for layer in range(N):
        ours = load_dictionary(tmp_path, subfolder=f"W_enc_{layer}.safetensors")
        assert torch.equal(ours.encode_dense(x[:, layer]), acts[layer])
        assert_same(ours, lambda x, layer=layer: read.encode_layer(x, layer))
        total[layer:] += (acts[layer] @ ours.decoder).unflatten(1, (N - layer, D)).transpose(0, 1)
        assert ours.hook_name == f"blocks.{layer}.{read.feature_input_hook}"
    torch.testing.assert_close(total, rebuilt, rtol=1e-4, atol=1e-3)


@pytest.mark.parametrize("skip", [False, True])
def test_gemma_scope_2_as_circuit_tracer_reads_it(tmp_path, skip):
    single = tracer("single_layer_transcoder")
    config = gemma_config("transcoder", affine_connection=skip)
    folder = write_gemma(tmp_path, gemma_tensors(skip=skip), config)
    theirs = single.load_gemma_scope_2_transcoder(
        str(folder / "params.safetensors"), layer=17, device=torch.device("cpu")
    )
    ours = load_dictionary(folder)
    assert_same(ours, theirs.encode)
    x = x_of()
    with torch.no_grad():
        acts = theirs.encode(x)
        adds = theirs.decode(acts, x) - theirs.decode(0 * acts, x)
    torch.testing.assert_close(acts @ ours.decoder, adds, rtol=1e-4, atol=1e-3)


def test_a_gemma_scope_2_cross_layer_transcoder_as_circuit_tracer_reads_it(tmp_path):
    """Its loader leaves out the last file that it is given (``range(max(paths))``): one more is given to it."""
    cross = tracer("cross_layer_transcoder")
    paths = {}
    for i in range(N):
        w = gemma_tensors(layers=N, seed=10 * i)
        w["w_dec"][:, :i] = 0
        write_gemma(tmp_path, w, None, f"params_layer_{i}.safetensors")
        paths[i] = str(tmp_path / f"params_layer_{i}.safetensors")
    theirs = cross.load_gemma_scope_2_clt(paths | {N: ""}, device=torch.device("cpu"), dtype=torch.float32)
    x = fractions(30, N, D, seed=5)
    with torch.no_grad():
        acts = theirs.encode(x.transpose(0, 1))
        rebuilt = theirs.decode(acts) - theirs.b_dec[:, None]
    total = torch.zeros(N, 30, D)
    for i in range(N):
        ours = load_dictionary(tmp_path, subfolder=f"params_layer_{i}.safetensors")
        assert torch.equal(ours.encode_dense(x[:, i]), acts[i])
        total[i:] += (acts[i] @ ours.decoder).unflatten(1, (N - i, D)).transpose(0, 1)
    torch.testing.assert_close(total, rebuilt, rtol=1e-4, atol=1e-3)


class Shelf:
    """Stands for the hub: a repository's files are those of a folder."""

    def __init__(self, monkeypatch, root):
        loaders = importlib.import_module("sae_lens.loading.pretrained_sae_loaders")
        monkeypatch.setattr(loaders, "hf_hub_download", self._file)
        monkeypatch.setattr(loaders, "get_safetensors_tensor_shapes", self._shapes)
        self.root, self.loaders = root, loaders

    def _file(self, repo_id, filename, subfolder=None, **_):
        path = self.root / (subfolder or "") / filename
        if not path.is_file():
            raise self.loaders.EntryNotFoundError("not there")
        return str(path)

    def _shapes(self, repo_id, filename):
        found = importlib.import_module("safetensors.torch").load_file(self.root / filename)
        return {name: list(tensor.shape) for name, tensor in found.items()}

    def sae(self, loader, repo_id, folder):
        cfg, weights, _ = getattr(self.loaders, loader)(repo_id, folder, "cpu", False, None)
        cfg = self.loaders.handle_config_defaulting(cfg)
        sae_class = importlib.import_module("sae_lens").SAE
        made = sae_class.from_dict(cfg)
        made.load_state_dict(weights)
        return made


@pytest.mark.parametrize("configured", [True, False])
@pytest.mark.parametrize("site", ["resid_post", "mlp_out", "attn_out", "transcoder"])
def test_gemma_scope_2_as_sae_lens_reads_it(tmp_path, monkeypatch, site, configured):
    library("sae_lens")
    skip = site == "transcoder"
    name = f"{site}_all/layer_17_width_16k_l0_big{'_affine' if skip else ''}"
    config = gemma_config(site, affine_connection=skip) if configured else None
    write_gemma(tmp_path / name, gemma_tensors(skip=skip), config)
    theirs = Shelf(monkeypatch, tmp_path).sae("gemma_3_sae_huggingface_loader", "google/gemma-scope-2-4b-pt", name)
    ours = load_dictionary(tmp_path, subfolder=name)
    assert_same(ours, lambda x: theirs.encode(x[:, None])[:, 0])
    assert torch.equal(ours.decoder, theirs.W_dec.detach())
    hook = theirs.cfg.metadata.hook_name
    if skip:  # SAELens calls it hook_mlp_in, the stream before the norm; the file says: what the norm gives the MLP
        assert theirs.cfg.metadata.hf_hook_name == "model.layers.17.pre_feedforward_layernorm.output"
        hook = "blocks.17.mlp.hook_in"
        assert ours.hook_name_out == theirs.cfg.metadata.hook_name_out
    assert ours.hook_name == hook


def test_qwen_scope_as_sae_lens_reads_it(tmp_path, monkeypatch):
    """SAELens takes sizes from the repository's name: here they are put right after that."""
    library("sae_lens")
    write_qwen(tmp_path, config=QWEN)
    shelf = Shelf(monkeypatch, tmp_path)
    monkeypatch.setattr(shelf.loaders, "_parse_qwen_scope_repo_id", lambda repo_id: ("Qwen3-1.7B-Base", D_SAE, K))
    monkeypatch.setitem(shelf.loaders.QWEN_SCOPE_MODEL_INFO, "Qwen3-1.7B-Base", ("Qwen/Qwen3-1.7B-Base", D))
    theirs = shelf.sae("qwen_scope_sae_huggingface_loader", "Qwen/any", "layer5.sae.pt")
    ours = load_dictionary(tmp_path / "layer5.sae.pt")
    assert_same(ours, theirs.encode)
    assert torch.equal(ours.decoder, theirs.W_dec.detach())
    assert ours.hook_name == theirs.cfg.metadata.hook_name
