"""From words to the features that fire on them or push them up: the lists of the feature table, turned around.

What can be searched for is a *text*: a word of the vocabulary, or a beginning that so many words share that reading all
of them would take too much. The features of every text are joined here, so that a search reads one file, or, for a
beginning that fewer words share, the two or three files in which these lie behind each other.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from functools import cached_property, partial
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from sae_vis.contract import WordFeatures, WordList
from sae_vis.explore.columns import LISTS
from sae_vis.explore.search import MOST_FOUND, spelled_words
from sae_vis.index.index import Index

I64 = NDArray[np.int64]
ENTRIES = 1 << 14
"""Features in a file, about: some 80 KB. No beginning that is read word by word has more."""
WORDS = 2048
"""Texts in a file of the vocabulary."""
MOST_READ = WORDS // 4
"""Words that a beginning is read from, at most."""


class Turned(NamedTuple):
    """One list column turned around.

    Attributes:
        offsets: int64 ``[n_words + 1]``.
        features: int32 ``[n]``, those of one word ascending; one that lists two tokens of a word is there twice.
        scores: float64 ``[n]``, above 0.
    """

    offsets: I64
    features: NDArray[np.int32]
    scores: NDArray[np.float64]


class Found(NamedTuple):
    """The best features of a text: int32 and float32 ``[n]``, by descending score, equal ones by number."""

    features: NDArray[np.int32]
    scores: NDArray[np.float32]


class Texts(NamedTuple):
    """What can be searched for, ascending as JavaScript compares.

    Attributes:
        spelled: each text.
        first: int64 ``[n]``, the first of the words that a text is, or begins.
        stop: int64 ``[n]``, the one behind the last.
    """

    spelled: list[str]
    first: I64
    stop: I64


class FeaturesByWord:
    """Both lists by words.

    Args:
        index: whose feature table it is; a list that it lacks is empty.
        chosen: the features that can be found; None: all.
    """

    def __init__(self, index: Index, chosen: Sequence[int] | None = None) -> None:
        ids, texts = spelled_words(index)
        found = sorted({text for text in texts if text}, key=_place)
        place = {text: i for i, text in enumerate(found)}
        word_of = np.full(int(ids.max(initial=-1)) + 2, -1, dtype=np.int64)
        word_of[ids] = [place.get(text, -1) for text in texts]
        self._words = found
        self._n_tokens = np.bincount(word_of[word_of >= 0], minlength=len(found))
        self._firings = np.maximum(index.column("n_firings"), 1)
        held = np.full(index.n_features, chosen is None)
        held[[] if chosen is None else list(chosen)] = True
        turn = partial(_turned, index, word_of=word_of, n_words=len(found), held=held)
        self._fires, self._pushes = turn("fired_tokens", "fired_tokens_count"), turn("pushed_up", "top_logits")

    @cached_property
    def texts(self) -> Texts:
        """All texts."""
        entries = np.cumsum([0, *self._entries(np.arange(len(self._words)), np.arange(len(self._words)) + 1)])
        starts, stops = {word: i for i, word in enumerate(self._words)}, {}
        shared = Counter(word[:end] for word in self._words for end in range(1, len(word)))
        many = {start for start, n in shared.items() if n > 1 and start not in starts}
        for i, word in enumerate(self._words):
            for end in range(1, len(word)):
                if word[:end] in many:
                    starts.setdefault(word[:end], i)
                    stops[word[:end]] = i + 1
        kept = [
            text
            for text, first in starts.items()
            if text not in stops or stops[text] - first > MOST_READ or entries[stops[text]] - entries[first] > ENTRIES
        ]
        kept.sort(key=_place)
        first = np.array([starts[text] for text in kept], dtype=np.int64)
        stop = np.array([stops.get(text, starts[text] + 1) for text in kept], dtype=np.int64)
        return Texts(kept, first, stop)

    @cached_property
    def first_texts(self) -> I64:
        """The first text of each file of features, int64 ``[n_files]``."""
        _, first, stop = self.texts
        counts = self._entries(first, stop)
        starts = np.flatnonzero(np.diff((np.cumsum(counts) - counts) // ENTRIES, prepend=-1) > 0)
        return starts.astype(np.int64)

    def _entries(self, first: I64, stop: I64) -> I64:
        """Features of ranges of words, at most."""
        return sum(
            (np.minimum(one.offsets[stop] - one.offsets[first], MOST_FOUND) for one in (self._fires, self._pushes)),
            np.zeros(len(first), dtype=np.int64),
        )

    @property
    def n_lists(self) -> int:
        """Files of the vocabulary."""
        return -(-len(self.texts.spelled) // WORDS)

    @property
    def letters(self) -> tuple[str, ...]:
        """The first text of each file of the vocabulary."""
        return tuple(self.texts.spelled[::WORDS])

    def words(self, number: int) -> WordList:
        """A file of the vocabulary."""
        part = slice(number * WORDS, (number + 1) * WORDS)
        spelled, first, stop = self.texts
        upto = np.cumsum([0, *self._n_tokens])
        counts = upto[stop[part]] - upto[first[part]]
        return WordList(first=part.start, words=tuple(spelled[part]), n_tokens=counts.astype(np.int32))

    def features(self, number: int) -> WordFeatures:
        """A file of features."""
        start, end = [*self.first_texts.tolist(), len(self.texts.spelled)][number : number + 2]
        ranges = list(zip(self.texts.first[start:end].tolist(), self.texts.stop[start:end].tolist(), strict=True))
        fires = [_best(self._fires, np.add, one, self._firings) for one in ranges]
        pushes = [_best(self._pushes, np.maximum, one, None) for one in ranges]
        return WordFeatures(
            fires_offsets=_offsets(fires),
            fires=np.concatenate([one.features for one in fires]),
            shares=np.concatenate([one.scores for one in fires]),
            pushes_offsets=_offsets(pushes),
            pushes=np.concatenate([one.features for one in pushes]),
            effects=np.concatenate([one.scores for one in pushes]),
        )


def _place(text: str) -> bytes:
    """By what texts are sorted."""
    return text.encode("utf-16-be", "surrogatepass")


def _turned(index: Index, name: str, scored_by: str, *, word_of: I64, n_words: int, held: NDArray[np.bool_]) -> Turned:
    """The lists ``name`` of the features that are ``held``, with the scores of the lists ``scored_by``."""
    if LISTS[name] not in index.column_names:
        return Turned(np.zeros(n_words + 1, np.int64), np.zeros(0, np.int32), np.zeros(0, np.float64))
    lists = index.list_column(LISTS[name])
    words = word_of[np.clip(lists.values.to_numpy(), -1, len(word_of) - 1)]  # the last one is no word
    scores = index.list_column(scored_by).values.to_numpy()
    features = np.repeat(np.arange(index.n_features, dtype=np.int32), np.diff(lists.offsets.to_numpy()))
    kept = np.flatnonzero((words >= 0) & (scores > 0) & held[features])
    # sixteen bits are sorted by radix, several times as fast
    order = kept[np.argsort(words[kept].astype(np.uint16 if n_words < 1 << 16 else np.int32), kind="stable")]
    offsets = np.cumsum([0, *np.bincount(words[kept], minlength=n_words)])
    return Turned(offsets, features[order], scores[order].astype(np.float64))


def _best(turned: Turned, joined: np.ufunc, words: tuple[int, int], over: I64 | None) -> Found:
    """The best features of a range of words: their scores joined, over a number of each feature where given."""
    part = slice(turned.offsets[words[0]], turned.offsets[words[1]])
    order = np.argsort(turned.features[part], kind="stable")
    features, scores = turned.features[part][order], turned.scores[part][order]
    starts = np.flatnonzero(np.diff(features, prepend=-1))
    if len(starts) == 0:
        return Found(features, scores.astype(np.float32))
    features, scores = features[starts], joined.reduceat(scores, starts)
    if over is not None:
        scores = scores / over[features]
    best = np.argsort(-scores, kind="stable")[:MOST_FOUND]
    return Found(features[best], scores[best].astype(np.float32))


def _offsets(found: list[Found]) -> NDArray[np.int32]:
    return np.cumsum([0, *(len(one.features) for one in found)]).astype(np.int32)
