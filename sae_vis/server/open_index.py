"""An index while it is served: its three threads, and whether it is still what it was."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING, TypeVar

from sae_vis.errors import SaeVisError
from sae_vis.server.compared import CompareDesk
from sae_vis.server.lanes import LOOKS, Cancelled, Lane
from sae_vis.server.notes import NoteFile
from sae_vis.server.served import Desk, Served
from sae_vis.server.streams import Stream

if TYPE_CHECKING:
    from starlette.requests import Request


T = TypeVar("T")
Stamp = tuple[int, int, int] | None


class Gone(SaeVisError):  # noqa: N818  it is what HTTP calls it
    """What a page asks for was there, and is not any more."""


class OpenIndex:
    """One index that is served.

    Args:
        served: what is served.
        model_lane: the thread of the model, which all indices share.
    """

    def __init__(self, served: Served, model_lane: Lane) -> None:
        self.served = served
        self.notes = None if served.notes is None else NoteFile(served.notes)
        self._quick, self._long, self._model = Lane("quick"), Lane("long"), model_lane
        self._desks: dict[str, Desk] = {}
        self._pairs: dict[tuple[str, str], CompareDesk] = {}
        self._stamp = _stamp(served.manifest)
        self._lock = Lock()
        first = Desk(served)
        self._desks["quick"] = first
        self.known_identity, self.seen = first.identity, first.index

    async def identity(self) -> str:
        """Of the index as it is now: an index that was replaced on disk is opened anew."""
        if _stamp(self.served.manifest) != self._stamp:
            await asyncio.to_thread(self._reopen)
        return self.known_identity

    async def check(self) -> None:
        """Raise `Gone` where the index was replaced since its page was loaded."""
        before = self.known_identity
        if await self.identity() != before:
            raise Gone("the index was replaced: load the page again")

    async def quick(self, request: Request, work: Callable[[Desk], T]) -> T:
        """What is at hand in milliseconds."""
        return await self._do("quick", self._quick, request, work)

    async def long(self, request: Request, work: Callable[[Desk], T]) -> T:
        """What may take a while: columns, searches."""
        return await self._do("long", self._long, request, work)

    async def model(self, request: Request, work: Callable[[Desk], T]) -> T:
        """What runs the model, one after the other."""
        return await self._do("model", self._model, request, work)

    async def compared(self, request: Request, other: OpenIndex, work: Callable[[CompareDesk], T]) -> T:
        """What is asked about this index beside another."""
        key = (self.known_identity, other.known_identity)

        def done() -> T:
            if key not in self._pairs:
                self._pairs = {key: CompareDesk(self.served, other.served)}  # one at a time: each opens two indices
            return work(self._pairs[key])

        return await self._long.do(request.is_disconnected, done)

    async def stream(self, request: Request, work: Callable[[Desk], Iterator[bytes]]) -> AsyncIterator[bytes]:
        """What runs the model for long: its parts as they are made, until the client goes."""
        stream = Stream(asyncio.get_running_loop())
        self._model.start(lambda: stream.fill(lambda: work(self._desk("model"))))
        first = asyncio.ensure_future(stream.first())
        while not first.done():
            await asyncio.wait({first}, timeout=LOOKS)
            if not first.done() and await request.is_disconnected():
                stream.leave()
                first.cancel()
                raise Cancelled
        return first.result()

    def close(self) -> None:
        """Leave out what has not begun."""
        for lane in (self._quick, self._long, self._model):
            lane.close()

    async def _do(self, name: str, lane: Lane, request: Request, work: Callable[[Desk], T]) -> T:
        def done() -> T:
            return work(self._desk(name))

        return await lane.do(request.is_disconnected, done)

    def _desk(self, name: str) -> Desk:
        """The desk of a thread, which only that thread asks for."""
        desk = self._desks.get(name)
        if desk is None:
            desk = self._desks[name] = Desk(self.served)
        return desk

    def _reopen(self) -> None:
        """Open what is there now. Raises `DamagedIndexError` where there is no whole index."""
        with self._lock:
            stamp = _stamp(self.served.manifest)
            if stamp == self._stamp:
                return
            fresh = Desk(self.served)
            self._desks = {"quick": fresh}
            self.known_identity, self.seen, self._stamp = fresh.identity, fresh.index, stamp


def _stamp(manifest: Path | None) -> Stamp:
    """What changes when a file is replaced; None where there is none."""
    if manifest is None:
        return None
    try:
        found = manifest.stat()
    except OSError:
        return None
    return found.st_ino, found.st_mtime_ns, found.st_size
