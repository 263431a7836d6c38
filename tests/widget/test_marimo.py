"""The widget in a real marimo app."""

from __future__ import annotations

import re
import subprocess
import sys
import time

import numpy as np
import pytest

pytest.importorskip("marimo")
pytest.importorskip("anywidget")

pytestmark = pytest.mark.widget
WAITS = 90  # seconds that a server may take to start
APP = """\
import marimo

app = marimo.App()


@app.cell
def _():
    import marimo as mo
    from sae_vis import Index

    w = Index.open({path!r}).explore(selected=3)
    chosen = mo.ui.anywidget(w)
    chosen
    return chosen, mo, w


@app.cell
def _(mo, w):
    button = mo.ui.button(label="Seventeen", on_click=lambda _: setattr(w, "selected", 17))
    button
    return (button,)


@app.cell
def _(chosen, mo):
    mo.md(f"Python says {{chosen.value['selected']}}")
    return


if __name__ == "__main__":
    app.run()
"""


@pytest.fixture
def address(index, tmp_path):
    app = tmp_path / "app.py"
    app.write_text(APP.format(path=str(index._store.root)))
    with (tmp_path / "log").open("w") as log:
        run = [sys.executable, "-m", "marimo", "run", str(app), "--headless", "--no-token", "--host", "127.0.0.1"]
        server = subprocess.Popen(run, stdout=log, stderr=log, cwd=tmp_path)
    try:
        yield said_address(tmp_path / "log", server)
    finally:
        server.terminate()
        server.wait(timeout=30)


def said_address(log, server) -> str:
    ends = time.monotonic() + WAITS
    while time.monotonic() < ends and server.poll() is None:
        found = re.search(r"http://[\w.]+:\d+", log.read_text())
        if found:
            return found[0]
        time.sleep(0.1)
    raise RuntimeError(f"marimo did not start: {log.read_text()[-2000:]}")


def test_the_page_and_python_say_the_same(chromium, address, index):
    noise = []
    context = chromium.new_context(viewport={"width": 1500, "height": 950})
    tab = context.new_page()
    tab.set_default_timeout(60_000)
    tab.on("pageerror", lambda error: noise.append(str(error)))
    tab.goto(address)
    tab.locator('article[aria-label="Feature 3"][aria-busy="false"] .examples li').first.wait_for()
    order = np.argsort(-index.column("density").astype(np.float32), kind="stable").tolist()
    tab.locator("#row-3.current").wait_for()  # from then on it is known which row comes next
    tab.get_by_role("grid").press("ArrowDown")
    after = order[order.index(3) + 1]
    tab.locator(f'article[aria-label="Feature {after}"][aria-busy="false"]').wait_for()
    tab.get_by_text(f"Python says {after}").wait_for()
    tab.get_by_role("button", name="Seventeen").click()
    tab.locator('article[aria-label="Feature 17"][aria-busy="false"]').wait_for()
    assert tab.url.rstrip("/") == address
    context.close()
    assert noise == []
