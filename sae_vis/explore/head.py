"""What the explorer begins with."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from sae_vis.contract import ExplorerCan, ExplorerHead, FirstRows, IndexChoice, PageHead
from sae_vis.explore.column_words import SHOWN, SORT
from sae_vis.explore.columns import Columns
from sae_vis.index.index import Index
from sae_vis.layout import CustomComponent, ProbeLogitsTablesConfig, SaeVisLayoutConfig
from sae_vis.views.feature import feature_summary, hook_words, meta_of, page_meta, sae_words
from sae_vis.views.labels import labelling_words
from sae_vis.views.probes import probe_heads
from sae_vis.views.sources import ViewSources


def explorer_head(
    sources: ViewSources,
    layout: SaeVisLayoutConfig,
    columns: Columns,
    can: ExplorerCan,
    *,
    title: str,
    identity: str,
    indices: Sequence[IndexChoice],
    first: FirstRows,
) -> ExplorerHead:
    """The head of an explorer.

    Args:
        sources: of the cards.
        layout: of the cards.
        columns: of the table.
        can: what can be asked.
        title: of the page.
        identity: of the index and of how its cards look.
        indices: all that are served.
        first: rows that the table begins with.
    """
    index = sources.index
    names = {info.name for info in columns.infos}
    return ExplorerHead(
        page=PageHead(
            meta=meta_of(sources, layout, page_meta(sources, title, f"all {index.n_features:,} features", None)),
            layout=layout.to_spec("feature"),
            summary=feature_summary(index, np.zeros(0, dtype=np.int64)),
            prompt=False,
            compare=False,
            modules=tuple(own.type_name for own in layout.components if isinstance(own, CustomComponent)),
            labellings=labelling_words(index),
            board=None if sources.game is None else sources.game.look,
            probes=probe_heads(sources, layout.find(ProbeLogitsTablesConfig)),
        ),
        identity=identity,
        columns=columns.infos,
        shown=tuple(name for name in SHOWN if name in names),
        sort=SORT,
        indices=tuple(indices),
        can=can,
        first=first,
    )


def index_choice(index: Index, identity: str, title: str, other: Index) -> IndexChoice:
    """One of the indices that are served, as seen from another."""
    fingerprints = (one.manifest.provenance.corpus.get("fingerprint") for one in (index, other))
    return IndexChoice(
        identity=identity,
        title=title,
        hook=hook_words(index),
        sae=sae_words(index),
        same_text=len(set(fingerprints)) == 1,
    )


def can_of(index: Index, *, why_not_live: str, notes: bool) -> ExplorerCan:
    """What can be asked of an index."""
    codes, text = bool(index.manifest.codes), index.manifest.vocabulary is not None
    return ExplorerCan(
        phrases=codes and text,
        reader=text,
        live=not why_not_live,
        why_not_live=why_not_live,
        notes=notes,
        map=index.has_map,
        explanations=index.has_explanations,
    )
