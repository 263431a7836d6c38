"""A layout from JSON; every wrong key, component or option is named."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import fields
from typing import Any

from sae_vis.errors import InputError
from sae_vis.layout.base import Component
from sae_vis.layout.components import BUILT_IN

ParsedColumn = tuple[list[Component], Any]
"""Components, and what is given as the width."""


def parsed_layout(text: str, own: Iterable[type[Component]]) -> tuple[list[ParsedColumn], Any]:
    """The columns of a layout's JSON, and what it gives as the height; see `SaeVisLayoutConfig.from_json`."""
    known = {kind.type_name: kind for kind in (*BUILT_IN, *own)}
    try:
        found = json.loads(text)
    except json.JSONDecodeError as error:
        raise InputError(f"a layout's JSON can't be read: {error}") from error
    fields_of = _object(found, "a layout", {"height", "columns"})
    columns = [
        _column_of(entry, f"column {i}", known) for i, entry in enumerate(_list(fields_of, "columns", "a layout"))
    ]
    return columns, fields_of.get("height")


def _column_of(found: object, where: str, known: Mapping[str, type[Component]]) -> ParsedColumn:
    entry = _object(found, where, {"width", "components"})
    components = [_component_of(one, where, known) for one in _list(entry, "components", where)]
    return components, entry.get("width")


def _component_of(found: object, where: str, known: Mapping[str, type[Component]]) -> Component:
    entry = _object(found, f"a component of {where}", {"type", "options"})
    kind = known.get(str(entry.get("type")))
    if kind is None:
        raise InputError(
            f"{where} names the component {entry.get('type')!r}, expected one of {', '.join(sorted(known))}"
            " (give classes of your own as own=)"
        )
    options = _object(entry.get("options", {}), f"{kind.type_name} in {where}", {f.name for f in fields(kind)})
    return kind(**{name: tuple(value) if isinstance(value, list) else value for name, value in options.items()})


def _object(found: object, where: str, known: set[str]) -> dict[str, Any]:
    if not isinstance(found, dict):
        raise InputError(f"{where} is {found!r}, expected an object with {_names(known)}")
    for name in found:
        if name not in known:
            raise InputError(f"{where} has no {name!r}, expected {_names(known)}")
    return found


def _names(known: set[str]) -> str:
    return "some of " + ", ".join(sorted(known)) if known else "nothing"


def _list(found: Mapping[str, Any], name: str, where: str) -> list[Any]:
    value = found.get(name)
    if not isinstance(value, list):
        raise InputError(f"{name} of {where} is {value!r}, expected a list")
    return value
