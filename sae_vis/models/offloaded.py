"""Weights that accelerate keeps elsewhere, in the CPU's memory or on disk, until their module runs.

Meanwhile the module has tensors without values (on the meta device), and a hook that knows where the values are.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor, nn

from sae_vis.errors import InputError
from sae_vis.models.wrapped import loaded_class, whole

_MAKERS: tuple[tuple[str, str, str, dict[str, Any]], ...] = (
    ("torch.nn.utils.weight_norm", "WeightNorm", "compute_weight", {}),
    ("torch.nn.utils.spectral_norm", "SpectralNorm", "compute_weight", {"do_power_iteration": False}),
    ("torch.nn.utils.prune", "BasePruningMethod", "apply_mask", {}),
)


def value_of(module: nn.Module, name: str, path: str = "") -> Tensor:
    """A parameter or buffer of a module, fetched from where it is kept; `path` names it in an error.

    Raises:
        InputError: it has no values anywhere.
    """
    tensor = _made_before_each_call(module, name)
    tensor = getattr(module, name) if tensor is None else tensor
    assert isinstance(tensor, Tensor)
    if not tensor.is_meta:
        return whole(tensor)
    for hook in _hooks(module):
        kept = getattr(hook, "weights_map", None)
        try:
            value = None if kept is None else kept[name]
        except KeyError:
            continue
        if isinstance(value, Tensor):
            return value
    raise InputError(
        f"the weight {(path or name)!r} of a {type(module).__name__} is not in memory (meta device), and no hook of "
        "accelerate knows where it is: load the model with its weights"
    )


def device_of(module: nn.Module) -> torch.device:
    """Where a module with a weight computes."""
    weight = module.weight
    assert isinstance(weight, Tensor)
    if not weight.is_meta:
        return weight.device
    devices = (getattr(hook, "execution_device", None) for hook in _hooks(module))
    found = next((device for device in devices if device is not None), "cpu")
    return torch.device(f"cuda:{found}" if isinstance(found, int) else found)


def values_of(model: nn.Module) -> dict[str, Tensor]:
    """A model's state dictionary, with the values of what is kept elsewhere.

    Raises:
        InputError: a weight without values.
    """
    found: dict[str, Tensor] = model.state_dict()
    for name, tensor in found.items():
        if tensor.is_meta:
            path, _, own = name.rpartition(".")
            found[name] = value_of(model.get_submodule(path), own, name)
    return found


def _made_before_each_call(module: nn.Module, name: str) -> Tensor | None:
    """A weight that a hook makes anew before each call (weight norm, spectral norm, pruning); what stands is older."""
    for hook in module._forward_pre_hooks.values():
        for home, kind, make, options in _MAKERS:
            made_name = getattr(hook, "name", getattr(hook, "_tensor_name", None))
            if isinstance(hook, loaded_class(home, kind)) and made_name == name:
                made: Tensor = getattr(hook, make)(module, **options)
                return made.detach()
    return None


def _hooks(module: nn.Module) -> Iterator[Any]:
    """Accelerate's hooks on a module."""
    hook = getattr(module, "_hf_hook", None)
    if hook is not None:
        yield from getattr(hook, "hooks", (hook,))
