"""Where an index lives, behind one small interface: what that is, and a directory. Every write is all or nothing."""

from __future__ import annotations

import errno
import json
import os
import secrets
import shutil
import socket
import stat
import threading
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext, suppress
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from sae_vis.errors import DamagedIndexError, ForeignIndexError, IndexFileError
from sae_vis.index.files import MEND, FileRecord, record_of
from sae_vis.index.lock import LOCK, build_lock, clear_lock
from sae_vis.index.parquet import GroupBounds, OpenTable, TableReader, opened, read_parquet, write_parquet

Arrays = dict[str, NDArray[Any]]
FIRST_NAMES = ("plan.json", LOCK)
"""How names of files begin that a build may leave which is killed before its plan was written."""
DESK = ".writing"
"""Folder in which files are written before they get their names."""


class Store(ABC):
    """Named arrays, tables and JSON documents. A name that exists is complete."""

    @abstractmethod
    def exists(self, name: str) -> bool:
        """Whether `name` was written."""

    def at_a_glance(self) -> AbstractContextManager[None]:
        """While open, `exists` may tell this thread what was there when it was opened: one look for many names."""
        return nullcontext()

    @abstractmethod
    def write_arrays(self, name: str, arrays: Arrays) -> None:
        """Write named arrays, all or nothing."""

    @abstractmethod
    def arrays(self, name: str) -> Arrays:
        """Read-only arrays, memory-mapped where there is a file. Raises `DamagedIndexError`."""

    @abstractmethod
    def length(self, name: str, key: str) -> int:
        """Of one of the arrays written under a name. Raises `DamagedIndexError`."""

    @abstractmethod
    def write_table(self, name: str, table: pa.Table, *, group_rows: int | None = None) -> None:
        """Write a table, all or nothing; on disk in row groups of ``group_rows``, the least that is read at a time."""

    @abstractmethod
    def table(self, name: str, columns: Sequence[str] | None = None) -> pa.Table:
        """A table written before, or some of its columns. Raises `DamagedIndexError`."""

    @abstractmethod
    def rows(self, record: FileRecord, start: int, stop: int, columns: Sequence[str]) -> pa.Table:
        """Rows ``start`` to ``stop`` of a finished table; of a file only what is read is checked.

        Raises `DamagedIndexError`.
        """

    @abstractmethod
    def whole(self, record: FileRecord) -> pa.Table:
        """All of a finished table, checked as it is read. Raises `DamagedIndexError`."""

    @abstractmethod
    def column(self, record: FileRecord, name: str) -> pa.ChunkedArray:
        """One column of a finished table. Raises `DamagedIndexError`."""

    @abstractmethod
    def bounds(self, record: FileRecord, column: str) -> GroupBounds:
        """Between which values of an ascending ``column`` each row group lies. Raises `DamagedIndexError`."""

    @abstractmethod
    def column_names(self, record: FileRecord) -> list[str]:
        """Of a finished table. Raises `DamagedIndexError`."""

    @abstractmethod
    def write_json(self, name: str, value: Mapping[str, Any]) -> None:
        """Write a JSON document, all or nothing."""

    @abstractmethod
    def json(self, name: str) -> dict[str, Any]:
        """A JSON document written before. Raises `DamagedIndexError`."""

    @abstractmethod
    def delete(self, prefix: str) -> None:
        """Forget `prefix` and all names below ``prefix/``."""

    @abstractmethod
    def record(self, name: str) -> FileRecord:
        """Size and checksum of a file written before."""


class FileStore(Store):
    """A store of files, wherever they are; tables are Parquet, of which single row groups are read."""

    _tables: TableReader

    def rows(self, record: FileRecord, start: int, stop: int, columns: Sequence[str]) -> pa.Table:
        return self._tables.rows(record, start, stop, columns)

    def column(self, record: FileRecord, name: str) -> pa.ChunkedArray:
        return self._tables.column(record, name)

    def bounds(self, record: FileRecord, column: str) -> GroupBounds:
        return self._tables.bounds(record, column)

    def column_names(self, record: FileRecord) -> list[str]:
        return self._tables.names(record)


