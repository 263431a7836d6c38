"""The table of top tokens in a real Chromium: numbers, tokens lit up, and the way to an example."""

import dataclasses

import numpy as np
import pytest
from synthetic_page import page_of, single_context, view_of

from sae_vis import contract as p
from sae_vis.layout import Column, SaeVisLayoutConfig, SeqMultiGroupConfig, TopTokensConfig

pytestmark = pytest.mark.browser
LAYOUT = SaeVisLayoutConfig([Column(TopTokensConfig()), Column(SeqMultiGroupConfig())])
TEXTS = {1: b"one", 2: b" two", 3: b"<b>three", 4: b"four"}


def page(**changes):
    table = p.TopTokens(
        tokens=np.array([2, 3, 4], dtype=np.int32),
        n_firings=np.array([6, 3, 1], dtype=np.int32),
        mass_share=np.array([0.25, 0.5, 0.25], dtype=np.float32),
        n_distinct=7,
    )
    view = view_of(12, single_context([1, 3, 2, 1, 3], [0.0, 0.0, 2.0, 0.0, 1.0], focus=2))
    stats = dataclasses.replace(view.stats, n_firings=10)
    view = dataclasses.replace(view, **{"stats": stats, "top_tokens": table, **changes})
    return page_of([view], TEXTS, layout=LAYOUT)


def test_rows_have_firings_and_shares(open_page):
    tab = open_page(page())
    rows = [row.split("\t") for row in tab.locator(".top-tokens tbody tr").all_inner_texts()]
    assert rows == [["·two", "6", "25.0%"], ["<b>three", "3", "50.0%"], ["four", "1", "25.0%"]]
    assert "of 7 different tokens" in tab.locator(".column").first.inner_text()
    assert tab.get_by_title("30.0% of its firings").inner_text() == "3"


def test_a_row_lights_up_the_firings_on_its_token(open_page):
    tab = open_page(page())
    row = tab.locator(".top-tokens tbody tr").nth(1)
    row.hover()
    assert tab.locator(".tok.lit").all_inner_texts() == ["<b>three"]
    assert tab.locator(".tok.lit").get_attribute("data-t") == "4"  # not the one on which it does not fire
    tab.mouse.move(5, 5)
    assert tab.locator(".tok.lit").count() == 0
    row.locator("button").focus()
    assert tab.locator(".tok.lit").count() == 1


def test_a_token_leads_to_its_first_example(open_page):
    tab = open_page(page())
    tab.locator(".top-tokens button").nth(1).press("Enter")
    assert tab.evaluate("document.activeElement.dataset.t") == "4"
    tab.keyboard.press("ArrowLeft")
    assert tab.evaluate("document.activeElement.dataset.t") == "3"


def test_a_token_in_no_example_leads_nowhere_and_says_so(open_page):
    tab = open_page(page())
    last = tab.locator(".top-tokens tbody tr").nth(2)
    assert last.locator("button").count() == 0
    assert last.get_by_title("in none of the examples shown").count() == 1


def test_what_is_not_there_is_said(open_page):
    assert "Not computed: tokens that it fires on most" in open_page(page(top_tokens=None)).locator("main").inner_text()
    stats = p.FeatureStats(n_firings=0, density=0.0, max=0.0, mean=0.0, std=0.0)
    none = np.empty(0, dtype=np.int32)
    table = p.TopTokens(tokens=none, n_firings=none, mass_share=none.astype(np.float32), n_distinct=0)
    dead = page(stats=stats, top_tokens=table, sequences=())
    assert "No firings to count" in open_page(dead).locator("main").inner_text()
