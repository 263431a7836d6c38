"""The page of two dictionaries, driven as a user would."""

from __future__ import annotations

import json
import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from polling import wait_until
from synthetic_page import synthetic_page

from sae_vis.contract import CorrelationTable, OtherDictionary
from sae_vis.corpus.text import TokenText
from sae_vis.views.compare import CompareSettings, compare_page
from tests.fixtures.two_dictionaries import SAES, made

pytestmark = pytest.mark.browser

AXE = Path(__file__).parents[2] / "frontend" / "node_modules" / "axe-core" / "axe.min.js"
ON_PAGE = (2, 3, 4, 6, 8)


@pytest.fixture(scope="module")
def case():
    return made(SAES["widths"])


@pytest.fixture(scope="module")
def page(case):
    settings = CompareSettings(partners=3, examples=4, buffer=(3, 3), a_page="a.html", b_page="b.html")
    return compare_page(case[0], ON_PAGE, settings=settings, title="Two widths")


def compared(page, feature):
    return next(one for one in page.compare.compared if one.feature == feature)


def shown_pair(tab):
    return [int(card.inner_text()) for card in tab.locator(".pair-cards h2 b:not(.side)").all()]


def nearest(tab):
    return [int(link.inner_text()) for link in tab.locator(".pairs tbody a").all()]


def test_opens_with_the_first_feature_beside_its_nearest(open_page, page):
    tab = open_page(page)
    table = compared(page, 2).table
    assert shown_pair(tab) == [2, table.index[0]]
    assert nearest(tab) == table.index.tolist()
    cells = tab.locator(".pairs tbody tr").first.locator("td").all_inner_texts()
    assert float(cells[1].replace("−", "-")) == pytest.approx(table.pearson[0], rel=5e-3)
    assert float(cells[3].replace("−", "-")) == pytest.approx(table.decoder[0], rel=5e-3, abs=5e-4)
    assert float(cells[4].rstrip("%")) == pytest.approx(100 * table.share_a[0], rel=5e-3)
    assert float(cells[5].rstrip("%")) == pytest.approx(100 * table.share_b[0], rel=5e-3)
    assert cells[6] == f"{table.together[0]:,} tokens"
    assert "topk" not in tab.locator(".about").inner_text()
    assert "standard, 14 features, at here" in tab.locator(".about").inner_text()


def test_the_texts_of_a_pair(open_page, page):
    tab = open_page(page)
    groups = compared(page, 2).pairs[0]
    for group, box in zip(groups, tab.locator(".pair-group").all(), strict=True):
        n = len(group.offsets) - 1
        assert box.locator("li").count() == n
        said = box.locator("h3").inner_text()
        assert ("on no token" in said) if n == 0 else (f"{n} of {group.n_tokens:,} token" in said)
        for i in range(n):
            tokens = box.locator("li").nth(i).locator("[data-t]")
            own = slice(group.offsets[i], group.offsets[i + 1])
            assert tokens.count() == own.stop - own.start
            fires = [
                bool((np.nan_to_num(a) != 0) or (np.nan_to_num(b) != 0))
                for a, b in zip(group.acts_a[own], group.acts_b[own], strict=True)
            ]
            assert [("duo" in (token.get_attribute("class") or "")) for token in tokens.all()] == fires
            assert "focus" in (tokens.nth(int(group.focus[i])).get_attribute("class") or "")


