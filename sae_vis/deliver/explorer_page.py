"""The explorer's page: the script and style of its table; it asks for the rest where it came from."""

from __future__ import annotations

import base64
import hashlib
import html
import json
from collections.abc import Sequence
from typing import NamedTuple

from sae_vis.contract import ComponentModule
from sae_vis.deliver.page import (
    data_block,
    defined,
    html_document,
    module_tag,
    policy_meta,
    policy_of,
    script_tag,
    shared_blocks,
    static_file,
)

PARTS = {"explorer": ("card", "map", "views"), "site": ("card", "map")}
"""Parts of the script of each kind of explorer that come when they are first shown, in their order."""
PARTS_AT = "parts"
"""Where they lie, relative to the page."""
HEAD = "<!-- head -->"
"""Where a server puts what the explorer begins with (`with_head`)."""


class ExplorerPage(NamedTuple):
    """The page, its content security policy, and what it asks for beside data.

    Attributes:
        text: HTML.
        policy: what may load and run: these scripts and styles by their hashes, and data from where the page came from.
        parts: texts of the scripts and styles that it asks for at `PARTS_AT`, by the names of files, which differ
            whenever the texts do.
    """

    text: str
    policy: str
    parts: dict[str, str]


def explorer_page(
    title: str,
    modules: Sequence[ComponentModule] = (),
    *,
    data: str | None = None,
    base: str | None = None,
    folder: str = "",
) -> ExplorerPage:
    """The explorer's page.

    Args:
        title: until it knows better.
        modules: how the user's own components are drawn.
        data: where the files of a site lie, relative to the page; None: there is a server.
        base: path under which a site is served; None: wherever it lies.
        folder: name of the site's folder, for the message of a page that was opened without a server.
    """
    from sae_vis import __version__

    kind = "explorer" if data is None else "site"
    script, style = static_file(f"{kind}.js"), static_file(f"{kind}.css")
    styles = [style, *(module.style for module in modules if module.style)]
    own = [defined(module) for module in modules]
    named, parts = _parts(kind)
    scripts = [text for name, text in parts.items() if name.endswith(".js")]
    late_styles = [text for name, text in parts.items() if name.endswith(".css")]
    policy = f"{policy_of([script, *scripts, *own], [*styles, *late_styles])}; connect-src 'self'"
    text = html_document(
        title,
        ['<link rel="icon" href="data:,">', *([] if data is None else _site_meta(policy, data, base, folder))],
        styles,
        [
            *(data_block(name, data) for name, data in shared_blocks(modules).items()),
            data_block("parts", json.dumps(named)),
            *([HEAD] if data is None else []),
            script_tag(script),
            *map(module_tag, own),
        ],
        __version__,
    )
    return ExplorerPage(text, f"{policy}; frame-ancestors 'none'", parts)


def _parts(kind: str) -> tuple[list[dict[str, str | None]], dict[str, str]]:
    """What the page says of the parts of its script, and their files by name."""
    named: list[dict[str, str | None]] = []
    files: dict[str, str] = {}
    for part in PARTS[kind]:
        found: dict[str, str | None] = {"name": f"{kind}-{part}", "script": None, "style": None}
        for what, ending in (("script", "js"), ("style", "css")):
            text = static_file(f"{kind}-{part}.{ending}", missing="")
            if text:
                name = f"{part}-{hashlib.sha256(text.encode()).hexdigest()[:12]}.{ending}"
                files[name], found[what] = text, f"{PARTS_AT}/{name}"
        named.append(found)
    return named, files


def with_head(page: str, head: bytes) -> str:
    """A server's page with what its explorer begins with, so that the first rows need no further question."""
    return page.replace(HEAD, data_block("head", base64.b64encode(head).decode("ascii")), 1)


def _site_meta(policy: str, data: str, base: str | None, folder: str) -> list[str]:
    """What the page of a site says in place of a server: its policy, where its files lie."""
    policy = policy if base is None else policy.replace("base-uri 'none'", "base-uri 'self'")
    return [
        policy_meta(policy),
        *([] if base is None else [f'<base href="{html.escape(base)}">']),
        f'<meta name="sae-vis-data" content="{html.escape(data)}" data-folder="{html.escape(folder)}">',
    ]
