"""Two of the indices that are served, compared."""

from __future__ import annotations

from sae_vis.api.options import ComputeSettings
from sae_vis.api.sources import view_sources
from sae_vis.contract import Compared, ComparisonHead
from sae_vis.deliver.answers import answer
from sae_vis.index.between import PARTNERS, between
from sae_vis.layout import SaeVisLayoutConfig
from sae_vis.server.served import Served
from sae_vis.views.compare import CompareSettings, CompareSources, compared_feature, overview


class CompareDesk:
    """Answers about two indices in one thread.

    Args:
        a: the first.
        b: the second, over the same tokens.

    Raises:
        InputError: indices over other tokens.
    """

    def __init__(self, a: Served, b: Served) -> None:
        index_a, index_b = a.open(), b.open()
        self._settings = CompareSettings()
        found = between(index_a, index_b, partners=max(PARTNERS, self._settings.partners))
        no_effects = ComputeSettings(effects=False)
        sources = [view_sources(i, one.parts, no_effects, effects=False) for i, one in ((index_a, a), (index_b, b))]
        self._sources = CompareSources(a=sources[0], b=sources[1], between=found)

    def head(self) -> bytes:
        """What is known of all features of both."""
        layout = SaeVisLayoutConfig.default_compare_layout().to_spec("feature")
        made = ComparisonHead(overview=overview(self._sources, self._settings), layout=layout)
        return answer(ComparisonHead, made, self._sources.a.text)

    def pair(self, feature: int) -> bytes:
        """A feature of the first with its nearest of the second."""
        self._sources.a.index.require_feature(feature)
        return answer(Compared, compared_feature(self._sources, feature, self._settings), self._sources.a.text)
