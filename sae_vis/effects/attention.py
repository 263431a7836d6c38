"""Direct feature attribution (DFA): which source tokens, through which heads, an attention SAE's activation comes from.

What the heads of a layer give at a destination is a sum over source tokens and heads of pattern times value, and all
between there and a linear encoder is linear (through ``W_O``) or held where it is (the divisor of a post-norm, of a
normalisation of the SAE's input). So the pre-activation of feature ``f`` at destination ``t`` splits, less biases, into

    part[h, s] = scale[t] * pattern[h, t, s] * (v[s, h] · u_f[h])

with ``u_f`` the encoder's direction carried back to the heads: ``W_enc[:, f]`` at ``hook_z``, ``W_O_h W_enc[:, f]`` at
the attention output (Kissane et al. 2024, "Interpreting Attention Layer Outputs with Sparse Autoencoders", section 2).
``v · u_f`` is one product for a sequence and a feature; a destination costs a pass over its sources and heads. Nothing
of the size of destinations times sources times heads times ``d_head`` is made.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from sae_vis.effects.batches import Batch, batches
from sae_vis.effects.pairs import Numbers, check_positions, checked_features
from sae_vis.errors import InputError
from sae_vis.models.base import AttentionParts, Destinations, HookPoint, RunnableModel
from sae_vis.models.precision import doubled
from sae_vis.neutral import all_neutrally
from sae_vis.saes.base import Dictionary

PATTERN_ROWS = 1 << 19  # destinations times sources whose pattern is held at a time, for each head
PRODUCTS = 1 << 22  # features times heads times sources whose products are held at a time


@dataclass(frozen=True)
class NoAttention:
    """Why there is no attribution to source tokens.

    Attributes:
        reason: in words.
        unexpected: whether it reads attention, so that one would look for source tokens.
    """

    reason: str
    unexpected: bool


class Parts(NamedTuple):
    """What one feature's pre-activation at one destination is made of.

    Attributes:
        pair: which of the pairs asked for.
        parts: float32 ``[n_heads, n_src]``, in units of the activation; source tokens are those of the sequence, from
            its beginning up to the destination. Their sum is the pre-activation less biases.
    """

    pair: int
    parts: NDArray[np.float32]


@all_neutrally
class AttentionAttribution:
    """Direct feature attribution of the features of an attention SAE.

    Args:
        model: a model whose attention can be read.
        sae: a dictionary with a linear encoder.
        hook: where it reads: attention heads (``hook_z``) or attention output.

    Raises:
        InputError: a hook point that has no attention pattern, a dictionary without a linear encoder, or one of another
            width than the hook point.
    """

    def __init__(self, model: RunnableModel, sae: Dictionary, hook: HookPoint) -> None:
        self.heads = model.heads_behind(hook)
        if sae.d_in != hook.d:
            raise InputError(
                f"the SAE reads {sae.d_in} numbers, but {hook.name!r} is {hook.d} wide: "
                "give the hook point that it was trained on"
            )
        sae.encoder_directions(torch.zeros(1, dtype=torch.int64))
        self._model, self._sae, self._hook = model, sae, hook
        behind = model.post_norm(self.heads)
        self._post_norm = None if model.post_norm(hook) is not None else behind
        if hook.site == "heads":
            self._post_norm = None

    def of_text(self, tokens: Tensor, positions: Numbers, features: Numbers) -> Iterator[Parts]:
        """Parts of n pairs of a position and a feature in one text.

        Args:
            tokens: int64 ``[seq_len]``.
            positions: ``[n]``, in any order.
            features: ``[n]``.

        Returns:
            The parts of each pair, as from `of_corpus`.

        Raises:
            InputError: as for `of_corpus`.
        """
        ids = tokens.cpu().numpy()
        return self.of_corpus(ids, np.array([0, len(ids)]), positions, features)

    def of_corpus(
        self, tokens: NDArray[Any], offsets: NDArray[Any], positions: Numbers, features: Numbers
    ) -> Iterator[Parts]:
        """Parts of n pairs of a position and a feature, in the order in which sequences are run.

        Each sequence that holds any is run once, up to the layer; pairs of one sequence share its values.

        Args:
            tokens: ``[n_tokens]`` of the corpus.
            offsets: ``[n_seqs + 1]`` where its sequences start and stop.
            positions: ``[n]`` corpus positions, in any order.
            features: ``[n]``.

        Returns:
            An iterator over the parts of each pair.

        Raises:
            InputError: a position outside the corpus, a feature that does not exist, arrays of different lengths.
        """
        at = np.asarray(positions, dtype=np.int64)
        ids = checked_features(features, self._sae.d_sae)
        if len(at) != len(ids):
            raise InputError(
                f"positions and features go together, one of each for a pair; got {len(at)} and {len(ids)}"
            )
        check_positions(at, len(tokens))
        wanted, which = np.unique(at, return_inverse=True)
        order = np.argsort(which, kind="stable")  # pairs by position
        starts = np.searchsorted(which[order], np.arange(len(wanted) + 1))
        for batch in batches(offsets, wanted):
            rows = torch.from_numpy(batch.rows(tokens, offsets))
            height = max(1, PATTERN_ROWS // batch.seq_len)
            for first in range(0, len(batch.wanted), height):
                own = batch.part(first, first + height)
                pairs = [order[starts[i] : starts[i + 1]] for i in own.wanted]
                yield from self._batch(rows, own, pairs, ids)

    @torch.no_grad()
    def _batch(
        self, rows: Tensor, batch: Batch, pairs: list[NDArray[np.int64]], ids: NDArray[np.int64]
    ) -> Iterator[Parts]:
        """Parts of the pairs of each destination of a batch."""
        at = Destinations(torch.from_numpy(batch.row), torch.from_numpy(batch.place))
        attention = self._model.attention(rows, self.heads, at)
        scale = self._scales(rows, at)
        for row in np.unique(batch.row):
            here = np.flatnonzero(batch.row == row)
            own = np.concatenate([pairs[i] for i in here])
            of = np.repeat(here, [len(pairs[i]) for i in here])
            n_src = attention.values.shape[1]
            height = max(1, PRODUCTS // (attention.pattern.shape[1] * n_src))
            for first in range(0, len(own), height):
                span = slice(first, first + height)
                yield from self._row(attention, scale, int(row), (own[span], of[span], batch.place), ids)

    def _row(
        self,
        attention: AttentionParts,
        scale: Tensor,
        row: int,
        pairs: tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]],
        ids: NDArray[np.int64],
    ) -> Iterator[Parts]:
        """Parts of some pairs of one sequence: their numbers, their destinations, and where these are."""
        own, of, place = pairs
        distinct, which = np.unique(ids[own], return_inverse=True)
        products = self._products(attention, row, torch.from_numpy(distinct))  # [n_features, n_heads, n_src]
        for pair, destination, feature in zip(own.tolist(), of.tolist(), which.tolist(), strict=True):
            n = int(place[destination]) + 1
            parts = attention.pattern[destination, :, :n] * products[feature, :, :n] * scale[destination]
            yield Parts(pair, parts.float().cpu().numpy())

    def _products(self, attention: AttentionParts, row: int, features: Tensor) -> Tensor:
        """``v[s, h] · u_f[h]`` of every source and head of one sequence: ``[n_features, n_heads, n_src]``."""
        values = attention.values[row]  # [n_src, n_kv_heads, d_head]
        directions = self._model.to_heads(self._sae.encoder_directions(features), self._hook).to(values)
        n_src, n_kv, d_head = values.shape
        grouped = directions.view(len(features), n_kv, -1, d_head)  # query heads that share a value stand together
        return torch.einsum("skd,fkgd->fkgs", values, grouped).reshape(len(features), -1, n_src)

    def _scales(self, rows: Tensor, at: Destinations) -> Tensor:
        """Factor of each destination: the SAE's normalisation over the post-norm's divisor, float64 ``[n]``."""
        factor = torch.ones(len(at.rows), dtype=torch.float64)
        normalises = self._sae.input_scale(torch.ones(1, self._sae.d_in)) is not None
        if self._post_norm is None and not normalises:
            return factor
        hooks = [self._hook] + ([] if self._post_norm is None else [self._post_norm.reads])
        read = [acts[at.rows, at.places] for acts in self._model.activations_at(rows, hooks)]
        scale = self._sae.input_scale(read[0].to(self._sae.decoder.device))
        factor = factor if scale is None else factor * doubled(scale).cpu()
        return factor if self._post_norm is None else factor / self._post_norm.divisor(read[1]).cpu()
