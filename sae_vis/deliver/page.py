"""One HTML file that holds everything: script, style and data. It opens offline and asks for nothing."""

from __future__ import annotations

import base64
import hashlib
import html
import json
import os
from collections.abc import Sequence
from importlib import resources
from pathlib import Path
from typing import NamedTuple

from sae_vis.contract import ComparePart, ComponentModule, FeaturePage
from sae_vis.deliver.encoding import (
    TokenIndex,
    encode_compared,
    encode_feature,
    encode_head,
    encode_overview,
    encode_prompt,
    encode_shared,
)
from sae_vis.deliver.notebook import cell_output
from sae_vis.deliver.output import output_file, write_whole
from sae_vis.errors import InputError

DOCUMENT = """\
<!doctype html>
<!-- The script holds Preact (c) Jason Miller and fflate (c) Arjun Barrett, MIT licence, and modules of D3
(c) Mike Bostock, ISC licence; the licences' texts are in sae_vis/static/licences.md of the sae_vis package. -->
<html lang="en">
<head>
<meta charset="utf-8">
{meta}
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<meta name="generator" content="sae_vis {version}">
<title>{title}</title>
{styles}
</head>
<body>
<div id="app"><noscript>This page draws its pictures with JavaScript, which is switched off here.</noscript></div>
{body}
</body>
</html>
"""
# The styles of each kind of page: one that all share, and what only this kind has.
STYLES = {
    "feature": ("common.css",),
    "prompt": ("common.css", "prompt.css"),
    "compare": ("common.css", "compare.css"),
}
# The scripts come before most of the data: the first card is drawn while the browser reads on.
# A data block is never run: its type is not a script's. Base64 text can't end it early.
BLOCK = '<script type="text/plain" id="{name}">{data}</script>'


class PageReport(NamedTuple):
    """What was written. A notebook that shows it shows the page itself.

    Attributes:
        path: the file.
        bytes: its size.
        bytes_fixed: what does not grow with the features: script, style, the tokens' text, what is of the whole page.
        bytes_per_feature: the rest over the number of features.
    """

    path: Path
    bytes: int
    bytes_fixed: int
    bytes_per_feature: float

    @property
    def sizes(self) -> str:
        """The sizes in words."""
        return (
            f"{self.bytes / 1e6:.1f} MB: {self.bytes_fixed / 1e3:.0f} KB for the page and "
            f"{self.bytes_per_feature / 1e3:.1f} KB a feature"
        )

    def _repr_html_(self) -> str:
        """The page, for a notebook's cell."""
        return cell_output(self.path)


def write_page(page: FeaturePage, path: str | os.PathLike[str]) -> PageReport:
    """Write a page as one self-contained HTML file, all of it or nothing.

    Args:
        page: what to show.
        path: where to; an existing file is replaced.

    Raises:
        InputError: the page holds no features, or its parts contradict each other; the file can't be written (what was
            there before is untouched).
    """
    path = output_file(path)
    parts = _rendered(page)
    text = parts.text.encode("utf-8")
    write_whole(path, text)
    fixed = len(text) - parts.of_features
    return PageReport(path, len(text), fixed, parts.of_features / len(page.features))


def render_page(page: FeaturePage) -> str:
    """The HTML text of a page.

    Raises:
        InputError: the page holds no features, or its parts contradict each other.
    """
    return _rendered(page).text


class _Rendered(NamedTuple):
    """The text of a page, and how many bytes of it are blocks of single features."""

    text: str
    of_features: int


def _rendered(page: FeaturePage) -> _Rendered:
    _check(page)
    index = TokenIndex.of_page(page)
    blocks = [data_block("head", encode_head(page, index))]
    if page.prompt is not None:
        blocks.append(data_block("prompt", encode_prompt(page.prompt, index)))
    blocks += [data_block(*one) for one in shared_blocks(page.modules).items()]
    others = _feature_blocks(page, index)
    of_features = sum(map(len, others.values()))
    first = page.features[0].feature if page.meta.first is None else page.meta.first
    if page.compare is not None:
        early, late = _compare_blocks(page.compare, index)
        of_features += sum(map(len, late.values()))
        blocks += [*early, late.pop(f"p{first}")]
        others |= late
    blocks.append(others.pop(f"f{first}"))
    kind = "prompt" if page.prompt is not None else "compare" if page.compare is not None else "feature"
    scripts = [static_file(name) for name in ("common.js", f"{kind}.js")]
    own_styles = [static_file(name) for name in STYLES[kind]]
    styles = [*own_styles, *(module.style for module in page.modules if module.style)]
    modules = [defined(module) for module in page.modules]
    text = html_document(
        page.meta.title.encode("utf-8", "replace").decode("utf-8"),
        [policy_meta(policy_of([*scripts, *modules], styles))],
        styles,
        [*blocks, *map(script_tag, scripts), *others.values(), *map(module_tag, modules)],
        page.meta.version,
    )
    return _Rendered(text, of_features)


