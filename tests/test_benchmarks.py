"""Benchmarks that need what is seldom at hand run in small everywhere."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[1]


def test_the_gpu_s_benchmark_in_small(tmp_path):
    """The code that a GPU is measured with, on whatever is here: no number but what must be so anywhere."""
    out = tmp_path / "measured.json"
    command = [sys.executable, "-m", "benchmarks.gpu", "--tiny", "--out", str(out)]
    done = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True)
    told = json.loads(out.read_text(encoding="utf-8"))
    assert told["device"] in done.stdout
    assert told["tests"] == 0
    jumprelu, topk = told["measured"]
    assert topk["l0"] == pytest.approx(8)
    assert 4 < jumprelu["l0"] < 16
    for one in (jumprelu, topk):
        assert one["waits_a_batch"] == 1
        assert one["disk_bytes"] > 10 * one["indexed"]
        assert min(one["limit_s"], one["codes_s"], one["shards_s"], one["tokens_a_second"]) > 0
    assert set(jumprelu["steps_s"]) >= {"index", "sort", "tables"}
