"""Writes small checkpoints in the layouts of other libraries, and says in plain PyTorch what each of them computes."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import save_file
from torch import Tensor
from torch.nn.functional import linear

from tests.kernels import binary

D_IN, D_SAE, K = 24, 512, 7


def drawn(*shape: int, seed: int = 0, size: float = 1.0) -> Tensor:
    """Normal numbers of a standard deviation, as binary fractions: products are exact, whatever the kernel."""
    return binary(size * torch.randn(*shape, generator=torch.Generator().manual_seed(seed)))


def inputs(n: int = 300, d_in: int = D_IN) -> Tensor:
    return drawn(n, d_in, seed=9, size=2)


def dictionary_learning_tensors(dict_class: str) -> dict[str, Tensor]:
    """The library's state dictionary, laid out in memory as its constructors do it."""
    encoder, decoder = drawn(D_IN, D_SAE, seed=1, size=0.3).T, drawn(D_IN, D_SAE, seed=2)
    shared = {"encoder.weight": encoder, "decoder.weight": decoder, "encoder.bias": drawn(D_SAE, seed=3, size=0.3)}
    plain = {
        "W_enc": drawn(D_SAE, D_IN, seed=1, size=0.3).T,
        "b_enc": drawn(D_SAE, seed=3, size=0.3),
        "W_dec": drawn(D_SAE, D_IN, seed=2),
        "b_dec": drawn(D_IN, seed=4),
    }
    k, threshold = torch.tensor(K, dtype=torch.int), torch.tensor(1.5)
    if dict_class == "AutoEncoder":
        return shared | {"bias": drawn(D_IN, seed=4)}
    if dict_class == "AutoEncoderNew":
        return shared | {"decoder.bias": drawn(D_IN, seed=4)}
    if dict_class == "GatedAutoEncoder":
        biases = {"r_mag": 5, "gate_bias": 6, "mag_bias": 7}
        made = {name: drawn(D_SAE, seed=seed, size=0.3) for name, seed in biases.items()}
        return {"encoder.weight": encoder, "decoder.weight": decoder, "decoder_bias": drawn(D_IN, seed=4)} | made
    if dict_class in ("AutoEncoderTopK", "BatchTopKSAE"):
        return shared | {"b_dec": drawn(D_IN, seed=4), "k": k, "threshold": threshold}
    if dict_class == "JumpReluAutoEncoder":
        return plain | {"threshold": drawn(D_SAE, seed=8).abs()}
    return plain | {"k": k, "threshold": threshold, "group_sizes": torch.tensor([100, D_SAE - 100])}


def dictionary_learning_reference(dict_class: str, w: dict[str, Tensor], x: Tensor) -> Tensor:
    """Each class's ``encode``, one line after the other, everything dense."""
    if dict_class == "AutoEncoder":
        norms = w["decoder.weight"].norm(dim=0)
        weight, bias = w["encoder.weight"] * norms[:, None], w["encoder.bias"] * norms
        return torch.relu(linear(x - w["bias"], weight, bias))
    if dict_class == "AutoEncoderNew":
        return torch.relu(linear(x, w["encoder.weight"], w["encoder.bias"]))
    if dict_class == "GatedAutoEncoder":
        pre = linear(x - w["decoder_bias"], w["encoder.weight"])
        return (pre + w["gate_bias"] > 0).float() * torch.relu(w["r_mag"].exp() * pre + w["mag_bias"])
    if dict_class == "JumpReluAutoEncoder":
        pre = x @ w["W_enc"] + w["b_enc"]
        return torch.relu(pre * (pre > w["threshold"]))
    if dict_class == "MatryoshkaBatchTopKSAE":
        acts = torch.relu((x - w["b_dec"]) @ w["W_enc"] + w["b_enc"])
        return acts * (acts > w["threshold"])
    acts = torch.relu(linear(x - w["b_dec"], w["encoder.weight"], w["encoder.bias"]))
    if dict_class == "BatchTopKSAE":
        return acts * (acts > w["threshold"])
    values, indices = acts.topk(K, sorted=False, dim=-1)
    return torch.zeros_like(acts).scatter_(-1, indices, values)


def write_dictionary_learning(
    folder: Path, dict_class: str, tensors: dict[str, Tensor] | None = None, /, **trainer: object
) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    torch.save(dictionary_learning_tensors(dict_class) if tensors is None else tensors, folder / "ae.pt")
    settings = {
        "trainer_class": "AnyTrainer",
        "dict_class": dict_class,
        "activation_dim": D_IN,
        "dict_size": D_SAE,
        "lr": 1e-3,
        "layer": 3,
        "lm_name": "EleutherAI/pythia-70m",
        "submodule_name": "resid_post_layer_3",
    }
    if "k" in dictionary_learning_tensors(dict_class):
        settings["k"] = K
    config = {"trainer": settings | trainer, "buffer": {"d_submodule": D_IN, "io": "out", "ctx_len": 128}}
    (folder / "config.json").write_text(json.dumps(config))
    return folder


