"""An index read from an address: object stores, the Hugging Face hub, web servers. Only what is needed is fetched.

Whatever fsspec knows is an address (https://filesystem-spec.readthedocs.io): ``https://…``, ``s3://…``,
``hf://datasets/USER/NAME``. A Parquet file costs one request for its end, which says where everything in it is, and one
for each row group; of tokens and mask blocks are fetched as they are asked for.
"""

from __future__ import annotations

import io
import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NoReturn, TypeVar, cast

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from sae_vis.errors import DamagedIndexError, IndexFileError, InputError
from sae_vis.index.files import FileRecord, digest_of
from sae_vis.index.parquet import OpenTable, TableReader, opened, read_parquet
from sae_vis.index.storage import Arrays, FileStore, json_object

Ranges = list[tuple[int, int]]
_T = TypeVar("_T")
TAIL_BYTES = 1 << 16
"""What Arrow reads of the end of a Parquet file at least."""
WHOLE_BYTES = 1 << 20
"""Arrays up to this size are fetched whole."""
BLOCK = 1 << 14
"""Elements of an array that are fetched together."""
_DTYPES = {"U8": np.uint8, "I16": np.int16, "I32": np.int32, "I64": np.int64, "F32": np.float32, "F64": np.float64}
_PACKAGES = {
    **dict.fromkeys(("http", "https"), "aiohttp"),
    **dict.fromkeys(("s3", "s3a"), "s3fs"),
    **dict.fromkeys(("gs", "gcs"), "gcsfs"),
    **dict.fromkeys(("abfs", "abfss", "az"), "adlfs"),
    "oci": "ocifs",
    "oss": "ossfs",
    "tos": "tosfs",
}


def is_address(path: object) -> bool:
    """Whether ``path`` names a place that fsspec reads, rather than a directory."""
    return isinstance(path, str) and "://" in path


def below(place: str | Path, name: str) -> str | Path:
    """What lies below a directory, or below the address of one."""
    return f"{str(place).rstrip('/')}/{name}" if is_address(place) else Path(place) / name


def protocol_of(address: str) -> str:
    """How the file system of an address is called."""
    return address.split("://", maxsplit=1)[0].rsplit("::", maxsplit=1)[-1]


def file_system(address: str, **options: Any) -> tuple[Any, str]:  # noqa: ANN401  whatever it takes
    """The file system of an address, and the path in it. Raises `InputError` where a package for it is missing."""
    import fsspec

    try:
        system, path = fsspec.url_to_fs(address, **options)  # type: ignore[no-untyped-call]
    except ImportError as error:
        protocol = protocol_of(address)
        package = _PACKAGES.get(protocol)
        remedy = f"pip install {package}" if package else str(error)
        raise InputError(f"{address} can't be read: reading {protocol}:// needs another package: {remedy}") from error
    except ValueError as error:
        raise InputError(
            f"{address} is not an address that can be read ({error}); expected https://, s3:// or hf://"
        ) from error
    return system, str(path).rstrip("/")


