"""SAELens' matching pursuit, temporal and AbsTopK checkpoints, against their definitions in loops and float64.

`test_against_sae_lens.py` compares them with SAELens itself, to the last bit.
"""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor

from sae_vis.errors import CheckpointError
from sae_vis.saes.base import dense_to_codes
from sae_vis.saes.formats import load_dictionary
from sae_vis.saes.saelens_dense import TemporalSettings, temporal_shapes
from tests.saes.checkpoints import checkpoint
from tests.saes.fractions import fractions

D, D_SAE, N = 12, 64, 20


def drawn(*shape: int, seed: int) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def write(folder, architecture: str, weights: dict[str, Tensor], **cfg: object):
    made = checkpoint("standard", d_in=D, d_sae=D_SAE, **cfg).cfg | {"architecture": architecture}
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "cfg.json").write_text(json.dumps(made))
    save_file(weights, folder / "sae_weights.safetensors")
    return folder


def unit_rows(seed: int) -> Tensor:
    rows = drawn(D_SAE, D, seed=seed)
    return rows / rows.norm(dim=1, keepdim=True)


def pursuit(x, W_dec, threshold: float, steps: int, *, stop_on_duplicate: bool) -> np.ndarray:
    """Row by row: the largest product is taken out, until nothing new is chosen or too little is left."""
    acts = np.zeros((len(x), len(W_dec)))
    for row, given in enumerate(x):
        residual = given
        for _ in range(steps):
            products = W_dec @ residual
            best = int(np.argmax(np.maximum(products, 0)))
            before = set(np.flatnonzero(acts[row]))
            acts[row, best] += max(products[best], 0)
            residual = residual - max(products[best], 0) * W_dec[best]
            same = stop_on_duplicate and set(np.flatnonzero(acts[row])) == before
            if same or (threshold > 0 and np.linalg.norm(residual) < threshold):
                break
    return acts


@pytest.mark.parametrize("threshold", [0.0, 1.5])
@pytest.mark.parametrize("stop_on_duplicate", [False, True])
@pytest.mark.parametrize("shifted", [False, True])
def test_matching_pursuit(tmp_path, threshold, stop_on_duplicate, shifted):
    w = {"W_dec": unit_rows(1), "b_dec": drawn(D, seed=2)}
    sae = load_dictionary(
        write(
            tmp_path,
            "matching_pursuit",
            w,
            apply_b_dec_to_input=shifted,
            residual_threshold=threshold,
            max_iterations=9,
            stop_on_duplicate_support=stop_on_duplicate,
        )
    )
    x = drawn(N, D, seed=3)
    inner = (x - w["b_dec"] * shifted).double().numpy()
    expected = pursuit(inner, w["W_dec"].double().numpy(), threshold, 9, stop_on_duplicate=stop_on_duplicate)
    found = sae.encode_dense(x)
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5)
    assert 2 < float((expected > 0).sum(1).mean()) < 9
    assert all(torch.equal(a, b) for a, b in zip(sae.encode(x), dense_to_codes(found), strict=True))
    assert torch.equal(sae.decoder, w["W_dec"])
    assert torch.equal(sae.centre, w["b_dec"] * shifted)
    assert not sae.contextual


SETTINGS = TemporalSettings(n_heads=2, n_attn_layers=2, bottleneck_factor=8, kval_topk=5)


def temporal_weights(*, tied: bool = True) -> dict[str, Tensor]:
    made = {"W_dec": drawn(D_SAE, D, seed=1), "b_dec": drawn(D, seed=2)}
    made |= {} if tied else {"W_enc": drawn(D, D_SAE, seed=3)}
    shapes = temporal_shapes(D_SAE, SETTINGS)
    return made | {name: 0.2 * drawn(*shape, seed=4 + i) for i, (name, shape) in enumerate(shapes.items())}


