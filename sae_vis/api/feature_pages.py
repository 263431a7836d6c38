"""Pages of features."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from sae_vis.api.asked import checked_file, hooks_of, require_parts, selected_features
from sae_vis.api.options import ComputeSettings, FeatureSettings, SecondIndex
from sae_vis.api.sources import view_sources
from sae_vis.contract import FeaturePage
from sae_vis.deliver.page import PageReport, write_page
from sae_vis.index.between import PARTNERS, between
from sae_vis.index.index import Index
from sae_vis.layout import FeatureTablesConfig, SaeVisLayoutConfig
from sae_vis.moved import Moved, moved
from sae_vis.neutral import neutrally
from sae_vis.parts import ModelAndSae
from sae_vis.views.feature import feature_page
from sae_vis.views.places import has_places, has_two_models
from sae_vis.views.sources import SecondDictionary


@moved(
    Moved("settings", FeatureSettings, ("title", "selection", "first")),
    Moved("compute", ComputeSettings, ("effects", "linear_probes", "target_logits", "game", "seed")),
    Moved("second", SecondIndex, ("index_b", "b_page", "compare_page")),
)
@neutrally
def save_feature_page(
    index: Index,
    path: str | Path,
    *,
    features: Sequence[int] | int | None = 256,
    parts: ModelAndSae | None = None,
    layout: SaeVisLayoutConfig | None = None,
    settings: FeatureSettings | None = None,
    compute: ComputeSettings | None = None,
    second: SecondIndex | None = None,
) -> PageReport:
    """Write a page of features: one HTML file with everything in it.

    Args:
        index: where the numbers come from.
        path: the file.
        features: feature ids; or how many of those that fire, evenly spaced by number; None: all that fire.
        parts: model and dictionary of the index. They add decoder neighbours, the logit effect on every token shown,
            and the direct effect on the next token's loss where the feature fires. Examples of an attention SAE get the
            source tokens and heads that the activation comes from.
        layout: columns of components; None: the default three.
        settings: the title, how the features were chosen, and the one to begin with.
        compute: what is computed beyond what the index holds: effects, linear probes, boards.
        second: a second dictionary (B) over the same tokens: the default layout then has the table of the B features
            that fire with each feature.

    Returns:
        Path and sizes of the page.

    Raises:
        InputError: no such feature; a layout that asks for more than the index holds; a second index over other tokens;
            an address that can't be that of a page.
        ForeignIndexError: ``parts`` are not those of the index.
    """
    path = checked_file(path, index)
    page = made_feature_page(
        index,
        features=features,
        parts=parts,
        layout=layout,
        settings=settings or FeatureSettings(),
        compute=compute or ComputeSettings(),
        second=second,
    )
    return write_page(page, path)


def made_feature_page(
    index: Index,
    *,
    features: Sequence[int] | int | None,
    parts: ModelAndSae | None,
    layout: SaeVisLayoutConfig | None,
    settings: FeatureSettings,
    compute: ComputeSettings,
    second: SecondIndex | None,
) -> FeaturePage:
    """What `save_feature_page` writes."""
    if parts is not None:
        require_parts(index, parts)
    ids, rule = selected_features(index, features)
    layout = card_layout(index, layout, second)
    sources = view_sources(index, parts, compute, effects=True)
    attention = None if parts is None else parts.attribution()
    sources = replace(sources, b=_second(index, second, layout, compute), attention=attention)
    title = settings.title or f"Features at {hooks_of(index)} — sae_vis"
    return feature_page(sources, ids, layout, title=title, selection=settings.selection or rule, first=settings.first)


def card_layout(
    index: Index, layout: SaeVisLayoutConfig | None, second: SecondIndex | None = None
) -> SaeVisLayoutConfig | None:
    """What was asked for; in place of the default one for crosscoders, or one with the table of B features."""
    if layout not in (None, SaeVisLayoutConfig.default_feature_centric_layout()):
        return layout
    default = SaeVisLayoutConfig.default_feature_centric_layout(labels=bool(index.labellings))
    if has_places(index):
        layout = default = SaeVisLayoutConfig.default_crosscoder_layout(two_models=has_two_models(index))
    tables = default.find(FeatureTablesConfig)
    if second is None or tables is None:
        return layout
    return default.replacing(replace(tables, correlated_b_features_table=True))


def _second(
    index: Index, second: SecondIndex | None, layout: SaeVisLayoutConfig | None, compute: ComputeSettings
) -> SecondDictionary | None:
    if second is None:
        return None
    tables = None if layout is None else layout.find(FeatureTablesConfig)
    partners = PARTNERS if tables is None else tables.n_rows
    found = between(index, second.index_b, partners=partners, progress=compute.progress)
    return SecondDictionary(index=second.index_b, between=found, page=second.b_page, compare=second.compare_page)
