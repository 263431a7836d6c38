"""The version that the pages document, in the sidebar, with links to the other versions of a site.

`add_version.py` puts a build beside others, and says so in each one's ``versions.js``.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sphinx.application import Sphinx
    from sphinx.config import Config

DOCS = Path(__file__).parents[1]
SCRIPTS = ("versions.js", "version_menu.js")
SIDEBAR = ("brand", "search", "scroll-start", "navigation", "scroll-end", "versions")


def arrange(app: Sphinx, config: Config) -> None:
    """Put the version below the table of contents."""
    config.templates_path.append(str(DOCS / "_templates"))
    config.html_sidebars["**"] = [f"sidebar/{part}.html" for part in SIDEBAR]
    for script in SCRIPTS:
        app.add_js_file(script, loading_method="defer")


def setup(app: Sphinx) -> dict[str, bool]:
    """Arrange the sidebar when the configuration has been read."""
    app.connect("config-inited", arrange)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
