"""Full effects: a feature's contribution taken out where the SAE writes, and the rest of the model run again.

At the hook point the activation `x` becomes ``x - output_scale · act · decoder[f]``: what the dictionary does not
explain of `x` (its error, or what a skip connection gives) stays. Where the dictionary writes at several places
(`sae_vis.effects.wiring`), what the feature adds at each is taken out there, in one run. Every run has one row that is
left as it is, and effects are differences between rows of one run, so that what rounding makes of a batch's shape drops
out.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from sae_vis.effects.pairs import (
    Numbers,
    Pairs,
    check_positions,
    checked_features,
    checked_pairs,
    checked_text,
    output_scales,
)
from sae_vis.effects.wiring import Wiring, wired
from sae_vis.models.base import Edit, HookPoint, Prefix, RunnableModel
from sae_vis.models.precision import doubled
from sae_vis.neutral import all_neutrally
from sae_vis.saes.base import Dictionary

LOGIT_BYTES = 1 << 28  # logits of one run, as float32
SOFTMAX_BYTES = 1 << 25  # of which so many are worked on at a time


@dataclass(frozen=True, kw_only=True)
class FullEffectTable:
    """Full effects of n ablations on one text, in the order they were asked for.

    Attributes:
        first: int64 ``[n]``: first position that is changed.
        loss: float32 ``[n, seq_len]``: loss of the next token at each position with the feature minus without it, in
            nats (negative: it helps). Before `first` nothing can change: 0. At the last position, which has no next
            token: NaN.
        kl: float32 ``[n, seq_len]``: how far the prediction at each position moves, KL(with || without) in nats.
    """

    first: NDArray[np.int64]
    loss: NDArray[np.float32]
    kl: NDArray[np.float32]

    @property
    def loss_at_first(self) -> NDArray[np.float32]:
        """Effect on the next token of the first changed position, ``[n]``: what a direct effect is compared with."""
        return self.loss[np.arange(len(self.first)), self.first]

    @property
    def total_loss(self) -> NDArray[np.float64]:
        """Effect on the sum of the losses of all tokens, ``[n]``."""
        total: NDArray[np.float64] = self.loss[:, :-1].sum(axis=1, dtype=np.float64)
        return total


class _Ablations(NamedTuple):
    """n rows of a batch: row `i` has ``coefs[i, t] * directions[place][i]`` taken out at token `t`.

    Attributes:
        coefs: float32 ``[n, seq_len]``.
        directions: float32 ``[n, d]``, for each place where the dictionary writes.
    """

    coefs: Tensor
    directions: list[Tensor]


@all_neutrally
class FullEffects:
    """Full effects of the features of a dictionary.

    Args:
        model: a model that can be run to its end.
        sae: the dictionary.
        hook: where it reads and writes, any place with one vector for each token; a `Wiring` for one that writes
            elsewhere, or at several places.
        batch_tokens: tokens in one run of the model.
        use_cache: whether what lies before the first change is computed once only, where the model allows that
            exactly (`RunnableModel.prefix`).

    Raises:
        InputError: an SAE of another width than the hook point.
    """

    def __init__(
        self,
        model: RunnableModel,
        sae: Dictionary,
        hook: HookPoint | Wiring,
        *,
        batch_tokens: int = 4096,
        use_cache: bool = True,
    ) -> None:
        self._model, self._sae, self._wiring = model, sae, wired(model, sae, hook)
        self._batch_tokens, self._use_cache = batch_tokens, use_cache

    def at(self, tokens: Tensor, positions: Numbers, features: Numbers, acts: Numbers) -> FullEffectTable:
        """Effects of n ablations of one feature at one position each.

        Args:
            tokens: ``[seq_len]``, one text.
            positions: ``[n]``, in any order.
            features: ``[n]``.
            acts: ``[n]``, what the SAE's `encode` gives there.

        Returns:
            Effects of each pair, in the order asked for.

        Raises:
            InputError: tokens the model does not have or too many, a position or feature that does not exist, lists of
                different lengths, an activation that is not finite.
        """
        text = checked_text(tokens)
        pairs = checked_pairs(positions, features, acts, self._sae.d_sae)
        check_positions(pairs.positions, len(text))
        hooked = self._wiring.reader.activations(text[None], self._wiring.read)[0]
        return self._effects(text, hooked, pairs, np.arange(len(pairs.acts)), len(pairs.acts))

    def everywhere(self, tokens: Tensor, features: Numbers) -> FullEffectTable:
        """Effects of n ablations of one feature at every position where it fires.

        A feature that fires nowhere changes nothing: its `first` is the last position, its effects are 0.

        Args:
            tokens: ``[seq_len]``, one text.
            features: ``[n]``.

        Returns:
            Effects of each feature, in the order asked for.

        Raises:
            InputError: tokens the model does not have or too many, a feature that does not exist.
        """
        text = checked_text(tokens)
        wanted = checked_features(features, self._sae.d_sae)
        hooked = self._wiring.reader.activations(text[None], self._wiring.read)[0]
        codes = self._sae.encode(hooked)
        positions = torch.repeat_interleave(codes.offsets.diff()).cpu().numpy()
        fires, acts = codes.features.cpu().numpy(), doubled(codes.acts).cpu().numpy()
        chosen = [np.flatnonzero(fires == feature) for feature in wanted]
        row = np.repeat(np.arange(len(wanted)), [len(places) for places in chosen])
        every = np.concatenate([np.zeros(0, dtype=np.int64), *chosen])
        pairs = Pairs(positions[every], fires[every], acts[every])
        return self._effects(text, hooked, pairs, row, len(wanted))

    def _effects(self, text: Tensor, hooked: Tensor, pairs: Pairs, row: NDArray[np.int64], n: int) -> FullEffectTable:
        """Effects of n ablations: pair `i` is part of ablation ``row[i]``, and all pairs of one are of one feature."""
        first = np.full(n, len(text) - 1)
        np.minimum.at(first, row, pairs.positions)
        loss, kl = np.zeros((2, n, len(text)), dtype=np.float32)
        loss[:, -1] = np.nan
        ablations = self._ablations(hooked, pairs, row, n)
        prefix = self._model.prefix(text) if self._use_cache and n and first.max() > 0 else None
        for chosen in self._batches(first, len(text), cached=prefix is not None):
            start = 0 if prefix is None else int(first[chosen].min())
            rows = torch.from_numpy(chosen).to(ablations.coefs.device)
            part = _Ablations(ablations.coefs[rows][:, start:], [each[rows] for each in ablations.directions])
            found = self._run(text, part, prefix if start else None, start)
            loss[chosen, start:-1], kl[chosen, start:] = found.loss, found.kl
        before = np.arange(len(text)) < first[:, None]  # what rounding makes there is no effect
        loss[before], kl[before] = 0.0, 0.0
        kl[~np.isin(np.arange(n), row)] = 0.0  # nor where nothing is taken out
        return FullEffectTable(first=first, loss=loss, kl=kl)

    def _ablations(self, hooked: Tensor, pairs: Pairs, row: NDArray[np.int64], n: int) -> _Ablations:
        decoder = self._sae.decoder
        feature = np.zeros(n, dtype=np.int64)
        feature[row] = pairs.features
        coefs = np.zeros((n, len(hooked)))
        coefs[row, pairs.positions] = pairs.acts
        scale = output_scales(self._sae, hooked)
        if scale is not None:
            coefs *= scale.cpu().numpy()
        directions = decoder[torch.from_numpy(feature).to(decoder.device)].detach().float()
        steps = self._wiring.steps(self._model, directions)
        return _Ablations(torch.from_numpy(coefs).float().to(decoder.device), steps)

    def _batches(self, first: NDArray[np.int64], seq_len: int, *, cached: bool) -> Iterator[NDArray[np.int64]]:
        """Ablations that are run together, those that begin at about the same place, one row of each run being spare.

        With a cache, what a batch costs is the tokens from its first change on.
        """
        order = np.argsort(first, kind="stable")
        at = 0
        while at < len(order):
            n_run = seq_len - int(first[order[at]]) if cached else seq_len
            most = min(self._batch_tokens // n_run, LOGIT_BYTES // (4 * n_run * self._model.n_vocab))
            stop = at + max(1, most - 1)
            yield order[at:stop]
            at = stop

    def _run(self, text: Tensor, ablations: _Ablations, prefix: Prefix | None, start: int) -> _Found:
        n = len(ablations.coefs)
        edits = []
        for hook, directions in zip(self._wiring.hooks, ablations.directions, strict=True):
            delta = -ablations.coefs[:, :, None] * directions[:, None, :]
            delta = torch.nn.functional.pad(delta, (0, 0, 0, 0, 1, 0))  # the first row is left as it is
            edits.append(Edit(hook=hook, delta=delta))
        rows = text[start:].expand(n + 1, -1)
        logits = self._model.logits(rows, edits, prefix=prefix, start=start)
        return _differences(logits, text[start + 1 :].to(logits.device))


class _Found(NamedTuple):
    """Effects of n ablations: loss ``[n, seq_len - 1]`` and divergence ``[n, seq_len]``."""

    loss: NDArray[np.float32]
    kl: NDArray[np.float32]


def _differences(logits: Tensor, following: Tensor) -> _Found:
    """Of all rows of logits ``[n + 1, seq_len, d_vocab]`` from the first; `following` ``[seq_len - 1]`` is the text."""
    precision = torch.promote_types(logits.dtype, torch.float32)
    clean = logits[0].to(precision).log_softmax(dim=-1)
    probs, next_token = clean.exp(), following[:, None]
    height = max(1, SOFTMAX_BYTES // (4 * clean.numel()))
    losses, divergences = [], []
    for part in torch.split(logits[1:], height):
        without = part.to(precision).log_softmax(dim=-1)
        difference = clean - without
        divergences.append((probs * difference).sum(dim=-1).clamp(min=0))  # never negative, but for rounding
        losses.append(-difference[:, :-1].gather(2, next_token.expand(len(part), -1, 1))[:, :, 0])
    return _Found(torch.cat(losses).float().cpu().numpy(), torch.cat(divergences).float().cpu().numpy())
