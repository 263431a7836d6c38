"""A site: minutes and bytes of building it, and what its screens ask for in Chromium, in requests and bytes.

Usage: python -m benchmarks.site (INDEX | --testbed [--tokens N]) [--out DIR] [--slice N] [--only slice|build|screens]
           [--workers N] [--token TEXT]

*slice*: CPU milliseconds of one core for a feature's card, and its bytes, over some files of cards; with ``--testbed``
(every feature of SmolLM2's SAE; where it stands is said in docs/dev-guide.md) also those of its direct effects, of
features that the index keeps none of yet. *build*: the whole site into ``--out``, which must be free or a site that is
gone on with. *screens*: the site from a server like Python's ``http.server``, one answer a connection, which neither
knows ranges nor compresses, in a fresh Chromium: what was asked for until rows of the table are on screen, then until
the first card is, and by one card, one search, one beginning of a word, one sort. Before a figure is printed the rows
and the card are compared with the index; a console message or a request to anywhere else ends the run.
"""

from __future__ import annotations

import argparse
import http.server
import os
import platform
import resource
import tempfile
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from benchmarks import page_sources
from benchmarks.page import chromium, expect, row
from sae_vis.api import Index
from sae_vis.index.index import Index as Queries
from sae_vis.parts import ModelAndSae

CACHE = Path.home() / ".cache" / "sae_vis" / "bench-page"
FILES = 12
WAITS = 120_000  # milliseconds that a screen may take
ROWS = "Array.from(document.querySelectorAll('.grid-row'), (row) => Number(row.dataset.feature))"


def main() -> None:
    """Command line."""
    options = arguments()
    row("machine", f"{platform.machine()}, {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}")
    with tempfile.TemporaryDirectory() as scratch:
        made = page_sources.testbed(CACHE, options.tokens) if options.testbed else None
        path = options.index if made is None else CACHE / f"testbed-{options.tokens}"
        index = Index.open(path)
        row("index", f"{path.name}: {index.n_features:,} features, {len(index.tokens):,} tokens")
        out = options.out or Path(scratch) / "site"
        if options.only in (None, "slice"):
            slices(path, None if made is None else made.parts, options.slice)
        if options.only in (None, "build"):
            build(path, out, partial(testbed_parts, options.tokens) if options.testbed else None, options.workers)
        if options.only in (None, "screens"):
            screens(index, out, options.token)


def arguments() -> argparse.Namespace:
    """Options of the command line."""
    parser = argparse.ArgumentParser(prog="benchmarks.site", description=__doc__.split("\n", 1)[0])
    parser.add_argument("index", type=Path, nargs="?")
    parser.add_argument("--testbed", action="store_true", help="the index of the real model, with direct effects")
    parser.add_argument("--tokens", type=int, default=65_536, help="of the real model's index")
    parser.add_argument("--out", type=Path, help="where the site is written to, and kept")
    parser.add_argument("--slice", type=int, default=FILES, help="files of cards that are timed by themselves")
    parser.add_argument("--only", choices=("slice", "build", "screens"))
    parser.add_argument("--workers", type=int)
    parser.add_argument("--token", help="what is searched for; default: a token of middling frequency")
    options = parser.parse_args()
    if (options.index is None) != options.testbed:
        parser.error("give an index, or --testbed")
    return options


def testbed_parts(n_tokens: int) -> ModelAndSae:
    """For each process that makes files."""
    return page_sources.testbed(CACHE, n_tokens).parts


