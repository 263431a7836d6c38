"""What direct effects are made of, and what they are."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from sae_vis.effects.rank_one import Mixed
from sae_vis.models.base import PostNorm


@dataclass(frozen=True, kw_only=True)
class DirectEffectTable:
    """Direct effects of n pairs of a token and a feature, in the order they were asked for.

    Everything is with the feature minus without it, in nats where it is of a loss or log-probability. NaN where a
    sequence has no next token.

    Attributes:
        loss: float32 ``[n]``, effect on the loss of the next token: negative where the feature helps. With a
            `Reference`, on the cross entropy against that, also at the end of a sequence; probabilities are NaN then.
        logit: float32 ``[n]``, effect on the next token's logit, as the model gives it (capped where it caps).
        prob_with: float32 ``[n]``, probability of the next token.
        prob_without: float32 ``[n]``, the same without the feature.
        top_tokens: int64 ``[n, k]``: those whose log-probability the feature raises most, descending.
        top_changes: float32 ``[n, k]``, by how much.
        bottom_tokens: int64 ``[n, k]``: those whose log-probability it lowers most, most lowered first.
        bottom_changes: float32 ``[n, k]``, by how much (negative where lowered).
    """

    loss: NDArray[np.float32]
    logit: NDArray[np.float32]
    prob_with: NDArray[np.float32]
    prob_without: NDArray[np.float32]
    top_tokens: NDArray[np.int64]
    top_changes: NDArray[np.float32]
    bottom_tokens: NDArray[np.int64]
    bottom_changes: NDArray[np.float32]


@dataclass(frozen=True, kw_only=True)
class Prepared:
    """What direct effects need of n tokens of text, shared by all features.

    Attributes:
        positions: int64 ``[n]``, ascending: what effects are asked for by.
        hooked: ``[n, d_in]`` what the SAE reads there.
        residual: float32 ``[n, d_model]`` what the final norm reads.
        next_tokens: int64 ``[n]``, -1 at the end of a sequence.
        factors: float64 ``[n, n_ways]``: what one unit of activation there is worth in the residual stream, in units
            of the feature's direction (`Dictionary.output_scale` over the post-norm's divisor; 1 nearly always), for
            each way there: places behind one post-norm, or behind none, have one way.
    """

    positions: NDArray[np.int64]
    hooked: Tensor
    residual: Tensor
    next_tokens: Tensor
    factors: Tensor


class Predictions(NamedTuple):
    """What the model expects next at n positions.

    Attributes:
        tokens: int64 ``[n, k]``, the likeliest next tokens, likeliest first.
        probs: float32 ``[n, k]``, their probabilities.
        loss: float32 ``[n]``, loss of the token that really follows, in nats; NaN where none does.
    """

    tokens: NDArray[np.int64]
    probs: NDArray[np.float32]
    loss: NDArray[np.float32]


class Scaled(NamedTuple):
    """Pairs with all that their ablation needs but the vocabulary.

    Attributes:
        row, direction: int64 ``[n]`` which of the rows of `x`, of `d` a pair is of.
        used: int64 ``[n_rows]`` which prepared positions the rows of `x` are.
        x: ``[n_rows, d_model]`` final residuals, centred where the final norm centres.
        d: ``[n_directions, d_model]`` directions, alike.
        a: float64 ``[n]`` what is taken out, in units of the direction.
        clean: float64 ``[n_rows]``, one over the norm's divisor.
        scale: float64 ``[n]``, the same without the feature.
    """

    row: Tensor
    direction: Tensor
    used: Tensor
    x: Tensor
    d: Tensor
    a: Tensor
    clean: Tensor
    scale: Tensor


class Evaluated(NamedTuple):
    """Losses and target logits (float64 ``[n]``) with and without the feature, and what else was found of the pairs."""

    with_loss: Tensor
    without_loss: Tensor
    logit: Tensor
    log_change: Tensor
    found: Mixed


class Way(NamedTuple):
    """Places where the dictionary writes with one way to the residual stream.

    Attributes:
        post_norm: what lies on it, or None.
        writes: their numbers.
    """

    post_norm: PostNorm | None
    writes: list[int]
