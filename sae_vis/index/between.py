"""Features of two dictionaries over the same tokens: how each goes with each, from the two indices' postings.

For features i of A and j of B: ``S_ij = Σ a_i b_j`` in float64 and ``n_ij``, the tokens on which both fire, over all
unmasked tokens. Blocks of A's features are held at a time, and within a block runs of tokens, so RAM grows with neither
the number of features nor that of tokens. Nothing is sampled, and no pair is left out.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from sae_vis.errors import DamagedIndexError
from sae_vis.index.correlations import ByFeature, Moments, Tiles, TopPairs, add_cofirings, tiles, top_partners
from sae_vis.index.feature_table import overall_moments
from sae_vis.index.index import Firings, Index
from sae_vis.index.manifest import mark_of
from sae_vis.index.same_tokens import require_same_tokens
from sae_vis.index.shards import counting_sort, offsets_of
from sae_vis.index.storage import Arrays
from sae_vis.neutral import neutrally

RUN_TOKENS = 65_536  # tokens whose codes are held by token at a time; their rows are numbers of 16 bits
BLOCK_BYTES = 1 << 28  # sums and counts of a block of A's features with all of B's
PAIR_BYTES = 12
ROWS = 256  # features whose pairs are looked through at a time
PARTNERS = 16
PART_OF = 0.5
"""Share of a feature's firings on which another must fire, so that the first is a part of it."""
LEAST_SHARE = 0.1
"""Share of a feature's firings that a part of it must cover."""

Progress = Callable[[str, int, int], None]


class Partners(NamedTuple):
    """For each feature of one dictionary those of the other that correlate with it most.

    Attributes:
        other: int32 ``[d, k]`` which, by descending Pearson correlation, -1 where there are fewer than k.
        pearson: float32 ``[d, k]``.
        cosine: float32 ``[d, k]``.
        together: int64 ``[d, k]`` tokens on which both fire.
    """

    other: NDArray[np.int32]
    pearson: NDArray[np.float32]
    cosine: NDArray[np.float32]
    together: NDArray[np.int64]

    def of(self, feature: int, n: int) -> Partners:
        """Those of one feature, n at most."""
        listed = self.other[feature, :n] >= 0
        columns: tuple[NDArray[Any], ...] = tuple(self)
        return Partners(*(column[feature, :n][listed] for column in columns))

    @property
    def best(self) -> NDArray[np.float32]:
        """The largest correlation of each feature; 0 where it has no partner."""
        return self.pearson[:, 0] if self.pearson.shape[1] else np.zeros(len(self.pearson), dtype=np.float32)


class Overlaps(NamedTuple):
    """Pairs that fire together on `PART_OF` of the rarer one's firings and on `LEAST_SHARE` of the commoner one's.

    Attributes:
        a: int32 ``[n]`` features of A, ascending.
        b: int32 ``[n]`` features of B, ascending within each of A.
        together: int64 ``[n]`` tokens on which both fire.
    """

    a: NDArray[np.int32]
    b: NDArray[np.int32]
    together: NDArray[np.int64]


class Between(NamedTuple):
    """How the features of two dictionaries go together.

    Attributes:
        of_a: each feature of A and its partners in B.
        of_b: each feature of B and its partners in A.
        overlaps: pairs of which one is a part of the other.
    """

    of_a: Partners
    of_b: Partners
    overlaps: Overlaps

    def to_arrays(self) -> Arrays:
        """By name, as a store takes them."""
        return {
            f"{part}.{name}": array for part in self._fields for name, array in getattr(self, part)._asdict().items()
        }

    @classmethod
    def from_arrays(cls, arrays: Arrays) -> Between:
        """As a store gave them back."""

        def columns(part: str) -> Arrays:
            return {
                name.removeprefix(f"{part}."): array for name, array in arrays.items() if name.startswith(f"{part}.")
            }

        return cls(Partners(**columns("of_a")), Partners(**columns("of_b")), Overlaps(**columns("overlaps")))


