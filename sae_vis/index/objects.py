"""An object store as the place of a build: buckets of S3, Google Cloud Storage, Azure, and what speaks their languages.

What is asked of a store: an object that is put is seen whole or not at all, and by everybody from then on. There is no
renaming, no link and no lock. A file is made on this machine's disk and put from there under its name. Files that are
read back, shards above all, are fetched whole and mapped; those that were put from here are still here.

Where a store can put an object only if there is none (S3, Google Cloud Storage, Azure, MinIO, R2), the first is the
one, whatever a slow process still puts. That is tried when a build begins, and not believed.
"""

from __future__ import annotations

import errno
import json
import logging
import secrets
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from functools import cached_property, partial
from os import PathLike
from pathlib import Path
from typing import Any, NoReturn, TypeVar

import pyarrow as pa

from sae_vis.checks import shown
from sae_vis.errors import DamagedIndexError, ForeignIndexError, IndexFileError, InputError, SaeVisError
from sae_vis.index.build_files import WORK
from sae_vis.index.files import FileRecord, record_of
from sae_vis.index.leases import Lease, Shelf, facts_of
from sae_vis.index.lock import LOCK
from sae_vis.index.manifest import MANIFEST
from sae_vis.index.parquet import read_parquet
from sae_vis.index.remote import RemoteStore, file_system, is_address, protocol_of
from sae_vis.index.scratch import Scratch
from sae_vis.index.storage import FIRST_NAMES, Arrays, BuildPlace, DirectoryStore, SharedDirectoryStore, mapped
from sae_vis.index.writing import FEATURES

_LOG = logging.getLogger("sae_vis")
_T = TypeVar("_T")
PROTOCOLS = {"s3", "s3a", "gs", "gcs", "abfs", "abfss", "az", "oci", "oss", "tos", "memory"}
"""Of file systems whose objects are put whole."""
_PATTERN = {"*", "?", "["}
PAUSES = (1.0, 5.0, 25.0)
"""Seconds before the same is asked again, on top of what the file system does by itself."""
_DENIED = ("NoCredentialsError", "PartialCredentialsError", "ClientAuthenticationError", "DefaultCredentialsError")
_MISSING = ("ResourceNotFoundError",)
"""Azure's, of a container."""
_REFUSED = (errno.EINVAL, errno.ENOSYS, errno.EPERM)
"""What a failed condition, or one that a store does not know, is called where it has no name of its own."""
_KEPT = (f"{WORK}/", FEATURES)
"""Files that are read again while an index is built."""
_FINAL = (FileNotFoundError, FileExistsError, PermissionError, NotImplementedError, ValueError, TypeError)
"""Errors that asking again does not mend."""


