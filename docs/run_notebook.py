"""Run notebooks from their first cell to their last; fail when a cell fails.

Usage: run_notebook.py NOTEBOOK...

All run in one temporary folder, one after the other, so that an index that several make is made once. What lies
beside the notebooks' folder is beside the temporary one, too. Cells tagged `network` are left out, cells tagged
`page` must show a page. The notebooks themselves are not changed.
"""

from __future__ import annotations

import sys
import tempfile
import time
from pathlib import Path

import nbformat
from nbclient import NotebookClient
from nbformat import NotebookNode

SECONDS = 900  # at most, for one cell


def tagged(cell: NotebookNode, tag: str) -> bool:
    """Whether a cell carries a tag."""
    return tag in cell.metadata.get("tags", [])


def shows_page(cell: NotebookNode) -> bool:
    """Whether one of a cell's outputs is a page."""
    return any("<iframe" in "".join(output.get("data", {}).get("text/html", "")) for output in cell.outputs)


def run(path: Path, folder: Path) -> tuple[NotebookNode, int]:
    """The notebook as it ran in a folder, and how many cells were left out."""
    notebook = nbformat.read(path, as_version=4)
    every = notebook.cells
    notebook.cells = [cell for cell in every if not tagged(cell, "network")]
    resources = {"metadata": {"path": str(folder)}}
    NotebookClient(notebook, timeout=SECONDS, kernel_name="python3", resources=resources).execute()
    for cell in notebook.cells:
        if tagged(cell, "page") and not shows_page(cell):
            sys.exit(f"a cell shows no page:\n{cell.source}")
    return notebook, len(every) - len(notebook.cells)


def main() -> None:
    """Command line."""
    paths = [Path(name).resolve() for name in sys.argv[1:]]
    if not paths:
        sys.exit(__doc__)
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch) / paths[0].parent.name
        folder.mkdir()
        for beside in paths[0].parents[1].iterdir():
            if beside.name != folder.name:
                (folder.parent / beside.name).symlink_to(beside)
        for path in paths:
            begun = time.perf_counter()
            notebook, left_out = run(path, folder)
            ran = sum(cell.cell_type == "code" for cell in notebook.cells)
            seconds = time.perf_counter() - begun
            print(f"{path.name}: {ran} cells ran in {seconds:.0f} s, {left_out} need the network", flush=True)


if __name__ == "__main__":
    main()
