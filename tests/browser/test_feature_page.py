import dataclasses
import html
import itertools
import re
from dataclasses import replace

import numpy as np
import pytest
from chrome import style_script
from measures import HAIR, aligned, box, boxes, places
from polling import wait_until
from synthetic_page import NASTY, page_of, single_context, synthetic_page, view_of

from sae_vis import contract as p
from sae_vis.deliver.page import render_page
from sae_vis.layout import (
    ActsHistogramConfig,
    Column,
    Component,
    LogitsHistogramConfig,
    SaeVisLayoutConfig,
    SeqMultiGroupConfig,
)

pytestmark = pytest.mark.browser


@pytest.fixture(scope="module")
def page():
    return synthetic_page(8, seed=5, loss=True)


HISTOGRAM = ".chart svg[aria-label^='Histogram of']"  # of activations, then of logit effects


def words_of(tab):
    return tab.locator("article h2").inner_text()


def test_first_picture(open_page, page):
    tab = open_page(page)
    assert words_of(tab) == "Feature 0"
    assert tab.title() == tab.locator("h1").inner_text() == "Synthetic features <b>&amp;</b>"
    about = tab.locator("header.about").inner_text()
    for fact in (
        "toy-transformer-4l",
        "blocks.2.hook_resid_post",
        "topk, 8192 features",
        "BOS left out",
        "evenly spaced",
    ):
        assert fact in about
    stats = page.features[0].stats
    title = tab.locator("section", has=tab.get_by_role("heading", name="Activations", exact=True)).first.inner_text()
    assert f"{stats.n_firings:,} firings" in title
    assert "density" in title


def test_every_group_says_its_exact_share_and_shows_its_examples(open_page, page):
    tab = open_page(page)
    view = page.features[0]
    wait_until(
        tab,
        f"document.querySelectorAll('.examples li').length === {sum(len(g.contexts.focus) for g in view.sequences)}",
    )
    headers = tab.locator(".group > header").all_inner_texts()
    assert len(headers) == len(view.sequences)
    for header, group in zip(headers[1:], view.sequences[1:], strict=True):
        if group.n_firings:
            assert f"of firings ({group.n_firings:,})" in header
            assert f"{group.share * 100:.3g}" in header
        else:
            assert "no firings" in header


def test_keys_buttons_number_and_address(open_page, page):
    tab = open_page(page, "#f=9")
    assert words_of(tab) == "Feature 9"
    steps = [("j", 12), ("ArrowRight", 15), ("k", 12), ("ArrowLeft", 9)]
    for key, feature in steps:
        tab.keyboard.press(key)
        assert words_of(tab) == f"Feature {feature}"
        wait_until(tab, f"location.hash === '#f={feature}'")
    tab.get_by_label("Next feature").click()
    assert words_of(tab) == "Feature 12"
    tab.get_by_label("Previous feature").click()
    assert words_of(tab) == "Feature 9"
    box = tab.get_by_label("Go to feature")
    box.fill("21")
    box.press("Enter")
    assert words_of(tab) == "Feature 21"
    assert box.input_value() == "21"
    tab.keyboard.press("j")
    assert words_of(tab) == "Feature 0"
    tab.go_back()
    assert words_of(tab) == "Feature 9"
    tab.evaluate("location.hash = 'f=3&log=1'")
    tab.get_by_text("Feature 3", exact=True).wait_for()
    assert tab.get_by_label("log counts").is_checked()


def test_the_list_is_searched_sorted_and_opened_from_the_keyboard(open_page, page):
    tab = open_page(page)
    tab.keyboard.press("/")
    panel = tab.get_by_role("dialog", name="Find a feature")
    assert panel.locator("tbody tr").count() == 8
    assert "dead" in panel.inner_text()
    panel.get_by_role("button", name="Max").click()
    shown = [int(n) for n in panel.locator("tbody tr td:first-child").all_inner_texts()]
    tops = {v.feature: v.stats.max for v in page.features}
    assert shown == sorted(shown, key=lambda f: -tops[f])
    search = panel.get_by_label("Search by number")
    search.fill("zzzz")
    assert "No feature matches" in panel.inner_text()
    search.fill("15")
    search.press("ArrowDown")
    search.press("Enter")
    assert words_of(tab) == "Feature 15"
    assert panel.count() == 0
    tab.keyboard.press("/")
    tab.keyboard.press("Escape")
    assert panel.count() == 0


