"""The feature-centric view: queries on an index, in the terms of the contract."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import tee
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sae_vis.boards.othello import Othello
from sae_vis.contract import (
    AlignmentTable,
    ComparePart,
    CorrelationTable,
    FeaturePage,
    FeatureStats,
    FeatureSummary,
    FeatureView,
    Histogram,
    LogitTable,
    NeighbourTable,
    OtherDictionary,
    PageMeta,
    PositionProfile,
    PromptPart,
    TopTokens,
)
from sae_vis.contract.tokens import page_token_arrays
from sae_vis.errors import InputError
from sae_vis.index.decoder_map import kept_neighbours
from sae_vis.index.fired_tokens import read_fired_tokens
from sae_vis.index.index import Index
from sae_vis.index.many import FeatureBlock, blocks, lists_of
from sae_vis.layout import (
    ActsByPositionConfig,
    ActsHistogramConfig,
    CustomComponent,
    FeatureTablesConfig,
    LabelsConfig,
    LogitsHistogramConfig,
    LogitsTableConfig,
    ProbeLogitsTablesConfig,
    SaeVisLayoutConfig,
    SeqMultiGroupConfig,
    TopTokensConfig,
)
from sae_vis.neutral import neutrally
from sae_vis.saes.neighbours import Neighbours, decoder_neighbours
from sae_vis.views.attribution import no_sources
from sae_vis.views.boards import with_boards
from sae_vis.views.explained import explained
from sae_vis.views.labels import label_profiles, label_ranks, labelling_words
from sae_vis.views.places import place_weights, relative_norm, written_places
from sae_vis.views.probes import probe_heads, probe_readouts
from sae_vis.views.sequences import example_groups, sequence_groups
from sae_vis.views.sources import SecondDictionary, ViewSources


@neutrally
def feature_page(
    sources: ViewSources,
    features: Sequence[int],
    layout: SaeVisLayoutConfig | None = None,
    *,
    title: str = "sae_vis",
    selection: str | None = None,
    first: int | None = None,
    prompt: PromptPart | None = None,
    compare: ComparePart | None = None,
) -> FeaturePage:
    """A page of some features.

    Args:
        sources: index, token text and, for logit effects on the tokens shown, a logit lens.
        features: feature ids, in the order of the page.
        layout: what to show; None: the default three columns.
        title: page title.
        selection: the rule that chose the features, in words; None: that they were asked for by number.
        first: the feature that the page opens with; None: the first.
        prompt: what makes the page prompt-centric; the features are then cards beside it.
        compare: what makes the page one that compares two dictionaries; the features are then those of the first.

    Raises:
        InputError: no feature, a feature that does not exist, a layout that asks for more than the index holds.
    """
    if len(features) == 0:
        raise InputError("no features to show; give at least one feature id (or build over text on which some fire)")
    index = sources.index
    layout = layout or SaeVisLayoutConfig.default_feature_centric_layout(labels=bool(index.labellings))
    spec = layout.to_spec("feature" if prompt is None else "prompt")
    sources = with_game(sources, layout)
    views = tuple(
        sources.watched(feature_views(sources, [int(feature) for feature in features], layout), len(features))
    )
    if draws_boards(layout) and sources.game is not None:
        views = with_boards(sources.index, sources.game, views)
    ids_of_page = np.asarray(features, dtype=np.int64)
    rule = selection or f"{len(features)} features, asked for by number"
    page = FeaturePage(
        meta=meta_of(sources, layout, page_meta(sources, title, rule, first)),
        layout=spec,
        summary=feature_summary(index, ids_of_page),
        features=views,
        token_bytes={},
        special=(),
        modules=tuple(own.module(index) for own in _own(layout)),
        labellings=labelling_words(index),
        label_ranks=label_ranks(index, ids_of_page) if prompt is None else (),
        prompt=prompt,
        board=None if sources.game is None else sources.game.look,
        probes=probe_heads(sources, layout.find(ProbeLogitsTablesConfig)),
        compare=compare,
    )
    ids = [int(token) for token in np.unique(np.concatenate(page_token_arrays(page))) if token >= 0]
    return replace(
        page,
        token_bytes={token: sources.text.bytes_of(token) for token in ids},
        special=tuple(token for token in ids if sources.text.is_special(token)),
    )


def meta_of(sources: ViewSources, layout: SaeVisLayoutConfig, meta: PageMeta) -> PageMeta:
    """With what depends on the layout."""
    return replace(
        meta,
        no_sources=no_sources(sources, layout.find(SeqMultiGroupConfig)),
        places=written_places(sources.index, layout),
    )


@neutrally
def feature_view(sources: ViewSources, feature: int, layout: SaeVisLayoutConfig) -> FeatureView:
    """All that ``layout`` shows of one feature."""
    return next(feature_views(sources, [feature], layout))


def feature_views(sources: ViewSources, features: Sequence[int], layout: SaeVisLayoutConfig) -> Iterator[FeatureView]:
    """All that ``layout`` shows of each feature, one after the other; queries are made for a block of them at once."""
    for own in _own(layout):
        own.require(sources.query(0))
    neighbours = _neighbours(sources, features, layout)
    probes = probe_readouts(sources, features, layout.find(ProbeLogitsTablesConfig))
    places = place_weights(sources, features, layout)
    config = layout.find(SeqMultiGroupConfig)
    parts, exampled = tee(
        (of_feature, one)
        for block in blocks(sources.index, features)
        for of_feature, one in zip(_parts(sources, block, layout), example_groups(sources, block, config), strict=True)
    )
    sequences = sequence_groups(sources, (one for _, one in exampled), config)
    of_features = (of_feature for of_feature, _ in parts)
    every = zip(features, neighbours, probes, places, sequences, of_features, strict=True)
    for feature, own_neighbours, own_probes, own_places, own_sequences, own in every:
        yield FeatureView(
            feature=feature,
            decoder_neighbours=own_neighbours,
            probes=own_probes,
            places=own_places,
            sequences=own_sequences,
            **own,
        )


def draws_boards(layout: SaeVisLayoutConfig) -> bool:
    """Whether examples are boards."""
    config = layout.find(SeqMultiGroupConfig)
    return config is not None and config.othello


def with_game(sources: ViewSources, layout: SaeVisLayoutConfig) -> ViewSources:
    """With a game where the layout asks for boards and none was given: Othello, by the names of the tokens.

    Raises:
        InputError: no token names a square of an Othello board.
    """
    probes = layout.find(ProbeLogitsTablesConfig)
    asked = draws_boards(layout) or (probes is not None and probes.othello)
    if not asked:
        return replace(sources, game=None)
    if sources.game is not None:
        return sources
    index = sources.index
    n_vocab = 1 + int(np.max(index.tokens, initial=0)) if sources.lens is None else sources.lens.n_vocab
    names = {token: sources.text.bytes_of(token).decode("utf-8", "replace") for token in range(n_vocab)}
    return replace(sources, game=Othello(names))


def _parts(sources: ViewSources, block: FeatureBlock, layout: SaeVisLayoutConfig) -> Iterator[dict[str, Any]]:
    """Of each feature of a block all fields of its view but those that are made for all features of a page at once."""
    index, n_none = sources.index, [None] * len(block.features)
    tables, acts = layout.find(FeatureTablesConfig), layout.find(ActsHistogramConfig)
    logits, logit_table = layout.find(LogitsHistogramConfig), layout.find(LogitsTableConfig)
    position, labels = layout.find(ActsByPositionConfig), layout.find(LabelsConfig)
    top = layout.find(TopTokensConfig)
    columns = {
        "stats": _stats(block),
        "explanations": explained(index, block.features),
        "neuron_alignment": _alignments(index, block, tables),
        "correlated_neurons": _correlated(index, "correlated_neurons", block, tables),
        "correlated_features": _correlated(index, "correlated_features", block, tables),
        "correlated_b_features": [_correlated_b(sources.b, feature, tables) for feature in block.features],
        "acts_histogram": _acts_histograms(block, acts) if acts else n_none,
        "logits_histogram": _logits_histograms(sources, block, logits) if logits else n_none,
        "logits_table": _logits_tables(index, block, logit_table) if logit_table else n_none,
        "acts_by_position": _position_profiles(block, position) if position else n_none,
        "top_tokens": _top_tokens(index, block, top) if top else n_none,
        "labels": [label_profiles(index, feature, labels) for feature in block.features],
        "custom": [
            {own.type_name: own.data(sources.query(feature)) for own in _own(layout)} for feature in block.features
        ],
    }
    for values in zip(*columns.values(), strict=True):
        yield dict(zip(columns, values, strict=True))


def _stats(block: FeatureBlock) -> list[FeatureStats]:
    index, rows = block.index, np.asarray(block.features)
    names = ("density", "max", "mean", "std")
    numbers = zip(*(index.column(name)[rows].tolist() for name in names), index.minima()[rows].tolist(), strict=True)
    return [
        FeatureStats(n_firings=n, density=density, max=largest, mean=mean, std=std, min=smallest)
        for n, (density, largest, mean, std, smallest) in zip(block.postings.counts.tolist(), numbers, strict=True)
    ]


def _own(layout: SaeVisLayoutConfig) -> list[CustomComponent]:
    return [component for component in layout.components if isinstance(component, CustomComponent)]


def _neighbours(
    sources: ViewSources, features: Sequence[int], layout: SaeVisLayoutConfig
) -> Sequence[NeighbourTable | None]:
    """Of all features at once: one matrix product; without a dictionary those that are kept beside the index."""
    config = layout.find(FeatureTablesConfig)
    if config is None or not config.decoder_neighbours_table:
        return [None] * len(features)
    if sources.sae is not None:
        found = decoder_neighbours(sources.sae, features, config.n_rows)
    else:
        kept = kept_neighbours(sources.index)
        if kept is None:
            return [None] * len(features)
        rows = np.asarray(features, dtype=np.int64)
        found = Neighbours(kept.features[rows, : config.n_rows], kept.cosine[rows, : config.n_rows])
    return [NeighbourTable(index=index, cosine=cosine) for index, cosine in zip(*found, strict=True)]


def _position_profiles(block: FeatureBlock, config: ActsByPositionConfig) -> list[PositionProfile | None]:
    found = block.by_position(config.n_bins)
    tokens, firings = found.n_tokens.astype(np.int32), found.n_firings.astype(np.int32)
    mean = found.mean.astype(np.float32)
    return [
        PositionProfile(width=found.width, n_tokens=tokens, n_firings=firings[i], mean=mean[i]) if n else None
        for i, n in enumerate(block.postings.counts.tolist())
    ]


def _alignments(
    index: Index, block: FeatureBlock, config: FeatureTablesConfig | None
) -> Sequence[AlignmentTable | None]:
    if config is None or not config.neuron_alignment_table or not _has(index, "aligned_neurons_index"):
        return [None] * len(block.features)
    columns = _rows(index, "aligned_neurons", ("index", "value", "share"), block, config)
    return [AlignmentTable(index=index, value=value, share=share) for index, value, share in zip(*columns, strict=True)]


def _correlated(
    index: Index, table: str, block: FeatureBlock, config: FeatureTablesConfig | None
) -> Sequence[CorrelationTable | None]:
    if config is None or not getattr(config, f"{table}_table") or not _has(index, f"{table}_index"):
        return [None] * len(block.features)
    columns = _rows(index, table, ("index", "pearson", "cosine"), block, config)
    return [
        CorrelationTable(index=index, pearson=pearson, cosine=cosine)
        for index, pearson, cosine in zip(*columns, strict=True)
    ]


def _correlated_b(
    b: SecondDictionary | None, feature: int, config: FeatureTablesConfig | None
) -> CorrelationTable | None:
    if b is None or config is None or not config.correlated_b_features_table:
        return None
    own = b.between.of_a.of(feature, config.n_rows)
    return CorrelationTable(index=own.other, pearson=own.pearson, cosine=own.cosine)


def _acts_histograms(block: FeatureBlock, config: ActsHistogramConfig) -> list[Histogram | None]:
    """Over ``(0, max]``; of a signed index from the last bin that holds a firing on one side of zero to the other's."""
    index, rows, n = block.index, np.asarray(block.features), config.n_bins
    counts = block.histogram(n).astype(np.int32)
    fires = (block.postings.counts > 0).tolist()
    if not index.signed:
        largest = index.column("max")[rows].tolist()
        return [Histogram(low=0.0, high=largest[i], counts=counts[i]) if fires[i] else None for i in range(len(rows))]
    return [_signed_histogram(counts[i], float(block.reach[i])) if fires[i] else None for i in range(len(rows))]


