"""The files of a site: which there are, and what is in each of them. A file depends on nothing but the index."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import cached_property

import numpy as np

from sae_vis.contract import (
    DecoderMap,
    ExplainedWords,
    FeatureView,
    NumberColumn,
    RowTexts,
    SiteHead,
    SitePage,
    TokenFeatures,
    WholeColumn,
    WordList,
)
from sae_vis.deliver.answers import answer, pack
from sae_vis.explore.map import decoder_map
from sae_vis.explore.rows import row_texts
from sae_vis.explore.search import spelled_words
from sae_vis.server.served import Desk
from sae_vis.site.by_token import FeaturesByToken
from sae_vis.site.explained import ExplainedByWord
from sae_vis.views.feature import feature_views

CARDS = 64
"""Features in a file of cards: 1 M features are 15,625 files."""
ROWS = 1024
WORDS = 2048
"""Words of the vocabulary in a file."""
NO_SERVER = "a site has no server that could run a model: sae-vis serve INDEX --model … --sae … has"
SMALLEST = 9  # how hard files are deflated: they are made once and read often


class Files:
    """All files of the data of a site.

    Args:
        desk: answers about the index.
    """

    def __init__(self, desk: Desk) -> None:
        self._desk, self._index = desk, desk.index
        self._listed: tuple[list[str], list[list[int]]] | None = None
        self._by_token: FeaturesByToken | None = None

    def names(self) -> list[str]:
        """Of all files but the head, cards first: they are most of the work."""
        n = self._index.n_features
        cards = [f"cards/{i}.bin" for i in range(-(-n // CARDS))]
        rows = [f"rows/{i}.bin" for i in range(-(-n // ROWS))]
        columns = [f"columns/{i}.bin" for i in range(len(self._desk.columns.names))]
        words = [f"words/{i}.bin" for i in range(-(-len(self.words[0]) // WORDS))]
        tokens = [f"tokens/{i}.bin" for i in range(len(self.by_token.first_ids))]
        explained = [f"explained/{i}.bin" for i in range(len(self.explained.letters))]
        flat = ["map/0.bin"] if self._index.has_map else []
        return [*cards, *rows, *columns, *words, *tokens, *explained, *flat]

    def make(self, name: str) -> bytes:
        """The bytes of a file."""
        makers = {
            "cards": self._cards,
            "rows": self._rows,
            "columns": self._columns,
            "words": self._words_file,
            "tokens": self._tokens,
            "explained": self._explained,
            "map": self._map,
        }
        kind, _, rest = name.partition("/")
        return makers[kind](int(rest.removesuffix(".bin")))

    def head(self, title: str, pages: Sequence[SitePage]) -> bytes:
        """What the explorer begins with."""
        whole = self._desk.explorer_head([], title)
        can = replace(whole.can, live=False, why_not_live=NO_SERVER, notes=False, phrases=False, reader=False)
        made = SiteHead(
            explorer=replace(whole, can=can),
            cards_in_file=CARDS,
            rows_in_file=ROWS,
            letters=tuple(self.words[0][::WORDS]),
            token_files=self.by_token.first_ids.astype(np.int32),
            explained_letters=self.explained.letters,
            pages=tuple(pages),
        )
        return answer(SiteHead, made, self._desk.sources.text, level=SMALLEST)

    def compute_effects(self, name: str) -> None:
        """Compute effects of the examples of a file of cards, for the index to keep; needs the model."""
        features = self._features(int(name.removeprefix("cards/").removesuffix(".bin")))
        for _ in feature_views(self._desk.live, features, self._desk.layout):
            pass

    def _features(self, number: int) -> list[int]:
        return list(range(number * CARDS, min((number + 1) * CARDS, self._index.n_features)))

    def _cards(self, number: int) -> bytes:
        views = tuple(feature_views(self._desk.sources, self._features(number), self._desk.layout))
        return pack(FeatureView, views, self._desk.sources.text, level=SMALLEST)

    def _rows(self, number: int) -> bytes:
        features = range(number * ROWS, min((number + 1) * ROWS, self._index.n_features))
        return answer(
            RowTexts, row_texts(self._index, list(features), most=ROWS), self._desk.sources.text, level=SMALLEST
        )

    def _columns(self, number: int) -> bytes:
        values = self._desk.columns.values(self._desk.columns.names[number])
        if values.dtype == np.float32:
            return answer(NumberColumn, NumberColumn(values=values.astype(np.float32)), level=SMALLEST)
        return answer(WholeColumn, WholeColumn(values=values.astype(np.int32)), level=SMALLEST)

    @cached_property
    def explained(self) -> ExplainedByWord:
        """Explanations by word."""
        return ExplainedByWord(self._index.explanations)

    def _explained(self, number: int) -> bytes:
        return answer(ExplainedWords, self.explained.file(number), level=SMALLEST)

    def _map(self, _: int) -> bytes:
        return answer(DecoderMap, decoder_map(self._index), level=SMALLEST)

    def _words_file(self, number: int) -> bytes:
        every, spelled = self.words
        part = slice(number * WORDS, (number + 1) * WORDS)
        words, tokens = every[part], spelled[part]
        offsets = np.cumsum([0, *map(len, tokens)]).astype(np.int32)
        ids = np.array([token for own in tokens for token in own], dtype=np.int32)
        return answer(WordList, WordList(words=tuple(words), offsets=offsets, ids=ids), level=SMALLEST)

    @property
    def words(self) -> tuple[list[str], list[list[int]]]:
        """The words of the vocabulary, ascending, and the tokens that spell each."""
        if self._listed is None:
            found: dict[str, list[int]] = {}
            for token, word in zip(*spelled_words(self._index), strict=True):
                if word:
                    found.setdefault(word, []).append(int(token))
            ordered = sorted(found, key=lambda word: word.encode("utf-16-be"))  # as JavaScript compares
            self._listed = ordered, [found[word] for word in ordered]
        return self._listed

    @property
    def by_token(self) -> FeaturesByToken:
        """Features by token."""
        if self._by_token is None:
            self._by_token = FeaturesByToken.of(self._index)
        return self._by_token

    def _tokens(self, number: int) -> bytes:
        return answer(TokenFeatures, self.by_token.file(number), level=SMALLEST)
