"""Parameters that moved: the old keyword is taken for one version, with a warning that says the new way."""

from __future__ import annotations

import difflib
import inspect
import sys
import warnings
from collections.abc import Callable, Mapping
from dataclasses import MISSING, dataclass, fields, is_dataclass, replace
from functools import wraps
from typing import Any, TypeVar, cast

from sae_vis.errors import InputError

_F = TypeVar("_F", bound=Callable[..., Any])
_BETWEEN = ("sae_vis.moved", "sae_vis.neutral")
"""Modules whose frames stand between a call and its function: a warning is about the line before them."""


@dataclass(frozen=True)
class Moved:
    """Where old keywords have gone.

    Attributes:
        to: the parameter that there is now.
        kind: class of option objects, of which the old keywords are fields; ``tuple``: they are its parts, in their
            order; None: the parameter has another name.
        names: the old keywords.
    """

    to: str
    kind: type | None
    names: tuple[str, ...]

    def new_way(self, names: list[str]) -> str:
        """How some of the old keywords are written now."""
        if self.kind is None:
            return f"{self.to}=…"
        if self.kind is tuple:
            return f"{self.to}=({', '.join(self.names)})"
        return f"{self.to}={self.kind.__name__}({', '.join(f'{name}=…' for name in names)})"

    def value(self, given: Any, old: Mapping[str, Any], function: str) -> Any:  # noqa: ANN401  whatever it is
        """What the parameter is, from what was `given` for it and under the `old` keywords.

        Raises:
            InputError: one thing given twice, or something without what belongs to it.
        """
        if self.kind is None:
            return _the_same({self.to: given, **old})
        if self.kind is tuple:
            if given is not None:
                raise InputError(_twice(next(iter(old)), function, self.to))
            return tuple(old.get(name) for name in self.names)
        if given is not None:
            for field in fields(self.kind):
                if field.name in old and getattr(given, field.name, field.default) != field.default:
                    raise InputError(_twice(field.name, function, self.to))
            return replace(given, **old)
        missing = [
            f.name
            for f in fields(self.kind)
            if f.default is MISSING and f.default_factory is MISSING and f.name not in old
        ]
        if missing:
            raise InputError(
                f"{next(iter(old))}= of {function} needs {missing[0]}=, which is not given: give both, as "
                f"{self.new_way([missing[0], *old])}"
            )
        return self.kind(**old)


def moved(*several: Moved) -> Callable[[_F], _F]:
    """A function that still takes old keywords, each call with one `DeprecationWarning`; its signature is the new one.

    Its attribute ``moved`` says where they have gone.

    An old keyword that is None counts as not given. A keyword that is neither new nor old is a `TypeError` that lists
    those of similar names.
    """
    homes = {name: one for one in several for name in one.names}

    def decorated(function: _F) -> _F:
        signature = inspect.signature(function)
        name = function.__qualname__

        @wraps(function)
        def called(*args: Any, **given: Any) -> Any:  # noqa: ANN401
            strange = [key for key in given if key not in signature.parameters]
            if not strange:
                return function(*args, **given)
            unknown = [key for key in strange if key not in homes]
            if unknown:
                raise TypeError(_unknown(name, unknown[0], signature, homes))
            old = {key: given.pop(key) for key in strange}
            told = "; ".join(
                one.new_way(names) for one in several if (names := [key for key in old if key in one.names])
            )
            there = signature.bind_partial(*args, **given).arguments
            for one in several:
                used = {key: value for key, value in old.items() if key in one.names and value is not None}
                if used:
                    value = one.value(there.get(one.to), used, name)
                    at = list(signature.parameters).index(one.to)
                    args = (*args[:at], value, *args[at + 1 :]) if at < len(args) else args
                    given |= {} if at < len(args) else {one.to: value}
            listed = ", ".join(f"{key}=" for key in old)
            message = f"{listed} of {name} will not be taken by the next version: give {told}"
            warnings.warn(message, DeprecationWarning, stacklevel=_level())
            return function(*args, **given)

        called.__dict__["moved"] = several
        return cast("_F", called)

    return decorated


def _the_same(named: Mapping[str, Any]) -> Any:  # noqa: ANN401  whatever it is
    """The value of a parameter that has several names."""
    (first, value), *others = [(name, value) for name, value in named.items() if value is not None]
    for name, other in others:
        if other is not value and not (isinstance(other, str | int) and other == value):
            raise InputError(f"{first} and {name} are two names of one parameter, and both are given; give one")
    return value


def _twice(name: str, function: str, to: str) -> str:
    return f"{name}= of {function} is given twice, the second time in {to}=; leave the first out"


def _unknown(function: str, name: str, signature: inspect.Signature, homes: Mapping[str, Moved]) -> str:
    """What is said of a keyword that nobody knows."""
    every = [key for key in signature.parameters if key not in {"self", "cls"}]
    fields_of = {field.name: one for one in homes.values() if is_dataclass(one.kind) for field in fields(one.kind)}
    near = difflib.get_close_matches(name, [*every, *fields_of], n=3)
    said = [f"{key}=" if key in every else fields_of[key].new_way([key]) for key in near]
    return f"{function}() has no parameter {name!r}; " + (
        f"near it: {', '.join(said)}" if said else f"it has {', '.join(f'{key}=' for key in every)}"
    )


def _level() -> int:
    """The `stacklevel` at which a warning of `called` is about the line that calls the function."""
    level, frame = 1, sys._getframe(1)
    while frame.f_back is not None and frame.f_globals.get("__name__") in _BETWEEN:
        level, frame = level + 1, frame.f_back
    return level