@neutrally
def between(a: Index, b: Index, *, partners: int = PARTNERS, progress: Progress | None = None) -> Between:
    """How the features of two indices over the same tokens go together: kept beside A's index, else computed.

    What was computed is kept in ``between/`` of A's directory under B's identity, or as long as A is open where nothing
    can be written there. A and B may be the same.

    Args:
        a: an index.
        b: another, of another dictionary over the same tokens.
        partners: how many are listed for each feature, at least.
        progress: called with stage, done, total.

    Raises:
        InputError: the indices differ in tokens, mask or token text; says how.
        DamagedIndexError: a file that can't be read; it may be deleted.
    """
    require_same_tokens(a, b)
    partners = max(partners, PARTNERS)
    identities = {"A": a.manifest.provenance.identity, "B": b.manifest.provenance.identity}
    mark = mark_of(identities)
    name = f"between/{bytes(mark[:12]).hex()}.safetensors"
    found = _kept(a, name, mark)
    if found is None or found.of_a.other.shape[1] < min(partners, b.n_features):
        found = correlate(a, b, partners=partners, progress=progress)
        a.keep(name, {**found.to_arrays(), "made_from": mark})
    return found


def _kept(a: Index, name: str, mark: NDArray[np.uint8]) -> Between | None:
    try:
        arrays = a.kept(name)
    except DamagedIndexError as error:
        raise DamagedIndexError(f"{name} of the index can't be read; delete it: it is computed again") from error
    if arrays is None or not np.array_equal(arrays.pop("made_from"), mark):
        return None
    return Between.from_arrays(arrays)


