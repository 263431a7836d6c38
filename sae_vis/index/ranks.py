"""Several processes, each started by itself, build an index together: they know of each other by files alone.

Of each phase a rank does every unit whose number is its own (modulo the number of ranks), then waits for the files of
the others. While it works it writes how far it is into a small file; a rank whose file stays the same for the stall
time is taken for dead, and its units are done by those that wait. Should it live after all, what it writes is the
same.
"""

from __future__ import annotations

import json
import logging
import os
import time

from sae_vis.config import Ranks
from sae_vis.errors import SaeVisError
from sae_vis.index.build_files import WORK
from sae_vis.index.executors import TOLD, Executor, Progress
from sae_vis.index.manifest import MANIFEST
from sae_vis.index.storage import BuildPlace
from sae_vis.index.work import Phase, Work, sizes

_LOG = logging.getLogger("sae_vis")
_BEATS = f"{WORK}/ranks"
_POLL, _FIRST_POLL = 1.0, 0.02
"""Seconds between looks for the files of others: short at first, doubled while none comes."""
_BUSY_SHARE = 20
"""Looking for files takes at most one part in so many of the time."""


class RankExecutor(Executor):
    """One of several ranks.

    Args:
        options: which, of how many.
    """

    def __init__(self, options: Ranks) -> None:
        self._options = options
        self._stores: list[BuildPlace] = []
        self._beats = _Beats(options)

    def run(self, work: Work, phase: Phase, progress: Progress) -> None:
        """Own units, then those of ranks that are silent; until all are there."""
        if not self._stores:
            self._stores = [one.store for one in work.indices if isinstance(one.store, BuildPlace)]
            self._beats.at(self._stores[-1])  # of the index that is finished last
        try:
            if not work.sealed(phase):
                self._run(work, phase, progress)
        except (SaeVisError, OSError):
            if not work.sealed(phase):  # by others, and what it was made from is gone
                raise

    def close(self) -> None:
        """What was left by a rank that was slower than the others."""
        for store in self._stores:
            if store.exists(MANIFEST):
                store.delete(WORK)

    def _run(self, work: Work, phase: Phase, progress: Progress) -> None:
        edges, rank, world = work.edges(phase), self._options.rank, self._options.world
        size_of = sizes(edges)
        lacking = {unit: size_of[unit] for unit in work.lacking(phase)}
        self._tell(phase, lacking, edges[-1], progress)
        if phase.step == "begin" and rank != 0:  # nobody needs tokens before the end
            return
        with work.ahead(phase):
            for unit in [unit for unit in lacking if unit % world == rank]:
                self._do(work, phase, unit)
                del lacking[unit]
                self._tell(phase, lacking, edges[-1], progress)
        wait = _FIRST_POLL
        while lacking:
            unit_of_another = self._overdue(phase, list(lacking))
            if unit_of_another is not None:
                self._do(work, phase, unit_of_another)
            began = time.monotonic()
            before, lacking = len(lacking), {unit: size_of[unit] for unit in work.lacking(phase, lacking)}
            self._tell(phase, lacking, edges[-1], progress)
            wait = _FIRST_POLL if len(lacking) < before else 2 * wait
            if lacking and unit_of_another is None:
                longest = min(_POLL, self._options.stall / 10)
                time.sleep(max(min(wait, longest), _BUSY_SHARE * (time.monotonic() - began)))

    def _do(self, work: Work, phase: Phase, unit: int) -> None:
        where = f"{phase.step} {unit}"
        if not work.done(phase, unit):
            work.do(phase, unit, lambda reached: self._beats.beat(f"{where}, {reached}"))
        self._beats.beat(f"{where} done")

    def _tell(self, phase: Phase, lacking: dict[int, int], total: int, progress: Progress) -> None:
        if phase.step in TOLD:
            progress(phase.step, total - sum(lacking.values()), total)

    def _overdue(self, phase: Phase, lacking: list[int]) -> int | None:
        """A unit of a rank that is silent, another one for each that waits; None while all work."""
        rank, world, stall = self._options.rank, self._options.world, self._options.stall
        silent = self._beats.look(stall)
        late = [unit for unit in lacking if unit % world in silent]
        owing = [other for other in sorted({unit % world for unit in late}) if self._beats.news((phase, other))]
        if owing:
            _LOG.warning(
                "rank %d of %d: no progress of rank %s for %g s; "
                "what is left of its part of the step '%s' is done here",
                rank, world, _listed(owing), stall, phase.step,
            )  # fmt: skip
        elif not late and self._beats.waits(stall / 4) and self._beats.news((phase, "waits")):
            _LOG.warning(
                "rank %d of %d: done with its part of the step '%s', waiting for %d units of rank %s",
                rank, world, phase.step, len(lacking), _listed(sorted({unit % world for unit in lacking})),
            )  # fmt: skip
        return late[rank * len(late) // world] if late else None


class _Beats:
    """How far each rank is, as it writes it, and when that was seen to change."""

    def __init__(self, options: Ranks) -> None:
        self._options = options
        self._store: BuildPlace | None = None
        self._count, self._written = 0, 0.0
        self._seen: dict[int, tuple[str, float]] = {}
        self._told: set[object] = set()
        self._since = time.monotonic()

    def at(self, store: BuildPlace) -> None:
        """Whose build the next ones are of."""
        self._store, self._written, self._since = store, 0.0, time.monotonic()
        self.beat("begins")

    def beat(self, where: str) -> None:
        """Say how far this rank is, not too often."""
        now = time.monotonic()
        self._since = now
        if self._store is None or now - self._written < min(5.0, self._options.stall / 10):
            return
        self._count, self._written = self._count + 1, now
        said = {"beat": self._count, "process": os.getpid(), "at": where}
        self._store.beat(f"{_BEATS}/{_name(self._options.rank)}", json.dumps(said) + "\n")

    def look(self, stall: float) -> set[int]:
        """The ranks that have been silent for the stall time."""
        now, found = time.monotonic(), {} if self._store is None else self._store.beats(_BEATS)
        for rank in range(self._options.world):
            mark = found.get(_name(rank), "")
            if rank not in self._seen or self._seen[rank][0] != mark:
                self._seen[rank] = (mark, now)
        return {rank for rank, (_, since) in self._seen.items() if now - since >= stall}

    def waits(self, seconds: float) -> bool:
        """Whether this rank has had nothing to do for so long."""
        return time.monotonic() - self._since >= seconds

    def news(self, what: object) -> bool:
        """Whether that was not said before."""
        before = len(self._told)
        self._told.add(what)
        return len(self._told) > before


def _name(rank: int) -> str:
    return f"rank-{rank:05d}.json"


def _listed(ranks: list[int]) -> str:
    return ", ".join(map(str, ranks))
