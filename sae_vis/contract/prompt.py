"""A prompt and the features that fire on it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal

from sae_vis.contract.annotations import F32, I32, Array
from sae_vis.contract.summary import FeatureSummary


@dataclass(frozen=True, kw_only=True)
class PromptMetric:
    """A way to rank the features that fire on a prompt's tokens.

    Attributes:
        name: as in the Python API, such as ``act_size``.
        title: in words.
        meaning: what the number is, its unit, and its sign, in a sentence.
        first: whether large values, small ones, or those of large size come first in a ranking.
        max_density: a ranking leaves out features that fire on a larger share of the corpus's tokens, unless told
            otherwise; 1: none.
        values: , NaN where not computed.
    """

    name: str
    title: str
    meaning: str
    first: Literal["large", "small", "size"]
    max_density: float
    values: Annotated[F32, Array("n_pairs")]


@dataclass(frozen=True, kw_only=True)
class PromptView:
    """One prompt and every feature that fires on it. A pair is a token and a feature that fires there.

    Attributes:
        title: what to call it.
        tokens: ids.
        masked: 1 where the index's mask would leave the token out of its statistics.
        loss: loss of the token that follows, in nats; NaN at the last position.
        n_predicted: tokens in each list of predictions.
        predicted: the model's likeliest next tokens at each position, likeliest first.
        predicted_prob: their probabilities.
        offsets: token ``i`` owns pairs ``offsets[i]:offsets[i + 1]``.
        features: ascending within a token.
        metrics: values of every pair; `act_size` is the activation.
        n_targets: tokens at each position on whose logit the effect is known.
        targets: the token that follows (-1 at the last position), then the predicted ones,
            then any that were asked for.
        logit_effects: direct effect on the logits of the pair's position's targets.
        attributed: the attribution's target in words.
    """

    title: str
    tokens: Annotated[I32, Array("n_positions", "token")]
    masked: Annotated[I32, Array("n_positions")]
    loss: Annotated[F32, Array("n_positions", unit="nats")]
    n_predicted: int
    predicted: Annotated[I32, Array("n_positions * n_predicted", "token")]
    predicted_prob: Annotated[F32, Array("n_positions * n_predicted")]
    offsets: Annotated[I32, Array("n_positions + 1", "offsets", ends_at="n_pairs")]
    features: Annotated[I32, Array("n_pairs", "delta")]
    metrics: tuple[PromptMetric, ...]
    n_targets: int
    targets: Annotated[I32, Array("n_positions * n_targets", "token")]
    logit_effects: Annotated[F32, Array("n_pairs * n_targets", unit="logits")]
    attributed: str


@dataclass(frozen=True, kw_only=True)
class PromptPart:
    """What makes a page prompt-centric.

    Attributes:
        prompts: one, or two to be compared.
        aligned: pairs of positions in the first and second prompt that stand for each other,
            ascending; empty for one prompt.
        firing: every feature that fires on any of them. Cards of some may be missing from the page.
        metric: name of the metric to begin with.
        position: position to begin with; None: the whole prompt.
        n_features: features in a ranking.
    """

    prompts: tuple[PromptView, ...]
    aligned: Annotated[I32, Array("n_aligned")]
    firing: FeatureSummary
    metric: str
    position: int | None
    n_features: int
