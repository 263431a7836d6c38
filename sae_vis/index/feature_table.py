"""The feature table: one row a feature, one column a statistic; what Parquet readers see of an index."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Protocol

import numpy as np
import pyarrow as pa
import torch
from numpy.typing import NDArray

from sae_vis.config import IndexConfig
from sae_vis.index.correlations import Moments, Partners
from sae_vis.index.neurons import TopPairs
from sae_vis.index.postings import Postings, histograms, sorted_by_act
from sae_vis.index.shards import offsets_of

Columns = dict[str, pa.Array]


class FeatureColumns(Protocol):
    """A statistic that others add to the feature table while an index is built (the logit lens, say)."""

    def columns(self, first: int, stop: int) -> Columns:
        """Columns for features ``first`` to ``stop``, the same names and types for every range.

        Args:
            first: id of the first feature.
            stop: id after the last feature.

        Returns:
            Arrow arrays by column name, a row for each feature.
        """


def firing_columns(
    postings: Postings, first: int, n_tokens: int, config: IndexConfig, *, signed: bool = False
) -> Columns:
    """Density, extremes, moments, mass, quantiles and histogram of the features ``first …`` of ``postings``.

    The maximum is 0 where nothing fires above zero. ``signed`` adds the minimum, 0 where nothing fires below, and the
    histogram's bins below zero.

    ``mass`` is the sum of the sizes ``|a|``, in float64, of the activations in ascending order.
    ``mean`` and ``std`` (population) are float64 over the firings, the deviations taken from the mean before squaring.
    Quantile ``q`` is the ``ceil(q n)``-th smallest of n firings (the smallest for q = 0): an activation that occurs.
    """
    counts, n_features = postings.counts, len(postings.offsets) - 1
    ordered = sorted_by_act(postings.feature, postings.acts)
    maximum, minimum = np.zeros(n_features, dtype=np.float32), np.zeros(n_features, dtype=np.float32)
    fires = counts > 0
    maximum[fires] = np.maximum(ordered[postings.offsets[1:][fires] - 1], 0)
    minimum[fires] = np.minimum(ordered[postings.offsets[:-1][fires]], 0)
    reach = np.maximum(maximum, -minimum)
    lower = {"min": minimum, "min_position": _first_at(postings, minimum)} if signed else {}
    mean, std, skewness, kurtosis = moments_among_firings(postings, ordered)
    return {
        "feature": pa.array(np.arange(first, first + n_features, dtype=np.int32)),
        "n_firings": pa.array(counts),
        "density": pa.array(counts / n_tokens),
        "max": pa.array(maximum),
        "max_position": pa.array(_first_at(postings, maximum)),
        **{name: pa.array(values) for name, values in lower.items()},
        "mean": pa.array(mean),
        "std": pa.array(std),
        "skewness": pa.array(skewness),
        "kurtosis": pa.array(kurtosis),
        "mass": pa.array(mass_of(postings, ordered)),
        "quantiles": _lists(_quantiles(ordered, postings.offsets, config.quantiles), fires),
        "acts_histogram": _lists(histograms(postings, reach, config.acts_bins, signed=signed).astype(np.int32), fires),
    }


def mass_of(postings: Postings, ordered: NDArray[np.float32]) -> NDArray[np.float64]:
    """Sum of the sizes ``|a|`` of each feature's activations, added in ascending order (``ordered``)."""
    n_features = len(postings.offsets) - 1
    return np.bincount(postings.feature, weights=np.abs(ordered), minlength=n_features).astype(np.float64)


def moments_among_firings(postings: Postings, ordered: NDArray[np.float32]) -> tuple[NDArray[np.float64], ...]:
    """Mean, standard deviation, skewness, excess kurtosis of each feature's firings (population; 0 where undefined).

    The sums run over the activations in ascending order (``ordered``), so the order of the corpus changes no bit.
    """
    feature, counts = postings.feature, np.maximum(postings.counts, 1)
    n_features = len(postings.offsets) - 1
    acts = ordered.astype(np.float64)

    def mean_of(values: NDArray[np.float64]) -> NDArray[np.float64]:
        return np.bincount(feature, weights=values, minlength=n_features) / counts

    mean = mean_of(acts)
    deviation = acts - mean[feature]
    square = deviation * deviation
    variance = mean_of(square)
    varies = variance > 0
    safe = np.where(varies, variance, 1.0)
    skewness = np.where(varies, mean_of(square * deviation) / safe**1.5, 0.0)
    kurtosis = np.where(varies, mean_of(square * square) / safe**2 - 3.0, 0.0)
    return mean, np.sqrt(variance), skewness, kurtosis


