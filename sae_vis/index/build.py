"""One pass over the tokens for all features: map token shards to sparse codes, reduce feature ranges to postings.

    text -> batches -> model up to the hook -> SAE encode -> shards   (index: safe on disk one by one)
    shards -> firings and products of each feature, codes by token    (count, some shards at a time)
    shards -> postings + firing statistics                            (sort, one feature range at a time)
    shards + moments -> correlations, logit lens -> feature table     (tables, one feature range at a time)

Every step is cut into units by a plan that is stored first (`plan.py`); a unit writes whole files under names that
follow from the plan (`units.py`). So a build that is killed goes on where it was, and units may be done by this
process, by several, or by many machines (`work.py`, `executors.py`, `ranks.py`, `ray_workers.py`): the files are the
same.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from contextlib import ExitStack, closing
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from sae_vis.config import IndexConfig, Ranks, RayWorkers
from sae_vis.errors import DamagedIndexError, ForeignIndexError, InputError
from sae_vis.index import neurons
from sae_vis.index.build_files import PLAN, WORK, versions
from sae_vis.index.by_label import require_few_cells
from sae_vis.index.executors import Executor, InProcess, perform
from sae_vis.index.feature_table import FeatureColumns
from sae_vis.index.index import Index
from sae_vis.index.manifest import MANIFEST, Manifest, Provenance
from sae_vis.index.memory_store import MemoryStore
from sae_vis.index.neurons import MOST_BYTES, sums_bytes
from sae_vis.index.objects import place_at
from sae_vis.index.source import CodeSource, Source
from sae_vis.index.storage import BuildPlace, Store
from sae_vis.index.units import IndexUnits
from sae_vis.index.work import Work
from sae_vis.neutral import neutrally

Progress = Callable[[str, int, int], None]
_GONE = (DamagedIndexError, FileNotFoundError)
"""What is said of a file that others deleted between two looks."""
__all__ = ["Order", "Progress", "Source", "build_index", "build_indices"]


@neutrally
def build_index(
    source: CodeSource,
    out: str | Path | None = None,
    *,
    config: IndexConfig | None = None,
    columns: Sequence[FeatureColumns] = (),
    progress: Progress | None = None,
) -> Index:
    """Build the index of ``source``, in directory or at address ``out`` or, without one, in memory.

    A build that was interrupted goes on; a finished index of the same source is opened; a directory that holds
    anything else is left as it is.

    Raises:
        InputError: parts of the source don't fit, activations are not finite.
        ForeignIndexError: ``out`` holds something else.
        BusyIndexError: another process builds in ``out``.
        IndexFileError: the disk refused.
    """
    return build_indices([Order(source=source, out=out, columns=columns)], config=config, progress=progress)[0]


@dataclass(frozen=True, kw_only=True)
class Order:
    """An index to be built: its source, its directory or address (None: in memory), statistics to add."""

    source: CodeSource
    out: str | Path | None = None
    columns: Sequence[FeatureColumns] = ()


@neutrally
def build_indices(
    orders: Sequence[Order], *, config: IndexConfig | None = None, progress: Progress | None = None
) -> list[Index]:
    """Several indices, as `build_index` builds them one by one; those of one model and corpus share the forward passes.

    Raises:
        InputError: parts of a source don't fit, activations are not finite.
        ForeignIndexError: a directory holds something else.
        BusyIndexError: another process builds in a directory.
        IndexFileError: the disk refused.
    """
    config, progress = config or IndexConfig(), progress or (lambda stage, done, total: None)
    with ExitStack() as locks:
        found = [_begun(order, config, locks) for order in orders]
        lacking = [one for one in found if isinstance(one, IndexUnits)]
        if lacking:
            with closing(_executor(lacking, config)) as executor:
                perform(Work(lacking), executor, progress)
        return [_index(one.store) if isinstance(one, IndexUnits) else one for one in found]


def _index(store: Store) -> Index:
    """A finished index."""
    return Index(store.reader() if isinstance(store, BuildPlace) else store)


def _executor(indices: list[IndexUnits], config: IndexConfig) -> Executor:
    """Who does the work of some indices."""
    if isinstance(config.workers, Ranks):
        from sae_vis.index.ranks import RankExecutor

        return RankExecutor(config.workers)
    if isinstance(config.workers, RayWorkers):
        from sae_vis.index.ray_workers import RayExecutor

        return RayExecutor(config.workers, indices)
    return InProcess()


def _begun(order: Order, config: IndexConfig, locks: ExitStack) -> Index | IndexUnits:
    """A finished index, opened, or what is left to do."""
    order.source.check()
    require_few_cells(order.source.d_sae, order.source.corpus.labellings)
    provenance = order.source.provenance(config, order.columns)
    store = _store(order.out, config)
    if isinstance(store, BuildPlace):
        if not _finished(store, provenance):
            locks.enter_context(store.lock(shared=isinstance(config.workers, Ranks)))
        if _finished(store, provenance):  # perhaps by the process that held the lock before
            store.clear_lock()
            return Index.open(store.place)
    try:
        stored = planned(store, order.source, config, provenance)
    except _GONE:
        if isinstance(store, BuildPlace) and _finished(store, provenance):  # by others, just now
            return Index.open(store.place)
        raise
    return IndexUnits(order.source, config, order.columns, store, stored)


def planned(store: Store, source: CodeSource, config: IndexConfig, provenance: Provenance) -> dict[str, Any]:
    """The plan of a build, stored unless somebody has done so: a resumed build keeps its shards and parts.

    Raises:
        ForeignIndexError: an older version has, or somebody who builds something else.
        InputError: another one of those who build it together has other versions of packages.
    """
    correlates = _correlates_neurons(source, config)
    if not store.exists(PLAN):
        plan = {
            "provenance": asdict(provenance),
            "shard_tokens": config.shard_tokens,
            "part_firings": config.part_firings,
            "block_bytes": config.block_bytes,
            "range_tokens": neurons.RANGE,
            "neurons": correlates,
            "versions": versions(),
        }
        store.write_json(PLAN, plan)
    stored = store.json(PLAN)
    if "range_tokens" not in stored:
        raise ForeignIndexError(
            f"{_place(store)} holds a build that an earlier version of sae_vis began, and this one can't finish: "
            "finish it with that version, or delete the directory"
        )
    if isinstance(store, BuildPlace) and store.shared:
        provenance.require_same(Provenance(**stored["provenance"]), f"{store.place} (unfinished)")
        require_same_versions(stored["versions"], store.place)
    return stored


def _place(store: Store) -> str:
    return store.place if isinstance(store, BuildPlace) else "memory"


def require_same_versions(begun_with: dict[str, str], place: str) -> None:
    """Those who build an index together compute with the same packages. Raises `InputError`."""
    own = versions()
    other = [name for name, value in begun_with.items() if name != "python" and own.get(name) != value]
    if other:
        told = ", ".join(f"{name} {begun_with[name]} (here {own.get(name, 'none')})" for name in other)
        raise InputError(
            f"{place} was begun with {told}: all that build an index together need the same versions, or their numbers "
            "differ in last bits; install those, or delete the directory"
        )


def _store(out: object, config: IndexConfig) -> Store:
    if out is None:
        if config.workers is not None:
            raise InputError(
                f"an index in memory is built by one process, but IndexConfig.workers is {config.workers}: give a "
                "directory that all workers see, or an address in an object store"
            )
        return MemoryStore()
    return place_at(out, shared=config.workers is not None)


def _finished(store: BuildPlace, provenance: Provenance) -> bool:
    """Whether ``store`` holds this very index; raises `ForeignIndexError` if it holds something else."""
    if store.exists(MANIFEST):
        found = Manifest.from_json(store.json(MANIFEST), f"{store.place}/{MANIFEST}")
        provenance.require_same(found.provenance, store.place)
        store.delete(WORK)
        return True
    begun = store.exists(PLAN)
    try:
        if begun:
            provenance.require_same(Provenance(**store.json(PLAN)["provenance"]), f"{store.place} (unfinished)")
        else:
            store.require_empty()
    except (ForeignIndexError, *_GONE):
        if not (store.exists(MANIFEST) or (not begun and store.exists(PLAN))):
            raise
        return _finished(store, provenance)  # others have begun meanwhile, or finished
    return False


def _correlates_neurons(source: CodeSource, config: IndexConfig) -> bool:
    """Whether neurons are correlated: as source and settings say, unless by default their sums are too large."""
    if not config.correlated_neurons or not source.has_neurons(config.neuron_correlations):
        return False
    size = sums_bytes(source.d_sae, len(source.centre))
    if config.neuron_correlations == "always" or size <= MOST_BYTES:
        return True
    warnings.warn(
        f"neurons are not correlated: the sums of {source.d_sae:,} features with {len(source.centre):,} neurons take "
        f"{size / 2**30:.1f} GiB, more than {MOST_BYTES / 2**30:.0f}; IndexConfig(neuron_correlations='always') makes "
        "them all the same, 'never' says that they are not wanted",
        stacklevel=2,
    )
    return False
