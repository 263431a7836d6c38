"""Tensors between the host's memory and a GPU's, while the GPU goes on with its work.

A copy runs beside other work where the host's memory is pinned and nobody asks for its end at once. Everywhere but on
CUDA these are plain copies.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache

import torch
from torch import Tensor


def to_device(tensor: Tensor, device: torch.device) -> Tensor:
    """A tensor of the host on a device; the host does not wait for the copy."""
    if device.type != "cuda" or tensor.device.type != "cpu":
        return tensor.to(device)
    return tensor.pin_memory().to(device, non_blocking=True)


class OnTheirWay:
    """Copies on the host of some tensors of one device, begun at once and beside what that device is given next.

    The tensors may be written to only once `arrived` has given the copies.
    """

    def __init__(self, tensors: Sequence[Tensor]) -> None:
        device = tensors[0].device
        self._done: torch.cuda.Event | None = None
        self._sources = tensors  # their memory must not be used again meanwhile
        if device.type != "cuda":
            self._copies = [tensor.cpu() for tensor in tensors]
            return
        stream = _side_stream(device)
        stream.wait_stream(torch.cuda.current_stream(device))
        with torch.cuda.stream(stream):
            pinned = [torch.empty(t.shape, dtype=t.dtype, pin_memory=True) for t in tensors]
            self._copies = [copy.copy_(t, non_blocking=True) for copy, t in zip(pinned, tensors, strict=True)]
            self._done = torch.cuda.Event(blocking=True)  # type: ignore[no-untyped-call]
            self._done.record(stream)

    def arrived(self) -> list[Tensor]:
        """The copies, waited for. They may be in pinned memory: what is kept for long should be copied once more."""
        if self._done is not None:
            self._done.synchronize()
            self._done, self._sources = None, ()
        return self._copies


@cache
def _side_stream(device: torch.device) -> torch.cuda.Stream:
    return torch.cuda.Stream(device)  # type: ignore[no-untyped-call]
