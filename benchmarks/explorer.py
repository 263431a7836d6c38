"""The explorer in a real Chromium: first row, sort, next feature; correctness is checked first.

Usage: python -m benchmarks.explorer ADDRESS [ADDRESS …] [--loads N] [--sorts N] [--steps N]

Each address is that of a running explorer, as ``sae-vis serve`` or ``sae-vis demo --serve`` prints it, or of a site. Of
several the ratios to the first are told: start the server of another commit beside that of this one, and name it first.
They are measured in turn within each round, so that whatever else the machine does meets all of them.

What the lines of the table mean:

- *first row, in the document* and *painted*: milliseconds from the start of the navigation
  (``performance.timeOrigin``), in a browser that was started for it (no compiled script is kept), to the table's first
  row.
- *sort*, *next feature*, *laid out*: from the event's arrival in the page (a click on a column's head; an arrow key in
  the table) until its handlers have run and style and layout have been brought up to date, which is forced by asking
  for a height. The next feature's card must stand then, from data that was fetched ahead.
- *painted*: from the same moment to a message posted from the next animation frame. It holds the wait for the frame, up
  to 16.7 ms on a screen of 60 Hz.
- *main thread*: the page's busy time by the browser's counters.
- *asked for*: bytes and files until the first row is there, and all that the page asks for within a second after.
"""

from __future__ import annotations

import argparse
import os
import platform
from collections.abc import Iterator
from contextlib import contextmanager
from statistics import median
from typing import Any, NamedTuple

from benchmarks.page import Tab, chromium, expect, row, version

SETTLED = 350  # milliseconds between steps: cards are fetched ahead, the address is written
KEYS = ("Max", "Density")  # heads of columns that are clicked in turn

# Runs before the page's own script. What an event leads to is laid out when the message comes that was posted at its
# start: its handlers, and what they left to be done at once, have run before.
CLOCKS = """
window.bench = { row: null, rowPainted: null, took: [] };
(() => {
  const posted = (then) => {
    const { port1, port2 } = new MessageChannel();
    port1.onmessage = () => then(performance.now());
    port2.postMessage(null);
  };
  const painted = (then) => requestAnimationFrame(() => posted(then));
  const watcher = new MutationObserver(() => {
    if (document.querySelector(".grid-row") === null) return;
    watcher.disconnect();
    bench.row = performance.now();
    painted((at) => { bench.rowPainted = at; });
  });
  watcher.observe(document, { childList: true, subtree: true });
  const timed = () => {
    const start = performance.now();
    const took = { laidOut: null, painted: null };
    bench.took.push(took);
    posted(() => {
      document.documentElement.getBoundingClientRect();
      took.laidOut = performance.now() - start;
      took.first = document.querySelector(".grid-row")?.dataset.feature;
      took.row = document.querySelector(".grid-row.current")?.dataset.feature;
      took.card = document.querySelector("article.card h2")?.textContent;
      took.busy = document.querySelector("article.card")?.getAttribute("aria-busy");
      took.examples = document.querySelectorAll("article.card .examples li").length;
    });
    painted((at) => { took.painted = at - start; });
  };
  for (const kind of ["keydown", "click"]) window.addEventListener(kind, timed, { capture: true });
})();
"""


class Measured(NamedTuple):
    """Milliseconds, one for each time, by what was done."""

    times: dict[str, list[float]]
    asked: dict[str, float]


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(prog="benchmarks.explorer", description=__doc__.split("\n", 1)[0])
    parser.add_argument("addresses", nargs="+", metavar="ADDRESS")
    for name, default in {"loads": 7, "sorts": 12, "steps": 30}.items():
        parser.add_argument(f"--{name}", type=int, default=default)
    options = parser.parse_args()
    found = [Measured({}, {}) for _ in options.addresses]
    for _ in range(options.loads):
        for address, measured in zip(options.addresses, found, strict=True):
            with chromium() as browser, opened(browser, address) as page:
                first_row(page, measured)
                said = browser.version
    row("machine", f"{platform.machine()}, {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}")
    row("versions", f"sae_vis {version()}, Chromium {said}, Python {platform.python_version()}")
    for address, measured in zip(options.addresses, found, strict=True):
        with chromium() as browser, opened(browser, address) as page:
            sorts(page, options.sorts, measured)
            steps(page, options.steps, measured)
    row("checked", "rows and card of each step, order of each sort, no console message, no outside request")
    table(options.addresses, found)


