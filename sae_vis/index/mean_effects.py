"""Mean effects of features over the firings at which an index keeps them."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from sae_vis.index.effects_cache import BLOCK, EffectsCache

F64 = NDArray[np.float64]
I64 = NDArray[np.int64]


class MeanEffects(NamedTuple):
    """Effects on the loss of the next token of some features, each over the firings at which its effect is kept.

    These are the firings in contexts that pages have shown: the largest ones, a sample of each interval of activations,
    and those that stand beside them. So large activations weigh more than among all firings.

    Attributes:
        n: int64 ``[n_features]`` firings whose effect is kept; 0 where none was computed.
        mean: float64 ``[n_features]`` nats, below 0 where the feature helps; NaN where ``n`` is 0.
        standard_error: float64 ``[n_features]`` of the mean, ``s / sqrt(n)`` with ``s² = Σ (x - mean)² / (n - 1)``; NaN
            where ``n`` is below 2.
    """

    n: I64
    mean: F64
    standard_error: F64


class MeanEffect(NamedTuple):
    """Of one feature; as in `MeanEffects`.

    Attributes:
        n: firings whose effect is kept, 1 or more.
        mean: nats.
        standard_error: of the mean; NaN where ``n`` is 1.
    """

    n: int
    mean: float
    standard_error: float


def mean_effects(cache: EffectsCache, features: I64) -> MeanEffects:
    """Of ``features``, in their order. Firings at the end of a sequence, which have no next token, are left out."""
    n, mean, error = np.zeros(len(features), dtype=np.int64), *(np.full(len(features), np.nan) for _ in range(2))
    blocks = features // BLOCK
    for number in np.unique(blocks):
        kept = cache.block(int(number))
        known = ~np.isnan(kept.loss)
        of_block = _means(kept.feature[known] - int(number) * BLOCK, kept.loss[known].astype(np.float64))
        rows = np.flatnonzero(blocks == number)
        for whole, part in zip((n, mean, error), of_block, strict=True):
            whole[rows] = part[features[rows] - number * BLOCK]
    return MeanEffects(n, mean, error)


def _means(group: NDArray[np.int32], values: F64) -> MeanEffects:
    """Of the values of each group, ``[BLOCK]``; the mean is taken off before squaring."""
    n = np.bincount(group, minlength=BLOCK)
    mean, error = np.full(BLOCK, np.nan), np.full(BLOCK, np.nan)
    np.divide(np.bincount(group, weights=values, minlength=BLOCK), n, out=mean, where=n > 0)
    squares = np.bincount(group, weights=(values - mean[group]) ** 2, minlength=BLOCK)
    np.divide(squares, n * (n - 1.0), out=error, where=n > 1)
    return MeanEffects(n, mean, np.sqrt(error))
