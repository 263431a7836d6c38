"""What the annotations of the contract say, as kinds of values that a codec, types and documentation are made from."""

from __future__ import annotations

import collections.abc
import dataclasses
import re
import types
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from typing import Annotated, Any, Literal, Union, get_args, get_origin, get_type_hints

import numpy as np

from sae_vis.contract.annotations import Array, Json, Named

Scalar = Literal["int", "float", "bool", "str", "json", "named"]
SCALARS: dict[object, Scalar] = {int: "int", float: "float", bool: "bool", str: "str"}
DTYPES: dict[object, str] = {np.float32: "float32", np.int32: "int32", np.uint8: "uint8"}


@dataclass(frozen=True)
class One:
    """A single value."""

    scalar: Scalar


@dataclass(frozen=True)
class Choice:
    """One of some words."""

    words: tuple[str, ...]


@dataclass(frozen=True)
class Maybe:
    """A value, or None."""

    of: Kind


@dataclass(frozen=True)
class Many:
    """Any number of values."""

    of: Kind


@dataclass(frozen=True)
class ByName:
    """Any number of values, each with a name."""

    of: Kind


@dataclass(frozen=True)
class Values:
    """An array of one dimension.

    Attributes:
        dtype: NumPy's name of it.
        array: the rest of what its annotation says.
        factors: names of sizes whose product is its size, less `plus`.
        plus: 0 or 1.
    """

    dtype: str
    array: Array
    factors: tuple[str, ...]
    plus: int


@dataclass(frozen=True)
class Record:
    """A dataclass of the contract."""

    type: type
    fields: tuple[tuple[str, Kind], ...]

    @property
    def name(self) -> str:
        """Of the dataclass."""
        return self.type.__name__


HOLDERS: dict[type, str] = {Maybe: "maybe", Many: "many", ByName: "by name"}
"""Names of the kinds that hold values of another, in the table."""

Kind = One | Choice | Maybe | Many | ByName | Values | Record


@cache
def record_of(dataclass_type: type) -> Record:
    """The kind of a dataclass of the contract.

    Raises:
        TypeError: a field whose annotation says nothing that can travel; names it.
    """
    hints = get_type_hints(dataclass_type, include_extras=True)
    where = dataclass_type.__name__
    fields = [
        (field.name, kind_of(hints[field.name], f"{where}.{field.name}"))
        for field in dataclasses.fields(dataclass_type)
    ]
    return Record(type=dataclass_type, fields=tuple(fields))


def kind_of(hint: Any, where: str) -> Kind:  # noqa: ANN401 (any annotation)
    """The kind of values that an annotation allows.

    Raises:
        TypeError: none that can travel; says which, and `where`.
    """
    if hint in SCALARS:
        return One(SCALARS[hint])
    if dataclasses.is_dataclass(hint) and isinstance(hint, type):
        return record_of(hint)
    origin, args = get_origin(hint), get_args(hint)
    if origin is Annotated:
        return _annotated(args[0], args[1], where)
    if origin is Literal and all(isinstance(word, str) for word in args):
        return Choice(args)
    inner = _inner(origin, args)
    if inner is None:
        raise TypeError(f"{where} is annotated with {hint!r}, expected what `sae_vis.contract.schema` knows")
    made, of = inner
    return made(kind_of(of, where))


def _inner(origin: object, args: tuple[Any, ...]) -> tuple[type[Maybe | Many | ByName], Any] | None:
    """Of what holds other values: its kind, and their annotation."""
    if origin in (Union, types.UnionType) and len(args) == 2 and args[1] is type(None):
        return Maybe, args[0]
    if origin is tuple and len(args) == 2 and args[1] is Ellipsis:
        return Many, args[0]
    if origin is collections.abc.Mapping and args[0] is str:
        return ByName, args[1]
    return None


def _annotated(hint: Any, note: object, where: str) -> Kind:  # noqa: ANN401 (any annotation)
    if isinstance(note, Json | Named):
        return One("json" if isinstance(note, Json) else "named")
    if not isinstance(note, Array) or get_origin(hint) is not np.ndarray:
        raise TypeError(f"{where} is {hint!r} annotated with {note!r}, expected an array annotated with Array(…)")
    dtype = DTYPES[get_args(get_args(hint)[1])[0]]
    found = re.fullmatch(r"(\w+(?: \* \w+)*)( \+ 1)?", note.shape)
    if found is None:
        raise TypeError(f"{where} has the shape {note.shape!r}, expected names joined by *, either with + 1")
    return Values(dtype=dtype, array=note, factors=tuple(found[1].split(" * ")), plus=0 if found[2] is None else 1)


def below(kind: Kind) -> Iterator[Record]:
    """The records that a kind is made of, each once, those that others are made of first."""
    seen: dict[Record, None] = {}
    _collect(kind, seen)
    return iter(seen)


def _collect(kind: Kind, seen: dict[Record, None]) -> None:
    if isinstance(kind, Maybe | Many | ByName):
        _collect(kind.of, seen)
    if isinstance(kind, Record) and kind not in seen:
        for _, inner in kind.fields:
            _collect(inner, seen)
        seen[kind] = None


def told(kind: Kind) -> Any:  # noqa: ANN401 (JSON)
    """A kind as JSON, as the page's decoder reads it; records by name."""
    match kind:
        case One(scalar):
            return scalar
        case Choice(words):
            return ["choice", *words]
        case Maybe(of) | Many(of) | ByName(of):
            return [HOLDERS[type(kind)], told(of)]
        case Values(dtype, array):
            more = ["3 digits"] if array.digits else [array.ends_at] if array.ends_at else []
            return [dtype, array.packing, array.shape.replace(" ", ""), *more]
        case Record():
            return ["record", kind.name]
