"""Calls that are made in threads while the caller goes on: shards are written while a GPU makes the next ones."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor


class Behind:
    """A few threads. Whoever gives them calls waits where as many are under way already.

    What a call raises is raised to the caller: at its next call, or at the end.

    Args:
        threads: how many calls are under way at most.
    """

    def __init__(self, threads: int) -> None:
        self._threads = threads
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix="sae_vis-behind")
        self._under_way: deque[Future[object]] = deque()

    def __enter__(self) -> Behind:
        """As it is."""
        return self

    def do(self, call: Callable[[], object]) -> None:
        """Have a call made; whatever memory it holds is free once it ends."""
        while len(self._under_way) >= self._threads or (self._under_way and self._under_way[0].done()):
            self._under_way.popleft().result()
        self._under_way.append(self._pool.submit(call))

    def __exit__(self, kind: object, error: object, trace: object) -> None:
        """Wait for all; the first thing that one of them raised is raised, unless something else was."""
        self._pool.shutdown()
        if error is None:
            for one in self._under_way:
                one.result()
