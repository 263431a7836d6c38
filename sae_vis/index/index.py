"""The index, opened: every question a view asks is a query on postings and the feature table."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from sae_vis.checks import whole_number
from sae_vis.corpus.labels import Labelling
from sae_vis.errors import InputError
from sae_vis.index.by_label import LabelTable, LabelTokens, RankBy, read_counts
from sae_vis.index.by_position import PositionBins, PositionCounts
from sae_vis.index.codes_by_position import TokenCodes
from sae_vis.index.effects_cache import EffectKind, EffectsCache
from sae_vis.index.examples import distinct_contexts, sample_priority, spans
from sae_vis.index.fired_tokens import FiredTokens, read_fired_tokens
from sae_vis.index.firings import FiringFiles, Firings
from sae_vis.index.mean_effects import MeanEffect, MeanEffects, mean_effects
from sae_vis.index.opened import OpenedIndex
from sae_vis.index.postings import Postings, bins_of, histograms
from sae_vis.index.shards import offsets_of, ranges
from sae_vis.index.storage import Store
from sae_vis.index.text_search import Matches, TextSearch
from sae_vis.index.token_codes import FeatureRank, FeaturesThere, codes_at, corpus_positions, features_there

__all__ = ["Examples", "Firings", "Index", "Interval", "Windows"]


class Examples(NamedTuple):
    """Chosen firings of one feature.

    Attributes:
        positions: int64 ``[n]`` corpus positions.
        acts: float32 ``[n]``.
        repeats: int64 ``[n]``: further firings whose context is the same tokens, and that are not listed themselves.
    """

    positions: NDArray[np.int64]
    acts: NDArray[np.float32]
    repeats: NDArray[np.int64]


class Interval(NamedTuple):
    """One interval of activations: exact number of firings, and a uniform sample of them.

    Above zero it is ``(low, high]``, below it ``[low, high)``.
    """

    low: float
    high: float
    n_firings: int
    examples: Examples


class Windows(NamedTuple):
    """Stretches of text around corpus positions, end to end; window ``i`` is ``offsets[i]:offsets[i + 1]``.

    Attributes:
        offsets: int64 ``[n + 1]``.
        positions: int64 ``[n_tokens]`` corpus position of each token.
        tokens: int32 ``[n_tokens]``.
        acts: float32 ``[n_tokens]`` of the feature: 0 where it does not fire, NaN where the mask left the token out.
        focus: int64 ``[n]``: index within the window of the position asked for.
    """

    offsets: NDArray[np.int64]
    positions: NDArray[np.int64]
    tokens: NDArray[np.int32]
    acts: NDArray[np.float32]
    focus: NDArray[np.int64]


class Index(OpenedIndex):
    """Postings of every feature over a corpus, and the feature table: the queries.

    Users have `sae_vis.Index`, which is this class with pages and lists its attributes.
    """

    def __init__(self, store: Store) -> None:
        super().__init__(store)
        self._postings: FiringFiles | None = None
        self._labels: dict[str, LabelTable] = {}
        self._position_bins: dict[int, PositionBins] = {}
        self._effects: dict[tuple[EffectKind, str | None], EffectsCache] = {}

    # Queries of tokens and words: each is a line over the module that answers it.

    def codes(self, positions: Sequence[int] | NDArray[Any]) -> TokenCodes:
        """Which features fire on some tokens, and how strongly.

        A position that comes twice has its codes twice; masked tokens have none.

        Args:
            positions: corpus positions, in any order.

        Returns:
            The codes of each token, in the order asked for.

        Raises:
            InputError: positions that the corpus does not have; an index built without codes by token.
        """
        return codes_at(self._codes_between, corpus_positions(positions, len(self.tokens)))

    def features_of(
        self, positions: Sequence[int] | NDArray[Any], k: int = 20, *, rank: FeatureRank = "lift"
    ) -> FeaturesThere:
        """The features that fire most on some tokens. Masked tokens and repeated positions don't count.

        Args:
            positions: of the corpus, such as ``find_text(...).positions``.
            k: how many features at most.
            rank: ``lift``: features that fire there more than elsewhere, by Dunning's log-likelihood ratio; ``count``:
                by firings there; ``mass``: by the sum of the sizes of their activations there. Equal ones by number.

        Returns:
            At most ``k`` features, the best first.

        Raises:
            InputError: positions that the corpus does not have, another rank, an index built without codes by token.
        """
        asked = corpus_positions(positions, len(self.tokens))
        return features_there(self._codes_between, asked, self.counted, self.column("n_firings"), k, rank)

    def find_text(self, phrase: str | bytes, *, limit: int | None = None, ignore_case: bool = False) -> Matches:
        """Find a phrase in the corpus, byte by byte and across the borders of tokens.

        The text is that of the tokens, so a space before a word is a part of it. It goes on from one sequence to the
        next within a document; special tokens and ends of documents break it. Masked tokens are text, too.

        Args:
            phrase: text, or bytes for a part of a character.
            limit: how many matches at most, in corpus order; None: all.
            ignore_case: take the letters A to Z for a to z. Others can't be in the phrase then.

        Returns:
            The matches, in corpus order.

        Raises:
            InputError: an empty phrase or no text; an index that was built without token text.
        """
        return self._text_search.find(phrase, limit=limit, ignore_case=ignore_case)

    @cached_property
    def _text_search(self) -> TextSearch:
        if self.manifest.vocabulary is None:
            raise InputError(
                "the index was built without token text, so nothing in it can be searched: build it again with text=, "
                "such as TokenText.from_tokenizer(tokenizer)"
            )
        return TextSearch(self.tokens, self.offsets, self.documents, self.text)

    def fired_tokens(self, feature: int) -> FiredTokens:
        """The tokens of the vocabulary that a feature fires on most.

        Args:
            feature: its id.

        Returns:
            The tokens, with shares of the feature's firings and of their mass.

        Raises:
            InputError: no such feature; an index that was built with ``fired_tokens=0``.
        """
        names = ("fired_tokens", "fired_tokens_count", "fired_tokens_mass")
        if names[0] not in self.column_names:
            raise InputError(
                "the index does not hold the tokens that features fire on: it was built with "
                "IndexConfig(fired_tokens=0), or by an older version; build it again"
            )
        lists = {name: self.lists(name, feature) for name in names}
        n, mass, distinct = (self.column(name)[feature] for name in ("n_firings", "mass", "n_fired_tokens"))
        return read_fired_tokens(lists, int(n), float(mass), int(distinct))

    def mean_effects(
        self, features: Sequence[int] | None = None, *, kind: EffectKind = "direct", reference: str | None = None
    ) -> MeanEffects:
        """Mean effects on the loss over the firings at which they are kept, with standard errors, all at once.

        Args:
            features: which, in this order; None: all.
            kind: of the effects.
            reference: fingerprint of the distributions that the loss is taken against; None: the next token.

        Returns:
            Means, standard errors and counts, a row for each feature; NaN where no effect was computed.

        Raises:
            InputError: no such feature.
            DamagedIndexError: a file of effects that can't be read; it may be deleted.
        """
        asked = np.arange(self.n_features) if features is None else np.asarray(features, dtype=np.int64)
        for end in (asked.min(initial=0), asked.max(initial=0)):
            self.require_feature(int(end))
        return mean_effects(self.effects(kind, reference), asked)

    def mean_effect(
        self, feature: int, *, kind: EffectKind = "direct", reference: str | None = None
    ) -> MeanEffect | None:
        """The mean effect on the loss of one feature.

        Args:
            feature: its id.
            kind: of the effects.
            reference: fingerprint of the distributions that the loss is taken against; None: the next token.

        Returns:
            Mean, standard error and count; None where no effect was computed.
        """
        self.require_feature(feature)
        found = mean_effects(self.effects(kind, reference), np.array([feature]))
        n, mean, error = (column[0] for column in found)
        return MeanEffect(int(n), float(mean), float(error)) if n else None

    def firings(self, feature: int, first: int = 0, stop: int | None = None) -> Firings:
        """Firings of one feature, in corpus order.

        Args:
            feature: its id.
            first: number of the first firing asked for.
            stop: number after the last; None: all from ``first``.

        Returns:
            Corpus positions, ascending, and activations.
        """
        self.require_feature(feature)
        ends = (whole_number(end, "the number of a firing", 0) for end in (first, stop) if end is not None)
        return self._firing_files.of(int(feature), *ends)

    def firings_before(self, feature: int, position: int) -> int:
        """How many firings of a feature are before a place in the corpus.

        Args:
            feature: its id.
            position: corpus position.

        Returns:
            The count, which is also the number of the first firing from there on.
        """
        self.require_feature(feature)
        return self._firing_files.before(int(feature), position)

    @property
    def _firing_files(self) -> FiringFiles:
        if self._postings is None:
            self._postings = FiringFiles(self._store, self.manifest.parts, self.column("n_firings"))
        return self._postings

    def _codes_between(self, start: int, stop: int) -> TokenCodes:
        """Codes of corpus positions ``start`` to ``stop``. Raises `InputError` where the index has none."""
        return self._codes.between(start, stop)

    def density(self, features: Sequence[int] | None = None) -> NDArray[np.float64]:
        """Firings over unmasked tokens.

        Args:
            features: ids; None: all.

        Returns:
            float64 ``[n]``.
        """
        every = self.column("density")
        return every if features is None else every[np.asarray(features)]

    def moments(self, features: Sequence[int] | None = None) -> dict[str, NDArray[np.float64]]:
        """Moments of the activations among firings.

        Args:
            features: ids; None: all.

        Returns:
            ``mean``, ``std``, ``skewness`` and ``kurtosis`` (excess), float64 ``[n]`` each.
        """
        rows = slice(None) if features is None else np.asarray(features)
        return {name: self.column(name)[rows] for name in ("mean", "std", "skewness", "kurtosis")}

    def postings(self, features: Sequence[int]) -> Postings:
        """All firings of several features, end to end.

        Args:
            features: ids.

        Returns:
            The firings, in the order asked for.
        """
        for feature in features:
            self.require_feature(feature)
        return self._firing_files.of_many(features)

    def histogram(self, features: Sequence[int], n_bins: int) -> NDArray[np.int64]:
        """Firings of some features in intervals of equal width.

        Args:
            features: ids.
            n_bins: intervals between 0 and the largest activation.

        Returns:
            int64 ``[n, n_bins]`` over ``(0, max]``; of a signed index ``[n, 2 n_bins]`` over ``[-reach, reach]``, with
            ``reach`` the largest size of an activation of the feature.
        """
        rows = np.asarray(features, dtype=np.int64)
        reach = np.maximum(self.column("max")[rows], -self.minima()[rows])
        return histograms(self.postings(features), reach, n_bins, signed=self.signed)

    def minima(self) -> NDArray[np.float32]:
        """The most negative activation of each feature.

        Returns:
            float32 ``[n_features]``, 0 where there is none.
        """
        return self.column("min") if self.signed else np.zeros(self.n_features, dtype=np.float32)

    def by_position(self, feature: int, n_bins: int) -> PositionCounts:
        """Tokens, firings of a feature and their mean activation, by position in the sequence.

        Args:
            feature: its id.
            n_bins: bins of positions, at most.

        Returns:
            Counts and means of each bin.
        """
        return self.position_bins(n_bins).count(*self.firings(feature))

    def position_bins(self, n_bins: int) -> PositionBins:
        """Bins of positions in the sequence, and how many unmasked tokens are in each.

        Args:
            n_bins: bins at most.

        Returns:
            The bins, of the smallest equal width that covers all positions.
        """
        if n_bins not in self._position_bins:
            self._position_bins[n_bins] = PositionBins(self.offsets, self._counted, n_bins)
        return self._position_bins[n_bins]

    def labelling(self, name: str) -> Labelling:
        """A labelling by its name.

        Args:
            name: such as ``language``.

        Returns:
            The label of every token.

        Raises:
            InputError: no such labelling; lists those there are.
        """
        found = next((labelling for labelling in self.labellings if labelling.name == name), None)
        if found is None:
            there = ", ".join(repr(labelling.name) for labelling in self.labellings)
            raise InputError(
                f"the index has no labelling {name!r}; "
                + (f"there are {there}" if there else "its corpus has no labels: build it with labels= (or --label)")
            )
        return found

    def labels(self, name: str) -> LabelTable:
        """Every feature's firings by the labels of a labelling, and how uneven they are.

        Args:
            name: of the labelling.

        Returns:
            Counts, densities and means by feature and label.

        Raises:
            InputError: no such labelling.
        """
        labelling = self.labelling(name)
        if name not in self._labels:
            record = self.manifest.labels
            assert record is not None
            number = self.labellings.index(labelling)
            tokens = (np.array(self._label_facts[number][part], dtype=np.int64) for part in LabelTokens._fields)
            measures = (
                self.list_column(f"label_{measure}").flatten().to_numpy()[number :: len(self.labellings)]
                for measure in ("unevenness", "information")
            )
            counts = read_counts(self._store.whole(record), labelling, self.n_features)
            table = LabelTable(name, labelling.labels, LabelTokens(*tokens), counts, *measures)
            self._labels[name] = table
        return self._labels[name]

    def rank_by_label(
        self, name: str, *, label: str | None = None, by: RankBy = "unevenness", k: int | None = None
    ) -> NDArray[np.int64]:
        """Features by how unevenly they fire over the labels of a labelling, the most uneven first.

        Args:
            name: of the labelling.
            label: features that prefer this label first, by log-odds; None: by the measure.
            by: ``unevenness`` (bits per firing), or ``information`` (bits per token, larger for what fires often).
            k: how many; None: all that fire on a label.

        Returns:
            int64 ``[n]`` feature ids.

        Raises:
            InputError: no such labelling, label or measure.
        """
        table = self.labels(name)
        most = None if k is None else whole_number(k, "k", 0)
        return table.rank(None if label is None else self.labelling(name).code(label), by)[:most]

    def effects(self, kind: EffectKind, reference: str | None = None) -> EffectsCache:
        """Effects on single tokens that earlier pages have left in the index.

        Args:
            kind: of the effects.
            reference: fingerprint of the distributions that the loss is taken against; None: the next token.

        Returns:
            The effects, by feature and position.
        """
        key = (kind, reference)
        if key not in self._effects:
            self._effects[key] = EffectsCache(self._store, self.manifest.provenance.identity, kind, reference)
        return self._effects[key]

    def quantile_of(
        self, feature: int, values: NDArray[Any] | Sequence[float], *, among: Literal["tokens", "firings"] = "tokens"
    ) -> NDArray[np.float64]:
        """The share of tokens, or of firings, with an activation of at most each of some values.

        NaN where there is nothing to rank among (firings of a dead feature).

        Args:
            feature: its id.
            values: activations.
            among: ``tokens``: all unmasked tokens, zeros included; ``firings``: those on which it fires.

        Returns:
            float64 ``[n]`` between 0 and 1.
        """
        acts = np.sort(self.firings(feature).acts)
        values = np.asarray(values, dtype=np.float32)
        rank = np.searchsorted(acts, values, side="right").astype(np.float64)
        if among == "firings":
            return rank / len(acts) if len(acts) else np.full(values.shape, np.nan)
        silent = self.n_counted - len(acts)
        return (rank + np.where(values >= 0, silent, 0)) / self.n_counted

    def quantiles_of(
        self, features: Sequence[int], values: Sequence[float], *, among: Literal["tokens", "firings"] = "tokens"
    ) -> NDArray[np.float64]:
        """`quantile_of` for n pairs of a feature and a value, all at once.

        Args:
            features: ids.
            values: an activation for each.
            among: as for `quantile_of`.

        Returns:
            float64 ``[n]``.
        """
        postings = self.postings(features)
        value = np.asarray(values, dtype=np.float32)
        at_most = postings.acts <= value[postings.feature]
        rank = np.bincount(postings.feature, weights=at_most, minlength=len(value))
        if among == "firings":
            share = np.full(len(value), np.nan)
            np.divide(rank, postings.counts, out=share, where=postings.counts > 0)
        else:
            share = (rank + np.where(value >= 0, self.n_counted - postings.counts, 0)) / self.n_counted
        return share

    def top_examples(self, feature: int, k: int, *, before: int | None = 5, after: int | None = 5) -> Examples:
        """The largest firings of a feature above zero, with different contexts.

        A context is ``before`` tokens, the token, ``after`` tokens, cut at the ends of the sequence (None: the whole
        sequence). Of several firings with the same context the largest is listed, the others counted; equal activations
        stand in corpus order.

        Args:
            feature: its id.
            k: how many at most.
            before: tokens of context before the firing; None: all of the sequence.
            after: tokens of context after it; None: all of the sequence.

        Returns:
            At most ``k`` firings, the largest first, with how often each context occurs.
        """
        firings = self.firings(feature)
        return self._examples(firings, np.flatnonzero(firings.acts > 0), k, before, after)

    def top_examples_by_label(
        self, feature: int, name: str, labels: Sequence[int], k: int, *, before: int | None = 5, after: int | None = 5
    ) -> list[Examples]:
        """The firings of largest size on the tokens of each of some labels.

        Args:
            feature: its id.
            name: of the labelling.
            labels: indices of labels in the labelling.
            k: how many for each label, at most.
            before: as for `top_examples`.
            after: as for `top_examples`.

        Returns:
            Examples for each label, in the order asked for.
        """
        firings = self.firings(feature)
        code = self.labelling(name).at(firings.positions)
        return [self._examples(firings, np.flatnonzero(code == label), k, before, after) for label in labels]

    def bottom_examples(self, feature: int, k: int, *, before: int | None = 5, after: int | None = 5) -> Examples:
        """The most negative firings of a feature, with different contexts.

        Args:
            feature: its id.
            k: how many at most.
            before: as for `top_examples`.
            after: as for `top_examples`.

        Returns:
            At most ``k`` firings, the most negative first.
        """
        firings = self.firings(feature)
        return self._examples(firings, np.flatnonzero(firings.acts < 0), k, before, after)

    def _examples(
        self, firings: Firings, of: NDArray[np.int64], k: int, before: int | None, after: int | None
    ) -> Examples:
        """The ``k`` of largest size with different contexts among some firings."""
        k = whole_number(k, "k", 0)
        order = of[np.lexsort((firings.positions[of], -np.abs(firings.acts[of])))]
        positions = firings.positions[order].astype(np.int64)
        chosen, repeats = distinct_contexts(self.tokens, *spans(self.offsets, positions, before, after), positions, k)
        return Examples(positions[chosen], firings.acts[order][chosen], repeats)

    def intervals(self, feature: int, n: int, k: int, *, seed: int = 0) -> list[Interval]:
        """Intervals of equal width between 0 and the maximum, each with a uniform random sample of its firings.

        If the feature also fires below zero, intervals go from zero to both sides, as far as activations go. Their
        width is an n-th of the largest size of an activation.

        The sample is a function of seed, feature and the firings alone: the k firings of lowest priority, a hash of
        (seed, feature, position). It is listed by descending size.

        Args:
            feature: its id.
            n: how many intervals.
            k: firings in each sample, at most.
            seed: of the samples.

        Returns:
            The intervals, ascending.
        """
        firings = self.firings(feature)
        n, k = whole_number(n, "n", 0), whole_number(k, "k", 0)
        if len(firings.acts) == 0 or n == 0:
            return []
        reach = float(np.abs(firings.acts).max())
        bins = bins_of(firings.acts, reach, n)
        priority = sample_priority(firings.positions, feature, seed)
        found = []
        for number in range(min(int(bins.min()), 0), max(int(bins.max()) + 1, 0)):
            members = np.flatnonzero(bins == number)
            chosen = members[np.argsort(priority[members], kind="stable")[:k]]
            chosen = chosen[np.lexsort((chosen, -np.abs(firings.acts[chosen])))]
            positions = firings.positions[chosen].astype(np.int64)
            examples = Examples(positions, firings.acts[chosen], np.zeros(len(chosen), dtype=np.int64))
            found.append(Interval(reach * number / n, reach * (number + 1) / n, len(members), examples))
        return found

    def windows(
        self, feature: int, positions: NDArray[np.int64], *, before: int | None = 5, after: int | None = 5
    ) -> Windows:
        """The text around some firings, with the feature's activation on every token of it.

        It goes ``before`` and ``after`` tokens far, cut at the ends of the sequence (None: the whole sequence).

        Args:
            feature: its id.
            positions: int64 ``[n]`` corpus positions.
            before: tokens before each position; None: all of the sequence.
            after: tokens after it; None: all of the sequence.

        Returns:
            A window for each position, cut at the ends of its sequence.
        """
        starts, stops = spans(self.offsets, positions, before, after)
        every = ranges(starts, stops - starts)
        return Windows(
            offsets_of(stops - starts), every, self.tokens[every], self.acts_at(feature, every), positions - starts
        )

    def acts_at(self, feature: int, positions: NDArray[np.int64]) -> NDArray[np.float32]:
        """The activation of a feature at some corpus positions.

        Args:
            feature: its id.
            positions: int64 ``[n]``.

        Returns:
            float32 ``[n]``: 0 where it does not fire, NaN where masked.
        """
        firings = self.firings(feature)
        found = np.zeros(len(positions), dtype=np.float32)
        if len(firings.positions):
            at = np.minimum(np.searchsorted(firings.positions, positions), len(firings.positions) - 1)
            found = np.where(firings.positions[at] == positions, firings.acts[at], found)
        return np.where(self._counted[positions] == 1, found, np.float32("nan"))

    def place(self, positions: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Where corpus positions are in the sequences.

        Args:
            positions: int64 ``[n]``.

        Returns:
            Sequence, and position within it: int64 ``[n]`` each.
        """
        sequence = np.searchsorted(self.offsets, positions, side="right") - 1
        return sequence, positions - self.offsets[sequence]

    def select(self, n: int | None) -> NDArray[np.int64]:
        """Some of the features that fire, evenly spaced by id.

        Args:
            n: how many; None: all that fire.

        Returns:
            int64 ids, ascending.
        """
        firing = np.flatnonzero(self.column("n_firings") > 0)
        n = None if n is None else whole_number(n, "n", 0)
        if n is None or n >= len(firing):
            return firing
        return firing[np.arange(n) * len(firing) // n]
