"""What a build of synthetic codes takes beside what `sae-vis capacity` says: CPU by step, RAM, disk.

The codes are those of `benchmarks.tables` (uniform), so no model runs: what is measured is what the index itself costs.
With ``--ranks`` the build is done by so many processes, one thread each. A watcher looks at all of them, and at the
directory, once a second: private memory (what the process would lose if it were not there) apart from pages of mapped
files, which the system takes back where it needs them.

Usage: python -m benchmarks.capacity [--features N] [--tokens N] [--l0 N] [--ranks N] [--folder DIR]
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
import sys
import tempfile
import threading
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from benchmarks.tables import SEQ_LEN, bytes_below, check, synthetic
from sae_vis.config import IndexConfig
from sae_vis.corpus.tokens import Corpus
from sae_vis.index.build import build_index
from sae_vis.index.capacity import Load, capacity_of
from sae_vis.index.from_activations import ActivationsSource
from sae_vis.index.index import Index

LIBRARIES = 0.17e9
"""Of PyTorch and pyarrow, mapped by every process."""


class Watcher(threading.Thread):
    """The most private and mapped memory of any process of a group, and the most bytes of a directory."""

    def __init__(self, pids: list[int], folder: Path) -> None:
        super().__init__(daemon=True)
        self.private, self.mapped, self.disk = 0, 0, 0
        self._pids, self._folder, self._over = pids, folder, threading.Event()

    def run(self) -> None:
        """Look once a second."""
        while not self._over.wait(1.0):
            for pid in self._pids:
                private, mapped = memory_of(pid)
                self.private, self.mapped = max(self.private, private), max(self.mapped, mapped)
            try:
                self.disk = max(self.disk, bytes_below(self._folder))
            except OSError:  # a file went meanwhile
                continue

    def stop(self) -> None:
        """No more."""
        self._over.set()
        self.join()


def memory_of(pid: int) -> tuple[int, int]:
    """Bytes of a process that are its own, and pages of files that it has mapped."""
    try:
        lines = Path(f"/proc/{pid}/status").read_text(encoding="utf-8").splitlines()
    except OSError:
        return 0, 0
    found = {line.split(":")[0]: int(line.split()[1]) * 1024 for line in lines if line.startswith("Rss")}
    return found.get("RssAnon", 0), found.get("RssFile", 0)


def source_of(options: argparse.Namespace) -> ActivationsSource:
    """Synthetic codes."""
    corpus = Corpus.from_tokens(np.zeros((options.tokens // SEQ_LEN, SEQ_LEN), dtype=np.int32))
    return ActivationsSource(
        corpus=corpus,
        activations=lambda: synthetic(corpus.n_tokens, options.l0, options.features, zipf=False),
        n_features=options.features,
        fingerprint=f"synthetic {options.features} {options.tokens} {options.l0}",
    )


def settings(options: argparse.Namespace) -> IndexConfig:
    """Of the builds."""
    return IndexConfig(shard_tokens=options.shard_tokens, block_bytes=options.block_mib << 20)


def build(options: argparse.Namespace, rank: int | None) -> dict[str, Any]:
    """Build, or do a rank's share; CPU and clock of each step, by this process."""
    torch.set_num_threads(1)
    config = settings(options)
    if rank is not None:
        from sae_vis.config import Ranks

        config = replace(config, workers=Ranks(rank=rank, world=options.ranks))
    steps: dict[str, tuple[float, float]] = {}
    last: list[Any] = ["start", time.process_time(), time.perf_counter()]

    def note(step: str, done: int, total: int) -> None:
        now = time.process_time(), time.perf_counter()
        cpu, clock = steps.get(last[0], (0.0, 0.0))
        steps[last[0]] = cpu + now[0] - last[1], clock + now[1] - last[2]
        last[:] = [step if done < total else f"after {step}", *now]
        sys.stderr.write(f"{time.strftime('%H:%M:%S')} rank {rank} {step} {done:,} of {total:,}\n")

    index = build_index(source_of(options), options.folder, config=config, progress=note)
    note("end", 0, 0)
    firings = int(index.column("n_firings").sum())
    return {"steps": steps, "cpu": time.process_time(), "firings": firings, "bytes": bytes_below(options.folder)}


def measure(options: argparse.Namespace) -> dict[str, Any]:
    """All processes of a build, watched."""
    started, words = time.perf_counter(), [sys.executable, "-m", "benchmarks.capacity", *sys.argv[1:]]
    words += ["--folder", str(options.folder)]
    ranks = [["--one", "-1"]] if options.ranks == 0 else [["--one", str(rank)] for rank in range(options.ranks)]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    running = [subprocess.Popen([*words, *one], stdout=subprocess.PIPE, text=True, env=environment) for one in ranks]
    watcher = Watcher([one.pid for one in running], options.folder)
    watcher.start()
    told = [json.loads(one.communicate()[0]) for one in running]
    watcher.stop()
    check(Index.open(options.folder))
    steps: dict[str, float] = {}
    for one in told:
        for step, (cpu, _) in one["steps"].items():
            steps[step] = steps.get(step, 0.0) + cpu
    return {
        "clock": time.perf_counter() - started,
        "cpu": sum(one["cpu"] for one in told),
        "steps": {step: round(cpu, 1) for step, cpu in steps.items()},
        "private": watcher.private,
        "mapped": watcher.mapped,
        "disk": watcher.disk,
        "finished": told[0]["bytes"],
        "firings": told[0]["firings"],
    }


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--features", type=int, default=131_072)
    parser.add_argument("--tokens", type=int, default=1 << 20)
    parser.add_argument("--l0", type=int, default=24)
    parser.add_argument("--ranks", type=int, default=0, help="processes; 0: one, without ranks")
    parser.add_argument("--shard-tokens", type=int, default=65_536)
    parser.add_argument("--block-mib", type=int, default=256)
    parser.add_argument("--folder", type=Path)
    parser.add_argument("--one", type=int, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.one is not None:
        print(json.dumps(build(options, None if options.one < 0 else options.one)))
        return
    print(
        f"torch {torch.__version__}, NumPy {np.__version__}, {platform.machine()}; {options.features:,} features, "
        f"{options.tokens:,} tokens, {options.l0} firings each, {options.ranks or 'no'} ranks",
        flush=True,
    )
    load = Load(n_features=options.features, n_tokens=options.tokens, l0=options.l0)
    said = capacity_of(load, settings(options), workers=max(1, options.ranks))
    with tempfile.TemporaryDirectory() as folder:
        options.folder = options.folder or Path(folder) / "index"
        found = measure(options)
    print(f"firings {found['firings']:,}; steps (CPU s) {found['steps']}")
    print(f"{'':28} {'said':>12} {'measured':>12} {'measured / said':>16}")
    rows = (
        ("CPU seconds", said.cpu_seconds, found["cpu"]),
        ("private memory, GB", said.ram_bytes / 1e9, found["private"] / 1e9),
        ("mapped files, GB", (said.cached_bytes + LIBRARIES) / 1e9, found["mapped"] / 1e9),
        ("disk at its most, GB", said.peak_disk_bytes / 1e9, found["disk"] / 1e9),
        ("disk, finished, GB", said.disk_bytes / 1e9, found["finished"] / 1e9),
    )
    for name, expected, measured in rows:
        print(f"{name:28} {expected:12,.2f} {measured:12,.2f} {measured / expected:16.2f}")
    print(f"clock {found['clock']:.0f} s")


if __name__ == "__main__":
    main()
