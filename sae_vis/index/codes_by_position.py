"""Codes of an index by corpus position: which features fire on a token, without the model."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from sae_vis.errors import InputError
from sae_vis.index.manifest import CodesRecord
from sae_vis.index.shards import RunCodes, offsets_of
from sae_vis.index.storage import Store

COLUMNS = ("position", "feature", "act")


class TokenCodes(NamedTuple):
    """Codes of n tokens, token by token.

    Attributes:
        offsets: int64 ``[n + 1]``: token ``i`` owns entries ``offsets[i]:offsets[i + 1]``.
        features: int32, ascending within a token.
        acts: float32.
    """

    offsets: NDArray[np.int64]
    features: NDArray[np.int32]
    acts: NDArray[np.float32]


def codes_table(codes: RunCodes, n_tokens: int) -> pa.Table:
    """Codes as rows ``position, feature, act``; positions are int32 where that is enough for ``n_tokens``."""
    every = np.repeat(codes.positions, np.diff(codes.offsets)).astype(position_type(n_tokens))
    return pa.table({"position": every, "feature": codes.features, "act": codes.acts})


def position_type(n_tokens: int) -> type[np.int32] | type[np.int64]:
    """Of the corpus positions of ``n_tokens`` tokens."""
    return np.int32 if n_tokens <= np.iinfo(np.int32).max else np.int64


class CodeFiles:
    """The files of codes by position.

    Args:
        store: of the index.
        files: ascending, each of the positions from its first to the next one's.
    """

    def __init__(self, store: Store, files: Sequence[CodesRecord]) -> None:
        self._store, self._files = store, files
        self._first = np.array([one.first_position for one in files], dtype=np.int64)

    def between(self, start: int, stop: int) -> TokenCodes:
        """Of corpus positions ``start`` to ``stop``; a masked token has none.

        Raises:
            InputError: the index was built without codes.
            DamagedIndexError: a file that can't be read.
        """
        if not self._files:
            raise InputError(
                "the index has no codes by position: build it with IndexConfig(codes=True), which is the default"
            )
        first = max(int(np.searchsorted(self._first, start, side="right")) - 1, 0)
        last = max(int(np.searchsorted(self._first, stop, side="left")), first + 1)
        tables = [self._rows(one, start, stop) for one in self._files[first:last] if one.n_firings]
        if not tables:
            return TokenCodes(np.zeros(stop - start + 1, np.int64), np.zeros(0, np.int32), np.zeros(0, np.float32))
        table = pa.concat_tables(tables)
        positions, features, acts = (table[name].to_numpy() for name in COLUMNS)
        counts = np.bincount(positions.astype(np.int64) - start, minlength=stop - start)
        return TokenCodes(offsets_of(counts), features, acts)

    def _rows(self, one: CodesRecord, start: int, stop: int) -> pa.Table:
        span = self._store.bounds(one.file, "position").span(start, stop)
        table = self._store.rows(one.file, *span, COLUMNS)
        positions = table["position"].to_numpy()
        low, high = np.searchsorted(positions, np.array([start, stop], dtype=positions.dtype))
        return table.slice(int(low), int(high - low))
