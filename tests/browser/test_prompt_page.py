"""The prompt page, driven as a user would: every ranking against the slow one, every way to choose and to look."""

from __future__ import annotations

import itertools
import json
import os
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from measures import aligned, box
from polling import wait_until
from synthetic_prompt import ASKED_FOR, NO_CARD, SILENT, Asked, ranked, synthetic_prompt

from sae_vis import Corpus, Index, PromptSettings, TokenText, index_features, load_tokenizer
from sae_vis.api import save_prompt_page
from sae_vis.demo import run as demo
from sae_vis.views.prompt import METRICS

pytestmark = pytest.mark.browser

AXE = Path(__file__).parents[2] / "frontend" / "node_modules" / "axe-core" / "axe.min.js"
DRAWN = "() => new Promise((done) => requestAnimationFrame(() => setTimeout(done)))"
GO = """(address) => new Promise((done) => {
  if (location.hash === address) done();
  addEventListener('hashchange', () => requestAnimationFrame(() => setTimeout(done)), { once: true });
  location.hash = address; })"""
WRITTEN = (
    "() => new Promise((done) => setTimeout(done, 150))"  # timers run in their order, and the page's own is of 120 ms
)
LISTED = "[...document.querySelectorAll('.ranks tbody tr')].map((row) => Number(row.dataset.feature))"
VALUES = "[...document.querySelectorAll('.ranks .value')].map((cell) => cell.textContent)"


@pytest.fixture(scope="module")
def page():
    return synthetic_prompt()


@pytest.fixture(scope="module")
def pair():
    return synthetic_prompt(two=True, seed=3)


def go(tab, address):
    tab.evaluate(GO, address)


def listed(tab):
    return tab.evaluate(LISTED)


def token(tab, position, side=0):
    return tab.locator(f"#t{side}-{position}")


def address(tab):
    """What the address says, once the page has written it."""
    tab.evaluate(WRITTEN)
    return tab.evaluate("location.hash")


def says(tab, expected):
    """Wait for an address."""
    wait_until(tab, f"location.hash === {json.dumps(expected)}")


def press(tab, *keys):
    for key in keys:
        tab.keyboard.press(key)
    tab.evaluate(DRAWN)


def shown_number(text):
    text = text.replace("\u2212", "-").replace(",", "")
    if text.endswith("pp"):
        return float(text[:-2]) / 100
    return float(text[:-1]) / 100 if text.endswith("%") else float(text)


def check(tab, part, asked):
    go(tab, asked.address)
    expected = ranked(part, asked)
    assert listed(tab) == [feature for feature, _ in expected], asked
    for text, (_, value) in zip(tab.evaluate(VALUES), expected, strict=True):
        assert shown_number(text) == pytest.approx(value, rel=6e-3, abs=2e-4), asked


def cases(part, n, seed):
    """Every metric at single tokens; and a sample of everything else."""
    rng = np.random.default_rng(seed)
    last = len(part.prompts[0].tokens) - 1
    spans = [None, (1, 4), (3, 12), (0, 0), (0, 2), (5, last), (SILENT, SILENT), (SILENT, SILENT + 1)]
    every = list(
        itertools.product(
            METRICS,
            spans,
            ["max", "mean", "sum", "count"],
            [None, "large", "small", "size"],
            [(0, None), (0, 100), (0.1, 5)],
        )
    )
    for i in rng.choice(len(every), n, replace=False):
        metric, span, by, order, (low, high) = every[i]
        if metric in {"act_size", "act_quantile", "rarity"} and len(part.prompts) == 1:
            order = None
        side = int(rng.integers(0, len(part.prompts))) if span is not None else 0
        target = int(rng.integers(0, 5)) if metric == "logit_effect" else 0
        yield Asked(metric, span, side, by, order, target, low, high)


def test_every_token_by_every_metric_as_the_slow_ranking(open_page, page):
    tab = open_page(page)
    for metric in METRICS:
        for position in (0, 1, 5, 9, len(page.prompt.prompts[0].tokens) - 2):
            check(tab, page.prompt, Asked(metric, (position, position)))


def test_spans_aggregates_orders_and_filters_as_the_slow_ranking(open_page, page):
    tab = open_page(page)
    for asked in cases(page.prompt, 150, seed=1):
        check(tab, page.prompt, asked)