def test_hovering_a_token_shows_its_details_and_lines_in_both_histograms(open_page, page):
    tab = open_page(page)
    group = page.features[0].sequences[0].contexts
    tab.locator(".group").first.locator("li").nth(2).locator(".focus[data-t], .focus [data-t]").first.hover()
    t = int(group.offsets[2] + group.focus[2])
    details = tab.locator("#tip").inner_text()
    assert f"id {group.tokens[t]}" in details
    assert f"sequence {group.sequence[2]}, position {group.start[2] + group.focus[2]}" in details
    assert f"{group.acts[t]:#.3g}" in details
    markers = tab.locator(f"{HISTOGRAM} .marker")
    assert markers.count() == 2
    assert f"{group.acts[t]:#.3g}" in markers.nth(0).text_content()
    logit = f"{abs(group.logits[t]):#.3g}"
    assert logit in markers.nth(1).text_content().replace("−", "")
    assert marker_x(tab, 0) == pytest.approx(axis_x(tab, 0, page.features[0].acts_histogram, group.acts[t]), abs=1.5)
    assert marker_x(tab, 1) == pytest.approx(
        axis_x(tab, 1, page.features[0].logits_histogram, group.logits[t]), abs=1.5
    )
    tab.mouse.move(5, 5)
    assert markers.count() == 0
    assert not tab.locator("#tip").is_visible()


def marker_x(tab, chart):
    return (
        tab.locator(f"{HISTOGRAM} .marker")
        .nth(chart)
        .evaluate("e => Number(/translate\\(([-\\d.]+)/.exec(e.getAttribute('transform'))[1])")
    )


def axis_x(tab, chart, histogram, value):
    line = tab.locator(HISTOGRAM).nth(chart).locator(".axis line")
    left, right = (float(line.get_attribute(name)) for name in ("x1", "x2"))
    return left + (value - histogram.low) / (histogram.high - histogram.low) * (right - left)


TICKS = (
    """(svg) => Array.from(svg.querySelectorAll('.axis text'), (e) => [e.textContent, Number(e.getAttribute('x'))])"""
)


@pytest.mark.parametrize("width", [200, 400, 660, 1000])
@pytest.mark.parametrize("high", [0.33, 0.9, 4.4, 6.1, 2_600.0])
def test_each_number_of_an_axis_is_that_of_its_place(open_page, high, width):
    """Also on wide charts, where there are so many that they need a decimal more than a few would."""
    layout = SaeVisLayoutConfig([Column(ActsHistogramConfig(), LogitsHistogramConfig(), width=width)])
    made = synthetic_page(1, layout=layout)
    view = made.features[0]
    histograms = replace(view.acts_histogram, low=0, high=high), replace(view.logits_histogram, low=-high, high=high)
    views = (replace(view, acts_histogram=histograms[0], logits_histogram=histograms[1]),)
    tab = open_page(replace(made, features=views))
    for chart, histogram in enumerate(histograms):
        drawn = tab.locator(HISTOGRAM).nth(chart)
        left, right = (float(drawn.locator(".axis line").get_attribute(name)) for name in ("x1", "x2"))
        for words, x in drawn.evaluate(TICKS):
            value = float(words.replace("−", "-").replace(",", ""))
            assert axis_x(tab, chart, histogram, value) == pytest.approx(x, abs=(right - left) / 1000), words


def test_plain_tokens_have_details_too_and_nothing_moves(open_page, page, letters):
    tab = open_page(page, script=letters)
    row = tab.locator(".group").first.locator("li").nth(4)
    text, widths = row.locator(".text"), "all => all.map(e => e.getBoundingClientRect().width)"
    before = text.text_content(), text.locator(".before > span, .after").evaluate_all(widths)
    row.hover()
    assert row.locator("[data-t]").count() >= 11
    assert text.text_content() == before[0]
    after = text.locator(".before > span, .after").evaluate_all(widths)
    assert after == pytest.approx(before[1], abs=3)  # where tokens meet, their letters may have stood a little closer


