"""What is said that a feature means, in the terms of the contract."""

from __future__ import annotations

import math

from sae_vis.contract import FeatureExplanation
from sae_vis.index.index import Index


def explained(index: Index, feature: int) -> tuple[FeatureExplanation, ...]:
    """The explanations of a ``feature`` that are kept beside its ``index``, the best first."""
    return tuple(
        FeatureExplanation(
            text=one.text, score=None if math.isnan(one.score) else one.score, measure=one.measure, source=one.source
        )
        for one in index.explanations.of_feature(feature)
    )