def sparsify_tensors(*, skip: bool = False) -> dict[str, Tensor]:
    made = {
        "encoder.weight": drawn(D_SAE, D_IN, seed=1, size=0.3),
        "encoder.bias": drawn(D_SAE, seed=3, size=0.3),
        "W_dec": drawn(D_SAE, D_IN, seed=2),
        "b_dec": drawn(D_IN, seed=4),
    }
    return made | ({"W_skip": drawn(D_IN, D_IN, seed=5)} if skip else {})


def sparsify_reference(
    w: dict[str, Tensor], x: Tensor, k: int, activation: str, *, transcode: bool, signed: bool = False
) -> Tensor:
    x = x if transcode else x - w["b_dec"]
    pre = linear(x, w["encoder.weight"], w["encoder.bias"])
    acts = pre if signed else torch.relu(pre)
    if signed:
        indices = torch.topk(pre.abs(), k, dim=-1, sorted=False).indices
        values = pre.gather(-1, indices)
    elif activation == "topk":
        values, indices = torch.topk(acts, k, dim=-1, sorted=False)
    else:
        values, indices = acts.unflatten(-1, (k, -1)).max(dim=-1)
        indices = indices + torch.arange(0, acts.shape[1], acts.shape[1] // k)
    return torch.zeros_like(acts).scatter_(-1, indices, values)


def write_sparsify(folder: Path, tensors: dict[str, Tensor] | None = None, **cfg: object) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    skip = bool(cfg.get("skip_connection"))
    save_file(sparsify_tensors(skip=skip) if tensors is None else tensors, folder / "sae.safetensors")
    settings = {
        "activation": "topk",
        "expansion_factor": 32,
        "normalize_decoder": True,
        "num_latents": D_SAE,
        "k": K,
        "multi_topk": False,
        "skip_connection": False,
        "transcode": False,
        "d_in": D_IN,
    }
    (folder / "cfg.json").write_text(json.dumps(settings | cfg))
    return folder


def gemma_scope_tensors() -> dict[str, Tensor]:
    return {
        "W_enc": drawn(D_IN, D_SAE, seed=1, size=0.3),
        "b_enc": drawn(D_SAE, seed=3, size=0.3),
        "W_dec": drawn(D_SAE, D_IN, seed=2),
        "b_dec": drawn(D_IN, seed=4),
        "threshold": drawn(D_SAE, seed=8).abs(),
    }


def gemma_scope_reference(w: dict[str, Tensor], x: Tensor) -> Tensor:
    pre = x @ w["W_enc"] + w["b_enc"]
    return (pre > w["threshold"]) * torch.relu(pre)


def write_gemma_scope(folder: Path, tensors: dict[str, Tensor] | None = None) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    made = gemma_scope_tensors() if tensors is None else tensors
    np.savez(folder / "params.npz", **{name: tensor.numpy() for name, tensor in made.items()})
    return folder


def openai_entries(activation: str | None = "TopK", *, tied: bool = False) -> dict[str, object]:
    """As ``state_dict`` gives them: of a TopK, whose function of the result may stand after a comma, settings twice."""
    encoder = drawn(D_SAE, D_IN, seed=1, size=0.3)
    made: dict[str, object] = {
        "pre_bias": drawn(D_IN, seed=4, size=0.3),
        "latent_bias": drawn(D_SAE, seed=3, size=0.3),
        "stats_last_nonzero": torch.zeros(D_SAE, dtype=torch.long),
        "encoder.weight": encoder,
        ("decoder.linear.weight" if tied else "decoder.weight"): encoder if tied else drawn(D_IN, D_SAE, seed=2),
    }
    if activation is None:
        return made
    name, _, after = activation.partition(", ")
    settings = {"k": K, "postact_fn": after or "ReLU"} if name == "TopK" else {}
    twice = {f"activation.{key}": value for key, value in settings.items()} if after else {}
    return made | twice | {"activation": name, "activation_state_dict": settings}


def openai_reference(w: dict[str, Tensor], x: Tensor, activation: str | None) -> Tensor:
    name, _, after = (activation or "ReLU").partition(", ")
    if name == "TopK":
        x = x - x.mean(dim=-1, keepdim=True)
        x = x / (x.std(dim=-1, keepdim=True) + 1e-5)
    pre = linear(x - w["pre_bias"], w["encoder.weight"], w["latent_bias"])
    if name != "TopK":
        return pre if name == "Identity" else torch.relu(pre)
    values, indices = torch.topk(pre, k=K, dim=-1)
    return torch.zeros_like(pre).scatter_(-1, indices, values if after == "Identity" else torch.relu(values))


def write_openai(file: Path, entries: dict[str, object] | None = None) -> Path:
    file.parent.mkdir(parents=True, exist_ok=True)
    torch.save(openai_entries() if entries is None else entries, file)
    return file
