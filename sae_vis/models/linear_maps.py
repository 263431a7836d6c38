"""Matrices and vectors of modules, as what they compute with: adapters that work are in them."""

from __future__ import annotations

from torch import Tensor, nn

from sae_vis.errors import InputError
from sae_vis.models.adapters import base_of, in_use, is_adapted, require_idle, written_by
from sae_vis.models.adapters import bias_of as adapted_bias
from sae_vis.models.offloaded import value_of


def is_linear(module: nn.Module) -> bool:
    """Whether a module has one matrix of floating-point numbers, as linear modules have."""
    own = base_of(module)
    weight = getattr(own, "weight", None)
    if isinstance(own, nn.Embedding) or not isinstance(weight, Tensor):
        return False
    return weight.ndim == 2 and weight.is_floating_point()


def weight_of(module: nn.Module) -> Tensor:
    """The module's own weight; raises `InputError` where an adapter that is no projection's changes what it does."""
    module = in_use(module)
    if is_adapted(module):
        require_idle(module)
    return value_of(base_of(module), "weight")


def bias_of(module: nn.Module) -> Tensor | None:
    """The module's bias in float32, with the adapters that work at the time; None where it has none."""
    module = in_use(module)
    if is_adapted(module) and base_of(module).weight.ndim == 2:
        return adapted_bias(module, own_matrix(module).shape[1])
    module = base_of(module)
    has = isinstance(getattr(module, "bias", None), Tensor)
    return value_of(module, "bias").detach().float() if has else None


def linear_weight(module: nn.Module) -> Tensor:
    """The matrix of a projection as ``[d_out, d_in]``, with the adapters that work at the time."""
    module = in_use(module)
    own = own_matrix(module)
    return written_by(module, own) if is_adapted(module) else own


def own_matrix(module: nn.Module) -> Tensor:
    """The matrix ``[d_out, d_in]`` without adapters, as it is kept; GPT-2's ``Conv1D`` keeps it the other way round."""
    from transformers.pytorch_utils import Conv1D

    module = base_of(module)
    weight = weight_of(module)
    if not weight.is_floating_point():
        raise InputError(f"the weights of a {type(module).__name__} are {weight.dtype}: load the model unquantised")
    return weight.T if isinstance(module, Conv1D) else weight
