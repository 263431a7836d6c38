"""EleutherAI sparsify checkpoints: ``sae.safetensors`` and ``cfg.json``, read without importing sparsify.

Read as ``SparseCoder.load_from_disk`` and ``SparseCoder.encode`` read them (version 1.3.3):
``pre = relu(encoder(x - b_dec))``, without ``- b_dec`` where ``transcode`` is true; then ``topk``, the k largest of
each row, or ``groupmax``, the largest of each of k groups of neighbouring features. Earlier versions had ``signed``:
without the ReLU, the k pre-activations of largest size, as they are. ``normalize_decoder`` says how the decoder was
trained; its weights are in the file as they are used. A skip connection (``W_skip``) adds to the reconstruction what no
feature adds, so it changes neither activations nor directions.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from sae_vis.errors import CheckpointError
from sae_vis.neutral import neutrally
from sae_vis.saes.activations import Activation, GroupMax, SignedTopK, TopK
from sae_vis.saes.base import Dictionary
from sae_vis.saes.linear import Decoder, InputMap, SparseAutoencoder
from sae_vis.saes.weights import (
    check_dtype,
    check_keys,
    check_names,
    check_tensor,
    converted,
    count,
    facts,
    flag,
    only_tensors,
    read_entries,
    read_json,
)

WEIGHTS_NAME = "sae.safetensors"
CONFIG_NAME = "cfg.json"
_TENSORS = {"encoder.weight", "encoder.bias", "W_dec", "b_dec"}
_ACTIVATIONS = ("groupmax", "topk")
_HONOURED = frozenset({"activation", "d_in", "k", "num_latents", "expansion_factor", "signed", "transcode"})
_RECORDED = frozenset({"multi_topk", "normalize_decoder", "skip_connection"})


@dataclass(frozen=True, kw_only=True)
class _Config:
    """A ``cfg.json``, checked.

    Attributes:
        d_in: width of the activation that is read.
        d_sae: number of features.
        k: how many can fire at once.
        activation: one of `_ACTIVATIONS`.
        transcode: whether the decoder bias is left out of the input.
        skip: whether there is a skip connection.
        signed: whether features fire below zero, too.
        metadata: the file, as found.
    """

    d_in: int
    d_sae: int
    k: int
    activation: str
    transcode: bool
    skip: bool
    signed: bool
    metadata: dict[str, object]


@neutrally
def load_sparsify(
    path: str | Path, *, dtype: torch.dtype = torch.float32, device: str | torch.device | None = None
) -> Dictionary:
    """The dictionary in a folder that sparsify's ``save_to_disk`` wrote.

    The library computes in the dtype of the file. With weights stored as bfloat16, give ``dtype=torch.bfloat16`` for
    its very numbers; float32 computes with the same weights more exactly.

    Args:
        path: the folder with ``sae.safetensors`` and ``cfg.json``; where it is called ``layers.5``, ``h.5`` or
            ``embed_tokens``, as sparsify calls it, that is the hook point. A transcoder's is not: it reads a module's
            input.
        dtype: of the computation: float32, float16 or bfloat16.
        device: where the weights go; None: CPU.

    Raises:
        CheckpointError: a missing or damaged file, an unknown key, a shape or value that can't be right.
        InputError: a dtype that is not supported.
    """
    check_dtype(dtype)
    path = Path(path)
    config = _read_config(path / CONFIG_NAME)
    file = path / WEIGHTS_NAME
    stored = _read_weights(file, config)
    weights = converted(stored, dtype, device or "cpu", file)
    about = facts("sparsify", config.activation, path, stored["W_dec"], config.metadata | {"hookpoint": path.name})
    decoder = Decoder(
        directions=weights["W_dec"].float(),
        bias=weights["b_dec"].float(),
        hook_name=None if config.transcode else _hook_name(path.name),
        facts=about,
    )
    input_map = InputMap(shift=None if config.transcode else weights["b_dec"])
    W_enc = weights["encoder.weight"].T  # a view: the memory layout is nn.Linear's
    return SparseAutoencoder(W_enc, weights["encoder.bias"], _activation(config), input_map, decoder, fused_bias=True)


def _activation(config: _Config) -> Activation:
    if config.signed:
        return SignedTopK(config.k, by_size=True)
    return TopK(config.k, relu_first=True) if config.activation == "topk" else GroupMax(config.k)


def _read_config(file: Path) -> _Config:
    raw = read_json(file)
    check_keys(raw, _HONOURED, _RECORDED, file)
    activation = raw.get("activation", "topk")
    if activation not in _ACTIVATIONS:
        raise CheckpointError(f"{file}: activation {activation!r} is not supported; known: {sorted(_ACTIVATIONS)}")
    signed = flag("signed", raw.get("signed", False), file)
    if signed and activation != "topk":
        raise CheckpointError(f"{file}: signed is true, which goes with the activation 'topk'; found {activation!r}")
    d_in = count("d_in", raw.get("d_in"), file)
    d_sae = count("num_latents", raw.get("num_latents") or _expanded(raw, d_in, file), file)
    k = count("k", raw.get("k", 32), file, most=d_sae)
    if activation == "groupmax" and d_sae % k:
        raise CheckpointError(
            f"{file}: groupmax needs k groups of one size; {d_sae} features are not a multiple of k {k}"
        )
    return _Config(
        d_in=d_in,
        d_sae=d_sae,
        k=k,
        activation=str(activation),
        transcode=flag("transcode", raw.get("transcode", False), file),
        skip=flag("skip_connection", raw.get("skip_connection", False), file),
        signed=signed,
        metadata=raw,
    )


def _expanded(raw: Mapping[str, object], d_in: int, file: Path) -> int:
    return d_in * count("expansion_factor", raw.get("expansion_factor", 32), file)


def _read_weights(file: Path, config: _Config) -> dict[str, Tensor]:
    weights = only_tensors(read_entries(file), file)
    expected = _TENSORS | ({"W_skip"} if config.skip else set())
    kind = f"a sparsify coder {'with' if config.skip else 'without'} skip connection"
    check_names(weights, expected, file, what=kind)
    shapes = {"encoder.bias": [config.d_sae], "b_dec": [config.d_in], "W_skip": [config.d_in, config.d_in]}
    matrix = [config.d_sae, config.d_in]
    reason = f"d_in {config.d_in}, {config.d_sae} features in {CONFIG_NAME}"
    for name, tensor in weights.items():
        check_tensor(name, tensor, shapes.get(name, matrix), file, reason=reason)
    return {name: weights[name] for name in _TENSORS}


def _hook_name(folder: str) -> str | None:
    """The folder is called as the module whose output is read; other modules' places depend on the architecture."""
    if folder == "embed_tokens":
        return "hook_embed"
    block = re.fullmatch(r"(?:layers|h)\.(\d+)", folder)
    return None if block is None else f"blocks.{block.group(1)}.hook_resid_post"
