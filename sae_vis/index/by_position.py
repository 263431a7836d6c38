"""Where in their sequences features fire: counts by position, in bins of equal width."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

I64 = NDArray[np.int64]
BLOCK = 1 << 20  # tokens counted at a time


class PositionCounts(NamedTuple):
    """One feature by position; bin ``i`` holds positions ``i * width`` up to ``(i + 1) * width`` of every sequence.

    Attributes:
        width: positions in a bin.
        n_tokens: int64 ``[n_bins]`` unmasked tokens.
        n_firings: int64 ``[n_bins]`` of them those on which the feature fires.
        mean: float64 ``[n_bins]`` mean activation among these, NaN where there are none.
    """

    width: int
    n_tokens: I64
    n_firings: I64
    mean: NDArray[np.float64]


class PositionBins:
    """Bins over the positions of a corpus: at most ``n_bins``, of the smallest equal width that covers all positions.

    Args:
        offsets: int64 ``[n_seqs + 1]`` of the corpus.
        counted: ``[n_tokens]``, 1 where the mask keeps a token.
        n_bins: how many bins at most.
    """

    def __init__(self, offsets: I64, counted: NDArray[np.uint8], n_bins: int) -> None:
        self._offsets = offsets
        longest = int(np.diff(offsets).max(initial=1))
        self.width = -(-longest // n_bins)
        self.n_bins = -(-longest // self.width)
        self.n_tokens = np.zeros(self.n_bins, dtype=np.int64)
        for first in range(0, len(counted), BLOCK):
            kept = first + np.flatnonzero(counted[first : first + BLOCK])
            self.n_tokens += np.bincount(self._bins(kept), minlength=self.n_bins)

    def count(self, positions: NDArray[Any], acts: NDArray[np.float32]) -> PositionCounts:
        """Firings at corpus ``positions`` by bin; sums in float64."""
        bins = self._bins(positions.astype(np.int64))
        n = np.bincount(bins, minlength=self.n_bins)
        total = np.bincount(bins, weights=acts, minlength=self.n_bins)
        mean = np.full(self.n_bins, np.nan)
        np.divide(total, n, out=mean, where=n > 0)
        return PositionCounts(self.width, self.n_tokens, n, mean)

    def _bins(self, positions: I64) -> I64:
        sequence = np.searchsorted(self._offsets, positions, side="right") - 1
        return (positions - self._offsets[sequence]) // self.width
