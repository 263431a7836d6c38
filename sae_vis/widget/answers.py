"""What the widget's page asks for by messages, answered as the server answers: the same paths, the same blocks."""

from __future__ import annotations

import base64
import re
from collections.abc import Iterator, Mapping
from typing import Any, Literal
from urllib.parse import parse_qs, unquote, urlsplit

from sae_vis.checks import whole_number
from sae_vis.errors import InputError
from sae_vis.server.served import Desk
from sae_vis.views.prompt import PromptSettings

Body = Mapping[str, Any]
MOST_PAIRS = 1_000  # of a prompt whose full effects are measured at once: a cell's kernel does nothing else meanwhile


def as_text(block: bytes) -> str:
    """A block as text: some front ends drop the binary part of a message."""
    return base64.b64encode(block).decode("ascii")


class Answers:
    """Answers about one index.

    Args:
        desk: what makes them.
        title: of the index.
    """

    def __init__(self, desk: Desk, title: str) -> None:
        self._desk, self._title = desk, title

    def head(self) -> bytes:
        """What the explorer begins with."""
        desk = self._desk
        return desk.head([(desk.identity, self._title, desk.index)])

    def blocks(self, path: str, body: Body | None = None) -> Iterator[bytes]:
        """The answer to a path, in as many parts as it has: one, but for effects that are measured.

        Args:
            path: as `sae_vis.server.app` has them, behind the index's identity.
            body: of what is posted there.

        Raises:
            InputError: a path that nothing answers to, and whatever is wrong with what is asked.
        """
        url = urlsplit(path)
        names = [unquote(part) for part in url.path.split("/")]
        query = {name: values[-1] for name, values in parse_qs(url.query).items()}
        if names[0] == "effects":
            yield from self._effects(body or {})
        else:
            yield self._one(names, query, body)

    def _one(self, names: list[str], query: Mapping[str, str], body: Body | None) -> bytes:
        desk = self._desk
        match names:
            case ["head"]:
                return self.head()
            case ["column", name]:
                return desk.column(name)
            case ["rows"]:
                return desk.rows(_numbers(query.get("f", "")))
            case ["card", feature]:
                return desk.card(_number(feature))
            case ["full", feature]:
                return desk.full_card(_number(feature))
            case ["search"]:
                return desk.search(query.get("q", ""))
            case ["read", document, page]:
                return desk.read(_number(document), _number(page), _numbers(query.get("f", "")))
            case ["place", sequence, position]:
                return desk.place(_number(sequence), _number(position))
            case ["firing", feature]:
                direction: Literal[1, -1] = -1 if "before" in query else 1
                position = query.get("before" if direction == -1 else "after", "")
                return desk.next_firing(_number(feature), _number(position, signed=True), direction)
            case _:
                return self._posted(names, body or {})

    def _posted(self, names: list[str], body: Body) -> bytes:
        match names:
            case ["try"]:
                return self._desk.tried(_text(body))
            case ["wakes"]:
                return self._desk.wakes(_text(body))
            case ["prompt"]:
                return self._desk.prompt(_text(body), PromptSettings(metric="attribution", compare=_second(body)))
            case _:
                raise InputError(f"the widget has nothing at {'/'.join(names)[:80]!r}: serve the index for that")

    def _effects(self, body: Body) -> Iterator[bytes]:
        pairs = min(whole_number(body.get("pairs"), "pairs", 1), MOST_PAIRS)
        yield from self._desk.full_effects(_text(body), PromptSettings(compare=_second(body), full_effects=pairs))


def _number(text: str, *, signed: bool = False) -> int:
    if re.fullmatch(r"-?\d{1,15}" if signed else r"\d{1,15}", text, re.ASCII) is None:
        raise InputError(f"found {text[:40]!r}, expected a whole number")
    return int(text)


def _numbers(text: str) -> list[int]:
    return [_number(part) for part in text.split(",")] if text else []


def _text(body: Body, name: str = "text") -> str:
    found = body.get(name)
    if not isinstance(found, str):
        raise InputError(f"the request has no {name!r}, expected a text")
    return found


def _second(body: Body) -> str | None:
    return None if body.get("compare") is None else _text(body, "compare")
