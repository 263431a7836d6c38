"""What the rows in sight show beside numbers: a few tokens of each feature."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from sae_vis.contract import RowTexts, TokensOfRows
from sae_vis.errors import InputError
from sae_vis.explore.columns import LISTS
from sae_vis.index.index import Index
from sae_vis.views.feature import feature_summary

MOST_ROWS = 512
TOKENS = 6  # of each kind in a row


def row_texts(index: Index, features: Sequence[int], *, most: int = MOST_ROWS) -> RowTexts:
    """The tokens that some features fire on, push up and push down most, and what is said that they mean.

    Raises:
        InputError: a feature that does not exist, or more of them than ``most``.
    """
    if len(features) > most:
        raise InputError(f"asked for {len(features)} rows, expected at most {most}")
    rows = np.asarray(features, dtype=np.int64).reshape(-1)
    outside = rows[(rows < 0) | (rows >= index.n_features)]
    if len(outside):
        index.require_feature(int(outside[0]))
    fired, up, down = (_tokens(index, LISTS[name], rows) for name in ("fired_tokens", "pushed_up", "pushed_down"))
    top = feature_summary(index, rows).top_token
    said = tuple(index.explanations.best_texts(rows.tolist())) if index.has_explanations else ()
    return RowTexts(features=rows.astype(np.int32), top=top, fired=fired, up=up, down=down, explanations=said)


def _tokens(index: Index, column: str, features: NDArray[np.int64]) -> TokensOfRows:
    """The first `TOKENS` of each; none where the index lacks the column."""
    if column not in index.column_names:
        return TokensOfRows(offsets=np.zeros(len(features) + 1, dtype=np.int32), tokens=np.zeros(0, dtype=np.int32))
    lists = index.list_rows(column, features)
    offsets, values = lists.offsets.to_numpy(), lists.values.to_numpy()
    counts = np.minimum(np.diff(offsets), TOKENS)
    kept = np.repeat(offsets[:-1] - np.cumsum(counts) + counts, counts) + np.arange(counts.sum())
    ends = np.concatenate([[0], np.cumsum(counts)]).astype(np.int32)
    return TokensOfRows(offsets=ends, tokens=values[kept].astype(np.int32))
