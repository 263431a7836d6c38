"""Layers of PEFT in a model: what they compute with, and what of them decides the forward. PEFT is not imported here.

A layer such as ``lora.Linear`` stands in the place of a projection and has it inside; its attribute ``weight`` is that
of the projection alone. What such a layer does is read off its own forward, whatever its adapters are: merged or not,
one or several, switched off, of any kind that is linear in what it is given.
"""

from __future__ import annotations

from collections.abc import Mapping
from operator import attrgetter
from typing import Any, cast

import torch
from torch import Tensor, nn

from sae_vis.errors import InputError
from sae_vis.models.forward import eval_mode
from sae_vis.models.offloaded import device_of
from sae_vis.models.wrapped import bare_modules, loaded_class

_TUNED = ("peft.tuners.tuners_utils", "BaseTunerLayer")
_REPLACED = ("peft.utils.other", "ModulesToSaveWrapper")
_OTHER = ("peft.utils.other", "AuxiliaryTrainingWrapper")
_COLUMNS = 1024  # of an identity matrix given to a layer at a time
_TOLERANCE = {torch.float32: 1e-4, torch.float64: 1e-4}
_HALF_TOLERANCE = 5e-2


def in_use(module: nn.Module) -> nn.Module:
    """The copy of a module that is in use, where adapters bring one (``modules_to_save``); otherwise the module."""
    if not _is_replaced(module):
        return module
    found: Any = module
    name = next(iter(found.active_adapters), None)
    if found.disable_adapters or name not in found.modules_to_save:
        return in_use(found.original_module)
    return in_use(found.modules_to_save[name])


def _is_replaced(module: object) -> bool:
    return isinstance(module, loaded_class(*_REPLACED))


def is_adapted(module: nn.Module) -> bool:
    """Whether a module is a layer of PEFT that has the model's own inside."""
    return isinstance(module, (*loaded_class(*_TUNED), *loaded_class(*_OTHER)))


def base_of(module: nn.Module) -> nn.Module:
    """The model's own module: that inside of a layer of PEFT, or the module itself."""
    module = in_use(module)
    while is_adapted(module):
        inner = getattr(module, "base_layer", None)
        module = cast("nn.Module", module.original_module if inner is None else inner)
    return module


def written_by(module: nn.Module, base: Tensor) -> Tensor:
    """The matrix of an adapted projection, float32 ``[d_out, d_in]``: what its forward does, less its bias.

    Args:
        module: a layer of PEFT.
        base: the matrix ``[d_out, d_in]`` of the projection inside.

    Raises:
        InputError: a layer whose output is not a matrix product and a bias.
    """
    for made in (_by_deltas, _by_running):
        weight = made(module, base)
        if weight is not None and _does(module, weight, base.dtype):
            return weight
    raise InputError(
        f"what the adapted {type(module).__name__} does is not a matrix product, so directions can't be carried "
        "through it: merge the adapter into the model (merge_and_unload()), or remove it"
    )


def bias_of(module: nn.Module, d_in: int) -> Tensor:
    """What an adapted projection gives for zeros, float32 ``[d_out]``."""
    return _run(module, torch.zeros(1, d_in))[0]


def require_idle(module: nn.Module) -> None:
    """Raise `InputError` where adapters of a layer that is no projection, such as a norm, work at the time."""
    if _working(module):
        raise InputError(
            f"a {type(base_of(module)).__name__} has an adapter ({type(module).__name__}), and only adapters of "
            "projections are read: merge the adapter into the model (merge_and_unload())"
        )


def _by_deltas(module: nn.Module, base: Tensor) -> Tensor | None:
    """The base's matrix and what active adapters say they add to it: cheap, and right for LoRA."""
    layer: Any = module
    weight = base.detach().float()
    if not callable(getattr(layer, "get_delta_weight", None)):
        return None
    turned = bool(getattr(layer, "fan_in_fan_out", False))  # GPT-2's Conv1D has its matrix as [d_in, d_out]
    for name in _working(layer):
        delta = layer.get_delta_weight(name).detach().to(weight)
        delta = delta.T if turned else delta
        if delta.shape != weight.shape:
            return None
        weight = weight + delta
    return weight


