"""Source tokens on the page of `examples/attention.py`, in a real Chromium: pointer and keyboard, light and dark."""

import re
import runpy
import sys
from pathlib import Path

import pytest
from measures import box
from page_decoder import read_page

pytestmark = pytest.mark.browser
SCRIPT = Path(__file__).parents[2] / "examples" / "attention.py"


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    path = tmp_path_factory.mktemp("attention") / "page.html"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "argv", ["attention.py", str(path)])
        runpy.run_path(str(SCRIPT), run_name="__main__")
    return path.read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def contexts(page):
    """Top examples of feature 0."""
    return read_page(page)[1][0].sequences[0].contexts


def number(text: str) -> float:
    return float(text.replace("−", "-").replace("+", "").rstrip("%"))


def line(tab, row: int):
    return tab.locator(".group").first.locator("li").nth(row).locator(".from")


def test_each_example_has_its_largest_source_aligned_under_it(page, contexts, open_page, letters):
    tab = open_page(page, script=letters)
    sources = contexts.sources
    assert line(tab, 0).count() == 1
    assert tab.locator(".group").first.locator(".from").count() == len(contexts.sequence)
    for row in range(3):
        focus = tab.locator(".group").first.locator("li").nth(row).locator(".focus").first
        main = line(tab, row).locator(".main").first
        assert abs(box(focus).left - box(main).left) < 3  # the room beside a firing token is 2
        back = contexts.start[row] + contexts.focus[row] - sources.start[row] - sources.main[row]
        assert line(tab, row).locator(".act").inner_text() == (f"−{back}" if back else "itself")
        at = sources.offsets[row] + sources.main[row]
        share = 100 * sources.parts[at] / sources.total[row]
        told = line(tab, row).locator(".told").inner_text()
        assert told.startswith(f"head {sources.head[at]} · ")
        assert number(told.split("· ")[1]) == pytest.approx(share, rel=0.01)


def test_shares_of_heads_are_those_of_the_top_examples(page, contexts, open_page):
    heads = contexts.sources.heads.reshape(-1, contexts.sources.n_heads).sum(axis=0, dtype=float)
    shares = 100 * heads / heads.sum()
    shown = open_page(page).get_by_role("region", name="Heads").inner_text()
    found = {int(head): number(share) for head, share in re.findall(r"head (\d+)\s+(−?[\d.]+%)", shown)}
    assert found
    assert max(found, key=found.get) == shares.argmax()
    for head, share in found.items():
        assert share == pytest.approx(shares[head], rel=0.01)


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_details_of_source_and_destination(page, contexts, open_page, scheme):
    tab = open_page(page, color_scheme=scheme)
    sources = contexts.sources
    line(tab, 0).locator(".main").first.hover()
    tip = tab.get_by_role("tooltip")
    at = sources.offsets[0] + sources.main[0]
    words = tip.inner_text()
    value, total = re.search(r"([+−][\d.]+) of ([+−][\d.]+)", words).groups()
    assert number(value) == pytest.approx(float(sources.parts[at]), rel=0.01)
    assert number(total) == pytest.approx(float(sources.total[0]), rel=0.01)
    assert f"head {sources.head[at]}: " in words
    tab.locator(".group").first.locator("li").first.locator(".focus").first.hover()
    words = tip.inner_text()
    assert "From attention" in words
    given, biases = re.search(r"([+−][\d.]+), biases ([+−]?[\d.]+)", words).groups()
    act = contexts.acts[contexts.offsets[0] + contexts.focus[0]]
    assert number(given) + number(biases) == pytest.approx(float(act), abs=0.02)


def test_the_keyboard_reaches_source_tokens(page, open_page):
    tab = open_page(page)
    tab.get_by_role("group", name="Examples").focus()
    tab.keyboard.press("ArrowDown")
    for _ in range(40):
        tab.keyboard.press("ArrowRight")
        if tab.evaluate("document.activeElement.dataset.s !== undefined"):
            break
    assert tab.evaluate("document.activeElement.dataset.s !== undefined")
    assert "Gives" in tab.get_by_role("tooltip").inner_text()
    tab.keyboard.press("Enter")
    assert "Gives" in tab.locator("#pin").inner_text()
    tab.keyboard.press("Escape")
    assert tab.locator("#pin").is_hidden()
    tab.keyboard.press("ArrowDown")
    assert tab.evaluate("document.activeElement.classList.contains('focus')")


def test_colours_of_sources_keep_their_contrast(page, open_page):
    """Ink on the strongest tints, 4.5 to 1, and tints of both signs away from those of activations."""
    for scheme in ("light", "dark"):
        tab = open_page(page, color_scheme=scheme)
        for tone in ("gives", "takes"):
            ratio = tab.evaluate(
                """(tone) => {
                  const made = document.createElement("span");
                  made.style.color = "var(--ink)";
                  made.style.backgroundColor = `var(--${tone})`;
                  document.body.append(made);
                  const light = (name) => {
                    const [r, g, b] = getComputedStyle(made)[name].match(/[\\d.]+/g).map(Number)
                      .map((v) => v / 255).map((v) => v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4);
                    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
                  };
                  const [a, b] = [light("color"), light("backgroundColor")].sort((x, y) => y - x);
                  return (a + 0.05) / (b + 0.05);
                }""",
                tone,
            )
            assert ratio >= 4.5, (scheme, tone, ratio)
