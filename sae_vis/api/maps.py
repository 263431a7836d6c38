"""Nearest features and a map of decoder directions, made once and kept beside an index."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from typing import TypeVar

from sae_vis.checks import require_a, whole_number
from sae_vis.errors import DamagedIndexError, ForeignIndexError
from sae_vis.index.decoder_map import (
    PlacedFeatures,
    keep_map,
    keep_neighbours,
    kept_map,
    kept_neighbours,
)
from sae_vis.index.index import Index
from sae_vis.neutral import neutrally
from sae_vis.saes.base import Dictionary
from sae_vis.saes.flat_map import flat_map, kept_share
from sae_vis.saes.formats import as_dictionary
from sae_vis.saes.neighbours import NEIGHBOURS, Progress, all_neighbours

T = TypeVar("T")


@neutrally
def make_map(
    index: Index, sae: object, *, neighbours: int = NEIGHBOURS, progress: Progress | None = None
) -> PlacedFeatures:
    """Find the nearest features of every feature by decoder direction, and lay all features out on a flat map.

    Both are kept beside the index (``decoder/``), each written whole; what is there already is not made again, and a
    file that is damaged or of another index is. Then `Index.neighbours` gives a feature's nearest, and the explorer
    shows the map. Where nothing can be written beside the index, they are kept as long as it is open.

    Args:
        index: the index.
        sae: its dictionary, as `load_dictionary` gives it, or what that takes.
        neighbours: how many nearest features are kept of each.
        progress: called with stage, done, total.

    Returns:
        Places of the features, float32, NaN where the decoder direction has length 0, and the share of true neighbours
        that the map keeps.

    Raises:
        InputError: no index, no dictionary.
        ForeignIndexError: ``sae`` is not the dictionary of the index.
    """
    require_a(Index, index, "index", 'Index.open("my-index")')
    k = min(whole_number(neighbours, "neighbours", 1), index.n_features - 1)
    dictionary = as_dictionary(sae)
    _require_own(index, dictionary)
    near = _whole(lambda: kept_neighbours(index))
    if near is None or near.features.shape[1] < k:
        near = all_neighbours(dictionary, k, progress=progress)
        keep_neighbours(index, near)
    found = _whole(lambda: kept_map(index))
    if found is None:
        places = flat_map(dictionary, near.features, progress=progress)
        found = PlacedFeatures(places, kept_share(places, near.features))
        keep_map(index, found)
    return found


def _whole(kept: Callable[[], T | None]) -> T | None:
    """What is kept; None where its file is damaged."""
    with suppress(DamagedIndexError):
        return kept()
    return None


def _require_own(index: Index, sae: Dictionary) -> None:
    if sae.fingerprint() != index.manifest.provenance.identity["SAE"]:
        raise ForeignIndexError("the index was made with another SAE than the one given now: give the index's SAE")
