"""Every command by name. What a command needs is imported when it is called, so that ``--help`` is quick."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from sae_vis.cli.explaining import explanations
from sae_vis.cli.indexing import index
from sae_vis.cli.mapping import make_map
from sae_vis.cli.options import N_FEATURES, IndexAt, Out
from sae_vis.cli.pages import compare, feature, prompt
from sae_vis.cli.planning import capacity
from sae_vis.cli.said import hide_loading_bars, progress_bars, said_of_model, say, say_index
from sae_vis.cli.serving import end_at_once, serve
from sae_vis.cli.sites import site
from sae_vis.cli.spelled_out import spelled_out
from sae_vis.errors import SaeVisError

BEGIN, READ, ADD, SHARE, CARE = "Begin", "Read", "Add to an index", "Share", "Look after an index"  # groups of the help

app = typer.Typer(
    name="sae-vis",
    help="See what the features of a sparse autoencoder mean.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)


@app.callback()
def _commands() -> None:
    """Make every command a named one."""


@app.command(rich_help_panel=BEGIN)
def demo(
    out: Out = Path("sae-vis-demo"),
    every: Annotated[bool, typer.Option("--all", help="show every feature that fires")] = False,
    serve: Annotated[bool, typer.Option("--serve", help="then open both indices in the browser, live")] = False,
    browser: Annotated[bool, typer.Option(help="with --serve: open the page in a browser")] = True,
) -> None:
    """Try everything on the embedded model: index its SAEs, write pages of their features and of a prompt."""
    if serve:
        from sae_vis.server.run import require_packages

        require_packages()
    from sae_vis.demo.run import is_made, serve_demo

    hide_loading_bars()
    if every or not (serve and is_made(out)):
        _make_demo(out, None if every else N_FEATURES)
    if serve:
        serve_demo(out, open_browser=browser)
        end_at_once()


def _make_demo(out: Path, features: int | None) -> None:
    """Indices and pages of the demo, with words on what to look at."""
    from sae_vis.demo.run import SAES, demo_corpus, run_demo

    text = demo_corpus(labels=True)
    for sae in SAES:
        with progress_bars() as progress:
            result = run_demo(sae, text, out, features=features, progress=progress)
        say_index(result.index)
        say(f"  {sae.reads}: open {result.page.path.resolve()}")
        say(f"  the same on one prompt: open {result.prompt.path.resolve()}")
    say("  look first at features 1594, 1945 and 111 of features-resid.html: open it with a double click")
    say("  next: sae-vis demo --serve opens the explorer with all features (pip install 'sae-vis[serve]')")


app.command(rich_help_panel=BEGIN)(spelled_out(index))
app.command(rich_help_panel=BEGIN)(capacity)
app.command(rich_help_panel=READ)(spelled_out(serve))
app.command(rich_help_panel=READ)(spelled_out(feature))
app.command(rich_help_panel=READ)(spelled_out(prompt))
app.command(rich_help_panel=READ)(spelled_out(compare))


@app.command(rich_help_panel=READ)
def labels(
    index: IndexAt,
    labelling: Annotated[str | None, typer.Argument(help="labelling to rank by; default: list the labellings")] = None,
    label: Annotated[str | None, typer.Option(help="rank by how much a feature prefers this label")] = None,
    by: Annotated[
        str, typer.Option(help="unevenness (bits per firing) or information (bits per token)")
    ] = "unevenness",
    count: Annotated[int, typer.Option("--count", "-n", help="how many features to list")] = 20,
) -> None:
    """List the labels of an index's text, or the features that fire most unevenly over them."""
    from sae_vis.index.index import Index
    from sae_vis.views.label_lists import labelling_lines, rank_lines

    opened = Index.open(index, verify="sizes")
    lines = labelling_lines(opened) if labelling is None else rank_lines(opened, labelling, label, by, count)
    for line in lines:
        say(line)


@app.command(rich_help_panel=READ)
def search(
    index: IndexAt,
    phrase: Annotated[str, typer.Argument(help="text to look for; include the space before a word")],
    rank: Annotated[
        str,
        typer.Option(help="rank by lift (fires there more than elsewhere), count, or mass (sum of activations there)"),
    ] = "lift",
    count: Annotated[int, typer.Option("--count", "-n", help="how many features to list")] = 20,
    matches: Annotated[int, typer.Option(min=0, help="how many matches to show")] = 5,
    exact: Annotated[bool, typer.Option("--exact", help="only matches that begin and end where tokens do")] = False,
    last: Annotated[bool, typer.Option("--last", help="rank features on the last token of each match only")] = False,
    ignore_case: Annotated[bool, typer.Option("--ignore-case", help="ignore the case of the letters A to Z")] = False,
) -> None:
    """Find a phrase in an index's text, and the features that fire there."""
    from sae_vis.index.index import Index
    from sae_vis.views.search_lines import feature_lines, match_lines, times

    opened = Index.open(index, verify="sizes")
    found = opened.find_text(phrase, ignore_case=ignore_case)
    chosen = found.rows(found.exact) if exact else found
    positions = chosen.stops - 1 if last else chosen.positions
    ranked = feature_lines(opened, positions, rank, count)
    if exact and len(chosen.starts) == 0 < len(found.starts):
        say(f"{phrase!r} stands {times(len(found.starts))} in the text, never as whole tokens: leave out --exact")
        return
    for line in match_lines(opened, phrase, chosen, matches) + (ranked if len(chosen.starts) else []):
        say(line)


app.command("map", rich_help_panel=ADD)(make_map)
app.command(rich_help_panel=ADD)(explanations)
app.command(rich_help_panel=SHARE)(spelled_out(site))


@app.command(rich_help_panel=CARE)
def info(
    index: IndexAt,
    verify: Annotated[bool, typer.Option(help="check every file against its checksum")] = True,
) -> None:
    """Say what an index was made from, and check that it is complete."""
    from sae_vis.index.index import Index

    opened = Index.open(index, verify="contents" if verify else "sizes")
    made = opened.manifest.provenance
    say_index(opened)
    say(f"  model   {said_of_model(made.model or {})}")
    acts = "" if opened.acts_dtype == "float32" else f"; activations rounded to {opened.acts_dtype}"
    say(f"  SAE     {made.sae.get('architecture')}, {opened.n_features:,} features at {made.hook['name']}{acts}")
    say(f"  corpus  {made.corpus['source']}; {made.corpus['mask']}")
    say(
        f"  files   {sum(f.bytes for f in opened.manifest.files) / 1e6:.1f} MB, "
        + ("checksums right" if verify else "sizes right")
    )


@app.command(rich_help_panel=CARE)
def convert(
    old: Annotated[Path, typer.Argument(help="directory of the old index; it is not changed")],
    new: Annotated[Path, typer.Argument(help="directory for the new index")],
    codes: Annotated[bool, typer.Option(help="also keep the codes by position")] = True,
) -> None:
    """Convert an index of format 1 to the current format."""
    from sae_vis.config import IndexConfig
    from sae_vis.index.convert import convert_index

    with progress_bars() as progress:
        made = convert_index(old, new, config=IndexConfig(codes=codes), progress=progress)
    say_index(made, str(new))


@app.command(rich_help_panel=SHARE)
def push(
    index: Annotated[Path, typer.Argument(help="index directory")],
    address: Annotated[str, typer.Argument(help="target: hf://datasets/USER/NAME, s3://BUCKET/FOLDER, …")],
) -> None:
    """Upload an index. Every command can then read it at that address."""
    from sae_vis.index.push import push_index

    with progress_bars() as progress:
        push_index(index, address, progress=progress)
    say(f"{index} is at {address}")


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
