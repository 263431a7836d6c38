"""Commands; no logic of their own."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from sae_vis.errors import SaeVisError

if TYPE_CHECKING:
    from rich.progress import TaskID

    from sae_vis.index.build import Progress
    from sae_vis.index.index import Index
    from sae_vis.layout import SaeVisLayoutConfig
    from sae_vis.parts import ModelAndSae
    from sae_vis.saes.base import Dictionary

app = typer.Typer(
    name="sae-vis",
    help="See what the features of a sparse autoencoder mean.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)
Out = Annotated[Path, typer.Option("--out", "-o", help="where to write")]
Dtype = Annotated[str | None, typer.Option(help="of the model's weights; default: the index's")]
NewDtype = Annotated[
    str | None, typer.Option(help="of the model's weights; default: as stored, but float32 for slow half precision")
]
N_FEATURES = 300
STAGES = {
    "index": "model and SAE, tokens",
    "sort": "postings, features",
    "tables": "tables, features",
    "between": "A and B, features",
}


@app.callback()
def _commands() -> None:
    """Make every command a named one."""


@app.command()
def demo(
    out: Out = Path("sae-vis-demo"),
    every: Annotated[bool, typer.Option("--all", help="show every feature that fires")] = False,
) -> None:
    """Index the embedded model's SAEs over the embedded text; write pages of their features and of a prompt."""
    from sae_vis.demo.run import SAES, demo_corpus, run_demo

    _hide_loading_bars()
    text = demo_corpus()
    for sae in SAES:
        with _progress() as progress:
            result = run_demo(sae, text, out, features=None if every else N_FEATURES, progress=progress)
        _say_index(result.index)
        _say(f"  {sae.reads}: open {result.page.path.resolve()}")
        _say(f"  the same on one prompt: open {result.prompt.path.resolve()}")
    _say("  features to look at first: see the README")


@app.command()
def index(  # noqa: PLR0913, PLR0917  the options of a command
    model: Annotated[str, typer.Option(help="Hugging Face model: local path or hub name")],
    sae: Annotated[str, typer.Option(help="SAE: folder, file, hub name (repo:folder), or RELEASE:ID of SAELens")],
    out: Out,
    every_layer: Annotated[
        bool,
        typer.Option("--every-layer", help="--sae has one for each layer: index them all in one pass"),
    ] = False,
    match: Annotated[str | None, typer.Option(help="which of them, a pattern for their paths")] = None,
    text: Annotated[list[Path] | None, typer.Option(help="text file, one document; give several times")] = None,
    dataset: Annotated[str | None, typer.Option(help="Hugging Face dataset, streamed: hub name, folder, file")] = None,
    subset: Annotated[str | None, typer.Option(help="configuration of the dataset")] = None,
    split: Annotated[str, typer.Option(help="split of the dataset")] = "train",
    column: Annotated[str | None, typer.Option(help="column with the text, or the messages")] = None,
    label: Annotated[
        list[str] | None, typer.Option(help="column that labels the documents, such as their language")
    ] = None,
    chat: Annotated[bool, typer.Option("--chat", help="the column holds messages: use the chat template")] = False,
    tokens: Annotated[int | None, typer.Option(help="stop after so many tokens of text")] = None,
    hook: Annotated[str | None, typer.Option(help="hook name or module path; default: what the SAE names")] = None,
    hook_out: Annotated[str | None, typer.Option(help="where a transcoder writes; default: what it names")] = None,
    seq_len: Annotated[int, typer.Option(help="tokens in a sequence")] = 128,
    bos: Annotated[bool, typer.Option(help="start every sequence with BOS")] = True,
    skip: Annotated[int, typer.Option(min=0, help="leave out the first positions of each sequence")] = 0,
    dtype: NewDtype = None,
) -> None:
    """Index every feature of an SAE over text, in one pass. A killed run goes on when started again."""
    from sae_vis.api import index_features, index_layers
    from sae_vis.corpus.datasets import DatasetConfig, TokenBudget, documents
    from sae_vis.corpus.text import TokenText
    from sae_vis.corpus.tokens import Corpus, read_files
    from sae_vis.errors import InputError
    from sae_vis.models.huggingface import load_model, load_tokenizer

    if bool(text) == (dataset is not None):
        raise InputError("give the text to index as --text FILE or as --dataset NAME, one of the two")
    tokenizer = load_tokenizer(model)
    several = _dictionaries(sae, match, every_layer=every_layer)
    parts = None if several else _parts(model, sae, (hook, hook_out), dtype)
    labels = tuple(label or ())
    config = DatasetConfig(name=dataset or "", subset=subset, split=split, column=column, chat=chat, labels=labels)
    texts = read_files(text, labels) if text else documents(config, tokenizer)
    budget = None if tokens is None else TokenBudget(tokenizer, tokens)
    corpus = Corpus.from_texts(
        texts if budget is None else budget.documents(texts),
        budget or tokenizer,
        seq_len=seq_len,
        prepend_bos=bos,
        seqpos_slice=(skip or None, None),
        source=", ".join(path.name for path in text) if text else config.source,
    )
    spelled = TokenText.from_tokenizer(tokenizer)
    with _progress() as progress:
        if parts is None:
            loaded, hooks = load_model(model, dtype=dtype), (hook, hook_out)
            made = index_layers(corpus, loaded, several, out, hooks=hooks, text=spelled, progress=progress)
        else:
            made = {"": index_features(corpus, parts, out, text=spelled, progress=progress)}
    _say_indices(made, out)


