"""What people wrap around a model, or an SAE, taken off again: compilation, copies for several devices, adapters.

The libraries that wrap are never imported here: an object of their classes can't be there without them.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from typing import Any, cast

from torch import Tensor, nn

from sae_vis.errors import InputError

_COMPILED = ("torch._dynamo.eval_frame", "OptimizedModule")  # what torch.compile gives for a module
_COPIED = (("torch.nn.parallel", "DataParallel"), ("torch.nn.parallel", "DistributedDataParallel"))
_PEFT_MODELS = (("peft", "PeftModel"), ("peft", "PeftMixedModel"))
_PEFT_TUNER = ("peft.tuners.tuners_utils", "BaseTuner")
_SHARDED = (("torch.distributed.fsdp", "FullyShardedDataParallel"), ("torch.distributed.fsdp", "FSDPModule"))
_DTENSOR = ("torch.distributed.tensor", "DTensor")


def loaded_class(home: str, name: str) -> tuple[type, ...]:
    """The class called `name` of a module, in a tuple; () where nobody has imported that module, or it has none."""
    found = getattr(sys.modules.get(home), name, None)
    return (found,) if isinstance(found, type) else ()


def unwrapped(given: object) -> object:
    """A module without what is wrapped around it; whatever is not wrapped, and what is no module, as it is.

    Taken off are ``torch.compile``, ``DataParallel``, ``DistributedDataParallel`` and PEFT's models: of these the base
    model is left, with the layers of the adapters in it.

    Raises:
        InputError: a module whose weights are in pieces on several processes; an adapter that is more than layers in
            the base model.
    """
    _require_whole(given)
    while True:
        inner = _inside(given)
        if inner is None:
            return given
        given = inner


def _inside(given: object) -> object | None:
    """What is in the outermost wrapping, or None where there is none."""
    found: Any = given
    if is_compiled(given):
        return cast("object", found._orig_mod)
    if isinstance(given, tuple(kind for where in _COPIED for kind in loaded_class(*where))):
        return cast("object", found.module)
    if isinstance(given, tuple(kind for where in _PEFT_MODELS for kind in loaded_class(*where))):
        _require_layers_only(found)
        return cast("object", found.base_model)
    if isinstance(given, loaded_class(*_PEFT_TUNER)):
        return cast("object", found.model)
    return None


def is_compiled(module: object) -> bool:
    """Whether it is what ``torch.compile`` gives for a module."""
    return isinstance(module, loaded_class(*_COMPILED))


def bare(module: nn.Module) -> nn.Module:
    """A module without the compilation around it."""
    return cast("nn.Module", module._orig_mod) if is_compiled(module) else module


def bare_name(name: str) -> str:
    """The name of a module or weight without what the compilation of a part of the model adds to it."""
    return name.replace("_orig_mod.", "").removesuffix("._orig_mod")


def bare_modules(model: nn.Module) -> dict[str, nn.Module]:
    """Every module of a model by its path, parts that were compiled one by one as they were before."""
    return {bare_name(path): module for path, module in model.named_modules(remove_duplicate=False)}


def _require_whole(given: object) -> None:
    for part in given.modules() if isinstance(given, nn.Module) else ():
        if isinstance(part, tuple(kind for where in _SHARDED for kind in loaded_class(*where))) or in_pieces(part):
            raise InputError(
                f"the weights of this {type(given).__name__} are spread over processes (FSDP, tensor parallel), and a "
                "model is read as a whole here: save a full state dictionary, load it in one process, and give that "
                "model; or have it cut as it is loaded: load_model(name, tensor_parallel=True)"
            )


def whole(tensor: Tensor) -> Tensor:
    """A tensor, or, of one that is in pieces on several processes, the whole: all of them must ask for it."""
    if is_cut(tensor):
        found: Tensor = tensor.full_tensor()  # type: ignore[attr-defined]
        return found
    return tensor


def in_pieces(module: nn.Module) -> bool:
    """Whether a module has a weight of which other processes have the other pieces."""
    return any(is_cut(parameter) for parameter in module.parameters(recurse=False))


def is_cut(tensor: Tensor) -> bool:
    """Whether other processes have other pieces of a tensor."""
    return isinstance(tensor, loaded_class(*_DTENSOR))


def _require_layers_only(model: Any) -> None:  # noqa: ANN401 (a model of PEFT)
    for config in _active_configs(model):
        kind = getattr(config.peft_type, "value", config.peft_type)
        if config.is_prompt_learning or kind in {"XLORA", "POLY"} or getattr(config, "alora_invocation_tokens", None):
            raise InputError(
                f"the adapter of this {type(model).__name__} ({kind}) is more than layers within the base model: it "
                "adds tokens, or depends on the text; adapters such as LoRA can be read"
            )


def _active_configs(model: Any) -> Iterator[Any]:  # noqa: ANN401 (a model of PEFT)
    active = model.active_adapters
    for name in [active] if isinstance(active, str) else active:
        if name in model.peft_config:
            yield model.peft_config[name]
