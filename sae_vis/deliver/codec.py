"""How the contract's records become blocks of bytes: by their annotations, column by column.

A value is always written as a column of values of its kind; a page's feature is a column of one. So the same field of
all the records of a list lies side by side, which deflates better than record after record:

=====================  ==============================================================================================
whole number           ``ints``
float                  ``doubles``
bool                   ``ints``, 0 or 1
text, JSON             ``json``: an array of all of them
choice                 ``ints``: the place of the word
or None                ``ints``, 0 for None, else 1; then the column of those that are there
tuple                  ``ints`` of their lengths; then the column of what is in all of them
mapping                ``ints`` of their lengths, all names as text, then each value as a column of one
array                  ``ints`` of the sizes, unless they follow from what came before; then the values of all of them,
                       packed as its annotation says (`sae_vis.contract.annotations.Packing`)
record                 its fields, one column after the other
the user's own data    ``named`` (`sae_vis.deliver.named`), one after the other
=====================  ==============================================================================================

``frontend/src/data/codec.ts`` is the reader, by the table that is generated from the same annotations.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from itertools import chain, repeat
from math import prod
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sae_vis.contract.schema import ByName, Choice, Kind, Many, Maybe, One, Record, Values, record_of
from sae_vis.deliver.blocks import BlockWriter
from sae_vis.deliver.named import encode_named
from sae_vis.errors import InputError

Array = NDArray[Any]
Scope = dict[str, list[Any]]
"""Columns of the record that is being written and of those around it: what sizes and packings refer to."""
Index = Callable[[Array], Array]
"""Token ids to places in the page's token table."""
COUNT = One("int")


def encode(out: BlockWriter, record: type, value: object, index: Index | None = None) -> None:
    """Write one record of the contract.

    Args:
        out: the block.
        record: its dataclass.
        value: it, or anything with the same fields.
        index: gives token ids their places in the page's token table; None where the record holds none.

    Raises:
        InputError: arrays that contradict each other, or data that can't travel; names the field.
    """
    Encoder(out, index).column(record_of(record), [value], {}, "")


