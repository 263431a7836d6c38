"""How data of a component of the user's own travels: values by name, of any shape.

A block holds the names as a ``json`` array. For each name follow the number of its kind (`KINDS`), and what it is:
``json``; an array as its number of dimensions and their sizes as
``ints``, then its values row by row: whole numbers as ``ints``, float32 as ``floats``, float64 as ``doubles``, the rest
``raw``.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sae_vis.deliver.blocks import BlockWriter
from sae_vis.errors import InputError

KINDS = ("json", "bool", "uint8", "int32", "uint32", "float32", "float64")
"""How a value of a user's own component travels. Other whole numbers become int32 or uint32 where they fit."""


def encode_named(out: BlockWriter, component: str, data: Mapping[str, Any]) -> None:
    """Write named values.

    Raises:
        InputError: a value that can't travel; names component and value.
    """
    out.json(list(data))
    for name, value in data.items():
        _encode(out, f"{component}: its value {name!r}", value)


def _encode(out: BlockWriter, what: str, value: object) -> None:
    try:
        _encode_value(out, value)
    except (InputError, TypeError, ValueError) as error:
        raise InputError(f"{what} can't be put into a page: {error}") from error


def _encode_value(out: BlockWriter, value: object) -> None:
    if not isinstance(value, np.ndarray | np.generic):
        out.ints([KINDS.index("json")])
        out.json(value)
        return
    array = _portable(np.asarray(value))
    out.ints([KINDS.index(array.dtype.name), array.ndim, *array.shape])
    flat = np.ascontiguousarray(array).reshape(-1)
    match array.dtype.name:
        case "float32":
            out.floats(flat)
        case "float64":
            out.doubles(flat)
        case "int32" | "uint32":
            out.ints(flat)
        case _:
            out.raw(flat.tobytes())


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
