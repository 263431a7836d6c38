"""Correlations over all unmasked tokens, exact, in float64: of features, of one dictionary or two.

With n tokens, sums S_ij = Σ a_i a_j, means m and centred variances v, the Pearson correlation is
``(S_ij / n - m_i m_j) / sqrt(v_i v_j)`` and the cosine similarity ``S_ij / sqrt(S_ii S_jj)``. Only tokens on which both
fire add to S_ij, so the sums are those of `cofirings`. Subtracting ``m_i m_j`` loses at most about
``1e-16 m_i m_j / sqrt(v_i v_j)`` in float64.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from sae_vis.index.cofirings import Cofirings, Pairs
from sae_vis.index.shards import offsets_of, owners

F64 = NDArray[np.float64]
I64 = NDArray[np.int64]
PIECES = 4  # times the number of values wanted: pieces into which a row is cut


class Moments(NamedTuple):
    """Of each feature over all unmasked tokens, float64 ``[d]``: mean, centred variance, mean of squares."""

    mean: F64
    variance: F64
    mean_square: F64

    def rows(self, first: int, stop: int) -> Moments:
        """Of features ``first`` to ``stop``."""
        return Moments(*(values[first:stop] for values in self))


class Partners(NamedTuple):
    """For each of some features those that correlate with it most, of the same dictionary or another.

    Attributes:
        other: int32 ``[d, k]`` which, by descending Pearson correlation, -1 where there are fewer than k.
        pearson: float32 ``[d, k]``.
        cosine: float32 ``[d, k]``.
        together: int64 ``[d, k]`` tokens on which both fire.
    """

    other: NDArray[np.int32]
    pearson: NDArray[np.float32]
    cosine: NDArray[np.float32]
    together: NDArray[np.int64]

    def of(self, feature: int, n: int) -> Partners:
        """The nearest features of one.

        Args:
            feature: its id.
            n: how many at most.

        Returns:
            These, the nearest first.
        """
        listed = self.other[feature, :n] >= 0
        columns: tuple[NDArray[Any], ...] = tuple(self)
        return Partners(*(column[feature, :n][listed] for column in columns))

    @property
    def best(self) -> NDArray[np.float32]:
        """The largest correlation of each feature; 0 where it has no partner."""
        return self.pearson[:, 0] if self.pearson.shape[1] else np.zeros(len(self.pearson), dtype=np.float32)


class Scales(NamedTuple):
    """What correlations take of the moments of features, float64 ``[d]``.

    Attributes:
        mean: the mean.
        scale: ``1 / sd``, 0 for a feature that never varies: it correlates with nothing.
        shift: ``mean / sd``, 0 likewise.
        norm: ``1 / sqrt(mean of squares)``, 0 for one that never fires.
    """

    mean: F64
    scale: F64
    shift: F64
    norm: F64

    @classmethod
    def of(cls, moments: Moments) -> Scales:
        """Of features with these moments."""
        scale = reciprocal_root(moments.variance)
        return cls(moments.mean, scale, moments.mean * scale, reciprocal_root(moments.mean_square))

    def rows(self, first: int, stop: int) -> Scales:
        """Of features ``first`` to ``stop``."""
        return Scales(*(values[first:stop] for values in self))


class BestPartners:
    """The k features most correlated with each of n, taken from their pairs some rows at a time.

    Only pairs that fire together and correlate positively are listed; equal correlations by ascending number.
    """

    def __init__(self, own: Scales, others: Scales, n_tokens: int, k: int, *, left_out: int | None = None) -> None:
        """No pair is known yet.

        Args:
            own: of the n features of the rows.
            others: of the m features of the columns.
            n_tokens: unmasked tokens.
            k: at most so many are listed.
            left_out: number of the first row's feature where rows are among the columns: none is listed for itself.
        """
        self._own, self._others, self._n_tokens, self._left_out = own, others, n_tokens, left_out
        self._factors = others.scale / n_tokens + 1j * others.shift  # side by side: one look-up, one miss of the cache
        shape = (len(own.mean), min(k, len(others.mean)))
        self.found = Partners(
            np.full(shape, -1, dtype=np.int32),
            np.zeros(shape, dtype=np.float32),
            np.zeros(shape, dtype=np.float32),
            np.zeros(shape, dtype=np.int64),
        )

    def take(self, rows: I64, pairs: Pairs) -> None:
        """All pairs of ``rows [r]``; threads may take different rows at once."""
        own, others, n = self._own, self._others, self._n_tokens
        row = pairs.rows
        feature = rows[row]
        # Pearson without the factor of the row, which orders nothing: S_ij / (n sd_j) - m_i (m_j / sd_j)
        factors = self._factors[pairs.columns]
        values = pairs.sums * factors.real
        values -= own.mean[feature] * factors.imag
        if self._left_out is not None:
            values[pairs.columns == feature + self._left_out] = -np.inf
        best, rank = largest(values, row, pairs.offsets, self.found.other.shape[1])
        varies = own.scale[feature[best]] > 0
        best, rank = best[varies], rank[varies]
        at, column = (feature[best], rank), pairs.columns[best]
        cosine = pairs.sums[best] / n * own.norm[feature[best]] * others.norm[column]
        self.found.other[at] = column
        self.found.pearson[at] = np.minimum(values[best] * own.scale[feature[best]], 1.0)
        self.found.cosine[at] = np.clip(cosine, -1.0, 1.0)
        self.found.together[at] = pairs.together[best]


def top_features(found: Cofirings, first: int, scales: Scales, n_tokens: int, k: int) -> Partners:
    """The ``k`` features most correlated with each of the features ``first …``, of the same dictionary.

    Args:
        found: of these features with all.
        first: number of the first.
        scales: of all features.
        n_tokens: unmasked tokens.
        k: at most so many are listed.
    """
    best = BestPartners(scales.rows(first, first + found.n_rows), scales, n_tokens, k, left_out=first)
    found.map(best.take)
    return best.found


def largest(values: F64, row: I64, offsets: I64, k: int) -> tuple[I64, I64]:
    """The ``k`` largest values above zero of each row (``row`` of each; row ``r`` owns ``offsets[r]:offsets[r + 1]``).

    Rows are cut into pieces; the k-th largest of their maxima is a bound that leaves few to be sorted.

    Returns:
        Which values, row by row and descending, equal ones in their own order; and the rank of each in its row.
    """
    if k == 0 or len(values) == 0:
        return np.zeros(0, dtype=np.int64), np.zeros(0, dtype=np.int64)
    above = np.flatnonzero(values >= np.maximum(_bounds(values, offsets, k), np.nextafter(0.0, 1.0))[row])
    row = row[above]
    order = np.lexsort((-values[above], row))  # stable
    starts = np.searchsorted(row, np.arange(len(offsets)))
    rank = np.arange(len(above)) - np.repeat(starts[:-1], np.diff(starts))
    return above[order][rank < k], rank[rank < k]


def _bounds(values: F64, offsets: I64, k: int) -> F64:
    """For each row a bound that its ``k`` largest values reach; -inf where it has no more than k."""
    bounds = np.full(len(offsets) - 1, -np.inf)
    filled = np.flatnonzero(np.diff(offsets))
    lengths = np.diff(offsets)[filled]
    long = lengths > k
    n_pieces = np.where(long, np.minimum(lengths, PIECES * k), 1)
    at = offsets_of(n_pieces)
    row = owners(at)
    piece = np.arange(len(row)) - at[row]
    maxima = np.maximum.reduceat(values, offsets[filled][row] + lengths[row] * piece // n_pieces[row])
    table = np.full((int(long.sum()), PIECES * k), -np.inf)
    inside = long[row]
    table[(np.cumsum(long) - 1)[row[inside]], piece[inside]] = maxima[inside]
    table.partition(PIECES * k - k, axis=1)
    bounds[filled[long]] = table[:, PIECES * k - k]
    return bounds


def reciprocal_root(values: F64) -> F64:
    """``1 / sqrt(v)``, 0 for ``v = 0``: what never varies correlates with nothing."""
    return np.divide(1.0, np.sqrt(values), out=np.zeros_like(values), where=values > 0)
