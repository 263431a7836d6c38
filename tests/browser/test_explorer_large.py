"""A table of a million rows in Chromium, from answers made here: more than a browser can scroll in pixels."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from polling import wait_until

from sae_vis.api.options import ComputeSettings
from sae_vis.api.sources import view_sources
from sae_vis.contract import (
    ExplorerHead,
    FeatureView,
    FirstRows,
    Notes,
    NumberColumn,
    RowTexts,
    TokensOfRows,
    WholeColumn,
)
from sae_vis.deliver.answers import answer
from sae_vis.deliver.explorer_page import explorer_page
from sae_vis.explore.columns import Columns
from sae_vis.explore.first import largest
from sae_vis.explore.head import can_of, explorer_head
from sae_vis.layout import SaeVisLayoutConfig
from sae_vis.views.feature import feature_views

pytestmark = [pytest.mark.browser, pytest.mark.explorer, pytest.mark.xdist_group("the explorer's index")]

N = 1_000_000
HOME = "http://explorer.test/"
ROW = 30


class Million:
    """What a server would answer about a dictionary of a million features."""

    def __init__(self, index):
        layout = SaeVisLayoutConfig.default_feature_centric_layout()
        sources = view_sources(index, None, ComputeSettings(effects=False), effects=False)
        can = can_of(index, why_not_live="", notes=False)
        columns = Columns(index)
        rng = np.random.default_rng(0)
        self.density = np.exp(rng.normal(-6, 1.5, N)).astype(np.float32)
        self.max = rng.gamma(4, 3, N).astype(np.float32)
        order = largest(self.density, 128)
        first = FirstRows(
            features=order.astype(np.int32),
            columns=("density", "max"),
            values=np.concatenate([self.density[order], self.max[order]]),
            texts=self.rows(order.tolist()),
        )
        head = explorer_head(sources, layout, columns, can, title="large", identity="large", indices=(), first=first)
        meta = replace(head.page.meta, d_sae=N)
        can = replace(can, live=False, reader=False, map=False)
        self.head = replace(head, page=replace(head.page, meta=meta), can=can)
        self.text = sources.text
        self.view = next(feature_views(sources, [0], layout))

    def answer(self, path, query):
        if path.startswith("parts/"):
            return self.parts[path.removeprefix("parts/")].encode()
        what = path.removeprefix("i/large/").split("/")
        if path == "head":
            return answer(ExplorerHead, self.head)
        if what[0] == "column":
            if what[1] in ("density", "max"):
                return answer(NumberColumn, NumberColumn(values=getattr(self, what[1])), level=0)
            return answer(WholeColumn, WholeColumn(values=np.full(N, -1, dtype=np.int32)), level=0)
        if what[0] == "rows":
            return answer(RowTexts, self.rows([int(one) for one in query.removeprefix("f=").split(",")]))
        if what[0] == "card":
            return answer(FeatureView, replace(self.view, feature=int(what[1])), self.text)
        assert what[0] == "notes", path
        return answer(Notes, Notes(notes=()))

    def rows(self, features):
        none = TokensOfRows(offsets=np.zeros(len(features) + 1, dtype=np.int32), tokens=np.zeros(0, dtype=np.int32))
        numbers = np.array(features, dtype=np.int32)
        return RowTexts(
            features=numbers, top=np.full(len(features), -1, dtype=np.int32), fired=none, up=none, down=none
        )


@pytest.fixture(scope="module")
def million(demo_indices):
    return Million(demo_indices.index)


@pytest.fixture
def tab(chromium, million):
    page = explorer_page("large", [])
    million.parts = page.parts
    noise = []

    def fulfil(route):
        path, _, query = route.request.url.removeprefix(HOME).partition("?")
        if path == "":
            route.fulfill(body=page.text, content_type="text/html", headers={"content-security-policy": page.policy})
        else:
            route.fulfill(body=million.answer(path, query), content_type="application/octet-stream")

    context = chromium.new_context(viewport={"width": 1500, "height": 950})
    tab = context.new_page()
    tab.set_default_timeout(60_000)
    tab.on("console", lambda message: noise.append(message.text))
    tab.on("pageerror", lambda error: noise.append(str(error)))
    tab.route("**/*", fulfil)
    tab.goto(HOME)
    wait_until(tab, "document.querySelectorAll('.grid-row').length > 10")
    wait_until(tab, "document.querySelectorAll('.spread svg').length === 2")  # both columns are there
    yield tab
    context.close()
    assert noise == []


@pytest.fixture(scope="module")
def order(million):
    return np.lexsort((np.arange(N), -million.density))


def rows(tab):
    tab.evaluate("() => new Promise((then) => requestAnimationFrame(() => requestAnimationFrame(then)))")
    return tab.locator(".grid-row").evaluate_all("all => all.map((row) => Number(row.dataset.feature))")


def first_row(tab):
    return int(tab.locator(".grid-row").first.get_attribute("aria-rowindex")) - 2


def consistent(tab, order):
    """The rows drawn are those of the order, one after the other, and their boxes fill what is in sight."""
    seen = rows(tab)
    first = first_row(tab)
    assert seen == order[first : first + len(seen)].tolist()
    edges = tab.evaluate("""() => {
      const grid = document.querySelector('.grid').getBoundingClientRect();
      const head = document.querySelector('.grid-head').getBoundingClientRect();
      const all = [...document.querySelectorAll('.grid-row')].map((row) => row.getBoundingClientRect());
      return { top: head.bottom, bottom: grid.bottom, first: all[0].top, last: all.at(-1).bottom };
    }""")
    assert edges["first"] <= edges["top"] + 1
    assert edges["last"] >= edges["bottom"] - 20  # a scroll bar along the bottom
    return first


def test_all_rows_are_in_the_order_of_the_column(tab, order):
    assert tab.get_by_role("grid").get_attribute("aria-rowcount") == str(N + 1)
    assert consistent(tab, order) == 0


def test_a_wheel_moves_by_rows_and_not_by_the_bar(tab, order):
    tab.locator(".grid-row").nth(3).hover()
    tab.mouse.wheel(0, 10 * ROW)
    wait_until(tab, "document.querySelector('.grid-row').getAttribute('aria-rowindex') === '12'")
    assert consistent(tab, order) == 10
    for _ in range(5):
        tab.mouse.wheel(0, 100)
    wait_until(tab, "Number(document.querySelector('.grid-row').getAttribute('aria-rowindex')) >= 28")
    assert 26 <= consistent(tab, order) <= 27
    tab.mouse.wheel(0, -100_000)
    wait_until(tab, "document.querySelector('.grid-row').getAttribute('aria-rowindex') === '2'")


def test_the_bar_leads_to_the_middle_and_to_the_end(tab, order):
    grid = tab.get_by_role("grid")
    grid.evaluate("e => { e.scrollTop = (e.scrollHeight - e.clientHeight) / 2; }")
    wait_until(tab, "Number(document.querySelector('.grid-row').getAttribute('aria-rowindex')) > 100000")
    assert consistent(tab, order) == pytest.approx(N / 2, rel=0.001)
    grid.evaluate("e => { e.scrollTop = e.scrollHeight; }")
    wait_until(
        tab,
        f"[...document.querySelectorAll('.grid-row')].at(-1).getAttribute('aria-rowindex') === '{N + 1}'",
    )
    consistent(tab, order)


def test_keys_reach_both_ends_and_every_row_between(tab, order):
    tab.get_by_role("grid").focus()
    for key, place in (("End", N - 1), ("ArrowUp", N - 2), ("ArrowUp", N - 3), ("Home", 0), ("ArrowDown", 1)):
        tab.keyboard.press(key)
        tab.locator(f"#row-{order[place]}.current").wait_for()
        consistent(tab, order)
        edges = tab.locator(".grid-row.current").bounding_box()
        head = tab.locator(".grid-head").bounding_box()
        grid = tab.get_by_role("grid").bounding_box()
        assert head["y"] + head["height"] - 1 <= edges["y"]
        assert edges["y"] + ROW <= grid["y"] + grid["height"] + 1


def test_a_filter_leaves_fewer_rows_and_the_bar_is_no_longer_scaled(tab, order, million):
    tab.get_by_role("grid").focus()
    tab.keyboard.press("End")
    tab.locator(f"#row-{order[-1]}.current").wait_for()
    tab.evaluate("location.hash = '#where=' + encodeURIComponent('max:40~')")
    left = order[million.max[order] >= 40]
    assert 100 < len(left) < 10_000
    wait_until(tab, f"document.querySelector('.chips b').textContent === '{len(left):,}'")
    consistent(tab, left)
    tab.evaluate("location.hash = '#where=' + encodeURIComponent('max:40~') + '&up=1'")
    up = np.lexsort((np.arange(N), million.density))
    up = up[million.max[up] >= 40]
    wait_until(tab, f"document.querySelector('.grid-row')?.dataset.feature === '{up[0]}'")
    consistent(tab, up)
