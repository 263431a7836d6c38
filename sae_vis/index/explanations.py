"""What somebody, or a model, says that features mean: kept beside an index, found by their words.

Files are ``explanations/texts.parquet``, a row for each explanation by ascending feature, and
``explanations/words.parquet``, for each word the rows that it stands in. The manifest lists neither: explanations come
and go while the index stays as it is.
"""

from __future__ import annotations

import hashlib
import math
import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache, cached_property
from typing import NamedTuple

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from sae_vis.checks import a_text, shown, surrogate_at, whole_number
from sae_vis.errors import InputError
from sae_vis.index.shards import offsets_of

TEXTS, WORDS = "explanations/texts.parquet", "explanations/words.parquet"
COMMON = 1 << 14
"""A word that stands in more explanations than this says nothing by itself: it is not looked for beside others."""
MOST_WORDS = 64  # words that begin with what was asked for, at most
_WORD = re.compile(r"[^\W_]+")
_SCHEMA = pa.schema(
    [
        ("feature", pa.int32()),
        ("text", pa.string()),
        ("score", pa.float64()),
        ("measure", pa.string()),
        ("source", pa.string()),
        ("n_words", pa.int32()),
    ]
)


@dataclass(frozen=True, kw_only=True)
class Explanation:
    """What somebody, or a model, says that a feature means.

    Attributes:
        feature: its number.
        text: what is said.
        score: how well it does, NaN where nobody has looked; larger is better.
        measure: what the score is, such as ``detection accuracy``.
        source: who says so, such as the name of a model.

    Raises:
        InputError: no text, a number that is none, half a character.
    """

    feature: int
    text: str
    score: float = math.nan
    measure: str = ""
    source: str = ""

    def __post_init__(self) -> None:
        """Texts must be texts, numbers numbers."""
        object.__setattr__(self, "feature", whole_number(self.feature, "Explanation.feature", 0))
        for name in ("text", "measure", "source"):
            value = " ".join(a_text(getattr(self, name), f"Explanation.{name}").split())
            if surrogate_at(value) is not None:
                raise InputError(f"Explanation.{name} is {shown(value)}, which holds half a character")
            object.__setattr__(self, name, value)
        if not self.text:
            raise InputError(f"the explanation of feature {self.feature} is empty, expected words")
        try:
            score = float(self.score)
        except (TypeError, ValueError) as error:
            raise InputError(f"Explanation.score is {shown(self.score)}, expected a number") from error
        if math.isinf(score):
            raise InputError(f"Explanation.score is {shown(self.score)}, expected a finite number, or NaN for none")
        object.__setattr__(self, "score", score)


class WordTable(NamedTuple):
    """Where each word of the explanations stands.

    Attributes:
        words: small letters, each once, ascending as UTF-16, as JavaScript compares.
        offsets: int64 ``[n_words + 1]``: word ``i`` has the entries from ``offsets[i]`` on.
        rows: int32 ``[n_entries]`` rows of the explanations, ascending within a word.
        counts: int32 ``[n_entries]`` how often it stands there.
    """

    words: list[str]
    offsets: NDArray[np.int64]
    rows: NDArray[np.int32]
    counts: NDArray[np.int32]

    def places(self, word: str) -> slice:
        """Places of a word, or else of those that begin with it, at most `MOST_WORDS` of them."""
        first = _bisect(self.words, word)
        if first < len(self.words) and self.words[first] == word:
            return slice(first, first + 1)
        stop = first
        while stop < min(len(self.words), first + MOST_WORDS) and self.words[stop].startswith(word):
            stop += 1
        return slice(first, stop)


class FoundExplanations(NamedTuple):
    """Features whose explanations hold some words, the best first, equal ones by number.

    Attributes:
        n: how many explanations hold them.
        features: int64 ``[n_features]``.
        scores: float64 ``[n_features]``: the largest share of the words of one of its explanations that was asked for.
    """

    n: int
    features: NDArray[np.int64]
    scores: NDArray[np.float64]


