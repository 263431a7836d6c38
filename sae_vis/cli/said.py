"""What commands print, and the bars on standard error."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import typer

if TYPE_CHECKING:
    from rich.progress import TaskID

    from sae_vis.index.build import Progress
    from sae_vis.index.index import Index

STAGES = {
    "index": "model and SAE, tokens",
    "count": "firings, tokens",
    "sort": "postings, features",
    "tables": "tables, features",
    "neighbours": "neighbours, pairs",
    "map": "map, steps",
    "between": "A and B, features",
    "effects": "effects, files of cards",
    "cards": "cards, features",
    "site": "site, files",
}


@contextmanager
def progress_bars() -> Iterator[Progress]:
    """A bar for each stage, on standard error."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeElapsedColumn
    from rich.progress import Progress as Bars

    columns = (TextColumn("{task.description:24}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Bars(*columns, console=Console(stderr=True)) as bars:
        running: dict[str, TaskID] = {}

        def note(stage: str, done: int, total: int) -> None:
            if stage not in running:
                running[stage] = bars.add_task(STAGES.get(stage, stage), total=total)
            bars.update(running[stage], completed=done)
            if done == total:  # the next call of this stage belongs to another index
                del running[stage]

        yield note


def hide_loading_bars() -> None:
    """Keep the bars of transformers off the screen."""
    from transformers.utils import logging

    logging.disable_progress_bar()  # type: ignore[no-untyped-call]


def say_indices(made: Mapping[str, Index], out: str) -> None:
    """Say what indices of several places hold, and what to do next."""
    from sae_vis.index.remote import below

    for place, one in made.items():
        say_index(one, place)
    first = next(iter(made))
    say(f"  pages: sae-vis feature {below(out, first) if first else out} -o features.html")


def say_index(index: Index, place: str = "") -> None:
    """Say how many features and firings an index has."""
    fires = int((index.column("n_firings") > 0).sum())
    n = int(index.column("n_firings").sum())
    silent = index.n_features - fires
    where = f"{place}: " if place else ""
    say(f"{where}{index.n_features:,} features ({silent:,} never fire), {n:,} firings on {index.n_counted:,} tokens")


def say_what_lacks(index: Index) -> None:
    """Say what cards lack that were made without model and SAE."""
    lacking = ["logit effects of the tokens shown", "effects on the loss that the index does not keep yet"]
    neighbours = [] if index.has_map else ["decoder neighbours (sae-vis map keeps them)"]
    say(f"  without --model and --sae the cards have no {', no '.join([*lacking, *neighbours])}")


def say(line: str) -> None:
    """Print a line."""
    typer.echo(line)


def say_unused_gpu(device: str | None) -> None:
    """Say how to use a GPU, where there is one and nobody has chosen a device."""
    import torch

    if device is None and torch.cuda.is_available():
        say("  runs on the CPU, but PyTorch sees a GPU: add --device cuda to use it")


def said_of_model(facts: dict[str, Any]) -> str:
    """A model in words: its name, and the dtype that it was run in."""
    stored = f", stored in {facts['stored_dtype']}" if "stored_dtype" in facts else ""
    return f"{facts.get('name')}" + (f", run in {facts['dtype']}{stored}" if "dtype" in facts else "")
