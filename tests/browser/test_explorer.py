"""The explorer of a real index in Chromium: table, filters, keys, search, card, what can be taken along."""

from __future__ import annotations

import csv
import io
import re
from urllib.parse import quote, unquote

import numpy as np
import pytest
from explorer_server import serving
from playwright.sync_api import expect
from polling import wait_until

from examples.first_letters.first_letters import layout as own_layout
from sae_vis.api.prompts import mask_of, prompt_ids
from sae_vis.explore.columns import Columns
from sae_vis.explore.search import Search
from sae_vis.explore.tried import tried_text, woken

pytestmark = [pytest.mark.browser, pytest.mark.explorer, pytest.mark.xdist_group("the explorer's index")]

ROWS = ".grid-row"
NUMBERS = "all => all.map(row => Number(row.dataset.feature))"


@pytest.fixture(scope="module")
def index(demo_indices):
    return demo_indices.index


@pytest.fixture(scope="module")
def columns(index, demo_indices):
    return Columns(index, demo_indices.parts[0].sae)


def rows(tab):
    """The features in sight, in their order."""
    tab.locator(ROWS).first.wait_for()
    return tab.locator(ROWS).evaluate_all(NUMBERS)


def taken(tab, name="features=[…]"):
    """What a button of *Take along* copies."""
    tab.evaluate("navigator.clipboard.writeText('')")
    menu = tab.locator(".table-tools .copy-menu")
    if menu.get_attribute("open") is None:
        menu.locator("summary").click()
    menu.get_by_role("button", name=name).click()
    wait_until(tab, "navigator.clipboard.readText().then((text) => text !== '')")
    tab.keyboard.press("Escape")
    return tab.evaluate("navigator.clipboard.readText()")


def left(tab):
    """All features of the table, in their order."""
    return [int(number) for number in re.findall(r"\d+", taken(tab))]


def shown_feature(tab):
    return int(tab.locator(".explorer-card h2 b").inner_text())


def wait_for_count(tab, n):
    wait_until(tab, f"document.querySelector('.chips [role=status] b').textContent === '{n:,}'")


def head_of(tab, title):
    return tab.locator(".grid-head").get_by_role("columnheader", name=re.compile(f"^{title}"))


def open_chooser(tab):
    if tab.locator(".chooser").get_attribute("open") is None:
        tab.locator(".chooser summary").click()


def in_order(values, *, down):
    """The plain reference: by value, ties by number, without a value last."""
    known = [i for i in range(len(values)) if values[i] == values[i]]
    return [
        *sorted(known, key=lambda i: (-values[i] if down else values[i], i)),
        *(i for i in range(len(values)) if values[i] != values[i]),
    ]


