"""The explorer's server under load: cards of an index, one client and many, and its memory over many requests.

Usage: python -m benchmarks.server INDEX [--clients N] [--seconds S] [--think S] [--requests N] [--cards N]
           [--features N]

The server runs in a process of its own, without a model. Clients are connections of this process that are kept open;
each asks for the next card when it has the last one, with ``--think`` seconds between and without. Before anything is
timed, cards are compared with those that are made here. *First*: cards that nobody has asked for; *again*: the same,
which the server has kept. What the disk's cache holds is not changed. Milliseconds are by the clock, of a whole
request; CPU is the server's. The server's own memory is read every 5 % of ``--requests``: it grows until the answers
that are kept fill their 64 MiB.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import platform
import random
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np

CHECKED = 5
CHUNK = 0.05  # of the requests whose memory is told apart


class Connection:
    """A connection to the server that is kept."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, host: str) -> None:
        self._reader, self._writer, self._host = reader, writer, host

    @classmethod
    async def to(cls, host: str) -> Connection:
        """Open one."""
        name, _, port = host.rpartition(":")
        return cls(*await asyncio.open_connection(name, int(port)), host)

    async def get(self, path: str) -> tuple[int, bytes]:
        """Status and body of an answer."""
        self._writer.write(f"GET {path} HTTP/1.1\r\nHost: {self._host}\r\n\r\n".encode())
        head = (await self._reader.readuntil(b"\r\n\r\n")).decode("latin-1").lower()
        length = int(head.partition("content-length:")[2].partition("\r\n")[0])
        return int(head[9:12]), await self._reader.readexactly(length)

    async def close(self) -> None:
        """Hang up."""
        self._writer.close()
        await self._writer.wait_closed()


class Load(NamedTuple):
    """What clients met with; seconds of each request."""

    took: list[float]
    errors: int
    cpu: float
    wall: float


