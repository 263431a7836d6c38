"""The command that serves indices."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING, Annotated

import typer

from sae_vis.cli.loaded import dtype_of, read_layout
from sae_vis.cli.options import Hook, HookOut, Layout, LiveOptions, ServeOptions
from sae_vis.cli.said import hide_loading_bars

if TYPE_CHECKING:
    from sae_vis.parts import ModelAndSae


def serve(
    indices: Annotated[list[str], typer.Argument(help="index directories or addresses; the first is opened")],
    live: LiveOptions,
    settings: ServeOptions,
    hook: Hook = None,
    hook_out: HookOut = None,
    layout: Layout = None,
    notes: Annotated[bool, typer.Option(help="allow notes on features, kept in the index's directory")] = True,
) -> None:
    """Open one or more indices in the browser: all features in a table, with search and cards. --model adds prompts."""
    from sae_vis.models.loading import load_tokenizer
    from sae_vis.server.run import ServerSettings, require_packages
    from sae_vis.server.serve import serve as served

    require_packages()
    parts = _parts(indices, live, (hook, hook_out))
    served(
        indices,
        parts=parts,
        tokenizer=None if live.model is None else load_tokenizer(live.model),
        layout=read_layout(layout),
        notes=notes,
        settings=ServerSettings(
            host=settings.host,
            port=settings.port,
            token=settings.token,
            names=tuple(settings.name or ()),
            open_browser=settings.browser,
            first=settings.first,
        ),
    )
    end_at_once()


def end_at_once() -> None:
    """End the process where the model is still at work for somebody; Python would wait until it has done its work."""
    from sae_vis.server.lanes import all_ended

    if not all_ended(within=0.5):
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(0)


def _parts(
    indices: list[str], live: LiveOptions, hooks: tuple[str | None, str | None]
) -> list[ModelAndSae | None] | None:
    """Model and SAE of each index, the model loaded once; None where nothing is live."""
    from sae_vis.api import Index
    from sae_vis.errors import InputError
    from sae_vis.models.loading import load_model
    from sae_vis.parts import ModelAndSae
    from sae_vis.saes.formats import load_dictionary

    saes = live.sae or []
    if (live.model is None) != (not saes):
        raise InputError("--model and --sae belong together: give both, or none")
    if live.model is None:
        return None
    if len(saes) != len(indices):
        raise InputError(f"there are {len(saes)} --sae for {len(indices)} indices: give one for each, in their order")
    hide_loading_bars()
    model = load_model(live.model, dtype=live.dtype or dtype_of(Index.open(indices[0])))
    hook, hook_out = hooks
    return [ModelAndSae(model=model, sae=load_dictionary(sae), hook=hook, hook_out=hook_out) for sae in saes]