def test_a_bar_lights_up_the_tokens_in_its_range(open_page, page):
    tab = open_page(page)
    view = page.features[0]
    wait_until(tab, "document.querySelectorAll('.group:last-child li').length > 0")
    chart = tab.locator(HISTOGRAM).first
    chart.focus()
    for _ in range(4):
        tab.keyboard.press("ArrowRight")
    step = (view.acts_histogram.high - view.acts_histogram.low) / 50
    acts = np.concatenate([g.contexts.acts for g in view.sequences]).astype(np.float64)
    low, high = view.acts_histogram.low + 3 * step, view.acts_histogram.low + 4 * step
    lit = tab.locator("[data-t].lit").count()
    assert lit == int(((acts > low) & (acts <= high)).sum())
    assert f"{view.acts_histogram.counts[3]:,} firings" in tab.locator("#tip").inner_text()
    assert words_of(tab) == "Feature 0"
    tab.keyboard.press("Escape")
    assert tab.locator("[data-t].lit").count() == 0
    logits = np.concatenate([g.contexts.logits for g in view.sequences]).astype(np.float64)
    tab.locator(HISTOGRAM).nth(1).focus()
    tab.keyboard.press("ArrowLeft")
    histogram = view.logits_histogram
    assert tab.locator("[data-t].lit").count() == int(
        (logits > histogram.high - (histogram.high - histogram.low) / 50).sum()
    )


def test_tokens_are_reached_from_the_keyboard(open_page, page):
    tab = open_page(page)
    tab.get_by_role("group", name="Examples").focus()
    tab.keyboard.press("ArrowDown")
    first = page.features[0].sequences[0].contexts
    assert f"position {first.start[0] + first.focus[0]}" in tab.locator("#tip").inner_text()
    tab.keyboard.press("ArrowRight")
    assert f"position {first.start[0] + first.focus[0] + 1}" in tab.locator("#tip").inner_text()
    tab.keyboard.press("ArrowDown")
    assert (
        f"sequence {first.sequence[1]}, position {first.start[1] + first.focus[1]}" in tab.locator("#tip").inner_text()
    )
    tab.keyboard.press("Enter")
    tab.mouse.move(5, 300)
    assert f"sequence {first.sequence[1]}," in tab.locator("#pin").inner_text()
    tab.keyboard.press("Escape")
    assert not tab.locator("#pin").is_visible()
    assert f"sequence {first.sequence[1]}," in tab.locator("#tip").inner_text()
    tab.keyboard.press("Escape")
    assert not tab.locator("#tip").is_visible()
    assert words_of(tab) == "Feature 0"
    tab.keyboard.press("j")
    assert words_of(tab) == "Feature 3"


def test_correlated_features_link_only_where_they_are_on_the_page(open_page, page):
    tab = open_page(page)
    links = tab.locator("section", has=tab.get_by_role("heading", name="Correlated features")).last.locator("a")
    assert links.all_inner_texts() == ["3", "6"]
    assert tab.locator("table.numbers td", has_text="99999").locator("a").count() == 0
    links.first.click()
    assert words_of(tab) == "Feature 3"


def test_a_row_of_the_logit_table_has_its_line_and_a_group_its_interval(open_page, page):
    tab = open_page(page)
    view = page.features[0]
    tab.locator("table.logits.up tbody tr").first.hover()
    assert tab.locator(".marker").count() == 1
    expected = axis_x(tab, 1, view.logits_histogram, view.logits_table.top_values[0])
    assert marker_x(tab, 0) == pytest.approx(expected, abs=1.5)
    place = next(i for i, group in enumerate(view.sequences) if group.kind == "interval" and group.n_firings)
    tab.locator(".group > header").nth(place).hover()
    assert tab.locator(".marker").count() == 0
    band = tab.locator("rect.interval")
    assert float(band.get_attribute("x")) == pytest.approx(
        axis_x(tab, 0, view.acts_histogram, view.sequences[place].low), abs=0.5
    )


