"""One prompt at every layer: what matters most to it in each of several indices."""

from __future__ import annotations

import numpy as np

from sae_vis.contract import LayerFeatures, PromptView
from sae_vis.index.index import Index
from sae_vis.views.feature import feature_summary
from sae_vis.views.prompt import metric_of

RANKED = 12


def layer_features(index: Index, view: PromptView, identity: str, n: int = RANKED) -> LayerFeatures:
    """The ``n`` features of largest attribution at an unmasked token, each at the token where its size is largest.

    Where nothing can be attributed, by their activation, without those that are too dense for it. Equal ones by number.
    """
    name = metric_of(view)
    metric = next(metric for metric in view.metrics if metric.name == name)
    values = metric.values
    positions = np.repeat(np.arange(len(view.tokens)), np.diff(view.offsets))
    ranked = (view.masked[positions] == 0) & (index.column("density")[view.features] <= metric.max_density)
    sizes = np.where(ranked, np.abs(values), -1.0)
    order = np.lexsort((view.features, -sizes))
    _, first = np.unique(view.features[order], return_index=True)
    pairs = order[np.sort(first)]
    pairs = pairs[sizes[pairs] > 0][:n]
    features = view.features[pairs]
    return LayerFeatures(
        identity=identity,
        metric=metric.title if metric.max_density == 1 else f"{metric.title}, densities up to {metric.max_density:.3g}",
        features=features,
        values=values[pairs],
        positions=positions[pairs].astype(np.int32),
        top_tokens=feature_summary(index, features.astype(np.int64)).top_token,
    )
