"""One pass over the tokens for all features: map token shards to sparse codes, reduce feature ranges to postings.

    text -> batches -> model up to the hook -> SAE encode -> shards   (map: safe on disk one by one)
    shards -> postings + firing statistics                            (reduce, one feature range at a time)
    shards + moments -> correlations, logit lens -> feature table     (finish, one feature range at a time)

Every step writes whole files under a temporary name, so a build that is killed goes on where it was.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from sae_vis.config import IndexConfig
from sae_vis.errors import ForeignIndexError
from sae_vis.index.correlations import Moments, NeuronSums, add_cofirings, top_features
from sae_vis.index.feature_table import (
    Columns,
    FeatureColumns,
    alignment_columns,
    firing_columns,
    merged,
    overall_moments,
    pair_columns,
)
from sae_vis.index.index import Index, stored_corpus, stored_text
from sae_vis.index.manifest import MANIFEST, Manifest, PartRecord, Provenance
from sae_vis.index.postings import gather, plan_parts
from sae_vis.index.shards import CodedBatch, Shard, make_shard, plan_batches, plan_runs
from sae_vis.index.source import CodeSource, Source, require_positive
from sae_vis.index.storage import DirectoryStore, MemoryStore, Store

Progress = Callable[[str, int, int], None]
PLAN, WORK = "build/plan.json", "build"
TOKENS, VOCABULARY, FEATURES = "tokens.safetensors", "vocabulary.parquet", "features.parquet"
__all__ = ["Progress", "Source", "build_index"]
NEURON_TOKENS = 16_384  # tokens whose neurons are correlated at a time


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
        IndexFileError: the disk refused.
    """
    config = config or IndexConfig()
    source.check()
    provenance = source.provenance(config, columns)
    store = MemoryStore() if out is None else DirectoryStore(Path(out))
    if isinstance(store, DirectoryStore) and _finished(store, provenance):
        return Index.open(store.root)
    build = _Build(source, config, provenance, store, columns, progress or (lambda stage, done, total: None))
    build.run()
    return Index(store)


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
    return any(path.is_file() and not path.name.startswith("plan.json") for path in root.rglob("*"))


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
        self.part_firings, self.block = plan["part_firings"], plan["block"]
        self.correlate_neurons = source.has_neurons(config.neuron_correlations) and config.correlated_neurons > 0

    def run(self) -> None:
        """All steps; each skips what is done."""
        if not self.store.exists(TOKENS):
            self.store.write_arrays(TOKENS, stored_corpus(self.source.corpus))
        if self.source.text is not None and not self.store.exists(VOCABULARY):
            self.store.write_table(VOCABULARY, stored_text(self.source.text))
        self._map()
        counts = np.zeros(self.d_sae, dtype=np.int64)
        for shard in self._shards():
            counts += np.diff(shard.feature_offsets)
        parts = plan_parts(counts, self.part_firings)
        self._reduce(parts, counts)
        self._finish(parts)
        self._seal(parts)

    def _plan(self) -> dict[str, Any]:
        """The plan of the run that began this build: a resumed build keeps its shards and parts."""
        if not self.store.exists(PLAN):
            self.store.write_json(
                PLAN,
                {
                    "provenance": asdict(self.provenance),
                    "shard_tokens": self.config.shard_tokens,
                    "part_firings": self.config.part_firings,
                    "block": max(1, self.config.block_bytes // (8 * self.d_sae)),
                },
            )
        return self.store.json(PLAN)

    def _map(self) -> None:
        done = next((i for i in range(len(self.runs)) if not self.store.exists(_shard_name(i))), len(self.runs))
        sums = self._neuron_sums(done) if self.correlate_neurons and done < len(self.runs) else None
        corpus = self.source.corpus
        offsets = corpus.offsets
        for number in range(done, len(self.runs)):
            self.progress("index", int(offsets[self.runs[number][0]]), corpus.n_tokens)
            shard = self._shard(self.runs[number], sums)
            if sums is not None:  # before the shard: a shard that exists has its sums
                self.store.write_arrays(_sums_name(number), sums.to_arrays())
            self.store.write_arrays(_shard_name(number), shard.to_arrays())
            self.store.delete(_sums_name(number - 1))
        self.progress("index", corpus.n_tokens, corpus.n_tokens)

    def _neuron_sums(self, done: int) -> NeuronSums:
        if done:
            return NeuronSums.from_arrays(self.store.arrays(_sums_name(done - 1)))
        return NeuronSums.zeros(self.d_sae, self.source.centre)

    def _shard(self, run: tuple[int, int], sums: NeuronSums | None) -> Shard:
        corpus = self.source.corpus
        runs = plan_batches(corpus.offsets, *run, self.config.batch_tokens)
        kept: list[CodedBatch] = []
        waiting: list[CodedBatch] = []
        for batch in self.source.batches(runs):
            require_positive(batch, corpus)
            kept.append(batch._replace(x=batch.x.new_empty(0)))
            if sums is not None:
                waiting.append(batch)
                if sum(len(one.positions) for one in waiting) >= NEURON_TOKENS:
                    sums.add(waiting)
                    waiting = []
            if int(batch.positions[-1]) + 1 < corpus.n_tokens:  # the end is told once, by the caller
                self.progress("index", int(batch.positions[-1]) + 1, corpus.n_tokens)
        if sums is not None and waiting:
            sums.add(waiting)
        return make_shard(kept, self.d_sae)

    def _shards(self) -> Iterator[Shard]:
        """The shards in corpus order, one mapped at a time."""
        for number in range(len(self.runs)):
            yield Shard(**self.store.arrays(_shard_name(number)))

    def _reduce(self, parts: list[tuple[int, int]], counts: NDArray[np.int64]) -> None:
        dtype = np.int32 if self.source.corpus.n_tokens <= np.iinfo(np.int32).max else np.int64
        for number, (first, stop) in enumerate(parts):
            self.progress("sort", first, self.d_sae)
            if self.store.exists(_rows_name(number)):
                continue
            postings = gather(self._shards(), first, stop, counts, dtype)
            self.store.write_arrays(_part_name(number), postings.to_arrays())
            rows = firing_columns(postings, first, self.n_counted, self.config)
            self.store.write_table(_rows_name(number), pa.table(rows))
        self.progress("sort", self.d_sae, self.d_sae)

    def _finish(self, parts: list[tuple[int, int]]) -> None:
        rows = pa.concat_tables([self.store.table(_rows_name(number)) for number in range(len(parts))])
        moments = overall_moments(rows, self.n_counted)
        sums = None
        if self.correlate_neurons:
            sums = NeuronSums.from_arrays(self.store.arrays(_sums_name(len(self.runs) - 1)))
        for number, (first, stop) in enumerate(self._blocks):
            if not self.store.exists(_more_name(number)):
                self.store.write_table(_more_name(number), self._more_columns(first, stop, moments, sums))
        self.progress("tables", self.d_sae, self.d_sae)

    @property
    def _blocks(self) -> list[tuple[int, int]]:
        """Ranges of features whose co-firing sums are held at a time."""
        return [(first, min(self.d_sae, first + self.block)) for first in range(0, self.d_sae, self.block)]

    def _more_columns(self, first: int, stop: int, moments: Moments, sums: NeuronSums | None) -> pa.Table:
        self.progress("tables", first, self.d_sae)
        config = self.config
        found: Columns = {}
        if config.correlated_features:
            together = np.zeros((stop - first, self.d_sae))
            for shard in self._shards():
                add_cofirings(together, shard, first)
            pairs = top_features(together, first, moments, self.n_counted, config.correlated_features)
            found |= pair_columns("correlated_features", pairs)
        if sums is not None:
            pairs = sums.top_neurons(slice(first, stop), moments, self.n_counted, config.correlated_neurons)
            found |= pair_columns("correlated_neurons", pairs)
        if config.aligned_neurons and self.source.decoder is not None:
            decoder = self.source.decoder[first:stop].detach().float().cpu().numpy()
            found |= alignment_columns(decoder, config.aligned_neurons)
        for statistic in self.columns:
            found |= statistic.columns(first, stop)
        return pa.table(found or {"_": pa.nulls(stop - first)})

    def _seal(self, parts: list[tuple[int, int]]) -> None:
        """Join the feature table, then the manifest, last; then forget the shards."""
        names = [_rows_name(number) for number in range(len(parts))], [_more_name(n) for n in range(len(self._blocks))]
        table = merged([pa.concat_tables([self.store.table(name) for name in group]) for group in names])
        self.store.write_table(FEATURES, table)
        firings = table["n_firings"].to_numpy()
        records = tuple(
            PartRecord(
                first_feature=first,
                n_features=stop - first,
                n_firings=int(firings[first:stop].sum()),
                file=self.store.record(_part_name(number)),
            )
            for number, (first, stop) in enumerate(parts)
        )
        manifest = Manifest(
            version=_version(),
            provenance=self.provenance,
            tokens=self.store.record(TOKENS),
            features=self.store.record(FEATURES),
            vocabulary=self.store.record(VOCABULARY) if self.store.exists(VOCABULARY) else None,
            parts=records,
        )
        self.store.write_json(MANIFEST, manifest.to_json())
        self.store.delete(WORK)


def _version() -> str:
    from sae_vis import __version__

    return __version__


def _part_name(number: int) -> str:
    return f"postings/part-{number:05d}.safetensors"


def _shard_name(number: int) -> str:
    return f"{WORK}/shard-{number:05d}.safetensors"


def _sums_name(number: int) -> str:
    return f"{WORK}/neurons-{number:05d}.safetensors"


def _rows_name(number: int) -> str:
    return f"{WORK}/rows-{number:05d}.parquet"


def _more_name(number: int) -> str:
    return f"{WORK}/more-{number:05d}.parquet"
