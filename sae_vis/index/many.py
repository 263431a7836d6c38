"""Queries over many features at once: what `Index` answers for one feature, for a block of them in a few array passes.

Each query of `FeatureBlock` gives, feature by feature, what the query of the same name of `Index` gives, to the last
bit. Where many firings are to be told apart by their contexts, all but a few are told apart by three tokens.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import cached_property
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from sae_vis.checks import whole_number
from sae_vis.index.examples import mixed, sample_keys, spans, window_hashes
from sae_vis.index.index import Index, Windows
from sae_vis.index.postings import Postings, bins_of, histograms
from sae_vis.index.shards import offsets_of, ranges

F32 = NDArray[np.float32]
F64 = NDArray[np.float64]
I64 = NDArray[np.int64]
U64 = NDArray[np.uint64]

BLOCK_FIRINGS = 1 << 18  # of the features of a block, at most about: temporary arrays stay in the cache
BLOCK_FEATURES = 512
CANDIDATES = 3  # times the examples wanted: firings whose contexts are told apart at first
MORE_CANDIDATES = 8  # times as many where too many of them have the same contexts
FILTER_BITS = 12  # of the hash of three tokens that most contexts differ by
SAMPLED, SAMPLED_MORE = 4, 16  # times the sample wanted, and more: members of an interval that are sorted by priority


class ManyExamples(NamedTuple):
    """Chosen firings of several sets of firings, end to end; set ``i`` owns ``offsets[i]:offsets[i + 1]``.

    Attributes:
        offsets: int64 ``[n_sets + 1]``.
        positions: int64 ``[n]`` corpus positions.
        acts: float32 ``[n]``.
        repeats: int64 ``[n]``: further firings of the set whose context is the same tokens, and that are not listed.
    """

    offsets: I64
    positions: I64
    acts: F32
    repeats: I64


class ManyIntervals(NamedTuple):
    """Intervals of activations of several features, end to end, ascending; those of a feature lie next to each other.

    Attributes:
        row: int64 ``[n_intervals]`` which of the features each is of.
        low: float64 ``[n_intervals]``.
        high: float64 ``[n_intervals]``.
        n_firings: int64 ``[n_intervals]`` exact number of firings.
        examples: of each a uniform sample, by descending size.
    """

    row: I64
    low: F64
    high: F64
    n_firings: I64
    examples: ManyExamples


class ManyPositionCounts(NamedTuple):
    """Features by position in the sequence; see `PositionCounts`.

    Attributes:
        width: positions in a bin.
        n_tokens: int64 ``[n_bins]``.
        n_firings: int64 ``[n_features, n_bins]``.
        mean: float64 ``[n_features, n_bins]``.
    """

    width: int
    n_tokens: I64
    n_firings: I64
    mean: F64


def blocks(index: Index, features: Sequence[int], most: int = BLOCK_FIRINGS) -> Iterator[FeatureBlock]:
    """Features in the order given, in blocks of at most about ``most`` firings (or of one feature).

    Raises:
        InputError: a feature that does not exist.
    """
    counts = index.column("n_firings")
    block: list[int] = []
    n_firings = 0
    for feature in features:
        own = int(counts[feature]) if 0 <= feature < len(counts) else 0  # the query says so if there is no such feature
        if block and (n_firings + own > most or len(block) == BLOCK_FEATURES):
            yield FeatureBlock(index, block)
            block, n_firings = [], 0
        block.append(feature)
        n_firings += own
    if block:
        yield FeatureBlock(index, block)


def lists_of(index: Index, name: str, features: Sequence[int] | NDArray[Any]) -> list[NDArray[Any]]:
    """The entries of some features in the list column ``name`` of the feature table: `Index.lists` of each."""
    entries = index.list_rows(name, np.asarray(features, dtype=np.int64))
    ends = offsets_of(entries.value_lengths().to_numpy(zero_copy_only=False)).tolist()
    values = entries.flatten().to_numpy(zero_copy_only=False)
    return [values[start:stop] for start, stop in pairwise(ends)]


class FeatureBlock:
    """Some features of an index, whose firings are read once.

    Attributes:
        index: of which.
        features: their numbers.
        postings: all their firings.

    Raises:
        InputError: a feature that does not exist.
    """

    def __init__(self, index: Index, features: Sequence[int]) -> None:
        self.index = index
        self.features = features
        self.postings = index.postings(features)

    @cached_property
    def row(self) -> I64:
        """Which of the features each firing is of."""
        return self.postings.feature

    @cached_property
    def sequence(self) -> I64:
        """Which sequence of the corpus each firing is in."""
        return np.searchsorted(self.index.offsets, self.postings.positions, side="right") - 1

    @cached_property
    def reach(self) -> F32:
        """The largest size of an activation of each feature, 0 where there is none."""
        found = np.zeros(len(self.features), dtype=np.float32)
        fires = self.postings.counts > 0
        if fires.any():
            found[fires] = np.maximum.reduceat(np.abs(self.postings.acts), self.postings.offsets[:-1][fires])
        return found

    @cached_property
    def above(self) -> Postings:
        """Firings above zero."""
        return self.only(self.postings.acts > 0) if self.index.signed else self.postings

    @cached_property
    def below(self) -> Postings:
        """Firings below zero."""
        return self.only(self.postings.acts < 0)

    def only(self, kept: NDArray[np.bool_]) -> Postings:
        """Some of the firings."""
        offsets = offsets_of(np.bincount(self.row[kept], minlength=len(self.features)))
        return Postings(offsets, self.postings.positions[kept], self.postings.acts[kept])

    def histogram(self, n_bins: int) -> I64:
        """`Index.histogram`: ``[n_features, n_bins]``, of a signed index ``[n_features, 2 n_bins]``."""
        return histograms(self.postings, self.reach, n_bins, signed=self.index.signed)

    def by_position(self, n_bins: int) -> ManyPositionCounts:
        """`Index.by_position` of each feature."""
        bins = self.index.position_bins(n_bins)
        place = self.postings.positions - self.index.offsets[self.sequence]
        cells = self.row * bins.n_bins + place // bins.width
        shape = (len(self.features), bins.n_bins)
        n = np.bincount(cells, minlength=shape[0] * shape[1]).reshape(shape)
        total = np.bincount(cells, weights=self.postings.acts, minlength=shape[0] * shape[1]).reshape(shape)
        mean = np.full(shape, np.nan)
        np.divide(total, n, out=mean, where=n > 0)
        return ManyPositionCounts(bins.width, bins.n_tokens, n, mean)

    def top_examples(self, k: int, *, before: int | None = 5, after: int | None = 5) -> ManyExamples:
        """`Index.top_examples` of each feature."""
        return distinct_examples(self.index, self.above, k, before, after)

    def bottom_examples(self, k: int, *, before: int | None = 5, after: int | None = 5) -> ManyExamples:
        """`Index.bottom_examples` of each feature."""
        return distinct_examples(self.index, self.below, k, before, after)

    def top_examples_by_label(
        self, name: str, labels: Sequence[Sequence[int]], k: int, *, before: int | None = 5, after: int | None = 5
    ) -> ManyExamples:
        """`Index.top_examples_by_label`: of each feature on its own ``labels``, a set for each of these."""
        labelling = self.index.labelling(name)
        numbers = np.full((len(self.features), len(labelling.labels) + 1), -1, dtype=np.int64)  # the last: no label
        lengths = [len(own) for own in labels]
        numbers[np.repeat(np.arange(len(lengths)), lengths), [label for own in labels for label in own]] = np.arange(
            sum(lengths)
        )
        of = numbers[self.row, labelling.at(self.postings.positions)]
        order = np.argsort(of, kind="stable")[np.count_nonzero(of < 0) :]
        offsets = offsets_of(np.bincount(of[order], minlength=sum(lengths)))
        sets = Postings(offsets, self.postings.positions[order], self.postings.acts[order])
        return distinct_examples(self.index, sets, k, before, after)

    def intervals(self, n: int, k: int, *, seed: int = 0) -> ManyIntervals:
        """`Index.intervals` of each feature."""
        n, k = whole_number(n, "n", 0), whole_number(k, "k", 0)
        if n == 0:
            zero, none = np.zeros(0, dtype=np.int64), np.zeros(0, dtype=np.float64)
            empty = ManyExamples(np.zeros(1, dtype=np.int64), zero, np.zeros(0, dtype=np.float32), zero)
            return ManyIntervals(zero, none, none, zero, empty)
        positions, acts = self.postings.positions, self.postings.acts
        n_below = n if self.index.signed else 0
        shape = (len(self.features), n_below + n)
        cells = self.row * shape[1] + n_below + bins_of(acts, self.reach[self.row], n)
        n_firings = np.bincount(cells, minlength=shape[0] * shape[1])
        priority = mixed(sample_keys(self.features, seed)[self.row] ^ positions.astype(np.uint64))
        chosen = _least(priority, cells, n_firings, k)
        chosen = chosen[np.lexsort((chosen, -np.abs(acts[chosen]), cells[chosen]))]
        n_chosen = np.bincount(cells[chosen], minlength=len(n_firings))
        told = _told(n_firings.reshape(shape), n_below)
        row, column = np.nonzero(told)
        reach, number = self.reach[row].astype(np.float64), column - n_below
        examples = ManyExamples(
            offsets_of(n_chosen[told.reshape(-1)]),
            positions[chosen].astype(np.int64),
            acts[chosen],
            np.zeros(len(chosen), dtype=np.int64),
        )
        low, high = reach * number / n, reach * (number + 1) / n
        return ManyIntervals(row, low, high, n_firings[told.reshape(-1)], examples)

    def windows(self, row: I64, positions: I64, *, before: int | None = 5, after: int | None = 5) -> Windows:
        """`Index.windows` around corpus ``positions``, each of the feature of its ``row`` (ascending)."""
        starts, stops = spans(self.index.offsets, positions, before, after)
        offsets, every = offsets_of(stops - starts), ranges(starts, stops - starts)
        first, last = self._firings_in(row, starts, stops)
        inside = ranges(first, last - first)
        acts = np.zeros(len(every), dtype=np.float32)
        at = np.repeat(offsets[:-1] - starts, last - first) + self.postings.positions[inside]
        acts[at] = self.postings.acts[inside]
        acts[~self.index.counted[every]] = np.nan
        return Windows(offsets, every, self.index.tokens[every], acts, positions - starts)

    def _firings_in(self, row: I64, starts: I64, stops: I64) -> tuple[I64, I64]:
        """The first firing in each window of a feature of its ``row``, and the one after the last."""
        kind = self.postings.positions.dtype  # of another type, all positions would be copied
        ends = np.stack([starts, stops]).astype(np.int64)
        edges = np.searchsorted(row, np.arange(len(self.features) + 1)).tolist()
        offsets = self.postings.offsets.tolist()
        found = np.empty_like(ends)
        for i in range(len(self.features)):
            own, windows = slice(offsets[i], offsets[i + 1]), slice(edges[i], edges[i + 1])
            found[:, windows] = own.start + np.searchsorted(self.postings.positions[own], ends[:, windows].astype(kind))
        return found[0], found[1]


def distinct_examples(index: Index, sets: Postings, k: int, before: int | None, after: int | None) -> ManyExamples:
    """Of each set of firings the ``k`` of largest size with different contexts, as `Index.top_examples` lists them.

    Args:
        index: whose corpus they are in.
        sets: some sets of firings, each in corpus order.
        k: how many.
        before: tokens of a context before the firing; None: from the start of the sequence.
        after: tokens after it; None: to the end of the sequence.
    """
    k = whole_number(k, "k", 0)
    sizes, left = np.abs(sets.acts), np.flatnonzero(sets.counts) if k else np.zeros(0, dtype=np.int64)
    found = [_Chosen.none()]
    n = CANDIDATES * k
    while len(left):
        candidates = _candidates(index, sets, _largest(sizes, sets.offsets, left, n), before, after)
        first = np.sort(np.unique(candidates.keys, return_index=True)[1])
        first = first[_ranks(candidates.of[first]) < k]
        n_found, n_seen = (np.bincount(of, minlength=len(sets.counts)) for of in (candidates.of[first], candidates.of))
        done = (n_found == k) | (n_seen == sets.counts)
        found.append(candidates.only(first[done[candidates.of[first]]]))
        left, n = left[~done[left]], n * MORE_CANDIDATES
    chosen = _Chosen(*(np.concatenate(arrays) for arrays in zip(*found, strict=True)))
    chosen = chosen.only(np.argsort(chosen.of, kind="stable"))
    return ManyExamples(
        offsets_of(np.bincount(chosen.of, minlength=len(sets.counts))),
        sets.positions[chosen.rows].astype(np.int64),
        sets.acts[chosen.rows],
        _occurrences(index, sets, chosen, before, after) - 1,
    )


class _Chosen(NamedTuple):
    """Some firings of some sets: their numbers, that of the set of each, and a hash of set and context."""

    rows: I64
    of: I64
    keys: U64

    @classmethod
    def none(cls) -> _Chosen:
        """Of no set."""
        none = np.zeros(0, dtype=np.int64)
        return cls(none, none, none.astype(np.uint64))

    def only(self, chosen: I64) -> _Chosen:
        """Some of them, in the order of their numbers."""
        return _Chosen(self.rows[chosen], self.of[chosen], self.keys[chosen])


def _candidates(index: Index, sets: Postings, rows: I64, before: int | None, after: int | None) -> _Chosen:
    """Firings, by set, then by descending size, then in corpus order."""
    of = np.searchsorted(sets.offsets, rows, side="right") - 1
    order = np.lexsort((rows, -np.abs(sets.acts[rows]), of))
    rows, of = rows[order], of[order]
    return _Chosen(rows, of, _context_keys(index, of, sets.positions[rows], before, after))


def _largest(sizes: F32, offsets: I64, sets: I64, n: int) -> I64:
    """Numbers of the firings of some ``sets`` whose size is one of the ``n`` largest of the set, or equal to it."""
    found = []
    for first, stop in zip(offsets[sets].tolist(), offsets[sets + 1].tolist(), strict=True):
        own = sizes[first:stop]
        if len(own) <= n:
            found.append(np.arange(first, stop))
        else:
            found.append(first + np.flatnonzero(own >= np.partition(own, len(own) - n)[len(own) - n]))
    return np.concatenate(found)


def _occurrences(index: Index, sets: Postings, chosen: _Chosen, before: int | None, after: int | None) -> I64:
    """How many firings of its set have the same context as each chosen one, that one included."""
    if len(chosen.rows) == 0:
        return np.zeros(0, dtype=np.int64)
    of = sets.feature
    codes = (of << FILTER_BITS) | _three_token_codes(index, sets.positions, before, after)
    marked = np.zeros(len(sets.counts) << FILTER_BITS, dtype=bool)
    marked[codes[chosen.rows]] = True
    alike = np.flatnonzero(marked[codes])
    keys = _context_keys(index, of[alike], sets.positions[alike], before, after)
    order = np.argsort(chosen.keys)
    ordered = chosen.keys[order]
    at = np.minimum(np.searchsorted(ordered, keys), len(ordered) - 1)
    counts = np.empty(len(ordered), dtype=np.int64)
    counts[order] = np.bincount(at[ordered[at] == keys], minlength=len(ordered))
    return counts


def _context_keys(index: Index, of: I64, positions: NDArray[Any], before: int | None, after: int | None) -> U64:
    """A hash of the set and the context of each firing (at least one)."""
    positions = positions.astype(np.int64)
    hashes = window_hashes(index.tokens, *spans(index.offsets, positions, before, after), positions)
    keys: U64 = mixed(hashes ^ mixed(of.astype(np.uint64)))
    return keys


def _three_token_codes(index: Index, positions: NDArray[Any], before: int | None, after: int | None) -> I64:
    """``FILTER_BITS`` of a hash of each firing's token and its neighbours within the context: equal for equal ones."""
    first, stop = spans(index.offsets, positions, *(1 if n is None else min(n, 1) for n in (before, after)))
    state = index.tokens[positions].view(np.uint32) * np.uint32(0x9E3779B1)
    for neighbour in (first, stop - 1):
        state = (state ^ index.tokens[neighbour].view(np.uint32)) * np.uint32(0x85EBCA77)
    codes: I64 = (state >> np.uint32(32 - FILTER_BITS)).astype(np.int64)
    return codes


