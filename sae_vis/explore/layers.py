"""One prompt at every layer: what matters most to it in each of several indices."""

from __future__ import annotations

import numpy as np

from sae_vis.contract import LayerFeatures, PromptView
from sae_vis.index.index import Index
from sae_vis.views.feature import feature_summary
from sae_vis.views.prompt import METRICS, metric_of

RANKED = 12


def layer_features(index: Index, view: PromptView, identity: str, n: int = RANKED) -> LayerFeatures:
    """The ``n`` features of largest attribution at an unmasked token, each at the token where its size is largest.

    Where nothing can be attributed, by their activation. Equal ones by number.
    """
    name = metric_of(view)
    values = next(metric.values for metric in view.metrics if metric.name == name)
    positions = np.repeat(np.arange(len(view.tokens)), np.diff(view.offsets))
    sizes = np.where(view.masked[positions] == 0, np.abs(values), -1.0)
    order = np.lexsort((view.features, -sizes))
    _, first = np.unique(view.features[order], return_index=True)
    pairs = order[np.sort(first)]
    pairs = pairs[sizes[pairs] > 0][:n]
    features = view.features[pairs]
    return LayerFeatures(
        identity=identity,
        metric=METRICS[name].title,
        features=features,
        values=values[pairs],
        positions=positions[pairs].astype(np.int32),
        top_tokens=feature_summary(index, features.astype(np.int64)).top_token,
    )