class Bench:
    """One server and its clients."""

    def __init__(self, process: subprocess.Popen[str], address: str, identity: str, features: list[int]) -> None:
        self._pid, self._features = process.pid, features
        self._host, token = address.removeprefix("http://").rstrip("/").split("/")
        self._at = f"/{token}/i/{identity}"

    def card(self, feature: int) -> str:
        """Where a card is."""
        return f"{self._at}/card/{feature}"

    async def one_by_one(self, features: list[int]) -> Load:
        """Cards of some features, one after the other."""
        rest = iter(features)
        return await self.load(1, 0.0, lambda: next(rest, None))

    async def load(self, clients: int, think: float, asked: Callable[[], int | None]) -> Load:
        """So many clients, until there is nothing to ask for any more."""
        took: list[float] = []
        errors = 0

        async def client() -> None:
            nonlocal errors
            connection = await Connection.to(self._host)
            await asyncio.sleep(random.random() * think)
            while (feature := asked()) is not None:
                started = time.perf_counter()
                status, _ = await connection.get(self.card(feature))
                took.append(time.perf_counter() - started)
                errors += status != 200
                if think:
                    await asyncio.sleep(think)
            await connection.close()

        before, started = self._cpu(), time.perf_counter()
        found = await asyncio.gather(*(client() for _ in range(clients)), return_exceptions=True)
        errors += sum(isinstance(one, BaseException) for one in found)
        return Load(took, errors, self._cpu() - before, time.perf_counter() - started)

    def for_seconds(self, seconds: float) -> Callable[[], int | None]:
        """Random features until some seconds are over."""
        end = time.perf_counter() + seconds
        return lambda: random.choice(self._features) if time.perf_counter() < end else None

    def so_many(self, n: int) -> Callable[[], int | None]:
        """So many random features."""
        rest = iter(range(n))
        return lambda: None if next(rest, None) is None else random.choice(self._features)

    async def check(self, index: Path) -> None:
        """Raise `AssertionError` unless cards are those that are made here."""
        from sae_vis.api import Index
        from sae_vis.server.served import Desk, Served

        desk = Desk(Served(open=lambda: Index.open(index), title=index.name))
        connection = await Connection.to(self._host)
        for feature in self._features[:CHECKED]:
            assert await connection.get(self.card(feature)) == (200, desk.card(feature))
        await connection.close()

    def _cpu(self) -> float:
        """Seconds of CPU that the server has used."""
        parts = Path(f"/proc/{self._pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()
        return (int(parts[11]) + int(parts[12])) / os.sysconf("SC_CLK_TCK")

    def mib(self) -> float:
        """Memory that the server holds, its own and not that of mapped files."""
        lines = Path(f"/proc/{self._pid}/status").read_text(encoding="ascii").splitlines()
        return int(next(line for line in lines if line.startswith("RssAnon")).split()[1]) / 1024


def row(name: str, load: Load) -> None:
    """A line of the table."""
    p50, p99 = (1000 * float(np.quantile(load.took, q)) for q in (0.5, 0.99))
    a_second, cpu = len(load.took) / load.wall, 1000 * load.cpu / len(load.took)
    print(
        f"{name:42s} {len(load.took):8,} requests  {load.errors} errors  p50 {p50:8.2f} ms  p99 {p99:8.2f} ms  "
        f"{a_second:7.0f} a second  {cpu:6.2f} ms CPU each  load {os.getloadavg()[0]:.1f}",
        flush=True,
    )


async def measure(bench: Bench, options: argparse.Namespace, features: list[int]) -> None:
    """All lines of the table."""
    await bench.check(options.index)
    first = features[CHECKED : CHECKED + options.cards]
    row("one client, first", await bench.one_by_one(first))
    row("one client, again", await bench.one_by_one(first))
    for think in dict.fromkeys((options.think, 0.0)):
        name = f"{options.clients} clients, {think:g} s between"
        row(name, await bench.load(options.clients, think, bench.for_seconds(options.seconds)))
    print(f"memory: {bench.mib():8.1f} MiB")
    done = 0
    while done < options.requests:
        n = min(max(1000, int(CHUNK * options.requests)), options.requests - done)
        load = await bench.load(8, 0.0, bench.so_many(n))
        done += n
        print(f"memory: {bench.mib():8.1f} MiB after {done:,} requests more, {load.errors} errors", flush=True)


def serve(index: Path) -> None:
    """The server, and on standard output where it is."""
    from sae_vis.server.run import ServerSettings
    from sae_vis.server.serve import make_server

    server = make_server(index, notes=False, settings=ServerSettings(port=0, open_browser=False))
    identity = server._app._indices[0].known_identity
    server.run(lambda: print(server.address, identity, flush=True))


def lines_of(process: subprocess.Popen[str]) -> Iterator[str]:
    """What a process says."""
    assert process.stdout is not None
    yield from process.stdout


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(prog="benchmarks.server", description=__doc__.split("\n", 1)[0])
    parser.add_argument("index", type=Path)
    parser.add_argument("--clients", type=int, default=50)
    parser.add_argument("--seconds", type=float, default=60.0, help="of each measurement with many clients")
    parser.add_argument("--think", type=float, default=0.5, help="seconds between a client's requests")
    parser.add_argument("--requests", type=int, default=100_000, help="over which memory is measured")
    parser.add_argument("--cards", type=int, default=500, help="that one client asks for")
    parser.add_argument("--features", type=int, default=20_000, help="among which clients choose")
    parser.add_argument("--serve", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.serve:
        serve(options.index)
        return
    from sae_vis.api import Index

    index = Index.open(options.index)
    features = index.select(options.features).tolist()
    random.Random(1).shuffle(features)
    print(
        f"{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}; {index.n_features:,} "
        f"features, clients choose among {len(features):,}"
    )
    command = [sys.executable, "-m", "benchmarks.server", str(options.index), "--serve"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            address, identity = next(lines_of(process)).split()
            asyncio.run(measure(Bench(process, address, identity, features), options, features))
        finally:
            process.terminate()


if __name__ == "__main__":
    main()
