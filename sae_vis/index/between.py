"""Features of two dictionaries over the same tokens: how each goes with each, from the two indices' postings.

For features i of A and j of B: ``S_ij = Σ a_i b_j`` in float64 and ``n_ij``, the tokens on which both fire, over all
unmasked tokens. The codes of both are laid out by feature and by token, in a temporary folder if they are large;
then blocks of features are held at a time, first of A, then of B, so RAM grows with neither the number of features nor
that of tokens. Nothing is sampled, and no pair is left out.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from sae_vis.errors import DamagedIndexError
from sae_vis.index.cofirings import Cofirings, Pairs, plan_blocks
from sae_vis.index.correlations import BestPartners, Partners, Scales
from sae_vis.index.feature_table import overall_moments
from sae_vis.index.index import Index
from sae_vis.index.manifest import mark_of
from sae_vis.index.memory_store import MemoryStore
from sae_vis.index.postings import plan_parts
from sae_vis.index.same_tokens import require_same_tokens
from sae_vis.index.shards import RunCodes, Shard, counting_sort, offset_dtype, offsets_of, row_dtype
from sae_vis.index.storage import Arrays, DirectoryStore, Store
from sae_vis.neutral import neutrally

RUN_TOKENS = 65_536  # tokens whose codes are held together; their rows are numbers of 16 bits
BLOCK_BYTES = 1 << 28  # products of a block of features
PART_FIRINGS = 1 << 22  # firings that are cut by run at a time
CODE_BYTES = 14  # of a firing, in both orders
PARTNERS = 16
PART_OF = 0.5
"""Share of a feature's firings on which another must fire, so that the first is a part of it."""
LEAST_SHARE = 0.1
"""Share of a feature's firings that a part of it must cover."""

Progress = Callable[[str, int, int], None]


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
        """Arrays by name, as a store keeps them.

        Returns:
            What `from_arrays` takes.
        """
        return {
            f"{part}.{name}": array for part in self._fields for name, array in getattr(self, part)._asdict().items()
        }

    @classmethod
    def from_arrays(cls, arrays: Arrays) -> Between:
        """Restore what `to_arrays` gave.

        Args:
            arrays: by name.

        Returns:
            The same correlations.
        """

        def columns(part: str) -> Arrays:
            return {
                name.removeprefix(f"{part}."): array for name, array in arrays.items() if name.startswith(f"{part}.")
            }

        return cls(Partners(**columns("of_a")), Partners(**columns("of_b")), Overlaps(**columns("overlaps")))


@neutrally
def between(a: Index, b: Index, *, partners: int = PARTNERS, progress: Progress | None = None) -> Between:
    """How the features of two indices over the same tokens are related: kept beside A's index, else computed.

    What was computed is kept in ``between/`` of A's directory under B's identity, or as long as A is open where nothing
    can be written there. A and B may be the same.

    Args:
        a: an index.
        b: another, of another dictionary over the same tokens.
        partners: how many are listed for each feature, at least.
        progress: called with stage, done, total.

    Returns:
        Correlations of each feature with its nearest ones in the other dictionary.

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
        block_bytes: RAM for the products of one block of features; it changes no bit.
        progress: called with stage, done, total.
    """
    note = progress or (lambda stage, done, total: None)
    n_all = a.n_features + b.n_features
    n_firings = [index.column("n_firings") for index in (a, b)]
    scales = [Scales.of(overall_moments(index.column, index.n_counted)) for index in (a, b)]
    small = CODE_BYTES * sum(int(column.sum()) for column in n_firings) <= block_bytes
    with TemporaryDirectory(prefix="sae_vis-") as folder:
        store = MemoryStore() if small else DirectoryStore(Path(folder))
        codes_a, codes_b = _by_run(a, store, "a"), _by_run(b, store, "b")
        of_a = BestPartners(scales[0], scales[1], a.n_counted, partners)
        of_b = BestPartners(scales[1], scales[0], a.n_counted, partners)
        overlaps = [_no_overlaps()]
        for first, found in _blocks(codes_a, codes_b, a.n_features, b.n_features, block_bytes):
            note("between", first, n_all)
            overlaps += found.map(partial(_take, of_a, first, n_firings))
        for first, found in _blocks(codes_b, codes_a, b.n_features, a.n_features, block_bytes):
            note("between", a.n_features + first, n_all)
            found.map(partial(_take, of_b, first, n_firings[::-1]))
    note("between", n_all, n_all)
    row, column, together = (np.concatenate(parts) for parts in zip(*overlaps, strict=True))
    order = np.lexsort((column, row))
    return Between(of_a.found, of_b.found, Overlaps(row[order], column[order], together[order]))


