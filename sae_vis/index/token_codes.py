"""Which features fire on given tokens: codes of any positions, and the features that fire there more than elsewhere."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, Literal, NamedTuple, get_args

import numpy as np
from numpy.typing import NDArray

from sae_vis.checks import shown, whole_number
from sae_vis.errors import InputError
from sae_vis.index.codes_by_position import TokenCodes
from sae_vis.index.shards import offsets_of, ranges

F64 = NDArray[np.float64]
I64 = NDArray[np.int64]
GAP = 2048  # tokens that are read and not used rather than read around: at 32 firings each a row group of codes
RUN = 1 << 16  # tokens read at a time
NEAR, SERIES = 0.01, 9  # a series to the ninth power is exact to rounding below a hundredth

FeatureRank = Literal["lift", "count", "mass"]


Read = Callable[[int, int], TokenCodes]
"""Codes of the corpus positions from the first to before the second."""


class FeaturesThere(NamedTuple):
    """Features that fire on some tokens, best first.

    Attributes:
        feature: int64 ``[n]``.
        score: float64 ``[n]`` what they are ranked by: lift (G², signed), count or mass.
        n_firings: int64 ``[n]`` of these tokens those on which the feature fires.
        share: float64 ``[n]``: ``n_firings / n_tokens``.
        elsewhere: float64 ``[n]`` share of all other unmasked tokens on which it fires; NaN where there are none.
        mass: float64 ``[n]`` sum of the sizes ``|a|`` of its activations on these tokens.
        n_tokens: how many tokens these are: different ones, unmasked.
    """

    feature: I64
    score: F64
    n_firings: I64
    share: F64
    elsewhere: F64
    mass: F64
    n_tokens: int


def corpus_positions(given: object, n_tokens: int) -> I64:
    """Corpus positions from any sequence of whole numbers: int64 ``[n]``, order and repetitions kept.

    Raises:
        InputError: something else, or a position that the corpus does not have.
    """
    try:
        found = np.asarray(given)
    except (ValueError, TypeError) as error:
        raise InputError(f"positions are {shown(given)}, expected corpus positions, such as [4, 8]") from error
    found = found.astype(np.int64) if found.size == 0 else found
    if found.ndim != 1 or found.dtype.kind not in "iu":
        raise InputError(f"positions are {shown(given)}, expected corpus positions, such as [4, 8]")
    outside = found[(found < 0) | (found >= n_tokens)]
    if len(outside):
        raise InputError(f"position {int(outside[0])} does not exist: the corpus has positions 0 to {n_tokens - 1}")
    return found.astype(np.int64)


def codes_at(read: Read, positions: I64) -> TokenCodes:
    """Codes of corpus ``positions`` in their order; a position that comes twice has its codes twice.

    Neighbouring positions are read together.
    """
    wanted, where = np.unique(positions, return_inverse=True)
    parts = [(codes.features, codes.acts, np.diff(codes.offsets)) for codes in _read_runs(read, wanted)]
    if not parts:
        return _no_codes()
    features, acts, counts = (np.concatenate(columns) for columns in zip(*parts, strict=True))
    starts, lengths = offsets_of(counts)[:-1][where], counts[where]
    entries = ranges(starts, lengths)
    return TokenCodes(offsets_of(lengths), features[entries], acts[entries])


def sums_at(read: Read, positions: I64, n_features: int) -> tuple[I64, F64]:
    """Firings of each feature on distinct ascending ``positions``, and sums of ``|a|`` there, each ``[n_features]``.

    The sums are float64 and run in corpus order, however the positions are read.
    """
    count, mass = np.zeros(n_features, dtype=np.int64), np.zeros(n_features)
    for codes in _read_runs(read, positions):
        np.add.at(count, codes.features, 1)
        np.add.at(mass, codes.features, np.abs(codes.acts).astype(np.float64))
    return count, mass


def _read_runs(read: Read, wanted: I64) -> Iterator[TokenCodes]:
    """Codes of distinct ascending positions, run by run."""
    if len(wanted) == 0:
        return
    cuts = np.flatnonzero((np.diff(wanted) > GAP) | (np.diff(wanted // RUN) > 0)) + 1
    for run in np.split(wanted, cuts):
        first, stop = int(run[0]), int(run[-1]) + 1
        codes = read(first, stop)
        yield codes if stop - first == len(run) else _rows(codes, run - first)


def _rows(codes: TokenCodes, rows: I64) -> TokenCodes:
    lengths = np.diff(codes.offsets)[rows]
    entries = ranges(codes.offsets[rows], lengths)
    return TokenCodes(offsets_of(lengths), codes.features[entries], codes.acts[entries])


def _no_codes() -> TokenCodes:
    none: tuple[NDArray[Any], ...] = (np.zeros(1, np.int64), np.zeros(0, np.int32), np.zeros(0, np.float32))
    return TokenCodes(*none)


def log_likelihood_ratio(here: I64, n_here: int, total: I64, n: int) -> F64:
    """Dunning's G² of each feature, with the sign of the difference: positive where it fires here more than elsewhere.

    From the 2 x 2 table of unmasked tokens, fires or not by here or elsewhere, with O the counts and E those expected
    if firing did not depend on the place (row sum times column sum over ``n``): ``G² = 2 Σ O ln(O / E)``, cells of 0
    adding nothing (Dunning 1993, "Accurate methods for the statistics of surprise and coincidence", Computational
    Linguistics 19; ``-2 ln λ`` there).

    Computed as ``2 Σ E h((O - E) / E)`` with ``h(x) = (1 + x) ln(1 + x) - x``, the same because the ``O - E`` add to 0:
    no term is below 0, and the differences come from whole numbers. Relative error at most about 1e-13.

    Args:
        here: int64 ``[n_features]`` firings here.
        n_here: tokens here.
        total: int64 ``[n_features]`` firings in all.
        n: tokens in all.
    """
    exact = np.int64 if n < 1 << 31 else object  # for products of two counts
    difference = (here.astype(exact) * n - total.astype(exact) * n_here).astype(np.float64)  # n (O - E), fires and here
    found: F64 = np.zeros(len(here))
    for row_sum, sign in ((n_here, 1.0), (n - n_here, -1.0)):
        for column_sum, other in ((total, sign), (n - total, -sign)):
            expected = row_sum * column_sum.astype(np.float64)  # n E
            share = np.divide(other * difference, expected, out=np.zeros(len(here)), where=expected > 0)
            found += expected * _above_tangent(share)
    score: F64 = np.sign(difference) * (2 * found / n)
    return score


def _above_tangent(x: F64) -> F64:
    """``(1 + x) ln(1 + x) - x`` for ``x >= -1``, near 0 by its series ``x²/2 - x³/6 + x⁴/12 …``."""
    near = np.abs(x) < NEAR
    small, large = np.where(near, x, 0.0), np.where(near, 0.0, x)
    series = np.zeros(len(x))
    for power in range(SERIES, 1, -1):
        series = 1 / (power * (power - 1)) - series * small
    logarithm = np.log1p(np.where(large > -1, large, 0.0))
    found: F64 = np.where(near, series * small * small, (1 + large) * logarithm - large)
    return found


def features_there(
    read: Read, positions: I64, counted: NDArray[np.bool_], n_firings: I64, k: int, rank: FeatureRank
) -> FeaturesThere:
    """The ``k`` features that fire most on ``positions``, by one of three ranks; equal ones by number.

    Args:
        read: codes by token.
        positions: of the corpus; repetitions and masked ones are left out.
        counted: bool ``[n_tokens]``, the mask.
        n_firings: int64 ``[n_features]`` in the whole corpus.
        k: how many at most.
        rank: ``lift``: those that fire here more than elsewhere, by `log_likelihood_ratio`; ``count``: by firings here;
            ``mass``: by the sum of ``|a|`` here. Features that do not fire here are not listed.

    Raises:
        InputError: another rank, or ``k`` below 0.
    """
    if rank not in get_args(FeatureRank):
        raise InputError(f"rank is {shown(rank)}, expected one of {', '.join(get_args(FeatureRank))}")
    k = whole_number(k, "k", 0)
    here = np.unique(positions)
    here = here[counted[here]]
    n_here, n = len(here), int(np.count_nonzero(counted))
    count, mass = sums_at(read, here, len(n_firings))
    if rank == "lift":
        score = log_likelihood_ratio(count, n_here, n_firings, n)
    else:
        score = count.astype(np.float64) if rank == "count" else mass
    best = np.flatnonzero(score > 0)
    best = best[np.argsort(-score[best], kind="stable")[:k]]
    rest = n - n_here
    elsewhere = (n_firings - count)[best] / rest if rest else np.full(len(best), np.nan)
    share = count[best] / max(n_here, 1)
    return FeaturesThere(best, score[best], count[best], share, elsewhere, mass[best], n_here)
