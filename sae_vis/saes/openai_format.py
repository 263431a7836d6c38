"""OpenAI's sparse autoencoders: the state dictionary that the ``sparse_autoencoder`` package saves.

Its ``Autoencoder`` (Gao et al. 2024, section 2.1) computes
``activation(linear(LN(x) - pre_bias, encoder.weight, latent_bias))``. ``activation`` is ``TopK`` (the k largest of each
row, then ReLU) or ``ReLU``. ``LN`` takes the vector's mean away and divides by its standard deviation (with n - 1) plus
1e-5, and is undone on the output; ``from_state_dict`` applies it where the activation is TopK, and nowhere else.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor

from sae_vis.errors import CheckpointError
from sae_vis.saes.activations import JumpReLU, TopK
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
    only_tensors,
    read_entries,
)

_DECODER = "decoder.weight"
_TIED = "decoder.linear.weight"  # the encoder's own weight under a second name
_TENSORS = {"pre_bias", "encoder.weight", "latent_bias", _DECODER}
_STATISTICS = frozenset({"stats_last_nonzero", "latents_activation_frequency", "latents_mean_square"})  # of training
_SETTINGS = frozenset({"activation", "activation_state_dict"})
_ACTIVATIONS = ("ReLU", "TopK")


def load_openai(
    path: str | Path, *, dtype: torch.dtype = torch.float32, device: str | torch.device | None = None
) -> Dictionary:
    """The dictionary in a state dictionary of OpenAI's ``sparse_autoencoder``.

    Args:
        path: the file that ``torch.save`` wrote.
        dtype: of the computation: float32, float16 or bfloat16.
        device: where the weights go; None: CPU.

    Raises:
        CheckpointError: a missing or damaged file, code in it, unknown names or activation, shapes or values that can't
            be right.
        InputError: a dtype that is not supported.
    """
    check_dtype(dtype)
    file = Path(path)
    entries = read_entries(file)
    stored = only_tensors({k: v for k, v in entries.items() if k not in _SETTINGS | _STATISTICS}, file)
    tied = _TIED in stored
    check_names(stored, _TENSORS - {_DECODER} | {_TIED if tied else _DECODER}, file, what="an OpenAI autoencoder")
    d_sae, d_in = matrix_shape("encoder.weight", stored["encoder.weight"], file)
    shapes = {"encoder.weight": [d_sae, d_in], _DECODER: [d_in, d_sae], _TIED: [d_sae, d_in], "pre_bias": [d_in]}
    for name, tensor in stored.items():
        check_tensor(name, tensor, shapes.get(name, [d_sae]), file, reason=f"encoder.weight is {[d_sae, d_in]}")
    k = _k(entries, d_sae, file)
    weights = converted(stored, dtype, device or "cpu", file)
    directions = weights[_TIED] if tied else weights[_DECODER].T.contiguous()
    return _build(weights, directions, k, facts("openai", "TopK" if k else "ReLU", file, stored["pre_bias"], {"k": k}))


def looks_like_openai(names: frozenset[str]) -> bool:
    """Whether a file with these names is of this format."""
    return {"pre_bias", "latent_bias", "encoder.weight"} <= names


def _k(entries: Mapping[str, object], d_sae: int, file: Path) -> int | None:
    """``k`` of TopK, None for ReLU, which is also what no ``activation`` at all means."""
    activation = entries.get("activation", "ReLU")
    if activation not in _ACTIVATIONS:
        raise CheckpointError(f"{file}: activation {activation!r} is not supported; known: {sorted(_ACTIVATIONS)}")
    settings = entries.get("activation_state_dict", {})
    if not isinstance(settings, Mapping):
        raise CheckpointError(f"{file}: activation_state_dict must be a dictionary; found {type(settings).__name__}")
    unknown = sorted(settings.keys() - {"k", "postact_fn"})
    if activation == "ReLU":
        unknown = sorted(settings)
    if unknown:
        raise CheckpointError(f"{file}: unknown settings {unknown} in activation_state_dict of {activation}")
    if activation == "ReLU":
        return None
    if settings.get("postact_fn", "ReLU") != "ReLU":
        raise CheckpointError(f"{file}: postact_fn {settings['postact_fn']!r} is not supported; known: ['ReLU']")
    return count("activation_state_dict.k", settings.get("k"), file, most=d_sae)


def _build(weights: dict[str, Tensor], directions: Tensor, k: int | None, about: dict[str, object]) -> Dictionary:
    input_map = InputMap(normalize="none" if k is None else "layer_norm", shift=weights["pre_bias"])
    latent_bias = weights["latent_bias"]
    activation = JumpReLU(torch.zeros_like(latent_bias)) if k is None else TopK(k, ordered=True)
    decoder = Decoder(directions=directions.float(), bias=weights["pre_bias"].float(), facts=about)
    W_enc = weights["encoder.weight"].T  # a view: the memory layout is nn.Linear's
    return SparseAutoencoder(W_enc, latent_bias, activation, input_map, decoder, fused_bias=True)