@neutrally
def correlate(
    a: Index,
    b: Index,
    *,
    partners: int = PARTNERS,
    block_bytes: int = BLOCK_BYTES,
    progress: Progress | None = None,
) -> Between:
    """`between`, always computed; the indices' tokens are taken to be the same.

    Args:
        a: an index.
        b: another.
        partners: how many are listed for each feature.
        block_bytes: RAM for the sums of one block of A's features; it changes no bit of the sums.
        progress: called with stage, done, total.
    """
    note = progress or (lambda stage, done, total: None)
    moments = [overall_moments(index.features, index.n_counted) for index in (a, b)]
    firings = [index.column("n_firings") for index in (a, b)]
    of_a, overlaps = [], []
    best = _BestOfColumns(b.n_features, partners)
    step = max(1, block_bytes // (PAIR_BYTES * b.n_features))
    for first in range(0, a.n_features, step):
        note("between", first, a.n_features)
        stop = min(a.n_features, first + step)
        sums, counts = _cofirings(a, b, first, stop)
        own = moments[0].rows(first, stop)
        of_a.append(_with_counts(top_partners(sums, own, moments[1], a.n_counted, partners), counts))
        best.take(sums, counts, first, own, moments[1], a.n_counted)
        overlaps.append(_overlaps(counts, first, firings[0][first:stop], firings[1]))
    note("between", a.n_features, a.n_features)
    return Between(_joined(of_a), best.found, Overlaps(*(np.concatenate(part) for part in zip(*overlaps, strict=True))))


def _cofirings(a: Index, b: Index, first: int, stop: int) -> tuple[NDArray[np.float64], NDArray[np.uint32]]:
    """``Σ a_i b_j`` and the tokens on which both fire, of A's features ``first`` to ``stop`` with all of B's."""
    sums = np.zeros((stop - first, b.n_features))
    counts = np.zeros((stop - first, b.n_features), dtype=np.uint32)
    runs = zip(by_feature(a, range(first, stop)), by_feature(b, range(b.n_features)), strict=True)
    for own, others in runs:
        add_cofirings(sums, own, by_token(others), counts)
    return sums, counts


def by_feature(index: Index, features: range) -> Iterator[ByFeature]:
    """The firings of some features, run of `RUN_TOKENS` tokens by run; a row is a token's place in the run."""
    postings: list[Firings] = [index.firings(feature) for feature in features]
    at = np.zeros(len(postings), dtype=np.int64)
    n_tokens = len(index.tokens)
    for start in range(0, n_tokens, RUN_TOKENS):
        stop = min(start + RUN_TOKENS, n_tokens)
        # of the positions' own dtype, or NumPy would convert all of them
        ends = [np.searchsorted(own.positions, own.positions.dtype.type(stop)) for own in postings]
        spans = [slice(low, high) for low, high in zip(at.tolist(), ends, strict=True)]
        rows = [own.positions[span] - start for own, span in zip(postings, spans, strict=True)]
        acts = [own.acts[span] for own, span in zip(postings, spans, strict=True)]
        offsets = offsets_of(np.array(ends, dtype=np.int64) - at)
        yield ByFeature(offsets, np.concatenate(rows).astype(np.int32, copy=False), np.concatenate(acts))
        at[:] = ends


def by_token(codes: ByFeature) -> Tiles:
    """The same firings token by token."""
    n_features = len(codes.offsets) - 1
    order = counting_sort(codes.rows, RUN_TOKENS)
    features = np.repeat(np.arange(n_features, dtype=np.int32), np.diff(codes.offsets))
    offsets = offsets_of(np.bincount(codes.rows, minlength=RUN_TOKENS))
    return tiles(offsets, features[order], codes.acts[order], n_features)


def _with_counts(pairs: TopPairs, counts: NDArray[np.uint32]) -> Partners:
    together = np.take_along_axis(counts, np.maximum(pairs.other, 0), axis=1).astype(np.int64)
    return Partners(*pairs, np.where(pairs.other >= 0, together, 0))


def _joined(parts: list[Partners]) -> Partners:
    return Partners(*(np.concatenate(columns) for columns in zip(*parts, strict=True)))


class _BestOfColumns:
    """The partners in A of each feature of B, from blocks of A's features."""

    def __init__(self, n_features: int, k: int) -> None:
        shape = (n_features, 0)
        self._k = k
        self.found = Partners(
            np.zeros(shape, dtype=np.int32),
            np.zeros(shape, dtype=np.float32),
            np.zeros(shape, dtype=np.float32),
            np.zeros(shape, dtype=np.int64),
        )

    def take(
        self,
        sums: NDArray[np.float64],
        counts: NDArray[np.uint32],
        first: int,
        own: Moments,
        others: Moments,
        n_tokens: int,
    ) -> None:
        """One more block: the features of A from `first`."""
        parts = []
        for low in range(0, sums.shape[1], ROWS):
            high = min(low + ROWS, sums.shape[1])
            turned = np.ascontiguousarray(sums[:, low:high].T), np.ascontiguousarray(counts[:, low:high].T)
            pairs = top_partners(turned[0], others.rows(low, high), own, n_tokens, self._k)
            found = _with_counts(pairs, turned[1])
            parts.append(found._replace(other=np.where(found.other >= 0, found.other + first, -1).astype(np.int32)))
        before: tuple[NDArray[Any], ...] = tuple(self.found)
        after: tuple[NDArray[Any], ...] = tuple(_joined(parts))
        both = [np.concatenate(columns, axis=1) for columns in zip(before, after, strict=True)]
        order = np.argsort(-both[1], axis=1, kind="stable")[:, : self._k]  # those not listed have 0, and come last
        self.found = Partners(*(np.take_along_axis(column, order, axis=1) for column in both))


def _overlaps(counts: NDArray[np.uint32], first: int, own: NDArray[np.int64], others: NDArray[np.int64]) -> Overlaps:
    """The pairs of `Overlaps` among a block of A's features."""
    own, others = np.maximum(own, 1), np.maximum(others, 1)
    found = []
    for low in range(0, len(counts), ROWS):
        rows = slice(low, low + ROWS)
        commoner, rarer = np.maximum(own[rows, None], others), np.minimum(own[rows, None], others)
        a, b = np.nonzero((counts[rows] >= LEAST_SHARE * commoner) & (counts[rows] >= PART_OF * rarer))
        found.append((a + low + first, b, counts[a + low, b]))
    a, b, together = (np.concatenate(column) for column in zip(*found, strict=True))
    return Overlaps(a.astype(np.int32), b.astype(np.int32), together.astype(np.int64))