@contextmanager
def opened(browser: Any, address: str) -> Iterator[Tab]:  # noqa: ANN401  Playwright's
    """The explorer in a fresh context, its first row there. Fails on a console message or an outside request."""
    context = browser.new_context(viewport={"width": 1600, "height": 950})
    noise: list[str] = []
    tab = context.new_page()
    tab.on("console", lambda message: noise.append(f"console {message.type}: {message.text}"))
    tab.on("pageerror", lambda error: noise.append(f"error: {error}"))
    tab.on("request", lambda request: request.url.startswith(address) or noise.append(f"asks for {request.url}"))
    tab.add_init_script(CLOCKS)
    devtools = context.new_cdp_session(tab)
    devtools.send("Performance.enable")
    tab.goto(address)
    page = Tab(tab, devtools, noise)
    page.wait("bench.rowPainted !== null")
    page.wait("document.querySelector('article.card[aria-busy=false]') !== null")
    yield page
    context.close()
    if noise:
        raise SystemExit("\n".join(["the page is not quiet:", *noise]))


def first_row(page: Tab, measured: Measured) -> None:
    """From navigation to the first row, and what was asked for till then."""
    _add(measured, "first row, in the document", page.tab.evaluate("bench.row"))
    _add(measured, "first row, painted", page.tab.evaluate("bench.rowPainted"))
    page.tab.wait_for_timeout(1000)
    files = page.tab.evaluate(
        "performance.getEntries().filter((one) => one.transferSize !== undefined)"
        ".map((one) => [one.name, one.responseEnd, one.decodedBodySize])"
    )
    early = [size for _, end, size in files if end <= page.tab.evaluate("bench.row")]
    measured.asked["files until the first row"] = len(early)
    measured.asked["KB until the first row"] = sum(early) / 1000
    measured.asked["KB within a second after"] = sum(size for *_, size in files) / 1000


def sorts(page: Tab, n: int, measured: Measured) -> None:
    """Clicks on two columns' heads in turn: sorted down by each, then up."""
    seen = set()
    for i in range(n + 2):
        head = page.tab.get_by_role("columnheader").get_by_role("button", name=KEYS[i % 2])
        took = _after(page, head.click)
        seen.add(took["first"])
        if i >= 2:  # the script's first runs are interpreted, and columns fetched
            _add(measured, "sort, laid out", took["laidOut"])
            _add(measured, "sort, painted", took["painted"])
    expect(len(seen) > 1, "the table's first row is the same in every order")


def steps(page: Tab, n: int, measured: Measured) -> None:
    """Arrow keys in the table; the card of each must stand when the event is done."""
    page.tab.locator("[role=grid]").focus()
    for _ in range(8):  # the script's first runs are interpreted
        _after(page, lambda: page.tab.keyboard.press("ArrowDown"))
    before = page.metrics()
    late = 0
    for i in range(n):
        took = _after(page, lambda: page.tab.keyboard.press("ArrowDown"))
        expect(took["card"] == f"Feature {took['row']}", f"step {i}: row {took['row']}, but the card is {took['card']}")
        late += took["busy"] != "false"
        _add(measured, "next feature, laid out", took["laidOut"])
        _add(measured, "next feature, painted", took["painted"])
    after = page.metrics()
    for name in ("TaskDuration", "ScriptDuration", "RecalcStyleDuration", "LayoutDuration"):
        words = name.removesuffix("Duration").lower()
        _add(measured, f"main thread a step, {words}", (after[name] - before[name]) * 1000 / n)
    measured.asked["steps whose card was not there"] = late


def _after(page: Tab, act: Any) -> dict[str, Any]:  # noqa: ANN401  a function of Playwright's
    """What a real event took, once the page is at rest again."""
    page.tab.evaluate("bench.took.length = 0")
    act()
    page.wait("bench.took.length > 0 && bench.took.every((one) => one.painted !== null && one.laidOut !== null)")
    page.tab.wait_for_timeout(SETTLED)
    found: dict[str, Any] = page.tab.evaluate("bench.took[0]")
    return found


def _add(measured: Measured, name: str, value: float) -> None:
    measured.times.setdefault(name, []).append(value)


def table(addresses: list[str], found: list[Measured]) -> None:
    """Medians in milliseconds, and of several explorers their ratios to the first."""
    for i, address in enumerate(addresses):
        row(f"explorer {i + 1}", address)
    for name in found[0].times:
        medians = [median(one.times[name]) for one in found]
        least = [min(one.times[name]) for one in found]
        said = ", ".join(f"{value:.1f} ms (least {low:.1f})" for value, low in zip(medians, least, strict=True))
        ratios = "".join(f"; {value / medians[0]:.2f} of the first" for value in medians[1:])
        row(name, f"{said}{ratios}")
    for name in found[0].asked:
        row(name, ", ".join(f"{one.asked[name]:,.0f}" for one in found))


if __name__ == "__main__":
    main()