def test_a_page_inside_a_frame_without_an_address_works(open_page, page):
    outer = "<!doctype html><iframe id=cell style='width:1400px;height:800px' srcdoc=\"{}\"></iframe>"
    tab = open_page(outer.format(html.escape(render_page(page))))
    cell = tab.frame_locator("#cell")
    cell.get_by_label("Next feature").click()
    assert cell.locator("article h2").inner_text() == "Feature 3"
    cell.get_by_label("Next feature").click()
    assert cell.locator("article h2").inner_text() == "Feature 6"


def test_log_counts(open_page, page):
    tab = open_page(page)
    before = tab.locator(f"{HISTOGRAM} .bars").first.get_attribute("d")
    tab.get_by_label("log counts").check()
    assert tab.locator(f"{HISTOGRAM} .bars").first.get_attribute("d") != before
    wait_until(tab, "location.hash === '#f=0&log=1'")
    tab.keyboard.press("j")
    wait_until(tab, "location.hash === '#f=3&log=1'")


def test_a_table_stands_behind_each_chart(open_page, page):
    tab = open_page(page)
    for chart in tab.locator(".chart svg").all():
        assert re.match(r"(Histogram|Share) of ", chart.get_attribute("aria-label"))
    activations = tab.locator(".chart", has=tab.locator(HISTOGRAM.removeprefix(".chart "))).first
    activations.get_by_text("As a table").click()
    counts = activations.locator(".data table").locator("tbody td:nth-child(3)").all_inner_texts()
    assert [int(c.replace(",", "")) for c in counts] == page.features[0].acts_histogram.counts.tolist()


def test_dead_missing_unknown_and_failed_are_four_different_messages(open_page, page):
    @dataclasses.dataclass(frozen=True)
    class Sparkles(Component):
        type_name = "Sparkles"

    said = set()
    tab = open_page(page, "#f=6")
    said.add(tab.locator("[data-message=dead]").inner_text())
    assert "fires on none of the 1,000,000 unmasked tokens" in tab.locator("[data-message=dead]").inner_text()
    assert "Pushed up" in tab.locator("article").inner_text()
    tab = open_page(page, "#f=7")
    assert "holds 8 of the SAE's 8,192 features" in tab.locator("[data-message=missing]").inner_text()
    said.add(tab.locator("[data-message=missing]").inner_text())
    tab.keyboard.press("j")
    assert words_of(tab) == "Feature 9"
    tab = open_page(page, "#f=9000")
    assert "There is no feature 9000" in tab.locator("[data-message=missing]").inner_text()
    layout = SaeVisLayoutConfig([Column(Sparkles(), ActsHistogramConfig())])
    tab = open_page(dataclasses.replace(page, layout=layout.to_spec()))
    said.add(tab.locator("[data-message=unknown]").inner_text())
    assert "Sparkles" in tab.locator("[data-message=unknown]").inner_text()
    assert tab.locator(".chart svg").count() == 1
    text = render_page(page)
    broken = re.sub(r'(id="f0">.{400})[^<]*', r"\1", text)
    tab = open_page(broken)
    said.add(tab.locator("[data-message=failed]").inner_text())
    assert "Feature 0 can't be read" in tab.locator("[data-message=failed]").inner_text()
    tab.keyboard.press("j")
    assert words_of(tab) == "Feature 3"
    tab = open_page(re.sub(r'(id="head">.{400})[^<]*', r"\1", text))
    assert "This page's data can't be read" in tab.locator("[data-message=failed]").inner_text()
    assert len(said) == 4


def shown(tab):
    """The text of the first example's tokens, split characters once."""
    return tab.locator(".examples li .text").first.inner_text()


