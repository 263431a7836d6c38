"""Workers of a Ray cluster build an index: actors that hold what it is made from, each with one unit in hand at a time.

One pool of actors runs the model, on a GPU each if the model is on one; it is ended before another, on cores alone,
makes postings and tables: actors that hold what others wait for would let Ray wait for ever, silently. Ray restarts an
actor that died; its unit goes to whoever is free. Files are the only state, so what a dead actor left, or one that is
not yet dead still writes, does no harm.
"""

from __future__ import annotations

import logging
import os
import secrets
import socket
import time
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from sae_vis.config import RayWorkers
from sae_vis.errors import InputError, StalledBuildError
from sae_vis.index.build_files import version
from sae_vis.index.executors import TOLD, Executor, InProcess, Progress
from sae_vis.index.parcel import Parcel, packed, require_version, unpacked
from sae_vis.index.units import IndexUnits
from sae_vis.index.work import Phase, Work, sizes

_LOG = logging.getLogger("sae_vis")
_POLL = 1.0
_KNOCK = 10.0
_DEATHS = 3
"""Of workers at one unit, after which it is given up."""


class RayExecutor(Executor):
    """The workers of a cluster.

    Args:
        options: which cluster, what of it.
        indices: that are built, in directories or at addresses.

    Raises:
        InputError: the extra ``ray`` is missing, there is no such cluster, or what is given can't be sent.
    """

    def __init__(self, options: RayWorkers, indices: Sequence[IndexUnits]) -> None:
        self._options, self._alone = options, InProcess()
        self._pool: _Pool | None = None
        self._ray, self._ours = _connected(options.address)
        try:
            parcel = packed(indices, self._ray.cloudpickle.CloudPickler)
            self._gpus = parcel.gpus if options.gpus is None else options.gpus
            self._sent = self._put(parcel)
        except BaseException:
            self.close()
            raise

    def run(self, work: Work, phase: Phase, progress: Progress) -> None:
        """Units go to whoever is free."""
        if phase.alone:
            self._alone.run(work, phase, progress)
            return
        edges = work.edges(phase)
        size_of = sizes(edges)
        lacking = {unit: size_of[unit] for unit in work.lacking(phase)}

        def tell() -> None:
            if phase.step in TOLD:
                progress(phase.step, edges[-1] - sum(lacking.values()), edges[-1])

        tell()
        if lacking:
            pool = self._pool_for(self._gpus if phase.runs_the_model else 0, len(lacking))
            for unit in pool.get_done(phase, list(lacking)):
                del lacking[unit]
                tell()

    def close(self) -> None:
        """End the workers, and Ray if it was started here."""
        self._end_pool()
        if self._ours:
            self._ray.shutdown()

    def _pool_for(self, gpus: int, n_units: int) -> _Pool:
        """Workers with so many GPUs each; those with others are ended first."""
        if self._pool is not None and self._pool.gpus != gpus:
            self._end_pool()
        if self._pool is None:
            self._pool = _Pool(self._ray, self._options, gpus, self._sent)
        self._pool.grow(n_units)
        return self._pool

    def _end_pool(self) -> None:
        if self._pool is not None:
            self._pool.end()
            self._pool = None

    def _put(self, parcel: Parcel) -> list[Any]:
        """In the cluster's memory, from which each machine fetches it once."""
        import numpy as np

        buffers = [self._ray.put(np.frombuffer(buffer, dtype=np.uint8)) for buffer in parcel.buffers]
        return [self._ray.put(parcel.data), *buffers]


@dataclass
class _Member:
    """An actor, what it was asked last, how far it was when that was seen to change, and since when it is awaited."""

    actor: Any
    asked: Any = None
    unit: int | None = None
    steps: int = -1
    watched: Any = None
    since: float = 0.0


