"""What a build is of, packed so that another process can do units of it: model, dictionary, tokens, settings.

Tensors on a GPU arrive on the GPU of the same number where the worker has that, on its last one where it has fewer, in
main memory where it has none.
"""

from __future__ import annotations

import io
import pickle
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor

from sae_vis.errors import InputError
from sae_vis.index.build_files import PLAN, version
from sae_vis.index.manifest import MANIFEST
from sae_vis.index.objects import ObjectStore, place_at
from sae_vis.index.storage import BuildPlace
from sae_vis.index.units import IndexUnits
from sae_vis.index.work import Work


class Parcel(NamedTuple):
    """A build, packed.

    Attributes:
        data: what it is of.
        buffers: large arrays of it, which a transport need not copy.
        gpus: on how many GPUs the model is.
    """

    data: bytes
    buffers: list[Any]
    gpus: int


def packed(indices: Sequence[IndexUnits], pickler: type[pickle.Pickler]) -> Parcel:
    """Pack a build. Raises `InputError` for what can't be sent to another process.

    Args:
        indices: that are built, in directories or at addresses.
        pickler: of what functions and classes are sent by.
    """
    file, buffers, devices = io.BytesIO(), list[Any](), set[int]()
    kind = _with_devices(pickler, devices)
    sent = [(one.source, one.config, one.columns, one.stored, _place(one)) for one in indices]
    try:
        kind(file, protocol=5, buffer_callback=lambda one: buffers.append(one.raw())).dump(sent)
    except (TypeError, AttributeError, pickle.PicklingError, RecursionError) as error:
        raise InputError(
            f"model, SAE or activations can't be sent to other processes ({error}): load them with load_model and "
            "load_dictionary, or build in ranks, each of which loads them by itself"
        ) from error
    return Parcel(file.getvalue(), buffers, len(devices))


def unpacked(data: bytes, buffers: list[Any]) -> Work:
    """The work of a build, in a worker.

    Raises:
        InputError: the worker does not see the directory or address.
    """
    indices = []
    for source, config, columns, stored, place in pickle.loads(data, buffers=buffers):
        store = place_at(place, shared=True)
        if not store.exists(PLAN) and not store.exists(MANIFEST):
            remedy = (
                "give it the environment variables or the role with which this process reads and writes there"
                if isinstance(store, ObjectStore)
                else "all machines must see the index's directory under the same path; choose one on a file system "
                "that they share, or the address of an object store"
            )
            raise InputError(f"a worker does not see {store.place}/{PLAN}: {remedy}")
        indices.append(IndexUnits(source, config, columns, store, stored))
    return Work(indices)


def _place(one: IndexUnits) -> str | Path:
    assert isinstance(one.store, BuildPlace)
    return one.store.place_anywhere


def require_version(of_driver: str) -> None:
    """Raise `InputError` unless this process has the version of the package that sent the work."""
    if version() != of_driver:
        raise InputError(f"a worker has sae_vis {version()}, the process that began the build {of_driver}: install one")


def _with_devices(pickler: type[pickle.Pickler], devices: set[int]) -> type[pickle.Pickler]:
    """A pickler that takes note of GPUs, and sends what is there by way of main memory."""

    class WithDevices(pickler):  # type: ignore[misc, valid-type]
        def reducer_override(self, obj: Any) -> Any:  # noqa: ANN401  whatever there is
            if isinstance(obj, torch.device) and obj.type == "cuda":
                return _device, (obj.index,)
            if type(obj) in (Tensor, torch.nn.Parameter) and obj.is_cuda:
                devices.add(obj.device.index)
                return _restored, (type(obj), obj.detach().cpu(), obj.requires_grad, obj.device.index)
            found: Callable[[Any], Any] = getattr(super(), "reducer_override", lambda _: NotImplemented)
            return found(obj)

    return WithDevices


def _device(index: int | None) -> torch.device:
    """A GPU, or what there is in place of it."""
    if not torch.cuda.is_available():
        return torch.device("cpu")
    return torch.device("cuda") if index is None else torch.device("cuda", min(index, torch.cuda.device_count() - 1))


def _restored(kind: type, values: Tensor, requires_grad: bool, index: int) -> Tensor:
    moved = values.to(_device(index))
    return torch.nn.Parameter(moved, requires_grad=requires_grad) if kind is torch.nn.Parameter else moved
