"""Pages that compare two dictionaries."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from sae_vis.api.asked import asked_features, checked_file, hooks_of, require_parts, selected_features
from sae_vis.api.options import ComputeSettings, require_page_address
from sae_vis.api.sources import view_sources
from sae_vis.deliver.page import PageReport, write_page
from sae_vis.errors import InputError
from sae_vis.index.between import PARTNERS, between
from sae_vis.index.index import Index
from sae_vis.layout import SaeVisLayoutConfig
from sae_vis.moved import Moved, moved
from sae_vis.neutral import neutrally
from sae_vis.parts import ModelAndSae
from sae_vis.views.compare import CompareSettings, CompareSources, chosen_features, compare_page

BothParts = tuple[ModelAndSae | None, ModelAndSae | None]


@moved(
    Moved("settings", CompareSettings, ("title", "first")),
    Moved("compute", ComputeSettings, ("effects", "seed", "progress")),
    Moved("parts", tuple, ("parts_a", "parts_b")),
)
@neutrally
def save_compare_page(
    index_a: Index,
    index_b: Index,
    path: str | Path,
    *,
    features: Sequence[int] | int | None = 128,
    parts: BothParts = (None, None),
    layout: SaeVisLayoutConfig | None = None,
    settings: CompareSettings | None = None,
    compute: ComputeSettings | None = None,
) -> PageReport:
    """Write a page that compares two dictionaries over the same tokens: one HTML file.

    The page shows each feature of A beside its nearest features of B, and the texts on which only one of them fires. It
    lists splits (B has a feature in several pieces), merges (A has), and the features of each that the other lacks. A
    and B may be two widths, two checkpoints of one training run, two architectures or two places of a model.

    Args:
        index_a: of the first dictionary.
        index_b: of the second, over the same tokens with the same mask.
        path: the file.
        features: feature ids of A; or how many: a quarter of least counterpart in B, a quarter of splits and merges,
            the rest evenly spaced; None: all that fire.
        parts: model and dictionary of A's index, and of B's: with both, pairs have the cosine of their decoder
            directions; for the rest see `save_feature_page`.
        layout: of all cards; None: histogram, logit table, top examples.
        settings: the title, the feature to begin with, what is shown of each pair, links to pages of each dictionary.
        compute: what is computed beyond what the indices hold; ``linear_probes`` and ``target_logits`` of both.

    Returns:
        Path and sizes of the page.

    Raises:
        InputError: indices over other tokens, no such feature, a layout that asks for more than an index holds.
        ForeignIndexError: parts that are not those of their index.
    """
    path = checked_file(path, index_a, index_b)
    settings, compute = settings or CompareSettings(), compute or ComputeSettings()
    asked = asked_features(features)
    for name in ("a_page", "b_page"):
        require_page_address(name, getattr(settings, name))
    pairs = _with_parts(index_a, index_b, parts)
    partners = max(PARTNERS, settings.partners)
    found = between(index_a, index_b, partners=partners, progress=compute.progress)
    a, b = (view_sources(index, own, compute, effects=True) for index, own in pairs)
    sources = CompareSources(a=a, b=b, between=found)
    if isinstance(asked, list):
        ids, rule = selected_features(index_a, asked)
    else:
        ids, rule = chosen_features(index_a, index_b, found, asked)
    title = settings.title or f"Two dictionaries at {hooks_of(index_a, index_b)} — sae_vis"
    page = compare_page(sources, ids, layout, settings, title=title, selection=rule, first=settings.first)
    return write_page(page, path)


def _with_parts(index_a: Index, index_b: Index, parts: object) -> list[tuple[Index, ModelAndSae | None]]:
    """Each index with its model and dictionary, which must be its own."""
    if not isinstance(parts, tuple | list) or len(parts) != 2:
        raise InputError(
            "parts= takes two of them, of A and of B, such as parts=(parts_a, parts_b); None stands for none"
        )
    pairs = list(zip((index_a, index_b), parts, strict=True))
    for index, own in pairs:
        if own is not None:
            require_parts(index, own)
    return pairs
