"""Gemma Scope 2, Qwen Scope, circuit-tracer: each layout written out, read, and held to its formula in plain PyTorch.

Weights and inputs are binary fractions, so activations are compared to the last bit. `test_newer_formats_against_\
libraries.py` compares with the libraries that own the layouts.
"""

from __future__ import annotations

import json

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor

from sae_vis.errors import CheckpointError
from sae_vis.saes.activations import JumpReLU, SignedTopK, WeightedThreshold
from sae_vis.saes.base import Dictionary, dense_to_codes
from sae_vis.saes.formats import load_dictionary
from tests.saes.fractions import fractions
from tests.saes.indexing import assert_indexed

D, D_SAE, N, K = 24, 512, 3, 7


def x_of(n: int = 40) -> Tensor:
    return fractions(n, D, seed=9)


def assert_encodes(sae: Dictionary, encode, *, index: bool = True) -> None:
    """Dense, sparse and indexed activations are those of the formula, to the last bit; something fires."""
    x = x_of()
    expected = encode(x)
    assert torch.equal(sae.encode_dense(x), expected)
    assert all(torch.equal(a, b) for a, b in zip(sae.encode(x), dense_to_codes(expected), strict=True))
    assert (expected != 0).any()
    if index:
        assert_indexed(sae, encode)


# Gemma Scope 2


def gemma_tensors(*, layers: int = 0, skip: bool = False, d_out: int = D, seed: int = 0) -> dict[str, Tensor]:
    several = [layers] if layers else []
    made = {
        "w_enc": fractions(D, D_SAE, seed=seed + 1),
        "b_enc": fractions(D_SAE, seed=seed + 2),
        "w_dec": fractions(D_SAE, *several, d_out, seed=seed + 3),
        "b_dec": fractions(d_out, seed=seed + 4),
        "threshold": fractions(D_SAE, seed=seed + 5).abs(),
    }
    return made | ({"affine_skip_connection": fractions(D, d_out, seed=seed + 6)} if skip else {})


def jump(w: dict[str, Tensor], x: Tensor) -> Tensor:
    pre = x @ w["w_enc"] + w["b_enc"]
    return (pre > w["threshold"]) * torch.relu(pre)


SITES = {
    "resid_post": ("sae", "output", "output", "hook_resid_post", None),
    "mlp_out": ("sae", "post_feedforward_layernorm.output", None, "hook_mlp_out", None),
    "attn_out": ("sae", "self_attn.o_proj.input", None, "attn.hook_z", None),
    "transcoder": (
        "transcoder",
        "pre_feedforward_layernorm.output",
        "post_feedforward_layernorm.output",
        "mlp.hook_in",
        "hook_mlp_out",
    ),
}


def gemma_config(site: str, **other: object) -> dict[str, object]:
    kind, reads, writes, *_ = SITES[site]
    made = {
        "type": kind,
        "hf_hook_point_in": f"model.layers.17.{reads}",
        "hf_hook_point_out": f"model.layers.17.{writes or reads}",
        "width": D_SAE,
        "model_name": "google/gemma-3-4b-pt",
        "architecture": "jump_relu",
        "l0": 150,
        "affine_connection": False,
    }
    return made | other


def write_gemma(folder, tensors: dict[str, Tensor], config: dict[str, object] | None, name="params.safetensors"):
    folder.mkdir(parents=True, exist_ok=True)
    save_file(tensors, folder / name)
    if config is not None:
        (folder / "config.json").write_text(json.dumps(config))
    return folder


@pytest.mark.parametrize("configured", [True, False])
@pytest.mark.parametrize("site", sorted(SITES))
def test_gemma_scope_2_of_one_layer(tmp_path, site, configured):
    skip = site == "transcoder"
    w = gemma_tensors(skip=skip)
    folder = tmp_path / "x" if configured else tmp_path / f"{site}_all" / "layer_17_width_16k_l0_big"
    write_gemma(folder, w, gemma_config(site, affine_connection=skip) if configured else None)
    sae = load_dictionary(folder)
    assert_encodes(sae, lambda x: jump(w, x))
    assert torch.equal(sae.decoder, w["w_dec"])
    *_, reads, writes = SITES[site]
    assert (sae.hook_name, sae.writes_elsewhere) == (f"blocks.17.{reads}", writes is not None)
    assert sae.hook_name_out == (None if writes is None else f"blocks.17.{writes}")
    assert sae.describe()["format"] == "gemma_scope_2"
    assert load_dictionary(folder / "params.safetensors").fingerprint() == sae.fingerprint()