def test_hover_and_keys_tell_both_activations(open_page, page):
    tab = open_page(page)
    group = compared(page, 2).pairs[0][0]
    b = int(compared(page, 2).table.index[0])
    token = tab.locator(".pair-group.both li").first.locator(".focus").first
    token.hover()
    at = int(group.offsets[0] + group.focus[0])
    tip = tab.locator("#tip")
    assert f"A, feature 2: {group.acts_a[at]:.3g}" in tip.inner_text().replace(".00", "")
    assert f"B, feature {b}: " in tip.inner_text()
    assert f"sequence {group.sequence[0]}, position {group.start[0] + group.focus[0]}" in tip.inner_text()
    tab.mouse.move(5, 5)
    tab.get_by_role("group", name="Both fire").focus()
    tab.keyboard.press("ArrowDown")
    assert token.evaluate("(element) => element === document.activeElement")
    tab.keyboard.press("ArrowRight")
    assert tab.evaluate("Number(document.activeElement.dataset.t)") == at + 1
    tab.keyboard.press("ArrowLeft")
    tab.keyboard.press("ArrowDown")
    second = int(group.offsets[1] + group.focus[1])
    assert tab.evaluate("Number(document.activeElement.dataset.t)") == second
    assert f"position {group.start[1] + group.focus[1]}" in tip.inner_text()
    tab.keyboard.press("Escape")
    assert tip.is_hidden()
    assert tab.evaluate("document.activeElement.getAttribute('role')") == "group"


def test_another_partner_by_click_key_and_address(open_page, page):
    tab = open_page(page)
    near = compared(page, 2).table.index.tolist()
    tab.locator(".pairs tbody tr").nth(1).click()
    assert shown_pair(tab) == [2, near[1]]
    wait_until(tab, f"location.hash === '#a=2&b={near[1]}'")
    tab.locator("h1").click()
    tab.keyboard.press("ArrowDown")
    assert shown_pair(tab) == [2, near[2]]
    tab.keyboard.press("ArrowDown")
    assert shown_pair(tab) == [2, near[2]]
    tab.keyboard.press("ArrowUp")
    assert shown_pair(tab) == [2, near[1]]
    tab.go_back()
    assert shown_pair(tab) == [2, near[0]]
    other = open_page(page, f"#a=3&b={compared(page, 3).table.index[2]}&theme=dark")
    assert shown_pair(other) == [3, compared(page, 3).table.index[2]]
    assert other.evaluate("document.documentElement.dataset.theme") == "dark"


def test_from_feature_to_feature(open_page, page):
    tab = open_page(page)
    for key, feature in (("ArrowRight", 3), ("j", 4), ("k", 3), ("ArrowLeft", 2), ("ArrowLeft", 8)):
        tab.keyboard.press(key)
        assert shown_pair(tab)[0] == feature
    box = tab.get_by_label("Go to feature")
    box.fill("6")
    box.press("Enter")
    assert shown_pair(tab)[0] == 6
    box.fill("5")
    box.press("Enter")
    assert "Feature 5 is not on this page" in tab.locator("main").inner_text()
    box.fill("5000")
    box.press("Enter")
    assert "There is no feature 5000" in tab.locator("main").inner_text()


def test_a_partner_that_is_not_near_is_said(open_page, page):
    near = compared(page, 2).table.index.tolist()
    far = next(b for b in range(14) if b not in near)
    tab = open_page(page, f"#a=2&b={far}")
    assert f"Feature {far} of B is not among the nearest of feature 2 of A" in tab.locator("main").inner_text()
    assert shown_pair(tab) == [2, near[0]]


def test_a_token_of_one_card_is_marked_in_the_other(open_page, page):
    tab = open_page(page)
    cards = tab.locator(".pair-cards .card")
    group = compared(page, 2).pairs[0][0]
    assert group.n_tokens > 0
    tokens = cards.first.locator(".examples [data-t]")
    for i in range(min(tokens.count(), 60)):
        tokens.nth(i).hover()
        if cards.nth(1).locator(".linked").count():
            break
    assert cards.nth(1).locator(".linked").count() > 0