class TestOrder:
    @pytest.mark.parametrize("down", [True, False])
    @pytest.mark.parametrize("name", ["density", "n_firings", "kurtosis", "n_fired_tokens", "unevenness 1"])
    def test_rows_are_the_columns_sorted(self, open_explorer, columns, name, down):
        tab = open_explorer(f"#sort={quote(name)}{'' if down else '&up=1'}")
        expected = in_order(columns.values(name).astype(np.float64).tolist(), down=down)
        seen = rows(tab)
        assert len(seen) > 10
        assert seen == expected[: len(seen)]
        assert left(tab) == expected

    def test_a_feature_without_a_value_is_last_both_ways(self, open_explorer, columns):
        none = np.flatnonzero(np.isnan(columns.values("kurtosis"))).tolist()
        assert none  # a dead feature
        for up in ("", "&up=1"):
            assert left(open_explorer(f"#sort=kurtosis{up}"))[-len(none) :] == none

    def test_a_title_sorts_and_turns_around(self, open_explorer, columns):
        tab = open_explorer()
        head = head_of(tab, "Max")
        head.get_by_role("button").click()
        expected = in_order(columns.values("max").tolist(), down=True)
        assert rows(tab)[:5] == expected[:5]
        assert head.get_attribute("aria-sort") == "descending"
        head.get_by_role("button").click()
        assert rows(tab)[:5] == in_order(columns.values("max").tolist(), down=False)[:5]
        assert head.get_attribute("aria-sort") == "ascending"
        assert head_of(tab, "Density").get_attribute("aria-sort") == "none"

    def test_another_order_is_seen_from_its_beginning(self, open_explorer, columns):
        """And not from where the open feature happens to be; opening one brings it into sight again."""
        feature = in_order(columns.values("density").tolist(), down=True)[1500]
        tab = open_explorer(f"#f={feature}")
        tab.locator(f"#row-{feature}.current").wait_for()
        head_of(tab, "Max").get_by_role("button").click()
        expected = in_order(columns.values("max").tolist(), down=True)
        wait_until(tab, f"document.querySelector('{ROWS}').dataset.feature === '{expected[0]}'")
        assert shown_feature(tab) == feature
        tab.keyboard.press("j")
        after = expected[min(expected.index(feature) + 1, len(expected) - 1)]
        tab.locator(f"#row-{after}.current").wait_for()

    def test_cells_say_what_the_index_says(self, open_explorer, index):
        tab = open_explorer("#cols=n_firings,top_token,fired_tokens,pushed_up&sort=n_firings")
        tab.locator(".grid-row .chip").first.wait_for()
        for feature in rows(tab)[:5]:
            cells = tab.locator(f"#row-{feature} [role=gridcell]")
            assert cells.nth(0).inner_text() == f"{index.column('n_firings')[feature]:,}"
            fired = index.lists("fired_tokens", feature)[:6]
            up = index.lists("top_tokens", feature)[:6]
            top = index.tokens[int(index.top_examples(feature, 1).positions[0])]
            for cell, tokens in ((1, [top]), (2, fired), (3, up)):
                chips = cells.nth(cell).locator(".chip").all_inner_texts()
                assert len(chips) == len(tokens)
                for chip, one in zip(chips, tokens, strict=True):
                    text = index.text.bytes_of(int(one)).decode("utf-8", "replace")
                    if re.fullmatch(r" ?[A-Za-z0-9]+", text):
                        assert chip.replace("·", " ") == text, (feature, cell, chips)

    def test_the_table_is_a_grid_for_a_screen_reader(self, open_explorer, index):
        tab = open_explorer()
        feature = rows(tab)[0]
        grid = tab.get_by_role("grid", name="Features")
        assert grid.get_attribute("aria-rowcount") == str(index.n_features + 1)
        assert grid.get_attribute("aria-activedescendant") == f"row-{feature}"
        row = tab.locator(f"#row-{feature}")
        assert row.get_attribute("aria-rowindex") == "2"
        assert row.get_attribute("aria-selected") == "true"
        told = grid.aria_snapshot()
        assert f'row "{feature} ' in told
        for word in ("columnheader", "rowheader", "gridcell"):
            assert word in told


class TestParts:
    def test_what_comes_later_comes_when_it_is_shown(self, open_explorer):
        tab = open_explorer()
        rows(tab)
        tab.locator(".explorer-card h2").wait_for()
        asked = "performance.getEntriesByType('resource').map((one) => one.name).filter((name) => /parts/.test(name))"
        assert [re.sub(r".*/parts/|-.*", "", name) for name in tab.evaluate(asked)] == ["card"]
        tab.get_by_role("button", name="Prompt").click()
        tab.get_by_role("textbox", name="Prompt").wait_for()
        assert any("/parts/views-" in name for name in tab.evaluate(asked))

    def test_a_part_that_can_not_be_had_is_told(self, chromium, explorer):
        tab = chromium.new_page()
        tab.route("**/parts/card-*", lambda route: route.abort())
        tab.goto(explorer.address)
        told = tab.get_by_role("alert").filter(has_text="A part of the page's script can't be read")
        told.wait_for()
        assert "nothing answers there" in told.inner_text()
        assert len(rows(tab)) > 10
        tab.close()

    def test_a_component_of_ones_own_is_drawn(self, open_explorer, demo_indices):
        with serving(demo_indices.paths[:1], layout=own_layout()) as server:
            tab = open_explorer("#f=3", at=server.address)
            tab.locator("[data-component=FirstLetters] svg").first.wait_for()
            assert tab.locator("[data-message=own]").count() == 0
            tab.goto("about:blank")  # it would ask for more of a server that has ended


