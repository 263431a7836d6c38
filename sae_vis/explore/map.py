"""The map of decoder directions as a page has it."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from sae_vis.contract import DecoderMap
from sae_vis.index.decoder_map import required_map
from sae_vis.index.index import Index

LARGEST = 65535


def decoder_map(index: Index) -> DecoderMap:
    """The map kept beside an index, its places rounded to 65,535 steps of the longer side.

    Raises:
        InputError: there is none.
        DamagedIndexError: a file that can't be read; it may be deleted.
    """
    places, (share, k, looked_at) = required_map(index)
    axes = [places.x.astype(np.float64), places.y.astype(np.float64)]
    there = ~np.isnan(axes[0])
    low = [values[there].min(initial=np.inf) for values in axes]
    span = max(float(values[there].max(initial=-np.inf)) - least for values, least in zip(axes, low, strict=True))
    x, y = (_steps(values, least, span or 1.0, there) for values, least in zip(axes, low, strict=True))
    return DecoderMap(x=x, y=y, kept=share if k else 0.0, k=k, looked_at=looked_at)


def _steps(values: NDArray[np.float64], low: float, span: float, there: NDArray[np.bool_]) -> NDArray[np.int32]:
    found = np.zeros(len(values), dtype=np.int32)
    found[there] = 1 + np.rint((values[there] - low) / span * (LARGEST - 1))
    return found