def _signed_histogram(counts: NDArray[np.int32], reach: float) -> Histogram:
    n, holding = len(counts) // 2, np.flatnonzero(counts)
    first, stop = min(int(holding[0]), n), max(int(holding[-1]) + 1, n)
    return Histogram(low=reach * (first - n) / n, high=reach * (stop - n) / n, counts=counts[first:stop])


def _logits_histograms(
    sources: ViewSources, block: FeatureBlock, config: LogitsHistogramConfig
) -> Sequence[Histogram | None]:
    index, rows = sources.index, np.asarray(block.features)
    if not _has(index, "logits_histogram"):
        return [None] * len(block.features)
    low, high = (index.column(f"logits_{end}")[rows].tolist() for end in ("low", "high"))
    counts = lists_of(index, "logits_histogram", block.features)
    for i, feature in enumerate(block.features):
        if len(counts[i]) == config.n_bins:
            continue
        if sources.lens is None:
            raise InputError(
                f"LogitsHistogramConfig.n_bins is {config.n_bins}, but the index holds {len(counts[i])} bins "
                f"and other numbers need the model: use n_bins={len(counts[i])}, or make the page with the model"
            )
        counts[i] = sources.lens.histogram(feature, config.n_bins)
    return [Histogram(low=low[i], high=high[i], counts=counts[i]) for i in range(len(rows))]