@pytest.mark.parametrize("token", NASTY)
def test_nasty_tokens_are_harmless_text(open_page, token):
    context = single_context([0, 1, 2], [0, 2, 0], focus=1)
    tab = open_page(page_of([view_of(0, context)], {0: b"before ", 1: token, 2: b" after"}))
    text = shown(tab)
    assert text.startswith("before ")
    assert text.endswith(" after")
    if token and token.isascii() and b"\x00" not in token:
        assert text == "before " + token.decode() + " after"
    assert tab.evaluate("window.hacked") is None
    tab.locator(".focus[data-t]").first.hover()
    tab.keyboard.press("/")
    assert tab.evaluate("window.hacked") is None
    assert tab.evaluate("document.querySelectorAll('img, #app script, b b').length") == 0


LARGE = ".examples { font-size: 72px }"  # a band for each token of a character, wide enough to point at in any font


@pytest.mark.parametrize(
    ("tokens", "text", "shared"),
    [
        ([b"a \xf0\x9f", b"\x99\x82", b" b"], "a 🙂 b", 1),
        ([b"\xe6", b"\x97", b"\xa5\xe6\x9c", b"\xac"], "日本", 2),
        ([b"\xf0\x9f\x91\xa9\xe2\x80", b"\x8d\xf0\x9f\x9a\x80!"], "👩‍🚀!", 1),
        (["👍".encode(), "🏽".encode()], "👍🏽", 1),
        ([b"e", "\u0301".encode()], "e\u0301", 1),
        (["🇫🇷".encode()[:4], "🇫🇷".encode()[4:], "🇩🇪".encode()], "🇫🇷🇩🇪", 1),
        (["naïve".encode(), " Здрав".encode(), "ствуйте".encode()], "naïve Здравствуйте", 0),
        ([b"\x82 tail", b"ok"], "\\x82 tailok", 0),
        ([b"a\n", b"\tb  c", b"\r\n"], "a↵→b  c␍↵", 0),
    ],
)
def test_split_characters_are_shown_whole_and_each_token_keeps_its_band(open_page, tokens, text, shared):
    n = len(tokens)
    acts = np.arange(1, n + 1, dtype=np.float32)
    page = page_of([view_of(0, single_context(list(range(n)), acts))], dict(enumerate(tokens)))
    tab = open_page(page, script=style_script(LARGE))
    drawn = tab.evaluate("[...document.querySelectorAll('.examples li .text')].map(e => e.textContent)[0]")
    assert drawn == text
    assert tab.locator(".shared").count() == shared
    strengths = [
        tab.locator(f'[data-t="{i}"]').first.evaluate("e => Number(e.style.getPropertyValue('--a'))") for i in range(n)
    ]
    assert strengths == sorted(strengths)
    assert len(set(strengths)) == n
    for character in tab.locator(".shared").all():
        bands = boxes(character.locator("[data-t]"))
        assert len(bands) >= 2
        assert all(band.inside(box(character)) for band in bands)
        assert all(one.right <= other.left + HAIR for one, other in itertools.pairwise(bands))
    for i in range(n):
        tab.locator(f'[data-t="{i}"]').first.hover(force=True)
        assert f"position {3 + i}" in tab.locator("#tip").inner_text()


def test_special_masked_bold_and_repeats(open_page):
    context = single_context([0, 1, 2], [np.nan, 4, 0], focus=1)
    context = dataclasses.replace(context, repeats=np.array([7], dtype=np.int32))
    tab = open_page(page_of([view_of(0, context)], {0: b"<|endoftext|>", 1: b" hi", 2: b" there"}, special=(0,)))
    assert tab.locator("i.special").first.inner_text() == "<|endoftext|>"
    assert tab.locator('[data-t="0"]').get_attribute("class") == "tok masked"
    assert tab.locator("li .focus").inner_text() == " hi"
    assert int(tab.locator("li .focus").evaluate("e => getComputedStyle(e).fontWeight")) >= 700
    assert tab.locator(".repeats").inner_text() == "×8"
    tab.locator('[data-t="0"]').hover()
    assert "masked" in tab.locator("#tip").inner_text()


