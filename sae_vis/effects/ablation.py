"""Direct effects: a feature's contribution taken out of the final residual, all else left as it is.

With ``x`` the final residual of a token (less its mean, where the final norm is a LayerNorm), ``d`` the feature's
direction in the residual stream (treated alike), ``a`` its activation, ``n`` the width of the residual stream,
``g``, ``b`` and ``W`` gain, constant and unembedding, the model's logits are

    W (g x) / σ + b,            σ² = |x|² / n + eps

and without the feature, the norm computed anew,

    (u - a l) / σ' + b,         u = W (g x),  l = W (g d),  σ'² = (|x|² - 2 a x·d + a² |d|²) / n + eps

then soft-capped where the model does so. ``u`` is one product for a token, ``l`` one for a feature; a pair costs a pass
over the vocabulary. ``a`` counts what the dictionary and a post-norm make of the activation on the way: it is
``output_scale * act / divisor`` (`Dictionary.output_scale`, `PostNorm`; the divisor is held where it is).

A dictionary that writes at several places of the model (`sae_vis.effects.wiring`) has for ``d`` the sum of what it adds
at each. Where these reach the stream through different post-norms, ``d`` differs from token to token.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from sae_vis.effects.batches import batches
from sae_vis.effects.direct import DirectEffectTable, Evaluated, Predictions, Prepared, Scaled, Way
from sae_vis.effects.pairs import (
    Numbers,
    Pairs,
    check_positions,
    checked_pairs,
    checked_text,
    output_scales,
)
from sae_vis.effects.rank_one import Head, Mixes, mixed
from sae_vis.effects.reference import Reference, expected_logits
from sae_vis.effects.wiring import Wiring, wired
from sae_vis.errors import InputError, UnknownWiringError
from sae_vis.models.base import HookPoint, PostNorm, RunnableModel
from sae_vis.neutral import all_neutrally
from sae_vis.saes.base import Dictionary

DOT_PAIRS = 4096  # pairs whose vectors are gathered at a time, in float64


@all_neutrally
class DirectEffects:
    """Direct effects of the features of a dictionary.

    Args:
        model: a model that can be run to its end.
        sae: the dictionary.
        hook: where it reads and writes; a `Wiring` for one that writes elsewhere, or at several places.
        reference: distributions that the loss is taken against at corpus positions, in place of the next token.

    Raises:
        InputError: a place with no known way to the residual stream, or of another width than the SAE.
    """

    def __init__(
        self, model: RunnableModel, sae: Dictionary, hook: HookPoint | Wiring, reference: Reference | None = None
    ) -> None:
        for place in [hook] if isinstance(hook, HookPoint) else hook.hooks:
            if place.onward is None:
                raise UnknownWiringError(
                    f"no way is known from {place.name!r} to the residual stream, so there is no direct effect to "
                    "compute: measure the full effect (FullEffects), or give a hook point of the residual stream, of "
                    "attention or MLP outputs, of heads or of neurons"
                )
        self._model, self._sae, self._wiring = model, sae, wired(model, sae, hook)
        self.reference = reference
        self._end = model.unembedding()
        self._head = Head(self._end.weight, self._end.bias, model.logit_softcap)
        self._ways = _ways(self._wiring.post_norms(model))

    # What is shared by all features

    def prepare(self, tokens: Tensor) -> Prepared:
        """Run the model over one text, so that effects can be asked for at any of its positions.

        Args:
            tokens: int64 ``[seq_len]``; positions count from 0.

        Returns:
            What `at` and the other methods need of the text.

        Raises:
            InputError: no tokens, tokens the model does not have, or more than it can take.
        """
        ids = checked_text(tokens).cpu().numpy()
        return self.prepare_corpus(ids, np.array([0, len(ids)]), np.arange(len(ids)))

    def prepare_corpus(self, tokens: NDArray[Any], offsets: NDArray[Any], positions: NDArray[Any]) -> Prepared:
        """Some positions of a corpus (`Corpus`, `Index`): one forward pass for each sequence that holds any.

        Args:
            tokens: ``[n_tokens]`` of the corpus.
            offsets: ``[n_seqs + 1]`` where its sequences start and stop.
            positions: ``[n]`` corpus positions, in any order, repeated or not.

        Returns:
            What `at` and the other methods need at these positions.

        Raises:
            InputError: a position outside the corpus, tokens the model does not have, or more than it can take.
        """
        wanted = np.unique(np.asarray(positions, dtype=np.int64))
        check_positions(wanted, len(tokens))
        parts: list[list[Tensor]] = []
        order: list[NDArray[np.int64]] = [np.zeros(0, dtype=np.int64)]
        for batch in batches(offsets, wanted):
            rows = torch.from_numpy(batch.rows(tokens, offsets))
            acts = self._read(rows)
            parts.append([there[batch.row, batch.place] for there in acts])
            order.append(batch.wanted)
        if not parts:
            parts = [[there[0] for there in self._read(torch.zeros((1, 0), dtype=torch.int64))]]
        back = torch.from_numpy(np.argsort(np.concatenate(order)))
        columns = [torch.cat(column) for column in zip(*parts, strict=True)]
        return self._prepared(wanted, _next_tokens(tokens, offsets, wanted), [c[back.to(c.device)] for c in columns])

    def _read(self, tokens: Tensor) -> list[Tensor]:
        """What the dictionary reads, the final residual, and what each post-norm on a way reads."""
        wiring, norms = self._wiring, [way.post_norm.reads for way in self._ways if way.post_norm is not None]
        hooks = [self._model.final_residual, *norms]
        if wiring.reader is self._model:
            return self._model.activations_at(tokens, [wiring.read, *hooks])
        return [wiring.reader.activations(tokens, wiring.read), *self._model.activations_at(tokens, hooks)]

    def _prepared(self, positions: NDArray[np.int64], next_tokens: NDArray[np.int64], read: list[Tensor]) -> Prepared:
        device = self._end.weight.device
        factors = torch.ones((len(positions), len(self._ways)), dtype=torch.float64, device=device)
        scale = output_scales(self._sae, read[0])
        if scale is not None:
            factors = factors * scale.to(device)[:, None]
        before_norm = iter(read[2:])
        for number, way in enumerate(self._ways):
            if way.post_norm is not None:
                factors[:, number] /= way.post_norm.divisor(next(before_norm)).to(device)
        return Prepared(
            positions=positions,
            hooked=read[0],
            residual=read[1].float().to(device),
            next_tokens=torch.from_numpy(next_tokens).to(device),
            factors=factors,
        )

    # Effects

    def at(
        self, prepared: Prepared, positions: Numbers, features: Numbers, acts: Numbers, *, n_changed: int = 5
    ) -> DirectEffectTable:
        """Direct effects of n pairs: feature ``features[i]`` with activation ``acts[i]`` at ``positions[i]``.

        In any order; equal positions and equal features share their work within one call.

        Args:
            prepared: of the text.
            positions: ``[n]``, among those prepared.
            features: ``[n]``.
            acts: ``[n]``, what the SAE's `encode` gives.
            n_changed: rows of the lists of most changed tokens; 0 for none.

        Returns:
            Effects of each pair, in the order asked for.

        Raises:
            InputError: a position that was not prepared, a feature that does not exist, lists of different lengths, an
                activation that is not finite.
        """
        pairs = checked_pairs(positions, features, acts, self._sae.d_sae)
        rows = _rows_of(prepared, pairs.positions)
        ends = prepared.next_tokens[rows] < 0
        effects = self._evaluate(prepared, rows, pairs, n_changed)
        changes = effects.found.changes + effects.log_change[:, None, None]
        losses, no_prob = (effects.with_loss, effects.without_loss), ends if self.reference is None else ends | True
        return DirectEffectTable(
            loss=_known(losses[0] - losses[1], ends if self.reference is None else ends & False),
            logit=_known(effects.logit, ends),
            prob_with=_known(losses[0].neg().exp(), no_prob),
            prob_without=_known(losses[1].neg().exp(), no_prob),
            top_tokens=effects.found.tokens[:, 0].cpu().numpy(),
            top_changes=changes[:, 0].float().cpu().numpy(),
            bottom_tokens=effects.found.tokens[:, 1].cpu().numpy(),
            bottom_changes=changes[:, 1].float().cpu().numpy(),
        )

    def losses_only(
        self, prepared: Prepared, positions: Numbers, features: Numbers, acts: Numbers
    ) -> NDArray[np.float32]:
        """Direct effects of n pairs on the loss alone, which is quicker than `at`.

        Args:
            prepared: of the text.
            positions: ``[n]``, among those prepared.
            features: ``[n]``.
            acts: ``[n]``, what the SAE's `encode` gives.

        Returns:
            float32 ``[n]`` in nats: `DirectEffectTable.loss`.

        Raises:
            InputError: as for `at`.
        """
        return self.at(prepared, positions, features, acts, n_changed=0).loss

    def logit_effects(
        self, prepared: Prepared, positions: Numbers, features: Numbers, acts: Numbers, tokens: NDArray[Any]
    ) -> NDArray[np.float32]:
        """Direct effects of n pairs on the logits of chosen tokens, with minus without the feature: float32 ``[n, m]``.

        Args:
            prepared: of the text.
            positions: ``[n]``, among those prepared.
            features: ``[n]``.
            acts: ``[n]``, what the SAE's `encode` gives.
            tokens: int64 ``[n, m]``, ids.

        Returns:
            float32 ``[n, m]``.

        Raises:
            InputError: as for `at`; a token id that does not exist.
        """
        pairs = checked_pairs(positions, features, acts, self._sae.d_sae)
        d_vocab = len(self._end.weight)
        if tokens.size and not 0 <= int(tokens.min()) <= int(tokens.max()) < d_vocab:
            raise InputError(f"token ids from {tokens.min()} to {tokens.max()}; there are logits of 0 to {d_vocab - 1}")
        found = self._scaled(prepared, _rows_of(prepared, pairs.positions), pairs)
        gain, weight = self._end.gain, self._end.weight
        effects = np.empty(tokens.shape, dtype=np.float32)
        height = max(1, DOT_PAIRS // max(tokens.shape[1], 1))
        for first in range(0, len(tokens), height):
            span = slice(first, first + height)
            ids = torch.from_numpy(tokens[span]).to(weight.device)
            rows = weight[ids].double()  # [n, m, d_model]
            u = torch.einsum("nmd,nd->nm", rows, found.x[found.row[span]].double() * gain)
            of_feature = torch.einsum("nmd,nd->nm", rows, found.d[found.direction[span]].double() * gain)
            bias = 0 if self._end.bias is None else self._end.bias[ids]
            clean = self._capped(u * found.clean[found.row[span], None] + bias)
            without = self._capped((u - found.a[span, None] * of_feature) * found.scale[span, None] + bias)
            effects[span] = (clean - without).float().cpu().numpy()
        return effects

    def predictions(self, prepared: Prepared, k: int) -> Predictions:
        """The model's likeliest next tokens, and its loss, from the final residual.

        Args:
            prepared: of the text.
            k: how many tokens at each position.

        Returns:
            Tokens, probabilities and losses at each prepared position.
        """
        x = self._centred(prepared.residual)
        logits = (x * self._end.gain * self._scale(_square(x))[:, None].float()) @ self._end.weight.T
        log_probs = self._capped(logits if self._end.bias is None else logits + self._end.bias).log_softmax(dim=1)
        best = log_probs.topk(min(k, log_probs.shape[1]), dim=1)
        following = prepared.next_tokens
        loss = -log_probs.gather(1, following.clamp(min=0)[:, None])[:, 0]
        return Predictions(best.indices.cpu().numpy(), best.values.exp().cpu().numpy(), _known(loss, following < 0))

    def _capped(self, logits: Tensor) -> Tensor:
        cap = self._model.logit_softcap
        return logits if cap is None else cap * torch.tanh(logits / cap)

    def _evaluate(self, prepared: Prepared, rows: Tensor, pairs: Pairs, n_changed: int) -> Evaluated:
        device = self._end.weight.device
        row, direction, used, x, d, a, clean, scale = self._scaled(prepared, rows, pairs)
        # The clean logits go the same way, as further pairs without weight: equal logits give equal bits.
        some = torch.zeros(len(used), dtype=torch.int64, device=device).scatter_(0, row, direction)
        everything = Mixes(
            rows=torch.cat([row, torch.arange(len(used), device=device)]),
            directions=torch.cat([direction, some]),
            scale=torch.cat([scale, clean]),
            weight=torch.cat([-a * scale, torch.zeros_like(clean)]),
            clean_scale=torch.cat([clean[row], clean]),
            targets=prepared.next_tokens[torch.cat([rows, used])].clamp(min=0),
        )
        gain = self._end.gain
        found = mixed(self._head, x * gain, d * gain, everything, n_changed=n_changed, n_asked=len(rows))
        loss, logit = found.log_total - found.target, found.target + found.offset
        if self.reference is not None:
            at = prepared.positions[used.cpu().numpy()]
            expected = expected_logits(self._head, x * gain, d * gain, everything, self.reference, at)
            loss = found.log_total + found.offset - expected
        n = len(rows)
        return Evaluated(
            with_loss=loss[n:][row],
            without_loss=loss[:n],
            logit=logit[n:][row] - logit[:n],
            log_change=found.log_total[:n] - found.log_total[n:][row],
            found=found,
        )

    def _scaled(self, prepared: Prepared, rows: Tensor, pairs: Pairs) -> Scaled:
        device = self._end.weight.device
        used, row = torch.unique(rows, return_inverse=True)
        x, a = self._centred(prepared.residual[used]), torch.from_numpy(pairs.acts).to(device)
        d, direction, worth = self._directions(pairs.features, prepared.factors[rows])
        a = a * worth
        clean = self._scale(_square(x))
        scale = self._scale(_square(x)[row] - 2 * a * _dots(x, d, row, direction) + a**2 * _square(d)[direction])
        return Scaled(row, direction, used, x, d, a, clean, scale)

    def _directions(self, features: NDArray[np.int64], factors: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Directions in the stream, which of them each pair has, and what a unit of activation is worth in it.

        With one way to the stream there is a direction for each feature, with several one for each pair.

        Args:
            features: ``[n]``.
            factors: float64 ``[n, n_ways]``.
        """
        device, decoder = self._end.weight.device, self._sae.decoder
        distinct, feature = np.unique(features, return_inverse=True)
        of_pair = torch.from_numpy(feature).to(device)
        steps = self._wiring.steps(self._model, decoder[torch.from_numpy(distinct).to(decoder.device)].detach().float())
        added = [self._model.to_residual(s, h).to(device) for s, h in zip(steps, self._wiring.hooks, strict=True)]
        of_ways = [torch.stack([added[number] for number in way.writes]).sum(0) for way in self._ways]
        if len(of_ways) == 1:
            return self._centred(of_ways[0]), of_pair, factors[:, 0]
        mixed_ways = sum(factors[:, [way]].float() * d[of_pair] for way, d in enumerate(of_ways))
        assert isinstance(mixed_ways, Tensor)
        pairs = torch.arange(len(features), device=device)
        return self._centred(mixed_ways), pairs, torch.ones_like(factors[:, 0])

    def _centred(self, x: Tensor) -> Tensor:
        return x - x.mean(dim=1, keepdim=True) if self._end.centred else x

    def _scale(self, square: Tensor) -> Tensor:
        """``1 / σ`` for sums of squares; rounding can't make these negative."""
        return (square.clamp(min=0) / self._model.d_model + self._end.eps).rsqrt()


