"""Configuration of the documentation site; `make docs` builds it."""

from __future__ import annotations

import sys
from pathlib import Path

HERE = Path(__file__).parent
sys.path[:0] = [str(HERE / "_ext"), str(HERE.parent)]

import sae_vis  # noqa: E402

project = "sae_vis"
author = "The sae_vis authors"
project_copyright = "The sae_vis authors"
release = version = sae_vis.__version__
extensions = [
    "myst_parser",
    "sphinx.ext.autodoc",
    "sphinx.ext.napoleon",
    "sphinx_copybutton",
    "command_line",
    "docstrings",
    "notebook_page",
    "repository_files",
    "versions",
]
exclude_patterns = ["_build", "gallery/*.md"]
root_doc = "index"
default_role = "py:obj"  # `Name` in a docstring links where the site has it
myst_heading_anchors = 4
myst_enable_extensions = ["colon_fence"]
autodoc_member_order = "bysource"
autodoc_typehints = "signature"
autodoc_preserve_defaults = True
autodoc_default_options = {"members": True}
napoleon_google_docstring = True
napoleon_numpy_docstring = False
python_use_unqualified_type_names = True
python_maximum_signature_line_length = 88
html_theme = "furo"
html_title = f"sae_vis {release}"
html_static_path = ["_static"]
html_css_files = ["site.css"]
html_copy_source = False
html_show_sphinx = False
copybutton_exclude = ".linenos, .gp, .go"
