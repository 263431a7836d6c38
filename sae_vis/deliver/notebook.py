"""A page in the output of a notebook's cell: a frame that holds the whole file."""

from __future__ import annotations

import html
from pathlib import Path

MOST_BYTES = 32_000_000  # the notebook's file keeps what its cells show
FRAME = (
    '<iframe sandbox="allow-scripts" title="{title}" srcdoc="{page}" '
    'style="width: 100%; height: 800px; border: 1px solid #8888; resize: vertical; overflow: auto"></iframe>'
)
INSTEAD = "<p>The page is in <code>{path}</code>{reason}. Open it in a browser.</p>"


def cell_output(path: Path) -> str:
    """HTML that shows a page in a notebook: the page in a frame of its own, or where it is if it can't be shown.

    The page's script runs in an origin of its own: it can neither read the notebook nor ask the notebook's server for
    anything.

    Args:
        path: the page's file. One larger than 32 MB is named, not shown.
    """
    shown = html.escape(str(path.absolute()))
    try:
        size = path.stat().st_size
        if size > MOST_BYTES:
            return INSTEAD.format(path=shown, reason=f", too large to show here ({size / 1e6:.0f} MB)")
        return framed(path.read_text(encoding="utf-8"), title=str(path.absolute()))
    except OSError as error:
        return INSTEAD.format(path=shown, reason=f", which can't be read ({html.escape(error.strerror or 'error')})")


def framed(page: str, *, title: str) -> str:
    """The text of a ``page`` in a frame of its own, with a ``title`` for those who do not see it."""
    return FRAME.format(title=html.escape(title), page=html.escape(page))