def test_differences_of_two_prompts_as_the_slow_ranking(open_page, pair):
    tab = open_page(pair)
    for asked in cases(pair.prompt, 120, seed=2):
        check(tab, pair.prompt, asked)


def test_the_filter_acts_before_the_cut(open_page, page):
    tab = open_page(page)
    tab.get_by_label("to", exact=True).fill("0,5")
    tab.get_by_label("to", exact=True).press("Enter")
    tab.get_by_label("Features", exact=True).fill("4")
    tab.get_by_label("Features", exact=True).press("Tab")
    tab.evaluate(DRAWN)
    assert listed(tab) == [feature for feature, _ in ranked(page.prompt, Asked(high=0.5))[:4]]
    assert "left out by their density" in tab.inner_text(".ranking")
    assert "max=0.5" in address(tab)


def test_a_ranking_by_activation_leaves_out_dense_features_until_asked(open_page, page):
    tab = open_page(page, "#n=500")
    dense = {f for f, d in zip(page.prompt.firing.feature, page.prompt.firing.density, strict=True) if d > 0.1}
    every = [feature for feature, _ in ranked(page.prompt, Asked(high=100))]
    assert dense & set(every)
    assert listed(tab) == [feature for feature in every if feature not in dense]
    assert tab.get_by_label("to", exact=True).input_value() == "10"
    assert f"{len(dense & set(every))} left out by their density" in tab.inner_text(".ranking")
    assert "fire on more than 10% of the corpus" in tab.inner_text(".meaning")
    tab.get_by_label("Rank by").select_option(label="Rarity-weighted activation")
    says(tab, "#metric=rarity&n=500")
    assert tab.get_by_label("to", exact=True).input_value() == "100"
    assert "left out" not in tab.inner_text(".ranking")
    tab.get_by_label("Rank by").select_option(label="Activation")
    tab.get_by_role("button", name="rank them, too").click()
    says(tab, "#metric=act_size&n=500&max=100")
    assert listed(tab) == every
    assert tab.get_by_role("button", name="rank them, too").count() == 0


def test_effects_are_ranked_by_size_unless_asked_otherwise(open_page, page):
    tab = open_page(page, "#metric=attribution")
    values = dict(ranked(page.prompt, Asked("attribution")))
    order = tab.get_by_label("Order")
    offered = ["largest effect first, either way", "raises most first", "lowers most first"]
    assert order.locator("option").all_inner_texts() == offered
    assert order.input_value() == "size"
    assert listed(tab) == sorted(values, key=lambda f: (-abs(values[f]), f))[:10]
    assert any(values[f] > 0 for f in listed(tab))
    assert any(values[f] < 0 for f in listed(tab))
    for label, value in (("lowers most first", "small"), ("raises most first", "large")):
        order.select_option(label=label)
        says(tab, f"#metric=attribution&order={value}")
        expected = ranked(page.prompt, Asked("attribution", order=value))
        assert listed(tab) == [feature for feature, _ in expected[:10]]


def test_a_metric_without_a_value_is_not_offered(open_page, page):
    view = page.prompt.prompts[0]
    unmeasured = {"full_loss_effect", "full_later_effect", "attribution"}
    metrics = tuple(
        replace(m, values=np.full(len(m.values), np.nan, np.float32)) if m.name in unmeasured else m
        for m in view.metrics
    )
    tab = open_page(replace(page, prompt=replace(page.prompt, prompts=(replace(view, metrics=metrics),))))
    options = tab.get_by_label("Rank by").locator("option")
    off = [one.inner_text() for one in options.all() if one.is_disabled()]
    assert off == [
        "Attribution: not known here",
        "Loss effect, full: measure first",
        "Loss effect on the rest, full: measure first",
    ]
    press(tab, "M")
    says(tab, "#metric=logit_effect")
    go(tab, "#metric=full_loss_effect")
    said = tab.inner_text("[data-message=unmeasured]")
    assert said == "Full effects are not measured yet on this prompt: measure them first, or rank by another metric."


