"""The explorer's page: script and style, no data; it asks for these where it came from."""

from __future__ import annotations

import base64
import html
from collections.abc import Sequence
from typing import NamedTuple

from sae_vis.contract import ComponentModule
from sae_vis.deliver.page import data_block, defined, policy_of, shared_blocks, static_file

TEMPLATE = """\
<!doctype html>
<!-- The script holds Preact (c) Jason Miller and fflate (c) Arjun Barrett, MIT licence, and modules of D3
(c) Mike Bostock, ISC licence; the licences' texts are in sae_vis/static/licences.md of the sae_vis package. -->
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<meta name="generator" content="sae_vis {version}">
<link rel="icon" href="data:,">
{meta}
<title>{title}</title>
{styles}
</head>
<body>
<div id="app"><noscript>This page draws its pictures with JavaScript, which is switched off here.</noscript></div>
{blocks}
{head}
<script>{script}</script>
{modules}
</body>
</html>
"""


HEAD = "<!-- head -->"
"""Where a server puts what the explorer begins with (`with_head`)."""


class ExplorerPage(NamedTuple):
    """The page, and its content security policy.

    Attributes:
        text: HTML.
        policy: what may load and run: these scripts and styles by their hashes, and data from where the page came from.
    """

    text: str
    policy: str


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
    policy = f"{policy_of([script, *own], styles)}; connect-src 'self'"
    text = TEMPLATE.format(
        version=html.escape(__version__),
        title=html.escape(title),
        meta="" if data is None else _site_meta(policy, data, base, folder),
        styles="\n".join(f"<style>{one}</style>" for one in styles),
        blocks="\n".join(data_block(name, data) for name, data in shared_blocks(modules).items()),
        head=HEAD if data is None else "",
        script=script,
        modules="\n".join(f'<script type="module">{one}</script>' for one in own),
    )
    return ExplorerPage(text, f"{policy}; frame-ancestors 'none'")


def with_head(page: str, head: bytes) -> str:
    """A server's page with what its explorer begins with, so that the first rows need no further question."""
    return page.replace(HEAD, data_block("head", base64.b64encode(head).decode("ascii")), 1)


def _site_meta(policy: str, data: str, base: str | None, folder: str) -> str:
    """What the page of a site says in place of a server: its policy, where its files lie."""
    policy = policy if base is None else policy.replace("base-uri 'none'", "base-uri 'self'")
    lines = [
        f'<meta http-equiv="Content-Security-Policy" content="{policy}">',
        *([] if base is None else [f'<base href="{html.escape(base)}">']),
        f'<meta name="sae-vis-data" content="{html.escape(data)}" data-folder="{html.escape(folder)}">',
    ]
    return "\n".join(lines)
