"""Checks of what users give, whatever kind of number, sequence or text it comes as."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Set
from typing import Any

from sae_vis.errors import InputError

MOST_SHOWN = 60  # characters of a value in a message


def shown(value: object) -> str:
    """A value for a message: its text in Python, cut short, with its type where that tells more."""
    text = " ".join(repr(value).split())
    text = text if len(text) <= MOST_SHOWN else f"{text[:MOST_SHOWN]}…"
    return text if value is None or isinstance(value, (str, bytes)) else f"{text} ({type(value).__name__})"


def plain(value: object) -> Any:  # noqa: ANN401  whatever it was
    """NumPy's and PyTorch's scalars and arrays as numbers and lists of Python; anything else as it is."""
    tolist = getattr(value, "tolist", None)
    return tolist() if callable(tolist) else value


def whole_number(value: object, name: str, least: int | None = None) -> int:
    """A whole number, of Python, NumPy or PyTorch, as Python's.

    Args:
        value: what was given.
        name: of the option, for the message.
        least: the smallest that makes sense; None: any.

    Raises:
        InputError: no whole number, or one that is too small.
    """
    number = plain(value)
    if isinstance(number, bool) or not isinstance(number, int):
        raise InputError(f"{name} is {shown(value)}, expected a whole number")
    if least is not None and number < least:
        raise InputError(f"{name} is {number}, expected at least {least}")
    return number


def a_share(value: object, name: str) -> float:
    """A share of a whole, of Python, NumPy or PyTorch, as Python's number.

    Raises:
        InputError: no number from 0 to 1.
    """
    number = plain(value)
    if isinstance(number, bool) or not isinstance(number, (int, float)) or not 0 <= number <= 1:
        raise InputError(f"{name} is {shown(value)}, expected a share from 0 to 1, such as 0.1 for 10%")
    return float(number)


def is_whole_number(value: object) -> bool:
    """Whether `whole_number` takes a value."""
    number = plain(value)
    return isinstance(number, int) and not isinstance(number, bool)


def feature_ids(given: object, name: str = "features") -> list[int]:
    """Feature ids from any sequence of whole numbers: a list, range, generator, NumPy array, tensor, set (ascending).

    Raises:
        InputError: no such sequence, an empty one, something else than whole numbers in it, one of them twice.
    """
    if isinstance(given, (str, bytes, Mapping)) or not isinstance(given, Iterable):
        raise InputError(f"{name} is {shown(given)}, expected feature ids, such as [4, 8] or range(64)")
    values = plain(given)
    if not isinstance(values, list):  # a tensor or array of one number is one
        values = list(values) if isinstance(values, Iterable) else [values]
    found = []
    for value in values:
        if not is_whole_number(value):
            raise InputError(f"{name} holds {shown(value)}, expected whole numbers: the ids of features")
        found.append(whole_number(value, name))
    if not found:
        raise InputError(f"{name} is empty, expected at least one feature id")
    if len(set(found)) < len(found):
        seen: set[int] = set()
        twice = next(feature for feature in found if feature in seen or seen.add(feature))  # type: ignore[func-returns-value]
        raise InputError(f"{name} names feature {twice} more than once, expected each once")
    return sorted(found) if isinstance(given, Set) else found


def a_text(value: object, name: str) -> str:
    """A text; raises `InputError` if it is something else."""
    if not isinstance(value, str):
        raise InputError(f"{name} is {shown(value)}, expected text")
    return str(value)


def require_a(kind: type, value: object, name: str, instead: str) -> None:
    """Raise `InputError` unless a value is of a class; `instead` says how to get one."""
    if not isinstance(value, kind):
        raise InputError(f"{name} is {shown(value)}, expected {a_or_an(kind.__name__)}: {instead}")


def a_or_an(word: str) -> str:
    """A word with its article."""
    return f"an {word}" if word[0] in "AEIOU" else f"a {word}"


def surrogate_at(text: str) -> int | None:
    """Index of the first half of a character (a lone surrogate) in a text, which UTF-8 can't spell; None: none."""
    try:
        text.encode("utf-8")
    except UnicodeEncodeError as error:
        return error.start
    return None
