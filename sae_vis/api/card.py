"""One feature of an index: its numbers, and its card in a notebook."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from sae_vis.api.asked import hooks_of
from sae_vis.api.feature_pages import made_feature_page
from sae_vis.api.options import ComputeSettings, FeatureSettings
from sae_vis.deliver.notebook import framed
from sae_vis.deliver.page import render_page
from sae_vis.index.index import Examples, Index
from sae_vis.layout import SaeVisLayoutConfig
from sae_vis.neutral import neutrally
from sae_vis.parts import ModelAndSae
from sae_vis.views.feature import feature_summary


class FeatureStats(NamedTuple):
    """The numbers of one feature.

    Attributes:
        n_firings: tokens on which it fires.
        density: firings / unmasked tokens.
        max: its largest activation; 0 where it never fires.
        mean: of its activations, among firings; NaN where it never fires.
        std: likewise, their standard deviation.
        top_token: id of the token that it fires on most strongly, on either side of zero; None where it never fires.
    """

    n_firings: int
    density: float
    max: float
    mean: float
    std: float
    top_token: int | None


@dataclass(frozen=True, kw_only=True, repr=False)
class FeatureCard:
    """One feature of an index. A notebook that shows it shows the card of the feature; ``print`` says its numbers.

    Attributes:
        index: where the numbers come from.
        feature: its number.
        parts: model and dictionary of the index, for what a card shows with them (`save_feature_page`).
        layout: of the card; None: the default.
        compute: what is computed beyond what the index holds.
    """

    index: Index
    feature: int
    parts: ModelAndSae | None = None
    layout: SaeVisLayoutConfig | None = None
    compute: ComputeSettings | None = None

    @property
    def stats(self) -> FeatureStats:
        """Density, maximum, mean and the like."""
        number, index = self.feature, self.index
        n, density, largest = (index.column(name)[number] for name in ("n_firings", "density", "max"))
        moments = index.moments([number])
        token = int(feature_summary(index, np.array([number])).top_token[0]) if n else None
        return FeatureStats(
            int(n), float(density), float(largest), float(moments["mean"][0]), float(moments["std"][0]), token
        )

    def top_examples(self, k: int = 10, *, before: int | None = 5, after: int | None = 5) -> Examples:
        """The largest firings of this feature, as `Index.top_examples` gives them.

        Args:
            k: how many at most.
            before: tokens of context before the firing; None: all of the sequence.
            after: tokens of context after it; None: all of the sequence.

        Returns:
            The firings, the largest first.
        """
        return self.index.top_examples(self.feature, k, before=before, after=after)

    def __repr__(self) -> str:
        """The numbers in a few lines."""
        found = self.stats
        lines = [f"Feature {self.feature} of {self.index.n_features:,} at {hooks_of(self.index)}"]
        if found.top_token is None:
            return f"{lines[0]}\n  never fires on the {self.index.n_counted:,} tokens of the index"
        times = "1 time" if found.n_firings == 1 else f"{found.n_firings:,} times"
        lines += [
            f"  fires {times} on {self.index.n_counted:,} tokens: density {found.density:.3%}",
            f"  activation at most {found.max:.4g}, mean {found.mean:.4g}, standard deviation {found.std:.4g}",
            f"  most strongly on {self._spelled(found.top_token)}",
        ]
        return "\n".join(lines)

    def _spelled(self, token: int) -> str:
        return repr(self.index.text.bytes_of(token).decode("utf-8", "replace"))

    @neutrally
    def _repr_html_(self) -> str:
        """The card, for a notebook's cell; no file is written."""
        page = made_feature_page(
            self.index,
            features=[self.feature],
            parts=self.parts,
            layout=self.layout,
            settings=FeatureSettings(),
            compute=self.compute or ComputeSettings(),
            second=None,
        )
        return framed(render_page(page), title=page.meta.title)