def test_what_was_not_computed_is_said_and_never_zero(open_page):
    layout = SaeVisLayoutConfig([Column(ActsHistogramConfig(), LogitsHistogramConfig()), Column(SeqMultiGroupConfig())])
    tab = open_page(page_of([view_of(0, single_context([1], [4.0]))], {1: b"x"}, layout=layout))
    assert "Not computed: activation histogram" in tab.locator("article").inner_text()
    assert "Not computed: logit effects" in tab.locator("article").inner_text()
    assert "Loss effect: not computed" in tab.locator("article").inner_text()
    tab.locator("[data-t]").first.hover()
    details = tab.locator("#tip").inner_text()
    assert details.count("not computed") == 2
    assert "0.000" not in details


def test_signed_dictionaries(open_page):
    tab = open_page(page_of([view_of(0, single_context([1, 2], [-4.0, 2.0]), top=4.0)], {1: b"x", 2: b"y"}))
    assert "below" in tab.locator('[data-t="0"]').get_attribute("class")
    assert "−4.00" in tab.locator(".legend").inner_text()


@pytest.mark.parametrize(("width", "columns"), [(1500, 3), (1000, 2), (420, 1)])
def test_columns_stack_in_narrow_windows_and_nothing_sticks_out(open_page, page, width, columns, letters):
    tab = open_page(page, script=letters)
    tab.set_viewport_size({"width": width, "height": 900})
    assert places(column.left for column in boxes(tab.locator(".column"))) == columns
    assert tab.evaluate("document.documentElement.scrollWidth") <= width


def test_text_is_13_pixels_or_larger(open_page, page):
    tab = open_page(page)
    small = tab.evaluate(
        """[...document.querySelectorAll('body *')]
        .filter(e => [...e.childNodes].some(n => n.nodeType === 3 && n.data.trim()))
        .filter(e => parseFloat(getComputedStyle(e).fontSize) < 13).map(e => e.outerHTML.slice(0, 80))"""
    )
    assert [e for e in small if "<script" not in e] == []


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_texts_stand_out_from_their_background(open_page, page, scheme):
    tab = open_page(page, color_scheme=scheme)
    ratios = tab.evaluate(
        """() => {
          const paint = document.createElement('canvas').getContext('2d', {willReadFrequently: true});
          const probe = document.body.appendChild(document.createElement('i'));
          const rgb = name => { probe.style.color = `var(${name})`; paint.fillStyle = getComputedStyle(probe).color;
            paint.clearRect(0, 0, 1, 1); paint.fillRect(0, 0, 1, 1);
            return [...paint.getImageData(0, 0, 1, 1).data].slice(0, 3) };
          const of = name => rgb(name).map(v => v / 255)
            .map(v => v <= 0.03928 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4)
            .reduce((s, v, i) => s + v * [0.2126, 0.7152, 0.0722][i], 0);
          const ratio = (a, b) => (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
          const texts = [['--ink', '--paper'], ['--soft', '--paper'], ['--ink', '--act'], ['--ink', '--act-below'],
            ['--accent', '--paper'], ['--tip-ink', '--tip'], ['--tip-soft', '--tip'], ['--soft', '--page'],
            ['--soft', '--hover']];
          const graphics = [['--up', '--paper'], ['--down', '--paper'], ['--edge', '--paper'], ['--accent', '--page']];
          return [...texts.map(pair => [...pair, ratio(...pair.map(of)), 4.5]),
            ...graphics.map(pair => [...pair, ratio(...pair.map(of)), 3])];
        }"""
    )
    assert len(ratios) == 13
    assert [r for r in ratios if r[2] < r[3]] == []


def test_a_fixed_height_scrolls_inside_the_card(open_page, page):
    spec = dataclasses.replace(page.layout, height=600)
    tab = open_page(dataclasses.replace(page, layout=spec))
    card = box(tab.locator("article"))
    assert aligned([card.bottom - card.top, 600])
    last = tab.locator(".group").last
    last.scroll_into_view_if_needed()
    assert last.locator("li").count() > 0


