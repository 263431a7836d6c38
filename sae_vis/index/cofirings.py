"""Which features fire together, and how strongly: ``S_ij = Σ a_i b_j`` and ``n_ij``, the tokens on which both fire.

Rows i are features of one dictionary, columns j those of another or of the same. Only tokens on which both fire count,
so there are ``Σ_t L0_a(t) L0_b(t)`` products in all, and nothing here grows with the number of rows times columns.
A row that makes few products beside the number of columns keeps them until they are sorted by column; one that makes
many adds them to a dense row. Every sum is of products in corpus order, one after the other, in float64, so blocks,
runs of tokens, threads and the choice between the two ways change no bit.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, NamedTuple, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray

from sae_vis.index.shards import RunCodes, Shard, counting_sort, offsets_of, owners, ranges

F64 = NDArray[np.float64]
I64 = NDArray[np.int64]
T = TypeVar("T")
PAIR_BYTES = 12  # a product and its column, kept
DENSE = 4  # a row of at least 1/DENSE as many products as columns is dense
SLICE = 1 << 17  # products that a thread handles at a time: they stay in its cache
DENSE_CELLS = 1 << 20  # sums of dense rows that a thread holds at a time: a pass over a run of tokens must be worth it
BLOCK_ROWS = 4096  # most rows of a block


class Pairs(NamedTuple):
    """Pairs that fire together, row by row.

    Attributes:
        offsets: int64 ``[n_rows + 1]``: row ``r`` owns entries ``offsets[r]:offsets[r + 1]``.
        columns: int64 ``[n_pairs]``, ascending within a row.
        sums: float64 ``[n_pairs]`` of ``Σ a_i b_j``.
        together: int64 ``[n_pairs]`` tokens on which both fire.
    """

    offsets: I64
    columns: I64
    sums: F64
    together: I64

    @property
    def rows(self) -> I64:
        """The row of each entry."""
        return owners(self.offsets)


class _Kept(NamedTuple):
    """Products of sparse rows on a run of tokens: row ``r`` owns ``offsets[r]:offsets[r + 1]``, in corpus order."""

    offsets: I64
    columns: NDArray[np.int32]
    products: F64


class _Run(NamedTuple):
    """A run of tokens: row ``r`` owns firings ``edges[r]:edges[r + 1]`` of the shard; and all codes."""

    shard: Shard
    edges: I64
    codes: RunCodes


class _Firings(NamedTuple):
    """Firings of some rows, row by row: which token, activation, and how many codes that token has."""

    row: I64
    token: NDArray[Any]
    act: NDArray[np.float32]
    n_codes: I64

    def take(self, chosen: slice | NDArray[np.bool_]) -> _Firings:
        """Some of them."""
        return _Firings(self.row[chosen], self.token[chosen], self.act[chosen], self.n_codes[chosen])


def plan_blocks(n_products: I64, n_columns: int, block_bytes: int) -> list[tuple[int, int]]:
    """Cut rows into blocks whose kept products take at most ``block_bytes``, at least one row each.

    Dense rows are summed one after the other, whatever the block: a thread holds a sum and a count of each column.

    Args:
        n_products: int64 ``[n_rows]`` that each row makes.
        n_columns: number of columns.
        block_bytes: RAM of one block.
    """
    dense = _dense(n_products, n_columns)
    offsets = offsets_of(np.where(dense, 0, PAIR_BYTES * n_products))
    blocks, first = [], 0
    while first < len(n_products):
        stop = int(np.searchsorted(offsets, offsets[first] + block_bytes, side="right")) - 1
        stop = min(len(n_products), first + BLOCK_ROWS, max(first + 1, stop))
        blocks.append((first, stop))
        first = stop
    return blocks


def count_products(shards: Iterable[Shard], n_rows: int) -> I64:
    """How many products each feature of some shards makes with all codes of the same dictionary."""
    total = np.zeros(n_rows, dtype=np.int64)
    for shard in shards:
        n_codes = np.bincount(shard.rows, minlength=len(shard.positions))
        total += shard.sums_over_firings(n_codes)
    return total


class Cofirings:
    """Pairs of some rows with all columns."""

    def __init__(
        self, shards: Sequence[Shard], codes: Sequence[RunCodes], rows: range, n_products: I64, n_columns: int
    ) -> None:
        """Makes the products of the sparse rows.

        Args:
            shards: firings, run of tokens by run of tokens in corpus order.
            codes: codes of the tokens of each.
            rows: which features of the shards.
            n_products: of each of these rows; decides which are dense.
            n_columns: number of features of the codes.
        """
        dense = _dense(n_products, n_columns)
        self.n_rows, self._n_columns, self._n_products = len(rows), n_columns, n_products
        self._dense, self._sparse = np.flatnonzero(dense), np.flatnonzero(~dense)
        self._runs = [_Run(shard, shard.edges(rows), others) for shard, others in zip(shards, codes, strict=True)]
        self._kept = [_keep(run, self._sparse) for run in self._runs] if len(self._sparse) else []

    def map(self, function: Callable[[I64, Pairs], T]) -> list[T]:
        """``function(rows [n], pairs of these n rows)`` of every row once, some rows at a time, in threads."""
        return _in_threads(lambda group: function(*group()), self._groups())

    def _groups(self) -> Iterator[Callable[[], tuple[I64, Pairs]]]:
        step = max(1, DENSE_CELLS // self._n_columns)
        for low in range(0, len(self._dense), step):
            yield lambda low=low: self._dense_pairs(low, low + step)  # type: ignore[misc]
        most = (1 << 32) >> _bits(self._n_columns)  # rows whose keys are numbers of 32 bits
        for low, high in _runs_of(self._n_products[self._sparse], SLICE, most):
            yield lambda low=low, high=high: self._sparse_pairs(low, high)  # type: ignore[misc]

    def _dense_pairs(self, low: int, high: int) -> tuple[I64, Pairs]:
        rows, m = self._dense[low:high], self._n_columns
        sums = torch.zeros(len(rows) * m, dtype=torch.float64)
        counts = torch.zeros(len(rows) * m, dtype=torch.int64)
        for run in self._runs:
            for firings in _slices(_firings(run, rows)):
                of, columns, products = _products(firings, run.codes)
                cells = torch.from_numpy((firings.row * m)[of] + columns)
                sums.index_add_(0, cells, torch.from_numpy(products))  # one dimension: one after the other
                counts.index_add_(0, cells, torch.ones_like(cells))
        found = np.flatnonzero(counts.numpy())
        offsets = np.searchsorted(found, np.arange(len(rows) + 1) * m)
        columns = found - owners(offsets) * m
        return rows, Pairs(offsets, columns, sums.numpy()[found], counts.numpy()[found])

    def _sparse_pairs(self, low: int, high: int) -> tuple[I64, Pairs]:
        cuts = [(kept.offsets[low : high + 1], kept) for kept in self._kept]
        columns = np.concatenate([kept.columns[at[0] : at[-1]] for at, kept in cuts])
        products = np.concatenate([kept.products[at[0] : at[-1]] for at, kept in cuts])
        rows = np.concatenate([owners(at - at[0]) for at, _ in cuts])
        bits = _bits(self._n_columns)
        keys = (rows << bits | columns).astype(np.uint32)
        order = counting_sort(keys, (high - low) << bits)
        keys = keys[order]
        new = np.empty(len(keys), dtype=bool)
        new[:1] = True
        np.not_equal(keys[1:], keys[:-1], out=new[1:])
        starts = np.flatnonzero(new)
        sums: F64 = np.bincount(np.cumsum(new) - 1, weights=products[order], minlength=len(starts)).astype(np.float64)
        keys = keys[starts].astype(np.int64)
        offsets = np.searchsorted(keys, np.arange(high - low + 1) << bits)
        together = np.diff(starts, append=len(products))
        return self._sparse[low:high], Pairs(offsets, keys & ((1 << bits) - 1), sums, together)


def _dense(n_products: I64, n_columns: int) -> NDArray[np.bool_]:
    """Which rows are dense."""
    return n_products * DENSE >= n_columns


def _bits(n: int) -> int:
    """Bits of a number below ``n``."""
    return max(1, (n - 1).bit_length())


def _runs_of(sizes: I64, most: int, most_rows: int) -> Iterator[tuple[int, int]]:
    """Cut rows into runs of at most ``most`` in all and ``most_rows`` rows, at least one row each."""
    offsets, first = offsets_of(sizes), 0
    while first < len(sizes):
        stop = int(np.searchsorted(offsets, offsets[first] + most, side="right")) - 1
        stop = min(len(sizes), first + most_rows, max(first + 1, stop))
        yield first, stop
        first = stop


def _firings(run: _Run, rows: I64) -> _Firings:
    """Those of some rows on tokens that have codes; their rows are numbered anew."""
    lengths = np.diff(run.edges)[rows]
    own = ranges(run.edges[:-1][rows], lengths)
    token = run.shard.rows[own]
    n_codes = run.codes.offsets[token.astype(np.int64) + 1] - run.codes.offsets[token]
    firings = _Firings(owners(offsets_of(lengths)), token, run.shard.acts[own], n_codes)
    return firings if n_codes.all() else firings.take(n_codes > 0)


def _keep(run: _Run, rows: I64) -> _Kept:
    """The products of some rows."""
    firings = _firings(run, rows)
    at = offsets_of(firings.n_codes)
    columns, products = np.empty(at[-1], dtype=np.int32), np.empty(at[-1])

    def fill(part: tuple[int, int]) -> None:
        inside = slice(int(at[part[0]]), int(at[part[1]]))
        _, columns[inside], products[inside] = _products(firings.take(slice(*part)), run.codes)

    _in_threads(fill, _runs_of(firings.n_codes, SLICE, SLICE))
    return _Kept(at[np.searchsorted(firings.row, np.arange(len(rows) + 1))], columns, products)


def _products(firings: _Firings, codes: RunCodes) -> tuple[I64, NDArray[Any], F64]:
    """Of firings with all codes of their tokens: number of the firing, column and product of each, in order."""
    at = offsets_of(firings.n_codes)
    of = owners(at)
    entries = (codes.offsets[firings.token] - at[:-1])[of]
    entries += np.arange(len(entries))
    return of, codes.features[entries], codes.acts[entries] * firings.act.astype(np.float64)[of]


def _slices(firings: _Firings) -> Iterator[_Firings]:
    """Firings in runs of at most as many products as a thread handles at a time."""
    for low, high in _runs_of(firings.n_codes, SLICE, SLICE):
        yield firings.take(slice(low, high))


def _in_threads(function: Callable[[Any], T], parts: Iterable[Any]) -> list[T]:
    """``function`` of each part, in order, in as many threads as PyTorch has."""
    threads = torch.get_num_threads()
    if threads == 1:
        return [function(part) for part in parts]
    with ThreadPoolExecutor(threads) as pool:
        return list(pool.map(function, parts))