class ObjectStore(RemoteStore, BuildPlace):
    """An index that is being built at an address.

    Args:
        address: of its directory.
        shared: whether several processes build it.
        room: bytes of files that are kept on this machine's disk meanwhile; None: half of what is free there.

    Raises:
        InputError: an address where files are not put whole, or for which a package is missing.
    """

    def __init__(self, address: str, *, shared: bool = False, room: int | None = None) -> None:
        if protocol_of(address) not in PROTOCOLS or "::" in address:
            raise InputError(
                f"an index can't be built at {address}: {protocol_of(address)}:// is no object store that is known to "
                f"take files whole; expected one of {', '.join(f'{name}://' for name in sorted(PROTOCOLS))}. Build it "
                "in a directory, and upload it (sae-vis push)"
            )
        if _PATTERN & set(address):  # file systems would delete what such a name matches
            raise InputError(
                f"an index can't be built at {address}: choose an address without {' '.join(sorted(_PATTERN))}"
            )
        super().__init__(address, use_listings_cache=False)
        self.shared = shared
        self._scratch = Scratch(room)
        self._records: dict[str, FileRecord] = {}
        self._lease: Lease | None = None
        self._glance = threading.local()

    # reading

    def exists(self, name: str) -> bool:
        seen: set[str] | None = getattr(self._glance, "names", None)
        return super().exists(name) if seen is None else name in seen

    @contextmanager
    def at_a_glance(self) -> Iterator[None]:
        before = getattr(self._glance, "names", None)
        self._glance.names = set(self._listed(""))
        try:
            yield
        finally:
            self._glance.names = before

    def arrays(self, name: str) -> Arrays:
        return self._read(name, lambda path: mapped(path, self._place(name)))

    def table(self, name: str, columns: Sequence[str] | None = None) -> pa.Table:
        return self._read(name, lambda path: read_parquet(path, columns, self._place(name)))

    def length(self, name: str, key: str) -> int:
        if self._scratch.holds(name):
            return len(self.arrays(name)[key])
        return super().length(name, key)

    def record(self, name: str) -> FileRecord:
        """As the process that put the file noted it; read from the file where none did, or it may have been changed."""
        if self.exclusive and name in self._records:
            return self._records[name]
        if self.exclusive and self.shared:
            with suppress(DamagedIndexError):
                return FileRecord.from_json(self.json(_record_name(name)))
        return self._read(name, lambda path: record_of(path, name))

    def _read(self, name: str, read: Callable[[Path], _T]) -> _T:
        """Read a file that is here, or fetch it first."""
        path = self._scratch.path(name)
        with self._scratch.reading:
            if not self._scratch.holds(name):
                self._ask(name, lambda: self._system.get_file(self._path(name), str(path)))
            try:
                found = read(path)
            except DamagedIndexError:
                self._scratch.forget(name)
                raise
            self._settle(name)
        return found

    def _settle(self, name: str) -> None:
        if name.startswith(_KEPT):
            self._scratch.settle(name)
        else:
            self._scratch.forget(name)

    # writing

    @cached_property
    def exclusive(self) -> bool:
        """Whether the store refuses to put an object where there is one, if it is told so; it is tried."""
        for _ in range(2):  # an answer may be lost on its way, and whoever finishes deletes what is there
            name = f"{LOCK}/probe-{secrets.token_hex(8)}"
            try:
                put = [self._ask(name, partial(self._put_new, name), writing=True) for _ in range(2)]
            finally:
                self._remove(name)
            if put == [True, False]:
                return True
        return False

    def _put_new(self, name: str) -> bool:
        """Put a small object if there is none of that name; whether it was put."""
        try:
            self._system.pipe_file(self._path(name), b"x", mode="create")
        except (FileExistsError, NotImplementedError, TypeError, ValueError):
            return False
        except OSError as error:
            if error.errno not in _REFUSED:
                raise
            return False
        return True

    def write_arrays(self, name: str, arrays: Arrays) -> None:
        self._scratch.files.write_arrays(name, arrays)
        self._send(name)

    def write_table(self, name: str, table: pa.Table, *, group_rows: int | None = None) -> None:
        self._scratch.files.write_table(name, table, group_rows=group_rows)
        self._send(name)

    def write_json(self, name: str, value: Any) -> None:  # noqa: ANN401
        self._scratch.files.write_json(name, value)
        self._send(name)

    def delete(self, prefix: str) -> None:
        self._scratch.forget(prefix)
        for _ in range(3):  # somebody else may be deleting it, or writing there
            found = self._listed(prefix)
            if not found:
                return
            try:
                self._ask(prefix, partial(self._system.rm, [self._path(name) for name in found]))
            except DamagedIndexError:  # gone meanwhile
                continue
        _LOG.warning("%s: not all of it could be deleted", self._place(prefix))

    def _remove(self, name: str) -> None:
        """Delete one object, if it is there."""

        def remove() -> None:
            with suppress(FileNotFoundError):
                self._system.rm_file(self._path(name))

        self._ask(name, remove, writing=True)

    def _send(self, name: str) -> None:
        """Put a file that was made here, and say farewell to it if somebody else was first."""
        if self._lease is not None:
            self._lease.require()
        path = self._scratch.path(name)
        if not self._ask(name, lambda: self._put(path, self._path(name)), writing=True):
            self._scratch.forget(name)
            return
        if not name.startswith(f"{WORK}/") and name != MANIFEST:
            self._records[name] = record_of(path, name)
            if self.shared and self.exclusive:  # whoever seals the index need not fetch all of it
                self.write_json(_record_name(name), self._records[name].to_json())
        self._settle(name)

    def _put(self, path: Path, target: str) -> bool:
        """Put a file unless there is one of that name; whether it was put."""
        if not self.exclusive:
            if self._system.exists(target):
                return False
            self._system.put_file(str(path), target)
            return True
        try:
            self._system.put_file(str(path), target, mode="create")
        except OSError:  # not every store that refuses says why
            if self._system.exists(target):
                return False
            raise
        return True

    # the build

    @property
    def place(self) -> str:
        return self.address

    @property
    def place_anywhere(self) -> str:
        return self.address

    @contextmanager
    def lock(self, *, shared: bool) -> Iterator[None]:
        with Lease(_Leases(self), shared=shared) as lease:
            if self.shared and not self.exclusive:
                _LOG.warning(
                    "%s: this store can't put an object only if there is none. All that build there need the same kind "
                    "of processor: if one that was taken for dead writes again what others did, with other last bits, "
                    "checksums of the index no longer hold",
                    self.address,
                )
            try:
                self._lease = lease
                yield
            finally:
                self._lease = None
                with suppress(SaeVisError):  # leases of those that were killed
                    if self.exists(MANIFEST):
                        self.clear_lock()

    def clear_lock(self) -> None:
        self.delete(LOCK)

    def require_empty(self) -> None:
        found = [name for name in self._listed("") if not name.rpartition("/")[2].startswith(FIRST_NAMES)]
        found = [name for name in found if not name.startswith(f"{LOCK}/")]
        if found:
            raise ForeignIndexError(
                f"{self.address} holds other files ({found[0]}) and is not a sae_vis index; nothing was written: "
                "choose another address"
            )

    def reader(self) -> RemoteStore:
        return RemoteStore(self.address)

    def beat(self, name: str, text: str) -> None:
        try:
            self._system.pipe_file(self._path(name), text.encode())
        except Exception as error:  # the next write of a unit says so
            _LOG.debug("%s: %s", self._place(name), error)

    def beats(self, folder: str) -> dict[str, str]:
        return {name.rpartition("/")[2]: mark for name, mark in self._listed(folder).items()}

    def _listed(self, prefix: str) -> dict[str, str]:
        """Names at or below a prefix, and for each what changes when it is written again.

        A file system that finds nothing may look once more at the prefix itself (s3fs), and finds a directory if
        somebody wrote there meanwhile: that is no object, and then there was none.
        """
        root = self._path(prefix) if prefix else self._root

        def find() -> dict[str, Any]:
            try:
                found = self._system.find(root, detail=True)
            except FileNotFoundError:
                return {}
            return found if isinstance(found, dict) else {path: {} for path in found}  # adlfs, of a single file

        objects = {path: facts for path, facts in self._ask(prefix, find).items() if facts.get("type") != "directory"}
        found = {str(path).removeprefix(f"{self._root}/"): facts for path, facts in objects.items()}
        marks = {name: "|".join(str(facts.get(key)) for key in _MARKS) for name, facts in found.items()}
        return {name: mark for name, mark in marks.items() if name and not name.endswith("/")}

    # faults

    def _ask(self, name: str, call: Callable[[], _T], *, writing: bool = False) -> _T:
        """What the store answers; a fault that may pass is waited for."""
        pauses = iter(PAUSES)
        while True:
            try:
                return call()
            except SaeVisError:
                raise
            except Exception as error:
                pause = next(pauses, None)
                if pause is None or isinstance(error, _FINAL) or _is_denied(error) or _is_missing(error):
                    self._refuse(name, error, writing=writing)
                _LOG.warning("%s: %s; tried again in %g s", self._place(name), _told(error), pause)
            time.sleep(pause)

    def _refuse(self, name: str, error: Exception, *, writing: bool = False) -> NoReturn:
        if isinstance(error, FileNotFoundError) and not writing:
            super()._refuse(name, error)
        if _is_missing(error):
            remedy = "there is no such bucket or container: make it, or choose another address"
        elif _is_denied(error):
            remedy = (
                "this process needs credentials with which it may list, read, write and delete there (as environment "
                "variables, a profile or a role: the documentation of the store's package says how); give them"
            )
        else:
            remedy = "mend that"
        deed = "write" if writing else "read"
        raise IndexFileError(
            f"could not {deed} {self._place(name)}: {_told(error)}; {remedy}, then run the same "
            "command again: what was finished before is kept, and it goes on from there"
        ) from error


