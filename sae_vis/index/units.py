"""Units of work of one index: each reads what steps before it wrote, and writes whole files under names of its own.

So a unit may be done by anybody, at any time once the steps before it are done, again, or twice at once: the files are
the same. Nothing else is shared between those that do them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import cached_property
from typing import Any, TypeVar

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from sae_vis.config import IndexConfig
from sae_vis.errors import DamagedIndexError
from sae_vis.index.build_files import (
    WORK,
    Stretches,
    by_token_name,
    counts_name,
    labels_name,
    more_name,
    rows_name,
    shard_name,
    version,
    versions,
)
from sae_vis.index.by_label import LabelStatistics
from sae_vis.index.codes_by_position import position_type
from sae_vis.index.cofirings import Cofirings, plan_blocks
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
from sae_vis.index.manifest import MANIFEST, CodesRecord, Manifest, Provenance
from sae_vis.index.neuron_files import NeuronFiles
from sae_vis.index.neurons import NeuronSums
from sae_vis.index.opened import stored_corpus, stored_text
from sae_vis.index.plan import Plan
from sae_vis.index.postings import gather, plan_parts
from sae_vis.index.rounding import stored_codes
from sae_vis.index.shards import CodedBatch, RunCodes, Shard, run_codes
from sae_vis.index.source import CodeSource, Source
from sae_vis.index.storage import Store
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

Cuts = list[tuple[int, int]]
Note = Callable[[int], object]
"""Called while a unit is done, with the place reached: whoever waits for it sees that it goes on."""
_T = TypeVar("_T")


class IndexUnits:
    """The steps of an index, each in units.

    Args:
        source: tokens and codes.
        config: settings.
        columns: statistics to add.
        store: where the index is built.
        stored: its plan, as it is stored there.
    """

    def __init__(
        self,
        source: CodeSource,
        config: IndexConfig,
        columns: Sequence[FeatureColumns],
        store: Store,
        stored: dict[str, Any],
    ) -> None:
        self.source, self.config, self.columns, self.store = source, config, columns, store
        self.stored, self.plan = stored, Plan.of(stored, source.corpus.offsets)
        self.d_sae = source.d_sae
        self._neurons = (
            NeuronFiles(store, self.d_sae, source.centre, len(self.plan.ranges)) if self.plan.neurons else None
        )

    def shares_passes(self, other: IndexUnits) -> bool:
        """Whether both get their codes from the same runs of one model over one corpus."""
        mine, theirs = self.source, other.source
        if not isinstance(mine, Source) or not isinstance(theirs, Source):
            return self is other
        return mine.model is theirs.model and mine.corpus is theirs.corpus and self.plan.runs == other.plan.runs

    def _there(self, name: str) -> bool:
        """Whether a file of the build was written; it may be gone again once the index is finished."""
        return self.store.exists(name) or self.sealed

    # tokens and what they spell

    @property
    def begun(self) -> bool:
        """Whether the index has its tokens."""
        return self.store.exists(TOKENS) and (self.source.text is None or self.store.exists(VOCABULARY))

    def begin(self) -> None:
        """Write them."""
        if not self.store.exists(TOKENS):
            self.store.write_arrays(TOKENS, stored_corpus(self.source.corpus))
        if self.source.text is not None and not self.store.exists(VOCABULARY):
            self.store.write_table(VOCABULARY, stored_text(self.source.text))

    # shards; who reads the model is in `Work`, since several indices may share its passes

    def lacks(self, run: int) -> bool:
        """Whether the shard of a run is still to be made."""
        return not self._there(shard_name(run))

    def hand(self, run: int, first: int) -> Hand | None:
        """To make the shard of a run with, in the range whose first run is ``first``; None if it has just been made."""
        try:
            sums = self._neurons.before(run, first) if self._neurons is not None else None
        except DamagedIndexError:
            if self.lacks(run):
                raise
            return None
        return Hand(sums, self.config)

    def put(self, run: int, hand: Hand, span: tuple[int, int], number: int) -> None:
        """Make the shard of a run safe; it is of range ``number``, whose runs are ``span``."""
        codes = hand.codes()
        if self._neurons is not None and hand.sums is not None:  # before the shard: a shard that exists has its sums
            self._neurons.keep(run, hand.sums, number if run == span[1] - 1 else None)
        if self.config.codes:  # likewise
            write_codes(self.store, run, codes, self.source.corpus.n_tokens)
        self.store.write_arrays(shard_name(run), codes.by_feature(self.d_sae).to_arrays())
        if self._neurons is not None:
            self._neurons.forget_before(run, span[0])

    def join_neurons(self) -> None:
        """Add up the sums over neurons of ranges as far as can be."""
        if self._neurons is not None:
            self._neurons.join()

    @property
    def neurons_joined(self) -> bool:
        """Whether the sums over neurons are of all tokens."""
        return self._neurons is None or self._neurons.joined or self.sealed

    def _shards(self, first: int = 0, stop: int | None = None) -> Iterator[Shard]:
        """The shards in corpus order, one mapped at a time."""
        for number in range(first, len(self.plan.runs) if stop is None else stop):
            yield Shard(**self.store.arrays(shard_name(number)))

    # what each feature has in all shards

    def is_counted(self, number: int) -> bool:
        """Whether some shards are counted."""
        return self._there(counts_name(number))

    def count(self, number: int, note: Note) -> None:
        """Count firings and products of some shards, and write their codes token by token, if these are needed."""
        first, stop = self.plan.counted[number]
        firings, products = (np.zeros(self.d_sae, dtype=np.int64) for _ in range(2))
        signed = False
        for run, shard in enumerate(self._shards(first, stop), first):
            firings += np.diff(shard.feature_offsets)
            signed = signed or bool(shard.acts.min(initial=0) < 0)
            if self.config.correlated_features:
                products += shard.sums_over_firings(np.bincount(shard.rows, minlength=len(shard.positions)))
                if not self.store.exists(by_token_name(run)):
                    self.store.write_arrays(by_token_name(run), shard.by_token().to_arrays())
            note(int(self.source.corpus.offsets[self.plan.runs[run][1]]))
        found = {"firings": firings, "products": products, "signed": np.array([int(signed)])}
        self.store.write_arrays(counts_name(number), found)

    @cached_property
    def _counts(self) -> tuple[NDArray[np.int64], NDArray[np.int64], bool]:
        """Firings of each feature; its products with the codes of its tokens; whether some activation is negative."""
        firings, products = (np.zeros(self.d_sae, dtype=np.int64) for _ in range(2))
        signed = False
        for number in range(len(self.plan.counted)):
            found = self.store.arrays(counts_name(number))
            firings += found["firings"]
            products += found["products"]
            signed = signed or bool(found["signed"][0])
        return firings, products, signed

    # postings

    @cached_property
    def parts(self) -> Cuts:
        """Ranges of features whose postings are one file."""
        return plan_parts(self._counts[0], self.plan.part_firings)

    def is_sorted(self, number: int) -> bool:
        """Whether the postings of a part are there."""
        return self._there(rows_name(number))

    def sort(self, number: int, note: Note) -> None:
        """Postings of a part, and its statistics that need nothing else."""
        corpus, (first, stop) = self.source.corpus, self.parts[number]
        firings, _, signed = self._counts
        postings = gather(
            _noted(self._shards(), lambda: note(first)), first, stop, firings, position_type(corpus.n_tokens)
        )
        write_postings(self.store, number, postings, first)
        rows = firing_columns(postings, first, corpus.n_counted, self.config, signed=signed)
        rows |= token_columns(postings, corpus.tokens, self.config.fired_tokens)
        if self._labels is not None:
            by_label, measures = self._labels.of(postings, first)
            self.store.write_table(labels_name(number), by_label)
            rows |= measures
        self.store.write_table(rows_name(number), pa.table(rows))

    @cached_property
    def _labels(self) -> LabelStatistics | None:
        corpus = self.source.corpus
        return LabelStatistics(corpus.labellings, corpus.documents, corpus.counted) if corpus.labellings else None

    # further columns of the feature table

    @cached_property
    def blocks(self) -> Cuts:
        """Ranges of features whose co-firing sums are held at a time."""
        return plan_blocks(self._counts[1], self.d_sae, self.plan.block_bytes)

    def is_tabled(self, number: int) -> bool:
        """Whether the further columns of a block are there."""
        return self._there(more_name(number))

    def tabulate(self, number: int) -> None:
        """Columns of a block that need more than its postings."""
        first, stop = self.blocks[number]
        k, n_counted = self.config.correlated_features, self.source.corpus.n_counted
        found: Columns = {}
        if k:
            shards, codes = self._by_token
            pairs = Cofirings(shards, codes, range(first, stop), self._counts[1][first:stop], self.d_sae)
            top = top_features(pairs, first, self._scales, n_counted, k)
            found = pair_columns("correlated_features", top)
        found |= self._more_columns(first, stop)
        self.store.write_table(more_name(number), pa.table(found or {NOTHING: pa.nulls(stop - first)}))

    def _more_columns(self, first: int, stop: int) -> Columns:
        config, n_counted = self.config, self.source.corpus.n_counted
        found: Columns = {}
        if self._neurons is not None:
            sums = self._neurons.of(first, stop)
            pairs = sums.top_neurons(slice(first, stop), self._moments, n_counted, config.correlated_neurons)
            found |= pair_columns("correlated_neurons", pairs)
        if config.aligned_neurons and self.source.decoder is not None:
            decoder = self.source.decoder[first:stop].detach().float().cpu().numpy()
            found |= alignment_columns(decoder, config.aligned_neurons)
        for statistic in self.columns:
            found |= statistic.columns(first, stop)
        return found

    @cached_property
    def _moments(self) -> Moments:
        rows = pa.concat_tables([self.store.table(rows_name(number)) for number in range(len(self.parts))])
        return overall_moments(lambda name: rows[name].to_numpy(), self.source.corpus.n_counted)

    @cached_property
    def _scales(self) -> Scales:
        return Scales.of(self._moments)

    @cached_property
    def _by_token(self) -> tuple[list[Shard], list[RunCodes]]:
        """All shards, and their codes token by token, mapped."""
        names = [by_token_name(run) for run in range(len(self.plan.runs))]
        return list(self._shards()), [RunCodes(**self.store.arrays(name)) for name in names]

    # the end

    @property
    def sealed(self) -> bool:
        """Whether the index is finished."""
        return self.store.exists(MANIFEST)

    def seal(self, note: Note) -> None:
        """Join the feature table, then the manifest, last; then forget the shards."""
        self.begin()
        vars(self).pop("_by_token", None)  # maps of files that go
        parts, blocks = self.parts, self.blocks
        rows = Stretches(self.store, [(*part, rows_name(number)) for number, part in enumerate(parts)])
        more = Stretches(self.store, [(*block, more_name(number)) for number, block in enumerate(blocks)])
        if self.source.corpus.labellings:
            by_label = [self.store.table(labels_name(number)) for number in range(len(parts))]
            self.store.write_table(LABELS, pa.concat_tables(by_label))
        lists, list_columns = write_features(
            self.store, self.d_sae, lambda first, stop: merged([rows.table(first, stop), more.table(first, stop)])
        )
        firings = self.store.table(FEATURES, ["n_firings"])["n_firings"].to_numpy()
        records = tuple(
            part_record(self.store, number, first, firings[first:stop])
            for number, (first, stop) in enumerate(_noted(parts, lambda: note(0)))
        )
        manifest = Manifest(
            version=version(),
            provenance=Provenance(**self.stored["provenance"]),
            **single_records(self.store),
            versions=versions(),
            parts=records,
            codes=self._codes_records(note),
            lists=lists,
            list_columns=list_columns,
            signed=self._counts[2],
        )
        self.store.write_json(MANIFEST, manifest.to_json())
        self.store.delete(WORK)

    def _codes_records(self, note: Note) -> tuple[CodesRecord, ...]:
        if not self.config.codes:
            return ()
        starts = self.source.corpus.offsets[[start for start, _ in self.plan.runs]].tolist()
        runs = enumerate(_noted(starts, lambda: note(0)))
        return tuple(
            codes_record(self.store, run, first, self.store.length(shard_name(run), "acts")) for run, first in runs
        )


def _noted(items: Iterable[_T], note: Callable[[], object]) -> Iterator[_T]:
    """The items; each time one is asked for, that is noted."""
    for item in items:
        note()
        yield item


class Hand:
    """The shard in hand: coded batches of one run, and the sums of neurons so far, if they are wanted."""

    def __init__(self, sums: NeuronSums | None, config: IndexConfig) -> None:
        self.sums, self._acts_dtype = sums, config.acts_dtype
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
