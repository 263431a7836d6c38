"""What is known of a finished file of an index: its name, size and checksums."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from sae_vis.errors import DamagedIndexError

MEND = "the index is damaged: restore that file, or delete the directory and build the index again"
Buffer = bytes | memoryview
_PARQUET = b"PAR1"
_CHUNK = 1 << 20


@dataclass(frozen=True, kw_only=True)
class Footer:
    """The end of a Parquet file, which says where everything in it is: its bytes and their ``sha256:…``."""

    bytes: int
    sha256: str


@dataclass(frozen=True, kw_only=True)
class FileRecord:
    """A finished file.

    Attributes:
        file: its name in the index.
        bytes: its size.
        sha256: ``sha256:…`` of all of it.
        footer: of a Parquet file on disk. Its pages carry checksums of their own, so that with the footer's every part
            that is read can be checked by itself.
    """

    file: str
    bytes: int
    sha256: str
    footer: Footer | None = None

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> FileRecord:
        """Back from the manifest."""
        footer = value.get("footer")
        return cls(**{**value, "footer": Footer(**footer) if footer else None})

    def to_json(self) -> dict[str, Any]:
        """As in the manifest."""
        facts = asdict(self)
        if self.footer is None:
            del facts["footer"]
        return facts

    def check_footer(self, footer: Buffer, where: object) -> None:
        """Raise `DamagedIndexError` unless ``footer`` is the one recorded."""
        if self.footer is not None and digest_of(footer) != self.footer.sha256:
            raise DamagedIndexError(f"{where} does not match its checksum in the manifest; {MEND}")

    def check_size(self, size: int, where: object) -> None:
        """Raise `DamagedIndexError` unless ``size`` is the one recorded."""
        if size != self.bytes:
            raise DamagedIndexError(f"{where} has {size:,} bytes, the manifest says {self.bytes:,}; {MEND}")


def record_of(path: Path, name: str) -> FileRecord:
    """The record of the file at ``path``, read whole."""
    digest, size = hashlib.sha256(), path.stat().st_size
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK):
            digest.update(chunk)
        file.seek(max(0, size - 8))
        end = file.read(8)
        footer = None
        if end[4:] == _PARQUET:
            length = int.from_bytes(end[:4], "little") + 8
            file.seek(size - length)
            footer = Footer(bytes=length, sha256=digest_of(file.read(length)))
    return FileRecord(file=name, bytes=size, sha256=f"sha256:{digest.hexdigest()}", footer=footer)


def digest_of(data: Buffer) -> str:
    """``sha256:`` and the hex digest."""
    return f"sha256:{hashlib.sha256(data).hexdigest()}"