_MARKS = ("ETag", "etag", "generation", "LastModified", "last_modified", "mtime", "created", "size")


def _record_name(name: str) -> str:
    """Of the size and checksums of a file of the index, while it is built."""
    return f"{WORK}/records/{name}.json"


class _Leases(Shelf):
    """Leases in the folder of an address that directories have as their lock."""

    def __init__(self, store: ObjectStore) -> None:
        self._store = store

    @property
    def place(self) -> str:
        return self._store.address

    def listed(self) -> dict[str, str]:
        found = self._store._listed(LOCK)
        return {name.rpartition("/")[2]: mark for name, mark in found.items() if name.endswith(".json")}

    def read(self, name: str) -> dict[str, Any] | None:
        try:
            return facts_of(self._store._whole(f"{LOCK}/{name}"))
        except DamagedIndexError:
            return None

    def write(self, name: str, facts: dict[str, Any]) -> None:
        store, path = self._store, f"{LOCK}/{name}"
        data = json.dumps(facts).encode()
        store._ask(path, lambda: store._system.pipe_file(store._path(path), data), writing=True)

    def remove(self, name: str) -> None:
        self._store._remove(f"{LOCK}/{name}")


def _is_denied(error: Exception) -> bool:
    return isinstance(error, PermissionError) or type(error).__name__ in _DENIED


def _is_missing(error: Exception) -> bool:
    return isinstance(error, FileNotFoundError) or type(error).__name__ in _MISSING


def _told(error: Exception) -> str:
    """Its kind and its first line: stores answer with whole pages."""
    return f"{type(error).__name__}: {str(error).partition(chr(10))[0]}"


def place_at(out: object, *, shared: bool) -> BuildPlace:
    """Where an index is built: a directory, or the address of one.

    Raises:
        InputError: neither; an address where no index can be built.
    """
    if not isinstance(out, (str, PathLike)) or not str(out):
        raise InputError(
            f"out is {shown(out)}, expected a directory, the address of one, or None for an index in memory"
        )
    if isinstance(out, str) and is_address(out) and protocol_of(out) not in ("file", "local"):
        return ObjectStore(out, shared=shared)
    root = Path(file_system(out)[1]) if isinstance(out, str) and is_address(out) else Path(out)
    scheme, _, rest = root.as_posix().partition(":/")
    if scheme in PROTOCOLS and rest:
        raise InputError(
            f"out is the path {str(root)!r}, and paths can't name an address: give the text {f'{scheme}://{rest}'!r}"
        )
    return SharedDirectoryStore(root) if shared else DirectoryStore(root)