def test_a_skip_connection_is_no_part_of_the_features(tmp_path):
    plain, skip = gemma_tensors(d_out=20), gemma_tensors(d_out=20, skip=True)
    config = gemma_config("transcoder")
    a = load_dictionary(write_gemma(tmp_path / "a", plain, config))
    b = load_dictionary(write_gemma(tmp_path / "b", skip, config | {"affine_connection": True}))
    assert a.fingerprint() == b.fingerprint()
    assert a.decoder.shape == (D_SAE, 20)


MULTI = {
    "crosscoder": ("{5,9,12}.output", "{5,9,12}.output", "hook_resid_post", "hook_resid_post", [5, 9, 12]),
    "clt": (
        "{all}.pre_feedforward_layernorm.output",
        "{all}.post_feedforward_layernorm.output",
        "mlp.hook_in",
        "hook_mlp_out",
        [0, 1, 2],
    ),
}


@pytest.mark.parametrize("configured", [True, False])
@pytest.mark.parametrize("kind", sorted(MULTI))
def test_gemma_scope_2_of_several_layers(tmp_path, kind, configured):
    reads, writes, hook_in, hook_out, layers = MULTI[kind]
    folder = tmp_path / kind / ("width_262k_l0_big" if kind == "clt" else "layer_5_9_12_width_65k_l0_medium")
    config = gemma_config("resid_post", type=kind, width=N * D_SAE) | {
        "hf_hook_point_in": f"model.layers.{reads}",
        "hf_hook_point_out": f"model.layers.{writes}",
    }
    all_w = []
    for i in range(N):
        w = gemma_tensors(layers=N, seed=10 * i)
        w["w_dec"][:, :i] = 0
        write_gemma(folder, w, config if configured else None, f"params_layer_{i}.safetensors")
        all_w.append(w)
    x = fractions(30, N, D, seed=9)
    total = 0.0
    for i, w in enumerate(all_w):
        sae = load_dictionary(folder, subfolder=f"params_layer_{i}.safetensors")
        assert torch.equal(sae.encode_dense(x[:, i]), jump(w, x[:, i]))
        assert [end.hook_name for end in sae.reads] == [f"blocks.{layers[i]}.{hook_in}"]
        assert [end.hook_name for end in sae.writes] == [f"blocks.{layer}.{hook_out}" for layer in layers[i:]]
        adds = torch.zeros(30, N, D)
        adds[:, i:] = (sae.encode_dense(x[:, i]) @ sae.decoder).unflatten(1, (N - i, D))
        total = total + adds
    # the tutorial's JumpReLUMultiLayerSAE, in one product of all layers
    w_enc, b_enc, threshold, w_dec = (
        torch.stack([w[name] for w in all_w]) for name in ("w_enc", "b_enc", "threshold", "w_dec")
    )
    pre = torch.einsum("nld,ldf->nlf", x, w_enc) + b_enc
    acts = (pre > threshold) * torch.relu(pre)
    torch.testing.assert_close(
        torch.einsum("nlf,lfod->nod", acts, w_dec), total, rtol=1e-5, atol=1e-3
    )  # values up to 100
    assert_encodes(load_dictionary(folder / "params_layer_1.safetensors"), lambda x: jump(all_w[1], x))


