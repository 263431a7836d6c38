"""Features that another dictionary has in several pieces.

A feature of one dictionary is **split** in another where at least two features of that one are parts of it and
together cover it. A *part* fires together with it on at least `PART_OF` of the part's own firings and on at least
`LEAST_SHARE` of the feature's. Parts are chosen one by one, each time the one that covers most of what is not covered
yet (of equal ones the first by number), as long as it adds `LEAST_SHARE` of the feature's firings; the chosen must
cover `LEAST_COVERED` of them. Features of A that are split in B are splits; features of B that are split in A are
merges: B has one for several of A.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from sae_vis.index.between import LEAST_SHARE, PART_OF, Between, Overlaps
from sae_vis.index.index import Index

LEAST_COVERED = 0.5
"""Share of a feature's firings that its parts cover together, at least."""


class Part(NamedTuple):
    """A part of a split feature.

    Attributes:
        feature: its number in the other dictionary.
        covers: share of the split feature's firings on which it fires.
        within: share of its own firings on which the split feature fires.
    """

    feature: int
    covers: float
    within: float


class Split(NamedTuple):
    """A feature that the other dictionary has in several pieces.

    Attributes:
        feature: its number.
        covered: share of its firings on which at least one of the parts fires.
        parts: in the order in which they were chosen; the first covers most.
    """

    feature: int
    covered: float
    parts: tuple[Part, ...]


def splits(a: Index, b: Index, found: Between) -> list[Split]:
    """Features of A of which B has several parts, by descending share that the parts add to the largest one's.

    Args:
        a: an index.
        b: another over the same tokens.
        found: how their features go together (`between`).

    Returns:
        The splits, in this order.
    """
    return _splits(a, b, found.overlaps)


def merges(a: Index, b: Index, found: Between) -> list[Split]:
    """Features of B of which A has several parts: splits, with A and B in each other's place.

    Args:
        a: an index.
        b: another over the same tokens.
        found: how their features go together (`between`).

    Returns:
        The merges, in the order of `splits`.
    """
    overlaps = found.overlaps
    order = np.lexsort((overlaps.a, overlaps.b))
    return _splits(b, a, Overlaps(overlaps.b[order], overlaps.a[order], overlaps.together[order]))


def _splits(whole: Index, pieces: Index, overlaps: Overlaps) -> list[Split]:
    own, others = whole.column("n_firings")[overlaps.a], pieces.column("n_firings")[overlaps.b]
    is_part = (overlaps.together >= PART_OF * others) & (overlaps.together >= LEAST_SHARE * own)
    feature, part = overlaps.a[is_part], overlaps.b[is_part]
    covers = overlaps.together[is_part] / own[is_part]
    edges = np.flatnonzero(np.diff(feature, prepend=-1, append=-1))
    found = []
    for low, high in zip(edges[:-1].tolist(), edges[1:].tolist(), strict=True):
        if high - low < 2 or covers[low:high].sum() < LEAST_COVERED:  # no union is larger than the sum
            continue
        split = _split(whole, pieces, int(feature[low]), part[low:high])
        if len(split.parts) > 1 and split.covered >= LEAST_COVERED:
            found.append(split)
    return sorted(found, key=lambda split: (split.parts[0].covers - split.covered, split.feature))


def _split(whole: Index, pieces: Index, feature: int, candidates: NDArray[np.int32]) -> Split:
    """The parts of one feature, chosen one by one."""
    positions = whole.firings(feature).positions
    hits = {
        int(part): np.isin(positions, pieces.firings(int(part)).positions, assume_unique=True) for part in candidates
    }
    counts = pieces.column("n_firings")
    open_, parts = np.ones(len(positions), dtype=bool), []
    while hits:
        gains = {part: int((hit & open_).sum()) for part, hit in hits.items()}
        best = min(gains, key=lambda part: (-gains[part], part))
        if gains[best] < LEAST_SHARE * len(positions):
            break
        hit = hits.pop(best)
        open_ &= ~hit
        n = int(hit.sum())
        parts.append(Part(best, n / len(positions), n / int(counts[best])))
    return Split(feature, 1.0 - float(open_.mean()), tuple(parts))
