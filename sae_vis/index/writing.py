"""The files that a finished index consists of: their names, and how their rows are cut."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypedDict

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from sae_vis.index.codes_by_position import codes_table
from sae_vis.index.files import FileRecord
from sae_vis.index.manifest import CodesRecord, ListsRecord, PartRecord
from sae_vis.index.postings import Postings
from sae_vis.index.shards import RunCodes
from sae_vis.index.storage import Store

TOKENS, VOCABULARY, FEATURES = "tokens.safetensors", "vocabulary.parquet", "features.parquet"
LABELS = "labels.parquet"
GROUP_ROWS = 32_768
"""Firings in a row group, the least that is read of postings and of codes."""
LIST_FEATURES = 16_384
"""Features in a row group of numbers, and in a file of lists."""
LIST_GROUP_ROWS = 256
"""Features in a row group of lists."""
NOTHING = "_"
"""Column of a block of which no statistic is wanted: a table without columns has no rows."""


def part_name(number: int) -> str:
    """Of a file of postings."""
    return f"postings/part-{number:05d}.parquet"


def codes_name(number: int) -> str:
    """Of a file of codes by position."""
    return f"codes/part-{number:05d}.parquet"


def lists_name(number: int) -> str:
    """Of a file of the feature table's lists."""
    return f"lists/part-{number:05d}.parquet"


def write_postings(store: Store, number: int, postings: Postings, first: int) -> None:
    """One file of postings, of the features from ``first``."""
    store.write_table(part_name(number), postings.to_table(first), group_rows=GROUP_ROWS)


def write_codes(store: Store, number: int, codes: RunCodes, n_tokens: int) -> None:
    """One file of codes by position, of a run of the corpus' ``n_tokens`` tokens."""
    store.write_table(codes_name(number), codes_table(codes, n_tokens), group_rows=GROUP_ROWS)


def part_record(store: Store, number: int, first: int, counts: NDArray[np.int64]) -> PartRecord:
    """Of a finished file of postings; ``counts`` are the firings of its features, from ``first``."""
    file = store.record(part_name(number))
    return PartRecord(first_feature=first, n_features=len(counts), n_firings=int(counts.sum()), file=file)


def codes_record(store: Store, number: int, first: int, n_firings: int) -> CodesRecord:
    """Of a finished file of codes, of the positions from ``first``."""
    return CodesRecord(first_position=first, n_firings=n_firings, file=store.record(codes_name(number)))


class SingleRecords(TypedDict):
    """The files of an index of which there is one."""

    tokens: FileRecord
    features: FileRecord
    vocabulary: FileRecord | None
    labels: FileRecord | None


def single_records(store: Store) -> SingleRecords:
    """Of the finished ones."""
    return {
        "tokens": store.record(TOKENS),
        "features": store.record(FEATURES),
        "vocabulary": store.record(VOCABULARY) if store.exists(VOCABULARY) else None,
        "labels": store.record(LABELS) if store.exists(LABELS) else None,
    }


def write_features(
    store: Store, d_sae: int, rows: Callable[[int, int], pa.Table]
) -> tuple[tuple[ListsRecord, ...], tuple[str, ...]]:
    """The feature table: numbers in one file, lists in files of `LIST_FEATURES` features.

    Args:
        store: of the index.
        d_sae: number of features.
        rows: gives all columns of the features from its first to its second argument.

    Returns:
        The files of lists, and the names of these columns.
    """
    numbers: list[pa.Table] = []
    lists: list[ListsRecord] = []
    names: tuple[str, ...] = ()
    for number, first in enumerate(range(0, d_sae, LIST_FEATURES)):
        stop = min(d_sae, first + LIST_FEATURES)
        table = rows(first, stop)
        names = tuple(field.name for field in table.schema if pa.types.is_list(field.type))
        numbers.append(table.select([name for name in table.column_names if name not in (*names, NOTHING)]))
        if names:
            store.write_table(lists_name(number), table.select(["feature", *names]), group_rows=LIST_GROUP_ROWS)
            record = store.record(lists_name(number))
            lists.append(ListsRecord(first_feature=first, n_features=stop - first, file=record))
    store.write_table(FEATURES, pa.concat_tables(numbers), group_rows=LIST_FEATURES)
    return tuple(lists), names