def test_decoders_to_earlier_layers_are_kept_where_they_are_not_zero(tmp_path):
    config = gemma_config("resid_post", type="crosscoder", width=N * D_SAE)
    config |= {"hf_hook_point_in": "model.layers.{5,9,12}.output", "hf_hook_point_out": "model.layers.{5,9,12}.output"}
    w = gemma_tensors(layers=N)
    w["w_dec"][:, 1] = 0
    sae = load_dictionary(write_gemma(tmp_path, w, config, "params_layer_2.safetensors") / "params_layer_2.safetensors")
    assert [end.hook_name for end in sae.writes] == ["blocks.5.hook_resid_post", "blocks.12.hook_resid_post"]
    assert torch.equal(sae.decoder.unflatten(1, (2, D)), w["w_dec"][:, [0, 2]])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"activation": "relu"}, r"config\.json has unknown keys \['activation'\]"),
        ({"architecture": "topk"}, "architecture is 'topk'; expected 'jump_relu'"),
        ({"type": "probe"}, "type is 'probe'; expected one of"),
        ({"width": 16384}, f"there are {D_SAE} features, but width is 16384"),
        ({"affine_connection": True}, "affine_connection is true in config.json, but there is no affine_skip"),
        ({"affine_connection": "yes"}, "affine_connection must be true or false; found 'yes'"),
        ({"hf_hook_point_in": "model.output"}, "the hook point 'model.output' names no layer"),
    ],
)
def test_gemma_scope_2_configurations_that_can_t_be_right(tmp_path, change, message):
    write_gemma(tmp_path, gemma_tensors(), gemma_config("resid_post", **change))
    with pytest.raises(CheckpointError, match=message):
        load_dictionary(tmp_path)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"w_dec": torch.zeros(D_SAE, D + 1)}, rf"w_dec has shape \[{D_SAE}, 25\]; expected \[{D_SAE}, {D}\]"),
        ({"w_dec": torch.zeros(D_SAE)}, r"w_dec has shape \[512\]; expected \[d_sae, d_out\], or"),
        ({"threshold": torch.zeros(3)}, r"threshold has shape \[3\]; expected \[512\]"),
        ({"b_enc": torch.full((D_SAE,), torch.nan)}, "b_enc holds 512 values that are NaN"),
        ({"w_skip": torch.zeros(D, D)}, r"unexpected: \['w_skip'\]"),
    ],
)
def test_gemma_scope_2_tensors_that_can_t_be_right(tmp_path, change, message):
    write_gemma(tmp_path, gemma_tensors() | change, gemma_config("resid_post"))
    with pytest.raises(CheckpointError, match=message):
        load_dictionary(tmp_path)


def test_a_file_of_several_layers_must_say_which(tmp_path):
    config = gemma_config("resid_post", type="crosscoder", width=N * D_SAE)
    write_gemma(tmp_path, gemma_tensors(layers=N), config)
    with pytest.raises(CheckpointError, match="the name must say which of them is read"):
        load_dictionary(tmp_path)
    write_gemma(tmp_path / "b", gemma_tensors(layers=N), config, "params_layer_1.safetensors")
    with pytest.raises(CheckpointError, match=r"'model\.layers\.17\.output' names no list of layers"):
        load_dictionary(tmp_path / "b" / "params_layer_1.safetensors")
    config["hf_hook_point_in"] = "model.layers.{3,4}.output"
    write_gemma(tmp_path / "b", gemma_tensors(layers=N), config, "params_layer_1.safetensors")
    with pytest.raises(CheckpointError, match=r"w_dec writes to 3 layers, but the hook point .* names 2"):
        load_dictionary(tmp_path / "b" / "params_layer_1.safetensors")
    write_gemma(tmp_path / "c", gemma_tensors(layers=N), None, "params_layer_3.safetensors")
    with pytest.raises(CheckpointError, match="w_dec writes to 3 layers, but the file's name says layer 3"):
        load_dictionary(tmp_path / "c" / "params_layer_3.safetensors")


# Qwen Scope


def qwen_tensors(seed: int = 0) -> dict[str, Tensor]:
    return {
        "W_enc": fractions(D_SAE, D, seed=seed + 1),
        "W_dec": fractions(D, D_SAE, seed=seed + 2),
        "b_enc": fractions(D_SAE, seed=seed + 3),
        "b_dec": fractions(D, seed=seed + 4),
    }


QWEN = {
    "model_type": "topk_sae",
    "base_model": "Qwen/Qwen3-1.7B-Base",
    "d_model": D,
    "d_sae": D_SAE,
    "k": K,
    "num_layers": 28,
    "hook_point": "resid_post",
    "dtype": "float32",
}


def write_qwen(folder, layer: int = 5, config: dict[str, object] | None = None, **tensors: Tensor):
    folder.mkdir(parents=True, exist_ok=True)
    torch.save(qwen_tensors() | tensors, folder / f"layer{layer}.sae.pt")
    if config is not None:
        (folder / "config.json").write_text(json.dumps(config))
    return folder / f"layer{layer}.sae.pt"


