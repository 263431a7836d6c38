"""The tests that depend on kernels, once for each of several instruction sets, numbers of threads, and with noise.

``python -m tests.kernel_runs [--few N] [pytest's options and paths]``, also ``make test-kernels``: a table of the
runs, and what failed; the exit status is 1 where anything did. Instruction sets are those of x86-64: elsewhere their
variables do nothing.
"""

from __future__ import annotations

import argparse
import os
import re
import subprocess
import sys
import time
from typing import NamedTuple

from tests.kernels import VARIABLE

DEPEND_ON_KERNELS = (
    "tests/test_kernels.py",
    "tests/saes",
    "tests/models",
    "tests/effects",
    "tests/index/test_build.py",
    "tests/index/test_together.py",
    "tests/index/test_from_activations.py",
    "tests/views",
)
"""Tests of what is computed from products of floating-point numbers; what comes after activations is in float64."""


class Setting(NamedTuple):
    """One run: environment variables, and the number of threads."""

    variables: dict[str, str]
    threads: int

    @property
    def name(self) -> str:
        """For the table."""
        return " ".join(f"{name}={value}" for name, value in self.variables.items())


SETTINGS = (
    Setting({VARIABLE: "1"}, 1),
    Setting({VARIABLE: "1", "ATEN_CPU_CAPABILITY": "avx2"}, 2),
    Setting({"ATEN_CPU_CAPABILITY": "default"}, 1),
    Setting({"ATEN_CPU_CAPABILITY": "avx2"}, 2),
    Setting({"MKL_ENABLE_INSTRUCTIONS": "SSE4_2"}, 4),
    Setting({"MKL_ENABLE_INSTRUCTIONS": "AVX2"}, 1),
    Setting({"DNNL_MAX_CPU_ISA": "SSE41"}, 2),
    Setting({"DNNL_MAX_CPU_ISA": "AVX2"}, 4),
)


class Outcome(NamedTuple):
    """What pytest said."""

    passed: int
    failed: int
    output: str


def run(setting: Setting, arguments: list[str]) -> Outcome:
    """One pytest process under a setting; a run that counts no tests is one failure."""
    threads = {"OMP_NUM_THREADS": str(setting.threads), "OMP_WAIT_POLICY": "PASSIVE"}  # more threads than cores
    environment = os.environ | setting.variables | threads
    command = [sys.executable, "-m", "pytest", "-q", "--tb=short", "-p", "no:cacheprovider", *arguments]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    last = done.stdout.strip().rpartition("\n")[2]
    counts = {word: int(number) for number, word in re.findall(r"(\d+) (passed|failed|error)", last)}
    failed = counts.get("failed", 0) + counts.get("error", 0)
    return Outcome(counts.get("passed", 0), failed or int(done.returncode != 0), done.stdout + done.stderr)


def main() -> int:
    """Every setting in turn, on as many processes as are asked for; returns the exit status."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--few", type=int, default=1, help="parameter sets of a test in one run (1); 0: all")
    parser.add_argument("--settings", type=int, default=len(SETTINGS), help="run so many of the settings (all)")
    options, arguments = parser.parse_known_args()
    if not any(not argument.startswith("-") for argument in arguments):
        arguments += DEPEND_ON_KERNELS
    width = max(len(setting.name) for setting in SETTINGS)
    print(f"{'setting':{width}}  threads  passed  failed  seconds", flush=True)
    broken = []
    for number, setting in enumerate(SETTINGS[: options.settings]):
        began = time.perf_counter()
        chosen = ["--few", str(options.few), "--from", str(number)] if options.few else []
        outcome = run(setting, [*chosen, *arguments])
        seconds = time.perf_counter() - began
        counts = f"{outcome.passed:>6}  {outcome.failed:>6}  {seconds:>7.0f}"
        print(f"{setting.name:{width}}  {setting.threads:>7}  {counts}", flush=True)
        broken += [(setting, outcome.output)] if outcome.failed else []
    for setting, output in broken:
        print(f"\n{setting.name}, OMP_NUM_THREADS={setting.threads}\n{output}")
    return int(bool(broken))


if __name__ == "__main__":
    sys.exit(main())
