"""Crosscoders and cross-layer transcoders: their arithmetic written out, and the layouts that are read."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose
from safetensors.torch import save_file
from torch import Tensor

from sae_vis.effects.decoder_norms import DecoderNorms, cosines, relative_norms
from sae_vis.errors import CheckpointError, InputError
from sae_vis.saes.base import Endpoint
from sae_vis.saes.crosscoder import CrosscoderOptions, CrosscoderPlaces, from_crosscoder_tensors
from sae_vis.saes.crosscoder_formats import clt_layers, load_clt_layer, load_crosscoder
from sae_vis.saes.formats import as_dictionary, load_dictionary
from tests.kernels import binary

N, D, D_SAE = 3, 6, 20


def drawn(*shape: int, seed: int) -> Tensor:
    return binary(torch.randn(*shape, generator=torch.Generator().manual_seed(seed)))


def tensors(n_reads: int = N, n_writes: int = N) -> dict[str, Tensor]:
    made = {"W_enc": drawn(n_reads, D, D_SAE, seed=1), "W_dec": drawn(D_SAE, n_writes, D, seed=2)}
    return made | {"b_enc": drawn(D_SAE, seed=3), "b_dec": drawn(n_writes, D, seed=4)}


def x_of(n_reads: int = N) -> Tensor:
    return drawn(30, n_reads, D, seed=5)


@pytest.mark.parametrize("scaled", [False, True])
@pytest.mark.parametrize("kind", ["relu", "threshold", "k"])
def test_encode_is_the_sum_over_places(kind, scaled) -> None:
    weights: dict[str, Tensor | float] = dict(tensors())
    scale = torch.tensor([0.5, 2.0, 1.5]) if scaled else torch.ones(N)
    weights |= {"scale": scale} if scaled else {}
    weights |= {"threshold": {"threshold": 0.7}, "k": {"k": 4}}.get(kind, {})
    sae = from_crosscoder_tensors(weights)
    x = x_of()
    scaled_x = (x * scale[:, None]).double()
    pre = torch.einsum("nrd,rdf->nf", scaled_x, weights["W_enc"].double()) + weights["b_enc"].double()
    expected = torch.relu(pre) * (pre > 0.7) if kind == "threshold" else torch.relu(pre)
    if kind == "k":
        best = torch.topk(pre, 4, dim=1)
        expected = torch.zeros_like(pre).scatter(1, best.indices, torch.relu(best.values))
    assert_allclose(sae.encode_dense(x.flatten(1)), expected, atol=1e-5)
    codes = sae.encode(x.flatten(1))
    dense = sae.encode_dense(x.flatten(1))
    assert codes.acts.tolist() == dense[dense != 0].tolist()
    reconstructed = torch.einsum("nf,frd->nrd", expected, weights["W_dec"].double()) / scale[:, None]
    assert_allclose((expected @ sae.decoder.double()).view(30, N, D), reconstructed, atol=1e-5)
    assert_allclose(sae.decoder_norms, weights["W_dec"].norm(dim=-1), rtol=1e-6)
    assert sae.output_scale(x.flatten(1)) is None


def test_places_and_fingerprint() -> None:
    places = CrosscoderPlaces(reads=["a", "b", "c"], models=[0, 0, 1])
    sae = from_crosscoder_tensors(tensors(), CrosscoderOptions(places=places))
    assert sae.reads == sae.writes == (Endpoint("a", D, 0), Endpoint("b", D, 0), Endpoint("c", D, 1))
    assert not sae.writes_elsewhere
    assert sae.describe()["reads"][2] == {"hook_name": "c", "model": 1, "d": D}
    unnamed = from_crosscoder_tensors(tensors())
    assert [end.hook_name for end in unnamed.reads] == [None] * N
    one_model = from_crosscoder_tensors(tensors(), CrosscoderOptions(places=CrosscoderPlaces(reads=["a", "b", "c"])))
    assert one_model.fingerprint() == unnamed.fingerprint() != sae.fingerprint()
    scaled = from_crosscoder_tensors({**tensors(), "scale": torch.ones(N)})
    assert scaled.fingerprint() != unnamed.fingerprint()
    assert as_dictionary(sae) is sae


def test_one_place_read_several_written() -> None:
    places = CrosscoderPlaces(reads=["in"], writes=["a", "b", "c"])
    sae = from_crosscoder_tensors(tensors(1, 3), CrosscoderOptions(places=places))
    assert sae.writes_elsewhere
    assert [end.hook_name for end in sae.reads] == ["in"]
    assert [end.hook_name for end in sae.writes] == ["a", "b", "c"]
    assert sae.hook_name == "in"
    with pytest.raises(InputError, match="reads 1 places and writes 3: say where it writes"):
        from_crosscoder_tensors(tensors(1, 3))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"W_enc": torch.zeros(D, D_SAE)}, r"W_enc of a crosscoder is \[n_reads, d_in, d_sae\]; found .*\[6, 20\]"),
        ({"W_dec": torch.zeros(D_SAE, D)}, r"W_dec of a crosscoder is \[d_sae, n_writes, d_out\]; found .*\[20, 6\]"),
        ({"b_enc": torch.zeros(3)}, r"b_enc has shape \[3\]; expected \[20\]"),
        ({"b_dec": torch.zeros(D)}, r"b_dec has shape \[6\]; expected \[3, 6\]"),
        ({"scale": torch.tensor([1.0, -1.0, 1.0])}, "scale must be positive; found -1"),
        ({"scale": torch.ones(2)}, r"scale has shape \[2\]; expected \[3\]"),
        ({"k": 3, "threshold": 0.1}, r"both k \(TopK\) and threshold"),
        ({"W_skip": torch.zeros(1)}, r"unexpected: \['W_skip'\]"),
        ({"W_enc": torch.full((N, D, D_SAE), torch.nan)}, "W_enc holds 360 values that are NaN"),
    ],
)
def test_tensors_that_do_not_fit(change, message) -> None:
    with pytest.raises(CheckpointError, match=message):
        from_crosscoder_tensors({**tensors(), **change})


def test_places_that_do_not_fit() -> None:
    for places in (CrosscoderPlaces(reads=["a", "b"]), CrosscoderPlaces(models=[0, 1])):
        with pytest.raises(InputError, match="the crosscoder reads 3 places, but 2"):
            from_crosscoder_tensors(tensors(), CrosscoderOptions(places=places))


# Norms


def test_norms_and_cosines_are_their_definitions() -> None:
    weights = tensors()
    weights["W_dec"][5, 1] = 0
    sae = from_crosscoder_tensors({**weights, "scale": torch.tensor([0.5, 2.0, 1.5])})
    columns = DecoderNorms(sae).columns(2, 9)
    norms, alike = (np.array(columns[name].to_pylist()) for name in ("decoder_norms", "decoder_cosines"))
    d = weights["W_dec"].double().numpy()
    for row, feature in enumerate(range(2, 9)):
        assert_allclose(norms[row], [np.sqrt((d[feature, place] ** 2).sum()) for place in range(N)], rtol=1e-6)
        pairs = [(0, 1), (0, 2), (1, 2)]
        sizes = norms[row].clip(1e-30)
        expected = [d[feature, a] @ d[feature, b] / (sizes[a] * sizes[b]) for a, b in pairs]
        assert_allclose(alike[row], np.where(np.isfinite(expected), expected, 0), atol=1e-6)
    assert alike[3].tolist()[0] == 0.0
    assert cosines(sae.decoder, 3).shape == (D_SAE, 3)


def test_relative_norm_is_the_second_models_share() -> None:
    norms = np.array([[3, 1], [0, 2], [2, 0], [0, 0]], dtype=np.float32)
    assert relative_norms(norms, np.array([0, 1])).tolist()[:3] == [0.25, 1.0, 0.0]
    assert np.isnan(relative_norms(norms, np.array([0, 1]))[3])
    several = np.array([[3, 4, 5]], dtype=np.float32)  # |d_A| = 5 over two places
    assert relative_norms(several, np.array([0, 0, 1])).tolist() == [0.5]


# Layouts


def test_a_crosscoder_of_two_models_with_its_configuration(tmp_path) -> None:
    weights = tensors(2, 2)
    torch.save(weights, tmp_path / "cc_weights.pt")
    config = {"dict_size": D_SAE, "d_in": D, "hook_point": "blocks.14.hook_resid_pre", "enc_dtype": "fp32"}
    (tmp_path / "cfg.json").write_text(json.dumps(config))
    sae = load_crosscoder(tmp_path, scale=(0.25, 0.5))
    assert [(end.hook_name, end.model) for end in sae.reads] == [("blocks.14.hook_resid_pre", n) for n in (0, 1)]
    x = x_of(2)
    pre = torch.einsum("nmd,mdf->nf", x * torch.tensor([0.25, 0.5])[:, None], weights["W_enc"]) + weights["b_enc"]
    assert_allclose(sae.encode_dense(x.flatten(1)), torch.relu(pre), atol=1e-5)
    assert_allclose(sae.decoder.view(D_SAE, 2, D)[:, 1], weights["W_dec"][:, 1] / 0.5, rtol=1e-6)
    assert load_dictionary(tmp_path).fingerprint() == load_crosscoder(tmp_path).fingerprint()
    assert load_dictionary(tmp_path).describe()["format"] == "crosscoder"


@pytest.mark.parametrize("prefix", ["", "_orig_mod."])
def test_a_crosscoder_of_dictionary_learning(tmp_path, prefix) -> None:
    weights = tensors(2, 2)
    theirs = {
        "encoder.weight": weights["W_enc"],
        "encoder.bias": weights["b_enc"],
        "decoder.weight": weights["W_dec"].permute(1, 0, 2).contiguous(),
        "decoder.bias": weights["b_dec"],
    }
    torch.save({prefix + name: value for name, value in theirs.items()}, tmp_path / "cc.pt")
    sae = load_crosscoder(tmp_path / "cc.pt")
    x = x_of(2)
    f = torch.relu(torch.einsum("bld,ldf->blf", x, theirs["encoder.weight"]).sum(1) + theirs["encoder.bias"])
    assert_allclose(sae.encode_dense(x.flatten(1)), f, atol=1e-5)
    decoded = torch.einsum("bf,lfd->bld", f, theirs["decoder.weight"])
    assert_allclose((f @ sae.decoder).view(30, 2, D), decoded, atol=1e-4)
    assert [end.model for end in sae.reads] == [0, 1]
    assert (
        sae.fingerprint()
        == from_crosscoder_tensors(weights, CrosscoderOptions(places=CrosscoderPlaces(models=[0, 1]))).fingerprint()
    )


def test_an_sae_of_dictionary_learning_is_no_crosscoder(tmp_path) -> None:
    flat = {"encoder.weight": torch.zeros(8, D), "encoder.bias": torch.zeros(8), "decoder.weight": torch.zeros(D, 8)}
    torch.save({**flat, "decoder.bias": torch.zeros(D)}, tmp_path / "ae.pt")
    with pytest.raises(CheckpointError, match=r"decoder\.weight of a CrossCoder is \[n, d_sae, d\]"):
        load_crosscoder(tmp_path / "ae.pt")
    with pytest.raises(CheckpointError, match=r"has no crosscoder: expected one of cc_weights\.pt"):
        load_crosscoder(tmp_path)


def write_clt(folder, *, thresholds: bool = True) -> list[dict[str, Tensor]]:
    """Three layers, as circuit-tracer writes them."""
    layers = []
    for i in range(3):
        layer = {"W_enc": drawn(D_SAE, D, seed=10 + i), "b_enc": drawn(D_SAE, seed=20 + i)}
        layer |= {"b_dec": drawn(D, seed=30 + i), "W_dec": drawn(D_SAE, 3 - i, D, seed=40 + i)}
        if thresholds:
            layer["threshold"] = drawn(D_SAE, seed=50 + i).abs()
        save_file({f"{name}_{i}": layer[name] for name in layer if name != "W_dec"}, folder / f"W_enc_{i}.safetensors")
        save_file({f"W_dec_{i}": layer["W_dec"]}, folder / f"W_dec_{i}.safetensors")
        layers.append(layer)
    return layers


@pytest.mark.parametrize("thresholds", [True, False])
def test_a_layer_of_a_cross_layer_transcoder(tmp_path, thresholds) -> None:
    layers = write_clt(tmp_path, thresholds=thresholds)
    assert clt_layers(tmp_path) == 3
    for i, layer in enumerate(layers):
        sae = load_clt_layer(tmp_path, i)
        x = x_of(1)[:, 0]
        pre = torch.einsum("bd,fd->bf", x, layer["W_enc"]) + layer["b_enc"]
        acts = pre * (pre > layer["threshold"]) if thresholds else torch.relu(pre)
        assert_allclose(sae.encode_dense(x), acts, atol=1e-5)
        assert torch.equal(sae.decoder.view(D_SAE, 3 - i, D), layer["W_dec"])
        assert [end.hook_name for end in sae.reads] == [f"blocks.{i}.hook_resid_mid"]
        assert [end.hook_name for end in sae.writes] == [f"blocks.{later}.hook_mlp_out" for later in range(i, 3)]
    (tmp_path / "config.yaml").write_text(
        'model_kind: cross_layer_transcoder\nfeature_input_hook: "ln2.hook_normalized"  # before the gain\n'
        "feature_output_hook: mlp.hook_out\n"
    )
    sae = load_clt_layer(tmp_path, 2)
    assert (sae.reads[0].hook_name, sae.writes[0].hook_name) == (
        "blocks.2.ln2.hook_normalized",
        "blocks.2.mlp.hook_out",
    )


def test_layers_that_are_not_there_or_do_not_fit(tmp_path) -> None:
    with pytest.raises(CheckpointError, match="has no cross-layer transcoder: expected W_enc_0"):
        clt_layers(tmp_path)
    layers = write_clt(tmp_path)
    with pytest.raises(CheckpointError, match="has 3 layers, 0 to 2; there is no layer 3"):
        load_clt_layer(tmp_path, 3)
    save_file({"W_dec_1": layers[0]["W_dec"]}, tmp_path / "W_dec_1.safetensors")
    with pytest.raises(CheckpointError, match=r"W_dec_1 has shape \[20, 3, 6\]; expected \[d_sae, 2, d_model\]"):
        load_clt_layer(tmp_path, 1)
    names = {f"{name}_2": layers[2][name] for name in ("W_enc", "b_enc", "b_dec")}
    save_file({**names, "threshold_2": -layers[2]["threshold"]}, tmp_path / "W_enc_2.safetensors")
    with pytest.raises(CheckpointError, match="threshold_2 is below zero"):
        load_clt_layer(tmp_path, 2)
    (tmp_path / "W_enc_1.safetensors").unlink()
    with pytest.raises(CheckpointError, match=r"found layers \[0, 2\]"):
        clt_layers(tmp_path)


def test_no_code_is_run(tmp_path) -> None:
    class Evil:
        def __reduce__(self) -> tuple:
            return (print, ("never",))

    torch.save({"W_enc": Evil()}, tmp_path / "cc_weights.pt")
    with pytest.raises(CheckpointError, match="could run code"):
        load_crosscoder(tmp_path)