def _least(priority: U64, cells: I64, counts: I64, k: int) -> I64:
    """The ``k`` members of each cell with the lowest priority, all of those with fewer.

    Priorities are uniform: of all but the smallest cells few members need to be sorted.
    """
    enough = SAMPLED * k + SAMPLED_MORE
    share = enough / np.maximum(counts, enough + 1)  # below 1
    bound = np.where(counts > enough, (share * 2.0**64).astype(np.uint64), np.uint64(2**64 - 1))
    low = priority <= bound[cells]
    short = np.bincount(cells[low], minlength=len(counts)) < np.minimum(counts, k)  # does not happen, nearly
    kept = np.flatnonzero(low | short[cells]) if short.any() else np.flatnonzero(low)
    kept = kept[np.lexsort((priority[kept], cells[kept]))]
    return kept[_ranks(cells[kept]) < k]


def _ranks(ascending: I64) -> I64:
    """Of each number how many of the same stand before it."""
    return np.arange(len(ascending)) - np.searchsorted(ascending, ascending)


def _told(n_firings: I64, n_below: int) -> NDArray[np.bool_]:
    """Which intervals there are, of all columns: from zero to both sides as far as activations go."""
    fires, columns = n_firings > 0, np.arange(n_firings.shape[1])
    first = np.minimum(fires.argmax(axis=1), n_below)[:, None]
    stop = np.maximum(len(columns) - fires[:, ::-1].argmax(axis=1), n_below)[:, None]
    told: NDArray[np.bool_] = (columns >= first) & (columns < stop) & fires.any(axis=1, keepdims=True)
    return told
