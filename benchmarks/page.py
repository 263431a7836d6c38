"""The feature page in a real Chromium: size, first picture, next feature, memory; correctness is checked first.

Usage: python -m benchmarks.page [--source testbed|demo | --page FILE] [--index DIR] [--features N] [--tokens N]
           [--loads N] [--steps N] [--changes N] [--variants] [--save FILE]

What the lines of the table mean:

- *first picture*: milliseconds from the start of the navigation (``performance.timeOrigin``), in a fresh browser
  context, to the first frame in which the open feature's card stands, by two clocks: the browser's own
  ``first-contentful-paint`` entry, and a message posted from the first animation frame after the card's heading has
  come into the document.
- *next feature, laid out*: from the key event's arrival in the page until its handlers have run and the document's
  style and layout have been brought up to date (forced by asking for a height). Scripts, style and layout; no paint.
- *next feature, painted*: from the key event's arrival to a message posted from the next animation frame, that is after
  this frame's paint on the main thread. It holds the wait for the frame, up to 16.7 ms on a screen of 60 Hz.
- *main thread a step*: busy time of the page's main thread over all steps divided by their number (the browser's
  ``TaskDuration``): with the rows made after the frame, and painting.
- *memory*: heap, DOM nodes and listeners after a forced garbage collection.
"""

from __future__ import annotations

import argparse
import dataclasses
import os
import platform
import re
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import median
from typing import Any

from sae_vis.errors import InputError
from sae_vis.layout import Column, SaeVisLayoutConfig, SeqMultiGroupConfig

CHROMIUM = Path("/usr/bin/chromium")
BLOCK = re.compile(r'<script type="text/plain" id="f(\d+)"')
SETTLED = 40  # milliseconds between steps: rows out of sight are made and the address is written in this time
MEMORY_AT = 5

# Runs before the page's own script. `settled` gives a message once the frame that follows is painted.
CLOCKS = """
window.bench = { card: null, steps: [] };
(() => {
  const painted = (then) => requestAnimationFrame(() => {
    const { port1, port2 } = new MessageChannel();
    port1.onmessage = () => then(performance.now());
    port2.postMessage(null);
  });
  const watcher = new MutationObserver(() => {
    if (document.querySelector("article.card h2") === null) return;
    watcher.disconnect();
    painted((at) => { bench.card = at; });
  });
  watcher.observe(document, { childList: true, subtree: true });
  let start = 0;
  const last = () => {
    window.removeEventListener("keydown", last);
    document.documentElement.getBoundingClientRect();
    const step = { laidOut: performance.now() - start, painted: null };
    step.words = document.querySelector("article h2").textContent;
    step.rows = document.querySelectorAll(".examples li").length;
    bench.steps.push(step);
    painted((at) => { step.painted = at - start; });
  };
  window.addEventListener("keydown", () => {
    start = performance.now();
    window.addEventListener("keydown", last); // behind the page's own listener, which is there already
  }, { capture: true });
})();
"""


@dataclasses.dataclass(frozen=True)
class Tab:
    """An open page and its line to the browser.

    Attributes:
        tab: Playwright's page.
        devtools: a session of Chrome's DevTools protocol, which the page's policy does not bind.
        noise: console messages, errors and outside requests so far; must stay empty.
    """

    tab: Any
    devtools: Any
    noise: list[str]

    def metrics(self) -> dict[str, float]:
        """Counters of Chrome's ``Performance`` domain."""
        found = self.devtools.send("Performance.getMetrics")["metrics"]
        return {metric["name"]: metric["value"] for metric in found}

    def wait(self, expression: str) -> Any:  # noqa: ANN401  whatever the expression gives
        """Ask until an expression holds (the page's policy forbids Playwright's own way, which polls by eval)."""
        for _ in range(1000):
            value = self.tab.evaluate(expression)
            if value:
                return value
            self.tab.wait_for_timeout(10)
        raise SystemExit(f"never true on the page: {expression}")


def main() -> None:
    """Command line."""
    options = arguments()
    with tempfile.TemporaryDirectory() as scratch:
        file, origin, made = the_page(options, Path(scratch))
        ids = [int(name) for name in BLOCK.findall(file.read_text(encoding="utf-8"))]
        size = file.stat().st_size
        with chromium() as browser:
            row("machine", f"{platform.machine()}, {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}")
            row("versions", f"sae_vis {version()}, Chromium {browser.version}, Python {platform.python_version()}")
            row("page", f"{origin}; {len(ids)} features, default layout" if made else origin)
            row("size", f"{size / 1024:,.0f} KB, {size / 1024 / len(ids):.2f} KB a feature, script and style included")
            check(browser, file, ids)
            row("checked", "feature of each step, outline of its card, no console message, no outside request")
            first_picture(browser, file, options.loads)
            next_feature(browser, file, ids, options.steps)
            memory(browser, file, options.changes)
        if options.variants and made:
            variants(made, Path(scratch), options.features)


