"""The command that makes a map."""

from __future__ import annotations

from typing import Annotated

import typer

from sae_vis.cli.options import IndexAt
from sae_vis.cli.said import hide_loading_bars, progress_bars, say


def make_map(
    index: IndexAt,
    sae: Annotated[str, typer.Option(help="the index's SAE")],
    neighbours: Annotated[int, typer.Option(min=1, help="how many nearest features to keep for each feature")] = 16,
) -> None:
    """Find the nearest features of each by decoder direction, and lay all out on a map, both kept with the index."""
    from sae_vis.api import Index
    from sae_vis.api import make_map as made
    from sae_vis.saes.formats import load_dictionary

    hide_loading_bars()
    opened = Index.open(index, verify="sizes")
    with progress_bars() as progress:
        share, k, n = made(opened, load_dictionary(sae), neighbours=neighbours, progress=progress).kept
    looked_at = "" if n == opened.n_features else f", measured on {n:,} features"
    say(f"map of {opened.n_features:,} features: it keeps {100 * share:.1f} % of the {k} nearest neighbours{looked_at}")