@dataclass
class _Pool:
    """Actors of one kind.

    Attributes:
        ray: the module.
        options: what each gets.
        gpus: GPUs of each.
        sent: what they build.
    """

    ray: Any
    options: RayWorkers
    gpus: int
    sent: list[Any]
    _members: list[_Member] = field(default_factory=list)
    _moved: float = 0.0
    _last_death: str = ""

    def grow(self, n_units: int) -> None:
        """Ask for as many actors as so many units need; they come when there is room."""
        options = self.options
        kind = self.ray.remote(num_cpus=options.cpus, num_gpus=self.gpus, max_restarts=-1, max_concurrency=2)(_Worker)
        for _ in range(len(self._members), min(self.most, n_units)):
            self._members.append(_Member(kind.remote(options.threads, version())))
            self._greet(self._members[-1])

    @property
    def most(self) -> int:
        """How many the cluster has room for, or as many as were asked for."""
        if self.options.workers is not None:
            return self.options.workers
        there = self.ray.cluster_resources()
        most = int(there.get("CPU", 0) // self.options.cpus)
        return max(1, min(most, int(there.get("GPU", 0) // self.gpus)) if self.gpus else most)

    def get_done(self, phase: Phase, units: list[int]) -> Any:  # noqa: ANN401  an iterator of units
        """Get units done; each is given when it is.

        Raises:
            StalledBuildError: no worker makes progress.
            SaeVisError: what went wrong in a worker.
        """
        waiting, deaths, left = deque(units), dict.fromkeys(units, 0), len(units)
        self._moved = time.monotonic()
        while left:
            self._hand_out(phase, waiting)
            for member in self._answered():
                unit, member.unit = member.unit, None
                try:
                    self.ray.get(member.asked)
                except self.ray.exceptions.RayTaskError as error:
                    raise error.cause from error
                except self.ray.exceptions.RayError as error:  # the actor died, or its machine
                    self._last_death = f"; the last worker that died: {error}"
                    if unit is not None:
                        waiting.appendleft(unit)
                        deaths[unit] += 1
                        _require_few(deaths[unit], phase, unit, error)
                    self._greet(member)
                    continue
                member.asked, self._moved = None, time.monotonic()
                if unit is None:
                    _LOG.info("a worker is ready, %.1f s after it was asked for", self._moved - member.since)
                else:
                    left -= 1
                    yield unit
            self._require_progress(phase, waiting)

    def end(self) -> None:
        """Let go of what they hold."""
        for member in self._members:
            self.ray.kill(member.actor)

    def _greet(self, member: _Member) -> None:
        """Ask a new or restarted actor to unpack; it gets no unit before it has answered."""
        member.asked, member.unit, member.watched = member.actor.unpack.remote(self.sent), None, None
        member.since = time.monotonic()

    def _hand_out(self, phase: Phase, waiting: deque[int]) -> None:
        for member in self._members:
            if waiting and member.asked is None:
                member.unit = waiting.popleft()
                member.asked = member.actor.do.remote(tuple(phase), member.unit)

    def _answered(self) -> list[_Member]:
        asked = {member.asked: member for member in self._members if member.asked is not None}
        ready, _ = self.ray.wait(list(asked), num_returns=1, timeout=_POLL)
        more, _ = self.ray.wait(list(asked), num_returns=len(asked), timeout=0)
        return [asked[one] for one in {*ready, *more}]

    def _require_progress(self, phase: Phase, waiting: deque[int]) -> None:
        """Look how far those at work are, without waiting for them; an error when it is nowhere for too long."""
        for member in self._members:
            if member.unit is None:
                continue
            if member.watched is None:
                member.watched = member.actor.steps.remote()
            elif self.ray.wait([member.watched], timeout=0)[0]:
                try:
                    steps = self.ray.get(member.watched)
                except self.ray.exceptions.RayError:
                    steps = member.steps  # its death is told by its unit
                if steps != member.steps:
                    member.steps, self._moved = steps, time.monotonic()
                member.watched = None
        if time.monotonic() - self._moved > self.options.stall:
            raise StalledBuildError(self._stalled(phase, len(waiting)))

    def _stalled(self, phase: Phase, n_waiting: int) -> str:
        working = [member.unit for member in self._members if member.unit is not None]
        coming = sum(member.unit is None and member.asked is not None for member in self._members)
        asked = {"CPU": self.options.cpus, **({"GPU": self.gpus} if self.gpus else {})}
        at = (
            f"{len(working)} workers are at units {', '.join(map(str, working))}" if working else "no worker is at work"
        )
        return (
            f"no progress for {self.options.stall:g} s in the step '{phase.step}': {at}, {n_waiting} units wait, "
            f"{coming} of {len(self._members)} workers have not begun; each asks for {_told(asked)}, the cluster has "
            f"{_told(self.ray.cluster_resources())}, of which {_told(self.ray.available_resources())} are free. "
            "What is done is kept: make room or ask for less (RayWorkers), and run the same command again"
            f"{self._last_death}"
        )


class _Worker:
    """What an actor runs: units of work, and in a thread beside them how far it is."""

    def __init__(self, threads: int, of_driver: str) -> None:
        self._threads, self._version = threads, of_driver
        self._work: Work | None = None
        self._steps = 0

    def unpack(self, sent: list[Any]) -> None:
        """Get what is to be built."""
        import ray

        require_version(self._version)
        data, *buffers = ray.get(sent)
        self._work = unpacked(data, buffers)

    def do(self, phase: tuple[str, tuple[int, ...]], unit: int) -> None:
        """One unit."""
        import torch

        assert self._work is not None
        torch.set_num_threads(self._threads)
        self._work.do(Phase(*phase), unit, self._step)

    def steps(self) -> int:
        """How many steps were taken."""
        return self._steps

    def _step(self, _: int) -> None:
        self._steps += 1


def _connected(address: str) -> tuple[Any, bool]:
    """Ray, connected to a cluster, and whether that was started here."""
    try:
        import ray
    except ImportError as error:
        raise InputError("building with Ray needs the package ray: pip install 'sae-vis[ray]'") from error
    if ray.is_initialized():
        return ray, False
    quiet: dict[str, Any] = {"logging_level": logging.ERROR, "log_to_driver": False}
    place = os.environ.get("RAY_ADDRESS", address) if address == "auto" else address
    try:
        _knock(place)
        ray.init(address=address, **quiet)
    except (OSError, RuntimeError, ValueError, ray.exceptions.RayError) as error:
        if place != "auto" or not isinstance(error, ConnectionError):
            raise InputError(f"there is no Ray cluster at {place!r} ({error}): start one, or use 'auto'") from error
    else:
        return ray, False
    # Whoever reaches a cluster can run anything in it. Ray asks for a token in one that it starts, unless it is told
    # not to; a token that it makes itself would be a file that others may read.
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    if not {"RAY_AUTH_TOKEN", "RAY_AUTH_TOKEN_PATH"} & os.environ.keys():
        os.environ["RAY_AUTH_TOKEN"] = secrets.token_hex(32)
    ray.init(address="local", include_dashboard=False, **quiet)
    return ray, True


def _knock(place: str) -> None:
    """Raise `OSError` where nobody answers: Ray tries for minutes."""
    host, _, port = place.rpartition("://")[2].rpartition(":")
    if host and port.isdigit():
        socket.create_connection((host.strip("[]"), int(port)), timeout=_KNOCK).close()


def _require_few(deaths: int, phase: Phase, unit: int, error: Exception) -> None:
    if deaths >= _DEATHS:
        raise StalledBuildError(
            f"{deaths} workers died at unit {unit} of the step '{phase.step}', the last with: {error}; if they ran out "
            "of memory, ask for more cores or fewer workers (RayWorkers), or make units smaller "
            "(IndexConfig.shard_tokens, part_firings, block_bytes); what is done is kept"
        ) from error


def _told(resources: dict[str, Any]) -> str:
    found = [f"{resources[name]:g} {name}" for name in ("CPU", "GPU") if name in resources]
    return " and ".join(found) or "nothing"
