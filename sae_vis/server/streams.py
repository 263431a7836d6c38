"""Answers that come in parts, each as soon as it is made."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from threading import Event

from sae_vis.deliver.answers import framed

END = None
Part = bytes | Exception | None


class Stream:
    """Parts made in one thread and sent in another; whoever makes them stops when nobody reads any more.

    Args:
        loop: of the reader.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop, self._parts = loop, asyncio.Queue[Part]()
        self._left = Event()

    def fill(self, make: Callable[[], Iterator[bytes]]) -> None:
        """Make all parts, in the thread of whoever calls this."""
        if self._left.is_set():
            return
        try:
            for part in make():
                self._put(part)
                if self._left.is_set():
                    return
            self._put(END)
        except Exception as error:
            self._put(error)

    def _put(self, part: Part) -> None:
        if not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._parts.put_nowait, part)

    async def first(self) -> AsyncIterator[bytes]:
        """The parts, once there is one; what goes wrong before it is raised here."""
        part = await self._parts.get()
        if isinstance(part, Exception):
            raise part
        return self._rest(part)

    async def _rest(self, part: Part) -> AsyncIterator[bytes]:
        try:
            while part is not END:
                if isinstance(part, Exception):
                    raise part
                yield part
                part = await self._parts.get()
        finally:
            self._left.set()

    def leave(self) -> None:
        """Nobody reads any more."""
        self._left.set()


async def in_frames(parts: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    """Each part behind its length."""
    async for part in parts:
        yield framed(part)
