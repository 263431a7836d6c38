"""The explorer's page: script and style, no data; it asks for these where it came from."""

from __future__ import annotations

import base64
import gzip
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
<script>{script}</script>
{modules}
</body>
</html>
"""


# A site's script and styles are a third of their size when they are packed, and not every host of files packs what it
# sends. What is unpacked is put into the page as text, so the policy holds it to its hash as what stands there from the
# beginning; nothing is evaluated, and no address is made for it.
PACKED = '<script type="text/plain" data-packed="{kind}">{data}</script>'
UNPACK = """\
"use strict";
void (async () => {
  if (globalThis.DecompressionStream === undefined) {
    document.getElementById("app").textContent = "This page needs a browser of 2023 or later.";
    return;
  }
  for (const block of document.querySelectorAll("[data-packed]")) {
    const bytes = Uint8Array.from(atob(block.textContent), (sign) => sign.charCodeAt(0));
    const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"));
    const kind = block.dataset.packed;
    const element = document.createElement(kind === "style" ? "style" : "script");
    if (kind === "module") element.type = "module";
    element.textContent = await new Response(stream).text();
    document.head.append(element);
    block.remove();
  }
})();"""


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
    blocks = [data_block(*one) for one in shared_blocks(modules).items()]
    whole = [*(f"<style>{one}</style>" for one in styles)], [*(f'<script type="module">{one}</script>' for one in own)]
    runs, meta = script, ""
    if data is not None:
        packed = [*(("style", one) for one in styles), ("script", script), *(("module", one) for one in own)]
        blocks += [PACKED.format(kind=what, data=packed_text(one)) for what, one in packed]
        whole, runs = ([], []), UNPACK
    policy = policy_of([*dict.fromkeys([runs, script]), *own], styles) + "; connect-src 'self'"
    if data is not None:
        meta = _site_meta(policy, data, base, folder)
    text = TEMPLATE.format(
        version=html.escape(__version__),
        title=html.escape(title),
        meta=meta,
        styles="\n".join(whole[0]),
        blocks="\n".join(blocks),
        script=runs,
        modules="\n".join(whole[1]),
    )
    return ExplorerPage(text, f"{policy}; frame-ancestors 'none'")


def packed_text(text: str) -> str:
    """A text, deflated and in base64."""
    return base64.b64encode(gzip.compress(text.encode(), compresslevel=9, mtime=0)).decode("ascii")


def _site_meta(policy: str, data: str, base: str | None, folder: str) -> str:
    """What the page of a site says in place of a server: its policy, where its files lie."""
    policy = policy if base is None else policy.replace("base-uri 'none'", "base-uri 'self'")
    lines = [
        f'<meta http-equiv="Content-Security-Policy" content="{policy}">',
        *([] if base is None else [f'<base href="{html.escape(base)}">']),
        f'<meta name="sae-vis-data" content="{html.escape(data)}" data-folder="{html.escape(folder)}">',
    ]
    return "\n".join(lines)