def slices(path: Path, parts: ModelAndSae | None, n_files: int) -> None:
    """Milliseconds of CPU for a feature, one thread."""
    import torch

    from sae_vis.server.served import Desk, Served
    from sae_vis.site.files import CARDS, Files

    torch.set_num_threads(1)

    def timed(name: str, made: Callable[[str], bytes | None], numbers: list[int]) -> None:
        begun, n_bytes = time.process_time(), 0
        for number in numbers:
            n_bytes += len(made(f"cards/0/{number}.bin") or b"")
        features = CARDS * len(numbers)
        spent = f"{1000 * (time.process_time() - begun) / features:.2f} ms of CPU a feature"
        row(name, spent + (f", {n_bytes / features:,.0f} bytes" if n_bytes else ""))

    files = Files(Desk(Served(open=lambda: Index.open(path), title="", parts=parts)))
    n = Index.open(path).n_features // CARDS
    numbers = np.random.default_rng(0).choice(n, min(n_files, n), replace=False).tolist()
    files.make("cards/0/0.bin")  # what is read and worked out once
    timed("cards", files.make, numbers)
    if parts is not None:
        begun = time.process_time()
        files.compute_effects([f"cards/0/{number}.bin" for number in numbers], lambda _: None)
        spent = time.process_time() - begun
        row("effects", f"{spent:.0f} s of CPU for {CARDS * len(numbers)} features, computed together")
        files = Files(Desk(Served(open=lambda: Index.open(path), title="", parts=parts)))
        timed("cards with effects", files.make, numbers)


def build(path: Path, out: Path, parts: Callable[[], ModelAndSae] | None, workers: int | None) -> None:
    """The whole site, by the clock; then its files by kind."""
    from sae_vis.site.build import SiteSettings, save_site

    begun, spent, at = time.perf_counter(), cpu(), {}

    def note(stage: str, done: int, total: int) -> None:
        at[stage] = (time.perf_counter() - begun) / 60, (cpu() - spent) / 60

    report = save_site(path, out, parts=parts, settings=SiteSettings(workers=workers), progress=note)
    took = "; ".join(f"{stage} done after {clock:.1f} min, {own:.1f} of CPU" for stage, (clock, own) in at.items())
    row("build", f"{report.made:,} files made; {took}; with processes that ended {(cpu() - spent) / 60:.1f} of CPU")
    sizes(out, Index.open(path).n_features)


def cpu() -> float:
    """Seconds of CPU of this process and of those that it started and that have ended."""
    return sum(sum(resource.getrusage(who)[:2]) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))


def sizes(out: Path, n_features: int) -> None:
    """Files and bytes by kind."""
    kinds: dict[str, list[int]] = defaultdict(list)
    for file in out.rglob("*"):
        if file.is_file():
            kinds[kind_of(file.relative_to(out).as_posix())].append(file.stat().st_size)
    for kind, own in sorted(kinds.items(), key=lambda one: -sum(one[1])):
        row(f"  {kind}", f"{len(own):,} files, {sum(own):,} bytes, {sum(own) / n_features:,.1f} a feature")
    every = [size for own in kinds.values() for size in own]
    row("site", f"{len(every):,} files, {sum(every) / 1e6:,.1f} MB, {sum(every) / n_features:,.0f} bytes a feature")


def kind_of(path: str) -> str:
    """Of a file of a site: behind ``data/IDENTITY/``, what it is of."""
    parts = path.split("/")
    return parts[2] if len(parts) > 3 else parts[-1] or "index.html"


class Asked(NamedTuple):
    """A file that was sent."""

    path: str
    n_bytes: int


@contextmanager
def served(folder: Path) -> Iterator[tuple[str, list[Asked]]]:
    """The address of a folder, and all that has been sent of it."""
    sent: list[Asked] = []

    class Handler(http.server.SimpleHTTPRequestHandler):
        def copyfile(self, source: Any, outputfile: Any) -> None:  # noqa: ANN401
            data = source.read()
            outputfile.write(data)
            sent.append(Asked(self.path.lstrip("/"), len(data)))

        def log_message(self, *_: object) -> None:
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), partial(Handler, directory=str(folder)))
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/", sent
    finally:
        server.shutdown()
        server.server_close()


