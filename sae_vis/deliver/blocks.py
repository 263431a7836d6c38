"""Blocks of bytes that a page's data travels in: a plain sequence of these values, deflated (raw RFC 1951) as a whole.

===========  ========================================================================================================
``ints``     each zigzag (0, -1, 1, -2 … as 0, 1, 2, 3 …), then LEB128: seven bits a byte, low first, high bit set on
             all but the last.
``floats``   float32 by byte plane: all lowest bytes, … all highest bytes (deflates better).
``doubles``  float64 likewise.
``json``     the length in bytes as ``ints``, then JSON in UTF-8.
``raw``      bytes.
===========  ========================================================================================================

How many there are of the others is not in here: what is written in which order is `sae_vis.deliver.codec`'s business.
"""

from __future__ import annotations

import base64
import json
import zlib
from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

_BITS = 7  # of a number in each byte
_STEP = 1 << _BITS


class BlockWriter:
    """Builds one block; each method appends values and returns nothing.

    The whole numbers of a block are packed together when it is finished: a page holds thousands of short arrays.
    """

    def __init__(self) -> None:
        self._parts: list[bytes] = []
        self._arrays: list[NDArray[np.int64]] = []  # of `ints`, not packed yet
        self._places: list[int] = []  # where among the parts each of them belongs

    def ints(self, values: NDArray[np.integer[Any]] | Sequence[int]) -> None:
        """Whole numbers of any sign."""
        self._places.append(len(self._parts))
        self._arrays.append(np.array(values, dtype=np.int64))  # a copy: what the caller does to them is its own
        self._parts.append(b"")

    def floats(self, values: NDArray[np.float32]) -> None:
        """float32 values, bit for bit."""
        values = np.ascontiguousarray(values, dtype="<f4")
        self._parts.append(values.view(np.uint8).reshape(-1, 4).T.tobytes())

    def doubles(self, values: NDArray[np.float64] | Sequence[float]) -> None:
        """float64 values, bit for bit."""
        found = np.ascontiguousarray(values, dtype="<f8")
        self._parts.append(found.view(np.uint8).reshape(-1, 8).T.tobytes())

    def json(self, value: object) -> None:
        """A value as JSON in UTF-8; where a text holds half a surrogate pair, in ASCII, which has a form for it.

        Raises:
            TypeError: a value that JSON has no form for.
            ValueError: NaN or infinity.
        """
        try:
            text = json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode()
        except UnicodeEncodeError:
            text = json.dumps(value, allow_nan=False, separators=(",", ":")).encode("ascii")
        self.ints([len(text)])
        self.raw(text)

    def raw(self, value: bytes) -> None:
        """Bytes as they are."""
        self._parts.append(value)

    def finish(self, *, level: int = 9) -> str:
        """The block, deflated, as base64 text; at level 0 it is larger, and quicker to read."""
        return base64.b64encode(self.deflated(level=level)).decode("ascii")

    def deflated(self, *, level: int = 9) -> bytes:
        """The block, deflated."""
        for place, packed in zip(self._places, pack(self._arrays), strict=True):
            self._parts[place] = packed
        packer = zlib.compressobj(level, zlib.DEFLATED, -15)
        return packer.compress(b"".join(self._parts)) + packer.flush()


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
