"""What is said that a feature means, in the terms of the contract."""

from __future__ import annotations

import math
from collections.abc import Sequence

from sae_vis.contract import FeatureExplanation
from sae_vis.index.explanations import Explanation
from sae_vis.index.index import Index


def explained(index: Index, features: Sequence[int]) -> list[tuple[FeatureExplanation, ...]]:
    """The explanations of each of some ``features`` that are kept beside their ``index``, the best first."""
    kept = index.explanations
    return [tuple(map(_told, kept.of_feature(feature))) for feature in features]


def _told(one: Explanation) -> FeatureExplanation:
    score = None if math.isnan(one.score) else one.score
    return FeatureExplanation(text=one.text, score=score, measure=one.measure, source=one.source)
