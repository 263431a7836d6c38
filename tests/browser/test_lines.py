"""Lines of examples show as much text as there is room for; effects are written as if no digit were gone."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from measures import HAIR, aligned
from page_decoder import as_shown
from polling import settle
from synthetic_page import page_of, single_context, view_of

from sae_vis.layout import Column, SaeVisLayoutConfig, SeqMultiGroupConfig

pytestmark = pytest.mark.browser

WORDS = {i: f" {word}".encode() for i, word in enumerate(("the", "state", "of", "any", "work", "that", "never", "was"))}
AROUND = 10
WINDOWS = (390, 700, 1280, 1600, 2000)

SEEN = """row => { row.dispatchEvent(new PointerEvent('pointerover', {bubbles: true}));
  const text = row.querySelector('.text').getBoundingClientRect();
  const tokens = [...row.querySelectorAll('[data-t]')].map(e => e.getBoundingClientRect());
  const at = [...row.querySelectorAll('[data-t]')].findIndex(e => e.classList.contains('focus'));
  const seen = tokens.map(b => b.left > text.left - 1 && b.right < text.right + 1);
  return {before: seen.slice(0, at).filter(Boolean).length, after: seen.slice(at + 1).filter(Boolean).length,
    focus: [tokens[at].left, tokens[at].right], middle: (text.left + text.right) / 2, width: text.width} }"""


@pytest.fixture
def page():
    """Two examples in the default layout: one in the midst of a text, one near its beginning."""
    n, acts = 2 * AROUND + 1, np.zeros(2 * AROUND + 1, dtype=np.float32)
    acts[AROUND] = 5
    whole = single_context((np.arange(n) * 5) % len(WORDS), acts, focus=AROUND)
    early = single_context((np.arange(n - 8) * 5) % len(WORDS), acts[8:], focus=AROUND - 8)
    both = {
        field.name: np.concatenate([getattr(whole, field.name), getattr(early, field.name)])
        for field in dataclasses.fields(whole)
        if isinstance(getattr(whole, field.name), np.ndarray) and field.name != "offsets"
    }
    offsets = np.array([0, n, 2 * n - 8], dtype=np.int32)
    return page_of([view_of(0, dataclasses.replace(whole, offsets=offsets, **both))], WORDS)


def seen_at(tab, width):
    tab.set_viewport_size({"width": width, "height": 900})
    settle(tab)
    assert tab.evaluate("document.documentElement.scrollWidth") <= width
    return [tab.locator(".examples li").nth(i).evaluate(SEEN) for i in (0, 1)]


def test_wider_windows_show_more_of_the_text_around_the_token(open_page, page, letters):
    tab = open_page(page, script=letters)
    found = {width: seen_at(tab, width) for width in WINDOWS}
    for whole, early in found.values():
        assert aligned([whole["focus"][0], early["focus"][0]])
        assert abs(whole["focus"][0] - whole["middle"]) < 0.05 * whole["width"]
        assert min(whole["before"], whole["after"]) > 0
    order = sorted(WINDOWS, key=lambda width: found[width][0]["width"])
    for side in ("before", "after"):
        counts = [found[width][0][side] for width in order]
        assert counts == sorted(counts)
        assert counts[0] < counts[-1] == AROUND


def test_no_line_is_cut_once_lines_wrap(open_page, page):
    tab = open_page(page)
    for width in (390, 1280):
        tab.set_viewport_size({"width": width, "height": 900})
        cut = "[...document.querySelectorAll('.text')].filter(e => e.scrollWidth > e.clientWidth).length"
        assert tab.evaluate(cut) > 0
        tab.get_by_label("wrap lines").check()
        assert tab.evaluate(cut) == 0
        tab.get_by_label("wrap lines").uncheck()


@pytest.mark.parametrize("key", ["ArrowLeft", "ArrowRight"])
def test_the_keyboard_reaches_what_is_cut_off_and_the_line_goes_back(open_page, page, key):
    tab = open_page(page)
    tab.set_viewport_size({"width": 390, "height": 900})
    settle(tab)
    focus = tab.locator(".examples li").first.locator(".focus")
    place = focus.bounding_box()["x"]
    tab.get_by_role("group", name="Examples").focus()
    tab.keyboard.press("ArrowDown")
    for _ in range(AROUND):
        tab.keyboard.press(key)
    left, right, low, high = tab.evaluate(
        """(() => { const token = document.activeElement.getBoundingClientRect();
        const text = document.activeElement.closest('.text').getBoundingClientRect();
        return [token.left, token.right, text.left, text.right] })()"""
    )
    assert low - HAIR <= left < right <= high + HAIR
    assert f"position {3 + (0 if key == 'ArrowLeft' else 2 * AROUND)}" in tab.locator("#tip").inner_text()
    tab.keyboard.press("ArrowDown")
    assert aligned([place, focus.bounding_box()["x"]])


EXACT = [
    0.0,
    1.0,
    -1.0,
    0.5,
    99.95,
    -99.949,
    999.4,
    999.5,
    -1234.25,
    0.1,
    0.001,
    -0.00012345,
    9.9999e-5,
    1.125,
    -1.375,
    1e-21,
]
NUMBERS = np.concatenate([EXACT, np.random.default_rng(0).normal(0, 2, 60), [np.nan, np.inf]]).astype(np.float32)

SHOWN = """async () => { const out = [];
  document.querySelector('.examples li').dispatchEvent(new PointerEvent('pointerover', {bubbles: true}));
  for (const token of document.querySelectorAll('.examples [data-t]')) {
    token.dispatchEvent(new PointerEvent('pointerover', {bubbles: true}));
    await new Promise(then => requestAnimationFrame(() => setTimeout(then)));
    const names = [...document.querySelectorAll('#tip dt')].map(e => e.textContent);
    out.push(document.querySelectorAll('#tip dd')[names.indexOf('Logit effect, logit lens')].textContent);
  }
  return out }"""


def written(value):
    """What a page writes of a float32."""
    size = abs(float(as_shown(value)))  # where Python's own rounding takes halves to the even digit
    if np.isnan(value):
        return "not a number"
    if value == 0:
        return "0"
    if size >= 999.5:
        words = "Infinity" if np.isinf(value) else f"{np.floor(size + 0.5):,.0f}"
    else:
        words = f"{size:.2e}".replace("e-0", "e-") if size < 1e-4 else f"{size:#.3g}".rstrip(".")
    return ("+" if value > 0 else "−") + words.replace("-", "−")


def test_effects_are_written_as_if_they_had_all_their_digits(open_page):
    n = len(NUMBERS)
    context = dataclasses.replace(single_context(np.arange(n), np.ones(n)), logits=NUMBERS)
    layout = SaeVisLayoutConfig([Column(SeqMultiGroupConfig(buffer=None))])
    tab = open_page(page_of([view_of(0, context)], dict.fromkeys(range(n), b" x"), layout=layout))
    assert tab.evaluate(SHOWN) == [written(value) for value in NUMBERS]
