"""Sparse codes on an accelerator without waiting for it: selections of a size that the host knows beforehand.

What `encode` of a dictionary gives is as long as there are firings, and the host must know how many before it can ask
for the memory: it waits for the device several times a batch, and the device then waits for the host. Here every
selection has so many slots, filled from the front; whether they were enough is looked at when the results arrive, one
batch later. Where they were not, the batch is encoded again by `encode`: nothing depends on how many there were.
"""

from __future__ import annotations

from functools import cache
from typing import NamedTuple

import torch
from torch import Tensor

from sae_vis.saes.base import PackedCodes, SparseCodes


class Slots(NamedTuple):
    """Elements of a matrix ``[n, d_sae]`` that may fire, in row-major order, in a fixed number of slots.

    Attributes:
        rows: int64 ``[m]``; 0 in a slot that is not used.
        features: int64 ``[m]``, ascending within a row; 0 in a slot that is not used.
        acts: ``[m]``, activations.
        fires: bool ``[m]``; False in a slot that is not used.
        full: bool ``[]``: whether every slot is used, so that there may have been more.
    """

    rows: Tensor
    features: Tensor
    acts: Tensor
    fires: Tensor
    full: Tensor


def slots_at_least(matrix: Tensor, bound: Tensor, m: int) -> Slots:
    """The elements of ``matrix [n, d]`` with ``matrix >= bound [d]``; their values stand as activations."""
    return _slots(matrix, matrix >= bound, m)


def slots_of_dense(acts: Tensor, m: int) -> Slots:
    """The entries of activations ``[n, d_sae]`` that are not 0."""
    return _slots(acts, acts != 0, m)


def slots_of_rows(values: Tensor, features: Tensor) -> Slots:
    """The positive ones of as many values of each row ``[n, k]``, with their features ``[n, k]`` in any order."""
    features, order = features.sort(dim=1)
    values = values.gather(1, order).flatten()
    rows = torch.arange(len(features), device=features.device).repeat_interleave(features.shape[1])
    full = torch.zeros((), dtype=torch.bool, device=values.device)
    return Slots(rows, features.flatten(), values, values > 0, full)


def _slots(matrix: Tensor, chosen: Tensor, m: int) -> Slots:
    m = min(m, matrix.numel())
    flat = torch.nonzero_static(chosen.view(-1), size=m, fill_value=-1).squeeze(1)
    used = flat >= 0
    flat = flat.clamp(min=0)
    rows = torch.div(flat, matrix.shape[1], rounding_mode="floor")
    values = matrix.view(-1).index_select(0, flat)
    full = used.all() if m < matrix.numel() else used.new_zeros(())
    return Slots(rows, flat - rows * matrix.shape[1], values, used, full)


def packed(blocks: list[tuple[int, Slots]]) -> PackedCodes:
    """The firings of consecutive blocks of rows, each given with its number of rows, without the slots between them."""
    first, rows = 0, []
    for n, slots in blocks:
        rows.append(slots.rows + first)
        first += n
    every, fires = torch.cat(rows), torch.cat([slots.fires for _, slots in blocks])
    m = len(fires)
    counts = torch.zeros(first, dtype=torch.int32, device=fires.device).index_add_(0, every, fires.to(torch.int32))
    place = torch.where(fires, fires.cumsum(0) - 1, m)  # what does not fire goes into one place behind the others
    features = torch.cat([slots.features for _, slots in blocks]).to(torch.int32)
    acts = torch.cat([slots.acts for _, slots in blocks])
    return PackedCodes(
        counts,
        features.new_zeros(m + 1).scatter_(0, place, features),
        acts.new_zeros(m + 1).scatter_(0, place, acts),
        torch.stack([slots.full for _, slots in blocks]).any(),
    )


def unpacked(codes: PackedCodes) -> SparseCodes:
    """As `SparseCodes`, in memory of their own; for codes that are on the CPU and not short of slots."""
    offsets = torch.zeros(len(codes.counts) + 1, dtype=torch.int64)
    torch.cumsum(codes.counts, 0, out=offsets[1:])
    n = int(offsets[-1])
    return SparseCodes(offsets, codes.features[:n].to(torch.int64), codes.acts[:n].to(torch.float32, copy=True))


@cache
def has_static_selection(device: torch.device) -> bool:
    """Whether this release of torch selects into a fixed number of slots on a device (on CUDA: from 2.7 on)."""
    try:
        torch.nonzero_static(torch.zeros(1, dtype=torch.bool, device=device), size=1)
    except (NotImplementedError, RuntimeError):
        return False
    return True
