"""What it costs to share out a build, and what a fault costs.

Two tables. *Speed*: the same index, in one process, by one and two workers of a Ray cluster that is started for it,
by one and two ranks; one thread each. Starting (Ray, processes, what they import, sending the model) is told apart
from working; CPU time, which a busy machine disturbs less, is told beside the clock, and the speed-up that the
busiest worker's CPU time allows. All indices must have the same bytes. *Faults*: a model that takes a fixed time for
each batch, built by two workers (Ray) or four ranks, with and without a worker killed in mid-shard, a machine lost,
the driver killed and started again, a rank killed whose part the others do (stall 3 s) or that is started again; what
is said is the difference.

Usage: python -m benchmarks.executors [--tokens N] [--faults] [--rounds N]
"""

from __future__ import annotations

import argparse
import contextlib
import hashlib
import json
import logging
import os
import platform
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from statistics import median

import torch

from benchmarks.models import SIZES, made
from sae_vis.config import IndexConfig, Ranks, RayWorkers
from sae_vis.index.build import Source, build_index

CONFIG = IndexConfig(batch_tokens=4096, shard_tokens=8192, part_firings=200_000, block_bytes=16 << 20)
SLOW = 0.1
"""Seconds of a batch where faults are timed."""


class Ready(logging.Handler):
    """Keeps when workers said that they were ready, and what CPU time they and this process had taken by then."""

    def __init__(self) -> None:
        super().__init__(logging.INFO)
        self.at: list[float] = []
        self.cpu: dict[str, float] = {}

    def emit(self, record: logging.LogRecord) -> None:
        if record.getMessage().startswith("a worker is ready"):
            self.at.append(time.perf_counter())
            self.cpu = {**cpu_of_workers(), **self.cpu}


