"""From tokens to the features that fire on them or push them up: the lists of the feature table, turned around."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from sae_vis.contract import TokenFeatures
from sae_vis.explore.columns import LISTS
from sae_vis.explore.search import MOST_FOUND
from sae_vis.index.index import Index

I64 = NDArray[np.int64]
ENTRIES = 1 << 14
"""Features in a file, about: some 100 KB."""


class Turned(NamedTuple):
    """One list column turned around.

    Attributes:
        tokens: int64 ``[n]``, ascending.
        features: int64 ``[n]``, those of one token by descending score, equal ones by number; `MOST_FOUND` at most.
        scores: float32 ``[n]``.
    """

    tokens: I64
    features: I64
    scores: NDArray[np.float32]

    def between(self, first: int, stop: int) -> Turned:
        """Of the tokens from one id to before another."""
        start, end = np.searchsorted(self.tokens, [first, stop])
        return Turned(self.tokens[start:end], self.features[start:end], self.scores[start:end])

    def offsets(self, ids: I64) -> NDArray[np.int32]:
        """Where the features of each of some tokens begin, which are all that there are."""
        return np.append(np.searchsorted(self.tokens, ids), len(self.tokens)).astype(np.int32)


class FeaturesByToken:
    """Both lists, cut into files by token id.

    Args:
        fires: features that fire on tokens, by the share of their firings there.
        pushes: features that push tokens up, by their logit effect.

    Attributes:
        first_ids: int64 ``[n_files]``, the first token id of each file.
    """

    def __init__(self, fires: Turned, pushes: Turned) -> None:
        self._fires, self._pushes = fires, pushes
        ids, counts = np.unique(np.concatenate([fires.tokens, pushes.tokens]), return_counts=True)
        before = np.cumsum(counts) - counts
        starts = np.flatnonzero(np.diff(before // ENTRIES, prepend=-1) > 0)
        self.first_ids: I64 = ids[starts]

    @classmethod
    def of(cls, index: Index) -> FeaturesByToken:
        """Of an index's feature table; empty where it lacks a list."""
        firings = np.maximum(index.column("n_firings"), 1)
        fires = _turned(index, "fired_tokens", "fired_tokens_count", firings)
        return cls(fires, _turned(index, "pushed_up", "top_logits", None))

    def file(self, number: int) -> TokenFeatures:
        """What is in a file."""
        first = int(self.first_ids[number])
        last = number + 1 == len(self.first_ids)
        stop = np.iinfo(np.int64).max if last else int(self.first_ids[number + 1])
        fires, pushes = self._fires.between(first, stop), self._pushes.between(first, stop)
        ids = np.union1d(fires.tokens, pushes.tokens)
        return TokenFeatures(
            ids=ids.astype(np.int32),
            fires_offsets=fires.offsets(ids),
            fires=fires.features.astype(np.int32),
            shares=fires.scores,
            pushes_offsets=pushes.offsets(ids),
            pushes=pushes.features.astype(np.int32),
            effects=pushes.scores,
        )


def _turned(index: Index, name: str, scored_by: str, over: I64 | None) -> Turned:
    """The lists ``name``, with the scores of the lists ``scored_by``, over a number of each feature where given."""
    if LISTS[name] not in index.column_names:
        return Turned(np.zeros(0, np.int64), np.zeros(0, np.int64), np.zeros(0, np.float32))
    lists = index.list_column(LISTS[name])
    tokens = lists.values.to_numpy().astype(np.int64)
    features = np.repeat(np.arange(index.n_features), np.diff(lists.offsets.to_numpy()))
    scores = index.list_column(scored_by).values.to_numpy().astype(np.float64)
    if over is not None:
        scores = scores / over[features]
    kept = scores > 0
    tokens, features, scores = tokens[kept], features[kept], scores[kept]
    order = np.lexsort((features, -scores, tokens))
    tokens = tokens[order]
    rank = np.arange(len(tokens)) - np.searchsorted(tokens, tokens)
    best = order[rank < MOST_FOUND]
    return Turned(tokens[rank < MOST_FOUND], features[best], scores[best].astype(np.float32))