def qwen_reference(w: dict[str, Tensor], x: Tensor) -> Tensor:
    """As the model card has it."""
    pre = x @ w["W_enc"].T + w["b_enc"]
    values, indices = pre.topk(K, dim=-1)
    return torch.zeros_like(pre).scatter_(-1, indices, values)


def test_qwen_scope(tmp_path):
    w = qwen_tensors()
    sae = load_dictionary(write_qwen(tmp_path, config=QWEN))
    assert_encodes(sae, lambda x: qwen_reference(w, x))
    assert torch.equal(sae.decoder, w["W_dec"].T)
    assert sae.hook_name == "blocks.5.hook_resid_post"
    named = write_qwen(tmp_path / f"SAE-Res-Qwen3-1.7B-Base-W32K-L0_{K}" / "snapshot")
    assert load_dictionary(named).fingerprint() == sae.fingerprint()


def test_qwen_scope_keeps_what_is_below_zero(tmp_path):
    w = qwen_tensors() | {"b_enc": torch.full((D_SAE,), -8.0)}
    sae = load_dictionary(write_qwen(tmp_path, config=QWEN, b_enc=w["b_enc"]))
    x = x_of()
    expected = qwen_reference(w, x)
    assert (expected < 0).any()
    assert (expected > 0).any()
    assert torch.equal(sae.encode_dense(x), expected)
    assert all(torch.equal(a, b) for a, b in zip(sae.encode(x), dense_to_codes(expected), strict=True))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"normalize": True}, r"unknown keys \['normalize'\]"),
        ({"k": 0}, "k must be a positive integer; found 0"),
        ({"k": 600}, "k is 600, but there are only 512 features"),
        ({"d_sae": 99}, r"d_sae is 99; expected 512, as layer5\.sae\.pt has it"),
        ({"hook_point": "mlp_out"}, "hook_point is 'mlp_out'; expected 'resid_post'"),
        ({"model_type": "jumprelu"}, "model_type is 'jumprelu'; expected 'topk_sae'"),
        ({"num_layers": 5}, r"there are 5 layers; layer5\.sae\.pt is none of them"),
    ],
)
def test_qwen_scope_configurations_that_can_t_be_right(tmp_path, change, message):
    with pytest.raises(CheckpointError, match=message):
        load_dictionary(write_qwen(tmp_path, config=QWEN | change))


def test_qwen_scope_files_that_can_t_be_right(tmp_path):
    with pytest.raises(CheckpointError, match=r"nothing says how many features fire \(k\)"):
        load_dictionary(write_qwen(tmp_path))
    with pytest.raises(CheckpointError, match=r"W_dec has shape \[512, 24\]; expected \[24, 512\] \(W_enc is"):
        load_dictionary(write_qwen(tmp_path, config=QWEN, W_dec=torch.zeros(D_SAE, D)))
    renamed = write_qwen(tmp_path, config=QWEN).rename(tmp_path / "sae.pt")
    with pytest.raises(CheckpointError, match=r"the file of a layer is called layer0\.sae\.pt"):
        load_dictionary(renamed, format="qwen_scope")


# circuit-tracer's transcoders


def tracer_tensors(*, threshold: bool = False, skip: bool = False, seed: int = 0) -> dict[str, Tensor]:
    made = {
        "W_enc": fractions(D_SAE, D, seed=seed + 1),
        "W_dec": fractions(D_SAE, D, seed=seed + 2),
        "b_enc": fractions(D_SAE, seed=seed + 3),
        "b_dec": fractions(D, seed=seed + 4),
    }
    made |= {"activation_function.threshold": fractions(D_SAE, seed=seed + 5).abs()} if threshold else {}
    return made | ({"W_skip": fractions(D, D, seed=seed + 6)} if skip else {})


TRACER = """\
model_name: "Qwen/Qwen3-4B"  # comment
model_kind: transcoder_set
feature_input_hook: mlp.hook_in
feature_output_hook: "hook_mlp_out"
"""


def write_tracer(folder, tensors: dict[str, Tensor], config: str | None = TRACER, layer: int = 2):
    folder.mkdir(parents=True, exist_ok=True)
    save_file(tensors, folder / f"layer_{layer}.safetensors")
    if config is not None:
        (folder / "config.yaml").write_text(config)
    return folder / f"layer_{layer}.safetensors"


