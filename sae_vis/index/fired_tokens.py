"""The tokens of the vocabulary that each feature fires on most: a count and a mass for every (feature, token) pair."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from sae_vis.index.postings import Postings
from sae_vis.index.shards import offsets_of, ranges

F64 = NDArray[np.float64]
I64 = NDArray[np.int64]
CELLS = 1 << 33  # features times token ids in one key: the 31 bits of an activation's size fill it up to 64


class FiredTokens(NamedTuple):
    """Tokens that one feature fires on, the most frequent first; equal counts by mass, then by id.

    Attributes:
        tokens: int32 ``[n]`` ids.
        counts: int64 ``[n]`` firings on each.
        mass: float64 ``[n]`` sum of the sizes ``|a|`` of the activations there.
        count_shares: float64 ``[n]``: ``counts`` over all firings of the feature.
        mass_shares: float64 ``[n]``: ``mass`` over that of all its firings.
        n_tokens: how many different tokens it fires on, listed or not.
    """

    tokens: NDArray[np.int32]
    counts: I64
    mass: F64
    count_shares: F64
    mass_shares: F64
    n_tokens: int


class TokenCells(NamedTuple):
    """Every token that each of some features fires on, ascending by feature, then by token.

    Attributes:
        feature: int64 ``[n]``, 0 for the first of the postings.
        token: int64 ``[n]``.
        n_firings: int64 ``[n]``.
        mass: float64 ``[n]`` sum of ``|a|``, added in ascending order of ``|a|``.
    """

    feature: I64
    token: I64
    n_firings: I64
    mass: F64


def token_columns(postings: Postings, tokens: NDArray[np.int32], k: int) -> dict[str, pa.Array]:
    """The ``k`` tokens that each feature of ``postings`` fires on most, as columns of the feature table.

    ``fired_tokens`` (ids), ``fired_tokens_count`` and ``fired_tokens_mass`` are lists of up to ``k`` entries by
    descending count, equal counts by descending mass, then by ascending id; ``n_fired_tokens`` is the number of
    different tokens. Sums of ``|a|`` are float64 and run in ascending order of ``|a|``, so neither the cut into parts
    nor the order of the corpus changes a bit. No columns where ``k`` is 0.

    Args:
        postings: of some features.
        tokens: int32 ``[n_tokens]`` of the corpus.
        k: how many tokens are kept at most.
    """
    if k == 0:
        return {}
    n_features = len(postings.offsets) - 1
    cells = token_cells(postings, tokens)
    distinct = np.bincount(cells.feature, minlength=n_features)
    rows = _largest(cells, distinct, k)
    listed = pa.array(offsets_of(np.minimum(distinct, k)).astype(np.int32))
    values: dict[str, NDArray[Any]] = {"": cells.token.astype(np.int32), "_count": cells.n_firings, "_mass": cells.mass}
    return {
        **{
            f"fired_tokens{part}": pa.ListArray.from_arrays(listed, pa.array(column[rows]))
            for part, column in values.items()
        },
        "n_fired_tokens": pa.array(distinct.astype(np.int32)),
    }


def token_cells(postings: Postings, tokens: NDArray[np.int32]) -> TokenCells:
    """Count and mass of each (feature, token) pair with a firing: one sort of the firings."""
    fired = tokens[postings.positions]
    width = int(fired.max(initial=0)) + 1
    step = max(1, CELLS // width)
    n_features = len(postings.offsets) - 1
    parts = [
        _cells_of(postings, fired, width, (first, min(n_features, first + step)))
        for first in range(0, n_features, step)
    ]
    return TokenCells(*(np.concatenate(columns) for columns in zip(*parts, strict=True)))


def _cells_of(postings: Postings, fired: NDArray[np.int32], width: int, block: tuple[int, int]) -> TokenCells:
    """Those of the features of a block, so few that feature, token and size of activation are one whole number."""
    first, stop = block
    span = slice(int(postings.offsets[first]), int(postings.offsets[stop]))
    sizes = np.abs(postings.acts[span]).view(np.int32)  # of floats above zero, bits order as values do
    keys = np.repeat(np.arange(stop - first, dtype=np.uint64) * np.uint64(width), postings.counts[first:stop])
    keys += fired[span].astype(np.uint64)
    keys <<= np.uint64(31)
    keys |= sizes.astype(np.uint64)
    keys.sort()
    cells = (keys >> np.uint64(31)).astype(np.int64)
    weights = (keys & np.uint64(0x7FFFFFFF)).astype(np.int32).view(np.float32)
    begins = np.ones(len(cells), dtype=bool)
    begins[1:] = cells[1:] != cells[:-1]
    starts = np.flatnonzero(begins)
    n_firings = np.diff(starts, append=len(cells))
    mass = np.bincount(np.cumsum(begins) - 1, weights=weights, minlength=len(starts))
    feature, token = np.divmod(cells[starts], width)
    return TokenCells(first + feature, token, n_firings, mass.astype(np.float64, copy=False))


def _largest(cells: TokenCells, distinct: I64, k: int) -> I64:
    """Rows of the first ``k`` cells of each feature by count, mass and token, feature by feature."""
    offsets = offsets_of(distinct)
    most = int(cells.n_firings.max(initial=0)) + 1
    by_count = cells.feature * most + (most - 1 - cells.n_firings)  # ascending: by feature, then by descending count
    ordered = np.sort(by_count)
    last = np.zeros(len(distinct), dtype=np.int64)
    fires = distinct > 0
    last[fires] = ordered[np.minimum(offsets[:-1] + k, offsets[1:])[fires] - 1]
    near = np.flatnonzero(by_count <= last[cells.feature])  # the k largest counts, and what ties with the last of them
    near = near[np.argsort(-cells.mass[near], kind="stable")]
    near = near[np.argsort(by_count[near], kind="stable")]
    starts = offsets_of(np.bincount(cells.feature[near], minlength=len(distinct)))[:-1]
    return near[ranges(starts, np.minimum(distinct, k))]


def read_fired_tokens(lists: dict[str, NDArray[Any]], n_firings: int, mass: float, n_tokens: int) -> FiredTokens:
    """One feature's list columns of the feature table, with shares."""
    count, sizes = lists["fired_tokens_count"], lists["fired_tokens_mass"]
    return FiredTokens(
        lists["fired_tokens"], count, sizes, count / max(n_firings, 1), sizes / (mass if mass > 0 else 1.0), n_tokens
    )
