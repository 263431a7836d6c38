"""The command that keeps explanations beside an index."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from sae_vis.cli.options import IndexAt
from sae_vis.cli.said import say


def explanations(
    index: IndexAt,
    files: Annotated[list[Path], typer.Argument(help="tables, JSON, Neuronpedia's exports, delphi's results")],
    source: Annotated[str, typer.Option(help="who wrote them, if the files don't say")] = "",
    only: Annotated[
        str | None, typer.Option(help="if the files hold several dictionaries: which layer or module to read")
    ] = None,
    replace: Annotated[bool, typer.Option("--replace", help="forget the explanations that are there")] = False,
) -> None:
    """Keep explanations of features beside an index: cards show them, the explorer sorts and searches them."""
    from sae_vis.api import Index, keep_explanations
    from sae_vis.index.explanation_files import read_explanations

    opened = Index.open(index, verify="sizes")
    given = [one for file in files for one in read_explanations(file, source=source, only=only)]
    kept = keep_explanations(opened, given, replace=replace)
    explained, _ = kept.firsts
    say(f"{len(given):,} explanations read")
    say(f"{len(kept):,} are kept, of {len(explained):,} of {opened.n_features:,} features")
