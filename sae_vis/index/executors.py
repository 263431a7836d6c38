"""Who does the work of a build. All of them do the same units, and leave the same files."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable

from sae_vis.index.work import Phase, Work

Progress = Callable[[str, int, int], None]
TOLD = ("index", "count", "sort", "tables")
"""Steps whose progress is told."""


class Executor(ABC):
    """Gets phases of some work done, one after the other."""

    @abstractmethod
    def run(self, work: Work, phase: Phase, progress: Progress) -> None:
        """Return when all units of a phase are done, whoever did them."""

    def close(self) -> None:
        """End what was begun for it."""
        return


class InProcess(Executor):
    """This process does everything."""

    def run(self, work: Work, phase: Phase, progress: Progress) -> None:
        """One unit after the other."""
        edges, told, last = work.edges(phase), phase.step in TOLD, -1

        def within(reached: int) -> None:
            nonlocal last
            if told and last != reached < edges[-1]:  # the end is told once, below
                last = reached
                progress(phase.step, reached, edges[-1])

        with work.ahead(phase):
            for unit in work.lacking(phase):
                if told:
                    progress(phase.step, edges[unit], edges[-1])
                work.do(phase, unit, within)
        if told:
            progress(phase.step, edges[-1], edges[-1])


def perform(work: Work, executor: Executor, progress: Progress) -> None:
    """All phases."""
    for phase in work.phases():
        executor.run(work, phase, progress)
