"""What a build takes, before it is begun: time, memory, disk, traffic; by measured costs (docs/how-to/capacity.md)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from sae_vis.checks import whole_number
from sae_vis.config import IndexConfig
from sae_vis.errors import InputError
from sae_vis.index.cofirings import BLOCK_ROWS, DENSE, PAIR_BYTES

# Bytes; each number was measured (benchmarks/capacity.py, benchmarks/tables.py) or follows from the files' columns.
POSTING = 4.5
"""Of a firing in a file of postings, or of codes by position, in float32."""
ROUNDED_POSTING = 2.5
"""The same with activations rounded to bfloat16."""
SHARD_FIRING = 6
"""Of a firing in a shard: its row, and its activation."""
BY_TOKEN_FIRING = 8
"""Of a firing in the codes by token that correlations are made from."""
SHARD_FEATURE = 4
"""Of a feature in a shard, whether it fires or not."""
FEATURE = 1100
"""Of a feature in the finished table; half of it where it fires on some dozen tokens only."""
TOKEN = 5
"""Of a token, with its mask."""
BASE = 0.35e9
"""Python and PyTorch."""
RAM_SHARD_FIRING = 40
"""Of a firing of the shard in hand: as it comes, sorted, and as it is written."""
RAM_PART_FIRING = 60
"""Of a firing of the part in hand."""
RAM_PART_FEATURE = 4000
"""Of a feature of the part in hand."""
RAM_BLOCK = 1.5
"""Of a byte of `IndexConfig.block_bytes`."""
RAM_FEATURE = 630
"""Of a feature whose row of the table is held."""
# Seconds of one core.
PRODUCT = 70e-9
"""Of one product of two codes of a token."""
FIRING = 0.47e-6
"""Of a firing on its way from codes to postings."""
FEATURE_SHARD = 0.84e-6
"""Of a feature in each shard, while correlations are made."""
FEATURE_SECONDS = 21e-6
"""Of a feature in all tables."""


@dataclass(frozen=True, kw_only=True)
class Load:
    """What is indexed.

    Attributes:
        n_features: width of the dictionary.
        n_tokens: tokens that count.
        l0: features that fire on a token, on average.
    """

    n_features: int
    n_tokens: int
    l0: float

    def __post_init__(self) -> None:
        """Raise `InputError` for what can't be."""
        whole_number(self.n_features, "n_features")
        whole_number(self.n_tokens, "n_tokens")
        if not 0 < self.l0 <= self.n_features:
            raise InputError(
                f"l0 is {self.l0}; it must be above 0 and at most the number of features, {self.n_features}"
            )
        if self.n_tokens < 1:
            raise InputError(f"n_tokens is {self.n_tokens}; it must be at least 1")

    @property
    def n_firings(self) -> float:
        """Features times tokens on which they fire."""
        return self.n_tokens * self.l0

    @property
    def n_products(self) -> float:
        """Of codes of one token with each other, where every token has as many: more where their number varies."""
        return self.n_tokens * self.l0**2


@dataclass(frozen=True, kw_only=True)
class Capacity:
    """What a build takes, the model and the encoder apart: these take what a forward pass and a product take.

    Attributes:
        cpu_seconds: of one core, all steps.
        tables_seconds: of it, correlations of features.
        ram_bytes: private memory of each process, without model and SAE.
        cached_bytes: files that are read again and again while correlations are made; the disk is asked for them only
            once where the system's cache has room for them.
        disk_bytes: of the finished index.
        peak_disk_bytes: the most while it is built.
        written_bytes: written to storage in all.
        read_bytes: read from it, where the cache of each worker has room for ``cached_bytes``.
        blocks: of features whose correlations are made at a time; without that room each reads up to
            ``cached_bytes``.
    """

    cpu_seconds: float
    tables_seconds: float
    ram_bytes: float
    cached_bytes: float
    disk_bytes: float
    peak_disk_bytes: float
    written_bytes: float
    read_bytes: float
    blocks: int