class Encoder:
    """Writes columns of values into a block."""

    def __init__(self, out: BlockWriter, index: Index | None) -> None:
        self._out = out
        self._index = index

    def column(self, kind: Kind, values: Sequence[Any], scope: Scope, where: str) -> None:
        """Write values of one kind, one for each of `scope`'s rows.

        Raises:
            InputError: one that does not fit, called as `where` says.
        """
        write = getattr(self, WRITERS[type(kind)])
        write(kind, values, scope, where)

    def _choices(self, kind: Choice, values: Sequence[str], _scope: Scope, _where: str) -> None:
        self._out.ints([kind.words.index(value) for value in values])

    def _records(self, kind: Record, values: Sequence[Any], scope: Scope, where: str) -> None:
        own = dict(scope)
        for name, inner in kind.fields:
            column = [getattr(value, name) for value in values]
            if isinstance(inner, Values) or inner == COUNT:
                own[name] = column
            self.column(inner, column, own, f"{where}.{name}" if where else name)

    def _maybe(self, kind: Maybe, values: Sequence[Any], scope: Scope, where: str) -> None:
        there = [i for i, value in enumerate(values) if value is not None]
        self._out.ints([value is not None for value in values])
        if there:
            self.column(kind.of, [values[i] for i in there], _rows(scope, there), where)

    def _by_name(self, kind: ByName, values: Sequence[Mapping[str, Any]], _scope: Scope, where: str) -> None:
        self._out.ints([len(value) for value in values])
        pairs = [pair for value in values for pair in value.items()]
        self._out.json([name for name, _ in pairs])
        for name, value in pairs:
            self.column(kind.of, [value], {}, f"{where}.{name}")

    def _many(self, kind: Many, values: Sequence[Any], scope: Scope, where: str) -> None:
        lengths = [len(value) for value in values]
        self._out.ints(lengths)
        rows = list(chain.from_iterable(map(repeat, range(len(values)), lengths)))
        if rows:
            self.column(kind.of, list(chain.from_iterable(values)), _rows(scope, rows), where)

    def _one(self, kind: One, values: Sequence[Any], _scope: Scope, where: str) -> None:
        match kind.scalar:
            case "int" | "bool":
                self._out.ints(values)
            case "float":
                self._out.doubles(values)
            case "str" | "json":
                self._out.json(list(values))
            case "named":
                for value in values:
                    encode_named(self._out, where, value)

    def _arrays(self, kind: Values, values: Sequence[Array], scope: Scope, where: str) -> None:
        sizes = [len(value) for value in values]
        expected = _sizes(kind, scope)
        if expected is None:
            self._out.ints(sizes)
            scope[kind.factors[0]] = [size - kind.plus for size in sizes]
        elif sizes != expected:
            found, size = next(pair for pair in zip(sizes, expected, strict=True) if pair[0] != pair[1])
            raise InputError(f"{where} has {found} values, expected {kind.array.shape} = {size}")
        if kind.array.ends_at:
            scope[kind.array.ends_at] = [int(value[-1]) for value in values]
        flat = values[0] if len(values) == 1 else np.concatenate(values)
        if flat.dtype.kind not in ("f" if kind.dtype == "float32" else "iub"):
            raise InputError(f"{where} is an array of {flat.dtype}, expected {kind.dtype}")
        if kind.dtype == "float32":
            self._floats(kind, flat, scope, where)
        elif kind.dtype == "uint8":
            self._out.raw(flat.astype(np.uint8).tobytes())
        else:
            self._out.ints(self._whole(kind, flat, values, where))

    def _floats(self, kind: Values, flat: Array, scope: Scope, where: str) -> None:
        flat = np.ascontiguousarray(flat, dtype=np.float32)
        write = self._out.floats if kind.array.digits is None else self._out.digits
        match kind.array.packing:
            case "sparse":
                kept = np.flatnonzero(flat.view(np.uint32))
                self._out.ints([len(kept)])
                self._out.ints(_gaps(kept))
                write(flat[kept])
            case "per token":
                write(_per_token(flat, np.concatenate(scope["tokens"]), where))
            case _:
                write(flat)

    def _whole(self, kind: Values, flat: Array, values: Sequence[Array], where: str) -> Array:
        """Whole numbers as they are packed."""
        match kind.array.packing:
            case "delta":
                return _steps(flat)
            case "gaps":
                return np.concatenate([_gaps(value) for value in values])
            case "offsets":
                return np.concatenate([_steps(value)[1:] for value in values])
            case "token":
                assert self._index is not None, f"{where} holds token ids, but no table of their text was given"
                return self._index(flat)
            case _:
                return flat


WRITERS = {
    One: "_one",
    Choice: "_choices",
    Maybe: "_maybe",
    Many: "_many",
    ByName: "_by_name",
    Values: "_arrays",
    Record: "_records",
}
"""How `Encoder` writes columns of each kind."""


def _rows(scope: Scope, rows: list[int]) -> Scope:
    """The columns of some rows."""
    return {name: [column[i] for i in rows] for name, column in scope.items()}


def _sizes(kind: Values, scope: Scope) -> list[int] | None:
    """What sizes the arrays must have; None where they say it themselves."""
    if any(factor not in scope for factor in kind.factors):
        return None
    return [prod(row) + kind.plus for row in zip(*(scope[factor] for factor in kind.factors), strict=True)]


def _steps(values: Array) -> NDArray[np.int64]:
    """Differences to the number before, the first to 0."""
    found = values.astype(np.int64)
    found[1:] -= values[:-1]
    return found


def _gaps(ascending: Array) -> NDArray[np.int64]:
    """How many whole numbers from 0 on are left out before each of some: 0 for one right after the one before."""
    found = ascending.astype(np.int64)
    found[1:] -= ascending[:-1] + 1
    return found


def _per_token(values: Array, tokens: Array, where: str) -> Array:
    """The value of each distinct token, in order of first occurrence."""
    _, first, which = np.unique(tokens, return_index=True, return_inverse=True)
    if not np.array_equal(values[first][which], values, equal_nan=True):
        raise InputError(f"{where} differ between occurrences of a token, expected one value for each token")
    found: Array = values[np.sort(first)]
    return found
