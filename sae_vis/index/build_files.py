"""Files of a build on its way, and the versions of what computes it."""

from __future__ import annotations

import platform
from contextlib import suppress
from importlib import metadata

import pyarrow as pa

from sae_vis.index.storage import Store

PLAN, WORK = "build/plan.json", "build"


class Stretches:
    """Tables of consecutive features, one after the other: any stretch of them, however they are cut."""

    def __init__(self, store: Store, pieces: list[tuple[int, int, str]]) -> None:
        self._store, self._pieces = store, pieces

    def table(self, first: int, stop: int) -> pa.Table:
        """Of features ``first`` to ``stop``."""
        found = []
        for low, high, name in self._pieces:
            if low < stop and first < high:
                begin, end = max(low, first), min(high, stop)
                found.append(self._store.table(name).slice(begin - low, end - begin))
        return pa.concat_tables(found)


def version() -> str:
    """Version of sae_vis."""
    from sae_vis import __version__

    return __version__


def versions() -> dict[str, str]:
    """Of what computes the numbers; they are told, and are no part of what an index is."""
    found = {"python": platform.python_version()}
    for package in ("torch", "transformers", "numpy", "pyarrow"):
        with suppress(metadata.PackageNotFoundError):
            found[package] = metadata.version(package)
    return found


def shard_name(number: int) -> str:
    """A shard, by feature."""
    return f"{WORK}/shard-{number:05d}.safetensors"


def by_token_name(number: int) -> str:
    """Codes of a shard, by token."""
    return f"{WORK}/by-token-{number:05d}.safetensors"


def sums_name(run: int) -> str:
    """Sums over neurons from the start of a range to the end of a run in it."""
    return f"{WORK}/neurons-{run:05d}.safetensors"


def range_name(number: int) -> str:
    """Sums over neurons of a range."""
    return f"{WORK}/neurons-of-{number:05d}.safetensors"


def up_to_name(number: int) -> str:
    """Sums over neurons of all ranges up to one; the first is its own."""
    return f"{WORK}/neurons-to-{number:05d}.safetensors" if number else range_name(0)


def counts_name(number: int) -> str:
    """Numbers of firings and of products by feature, of some shards."""
    return f"{WORK}/counts-{number:05d}.safetensors"


def rows_name(number: int) -> str:
    """Rows of the feature table, of a part."""
    return f"{WORK}/rows-{number:05d}.parquet"


def labels_name(number: int) -> str:
    """Counts by label, of a part."""
    return f"{WORK}/labels-{number:05d}.parquet"


def more_name(number: int) -> str:
    """Further columns of the feature table, of a block."""
    return f"{WORK}/more-{number:05d}.parquet"