def arguments() -> argparse.Namespace:
    """Options of the command line."""
    parser = argparse.ArgumentParser(prog="benchmarks.page", description=__doc__.split("\n", 1)[0])
    parser.add_argument("--source", choices=("testbed", "demo"), default="testbed")
    parser.add_argument("--page", type=Path, help="measure this file instead")
    cache = Path.home() / ".cache" / "sae_vis" / "bench-page"
    parser.add_argument("--index", type=Path, default=cache, help="where indices are kept between runs")
    parser.add_argument("--save", type=Path, help="keep the page in this file")
    numbers = {"features": 256, "tokens": 65_536, "loads": 9, "steps": 240, "changes": 1000}
    for name, default in numbers.items():
        parser.add_argument(f"--{name}", type=int, default=default)
    parser.add_argument("--variants", action="store_true", help="bytes a feature of other layouts, too")
    return parser.parse_args()


def version() -> str:
    """The package's version."""
    import sae_vis

    return sae_vis.__version__


def the_page(options: argparse.Namespace, scratch: Path) -> tuple[Path, str, Any]:
    """The file to measure, what it is, and the index it was made from (None for a given file)."""
    if options.page:
        return options.page.resolve(), str(options.page), None
    from benchmarks import page_sources
    from sae_vis.api import save_feature_page

    make = page_sources.testbed if options.source == "testbed" else page_sources.demo_index
    made = make(options.index, options.tokens)
    file = (options.save or scratch / "page.html").resolve()
    save_feature_page(made.index, file, features=options.features, parts=made.parts)
    return file, made.name, made


def row(name: str, value: str) -> None:
    """One line of the table."""
    print(f"{name:28s} {value}", flush=True)


