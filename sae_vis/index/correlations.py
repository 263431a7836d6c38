"""Correlations over all unmasked tokens, exact, in float64: between features, and of features with neurons.

With n tokens, sums S_ij = Σ a_i a_j, means m and centred variances v, the Pearson correlation is
``(S_ij / n - m_i m_j) / sqrt(v_i v_j)`` and the cosine similarity ``S_ij / sqrt(S_ii S_jj)``. Only tokens on which both
fire add to S_ij, so it is a sparse product of postings: ``Σ_t L0(t)^2`` additions for all pairs of the dictionary.
Subtracting ``m_i m_j`` loses at most about ``1e-16 m_i m_j / sqrt(v_i v_j)`` in float64; neurons, whose means may be
large against their spread, are centred before they are multiplied.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from sae_vis.index.shards import CodedBatch, Shard
from sae_vis.index.storage import Arrays

F64 = NDArray[np.float64]
PAIRS_AT_ONCE = 1 << 18  # pairs expanded at a time: small enough to stay in the processor's cache
ROW_BYTES = 1 << 22


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


def add_cofirings(sums: F64, shard: Shard, first: int) -> None:
    """Add ``Σ a_i a_j`` over a shard's tokens to ``sums [n, d_sae]`` for features ``first`` to ``first + n``."""
    n, d_sae = sums.shape
    low, high = int(shard.feature_offsets[first]), int(shard.feature_offsets[first + n])
    if low == high:
        return
    feature = np.repeat(np.arange(n, dtype=np.int64), np.diff(shard.feature_offsets[first : first + n + 1]))
    rows, acts = shard.rows[low:high], shard.feature_acts[low:high].astype(np.float64)
    starts, lengths = shard.offsets[rows], np.diff(shard.offsets)[rows]
    pairs_before = np.cumsum(lengths)
    flat = sums.reshape(-1)
    begin = 0
    while begin < len(rows):
        done = 0 if begin == 0 else int(pairs_before[begin - 1])
        end = max(begin + 1, int(np.searchsorted(pairs_before, done + PAIRS_AT_ONCE)))
        part = slice(begin, end)
        take = _ranges(starts[part], lengths[part])
        target = np.repeat(feature[part] * d_sae, lengths[part]) + shard.features[take]
        np.add.at(flat, target, np.repeat(acts[part], lengths[part]) * shard.acts[take])
        begin = end


def _ranges(starts: NDArray[np.int64], lengths: NDArray[np.int64]) -> NDArray[np.int64]:
    """``starts[0] … starts[0] + lengths[0] - 1, starts[1] …`` as one array."""
    ends = np.cumsum(lengths)
    return np.repeat(starts - (ends - lengths), lengths) + np.arange(int(ends[-1]))


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
    with np.errstate(divide="ignore", invalid="ignore"):
        scale = 1.0 / np.sqrt(moments.variance)  # inf for a feature that never varies
        mean = sums / n_tokens
        pearson = (mean - moments.mean[features, None] * moments.mean) * (scale[features, None] * scale)
        cosine_scale = 1.0 / np.sqrt(moments.mean_square)
    pearson[~np.isfinite(pearson) | (sums == 0)] = -1.0
    pearson[np.arange(len(features)), features] = -1.0
    values, index = _largest(pearson, k)
    with np.errstate(invalid="ignore"):
        pairs = np.take_along_axis(mean, index, axis=1)
        cosine = pairs * cosine_scale[features, None] * cosine_scale[index]
    listed = values > 0
    return TopPairs(
        np.where(listed, index, -1).astype(np.int32),
        np.where(listed, np.minimum(values, 1.0), 0.0).astype(np.float32),
        np.where(listed, np.minimum(cosine, 1.0), 0.0).astype(np.float32),
    )


def _largest(values: F64, k: int) -> tuple[F64, NDArray[np.int64]]:
    """The ``k`` largest of each row, descending, equal values by ascending index."""
    top, index = (part.numpy() for part in torch.topk(torch.from_numpy(values), k, dim=1))
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
        centre = centre.detach().double().cpu()
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
        from sae_vis.index.shards import make_shard

        shard = make_shard(batches, self.cross.shape[0])
        x = torch.cat([batch.x for batch in batches]).detach().cpu().double() - self.centre
        self.total += x.sum(0)
        self.square += torch.einsum("td,td->d", x, x)
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
        cross = self.cross[features].numpy()
        k = min(k, cross.shape[1])
        centre, total, square = self.centre.numpy(), self.total.numpy(), self.square.numpy()
        shift = total / n_tokens
        variance = np.maximum(square / n_tokens - shift**2, 0.0)
        neuron_square = square / n_tokens + 2 * centre * shift + centre**2
        mean = moments.mean[features, None]
        with np.errstate(divide="ignore", invalid="ignore"):
            pearson = (cross / n_tokens - mean * shift) / np.sqrt(moments.variance[features, None] * variance)
            raw = cross / n_tokens + mean * centre
            cosine = raw / np.sqrt(moments.mean_square[features, None] * neuron_square)
        pearson[~np.isfinite(pearson)] = -2.0
        values, index = _largest(pearson, k)
        listed = values >= -1.0 - 1e-9
        chosen = np.take_along_axis(cosine, index, axis=1)
        return TopPairs(
            np.where(listed, index, -1).astype(np.int32),
            np.where(listed, np.clip(values, -1.0, 1.0), 0.0).astype(np.float32),
            np.where(listed, np.clip(chosen, -1.0, 1.0), 0.0).astype(np.float32),
        )


class _quiet_sparse_beta:  # noqa: N801  reads as a context manager
    """PyTorch warns once that its CSR tensors are in beta; our use is covered by the tests."""

    def __enter__(self) -> None:
        import warnings

        self._catch = warnings.catch_warnings()
        self._catch.__enter__()
        warnings.filterwarnings("ignore", message=".*[Ss]parse.*", category=UserWarning)

    def __exit__(self, *error: object) -> None:
        self._catch.__exit__(None, None, None)