class Explanations:
    """All explanations of an index, by feature; of a feature the best first, those without a score last.

    Args:
        table: as it lies in `TEXTS`.
        words: reads `WORDS`, if they are those of explanations of a mark; else they are found out when they are needed.
    """

    def __init__(self, table: pa.Table, words: Callable[[str], WordTable | None] | None = None) -> None:
        self.table = table.combine_chunks()
        self.features: NDArray[np.int32] = table["feature"].to_numpy()
        self._read_words = words

    @classmethod
    def of(cls, given: Iterable[Explanation]) -> Explanations:
        """Collect explanations. Of those with the same feature, text and source, the last one counts.

        Args:
            given: explanations, in any order.

        Returns:
            The collection, by feature; of each feature the one with the largest score first.
        """
        last = {(one.feature, one.text, one.source): one for one in given}
        ordered = sorted(
            last.values(), key=lambda one: (one.feature, math.inf if math.isnan(one.score) else -one.score)
        )
        columns = {name: [getattr(one, name) for one in ordered] for name in _SCHEMA.names[:-1]}
        columns["n_words"] = [len(words_of(one.text)) for one in ordered]
        return cls(pa.table(columns, schema=_SCHEMA))

    def __len__(self) -> int:
        """How many there are."""
        return len(self.features)

    def __iter__(self) -> Iterator[Explanation]:
        """All of them."""
        return iter(self._between(0, len(self)))

    def of_feature(self, feature: int) -> list[Explanation]:
        """All explanations of one feature.

        Args:
            feature: its id.

        Returns:
            Its explanations, the one with the largest score first; empty where there is none.
        """
        first, stop = np.searchsorted(self.features, [feature, feature + 1]).tolist()
        return self._between(first, stop)

    def _between(self, first: int, stop: int) -> list[Explanation]:
        rows = self.table.slice(first, stop - first).drop_columns(["n_words"]).to_pylist()
        return [Explanation(**row) for row in rows]

    @cached_property
    def firsts(self) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Explained features, ascending, and the row of the best explanation of each."""
        features, rows = np.unique(self.features, return_index=True)
        return features.astype(np.int64), rows.astype(np.int64)

    def best_scores(self, n_features: int) -> NDArray[np.float32]:
        """The score of each feature's best explanation.

        Args:
            n_features: of the dictionary.

        Returns:
            float32 ``[n_features]``, NaN where there is none.
        """
        found: NDArray[np.float32] = np.full(n_features, np.nan, dtype=np.float32)
        features, rows = self.firsts
        found[features] = self.table["score"].to_numpy()[rows]
        return found

    def best_texts(self, features: Sequence[int]) -> list[str]:
        """The best explanation of each of some features.

        Args:
            features: ids.

        Returns:
            A text for each feature, empty where there is none.
        """
        explained, rows = self.firsts
        asked = np.asarray(features, dtype=np.int64)
        place = np.minimum(np.searchsorted(explained, asked), max(len(explained) - 1, 0))
        has = explained[place] == asked if len(explained) else np.zeros(len(asked), dtype=bool)
        texts = iter(self.table["text"].take(rows[place[has]]).to_pylist() if has.any() else [])
        return [next(texts) if there else "" for there in has.tolist()]

    @cached_property
    def mark(self) -> str:
        """Differs from that of any others."""
        made = hashlib.sha256()
        for name in ("feature", "score"):
            made.update(self.table[name].to_numpy().tobytes())
        for name in ("text", "measure", "source"):
            made.update("\0".join(self.table[name].to_pylist()).encode())
        return made.hexdigest()[:32]

    @cached_property
    def words(self) -> WordTable:
        """Where each word stands."""
        found = None if self._read_words is None else self._read_words(self.mark)
        return word_table(self.table["text"].to_pylist()) if found is None else found

    def find(self, asked: str) -> FoundExplanations:
        """Features by words: every word asked for stands in the explanation, or begins one of its words.

        A word that no explanation holds is taken for the beginning of one. Words that stand in more than `COMMON`
        explanations are not looked for where others are given.

        Args:
            asked: words.

        Returns:
            The features found, ranked by the share of the explanation's words that were asked for.
        """
        asked_for = self._asked(words_of(asked))
        rows, shares = asked_for[0] if asked_for else (np.zeros(0, np.int64), np.zeros(0))
        for others, more in asked_for[1:]:
            rows, mine, theirs = np.intersect1d(rows, others, assume_unique=True, return_indices=True)
            shares = shares[mine] + more[theirs]
        features, first = np.unique(self.features[rows], return_index=True)
        best = np.maximum.reduceat(shares, first) if len(first) else shares
        order = np.lexsort((features, -best))
        return FoundExplanations(len(rows), features[order].astype(np.int64), best[order])

    def _asked(self, asked: Sequence[str]) -> list[tuple[NDArray[np.int64], NDArray[np.float64]]]:
        """Of each word, each once: rows, and the share of their words that it is."""
        table, n_words = self.words, self.table["n_words"].to_numpy()
        made = []
        for word in dict.fromkeys(asked):
            places = table.places(word)
            entries = slice(int(table.offsets[places.start]), int(table.offsets[places.stop]))
            rows, at = np.unique(table.rows[entries], return_inverse=True)
            counts = np.bincount(at, weights=table.counts[entries], minlength=len(rows))
            made.append((rows.astype(np.int64), counts / n_words[rows]))
        rare = [one for one in made if len(one[0]) <= COMMON]
        return rare or made


@cache
def no_explanations() -> Explanations:
    """What an index has beside which none are kept; made once, since every card asks."""
    return Explanations.of([])


def words_of(text: str) -> list[str]:
    """Runs of letters and digits, in small letters."""
    return _WORD.findall(text.lower())


def word_table(texts: Sequence[str]) -> WordTable:
    """Of explanations, row by row."""
    found: dict[str, list[tuple[int, int]]] = {}
    for row, text in enumerate(texts):
        for word, count in Counter(words_of(text)).items():
            found.setdefault(word, []).append((row, count))
    words = sorted(found, key=_utf16)
    entries = np.array([entry for word in words for entry in found[word]], dtype=np.int32).reshape(-1, 2)
    offsets = offsets_of(np.array([len(found[word]) for word in words], dtype=np.int64))
    return WordTable(words, offsets, entries[:, 0].copy(), entries[:, 1].copy())


def stored_words(table: WordTable, mark: str) -> pa.Table:
    """As they lie in `WORDS`; ``mark`` is that of the explanations."""
    offsets = table.offsets.astype(np.int32)
    lists = {name: pa.ListArray.from_arrays(offsets, getattr(table, name)) for name in ("rows", "counts")}
    return pa.table({"word": pa.array(table.words, pa.string()), **lists}).replace_schema_metadata({"of": mark})


def read_words(table: pa.Table, mark: str) -> WordTable | None:
    """What `stored_words` made; None where it is of other explanations."""
    if (table.schema.metadata or {}).get(b"of") != mark.encode():
        return None
    table = table.combine_chunks()
    rows, counts = (table[name].combine_chunks() for name in ("rows", "counts"))
    offsets = rows.offsets.to_numpy().astype(np.int64)
    return WordTable(table["word"].to_pylist(), offsets, rows.values.to_numpy(), counts.values.to_numpy())


def _utf16(word: str) -> bytes:
    return word.encode("utf-16-be")


def _bisect(words: Sequence[str], word: str) -> int:
    """The first place of a word that is not before ``word``."""
    key, low, high = _utf16(word), 0, len(words)
    while low < high:
        middle = (low + high) // 2
        if _utf16(words[middle]) < key:
            low = middle + 1
        else:
            high = middle
    return low
