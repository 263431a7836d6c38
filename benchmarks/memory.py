"""Peak RAM of a build at 0.25 M, 1 M and 4 M tokens, each in a process of its own: it must not grow with the tokens.

Usage: python -m benchmarks.memory [--tokens N ...]
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import tempfile
from pathlib import Path

TOKENS = (250_000, 1_000_000, 4_000_000)


def measure(n_tokens: int) -> None:
    """Build once; print sizes and the peak resident set as JSON."""
    from benchmarks.models import Size, made
    from sae_vis.index.build import Source, build_index

    size = Size(name="memory", d_in=64, d_sae=1024, k=32, n_layers=1, n_tokens=n_tokens, vocab=8192)
    with tempfile.TemporaryDirectory() as folder:
        corpus, parts = made(size, Path(folder) / "sae")
        source = Source(corpus=corpus, model=parts.model, sae=parts.sae, hook=parts.model.hook_point(parts.hook_name))
        start = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        index = build_index(source, Path(folder) / "index")
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        disk = sum(record.bytes for record in index.manifest.files)
    print(json.dumps({"tokens": n_tokens, "before_mb": start / 1024, "peak_mb": peak / 1024, "index_mb": disk / 1e6}))


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--tokens", type=int, nargs="*", default=TOKENS)
    parser.add_argument("--one", type=int, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.one:
        measure(options.one)
        return
    print(f"{'tokens':>12} {'before, MB':>12} {'peak, MB':>10} {'index, MB':>10}")
    for n_tokens in options.tokens:
        command = [sys.executable, "-m", "benchmarks.memory", "--one", str(n_tokens)]
        done = subprocess.run(command, check=True, capture_output=True, text=True)
        found = json.loads(done.stdout.splitlines()[-1])
        print(
            f"{n_tokens:>12,} {found['before_mb']:>12.0f} {found['peak_mb']:>10.0f} {found['index_mb']:>10.0f}",
            flush=True,
        )


if __name__ == "__main__":
    main()