class TestFilters:
    def brush(self, tab, title, start, end):
        """Drag over a column's histogram, from one share of its width to another."""
        spread = head_of(tab, title).locator(".spread")
        place = spread.bounding_box()
        y = place["y"] + place["height"] / 2
        tab.mouse.move(place["x"] + start * place["width"], y)
        tab.mouse.down()
        tab.mouse.move(place["x"] + end * place["width"], y, steps=4)
        tab.mouse.up()

    def where(self, tab, name):
        wait_until(tab, f"decodeURIComponent(location.hash).includes('{name}:')")
        low, high = re.search(rf"{name}:([^~]*)~([^,&]*)", unquote(tab.evaluate("location.hash"))).groups()
        return (float(low) if low else -np.inf), (float(high) if high else np.inf)

    @pytest.mark.parametrize(("start", "end"), [(0.25, 0.6), (0.7, 0.3), (0.5, 1.2), (0.4, -0.3)])
    def test_dragging_over_a_histogram_takes_those_between_the_ends(self, open_explorer, columns, start, end):
        tab = open_explorer()
        rows(tab)
        self.brush(tab, "Max", start, end)
        low, high = self.where(tab, "max")
        assert (low == -np.inf) == (min(start, end) < 0)
        assert (high == np.inf) == (max(start, end) > 1)
        values = columns.values("max").astype(np.float64)
        expected = np.flatnonzero((values >= low) & (values <= high))
        assert 0 < len(expected) < len(values)
        wait_for_count(tab, len(expected))
        assert sorted(left(tab)) == expected.tolist()
        if start == 0.25:  # a linear scale
            reach = values.max() - values.min()
            assert low == pytest.approx(values.min() + 0.25 * reach, abs=0.03 * reach)
            assert high == pytest.approx(values.min() + 0.6 * reach, abs=0.03 * reach)

    def test_a_drag_filters_before_it_ends(self, open_explorer, columns):
        tab = open_explorer("#f=3")
        rows(tab)
        spread = head_of(tab, "Max").locator(".spread")
        place = spread.bounding_box()
        y = place["y"] + place["height"] / 2
        tab.mouse.move(place["x"] + 0.3 * place["width"], y)
        tab.mouse.down()
        for end in (0.9, 0.5):
            tab.mouse.move(place["x"] + end * place["width"], y)
            low, high = (columns.values("max").min() + share * np.ptp(columns.values("max")) for share in (0.3, end))
            n = int(((columns.values("max") >= low) & (columns.values("max") <= high)).sum())
            slack = int(0.1 * n)  # the pointer is on a whole pixel
            wait_until(
                tab,
                "Math.abs(Number(document.querySelector('.chips [role=status] b').textContent.replace(',', ''))"
                f" - {n}) <= {slack}",
            )
            assert "where" not in tab.url
            assert shown_feature(tab) == 3
        tab.mouse.up()
        low, high = self.where(tab, "max")
        values = columns.values("max").astype(np.float64)
        wait_for_count(tab, int(((values >= low) & (values <= high)).sum()))

    def test_dead_features_by_one_click(self, open_explorer, index):
        tab = open_explorer()
        rows(tab)
        dead = np.flatnonzero(index.column("n_firings") == 0)
        assert len(dead) > 0
        tab.get_by_role("button", name=f"{len(dead):,} dead", exact=True).click()
        wait_for_count(tab, len(dead))
        assert left(tab) == dead.tolist()
        wait_until(tab, "document.querySelector('.explorer-card [data-message=dead]') !== null")
        tab.get_by_role("button", name=re.compile("^Density at most 0")).click()
        wait_for_count(tab, index.n_features)

    def test_what_fires_on_code_but_not_on_novels(self, open_explorer, index):
        tab = open_explorer()
        rows(tab)
        open_chooser(tab)
        for title, name, value in (("On code", "on 1 0", "1"), ("On novels", "on 1 3", "0.01")):
            end = "least" if title == "On code" else "most"
            box = tab.get_by_label(f"{title} at {end}, in percent")
            box.fill(value)
            box.press("Enter")
            self.where(tab, name)
        table = index.labels("kind")
        on = dict(zip(table.labels, table.density.T.astype(np.float32), strict=True))
        expected = np.flatnonzero((on["code"] >= 0.01) & (on["novels"] <= 0.0001))
        assert 0 < len(expected) < index.n_features
        wait_for_count(tab, len(expected))

    def test_what_is_typed_stands_while_the_table_is_drawn_again(self, open_explorer, columns, index):
        tab = open_explorer()
        rows(tab)
        open_chooser(tab)
        box = tab.get_by_label("Density at most, in percent")
        box.fill("2")
        tab.evaluate("location.hash = '#where=max:3~'")
        wait_for_count(tab, (columns.values("max") >= 3).sum())
        assert box.input_value() == "2"
        box.press("Enter")
        kept = (columns.values("max") >= 3) & (columns.values("density") <= np.float32(0.02))
        wait_for_count(tab, kept.sum())
        assert kept.sum() < (columns.values("max") >= 3).sum()
        box.fill("two")
        box.press("Enter")
        wait_until(tab, "document.querySelector('[aria-label=\"Density at most, in percent\"]').value === '2'")

    def test_two_filters_and_letting_go_of_them(self, open_explorer, columns, index):
        tab = open_explorer()
        rows(tab)
        self.brush(tab, "Max", 0.1, 0.5)
        self.brush(tab, "Density", 0.5, 0.9)
        limits = {name: self.where(tab, name) for name in ("max", "density")}
        passes = {}
        for name, (low, high) in limits.items():
            values = columns.values(name).astype(np.float64)
            passes[name] = (values >= low) & (values <= high)
        both = passes["max"] & passes["density"]
        wait_for_count(tab, both.sum())
        assert sorted(left(tab)) == np.flatnonzero(both).tolist()
        chips = tab.locator(".chips button:has(span)")
        assert chips.count() == 3
        tab.get_by_role("button", name=re.compile("^Max .* to ")).click()
        wait_for_count(tab, passes["density"].sum())
        tab.get_by_role("button", name=re.compile("^Density .* to ")).click()
        wait_for_count(tab, index.n_features)
        assert chips.count() == 0

    def test_a_histogram_shows_what_passes_the_other_filters(self, open_explorer, columns):
        """Of its own column all features stay in sight, so that the part taken out can be moved."""
        tab = open_explorer("#where=" + quote("max:5~20"))
        rows(tab)
        paths = "e => [...e.querySelectorAll('path')].map((p) => p.getAttribute('d').split('M').length - 1)"
        own = head_of(tab, "Max").locator("svg").evaluate(paths)
        assert own[0] == own[1]
        bars = "e => [...e.querySelectorAll('path')].map((p) => p.getAttribute('d'))"
        other = head_of(tab, "Density").locator("svg").evaluate(bars)
        assert other[0] != other[1]

    def test_typed_limits(self, open_explorer, columns):
        tab = open_explorer()
        rows(tab)
        open_chooser(tab)
        box = tab.get_by_label("Density at least, in percent")
        box.fill("0.5")
        box.press("Enter")
        box = tab.get_by_label("Density at most, in percent")
        box.fill("2")
        box.press("Tab")
        values = columns.values("density").astype(np.float64)
        expected = np.flatnonzero((values >= 0.005) & (values <= 0.02))
        assert 0 < len(expected) < len(values)
        wait_for_count(tab, len(expected))
        assert sorted(left(tab)) == expected.tolist()
        open_chooser(tab)
        box = tab.get_by_label("Density at least, in percent")
        assert box.input_value() == "0.5"
        box.fill("")
        box.press("Enter")
        wait_for_count(tab, (values <= 0.02).sum())

    def test_nothing_left_says_so(self, open_explorer):
        tab = open_explorer("#where=" + quote("max:1e6~"))
        tab.get_by_text("No feature is left").wait_for()
        assert tab.locator(".chips b").inner_text() == "0"
        tab.locator(".chips button:has(span)").click()
        assert rows(tab)


