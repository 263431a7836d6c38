"""Answers that were made lately, as many as fit."""

from __future__ import annotations

from collections import OrderedDict

ROOM = 64 << 20
"""Bytes of answers that are kept."""


class KeptAnswers:
    """The answers asked for last, by key, up to a number of bytes.

    Args:
        room: bytes.
    """

    def __init__(self, room: int = ROOM) -> None:
        self._room, self._used = room, 0
        self._held: OrderedDict[object, bytes] = OrderedDict()

    def get(self, key: object) -> bytes | None:
        """The answer, where it is there."""
        found = self._held.get(key)
        if found is not None:
            self._held.move_to_end(key)
        return found

    def put(self, key: object, answer: bytes) -> None:
        """Keep an answer in place of those asked for longest ago; not one of more than a quarter of the room."""
        if len(answer) > self._room // 4:
            return
        self._used += len(answer) - len(self._held.pop(key, b""))
        self._held[key] = answer
        while self._used > self._room:
            _, dropped = self._held.popitem(last=False)
            self._used -= len(dropped)