class _Codes(NamedTuple):
    """All codes of an index, run of `RUN_TOKENS` tokens by run, in both orders."""

    by_feature: list[Shard]
    by_token: list[RunCodes]


def _blocks(
    own: _Codes, others: _Codes, n_own: int, n_others: int, block_bytes: int
) -> Iterator[tuple[int, Cofirings]]:
    """Pairs of features of one dictionary with all of another, block by block, with each block's first feature."""
    n_products = np.zeros(n_own, dtype=np.int64)
    for shard, codes in zip(own.by_feature, others.by_token, strict=True):
        n_products += shard.sums_over_firings(np.diff(codes.offsets))
    for first, stop in plan_blocks(n_products, n_others, block_bytes):
        rows = range(first, stop)
        yield first, Cofirings(own.by_feature, others.by_token, rows, n_products[first:stop], n_others)


def _take(
    best: BestPartners, first: int, n_firings: list[NDArray[np.int64]], rows: NDArray[np.int64], pairs: Pairs
) -> Overlaps:
    """Pairs of some rows of a block that begins with feature ``first``: the best of each, and overlaps."""
    features = rows + first
    best.take(features, pairs)
    row = features[pairs.rows]
    own, others = n_firings[0][row], n_firings[1][pairs.columns]
    part = (pairs.together >= LEAST_SHARE * np.maximum(own, others)) & (
        pairs.together >= PART_OF * np.minimum(own, others)
    )
    return Overlaps(row[part].astype(np.int32), pairs.columns[part].astype(np.int32), pairs.together[part])


def _no_overlaps() -> Overlaps:
    none = np.zeros(0, dtype=np.int32)
    return Overlaps(none, none, none.astype(np.int64))


def _by_run(index: Index, store: Store, name: str) -> _Codes:
    """The codes of an index, from its postings: each part of them is cut by run, then each run is put together."""
    n_tokens = len(index.tokens)
    n_runs = -(-n_tokens // RUN_TOKENS)
    parts, plan = [], plan_parts(index.column("n_firings"), PART_FIRINGS)
    for first, stop in plan:
        store.write_arrays(f"{name}/part-{first}", _cut(index, range(first, stop), n_runs))
        parts.append(store.arrays(f"{name}/part-{first}"))
    found = _Codes([], [])
    for run in range(n_runs):
        spans = [slice(*part["offsets"][run : run + 2]) for part in parts]
        offsets = offsets_of(np.concatenate([part["counts"][run] for part in parts]))
        shard = Shard(
            positions=np.arange(run * RUN_TOKENS, min((run + 1) * RUN_TOKENS, n_tokens)),
            feature_offsets=offsets.astype(offset_dtype(int(offsets[-1]))),
            rows=np.concatenate([part["rows"][span] for part, span in zip(parts, spans, strict=True)]),
            acts=np.concatenate([part["acts"][span] for part, span in zip(parts, spans, strict=True)]),
        )
        store.write_arrays(f"{name}/shard-{run}", shard.to_arrays())
        store.write_arrays(f"{name}/by-token-{run}", shard.by_token().to_arrays())
        found.by_feature.append(Shard(**store.arrays(f"{name}/shard-{run}")))
        found.by_token.append(RunCodes(**store.arrays(f"{name}/by-token-{run}")))
    for first, _ in plan:
        store.delete(f"{name}/part-{first}")
    return found


def _cut(index: Index, features: range, n_runs: int) -> Arrays:
    """The firings of some features run by run, within a run feature by feature."""
    postings = index.postings(features)
    positions, n = postings.positions, len(features)
    run = positions // RUN_TOKENS
    order = counting_sort(run, n_runs)
    counts = np.bincount(run * n + postings.feature, minlength=n_runs * n).reshape(n_runs, -1)
    return {
        "offsets": offsets_of(counts.sum(axis=1)),
        "counts": counts,
        "rows": (positions % RUN_TOKENS).astype(row_dtype(RUN_TOKENS))[order],
        "acts": postings.acts[order],
    }
