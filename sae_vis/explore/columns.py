"""Columns of the table of all features, each a number for every feature of the dictionary."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from sae_vis.contract import ColumnInfo
from sae_vis.errors import InputError
from sae_vis.explore import column_words as words
from sae_vis.index.decoder_map import kept_neighbours
from sae_vis.index.index import Index
from sae_vis.saes.base import Dictionary
from sae_vis.views.feature import feature_summary
from sae_vis.views.labels import label_ranks

F32 = NDArray[np.float32]
I32 = NDArray[np.int32]
ROWS = 1 << 16  # decoder directions whose norms are taken at a time
MOST_LABELS = 16
"""Labels of a labelling that have a column each."""
AMONG_FIRINGS = ("mean", "std", "skewness", "kurtosis")
"""Columns that a feature without firings has no value in."""
LISTS = {"fired_tokens": "fired_tokens", "pushed_up": "top_tokens", "pushed_down": "bottom_tokens"}
"""The list column of the feature table behind each column of tokens."""


class Column(NamedTuple):
    """A column that can be asked for, and what makes it."""

    info: ColumnInfo
    values: Callable[[], F32 | I32]


class Columns:
    """The columns of one index. Each is made when it is first asked for, and kept.

    Args:
        index: the index.
        sae: its dictionary, for what depends on the lengths of its directions; None: those columns are left out.
    """

    def __init__(self, index: Index, sae: Dictionary | None = None) -> None:
        self._index = index
        made = [*self._of_firings(), *self._of_lists(), *self._of_labels()]
        if sae is not None:
            made.append(Column(words.RECONSTRUCTION, partial(self._reconstruction, sae)))
        if index.has_map:
            made.append(Column(words.NEAREST, self._nearest))
        if index.has_explanations:
            made.append(Column(words.SCORE, lambda: index.explanations.best_scores(index.n_features)))
        made += self._on_labels()
        self._columns = {column.info.name: column for column in made}
        self._kept: dict[str, F32 | I32] = {}
        listed = [info for info in words.LISTED if LISTS[info.name] in index.column_names]
        said = [words.EXPLANATION] if index.has_explanations else []
        self.infos: tuple[ColumnInfo, ...] = (*(column.info for column in made), *listed, *said)
        """Every column, those of texts last: they have no values of all features."""

    @property
    def names(self) -> list[str]:
        """Of the columns that have values of all features."""
        return list(self._columns)

    def values(self, name: str) -> F32 | I32:
        """A column's values, float32 or int32 ``[n_features]``, NaN or -1 where there is none.

        Raises:
            InputError: no such column.
        """
        if name not in self._columns:
            raise InputError(f"there is no column {name!r}; there are {', '.join(self._columns)}")
        if name == words.LOSS_EFFECT.name:  # grows while it is served
            return self._columns[name].values()
        if name not in self._kept:
            self._kept[name] = self._columns[name].values()
        return self._kept[name]

    def _of_firings(self) -> list[Column]:
        index, every = self._index, np.arange(self._index.n_features)
        found = [Column(info, partial(self._numbers, info.name)) for info in words.NUMBERS]
        if index.signed:
            found.append(Column(words.MIN, lambda: index.minima().astype(np.float32)))
        return [*found, Column(words.TOP_TOKEN, lambda: feature_summary(index, every).top_token)]

    def _numbers(self, name: str) -> F32:
        """A column of the feature table."""
        values: F32 = self._index.column(name).astype(np.float32)
        if name in AMONG_FIRINGS:
            values[self._index.column("n_firings") == 0] = np.nan
        return values

    def _of_lists(self) -> list[Column]:
        """Of what is first in a list of each feature, and of effects."""
        names, found = set(self._index.column_names), []
        if "fired_tokens" in names:
            found += [
                Column(words.TOP_SHARE, self._top_share),
                Column(words.N_TOKENS, partial(self._numbers, words.N_TOKENS.name)),
            ]
        if "correlated_features_pearson" in names:
            found.append(Column(words.CORRELATED, partial(self._first, "correlated_features_pearson")))
        return [*found, Column(words.LOSS_EFFECT, lambda: self._index.mean_effects().mean.astype(np.float32))]

    def _first(self, name: str) -> F32:
        """The first entry of each list, NaN where there is none."""
        lists = self._index.list_column(name)
        offsets, values = lists.offsets.to_numpy(), lists.values.to_numpy()
        filled = np.diff(offsets) > 0
        found: F32 = np.full(len(filled), np.nan, dtype=np.float32)
        found[filled] = values[offsets[:-1][filled]]
        return found

    def _top_share(self) -> F32:
        firings = self._index.column("n_firings")
        share: F32 = np.full(len(firings), np.nan, dtype=np.float32)
        np.divide(self._first("fired_tokens_count"), firings, out=share, where=firings > 0, casting="unsafe")
        return share

    def _of_labels(self) -> list[Column]:
        found = []
        for number, labelling in enumerate(self._index.labellings):
            found += [
                Column(words.unevenness(labelling.name, number), partial(self._unevenness, labelling.name)),
                Column(words.preferred(labelling.name, number), partial(self._preferred, number)),
            ]
        return found

    def _on_labels(self) -> list[Column]:
        """Densities by label, of labellings of few labels: each is a column."""
        return [
            Column(
                words.density_on(labelling.name, number, label, code), partial(self._density_on, labelling.name, code)
            )
            for number, labelling in enumerate(self._index.labellings)
            if len(labelling.labels) <= MOST_LABELS
            for code, label in enumerate(labelling.labels)
        ]

    def _density_on(self, labelling: str, code: int) -> F32:
        found: F32 = self._index.labels(labelling).density_on(code).astype(np.float32)
        return found

    def _unevenness(self, labelling: str) -> F32:
        found: F32 = self._index.labels(labelling).unevenness.astype(np.float32)
        return found

    def _preferred(self, number: int) -> I32:
        return label_ranks(self._index, np.arange(self._index.n_features))[number].top

    def _nearest(self) -> F32:
        found = kept_neighbours(self._index)
        if found is None or found.cosine.shape[1] == 0:
            return np.full(self._index.n_features, np.nan, dtype=np.float32)
        nearest: F32 = found.cosine[:, 0].copy()
        return nearest

    def _reconstruction(self, sae: Dictionary) -> F32:
        index = self._index
        square = index.column("density") * (index.column("std") ** 2 + index.column("mean") ** 2)
        found: F32 = (square * squared_norms(sae)).astype(np.float32)
        return found


def squared_norms(sae: Dictionary) -> NDArray[np.float64]:
    """``|d|²`` of each decoder direction, float64 ``[d_sae]``; of several places, over all of them."""
    decoder = sae.decoder.detach()
    parts = [decoder[first : first + ROWS].to(torch.float64) for first in range(0, len(decoder), ROWS)]
    found: NDArray[np.float64] = torch.cat([part.square().sum(dim=1).cpu() for part in parts]).numpy()
    return found