class TestColumns:
    def titles(self, tab):
        rows(tab)
        return [
            re.sub(r" [↑↓].*", "", one.strip().split("\n")[0])
            for one in tab.locator(".grid-head").get_by_role("columnheader").all_inner_texts()
        ]

    def test_columns_are_chosen(self, open_explorer):
        tab = open_explorer()
        before = self.titles(tab)
        assert before == ["Feature", "Density", "Max", "Strongest token", "Fires on", "Pushes up"]
        open_chooser(tab)
        tab.get_by_role("checkbox", name="Kurtosis").check()
        tab.get_by_role("checkbox", name="Max", exact=True).uncheck()
        tab.get_by_role("checkbox", name="Uneven by kind").check()
        tab.get_by_role("checkbox", name="kind", exact=True).check()
        tab.keyboard.press("Escape")
        assert set(self.titles(tab)) == {*before, "Kurtosis", "Uneven by kind", "kind"} - {"Max"}
        wait_until(tab, "location.hash.includes('cols=')")
        tab.reload()
        assert set(self.titles(tab)) == {*before, "Kurtosis", "Uneven by kind", "kind"} - {"Max"}

    def test_a_label_is_in_words(self, open_explorer, index, columns):
        tab = open_explorer("#cols=" + quote("label 1"))
        names = index.labelling("kind").labels
        values = columns.values("label 1")
        wait_until(tab, f"document.querySelector('{ROWS} .label')?.textContent !== ''")
        for feature in rows(tab)[:8]:
            expected = "" if values[feature] < 0 else names[values[feature]]
            assert tab.locator(f"#row-{feature} .label").inner_text() == expected

    def test_the_address_restores_it_all(self, open_explorer):
        tab = open_explorer()
        rows(tab)
        open_chooser(tab)
        tab.get_by_role("checkbox", name="Skewness").check()
        box = tab.get_by_label("Max at least")
        box.fill("3")
        box.press("Enter")
        tab.keyboard.press("Escape")
        head = head_of(tab, "Skewness")
        head.get_by_role("button").click()
        head.get_by_role("button").click()
        tab.get_by_label("Find features").fill("self")
        tab.locator(".ways button[aria-pressed=true]").wait_for()
        tab.locator(ROWS).nth(2).click()
        wait_until(tab, "location.hash.includes('f=')")
        tab.wait_for_timeout(100)

        def state():
            return {
                "titles": self.titles(tab),
                "rows": rows(tab),
                "chips": tab.locator(".chips").inner_text(),
                "words": tab.get_by_label("Find features").input_value(),
                "pressed": tab.locator(".ways button[aria-pressed=true]").inner_text(),
                "feature": shown_feature(tab),
                "sorted": tab.locator("[aria-sort=ascending]").inner_text(),
            }

        before = state()
        tab.reload()
        tab.locator(".ways button[aria-pressed=true]").wait_for()
        wait_until(tab, "document.querySelector('.explorer-card[aria-busy=false]') !== null")
        assert state() == before


