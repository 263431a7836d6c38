"""A folder of this process on the machine's own disk, for files that live elsewhere: gone with the process.

A process that is killed can't clear up. So each holds the lock of its folder while it lives, and whoever makes a new
one clears away those that nobody holds.
"""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
import threading
import weakref
from contextlib import ExitStack, suppress
from pathlib import Path

from sae_vis.errors import BusyIndexError, IndexFileError
from sae_vis.index.lock import build_lock
from sae_vis.index.storage import DirectoryStore

PREFIX = "sae_vis-objects-"
RESERVE = 0.5
"""Share of what was free on the disk when the folder was made that stays free."""


class Scratch:
    """Files on their way. What there is room for is kept, what comes later is not: first come, first kept.

    Those who read the same files again and again, one after the other, would find none of them if the oldest went.

    Args:
        room: bytes that are kept at most; None: as many as leave half of what was free.

    Attributes:
        reading: held while a file is fetched and opened.
    """

    def __init__(self, room: int | None = None) -> None:
        self._room, self._reserve, self._kept = room, 0.0, dict[str, int]()
        self._files: _Files | None = None
        self.reading = threading.RLock()
        self._making = threading.Lock()

    @property
    def files(self) -> DirectoryStore:
        """The folder, made when it is first needed."""
        with self._making:
            if self._files is None:
                root = _new_folder(self)
                self._files = _Files(root)
                self._reserve = shutil.disk_usage(root).free * RESERVE
            return self._files

    def path(self, name: str) -> Path:
        """Where a file is, or will be."""
        path = self.files.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        return path

    def holds(self, name: str) -> bool:
        """Whether a file is kept."""
        return name in self._kept

    def settle(self, name: str) -> None:
        """Keep a file if there is room. One that is mapped stays readable all the same."""
        path = self.path(name)
        with self.reading:
            self._kept[name] = path.stat().st_size if path.is_file() else 0
            if self._room is None:
                fits = shutil.disk_usage(path.parent).free >= self._reserve
            else:
                fits = sum(self._kept.values()) <= self._room
            if not fits:
                self.forget(name)

    def forget(self, prefix: str) -> None:
        """Delete a file, or all of a folder."""
        if self._files is None:
            return
        with self.reading:
            for name in [name for name in self._kept if name == prefix or name.startswith(f"{prefix}/")]:
                del self._kept[name]
            path = self.path(prefix)
            with suppress(OSError):  # mapped, on Windows
                shutil.rmtree(path) if path.is_dir() else path.unlink(missing_ok=True)


class _Files(DirectoryStore):
    """Files that need not outlive the machine."""

    _durable = False


def _new_folder(owner: object) -> Path:
    """A folder whose lock is held until ``owner`` is gone, and which goes with it."""
    try:
        _clear_away(Path(tempfile.gettempdir()))
        while True:
            root, held = Path(tempfile.mkdtemp(prefix=PREFIX)), ExitStack()
            with suppress(BusyIndexError):  # somebody took it for one that nobody holds
                held.enter_context(build_lock(root))
                break
    except OSError as error:
        raise IndexFileError(
            f"could not make a temporary folder: {error.strerror or error}; what is written to an address passes "
            "through one: make room there, or set TMPDIR to a folder on a disk that has some"
        ) from error
    weakref.finalize(owner, _remove, root, held)
    return root


def _remove(root: Path, held: ExitStack) -> None:
    shutil.rmtree(root, ignore_errors=True)
    held.close()


def _clear_away(place: Path) -> None:
    """Delete folders of processes of this user that are gone."""
    if sys.platform == "win32":  # no locks there
        return
    for root in place.glob(f"{PREFIX}*"):
        with suppress(OSError, BusyIndexError, IndexFileError):
            if root.stat().st_uid == os.getuid():
                with build_lock(root):
                    shutil.rmtree(root)
