"""Models and tokenizers by name or path."""

from __future__ import annotations

from collections.abc import Mapping
from importlib.util import find_spec
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import nn

from sae_vis.errors import InputError
from sae_vis.models.half import dtype_to_run, say_if_slow, say_widened
from sae_vis.models.huggingface import HuggingFaceModel
from sae_vis.models.huggingface_places import shown_name
from sae_vis.models.wrapped import unwrapped
from sae_vis.neutral import neutrally

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

DeviceMap = str | Mapping[str, str | int | torch.device]
"""Where parts of a model go: a rule of `accelerate` such as ``auto``, or devices by the parts' paths."""


@neutrally
def load_model(
    name_or_path_or_module: str | PathLike[str] | PreTrainedModel,
    *,
    dtype: torch.dtype | str | None = None,
    device: torch.device | str | None = None,
    device_map: DeviceMap | None = None,
    tensor_parallel: bool = False,
) -> HuggingFaceModel:
    """Load a model by hub name or local path, or take one that is in memory.

    Args:
        name_or_path_or_module: what ``AutoModelForCausalLM.from_pretrained`` takes, or a `transformers` model, which is
            used as it is, without what ``torch.compile``, ``DataParallel`` or PEFT wrap around it.
        dtype: of the weights, such as ``torch.bfloat16`` or ``"bfloat16"``; None: that of the checkpoint. But on a CPU
            that is slow in half precision, a checkpoint in half precision becomes float32; the log of ``sae_vis``
            says so.
        device: where to put the model; None for the CPU.
        device_map: in place of a device, for a model that is larger than one GPU: ``"auto"`` lets `accelerate` spread
            it over all GPUs, the CPU's memory and the disk; or what its ``device_map`` takes otherwise.
        tensor_parallel: cut the matrices over all processes that ``torchrun`` started, where `transformers` has a plan
            for the model. The result is a `TensorParallelModel`: the first process uses it, the others
            call its `follow`.

    Returns:
        The model, as this library uses it.

    Raises:
        InputError: nothing can be loaded from there, a model in memory has another dtype or device than asked for,
            more than one of `device`, `device_map`, `tensor_parallel`; a map without `accelerate`; one process alone.
    """
    from transformers import PreTrainedModel

    asked_dtype, given = _dtype(dtype), unwrapped(name_or_path_or_module)
    where = _where(device, device_map, tensor_parallel=tensor_parallel)
    if isinstance(given, PreTrainedModel):
        if where:
            raise InputError(
                "the model given is placed already; device_map and tensor_parallel are for one that is loaded by name"
            )
        _check_as_asked(given, asked_dtype, device)
        say_if_slow(type(given).__name__, given.dtype, given.device)
        return HuggingFaceModel(given)
    if isinstance(given, nn.Module):
        raise InputError(
            f"a {type(given).__name__} is not a transformers model (PreTrainedModel); give one, or a hub name or path"
        )
    name = str(given)
    model, stored = _from_pretrained(name, asked_dtype, where), None
    if asked_dtype is None and dtype_to_run(model.dtype, model.device if where else device) != model.dtype:
        stored = model.dtype
        say_widened(shown_name(name), stored)
        del model
        model = _from_pretrained(name, torch.float32, where)  # `.float()` would leave buffers rounded to half precision
    if device is not None:
        nn.Module.to(model, device)
    if tensor_parallel:
        from sae_vis.models.tensor_parallel import TensorParallelModel

        return TensorParallelModel(model, stored_dtype=stored)
    return HuggingFaceModel(model, stored_dtype=stored)


def _where(device: torch.device | str | None, device_map: DeviceMap | None, *, tensor_parallel: bool) -> dict[str, Any]:
    """What ``from_pretrained`` is told about devices; {} where the model is moved afterwards, if at all."""
    if sum((device is not None, device_map is not None, tensor_parallel)) > 1:
        raise InputError(
            f"device is {device}, device_map {device_map!r}, tensor_parallel {tensor_parallel}: give one of them"
        )
    if tensor_parallel:
        from sae_vis.models.tensor_parallel import options

        return options()
    if device_map is None:
        return {}
    if find_spec("accelerate") is None:
        raise InputError(
            "device_map spreads a model by the package accelerate, which is not here: pip install accelerate"
        )
    return {"device_map": device_map if isinstance(device_map, str) else dict(device_map)}


def _from_pretrained(name: str, dtype: torch.dtype | None, where: dict[str, Any]) -> PreTrainedModel:
    import transformers
    from transformers import AutoModelForCausalLM

    version = tuple(int(part) for part in transformers.__version__.split(".")[:2])
    keyword = "dtype" if version >= (4, 56) else "torch_dtype"
    options: dict[str, Any] = {keyword: "auto" if dtype is None else dtype, **where}
    try:
        with torch.random.fork_rng(devices=range(torch.cuda.device_count())):
            return AutoModelForCausalLM.from_pretrained(name, **options)
    except (OSError, ValueError) as error:
        adapter = (Path(name) / "adapter_config.json").is_file() and find_spec("peft") is None
        todo = ". It is an adapter, which takes the package peft: pip install peft" if adapter else ""
        raise InputError(f"can't load a causal language model from {name!r}: {error}{todo}") from error


def _dtype(dtype: torch.dtype | str | None) -> torch.dtype | None:
    if not isinstance(dtype, str):
        return dtype
    found = getattr(torch, dtype.removeprefix("torch."), None)
    if not isinstance(found, torch.dtype):
        raise InputError(f"no torch dtype {dtype!r}; such as 'float32', 'bfloat16', 'float16'")
    return found


def _check_as_asked(model: PreTrainedModel, dtype: torch.dtype | None, device: torch.device | str | None) -> None:
    if dtype is not None and model.dtype != dtype:
        raise InputError(f"the model given is {model.dtype}, not {dtype}; it is used as it is: convert it yourself")
    if device is not None and model.device.type != torch.device(device).type:
        raise InputError(f"the model given is on {model.device}, not {device}; it is used as it is: move it yourself")


def load_tokenizer(name_or_path: str | PathLike[str]) -> PreTrainedTokenizerBase:
    """Load the tokenizer of a model.

    Args:
        name_or_path: hub name or local path.

    Returns:
        A tokenizer of `transformers`.

    Raises:
        InputError: nothing can be loaded from there.
    """
    from transformers import AutoTokenizer

    try:
        return AutoTokenizer.from_pretrained(str(name_or_path))
    except (OSError, ValueError) as error:
        raise InputError(f"can't load a tokenizer from {str(name_or_path)!r}: {error}") from error
