"""A map of a dictionary's features by their decoder directions."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from sae_vis.contract.annotations import I32, Array


@dataclass(frozen=True, kw_only=True)
class DecoderMap:
    """Where every feature of the dictionary lies on a flat map; features near each other mostly write alike.

    Attributes:
        x: from 1 to 65,535, the same step on both axes; 0 for a feature without a place, whose decoder direction has
            length 0.
        y: upwards, likewise.
        kept: share of the ``k`` nearest features by decoder cosine that are among the ``k`` nearest on the map.
        k: how many nearest.
        looked_at: features that the share was measured on, evenly spaced; all that have a place, or as many.
    """

    x: Annotated[I32, Array("n_features")]
    y: Annotated[I32, Array("n_features")]
    kept: float
    k: int
    looked_at: int
