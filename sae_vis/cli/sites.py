"""The command that writes a site."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Annotated

import typer

from sae_vis.cli.loaded import dtype_of, load_parts, read_layout
from sae_vis.cli.options import IndexAt, Layout, PartsOptions, SiteOptions
from sae_vis.cli.said import progress_bars, say, say_what_lacks


def site(
    index: IndexAt,
    parts: PartsOptions,
    settings: SiteOptions,
    ids: Annotated[list[int] | None, typer.Argument(help="features that it holds; none: all")] = None,
    out: Annotated[Path, typer.Option("--out", "-o", help="folder to write into")] = Path("site"),
    layout: Layout = None,
) -> None:
    """Write the explorer of an index as a folder that any file host can serve: table, search, cards of all features."""
    from sae_vis.api import Index
    from sae_vis.errors import InputError
    from sae_vis.site.build import SiteSettings, save_site

    if (parts.model is None) != (parts.sae is None):
        raise InputError("--model and --sae belong together: give both, or none")
    made = None
    if parts.model is not None and parts.sae is not None:
        dtype = parts.dtype or dtype_of(Index.open(index))
        made = partial(load_parts, parts.model, parts.sae, (parts.hook, parts.hook_out), dtype)
    pages = []
    for page in settings.page or ():
        title, equals, address = page.partition("=")
        if not equals:
            raise InputError(f"--page is {page!r}, expected TITLE=ADDRESS, such as 'One prompt=prompt.html'")
        pages.append((title, address))
    with progress_bars() as progress:
        report = save_site(
            index,
            out,
            features=ids or None,
            parts=made,
            layout=read_layout(layout),
            settings=SiteSettings(
                title=settings.title,
                base=settings.base,
                pages=tuple(pages),
                workers=settings.workers,
                effects=settings.effects,
            ),
            progress=progress,
        )
    say(f"{report.folder}: {report.files:,} files, {report.n_bytes / 1e6:.1f} MB, {report.made:,} of them made now")
    if made is None:
        say_what_lacks(Index.open(index, verify="sizes"))
    say(f"  look at it: python -m http.server -d {report.folder}, then open http://localhost:8000")
