"""What a build takes, as it is said beforehand, against what it takes; and the page that says so."""

from __future__ import annotations

import re
from itertools import product
from pathlib import Path

import numpy as np
import pytest
import torch

from sae_vis.cli import main
from sae_vis.config import IndexConfig
from sae_vis.corpus.tokens import Corpus
from sae_vis.errors import InputError
from sae_vis.index.build import build_index
from sae_vis.index.capacity import Load, _size, _time, capacity_lines, capacity_of
from sae_vis.index.cofirings import plan_blocks
from sae_vis.index.from_activations import ActivationsSource
from sae_vis.saes.base import SparseCodes

PAGE = Path(__file__).parents[2] / "docs" / "how-to" / "capacity.md"
WIDTHS, TOKENS = (16_384, 131_072, 1_048_576), (10_000_000, 100_000_000, 1_000_000_000)
L0 = 64


def row(n_features: int, n_tokens: int) -> str:
    """A line of the page's table."""
    load = Load(n_features=n_features, n_tokens=n_tokens, l0=L0)
    said, without = capacity_of(load), capacity_of(load, IndexConfig(correlated_features=0))
    sizes = [_size(n) for n in (said.disk_bytes, said.peak_disk_bytes, said.ram_bytes, said.cached_bytes)]
    times = [_time(n) for n in (said.cpu_seconds, said.tables_seconds, without.cpu_seconds)]
    return "| " + " | ".join([f"{n_features:,}", f"{n_tokens:,}", *sizes, *times]) + " |"


def test_the_page_says_what_the_command_says():
    text = PAGE.read_text(encoding="utf-8")
    assert [row(*size) for size in product(WIDTHS, TOKENS)] == re.findall(
        r"^\| [\d,]+ \| (?:1|10|100),(?:000,?)+ \| .* (?:days|hours|minutes|seconds) \|$", text, flags=re.MULTILINE
    )


def test_bytes_on_disk_are_those_of_a_build(tmp_path):
    """Of codes with activations that don't repeat."""
    n, l0, d = 1 << 15, 16, 512
    dice = np.random.default_rng(0)
    features = np.sort(np.argsort(dice.random((n, d)), axis=1)[:, :l0], axis=1)
    acts = dice.random((n, l0), dtype=np.float32)
    codes = SparseCodes(*map(torch.from_numpy, (np.arange(0, n * l0 + 1, l0), features.ravel(), acts.ravel())))
    most = 0

    def note(step: str, done: int, total: int) -> None:
        nonlocal most
        most = max(most, sum(path.stat().st_size for path in tmp_path.rglob("*") if path.is_file()))

    corpus = Corpus.from_tokens(np.zeros((n // 256, 256), dtype=np.int32))
    source = ActivationsSource(corpus=corpus, activations=codes, n_features=d)
    index = build_index(source, tmp_path / "index", config=IndexConfig(shard_tokens=8192), progress=note)
    finished = sum(record.bytes for record in index.manifest.files)
    said = capacity_of(Load(n_features=d, n_tokens=n, l0=l0), IndexConfig(shard_tokens=8192))
    assert finished == pytest.approx(said.disk_bytes, rel=0.15)
    assert most == pytest.approx(said.peak_disk_bytes, rel=0.25)


def test_blocks_are_those_of_a_build():
    for n_features, n_tokens, l0 in ((4096, 100_000, 16), (1 << 20, 1 << 20, 24), (1 << 20, 10_000_000, 64)):
        load = Load(n_features=n_features, n_tokens=n_tokens, l0=l0)
        products = np.full(n_features, int(load.n_products / n_features))
        expected = len(plan_blocks(products, n_features, IndexConfig().block_bytes))
        assert capacity_of(load).blocks == pytest.approx(expected, rel=0.02)


def test_what_the_settings_change():
    load = Load(n_features=10_000, n_tokens=1_000_000, l0=20)
    said = capacity_of(load)
    without = capacity_of(load, IndexConfig(correlated_features=0))
    assert (without.tables_seconds, without.cached_bytes, without.blocks) == (0, 0, 0)
    assert without.peak_disk_bytes == said.peak_disk_bytes - 8 * load.n_firings
    assert capacity_of(load, IndexConfig(codes=False)).disk_bytes < 0.6 * said.disk_bytes
    assert capacity_of(load, IndexConfig(acts_dtype="bfloat16")).disk_bytes < 0.65 * said.disk_bytes
    assert capacity_of(load, workers=3).read_bytes == said.read_bytes + 2 * said.cached_bytes


def test_in_words(capsys, monkeypatch):
    words = "capacity --features 131_072 --tokens 10_000_000 --l0 64 --workers 4 --block-mib 1024"
    monkeypatch.setattr("sys.argv", ["sae-vis", *words.split()])
    with pytest.raises(SystemExit) as left:
        main()
    assert not left.value.code
    load = Load(n_features=131_072, n_tokens=10_000_000, l0=64)
    expected = capacity_lines(load, IndexConfig(block_bytes=1 << 30), workers=4)
    assert capsys.readouterr().out.splitlines() == expected
    assert expected[0] == "firings   640,000,000 of 131,072 features on 10,000,000 tokens"
    assert "with 4 workers" in expected[1]
    assert "blocks" not in capacity_lines(load, IndexConfig(correlated_features=0))[2]
    assert [_size(n) for n in (900, 2.5e6, 3e9, 5e15)] == ["0.9 kB", "2.5 MB", "3 GB", "5,000 TB"]
    assert [_time(s) for s in (50, 600, 9000, 400_000)] == ["50 seconds", "10 minutes", "2.5 hours", "4.63 days"]


@pytest.mark.parametrize("l0", [0, -1, 101])
def test_no_such_load(l0):
    with pytest.raises(InputError, match="it must be above 0 and at most the number of features, 100"):
        Load(n_features=100, n_tokens=10, l0=l0)
    with pytest.raises(InputError, match="n_tokens is 0; it must be at least 1"):
        Load(n_features=100, n_tokens=0, l0=1)
