"""The feature table of an index, read: a column of all features, or all lists of one."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from sae_vis.errors import InputError
from sae_vis.index.files import FileRecord
from sae_vis.index.manifest import Manifest
from sae_vis.index.storage import Store

NEAR = 256
"""Features so near each other are read in one piece: about a row group."""


WIDE = 1 << 16
"""From so many features on a list column is read by itself: with all others it would not stay in memory."""


class FeatureFiles:
    """``features.parquet``, one number a column, and the files of ``lists``.

    Args:
        store: of the index.
        manifest: of the index.
    """

    def __init__(self, store: Store, manifest: Manifest) -> None:
        self._store, self._record, self._lists = store, manifest.features, manifest.lists
        self._list_columns = manifest.list_columns
        self._first = np.array([one.first_feature for one in manifest.lists], dtype=np.int64)
        self._columns: dict[str, NDArray[Any]] = {}
        self._names: list[str] | None = None
        self._last: tuple[FileRecord, tuple[int, int], pa.Table] | None = None

    @property
    def names(self) -> list[str]:
        """Of all columns, those of lists last."""
        return [*self._narrow, *self._list_columns]

    def whole(self) -> pa.Table:
        """All columns of all features."""
        table = self._store.whole(self._record)
        if self._list_columns:
            lists = pa.concat_tables([self._store.whole(one.file) for one in self._lists])
            for name in self._list_columns:
                table = table.append_column(name, lists[name])
        return table

    def column(self, name: str) -> NDArray[Any]:
        """A column of numbers ``[n_features]``."""
        if name not in self._columns:
            if name not in self._narrow:
                raise InputError(
                    f"the feature table has no column of numbers {name!r}; there are {_told(self._narrow)}"
                )
            self._columns[name] = self._store.column(self._record, name).to_numpy()
        return self._columns[name]

    def lists(self, name: str, first: int, stop: int) -> pa.ListArray:
        """The lists of consecutive features in one column; of fewer than `WIDE` all list columns are read at once."""
        if name not in self._list_columns:
            raise InputError(
                f"the feature table has no column of lists {name!r}; there are {_told(self._list_columns)}"
            )
        found: list[pa.Array] = []
        wide = stop - first >= WIDE
        while first < stop:
            one = self._lists[int(np.searchsorted(self._first, first, side="right")) - 1]
            end = min(stop, one.first_feature + one.n_features)
            span = first - one.first_feature, end - one.first_feature
            if wide and span == (0, one.n_features):
                found += self._store.column(one.file, name).chunks
            else:
                found += self._piece(one.file, span)[name].chunks
            first = end
        return found[0] if len(found) == 1 else pa.concat_arrays(found)

    def list_rows(self, name: str, features: NDArray[np.int64]) -> pa.ListArray:
        """The lists of any features, in their order; those near each other are read together."""
        if len(features) == 0:
            return self.lists(name, 0, 1).slice(0, 0)
        if len(features) == 1:
            return self.lists(name, int(features[0]), int(features[0]) + 1)
        order = np.argsort(features, kind="stable")
        ascending = features[order]
        runs = np.split(ascending, np.flatnonzero(np.diff(ascending) > NEAR) + 1)
        found = [self.lists(name, int(run[0]), int(run[-1]) + 1).take(run - run[0]) for run in runs]
        return pa.concat_arrays(found).take(np.argsort(order, kind="stable"))

    def _piece(self, file: FileRecord, span: tuple[int, int]) -> pa.Table:
        """All list columns of some rows of a file; the last ones are kept, since a card wants many columns of them."""
        last = self._last  # another thread may put its own there in between
        if last is None or last[:2] != (file, span):
            last = self._last = file, span, self._store.rows(file, *span, self._list_columns)
        return last[2]

    @property
    def _narrow(self) -> list[str]:
        if self._names is None:
            self._names = self._store.column_names(self._record)
        return self._names


def _told(names: Sequence[str]) -> str:
    return ", ".join(names) or "none"