def test_choosers_change_the_ranking(open_page, page):
    tab = open_page(page)
    tab.get_by_label("Rank by").select_option(label="Loss effect, direct")
    tab.get_by_label("Order").select_option(label="harms most first")
    tab.get_by_label("Over the tokens").select_option(label="sum over tokens")
    tab.evaluate(DRAWN)
    expected = ranked(page.prompt, Asked("loss_effect", by="sum", order="large"))
    assert listed(tab) == [feature for feature, _ in expected[:10]]
    assert "in nats. Negative: it helps." in tab.inner_text(".meaning")
    says(tab, "#metric=loss_effect&order=large&by=sum")


def test_the_logit_effect_is_on_a_token_of_choice(open_page, page):
    tab = open_page(page, "#metric=logit_effect&pos=2")
    view = page.prompt.prompts[0]
    options = tab.get_by_label("Logit of").locator("option").all_inner_texts()
    texts = [page.token_bytes[int(t)].decode("utf-8", "replace").strip() for t in view.targets.reshape(-1, 5)[2]]
    assert len(options) == 5
    assert options[0].startswith("the token that follows: ")
    assert all(text in option for text, option in zip(texts, options, strict=True) if text.isalpha())
    tab.get_by_label("Logit of").select_option(index=2)
    tab.evaluate(DRAWN)
    expected = ranked(page.prompt, Asked("logit_effect", (2, 2), target=2))
    assert listed(tab) == [feature for feature, _ in expected[:10]]
    assert "target=2" in address(tab)
    tab.get_by_label("Logit of").select_option(label=page.token_bytes[ASKED_FOR].decode().replace(" ", "·"))
    tab.evaluate(DRAWN)
    expected = ranked(page.prompt, Asked("logit_effect", (2, 2), target=4))
    assert listed(tab) == [feature for feature, _ in expected[:10]]


def test_click_drag_shift_and_escape_choose_tokens(open_page, page):
    tab = open_page(page)
    token(tab, 2).click()
    says(tab, "#metric=act_size&pos=2")
    assert token(tab, 2).get_attribute("aria-selected") == "true"
    assert listed(tab) == [feature for feature, _ in ranked(page.prompt, Asked(span=(2, 2)))[:10]]
    token(tab, 4).click(modifiers=["Shift"])
    says(tab, "#metric=act_size&span=2-4")
    token(tab, 11).hover()
    tab.mouse.down()
    token(tab, 13).hover()
    tab.mouse.up()
    says(tab, "#metric=act_size&span=11-13")
    assert listed(tab) == [feature for feature, _ in ranked(page.prompt, Asked(span=(11, 13)))[:10]]
    tab.mouse.move(5, 900)
    press(tab, "Escape")
    says(tab, "#metric=act_size")
    token(tab, 3).click()
    tab.get_by_role("button", name="Whole prompt").click()
    says(tab, "#metric=act_size")


def test_keys_move_and_extend(open_page, page):
    tab = open_page(page)
    press(tab, "ArrowRight")
    says(tab, "#metric=act_size&pos=0")
    press(tab, "ArrowRight", "ArrowRight", "Shift+ArrowRight", "Shift+ArrowRight")
    says(tab, "#metric=act_size&span=2-4")
    press(tab, *["Shift+ArrowLeft"] * 3)
    says(tab, "#metric=act_size&span=1-2")
    press(tab, "ArrowLeft")
    says(tab, "#metric=act_size&pos=0")
    press(tab, "ArrowLeft")
    says(tab, "#metric=act_size&pos=0")
    press(tab, "Escape", "ArrowLeft")
    says(tab, f"#metric=act_size&pos={len(page.prompt.prompts[0].tokens) - 1}")


def test_keys_change_the_metric_and_open_cards(open_page, page):
    tab = open_page(page)
    press(tab, "m")
    says(tab, "#metric=act_quantile")
    press(tab, "M", "M")
    says(tab, f"#metric={list(METRICS)[-1]}")
    press(tab, "m")
    best = [feature for feature, _ in ranked(page.prompt, Asked())]
    press(tab, "3")
    assert tab.get_attribute("article", "aria-label") == f"Feature {best[2]}"
    press(tab, "Enter")
    says(tab, f"#metric=act_size&f={best[0]}")
    press(tab, "?")
    assert tab.get_by_role("dialog", name="Keys").is_visible()
    press(tab, "Escape")
    assert tab.get_by_role("dialog").count() == 0
    assert f"f={best[0]}" in address(tab)
    press(tab, "Escape")
    says(tab, "#metric=act_size")