class TestKeys:
    def test_keys_walk_the_table_and_the_card_follows(self, open_explorer, index, columns):
        tab = open_explorer()
        expected = in_order(columns.values("density").tolist(), down=True)
        first = rows(tab)
        grid = tab.get_by_role("grid")
        grid.focus()

        def after(key):
            tab.keyboard.press(key)
            wait_until(tab, "document.querySelector('.explorer-card[aria-busy=false]') !== null")
            feature = shown_feature(tab)
            current = tab.locator(f"{ROWS}.current")
            assert current.count() == 1  # its row is in sight
            assert current.get_attribute("data-feature") == str(feature)
            assert grid.get_attribute("aria-activedescendant") == f"row-{feature}"
            return expected.index(feature)

        assert after("ArrowDown") == 1
        assert after("ArrowDown") == 2
        assert after("ArrowUp") == 1
        page = after("PageDown") - 1
        assert len(first) - 4 <= page < len(first)
        assert after("End") == index.n_features - 1
        assert after("ArrowDown") == index.n_features - 1
        assert after("PageUp") == index.n_features - 1 - page
        assert after("Home") == 0
        assert after("j") == 1
        assert after("k") == 0
        assert after("k") == 0
        tab.locator("body").click(position={"x": 2, "y": 2})
        assert after("ArrowRight") == 1
        assert after("ArrowLeft") == 0

    def test_the_address_follows_and_a_link_brings_the_row_into_sight(self, open_explorer, columns):
        feature = in_order(columns.values("density").tolist(), down=True)[1000]
        tab = open_explorer(f"#f={feature}")
        tab.locator(f"#row-{feature}.current").wait_for()
        place = tab.locator(f"#row-{feature}").bounding_box()
        assert 0 < place["y"] < 950 - place["height"]
        assert shown_feature(tab) == feature

    @pytest.mark.parametrize("key", ["ArrowDown", "j"])
    def test_a_step_from_a_row_that_is_not_known_yet_leads_nowhere(self, open_explorer, columns, key):
        order = in_order(columns.values("density").tolist(), down=True)
        feature, after = order[1500], order[1501]
        tab = open_explorer()
        home, held = tab.url.partition("#")[0], []

        def hold(route):
            held.append(route)

        tab.route("**/column/density*", hold)
        tab.goto("about:blank")
        tab.goto(f"{home}#f={feature}")
        tab.get_by_role("article", name=f"Feature {feature}", exact=True).wait_for()
        wait_until(tab, f"document.querySelectorAll('{ROWS}').length > 5")
        tab.get_by_role("grid").focus()
        tab.keyboard.press(key)
        assert shown_feature(tab) == feature
        assert tab.evaluate("location.hash") == f"#f={feature}"
        assert held
        for route in held:
            route.continue_()
        tab.locator(f"#row-{feature}.current").wait_for()
        tab.keyboard.press(key)
        tab.locator(f"#row-{after}.current").wait_for()

    def test_slash_leads_to_the_search_and_enter_opens(self, open_explorer):
        tab = open_explorer()
        rows(tab)
        tab.keyboard.press("/")
        assert tab.evaluate("document.activeElement.type") == "search"
        tab.keyboard.type("self")
        tab.locator(".ways button[aria-pressed=true]").wait_for()
        best = rows(tab)[0]
        second = rows(tab)[1]
        tab.keyboard.press("Enter")
        tab.get_by_role("article", name=f"Feature {best}", exact=True).wait_for()
        tab.keyboard.press("ArrowDown")  # the table has the focus
        tab.get_by_role("article", name=f"Feature {second}", exact=True).wait_for()

    def test_enter_waits_for_what_is_being_looked_for(self, open_explorer, index):
        """Never the first row of the table as it was before the search ended."""
        tab = open_explorer()
        before = rows(tab)[0]
        tab.keyboard.press("/")
        tab.keyboard.type("self")
        tab.keyboard.press("Enter")
        best = int(Search(index).find("self").hits[0].features[0])
        assert best != before
        tab.get_by_role("article", name=f"Feature {best}", exact=True).wait_for()

    def test_keys_are_listed(self, open_explorer):
        tab = open_explorer()
        rows(tab)
        tab.keyboard.press("?")
        dialog = tab.get_by_role("dialog")
        dialog.wait_for()
        assert "row by row" in dialog.inner_text()
        tab.keyboard.press("Escape")
        assert dialog.count() == 0