def test_long_contexts_wrap(open_page):
    n = 120
    tokens = {0: b" word", 1: b"\n"}
    ids = [1 if i % 30 == 29 else 0 for i in range(n)]
    tab = open_page(page_of([view_of(0, single_context(ids, np.eye(1, n, 60, dtype=np.float32)[0], focus=60))], tokens))
    assert tab.locator(".examples.wraps").count() == 1
    assert tab.locator(".examples li").evaluate("e => e.scrollWidth <= e.clientWidth")
    assert shown(tab).count("word") == 116


def test_contexts_wrap_on_demand_and_none_is_cut_off(open_page, page, letters):
    tab = open_page(page, script=letters)
    tab.set_viewport_size({"width": 880, "height": 900})
    cut = "[...document.querySelectorAll('.text')].filter(e => e.scrollWidth > e.clientWidth).length"
    assert tab.evaluate(cut) > 0
    tab.get_by_label("wrap lines").check()
    assert tab.evaluate(cut) == 0
    wait_until(tab, "location.hash.includes('wrap=1')")
    tab.keyboard.press("j")
    assert tab.locator(".examples.wraps").count() == 1


def test_details_open_above_where_the_layout_says_so(open_page, page, letters):
    for below in (True, False):
        layout = SaeVisLayoutConfig([Column(SeqMultiGroupConfig(hover_below=below))])
        tab = open_page(dataclasses.replace(page, layout=layout.to_spec()), script=letters)
        token = tab.locator(".group li").nth(10).locator(".focus").first
        token.hover()
        details, at = box(tab.locator("#tip")), box(token)
        assert details.top >= at.bottom if below else details.bottom <= at.top


def test_next_feature_is_drawn_at_once(open_page, page):
    """The card's head and the examples in sight stand before the next frame begins."""
    tab = open_page(page)
    after = tab.evaluate(
        """async () => {
          dispatchEvent(new KeyboardEvent('keydown', {key: 'j'}));
          await Promise.resolve();
          return [document.querySelector('h2').textContent, document.querySelectorAll('.group li').length];
        }"""
    )
    assert after[0] == "Feature 3"
    assert after[1] >= 20


def test_payload_without_examples_or_histograms(open_page):
    stats = p.FeatureStats(n_firings=3, density=0.1, max=1.0, mean=1.0, std=0.0)
    tab = open_page(page_of([p.FeatureView(feature=0, stats=stats)], {}))
    assert "Not computed: examples" in tab.locator("article").inner_text()


def test_only_the_firing_token_is_coloured_where_the_layout_says_so(open_page, page):
    layout = SaeVisLayoutConfig([Column(SeqMultiGroupConfig(compute_buffer=False))])
    tab = open_page(dataclasses.replace(page, layout=layout.to_spec()))
    row = tab.locator(".group").first.locator("li").nth(1)
    row.hover()
    assert row.locator("[data-t]").count() >= 11
    assert row.locator(".tok.on:not(.focus)").count() == 0
    assert row.locator(".tok.on.focus").count() == 1


def test_facts_fold_on_narrow_screens_and_stand_open_on_wide_ones(open_page):
    tab = open_page(synthetic_page(1, dead=()))
    facts = tab.locator(".about dl")
    assert facts.is_visible()
    assert not tab.locator(".facts summary").is_visible()
    tab.set_viewport_size({"width": 420, "height": 900})
    facts.wait_for(state="hidden")
    tab.locator(".facts summary").focus()
    tab.keyboard.press("Enter")
    facts.wait_for(state="visible")
    tab.set_viewport_size({"width": 1300, "height": 900})
    tab.locator(".facts summary").wait_for(state="hidden")
    assert facts.is_visible()


def test_one_gap_above_the_first_chart_on_narrow_screens(open_page, letters):
    tab = open_page(synthetic_page(1, dead=()), script=letters)
    tab.set_viewport_size({"width": 420, "height": 900})
    head = box(tab.locator(".card-head"))
    tops = [column.top for column in boxes(tab.locator(".column"))]
    assert min(tops) == tops[1]
    assert min(tops) - head.bottom < 26  # the head's own margin, 18, without that of a part behind another, 26