def test_words_have_their_meaning_as_a_tip_and_in_the_list_of_keys(open_page, page):
    numbers = Path(__file__).parents[2] / "docs" / "numerics.md"
    table = numbers.read_text(encoding="utf-8").partition("## Words on the pages")[2]
    meanings = dict(re.findall(r"^\| ([a-z -]+) \| (.*) \|$", table, re.MULTILINE))
    del meanings["word"]
    tab = open_page(page)
    tips = tab.locator(".word").evaluate_all("all => all.map((word) => [word.textContent, word.title])")
    assert {"fires on", "max", "density", "Pushed up"} <= {text for text, _ in tips}
    assert {meaning for _, meaning in tips} <= set(meanings.values())
    assert tab.locator(".legend .word").get_attribute("title") == meanings["masked"]
    press(tab, "?")
    keys = tab.get_by_role("dialog", name="Keys")
    keys.get_by_text("What the words mean").click()
    lines = keys.locator(".words dl > div").evaluate_all(
        "all => all.map((line) => [...line.children].map((c) => c.textContent))"
    )
    assert dict(lines) == meanings


def test_keys_in_fields_stay_there(open_page, page):
    tab = open_page(page)
    tab.get_by_label("Features", exact=True).click()
    press(tab, "ArrowRight", "3", "m")
    assert address(tab) in {"", "#metric=act_size"}


def test_hover_a_row_colours_the_prompt(open_page, page):
    tab = open_page(page)
    view = page.prompt.prompts[0]
    row = tab.locator(".ranks tbody tr").nth(3)
    feature = int(row.get_attribute("data-feature"))
    row.hover()
    firing = {i for i in range(1, len(view.tokens)) if feature in view.features[view.offsets[i] : view.offsets[i + 1]]}
    coloured = tab.evaluate("[...document.querySelectorAll('.strip .tok.on')].map((t) => Number(t.dataset.t))")
    assert set(coloured) == firing - {SILENT} == firing
    assert f"Feature {feature}: Activation" in tab.inner_text(".strip .legend")
    tab.mouse.move(5, 900)
    assert "Strongest at each token: Activation" in tab.inner_text(".strip .legend")


def test_click_a_row_locks_it_and_opens_its_card(open_page, page):
    tab = open_page(page)
    best = [feature for feature, _ in ranked(page.prompt, Asked())]
    assert tab.get_attribute("article", "aria-label") == f"Feature {best[0]}"
    with_card = next(f for f in best[1:10] if f in page.summary.feature)
    tab.locator(f".ranks tr[data-feature='{with_card}']").click()
    tab.mouse.move(5, 900)
    assert tab.get_attribute("article", "aria-label") == f"Feature {with_card}"
    assert f"Feature {with_card}: Activation" in tab.inner_text(".strip .legend")
    press(tab, "ArrowRight", "ArrowRight")
    assert tab.get_attribute("article", "aria-label") == f"Feature {with_card}"
    tab.get_by_role("button", name="Unlock").click()
    assert f"f={with_card}" not in address(tab)


def test_cards_side_by_side(open_page, page):
    tab = open_page(page)
    tab.locator(".segments label").nth(2).click()
    best = [feature for feature, _ in ranked(page.prompt, Asked())]
    labels = [article.get_attribute("aria-label") for article in tab.locator("article").all()]
    assert labels == [f"Feature {feature}" for feature in best[:3]]
    says(tab, "#metric=act_size&cards=3")
    tab.locator(f".ranks tr[data-feature='{best[7]}']").click()
    labels = [article.get_attribute("aria-label") for article in tab.locator("article").all()]
    assert labels == [f"Feature {feature}" for feature in (best[7], *best[:2])]


def test_a_card_shows_the_chosen_tokens_line_and_the_prompt(open_page, page):
    view = page.prompt.prompts[0]
    feature, act = next((f, v) for f, v in ranked(page.prompt, Asked(span=(4, 4))) if f in page.summary.feature)
    tab = open_page(page, f"#metric=act_size&pos=4&f={feature}")
    text = page.token_bytes[int(view.tokens[4])].decode().strip()
    marker = tab.locator("article .marker.pinned").first
    assert text in marker.text_content()
    assert shown_number(marker.locator(".value").text_content()) == pytest.approx(act, rel=5e-3)
    own = tab.locator(".own-prompt")
    assert {t.get_attribute("data-t") for t in own.locator("[data-t]").all()} == {
        str(i) for i in range(len(view.tokens))
    }
    other = next(
        i for i in range(5, len(view.tokens)) if feature in view.features[view.offsets[i] : view.offsets[i + 1]]
    )
    token(tab, other).hover()
    assert tab.locator("article .marker:not(.pinned)").count() >= 1
    own.locator(f"[data-t='{other}']").click()
    assert f"hold={other}" in address(tab)
    assert token(tab, other).evaluate("(e) => e.classList.contains('held')")