class TestSearch:
    def search(self, tab, words):
        tab.get_by_label("Find features").fill(words)
        wait_until(
            tab,
            "(document.querySelector('.ways')?.textContent ?? 'Searching').includes('Searching') === false",
        )
        tab.locator(".ways button[aria-pressed]").first.wait_for()

    def found(self, tab, words, way):
        self.search(tab, words)
        wait_until(
            tab,
            f"[...document.querySelectorAll('.ways button:enabled')].some((b) => b.textContent.includes('{way}'))",
        )
        tab.locator(".ways button", has_text=way).click()
        tab.locator(".ways button[aria-pressed=true]", has_text=way).wait_for()
        wait_until(tab, f"decodeURIComponent(location.hash).includes('q={words}')")
        return left(tab)

    @pytest.mark.parametrize(("way", "words"), [("fire on it", "self"), ("fire on it", "def"), ("push it up", "self")])
    def test_tokens(self, open_explorer, index, way, words):
        expected = {"fire on it": 0, "push it up": 1}[way]
        hits = Search(index).find(words).hits[expected]
        assert len(hits.features) > 1
        assert self.found(open_explorer(), words, way) == hits.features.tolist()

    def test_fires_on_a_token_by_the_share_of_firings(self, open_explorer, index):
        """Against the plain definition, of the tokens that the index lists."""
        tokens = [
            token for token, data, special in index.text.entries() if not special and data.strip().lower() == b"self"
        ]
        shares = {}
        for feature in range(index.n_features):
            fired = index.fired_tokens(feature)
            count = int(fired.counts[np.isin(fired.tokens, tokens)].sum())
            if count:
                shares[feature] = count / index.column("n_firings")[feature]
        tab = open_explorer()
        assert self.found(tab, "self", "fire on it") == sorted(shares, key=lambda f: (-np.float64(shares[f]), f))

    def test_a_phrase_of_the_text(self, open_explorer, index):
        matches = index.find_text("of the", ignore_case=True)
        assert len(matches.starts) > 10
        expected = index.features_of(matches.positions, 2_000)
        tab = open_explorer()
        assert self.found(tab, "of the", "where it stands") == expected.feature.tolist()
        assert f"({len(matches.starts):,} places)" in tab.locator(".ways").inner_text()
        shown = [
            float(text.replace(",", ""))
            for text in tab.locator(f"{ROWS} .cell.number:nth-child(2)").all_inner_texts()[:5]
        ]
        assert shown == pytest.approx(expected.score[:5].tolist(), rel=0.006)

    def test_what_a_text_wakes(self, open_explorer, index, demo_indices):
        text = "def walk(self): pass"
        parts, mask = demo_indices.parts[0], mask_of(index)
        ids = prompt_ids(text, demo_indices.tokenizer, mask)
        expected = woken(index, tried_text(parts.reader, parts.read, parts.sae, mask, ids))
        tab = open_explorer()
        assert self.found(tab, text, "fire when the model reads it") == expected.features.tolist()
        read = tab.locator(".reading .chip").all_inner_texts()
        assert read == [index.text.bytes_of(token).decode().replace(" ", "·") for token in ids[1:]]  # without the BOS
        assert f" fires when the model reads it, in {len(ids) - 1} tokens: " in tab.locator(".reading").inner_text()

    def test_a_space_in_front_is_another_token(self, open_explorer, index, demo_indices):
        tab = open_explorer()
        for words in ("United", " United"):
            ids = prompt_ids(words, demo_indices.tokenizer, mask_of(index))[1:]
            shown = [index.text.bytes_of(token).decode().replace(" ", "·") for token in ids]
            tab.get_by_label("Find features").fill(words)
            way = tab.locator(".ways button", has_text="fire when the model reads it")
            way.wait_for()
            way.click()
            expect(tab.locator(".reading .chip")).to_have_text(shown)
            assert ("no space in front" in tab.locator(".reading").inner_text()) == (words == "United")

    def test_a_number(self, open_explorer, index):
        tab = open_explorer()
        self.search(tab, "1234")
        tab.get_by_role("button", name="Feature 1234").click()
        tab.get_by_role("article", name="Feature 1234").wait_for()
        assert tab.get_by_label("Find features").input_value() == ""
        tab.get_by_label("Find features").fill("77")
        tab.keyboard.press("Enter")
        tab.get_by_role("article", name="Feature 77", exact=True).wait_for()
        tab.get_by_label("Find features").fill(str(index.n_features))
        assert tab.get_by_role("button", name=f"No feature {index.n_features:,}").is_disabled()

    def test_what_is_nowhere_says_so(self, open_explorer):
        tab = open_explorer()
        self.search(tab, "xqzzyqx")
        assert tab.locator(".ways button", has_text="where it stands (0 places)").is_disabled()
        assert tab.locator(".ways button", has_text="0 fire on it").is_disabled()
        said = tab.locator(".reading")
        expect(said).to_contain_text("No token, phrase of the text or note holds “xqzzyqx”.")
        expect(said).to_contain_text("What is listed fires when the model reads it, in ")

    def test_the_column_says_what_a_match_is(self, open_explorer):
        tab = open_explorer()
        self.found(tab, "self", "fire on it")
        head = tab.get_by_role("columnheader", name="Match")
        said = "How well it matches the search: share of its firings that are on such tokens"
        assert head.get_attribute("title") == said


