"""An index while it is served: its three threads, and whether it is still what it was."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Iterator
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING, TypeVar
from weakref import WeakSet

from sae_vis.errors import SaeVisError
from sae_vis.index.explanations import TEXTS
from sae_vis.server.compared import CompareDesk
from sae_vis.server.lanes import LOOKS, Cancelled, Lane
from sae_vis.server.notes import NoteFile
from sae_vis.server.served import Desk, Served
from sae_vis.server.streams import Stream

if TYPE_CHECKING:
    from starlette.requests import Request


T = TypeVar("T")
FileStamp = tuple[int, int, int] | None
Stamp = tuple[FileStamp, FileStamp] | None
REPLACED = "the index was replaced: load the page again"


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
        self._streams: WeakSet[Stream] = WeakSet()
        self._stamp = _stamp(served.manifest)
        self._lock = Lock()
        first = Desk(served)
        first.prepare()
        self._desks["quick"] = first
        self.known_identity, self.seen = first.identity, first.index

    async def check(self) -> None:
        """Raise `Gone` where the index was replaced on disk since its page was loaded; the new one is opened.

        Raises:
            DamagedIndexError: there is no whole index any more.
        """
        before = self.known_identity
        await self._refresh()
        if self.known_identity != before:
            raise Gone(REPLACED)

    async def last_identity(self) -> str:
        """Of the index as it is now; of one that can't be opened any more, as it was."""
        with contextlib.suppress(SaeVisError):
            await self._refresh()
        return self.known_identity

    async def _refresh(self) -> None:
        if _stamp(self.served.manifest) != self._stamp:
            await asyncio.to_thread(self._reopen)

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
        await self.check()
        await other.check()
        key = (self.known_identity, other.known_identity)

        def done() -> T:
            if key not in self._pairs:
                made = CompareDesk(self.served, other.served)
                self._pairs = {key: made}  # one at a time: each opens two indices
            return work(self._pairs[key])

        with self._still(key[0]), other._still(key[1]):
            return await self._long.do(request.is_disconnected, done)

    async def stream(self, request: Request, work: Callable[[Desk], Iterator[bytes]]) -> Stream:
        """What runs the model for long: its parts as they are made, until the client goes."""
        await self.check()
        identity, stream = self.known_identity, Stream(asyncio.get_running_loop())
        self._model.start(lambda: stream.fill(lambda: work(self._desk("model", identity))))
        self._streams.add(stream)
        began = asyncio.ensure_future(stream.begin())
        try:
            while not began.done():
                await asyncio.wait({began}, timeout=LOOKS)
                if not began.done() and await request.is_disconnected():
                    raise Cancelled
            began.result()
        except BaseException:
            stream.leave()
            began.cancel()
            raise
        return stream

    def close(self) -> None:
        """Leave out what has not begun."""
        for lane in (self._quick, self._long, self._model):
            lane.close()
        for stream in self._streams:
            stream.stop()

    async def _do(self, name: str, lane: Lane, request: Request, work: Callable[[Desk], T]) -> T:
        await self.check()
        identity = self.known_identity
        with self._still(identity):
            return await lane.do(request.is_disconnected, lambda: work(self._desk(name, identity)))

    @contextlib.contextmanager
    def _still(self, identity: str) -> Iterator[None]:
        """Raise `Gone` where the index is replaced meanwhile: an answer may be made of files of both."""
        try:
            yield
        except Exception as error:
            if self._is_replaced(identity):
                raise Gone(REPLACED) from error
            raise
        if self._is_replaced(identity):
            raise Gone(REPLACED)

    def _is_replaced(self, identity: str) -> bool:
        return self.known_identity != identity or _stamp(self.served.manifest) not in (None, self._stamp)

    def _desk(self, name: str, identity: str) -> Desk:
        """The desk of a thread, which only that thread asks for. Raises `Gone` where the index is another by now."""
        desk = self._desks.get(name)
        if desk is None or desk.identity != identity:
            desk = Desk(self.served)
            if desk.identity != identity:
                raise Gone(REPLACED)
            self._desks[name] = desk
        return desk

    def _reopen(self) -> None:
        """See what is there now. Raises `DamagedIndexError` where there is no whole index."""
        with self._lock:
            stamp = _stamp(self.served.manifest)
            if stamp == self._stamp:
                return
            fresh = Desk(self.served)
            self.known_identity, self.seen, self._stamp = fresh.identity, fresh.index, stamp


def _stamp(manifest: Path | None) -> Stamp:
    """What changes when an index or its explanations are replaced; None where there is no index."""
    found = None if manifest is None else _file_stamp(manifest)
    return None if manifest is None or found is None else (found, _file_stamp(manifest.parent / TEXTS))


def _file_stamp(path: Path) -> FileStamp:
    """What changes when a file is replaced; None where there is none."""
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_ino, found.st_mtime_ns, found.st_size
