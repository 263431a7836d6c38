"""One pass over the tokens for all features: map token shards to sparse codes, reduce feature ranges to postings.

    text -> batches -> model up to the hook -> SAE encode -> shards   (map: safe on disk one by one)
    shards -> postings + firing statistics                            (reduce, one feature range at a time)
    shards + moments -> correlations, logit lens -> feature table     (finish, one feature range at a time)

Every step writes whole files under a temporary name, so a build that is killed goes on where it was.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from functools import cached_property
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from sae_vis.checks import shown
from sae_vis.config import ActsDtype, IndexConfig
from sae_vis.errors import ForeignIndexError, InputError
from sae_vis.index.build_files import (
    PLAN,
    WORK,
    Stretches,
    by_token_name,
    labels_name,
    more_name,
    rows_name,
    shard_name,
    sums_name,
    version,
    versions,
)
from sae_vis.index.by_label import LabelStatistics, require_few_cells
from sae_vis.index.codes_by_position import position_type
from sae_vis.index.cofirings import Cofirings, count_products, plan_blocks
from sae_vis.index.correlations import Moments, Scales, top_features
from sae_vis.index.feature_table import (
    Columns,
    FeatureColumns,
    alignment_columns,
    firing_columns,
    merged,
    overall_moments,
    pair_columns,
)
from sae_vis.index.fired_tokens import token_columns
from sae_vis.index.index import Index
from sae_vis.index.lock import LOCK, build_lock, clear_lock
from sae_vis.index.manifest import MANIFEST, CodesRecord, Manifest, Provenance
from sae_vis.index.neurons import MOST_BYTES, NeuronSums, NeuronTotals, sums_bytes
from sae_vis.index.opened import stored_corpus, stored_text
from sae_vis.index.postings import gather, plan_parts
from sae_vis.index.rounding import stored_codes
from sae_vis.index.shards import CodedBatch, RunCodes, Shard, plan_batches, plan_runs, run_codes
from sae_vis.index.source import CodeSource, Source, batches_of
from sae_vis.index.storage import DirectoryStore, MemoryStore, Store
from sae_vis.index.writing import (
    FEATURES,
    LABELS,
    NOTHING,
    TOKENS,
    VOCABULARY,
    codes_record,
    part_record,
    single_records,
    write_codes,
    write_features,
    write_postings,
)
from sae_vis.neutral import neutrally

Progress = Callable[[str, int, int], None]
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
    """Build the index of ``source``, in directory ``out`` or, without one, in memory.

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
    """An index to be built: its source, its directory (None: in memory), statistics to add."""

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
        found = [_begun(order, config, progress, locks) for order in orders]
        builds = [one for one in found if isinstance(one, _Build)]
        while builds:
            together = [build for build in builds if build.shares_passes(builds[0])]
            _map(together)
            builds = [build for build in builds if build not in together]
        return [one.finish() if isinstance(one, _Build) else one for one in found]


def _begun(order: Order, config: IndexConfig, progress: Progress, locks: ExitStack) -> Index | _Build:
    """A finished index, opened, or what is left to do."""
    order.source.check()
    require_few_cells(order.source.d_sae, order.source.corpus.labellings)
    provenance = order.source.provenance(config, order.columns)
    store = MemoryStore() if order.out is None else DirectoryStore(_directory(order.out))
    if isinstance(store, DirectoryStore):
        if not _finished(store, provenance):
            locks.enter_context(build_lock(store.root))
        if _finished(store, provenance):  # perhaps by the process that held the lock before
            clear_lock(store.root)
            return Index.open(store.root)
    return _Build(order.source, config, provenance, store, order.columns, progress)


def _directory(out: object) -> Path:
    if not isinstance(out, (str, PathLike)) or not str(out):
        raise InputError(f"out is {shown(out)}, expected a directory, or None for an index in memory")
    return Path(out)