@app.command()
def feature(  # noqa: PLR0913, PLR0917  the options of a command
    index: Annotated[str, typer.Argument(help="index directory or address")],
    ids: Annotated[
        list[int] | None, typer.Argument(help="feature ids; none: evenly spaced over those that fire")
    ] = None,
    out: Out = Path("features.html"),
    count: Annotated[int, typer.Option(help="features on the page, where no ids are given")] = N_FEATURES,
    every: Annotated[bool, typer.Option("--all", help="show every feature that fires")] = False,
    layout: Annotated[Path | None, typer.Option(help="layout as JSON; default: the default layout")] = None,
    model: Annotated[str | None, typer.Option(help="the index's model, for logit effects on the tokens shown")] = None,
    sae: Annotated[str | None, typer.Option(help="the index's SAE, with --model")] = None,
    hook: Annotated[str | None, typer.Option(help="hook name or module path; default: what the SAE names")] = None,
    hook_out: Annotated[str | None, typer.Option(help="where a transcoder writes; default: what it names")] = None,
    dtype: Dtype = None,
    most_uneven: Annotated[
        str | None, typer.Option(help="the features that fire most unevenly over this labelling, --count of them")
    ] = None,
    label: Annotated[str | None, typer.Option(help="with --most-uneven: those that prefer this label most")] = None,
    index_b: Annotated[
        str | None,
        typer.Option(help="index of a second SAE over the same text: its features beside those of the first"),
    ] = None,
    b_page: Annotated[str | None, typer.Option(help="address of a page of B's features, for links")] = None,
    compare_page: Annotated[str | None, typer.Option(help="address of the page that compares both, for links")] = None,
) -> None:
    """Write a page of feature views from an index."""
    from sae_vis.api import save_feature_page
    from sae_vis.deliver.output import output_file
    from sae_vis.errors import InputError
    from sae_vis.index.index import Index
    from sae_vis.views.labels import most_uneven as chosen_by_label

    if (model is None) != (sae is None):
        raise InputError("--model and --sae belong together: give both, or none")
    if label is not None and most_uneven is None:
        raise InputError("--label says which label of --most-uneven LABELLING: give both")
    if ids and most_uneven is not None:
        raise InputError("features are named by number and by --most-uneven: give one of the two")
    output_file(out)
    opened = Index.open(index)
    parts = None if model is None or sae is None else _parts(model, sae, (hook, hook_out), dtype or _dtype_of(opened))
    features, rule = ids or (None if every else count), None
    if most_uneven is not None:
        features, rule = chosen_by_label(opened, most_uneven, None if every else count, label=label)
    report = save_feature_page(
        opened,
        out,
        features=features,
        parts=parts,
        layout=_layout(layout),
        selection=rule,
        index_b=None if index_b is None else Index.open(index_b),
        b_page=b_page,
        compare_page=compare_page,
    )
    _say(f"wrote {report.path} ({report.sizes})")