@pytest.mark.parametrize("skip", [False, True])
@pytest.mark.parametrize("threshold", [False, True])
def test_a_transcoder_of_circuit_tracer(tmp_path, threshold, skip):
    w = tracer_tensors(threshold=threshold, skip=skip)

    def encode(x: Tensor) -> Tensor:
        pre = torch.nn.functional.linear(x, w["W_enc"], w["b_enc"])
        return pre * (pre > w["activation_function.threshold"]) if threshold else torch.relu(pre)

    sae = load_dictionary(write_tracer(tmp_path, w))
    assert_encodes(sae, encode)
    assert torch.equal(sae.decoder, w["W_dec"])
    assert (sae.hook_name, sae.hook_name_out) == ("blocks.2.mlp.hook_in", "blocks.2.hook_mlp_out")
    assert sae.writes_elsewhere
    assert float(sae.centre.abs().max()) == 0
    alone = load_dictionary(write_tracer(tmp_path / "alone", w, None), format="circuit_tracer")
    assert alone.fingerprint() == sae.fingerprint()
    assert (alone.hook_name, alone.hook_name_out) == (None, None)


@pytest.mark.parametrize(
    ("config", "message"),
    [
        (TRACER + "normalize: true\n", r"config\.yaml has unknown keys \['normalize'\]"),
        (TRACER.replace("transcoder_set", "sae"), "model_kind is 'sae'; expected 'transcoder_set' or"),
        (TRACER.replace("transcoder_set", "cross_layer_transcoder"), "model_kind is 'cross_layer_transcoder' in"),
        (TRACER + "transcoders: 3\n", "transcoders must be a list of paths; found 3"),
        ("- a\n", "must hold settings by name; found list"),
        ("a: [b\n", "is not readable YAML"),
        ("a: !!python/object/apply:os.system ['true']\n", "is not readable YAML: could not determine a constructor"),
    ],
)
def test_tracer_configurations_that_can_t_be_right(tmp_path, config, message):
    with pytest.raises(CheckpointError, match=message):
        load_dictionary(write_tracer(tmp_path, tracer_tensors(threshold=True), config))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"W_dec": torch.zeros(D_SAE, D + 1)}, r"W_dec has shape \[512, 25\]; expected \[512, 24\] \(W_enc is"),
        ({"W_skip": torch.zeros(D)}, r"W_skip has shape \[24\]; expected \[24, 24\]"),
        ({"activation_function.threshold": -torch.ones(D_SAE)}, "threshold is below zero, where features would"),
    ],
)
def test_tracer_tensors_that_can_t_be_right(tmp_path, change, message):
    with pytest.raises(CheckpointError, match=message):
        load_dictionary(write_tracer(tmp_path, tracer_tensors() | change))


def test_log_thresholds_are_unknown(tmp_path):
    file = write_tracer(tmp_path, tracer_tensors() | {"log_thresholds": torch.zeros(D_SAE)})
    with pytest.raises(CheckpointError, match=r"unexpected: \['log_thresholds'\]"):
        load_dictionary(file, format="circuit_tracer")
    with pytest.raises(CheckpointError, match=r"called layer_0\.safetensors"):
        load_dictionary(file.rename(tmp_path / "a.safetensors"), format="circuit_tracer")


def test_a_layer_of_a_cross_layer_transcoder_by_its_file(tmp_path):
    w = {"W_enc": fractions(D_SAE, D, seed=1), "b_enc": fractions(D_SAE, seed=2), "b_dec": fractions(D, seed=3)}
    for i in range(N):
        save_file({f"{name}_{i}": tensor for name, tensor in w.items()}, tmp_path / f"W_enc_{i}.safetensors")
        save_file({f"W_dec_{i}": fractions(D_SAE, N - i, D, seed=4)}, tmp_path / f"W_dec_{i}.safetensors")
    sae = load_dictionary(tmp_path, subfolder="W_enc_1.safetensors")
    assert_encodes(sae, lambda x: torch.relu(x @ w["W_enc"].T + w["b_enc"]))
    assert [end.hook_name for end in sae.writes] == ["blocks.1.hook_mlp_out", "blocks.2.hook_mlp_out"]
    (tmp_path / "config.yaml").write_text("model_kind: cross_layer_transcoder\nk: 4\n")
    with pytest.raises(CheckpointError, match=r"unknown keys \['k'\]"):
        load_dictionary(tmp_path / "W_enc_1.safetensors")
    (tmp_path / "config.yaml").write_text("model_kind: transcoder_set\n")
    with pytest.raises(CheckpointError, match=r"model_kind is 'transcoder_set' in config\.yaml"):
        load_dictionary(tmp_path / "W_enc_1.safetensors")