class BuildPlace(FileStore):
    """Where files of an index are made, by one process, or by several at once.

    Attributes:
        shared: whether by several. A file that is there is then not written over: the first to be whole is the one.
    """

    shared = False

    @property
    @abstractmethod
    def place(self) -> str:
        """What it is called, here and in messages."""

    @property
    @abstractmethod
    def place_anywhere(self) -> str | Path:
        """What other processes call it, on other machines."""

    @abstractmethod
    def lock(self, *, shared: bool) -> AbstractContextManager[None]:
        """Keep other builds out, but for those that share the lock. Raises `BusyIndexError`, `IndexFileError`."""

    @abstractmethod
    def clear_lock(self) -> None:
        """Take away what is left of the locks of a build that is finished."""

    @abstractmethod
    def require_empty(self) -> None:
        """Raise `ForeignIndexError` if there is anything that no build has left before its plan was written."""

    @abstractmethod
    def reader(self) -> FileStore:
        """What reads the finished index."""

    @abstractmethod
    def beat(self, name: str, text: str) -> None:
        """Write a small file in place of the one there. Where that can't be done, the next write of a unit says so."""

    @abstractmethod
    def beats(self, folder: str) -> dict[str, str]:
        """The files that `beat` wrote in a folder, and for each what changes when it is written again."""


class DirectoryStore(BuildPlace):
    """An index in a directory: safetensors for arrays, Parquet for tables, JSON for the rest."""

    _desk = DESK
    _durable = True

    def __init__(self, root: Path) -> None:
        self.root = root
        self._tables = TableReader(lambda record: _opened_at(root, record))  # refers not to self: maps end with it

    def exists(self, name: str) -> bool:
        return (self.root / name).is_file()

    def write_arrays(self, name: str, arrays: Arrays) -> None:
        from safetensors.numpy import save_file

        contiguous = {key: np.ascontiguousarray(array) for key, array in arrays.items()}
        self._write(name, lambda path: save_file(contiguous, path))

    def arrays(self, name: str) -> Arrays:
        path = self._present(name)
        return mapped(path, path)

    def length(self, name: str, key: str) -> int:
        return len(self.arrays(name)[key])

    def write_table(self, name: str, table: pa.Table, *, group_rows: int | None = None) -> None:
        self._write(name, lambda path: write_parquet(table, path, group_rows))

    def table(self, name: str, columns: Sequence[str] | None = None) -> pa.Table:
        path = self._present(name)
        return read_parquet(path, columns, path)

    def whole(self, record: FileRecord) -> pa.Table:
        return self._tables.whole(record)

    def write_json(self, name: str, value: Mapping[str, Any]) -> None:
        text = json.dumps(value, indent=1, ensure_ascii=False, allow_nan=False)
        self._write(name, lambda path: path.write_text(text + "\n", encoding="utf-8"))

    def json(self, name: str) -> dict[str, Any]:
        path = self._present(name)
        return json_object(path.read_bytes(), path)

    def delete(self, prefix: str) -> None:
        path = self.root / prefix
        if path.is_dir():
            for child in sorted(path.rglob("*"), reverse=True):
                child.rmdir() if child.is_dir() else child.unlink()
            path.rmdir()
            for left in self.root.rglob(f"{DESK}-*"):  # of threads that were killed
                shutil.rmtree(left, ignore_errors=True)
        else:
            path.unlink(missing_ok=True)

    def record(self, name: str) -> FileRecord:
        return record_of(self._present(name), name)

    def check(self, record: FileRecord, *, contents: bool) -> None:
        """Raise `DamagedIndexError`, naming the file, unless it has the recorded size (and, if asked, contents)."""
        path = self._present(record.file)
        record.check_size(path.stat().st_size, path)
        if contents and self.record(record.file).sha256 != record.sha256:
            raise DamagedIndexError(f"{path} does not match its checksum in the manifest; {MEND}")

    @property
    def place(self) -> str:
        return str(self.root)

    @property
    def place_anywhere(self) -> Path:
        return self.root.absolute()

    def lock(self, *, shared: bool) -> AbstractContextManager[None]:
        return build_lock(self.root, shared=shared)

    def clear_lock(self) -> None:
        clear_lock(self.root)

    def require_empty(self) -> None:
        root = self.root
        if root.exists() and (not root.is_dir() or any(_is_foreign(path) for path in root.rglob("*"))):
            raise ForeignIndexError(
                f"{root} exists and is not a sae_vis index; nothing was written: choose a new or an empty directory"
            )

    def reader(self) -> DirectoryStore:
        return DirectoryStore(self.root)  # what is added to an index later is no work of several

    def beat(self, name: str, text: str) -> None:
        path = self.root / name
        new = path.with_suffix(f".{os.getpid()}")
        with suppress(OSError):
            path.parent.mkdir(parents=True, exist_ok=True)
            new.write_text(text)
            new.replace(path)

    def beats(self, folder: str) -> dict[str, str]:
        found = {}
        for path in (self.root / folder).glob("*.json"):
            with suppress(OSError):
                found[path.name] = path.read_text()
        return found

    def _present(self, name: str) -> Path:
        return _present(self.root / name)

    def _write(self, name: str, write: Callable[[Path], object]) -> None:
        """Write in a folder beside the final place, make it durable, then rename: a reader never sees half a file.

        What writes may make temporary files of its own there (safetensors does); a kill leaves them, and the next write
        clears them away with the folder. Such a file may be readable by its owner only, so the mode that the
        process's mask gives is taken before and set afterwards.
        """
        path = self.root / name
        desk = path.parent / self._own_desk()
        try:
            desk.mkdir(parents=True, exist_ok=True)
            (desk / path.name).touch()
            mode = stat.S_IMODE((desk / path.name).stat().st_mode)
            write(desk / path.name)
            (desk / path.name).chmod(mode)
            if self._durable:
                _sync(desk / path.name)
            self._place(desk / path.name, path)
            if self._durable:
                _sync(path.parent)
        except Exception as error:
            if _is_disk_error(error):
                reason = _reason(error)
                remedy = "make room" if reason == os.strerror(errno.ENOSPC) else "mend that"
                raise IndexFileError(
                    f"could not write {path}: {reason}; what was finished before is kept: "
                    f"{remedy}, then run the same command again to go on from there"
                ) from error
            raise
        finally:
            shutil.rmtree(desk, ignore_errors=True)

    def _own_desk(self) -> str:
        """Of this thread: shards may be written by several at once."""
        alone = threading.current_thread() is threading.main_thread()
        return self._desk if alone else f"{self._desk}-{threading.get_ident()}"

    def _place(self, written: Path, path: Path) -> None:
        """Give a whole file its name."""
        written.replace(path)