def test_the_lists_hold_every_feature_that_fires(open_page, page):
    tab = open_page(page)
    for number, (view, table) in enumerate((("lost", page.compare.matches_a), ("new", page.compare.matches_b)), 2):
        tab.keyboard.press(str(number))
        wait_until(tab, f"location.hash.includes('view={view}')")
        fires = np.flatnonzero(table.features.density > 0)
        expected = sorted(fires.tolist(), key=lambda feature: (table.pearson[feature], feature))
        column = tab.locator(".list .numbers tbody td:first-child")
        assert [int(text.split()[0]) for text in column.all_inner_texts()] == expected
        weak = int((table.pearson[fires] < 0.3).sum())
        assert (
            f"{weak} of {len(fires)} features that fire have none of 0.3 or more" in tab.locator(".list").inner_text()
        )
        counts = [int(text) for text in tab.locator(".distribution .n").all_inner_texts()]
        bins = np.minimum((table.pearson[fires].astype(np.float64) * 10).astype(int), 9)
        assert counts == np.bincount(bins, minlength=10).tolist()
        tab.get_by_role("button", name="Density").click()
        ordered = [int(text.split()[0]) for text in column.all_inner_texts()]
        assert ordered == sorted(fires.tolist(), key=lambda feature: (-table.features.density[feature], feature))
        tab.get_by_role("button", name="Density").click()
        ordered = [int(text.split()[0]) for text in column.all_inner_texts()]
        assert ordered == sorted(fires.tolist(), key=lambda feature: (table.features.density[feature], feature))
        assert tab.locator("th[aria-sort=ascending]").count() == 1


def test_a_list_leads_to_the_pair_or_to_its_own_page(open_page, page):
    tab = open_page(page, "#a=2&view=lost")
    best = int(page.compare.matches_a.best[4])
    tab.get_by_role("link", name="A feature 4", exact=True).click()
    assert shown_pair(tab)[0] == 4
    assert shown_pair(tab)[1] == best
    tab = open_page(page, "#a=2&view=lost")
    elsewhere = next(f for f in (1, 5, 7) if page.compare.matches_a.features.density[f] > 0)
    link = tab.get_by_role("link", name=f"A feature {elsewhere}, on its own page")
    assert link.get_attribute("href") == f"a.html#f={elsewhere}"
    tab.get_by_role("checkbox", name="on this page only").check()
    assert link.count() == 0


def test_splits_and_merges(open_page, page):
    for view, table, side in (("splits", page.compare.splits, "A"), ("merges", page.compare.merges, "B")):
        tab = open_page(page, f"#view={view}")
        assert str(len(table.feature)) in tab.locator(f"#tab-{view}").inner_text()
        rows = tab.locator(".list .numbers tbody tr")
        assert rows.count() == len(table.feature)
        for i, row in enumerate(rows.all()):
            cells = row.locator("td").all_inner_texts()
            own = slice(table.offsets[i], table.offsets[i + 1])
            assert cells[0].split()[0] == str(table.feature[i])
            assert float(cells[1].rstrip("%")) == pytest.approx(100 * table.covered[i], rel=5e-3)
            assert cells[4] == str(own.stop - own.start)
            assert [int(part.inner_text().split()[0]) for part in row.locator(".parts > span").all()] == table.parts[
                own
            ].tolist()
        if len(table.feature) == 0:
            assert f"None: no feature of {side} has two or more parts" in tab.locator(".list").inner_text()
    assert len(page.compare.splits.feature) + len(page.compare.merges.feature) > 0


def test_tabs_by_keyboard(open_page, page):
    tab = open_page(page)
    tab.get_by_role("tab", name="Side by side").focus()
    for name in ("A without B", "B without A", "Splits", "Merges", "Side by side"):
        tab.keyboard.press("ArrowRight")
        assert name in tab.locator("[role=tab][aria-selected=true]").inner_text()
        assert tab.evaluate("document.activeElement.getAttribute('aria-selected')") == "true"
    tab.keyboard.press("?")
    assert tab.get_by_role("dialog").is_visible()
    tab.keyboard.press("Escape")
    assert tab.get_by_role("dialog").count() == 0


def test_nonsense_in_the_address_opens_the_default(open_page, page):
    tab = open_page(page, "#a=x&b=-1&view=none&by=%3Cb%3E&theme=pink")
    assert shown_pair(tab) == [2, compared(page, 2).table.index[0]]


def test_dead_features_and_features_without_counterpart(open_page, case):
    tab = open_page(compare_page(case[0], [0]))
    assert "Feature 0 of A is dead on this text" in tab.locator(".nearest").inner_text()
    assert shown_pair(tab) == [0]


