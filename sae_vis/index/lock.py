"""One build at a time in a directory: a lock that the system lets go of when its process ends, however it ends."""

from __future__ import annotations

import os
import socket
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from sae_vis.errors import BusyIndexError, IndexFileError

if sys.platform != "win32":  # where two builds are not kept apart
    import fcntl

LOCK = "build.lock"


@contextmanager
def build_lock(root: Path, *, shared: bool = False) -> Iterator[None]:
    """Hold the lock of a directory; the file goes with it. One that is ``shared`` lets others in that share it, too.

    It is advisory (``flock``): a process that is killed leaves the file, which the next one takes over. On a network
    file system it keeps the processes of one machine apart; those of several only where the file system does.

    Raises:
        BusyIndexError: another process builds there; says which, where it is known.
        IndexFileError: the directory can't be made, or nothing can be written there.
    """
    if sys.platform == "win32":
        yield
        return
    handle = _locked(root, shared=shared)
    try:
        yield
    finally:
        with suppress(OSError):
            if shared:  # only the last of them takes the file away: its name is what others look for
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            (root / LOCK).unlink()
        os.close(handle)


def clear_lock(root: Path) -> None:
    """Take away the file that a build left which was killed after its last step; one that is held stays."""
    if (root / LOCK).exists():
        with suppress(BusyIndexError, OSError), build_lock(root):
            pass


def _locked(root: Path, *, shared: bool) -> int:
    """An open file whose lock is held, and that is still the one of that name."""
    path = root / LOCK
    while True:
        try:
            root.mkdir(parents=True, exist_ok=True)
            handle = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
        except (OSError, ValueError) as error:
            reason = (error.strerror if isinstance(error, OSError) else None) or str(error)
            raise IndexFileError(f"can't build an index in {root}: {reason}; choose another directory") from error
        try:
            fcntl.flock(handle, (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | fcntl.LOCK_NB)
        except BlockingIOError as error:
            holder = os.read(handle, 200).decode("utf-8", "replace").strip()
            os.close(handle)
            raise BusyIndexError(
                f"{root} is being built by another process{f' ({holder})' if holder else ''}; "
                "wait until it is done, or choose another directory"
            ) from error
        except OSError:  # a file system without locks
            return handle
        with suppress(OSError):
            if path.stat().st_ino == os.fstat(handle).st_ino:
                _sign(handle)
                return handle
        os.close(handle)  # the process that held it took the file away with it


def _sign(handle: int) -> None:
    with suppress(OSError):  # a full disk: the name of the process is not worth a failure
        os.ftruncate(handle, 0)
        os.pwrite(handle, f"process {os.getpid()} on {socket.gethostname()}\n".encode(), 0)
