"""Options of the commands. What belongs together is one object; names are those of the Python calls."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer

N_FEATURES = 300
Out = Annotated[Path, typer.Option("--out", "-o", help="where to write")]
OutAnywhere = Annotated[
    str, typer.Option("--out", "-o", help="where to write: a directory, or an address in an object store (s3://…)")
]
Layout = Annotated[Path | None, typer.Option(help="JSON file with the layout of a card; default: the default layout")]
IndexAt = Annotated[str, typer.Argument(help="index directory or address")]
Hook = Annotated[str | None, typer.Option(help="hook name or module path; default: what the SAE names")]
HookOut = Annotated[str | None, typer.Option(help="where a transcoder writes; default: what it names")]
Dtype = Annotated[str | None, typer.Option(help="dtype of the model's weights; default: that of the index")]
Title = Annotated[str | None, typer.Option(help="page title; default: made from the hook point")]
First = Annotated[int | None, typer.Option(help="feature that the page opens with; default: the first")]


@dataclass(frozen=True, kw_only=True)
class HookOptions:
    """Where an SAE reads and writes."""

    hook: Hook = None
    hook_out: HookOut = None


@dataclass(frozen=True, kw_only=True)
class RunOptions(HookOptions):
    """Where an SAE reads and writes, and how its model is run."""

    dtype: Dtype = None


@dataclass(frozen=True, kw_only=True)
class ReadersOptions:
    """Model and SAE that read a prompt, and how they are run."""

    model: Annotated[
        str | None, typer.Option(help="the index's model: local path or hub name; default: the folder it was made from")
    ] = None
    sae: Annotated[str | None, typer.Option(help="the index's SAE; default: the folder it was made from")] = None
    hook: Hook = None
    hook_out: HookOut = None
    dtype: Dtype = None


@dataclass(frozen=True, kw_only=True)
class PartsOptions:
    """Model and SAE of an index; none, or both."""

    model: Annotated[str | None, typer.Option(help="the index's model; with --sae it adds effects to the page")] = None
    sae: Annotated[str | None, typer.Option(help="the index's SAE, with --model")] = None
    hook: Hook = None
    hook_out: HookOut = None
    dtype: Dtype = None


@dataclass(frozen=True, kw_only=True)
class ChosenOptions:
    """Which features a page has."""

    ids: Annotated[
        list[int] | None,
        typer.Argument(help="feature numbers; default: --count features, evenly spaced over those that fire"),
    ] = None
    count: Annotated[int, typer.Option(help="how many features to show if you give no numbers")] = N_FEATURES
    every: Annotated[bool, typer.Option("--all", help="show every feature that fires")] = False
    most_uneven: Annotated[
        str | None, typer.Option(help="show the features that fire most unevenly over this labelling")
    ] = None
    label: Annotated[str | None, typer.Option(help="with --most-uneven: show those that prefer this label most")] = None


@dataclass(frozen=True, kw_only=True)
class FeatureOptions:
    """As `sae_vis.FeatureSettings`."""

    title: Title = None
    selection: Annotated[str | None, typer.Option(help="what the page says about how its features were chosen")] = None
    first: First = None


@dataclass(frozen=True, kw_only=True)
class ComputeOptions:
    """As `sae_vis.ComputeSettings`, what of it can be said in a line."""

    effects: Annotated[
        bool, typer.Option(help="compute direct effects that the index does not keep yet; needs --model")
    ] = True
    seed: Annotated[int, typer.Option(help="seed of the random samples of examples")] = 0


@dataclass(frozen=True, kw_only=True)
class SecondOptions:
    """As `sae_vis.SecondIndex`."""

    index_b: Annotated[
        str | None,
        typer.Option(help="index of a second SAE over the same text, whose features are shown, too"),
    ] = None
    b_page: Annotated[str | None, typer.Option(help="address of a page of B's features, for links")] = None
    compare_page: Annotated[str | None, typer.Option(help="address of the page that compares both, for links")] = None


@dataclass(frozen=True, kw_only=True)
class PromptOptions:
    """As `sae_vis.PromptSettings`."""

    compare: Annotated[str | None, typer.Option(help="a second prompt, shown beside the first")] = None
    metric: Annotated[str | None, typer.Option(help="metric to rank by first; default: attribution")] = None
    seq_pos: Annotated[
        int | None, typer.Option("--seq-pos", "--pos", help="position to show first; default: the whole prompt")
    ] = None
    num_top_features: Annotated[int, typer.Option("--num-top-features", "--top", help="length of a ranking")] = 10
    max_density: Annotated[
        float | None,
        typer.Option(help="leave features denser than this out of rankings by activation; default: 0.1; 1: none"),
    ] = None
    logit_tokens: Annotated[
        list[str] | None,
        typer.Option(
            "--logit-tokens", "--token", help="also rank by the effect on this token's logit; repeat for more tokens"
        ),
    ] = None
    full_effects: Annotated[
        int,
        typer.Option("--full-effects", "--full", help="measure the full effects of this many (token, feature) pairs"),
    ] = 0
    title: Title = None


@dataclass(frozen=True, kw_only=True)
class SiteOptions:
    """As `sae_vis.SiteSettings`."""

    title: Title = None
    base: Annotated[
        str | None,
        typer.Option(help="path of the site on its host, such as /my-sae/, if the host drops the slash at the end"),
    ] = None
    page: Annotated[list[str] | None, typer.Option(help="a page to link to, as TITLE=ADDRESS; repeat for more")] = None
    workers: Annotated[int | None, typer.Option(help="number of processes; default: one per core")] = None
    effects: Annotated[
        bool, typer.Option(help="compute direct effects that the index does not keep yet; needs --model")
    ] = True


@dataclass(frozen=True, kw_only=True)
class LiveOptions:
    """Model and SAEs of the indices that are served; none, or both."""

    model: Annotated[
        str | None,
        typer.Option(help="the indices' model; with --sae you can try prompts and texts of your own, and see effects"),
    ] = None
    sae: Annotated[
        list[str] | None, typer.Option(help="the index's SAE, with --model; give one for each index, in order")
    ] = None
    dtype: Dtype = None


@dataclass(frozen=True, kw_only=True)
class ServeOptions:
    """As `sae_vis.ServerSettings`."""

    host: Annotated[
        str, typer.Option(help="address to listen on; an address that other machines can reach needs --token")
    ] = "127.0.0.1"
    port: Annotated[int | None, typer.Option(help="port; default: 8765, or a free one where that is taken")] = None
    token: Annotated[str | None, typer.Option(help="secret first part of the address; default: random")] = None
    name: Annotated[
        list[str] | None,
        typer.Option(help="another name, with port, by which the server is called, such as a proxy's; repeat for more"),
    ] = None
    browser: Annotated[bool, typer.Option(help="open the page in a browser")] = True
    first: Annotated[int | None, typer.Option(help="feature to open first; default: the first row of the table")] = None


@dataclass(frozen=True, kw_only=True)
class ChosenOfAOptions:
    """Which features of A a page has."""

    ids: Annotated[
        list[int] | None, typer.Argument(help="feature numbers of A; default: some that are worth comparing")
    ] = None
    count: Annotated[int, typer.Option(help="how many features of A to show if you give no numbers")] = 128
    every: Annotated[bool, typer.Option("--all", help="show every feature of A that fires")] = False


@dataclass(frozen=True, kw_only=True)
class CompareOptions:
    """As `sae_vis.CompareSettings`, what of it can be said in a line."""

    partners: Annotated[int, typer.Option(help="how many nearest features of B to show for each of A")] = 6
    a_page: Annotated[str | None, typer.Option(help="address of a page of A's features, for links")] = None
    b_page: Annotated[str | None, typer.Option(help="address of a page of B's features, for links")] = None
    title: Title = None
    first: First = None


@dataclass(frozen=True, kw_only=True)
class BothPartsOptions:
    """Model and SAEs of two indices; none, or all."""

    model: Annotated[str | None, typer.Option(help="the indices' model, with --sae-a and --sae-b")] = None
    sae_a: Annotated[str | None, typer.Option(help="the SAE of A, for decoder cosines and logit effects")] = None
    sae_b: Annotated[str | None, typer.Option(help="the SAE of B")] = None
    dtype: Dtype = None
