"""The files of a site: which there are, and what is in each of them. A file depends on nothing but the index."""

from __future__ import annotations

from collections.abc import Callable, Sequence
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
    WholeColumn,
    WordFeatures,
    WordList,
)
from sae_vis.deliver.answers import answer, pack
from sae_vis.explore.first import first_rows
from sae_vis.explore.map import decoder_map
from sae_vis.explore.rows import row_texts
from sae_vis.layout import SeqMultiGroupConfig
from sae_vis.server.served import Desk
from sae_vis.site.by_word import FeaturesByWord
from sae_vis.site.explained import ExplainedByWord
from sae_vis.views.feature import feature_views
from sae_vis.views.sequences import compute_effects

CARDS = 64
"""Features in a file of cards: 1 M features are 15,625 files."""
IN_FOLDER = 1024
"""Files of cards in a folder: hosts such as Hugging Face take some thousands."""
FILES_OF_EFFECTS = 128
"""Files of cards whose effects are computed together: each text that any of them shows is run once for all."""
ROWS = 384
"""Features in a file of texts of rows: a search shows some 27 of them, each in a file of its own."""
NO_SERVER = "a site has no server that could run a model: sae-vis serve INDEX --model … --sae … has"
SMALLEST = 9  # how hard files are deflated: they are made once and read often


class Files:
    """All files of the data of a site.

    Args:
        desk: answers about the index.
        chosen: the features that it holds, ascending; None: all.
    """

    def __init__(self, desk: Desk, chosen: Sequence[int] | None = None) -> None:
        self._desk, self._index = desk, desk.index
        self._chosen = chosen
        self._held: Sequence[int] = range(desk.index.n_features) if chosen is None else chosen

    def names(self) -> list[str]:
        """Of all files but the head, cards first: they are most of the work."""
        n = len(self._held)
        cards = [f"cards/{i // IN_FOLDER}/{i}.bin" for i in range(-(-n // CARDS))]
        rows = [f"rows/{i}.bin" for i in range(-(-n // ROWS))]
        columns = [f"columns/{i}.bin" for i in range(len(self._desk.columns.names))]
        words = [f"words/{i}.bin" for i in range(self.by_word.n_lists)]
        texts = [f"texts/{i}.bin" for i in range(len(self.by_word.first_texts))]
        explained = [f"explained/{i}.bin" for i in range(len(self.explained.letters))]
        flat = ["map/0.bin"] if self._has_map else []
        return [*cards, *rows, *columns, *words, *texts, *explained, *flat]

    def make(self, name: str) -> bytes:
        """The bytes of a file."""
        makers = {
            "cards": self._cards,
            "rows": self._rows,
            "columns": self._columns,
            "words": self._words,
            "texts": self._texts,
            "explained": self._explained,
            "map": self._map,
        }
        return makers[name.partition("/")[0]](_number(name))

    def head(self, title: str, pages: Sequence[SitePage]) -> bytes:
        """What the explorer begins with."""
        whole = self._desk.explorer_head([], title)
        can = replace(
            whole.can, live=False, why_not_live=NO_SERVER, notes=False, phrases=False, reader=False, map=self._has_map
        )
        made = SiteHead(
            explorer=replace(whole, can=can, first=first_rows(self._index, self._desk.columns, self._chosen)),
            cards_in_file=CARDS,
            files_in_folder=IN_FOLDER,
            rows_in_file=ROWS,
            letters=self.by_word.letters,
            text_files=self.by_word.first_texts.astype(np.int32),
            explained_letters=self.explained.letters,
            chosen=np.array([] if self._chosen is None else self._chosen, dtype=np.int32),
            pages=tuple(pages),
        )
        return answer(SiteHead, made, self._desk.sources.text, level=SMALLEST)

    def compute_effects(self, names: Sequence[str], progress: Callable[[int], None]) -> None:
        """Compute effects of the examples of some files of cards, for the index to keep; needs the model.

        Args:
            names: of the files.
            progress: called with how many of them are done.
        """
        config = self._desk.layout.find(SeqMultiGroupConfig)
        for first in range(0, len(names), FILES_OF_EFFECTS):
            some = names[first : first + FILES_OF_EFFECTS]
            features = [feature for name in some for feature in self._features(_number(name))]

            def within(done: int, total: int, before: int = first, n: int = len(some)) -> None:
                progress(before + min(n * done // total, n - 1))

            progress(first)
            compute_effects(self._desk.live, features, config, within)
            progress(first + len(some))

    @property
    def _has_map(self) -> bool:
        """A map of a few of all features would say little of where they lie."""
        return self._index.has_map and self._chosen is None

    def _features(self, number: int, size: int = CARDS) -> list[int]:
        return list(self._held[number * size : (number + 1) * size])

    def _cards(self, number: int) -> bytes:
        views = tuple(feature_views(self._desk.sources, self._features(number), self._desk.layout))
        return pack(FeatureView, views, self._desk.sources.text, level=SMALLEST)

    def _rows(self, number: int) -> bytes:
        texts = row_texts(self._index, self._features(number, ROWS), most=ROWS)
        return answer(RowTexts, texts, self._desk.sources.text, level=SMALLEST)

    def _columns(self, number: int) -> bytes:
        values = self._desk.columns.values(self._desk.columns.names[number])
        if self._chosen is not None:
            values = values[self._chosen]
        if values.dtype == np.float32:
            return answer(NumberColumn, NumberColumn(values=values.astype(np.float32)), level=SMALLEST)
        return answer(WholeColumn, WholeColumn(values=values.astype(np.int32)), level=SMALLEST)

    @cached_property
    def explained(self) -> ExplainedByWord:
        """Explanations by word."""
        return ExplainedByWord(self._index.explanations, self._chosen)

    def _explained(self, number: int) -> bytes:
        return answer(ExplainedWords, self.explained.file(number), level=SMALLEST)

    def _map(self, _: int) -> bytes:
        return answer(DecoderMap, decoder_map(self._index), level=SMALLEST)

    def _words(self, number: int) -> bytes:
        return answer(WordList, self.by_word.words(number), level=SMALLEST)

    def _texts(self, number: int) -> bytes:
        return answer(WordFeatures, self.by_word.features(number), level=SMALLEST)

    @cached_property
    def by_word(self) -> FeaturesByWord:
        """Features by word. Of a million features it takes a while, and some hundred MB."""
        return FeaturesByWord(self._index, self._chosen)


def _number(name: str) -> int:
    """Of a file among those of its kind."""
    return int(name.rpartition("/")[2].removesuffix(".bin"))
