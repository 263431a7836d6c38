"""OpenAI's sparse autoencoders: the state dictionary that the ``sparse_autoencoder`` package saves.

As ``Autoencoder`` and ``Autoencoder.from_state_dict`` of ``sparse_autoencoder/model.py`` in
github.com/openai/sparse_autoencoder (commit 764586a) read it: ``activation(linear(LN(x) - pre_bias, encoder.weight,
latent_bias))`` (Gao et al. 2024, section 2.1). ``activation`` is ``ReLU``, ``Identity``, or ``TopK``: the k largest of
each row, then ``postact_fn``, itself ReLU or Identity. ``LN`` takes the vector's mean away and divides by its standard
deviation (with n - 1) plus 1e-5, and is undone on the output; ``from_state_dict`` applies it where the activation is
TopK, and nowhere else.

Two kinds of file are read here that ``from_state_dict`` itself refuses: one of a tied decoder, and one with
``activation.k`` and ``activation.postact_fn`` beside ``activation_state_dict``, which is what ``state_dict`` gives of a
TopK: it calls that of its part, too.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor

from sae_vis.errors import CheckpointError
from sae_vis.neutral import neutrally
from sae_vis.saes.activations import Activation, JumpReLU, Linear, SignedTopK, TopK
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
_TWICE = "activation."  # before the names of settings of the activation that are said a second time
_SETTINGS = frozenset({"activation", "activation_state_dict", f"{_TWICE}k", f"{_TWICE}postact_fn"})
_ACTIVATIONS = ("Identity", "ReLU", "TopK")
_AFTER_TOPK = ("Identity", "ReLU")


@neutrally
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
    weights = converted(stored, dtype, device or "cpu", file)
    activation = _activation(entries, weights["latent_bias"], file)
    directions = weights[_TIED] if tied else weights[_DECODER].T.contiguous()
    name = str(entries.get("activation", "ReLU"))
    about = facts("openai", name, file, stored["pre_bias"], activation.describe())
    return _build(weights, directions, activation, about)


def looks_like_openai(names: frozenset[str]) -> bool:
    """Whether a file with these names is of this format."""
    return {"pre_bias", "latent_bias", "encoder.weight"} <= names


def _activation(entries: Mapping[str, object], latent_bias: Tensor, file: Path) -> Activation:
    """What the file names; ReLU, where it names none."""
    name = entries.get("activation", "ReLU")
    if name not in _ACTIVATIONS:
        raise CheckpointError(f"{file}: activation {name!r} is not supported; known: {sorted(_ACTIVATIONS)}")
    settings = _settings(entries, file)
    unknown = sorted(settings.keys() - ({"k", "postact_fn"} if name == "TopK" else set()))
    if unknown:
        raise CheckpointError(f"{file}: unknown settings {unknown} in activation_state_dict of {name}")
    if name != "TopK":
        return Linear() if name == "Identity" else JumpReLU(torch.zeros_like(latent_bias))
    after = settings.get("postact_fn", "ReLU")
    if after not in _AFTER_TOPK:
        raise CheckpointError(f"{file}: postact_fn {after!r} is not supported; known: {sorted(_AFTER_TOPK)}")
    k = count("activation_state_dict.k", settings.get("k"), file, most=len(latent_bias))
    return TopK(k, ordered=True) if after == "ReLU" else SignedTopK(k, by_size=False)


def _settings(entries: Mapping[str, object], file: Path) -> dict[str, object]:
    """The activation's, which may be said twice."""
    settings = entries.get("activation_state_dict", {})
    if not isinstance(settings, Mapping):
        raise CheckpointError(f"{file}: activation_state_dict must be a dictionary; found {type(settings).__name__}")
    again = {name.removeprefix(_TWICE): value for name, value in entries.items() if name.startswith(_TWICE)}
    for name, value in again.items():
        if name in settings and settings[name] != value:
            raise CheckpointError(
                f"{file}: activation_state_dict has {name} {settings[name]!r}, but {_TWICE}{name} is {value!r}"
            )
    return {**again, **settings}


def _build(
    weights: dict[str, Tensor], directions: Tensor, activation: Activation, about: dict[str, object]
) -> Dictionary:
    normalised = isinstance(activation, TopK | SignedTopK)
    input_map = InputMap(normalize="layer_norm" if normalised else "none", shift=weights["pre_bias"])
    latent_bias = weights["latent_bias"]
    decoder = Decoder(directions=directions.float(), bias=weights["pre_bias"].float(), facts=about)
    W_enc = weights["encoder.weight"].T  # a view: the memory layout is nn.Linear's
    return SparseAutoencoder(W_enc, latent_bias, activation, input_map, decoder, fused_bias=True)
