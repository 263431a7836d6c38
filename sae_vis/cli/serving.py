"""The command that serves indices."""

from __future__ import annotations

from typing import Annotated

import typer

from sae_vis.cli.loaded import dtype_of, load_parts, read_layout
from sae_vis.cli.options import Layout, PartsOptions, ServeOptions


def serve(
    indices: Annotated[list[str], typer.Argument(help="index directories or addresses; the first is opened")],
    parts: PartsOptions,
    settings: ServeOptions,
    layout: Layout = None,
    notes: Annotated[bool, typer.Option(help="let notes on features be written into the index's directory")] = True,
) -> None:
    """Open an index, or several, in the browser: all features in a table, search, cards; with --model live."""
    from sae_vis.api import Index
    from sae_vis.errors import InputError
    from sae_vis.models.loading import load_tokenizer
    from sae_vis.server.run import ServerSettings, require_packages
    from sae_vis.server.serve import serve as served

    require_packages()
    if (parts.model is None) != (parts.sae is None):
        raise InputError("--model and --sae belong together: give both, or none")
    made = None
    if parts.model is not None and parts.sae is not None:
        if len(indices) > 1:
            raise InputError("--model and --sae are those of one index: serve several from Python (sae_vis.serve)")
        dtype = parts.dtype or dtype_of(Index.open(indices[0]))
        made = load_parts(parts.model, parts.sae, (parts.hook, parts.hook_out), dtype)
    served(
        indices,
        parts=made,
        tokenizer=None if parts.model is None else load_tokenizer(parts.model),
        layout=read_layout(layout),
        notes=notes,
        settings=ServerSettings(
            host=settings.host,
            port=settings.port,
            token=settings.token,
            names=tuple(settings.name or ()),
            open_browser=settings.browser,
        ),
    )
