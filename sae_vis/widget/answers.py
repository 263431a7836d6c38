"""What the widget's page asks for by messages, answered as the server answers: the same paths, the same blocks."""

from __future__ import annotations

import base64
import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Literal, NamedTuple
from urllib.parse import parse_qs, unquote, urlsplit

from sae_vis.checks import whole_number
from sae_vis.errors import InputError
from sae_vis.server.served import Desk
from sae_vis.views.prompt import PromptSettings
from sae_vis.widget.script import packed_script

Body = Mapping[str, Any]
MOST_PAIRS = 1_000  # of a prompt whose full effects are measured at once: a cell's kernel does nothing else meanwhile


def as_text(block: bytes) -> str:
    """A block as text: some front ends drop the binary part of a message."""
    return base64.b64encode(block).decode("ascii")


class Asked(NamedTuple):
    """A question.

    Attributes:
        at: what is behind the path's first word.
        query: what is behind its ``?``.
        body: what is posted there.
    """

    at: list[str]
    query: Mapping[str, str]
    body: Body


def _read(desk: Desk, asked: Asked) -> bytes:
    document, page = asked.at
    return desk.read(_number(document), _number(page), _numbers(asked.query.get("f", "")))


def _firing(desk: Desk, asked: Asked) -> bytes:
    direction: Literal[1, -1] = -1 if "before" in asked.query else 1
    position = asked.query.get("before" if direction == -1 else "after", "")
    return desk.next_firing(_number(asked.at[0]), _number(position, signed=True), direction)


def _page(desk: Desk, asked: Asked) -> bytes:
    features = asked.body.get("features")
    if not (isinstance(features, list) and all(type(one) is int for one in features)):
        raise InputError("the request has no 'features', expected a list of numbers")
    return desk.page(features, _text(asked.body, "title"))


def _prompt(desk: Desk, asked: Asked) -> bytes:
    return desk.prompt(_text(asked.body), PromptSettings(compare=_second(asked.body)))


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


WAYS: Mapping[str, tuple[int, Callable[[Desk, Asked], bytes]]] = {
    "column": (1, lambda desk, asked: desk.column(asked.at[0])),
    "map": (0, lambda desk, asked: desk.map()),
    "logits": (1, lambda desk, asked: desk.logits(_number(asked.at[0]), asked.query.get("q", ""))),
    "page": (0, _page),
    "rows": (0, lambda desk, asked: desk.rows(_numbers(asked.query.get("f", "")))),
    "card": (1, lambda desk, asked: desk.card(_number(asked.at[0]))),
    "full": (1, lambda desk, asked: desk.full_card(_number(asked.at[0]))),
    "search": (0, lambda desk, asked: desk.search(asked.query.get("q", ""))),
    "read": (2, _read),
    "place": (2, lambda desk, asked: desk.place(_number(asked.at[0]), _number(asked.at[1]))),
    "firing": (1, _firing),
    "try": (0, lambda desk, asked: desk.tried(_text(asked.body))),
    "wakes": (0, lambda desk, asked: desk.wakes(_text(asked.body))),
    "prompt": (0, _prompt),
}
"""By a path's first word: how many more it has, and what answers."""


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
        word, *at = [unquote(part) for part in url.path.split("/")]
        query = {name: values[-1] for name, values in parse_qs(url.query).items()}
        n, way = WAYS.get(word, (-1, None))
        if word == "head":
            yield self.head()
        elif word == "script":
            yield packed_script()
        elif word == "effects":
            yield from self._effects(body or {})
        elif way is not None and n == len(at):
            yield way(self._desk, Asked(at, query, body or {}))
        else:
            raise InputError(f"the widget has nothing at {url.path[:80]!r}: serve the index for that")

    def _effects(self, body: Body) -> Iterator[bytes]:
        pairs = min(whole_number(body.get("pairs"), "pairs", 1), MOST_PAIRS)
        yield from self._desk.full_effects(_text(body), PromptSettings(compare=_second(body), full_effects=pairs))
