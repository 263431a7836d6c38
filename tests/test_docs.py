"""The documentation of components and layouts says what there is: options, defaults, pictures; links lead somewhere."""

from __future__ import annotations

import re
from dataclasses import fields
from pathlib import Path

import pytest

from sae_vis import layout as layouts
from sae_vis.layout import Component, CustomComponent

DOCS = Path(__file__).parents[1] / "docs"
PAGES = {path.stem: path for path in (DOCS / "components").glob("*.md") if path.stem != "README"}
COMPONENTS = [
    kind
    for kind in vars(layouts).values()
    if isinstance(kind, type) and issubclass(kind, Component) and kind not in (Component, CustomComponent)
]
CODE = re.compile(r"^```python\n(.*?)^```$", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"\]\(([^)\s]+)\)|(?:src|srcset)=\"([^\"]+)\"")
TEXTS = [
    *(DOCS.parent / name for name in ("README.md", "CONTRIBUTING.md")),
    *sorted(path for path in DOCS.rglob("*.md") if "_build" not in path.parts),
]


def option_rows(text: str) -> dict[str, str]:
    """Default of each option in the page's table, as code."""
    table = text.partition("| option | default | meaning |")[2].partition("\n\n")[0]
    return dict(re.findall(r"^\| `(\w+)` \| `([^`]+)` \| \S.*\|$", table, flags=re.MULTILINE))


@pytest.mark.parametrize("kind", COMPONENTS, ids=lambda kind: kind.type_name)
def test_every_option_is_on_its_components_page(kind: type[Component]):
    text = PAGES[kind.type_name].read_text(encoding="utf-8")
    assert option_rows(text) == {option.name: repr(option.default) for option in fields(kind)}
    assert f"](../gallery/{kind.type_name}.png)" in text


def test_every_page_is_of_a_component_and_in_the_list():
    assert set(PAGES) == {kind.type_name for kind in COMPONENTS} | {"Header"}
    listed = (DOCS / "components" / "README.md").read_text(encoding="utf-8")
    assert [name for name in PAGES if f"[{name}]({name}.md)" not in listed] == []


@pytest.mark.parametrize("path", TEXTS, ids=lambda path: path.relative_to(DOCS.parent).as_posix())
def test_links_lead_somewhere(path: Path):
    targets = [one or other for one, other in LINK.findall(path.read_text(encoding="utf-8"))]
    wrong = []
    for target in targets:
        if target.startswith(("http://", "https://", "mailto:")):
            continue
        file, _, place = target.partition("#")
        to = path.parent / file if file else path
        if not to.exists() or (place and to.suffix == ".md" and place not in anchors(to)):
            wrong.append(target)
    assert wrong == []


def anchors(path: Path) -> set[str]:
    """Names of the headings of a page, as code hosts make them."""
    text = re.sub(r"^```.*?^```$", "", path.read_text(encoding="utf-8"), flags=re.MULTILINE | re.DOTALL)
    titles = re.findall(r"^#+ (.+)$", text, flags=re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}


def test_layouts_of_the_docs_are_those_of_the_gallery():
    from tests.gallery.entries import CUSTOM_LAYOUTS

    shown = []
    for code in CODE.findall((DOCS / "layouts.md").read_text(encoding="utf-8")):
        names: dict[str, object] = {}
        exec(compile(code, "layouts.md", "exec"), names)
        shown.append(names.get("layout"))
    assert [name for name, layout in CUSTOM_LAYOUTS.items() if layout not in shown] == []


def test_worked_diffs_are_the_code():
    text = (DOCS / "worked-diffs.md").read_text(encoding="utf-8")
    hunks = 0
    for block in re.findall(r"^```diff\n(.*?)^```$", text, flags=re.MULTILINE | re.DOTALL):
        for part in block.split("+++ b/")[1:]:
            path, _, rest = part.partition("\n")
            code = [line.rstrip() for line in (DOCS.parent / path).read_text(encoding="utf-8").splitlines()]
            for hunk in rest.split("@@\n")[1:]:
                shown = [line[1:].rstrip() for line in hunk.splitlines()]
                assert any(code[i : i + len(shown)] == shown for i in range(len(code))), f"{path}: {shown[0]}"
                hunks += 1
    assert hunks > 20