class SharedDirectoryStore(DirectoryStore):
    """A directory that several processes write to at once, perhaps the same file: the first to be whole is the one.

    So what was read of a file stays true, and checksums in a manifest hold whatever a slow process still writes.
    """

    shared = True

    def __init__(self, root: Path) -> None:
        super().__init__(root)
        self._desk = f"{DESK}-{socket.gethostname()}-{os.getpid()}-{secrets.token_hex(4)}"

    def _place(self, written: Path, path: Path) -> None:
        try:
            os.link(written, path)
        except FileExistsError:
            return
        except OSError:  # a file system without hard links: there the last is the one
            written.replace(path)

    def delete(self, prefix: str) -> None:
        path = self.root / prefix
        if path.is_dir():
            shutil.rmtree(path, ignore_errors=True)  # somebody else may be deleting it, or writing there
            for left in self.root.rglob(f"{DESK}*"):
                shutil.rmtree(left, ignore_errors=True)
        else:
            path.unlink(missing_ok=True)


def mapped(path: Path, where: object) -> Arrays:
    """The arrays of a safetensors file, memory-mapped. Raises `DamagedIndexError`, naming ``where`` it is."""
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="pt") as file:  # torch maps the file; NumPy would copy it
            return {key: file.get_tensor(key).numpy() for key in file.keys()}  # noqa: SIM118
    except (SafetensorError, OSError, ValueError) as error:
        raise DamagedIndexError(f"{where} can't be read ({error}); {MEND}") from error


def _is_foreign(path: Path) -> bool:
    return path.is_file() and not path.name.startswith(FIRST_NAMES)


def _present(path: Path) -> Path:
    if not path.is_file():
        raise DamagedIndexError(f"{path} is missing; {MEND}")
    return path


def _opened_at(root: Path, record: FileRecord) -> OpenTable:
    """The Parquet file of a record, its size and footer checked."""
    path = _present(root / record.file)
    record.check_size(path.stat().st_size, path)
    if record.footer is not None:
        with path.open("rb") as file:
            file.seek(-record.footer.bytes, os.SEEK_END)
            record.check_footer(file.read(), path)
    return opened(path, str(path))


def json_object(data: bytes, where: object) -> dict[str, Any]:
    """A JSON object from its text. Raises `DamagedIndexError`, naming the file."""
    try:
        value = json.loads(data)
    except ValueError as error:
        raise DamagedIndexError(f"{where} is not JSON ({error}); {MEND}") from error
    if not isinstance(value, dict):
        raise DamagedIndexError(f"{where} holds no JSON object; {MEND}")
    return value


def _is_disk_error(error: Exception) -> bool:
    from safetensors import SafetensorError

    return isinstance(error, (OSError, SafetensorError))


def _reason(error: Exception) -> str:
    if isinstance(error, OSError) and error.errno is not None:
        return os.strerror(error.errno)
    full = os.strerror(errno.ENOSPC)
    return full if full in str(error) else str(error)


def _sync(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
