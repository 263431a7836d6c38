"""Postings: for each feature, the positions where it fires (ascending) and the activations there."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from sae_vis.index.shards import Shard, offsets_of

F32 = NDArray[np.float32]
I64 = NDArray[np.int64]
PART_FEATURES = 1 << 16  # most features of a part: their rows of the feature table are made at a time


class Postings(NamedTuple):
    """Postings of consecutive features.

    Attributes:
        offsets: int64 ``[n_features + 1]``.
        positions: int32 or int64 ``[n_firings]``, ascending within a feature.
        acts: float32 ``[n_firings]``.
    """

    offsets: I64
    positions: NDArray[Any]
    acts: F32

    def to_table(self, first: int) -> pa.Table:
        """The firings as rows of a Parquet file.

        Args:
            first: id of the first feature.

        Returns:
            Columns ``feature``, ``position`` and ``act``.
        """
        return pa.table(
            {"feature": (first + self.feature).astype(np.int32), "position": self.positions, "act": self.acts}
        )

    @property
    def counts(self) -> I64:
        """Firings of each feature."""
        return np.diff(self.offsets)

    @property
    def feature(self) -> I64:
        """The feature (0 for the first) of each firing."""
        return np.repeat(np.arange(len(self.offsets) - 1), self.counts)


def plan_parts(counts: I64, part_firings: int) -> list[tuple[int, int]]:
    """Cut features into ranges of at most ``part_firings`` firings and `PART_FEATURES`, at least one feature each."""
    offsets = offsets_of(counts)
    parts, first = [], 0
    while first < len(counts):
        stop = int(np.searchsorted(offsets, offsets[first] + part_firings, side="right")) - 1
        stop = min(len(counts), max(first + 1, stop), first + PART_FEATURES)
        parts.append((first, stop))
        first = stop
    return parts


def gather(shards: Iterable[Shard], first: int, stop: int, counts: I64, dtype: type[np.integer[Any]]) -> Postings:
    """The reduce half of a build: postings of features ``first`` to ``stop`` from all shards in corpus order.

    A counting sort by feature: every firing goes straight to its final place, so equal features keep corpus order.
    """
    offsets = offsets_of(counts[first:stop])
    positions = np.empty(int(offsets[-1]), dtype=dtype)
    acts = np.empty(int(offsets[-1]), dtype=np.float32)
    free = offsets[:-1].copy()  # where each feature's next firing goes
    for shard in shards:
        edges = shard.edges(range(first, stop))
        here = np.diff(edges)
        low, high = int(edges[0]), int(edges[-1])
        target = np.repeat(free - (edges[:-1] - low), here) + np.arange(high - low)
        positions[target] = shard.positions[shard.rows[low:high]]
        acts[target] = shard.acts[low:high]
        free += here
    return Postings(offsets, positions, acts)


def bins_of(acts: NDArray[Any], reach: NDArray[Any] | float, n_bins: int) -> I64:
    """Which interval each activation lies in, of width ``reach / n_bins`` with ``reach`` the largest size of any.

    From zero to both sides: interval ``j >= 0`` is ``(j w, (j + 1) w]``, interval ``j < 0`` its mirror image
    ``[j w, (j + 1) w)``. Computed as ``ceil(n |a| / reach) - 1`` in float64.
    """
    scaled = n_bins * np.abs(acts).astype(np.float64) / np.asarray(reach, dtype=np.float64)
    bins: I64 = np.clip(np.ceil(scaled) - 1, 0, n_bins - 1).astype(np.int64)
    return np.where(acts < 0, -1 - bins, bins)


def histograms(postings: Postings, reach: F32, n_bins: int, *, signed: bool = False) -> I64:
    """Firings in each interval of `bins_of`.

    Returns:
        int64 ``[n_features, n_bins]`` over ``(0, reach]``; where ``signed``, ``[n_features, 2 n_bins]`` over
        ``[-reach, reach]``.
    """
    feature = postings.feature
    n_cells = 2 * n_bins if signed else n_bins
    cell = feature * n_cells + bins_of(postings.acts, reach[feature], n_bins) + (n_bins if signed else 0)
    n_features = len(postings.offsets) - 1
    counts: I64 = np.bincount(cell, minlength=n_features * n_cells).reshape(n_features, n_cells)
    return counts


def sorted_by_act(group: I64, acts: F32) -> F32:
    """Activations ``[n]`` by ascending group, those of each group in ascending order."""
    bits = acts.view(np.int32).astype(np.int64)
    bits ^= (bits >> 63) & 0x7FFFFFFF  # negative floats order backwards by their bits
    keys = (group << 32) + bits
    keys.sort()
    bits = ((keys + (1 << 31)) & 0xFFFFFFFF) - (1 << 31)
    bits ^= (bits >> 63) & 0x7FFFFFFF
    return bits.astype(np.int32).view(np.float32)
