"""The logit lens: which output tokens a feature's direction pushes up and down.

A feature's logit effect is its direction in the residual stream through the final norm's gain and the unembedding,
centred over the vocabulary: ``l = W_U (g * d)``, ``l - mean(l)``, with ``d`` centred first where the final norm
subtracts the mean. The norm's division by the residual's own scale is left out: it is one positive number for each
token of text, the same for every feature.

Of a dictionary that writes at several places of the model, ``d`` is the sum of what a feature adds at each
(`sae_vis.effects.wiring`).
"""

from __future__ import annotations

from collections.abc import Sequence
from copy import copy
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import torch
from numpy.typing import NDArray
from torch import Tensor

from sae_vis.effects.extremes import extremes
from sae_vis.effects.wiring import Wiring, writes_at
from sae_vis.errors import InputError
from sae_vis.index.feature_table import Columns, ragged
from sae_vis.models.base import HookPoint, LanguageModel
from sae_vis.neutral import all_neutrally
from sae_vis.saes.base import Dictionary

BLOCK_BYTES = 1 << 25  # logits held at a time: enough rows for a full-speed matrix product
CACHED_ROWS = 32  # rows of logits that are read several times while they are in the cache
MOST_PAIRED_BINS = 127  # two bin numbers fit an int16


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


