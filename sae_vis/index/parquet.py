"""Tables in Parquet files: how they are written, and rows read by number, a row group at a time."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from sae_vis.errors import DamagedIndexError
from sae_vis.index.files import MEND, FileRecord

I64 = NDArray[np.int64]
HELD_BYTES = 1 << 26
"""Decoded row groups that are kept."""
HELD_FILES = 256
"""Files that are kept open: all of an index of some million features."""


class GroupBounds(NamedTuple):
    """The row groups of a table, by a column that ascends.

    Attributes:
        rows: int64 ``[n_groups + 1]`` where each starts, and the end.
        low: int64 ``[n_groups]`` the column's first value in each.
        high: int64 ``[n_groups]`` its last.
    """

    rows: I64
    low: I64
    high: I64

    def span(self, start: int, stop: int) -> tuple[int, int]:
        """Rows of the groups that may hold values from ``start`` up to ``stop``, without it."""
        first = int(np.searchsorted(self.high, start, side="left"))
        last = int(np.searchsorted(self.low, stop, side="left"))
        return int(self.rows[first]), int(self.rows[max(first, last)])


def write_parquet(table: pa.Table, path: Path, group_rows: int | None = None) -> None:
    """Write a table: whole numbers as differences, floats byte by byte, then zstd; pages with checksums.

    Nothing is lost: DELTA_BINARY_PACKED and BYTE_STREAM_SPLIT are encodings of the Parquet format
    (https://parquet.apache.org/docs/file-format/data-pages/encodings/).
    """
    encodings, words = {}, []
    for name, leaf in _leaves(table.schema):
        if pa.types.is_floating(leaf):
            encodings[name] = "BYTE_STREAM_SPLIT"
        elif pa.types.is_integer(leaf):
            encodings[name] = "DELTA_BINARY_PACKED"
        else:
            words.append(name)
    pq.write_table(
        table,
        path,
        row_group_size=group_rows,
        compression="zstd",
        column_encoding=encodings or None,
        use_dictionary=words or False,
        write_page_checksum=True,
    )


def read_parquet(source: Any, columns: Sequence[str] | None, where: object) -> pa.Table:  # noqa: ANN401  what Arrow reads
    """A table, or some of its columns, each page compared with its checksum. Raises `DamagedIndexError`."""
    with reading(where):
        file = pq.ParquetFile(source, page_checksum_verification=True)
        return file.read(columns if columns is None else list(columns))


def _leaves(schema: pa.Schema) -> Iterator[tuple[str, pa.DataType]]:
    """Columns as Parquet has them: of a list its elements."""
    for field in schema:
        nested = pa.types.is_list(field.type)
        yield (f"{field.name}.list.element", field.type.value_type) if nested else (field.name, field.type)


@dataclass(frozen=True)
class OpenTable:
    """A Parquet file, opened.

    Attributes:
        file: its reader.
        rows: int64 ``[n_groups + 1]`` where each row group starts, and the end.
        where: its place, for messages.
        fetch: called with the byte ranges that are about to be read.
    """

    file: pq.ParquetFile
    rows: I64
    where: str
    fetch: Callable[[list[tuple[int, int]]], None] | None = None

    def group_of(self, row: int) -> int:
        """The row group that holds a row."""
        return int(np.searchsorted(self.rows, row, side="right")) - 1

    def byte_ranges(self, groups: Sequence[int], columns: Sequence[str]) -> list[tuple[int, int]]:
        """From the first to the last byte of the columns in each of some row groups."""
        wanted, found = set(columns), []
        for group in groups:
            facts = self.file.metadata.row_group(group)
            chunks = [facts.column(number) for number in range(facts.num_columns)]
            spans = [_chunk_span(one) for one in chunks if one.path_in_schema.split(".")[0] in wanted]
            found.append((min(start for start, _ in spans), max(stop for _, stop in spans)))
        return found


def opened(
    source: Any,  # noqa: ANN401  what Arrow reads
    where: str,
    fetch: Callable[[list[tuple[int, int]]], None] | None = None,
) -> OpenTable:
    """Open a Parquet file, mapped where it is one on disk. Raises `DamagedIndexError`."""
    with reading(where):
        file = pq.ParquetFile(source, memory_map=fetch is None, page_checksum_verification=True)
    facts = file.metadata
    counts = [facts.row_group(number).num_rows for number in range(facts.num_row_groups)]
    return OpenTable(file, np.concatenate([[0], np.cumsum(counts, dtype=np.int64)]), where, fetch)


def _chunk_span(chunk: Any) -> tuple[int, int]:  # noqa: ANN401  pyarrow's type has no public name
    start = chunk.data_page_offset
    if chunk.dictionary_page_offset is not None:
        start = min(start, chunk.dictionary_page_offset)
    return start, start + chunk.total_compressed_size


class TableReader:
    """Rows of Parquet files by number. Row groups that were decoded last are kept.

    Args:
        open_table: opens the file of a record.
        held_bytes: of decoded row groups that are kept.
    """

    def __init__(self, open_table: Callable[[FileRecord], OpenTable], held_bytes: int = HELD_BYTES) -> None:
        self._open_table, self._held_bytes = open_table, held_bytes
        self._files: OrderedDict[str, OpenTable] = OrderedDict()
        self._groups: OrderedDict[tuple[str, int, tuple[str, ...]], pa.Table] = OrderedDict()
        self._bytes = 0
        self._lock = threading.RLock()

    def rows(self, record: FileRecord, start: int, stop: int, columns: Sequence[str]) -> pa.Table:
        """Rows ``start`` to ``stop`` of the table's ``columns``. Raises `DamagedIndexError`."""
        with self._lock:
            table = self._file(record)
            if start >= stop:
                return table.file.schema_arrow.empty_table().select(columns)
            first, last = table.group_of(start), table.group_of(stop - 1)
            groups = self._decoded(record.file, table, range(first, last + 1), tuple(columns))
        return pa.concat_tables(groups).slice(start - int(table.rows[first]), stop - start)

    def column(self, record: FileRecord, name: str) -> pa.ChunkedArray:
        """One column of all rows; nothing is kept. Raises `DamagedIndexError`."""
        with self._lock:
            table = self._file(record)
            groups = range(len(table.rows) - 1)
            if table.fetch is not None:
                table.fetch(table.byte_ranges(groups, (name,)))
            if not groups:
                return table.file.schema_arrow.empty_table()[name]
            with reading(table.where):
                return table.file.read_row_groups(groups, columns=[name], use_threads=False)[name]

    def whole(self, record: FileRecord) -> pa.Table:
        """All columns of all rows; nothing is kept. Raises `DamagedIndexError`."""
        with self._lock:
            table = self._file(record)
            with reading(table.where):
                return table.file.read()

    def bounds(self, record: FileRecord, column: str) -> GroupBounds:
        """By an ascending column. Raises `DamagedIndexError`."""
        with self._lock:
            table = self._file(record)
            place = table.file.schema_arrow.get_field_index(column)
            facts = [table.file.metadata.row_group(g).column(place).statistics for g in range(len(table.rows) - 1)]
        low, high = ([getattr(one, name) for one in facts] for name in ("min", "max"))
        return GroupBounds(table.rows, np.array(low, dtype=np.int64), np.array(high, dtype=np.int64))

    def names(self, record: FileRecord) -> list[str]:
        """Of the table's columns."""
        with self._lock:
            return list(self._file(record).file.schema_arrow.names)

    def _file(self, record: FileRecord) -> OpenTable:
        if record.file not in self._files:
            self._files[record.file] = self._open_table(record)
            if len(self._files) > HELD_FILES:
                self._files.popitem(last=False)
        self._files.move_to_end(record.file)
        return self._files[record.file]

    def _decoded(self, name: str, table: OpenTable, groups: range, columns: tuple[str, ...]) -> list[pa.Table]:
        lacking = [group for group in groups if (name, group, columns) not in self._groups]
        if lacking and table.fetch is not None:
            table.fetch(table.byte_ranges(lacking, columns))
        fresh = {group: _read(table, group, columns) for group in lacking}
        found = [fresh[group] if group in fresh else self._groups[name, group, columns] for group in groups]
        for group, read in zip(groups, found, strict=True):
            self._keep((name, group, columns), read)
        return found

    def _keep(self, key: tuple[str, int, tuple[str, ...]], read: pa.Table) -> None:
        if key not in self._groups:
            self._groups[key] = read
            self._bytes += read.nbytes
        self._groups.move_to_end(key)
        while self._bytes > self._held_bytes and len(self._groups) > 1:
            self._bytes -= self._groups.popitem(last=False)[1].nbytes


def _read(table: OpenTable, group: int, columns: tuple[str, ...]) -> pa.Table:
    with reading(table.where):
        return table.file.read_row_group(group, columns=list(columns), use_threads=False).combine_chunks()


@contextmanager
def reading(where: object) -> Iterator[None]:
    """Raise `DamagedIndexError`, naming the file, where Arrow can't read it."""
    try:
        yield
    except (pa.ArrowException, OSError) as error:
        raise DamagedIndexError(f"{where} can't be read ({error}); {MEND}") from error


def bounds_of(values: NDArray[Any]) -> GroupBounds:
    """Of a table in memory: one group."""
    n = len(values)
    none = np.zeros(0, dtype=np.int64)
    if n == 0:
        return GroupBounds(np.zeros(1, dtype=np.int64), none, none)
    return GroupBounds(np.array([0, n]), values[:1].astype(np.int64), values[-1:].astype(np.int64))
