"""Rows of a list of features."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from sae_vis.contract.annotations import F32, I32, Array


@dataclass(frozen=True, kw_only=True)
class FeatureSummary:
    """One row of the picker; columns over the page's features, all of the same length.

    Attributes:
        feature: ids.
        density: share of unmasked tokens on which it fires.
        max: largest activation; of a signed dictionary the one of largest size, with its sign.
        top_token: id of the token with that activation (-1 for a dead feature).
    """

    feature: Annotated[I32, Array("n_features", "delta")]
    density: Annotated[F32, Array("n_features")]
    max: Annotated[F32, Array("n_features", unit="activation")]
    top_token: Annotated[I32, Array("n_features", "token")]
    share: Annotated[F32, Array("n_features")] | None = None
