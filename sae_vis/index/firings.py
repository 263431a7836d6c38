"""Postings of an index, read: the rows of any features, wherever their files are."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from sae_vis.errors import DamagedIndexError
from sae_vis.index.manifest import PartRecord
from sae_vis.index.postings import Postings
from sae_vis.index.shards import offsets_of
from sae_vis.index.storage import Store

I64 = NDArray[np.int64]
COLUMNS = ("position", "act")
SEARCHED = 1 << 16  # firings read at once where a position is looked for among more of them: those of a row group


class Firings(NamedTuple):
    """All firings of one feature: corpus positions (ascending) and activations there."""

    positions: NDArray[Any]
    acts: NDArray[np.float32]


class FiringFiles:
    """The files of postings. Where a feature's rows begin follows from the firings of those before it.

    Args:
        store: of the index.
        parts: its files, by ascending feature.
        counts: int64 ``[n_features]`` firings of each feature.

    Raises:
        DamagedIndexError: the files are not of these features.
    """

    def __init__(self, store: Store, parts: Sequence[PartRecord], counts: I64) -> None:
        self._store, self._parts = store, parts
        self._first = np.array([part.first_feature for part in parts], dtype=np.int64)
        self._offsets = offsets_of(counts)
        ends = np.append(self._first, len(counts))
        if np.diff(self._offsets[ends]).tolist() != [part.n_firings for part in parts]:
            raise DamagedIndexError(
                "manifest.json and features.parquet of the index name different numbers of firings; build it again"
            )

    def of(self, feature: int, first: int = 0, stop: int | None = None) -> Firings:
        """Firings of one feature: all, or those from number ``first`` to ``stop``."""
        begin, end = int(self._offsets[feature]), int(self._offsets[feature + 1])
        return self._rows(feature, min(begin + first, end), end if stop is None else min(begin + stop, end))

    def before(self, feature: int, position: int) -> int:
        """How many firings of a feature are before a corpus position; of many, only some row groups are read."""
        low, high = 0, int(self._offsets[feature + 1] - self._offsets[feature])
        while high - low > SEARCHED:
            middle = (low + high) // 2
            if int(self.of(feature, middle, middle + 1).positions[0]) < position:
                low = middle + 1
            else:
                high = middle
        return low + int(np.searchsorted(self.of(feature, low, high).positions.astype(np.int64), position))

    def of_many(self, features: Sequence[int]) -> Postings:
        """All firings of several features, end to end in the order asked for; neighbours are read together."""
        wanted = np.asarray(features, dtype=np.int64)
        if len(wanted) == 0:
            return Postings(np.zeros(1, dtype=np.int64), np.zeros(0, dtype=np.int32), np.zeros(0, dtype=np.float32))
        part = np.searchsorted(self._first, wanted, side="right")
        cuts = np.flatnonzero((np.diff(wanted) != 1) | (np.diff(part) != 0)) + 1
        runs = [self._run(int(run[0]), int(run[-1]) + 1) for run in np.split(wanted, cuts)]
        joined = runs[0] if len(runs) == 1 else Firings(*(np.concatenate(column) for column in zip(*runs, strict=True)))
        return Postings(offsets_of(self._offsets[wanted + 1] - self._offsets[wanted]), *joined)

    def _run(self, first: int, stop: int) -> Firings:
        """Of consecutive features of one file."""
        return self._rows(first, int(self._offsets[first]), int(self._offsets[stop]))

    def _rows(self, feature: int, low: int, high: int) -> Firings:
        """Those from ``low`` to ``high`` of all firings of all features, in the file of one of these features."""
        part = self._parts[int(np.searchsorted(self._first, feature, side="right")) - 1]
        begin = int(self._offsets[part.first_feature])
        table = self._store.rows(part.file, low - begin, high - begin, COLUMNS)
        return Firings(*(table[name].to_numpy() for name in COLUMNS))