def cpu_of_workers() -> dict[str, float]:
    """CPU seconds so far of this process, and of each worker of Ray on this machine."""
    found = {"own": time.process_time()}
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        with contextlib.suppress(OSError):
            if path.read_bytes().startswith(b"ray::_Worker"):
                fields = path.with_name("stat").read_text().rpartition(")")[2].split()
                found[path.parent.name] = (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
    return found


def source_of(folder: Path, n_tokens: int) -> Source:
    """The smaller of the benchmark models, random weights."""
    corpus, parts = made(replace(SIZES["512"], n_tokens=n_tokens), folder)
    return Source(corpus=corpus, model=parts.model, sae=parts.sae, hook=parts.model.hook_point(parts.hook_name))


def one(kind: str, folder: Path, n_tokens: int) -> dict[str, float]:
    """Seconds of one build in this process: until work began, and of each step."""
    torch.set_num_threads(1)
    name, _, n = kind.partition(" ")
    source = source_of(folder / kind.replace("/", "-of-"), n_tokens)
    ready = Ready()
    logging.getLogger("sae_vis").addHandler(ready)
    logging.getLogger("sae_vis").setLevel(logging.INFO)
    workers: Ranks | RayWorkers | None = None
    if name == "ray":
        workers = RayWorkers(workers=int(n))
    elif name == "rank":
        rank, world = (int(part) for part in n.split("/"))
        workers = Ranks(rank=rank, world=world)
        wait_for(folder / "go")
    steps: dict[str, float] = {}
    last = ["start", time.perf_counter()]
    begun = last[1]

    ready.cpu = {"own": time.process_time()} if workers is None or name == "rank" else {}
    cpu: dict[str, float] = {}

    def note(stage: str, done: int, total: int) -> None:
        if (stage, done) == ("tables", total):  # the workers are still there
            cpu.update(cpu_of_workers() if name == "ray" else {"own": time.process_time()})
        now = time.perf_counter()
        steps[last[0]] = steps.get(last[0], 0.0) + now - last[1]
        last[:] = [stage, now]

    build_index(source, folder / "index", config=replace(CONFIG, workers=workers), progress=note)
    ended = time.perf_counter()
    start = (ready.at[0] if ready.at else begun) - begun
    spent = [cpu[each] - ready.cpu.get(each, 0.0) for each in cpu]
    told = {"start": start, "work": ended - begun - start, "cpu": sum(spent), "most": max(spent)}
    return {**told, **{f"step {k}": v for k, v in steps.items()}}


def wait_for(path: Path) -> None:
    """Until there is such a file; who waits says so by one of its own."""
    (path.parent / f"ready-{time.perf_counter_ns()}").touch()
    while not path.exists():
        time.sleep(0.01)


def run(kind: str, n_tokens: int) -> tuple[dict[str, float], str]:
    """One build in processes of its own, and a hash of the index."""
    name, _, n = kind.partition(" ")
    kinds = [f"rank {rank}/{n}" for rank in range(int(n))] if name == "ranks" else [kind]
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-m", "benchmarks.executors", "--tokens", str(n_tokens), "--folder", folder, "--one"]
        processes = [subprocess.Popen([*command, one], stdout=subprocess.PIPE, text=True) for one in kinds]
        if name == "ranks":
            while len(list(Path(folder).glob("ready-*"))) < len(kinds):
                time.sleep(0.05)
            (Path(folder) / "go").touch()
        told = [json.loads(process.communicate()[0].splitlines()[-1]) for process in processes]
        whole = sum(each["cpu"] for each in told)
        return {**max(told, key=lambda each: float(each["most"])), "cpu": whole}, digest(Path(folder) / "index")


def digest(root: Path) -> str:
    """Of every file of an index but the manifest, which names the SAE's folder."""
    found = hashlib.sha256()
    for path in sorted(root.rglob("*")):
        if path.is_file() and path.name != "manifest.json":
            found.update(f"{path.relative_to(root)} ".encode() + path.read_bytes())
    return found.hexdigest()


def speed(options: argparse.Namespace) -> None:
    """The first table."""
    kinds = ("alone", "ray 1", "ray 2", "ranks 1", "ranks 2")
    found: dict[str, list[dict[str, float]]] = {kind: [] for kind in kinds}
    digests = set()
    for _ in range(options.rounds):
        for kind in kinds:
            spent, bits = run(kind, options.tokens)
            found[kind].append(spent)
            digests.add(bits)
            print(f"  {kind}: {json.dumps({name: round(value, 1) for name, value in spent.items()})}", flush=True)
    assert len(digests) == 1, "the indices differ"
    print(
        f"{'':8} {'start s':>8} {'work s':>7} {'speed-up':>9} {'CPU s':>6} {'of alone':>9} {'CPU, by balance':>16}"
        "   steps, s"
    )
    work, cpu, most = (
        {kind: median(each[what] for each in rounds) for kind, rounds in found.items()}
        for what in ("work", "cpu", "most")
    )
    for kind, rounds in found.items():
        single = work[kind.replace("2", "1")]
        steps = [name for name in rounds[0] if name.startswith("step ") and name != "step start"]
        told = ", ".join(f"{name[5:]} {median(each.get(name, 0.0) for each in rounds):.1f}" for name in steps)
        start = median(each["start"] for each in rounds)
        print(
            f"{kind:8} {start:8.1f} {work[kind]:7.1f} {single / work[kind]:8.2f}x {cpu[kind]:6.1f} "
            f"{cpu[kind] / cpu['alone']:8.2f}x {most[kind.replace('2', '1')] / most[kind]:15.2f}x   {told}"
        )


def faults() -> None:
    """The second table: seconds without a fault and with it, and that the bits are the same."""
    from tests.index.workers import built, contents

    with tempfile.TemporaryDirectory() as folder:
        built(Path(folder))
        whole = contents(Path(folder))
    print(f"{'':52} {'without':>8} {'with':>8} {'lost s':>8}")
    for words, case in (("four ranks, one killed, others do its part (stall 3 s)", False), ("…, started again", True)):
        without, lost = (ranks(whole, kill=kill, again=case) for kill in (False, True))
        print(f"{words:52} {without:8.1f} {lost:8.1f} {lost - without:8.1f}", flush=True)
    for words, fault in (
        ("Ray, a worker killed in mid-shard", "worker"),
        ("Ray, one of two machines lost", "machine"),
        ("Ray, the driver killed and started again", "driver"),
    ):
        without, lost = (on_ray(whole, one) for one in ("", fault))
        print(f"{words:52} {without:8.1f} {lost:8.1f} {lost - without:8.1f}", flush=True)


@contextlib.contextmanager
def folder_of(whole: dict[str, bytes]) -> Iterator[Path]:
    """Where an index is to be made that has the right bytes at the end."""
    from tests.index.workers import contents

    root = Path(tempfile.mkdtemp())
    yield root
    assert contents(root / "out") == whole, "the index differs"
    shutil.rmtree(root)


def ranks(whole: dict[str, bytes], *, kill: bool, again: bool) -> float:
    """Seconds of four ranks, of which one may be killed."""
    from tests.index.workers import SlowModel, rank_process

    with folder_of(whole) as root:
        death = root / "death"
        if kill:
            death.touch()
        stall = 300.0 if again else 3.0
        started = time.perf_counter()
        processes = [
            rank_process(root / "out", rank, 4, stall=stall, model=SlowModel(SLOW, str(death) if rank == 2 else ""))
            for rank in range(4)
        ]
        if kill and again:
            processes[2].join()
            processes[2] = rank_process(root / "out", 2, 4, stall=stall, model=SlowModel(SLOW))
        for process in processes:
            process.join()
        return time.perf_counter() - started


def on_ray(whole: dict[str, bytes], fault: str) -> float:
    """Seconds of a build on a cluster of two pretended machines and a head, with a fault."""
    from tests.index.test_ray import three_nodes

    with folder_of(whole) as root, three_nodes() as (cluster, nodes):
        death, out = root / "death", root / "out"
        if fault == "worker":
            death.touch()
        script = (
            "import pathlib\nfrom sae_vis.config import RayWorkers\nfrom tests.index.workers import SlowModel, built\n"
            f"built(pathlib.Path({str(out)!r}), RayWorkers(address={cluster.address!r}), "
            f"SlowModel({SLOW}, {str(death) if fault == 'worker' else ''!r}))"
        )
        started = time.perf_counter()
        process = subprocess.Popen([sys.executable, "-c", script])
        if fault in ("machine", "driver"):
            until(lambda: len(list(out.glob("0/build/shard-*"))) >= 3)
        if fault == "machine":
            cluster.remove_node(nodes[0], allow_graceful=False)
        elif fault == "driver":
            process.kill()
            process.wait()
            process = subprocess.Popen([sys.executable, "-c", script])
        assert process.wait() == 0
        return time.perf_counter() - started


def until(holds: Callable[[], bool]) -> None:
    """Wait."""
    while not holds():
        time.sleep(0.02)


def main() -> None:
    """Both tables, or one build for the first."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tokens", type=int, default=65_536)
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--faults", action="store_true", help="the table of faults, instead of speed")
    parser.add_argument("--one", help=argparse.SUPPRESS)
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.one:
        print(json.dumps(one(options.one, options.folder, options.tokens)))
        return
    print(f"{platform.machine()}, Python {platform.python_version()}, torch {torch.__version__}")
    print(f"{options.tokens:,} tokens, {SIZES['512'].name}, {options.rounds} rounds")
    if options.faults:
        faults()
    else:
        speed(options)


if __name__ == "__main__":
    main()
