"""Direct effects and predictions on a prompt; where the way to the logits is not known, what is known without it."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from sae_vis.effects.ablation import DirectEffects
from sae_vis.effects.attribution import AttributionTable
from sae_vis.effects.direct import Predictions
from sae_vis.errors import UnknownWiringError

if TYPE_CHECKING:
    from sae_vis.views.prompt import PromptSources

F32 = NDArray[np.float32]


class Direct(NamedTuple):
    """What the model predicts along a prompt, and what each firing does to that directly.

    Attributes:
        predictions: the likeliest next tokens and the loss at each position.
        targets: int64 ``[n, n_targets]``: at each position the token that follows (-1: none), the likeliest ones, and
            those asked for.
        logit_effects: float32 ``[n_pairs, n_targets]``, NaN where not known.
        loss_effects: float32 ``[n_pairs]``, NaN where not known.
        unknown: why direct effects are not known, or None.
    """

    predictions: Predictions
    targets: NDArray[np.int64]
    logit_effects: F32
    loss_effects: F32
    unknown: str | None


def direct_part(
    sources: PromptSources, text: torch.Tensor, table: AttributionTable, k: int, asked: tuple[int, ...]
) -> Direct:
    """Predictions and direct effects.

    Args:
        sources: model and dictionary.
        text: ``[n]`` token ids.
        table: the firings.
        k: likeliest next tokens at each position.
        asked: further tokens whose logits are of interest, at every position.
    """
    pairs = table.positions, table.features, table.acts
    try:
        effects = DirectEffects(sources.model, sources.sae, sources.hook)
    except UnknownWiringError as error:
        predictions = _predictions(sources, text, k)
        targets = _targets(text, predictions, asked)
        nothing = np.full((len(table.acts), targets.shape[1]), np.nan, dtype=np.float32)
        return Direct(predictions, targets, nothing, nothing[:, 0].copy(), str(error))
    prepared = effects.prepare(text)
    predictions = effects.predictions(prepared, k)
    targets = _targets(text, predictions, asked)
    logits = effects.logit_effects(prepared, *pairs, np.maximum(targets, 0)[table.positions])
    logits[targets[table.positions] < 0] = np.nan
    return Direct(predictions, targets, logits, effects.losses_only(prepared, *pairs), None)


def _targets(text: torch.Tensor, predictions: Predictions, asked: tuple[int, ...]) -> NDArray[np.int64]:
    following = np.append(text.numpy()[1:], -1)
    chosen = np.tile(np.array(asked, dtype=np.int64), (len(text), 1))
    return np.concatenate([following[:, None], predictions.tokens, chosen], axis=1)


def _predictions(sources: PromptSources, text: torch.Tensor, k: int) -> Predictions:
    """Of the model's own logits; of a model without logits none, and no loss."""
    try:
        logits = sources.model.logits(text[None])[0].float()
    except UnknownWiringError:
        unknown = np.full(len(text), np.nan, dtype=np.float32)
        return Predictions(np.full((len(text), k), -1), np.full((len(text), k), np.nan, dtype=np.float32), unknown)
    log_probs = logits.log_softmax(dim=1)
    best = log_probs.topk(min(k, log_probs.shape[1]), dim=1)
    loss = np.full(len(text), np.nan, dtype=np.float32)
    loss[:-1] = -log_probs[:-1].gather(1, text[1:, None].to(logits.device))[:, 0].cpu().numpy()
    return Predictions(best.indices.cpu().numpy(), best.values.exp().cpu().numpy(), loss)