class RemoteStore(FileStore):
    """An index at an address. Nothing is written there.

    Args:
        address: of the index's directory.
        options: of its file system.
    """

    def __init__(self, address: str, **options: Any) -> None:  # noqa: ANN401  whatever it takes
        self.address = address.rstrip("/")
        self._system, self._root = file_system(self.address, **options)
        self._tables = TableReader(self._open_table)

    def exists(self, name: str) -> bool:
        return bool(self._ask(name, lambda: self._system.exists(self._path(name))))

    def arrays(self, name: str) -> Arrays:
        header, base = self._header(name)
        small = {key: facts for key, facts in header.items() if _size(facts) <= WHOLE_BYTES}
        spans = [(base + begin, base + end) for begin, end in (facts["data_offsets"] for facts in small.values())]
        parts = self._fetch(name, spans)
        found: Arrays = {
            key: np.frombuffer(part, _DTYPES[facts["dtype"]]).reshape(facts["shape"])
            for (key, facts), part in zip(small.items(), parts, strict=True)
        }
        for key, facts in header.items():
            if key not in small:
                found[key] = cast("NDArray[Any]", RemoteArray(self._fetcher(name), base, facts))
        return found

    def length(self, name: str, key: str) -> int:
        return int(self._header(name)[0][key]["shape"][0])

    def _header(self, name: str) -> tuple[dict[str, Any], int]:
        """What a safetensors file says of its arrays, and the byte at which these begin."""
        start = self._fetch(name, [(0, TAIL_BYTES)], exact=False)[0]
        base = 8 + int.from_bytes(start[:8], "little")
        header = json.loads(start[8:base] if base <= len(start) else self._fetch(name, [(8, base)])[0])
        header.pop("__metadata__", None)
        return header, base

    def table(self, name: str, columns: Sequence[str] | None = None) -> pa.Table:
        return read_parquet(pa.BufferReader(self._whole(name)), columns, self._place(name))

    def whole(self, record: FileRecord) -> pa.Table:
        return read_parquet(pa.BufferReader(self._checked(record)), None, self._place(record.file))

    def json(self, name: str) -> dict[str, Any]:
        return json_object(self._whole(name), self._place(name))

    def check(self, record: FileRecord, *, contents: bool) -> None:
        """Raise `DamagedIndexError`, naming the file, unless it has the recorded size (and, if asked, contents)."""
        if not contents:
            size = self._ask(record.file, lambda: self._system.size(self._path(record.file)))
            record.check_size(size, self._place(record.file))
        else:
            self._checked(record)

    def _checked(self, record: FileRecord) -> bytes:
        """All of a file."""
        data = self._whole(record.file)
        if digest_of(data) != record.sha256:
            raise DamagedIndexError(f"{self._place(record.file)} does not match its checksum in the manifest")
        return data

    def record(self, name: str) -> FileRecord:
        data = self._whole(name)
        return FileRecord(file=name, bytes=len(data), sha256=digest_of(data))

    def write_arrays(self, name: str, arrays: Arrays) -> None:
        self._refuse_writing(name)

    def write_table(self, name: str, table: pa.Table, *, group_rows: int | None = None) -> None:
        self._refuse_writing(name)

    def write_json(self, name: str, value: Mapping[str, Any]) -> None:
        self._refuse_writing(name)

    def delete(self, prefix: str) -> None:
        self._refuse_writing(prefix)

    def _open_table(self, record: FileRecord) -> OpenTable:
        tail = max(TAIL_BYTES, record.footer.bytes if record.footer else 0)
        file = RangedFile(self._fetcher(record.file), record.bytes)
        end = file.fetch_end(min(tail, record.bytes))
        if record.footer is not None:
            record.check_footer(end[-record.footer.bytes :], self._place(record.file))
        return opened(file, self._place(record.file), file.fetch)

    def _fetcher(self, name: str) -> Callable[[Ranges], list[bytes]]:
        return lambda ranges: self._fetch(name, ranges)

    def _fetch(self, name: str, ranges: Ranges, *, exact: bool = True) -> list[bytes]:
        """Byte ranges of a file, all asked for at once."""
        wanted = [span for span in ranges if span[1] > span[0]]
        paths, starts = [self._path(name)] * len(wanted), [start for start, _ in wanted]
        stops = [stop for _, stop in wanted]
        parts = self._ask(name, lambda: self._system.cat_ranges(paths, starts, stops, on_error="raise"))
        for (start, stop), part in zip(wanted, parts, strict=True):
            if len(part) > stop - start or (exact and len(part) != stop - start):
                raise IndexFileError(
                    f"{self._place(name)}: asked for bytes {start:,} to {stop:,}, got {len(part):,} bytes: the file is "
                    "cut short, or the server does not answer range requests; put the index where they are answered, "
                    "or download it"
                )
        by_span = dict(zip(wanted, parts, strict=True))
        return [by_span.get(span, b"") for span in ranges]

    def _whole(self, name: str) -> bytes:
        return bytes(self._ask(name, lambda: self._system.cat_file(self._path(name))))

    def _ask(self, name: str, call: Callable[[], _T]) -> _T:
        """What the file system answers about a file. Raises `DamagedIndexError` if it is missing, `IndexFileError`."""
        try:
            return call()
        except Exception as error:
            self._refuse(name, error)

    def _refuse(self, name: str, error: Exception) -> NoReturn:
        """What a file system raises is of no one kind: some have errors of their own."""
        if isinstance(error, FileNotFoundError):
            raise DamagedIndexError(f"{self._place(name)} is missing") from error
        raise IndexFileError(f"could not read {self._place(name)}: {type(error).__name__}: {error}") from error

    def _refuse_writing(self, name: str) -> NoReturn:
        raise IndexFileError(f"could not write {self._place(name)}: an index at an address is only read")

    def _path(self, name: str) -> str:
        return f"{self._root}/{name}"

    def _place(self, name: str) -> str:
        return f"{self.address}/{name}"