def _finished(store: DirectoryStore, provenance: Provenance) -> bool:
    """Whether ``store`` holds this very index; raises `ForeignIndexError` if it holds something else."""
    root = store.root
    if store.exists(MANIFEST):
        found = Manifest.from_json(store.json(MANIFEST), root / MANIFEST)
        provenance.require_same(found.provenance, root)
        store.delete(WORK)
        return True
    if store.exists(PLAN):
        provenance.require_same(Provenance(**store.json(PLAN)["provenance"]), f"{root} (unfinished)")
    elif root.exists() and (not root.is_dir() or _holds_files(root)):
        raise ForeignIndexError(
            f"{root} exists and is not a sae_vis index; nothing was written: choose a new or an empty directory"
        )
    return False


def _holds_files(root: Path) -> bool:
    """Whether a directory holds anything but what a build killed before its plan was written may leave."""
    left = ("plan.json", LOCK)
    return any(path.is_file() and not path.name.startswith(left) for path in root.rglob("*"))


def _map(builds: Sequence[_Build]) -> None:
    """The shards that any of some builds over the same runs lacks; those that lack the same one share its batches."""
    corpus, note = builds[0].source.corpus, builds[0].progress
    for number, run in enumerate(builds[0].runs):
        lacking = [build for build in builds if build.lacks(number)]
        if not lacking:
            continue
        note("index", int(corpus.offsets[run[0]]), corpus.n_tokens)
        hands = [_Hand(build.sums_before(number), build.config.acts_dtype) for build in lacking]
        batch_runs = plan_batches(corpus.offsets, *run, builds[0].config.batch_tokens)
        for batches in batches_of([build.source for build in lacking], batch_runs):
            for hand, batch in zip(hands, batches, strict=True):
                hand.take(batch)
            reached = int(batches[0].positions[-1]) + 1
            if reached < corpus.n_tokens:  # the end is told once, below
                note("index", reached, corpus.n_tokens)
        for build, hand in zip(lacking, hands, strict=True):
            build.put(number, hand)
    note("index", corpus.n_tokens, corpus.n_tokens)


class _Hand:
    """The shard in hand: coded batches of one run, and the sums of neurons so far, if they are wanted."""

    def __init__(self, sums: NeuronSums | None, acts_dtype: ActsDtype) -> None:
        self.sums, self._acts_dtype = sums, acts_dtype
        self._kept: list[CodedBatch] = []

    def take(self, batch: CodedBatch) -> None:
        """One more batch. From here on its activations are those that the index keeps."""
        batch = batch._replace(codes=stored_codes(batch.codes, self._acts_dtype))
        self._kept.append(batch._replace(x=batch.x.new_empty(0)))
        if self.sums is not None:
            self.sums.add(batch)

    def codes(self) -> RunCodes:
        """The codes of all of them."""
        return run_codes(self._kept)


