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
from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sae_vis.errors import InputError
from sae_vis.views.payload import F32, ComponentData

KINDS = ("json", "bool", "uint8", "int32", "uint32", "float32", "float64")
"""How a value of a user's own component travels. Other whole numbers become int32 or uint32 where they fit."""

_BITS = 7  # of a number in each byte
_STEP = 1 << _BITS
_SHORT = tuple(bytes([value]) for value in range(_STEP))


class BlockWriter:
    """Builds one block; each method appends one value and returns nothing.

    The arrays of a block are packed together when it is finished: a page holds thousands of short ones.
    """

    def __init__(self) -> None:
        self._parts: list[bytes] = []
        self._arrays: list[NDArray[np.int64]] = []  # of `ints`, not packed yet
        self._places: list[int] = []  # where among the parts each of them belongs

    def uint(self, value: int) -> None:
        """A whole number of at least 0."""
        self._parts.append(_SHORT[value] if 0 <= value < len(_SHORT) else _varint(value))

    def double(self, value: float) -> None:
        """A float64."""
        self._parts.append(struct.pack("<d", value))

    def ints(self, values: NDArray[np.integer]) -> None:
        """Whole numbers of any sign."""
        self.uint(len(values))
        self._places.append(len(self._parts))
        self._arrays.append(values.astype(np.int64))  # a copy: what the caller does to the array later is its own
        self._parts.append(b"")

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
        self.ints(gaps(kept))
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
        for place, packed in zip(self._places, pack(self._arrays), strict=True):
            self._parts[place] = packed
        packer = zlib.compressobj(level, zlib.DEFLATED, -15)
        raw = packer.compress(b"".join(self._parts)) + packer.flush()
        return base64.b64encode(raw).decode("ascii")


def gaps(ascending: NDArray[np.integer]) -> NDArray[np.int64]:
    """How many whole numbers from 0 on are left out before each of some: 0 for one right after the one before."""
    found = ascending.astype(np.int64)
    found[1:] -= ascending[:-1] + 1
    return found


def pack(arrays: Sequence[NDArray[np.int64]]) -> list[bytes]:
    """Each array as ``int`` values, all arrays in one go."""
    if not arrays:
        return []
    values = np.concatenate(arrays)
    zigzag = ((values << 1) ^ (values >> 63)).view(np.uint64)
    most = int(zigzag.max(initial=0))
    if most < _STEP:
        packed, ends = zigzag.astype(np.uint8), np.arange(len(zigzag) + 1)
    else:
        packed, ends = _varints(zigzag, -(-most.bit_length() // _BITS))
    edges = ends[np.cumsum([0, *map(len, arrays)])].tolist()
    whole = packed.tobytes()
    return [whole[start:stop] for start, stop in pairwise(edges)]


def _varints(values: NDArray[np.uint64], longest: int) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """LEB128 of each value, of at most ``longest`` bytes, end to end; value ``i`` has those from ``ends[i]`` on."""
    length = np.ones(len(values), dtype=np.int64)
    for n in range(1, longest):
        length += values >= np.uint64(1 << _BITS * n)
    ends = np.concatenate([[0], np.cumsum(length)])
    packed = np.empty(int(ends[-1]), dtype=np.uint8)
    at, left = ends[:-1], values
    while len(left):  # a byte of each value that has one more
        last = left < _STEP
        packed[at] = np.where(last, left, left | np.uint64(_STEP)).astype(np.uint8)
        at, left = at[~last] + 1, left[~last] >> np.uint64(_BITS)
    return packed, ends


def _varint(value: int) -> bytes:
    """LEB128 of one number."""
    value, digits = int(value), bytearray()
    if value < 0:
        raise ValueError(f"{value} is negative")
    while value >= _STEP:
        digits.append(value & (_STEP - 1) | _STEP)
        value >>= _BITS
    digits.append(value)
    return bytes(digits)


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
