"""Groups of examples of many features at once, before they are told apart by feature."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from sae_vis.index.many import FeatureBlock, ManyExamples, ManyIntervals
from sae_vis.index.shards import offsets_of, ranges

KINDS: tuple[Literal["top", "bottom", "label", "interval"], ...] = ("top", "bottom", "label", "interval")


class ManyGroups(NamedTuple):
    """Groups of examples of the features of a block.

    Attributes:
        kind: ``[n_groups]`` index in `KINDS`.
        row: int64 ``[n_groups]`` which of the block's features each is of.
        low, high, n_firings, labelling, label: ``[n_groups]``, as in `SequenceGroup`.
        examples: a set for each group.
    """

    kind: NDArray[np.int64]
    row: NDArray[np.int64]
    low: NDArray[Any]
    high: NDArray[Any]
    n_firings: NDArray[np.int64]
    labelling: NDArray[np.int64]
    label: NDArray[np.int64]
    examples: ManyExamples


def largest(kind: Literal["top", "bottom"], block: FeatureBlock, found: ManyExamples) -> ManyGroups:
    """Groups of largest or most negative firings, of the features that have any."""
    row = np.flatnonzero(np.diff(found.offsets))
    ends = found.acts[found.offsets[row]], found.acts[found.offsets[row + 1] - 1]  # the first one, and the last
    bound = np.full(len(block.features), np.inf if kind == "top" else -np.inf, dtype=np.float32)
    bound[row] = ends[1]
    acts = block.postings.acts
    reached = acts >= bound[block.row] if kind == "top" else acts <= bound[block.row]
    low, high = (ends[1], ends[0]) if kind == "top" else ends
    n_firings = np.bincount(block.row[reached], minlength=len(block.features))[row]
    return _unlabelled(kind, row, low, high, n_firings, found._replace(offsets=found.offsets[[*row, -1]]))


def intervals(found: ManyIntervals) -> ManyGroups:
    """Groups of interval samples, those of a feature from the highest to the lowest."""
    made = _unlabelled("interval", found.row, found.low, found.high, found.n_firings, found.examples)
    return chosen_groups(made, np.lexsort((-np.arange(len(found.row)), found.row)))


def _unlabelled(
    kind: Literal["top", "bottom", "interval"],
    row: NDArray[np.int64],
    low: NDArray[Any],
    high: NDArray[Any],
    n_firings: NDArray[np.int64],
    examples: ManyExamples,
) -> ManyGroups:
    none = np.full(len(row), -1)
    return ManyGroups(np.full(len(row), KINDS.index(kind)), row, low, high, n_firings, none, none, examples)


def joined(parts: Sequence[ManyGroups]) -> ManyGroups:
    """All groups by feature, those of a feature in the order of ``parts``."""
    own = [part.examples for part in parts]
    lengths = offsets_of(np.concatenate([np.diff(one.offsets) for one in own]))
    rest: list[Any] = [np.concatenate([one[i] for one in own]) for i in range(1, len(ManyExamples._fields))]
    columns: list[Any] = [np.concatenate([part[i] for part in parts]) for i in range(len(ManyGroups._fields) - 1)]
    every = ManyGroups._make([*columns, ManyExamples(lengths, *rest)])
    return chosen_groups(every, np.argsort(every.row, kind="stable"))


def chosen_groups(groups: ManyGroups, order: NDArray[np.int64]) -> ManyGroups:
    """The groups in another order."""
    offsets = groups.examples.offsets
    lengths = np.diff(offsets)[order]
    own = ranges(offsets[:-1][order], lengths)
    examples: list[Any] = [column[own] for column in groups.examples[1:]]
    columns: list[Any] = [column[order] for column in groups[:-1]]
    return ManyGroups._make([*columns, ManyExamples(offsets_of(lengths), *examples)])
