"""What ``verbose=True`` prints."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager

from sae_vis.index.build import Progress


@contextmanager
def told(verbose: bool, work: str | None = None) -> Iterator[Progress | None]:
    """With `verbose`, says how long the stages took, as a table; gives what is to be called with the progress."""
    if not verbose:
        yield None
        return
    from rich.console import Console
    from rich.table import Table

    console, took, last = Console(), dict[str, float](), [time.perf_counter()]

    def note(stage: str, done: int, total: int) -> None:
        now = time.perf_counter()
        took[stage] = took.get(stage, 0.0) + now - last[0]
        last[0] = now
        if done == total:
            console.print(f"{stage}: {total} of {total}")

    started = last[0]
    yield note
    table = Table("part", "seconds")
    for stage, seconds in (took or {work or "work": time.perf_counter() - started}).items():
        table.add_row(stage, f"{seconds:.2f}")
    console.print(table)