def overall_moments(column: Callable[[str], NDArray[Any]], n_tokens: int) -> Moments:
    """Moments over all unmasked tokens, zeros included, from those among firings.

    ``column`` gives a column of the feature table by its name. With p the density: mean ``p m``, variance
    ``p s^2 + p (1 - p) m^2`` (no difference of large numbers).
    """
    p = column("n_firings") / n_tokens
    mean, variance = column("mean"), column("std") ** 2
    return Moments(p * mean, p * variance + p * (1 - p) * mean**2, p * (variance + mean**2))


def pair_columns(name: str, pairs: Partners | TopPairs) -> Columns:
    """A table of correlated things as three list columns ``{name}_index``, ``_pearson``, ``_cosine``."""
    listed = pairs.other >= 0
    return {
        f"{name}_index": ragged(pairs.other, listed),
        f"{name}_pearson": ragged(pairs.pearson, listed),
        f"{name}_cosine": ragged(pairs.cosine, listed),
    }


def alignment_columns(decoder: NDArray[np.float32], k: int) -> Columns:
    """The ``k`` largest weights (by size) of each decoder direction ``[n, d]``: index, weight, share of the L1 norm."""
    k = min(k, decoder.shape[1])
    size = np.abs(decoder)
    index = torch.topk(torch.from_numpy(size), k, dim=1).indices.numpy()
    index = np.take_along_axis(index, np.lexsort((index, -np.take_along_axis(size, index, axis=1)), axis=1), axis=1)
    index = index.astype(np.int32)
    norm = size.sum(axis=1, dtype=np.float64, keepdims=True)
    share = np.take_along_axis(size, index, axis=1) / np.where(norm > 0, norm, 1.0)
    every = np.ones(index.shape, dtype=bool)
    return {
        "aligned_neurons_index": ragged(index, every),
        "aligned_neurons_value": ragged(np.take_along_axis(decoder, index, axis=1), every),
        "aligned_neurons_share": ragged(share.astype(np.float32), every),
    }


def ragged(values: NDArray[Any], listed: NDArray[np.bool_]) -> pa.Array:
    """A list column: of each row of ``values [n, k]`` the entries where ``listed`` is True."""
    offsets = offsets_of(listed.sum(axis=1)).astype(np.int32)
    return pa.ListArray.from_arrays(pa.array(offsets), pa.array(values[listed]))


def merged(tables: Sequence[pa.Table]) -> pa.Table:
    """Tables over the same features side by side."""
    columns = {name: table[name] for table in tables for name in table.column_names}
    return pa.table(columns)


def _lists(values: NDArray[Any], rows: NDArray[np.bool_]) -> pa.Array:
    return ragged(values, np.broadcast_to(rows[:, None], values.shape))


def _first_at(postings: Postings, acts: NDArray[np.float32]) -> NDArray[np.int64]:
    """Corpus position of each feature's first firing of this activation; -1 if there is none (of 0, say)."""
    at = np.flatnonzero(postings.acts == acts[postings.feature])
    found = np.full(len(acts), -1, dtype=np.int64)
    found[postings.feature[at][::-1]] = postings.positions[at][::-1]
    return found


def _quantiles(ordered: NDArray[np.float32], offsets: NDArray[np.int64], n: int) -> NDArray[np.float32]:
    counts = np.diff(offsets)
    points = np.arange(n, dtype=np.int64)
    rank = -(-points[None, :] * counts[:, None] // (n - 1))  # ceil of a whole-number ratio, exact
    at = offsets[:-1, None] + np.clip(rank - 1, 0, None)
    if len(ordered) == 0:
        return np.zeros(at.shape, dtype=np.float32)
    return ordered[np.minimum(at, len(ordered) - 1)]  # rows of dead features are dropped by the caller
