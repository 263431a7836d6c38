"""Making the cards of a feature page, stage by stage: CPU milliseconds a feature on one core, without effects.

Usage: python -m benchmarks.cards [--source demo|testbed] [--index DIR] [--tokens N] [--features N ...] [--rounds N]
           [--against DIR]

Stages: *firings*: reading them; *views*: queries and what a page holds, less that; *blocks*: encoding and deflating.
With the logit lens and the decoder neighbours (``parts``) and without. A page's hash is printed, so that two versions
can be held against each other; `--against` runs another checkout on the same index in turn and prints the ratio.
*One card*: each of some features alone, from an index whose feature table is read already.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import platform
import subprocess
import sys
import time
from pathlib import Path
from statistics import median
from typing import Any

import torch

CARDS = 64  # made one by one


def main() -> None:
    """Command line."""
    options = arguments()
    torch.set_num_threads(1)
    if options.measure:
        print(json.dumps(measured(options)))
        return
    print(f"{platform.machine()}, {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}; torch {torch.__version__}")
    folders = [Path(__file__).resolve().parents[1], *(() if options.against is None else (options.against.resolve(),))]
    found: list[list[dict[str, Any]]] = [[] for _ in folders]
    for _ in range(options.rounds):
        for own, folder in zip(found, folders, strict=True):
            own.append(run(folder))
    for name in found[0][0]:
        row(name, [[one[name] for one in own] for own in found])


def arguments() -> argparse.Namespace:
    """Options of the command line."""
    parser = argparse.ArgumentParser(prog="benchmarks.cards", description=__doc__.split("\n", 1)[0])
    parser.add_argument("--source", choices=("demo", "testbed"), default="demo")
    parser.add_argument("--index", type=Path, default=Path.home() / ".cache" / "sae_vis" / "bench-page")
    parser.add_argument("--tokens", type=int, default=1 << 20)
    parser.add_argument("--features", type=int, nargs="+", default=[512, 2048], help="how many, of those that fire")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--against", type=Path, help="another checkout, of a version with the same index format")
    parser.add_argument("--measure", action="store_true", help=argparse.SUPPRESS)
    return parser.parse_args()


def run(folder: Path) -> dict[str, Any]:
    """This file's measurements with the package in ``folder``, in a process of its own."""
    command = [sys.executable, __file__, *sys.argv[1:], "--measure"]
    paths = os.pathsep.join([str(folder), str(Path(__file__).resolve().parents[1])])
    settings = {**os.environ, "PYTHONPATH": paths, "OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, check=True, capture_output=True, text=True, env=settings)
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


def row(name: str, found: list[list[Any]]) -> None:
    """A line of the table: this version, the other one, and their ratio."""
    if isinstance(found[0][0], str):
        different = len({text for own in found for text in own}) > 1
        print(f"{name:34s} {found[0][0]}{' DIFFERS' if different else ', each time'}")
        return
    ours, *others = (median(own) for own in found)
    against = "".join(f"   against {other:8.3f} ms: x {other / ours:.1f}" for other in others)
    print(f"{name:34s} {ours:8.3f} ms{against}")


def measured(options: argparse.Namespace) -> dict[str, Any]:
    """All lines of the table."""
    from benchmarks import page_sources

    make = page_sources.testbed if options.source == "testbed" else page_sources.demo_index
    made = make(options.index, options.tokens)
    page_of(made, made.index.select(8).tolist(), made.parts)  # imports, tables
    found: dict[str, Any] = {}
    for n in options.features:
        features = made.index.select(n).tolist()
        for name, parts in (("", None), (", parts", made.parts)):
            found |= stages(made, features, parts, f"{len(features):,} features{name}")
    return found | cards(made)


def stages(made: Any, features: list[int], parts: Any, name: str) -> dict[str, Any]:  # noqa: ANN401
    """CPU milliseconds a feature of each stage, and the hash of the page."""
    from sae_vis.deliver.page import render_page

    started = time.process_time()
    for feature in features:
        made.index.firings(feature)
    read = time.process_time()
    page = page_of(made, features, parts)
    viewed = time.process_time()
    text = render_page(page)
    ended = time.process_time()
    spent = {"firings": read - started, "views": viewed - read, "blocks": ended - viewed, "all": ended - read}
    times = {f"{name}: {stage}": 1000 * seconds / len(features) for stage, seconds in spent.items()}
    return {**times, f"{name}: page": hashlib.sha256(text.encode()).hexdigest()[:16]}


def cards(made: Any) -> dict[str, Any]:  # noqa: ANN401
    """Each card alone: its view, and its block."""
    from sae_vis.deliver.encoding import TokenIndex, encode_feature

    views, blocks = [], []
    for feature in made.index.select(CARDS).tolist():
        made.index.firings(feature)
        started = time.process_time()
        page = page_of(made, [feature], None)
        viewed = time.process_time()
        encode_feature(page.features[0], TokenIndex.of_page(page))
        views.append(viewed - started)
        blocks.append(time.process_time() - viewed)
    return {"one card: view and token table": 1000 * median(views), "one card: block": 1000 * median(blocks)}


def page_of(made: Any, features: list[int], parts: Any) -> Any:  # noqa: ANN401
    """A page in the default layout, before it is written."""
    from sae_vis.api import ComputeSettings
    from sae_vis.api.sources import view_sources
    from sae_vis.views.feature import feature_page

    sources = view_sources(made.index, parts, ComputeSettings(), effects=False)
    return feature_page(sources, features)


if __name__ == "__main__":
    main()
