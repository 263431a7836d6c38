"""Blocks of bytes that a page's data travels in: a plain sequence of these values, deflated (raw RFC 1951) as a whole.

==========  =========================================================================================================
``uint``    LEB128: seven bits a byte, low first, high bit set on all but the last.
``int``     zigzag (0, -1, 1, -2 … as 0, 1, 2, 3 …), then ``uint``.
``double``  float64, little-endian.
``ints``    ``uint`` count, then each as ``int``.
``floats``  ``uint`` count n, then float32 by byte plane: all lowest bytes, … all highest bytes (deflates better).
``sparse``  ``uint`` length; ``ints`` gaps to the entries that are not +0.0 (a gap of 0: right after the one before);
            ``floats`` their values. NaNs come back as NaN.
``bytes``   ``uint`` length, then the bytes.
``named``   ``uint`` count, then for each: ``bytes`` name (UTF-8); ``uint`` kind (`KINDS`); for JSON ``bytes``, for an
            array ``uint`` number of dimensions, ``uint`` each, and the values row by row (whole numbers as ``ints``,
            float32 as ``floats``, float64 and bytes as ``bytes``).
``maybe``   one byte, 0 for None, 1 for what follows.
==========  =========================================================================================================
"""

from __future__ import annotations

import base64
import json
import struct
import zlib
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sae_vis.errors import InputError
from sae_vis.views.payload import F32, ComponentData

KINDS = ("json", "bool", "uint8", "int32", "uint32", "float32", "float64")
"""How a value of a user's own component travels. Other whole numbers become int32 or uint32 where they fit."""


class BlockWriter:
    """Builds one block; each method appends one value and returns nothing."""

    def __init__(self) -> None:
        self._parts: list[bytes] = []

    def uint(self, value: int) -> None:
        """A whole number of at least 0."""
        self._parts.append(_varints(np.array([value], dtype=np.uint64)))

    def double(self, value: float) -> None:
        """A float64."""
        self._parts.append(struct.pack("<d", value))

    def ints(self, values: NDArray[np.integer]) -> None:
        """Whole numbers of any sign."""
        values = np.ascontiguousarray(values, dtype=np.int64)
        self.uint(len(values))
        self._parts.append(_varints(((values << 1) ^ (values >> 63)).astype(np.uint64)))

    def floats(self, values: F32) -> None:
        """float32 values, bit for bit."""
        values = np.ascontiguousarray(values, dtype="<f4")
        self.uint(len(values))
        self._parts.append(values.view(np.uint8).reshape(-1, 4).T.tobytes())

    def sparse(self, values: F32) -> None:
        """float32 values of which many are 0."""
        values = np.ascontiguousarray(values, dtype=np.float32)
        kept = np.flatnonzero(values.view(np.uint32))
        self.uint(len(values))
        self.ints(np.diff(kept, prepend=-1) - 1)
        self.floats(values[kept])

    def blob(self, value: bytes) -> None:
        """Bytes with their length."""
        self.uint(len(value))
        self._parts.append(value)

    def present(self, value: object) -> bool:
        """Say whether a value follows; returns whether it does."""
        self._parts.append(b"\x00" if value is None else b"\x01")
        return value is not None

    def finish(self, *, level: int = 9) -> str:
        """The block, deflated, as base64 text; at level 0 it is larger, and quicker to read."""
        packer = zlib.compressobj(level, zlib.DEFLATED, -15)
        raw = packer.compress(b"".join(self._parts)) + packer.flush()
        return base64.b64encode(raw).decode("ascii")


def _varints(values: NDArray[np.uint64]) -> bytes:
    """LEB128 of each value."""
    bits = np.arange(0, 70, 7, dtype=np.uint64)
    digits = np.where(bits < 64, values[:, None] >> np.minimum(bits, np.uint64(63)), 0)  # [n, 10]
    length = np.maximum((digits != 0).sum(axis=1), 1)
    place = np.arange(len(bits))
    more = np.where(place < length[:, None] - 1, 128, 0).astype(np.uint8)
    septets = (digits & np.uint64(127)).astype(np.uint8) | more
    return bytes(septets[place < length[:, None]])


def encode_named(out: BlockWriter, component: str, data: ComponentData) -> None:
    """Named values of a user's own component.

    Raises:
        InputError: a value that can't travel; names component and value.
    """
    out.uint(len(data))
    for name, value in data.items():
        out.blob(name.encode())
        try:
            _encode_value(out, value)
        except (InputError, TypeError, ValueError) as error:
            raise InputError(f"{component}: its value {name!r} can't be put into a page: {error}") from error


def _encode_value(out: BlockWriter, value: object) -> None:
    if not isinstance(value, (np.ndarray, np.generic)):
        out.uint(KINDS.index("json"))
        out.blob(json.dumps(value, ensure_ascii=True, allow_nan=False, separators=(",", ":")).encode("ascii"))
        return
    array = _portable(np.asarray(value))
    out.uint(KINDS.index(array.dtype.name))
    out.uint(array.ndim)
    for n in array.shape:
        out.uint(n)
    flat = np.ascontiguousarray(array).reshape(-1)
    if array.dtype.name == "float32":
        out.floats(flat)
    elif array.dtype.name.startswith(("int", "uint3")):
        out.ints(flat)
    else:
        out.blob(flat.astype("<f8").tobytes() if array.dtype.name == "float64" else flat.tobytes())


def _portable(array: NDArray[Any]) -> NDArray[Any]:
    """The array in a dtype that travels, without loss."""
    if array.dtype.name in KINDS:
        return array
    if array.dtype == np.float16:
        return array.astype(np.float32)
    if array.dtype.kind not in "iu":
        raise InputError(f"found an array of {array.dtype}, expected whole numbers, floats or booleans")
    for kind in (np.int32, np.uint32):
        limits = np.iinfo(kind)
        if array.size == 0 or (array.min() >= limits.min and array.max() <= limits.max):
            return array.astype(kind)
    raise InputError(f"found whole numbers from {array.min()} to {array.max()}, expected some that fit 32 bits")
