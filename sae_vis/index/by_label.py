"""How features fire over the labels of a corpus: exact counts from the postings, and how uneven they are."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from sae_vis.corpus.labels import Labelling
from sae_vis.errors import InputError
from sae_vis.index.postings import Postings, sorted_by_act
from sae_vis.index.storage import Arrays

F64 = NDArray[np.float64]
I64 = NDArray[np.int64]
BLOCK = 1 << 20  # tokens counted at a time
MOST_CELLS = 1 << 25
"""Features times labels at most: rows of ``labels.parquet``."""

RankBy = Literal["unevenness", "information"]


class LabelCounts(NamedTuple):
    """Firings of features by label; the last column is of tokens without a label.

    Attributes:
        n_firings: int64 ``[n_features, n_labels + 1]``.
        n_documents: int64 ``[n_features, n_labels + 1]`` documents that hold one of these firings or more.
        mean: float64 ``[n_features, n_labels + 1]`` mean activation among them, 0 where there are none.
        peak: float32 ``[n_features, n_labels + 1]`` the one of largest size, with its sign; 0 where there are none.
    """

    n_firings: I64
    n_documents: I64
    mean: F64
    peak: NDArray[np.float32]


class LabelTokens(NamedTuple):
    """What there is of each label; the last entry is of what has none.

    Attributes:
        n_tokens: int64 ``[n_labels + 1]`` unmasked tokens.
        n_documents: int64 ``[n_labels + 1]`` documents with an unmasked token of the label.
    """

    n_tokens: I64
    n_documents: I64


def count_by_label(postings: Postings, labelling: Labelling, documents: I64) -> LabelCounts:
    """Firings of each feature of ``postings`` by label.

    Sums run over activations in ascending order, so that the order of the corpus changes no bit.

    Args:
        postings: of some features.
        labelling: of the corpus.
        documents: int64 ``[n_docs + 1]`` where each document starts.
    """
    width, n_features = len(labelling.labels) + 1, len(postings.offsets) - 1
    shape = (n_features, width)
    cell = postings.feature * width + labelling.at(postings.positions) % width  # -1, none, is the last
    counts = np.bincount(cell, minlength=n_features * width)
    document = np.searchsorted(documents, postings.positions, side="right")
    pairs = _distinct(cell * (len(documents) + 1) + document)
    ordered = sorted_by_act(cell, postings.acts)
    of_cell = np.repeat(np.arange(len(counts)), counts)
    total = np.bincount(of_cell, weights=ordered, minlength=len(counts))
    peak, fires = np.zeros(len(counts), dtype=np.float32), counts > 0
    ends = np.cumsum(counts)[fires]
    lowest, highest = ordered[ends - counts[fires]], ordered[ends - 1]
    peak[fires] = np.where(-lowest > highest, lowest, highest)
    return LabelCounts(
        counts.reshape(shape),
        np.bincount(pairs // (len(documents) + 1), minlength=len(counts)).reshape(shape),
        (total / np.maximum(counts, 1)).reshape(shape),
        peak.reshape(shape),
    )


def label_tokens(labelling: Labelling, documents: I64, counted: NDArray[Any]) -> LabelTokens:
    """Unmasked tokens, and documents that hold some, of each label."""
    width = len(labelling.labels) + 1
    tokens, pairs = np.zeros(width, dtype=np.int64), [np.zeros(0, dtype=np.int64)]
    for first in range(0, len(counted), BLOCK):
        kept = first + np.flatnonzero(counted[first : first + BLOCK])
        code = labelling.at(kept) % width
        tokens += np.bincount(code, minlength=width)
        pairs.append(_distinct(np.searchsorted(documents, kept, side="right") * width + code))
    return LabelTokens(tokens, np.bincount(np.unique(np.concatenate(pairs)) % width, minlength=width))


def _distinct(values: I64) -> I64:
    """Each value once, ascending; runs of one value are joined before they are sorted."""
    fresh = np.ones(len(values), dtype=bool)
    fresh[1:] = values[1:] != values[:-1]
    return np.unique(values[fresh])


def information(n_firings: NDArray[Any], n_tokens: NDArray[Any]) -> F64:
    """Mutual information between firing and label of a token, bits: float64 ``[n_features]``.

    ``I = p D(s || t) + (1 - p) D(s' || t)``, with p the density, and s, s', t the shares of the labels among the tokens
    on which the feature fires, those on which it does not, and all (Cover & Thomas 2006, "Elements of Information
    Theory", 2.4). ``2 ln(2) N I`` is the statistic of the G-test of independence.

    Args:
        n_firings: ``[n_features, n_labels]``, of tokens that have a label.
        n_tokens: ``[n_labels]``.
    """
    fires = n_firings.sum(axis=1)
    p = fires / max(int(n_tokens.sum()), 1)
    found: F64 = p * _divergence(n_firings, n_tokens) + (1 - p) * _divergence(n_tokens - n_firings, n_tokens)
    return found


def unevenness(n_firings: NDArray[Any], n_tokens: NDArray[Any], n_documents: NDArray[Any]) -> F64:
    """How far the labels of a feature's firings are from those of all tokens, bits: float64 ``[n_features]``.

    ``D(s || t) - (k - 1) / (2 m ln 2)``, not below 0: the divergence less what it is expected to be for ``m`` draws
    from t itself, to first order (Miller 1955, "Note on the bias of information estimates"). Firings of one document
    have one label and are no draws of their own, so m counts documents. 0: as the tokens are, or too few to tell.
    ``log2(1 / t)``, less the correction: on one label alone.

    Args:
        n_firings: ``[n_features, n_labels]``, of tokens that have a label.
        n_tokens: ``[n_labels]``; k is the number of labels that have tokens.
        n_documents: ``[n_features, n_labels]``.
    """
    k = int(np.count_nonzero(n_tokens))
    m = np.maximum(n_documents.sum(axis=1), 1)
    found: F64 = np.maximum(_divergence(n_firings, n_tokens) - (k - 1) / (2 * m * np.log(2)), 0.0)
    return found


def log_odds(n_firings: NDArray[Any], n_tokens: NDArray[Any]) -> F64:
    """Odds of firing on each label over those on all others, as log2: float64 ``[n_features, n_labels]``.

    Half a token is added to each of the four counts (Haldane 1956; Anscombe 1956), so that it is finite, and nearer to
    0 where counts are small.
    """
    on, silent = n_firings + 0.5, n_tokens - n_firings + 0.5
    others = n_firings.sum(axis=1, keepdims=True) - n_firings + 0.5
    silent_others = n_tokens.sum() - n_tokens - (others - 0.5) + 0.5
    found: F64 = np.log2(on / silent) - np.log2(others / silent_others)
    return found


def _divergence(counts: NDArray[Any], n_tokens: NDArray[Any]) -> F64:
    """``sum s log2(s / t)`` of the shares of each row of counts; 0 for a row of zeros.

    Computed as ``sum s log2(s / t) - (s - t) / ln 2``, whose terms are all positive: nothing cancels.
    """
    there = n_tokens > 0
    counts, n_tokens = counts[:, there], n_tokens[there]
    total = counts.sum(axis=1, keepdims=True)
    s, t = counts / np.maximum(total, 1), n_tokens / n_tokens.sum()
    logs = np.zeros_like(s)
    np.log2(s / t, out=logs, where=s > 0)
    terms: F64 = np.where(total > 0, s * logs - (s - t) / np.log(2), 0.0)
    found: F64 = np.maximum(terms, 0.0).sum(axis=1)
    return found


@dataclass(frozen=True)
class LabelTable:
    """One labelling and every feature's firings by its labels.

    Attributes:
        name: of the labelling.
        labels: ``[n_labels]``, ascending.
        tokens: what there is of each label.
        counts: of every feature.
        unevenness: float64 ``[n_features]``, bits per firing; see `unevenness`.
        information: float64 ``[n_features]``, bits per token; see `information`.
    """

    name: str
    labels: tuple[str, ...]
    tokens: LabelTokens
    counts: LabelCounts
    unevenness: F64
    information: F64

    @property
    def density(self) -> F64:
        """Firings / unmasked tokens by feature and label ``[n_features, n_labels]``; NaN for a label without tokens."""
        n = self.tokens.n_tokens[:-1]
        found = np.full(self.counts.n_firings[:, :-1].shape, np.nan)
        np.divide(self.counts.n_firings[:, :-1], n, out=found, where=n > 0)
        return found

    def density_on(self, code: int) -> F64:
        """The density of every feature on one label.

        Args:
            code: index of the label.

        Returns:
            float64 ``[n_features]``, NaN where the label has no unmasked tokens.
        """
        n = self.tokens.n_tokens[code]
        firings = self.counts.n_firings[:, code]
        return firings / n if n > 0 else np.full(len(firings), np.nan)

    def feature_density(self, feature: int) -> F64:
        """The density of one feature on every label.

        Args:
            feature: its id.

        Returns:
            float64 ``[n_labels]``.
        """
        n = self.tokens.n_tokens[:-1]
        found = np.full(len(n), np.nan)
        np.divide(self.counts.n_firings[feature, :-1], n, out=found, where=n > 0)
        return found

    def feature_log_odds(self, feature: int) -> F64:
        """The log-odds of one feature on every label.

        Args:
            feature: its id.

        Returns:
            float64 ``[n_labels]``.
        """
        found: F64 = log_odds(self.counts.n_firings[feature : feature + 1, :-1], self.tokens.n_tokens[:-1])[0]
        return found

    @property
    def log_odds(self) -> F64:
        """By feature and label ``[n_features, n_labels]``, bits; see `log_odds`."""
        return log_odds(self.counts.n_firings[:, :-1], self.tokens.n_tokens[:-1])

    @cached_property
    def top(self) -> NDArray[np.int32]:
        """Index of the label that each feature prefers, by log-odds; -1 where it fires on no label ``[n_features]``."""
        fires = self.counts.n_firings[:, :-1] > 0
        best = np.where(fires, self.log_odds, -np.inf)
        return np.where(fires.any(axis=1), best.argmax(axis=1) if best.shape[1] else -1, -1).astype(np.int32)

    def rank(self, label: int | None, by: RankBy) -> I64:
        """Rank the features that fire on some label, or on one label.

        Args:
            label: index of a label; None: of any.
            by: the measure to rank by where ``label`` is None.

        Returns:
            int64 ids, the most uneven first; equal ones by number.
        """
        fires = self.counts.n_firings[:, :-1]
        value = getattr(self, by) if label is None else self.log_odds[:, label]
        chosen = np.flatnonzero(fires.sum(axis=1) > 0 if label is None else fires[:, label] > 0)
        return chosen[np.argsort(-value[chosen], kind="stable")]


def stored_labellings(labellings: Iterable[Labelling]) -> Arrays:
    """Their spans as arrays of ``tokens.safetensors``; names and labels stand in the manifest."""
    found: Arrays = {}
    for number, labelling in enumerate(labellings):
        found |= {f"labels.{number}.starts": labelling.starts, f"labels.{number}.codes": labelling.codes}
    return found


def read_labellings(facts: Sequence[dict[str, Any]], arrays: Arrays) -> tuple[Labelling, ...]:
    """Back from the manifest's facts and the arrays."""
    return tuple(
        Labelling(
            name=fact["name"],
            labels=tuple(fact["labels"]),
            starts=arrays[f"labels.{number}.starts"],
            codes=arrays[f"labels.{number}.codes"],
        )
        for number, fact in enumerate(facts)
    )


def labelling_facts(labellings: Iterable[Labelling], documents: I64, counted: NDArray[Any]) -> list[dict[str, Any]]:
    """What the manifest says about labellings."""
    found = []
    for labelling in labellings:
        tokens = label_tokens(labelling, documents, counted)
        facts = {name: column.tolist() for name, column in tokens._asdict().items()}
        found.append({"name": labelling.name, "labels": list(labelling.labels), **facts})
    return found


def require_few_cells(n_features: int, labellings: Sequence[Labelling]) -> None:
    """Raise `InputError` where the table of features by label would be larger than any use of it."""
    n_labels = sum(len(labelling.labels) for labelling in labellings)
    if n_features * n_labels > MOST_CELLS:
        raise InputError(
            f"{n_features:,} features by {n_labels:,} labels are more than {MOST_CELLS:,} counts: "
            "join rare labels, or leave a labelling out"
        )


_SCHEMA = pa.schema(
    [
        ("labelling", pa.string()),
        ("label", pa.string()),
        ("feature", pa.int32()),
        ("n_firings", pa.int64()),
        ("n_documents", pa.int64()),
        ("density", pa.float64()),
        ("mean", pa.float64()),
        ("peak", pa.float32()),
    ]
)


def count_rows(counts: LabelCounts, labelling: Labelling, tokens: LabelTokens, first: int) -> pa.Table:
    """Counts of the features ``first …`` as rows of ``labels.parquet``: those with a firing."""
    feature, code = np.nonzero(counts.n_firings)
    names = pa.array([*labelling.labels, None], type=pa.string())
    n = counts.n_firings[feature, code]
    return pa.table(
        [
            pa.repeat(pa.scalar(labelling.name), len(n)),
            names.take(pa.array(code)),
            pa.array(first + feature, type=pa.int32()),
            pa.array(n),
            pa.array(counts.n_documents[feature, code]),
            pa.array(n / tokens.n_tokens[code]),
            pa.array(counts.mean[feature, code]),
            pa.array(counts.peak[feature, code]),
        ],
        schema=_SCHEMA,
    )


def read_counts(table: pa.Table, labelling: Labelling, n_features: int) -> LabelCounts:
    """Counts of one labelling from ``labels.parquet``."""
    own = table.filter(pc.equal(table["labelling"], labelling.name))
    label = pc.index_in(own["label"], value_set=pa.array(labelling.labels, type=pa.string()))
    code = pc.fill_null(label, len(labelling.labels)).to_numpy()
    feature = own["feature"].to_numpy()
    found: list[Any] = []
    for name, kind in (("n_firings", np.int64), ("n_documents", np.int64), ("mean", np.float64), ("peak", np.float32)):
        column = np.zeros((n_features, len(labelling.labels) + 1), dtype=kind)
        column[feature, code] = own[name].to_numpy()
        found.append(column)
    return LabelCounts(*found)


class LabelStatistics:
    """Counts and measures of all labellings, one range of features after the other, while an index is built."""

    def __init__(self, labellings: Sequence[Labelling], documents: I64, counted: NDArray[Any]) -> None:
        self._labellings, self._documents = labellings, documents
        self._tokens = [label_tokens(labelling, documents, counted) for labelling in labellings]

    def of(self, postings: Postings, first: int) -> tuple[pa.Table, dict[str, pa.Array]]:
        """Rows of ``labels.parquet``, and the columns of the feature table, of the features ``first …``."""
        tables, uneven, informed = [], [], []
        for labelling, tokens in zip(self._labellings, self._tokens, strict=True):
            counts = count_by_label(postings, labelling, self._documents)
            tables.append(count_rows(counts, labelling, tokens, first))
            n, n_tokens = counts.n_firings[:, :-1], tokens.n_tokens[:-1]
            uneven.append(unevenness(n, n_tokens, counts.n_documents[:, :-1]))
            informed.append(information(n, n_tokens))
        n_features = len(postings.offsets) - 1
        columns = {"label_unevenness": uneven, "label_information": informed}
        width = len(self._labellings)
        offsets = pa.array(np.arange(0, (n_features + 1) * width, width, dtype=np.int32))
        lists = {
            name: pa.ListArray.from_arrays(offsets, pa.array(np.stack(values, axis=1).reshape(-1)))
            for name, values in columns.items()
        }
        return pa.concat_tables(tables), lists
