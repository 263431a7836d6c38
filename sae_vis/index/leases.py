"""One build at a time at an address: leases, small files that their holders write again while they live.

Object stores have no locks, and many have no way to make a file only if there is none. So each that wants to build
writes a file of its own, and then looks at those of the others. That is mutual exclusion with one bit for each
(Lamport, The Mutual Exclusion Problem II, 1986, the one-bit algorithm): of two that come at once, the one with the
lower name waits for the other to give way. It holds where a file that was written is seen by whoever looks
afterwards, as at S3, Google Cloud Storage and Azure. No clock is compared with another's: a lease is dead if it was
not seen to change for `LEASE` seconds, by the clock of whoever looks.

A holder that was taken for dead (its machine slept, say) learns so when it wants to write its lease again.
"""

from __future__ import annotations

import json
import logging
import os
import secrets
import socket
import threading
import time
from abc import ABC, abstractmethod
from contextlib import suppress
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from sae_vis.errors import BusyIndexError

_LOG = logging.getLogger("sae_vis")
LEASE = 60.0
"""Seconds without a change after which a lease is dead."""
RENEWAL = 10.0
"""Seconds after which its holder writes it again."""
POLL = 1.0
WANTS, HOLDS = "wants", "holds"


class Shelf(ABC):
    """The folder of leases of one address."""

    @property
    @abstractmethod
    def place(self) -> str:
        """The address."""

    @abstractmethod
    def listed(self) -> dict[str, str]:
        """Names of the leases, and for each what changes when it is written again."""

    @abstractmethod
    def read(self, name: str) -> dict[str, Any] | None:
        """What a lease says; None if it is gone."""

    @abstractmethod
    def write(self, name: str, facts: dict[str, Any]) -> None:
        """Write a lease."""

    @abstractmethod
    def remove(self, name: str) -> None:
        """Delete a lease, if it is there."""


class Lease:
    """The right to build at an address, alone or with others that share it; to be entered.

    Args:
        shelf: where leases are.
        shared: whether others with shared leases may build, too.

    Raises:
        BusyIndexError: somebody else builds there; says who, and since when.
    """

    def __init__(self, shelf: Shelf, *, shared: bool) -> None:
        self._shelf, self._shared = shelf, shared
        self._name = f"{'shared' if shared else 'alone'}-{secrets.token_hex(8)}.json"
        self._facts: dict[str, Any] = {"state": WANTS, "beat": 0, **_self_described()}
        self._ended, self._writing = threading.Event(), threading.Lock()
        self._thread: threading.Thread | None = None
        self._since = 0.0
        self._told = self._lost = False

    def __enter__(self) -> Lease:
        """Get it."""
        self._begin()
        try:
            self._get()
            self._write(HOLDS)
        except BaseException:
            self._give_up()
            raise
        return self

    def __exit__(self, *error: object) -> None:
        """Give it up."""
        self._give_up()

    def require(self) -> None:
        """Raise `BusyIndexError` if it was taken away."""
        if self._lost:
            raise BusyIndexError(
                f"{self._shelf.place} is being built by somebody else: this process did not say that it lives for "
                f"{LEASE:g} s, and was taken for dead. What it has finished is kept: run the same command again if "
                "the other one does not finish"
            )

    def _get(self) -> None:
        """Return when nobody else has one, and nobody else can get one."""
        seen: dict[str, tuple[str, float]] = {}
        self._since = time.monotonic()
        while True:
            looked, others = time.monotonic(), self._others()
            if not others and self._thread is not None:
                return
            if not others:
                self._begin()
            for name, mark in others.items():
                before, since = seen.get(name, (mark, time.monotonic()))
                seen[name] = (mark, since if mark == before else time.monotonic())
                self._meet(name, looked - seen[name][1], lives=mark != before)
            if others:
                time.sleep(min(POLL, LEASE / 10))

    def _meet(self, name: str, unchanged: float, *, lives: bool) -> None:
        """Do what follows from a lease of somebody else that was not seen to change for so many seconds."""
        facts = self._shelf.read(name)
        if facts is None:
            return
        goes_first = facts["state"] == WANTS and _order(name) < _order(self._name)
        if goes_first:
            self._give_up()  # it waits for that
        if _has_ended(facts) or unchanged >= LEASE:
            self._shelf.remove(name)
        elif (lives and (goes_first or facts["state"] == HOLDS)) or time.monotonic() - self._since >= 2 * LEASE:
            raise BusyIndexError(self._busy(facts))
        elif not self._told and unchanged >= 2 * POLL:
            self._told = True
            _LOG.warning("%s: within %g s it is seen whether that process lives", self._busy(facts), LEASE)

    def _others(self) -> dict[str, str]:
        """Leases that don't go together with this one."""
        found = self._shelf.listed()
        return {
            name: mark
            for name, mark in found.items()
            if name != self._name and not (self._shared and name.startswith("shared-"))
        }

    def _busy(self, facts: dict[str, Any]) -> str:
        return (
            f"{self._shelf.place} is being built by another process (process {facts['pid']} on {facts['host']}, since "
            f"{facts['since']} by its clock); wait until it is done, or choose another address"
        )

    def _begin(self) -> None:
        """Write the lease, and go on writing it."""
        self._write(WANTS)
        self._ended.clear()
        self._thread = threading.Thread(target=self._renew, name="sae_vis-lease", daemon=True)
        self._thread.start()

    def _give_up(self) -> None:
        if self._thread is None:
            return
        self._ended.set()
        self._thread.join(RENEWAL)
        self._thread = None
        with suppress(Exception):  # whoever comes next sees that it does not change
            self._shelf.remove(self._name)

    def _write(self, state: str | None = None) -> None:
        with self._writing:
            self._facts |= {"state": state or self._facts["state"], "beat": self._facts["beat"] + 1}
            self._shelf.write(self._name, self._facts)

    def _renew(self) -> None:
        while not self._ended.wait(RENEWAL):
            with suppress(Exception):  # a fault of the network: the next time
                if self._name not in self._shelf.listed():
                    self._lost = True
                    return
                self._write()


def _order(name: str) -> str:
    """What tells who goes first, of whichever kind."""
    return name.partition("-")[2]


def _self_described() -> dict[str, Any]:
    """This process, for people, and for processes of the same machine."""
    return {
        "pid": os.getpid(),
        "host": socket.gethostname(),
        "since": datetime.now(timezone.utc).strftime("%Y-%m-%d %H:%M:%S UTC"),
        "machine": _machine(),
        "began": _began(os.getpid()),
    }


def _has_ended(facts: dict[str, Any]) -> bool:
    """Whether a process is known to be gone: one of this machine, where that can be told."""
    machine = _machine()
    return machine is not None and facts["machine"] == machine and _began(facts["pid"]) != facts["began"]


def _machine() -> str | None:
    """What processes have in common that see each other by number; None where there is no telling."""
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
        return f"{boot} {Path('/proc/self/ns/pid').readlink()}"
    except OSError:
        return None


def _began(pid: int) -> str | None:
    """When a process of this machine began; None if there is none of that number."""
    try:
        return Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()[19]
    except (OSError, IndexError):
        return None


def facts_of(data: bytes) -> dict[str, Any]:
    """What a lease says; of what is no lease, that nothing is known."""
    facts: dict[str, Any] = {"state": HOLDS, "pid": "?", "host": "?", "since": "?", "machine": "", "began": None}
    with suppress(ValueError):
        found = json.loads(data)
        facts |= found if isinstance(found, dict) else {}
    return facts