# Activation functions


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
@pytest.mark.parametrize("threshold", [-1.0, 0.0, 0.7])
def test_weighted_threshold(threshold, dtype):
    generator = torch.Generator().manual_seed(0)
    product, bias = (torch.randn(shape, generator=generator).to(dtype) for shape in ((200, 64), (64,)))
    weight = torch.randn(64, generator=generator).abs().to(dtype)
    weight[::9] = 0
    at = (product[:, 5] + bias[5]).max() * weight[5] if threshold > 0 else threshold
    activation = WeightedThreshold(torch.full((64,), float(at), dtype=dtype), weight)
    acts = torch.relu(product + bias)
    expected = torch.where(acts * weight > activation.threshold, acts, 0)
    assert torch.equal(activation.dense(product, bias), expected)
    codes = activation.codes(product.clone(), bias)
    assert all(torch.equal(a, b) for a, b in zip(codes, dense_to_codes(expected), strict=True))
    assert (expected > 0).any()
    assert (expected[:, ::9] > 0).any() == (threshold < 0)


@pytest.mark.parametrize("scaled", [False, True])
@pytest.mark.parametrize("by_size", [False, True])
@pytest.mark.parametrize("shift", [-3.0, 0.0, 3.0])
def test_signed_topk(shift, by_size, scaled):
    product, bias = fractions(60, 256, seed=1) + shift, fractions(256, seed=2)
    scale = fractions(256, seed=3).abs() if scaled else None
    activation = SignedTopK(5, by_size, scale)
    pre = (product + bias) * (1.0 if scale is None else scale)
    order = pre.abs() if by_size else pre
    chosen = torch.topk(order, 5, dim=1).indices
    expected = torch.zeros_like(pre).scatter(1, chosen, pre.gather(1, chosen))
    tied = (torch.topk(order, 6, dim=1).values.diff(dim=1)[:, -1] == 0) | (torch.topk(order, 5, dim=1).values == 0).any(
        1
    )
    dense, codes = activation.dense(product, bias), activation.codes(product.clone(), bias)
    assert torch.equal(dense[~tied], expected[~tied])
    assert all(torch.equal(a, b) for a, b in zip(codes, dense_to_codes(dense), strict=True))
    assert int(tied.sum()) < 30


def test_jumprelu_of_zeros_is_relu():
    product, bias = fractions(20, 64, seed=1), fractions(64, seed=2)
    assert torch.equal(JumpReLU(torch.zeros(64)).dense(product, bias), torch.relu(product + bias))


def test_halves_are_computed_in(tmp_path):
    """Weights that float16 can't hold are refused by name; others are those of the file, rounded."""
    gemma = write_gemma(tmp_path / "a", gemma_tensors(), gemma_config("resid_post")) / "params.safetensors"
    qwen = write_qwen(tmp_path / "b", config=QWEN)
    tracer = write_tracer(tmp_path / "c", tracer_tensors(threshold=True))
    for file in (gemma, qwen, tracer):
        assert load_dictionary(file, dtype=torch.bfloat16).encode_dense(x_of()).dtype == torch.bfloat16
    write_gemma(tmp_path / "a", gemma_tensors() | {"b_enc": torch.full((D_SAE,), 1e5)}, None)
    with pytest.raises(CheckpointError, match=r"b_enc has values up to 1e\+05, too large for float16"):
        load_dictionary(gemma, dtype=torch.float16)


def test_no_code_is_run(tmp_path):
    class Evil:
        def __reduce__(self) -> tuple:
            return (print, ("never",))

    torch.save({"W_enc": Evil()}, tmp_path / "layer0.sae.pt")
    (tmp_path / "config.json").write_text(json.dumps(QWEN))
    with pytest.raises(CheckpointError, match="could run code"):
        load_dictionary(tmp_path / "layer0.sae.pt")