def capacity_of(load: Load, config: IndexConfig | None = None, *, workers: int = 1) -> Capacity:
    """What a build takes with settings, by so many processes."""
    config = config or IndexConfig()
    pairs, firings, features = config.correlated_features > 0, load.n_firings, load.n_features
    shards = -(-load.n_tokens // config.shard_tokens)
    posting = POSTING if config.acts_dtype == "float32" else ROUNDED_POSTING
    kept = posting * firings * (2 if config.codes else 1)
    temporary = SHARD_FIRING * firings + SHARD_FEATURE * features * shards + (BY_TOKEN_FIRING * firings if pairs else 0)
    table = FEATURE * features
    disk = kept + table + TOKEN * load.n_tokens
    cached = (SHARD_FIRING + BY_TOKEN_FIRING) * firings + SHARD_FEATURE * features * shards if pairs else 0.0
    tables_seconds = PRODUCT * load.n_products + FEATURE_SHARD * features * shards if pairs else 0.0
    return Capacity(
        cpu_seconds=FIRING * firings + FEATURE_SECONDS * features + tables_seconds,
        tables_seconds=tables_seconds,
        ram_bytes=_ram(load, config),
        cached_bytes=cached,
        disk_bytes=disk,
        peak_disk_bytes=disk + temporary + table,
        written_bytes=disk + temporary + table,
        read_bytes=SHARD_FIRING * firings * (2 if pairs else 1) + workers * cached + 2 * table,
        blocks=_blocks(load, config) if pairs else 0,
    )


def _blocks(load: Load, config: IndexConfig) -> int:
    each = load.n_products / load.n_features  # products of a feature
    rows = BLOCK_ROWS if each * DENSE >= load.n_features else config.block_bytes / (PAIR_BYTES * each)
    return int(np.ceil(load.n_features / max(1, min(BLOCK_ROWS, rows))))


def _ram(load: Load, config: IndexConfig) -> float:
    """Private memory: what is there always, and the largest of the steps."""
    always = BASE + TOKEN * load.n_tokens
    shard = RAM_SHARD_FIRING * load.l0 * min(config.shard_tokens, load.n_tokens)
    part = RAM_PART_FIRING * min(config.part_firings, load.n_firings) + RAM_PART_FEATURE * min(load.n_features, 1 << 16)
    block = RAM_BLOCK * config.block_bytes + RAM_FEATURE * load.n_features
    return always + max(shard, part, block)


def capacity_lines(load: Load, config: IndexConfig | None = None, *, workers: int = 1) -> list[str]:
    """The same in words."""
    found = capacity_of(load, config, workers=workers)
    cpu = f"{_time(found.cpu_seconds)} of one core"
    if found.blocks:
        cpu += f", of it {_time(found.tables_seconds)} for correlations of features"
    shared = "" if workers == 1 else f"; {_time(found.cpu_seconds / workers)} with {workers} workers of one core each"
    cache = f", and {_size(found.cached_bytes)} of files that each of {found.blocks:,} blocks of correlations reads"
    return [
        f"firings   {load.n_firings:,.0f} of {load.n_features:,} features on {load.n_tokens:,} tokens",
        f"time      {cpu}{shared}",
        f"memory    {_size(found.ram_bytes)} for each worker beside model and SAE" + (cache if found.blocks else ""),
        f"disk      {_size(found.disk_bytes)} when it is finished, {_size(found.peak_disk_bytes)} at the most before",
        f"traffic   {_size(found.written_bytes)} written, {_size(found.read_bytes)} read by all workers",
    ]


def _size(n: float) -> str:
    """Bytes in words."""
    unit = next((unit for unit in ("TB", "GB", "MB") if n >= _UNITS[unit]), "kB")
    return f"{n / _UNITS[unit]:,.3g} {unit}" if n < 1000 * _UNITS[unit] else f"{n / _UNITS[unit]:,.0f} {unit}"


def _time(seconds: float) -> str:
    """A time in words."""
    for unit, size in (("days", 86_400), ("hours", 3600), ("minutes", 60)):
        if seconds >= 2 * size:
            return f"{seconds / size:.3g} {unit}"
    return f"{seconds:.0f} seconds"


_UNITS = {"TB": 1e12, "GB": 1e9, "MB": 1e6, "kB": 1e3}
