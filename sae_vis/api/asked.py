"""What is asked of a page, checked before any work is done for it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from sae_vis.checks import feature_ids, is_whole_number, require_a, whole_number
from sae_vis.deliver.output import output_file
from sae_vis.errors import ForeignIndexError, InputError
from sae_vis.index.index import Index
from sae_vis.index.manifest import PLACES_WRITTEN, written_place
from sae_vis.parts import ModelAndSae


def require_index(*indices: Index) -> None:
    """Raise `InputError` for what is no index."""
    for index in indices:
        require_a(Index, index, "index", "Index.open(path) opens one, index_features builds one")


def checked_file(path: str | Path, *indices: Index) -> Path:
    """The file of a page. Raises `InputError` for one that can't be written, and for what is no index."""
    require_index(*indices)
    return output_file(path)


def hooks_of(*indices: Index) -> str:
    """Where the dictionaries read, in words."""
    return " and ".join(dict.fromkeys(str(index.manifest.provenance.hook["name"]) for index in indices))


def asked_features(features: object) -> list[int] | int | None:
    """Feature ids, or how many features; None: all that fire."""
    if features is None or not is_whole_number(features):
        return None if features is None else feature_ids(features)
    number = whole_number(features, "features")
    if number < 1:
        raise InputError(f"asked for {number} features; give 1 or more, feature ids, or None for all that fire")
    return number


def selected_features(index: Index, features: Sequence[int] | int | None) -> tuple[list[int], str]:
    """Ids of the features of a page, and the rule that chose them, in words."""
    asked = asked_features(features)
    if not isinstance(asked, list):
        chosen = index.select(asked)
        n_firing = int((index.column("n_firings") > 0).sum())
        if len(chosen) == 0:
            raise InputError("no feature fires on any unmasked token of this corpus, so there is nothing to show")
        if len(chosen) == n_firing:
            return chosen.tolist(), f"all {n_firing:,} features that fire"
        return chosen.tolist(), f"{len(chosen)} of the {n_firing:,} features that fire, evenly spaced by number"
    return asked, f"{len(asked)} features, asked for by number"


def require_parts(index: Index, parts: ModelAndSae) -> None:
    """Raise `ForeignIndexError` where model and dictionary are not those of the index."""
    require_a(ModelAndSae, parts, "parts", "ModelAndSae(model=…, sae=…)")
    made = index.manifest.provenance
    found: dict[str, object] = {
        "model": parts.reader.fingerprint(),
        "SAE": parts.sae.fingerprint(),
        "hook point": parts.read.place,
    }
    written = [written_place(one) for one in parts.places_written]
    found |= {PLACES_WRITTEN: written} if written else {}
    expected = {name: made.identity.get(name) for name in [*found, PLACES_WRITTEN]}
    differing = [name for name in expected if found.get(name) != expected[name]]
    if differing:
        raise ForeignIndexError(
            f"the index was made with another {' and another '.join(differing)} than the one given now"
            f"{made.other_dtype(parts.reader.describe())}; "
            "give the same, or none (then tokens on the page have no logit effects)"
        )