@all_neutrally
class LogitLens:
    """Logit effects of the features of a dictionary; a statistic of the feature table.

    Args:
        model: gives the unembedding and the way from the hook to the residual stream.
        sae: the dictionary.
        hook: where it writes; a `Wiring` for one that writes at several places.
        n_tokens: rows of the tables of top and bottom tokens.
        n_bins: bins of the histogram over the vocabulary.

    Raises:
        InputError: a place of another width than the directions; places behind different post-norms, whose sum has
            another direction at every token.
    """

    def __init__(
        self, model: LanguageModel, sae: Dictionary, hook: HookPoint | Wiring, *, n_tokens: int, n_bins: int
    ) -> None:
        self._model, self._sae = model, sae
        self._wire(writes_at(model, sae, hook) if isinstance(hook, HookPoint) else hook)
        self._unembedding = model.unembedding()
        # centring over the vocabulary is linear: take the mean row out of W_U once instead of a mean out of every row
        weight = self._unembedding.weight
        self._mean_row = weight.mean(dim=0, dtype=torch.float64).float()
        self._n_tokens, self._n_bins = min(n_tokens, weight.shape[0]), n_bins

    @property
    def n_vocab(self) -> int:
        """Tokens that there are effects on."""
        return len(self._unembedding.weight)

    def of(self, wiring: Wiring) -> LogitLens:
        """The lens of the same dictionary with other places, which shares the unembedding with this one.

        Args:
            wiring: where the features read and write.

        Returns:
            The lens for these places.

        Raises:
            InputError: places that don't fit.
        """
        made = copy(self)
        made._wire(wiring)
        return made

    def _wire(self, wiring: Wiring) -> None:
        wiring.require_widths()
        if not wiring.one_way(self._model):
            raise InputError(
                f"what is written at {' and '.join(repr(hook.name) for hook in wiring.hooks)} reaches the residual "
                "stream through different post-norms, whose divisors differ from token to token: features have no one "
                "logit effect. Effects at single tokens can be measured"
            )
        self._wiring = wiring

    def directions(self, features: slice | Sequence[int]) -> Tensor:
        """``g * d`` of some features, float32 ``[n, d_model]``.

        Args:
            features: ids, or a slice of them.

        Returns:
            float32 ``[n, d_model]``.
        """
        decoder = self._sae.decoder[features if isinstance(features, slice) else torch.as_tensor(features)]
        direction = self._wiring.in_residual(self._model, decoder.detach().float()).to(self._unembedding.weight.device)
        if self._unembedding.centred:
            direction = direction - direction.mean(dim=1, keepdim=True)
        return direction * self._unembedding.gain

    def effects(self, features: slice | Sequence[int], *, out: Tensor | None = None) -> Tensor:
        """Logit effects of some features on the whole vocabulary.

        Args:
            features: ids, or a slice of them.
            out: float32 ``[n, d_vocab]`` to write into; None: a new tensor.

        Returns:
            float32 ``[n, d_vocab]``: ``out``, or the new tensor.
        """
        directions = self.directions(features)
        mean = directions @ self._mean_row
        if out is None:
            out = torch.empty((len(directions), len(self._unembedding.weight)), device=directions.device)
        return torch.matmul(directions, self._unembedding.weight.T, out=out[: len(directions)]).sub_(mean[:, None])

    def effects_on(self, feature: int, tokens: NDArray[np.int32]) -> NDArray[np.float32]:
        """Logit effects of one feature on some tokens.

        Args:
            feature: its id.
            tokens: int32 ``[n]`` token ids.

        Returns:
            float32 ``[n]``.
        """
        distinct, places = np.unique(tokens, return_inverse=True)  # a token has one effect, wherever it stands
        rows = self._unembedding.weight[torch.as_tensor(distinct, dtype=torch.int64)] - self._mean_row
        return (rows @ self.directions([feature])[0]).cpu().numpy()[places]

    def histogram(self, feature: int, n_bins: int) -> NDArray[np.int32]:
        """Count the tokens of the vocabulary by the logit effect of one feature on them.

        Args:
            feature: its id.
            n_bins: bins of equal width, from the smallest to the largest effect.

        Returns:
            int32 ``[n_bins]`` tokens in each bin.
        """
        logits = self.effects([feature])
        ends = logits.amin(1), logits.amax(1)
        counts: NDArray[np.int32] = _histogram(logits, *ends, n_bins, torch.empty_like(logits))[0].cpu().numpy()
        return counts

    def columns(self, first: int, stop: int) -> Columns:
        """The logit columns of the feature table for features ``first`` to ``stop``.

        Args:
            first: id of the first feature.
            stop: id after the last feature.

        Returns:
            Arrow arrays by column name, a row for each feature.
        """
        weight = self._unembedding.weight
        step = max(1, BLOCK_BYTES // (4 * len(weight)))
        logits = torch.empty((step, len(weight)), device=weight.device)  # one buffer: fresh memory costs page faults
        blocks = [
            lens_block(self.effects(slice(at, min(stop, at + step)), out=logits), self._n_tokens, self._n_bins)
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
    """Statistics of centred logit effects ``[n, d_vocab]``, some rows at a time so that they stay in the cache."""
    scratch = torch.empty((2, min(CACHED_ROWS, len(logits)), logits.shape[1]), device=logits.device)
    parts = [_few_rows(rows, n_tokens, n_bins, scratch[:, : len(rows)]) for rows in torch.split(logits, CACHED_ROWS)]
    return LensBlock(*(torch.cat(columns) for columns in zip(*parts, strict=True)))


def _few_rows(logits: Tensor, n_tokens: int, n_bins: int, scratch: Tensor) -> LensBlock:
    top_values, top = extremes(logits, max(n_tokens, 1), largest=True)
    bottom_values, bottom = extremes(logits, max(n_tokens, 1), largest=False)
    low, high = bottom_values[:, 0], top_values[:, 0]
    return LensBlock(
        top[:, :n_tokens],
        top_values[:, :n_tokens],
        bottom[:, :n_tokens],
        bottom_values[:, :n_tokens],
        low,
        high,
        _histogram(logits, low, high, n_bins, scratch[0]),
        *_moments(logits, scratch),
    )


def _moments(logits: Tensor, scratch: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Standard deviation, skewness, excess kurtosis of zero-mean rows (float32 sums: about 1e-6, relative)."""
    square = torch.mul(logits, logits, out=scratch[0])
    second = square.sum(1)
    third = torch.mul(square, logits, out=scratch[1]).sum(1)
    fourth = square.mul_(square).sum(1)
    variance, third, fourth = (total.double() / logits.shape[1] for total in (second, third, fourth))
    varies = variance > 0
    safe = torch.where(varies, variance, 1.0)
    return variance.sqrt(), third / safe**1.5, torch.where(varies, fourth / safe**2 - 3.0, 0.0)


def _histogram(logits: Tensor, low: Tensor, high: Tensor, n_bins: int, scratch: Tensor) -> Tensor:
    """Counts in bins ``floor((l - low) / (high - low) * n_bins)``, the last one closed: int32 ``[n, n_bins]``."""
    n, d_vocab = logits.shape
    spread = torch.where(high > low, high - low, 1.0)
    scaled = torch.sub(logits, low[:, None], out=scratch).mul_((n_bins / spread)[:, None]).clamp_(0, n_bins - 1)
    if n_bins > MOST_PAIRED_BINS or d_vocab % 2:
        return _count_rows(scaled.to(torch.int32), n_bins)
    pairs = scaled.to(torch.uint8).view(torch.int16)  # two neighbours are counted at a time
    pairs.sub_(pairs >> 8, alpha=256 - n_bins)  # low byte + 256 high byte becomes low byte + n_bins high byte
    both = _count_rows(pairs, n_bins * n_bins).view(n, n_bins, n_bins)
    return both.sum(1, dtype=torch.int32) + both.sum(2, dtype=torch.int32)


def _count_rows(cells: Tensor, n_cells: int) -> Tensor:
    """How often each value below ``n_cells`` stands in each row: int32 ``[n, n_cells]``."""
    rows = torch.arange(len(cells), device=cells.device, dtype=torch.int32)[:, None] * n_cells
    counts = torch.bincount((cells + rows).view(-1), minlength=len(cells) * n_cells)
    return counts.view(len(cells), n_cells).to(torch.int32)


def _rows(values: Tensor) -> pa.Array:
    array = values.numpy()
    return ragged(array, np.ones(array.shape, dtype=bool))
