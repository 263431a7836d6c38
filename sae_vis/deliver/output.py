"""Files that are written: whether that can be done, said before the work; all of a file or nothing."""

from __future__ import annotations

import os
import secrets
from pathlib import Path

from sae_vis.checks import shown
from sae_vis.errors import InputError


def output_file(path: str | os.PathLike[str]) -> Path:
    """A path that a file can be written to, as far as can be told without writing.

    Raises:
        InputError: no path, a folder, a device, or a path whose folder does not exist or can't be written to.
    """
    if not isinstance(path, (str, os.PathLike)) or not str(path):
        raise InputError(f"the path to write is {shown(path)}, expected the name of a file, such as 'page.html'")
    found = Path(path)
    try:
        target = found.resolve()
        if target.is_dir():
            raise InputError(f"can't write {path}: it is a folder; give the name of a file in it, such as page.html")
        if target.exists() and not target.is_file():
            raise InputError(f"can't write {path}: it is not an ordinary file; give the name of one")
        if not target.parent.exists():
            raise InputError(f"can't write {path}: the folder {found.parent} does not exist; make it first")
        if not target.parent.is_dir():
            raise InputError(f"can't write {path}: {found.parent} is a file, not a folder; choose another place")
        if not os.access(target.parent, os.W_OK):
            raise InputError(f"can't write {path}: you may not write in {found.parent}; choose another place")
    except (OSError, ValueError) as error:
        if isinstance(error, InputError):
            raise
        raise _refused(found, error) from error
    return found


def write_whole(path: Path, text: bytes) -> None:
    """Write under a temporary name beside the target, then rename: a reader sees the old file or the new one.

    A symbolic link is followed.

    Raises:
        InputError: the system refused; what was there before is untouched.
    """
    target = path.resolve()
    temporary = target.with_name(f".{secrets.token_hex(8)}.tmp")
    try:
        try:
            with temporary.open("xb") as file:
                file.write(text)
            temporary.replace(target)
        except BaseException:
            temporary.unlink(missing_ok=True)
            raise
    except OSError as error:
        raise _refused(path, error) from error


def _refused(path: Path, error: Exception) -> InputError:
    reason = (error.strerror if isinstance(error, OSError) else None) or str(error)
    return InputError(f"can't write {path}: {reason}; what was there before is untouched: choose another place")
