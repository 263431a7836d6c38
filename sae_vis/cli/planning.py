"""The command that says what a build takes before it is begun."""

from __future__ import annotations

from typing import Annotated

import typer

from sae_vis.cli.said import say


def capacity(
    features: Annotated[int, typer.Option(help="width of the SAE, such as 131072 or 131_072")],
    tokens: Annotated[int, typer.Option(help="tokens that are indexed, such as 10_000_000")],
    l0: Annotated[float, typer.Option(help="mean number of features that fire on a token")],
    workers: Annotated[int, typer.Option(min=1, help="processes that build it together")] = 1,
    correlated_features: Annotated[int, typer.Option(min=0, help="rows of correlated features; 0: none")] = 16,
    codes: Annotated[bool, typer.Option(help="keep the codes by position, too")] = True,
    acts_dtype: Annotated[
        str, typer.Option(help="dtype of stored activations: float32, or bfloat16, which rounds them")
    ] = "float32",
    block_mib: Annotated[
        int, typer.Option(min=1, help="memory for the correlations of one block of features, in MiB")
    ] = 256,
) -> None:
    """Say what an index will take: time, memory, disk and traffic, without the model's forward pass and the encoder."""
    from sae_vis.config import IndexConfig
    from sae_vis.index.capacity import Load, capacity_lines

    config = IndexConfig(
        correlated_features=correlated_features,
        codes=codes,
        acts_dtype=acts_dtype,  # type: ignore[arg-type]  # it checks the word itself
        block_bytes=block_mib << 20,
    )
    for line in capacity_lines(Load(n_features=features, n_tokens=tokens, l0=l0), config, workers=workers):
        say(line)