class RangedFile(io.RawIOBase):
    """A file afar as Arrow wants it: reads are served from ranges that were fetched before.

    Args:
        fetch: gets byte ranges.
        size: of the file.
    """

    def __init__(self, fetch: Callable[[Ranges], list[bytes]], size: int) -> None:
        super().__init__()
        self._get, self._size, self._at = fetch, size, 0
        self._end: tuple[int, bytes] = (size, b"")
        self._held: list[tuple[int, bytes]] = []

    def fetch_end(self, n_bytes: int) -> bytes:
        """Fetch and keep the last bytes."""
        start = self._size - n_bytes
        self._end = (start, self._get([(start, self._size)])[0])
        return self._end[1]

    def fetch(self, ranges: Ranges) -> None:
        """Fetch what is read next, in place of what was fetched before."""
        lacking = [span for span in ranges if span[0] < self._end[0]]
        self._held = [(start, part) for (start, _), part in zip(lacking, self._get(lacking), strict=True)]

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        self._at = offset + (0, self._at, self._size)[whence]
        return self._at

    def tell(self) -> int:
        return self._at

    def size(self) -> int:
        """Bytes of the file."""
        return self._size

    def read(self, size: int | None = -1) -> bytes:
        stop = self._size if size is None or size < 0 else min(self._at + size, self._size)
        start, self._at = self._at, max(stop, self._at)
        for begin, part in (self._end, *self._held):
            if begin <= start and stop <= begin + len(part):
                return part[start - begin : stop - begin]
        return self._get([(start, stop)])[0]


class RemoteArray:
    """An array ``[n]`` in a file afar, indexed as NumPy's. Blocks are fetched when first asked for, and kept.

    Args:
        fetch: gets byte ranges of the file.
        base: byte at which the file's data begin.
        facts: what the header of the file says about the array: ``dtype``, ``shape``, ``data_offsets``.
    """

    def __init__(self, fetch: Callable[[Ranges], list[bytes]], base: int, facts: Mapping[str, Any]) -> None:
        self._fetch, self._start = fetch, base + int(facts["data_offsets"][0])
        self.dtype = np.dtype(_DTYPES[facts["dtype"]])
        self.shape: tuple[int, ...] = tuple(facts["shape"])
        self.ndim = len(self.shape)
        n = int(np.prod(self.shape))
        self._values = np.empty(n, dtype=self.dtype)  # memory is taken where it is written
        self._there = np.zeros(-(-n // BLOCK), dtype=bool)

    def __len__(self) -> int:
        return len(self._values)

    def __getitem__(self, key: Any) -> Any:  # noqa: ANN401  whatever NumPy takes
        wanted = np.arange(len(self))[key] if isinstance(key, slice) else np.asarray(key)
        if wanted.dtype == np.bool_:
            wanted = np.flatnonzero(wanted)
        self._need(np.unique(np.where(wanted < 0, wanted + len(self), wanted) // BLOCK))
        return self._values[key]

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> NDArray[Any]:  # noqa: ANN401
        self._need(np.arange(len(self._there)))
        return self._values if dtype is None else self._values.astype(dtype)

    def view(self, dtype: Any) -> NDArray[Any]:  # noqa: ANN401
        """All of it, as another type of the same size."""
        return np.asarray(self).view(dtype)

    def __ne__(self, other: object) -> Any:  # noqa: ANN401  element by element, as NumPy
        return np.asarray(self) != np.asarray(other)

    __hash__ = None  # type: ignore[assignment]

    def _need(self, blocks: NDArray[np.int64]) -> None:
        lacking = blocks[~self._there[blocks]]
        if len(lacking) == 0:
            return
        runs = np.split(lacking, np.flatnonzero(np.diff(lacking) != 1) + 1)
        spans = [(int(run[0]) * BLOCK, min(int(run[-1] + 1) * BLOCK, len(self))) for run in runs]
        size = self.dtype.itemsize
        parts = self._fetch([(self._start + low * size, self._start + high * size) for low, high in spans])
        for (low, high), part in zip(spans, parts, strict=True):
            self._values[low:high] = np.frombuffer(part, self.dtype)
        self._there[lacking] = True


def _size(facts: Mapping[str, Any]) -> int:
    begin, end = facts["data_offsets"]
    return int(end) - int(begin)