def _by_running(module: nn.Module, base: Tensor) -> Tensor:
    """The matrix that a linear layer is, from what it gives for each coordinate alone."""
    d_in = base.shape[1]
    zero = _run(module, torch.zeros(1, d_in))
    parts = [_run(module, torch.eye(d_in)[start : start + _COLUMNS]) for start in range(0, d_in, _COLUMNS)]
    return (torch.cat(parts) - zero).T.contiguous()


def _does(module: nn.Module, weight: Tensor, dtype: torch.dtype) -> bool:
    """Whether a layer gives what a matrix says, tried on a few vectors."""
    x = torch.randn(4, weight.shape[1], generator=torch.Generator().manual_seed(0)).to(dtype).float()
    found = _run(module, x) - _run(module, torch.zeros(1, weight.shape[1]))
    expected = x.to(weight) @ weight.T
    tolerance = _TOLERANCE.get(dtype, _HALF_TOLERANCE)
    return bool((found.to(expected) - expected).abs().max() <= tolerance * expected.abs().max().clamp(min=1e-6))


def _run(module: nn.Module, x: Tensor) -> Tensor:
    weight = cast("Tensor", base_of(module).weight)
    with torch.no_grad(), eval_mode(module):
        found: Tensor = module(x.to(device_of(base_of(module)), weight.dtype))
    return found.detach().float()


# Identity


def adapters_of(model: nn.Module) -> dict[str, dict[str, object]]:
    """Kind and settings of the adapters that change the forward, by the path of their layer; {} where none does.

    Raises:
        InputError: adapters that are merged into the weights and switched off at once: PEFT takes them out of the
            weights again at the next forward.
    """
    found: dict[str, dict[str, object]] = {}
    for path, module in bare_modules(model).items():
        if not isinstance(module, loaded_class(*_TUNED)):
            continue
        layer: Any = module
        if layer.merged and layer.disable_adapters:
            raise InputError(
                f"the adapters at {path!r} are merged into the weights and switched off at once: take them out "
                "(unmerge_adapter()), or switch them on"
            )
        for name in _working(layer):
            settings = {
                key: values[name]
                for key, values in vars(layer).items()
                if isinstance(values, dict) and isinstance(values.get(name), bool | int | float | str)
            }
            found[f"{path}:{name}"] = {"kind": type(layer).__name__, **settings}
    return found


def own_names(model: nn.Module, weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Weights under the names of the base model: of layers of PEFT the module inside, and the adapters that work.

    A model whose adapters are all switched off has the weights of its base model, under the same names.
    """
    found = dict(weights)
    for path, module in reversed(list(model.named_modules())):  # what is inside first
        if not is_adapted(module):
            continue
        start = f"{path}."
        within = {name: found.pop(name) for name in list(found) if name.startswith(start)}
        for name, weight in within.items():
            kept = _name_within(module, name.removeprefix(start))
            if kept is not None:
                found[start + kept] = weight
    return found


def _name_within(layer: Any, name: str) -> str | None:  # noqa: ANN401 (a layer of PEFT)
    """What a weight of a layer of PEFT is called without the layer, or None for one that does not matter."""
    first, _, rest = name.partition(".")
    adapter, _, inner = rest.partition(".")
    if _is_replaced(layer):
        used = in_use(layer)
        if first == "original_module":
            return rest if used is in_use(layer.original_module) else None
        return inner if layer.modules_to_save[adapter] is used else None
    if first in {"base_layer", "original_module"}:
        return rest
    return name if adapter in _working(layer) or adapter not in _names_of_adapters(layer) else None


def _working(layer: Any) -> list[str]:  # noqa: ANN401 (a layer of PEFT)
    """Names of the adapters that its forward adds to what is inside."""
    if getattr(layer, "merged", False) or layer.disable_adapters:
        return []
    names = _names_of_adapters(layer)
    return [name for name in layer.active_adapters if name in names]


def _names_of_adapters(layer: Any) -> set[str]:  # noqa: ANN401 (a layer of PEFT)
    parts = [attrgetter(name)(layer) for name in layer.adapter_layer_names]
    return {str(name) for part in parts if isinstance(part, nn.ModuleDict | nn.ParameterDict) for name in part}
