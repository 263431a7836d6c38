"""BatchTopK crosscoders of dictionary_learning's crosscoder branches.

The package that owns them is not on PyPI (the one of that name has no crosscoders), so they are held to `Theirs`: the
class's encoding outside of training, written down after published copies of ``dictionary_learning/dictionary.py``.
Weights are binary fractions, so the products are exact; the norms of decoders are not, so a feature's activation may be
on the other side of the threshold where it is within one part in a million of it, and nowhere else.
"""

from __future__ import annotations

import json

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor

from sae_vis.errors import CheckpointError
from sae_vis.saes.base import dense_to_codes
from sae_vis.saes.crosscoder import CrosscoderOptions, CrosscoderPlaces, from_crosscoder_tensors
from sae_vis.saes.crosscoder_formats import load_crosscoder
from sae_vis.saes.formats import load_dictionary
from tests.saes.fractions import fractions

N, D, D_SAE = 2, 12, 64
KINDS = ("CROSSCODER", "SAE", "MIXED", "NONE", "DECOUPLED")
ALPHAS = {"code_normalization_alpha_sae": 0.7, "code_normalization_alpha_cc": 0.2}


def state(kind: str = "CROSSCODER", threshold: float = 8.0, *, normalised: bool = False) -> dict[str, Tensor]:
    std = fractions(N, D, seed=6).abs()
    nan = torch.full((N, D), torch.nan)
    return {
        "target_rms": torch.tensor(1.0),
        "activation_mean": 4 * fractions(N, D, seed=5) if normalised else nan,
        "activation_std": std if normalised else nan.clone(),
        "activation_global_scale": 1.0 / torch.sqrt((std**2).sum(dim=-1) + 1e-8) if normalised else torch.ones(N),
        "code_normalization_id": torch.tensor(KINDS.index(kind) + 1),
        "k": torch.tensor(7, dtype=torch.int),
        "threshold": torch.tensor(threshold),
        "encoder.weight": fractions(N, D, D_SAE, seed=1),
        "encoder.bias": fractions(D_SAE, seed=2),
        "decoder.weight": fractions(N, D_SAE, D, seed=3),
        "decoder.bias": fractions(N, D, seed=4),
    }


def x_of(n: int = 200) -> Tensor:
    return fractions(n, N, D, seed=9)


class Theirs:
    """Encoding and decoding of the class, for one state dictionary."""

    def __init__(self, w: dict[str, Tensor]) -> None:
        self.w = w

    def norm(self) -> Tensor:
        dw = self.w["decoder.weight"]
        whole, sums = dw.norm(dim=(0, 2)).unsqueeze(0), dw.norm(dim=2).sum(dim=0, keepdim=True)
        kind = KINDS[int(self.w["code_normalization_id"]) - 1]
        mixed = whole * ALPHAS["code_normalization_alpha_sae"] + sums * ALPHAS["code_normalization_alpha_cc"]
        return {"SAE": whole, "MIXED": mixed, "NONE": torch.tensor(1.0), "CROSSCODER": sums}[kind]

    @property
    def normalised(self) -> bool:
        return not self.w["activation_mean"].isnan().any()

    def scaled(self, x: Tensor) -> tuple[Tensor, Tensor]:
        if self.normalised:
            x = (x - self.w["activation_mean"]) * self.w["activation_global_scale"].unsqueeze(0).unsqueeze(-1)
        f = torch.einsum("bld, ldf -> blf", x, self.w["encoder.weight"])
        f = torch.relu(f.sum(dim=1) + self.w["encoder.bias"])
        return f, f * self.norm()

    def encode(self, x: Tensor) -> Tensor:
        f, scaled = self.scaled(x)
        return f * (scaled > self.w["threshold"])

    def decode(self, f: Tensor) -> Tensor:
        x = torch.einsum("bf, lfd -> bld", f, self.w["decoder.weight"]) + self.w["decoder.bias"]
        if self.normalised:
            scale = self.w["activation_global_scale"].unsqueeze(0).unsqueeze(-1)
            return x / (scale + 1e-8) + self.w["activation_mean"]
        return x


def write(path, w: dict[str, Tensor]):
    path.parent.mkdir(parents=True, exist_ok=True)
    torch.save(w, path) if path.suffix == ".pt" else save_file(w, path)
    return path


