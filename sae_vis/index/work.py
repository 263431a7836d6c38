"""All that is to be done for some indices: phases one after the other, each in units that don't need each other."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from functools import partial
from itertools import pairwise
from typing import NamedTuple

from sae_vis.errors import DamagedIndexError
from sae_vis.index.behind import Behind
from sae_vis.index.shards import plan_batches
from sae_vis.index.source import batches_of
from sae_vis.index.units import IndexUnits, Note
from sae_vis.neutral import neutrally

TRIES = 20
WRITERS = 4
"""Shards that are written at a time, each held in memory meanwhile, while a GPU makes the next."""


class Phase(NamedTuple):
    """One step of one index, or, of those that share the model's passes, of several.

    Attributes:
        step: ``begin``, ``index``, ``join``, ``count``, ``sort``, ``tables`` or ``seal``.
        which: of which of the indices.
    """

    step: str
    which: tuple[int, ...]

    @property
    def alone(self) -> bool:
        """Whether it is one small unit that is not worth a worker."""
        return self.step in ("begin", "join", "seal")

    @property
    def runs_the_model(self) -> bool:
        """Whether its units need the model."""
        return self.step == "index"


class Work:
    """The phases of some indices. What is done is known by the files alone.

    Args:
        indices: that are to be built.
    """

    def __init__(self, indices: Sequence[IndexUnits]) -> None:
        self.indices = list(indices)
        self._writers: Behind | None = None

    def phases(self) -> Iterator[Phase]:
        """In order; each is done before the next begins."""
        numbers = range(len(self.indices))
        for number in numbers:
            yield Phase("begin", (number,))
        left = list(numbers)
        while left:
            together = tuple(n for n in left if self.indices[n].shares_passes(self.indices[left[0]]))
            yield Phase("index", together)
            left = [n for n in left if n not in together]
        for number in numbers:
            for step in ("join", "count", "sort", "tables", "seal"):
                yield Phase(step, (number,))

    def edges(self, phase: Phase) -> list[int]:
        """Where each of its units begins, and where the last one ends: of tokens or features."""
        one = self.indices[phase.which[0]]
        if phase.alone:
            return [0, 1]
        if phase.step in ("sort", "tables"):
            cuts = one.parts if phase.step == "sort" else one.blocks
            return [first for first, _ in cuts] + [one.d_sae]
        offsets, runs = one.source.corpus.offsets, one.plan.runs
        cuts = self._spans(phase) if phase.step == "index" else one.plan.counted
        return [int(offsets[runs[first][0]]) for first, _ in cuts] + [one.source.corpus.n_tokens]

    def done(self, phase: Phase, unit: int) -> bool:
        """Whether all files of a unit are there."""
        one = self.indices[phase.which[0]]
        if phase.step == "index":
            runs = range(*self._spans(phase)[unit])
            return not any(self.indices[n].lacks(run) for n in phase.which for run in runs)
        if phase.alone:
            states = {"begin": lambda: one.begun, "join": lambda: one.neurons_joined, "seal": lambda: one.sealed}
            return states[phase.step]()
        return {"count": one.is_counted, "sort": one.is_sorted, "tables": one.is_tabled}[phase.step](unit)

    def lacking(self, phase: Phase, units: Iterable[int] | None = None) -> list[int]:
        """Which of some units (all) are not done, by one look at what is there."""
        with ExitStack() as looks:
            for number in phase.which:
                looks.enter_context(self.indices[number].store.at_a_glance())
            units = range(len(self.edges(phase)) - 1) if units is None else units
            return [unit for unit in units if not self.done(phase, unit)]

    def sealed(self, phase: Phase) -> bool:
        """Whether the indices that a phase is of are finished: there is nothing left to do."""
        return all(self.indices[n].sealed for n in phase.which)

    @contextmanager
    def ahead(self, phase: Phase) -> Iterator[None]:
        """While open, `do` may return before its shard is safe; in the end all are.

        So where a GPU makes the codes, it goes on while shards are sorted and written by some threads. Sums over
        neurons go from shard to shard, so with these every shard is waited for.
        """
        indices = [self.indices[n] for n in phase.which]
        if (
            not phase.runs_the_model
            or not any(one.source.beside for one in indices)
            or any(one.plan.neurons for one in indices)
        ):
            yield
            return
        try:
            with Behind(max(1, min(WRITERS, (os.cpu_count() or 1) - 1))) as self._writers:
                yield
        finally:
            self._writers = None

    @neutrally
    def do(self, phase: Phase, unit: int, note: Note) -> None:
        """Do one unit, whoever else may be doing it."""
        one = self.indices[phase.which[0]]
        if phase.step == "index":
            self._index(phase, unit, note)
        elif phase.step == "join":
            _joined(one)
        elif phase.step == "begin":
            one.begin()
        elif phase.step == "tables":
            one.tabulate(unit)
        elif phase.step == "seal":
            one.seal(note)
        else:
            {"count": one.count, "sort": one.sort}[phase.step](unit, note)

    def _spans(self, phase: Phase) -> list[tuple[int, int]]:
        """The runs of each unit: sums over neurons go on from run to run within a range."""
        indices = [self.indices[n] for n in phase.which]
        plan = indices[0].plan
        if any(one.plan.neurons for one in indices):
            return plan.ranges
        return [(run, run + 1) for run in range(len(plan.runs))]

    def _index(self, phase: Phase, unit: int, note: Note) -> None:
        """The shards of some runs that any of the indices lacks; those that lack the same one share its batches."""
        indices = [self.indices[n] for n in phase.which]
        corpus, plan, span = indices[0].source.corpus, indices[0].plan, self._spans(phase)[unit]
        for run in range(*span):
            lacking = [one for one in indices if one.lacks(run)]
            hands = [(one, hand) for one in lacking if (hand := one.hand(run, span[0])) is not None]
            if not hands:
                continue
            batch_runs = plan_batches(corpus.offsets, *plan.runs[run], indices[0].config.batch_tokens)
            for batches in batches_of([one.source for one, _ in hands], batch_runs):
                for (_, hand), batch in zip(hands, batches, strict=True):
                    hand.take(batch)
                note(int(batches[0].positions[-1]) + 1)
            for one, hand in hands:
                put = partial(one.put, run, hand, span, unit)
                put() if self._writers is None else self._writers.do(put)
        for one in indices:
            one.join_neurons()


def _joined(one: IndexUnits) -> None:
    """Add up the sums over neurons, where a slow fellow may be at the same."""
    for _ in range(TRIES):
        one.join_neurons()
        if one.neurons_joined:
            return
    raise DamagedIndexError(
        "sums over neurons of the build are missing: delete the directory's build/, and run the same command again"
    )


def sizes(edges: Sequence[int]) -> list[int]:
    """Of units, from where they begin."""
    return [stop - start for start, stop in pairwise(edges)]