def _ways(post_norms: list[PostNorm | None]) -> list[Way]:
    """Places by the post-norm ahead of them, in the order of the first of each."""
    found: dict[str | None, Way] = {}
    for number, norm in enumerate(post_norms):
        place = None if norm is None else norm.reads.place
        found.setdefault(place, Way(norm, [])).writes.append(number)
    return list(found.values())


def _next_tokens(tokens: NDArray[Any], offsets: NDArray[Any], positions: NDArray[np.int64]) -> NDArray[np.int64]:
    stops = offsets[np.searchsorted(offsets, positions, side="right")]
    inside = positions + 1 < stops
    return np.where(inside, tokens[np.where(inside, positions + 1, 0)] if len(tokens) else 0, -1).astype(np.int64)


def _rows_of(prepared: Prepared, positions: NDArray[np.int64]) -> Tensor:
    """Which of the prepared positions they are."""
    known = prepared.positions
    at = np.searchsorted(known, positions)
    missing = positions[known[np.minimum(at, len(known) - 1)] != positions] if len(known) else positions
    if len(missing):
        span = f"{known[0]} to {known[-1]}" if len(known) else "none"
        raise InputError(f"position {missing[0]} was not prepared; {len(known)} positions were, {span}")
    return torch.from_numpy(at).to(prepared.residual.device)


def _square(x: Tensor) -> Tensor:
    """``|x|²`` of each row, float64."""
    return torch.cat([part.double().pow(2).sum(dim=1) for part in torch.split(x, DOT_PAIRS)])


def _dots(x: Tensor, d: Tensor, rows: Tensor, directions: Tensor) -> Tensor:
    """``x[row] · d[direction]`` of each pair, float64: what is left of it after subtracting decides the norm."""
    parts = zip(torch.split(rows, DOT_PAIRS), torch.split(directions, DOT_PAIRS), strict=True)
    return torch.cat([torch.linalg.vecdot(x[row].double(), d[direction].double()) for row, direction in parts])


def _known(values: Tensor, unknown: Tensor) -> NDArray[np.float32]:
    """As float32, NaN where there is nothing to know."""
    numbers: NDArray[np.float32] = torch.where(unknown, torch.nan, values).float().cpu().numpy()
    return numbers