def test_a_ranked_feature_without_a_card_says_so(open_page, page):
    feature = int(page.prompt.firing.feature[-NO_CARD])
    tab = open_page(page, f"#metric=act_size&f={feature}")
    assert "its card is not on this page" in tab.inner_text("[data-message=missing]")
    go(tab, "#metric=act_size&f=3")
    assert "Feature 3 does not fire on the prompt" in tab.inner_text("[data-message=missing]")


def test_details_of_a_token(open_page, page):
    tab = open_page(page)
    view = page.prompt.prompts[0]
    token(tab, 3).hover()
    said = tab.inner_text("#prompt-tip")
    assert f"id {view.tokens[3]}, position 3" in said
    share = float(re.search(r"probability ([\d.]+)%", said).group(1)) / 100
    assert share == pytest.approx(np.exp(-view.loss[3]), rel=5e-3)
    assert f"{view.offsets[4] - view.offsets[3]} features" in said
    assert tab.locator("#prompt-tip .likely tr").count() == view.n_predicted
    token(tab, 0).hover()
    assert "in no statistic of the corpus" in tab.inner_text("#prompt-tip")
    assert token(tab, 0).evaluate("(e) => e.classList.contains('masked')")
    token(tab, len(view.tokens) - 1).hover()
    assert "the prompt ends here" in tab.inner_text("#prompt-tip")
    tab.mouse.move(5, 900)
    assert not tab.locator("#prompt-tip").is_visible()


def test_nothing_fires_and_nothing_passes_and_nothing_measured(open_page, page):
    tab = open_page(page, f"#metric=act_size&pos={SILENT}")
    assert tab.inner_text("[data-message=silent]") == "No feature fires at this token."
    assert tab.locator(".ranks, .heat, article").count() == 0
    go(tab, "#metric=act_size&pos=3&min=90&max=95")
    assert "The density filter leaves none" in tab.inner_text("[data-message=filtered]")
    go(tab, f"#metric=loss_effect&pos={len(page.prompt.prompts[0].tokens) - 1}")
    said = tab.inner_text("[data-message=unmeasured]")
    assert said == "Loss effect, direct was not computed at this token."
    assert "No token follows the last one" in tab.inner_text(".ranking .note")


def test_what_the_model_expects_and_why(open_page, page):
    """The likeliest next tokens stand below the prompt; a click ranks by what features add to the logit of one."""
    view = page.prompt.prompts[0]
    last = len(view.tokens) - 1
    tab = open_page(page, "#metric=attribution&pos=all")
    chips = tab.locator(".expects .filter-chip")
    assert tab.inner_text(".expects").startswith("After the prompt the model expects")
    assert chips.count() == 3
    go(tab, "#metric=loss_effect&pos=4")
    assert tab.inner_text(".expects").startswith("Here the model expects")
    assert "the text goes on with" in tab.inner_text(".expects")
    token(tab, 4).hover()
    shares = [row.split()[-1] for row in tab.locator("#prompt-tip .likely tr").all_inner_texts()]
    assert [chip.split()[-1] for chip in chips.all_inner_texts()] == shares[:3]
    chips.nth(1).click()
    wait_until(tab, "document.querySelectorAll('.expects .filter-chip')[1].ariaPressed === 'true'")
    assert tab.locator("select.target").input_value() == "2"
    pairs = slice(view.offsets[4], view.offsets[5])
    effects = np.asarray(view.logit_effects).reshape(-1, view.n_targets)[pairs, 2]
    best = int(np.asarray(view.features)[pairs][np.argsort(-np.abs(effects), kind="stable")[0]])
    assert tab.locator(".ranks tbody tr").first.get_attribute("data-feature") == str(best)
    # at the end, where every effect on the loss is nothing
    go(tab, f"#metric=loss_effect&pos={last}")
    tab.locator(".ranking .note .filter-chip").click()
    wait_until(tab, "document.querySelector('select.target')?.value === '1'")
    assert tab.locator(".ranking .note").count() == 0
    assert tab.locator(".ranks tbody tr").count() > 0