def screens(index: Queries, out: Path, token: str | None) -> None:
    """What each screen asks for."""
    sizes(out, index.n_features)
    order = np.argsort(-index.column("density").astype(np.float32), kind="stable")
    with served(out) as (address, sent), chromium() as browser:
        tab = browser.new_context(viewport={"width": 1500, "height": 950}).new_page()
        noise: list[str] = []
        tab.on("console", lambda message: noise.append(message.text))
        tab.on("pageerror", lambda error: noise.append(str(error)))
        tab.on("request", lambda one: one.url.startswith(address) or noise.append(f"asks for {one.url}"))
        tab.set_default_timeout(WAITS)
        # what comes later waits, so that what the first rows need is told from it
        tab.route("**/cards/**", lambda route: None)
        tab.route("**/columns/*", lambda route: None)
        tab.route("**/parts/*", lambda route: None)
        tab.goto(address)
        tab.locator(".grid-row").first.wait_for()
        expect(tab.evaluate(ROWS)[:10] == order[:10].tolist(), "the first rows are not those of the index")
        said("first rows", sent)
        tab.unroute_all(behavior="ignoreErrors")
        tab.reload()
        card(tab, index, int(order[0]))
        said("reloaded, first card and columns", sent)
        other = tab.evaluate(ROWS)[7]
        tab.locator(f'.grid-row[data-feature="{other}"]').click()
        card(tab, index, other)
        said("another card", sent)
        search(tab, index, token or middling(index), sent)
        search(tab, index, (token or middling(index))[:3], sent)
        tab.get_by_role("button", name="Max", exact=True).click()
        largest = int(np.argsort(-index.column("max"), kind="stable")[0])
        tab.locator(f'.grid-row[data-feature="{largest}"]').wait_for()
        said("sorted by another column", sent)
    expect(not noise, "\n".join(["the page is not quiet:", *noise]))


def card(tab: Any, index: Queries, feature: int) -> None:  # noqa: ANN401  Playwright's
    """Wait for the card of a feature, and look at it."""
    tab.locator(f'article[aria-label="Feature {feature}"][aria-busy="false"] .examples li').first.wait_for()
    words = f"{index.column('n_firings')[feature]:,} times"
    expect(words in tab.inner_text("article"), f"the card of feature {feature} does not say {words}")
    tab.wait_for_load_state("networkidle")


def search(tab: Any, index: Queries, words: str, sent: list[Asked]) -> None:  # noqa: ANN401
    """One search, compared with the index's own."""
    from sae_vis.explore.search import Search

    hits = {one.way: one for one in Search(index).find(words).hits}
    tab.get_by_role("searchbox").fill(words)
    tab.get_by_role("button", name=f"{len(hits['fires'].features):,} fire on it").wait_for()
    tab.get_by_role("button", name=f"{len(hits['pushes'].features):,} push it up").wait_for()
    best = hits["fires"].features
    if len(best):
        tab.locator(f'.grid-row[data-feature="{best[0]}"]').wait_for()
    tab.wait_for_load_state("networkidle")
    said(f"search for {words!r}", sent)
    tab.get_by_role("searchbox").fill("")
    tab.get_by_text(f"{index.n_features:,} of {index.n_features:,} features").wait_for()
    tab.wait_for_load_state("networkidle")
    sent.clear()


def middling(index: Queries) -> str:
    """A word of the vocabulary, neither frequent nor rare in the text."""
    from sae_vis.explore.search import spelled_words

    counts = np.bincount(index.tokens, minlength=1)
    ids, words = spelled_words(index)
    known = [(int(counts[token]), word) for token, word in zip(ids, words, strict=True) if token < len(counts)]
    longer = sorted(one for one in known if one[0] and len(one[1]) > 3 and one[1].isalnum())
    return longer[len(longer) * 9 // 10][1]


def said(name: str, sent: list[Asked]) -> None:
    """What was sent since the last line."""
    kinds: dict[str, list[int]] = defaultdict(list)
    for one in sent:
        kinds[kind_of(one.path)].append(one.n_bytes)
    each = ", ".join(f"{kind} {len(own)} of {sum(own):,}" for kind, own in kinds.items())
    row(name, f"{len(sent)} requests, {sum(one.n_bytes for one in sent):,} bytes: {each}")
    sent.clear()


if __name__ == "__main__":
    main()