@app.command()
def labels(
    index: Annotated[str, typer.Argument(help="index directory or address")],
    labelling: Annotated[str | None, typer.Argument(help="labelling to rank by; default: say which there are")] = None,
    label: Annotated[str | None, typer.Option(help="rank by how much a feature prefers this label")] = None,
    by: Annotated[
        str, typer.Option(help="unevenness (bits per firing) or information (bits per token)")
    ] = "unevenness",
    count: Annotated[int, typer.Option("--count", "-n", help="features to list")] = 20,
) -> None:
    """The labels of an index's text, or the features that fire most unevenly over them."""
    from sae_vis.index.index import Index
    from sae_vis.views.label_lists import labelling_lines, rank_lines

    opened = Index.open(index, verify="sizes")
    lines = labelling_lines(opened) if labelling is None else rank_lines(opened, labelling, label, by, count)
    for line in lines:
        _say(line)


@app.command()
def search(
    index: Annotated[str, typer.Argument(help="index directory or address")],
    phrase: Annotated[str, typer.Argument(help="what to look for, a space before a word included")],
    rank: Annotated[
        str, typer.Option(help="lift (fires there more than elsewhere), count or mass (of activations there)")
    ] = "lift",
    count: Annotated[int, typer.Option("--count", "-n", help="features to list")] = 20,
    matches: Annotated[int, typer.Option(min=0, help="matches to show")] = 5,
    exact: Annotated[
        bool, typer.Option("--exact", help="only matches that begin and end at borders of tokens")
    ] = False,
    last: Annotated[bool, typer.Option("--last", help="features of the last token of each match only")] = False,
    ignore_case: Annotated[bool, typer.Option("--ignore-case", help="take the letters A to Z for a to z")] = False,
) -> None:
    """Where a phrase stands in an index's text, and the features that fire there."""
    from sae_vis.index.index import Index
    from sae_vis.views.search_lines import feature_lines, match_lines

    opened = Index.open(index, verify="sizes")
    found = opened.find_text(phrase, ignore_case=ignore_case)
    chosen = found.rows(found.exact) if exact else found
    positions = chosen.stops - 1 if last else chosen.positions
    for line in [*match_lines(opened, phrase, chosen, matches), *feature_lines(opened, positions, rank, count)]:
        _say(line)


@app.command()
def prompt(  # noqa: PLR0913, PLR0917  the options of a command
    index: Annotated[str, typer.Argument(help="index directory or address")],
    text: Annotated[str, typer.Argument(help="the prompt")],
    model: Annotated[str, typer.Option(help="the index's model: local path or hub name")],
    sae: Annotated[str, typer.Option(help="the index's SAE")],
    out: Out = Path("prompt.html"),
    compare: Annotated[str | None, typer.Option(help="a second prompt, shown beside the first")] = None,
    metric: Annotated[str, typer.Option(help="metric to begin with")] = "act_size",
    pos: Annotated[int | None, typer.Option(help="position to begin with; default: the whole prompt")] = None,
    top: Annotated[int, typer.Option(help="features in a ranking")] = 10,
    token: Annotated[list[str] | None, typer.Option(help="text of a token whose logit is of interest, too")] = None,
    full: Annotated[int, typer.Option(help="measure the full effects of so many (token, feature) pairs")] = 0,
    layout: Annotated[Path | None, typer.Option(help="layout of a card as JSON; default: the default layout")] = None,
    hook: Annotated[str | None, typer.Option(help="hook name or module path; default: what the SAE names")] = None,
    hook_out: Annotated[str | None, typer.Option(help="where a transcoder writes; default: what it names")] = None,
    dtype: Dtype = None,
) -> None:
    """Write a page about one text: at every token, the features that matter most, by several metrics."""
    from sae_vis.api import save_prompt_page, single_token
    from sae_vis.deliver.output import output_file
    from sae_vis.index.index import Index
    from sae_vis.models.huggingface import load_tokenizer
    from sae_vis.views.prompt import PromptSettings

    output_file(out)
    opened, tokenizer = Index.open(index), load_tokenizer(model)
    settings = PromptSettings(
        metric=metric,
        seq_pos=pos,
        num_top_features=top,
        logit_tokens=tuple(single_token(word, tokenizer) for word in token or ()),
        full_effects=full,
    )
    report = save_prompt_page(
        opened,
        out,
        text,
        parts=_parts(model, sae, (hook, hook_out), dtype or _dtype_of(opened)),
        tokenizer=tokenizer,
        compare=compare,
        settings=settings,
        layout=_layout(layout),
    )
    _say(f"wrote {report.path} ({report.sizes})")