class TestTakingAlong:
    def test_features_for_python(self, open_explorer, columns):
        tab = open_explorer("#where=" + quote("max:15~"))
        rows(tab)
        code = taken(tab)
        expected = [
            i for i in in_order(columns.values("density").tolist(), down=True) if columns.values("max")[i] >= 15
        ]
        scope = {}
        exec(code, scope)
        assert scope["features"] == expected

    def test_rows_as_csv_in_full(self, open_explorer, columns, index):
        tab = open_explorer(
            "#cols=" + quote("density,max,label 1,top_token,fired_tokens") + "&where=" + quote("max:15~")
        )
        rows(tab)
        found = list(csv.reader(io.StringIO(taken(tab, "rows as CSV"))))
        assert found[0][:3] == ["feature", "density", "max"]
        expected = left(tab)
        assert [int(row[0]) for row in found[1:]] == expected
        for row in found[1:]:
            for place, name in ((1, "density"), (2, "max")):
                assert np.float32(row[place]) == columns.values(name)[int(row[0])]


class TestCard:
    def test_numbers_in_a_card_are_links(self, open_explorer, index):
        tab = open_explorer("#f=18")
        link = tab.locator(".explorer-card .card-columns a[href*='f=']").first
        link.wait_for()
        to = int(re.search(r"f=(\d+)", link.get_attribute("href")).group(1))
        assert to != 18
        link.click()
        tab.get_by_role("article", name=f"Feature {to}", exact=True).wait_for()
        tab.go_back()
        tab.get_by_role("article", name="Feature 18", exact=True).wait_for()

    def test_it_is_the_card_of_the_index(self, open_explorer, index):
        tab = open_explorer("#f=18")
        tab.locator(".explorer-card .card-columns .examples li").first.wait_for()
        text = tab.locator(".explorer-card").inner_text()
        assert f"{index.column('n_firings')[18]:,} times" in text
        top = float(index.top_examples(18, 1).acts[0])
        assert f"{top:.1f}" in text

    def test_a_feature_that_does_not_exist(self, open_explorer, index):
        tab = open_explorer(f"#f={index.n_features}", expected=("400",))
        assert "does not exist" in tab.get_by_role("alert").inner_text()

    def test_a_dead_feature_says_so(self, open_explorer, index):
        dead = int(np.flatnonzero(index.column("n_firings") == 0)[0])
        tab = open_explorer(f"#f={dead}")
        tab.locator(".explorer-card").get_by_text("never fires").first.wait_for()

    def test_a_text_is_tried_as_it_is_typed(self, open_explorer, index, demo_indices):
        import torch

        parts = demo_indices.parts[0]
        text = "def __init__(self, guid): return guard"
        ids = prompt_ids(text, demo_indices.tokenizer, mask_of(index))
        with torch.no_grad():
            acts = parts.reader.activations(torch.tensor([ids]), parts.read)[0]
        codes = parts.sae.encode(acts)
        dense = np.zeros((len(ids), index.n_features), dtype=np.float32)
        offsets = codes.offsets.numpy()
        for place in range(len(ids)):
            own = slice(offsets[place], offsets[place + 1])
            dense[place, codes.features.numpy()[own]] = codes.acts.numpy()[own]
        feature = int(np.argmax((dense > 0).sum(axis=0) * (dense > 0).any(axis=0)))
        tab = open_explorer(f"#f={feature}")
        tab.get_by_role("textbox", name="Try a text").fill(text)
        tab.locator(".try-text [data-t]").first.wait_for()
        shown = tab.locator(".try-text [data-t]").evaluate_all("all => all.map((t) => t.title)")
        assert len(shown) == len(ids)
        for place, title in enumerate(shown):
            assert (title == "") == (dense[place, feature] == 0)
            if title:
                assert float(title) == pytest.approx(float(dense[place, feature]), rel=0.006)
        n = int((dense[:, feature] > 0).sum())
        assert f"fires on {n} of {len(ids)} tokens" in tab.locator(".try-text [role=status]").inner_text()
        tab.locator(ROWS).nth(3).click()  # the text stays for the next feature
        assert tab.get_by_role("textbox", name="Try a text").input_value() == text
