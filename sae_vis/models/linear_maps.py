"""Matrices and vectors of modules, as what they compute with, wherever accelerate keeps them."""

from __future__ import annotations

from torch import Tensor, nn

from sae_vis.errors import InputError
from sae_vis.models.offloaded import value_of


def weight_of(module: nn.Module) -> Tensor:
    """The module's weight, fetched where it is kept elsewhere."""
    return value_of(module, "weight")


def bias_of(module: nn.Module) -> Tensor | None:
    """The module's bias in float32, or None where it has none."""
    has = isinstance(getattr(module, "bias", None), Tensor)
    return value_of(module, "bias").detach().float() if has else None


def is_linear(module: nn.Module) -> bool:
    """Whether a module has one matrix, as linear modules have."""
    weight = getattr(module, "weight", None)
    return isinstance(weight, Tensor) and weight.ndim == 2 and not isinstance(module, nn.Embedding)


def linear_weight(module: nn.Module) -> Tensor:
    """The matrix of a projection as ``[d_out, d_in]``; GPT-2's ``Conv1D`` keeps it the other way round."""
    from transformers.pytorch_utils import Conv1D

    weight = weight_of(module)
    if not weight.is_floating_point():
        raise InputError(f"the weights of a {type(module).__name__} are {weight.dtype}: load the model unquantised")
    return weight.T if isinstance(module, Conv1D) else weight
