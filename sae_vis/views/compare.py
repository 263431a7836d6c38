"""Two dictionaries over the same tokens, side by side: each feature of A with its nearest features of B."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from sae_vis.checks import a_text, whole_number
from sae_vis.contract import (
    Compared,
    ComparePart,
    FeaturePage,
    MatchTable,
    Overview,
    PairGroup,
    PairTable,
    SplitTable,
)
from sae_vis.errors import InputError
from sae_vis.index.between import Between
from sae_vis.index.correlations import Partners
from sae_vis.index.examples import distinct_contexts, spans
from sae_vis.index.index import Firings, Index
from sae_vis.index.splits import Split, merges, splits
from sae_vis.layout import SaeVisLayoutConfig
from sae_vis.neutral import neutrally
from sae_vis.saes.neighbours import decoder_cosines
from sae_vis.views.feature import feature_page, feature_summary
from sae_vis.views.sources import ViewSources

Kind = Literal["both", "a", "b"]


@dataclass(frozen=True, kw_only=True)
class CompareSettings:
    """What a page that compares two dictionaries shows of each pair of features.

    Attributes:
        partners: nearest features of B, for each feature of A; all have their cards on the page.
        examples: texts in each of the groups: both fire, only A's, only B's.
        buffer: tokens before and after the one that a text is about; None: the whole sequence.
        a_page: address of a page of A's features, relative to the page made; None: there is none.
        b_page: of B's.
        title: page title; None: made from the hook points.
        first: the feature of A that the page opens with; None: the first.

    Raises:
        InputError: numbers below their least, a buffer that is no pair of numbers.
    """

    partners: int = 6
    examples: int = 6
    buffer: tuple[int, int] | None = (10, 10)
    a_page: str | None = None
    b_page: str | None = None
    title: str | None = None
    first: int | None = None

    def __post_init__(self) -> None:
        """Numbers must make sense."""
        for name in ("partners", "examples"):
            object.__setattr__(self, name, whole_number(getattr(self, name), f"CompareSettings.{name}", 1))
        if self.buffer is not None and (len(self.buffer) != 2 or min(self.buffer) < 0):
            raise InputError(
                f"CompareSettings.buffer is {self.buffer}, expected (tokens before, tokens after), or None for the "
                "whole sequence"
            )
        if self.title is not None:
            object.__setattr__(self, "title", a_text(self.title, "title"))
        if self.first is not None:
            object.__setattr__(self, "first", whole_number(self.first, "first"))


@dataclass(frozen=True, kw_only=True)
class CompareSources:
    """What the page is made from: views of both dictionaries, and how their features go together."""

    a: ViewSources
    b: ViewSources
    between: Between


@neutrally
def compare_page(
    sources: CompareSources,
    features: Sequence[int],
    layout: SaeVisLayoutConfig | None = None,
    settings: CompareSettings | None = None,
    *,
    title: str = "sae_vis",
    selection: str | None = None,
    first: int | None = None,
) -> FeaturePage:
    """A page that compares two dictionaries: features of A, each with its nearest features of B.

    Args:
        sources: both dictionaries.
        features: feature ids of A, in the order of the page.
        layout: of all cards; None: the default of such pages.
        settings: what is shown of each pair.
        title: page title.
        selection: the rule that chose the features, in words; None: that they were asked for by number.
        first: the feature that the page opens with; None: the first.

    Raises:
        InputError: no feature, a feature that does not exist, a layout that asks for more than an index holds.
    """
    settings = settings or CompareSettings()
    layout = layout or SaeVisLayoutConfig.default_compare_layout()
    for feature in features:
        sources.a.index.require_feature(feature)
    compared = tuple(compared_feature(sources, feature, settings) for feature in map(int, features))
    shown = np.unique(np.concatenate([np.zeros(0, np.int64), *(one.table.index for one in compared)]))
    if len(shown) == 0:  # none fires together with any: the page still names B
        shown = np.zeros(1, np.int64)
    rule = f"the {settings.partners} nearest of each feature of A"
    b = feature_page(sources.b, shown.tolist(), layout, title=title, selection=rule)
    whole = overview(sources, settings)
    part = ComparePart(b=b, compared=compared, **{one.name: getattr(whole, one.name) for one in fields(whole)})
    return feature_page(sources.a, features, layout, title=title, selection=selection, first=first, compare=part)


def chosen_features(a: Index, b: Index, found: Between, n: int | None) -> tuple[list[int], str]:
    """About ``n`` features of A worth comparing (all that fire: None), and the rule in words.

    A quarter are those with the least counterparts in B, a quarter those of splits and merges, the rest evenly spaced
    by number over all that fire.
    """
    firing = a.select(None)
    if n is None or n >= len(firing):
        return firing.tolist(), f"all {len(firing):,} features that fire"
    if n < 1:
        raise InputError(f"asked for {n} features; give 1 or more, feature ids, or None for all that fire")
    lost = firing[np.argsort(found.of_a.best[firing], kind="stable")][: n // 4].tolist()
    pieces = [split.feature for split in splits(a, b, found)]
    pieces += [part.feature for merge in merges(a, b, found) for part in merge.parts]
    pieces = list(dict.fromkeys(pieces))[: n // 4]
    spaced = a.select(n - len(lost) - len(pieces)).tolist()
    ids = sorted({*lost, *pieces, *spaced})
    rule = (
        f"{len(ids)} of the {len(firing):,} features that fire: the {len(lost)} with the least counterparts in B, "
        f"{len(pieces)} of splits and merges, and others evenly spaced by number"
    )
    return ids, rule


def overview(sources: CompareSources, settings: CompareSettings) -> Overview:
    """What is known of all features of two dictionaries."""
    indices = sources.a.index, sources.b.index
    return Overview(
        matches_a=_matches(indices[0], sources.between.of_a),
        matches_b=_matches(indices[1], sources.between.of_b),
        splits=_split_table(splits(*indices, sources.between)),
        merges=_split_table(merges(*indices, sources.between)),
        a_page=settings.a_page,
        b_page=settings.b_page,
    )


def compared_feature(sources: CompareSources, feature: int, settings: CompareSettings) -> Compared:
    """A feature of A with its nearest features of B, and the texts on which both fire, or one of them."""
    partners = sources.between.of_a.of(feature, settings.partners)
    return Compared(
        feature=feature,
        table=_pair_table(sources, feature, partners),
        pairs=tuple(_groups(sources, feature, int(other), settings) for other in partners.other),
    )


def _pair_table(sources: CompareSources, feature: int, partners: Partners) -> PairTable:
    n_a = max(int(sources.a.index.column("n_firings")[feature]), 1)
    n_b = sources.b.index.column("n_firings")[partners.other]
    decoder = None
    if sources.a.sae is not None and sources.b.sae is not None:
        decoder = decoder_cosines(
            sources.a.sae, sources.b.sae, [feature] * len(partners.other), partners.other.tolist()
        )
    return PairTable(
        index=partners.other,
        pearson=partners.pearson,
        cosine=partners.cosine,
        decoder=decoder,
        together=partners.together.astype(np.int32),
        share_a=(partners.together / n_a).astype(np.float32),
        share_b=(partners.together / n_b).astype(np.float32),
    )


def _groups(sources: CompareSources, a: int, b: int, settings: CompareSettings) -> tuple[PairGroup, ...]:
    """Where both fire, and where only one does, the strongest first.

    Of both: by the smaller of the two activations, each as a share of its feature's largest.
    """
    firings = sources.a.index.firings(a), sources.b.index.firings(b)
    sizes = [np.abs(own.acts.astype(np.float64)) for own in firings]
    shares = [size / max(float(size.max(initial=0)), np.finfo(np.float64).tiny) for size in sizes]
    both, in_a, in_b = np.intersect1d(
        firings[0].positions, firings[1].positions, assume_unique=True, return_indices=True
    )
    found = [_group(sources, "both", (a, b), both, np.minimum(shares[0][in_a], shares[1][in_b]), settings)]
    sides: list[tuple[Kind, Firings, NDArray[np.float64], NDArray[np.intp]]] = [
        ("a", firings[0], sizes[0], in_a),
        ("b", firings[1], sizes[1], in_b),
    ]
    for kind, own, size, shared in sides:
        alone = np.ones(len(size), dtype=bool)
        alone[shared] = False
        found.append(_group(sources, kind, (a, b), own.positions[alone], size[alone], settings))
    return tuple(found)


def _group(
    sources: CompareSources,
    kind: Kind,
    pair: tuple[int, int],
    positions: NDArray[np.integer],
    order_by: NDArray[np.float64],
    settings: CompareSettings,
) -> PairGroup:
    index = sources.a.index
    before, after = settings.buffer if settings.buffer is not None else (None, None)
    ordered = positions[np.lexsort((positions, -order_by))].astype(np.int64)
    chosen, repeats = distinct_contexts(
        index.tokens, *spans(index.offsets, ordered, before, after), ordered, settings.examples
    )
    windows = index.windows(pair[0], ordered[chosen], before=before, after=after)
    sequence, start = index.place(windows.positions[windows.offsets[:-1]])
    return PairGroup(
        kind=kind,
        n_tokens=len(positions),
        offsets=windows.offsets.astype(np.int32),
        tokens=windows.tokens,
        acts_a=windows.acts,
        acts_b=sources.b.index.acts_at(pair[1], windows.positions),
        sequence=sequence.astype(np.int32),
        start=start.astype(np.int32),
        focus=windows.focus.astype(np.int32),
        repeats=repeats.astype(np.int32),
    )


def _matches(index: Index, partners: Partners) -> MatchTable:
    every = np.arange(index.n_features, dtype=np.int64)
    other = partners.other[:, 0] if partners.other.shape[1] else np.full(index.n_features, -1, dtype=np.int32)
    return MatchTable(features=feature_summary(index, every), best=other, pearson=partners.best)


def _split_table(found: list[Split]) -> SplitTable:
    parts = [part for split in found for part in split.parts]
    offsets = np.cumsum([0, *(len(split.parts) for split in found)])
    return SplitTable(
        feature=np.array([split.feature for split in found], dtype=np.int32),
        covered=np.array([split.covered for split in found], dtype=np.float32),
        offsets=offsets.astype(np.int32),
        parts=np.array([part.feature for part in parts], dtype=np.int32),
        covers=np.array([part.covers for part in parts], dtype=np.float32),
        within=np.array([part.within for part in parts], dtype=np.float32),
    )
