"""Qwen Scope checkpoints: ``layer{n}.sae.pt`` for each layer, and one ``config.json``.

Layout and formula of the model cards of the repositories ``Qwen/SAE-Res-*``, which SAELens 6.54 reads, too
(``qwen_scope_sae_huggingface_loader``): ``W_enc [d_sae, d_in]``, ``W_dec [d_in, d_sae]``, ``b_enc``, ``b_dec``, of the
residual stream after a layer. ``pre = x @ W_enc.T + b_enc``; the k largest of each row, as they are. (SAELens sets
those below zero to zero: the same wherever k features are positive.) b_dec is not subtracted from the input.
"""

from __future__ import annotations

import re
from pathlib import Path

import torch

from sae_vis.errors import CheckpointError
from sae_vis.neutral import neutrally
from sae_vis.saes.activations import SignedTopK
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
    matrix_shape,
    only_tensors,
    read_entries,
    read_json,
)

CONFIG_NAME = "config.json"
TENSORS = frozenset({"W_enc", "W_dec", "b_enc", "b_dec"})
LAYER_FILE = re.compile(r"layer(\d+)\.sae\.pt")
_HONOURED = frozenset({"model_type", "d_model", "d_sae", "k", "num_layers", "hook_point"})
_RECORDED = frozenset({"base_model", "dtype"})


@neutrally
def load_qwen_scope(
    path: str | Path, *, dtype: torch.dtype = torch.float32, device: str | torch.device | None = None
) -> Dictionary:
    """The dictionary in a ``layer{n}.sae.pt``.

    ``k`` is in the ``config.json`` beside it, or else in the repository's name (``…-L0_50``).

    Args:
        path: the file.
        dtype: of the computation: float32, float16 or bfloat16.
        device: where the weights go; None: CPU.

    Raises:
        CheckpointError: a missing or damaged file, code in it, unknown keys or names, shapes or values that can't be
            right, no word on k.
        InputError: a dtype that is not supported.
    """
    check_dtype(dtype)
    file = Path(path)
    named = LAYER_FILE.fullmatch(file.name)
    if named is None:
        raise CheckpointError(
            f"{file}: the file of a layer is called layer0.sae.pt, layer1.sae.pt, …: give one of them"
        )
    layer = int(named[1])
    stored = only_tensors(read_entries(file), file)
    check_names(stored, set(TENSORS), file, what="a Qwen Scope checkpoint")
    d_sae, d_in = matrix_shape("W_enc", stored["W_enc"], file)
    shapes = {"W_enc": [d_sae, d_in], "W_dec": [d_in, d_sae], "b_enc": [d_sae], "b_dec": [d_in]}
    for name, tensor in stored.items():
        check_tensor(name, tensor, shapes[name], file, reason=f"W_enc is {[d_sae, d_in]}")
    config = _config(file, layer, (d_in, d_sae))
    k = count("k", config["k"] if "k" in config else _k_of_name(file), file, most=d_sae)
    weights = converted(stored, dtype, device or "cpu", file)
    decoder = Decoder(
        directions=weights["W_dec"].T.contiguous().float(),
        bias=weights["b_dec"].float(),
        hook_name=f"blocks.{layer}.hook_resid_post",
        facts=facts("qwen_scope", "topk", file, stored["W_enc"], config | {"layer": layer}),
    )
    W_enc = weights["W_enc"].T  # a view: the memory layout is the file's
    return SparseAutoencoder(W_enc, weights["b_enc"], SignedTopK(k, by_size=False), InputMap(), decoder)


def _config(file: Path, layer: int, sizes: tuple[int, int]) -> dict[str, object]:
    """The ``config.json`` beside a file, checked against it; empty where there is none."""
    config = file.parent / CONFIG_NAME
    if not config.is_file():
        return {}
    raw = read_json(config)
    check_keys(raw, _HONOURED, _RECORDED, config)
    fixed = {"model_type": "topk_sae", "hook_point": "resid_post", "d_model": sizes[0], "d_sae": sizes[1]}
    for name, expected in fixed.items():
        if raw.get(name, expected) != expected:
            raise CheckpointError(f"{config}: {name} is {raw[name]!r}; expected {expected!r}, as {file.name} has it")
    if "num_layers" in raw and layer >= count("num_layers", raw["num_layers"], config):
        raise CheckpointError(f"{config}: there are {raw['num_layers']} layers; {file.name} is none of them")
    return raw


def _k_of_name(file: Path) -> int:
    found = re.findall(r"SAE-Res-[^/]*-L0_(\d+)(?=/)", file.absolute().as_posix())
    if not found:
        raise CheckpointError(
            f"{file}: nothing says how many features fire (k): put the repository's {CONFIG_NAME} beside it, or keep "
            "the repository's name in the path (…-L0_50)"
        )
    return int(found[-1])