@app.command()
def compare(  # noqa: PLR0913, PLR0917  the options of a command
    index_a: Annotated[str, typer.Argument(help="index directory of the first SAE (A)")],
    index_b: Annotated[str, typer.Argument(help="index directory of the second (B), over the same text")],
    ids: Annotated[
        list[int] | None, typer.Argument(help="feature ids of A; none: some that are worth comparing")
    ] = None,
    out: Out = Path("compare.html"),
    count: Annotated[int, typer.Option(help="features of A on the page, where no ids are given")] = 128,
    every: Annotated[bool, typer.Option("--all", help="show every feature of A that fires")] = False,
    partners: Annotated[int, typer.Option(help="nearest features of B shown for each of A")] = 6,
    layout: Annotated[Path | None, typer.Option(help="layout of a card as JSON; default: the default layout")] = None,
    model: Annotated[str | None, typer.Option(help="the indices' model, with --sae-a and --sae-b")] = None,
    sae_a: Annotated[str | None, typer.Option(help="the SAE of A, for decoder cosines and logit effects")] = None,
    sae_b: Annotated[str | None, typer.Option(help="the SAE of B")] = None,
    a_page: Annotated[str | None, typer.Option(help="address of a page of A's features, for links")] = None,
    b_page: Annotated[str | None, typer.Option(help="address of a page of B's features, for links")] = None,
    dtype: Dtype = None,
) -> None:
    """Write a page that compares two SAEs indexed over the same text: nearest features, splits, merges, what is new."""
    from sae_vis.api import save_compare_page
    from sae_vis.deliver.output import output_file
    from sae_vis.errors import InputError
    from sae_vis.index.index import Index
    from sae_vis.views.compare import CompareSettings

    given = (model, sae_a, sae_b)
    if any(given) and not all(given):
        raise InputError("--model, --sae-a and --sae-b belong together: give all three, or none")
    output_file(out)
    opened_a, opened_b = Index.open(index_a), Index.open(index_b)
    parts_a, parts_b = (
        None if not (model and sae) else _parts(model, sae, (None, None), dtype or _dtype_of(opened))
        for sae, opened in ((sae_a, opened_a), (sae_b, opened_b))
    )
    with _progress() as progress:
        report = save_compare_page(
            opened_a,
            opened_b,
            out,
            features=ids or (None if every else count),
            parts_a=parts_a,
            parts_b=parts_b,
            layout=_layout(layout),
            settings=CompareSettings(partners=partners, a_page=a_page, b_page=b_page),
            progress=progress,
        )
    _say(f"wrote {report.path} ({report.sizes} of A)")


@app.command()
def info(
    index: Annotated[str, typer.Argument(help="index directory or address")],
    verify: Annotated[bool, typer.Option(help="compare every file with its checksum")] = True,
) -> None:
    """What an index was made from, and whether it is whole."""
    from sae_vis.index.index import Index

    opened = Index.open(index, verify="contents" if verify else "sizes")
    made = opened.manifest.provenance
    _say_index(opened)
    _say(f"  model   {_said_of_model(made.model or {})}")
    _say(f"  SAE     {made.sae.get('architecture')}, {opened.n_features:,} features at {made.hook['name']}")
    _say(f"  corpus  {made.corpus['source']}; {made.corpus['mask']}")
    _say(
        f"  files   {sum(f.bytes for f in opened.manifest.files) / 1e6:.1f} MB, "
        + ("checksums right" if verify else "sizes right")
    )


