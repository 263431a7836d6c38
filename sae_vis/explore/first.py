"""Rows that the table begins with, in the explorer's head: they are on screen before any column is asked for."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from sae_vis.contract import FirstRows
from sae_vis.explore.column_words import SHOWN, SORT
from sae_vis.explore.columns import Columns
from sae_vis.explore.rows import row_texts
from sae_vis.index.index import Index

FIRST = 128


def first_rows(index: Index, columns: Columns, among: Sequence[int] | None = None) -> FirstRows:
    """The features that are first by the column that the table is sorted by, with the columns that it shows.

    Args:
        index: the index.
        columns: of its table.
        among: the features to choose from, ascending; None: all.
    """
    values = columns.values(SORT)
    if among is None:
        order = largest(values, FIRST)
    else:
        held = np.asarray(among, dtype=np.intp)
        order = held[largest(values[held], FIRST)]
    shown = [name for name in SHOWN if name in columns.names]
    shown_values = [columns.values(name)[order].astype(np.float32) for name in shown]
    return FirstRows(
        features=order.astype(np.int32),
        columns=tuple(shown),
        values=np.concatenate([*shown_values, np.zeros(0, np.float32)]),
        texts=row_texts(index, order.tolist()),
    )


def largest(values: NDArray[np.float32] | NDArray[np.int32], n: int) -> NDArray[np.intp]:
    """Places of the ``n`` largest of some values without NaN, descending, ties by place, without sorting them all.

    Args:
        values: numbers ``[n_values]``.
        n: how many, at most.
    """
    if len(values) > n:
        least = np.partition(values, len(values) - n)[len(values) - n]
        places = np.flatnonzero(values >= least)
    else:
        places = np.arange(len(values))
    return places[np.argsort(-values[places], kind="stable")[:n]]
