"""Choosing examples among firings: windows, distinct contexts, reproducible uniform samples."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

I64 = NDArray[np.int64]
U64 = NDArray[np.uint64]
HASH_TOKENS = 1 << 22  # window tokens hashed at a time


def spans(offsets: I64, positions: I64, before: int | None, after: int | None) -> tuple[I64, I64]:
    """Start and stop of the window around each position, cut at the ends of its sequence (None: that far)."""
    sequence = np.searchsorted(offsets, positions, side="right") - 1
    low, high = offsets[sequence], offsets[sequence + 1]
    starts = low if before is None else np.maximum(low, positions - before)
    stops = high if after is None else np.minimum(high, positions + after + 1)
    return starts, stops


def distinct_contexts(tokens: NDArray[np.int32], starts: I64, stops: I64, positions: I64, k: int) -> tuple[I64, I64]:
    """The first ``k`` of some firings whose windows differ, and how often each window comes again.

    Two windows are the same if they hold the same tokens and the firing stands at the same place in them; they are
    told apart by 64-bit hashes (two of a million different windows collide with a chance below 1e-7).

    Returns:
        Indices of the chosen firings, ascending, and the number of further firings with the same window.
    """
    if len(positions) == 0 or k == 0:
        return np.zeros(0, dtype=np.int64), np.zeros(0, dtype=np.int64)
    hashes = window_hashes(tokens, starts, stops, positions)
    _, first, counts = np.unique(hashes, return_index=True, return_counts=True)
    order = np.argsort(first)[:k]
    return first[order].astype(np.int64), counts[order].astype(np.int64) - 1


def sample_priority(positions: NDArray[Any], feature: int, seed: int) -> U64:
    """A uniform 64-bit hash of (seed, feature, position) for each position."""
    priority: U64 = mixed(sample_keys([feature], seed) ^ positions.astype(np.uint64))
    return priority


def sample_keys(features: Sequence[int], seed: int) -> U64:
    """A 64-bit hash of (seed, feature) for each feature: what `sample_priority` makes of a position depends on."""
    key: U64 = mixed(mixed(np.array([seed % (1 << 64)], dtype=np.uint64)) ^ np.array(features, dtype=np.uint64))
    return key


def window_hashes(tokens: NDArray[np.int32], starts: I64, stops: I64, positions: I64) -> U64:
    """A 64-bit hash of each window's tokens and of the place of the firing in it (at least one window)."""
    longest = int((stops - starts).max())
    step = max(1, HASH_TOKENS // longest)
    hashes = np.empty(len(positions), dtype=np.uint64)
    for begin in range(0, len(positions), step):
        part = slice(begin, begin + step)
        state = mixed((positions[part] - starts[part]).astype(np.uint64))
        for column in range(int((stops[part] - starts[part]).max())):
            at = starts[part] + column
            inside = at < stops[part]
            token = tokens[np.minimum(at, stops[part] - 1)].astype(np.uint64)
            state = np.where(inside, mixed(state ^ (token + np.uint64(1))), state)
        hashes[part] = mixed(state ^ (stops[part] - starts[part]).astype(np.uint64))
    return hashes


def mixed(values: Any) -> Any:  # noqa: ANN401  NumPy's types lose uint64 in arithmetic
    """Well mixed 64-bit numbers: the finaliser of splitmix64.

    Steele, Lea & Flood 2014, "Fast splittable pseudorandom number generators".
    """
    z = values + np.uint64(0x9E3779B97F4A7C15)
    z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return z ^ (z >> np.uint64(31))
