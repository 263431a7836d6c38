"""One search box: tokens that features fire on or push up, and phrases of the corpus."""

from __future__ import annotations

from typing import Literal

import numpy as np
from numpy.typing import NDArray

from sae_vis.contract import Hits, SearchAnswer
from sae_vis.errors import InputError
from sae_vis.explore.columns import LISTS
from sae_vis.index.index import Index

MOST_FOUND = 2_000  # features listed for each way of finding them
MOST_MATCHES = 200_000  # places of a phrase that are looked at

Way = Literal["fires", "pushes", "phrase", "explanation", "note", "text"]
SAID = {
    "fires": "share of its firings that are on such tokens",
    "pushes": "largest logit effect on such a token",
    "phrase": "log-likelihood ratio of firing there more than elsewhere",
    "explanation": "share of the explanation's words that were asked for",
    "note": "1 for each note",
    "text": "largest activation over its maximum",
}
"""What the score of each way is."""


class Search:
    """Search in one index.

    Args:
        index: the index.
    """

    def __init__(self, index: Index) -> None:
        self._index = index
        self._spelled: tuple[NDArray[np.int64], list[str]] | None = None

    def find(self, words: str) -> SearchAnswer:
        """Features by a text, in every way that the index allows.

        Tokens match where their text, without spaces around it, is that of ``words``, both in small letters; where no
        token is that, tokens match that begin with it. A phrase is looked for as it is, a space in front included,
        letters A to Z of either case. In explanations every word must stand, or begin a word where none is that.

        Raises:
            InputError: nothing to look for.
        """
        if not words.strip():
            raise InputError("there is nothing to look for: type a token, words or a number")
        tokens = self._tokens(words.strip().lower())
        found = [self._fires(tokens), self._pushes(tokens)]
        if self._index.manifest.vocabulary is not None and self._index.manifest.codes:
            found.append(self._phrase(words))
        if self._index.has_explanations:
            found.append(self._explained(words))
        return SearchAnswer(hits=tuple(found), tokens=np.zeros(0, dtype=np.int32))

    def _tokens(self, words: str) -> NDArray[np.int64]:
        """Ids of the tokens whose text is ``words``, or begins with it where none is."""
        if self._spelled is None:
            self._spelled = spelled_words(self._index)
        ids, texts = self._spelled
        same = [text == words for text in texts]
        return ids[same if any(same) else [text.startswith(words) for text in texts]]

    def _fires(self, tokens: NDArray[np.int64]) -> Hits:
        """By the share of a feature's firings that are on some tokens, of those that the index lists for it."""
        feature, place = self._listed("fires", tokens)
        if len(feature) == 0:
            return hits("fires", len(tokens))
        counts = self._index.list_column("fired_tokens_count").values.to_numpy()[place]
        summed = np.bincount(feature, weights=counts, minlength=self._index.n_features)
        firings = self._index.column("n_firings")
        return hits("fires", len(tokens), np.divide(summed, firings, out=np.zeros(len(summed)), where=firings > 0))

    def _pushes(self, tokens: NDArray[np.int64]) -> Hits:
        """By the largest logit effect on one of some tokens, where it is among those that the index lists."""
        feature, place = self._listed("pushes", tokens)
        if len(feature) == 0:
            return hits("pushes", len(tokens))
        effects = self._index.list_column("top_logits").values.to_numpy()[place]
        largest = np.zeros(self._index.n_features)
        np.maximum.at(largest, feature, effects)
        return hits("pushes", len(tokens), largest)

    def _listed(self, way: Way, tokens: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Where tokens stand in the lists of features: the features, and the places among the values of all lists."""
        column = LISTS[{"fires": "fired_tokens", "pushes": "pushed_up"}[way]]
        none = np.zeros(0, dtype=np.int64)
        if column not in self._index.column_names or len(tokens) == 0:
            return none, none
        lists = self._index.list_column(column)
        place = np.flatnonzero(np.isin(lists.values.to_numpy(), tokens))
        return np.searchsorted(lists.offsets.to_numpy(), place, side="right") - 1, place

    def _phrase(self, words: str) -> Hits:
        """By how much more a feature fires where the phrase stands than elsewhere."""
        index = self._index
        matches = index.find_text(words, limit=MOST_MATCHES, ignore_case=words.isascii())
        found = index.features_of(matches.positions, MOST_FOUND)
        return Hits(
            way="phrase",
            said=SAID["phrase"],
            n_places=len(matches.starts),
            features=found.feature.astype(np.int32),
            scores=found.score.astype(np.float32),
        )

    def _explained(self, words: str) -> Hits:
        """By explanations that hold the words."""
        found = self._index.explanations.find(words)
        return Hits(
            way="explanation",
            said=SAID["explanation"],
            n_places=found.n,
            features=found.features[:MOST_FOUND].astype(np.int32),
            scores=found.scores[:MOST_FOUND].astype(np.float32),
        )


def spelled_words(index: Index) -> tuple[NDArray[np.int64], list[str]]:
    """Ids of all tokens that are text, ascending, and the text of each in small letters without spaces around it."""
    entries = [(token, data) for token, data, special in index.text.entries() if not special]
    ids = np.array([token for token, _ in entries], dtype=np.int64)
    return ids, [data.decode("utf-8", "replace").strip().lower() for _, data in entries]


def hits(way: Way, n_places: int, scores: NDArray[np.float64] | None = None) -> Hits:
    """The features with scores above 0, best first, equal ones by number."""
    scores = np.zeros(0) if scores is None else scores
    order = np.argsort(-scores, kind="stable")[:MOST_FOUND]
    order = order[scores[order] > 0]
    return Hits(
        way=way,
        said=SAID[way],
        n_places=n_places,
        features=order.astype(np.int32),
        scores=scores[order].astype(np.float32),
    )
