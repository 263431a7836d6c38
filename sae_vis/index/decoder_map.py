"""Nearest features and a flat map of decoder directions, kept beside an index.

Both are functions of the dictionary alone. Files are ``decoder/neighbours.safetensors``, of which a feature's part is
read, and ``decoder/map.safetensors``; the manifest does not list them, and deleting them loses nothing but time.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from sae_vis.errors import DamagedIndexError, InputError
from sae_vis.index.manifest import mark_of
from sae_vis.index.storage import Arrays
from sae_vis.saes.flat_map import FlatMap, Kept
from sae_vis.saes.neighbours import Neighbours

if TYPE_CHECKING:
    from sae_vis.index.opened import OpenedIndex

NEIGHBOURS, MAP = "decoder/neighbours.safetensors", "decoder/map.safetensors"
AGAIN = "sv.make_map(index, sae), or `sae-vis map INDEX --sae SAE`,"


class PlacedFeatures(NamedTuple):
    """A flat map of an index's features.

    Attributes:
        places: of each feature.
        kept: how much of true nearness it keeps.
    """

    places: FlatMap
    kept: Kept


def keep_neighbours(index: OpenedIndex, found: Neighbours) -> None:
    """Keep the nearest features of every feature of an ``index``."""
    index.keep(
        NEIGHBOURS,
        {"features": found.features.reshape(-1), "cosine": found.cosine.reshape(-1), "made_from": _mark(index, "near")},
    )


def keep_map(index: OpenedIndex, found: PlacedFeatures) -> None:
    """Keep a map of an ``index``'s features."""
    share, k, n = found.kept
    arrays: Arrays = {
        "x": found.places.x,
        "y": found.places.y,
        "kept_share": np.array([share], dtype=np.float64),
        "kept_of": np.array([k, n], dtype=np.int64),
        "made_from": _mark(index, "map"),
    }
    index.keep(MAP, arrays)


def kept_neighbours(index: OpenedIndex, first: int = 0, stop: int | None = None) -> Neighbours | None:
    """The nearest features of features ``first`` to ``stop`` (None: all from there); None where none are kept.

    Raises:
        DamagedIndexError: a file that can't be read; it may be deleted.
    """
    arrays = _kept(index, NEIGHBOURS, "near")
    if arrays is None:
        return None
    n, stop = index.n_features, index.n_features if stop is None else stop
    k, rest = divmod(len(arrays["features"]), n)
    if rest or len(arrays["cosine"]) != n * k:
        raise DamagedIndexError(_damaged(NEIGHBOURS))
    part = slice(first * k, stop * k)
    features, cosine = (np.asarray(arrays[name][part]).reshape(stop - first, k) for name in ("features", "cosine"))
    return Neighbours(features, cosine)


def kept_map(index: OpenedIndex) -> PlacedFeatures | None:
    """The map that is kept; None where there is none. Raises as `kept_neighbours` does."""
    arrays = _kept(index, MAP, "map")
    if arrays is None:
        return None
    x, y = (np.asarray(arrays[name][:]) for name in ("x", "y"))
    if not len(x) == len(y) == index.n_features:
        raise DamagedIndexError(_damaged(MAP))
    k, n = arrays["kept_of"].tolist()
    return PlacedFeatures(FlatMap(x, y), Kept(float(arrays["kept_share"][0]), k, n))


def neighbours_of(index: OpenedIndex, feature: int) -> Neighbours:
    """`kept_neighbours` of one feature, each ``[k]``. Raises `InputError` where none are kept."""
    found = kept_neighbours(index, feature, feature + 1)
    if found is None:
        raise InputError(f"no decoder neighbours are kept beside this index: {AGAIN} makes them")
    return Neighbours(found.features[0], found.cosine[0])


def required_map(index: OpenedIndex) -> PlacedFeatures:
    """`kept_map`; raises `InputError` where there is none."""
    found = kept_map(index)
    if found is None:
        raise InputError(f"no map is kept beside this index: {AGAIN} makes one")
    return found


def _kept(index: OpenedIndex, name: str, what: str) -> dict[str, Any] | None:
    """Arrays kept under a name; None where there are none, or those of another index."""
    try:
        arrays = index.kept(name)
    except DamagedIndexError as error:
        raise DamagedIndexError(_damaged(name)) from error
    made_from: NDArray[Any] | None = None if arrays is None else arrays.get("made_from")
    if arrays is None or made_from is None or not np.array_equal(made_from, _mark(index, what)):
        return None
    return arrays


def _damaged(name: str) -> str:
    return f"{name} of the index can't be read; delete it: {AGAIN} makes it again"


def _mark(index: OpenedIndex, what: str) -> NDArray[np.uint8]:
    return mark_of({**index.manifest.provenance.identity, "kept": f"decoder {what}", "version": 1})