def test_nasty_tokens_are_text(open_page, case):
    nasty = TokenText.from_vocab({t: f"<img src=x onerror=alert({t})></script><b>&amp;\u202e" for t in range(12)})
    sources = replace(case[0], a=replace(case[0].a, text=nasty), b=replace(case[0].b, text=nasty))
    tab = open_page(compare_page(sources, ON_PAGE))
    assert "</script><b>&amp;" in tab.locator(".pair-texts").inner_text()
    assert tab.locator("main img, main script, main li b").count() == 0
    tab.keyboard.press("2")
    assert tab.locator("main img").count() == 0


@pytest.mark.parametrize("view", ["pair", "lost", "merges"])
def test_fits_the_window(open_page, page, view, letters):
    tab = open_page(page, f"#view={view}", script=letters)
    for width in (360, 420, 900, 1500):
        tab.set_viewport_size({"width": width, "height": 900})
        assert tab.evaluate("document.documentElement.scrollWidth") <= width
        sizes = tab.evaluate(
            "[...document.querySelectorAll('body *')].filter((e) => e.checkVisibility() && [...e.childNodes].some("
            "(n) => n.nodeType === 3 && n.data.trim())).map((e) => parseFloat(getComputedStyle(e).fontSize))"
        )
        assert min(sizes) >= 13


def test_b_features_on_a_feature_page_are_links(open_page):
    page = synthetic_page(2, seed=3)
    table = CorrelationTable(
        index=np.array([7, 3], np.int32),
        pearson=np.array([0.5, 0.25], np.float32),
        cosine=np.array([0.6, 0.3], np.float32),
    )
    first = page.features[0].feature
    columns = [
        replace(column, components=tuple(
            replace(c, options={**c.options, "correlated_b_features_table": True}) if c.type == "FeatureTables" else c
            for c in column.components
        ))
        for column in page.layout.columns
    ]  # fmt: skip
    shown = {
        ("b.html", None): "b.html#f=7",
        (None, "both.html"): f"both.html#a={first}&b=7",
        ("b.html", "both.html"): "b.html#f=7",
        (None, None): None,
    }
    for (own, compare), expected in shown.items():
        other = OtherDictionary(sae="topk, 9 features", hook="blocks.1.hook_resid_post", page=own, compare=compare)
        tab = open_page(
            replace(
                page,
                meta=replace(page.meta, b=other),
                layout=replace(page.layout, columns=tuple(columns)),
                features=tuple(replace(view, correlated_b_features=table) for view in page.features),
            )
        )
        section = tab.locator("section", has=tab.get_by_role("heading", name="Correlated B features"))
        assert "B: topk, 9 features, at blocks.1.hook_resid_post" in section.inner_text()
        link = section.get_by_role("link", name="B feature 7")
        assert (link.get_attribute("href") if link.count() else None) == expected
        side_by_side = section.get_by_role("link", name="Compare side by side")
        assert side_by_side.count() == (compare is not None)
        assert section.locator("tbody td").all_inner_texts() == ["7", "+0.500", "+0.600", "3", "+0.250", "+0.300"]


@pytest.mark.audit
@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("view", ["pair", "lost", "new", "splits", "merges"])
def test_no_serious_finding(open_page, page, view, scheme):
    if not AXE.exists():
        message = "axe-core is not installed: run `npm ci` in frontend/"
        pytest.fail(message) if os.environ.get("CI") else pytest.skip(message)
    tab = open_page(page, f"#view={view}", color_scheme=scheme)
    tab.evaluate(AXE.read_text(encoding="utf-8"))
    found = tab.evaluate(
        "async () => (await axe.run(document, {resultTypes: ['violations']})).violations.map((v) => ({rule: v.id, "
        "impact: v.impact, where: v.nodes.slice(0, 3).map((n) => n.html.slice(0, 160))}))"
    )
    grave = [one for one in found if one["impact"] in {"serious", "critical"}]
    assert grave == [], json.dumps(grave, indent=1)
