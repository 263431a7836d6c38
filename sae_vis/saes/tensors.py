"""A plain dictionary of tensors: ``W_enc``, ``W_dec``, perhaps ``b_enc``, ``b_dec``, ``threshold`` or ``k``.

``pre = x @ W_enc + b_enc``, where ``x - b_dec`` is taken for ``x`` if so told. Then TopK with ``k``, JumpReLU with
``threshold``, ReLU with neither.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from sae_vis.errors import CheckpointError
from sae_vis.neutral import neutrally
from sae_vis.saes.activations import Activation, JumpReLU, TopK
from sae_vis.saes.base import Dictionary
from sae_vis.saes.linear import Decoder, InputMap, SparseAutoencoder
from sae_vis.saes.weights import (
    check_dtype,
    check_names,
    check_tensor,
    converted,
    count,
    facts,
    matrix_shape,
    read_entries,
    tensors_but_k,
)

REQUIRED = frozenset({"W_enc", "W_dec"})
OPTIONAL = frozenset({"b_enc", "b_dec", "threshold", "k"})


@dataclass(frozen=True, kw_only=True)
class TensorOptions:
    """What a plain dictionary of tensors doesn't say.

    Attributes:
        apply_b_dec_to_input: whether ``b_dec`` is subtracted from the input before it is encoded. Must be said where
            there is a ``b_dec`` that isn't zero.
        hook_name: where the dictionary reads, or None.
        dtype: of the computation: float32, float16 or bfloat16.
        device: where the weights go; None: where they are.
    """

    apply_b_dec_to_input: bool | None = None
    hook_name: str | None = None
    dtype: torch.dtype = torch.float32
    device: str | torch.device | None = None


@neutrally
def load_tensors(path: str | Path, options: TensorOptions | None = None) -> Dictionary:
    """The dictionary in a ``.safetensors``, ``.npz`` or ``.pt`` file of plain tensors; otherwise as `from_tensors`."""
    file = Path(path)
    return _from_entries(read_entries(file), options or TensorOptions(), file)


@neutrally
def from_tensors(tensors: Mapping[str, Tensor | float], options: TensorOptions | None = None) -> Dictionary:
    """The dictionary of plain tensors.

    Args:
        tensors: ``W_enc [d_in, d_sae]``, ``W_dec [d_sae, d_out]``; and if there are any ``b_enc [d_sae]``,
            ``b_dec [d_out]``, and one of ``threshold`` (``[d_sae]`` or one number) and ``k`` (one number). Not copied
            if they have the dtype already, and never written to.
        options: what the tensors don't say.

    Returns:
        The dictionary.

    Raises:
        CheckpointError: unknown or missing names, shapes that don't fit, values that can't be right, ``b_dec`` without
            a word on whether it is subtracted.
        InputError: a dtype that is not supported.
    """
    return _from_entries(tensors, options or TensorOptions(), "memory")


def _from_entries(entries: Mapping[str, object], options: TensorOptions, where: Path | str) -> Dictionary:
    check_dtype(options.dtype)
    check_names(entries, set(REQUIRED), where, what="a plain dictionary", optional=OPTIONAL)
    stored = _checked(tensors_but_k(entries, where), where)
    d_in, d_sae = stored["W_enc"].shape
    k = count("k", entries["k"], where, most=d_sae) if "k" in entries else None
    shift = _shifts(stored["b_dec"], d_in, options, where)
    weights = converted(stored, options.dtype, options.device, where)
    activation = _activation(weights, k)
    decoder = Decoder(
        directions=weights["W_dec"].float(),
        bias=weights["b_dec"].float(),
        hook_name=options.hook_name,
        facts=facts("tensors", str(activation.describe()["activation"]), where, stored["W_enc"], {}),
    )
    input_map = InputMap(shift=weights["b_dec"] if shift else None)
    return SparseAutoencoder(weights["W_enc"], weights["b_enc"], activation, input_map, decoder)


def _checked(stored: dict[str, Tensor], where: Path | str) -> dict[str, Tensor]:
    """The tensors with zeros for biases that aren't there; raises `CheckpointError` unless their shapes fit."""
    d_in, d_sae = matrix_shape("W_enc", stored["W_enc"], where)
    d_out = matrix_shape("W_dec", stored["W_dec"], where)[1]
    shapes = {"W_enc": [d_in, d_sae], "W_dec": [d_sae, d_out], "b_enc": [d_sae], "b_dec": [d_out]}
    for name, shape in shapes.items():
        stored.setdefault(name, torch.zeros(shape, device=stored["W_enc"].device))
    if "threshold" in stored:
        shapes["threshold"] = [] if stored["threshold"].ndim == 0 else [d_sae]
    for name, tensor in stored.items():
        check_tensor(name, tensor, shapes[name], where, reason=f"W_enc is {[d_in, d_sae]}, W_dec ends in {d_out}")
    return stored


def _shifts(b_dec: Tensor, d_in: int, options: TensorOptions, where: Path | str) -> bool:
    told = options.apply_b_dec_to_input
    if told is None and bool((b_dec != 0).any()):
        raise CheckpointError(
            f"{where}: b_dec is not zero, and plain tensors don't say whether it is subtracted from the input before "
            "encoding: give apply_b_dec_to_input=True or False. True is what SAELens does unless told otherwise, False "
            "what Gemma Scope's do"
        )
    if told and b_dec.shape[0] != d_in:
        raise CheckpointError(
            f"{where}: apply_b_dec_to_input is true, but b_dec has {b_dec.shape[0]} numbers and the input {d_in}"
        )
    return bool(told)


def _activation(weights: Mapping[str, Tensor], k: int | None) -> Activation:
    if k is not None:
        return TopK(k)
    zeros = torch.zeros_like(weights["b_enc"])
    return JumpReLU(zeros + weights["threshold"] if "threshold" in weights else zeros)
