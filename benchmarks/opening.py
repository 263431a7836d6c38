"""Opening an index of a million features, and cards that are asked of it for the first time.

A synthetic index (`benchmarks.tables`, with random tokens, directions and an unembedding, so that cards have all their
tables) is built once and kept in ``--folder``. Then, in fresh processes: opening it, and the default card without a
model of some random features as a server answers with it, each asked for once in one opened index, encoding included.
The files' pages are dropped from the cache before; how much was read from the disk is printed, so that one sees whether
that worked.

Usage: python -m benchmarks.opening --folder DIR [--features N] [--tokens N] [--l0 N] [--zipf] [--cards N] [--rounds N]
           [--warm] [--against DIR]

``--against`` measures another checkout on the same index in turn and prints the ratio.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import resource
import subprocess
import sys
import time
from pathlib import Path
from statistics import median
from typing import Any

HERE = Path(__file__).resolve().parents[1]
VOCABULARY, D_MODEL = 2048, 32
BARS = {"open": 1.0, "p50": 5.0, "p99": 50.0}


def main() -> None:
    """Command line."""
    options = arguments()
    if options.measure:
        print(json.dumps({"open": opening, "cards": cards}[options.measure](options)))
        return
    folders = [HERE, *(() if options.against is None else (options.against.resolve(),))]
    print(f"{platform.machine()}, {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}, {platform.python_version()}")
    built(options)
    for what in ("open", "cards"):
        found: list[list[dict[str, float]]] = [[] for _ in folders]
        for _ in range(options.rounds):
            for own, folder in zip(found, folders, strict=True):
                own.append(run(folder, what, options))
        for name in found[0][0]:
            row(name, [[one[name] for one in own] for own in found])


def arguments() -> argparse.Namespace:
    """Options of the command line."""
    parser = argparse.ArgumentParser(prog="benchmarks.opening", description=__doc__.split("\n", 1)[0])
    parser.add_argument("--folder", type=Path, required=True, help="where the index is kept")
    parser.add_argument("--features", type=int, default=1 << 20)
    parser.add_argument("--tokens", type=int, default=1 << 21)
    parser.add_argument("--l0", type=int, default=32)
    parser.add_argument("--zipf", action="store_true", help="frequencies by Zipf's law in place of equal ones")
    parser.add_argument("--cards", type=int, default=300)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--warm", action="store_true", help="leave the files in the page cache")
    parser.add_argument("--against", type=Path, help="another checkout, of a version with the same index format")
    parser.add_argument("--measure", choices=("open", "cards"), help=argparse.SUPPRESS)
    return parser.parse_args()


def index_folder(options: argparse.Namespace) -> Path:
    """Where the index of these sizes is."""
    law = "zipf" if options.zipf else "uniform"
    found: Path = options.folder / f"{options.features}-{options.tokens}-{options.l0}-{law}"
    return found


def built(options: argparse.Namespace) -> None:
    """Build the index, or open the one that is there, and compare some of its tables with dense columns."""
    import torch

    from benchmarks.tables import check
    from sae_vis.api import ActivationFacts, index_activations

    at, dice = index_folder(options), torch.Generator().manual_seed(0)
    started = time.perf_counter()
    index = index_activations(
        corpus_of(options.tokens),
        codes_of(options),
        at,
        facts=ActivationFacts(
            d_sae=options.features,
            decoder=torch.randn(options.features, D_MODEL, generator=dice),
            unembedding=torch.randn(VOCABULARY, D_MODEL, generator=dice),
            fingerprint="synthetic",
        ),
        text=words(),
        progress=told(),
    )
    check(index)
    size, firings = sum(one.bytes for one in index.manifest.files), sum(one.n_firings for one in index.manifest.parts)
    print(
        f"{index.n_features:,} features, {len(index.tokens):,} tokens, {firings:,} firings, {size / 1e9:.2f} GB, "
        f"{len(index.manifest.files)} files; built or found in {time.perf_counter() - started:.0f} s",
        flush=True,
    )


def told() -> Any:  # noqa: ANN401
    """Prints each stage of a build as it begins."""
    begun: list[str] = []

    def note(stage: str, done: int, total: int) -> None:
        if stage not in begun:
            begun.append(stage)
            print(f"  {time.strftime('%H:%M:%S')} {stage}", flush=True)

    return note


def corpus_of(n_tokens: int) -> Any:  # noqa: ANN401
    """Random tokens, some of them much more frequent than others."""
    import numpy as np

    from benchmarks.tables import SEQ_LEN
    from sae_vis.corpus.tokens import Corpus

    drawn = np.random.default_rng(0).random((n_tokens // SEQ_LEN, SEQ_LEN))
    return Corpus.from_tokens((drawn**3 * VOCABULARY).astype(np.int32))


def codes_of(options: argparse.Namespace) -> Any:  # noqa: ANN401
    """The stream of codes."""
    from benchmarks.tables import synthetic

    return lambda: synthetic(options.tokens, options.l0, options.features, zipf=options.zipf)


def words() -> Any:  # noqa: ANN401
    """Text of the tokens."""
    from sae_vis.corpus.text import TokenText

    return TokenText({number: f" word{number}".encode() for number in range(VOCABULARY)})


def run(folder: Path, what: str, options: argparse.Namespace) -> dict[str, float]:
    """One measurement with the package in ``folder``, in a process of its own."""
    if not options.warm:
        forget(index_folder(options))
    command = [sys.executable, __file__, *sys.argv[1:], "--measure", what]
    settings = {**os.environ, "PYTHONPATH": os.pathsep.join([str(folder), str(HERE)]), "OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, check=True, capture_output=True, text=True, env=settings)
    found: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return found


def forget(folder: Path) -> None:
    """Drop the files of a folder from the page cache, where the system lets us."""
    if not hasattr(os, "posix_fadvise"):
        return
    for path in folder.rglob("*"):
        if path.is_file():
            with path.open("rb") as file:
                os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


def from_disk() -> float:
    """MB that this process has read from the disk so far."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_inblock * 512 / 1e6