def test_what_was_not_measured_is_counted(open_page, page):
    tab = open_page(page, "#metric=full_loss_effect&pos=all")
    view = page.prompt.prompts[0]
    values = next(m.values for m in view.metrics if m.name == "full_loss_effect")[view.offsets[1] :]
    known = int(np.sum(~np.isnan(values)))
    assert f"measured for {known} of the {len(values)} pairs" in tab.inner_text(".note")
    assert tab.locator(".heat .unknown").get_attribute("d") != ""


def test_the_heat_map_is_linked_both_ways(open_page, page):
    tab = open_page(page)
    best = [feature for feature, _ in ranked(page.prompt, Asked())]
    rows = tab.locator(".heat-rows li").all_inner_texts()
    assert rows == [str(feature) for feature in best[:40]]
    svg = tab.locator(".heat-scroll svg")
    width = svg.bounding_box()["width"] / len(page.prompt.prompts[0].tokens)
    names = tab.locator(".heat-rows li")
    middle = (box(names.nth(2)).top + box(names.nth(2)).bottom) / 2 - box(svg).top
    svg.hover(position={"x": width * 4.5, "y": middle})
    assert f"Feature {best[2]}" in tab.inner_text("#prompt-tip")
    assert token(tab, 4).evaluate("(e) => e.classList.contains('linked')")
    assert tab.locator(f".ranks tr[data-feature='{best[2]}']").evaluate("(e) => e.classList.contains('pointed')")
    assert tab.locator(".cross .cell").count() == 1
    svg.click(position={"x": width * 4.5, "y": middle})
    assert f"f={best[2]}&hold=4" in address(tab)
    tab.locator(".ranks tbody tr").nth(1).hover()
    lane = tab.locator(".cross .lane")
    assert aligned([box(lane).top, box(names.nth(1)).top])
    token(tab, 6).hover()
    assert aligned([box(lane).left - box(svg).left, 6 * width])


def test_the_heat_map_by_keyboard_and_as_a_table(open_page, page):
    tab = open_page(page)
    best = [feature for feature, _ in ranked(page.prompt, Asked())]
    tab.locator(".heat-scroll").focus()
    press(tab, "ArrowRight", "ArrowRight", "ArrowDown")
    assert f"Feature {best[1]}" in tab.inner_text("#prompt-tip")
    assert "position 1" in tab.inner_text("#prompt-tip")
    press(tab, "Enter")
    says(tab, f"#metric=act_size&f={best[1]}&hold=1")
    tab.locator(".heat .data summary").click()
    view = page.prompt.prompts[0]
    cells = tab.locator(".heat table tbody tr").first.locator("td").all_inner_texts()
    assert len(cells) == len(view.tokens)
    firing = [best[0] in view.features[view.offsets[i] : view.offsets[i + 1]] for i in range(len(view.tokens))]
    assert [text != "" for text in cells] == firing


def test_two_prompts_are_linked(open_page, pair):
    tab = open_page(pair)
    a, b = pair.prompt.aligned.reshape(-1, 2)[8]
    assert a != b
    token(tab, int(a)).hover()
    assert token(tab, int(b), side=1).evaluate("(e) => e.classList.contains('linked')")
    assert f"position {b} of B" in tab.inner_text("#prompt-tip")
    token(tab, int(b), side=1).click()
    says(tab, f"#metric=act_size&pos={b}&side=b")
    assert token(tab, int(a)).evaluate("(e) => e.classList.contains('chosen')")
    only = tab.locator(".ranks .only").all_inner_texts()
    assert set(only) == {"only A", "only B"}
    assert tab.locator(".strip .alone").count() == 4
    press(tab, "ArrowUp")
    says(tab, f"#metric=act_size&pos={a}")
    tab.get_by_role("button", name="Both prompts").click()
    says(tab, "#metric=act_size")


