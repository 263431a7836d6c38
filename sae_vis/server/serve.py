"""`serve`: an index, or several, live in the browser."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from sae_vis.api.asked import require_parts
from sae_vis.api.index import Index
from sae_vis.errors import InputError
from sae_vis.index.manifest import MANIFEST
from sae_vis.index.remote import is_address
from sae_vis.layout import SaeVisLayoutConfig
from sae_vis.parts import ModelAndSae
from sae_vis.server.run import Server, ServerSettings, open_in_browser
from sae_vis.server.served import Served

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

NOTES = "notes.json"


def serve(
    index: str | Path | Sequence[str | Path],
    *,
    parts: ModelAndSae | Sequence[ModelAndSae | None] | None = None,
    tokenizer: PreTrainedTokenizerBase | None = None,
    layout: SaeVisLayoutConfig | None = None,
    notes: bool = True,
    settings: ServerSettings | None = None,
) -> None:
    """Serve the explorer of an index, or of several, until it is stopped (Ctrl-C); prints its address.

    Args:
        index: directory or address of an index, or several.
        parts: model and dictionary of the index, for all that is live; of several indices one for each, None for none.
        tokenizer: of the model, for texts of the user's own.
        layout: of the cards; None: the default.
        notes: whether notes on features can be written; they are kept in the index's directory.
        settings: where it listens, and who may ask.

    Raises:
        InputError: called where an event loop runs, as in a notebook; no index, more or fewer parts than indices, a
            first feature that the first index lacks, a port that is taken, a package that is missing.
        DamagedIndexError: no whole index there.
        ForeignIndexError: ``parts`` are not those of the index.
    """
    _require_a_thread_of_its_own()
    server = make_server(index, parts=parts, tokenizer=tokenizer, layout=layout, notes=notes, settings=settings)

    first = None if settings is None else settings.first
    address = server.address if first is None else f"{server.address}#f={first}"

    def began() -> None:
        print(f"sae_vis explorer: {address}  (Ctrl-C stops it)", flush=True)
        if settings is None or settings.open_browser:
            open_in_browser(address)

    server.run(began)


def _require_a_thread_of_its_own() -> None:
    """Raise `InputError` where an event loop runs already: `serve` would stand in its way until it is stopped."""
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return
    raise InputError(
        "serve() goes on until it is stopped, but an event loop runs here already, as in a notebook: use "
        "index.explore() there, or run sae-vis serve in a terminal"
    )


def make_server(
    index: str | Path | Sequence[str | Path],
    *,
    parts: ModelAndSae | Sequence[ModelAndSae | None] | None = None,
    tokenizer: PreTrainedTokenizerBase | None = None,
    layout: SaeVisLayoutConfig | None = None,
    notes: bool = True,
    settings: ServerSettings | None = None,
) -> Server:
    """What `serve` runs; arguments and errors as there."""
    paths = [index] if isinstance(index, (str, Path)) else list(index)
    every = [parts] if parts is None or isinstance(parts, ModelAndSae) else list(parts)
    every = every * len(paths) if every == [None] else every
    if len(every) != len(paths):
        raise InputError(f"parts= has {len(every)} entries for {len(paths)} indices: give one for each, or None")
    if settings is not None and settings.first is not None and paths:
        Index.open(paths[0], verify="sizes").require_feature(settings.first)
    titles = _titles(paths)
    served = [
        _served(path, title, one, tokenizer, layout, notes=notes)
        for path, title, one in zip(paths, titles, every, strict=True)
    ]
    return Server(served, settings)


def _served(
    path: str | Path,
    title: str,
    parts: ModelAndSae | None,
    tokenizer: PreTrainedTokenizerBase | None,
    layout: SaeVisLayoutConfig | None,
    *,
    notes: bool,
) -> Served:
    if parts is not None:
        require_parts(Index.open(path), parts)
    local = None if is_address(path) else Path(path)
    return Served(
        open=lambda: Index.open(path),
        title=title,
        parts=parts,
        tokenizer=tokenizer,
        layout=layout,
        notes=local / NOTES if notes and local is not None else None,
        manifest=None if local is None else local / MANIFEST,
    )


def _titles(paths: Sequence[str | Path]) -> list[str]:
    """The last parts of the paths; where two are the same, with what is before them."""
    names = [Path(str(path).rstrip("/")).name or str(path) for path in paths]
    return [name if names.count(name) == 1 else str(path) for name, path in zip(names, paths, strict=True)]
