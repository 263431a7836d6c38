"""Write the tutorials as notebooks: docs/tutorials/NAME.md becomes examples/notebooks/NAME.ipynb.

Usage: python docs/make_notebooks.py

Python blocks become cells; what they print, and the table of contents, are left out. Commands of the shell stay text,
and so does Python that needs more than a notebook has, or does not end.
"""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path

DOCS = Path(__file__).parent
sys.path.insert(0, str(DOCS.parent))

from tests.docs_blocks import ONLY_CHECKED  # noqa: E402

TUTORIALS = DOCS / "tutorials"
NOTEBOOKS = DOCS.parent / "examples" / "notebooks"
FENCE = re.compile(r"^```(\w+)\n(.*?)^```\n", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"\]\((?!https?:|#)([^)#]+)")
HOW = (
    "This is [a tutorial](../../docs/tutorials/README.md) as a notebook. Open it from a clone: "
    "`pip install '.[docs]' jupyterlab`, then `jupyter lab examples/notebooks`."
)


def pages() -> list[Path]:
    """The tutorials that become notebooks."""
    return [path for path in sorted(TUTORIALS.glob("*.md")) if path.stem != "README"]


def cells(text: str) -> list[tuple[str, str]]:
    """Kind and source of each cell of a page."""
    found, words, at = [], "", 0
    for fence in FENCE.finditer(text):
        words += text[at : fence.start()]
        at = fence.end()
        if fence[1] == "python" and not ONLY_CHECKED.match(fence[2]):
            found += [("markdown", words), ("code", fence[2])]
            words = ""
        elif fence[1] != "text":
            words += fence[0]
    found.append(("markdown", words + text[at:]))
    return [(kind, _tidy(kind, source)) for kind, source in found if source.strip()]


def _tidy(kind: str, source: str) -> str:
    """Paths as they are from the notebook's folder."""
    if kind == "code":
        return source.strip().replace('"examples/', '"../')
    return re.sub(r"\n{3,}", "\n\n", LINK.sub(_from_notebook, source)).strip()


def _from_notebook(link: re.Match[str]) -> str:
    target = (TUTORIALS / link[1]).resolve().relative_to(DOCS.parent.resolve())
    return f"](../../{target.as_posix()}"


def notebook(page: Path) -> str:
    """A tutorial as the text of a notebook without outputs."""
    title, _, rest = page.read_text(encoding="utf-8").partition("\n")
    made = []
    for number, (kind, source) in enumerate(cells(f"{title}\n\n{HOW}\n{rest}")):
        cell: dict[str, object] = {"cell_type": kind, "id": f"cell-{number}", "metadata": {}}
        cell["source"] = source.splitlines(keepends=True)
        made.append(cell | ({"execution_count": None, "outputs": []} if kind == "code" else {}))
    kernel = {"display_name": "Python 3", "language": "python", "name": "python3"}
    whole = {"cells": made, "metadata": {"kernelspec": kernel}, "nbformat": 4, "nbformat_minor": 5}
    return json.dumps(whole, indent=1, ensure_ascii=False) + "\n"


def main() -> None:
    """Write all of them."""
    NOTEBOOKS.mkdir(exist_ok=True)
    for page in pages():
        (NOTEBOOKS / f"{page.stem}.ipynb").write_text(notebook(page), encoding="utf-8")


if __name__ == "__main__":
    main()