def test_columns_of_the_heat_map_of_two_prompts(open_page, pair):
    tab = open_page(pair, "#metric=act_size&n=500")
    pairs = pair.prompt.aligned.reshape(-1, 2)
    a, b = (len(view.tokens) for view in pair.prompt.prompts)
    heads = tab.locator(".heads text").all_text_contents()
    assert len(heads) == a + b - len(pairs)
    assert sum(head.startswith("A ") for head in heads) == a - len(pairs)
    assert sum(head.startswith("B ") for head in heads) == b - len(pairs)


def test_text_from_the_right_is_stepped_through_from_the_right(open_page, page):
    view = page.prompt.prompts[0]
    arabic = next(i for i, text in page.token_bytes.items() if text == "مرحبا".encode())
    tokens = np.where(np.arange(len(view.tokens)) > 0, arabic, view.tokens).astype(np.int32)
    tab = open_page(replace(page, prompt=replace(page.prompt, prompts=(replace(view, tokens=tokens),))))
    assert tab.get_attribute(".strip .prompt-text", "dir") == "rtl"
    press(tab, "ArrowLeft", "ArrowLeft")
    says(tab, "#metric=act_size&pos=1")


def test_nasty_tokens_are_text(open_page, page):
    tab = open_page(page)
    shown = tab.locator(".strip .prompt-text").text_content()
    assert "</script>" in shown
    assert "<script>window.hacked=1</script>" in shown
    assert "🙂" in shown
    assert "café x" in shown
    assert tab.evaluate("window.hacked") is None
    assert tab.locator(".strip .shared .bands").first.locator("[data-t]").count() == 2


def test_an_address_opens_the_same_again(open_page, page):
    feature = int(page.summary.feature[3])
    wanted = (
        f"#metric=loss_effect&order=size&by=mean&span=2-9&f={feature}&hold=4&cards=2&n=7&min=0.05&max=10&log=1"
        "&wrap=1&theme=dark"
    )
    tab = open_page(page, wanted)
    expected = ranked(page.prompt, Asked("loss_effect", (2, 9), by="mean", order="size", low=0.05, high=10))
    assert listed(tab) == [f for f, _ in expected[:7]]
    assert tab.locator("article").count() == 2
    assert tab.evaluate("document.documentElement.dataset.theme") == "dark"
    tab.locator(".switch input").first.click()
    says(tab, wanted.replace("&log=1", ""))


def test_nonsense_in_the_address_opens_the_default(open_page, page):
    tab = open_page(page, "#metric=nope&span=9-2&pos=900&order=up&cards=77&n=-3&min=x&max=400&f=a&target=99&hold=800")
    assert listed(tab) == [f for f, _ in ranked(page.prompt, Asked())[:10]]
    assert tab.locator("article").count() == 4


def test_begins_where_the_page_was_told_to(open_page):
    page = synthetic_prompt(n_features=20, position=3, metric="attribution")
    tab = open_page(page)
    assert listed(tab) == [f for f, _ in ranked(page.prompt, Asked("attribution", (3, 3)))[:10]]
    press(tab, "Escape")
    says(tab, "#metric=attribution&pos=all")
    tab.go_back()
    tab.evaluate(DRAWN)
    assert token(tab, 3).get_attribute("aria-selected") == "true"


@pytest.mark.parametrize("width", [420, 900, 1500])
def test_fits_the_window(open_page, pair, width, letters):
    tab = open_page(pair, script=letters)
    tab.set_viewport_size({"width": width, "height": 900})
    tab.evaluate(DRAWN)
    assert tab.evaluate("document.documentElement.scrollWidth") <= width
    assert box(tab.locator(".ranks")).inside(box(tab.locator(".ranking")))
    small = tab.evaluate(
        """[...document.querySelectorAll('body *')].filter((e) => e.checkVisibility() && [...e.childNodes].some(
        (c) => c.nodeType === 3 && c.data.trim()) && parseFloat(getComputedStyle(e).fontSize) < 13)
        .map((e) => e.outerHTML.slice(0, 90))"""
    )
    assert small == []


def test_twenty_thousand_pairs_as_the_slow_ranking(open_page):
    page = synthetic_prompt(n_features=400, n_tokens=120, rate=0.45, seed=9)
    prompt = page.prompt.prompts[0]
    assert len(prompt.features) > 20_000
    tab = open_page(page)
    for metric in prompt.metrics:
        assert listed(tab) == [f for f, _ in ranked(page.prompt, Asked(metric.name))[:10]]
        press(tab, "m")