def temporal(w: dict[str, Tensor], x: Tensor, *, k: int | None, factor: float, shifted: bool) -> Tensor:
    """Token by token, head by head, in float64."""
    w = {name: tensor.double() for name, tensor in w.items()}
    W_enc = w.get("W_enc", w["W_dec"].T)
    residual = x.double() * factor - w["b_dec"] * shifted
    for layer in range(SETTINGS.n_attn_layers):

        def project(name, z, layer=layer):
            place = f"attn_layers.{layer}.{name}"
            return z @ w[f"{place}.weight"].T + w[f"{place}.bias"]

        codes = torch.relu(residual / (4 * D) @ W_enc)
        before = torch.cat([torch.zeros(1, D_SAE).double(), codes[:-1]])
        keys, queries, values = project("k_ctx", before), project("q_target", codes), project("v_ctx", before)
        mixed = torch.zeros_like(codes)
        for head in range(SETTINGS.n_heads):
            narrow, wide = (slice(head * n, (head + 1) * n) for n in (keys.shape[1] // 2, D_SAE // 2))
            for t in range(len(x)):
                scores = keys[: t + 1, narrow] @ queries[t, narrow] / (keys.shape[1] // 2) ** 0.5
                mixed[t, wide] = torch.softmax(scores, 0) @ values[: t + 1, wide]
        predicted = torch.relu(project("c_proj", mixed)) @ w["W_dec"]
        norm = predicted.norm(dim=1, keepdim=True) + 1e-6
        residual = residual - (predicted * residual).sum(1, keepdim=True) / norm**2 * predicted
    novel = torch.relu(residual / (4 * D) @ W_enc)
    if k is None:
        return novel
    chosen = novel.topk(k, dim=1).indices
    return torch.zeros_like(novel).scatter(1, chosen, novel.gather(1, chosen))


@pytest.mark.parametrize("k", [5, None])
@pytest.mark.parametrize("factor", [1.0, 0.5])
@pytest.mark.parametrize("tied", [True, False])
def test_temporal(tmp_path, tied, factor, k):
    w = temporal_weights(tied=tied)
    settings = {"n_heads": 2, "n_attn_layers": 2, "bottleneck_factor": 8, "tied_weights": tied}
    settings |= {"sae_diff_type": "topk" if k else "relu", "kval_topk": k}
    if factor != 1:
        settings |= {"normalize_activations": "constant_scalar_rescale", "activation_normalization_factor": factor}
    sae = load_dictionary(write(tmp_path, "temporal", w, apply_b_dec_to_input=tied, **settings))
    x = drawn(N, D, seed=90)
    expected = temporal(w, x, k=k, factor=factor, shifted=tied)
    found = sae.encode_dense(x)
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-6)
    assert all(torch.equal(a, b) for a, b in zip(sae.encode(x), dense_to_codes(found), strict=True))
    assert sae.contextual
    alone = torch.cat([sae.encode_dense(row[None]) for row in x])
    assert not torch.allclose(found, alone)  # what came before matters
    torch.testing.assert_close(sae.decoder, w["W_dec"] / factor)
    torch.testing.assert_close(sae.centre, w["b_dec"] / factor)


@pytest.mark.parametrize("rescale", [False, True])
def test_abstopk(tmp_path, rescale):
    made = checkpoint("topk", d_in=D, d_sae=D_SAE, rescale_acts_by_decoder_norm=rescale)
    made.weights = {name: fractions(*tensor.shape, seed=i) for i, (name, tensor) in enumerate(made.weights.items())}
    made.cfg["architecture"] = "abstopk"
    sae = load_dictionary(made.write(tmp_path))
    x = fractions(N, D, seed=9)
    norms = made.weights["W_dec"].norm(dim=-1) if rescale else torch.ones(D_SAE)
    pre = ((x - made.weights["b_dec"]) @ made.weights["W_enc"] + made.weights["b_enc"]) * norms
    chosen = pre.abs().topk(5, dim=1).indices
    expected = torch.zeros_like(pre).scatter(1, chosen, pre.gather(1, chosen))
    assert torch.equal(sae.encode_dense(x), expected)
    assert (expected < 0).any()
    assert all(torch.equal(a, b) for a, b in zip(sae.encode(x), dense_to_codes(expected), strict=True))
    torch.testing.assert_close(sae.decoder, made.weights["W_dec"] / norms[:, None])


@pytest.mark.parametrize(
    ("architecture", "change", "message"),
    [
        ("standard", {"max_iterations": 3}, r"unknown keys \['max_iterations'\]"),
        ("temporal", {"max_iterations": 3}, r"unknown keys \['max_iterations'\]"),
        ("temporal", {"sae_diff_type": "gated"}, "sae_diff_type must be 'topk' or 'relu'; found 'gated'"),
        ("temporal", {"n_heads": 3}, "d_sae is 64, no multiple of bottleneck_factor 8 times n_heads 3"),
        ("temporal", {"kval_topk": 65}, "kval_topk is 65, but there are only 64 features"),
        ("temporal", {"tied_weights": False}, r"missing: \['W_enc'\]"),
        ("temporal", {"n_attn_layers": 1}, r"unexpected: \['attn_layers\.1\."),
        (
            "temporal",
            {"n_heads": 1, "bottleneck_factor": 16},
            r"attn_layers\.0\.k_ctx\.\w+ has shape \[8.*expected \[4",
        ),
        ("matching_pursuit", {"max_iterations": 0}, "max_iterations must be a positive integer; found 0"),
        ("matching_pursuit", {"residual_threshold": "small"}, "residual_threshold must be one number; found 'small'"),
        ("matching_pursuit", {"k": 4, "stop_on_duplicate_support": 1}, "stop_on_duplicate_support must be true or"),
        ("matching_pursuit", {"normalize_activations": "constant_scalar_rescale"}, "'constant_scalar_rescale' is unkn"),
    ],
)
def test_configurations_that_can_t_be_right(tmp_path, architecture, change, message):
    settings = {"n_heads": 2, "n_attn_layers": 2, "bottleneck_factor": 8} if architecture == "temporal" else {}
    weights = temporal_weights() if architecture == "temporal" else {"W_dec": unit_rows(1), "b_dec": drawn(D, seed=2)}
    with pytest.raises(CheckpointError, match=message):
        load_dictionary(write(tmp_path, architecture, weights, **settings | change))