def html_document(title: str, meta: Sequence[str], styles: Sequence[str], body: Sequence[str], version: str) -> str:
    """A page of the front end.

    Args:
        title: in plain text.
        meta: elements of its head beside those that every page has.
        styles: style sheets.
        body: elements behind the one that the script draws into.
        version: of the package.
    """
    return DOCUMENT.format(
        meta="\n".join(meta),
        version=html.escape(version),
        title=html.escape(title),
        styles="\n".join(f"<style>{style}</style>" for style in styles),
        body="\n".join(body),
    )


def policy_meta(policy: str) -> str:
    """What a page that is a file says of its policy."""
    return f'<meta http-equiv="Content-Security-Policy" content="{policy}">'


def script_tag(script: str) -> str:
    """A plain script."""
    return f"<script>{script}</script>"


def module_tag(script: str) -> str:
    """An ES module."""
    return f'<script type="module">{script}</script>'


def shared_blocks(modules: Sequence[ComponentModule], side: str = "") -> dict[str, str]:
    """Data that the user's own components share over all features, by the names of blocks; `side` begins them."""
    return {f"{side}c{i}": encode_shared(module.type, module.shared) for i, module in enumerate(modules)}


def data_block(name: str, data: str) -> str:
    """A block of data in a page."""
    return BLOCK.format(name=name, data=data)


def _feature_blocks(page: FeaturePage, index: TokenIndex, side: str = "") -> dict[str, str]:
    """A block for each feature, by name."""
    named = {f"{side}f{view.feature}": view for view in page.features}
    return {name: data_block(name, encode_feature(view, index)) for name, view in named.items()}


def _compare_blocks(part: ComparePart, index: TokenIndex) -> tuple[list[str], dict[str, str]]:
    """What every picture needs, and the rest by name; the second dictionary has a token table of its own."""
    _check(part.b)
    own = TokenIndex.of_page(part.b)
    early = [
        data_block("bhead", encode_head(part.b, own)),
        *(data_block(*one) for one in shared_blocks(part.b.modules, "b").items()),
        data_block("compare", encode_overview(part, index)),
    ]
    late = {f"p{one.feature}": data_block(f"p{one.feature}", encode_compared(one, index)) for one in part.compared}
    return early, late | _feature_blocks(part.b, own, "b")


def _check(page: FeaturePage) -> None:
    ids = [view.feature for view in page.features]
    if not ids:
        raise InputError("the page holds no features, expected at least one")
    if len(set(ids)) != len(ids):
        raise InputError(f"the page holds feature {next(i for i in ids if ids.count(i) > 1)} more than once")
    if page.meta.first is not None and page.meta.first not in ids:
        raise InputError(f"the page is to open with feature {page.meta.first}, which it does not hold")
    if page.compare is not None and [one.feature for one in page.compare.compared] != ids:
        raise InputError("page.compare.compared and page.features name different features, or in a different order")
    if page.summary.feature.tolist() != ids:
        raise InputError("page.summary.feature and page.features name different features, or in a different order")
    lengths = {len(column) for column in (page.summary.density, page.summary.max, page.summary.top_token)}
    if lengths != {len(ids)}:
        raise InputError(f"page.summary has columns of {sorted(lengths)} rows for {len(ids)} features")


def defined(module: ComponentModule) -> str:
    """A user's ES module with a last line that hands its ``mount`` to the page, which can't import it from itself."""
    return f"{module.script}\n;globalThis.saeVisDefine({json.dumps(module.type)}, mount);"


def policy_of(scripts: list[str], styles: list[str]) -> str:
    """Nothing may load or run but these scripts and styles, by their hashes, and pictures that the page holds."""
    return (
        f"default-src 'none'; script-src {_hashes(scripts)}; style-src {_hashes(styles)}; "
        "img-src data:; base-uri 'none'; form-action 'none'"
    )


def _hashes(texts: list[str]) -> str:
    return " ".join(f"'{_hash(text)}'" for text in texts)


def _hash(text: str) -> str:
    return "sha256-" + base64.b64encode(hashlib.sha256(text.encode("utf-8")).digest()).decode("ascii")


def static_file(name: str, *, missing: str | None = None) -> str:
    """A file of the built front end, without line ends at either end (the hash covers every character).

    Args:
        name: of the file.
        missing: what stands for one that is not there; None: it must be.
    """
    path = resources.files("sae_vis") / "static" / name
    if missing is not None and not path.is_file():
        return missing
    return path.read_text(encoding="utf-8").strip()