def _logits_tables(index: Index, block: FeatureBlock, config: LogitsTableConfig) -> Sequence[LogitTable | None]:
    if not _has(index, "top_tokens"):
        return [None] * len(block.features)
    _require_rows(index, "logit_tokens", config.n_rows, "LogitsTableConfig.n_rows")
    names = ("top_tokens", "top_logits", "bottom_tokens", "bottom_logits")
    columns = [[own[: config.n_rows] for own in lists_of(index, name, block.features)] for name in names]
    return [
        LogitTable(top_tokens=top, top_values=top_values, bottom_tokens=bottom, bottom_values=bottom_values)
        for top, top_values, bottom, bottom_values in zip(*columns, strict=True)
    ]


def _top_tokens(index: Index, block: FeatureBlock, config: TopTokensConfig) -> Sequence[TopTokens | None]:
    if not _has(index, "fired_tokens"):
        return [None] * len(block.features)
    _require_rows(index, "fired_tokens", config.n_rows, "TopTokensConfig.n_rows")
    rows = np.asarray(block.features)
    names = ("fired_tokens", "fired_tokens_count", "fired_tokens_mass")
    columns = [[own[: config.n_rows] for own in lists_of(index, name, block.features)] for name in names]
    numbers = (index.column(name)[rows].tolist() for name in ("n_firings", "mass", "n_fired_tokens"))
    lists = (dict(zip(names, own, strict=True)) for own in zip(*columns, strict=True))
    found = [read_fired_tokens(own, *of_feature) for own, *of_feature in zip(lists, *numbers, strict=True)]
    return [
        TopTokens(
            tokens=one.tokens,
            n_firings=one.counts.astype(np.int32),
            mass_share=one.mass_shares.astype(np.float32),
            n_distinct=one.n_tokens,
        )
        for one in found
    ]