class _Build:
    """One run of a build; its state is in the store."""

    def __init__(
        self,
        source: CodeSource,
        config: IndexConfig,
        provenance: Provenance,
        store: Store,
        columns: Sequence[FeatureColumns],
        progress: Progress,
    ) -> None:
        self.source, self.config, self.provenance, self.store = source, config, provenance, store
        self.columns, self.progress = columns, progress
        self.d_sae = source.d_sae
        self.n_counted = source.corpus.n_counted
        plan = self._plan()
        offsets, n_seqs = source.corpus.offsets, source.corpus.n_seqs
        self.runs = plan_runs(offsets, 0, n_seqs, plan["shard_tokens"])
        self.part_firings, self.block_bytes = plan["part_firings"], plan["block_bytes"]
        self.correlate_neurons = _correlates_neurons(source, config)
        self._sums: NeuronSums | None = None
        if not store.exists(TOKENS):
            store.write_arrays(TOKENS, stored_corpus(source.corpus))
        if source.text is not None and not store.exists(VOCABULARY):
            store.write_table(VOCABULARY, stored_text(source.text))

    def shares_passes(self, other: _Build) -> bool:
        """Whether both get their codes from the same runs of one model over one corpus."""
        mine, theirs = self.source, other.source
        if not isinstance(mine, Source) or not isinstance(theirs, Source):
            return self is other
        return mine.model is theirs.model and mine.corpus is theirs.corpus and self.runs == other.runs

    def finish(self) -> Index:
        """All steps after the last shard; each skips what is done."""
        counts, signed = np.zeros(self.d_sae, dtype=np.int64), False
        for shard in self._shards():
            counts += np.diff(shard.feature_offsets)
            signed = signed or bool(shard.acts.min(initial=0) < 0)
        parts = plan_parts(counts, self.part_firings)
        self._reduce(parts, counts, signed=signed)
        self._finish(parts)
        self._seal(parts, signed=signed)
        return Index(self.store)

    def _plan(self) -> dict[str, Any]:
        """The plan of the run that began this build: a resumed build keeps its shards and parts."""
        if not self.store.exists(PLAN):
            self.store.write_json(
                PLAN,
                {
                    "provenance": asdict(self.provenance),
                    "shard_tokens": self.config.shard_tokens,
                    "part_firings": self.config.part_firings,
                    "block_bytes": self.config.block_bytes,
                },
            )
        return self.store.json(PLAN)

    def lacks(self, number: int) -> bool:
        """Whether the shard of a run is still to be made."""
        return not self.store.exists(shard_name(number))

    def sums_before(self, number: int) -> NeuronSums | None:
        """Sums of all runs before one; None where neurons are not correlated."""
        if self.correlate_neurons and self._sums is None:
            self._sums = (
                NeuronSums.from_arrays(self.store.arrays(sums_name(number - 1)))
                if number
                else NeuronSums(self.d_sae, self.source.centre)
            )
        return self._sums

    def put(self, number: int, hand: _Hand) -> None:
        """Make a run's shard safe."""
        codes = hand.codes()
        if hand.sums is not None:  # before the shard: a shard that exists has its sums
            self.store.write_arrays(sums_name(number), hand.sums.to_arrays())
        if self.config.codes:  # likewise
            write_codes(self.store, number, codes, self.source.corpus.n_tokens)
        self.store.write_arrays(shard_name(number), codes.by_feature(self.d_sae).to_arrays())
        self.store.delete(sums_name(number - 1))

    def _shards(self) -> Iterator[Shard]:
        """The shards in corpus order, one mapped at a time."""
        for number in range(len(self.runs)):
            yield Shard(**self.store.arrays(shard_name(number)))

    def _reduce(self, parts: list[tuple[int, int]], counts: NDArray[np.int64], *, signed: bool) -> None:
        corpus = self.source.corpus
        dtype = position_type(corpus.n_tokens)
        labels = LabelStatistics(corpus.labellings, corpus.documents, corpus.counted) if corpus.labellings else None
        for number, (first, stop) in enumerate(parts):
            self.progress("sort", first, self.d_sae)
            if self.store.exists(rows_name(number)):
                continue
            postings = gather(self._shards(), first, stop, counts, dtype)
            write_postings(self.store, number, postings, first)
            rows = firing_columns(postings, first, self.n_counted, self.config, signed=signed)
            rows |= token_columns(postings, corpus.tokens, self.config.fired_tokens)
            if labels is not None:
                by_label, measures = labels.of(postings, first)
                self.store.write_table(labels_name(number), by_label)
                rows |= measures
            self.store.write_table(rows_name(number), pa.table(rows))
        self.progress("sort", self.d_sae, self.d_sae)

    def _finish(self, parts: list[tuple[int, int]]) -> None:
        rows = pa.concat_tables([self.store.table(rows_name(number)) for number in range(len(parts))])
        moments = overall_moments(lambda name: rows[name].to_numpy(), self.n_counted)
        scales = Scales.of(moments)
        sums = None
        if self.correlate_neurons:
            sums = NeuronSums.from_arrays(self.store.arrays(sums_name(len(self.runs) - 1))).closed()
        lacking = [number for number in range(len(self._blocks)) if not self.store.exists(more_name(number))]
        codes = self._by_token() if lacking and self.config.correlated_features else []
        shards = list(self._shards()) if codes else []
        for number in lacking:
            first, stop = self._blocks[number]
            self.progress("tables", first, self.d_sae)
            found: Columns = {}
            if codes:
                pairs = Cofirings(shards, codes, range(first, stop), self._n_products[first:stop], self.d_sae)
                k = self.config.correlated_features
                found = pair_columns("correlated_features", top_features(pairs, first, scales, self.n_counted, k))
            more = self._more_columns(first, stop, moments, sums)
            self.store.write_table(more_name(number), pa.table(found | more or {NOTHING: pa.nulls(stop - first)}))
        self.progress("tables", self.d_sae, self.d_sae)

    @cached_property
    def _n_products(self) -> NDArray[np.int64]:
        """Of each feature with the codes of its tokens: the work of its row of correlations."""
        if not self.config.correlated_features:
            return np.zeros(self.d_sae, dtype=np.int64)
        return count_products(self._shards(), self.d_sae)

    @cached_property
    def _blocks(self) -> list[tuple[int, int]]:
        """Ranges of features whose co-firing sums are held at a time."""
        return plan_blocks(self._n_products, self.d_sae, self.block_bytes)

    def _by_token(self) -> list[RunCodes]:
        """The codes of all shards token by token, mapped; written beside the shards when they are first needed."""
        found = []
        for number, shard in enumerate(self._shards()):
            if not self.store.exists(by_token_name(number)):
                self.store.write_arrays(by_token_name(number), shard.by_token().to_arrays())
            found.append(RunCodes(**self.store.arrays(by_token_name(number))))
        return found

    def _more_columns(self, first: int, stop: int, moments: Moments, sums: NeuronTotals | None) -> Columns:
        config = self.config
        found: Columns = {}
        if sums is not None:
            pairs = sums.top_neurons(slice(first, stop), moments, self.n_counted, config.correlated_neurons)
            found |= pair_columns("correlated_neurons", pairs)
        if config.aligned_neurons and self.source.decoder is not None:
            decoder = self.source.decoder[first:stop].detach().float().cpu().numpy()
            found |= alignment_columns(decoder, config.aligned_neurons)
        for statistic in self.columns:
            found |= statistic.columns(first, stop)
        return found

    def _seal(self, parts: list[tuple[int, int]], *, signed: bool) -> None:
        """Join the feature table, then the manifest, last; then forget the shards."""
        rows = Stretches(self.store, [(*part, rows_name(number)) for number, part in enumerate(parts)])
        more = Stretches(self.store, [(*block, more_name(number)) for number, block in enumerate(self._blocks)])
        if self.source.corpus.labellings:
            by_label = [self.store.table(labels_name(number)) for number in range(len(parts))]
            self.store.write_table(LABELS, pa.concat_tables(by_label))
        lists, list_columns = write_features(
            self.store, self.d_sae, lambda first, stop: merged([rows.table(first, stop), more.table(first, stop)])
        )
        firings = self.store.table(FEATURES, ["n_firings"])["n_firings"].to_numpy()
        records = tuple(
            part_record(self.store, number, first, firings[first:stop]) for number, (first, stop) in enumerate(parts)
        )
        manifest = Manifest(
            version=version(),
            provenance=self.provenance,
            **single_records(self.store),
            versions=versions(),
            parts=records,
            codes=self._codes_records(),
            lists=lists,
            list_columns=list_columns,
            signed=signed,
        )
        self.store.write_json(MANIFEST, manifest.to_json())
        self.store.delete(WORK)

    def _codes_records(self) -> tuple[CodesRecord, ...]:
        if not self.config.codes:
            return ()
        starts = self.source.corpus.offsets[[start for start, _ in self.runs]].tolist()
        shards = enumerate(zip(starts, self._shards(), strict=True))
        return tuple(codes_record(self.store, number, first, len(shard.acts)) for number, (first, shard) in shards)


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
