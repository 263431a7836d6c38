"""An index in memory."""

from __future__ import annotations

import hashlib
import io
import json
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa

from sae_vis.index.files import FileRecord
from sae_vis.index.parquet import GroupBounds, bounds_of
from sae_vis.index.storage import Arrays, Store


class MemoryStore(Store):
    """An index that lives as long as the process."""

    def __init__(self) -> None:
        self._held: dict[str, Any] = {}

    def exists(self, name: str) -> bool:
        return name in self._held

    def write_arrays(self, name: str, arrays: Arrays) -> None:
        self._held[name] = arrays

    def arrays(self, name: str) -> Arrays:
        return dict(self._held[name])

    def length(self, name: str, key: str) -> int:
        return len(self.arrays(name)[key])

    def write_table(self, name: str, table: pa.Table, *, group_rows: int | None = None) -> None:
        self._held[name] = table.combine_chunks()

    def table(self, name: str, columns: Sequence[str] | None = None) -> pa.Table:
        table = self._held[name]
        return table if columns is None else table.select(columns)

    def rows(self, record: FileRecord, start: int, stop: int, columns: Sequence[str]) -> pa.Table:
        return self.table(record.file, columns).slice(start, stop - start)

    def whole(self, record: FileRecord) -> pa.Table:
        return self.table(record.file)

    def column(self, record: FileRecord, name: str) -> pa.ChunkedArray:
        return self.table(record.file)[name]

    def bounds(self, record: FileRecord, column: str) -> GroupBounds:
        return bounds_of(self.table(record.file)[column].to_numpy())

    def column_names(self, record: FileRecord) -> list[str]:
        return list(self.table(record.file).column_names)

    def write_json(self, name: str, value: Mapping[str, Any]) -> None:
        self._held[name] = json.loads(json.dumps(value))

    def json(self, name: str) -> dict[str, Any]:
        return dict(self._held[name])

    def delete(self, prefix: str) -> None:
        for name in [n for n in self._held if n == prefix or n.startswith(prefix + "/")]:
            del self._held[name]

    def record(self, name: str) -> FileRecord:
        held = self._held[name]
        if isinstance(held, pa.Table):
            return FileRecord(file=name, bytes=held.nbytes, sha256=_table_digest(held))
        digest = hashlib.sha256()
        for key in sorted(held):
            digest.update(f"{key}{held[key].dtype.str}{held[key].shape}".encode())
            digest.update(np.ascontiguousarray(held[key]).data)
        size = sum(array.nbytes for array in held.values())
        return FileRecord(file=name, bytes=size, sha256=f"sha256:{digest.hexdigest()}")


def _table_digest(table: pa.Table) -> str:
    sink = io.BytesIO()
    with pa.ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table)
    return f"sha256:{hashlib.sha256(sink.getbuffer()).hexdigest()}"