@pytest.mark.parametrize("name", ["model.safetensors", "ae.pt"])
@pytest.mark.parametrize("normalised", [False, True])
@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind != "DECOUPLED"])
def test_a_batchtopk_crosscoder(tmp_path, kind, normalised, name):
    w = state(kind, normalised=normalised)
    scaled = Theirs(w).scaled(x_of())[1]
    w["threshold"] = scaled[scaled > 0].quantile(0.4)
    file = write(tmp_path / "cc" / name, w)
    if kind == "MIXED":
        (tmp_path / "cc" / "config.json").write_text(json.dumps({"trainer": {"code_normalization": kind, **ALPHAS}}))
    theirs, x = Theirs(w), x_of()
    ours, expected = load_crosscoder(file), theirs.encode(x)
    found = ours.encode_dense(x.flatten(1))
    near = (scaled - w["threshold"]).abs() <= 1e-6 * w["threshold"]
    torch.testing.assert_close(found[~near], expected[~near], rtol=1e-5, atol=1e-5)
    assert torch.equal((found > 0)[~near], (expected > 0)[~near])
    assert 0.02 < float((expected > 0).float().mean()) < 0.6
    assert float(((scaled > 0) & (expected == 0)).float().mean()) > 0.05  # the threshold decides
    assert all(torch.equal(a, b) for a, b in zip(ours.encode(x.flatten(1)), dense_to_codes(found), strict=True))
    adds = theirs.decode(expected) - theirs.decode(0 * expected)
    torch.testing.assert_close((expected @ ours.decoder).unflatten(1, (N, D)), adds, rtol=1e-4, atol=1e-3)
    torch.testing.assert_close(ours.centre.unflatten(0, (N, D)), theirs.decode(0 * expected)[0], rtol=1e-5, atol=1e-5)
    assert [end.model for end in ours.reads] == [0, 1]
    assert load_dictionary(file).fingerprint() == load_dictionary(tmp_path / "cc").fingerprint() == ours.fingerprint()


def test_an_untrained_threshold_lets_every_positive_feature_fire(tmp_path):
    w = state(threshold=-1.0)
    ours = load_crosscoder(write(tmp_path / "cc.pt", w))
    assert torch.equal(ours.encode_dense(x_of().flatten(1)), Theirs(w).encode(x_of()))


def test_encoder_directions_have_scale_and_mean_in_them(tmp_path):
    ours = load_crosscoder(write(tmp_path / "cc.pt", state(threshold=-1.0, normalised=True)))
    x = x_of(40).flatten(1)
    acts = ours.encode_dense(x)
    features = torch.nonzero((acts > 0).sum(dim=0) > 1).flatten()
    assert len(features) > D_SAE // 2
    products = x @ ours.encoder_directions(features).T
    for column, feature in enumerate(features):
        fires = acts[:, feature] > 0
        constant = acts[fires, feature] - products[fires, column]
        torch.testing.assert_close(constant, constant.mean().expand_as(constant), rtol=1e-4, atol=1e-4)


def test_files_of_older_and_compiled_classes(tmp_path):
    w = state()
    whole = load_crosscoder(write(tmp_path / "whole.pt", w)).fingerprint()
    older = {name: tensor for name, tensor in w.items() if not name.startswith(("activation_", "target", "code"))}
    assert load_crosscoder(write(tmp_path / "older.pt", older)).fingerprint() == whole
    compiled = {f"_orig_mod.{name}": tensor for name, tensor in w.items()}
    assert load_dictionary(write(tmp_path / "compiled.pt", compiled)).fingerprint() == whole
    plain = {name: tensor for name, tensor in w.items() if name not in ("k", "threshold")}
    relu = load_dictionary(write(tmp_path / "relu.pt", plain))
    f, _ = Theirs(w).scaled(x_of())
    assert torch.equal(relu.encode_dense(x_of().flatten(1)), f)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            {"code_normalization_id": torch.tensor(5), "threshold": torch.zeros(N)},
            "is DECOUPLED: a feature has",
        ),
        ({"code_normalization_id": torch.tensor(9)}, r"code_normalization_id is 9; known: \{1: 'CROSSCODER'"),
        ({"code_normalization_id": torch.tensor(3)}, "is MIXED, whose weights are not in the file"),
        ({"threshold": torch.zeros(3)}, rf"threshold has shape \[3\]; expected \[{D_SAE}\]"),
        ({"encoder.bias": torch.zeros(3)}, r"b_enc has shape \[3\]; expected \[64\]"),
        ({"dead": torch.zeros(3)}, r"unexpected: \['dead'\]"),
        ({"threshold": None}, r"a BatchTopKCrossCoder has the tensors \['k', 'threshold'\].*missing: \['threshold'\]"),
        ({"target_rms": None}, r"a CrossCoder with normalised activations .* missing: \['target_rms'\]"),
    ],
)
def test_files_that_can_t_be_right(tmp_path, change, message):
    changed = {name: tensor for name, tensor in (state() | change).items() if tensor is not None}
    with pytest.raises(CheckpointError, match=message):
        load_crosscoder(write(tmp_path / "cc.pt", changed))


def test_plain_tensors_with_a_weighted_threshold():
    weights = {"W_enc": fractions(1, D, D_SAE, seed=1), "W_dec": fractions(D_SAE, 1, D, seed=2)}
    weight = torch.full((D_SAE,), 2.0)
    options = CrosscoderOptions(places=CrosscoderPlaces(reads=["a"]))
    ours = from_crosscoder_tensors({**weights, "threshold": 1.0, "threshold_weight": weight}, options)
    plain = from_crosscoder_tensors({**weights, "threshold": 0.5}, options)
    x = fractions(30, D, seed=3)
    assert torch.equal(ours.encode_dense(x), plain.encode_dense(x))
    assert ours.fingerprint() != plain.fingerprint()
    for wrong in ({"threshold_weight": weight}, {"threshold": 1.0, "threshold_weight": -weight}):
        with pytest.raises(CheckpointError, match="belongs to a threshold, and must not be below zero"):
            from_crosscoder_tensors({**weights, **wrong})
