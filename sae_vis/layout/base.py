"""What stands in a column: the base of all components, and how an option carries its meaning."""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from typing import Any, ClassVar

from sae_vis.contract import ComponentSpec
from sae_vis.errors import InputError

Option = bool | int | float | str | list[int] | None


def option(default: Any, meaning: str) -> Any:  # noqa: ANN401 (a dataclass field takes any default)
    """An option of a component: a dataclass field with a meaning.

    Args:
        default: its value unless it is set.
        meaning: what ``.help()`` and the documentation say.

    Returns:
        The field.
    """
    return field(default=default, metadata={"meaning": meaning})


@dataclass(frozen=True)
class Component:
    """Base of everything that can stand in a column."""

    type_name: ClassVar[str]
    """The name that the page knows the component by; the file of the same name in the front end draws it."""

    def to_spec(self) -> ComponentSpec:
        """This component as the contract names it.

        Returns:
            The record.
        """
        return ComponentSpec(type=self.type_name, options=self.options())

    def options(self) -> dict[str, Option]:
        """Every option's value, in a form that JSON has.

        Returns:
            Values by name.

        Raises:
            InputError: a value that JSON has no form for.
        """
        return {f.name: _plain(getattr(self, f.name), self._where(f.name)) for f in fields(self)}

    def _where(self, name: str) -> str:
        return f"{type(self).__name__}: {name}={getattr(self, name)!r}"

    def _need_count(self, name: str, minimum: int, *, or_else: str = "") -> None:
        value = getattr(self, name)
        if isinstance(value, bool) or not isinstance(value, int) or value < minimum:
            raise InputError(f"{self._where(name)}, expected a whole number of at least {minimum}{or_else}")

    def _need_flags(self, *names: str) -> None:
        for name in names:
            if not isinstance(getattr(self, name), bool):
                raise InputError(f"{self._where(name)}, expected True or False")

    def _need_name(self, name: str) -> None:
        value = getattr(self, name)
        if value is not None and (not isinstance(value, str) or not value):
            raise InputError(f"{self._where(name)}, expected a name or None")

    def _need_buffer(self, name: str) -> None:
        value = getattr(self, name)
        if value is None:
            return
        ok = isinstance(value, (tuple, list)) and len(value) == 2
        if not ok or any(isinstance(n, bool) or not isinstance(n, int) or n < 0 for n in value):
            raise InputError(
                f"{self._where(name)}, expected (tokens before, tokens after), both at least 0, "
                "or None for the whole sequence"
            )
        object.__setattr__(self, name, tuple(value))


def _plain(value: Any, where: str) -> Option:  # noqa: ANN401 (narrowed here)
    if isinstance(value, (tuple, list)) and all(isinstance(n, int) for n in value):
        return [int(n) for n in value]
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    raise InputError(f"{where}, expected a number, text, True, False, None or several whole numbers")
