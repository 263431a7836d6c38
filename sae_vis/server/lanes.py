"""Where the server's work is done: one thread for quick answers, one for long ones, one for the model.

An index is opened once for each thread: nothing in an opened index is shared between threads.
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable, Coroutine
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, ParamSpec, TypeVar

P = ParamSpec("P")
T = TypeVar("T")
LOOKS = 0.1  # seconds between two looks at whether a client is still there
ENDS = 2.0  # seconds that work has to end by itself once its lane is closed
NAME = "sae-vis-lane-"


class Cancelled(Exception):  # noqa: N818  it is no error
    """Nobody waits for the answer any more."""


class Stopping(Exception):  # noqa: N818  it is what was asked for
    """The server is being stopped."""

    def __init__(self) -> None:
        super().__init__("the server is being stopped")


class Lane:
    """One thread, its work in the order in which it came.

    Args:
        name: of the thread.
    """

    def __init__(self, name: str) -> None:
        self._pool = ThreadPoolExecutor(max_workers=1, thread_name_prefix=f"{NAME}{name}")
        self._ends: float | None = None

    async def do(
        self, gone: Callable[[], Coroutine[Any, Any, bool]], work: Callable[P, T], *args: P.args, **kwargs: P.kwargs
    ) -> T:
        """Do it and give what it returns; work whose client has gone before its turn came is left out.

        Args:
            gone: asks whether the client has gone.
            work: what to do.
            *args: of `work`.
            **kwargs: of `work`.

        Raises:
            Cancelled: the client has gone.
            Stopping: the lane was closed before the work had ended.
        """
        future = self._begun(work, *args, **kwargs)
        waiting = asyncio.wrap_future(future)
        while True:
            done, _ = await asyncio.wait({waiting}, timeout=LOOKS)
            if waiting.cancelled() or (not done and self._ends is not None and time.monotonic() > self._ends):
                raise Stopping
            if done:
                return waiting.result()
            if await gone() and future.cancel():
                raise Cancelled

    def start(self, work: Callable[[], None]) -> None:
        """Do what says by itself what becomes of it. Raises `Stopping` where the lane is closed."""
        self._begun(work)

    def close(self) -> None:
        """Leave out what has not begun; what has begun ends by itself, for a while with somebody waiting for it."""
        self._ends = time.monotonic() + ENDS
        self._pool.shutdown(wait=False, cancel_futures=True)

    def _begun(self, work: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> Future[T]:
        if self._ends is not None:
            raise Stopping
        return self._pool.submit(work, *args, **kwargs)


def all_ended(within: float) -> bool:
    """Whether the threads of closed lanes end within some seconds; Python waits for them before the process ends."""
    give_up = time.monotonic() + within
    threads = [thread for thread in threading.enumerate() if thread.name.startswith(NAME)]
    for thread in threads:
        thread.join(max(0.0, give_up - time.monotonic()))
    return not any(thread.is_alive() for thread in threads)
