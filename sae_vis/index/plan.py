"""The plan of a build: how its work is cut. It is stored when a build begins, and whoever joins in follows it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sae_vis.index.shards import plan_runs

MOST_COUNTS = 64
"""Files of counts at most: everybody reads all of them."""


@dataclass(frozen=True, kw_only=True)
class Plan:
    """How a build is cut, from what is stored of it and the corpus' sequences alone.

    Attributes:
        neurons: whether neurons are correlated.
        part_firings: as `IndexConfig.part_firings`.
        block_bytes: as `IndexConfig.block_bytes`.
        runs: first sequence of each run, and the one after its last; a run becomes a shard.
        ranges: first run of each range, and the one after its last; sums over neurons are made of one range at a time.
        counted: the same of stretches of runs whose firings are counted together.
    """

    neurons: bool
    part_firings: int
    block_bytes: int
    runs: list[tuple[int, int]]
    ranges: list[tuple[int, int]]
    counted: list[tuple[int, int]]

    @classmethod
    def of(cls, stored: Mapping[str, Any], offsets: NDArray[np.int64]) -> Plan:
        """The plan of a corpus whose sequences begin at ``offsets``."""
        runs: list[tuple[int, int]] = []
        ranges = []
        keys = offsets[:-1] // int(stored["range_tokens"])
        edges = [0, *(np.flatnonzero(np.diff(keys)) + 1).tolist(), len(keys)]
        for start, stop in pairwise(edges):
            found = plan_runs(offsets, start, stop, int(stored["shard_tokens"]))
            ranges.append((len(runs), len(runs) + len(found)))
            runs += found
        step = -(-len(runs) // MOST_COUNTS)
        return cls(
            neurons=bool(stored["neurons"]),
            part_firings=int(stored["part_firings"]),
            block_bytes=int(stored["block_bytes"]),
            runs=runs,
            ranges=ranges,
            counted=[(first, min(len(runs), first + step)) for first in range(0, len(runs), step)],
        )
