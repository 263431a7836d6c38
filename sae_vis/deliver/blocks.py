"""Blocks of bytes that a page's data travels in: a plain sequence of these values, deflated (raw RFC 1951) as a whole.

===========  ========================================================================================================
``ints``     each zigzag (0, -1, 1, -2 … as 0, 1, 2, 3 …), then LEB128: seven bits a byte, low first, high bit set on
             all but the last.
``floats``   float32 by byte plane: all lowest bytes, … all highest bytes (deflates better).
``digits``   float32 rounded to three significant digits, n / 10^s with n of 100 to 999 and s of 0 to 22: as ``ints``
             1 + 4 s + (n >> 8) of each, with its sign; then the lowest byte of each n. 0 stands for what has no such
             form: with the byte 0 it is 0; with 1 it is the next of the ``floats`` that follow.
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
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

_BITS = 7  # of a number in each byte
_STEP = 1 << _BITS
_SMALLEST, _LARGEST = 1e-20, 999.5  # sizes that `digits` rounds; larger ones are shown as whole numbers
_POWERS = np.array([float(f"1e{n}") for n in range(23)])  # all of them exact


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

    def digits(self, values: NDArray[np.float32]) -> None:
        """float32 values to three significant digits: each is read as the float32 nearest to the decimal."""
        packed = rounded(values)
        self.ints(packed.high)
        self.raw(packed.low.tobytes())
        self.floats(packed.exact)

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


class Digits(NamedTuple):
    """Numbers of three significant digits, taken apart.

    Attributes:
        high: int64 ``[n]`` sign, power of ten and the highest bits of the digits; 0 for what has no such form.
        low: uint8 ``[n]`` the rest of the digits; of what has no such form, 0 for 0 and 1 for the rest.
        exact: float32 ``[n_exact]`` that rest.
    """

    high: NDArray[np.int64]
    low: NDArray[np.uint8]
    exact: NDArray[np.float32]


def rounded(values: NDArray[np.float32]) -> Digits:
    """float32 values to three significant digits, halves away from 0."""
    values = np.ascontiguousarray(values, dtype=np.float32)
    sizes = np.abs(values.astype(np.float64))
    short = (sizes >= _SMALLEST) & (sizes < _LARGEST)
    sizes = np.where(short, sizes, 1)
    scale = 2 - np.floor(np.log10(sizes)).astype(np.int64)
    digits = np.floor(sizes * _POWERS[scale] + 0.5).astype(np.int64)  # a half is exact here: 24 bits and a small power
    carried = digits == 1000
    scale, digits = scale - carried, np.where(carried, 100, digits)
    high = np.copysign(1 + 4 * scale + (digits >> 8), values).astype(np.int64)
    exact = ~short & (values.view(np.uint32) != 0)
    return Digits(np.where(short, high, 0), np.where(short, digits & 255, exact).astype(np.uint8), values[exact])


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
