"""Each page that a script in `examples/` writes opens, offline and without a message on the console."""

import runpy
import sys
from pathlib import Path

import pytest

from sae_vis.demo import run as demo

pytestmark = [pytest.mark.browser, pytest.mark.slow]
EXAMPLES = Path(__file__).parents[2] / "examples"


SCRIPTS = [
    ["vanilla.py"],
    ["custom_layout.py"],
    ["prompt_centric.py"],
    ["labels.py"],
    ["crosscoder.py"],
    ["othello/page.py", "40"],
]


def every_8th(documents):
    return lambda: (document for number, document in enumerate(documents()) if number % 8 == 0)


@pytest.mark.parametrize(("name", "words"), [(name, words) for name, *words in SCRIPTS])
def test_the_page_opens(name, words, open_page, tmp_path, monkeypatch):
    path = tmp_path / "example.html"
    monkeypatch.setattr(sys, "argv", [name, str(path), *words])
    monkeypatch.setattr(demo, "demo_documents", every_8th(demo.demo_documents))  # `tests/test_examples.py` reads all
    runpy.run_path(str(EXAMPLES / name), run_name="__main__")
    tab = open_page(path.read_text(encoding="utf-8"))
    tab.wait_for_function("document.body.innerText.length > 500")
    assert tab.locator("svg, table").count() > 0


def test_the_pages_of_two_saes(open_page, tmp_path, monkeypatch):
    """All three open; a link of one opens the same pair in another."""
    path = tmp_path / "two.html"
    monkeypatch.setattr(sys, "argv", ["two_saes.py", str(path)])
    runpy.run_path(str(EXAMPLES / "two_saes.py"), run_name="__main__")
    texts = {
        name: (tmp_path / name).read_text(encoding="utf-8") for name in ("two.html", "two-b.html", "two-compare.html")
    }
    tab = open_page(texts["two.html"])
    section = tab.locator("section", has=tab.get_by_role("heading", name="Correlated B features"))
    other = section.locator("tbody a").first
    page, _, address = (other.get_attribute("href") or "").partition("#")
    of_b = open_page(texts[page], f"#{address}")
    assert of_b.locator(".card-head h2 b").inner_text() == other.inner_text()
    page, _, address = (section.get_by_role("link", name="Compare side by side").get_attribute("href") or "").partition(
        "#"
    )
    both = open_page(texts[page], f"#{address}")
    assert both.locator(".pair-cards h2 b:not(.side)").all_inner_texts() == ["1945", other.inner_text()]
    assert both.locator(".pair-group li").count() > 0