def feature_summary(index: Index, features: NDArray[np.int64]) -> FeatureSummary:
    """Rows of the picker."""
    largest, at = index.column("max")[features], index.column("max_position")[features]
    if index.signed:
        smallest = index.column("min")[features]
        below = -smallest > largest
        largest, at = np.where(below, smallest, largest), np.where(below, index.column("min_position")[features], at)
    return FeatureSummary(
        feature=features.astype(np.int32),
        density=index.column("density")[features].astype(np.float32),
        max=largest,
        top_token=np.where(at >= 0, index.tokens[at], -1).astype(np.int32),
        share=relative_norm(index, features),
    )


def sae_words(index: Index) -> str:
    """Architecture and size of an index's dictionary."""
    return f"{index.manifest.provenance.sae.get('architecture', 'dictionary')}, {index.n_features:,} features"


def acts_words(index: Index) -> str | None:
    """What was done to an index's activations before anything was computed; None: nothing."""
    return None if index.acts_dtype == "float32" else f"rounded to {index.acts_dtype}"


def hook_words(index: Index) -> str:
    """Where an index's dictionary reads, and where it writes if that is elsewhere."""
    made = index.manifest.provenance
    read = str(made.hook["name"])
    reads, writes = ([(one["place"], one["model"]) for one in ends] for ends in (made.reads, made.writes))
    if not writes or writes == reads:
        return read
    more = len(made.writes) - 1
    return f"{read} → {made.writes[0]['name']}" + (f" and {more} more" if more else "")


