"""JupyterLab as people use it: a server of a folder of notebooks, and a notebook of it in Chromium."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

TOKEN = "sae-vis-tests"
WAITS = 90  # seconds that a server may take to start
SETTINGS = (
    "--no-browser",
    "--ip=127.0.0.1",
    "--port=0",
    "--ServerApp.allow_root=True",
    f"--IdentityProvider.token={TOKEN}",
    "--LabApp.expose_app_in_browser=True",
    "--LabApp.extension_manager=readonly",
    "--LabApp.news_url=None",
)


@contextmanager
def lab_server(folder: Path) -> Iterator[str]:
    """The address of a JupyterLab whose notebooks are in a folder; its own settings are in there, too."""
    home = folder / ".jupyter"
    own = {name: str(home / name) for name in ("JUPYTER_CONFIG_DIR", "JUPYTER_RUNTIME_DIR", "IPYTHONDIR")}
    environment = {**os.environ, **own, "JUPYTERLAB_SETTINGS_DIR": str(home / "settings")}
    with (folder / "server.log").open("w") as log:
        server = subprocess.Popen(
            [sys.executable, "-m", "jupyterlab", *SETTINGS, f"--ServerApp.root_dir={folder}"],
            env=environment,
            stdout=log,
            stderr=log,
        )
    try:
        yield _address(folder / "server.log", server)
    finally:
        server.terminate()
        server.wait(timeout=30)


def _address(log: Path, server: subprocess.Popen[bytes]) -> str:
    ends = time.monotonic() + WAITS
    while time.monotonic() < ends and server.poll() is None:
        found = re.search(r"http://127\.0\.0\.1:(\d+)/lab", log.read_text())
        if found:
            address = f"http://127.0.0.1:{found[1]}"
            try:
                urllib.request.urlopen(f"{address}/api?token={TOKEN}", timeout=5).close()
            except OSError:
                pass
            else:
                return address
        time.sleep(0.1)
    raise RuntimeError(f"JupyterLab did not start: {log.read_text()[-2000:]}")


def write_notebook(path: Path, cells: list[str]) -> None:
    """A notebook of these cells, not run."""
    made = [
        {
            "cell_type": "code",
            "id": f"cell{i}",
            "metadata": {},
            "execution_count": None,
            "outputs": [],
            "source": source,
        }
        for i, source in enumerate(cells)
    ]
    kernel = {"name": "python3", "display_name": "Python 3", "language": "python"}
    path.write_text(json.dumps({"cells": made, "metadata": {"kernelspec": kernel}, "nbformat": 4, "nbformat_minor": 5}))


class Notebook:
    """A notebook that is open in Chromium.

    Attributes:
        tab: its page.
    """

    def __init__(self, tab: Any, address: str, path: Path) -> None:
        self.tab, self.path = tab, path
        tab.goto(f"{address}/doc/tree/{path.name}?token={TOKEN}&reset")
        tab.wait_for_function(
            "window.jupyterapp?.shell?.currentWidget?.sessionContext?.session?.kernel?.status === 'idle'"
        )

    def do(self, command: str, **arguments: Any) -> None:
        """A command of JupyterLab's own."""
        self.tab.evaluate("([name, given]) => jupyterapp.commands.execute(name, given)", [command, arguments])

    def run(self) -> None:
        """All cells, to their end."""
        self.do("notebook:run-all-cells")
        self.ended()

    def ended(self) -> None:
        """Wait until the kernel has nothing to do, and no cell waits for it."""
        self.tab.wait_for_function(
            """() => {
              const panel = jupyterapp.shell.currentWidget;
              const cells = panel.content.widgets.map((cell) => cell.model);
              const ran = cells.every((cell) => cell.executionCount !== null || cell.sharedModel.getSource() === '');
              return ran && panel.sessionContext.session?.kernel?.status === 'idle';
            }"""
        )

    def python(self, code: str) -> str:
        """What the kernel prints when it runs this, in no cell."""
        return self.tab.evaluate(
            """async (code) => {
              const kernel = jupyterapp.shell.currentWidget.sessionContext.session.kernel;
              let said = '';
              const future = kernel.requestExecute({ code, silent: false, store_history: false });
              future.onIOPub = ({ header, content }) => {
                if (header.msg_type === 'stream') said += content.text;
                if (header.msg_type === 'error') said += content.traceback.join('\\n');
              };
              await future.done;
              return said;
            }""",
            code,
        )

    def explorer(self, number: int = 0) -> Any:
        """The page of a widget."""
        return self.tab.locator(".jp-OutputArea .page").nth(number)

    def save(self) -> dict[str, Any]:
        """The notebook as it is on disk then."""
        self.tab.evaluate("() => jupyterapp.shell.currentWidget.context.save()")
        found: dict[str, Any] = json.loads(self.path.read_text())
        return found
