"""Correlations over all unmasked tokens, exact, in float64: between features, and of features with neurons.

With n tokens, sums S_ij = Σ a_i a_j, means m and centred variances v, the Pearson correlation is
``(S_ij / n - m_i m_j) / sqrt(v_i v_j)`` and the cosine similarity ``S_ij / sqrt(S_ii S_jj)``. Only tokens on which both
fire add to S_ij, so it is a sparse product of postings: ``Σ_t L0(t)^2`` additions for all pairs of the dictionary.
Subtracting ``m_i m_j`` loses at most about ``1e-16 m_i m_j / sqrt(v_i v_j)`` in float64; neurons, whose means may be
large against their spread, are centred before they are multiplied.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import pairwise
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from sae_vis.index.shards import CodedBatch, Shard, make_shard, offsets_of, ranges
from sae_vis.index.storage import Arrays

F64 = NDArray[np.float64]
ROW_BYTES = 1 << 22  # correlations of some features at a time: they are read several times while in the cache
SQUARED_ROWS = 256


class Moments(NamedTuple):
    """Of each feature over all unmasked tokens, float64 ``[d]``: mean, centred variance, mean of squares."""

    mean: F64
    variance: F64
    mean_square: F64


class TopPairs(NamedTuple):
    """The largest correlations of some features, row by row.

    Attributes:
        other: int32 ``[n, k]`` which feature or neuron, -1 where there are fewer than k.
        pearson: float32 ``[n, k]``, descending.
        cosine: float32 ``[n, k]``.
    """

    other: NDArray[np.int32]
    pearson: NDArray[np.float32]
    cosine: NDArray[np.float32]


class Tiles(NamedTuple):
    """Codes by token as a rectangle: each token's firings in one or more rows of equal width, filled up with zeros.

    Whole rows are fetched several times as fast as single entries, and the sums need nothing else.

    Attributes:
        first: int64 ``[n_tokens + 1]``: token ``t`` owns tiles ``first[t]:first[t + 1]``.
        features: int64 ``[n_tiles, width]``, 0 where filled up.
        acts: float64 ``[n_tiles, width]``, 0 where filled up.
    """

    first: NDArray[np.int64]
    features: NDArray[np.int64]
    acts: F64


def tiles(shard: Shard) -> Tiles:
    """A shard's codes as tiles as wide as the mean token has firings: none is half empty by design."""
    lengths = np.diff(shard.offsets)
    width = max(1, -(-len(shard.acts) // max(1, len(lengths))))
    first = offsets_of(-(-lengths // width))
    place = np.arange(len(shard.acts)) + np.repeat(first[:-1] * width - shard.offsets[:-1], lengths)
    features = np.zeros(int(first[-1]) * width, dtype=np.int64)
    acts = np.zeros(int(first[-1]) * width, dtype=np.float64)
    features[place], acts[place] = shard.features, shard.acts
    return Tiles(first, features.reshape(-1, width), acts.reshape(-1, width))


def add_cofirings(sums: F64, shard: Shard, first: int) -> None:
    """Add ``Σ a_i a_j`` over a shard's tokens to ``sums [n, d_sae]`` for features ``first`` to ``first + n``.

    Threads share the features; each row of ``sums`` is the work of one, so their number changes no bit.
    """
    by_token = tiles(shard)
    threads = torch.get_num_threads()
    cuts = np.linspace(0, len(sums), 8 * threads + 1).astype(int).tolist()
    with ThreadPoolExecutor(threads) as pool:
        jobs = [pool.submit(_add_rows, sums[low:high], shard, by_token, first + low) for low, high in pairwise(cuts)]
        for job in jobs:
            job.result()


def _add_rows(sums: F64, shard: Shard, by_token: Tiles, first: int) -> None:
    d_sae = sums.shape[1]
    one_each = len(by_token.acts) == len(by_token.first) - 1
    for row in range(len(sums)):
        firings = slice(int(shard.feature_offsets[first + row]), int(shard.feature_offsets[first + row + 1]))
        tokens, acts = shard.rows[firings], shard.feature_acts[firings].astype(np.float64)
        if len(tokens) == 0:
            continue
        start = by_token.first.take(tokens)
        if not one_each:
            counts = by_token.first.take(tokens + 1) - start
            start, acts = ranges(start, counts), np.repeat(acts, counts)
        pairs = by_token.acts.take(start, axis=0)
        pairs *= acts[:, None]
        partners = by_token.features.take(start, axis=0)
        sums[row] += np.bincount(partners.reshape(-1), weights=pairs.reshape(-1), minlength=d_sae)


def top_features(sums: F64, first: int, moments: Moments, n_tokens: int, k: int) -> TopPairs:
    """The ``k`` features most correlated with each of the features ``first …``, from the sums of `add_cofirings`.

    Only pairs that fire together and correlate positively are listed; a feature is not listed for itself.
    """
    n, d_sae = sums.shape
    k = min(k, d_sae)
    step = max(1, ROW_BYTES // (8 * d_sae))
    found = [
        _top_rows(sums[row : row + step], np.arange(first + row, first + min(n, row + step)), moments, n_tokens, k)
        for row in range(0, n, step)
    ]
    return TopPairs(*(np.concatenate(parts) for parts in zip(*found, strict=True)))


def _top_rows(sums: F64, features: NDArray[np.int64], moments: Moments, n_tokens: int, k: int) -> TopPairs:
    scale, cosine_scale = _reciprocal_root(moments.variance), _reciprocal_root(moments.mean_square)
    # Pearson without the factor of the row, which orders nothing: S_ij / (n sd_j) - m_i (m_j / sd_j)
    unscaled = torch.from_numpy(sums) * torch.from_numpy(scale / n_tokens)
    unscaled.addr_(torch.from_numpy(moments.mean[features]), torch.from_numpy(moments.mean * scale), alpha=-1.0)
    unscaled[torch.arange(len(features)), torch.from_numpy(features)] = -torch.inf
    values, index = _largest(unscaled, k)
    with np.errstate(invalid="ignore"):  # -inf times the zero scale of a feature that never varies
        values = values * scale[features, None]
    pairs = np.take_along_axis(sums, index, axis=1) / n_tokens
    cosine = pairs * cosine_scale[features, None] * cosine_scale[index]
    listed = values > 0
    return _listed(index, values, cosine, listed)


def _reciprocal_root(values: F64) -> F64:
    """``1 / sqrt(v)``, 0 for ``v = 0``: what never varies correlates with nothing."""
    return np.divide(1.0, np.sqrt(values), out=np.zeros_like(values), where=values > 0)


def _listed(index: NDArray[np.int64], pearson: F64, cosine: F64, listed: NDArray[np.bool_]) -> TopPairs:
    return TopPairs(
        np.where(listed, index, -1).astype(np.int32),
        np.where(listed, np.clip(pearson, -1.0, 1.0), 0.0).astype(np.float32),
        np.where(listed, np.clip(cosine, -1.0, 1.0), 0.0).astype(np.float32),
    )


def _largest(values: Tensor, k: int) -> tuple[F64, NDArray[np.int64]]:
    """The ``k`` largest of each row, descending, equal values by ascending index."""
    top, index = (part.numpy() for part in torch.topk(values, k, dim=1))
    order = np.lexsort((index, -top), axis=1)
    return np.take_along_axis(top, order, axis=1), np.take_along_axis(index, order, axis=1)


@dataclass
class NeuronSums:
    """Running float64 sums of features with the neurons they read, centred on a constant.

    Attributes:
        cross: ``[d_sae, d_in]`` of ``Σ a_i (x_j - c_j)``.
        total: ``[d_in]`` of ``Σ (x_j - c_j)``.
        square: ``[d_in]`` of ``Σ (x_j - c_j)^2``.
        centre: ``[d_in]``, the constant c.
    """

    cross: Tensor
    total: Tensor
    square: Tensor
    centre: Tensor

    @classmethod
    def zeros(cls, d_sae: int, centre: Tensor) -> NeuronSums:
        """Before the first token."""
        centre = centre.detach().cpu().double()
        return cls(
            torch.zeros(d_sae, len(centre), dtype=torch.float64),
            torch.zeros_like(centre),
            torch.zeros_like(centre),
            centre,
        )

    @classmethod
    def from_arrays(cls, arrays: Arrays) -> NeuronSums:
        """As a store gave them back."""
        return cls(
            **{name: torch.from_numpy(np.array(arrays[name])) for name in ("cross", "total", "square", "centre")}
        )

    def to_arrays(self) -> Arrays:
        """By name, as a store takes them."""
        return {name: getattr(self, name).numpy() for name in ("cross", "total", "square", "centre")}

    def add(self, batches: list[CodedBatch]) -> None:
        """Add the tokens of some batches."""
        shard = make_shard(batches, self.cross.shape[0])
        x = torch.cat([batch.x for batch in batches]).detach().cpu().double().sub_(self.centre)
        self.total += x.sum(0)
        for rows in torch.split(x, SQUARED_ROWS):
            self.square += rows.square().sum(0)
        offsets = torch.from_numpy(shard.feature_offsets)
        rows, acts = torch.from_numpy(shard.rows).long(), torch.from_numpy(shard.feature_acts).double()
        if torch.backends.mkl.is_available():  # type: ignore[no-untyped-call]
            with _quiet_sparse_beta():
                codes = torch.sparse_csr_tensor(offsets, rows, acts, (self.cross.shape[0], len(x)))
                torch.addmm(self.cross, codes, x, out=self.cross)
        else:
            self.cross += torch.nn.functional.embedding_bag(rows, x, offsets[:-1], mode="sum", per_sample_weights=acts)

    def top_neurons(self, features: slice, moments: Moments, n_tokens: int, k: int) -> TopPairs:
        """The ``k`` neurons of largest Pearson correlation (signed) with each of ``features``."""
        cross = self.cross[features]
        k = min(k, cross.shape[1])
        centre, shift = self.centre.numpy(), self.total.numpy() / n_tokens
        square = self.square.numpy() / n_tokens
        variance = np.maximum(square - shift**2, 0.0)
        mean, scale = moments.mean[features], _reciprocal_root(moments.variance[features])
        neuron_scale = _reciprocal_root(variance)
        pearson = cross * torch.from_numpy(neuron_scale / n_tokens)
        pearson.addr_(torch.from_numpy(mean), torch.from_numpy(shift * neuron_scale), alpha=-1.0)
        pearson[:, torch.from_numpy(variance == 0)] = -torch.inf
        values, index = _largest(pearson, k)
        listed = np.isfinite(values) & (scale > 0)[:, None]
        raw = np.take_along_axis(cross.numpy(), index, axis=1) / n_tokens + mean[:, None] * centre[index]
        neuron_norm = _reciprocal_root(square + 2 * centre * shift + centre**2)
        cosine = raw * _reciprocal_root(moments.mean_square[features])[:, None] * neuron_norm[index]
        with np.errstate(invalid="ignore"):  # -inf times 0 where nothing varies
            return _listed(index, values * scale[:, None], cosine, listed)


class _quiet_sparse_beta:  # noqa: N801  reads as a context manager
    """PyTorch warns once that its CSR tensors are in beta; our use is covered by the tests."""

    def __enter__(self) -> None:
        import warnings

        self._catch = warnings.catch_warnings()
        self._catch.__enter__()
        warnings.filterwarnings("ignore", message=".*[Ss]parse.*", category=UserWarning)

    def __exit__(self, *error: object) -> None:
        self._catch.__exit__(None, None, None)