def opening(options: argparse.Namespace) -> dict[str, float]:
    """Seconds of the imports and of opening, its CPU seconds, MB read from the disk."""
    started = time.perf_counter()
    import torch  # noqa: F401  mapped arrays come through it

    from sae_vis import Index

    imported, cpu, read = time.perf_counter(), time.process_time(), from_disk()
    index = Index.open(index_folder(options))
    ended = time.perf_counter()
    index.firings(index.n_features // 2)
    return {
        "imports, s": imported - started,
        "open, s": ended - imported,
        "open, CPU s": time.process_time() - cpu,
        "open and firings of one feature, s": time.perf_counter() - imported,
        "open: read from disk, MB": from_disk() - read,
    }


def cards(options: argparse.Namespace) -> dict[str, float]:
    """Milliseconds of the first card, and quantiles of those of all cards; MB read from the disk for each."""
    import numpy as np

    from sae_vis import Index, SaeVisLayoutConfig
    from sae_vis.api import ComputeSettings
    from sae_vis.api.sources import view_sources
    from sae_vis.contract import FeatureView
    from sae_vis.deliver.answers import answer
    from sae_vis.views.feature import feature_view

    index = Index.open(index_folder(options))
    sources = view_sources(index, None, ComputeSettings(), effects=False)
    layout = SaeVisLayoutConfig.default_feature_centric_layout()
    features = np.random.default_rng(7).choice(index.n_features, options.cards, replace=False).tolist()
    clock, cpu, n_bytes, read = [], [], 0, from_disk()
    for feature in features:
        begun, spent = time.perf_counter(), time.process_time()
        view = feature_view(sources, feature, layout)
        block = answer(FeatureView, view, sources.text)
        clock.append(1000 * (time.perf_counter() - begun))
        cpu.append(1000 * (time.process_time() - spent))
        n_bytes += len(block)
        assert view.stats.n_firings == len(index.firings(feature).acts)
    return {
        "first card, ms": clock[0],
        "card p50, ms": median(clock),
        "card p90, ms": float(np.quantile(clock, 0.9)),
        "card p99, ms": float(np.quantile(clock, 0.99)),
        "card most, ms": max(clock),
        "card p50, CPU ms": median(cpu),
        "card p99, CPU ms": float(np.quantile(cpu, 0.99)),
        "card: read from disk, MB": (from_disk() - read) / len(features),
        "card: bytes of the answer": n_bytes / len(features),
    }


def row(name: str, found: list[list[float]]) -> None:
    """A line of the table: the median of the rounds, the other version's, their ratio, the bar."""
    ours, *others = (median(own) for own in found)
    against = "".join(f"   against {other:10.3f}: x {other / ours:.2f}" for other in others if ours)
    bar = BARS.get({"open, s": "open", "card p50, ms": "p50", "card p99, ms": "p99"}.get(name, ""))
    missed = "" if bar is None else f"   bar {bar:g}: {'held' if ours <= bar else 'MISSED'}"
    print(f"{name:38s} {ours:10.3f}{against}{missed}", flush=True)


if __name__ == "__main__":
    main()