@app.command()
def convert(
    old: Annotated[Path, typer.Argument(help="directory of an index of an earlier format; it is left as it is")],
    new: Annotated[Path, typer.Argument(help="directory to make")],
    codes: Annotated[bool, typer.Option(help="keep the codes by position, too")] = True,
) -> None:
    """Make an index of format 1 one of today's format."""
    from sae_vis.config import IndexConfig
    from sae_vis.index.convert import convert_index

    with _progress() as progress:
        made = convert_index(old, new, config=IndexConfig(codes=codes), progress=progress)
    _say_index(made, str(new))


@app.command()
def push(
    index: Annotated[Path, typer.Argument(help="index directory")],
    address: Annotated[str, typer.Argument(help="where to: hf://datasets/USER/NAME, s3://BUCKET/FOLDER, …")],
) -> None:
    """Upload an index; every command then reads it at that address."""
    from sae_vis.index.push import push_index

    with _progress() as progress:
        push_index(index, address, progress=progress)
    _say(f"{index} is at {address}")


def _parts(model: str, sae: str, hooks: tuple[str | None, str | None], dtype: str | None) -> ModelAndSae:
    from sae_vis.models.huggingface import load_model
    from sae_vis.parts import ModelAndSae
    from sae_vis.saes.formats import load_dictionary

    _hide_loading_bars()
    hook, hook_out = hooks
    return ModelAndSae(model=load_model(model, dtype=dtype), sae=load_dictionary(sae), hook=hook, hook_out=hook_out)


def _said_of_model(facts: dict[str, Any]) -> str:
    stored = f", stored in {facts['stored_dtype']}" if "stored_dtype" in facts else ""
    return f"{facts.get('name')}" + (f", run in {facts['dtype']}{stored}" if "dtype" in facts else "")


def _dictionaries(sae: str, match: str | None, *, every_layer: bool) -> dict[str, Dictionary]:
    """Those of every layer, where `sae` has them; empty where it is one dictionary."""
    from sae_vis.errors import InputError
    from sae_vis.saes.layers import is_layer_set, load_dictionaries

    if every_layer or is_layer_set(sae):
        return load_dictionaries(sae, match=match)
    if match is not None:
        raise InputError(f"--match chooses among the layers of --sae, but {sae} is one SAE: leave it out")
    return {}


def _dtype_of(index: Index) -> str | None:
    """In which dtype the index's model was run."""
    made = index.manifest.provenance.model or {}
    return str(made["dtype"]) if "dtype" in made else None


def _layout(path: Path | None) -> SaeVisLayoutConfig | None:
    from sae_vis.corpus.tokens import read_document
    from sae_vis.layout import SaeVisLayoutConfig

    return None if path is None else SaeVisLayoutConfig.from_json(read_document(path))


def main() -> None:
    """The command line; an error that a user can cause is one line and exit status 1."""
    try:
        app()
    except SaeVisError as error:
        _fail(str(error))
    except OSError as error:
        _fail(f"{error.strerror or error}" + (f": {error.filename}" if error.filename else ""))


def _fail(message: str) -> None:
    sys.stderr.write(f"sae-vis: {' '.join(message.split())}\n")
    raise SystemExit(1)


@contextmanager
def _progress() -> Iterator[Progress]:
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


def _hide_loading_bars() -> None:
    from transformers.utils import logging

    logging.disable_progress_bar()  # type: ignore[no-untyped-call]


def _say_indices(made: dict[str, Index], out: Path) -> None:
    for place, one in made.items():
        _say_index(one, place)
    _say(f"  pages: sae-vis feature {out / next(iter(made))} -o features.html")


def _say_index(index: Index, place: str = "") -> None:
    fires = int((index.column("n_firings") > 0).sum())
    n = int(index.column("n_firings").sum())
    silent = index.n_features - fires
    where = f"{place}: " if place else ""
    _say(f"{where}{index.n_features:,} features ({silent:,} never fire), {n:,} firings on {index.n_counted:,} tokens")


def _say(line: str) -> None:
    typer.echo(line)


if __name__ == "__main__":
    main()