@contextmanager
def chromium() -> Iterator[Any]:
    """A headless browser: Debian's, or Playwright's own."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        given = {"executable_path": str(CHROMIUM)} if CHROMIUM.exists() else {}
        browser = playwright.chromium.launch(args=["--no-sandbox", "--disable-gpu"], **given)
        yield browser
        browser.close()


@contextmanager
def opened(browser: Any, file: Path, *, clocks: bool = True) -> Iterator[Tab]:  # noqa: ANN401  Playwright's
    """The page in a fresh, offline context. Fails on a console message or a request outside the file."""
    context = browser.new_context(offline=True, viewport={"width": 1500, "height": 950})
    noise: list[str] = []
    tab = context.new_page()
    tab.on("console", lambda message: noise.append(f"console {message.type}: {message.text}"))
    tab.on("pageerror", lambda error: noise.append(f"error: {error}"))
    tab.on("request", lambda request: request.url.startswith(file.as_uri()) or noise.append(f"asks for {request.url}"))
    if clocks:
        tab.add_init_script(CLOCKS)
    devtools = context.new_cdp_session(tab)
    devtools.send("Performance.enable")
    tab.goto(file.as_uri())
    page = Tab(tab, devtools, noise)
    page.wait("document.querySelector('article.card h2') !== null")
    yield page
    context.close()
    if noise:
        raise SystemExit("\n".join(["the page is not quiet:", *noise]))


def check(browser: Any, file: Path, ids: list[int]) -> None:  # noqa: ANN401
    """Right feature, right number of firings and of examples, read by another decoder than the page's own."""
    from tests.fixtures.page_decoder import read_page

    _, views = read_page(file.read_text(encoding="utf-8"))
    for feature in ids[:: max(len(ids) // 8, 1)]:
        with opened(browser, file, clocks=False) as open_page:
            open_page.tab.evaluate(f"location.hash = 'f={feature}'")
            open_page.wait(f"document.querySelector('article h2').textContent === 'Feature {feature}'")
            view = views[feature]
            n_examples = sum(len(group.contexts.focus) for group in view.sequences)
            open_page.wait(f"document.querySelectorAll('.examples li').length === {n_examples}")
            words = open_page.tab.inner_text("article")
            expect(
                f"{view.stats.n_firings:,} firing" in words, f"feature {feature}: its number of firings is not shown"
            )


def expect(holds: bool, otherwise: str) -> None:
    """End the benchmark where the page is wrong: times of a wrong page mean nothing."""
    if not holds:
        raise SystemExit(otherwise)


def first_picture(browser: Any, file: Path, n_loads: int) -> None:  # noqa: ANN401
    """Milliseconds from navigation to the card's first frame."""
    paints, frames = [], []
    for _ in range(n_loads + 1):
        with opened(browser, file) as page:
            frames.append(page.wait("bench.card"))
            entry = "performance.getEntriesByName('first-contentful-paint')[0]?.startTime"
            paints.append(page.wait(entry))
    times("first picture (contentful)", paints[1:], "median")
    times("first picture (card's frame)", frames[1:], "median")


def times(name: str, values: list[float], *figures: str) -> None:
    """A line of milliseconds: how many were taken, and some figures of them."""
    ordered = sorted(values)
    known = {
        "median": median(ordered),
        "p95": ordered[min(int(0.95 * len(ordered)), len(ordered) - 1)],
        "max": ordered[-1],
    }
    said = ", ".join(f"{figure} {known[figure]:.1f}" for figure in (*figures, "max"))
    row(name, f"{said} ms ({len(ordered)} times)")


def next_feature(browser: Any, file: Path, ids: list[int], n_steps: int) -> None:  # noqa: ANN401
    """Real key presses, one at a time, each measured inside the page."""
    with opened(browser, file) as page:
        for _ in range(10):  # the script's first runs are interpreted
            page.tab.keyboard.press("ArrowRight")
            page.tab.wait_for_timeout(SETTLED)
        page.tab.evaluate("bench.steps.length = 0")
        before = page.metrics()
        for _ in range(n_steps):
            page.tab.keyboard.press("ArrowRight")
            page.tab.wait_for_timeout(SETTLED)
        after = page.metrics()
        page.wait(f"bench.steps.length === {n_steps} && bench.steps.every((step) => step.painted !== null)")
        steps = page.tab.evaluate("bench.steps")
    for i, step in enumerate(steps):
        shown, expected = step["words"], f"Feature {ids[(11 + i) % len(ids)]}"
        expect(shown == expected, f"step {i} laid out {shown!r}, expected {expected!r}")
    times("next feature, laid out", [step["laidOut"] for step in steps], "median", "p95")
    times("next feature, painted", [step["painted"] for step in steps], "median", "p95")
    busy = {name: (after[name] - before[name]) * 1000 / n_steps for name in after if name.endswith("Duration")}
    row(
        "main thread a step",
        f"{busy['TaskDuration']:.1f} ms, of it script {busy['ScriptDuration']:.1f}, "
        f"style {busy['RecalcStyleDuration']:.1f}, layout {busy['LayoutDuration']:.1f}",
    )


def memory(browser: Any, file: Path, n_changes: int) -> None:  # noqa: ANN401
    """Heap, nodes and listeners while features change, after a forced collection each time."""
    with opened(browser, file, clocks=False) as page:
        for part in range(MEMORY_AT):
            if part:
                for _ in range(n_changes // (MEMORY_AT - 1)):
                    page.tab.keyboard.press("ArrowRight")
            page.tab.wait_for_timeout(200)
            for _ in range(2):
                page.devtools.send("HeapProfiler.collectGarbage")
            found = page.metrics()
            row(
                f"after {part * n_changes // (MEMORY_AT - 1):,} changes",
                f"heap {found['JSHeapUsedSize'] / 1e6:.2f} MB, {found['Nodes']:,.0f} nodes, "
                f"{found['JSEventListeners']:,.0f} listeners",
            )


def variants(made: Any, scratch: Path, n_features: int) -> None:  # noqa: ANN401  page_sources.Made
    """Bytes a feature when the default layout's examples are given other options."""
    from sae_vis.api import save_feature_page

    options: dict[str, dict[str, Any]] = {
        "default": {},
        "buffer=(5, 5)": {"buffer": (5, 5)},
        "buffer=(16, 16)": {"buffer": (16, 16)},
        "buffer=None": {"buffer": None},
        "top_acts_group_size=50": {"top_acts_group_size": 50},
        "n_quantiles=0": {"n_quantiles": 0},
        "expand=16": {"expand": 16},
        'expand="sequence"': {"expand": "sequence"},
    }
    for name, changed in options.items():
        layout = with_examples(changed)
        if layout is None:
            continue
        report = save_feature_page(
            made.index, scratch / "variant.html", features=n_features, parts=made.parts, layout=layout
        )
        row(f"layout {name}", f"{report.bytes / n_features / 1024:.2f} KB a feature, script and style included")


def with_examples(changed: dict[str, Any]) -> SaeVisLayoutConfig | None:
    """The default layout with changed options of its examples; None where this version has no such option."""
    default = SaeVisLayoutConfig.default_feature_centric_layout()
    try:
        examples = SeqMultiGroupConfig(**changed)
    except (TypeError, InputError) as error:
        row(f"layout {changed}", f"not in this version: {error}")
        return None
    columns = [
        Column(*(examples if isinstance(c, SeqMultiGroupConfig) else c for c in column), width=column.width)
        for column in default.columns
    ]
    return SaeVisLayoutConfig(columns)


if __name__ == "__main__":
    main()
