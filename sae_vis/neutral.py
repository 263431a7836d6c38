"""The modes of torch and NumPy as they are where nobody has set any: this library works in these, whatever is set.

A script may call it within ``torch.inference_mode()`` or ``torch.autocast``, or after ``torch.set_default_dtype`` or
``torch.set_default_device``. All of these reach into every tensor that is made and every product that is taken
meanwhile. So whatever is public here and uses torch goes through `neutrally` (a function) or `all_neutrally` (a class):
inference mode, gradients and autocast are off, the default dtype is float32, the default device the CPU, NumPy's
floating-point errors are no exceptions; afterwards everything is as it was. What the user hands in to be called (a
progress function, a target) is called in these modes, too.

Left alone are modes that say how exact or how repeatable arithmetic is, or how many threads do it:
``torch.set_float32_matmul_precision``, ``torch.use_deterministic_algorithms``, ``torch.set_num_threads``.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from functools import cached_property, wraps
from inspect import isfunction, isgeneratorfunction
from typing import Any, TypeVar, cast

import numpy as np
import torch
from torch import Tensor

_F = TypeVar("_F", bound=Callable[..., Any])
_C = TypeVar("_C", bound=type)
_NUMPY: dict[str, Any] = {"divide": "warn", "over": "warn", "under": "ignore", "invalid": "warn"}
_SPECIAL = ("__init__", "__post_init__", "__call__")


def _has_autocast(device: str) -> bool:
    """Whether this release of torch has autocast for a kind of device."""
    try:
        torch.is_autocast_enabled(device)
    except RuntimeError:
        return False
    return True


_DEVICES = ("cpu", "cuda", "hpu", "ipu", "maia", "mps", "mtia", "privateuseone", "xla", "xpu")
_WITH_AUTOCAST = tuple(filter(_has_autocast, _DEVICES))


class _Float32:
    """While open, torch's default dtype is float32.

    It is one of the whole process: of several that are open at a time, in threads, the last one puts it back.
    """

    def __init__(self) -> None:
        self._lock, self._open, self._theirs = threading.Lock(), 0, torch.float32

    def __enter__(self) -> None:
        with self._lock:
            found = torch.get_default_dtype()
            if self._open == 0 or found != torch.float32:
                self._theirs = found
            if found != torch.float32:
                torch.set_default_dtype(torch.float32)
            self._open += 1

    def __exit__(self, *error: object) -> None:
        with self._lock:
            self._open -= 1
            changed_since = torch.get_default_dtype() != torch.float32
            if self._open == 0 and self._theirs != torch.float32 and not changed_since:
                torch.set_default_dtype(self._theirs)


_float32 = _Float32()


@contextmanager
def neutral() -> Iterator[None]:
    """While open, no mode is set; see the module. A generator must not yield within: use `neutrally`."""
    with ExitStack() as modes:
        if torch.is_inference_mode_enabled():
            modes.enter_context(torch.inference_mode(mode=False))
        if torch.is_grad_enabled():
            modes.enter_context(torch.no_grad())
        for kind in _WITH_AUTOCAST:
            if torch.is_autocast_enabled(kind):
                modes.enter_context(torch.autocast(kind, enabled=False))
        if torch.empty(0).device.type != "cpu":
            modes.enter_context(torch.device("cpu"))
        if np.geterr() != _NUMPY:
            modes.enter_context(np.errstate(**_NUMPY))
        modes.enter_context(_float32)
        yield


def neutrally(function: _F) -> _F:
    """The function, run in `neutral`; of a generator function every step is, and nothing between the steps."""

    @wraps(function)
    def called(*args: Any, **kwargs: Any) -> Any:  # noqa: ANN401
        with neutral():
            return function(*args, **kwargs)

    @wraps(function)
    def stepped(*args: Any, **kwargs: Any) -> Iterator[Any]:  # noqa: ANN401
        steps = function(*args, **kwargs)
        while True:
            with neutral():
                try:
                    step = next(steps)
                except StopIteration:
                    return
            yield step

    return cast("_F", stepped if isgeneratorfunction(function) else called)


def all_neutrally(cls: _C) -> _C:
    """The class, with its own public methods and properties run in `neutral`."""
    for name, found in list(vars(cls).items()):
        if name.startswith("_") and name not in _SPECIAL:
            continue
        if isinstance(found, property):
            setattr(cls, name, property(neutrally(cast("Any", found.fget)), doc=found.__doc__))
        elif isinstance(found, cached_property):
            found.func = neutrally(found.func)
        elif isinstance(found, classmethod):
            setattr(cls, name, classmethod(neutrally(found.__func__)))
        elif isfunction(found):
            setattr(cls, name, neutrally(found))
    return cls


def ordinary(tensor: Tensor) -> Tensor:
    """The tensor; for one that was made in inference mode, which autograd refuses, an ordinary one over its memory."""
    if not tensor.is_inference():
        return tensor
    with torch.inference_mode(mode=False), torch.no_grad():
        if type(tensor.data) is not Tensor or tensor.layout != torch.strided:
            return tensor.clone()
        made = torch.empty(0, dtype=tensor.dtype, device=tensor.device)
        return made.set_(tensor.untyped_storage(), tensor.storage_offset(), tensor.shape, tensor.stride())