def _other(b: SecondDictionary | None) -> OtherDictionary | None:
    if b is None:
        return None
    acts = acts_words(b.index)
    sae = sae_words(b.index) + ("" if acts is None else f", activations {acts}")
    return OtherDictionary(sae=sae, hook=hook_words(b.index), page=b.page, compare=b.compare)


def page_meta(sources: ViewSources, title: str, selection: str, first: int | None) -> PageMeta:
    """What a page's numbers were made from."""
    from sae_vis import __version__

    index = sources.index
    made = index.manifest.provenance
    return PageMeta(
        title=title,
        model=None if made.model is None else str(made.model.get("name", made.model.get("class"))),
        hook=hook_words(index),
        sae=sae_words(index),
        corpus=str(made.corpus["source"]),
        mask=str(made.corpus["mask"]),
        n_tokens=index.n_counted,
        n_sequences=index.n_seqs,
        d_sae=index.n_features,
        n_dead=index.n_dead,
        selection=selection,
        first=first,
        version=__version__,
        b=_other(sources.b),
        signed=index.signed,
        acts=acts_words(index),
    )


def _has(index: Index, column: str) -> bool:
    return column in index.column_names


def _rows(
    index: Index, table: str, names: Sequence[str], block: FeatureBlock, config: FeatureTablesConfig
) -> list[list[NDArray[Any]]]:
    """Columns of a table, each with the first rows of every feature."""
    _require_rows(index, table, config.n_rows, "FeatureTablesConfig.n_rows")
    return [[own[: config.n_rows] for own in lists_of(index, f"{table}_{name}", block.features)] for name in names]


def _require_rows(index: Index, setting: str, n: int, option: str) -> None:
    held = int(index.manifest.provenance.settings[setting])
    if n > held:
        raise InputError(f"{option} is {n}, but the index holds {held} rows; build it with {setting}={n} or more")
