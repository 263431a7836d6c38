"""Answers that come in parts, each as soon as it is made."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from threading import Event
from typing import TYPE_CHECKING

from starlette.responses import StreamingResponse

from sae_vis.deliver.answers import framed
from sae_vis.server.lanes import Stopping

if TYPE_CHECKING:
    from starlette.types import Receive, Scope, Send

END = None
Part = bytes | Exception | None
log = logging.getLogger("sae_vis.server")


class Stream:
    """Parts made in one thread and sent in another; whoever makes them stops when nobody reads any more.

    Args:
        loop: of the reader.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop, self._parts = loop, asyncio.Queue[Part]()
        self._left = Event()
        self._first: Part = END

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

    async def begin(self) -> None:
        """Wait for the first part; what goes wrong before it is raised here."""
        part = await self._parts.get()
        if isinstance(part, Exception):
            raise part
        self._first = part

    async def parts(self) -> AsyncIterator[bytes]:
        """The parts, once they have begun."""
        part = self._first
        while part is not END:
            if isinstance(part, Exception):
                raise part
            yield part
            part = await self._parts.get()

    def leave(self) -> None:
        """Nobody reads any more."""
        self._left.set()

    def stop(self) -> None:
        """End it before its end, which its reader is told. In the reader's thread."""
        self._left.set()
        self._parts.put_nowait(Stopping())


class PartsResponse(StreamingResponse):
    """The parts of a stream, each behind its length: four bytes, the lowest first.

    However it ends, whoever makes the parts is told. What goes wrong on the way is told in the answer, whose status is
    sent by then: a part of no bytes, which none is otherwise, and behind it the reason as a text.

    Args:
        stream: one that has begun.
        told: the reason of an error in words.
        media_type: of the answer.
        headers: of the answer.
    """

    def __init__(
        self, stream: Stream, told: Callable[[Exception], str], *, media_type: str, headers: Mapping[str, str]
    ) -> None:
        super().__init__(_framed(stream.parts(), told), media_type=media_type, headers=headers)
        self._stream = stream

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send it."""
        try:
            await super().__call__(scope, receive, send)
        except Exception:
            log.exception("an answer was cut off")
        finally:
            self._stream.leave()


async def _framed(parts: AsyncIterator[bytes], told: Callable[[Exception], str]) -> AsyncIterator[bytes]:
    try:
        async for part in parts:
            yield framed(part)
    except Exception as error:
        yield framed(b"") + framed(told(error).encode())
