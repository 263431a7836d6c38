"""What correlating every feature with every other costs, by the width of the dictionary: CPU time and RAM per firing.

Synthetic codes of the same number of tokens and of firings a token, over 16,384 to 1,048,576 features, are indexed
one width after the other, each in a process of its own. What is timed are the stages "count" and "tables" of the
build: codes by token, sums over pairs, the best of each feature, their columns. Before any time is quoted, some
features' tables are compared with dense columns. Temporary bytes are the most that `build/` held at any time: shards,
their codes by token, columns of parts and blocks. Frequencies are uniform, or those of Zipf's law (``--zipf``:
feature r fires in proportion to 1 / (r + 100)).

Usage: python -m benchmarks.tables [--tokens N] [--l0 N] [--widths N ...] [--zipf] [--threads N] [--block-mib N]
           [--rounds N]
"""

from __future__ import annotations

import argparse
import json
import platform
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from statistics import median

import numpy as np
import torch

from sae_vis.config import IndexConfig
from sae_vis.corpus.tokens import Corpus
from sae_vis.index.build import build_index
from sae_vis.index.build_files import WORK
from sae_vis.index.from_activations import ActivationsSource
from sae_vis.index.index import Index
from sae_vis.index.shards import offsets_of
from sae_vis.saes.base import SparseCodes

WIDTHS = (16_384, 65_536, 262_144, 1_048_576)
SEQ_LEN = 1024
CHECKED = 5


def synthetic(n_tokens: int, l0: int, d_sae: int, *, zipf: bool) -> Iterator[SparseCodes]:
    """Codes of all tokens, a few sequences at a time: ``l0`` draws of features a token, the same one counted once."""
    weights = 1.0 / (np.arange(d_sae) + 100.0) if zipf else np.ones(d_sae)
    upto = np.cumsum(np.random.default_rng(1).permutation(weights))
    for first in range(0, n_tokens, 64 * SEQ_LEN):
        dice = np.random.default_rng([0, first])
        shape = (min(64 * SEQ_LEN, n_tokens - first), l0)
        drawn = np.searchsorted(upto, dice.random(shape) * upto[-1]) if zipf else dice.integers(0, d_sae, shape)
        features = np.sort(np.minimum(drawn, d_sae - 1), axis=1)
        kept = np.ones(shape, dtype=bool)
        kept[:, 1:] = features[:, 1:] != features[:, :-1]
        acts = dice.random(shape, dtype=np.float32) + np.float32(0.1)
        offsets = offsets_of(kept.sum(axis=1))
        yield SparseCodes(*(torch.from_numpy(part) for part in (offsets, features[kept], acts[kept])))


def measure(options: argparse.Namespace, d_sae: int, folder: Path) -> dict[str, float]:
    """Seconds of CPU and of the clock of these stages over one width, firings, products, peak RAM."""
    torch.set_num_threads(options.threads)
    corpus = Corpus.from_tokens(np.zeros((options.tokens // SEQ_LEN, SEQ_LEN), dtype=np.int32))
    source = ActivationsSource(
        corpus=corpus,
        activations=lambda: synthetic(corpus.n_tokens, options.l0, d_sae, zipf=options.zipf),
        n_features=d_sae,
        fingerprint="synthetic",
    )
    at: dict[str, tuple[float, float, int]] = {}
    temporary = 0

    def note(stage: str, done: int, total: int) -> None:
        nonlocal temporary
        if stage != "index":  # while shards are made there are fewer of them
            temporary = max(temporary, bytes_below(folder / WORK))
        now = time.process_time(), time.perf_counter(), resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        if stage in ("index", "count", "sort"):
            at[stage] = now
        elif stage == "tables":
            at["after"] = now

    started = time.process_time()
    config = IndexConfig(block_bytes=options.block_mib << 20, shard_tokens=64 * SEQ_LEN)
    index = build_index(source, folder, config=config, progress=note)
    whole = time.process_time() - started
    check(index)
    firings = index.column("n_firings").astype(np.float64)
    return {
        "cpu": at["after"][0] - at["sort"][0] + at["count"][0] - at["index"][0],
        "clock": at["after"][1] - at["sort"][1] + at["count"][1] - at["index"][1],
        "whole": whole,
        "firings": float(firings.sum()),
        "rss_before": at["sort"][2] / 1024,
        "rss": at["after"][2] / 1024,
        "temporary": float(temporary),
    }


def bytes_below(folder: Path) -> int:
    """Of all files in a folder."""
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def check(index: Index) -> None:
    """Before any time is quoted: tables of some features against dense columns."""

    def column(feature: int) -> np.ndarray:
        dense = np.zeros(len(index.tokens))
        firings = index.firings(feature)
        dense[firings.positions] = firings.acts
        return dense

    for feature in np.linspace(0, index.n_features - 1, CHECKED).astype(int).tolist():
        own, others = column(feature), index.lists("correlated_features_index", feature)[:3]
        for other, pearson in zip(others, index.lists("correlated_features_pearson", feature), strict=False):
            assert abs(np.corrcoef(own, column(int(other)))[0, 1] - pearson) < 1e-6, f"feature {feature} with {other}"


def compare(options: argparse.Namespace) -> None:
    """Each width in a process of its own, in turn, round by round; the table."""
    found: dict[int, list[dict[str, float]]] = {width: [] for width in options.widths}
    for _ in range(options.rounds):
        for width in options.widths:
            command = [sys.executable, "-m", "benchmarks.tables", *sys.argv[1:], "--one", str(width)]
            told = subprocess.run(command, check=True, capture_output=True, text=True).stdout
            found[width].append(json.loads(told))
    print(
        f"{'features':>10} {'firings':>13} {'CPU s':>7} {'clock s':>8} {'us/firing':>10} {'ratio':>6} {'RSS MB':>14}"
        f" {'temporary MB':>13} {'B/firing':>9}"
    )
    least = None
    for width, rounds in found.items():
        cpu = median(one["cpu"] for one in rounds)
        each = cpu / rounds[0]["firings"] * 1e6
        least = least or each
        clock, rss = median(one["clock"] for one in rounds), max(one["rss"] for one in rounds)
        before, temporary = (max(one[name] for one in rounds) for name in ("rss_before", "temporary"))
        print(
            f"{width:10,} {rounds[0]['firings']:13,.0f} {cpu:7.1f} {clock:8.1f} {each:10.3f} {each / least:6.2f} "
            f"{before:6.0f}->{rss:6.0f} {temporary / 1e6:13,.0f} {temporary / rounds[0]['firings']:9.1f}  "
            f"(whole build {median(one['whole'] for one in rounds):.1f} CPU s)",
            flush=True,
        )


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--tokens", type=int, default=1 << 19)
    parser.add_argument("--l0", type=int, default=32)
    parser.add_argument("--widths", type=int, nargs="+", default=WIDTHS)
    parser.add_argument("--zipf", action="store_true")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--block-mib", type=int, default=256)
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--one", type=int, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.one:
        with tempfile.TemporaryDirectory() as folder:
            print(json.dumps(measure(options, options.one, Path(folder) / "index")))
        return
    law = "Zipf" if options.zipf else "uniform"
    print(
        f"torch {torch.__version__}, NumPy {np.__version__}, {platform.machine()}, {options.threads} threads; "
        f"{options.tokens:,} tokens, {options.l0} firings each, {law}; blocks of {options.block_mib} MiB",
        flush=True,
    )
    compare(options)


if __name__ == "__main__":
    main()
