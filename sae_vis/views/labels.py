"""What a page shows of the labels of a corpus."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from sae_vis.contract import I32, LabellingWords, LabelProfile, LabelRanks
from sae_vis.errors import InputError
from sae_vis.index.by_label import RankBy
from sae_vis.index.index import Index
from sae_vis.layout import LabelsConfig


class Chosen(NamedTuple):
    """Features for a page, and the rule that chose them, in words."""

    features: list[int]
    rule: str


def most_uneven(
    index: Index, name: str, n: int | None, *, label: str | None = None, by: RankBy = "unevenness"
) -> Chosen:
    """The ``n`` features that fire most unevenly over a labelling, or that prefer one of its labels most.

    Raises:
        InputError: no such labelling or label, fewer than one feature asked for, or no feature that fires on a label.
    """
    if n is not None and n < 1:
        raise InputError(f"asked for {n} features; give 1 or more, or None for all that fire on a label")
    every = index.rank_by_label(name, label=label, by=by)
    if len(every) == 0:
        where = "token with a label" if label is None else f"token labelled {label!r}"
        raise InputError(f"no feature fires on any unmasked {where} of {name!r}, so there is nothing to show")
    features = every[:n].tolist()
    what = {"unevenness": f"fire most unevenly over {name}", "information": f"tell most about {name}"}[by]
    if label is not None:
        what = f"prefer {name} {label} most, by log-odds"
    among = "a label" if label is None else "it"
    return Chosen(features, f"the {len(features):,} features that {what}, of {len(every):,} that fire on {among}")


def labelling_words(index: Index) -> tuple[LabellingWords, ...]:
    """The labellings of the corpus, said once for all features of a page."""
    tables = [index.labels(labelling.name) for labelling in index.labellings]
    return tuple(
        LabellingWords(
            name=table.name,
            labels=table.labels,
            n_tokens=tuple(table.tokens.n_tokens.tolist()),
            n_documents=tuple(table.tokens.n_documents.tolist()),
        )
        for table in tables
    )


def label_ranks(index: Index, features: NDArray[np.int64]) -> tuple[LabelRanks, ...]:
    """What the picker says about the labels of a page's features, labelling by labelling."""
    tables = [index.labels(labelling.name) for labelling in index.labellings]
    return tuple(
        LabelRanks(unevenness=table.unevenness[features].astype(np.float32), top=table.top[features])
        for table in tables
    )


def label_profiles(index: Index, feature: int, config: LabelsConfig | None) -> tuple[LabelProfile, ...]:
    """One feature by label, for each labelling that the layout asks for; () where the corpus has no labels."""
    if config is None or not index.labellings:
        return ()
    names = [labelling.name for labelling in index.labellings]
    if config.labelling is not None:
        names = [index.labelling(config.labelling).name]
    return tuple(_profile(index, name, feature) for name in names)


def _profile(index: Index, name: str, feature: int) -> LabelProfile:
    table = index.labels(name)
    n_firings, n_documents, mean, peak = (column[feature] for column in table.counts)
    return LabelProfile(
        labelling=index.labellings.index(index.labelling(name)),
        n_firings=n_firings.astype(np.int32),
        n_documents=n_documents.astype(np.int32),
        mean=mean.astype(np.float32),
        peak=peak,
        log_odds=table.feature_log_odds(feature).astype(np.float32),
        unevenness=float(table.unevenness[feature]),
        information=float(table.information[feature]),
    )


def token_labels(index: Index, positions: NDArray[np.int64]) -> tuple[I32, ...]:
    """The label of each token, labelling by labelling; -1: none."""
    return tuple(labelling.at(positions).astype(np.int32) for labelling in index.labellings)


def labels_to_show(index: Index, name: str, feature: int, n: int) -> Sequence[int]:
    """The labels (indices) on which a feature fires, the densest first, at most ``n``."""
    density = index.labels(name).feature_density(feature)
    order = np.argsort(-np.nan_to_num(density), kind="stable")
    return [int(label) for label in order[:n] if density[label] > 0]
