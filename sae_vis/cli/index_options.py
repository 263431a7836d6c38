"""Options of `sae-vis index`: the text, who does the work, what is kept."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer

from sae_vis.cli.options import HookOptions

NewDtype = Annotated[
    str | None,
    typer.Option(
        help="dtype of the model's weights; default: as stored, but float32 on a CPU that is slow in half precision"
    ),
]


@dataclass(frozen=True, kw_only=True)
class LayerOptions:
    """Which layers of a set of SAEs are indexed."""

    every_layer: Annotated[
        bool,
        typer.Option("--every-layer", help="--sae has an SAE for each layer: index all of them in one pass"),
    ] = False
    match: Annotated[
        str | None, typer.Option(help="which SAEs of --every-layer to take: a pattern for their paths")
    ] = None


@dataclass(frozen=True, kw_only=True)
class TextOptions:
    """The text that is indexed: files, or a dataset."""

    text: Annotated[list[Path] | None, typer.Option(help="text file, read as one document; repeat for more files")] = (
        None
    )
    dataset: Annotated[str | None, typer.Option(help="Hugging Face dataset, streamed: hub name, folder, file")] = None
    subset: Annotated[str | None, typer.Option(help="configuration of the dataset")] = None
    split: Annotated[str, typer.Option(help="split of the dataset")] = "train"
    column: Annotated[str | None, typer.Option(help="column of the dataset that holds the text, or the messages")] = (
        None
    )
    label: Annotated[
        list[str] | None,
        typer.Option(help="column with a label of each document, such as its language; repeat for more"),
    ] = None
    chat: Annotated[bool, typer.Option("--chat", help="the column holds messages: use the chat template")] = False
    tokens: Annotated[int | None, typer.Option(help="stop after this many tokens of text")] = None


@dataclass(frozen=True, kw_only=True)
class SequenceOptions:
    """How the text is cut into sequences."""

    seq_len: Annotated[int, typer.Option(help="tokens in a sequence, BOS included")] = 128
    bos: Annotated[bool, typer.Option(help="start every sequence with BOS")] = True
    skip: Annotated[int, typer.Option(min=0, help="mask this many positions at the start of each sequence")] = 0


@dataclass(frozen=True, kw_only=True)
class WorkerOptions:
    """As `sae_vis.RayWorkers` or `sae_vis.Ranks`; none: this process does the work."""

    ray: Annotated[
        str | None,
        typer.Option(
            help="build on a Ray cluster: its address, or auto for this machine's cluster; starts one if there is none"
        ),
    ] = None
    rank: Annotated[
        int | None,
        typer.Option(help="number of this process among --world, from 0; start the same command once for each"),
    ] = None
    world: Annotated[int | None, typer.Option(help="how many processes build the index together; needs --rank")] = None
    stall: Annotated[
        float | None,
        typer.Option(
            help="seconds without progress after which other ranks take over, or a Ray build ends with an error"
        ),
    ] = None


@dataclass(frozen=True, kw_only=True)
class NewRunOptions(HookOptions):
    """Where an SAE reads and writes, how its model is run, and what is kept of its activations."""

    dtype: NewDtype = None
    device: Annotated[
        str | None, typer.Option(help="cuda, cuda:1, …, or auto to spread the model over all GPUs; default: the CPU")
    ] = None
    acts_dtype: Annotated[
        str,
        typer.Option(help="dtype of stored activations: float32, or bfloat16, which rounds them and halves their size"),
    ] = "float32"
    codes: Annotated[
        bool, typer.Option(help="keep firings by token, too: which features fire on a token; half of the index's size")
    ] = True
    neurons: Annotated[
        str,
        typer.Option(help="correlate features with neurons: privileged (MLP neurons only), always, or never"),
    ] = "privileged"
