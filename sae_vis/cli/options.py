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
NewDtype = Annotated[
    str | None,
    typer.Option(
        help="dtype of the model's weights; default: as stored, but float32 on a CPU that is slow in half precision"
    ),
]
Title = Annotated[str | None, typer.Option(help="page title; default: made from the hook point")]
First = Annotated[int | None, typer.Option(help="feature that the page opens with; default: the first")]


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
class HookOptions:
    """Where an SAE reads and writes."""

    hook: Hook = None
    hook_out: HookOut = None


@dataclass(frozen=True, kw_only=True)
class RunOptions(HookOptions):
    """Where an SAE reads and writes, and how its model is run."""

    dtype: Dtype = None


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
