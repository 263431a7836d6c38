"""Explanations by word, cut into files: what a search in a site reads."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from sae_vis.contract import ExplainedWords
from sae_vis.index.explanations import COMMON, Explanations, WordTable
from sae_vis.index.shards import offsets_of

ENTRIES = 1 << 14
"""Entries in a file, about: some 50 KB."""


class ExplainedByWord:
    """The words of all explanations, in files of about `ENTRIES` entries.

    Of a word in more than `COMMON` explanations the best entries alone are kept, by the share of the explanation that
    it is: a search looks for it only by itself.

    Args:
        explanations: of the index.
        chosen: the features whose explanations are found; None: all.

    Attributes:
        letters: the first word of each file.
    """

    def __init__(self, explanations: Explanations, chosen: Sequence[int] | None = None) -> None:
        self._features = explanations.features
        self._words = explanations.words if chosen is None else _of(explanations.words, self._features, chosen)
        self._lengths = explanations.table["n_words"].to_numpy()
        kept = np.minimum(np.diff(self._words.offsets), COMMON)
        before = np.cumsum(kept) - kept
        self._starts = np.flatnonzero(np.diff(before // ENTRIES, prepend=-1) > 0)
        self.letters = tuple(self._words.words[start] for start in self._starts.tolist())

    def file(self, number: int) -> ExplainedWords:
        """What is in a file."""
        offsets, words = self._words.offsets, self._words.words
        first = int(self._starts[number])
        stop = len(words) if number + 1 == len(self._starts) else int(self._starts[number + 1])
        places = [self._kept(int(offsets[word]), int(offsets[word + 1])) for word in range(first, stop)]
        kept = np.concatenate([*places, np.zeros(0, dtype=np.int64)])
        rows = self._words.rows[kept]
        return ExplainedWords(
            words=tuple(words[first:stop]),
            totals=np.diff(offsets[first : stop + 1]).astype(np.int32),
            offsets=offsets_of(np.array([len(own) for own in places], dtype=np.int64)).astype(np.int32),
            rows=rows,
            features=self._features[rows],
            counts=self._words.counts[kept],
            lengths=self._lengths[rows],
        )

    def _kept(self, start: int, stop: int) -> NDArray[np.int64]:
        """Places of a word's entries, or of the best of them, ascending."""
        every = np.arange(start, stop)
        if len(every) <= COMMON:
            return every
        shares = self._words.counts[every] / self._lengths[self._words.rows[every]]
        return np.sort(every[np.argsort(-shares, kind="stable")[:COMMON]])


def _of(table: WordTable, features: NDArray[np.int32], chosen: Sequence[int]) -> WordTable:
    """The words of the explanations of some features."""
    kept = np.flatnonzero(np.isin(features[table.rows], np.asarray(chosen)))
    counts = np.diff(np.searchsorted(kept, table.offsets))
    there = np.flatnonzero(counts)
    words = [table.words[word] for word in there.tolist()]
    return WordTable(words, offsets_of(counts[there]), table.rows[kept], table.counts[kept])
