"""The logit lens: which output tokens a feature's direction pushes up and down.

A feature's logit effect is its direction in the residual stream through the final norm's gain and the unembedding,
centred over the vocabulary: ``l = W_U (g * d)``, ``l - mean(l)``, with ``d`` centred first where the final norm
subtracts the mean. The norm's division by the residual's own scale is left out: it is one positive number for each
token of text, the same for every feature.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import torch
from numpy.typing import NDArray
from torch import Tensor

from sae_vis.index.feature_table import Columns, ragged
from sae_vis.models.base import HookPoint, LanguageModel
from sae_vis.saes.base import Dictionary

BLOCK_BYTES = 1 << 25  # logits held at a time: they are read several times while they are in the cache


class LensBlock(NamedTuple):
    """Statistics of the logit effects of n features over the vocabulary.

    Attributes:
        top: int64 ``[n, k]`` token ids, descending by effect; ``top_values`` float32 ``[n, k]``.
        bottom: int64 ``[n, k]`` token ids, ascending by effect; ``bottom_values`` float32 ``[n, k]``.
        low, high: float32 ``[n]`` smallest and largest effect: the ends of the histogram.
        histogram: int32 ``[n, n_bins]`` tokens in each of ``n_bins`` equal-width bins of ``[low, high]``.
        std, skewness, kurtosis: float64 ``[n]`` over the vocabulary (the mean is 0; kurtosis is in excess of 3).
    """

    top: Tensor
    top_values: Tensor
    bottom: Tensor
    bottom_values: Tensor
    low: Tensor
    high: Tensor
    histogram: Tensor
    std: Tensor
    skewness: Tensor
    kurtosis: Tensor


class LogitLens:
    """Logit effects of the features of a dictionary; a statistic of the feature table.

    Args:
        model: gives the unembedding and the way from the hook to the residual stream.
        sae: the dictionary.
        hook: where it writes.
        n_tokens: rows of the tables of top and bottom tokens.
        n_bins: bins of the histogram over the vocabulary.
    """

    def __init__(self, model: LanguageModel, sae: Dictionary, hook: HookPoint, *, n_tokens: int, n_bins: int) -> None:
        self._model, self._sae, self._hook = model, sae, hook
        self._unembedding = model.unembedding()
        # centring over the vocabulary is linear: take the mean row out of W_U once instead of a mean out of every row
        weight = self._unembedding.weight
        self._mean_row = weight.mean(dim=0, dtype=torch.float64).float()
        self._n_tokens, self._n_bins = min(n_tokens, weight.shape[0]), n_bins

    def directions(self, features: slice | Sequence[int]) -> Tensor:
        """``g * d`` of some features, float32 ``[n, d_model]``."""
        decoder = self._sae.decoder[features if isinstance(features, slice) else torch.as_tensor(features)]
        direction = self._model.to_residual(decoder.detach().float(), self._hook)
        if self._unembedding.centred:
            direction = direction - direction.mean(dim=1, keepdim=True)
        return direction * self._unembedding.gain

    def effects(self, features: slice | Sequence[int]) -> Tensor:
        """Logit effects of some features on the whole vocabulary, float32 ``[n, d_vocab]``."""
        directions = self.directions(features)
        return torch.addmm(-(directions @ self._mean_row)[:, None], directions, self._unembedding.weight.T)

    def effects_on(self, feature: int, tokens: NDArray[np.int32]) -> NDArray[np.float32]:
        """Logit effects of one feature on some tokens ``[n]``."""
        distinct, places = np.unique(tokens, return_inverse=True)  # a token has one effect, wherever it stands
        rows = self._unembedding.weight[torch.as_tensor(distinct, dtype=torch.int64)] - self._mean_row
        return (rows @ self.directions([feature])[0]).cpu().numpy()[places]

    def histogram(self, feature: int, n_bins: int) -> NDArray[np.int32]:
        """Tokens in each of ``n_bins`` equal-width bins from the smallest to the largest effect of one feature."""
        logits = self.effects([feature])
        counts: NDArray[np.int32] = _histogram(logits, logits.amin(1), logits.amax(1), n_bins)[0].cpu().numpy()
        return counts

    def columns(self, first: int, stop: int) -> Columns:
        """The logit columns of the feature table for features ``first`` to ``stop``."""
        step = max(1, BLOCK_BYTES // (4 * self._unembedding.weight.shape[0]))
        blocks = [
            lens_block(self.effects(slice(at, min(stop, at + step))), self._n_tokens, self._n_bins)
            for at in range(first, stop, step)
        ]
        whole = LensBlock(*(torch.cat(parts).cpu() for parts in zip(*blocks, strict=True)))
        return {
            "top_tokens": _rows(whole.top.to(torch.int32)),
            "top_logits": _rows(whole.top_values),
            "bottom_tokens": _rows(whole.bottom.to(torch.int32)),
            "bottom_logits": _rows(whole.bottom_values),
            "logits_low": pa.array(whole.low.numpy()),
            "logits_high": pa.array(whole.high.numpy()),
            "logits_histogram": _rows(whole.histogram),
            "logits_std": pa.array(whole.std.numpy()),
            "logits_skewness": pa.array(whole.skewness.numpy()),
            "logits_kurtosis": pa.array(whole.kurtosis.numpy()),
        }


def lens_block(logits: Tensor, n_tokens: int, n_bins: int) -> LensBlock:
    """Statistics of centred logit effects ``[n, d_vocab]``. ``logits`` is scratch and is overwritten."""
    top_values, top = logits.topk(n_tokens, dim=1)
    bottom_values, bottom = logits.topk(n_tokens, dim=1, largest=False)
    low, high = logits.amin(dim=1), logits.amax(dim=1)
    square = torch.linalg.vector_norm(logits, dim=1, dtype=torch.float64) ** 2 / logits.shape[1]
    third, fourth = _higher_moments(logits, square)
    return LensBlock(
        top,
        top_values,
        bottom,
        bottom_values,
        low,
        high,
        _histogram(logits, low, high, n_bins),
        square.sqrt(),
        third,
        fourth,
    )


def _higher_moments(logits: Tensor, variance: Tensor) -> tuple[Tensor, Tensor]:
    """Skewness and excess kurtosis of zero-mean rows with the given variances."""
    safe = torch.where(variance > 0, variance, torch.ones_like(variance))
    unit = logits * safe.rsqrt().float()[:, None]
    square = unit * unit
    third = torch.einsum("nv,nv->n", square, unit).double() / logits.shape[1]
    fourth = torch.einsum("nv,nv->n", square, square).double() / logits.shape[1]
    return third, torch.where(variance > 0, fourth - 3.0, torch.zeros_like(fourth))


def _histogram(logits: Tensor, low: Tensor, high: Tensor, n_bins: int) -> Tensor:
    """Counts in bins ``floor((l - low) / (high - low) * n_bins)``, the last one closed: int32 ``[n, n_bins]``."""
    n = logits.shape[0]
    spread = torch.where(high > low, high - low, torch.ones_like(high))
    scaled = logits.sub_(low[:, None]).mul_((n_bins / spread)[:, None]).clamp_(max=n_bins - 1)
    cells = scaled.int() + torch.arange(n, device=logits.device, dtype=torch.int32)[:, None] * n_bins
    return torch.bincount(cells.view(-1), minlength=n * n_bins).view(n, n_bins).int()


def _rows(values: Tensor) -> pa.Array:
    array = values.numpy()
    return ragged(array, np.ones(array.shape, dtype=bool))