@pytest.mark.audit
@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("state", ["one", "two", "span", "tip", "help", "table", "narrow", "silent"])
def test_no_serious_finding(open_page, page, pair, state, scheme):
    if not AXE.exists():
        message = f"no {AXE}: run `npm ci` in frontend/, or `make audit`"
        pytest.fail(message) if os.environ.get("CI") else pytest.skip(message)
    where = {"span": "#metric=loss_effect&span=2-9&cards=3", "silent": f"#metric=act_size&pos={SILENT}"}.get(state, "")
    tab = open_page(pair if state == "two" else page, where, color_scheme=scheme, reduced_motion="reduce")
    if state == "tip":
        token(tab, 3).hover()
    elif state == "help":
        press(tab, "?")
    elif state == "table":
        for summary in tab.locator(".data summary").all():
            summary.click()
    elif state == "narrow":
        tab.set_viewport_size({"width": 420, "height": 900})
    tab.evaluate(AXE.read_text(encoding="utf-8"))
    found = tab.evaluate(
        """async () => (await axe.run(document, {resultTypes: ["violations"]})).violations.map((found) => ({
        rule: found.id, impact: found.impact, where: found.nodes.slice(0, 3).map((n) => n.html.slice(0, 160))}))"""
    )
    for violation in found:
        print(json.dumps(violation, ensure_ascii=False))
    assert [violation for violation in found if violation["impact"] in {"serious", "critical"}] == []


@pytest.fixture(scope="module")
def demo_index() -> Index:
    tokenizer = load_tokenizer(demo.assets() / "model")
    texts = [text for number, text in enumerate(demo.demo_texts()) if number % 16 == 0]
    corpus = Corpus.from_texts(texts, tokenizer, seq_len=demo.SEQ_LEN)
    return index_features(corpus, demo.demo_parts(demo.RESID), text=TokenText.from_tokenizer(tokenizer))


def test_a_real_page(demo_index, open_page, tmp_path):
    tokenizer = load_tokenizer(demo.assets() / "model")
    text = "def __init__(self):\n    return 'naïve </script> 🙂'"
    report = save_prompt_page(
        demo_index,
        tmp_path / "prompt.html",
        text,
        parts=demo.demo_parts(demo.RESID),
        tokenizer=tokenizer,
        settings=PromptSettings(full_effects=5, metric="loss_effect", seq_pos=3),
    )
    tab = open_page(report.path.read_text(encoding="utf-8"))
    shown = tab.locator(".strip .prompt-text").text_content()
    assert "naïve </script> 🙂" in shown
    values = [shown_number(text) for text in tab.evaluate(VALUES)]
    assert len(values) == 10
    assert [abs(value) for value in values] == sorted((abs(value) for value in values), reverse=True)
    press(tab, "Escape", "m", "ArrowRight", "Shift+ArrowRight", "Enter")
    assert tab.locator("article .own-prompt [data-t]").count() == tab.locator(".strip [data-t]").count()
    tab.get_by_label("Rank by").select_option(label="Loss effect, full")
    tab.get_by_role("button", name="Whole prompt").click()
    wait_until(tab, "document.querySelector('.note').textContent.includes('measured for 5 of')")


def test_a_prompt_of_one_token(open_page):
    page = synthetic_prompt(n_features=20, seed=2)
    view = page.prompt.prompts[0]
    n = int(view.offsets[2] - view.offsets[1])
    pairs = slice(int(view.offsets[1]), int(view.offsets[2]))
    one = replace(
        view,
        tokens=view.tokens[1:2],
        masked=view.masked[1:2],
        loss=np.array([np.nan], dtype=np.float32),
        predicted=view.predicted[: view.n_predicted],
        predicted_prob=view.predicted_prob[: view.n_predicted],
        offsets=np.array([0, n], dtype=np.int32),
        features=view.features[pairs],
        metrics=tuple(replace(m, values=m.values[pairs]) for m in view.metrics),
        targets=view.targets[: view.n_targets],
        logit_effects=view.logit_effects[: n * view.n_targets],
    )
    tab = open_page(replace(page, prompt=replace(page.prompt, prompts=(one,))))
    assert len(listed(tab)) == n
    press(tab, "ArrowRight", "ArrowRight")
    says(tab, "#metric=act_size&pos=0")
