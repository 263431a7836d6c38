"""What a reader does on the page: point, pin, compare, expand, copy, search, put side by side, print."""

from __future__ import annotations

import numpy as np
import pytest
from measures import HAIR, Box, aligned, box, boxes, places
from polling import settle, wait_until
from synthetic_page import page_of, synthetic_page, view_of

from sae_vis import contract as p
from sae_vis.layout import Column, SaeVisLayoutConfig, SeqMultiGroupConfig

pytestmark = pytest.mark.browser

HISTOGRAM = ".chart svg[aria-label^='Histogram of']"  # of activations, then of logit effects
WINDOW = Box(0, 0, 1500, 950)
FOCUS = ".focus[data-t], .focus [data-t]"


@pytest.fixture(scope="module")
def page():
    return synthetic_page(8, seed=5, loss=6)


@pytest.fixture
def tab(open_page, page):
    return open_page(page)


def focus_of(tab, row, group=0):
    """The token in focus of an example."""
    return tab.locator(".group").nth(group).locator("li").nth(row).locator(FOCUS).first


def text_of(tab, selector):
    return tab.locator(selector).inner_text()


def number(value):
    """Three digits, as the page writes them."""
    return f"{abs(value):#.3g}"


class TestTooltip:
    def test_says_all_that_is_known_of_a_token(self, tab, page):
        contexts = page.features[0].sequences[0].contexts
        effects = contexts.effects
        t = int(contexts.offsets[3] + contexts.focus[3])
        i = int(np.flatnonzero(effects.at == t)[0])
        focus_of(tab, 3).hover()
        said = text_of(tab, "#tip")
        assert f"id {contexts.tokens[t]}" in said
        assert f"sequence {contexts.sequence[3]}, position {contexts.start[3] + contexts.focus[3]}" in said
        assert number(contexts.acts[t]) in said
        assert "Logit effect, logit lens" in said
        assert number(contexts.logits[t]) in said
        assert "Loss effect, direct" in said
        assert f"{number(effects.loss[i])} nats ({'helps' if effects.loss[i] < 0 else 'harms'})" in said
        without = effects.prob[i] * np.exp(effects.loss[i])
        assert f"{number(100 * effects.prob[i])}% with, {number(100 * without)}% without" in said
        assert "Next token" in said
        changed = tab.locator("#tip .changes table")
        assert changed.all_inner_texts()[0].startswith("Raised most")
        for table, values in zip(changed.all(), (effects.up_values, effects.down_values), strict=True):
            shown = table.locator("td:last-child").all_inner_texts()
            assert len(shown) == effects.n_changed == 5
            assert number(values[i * 5]) in shown[0]

    def test_says_what_was_not_computed_of_effects(self, open_page):
        tab = open_page(synthetic_page(4, seed=5, loss=True))
        focus_of(tab, 3).hover()
        said = text_of(tab, "#tip")
        assert "nats" in said
        assert said.count("not computed") == 1  # the changed tokens
        plain = tab.locator(".group").first.locator("li").nth(3).locator(".tok:not(.on)").first
        plain.hover()
        assert "Loss effect, probabilities" in text_of(tab, "#tip")
        assert text_of(tab, "#tip").count("not computed") == 1
        assert "0 nats" not in text_of(tab, "#tip")

    def test_the_legend_names_the_kind_of_loss_effect(self, tab):
        assert "loss effect (direct)" in text_of(tab, ".legend")
        tab.get_by_label("What is a loss effect?").click()
        assert "taken out before the final norm" in text_of(tab, ".legend .why p")


class TestPin:
    def test_two_tokens_compared(self, tab, page):
        contexts = page.features[0].sequences[0].contexts
        focus_of(tab, 3).click()
        assert text_of(tab, "#pin").startswith("Pinned")
        assert not tab.locator("#tip").is_visible()
        focus_of(tab, 6).hover()
        assert f"sequence {contexts.sequence[3]}," in text_of(tab, "#pin")
        assert f"sequence {contexts.sequence[6]}," in text_of(tab, "#tip")
        assert focus_of(tab, 3).evaluate("e => e.classList.contains('held')")
        for chart in tab.locator(HISTOGRAM).all():
            assert chart.locator(".marker").count() == 2
            dashes = chart.locator(".marker line").evaluate_all("l => l.map(e => getComputedStyle(e).strokeDasharray)")
            assert sorted(dash == "none" for dash in dashes) == [False, True]
        tab.mouse.move(5, 300)
        assert tab.locator(".marker").count() == tab.locator(".marker.pinned").count() >= 2
        focus_of(tab, 3).click()
        assert not tab.locator("#pin").is_visible()
        assert tab.locator(".held, .marker.pinned").count() == 0

    def test_nothing_covers_anything(self, open_page, page, letters):
        """Tooltips keep off each other and off both tokens; labels in a chart keep off each other."""
        tab = open_page(page, script=letters)
        rows = tab.locator(".group").first.locator("li").count()
        focus_of(tab, 8).click()
        for row in [r for r in range(rows) if r != 8]:
            focus_of(tab, row).hover()
            pin, tip, held, linked = (box(tab.locator(name).first) for name in ("#pin", "#tip", ".held", ".linked"))
            assert pin.apart(tip), row
            for details in (pin, tip):
                assert details.inside(WINDOW), row
                assert details.apart(held), row
                assert details.apart(linked), row
            for chart in tab.locator(HISTOGRAM).all():
                labels = boxes(chart.locator(".marker text:not(.value)"))
                assert len(labels) in {1, 2}  # one where both tokens are the same
                assert labels[0].apart(labels[-1]) or len(labels) == 1, row

    def test_by_keyboard_and_escape_lets_go_of_the_last_thing_only(self, tab, page):
        first = page.features[0].sequences[0].contexts
        tab.get_by_role("group", name="Examples").focus()
        tab.keyboard.press("ArrowDown")
        tab.keyboard.press("Enter")
        tab.keyboard.press("ArrowDown")
        assert f"sequence {first.sequence[0]}," in text_of(tab, "#pin")
        assert f"sequence {first.sequence[1]}," in text_of(tab, "#tip")
        tab.keyboard.press("/")
        tab.keyboard.press("Escape")
        assert tab.get_by_role("dialog").count() == 0
        assert tab.locator("#pin").is_visible()
        tab.keyboard.press("?")
        assert "Keys" in tab.get_by_role("dialog").inner_text()
        tab.keyboard.press("Escape")
        assert tab.get_by_role("dialog").count() == 0
        assert tab.locator("#pin").is_visible()
        tab.keyboard.press("Escape")
        assert not tab.locator("#pin").is_visible()

    def test_is_let_go_with_its_feature(self, tab):
        focus_of(tab, 3).click()
        tab.mouse.move(5, 300)
        tab.keyboard.press("j")
        assert tab.locator("article h2").inner_text() == "Feature 3"
        assert not tab.locator("#pin").is_visible()
        assert tab.locator(".marker").count() == 0


WORDS = ["def", " f", "(", "x", "):", "\n", "\t", "return", " x", " +", " 1", "\n"]
VOCABULARY = {i: word.encode() for i, word in enumerate(WORDS)}


def long_context(n, focus, sequence=7):
    """Code over and over, firing in focus and at every 10th token."""
    acts = np.zeros(n, dtype=np.float32)
    acts[::10] = 1.0
    acts[focus] = 6.0
    return p.Contexts(
        offsets=np.array([0, n], dtype=np.int32),
        tokens=(np.arange(n) % len(WORDS)).astype(np.int32),
        acts=acts,
        logits=None,
        effects=None,
        sequence=np.array([sequence], dtype=np.int32),
        start=np.zeros(1, dtype=np.int32),
        focus=np.array([focus], dtype=np.int32),
        repeats=np.zeros(1, dtype=np.int32),
    )


def wide_page(n=1000, focus=500, expand="sequence", buffer=(5, 5)):
    layout = SaeVisLayoutConfig([Column(SeqMultiGroupConfig(buffer=buffer, expand=expand))])
    return page_of([view_of(0, long_context(n, focus))], VOCABULARY, layout=layout)


def raw(start, stop):
    return "".join(WORDS[i % len(WORDS)] for i in range(start, stop))


def n_tokens(tab):
    return tab.locator(".examples li [data-t]").count()


CATCH_COPIES = """navigator.clipboard.writeText = async text => { window.copied = text }"""
REFUSE_CLIPBOARD = """navigator.clipboard.writeText = async () => { throw new DOMException('no') };
document.addEventListener('copy', () => { window.copied = document.activeElement.value })"""


TAB = """e => { const probe = e.appendChild(document.createElement('span')); probe.textContent = ' '.repeat(4);
  const width = probe.getBoundingClientRect().width; probe.remove(); return width }"""  # of a tab


class TestContexts:
    def test_expand_in_steps_and_back(self, open_page):
        tab = open_page(wide_page())
        row = tab.locator(".examples li")
        row.hover()
        assert n_tokens(tab) == 11
        row.locator(".act").click()
        assert n_tokens(tab) == 33
        row.get_by_role("button", name="Show the whole sequence").click()
        assert n_tokens(tab) == 1000
        assert "sequence 7, position 500" in hovered(tab, 500)
        row.get_by_role("button", name="Less").click()
        assert n_tokens(tab) == 11

    def test_near_an_end_there_is_no_step_that_shows_nothing_new(self, open_page):
        tab = open_page(wide_page(n=14, focus=2))
        row = tab.locator(".examples li")
        row.hover()
        assert n_tokens(tab) == 8
        row.locator(".act").click()
        assert n_tokens(tab) == 14
        row.locator(".act").click()
        assert n_tokens(tab) == 8

    def test_a_number_of_tokens_on_each_side(self, open_page):
        tab = open_page(wide_page(n=61, focus=30, expand=30))
        row = tab.locator(".examples li")
        row.hover()
        row.get_by_role("button", name="Show 16 tokens on each side").click()
        row.get_by_role("button", name="Show 30 tokens on each side").click()
        assert n_tokens(tab) == 61

    def test_no_control_where_the_page_holds_no_more(self, tab):
        row = tab.locator(".examples li").nth(2)
        row.hover()
        tools = row.locator(".tools button:visible")
        assert tools.all_inner_texts() == ["Copy"]
        assert "expand=" in tools.get_attribute("title")
        before = row.locator("[data-t]").count()
        row.locator(".act").click()
        assert row.locator("[data-t]").count() == before

    def test_lines_break_and_tabs_stand_where_the_text_has_them(self, open_page, letters):
        tab = open_page(wide_page(n=37, focus=20), script=letters)
        row = tab.locator(".examples li")
        assert "\n" not in row.locator(".text").evaluate("e => e.textContent")
        row.locator(".act").click()
        shown = row.locator(".text").evaluate("e => e.textContent")
        assert shown.replace("↵", "").replace("→", "") == raw(4, 37)
        margin = box(row.locator(".text")).left
        found = {word: boxes(row.locator("[data-t]").get_by_text(word, exact=True)) for word in ("def", "return")}
        assert [len(at) for at in found.values()] == [3, 3]
        assert places(at.top for at in [*found["def"], *found["return"]]) == 6  # a line for each
        assert aligned([margin, *(at.left for at in found["def"])])
        assert aligned(at.left for at in found["return"])  # at one tab stop, which is right of the arrow
        assert found["return"][0].left - margin > row.locator(".text").evaluate(TAB) - HAIR

    def test_keys_on_a_token(self, open_page):
        tab = open_page(wide_page())
        tab.evaluate(CATCH_COPIES)
        tab.get_by_role("group", name="Examples").focus()
        tab.keyboard.press("ArrowDown")
        tab.keyboard.press("Enter")
        tab.keyboard.press("e")
        assert n_tokens(tab) == 33
        assert tab.evaluate("document.activeElement.dataset.t") == "500"
        assert tab.locator(".held").get_attribute("data-t") == "500"
        tab.keyboard.press("ArrowLeft")
        assert "position 499" in text_of(tab, "#tip")
        tab.keyboard.press("c")
        wait_until(tab, "window.copied !== undefined")
        assert tab.evaluate("window.copied") == raw(484, 517)
        tab.keyboard.press("e")
        tab.keyboard.press("e")
        assert n_tokens(tab) == 11

    @pytest.mark.parametrize("clipboard", [CATCH_COPIES, REFUSE_CLIPBOARD])
    def test_copy_by_button(self, open_page, clipboard):
        tab = open_page(wide_page(n=40, focus=20))
        tab.evaluate(clipboard)
        row = tab.locator(".examples li")
        row.hover()
        row.get_by_role("button", name="Copy").click()
        wait_until(tab, "window.copied !== undefined")
        assert tab.evaluate("window.copied") == raw(15, 26)
        assert "\t" in raw(15, 26)
        assert tab.locator(".notice").inner_text() == "Copied 11 tokens"
        assert tab.locator(".notice").get_attribute("role") == "status"
        if clipboard is CATCH_COPIES:  # it stays for seconds
            wait_until(tab, "document.querySelector('.notice').textContent === ''")

    def test_buttons_exist_for_one_row_only(self, tab):
        assert tab.locator(".tools").count() == 0
        for row in range(5):
            tab.locator(".examples li").nth(row).hover()
        assert tab.locator(".tools").count() == 1

    def test_a_thousand_tokens_open_at_once(self, open_page):
        """All stand before the click's own task ends."""
        tab = open_page(wide_page())
        tab.locator(".examples li .act").click()
        opened = tab.evaluate(
            """() => { document.querySelector('.examples li .act').click();
            return document.querySelectorAll('.examples li [data-t]').length }"""
        )
        assert opened == 1000

    def test_selecting_text_does_not_expand(self, open_page, letters):
        tab = open_page(wide_page(), script=letters)
        tab.locator(".examples li").hover()
        first, last = (box(tab.locator(f'.examples [data-t="{t}"]')) for t in (499, 503))
        y = (first.top + first.bottom) / 2
        tab.mouse.move(first.left + 1, y)
        tab.mouse.down()
        tab.mouse.move(last.right - 1, y, steps=5)
        tab.mouse.up()
        assert tab.evaluate("document.getSelection().isCollapsed") is False
        assert n_tokens(tab) == 11
        assert not tab.locator("#pin").is_visible()
        tab.locator("h1").click()  # lets go of the selection
        tab.mouse.click(last.right - 1, y)
        assert tab.locator("#pin").is_visible()


def hovered(tab, number):
    tab.locator(f'.examples [data-t="{number}"]').first.hover()
    return text_of(tab, "#tip")


class TestList:
    @pytest.fixture
    def panel(self, tab):
        tab.keyboard.press("/")
        return tab.get_by_role("dialog", name="Find a feature")

    @staticmethod
    def shown(panel):
        return [int(n) for n in panel.locator("tbody tr td:first-child").all_inner_texts()]

    def test_sorted_both_ways(self, panel, page):
        for name, value in (
            ("Density", lambda v: v.stats.density),
            ("Max", lambda v: v.stats.max),
            ("Feature", lambda v: v.feature),
        ):
            ordered = [v.feature for v in sorted(page.features, key=value)]
            first = ordered if name == "Feature" else ordered[::-1]
            head = panel.page.get_by_role("button", name=name, exact=False).and_(panel.page.locator("th button"))
            head.click()
            assert self.shown(panel) == first
            head.click()
            assert self.shown(panel) == first[::-1]
            sort = head.locator("..").get_attribute("aria-sort")
            assert sort == ("descending" if name == "Feature" else "ascending")

    def test_filtered_by_density_and_maximum(self, panel, page):
        stats = {v.feature: v.stats for v in page.features}
        middle = float(np.median([s.density for s in stats.values()]))
        panel.get_by_label("Density at least").fill(f"{middle * 100:.9f}")
        assert self.shown(panel) == [f for f, s in stats.items() if s.density >= middle - 1e-11]
        panel.get_by_label("Density at least").fill("")
        panel.get_by_label("Density at most").fill("0")
        assert self.shown(panel) == [6]
        assert "dead" in panel.inner_text()
        panel.get_by_label("Density at most").fill("")
        panel.get_by_label("Maximum at least").fill("17")
        assert self.shown(panel) == [f for f, s in stats.items() if s.max >= 17]
        panel.get_by_label("Maximum at least").fill("999")
        assert "No feature matches" in panel.inner_text()

    def test_text_in_examples(self, tab, panel, page):
        wanted = "Before"
        expected = []
        for view in page.features:
            texts = [
                b"".join(page.token_bytes[int(t)] for t in g.contexts.tokens[start:stop])
                for g in view.sequences
                for start, stop in zip(g.contexts.offsets[:-1], g.contexts.offsets[1:], strict=True)
            ]
            if any(wanted.lower() in text.decode("utf-8", "replace").lower() for text in texts):
                expected.append(view.feature)
        assert 0 < len(expected) < 8
        panel.get_by_label("Search the text of the examples").fill(wanted)
        wait_until(tab, f"document.querySelectorAll('.snippet').length === {len(expected)}")
        wait_until(tab, "!document.querySelector('.list-panel [role=status]').textContent.includes('Searching')")
        assert self.shown(panel) == expected
        assert {m.lower() for m in panel.locator("mark").all_inner_texts()} == {wanted.lower()}
        panel.get_by_label("Search the text of the examples").press("Enter")
        assert text_of(tab, "article h2") == f"Feature {expected[0]}"

    def test_shift_enter_and_a_button_open_beside(self, tab, panel):
        panel.get_by_label("Search by number").fill("15")
        panel.get_by_label("Search by number").press("Shift+Enter")
        wait_until(tab, "location.hash === '#f=0,15'")
        tab.keyboard.press("/")
        panel.get_by_label("Open feature 9 beside").click()
        wait_until(tab, "location.hash === '#f=0,15,9'")


STEPWISE = """let now = 0;
performance.now = () => (now += 1000);  // so that every slice of work holds one feature,
window.requestIdleCallback = (work) => requestAnimationFrame(() => setTimeout(work));  // and is idle once a frame"""


def test_search_in_examples_says_how_far_it_is_and_leaves_typing_alone(open_page):
    tab = open_page(synthetic_page(40, seed=3), script=STEPWISE)
    tab.keyboard.press("/")
    tab.evaluate(
        """() => { window.said = new Set();
        const look = () => { window.said.add(document.querySelector('.list-panel > [role=status]').textContent);
          requestAnimationFrame(look) };
        requestAnimationFrame(look) }"""
    )
    tab.get_by_label("Search the text of the examples").press_sequentially("before", delay=30)
    wait_until(tab, "!document.querySelector('.list-panel > [role=status]').textContent.includes('Searching')")
    said = tab.evaluate("[...window.said]")
    # what it says between its slices was painted: the page is free in between
    assert len([text for text in said if text.startswith("Searching ") and " of 40…" in text]) > 20
    assert tab.get_by_label("Search the text of the examples").input_value() == "before"


class TestSideBySide:
    def features(self, tab):
        return [text.removeprefix("Feature ") for text in tab.locator("article h2").all_text_contents()]

    def test_ways_in_and_out(self, tab):
        tab.get_by_role("button", name="Compare").click()
        assert self.features(tab) == ["0", "3"]
        tab.keyboard.press("b")
        assert self.features(tab) == ["0", "3", "6"]
        tab.get_by_role("button", name="Close feature 3").click()
        assert self.features(tab) == ["0", "6"]
        link = tab.locator("article").first.locator("table.numbers a", has_text="3").first
        link.click(modifiers=["ControlOrMeta"])
        assert self.features(tab) == ["0", "6", "3"]
        link.click(modifiers=["Shift"])
        assert self.features(tab) == ["0", "6", "3"]
        link.click()
        assert self.features(tab) == ["3", "6", "3"]
        tab.go_back()
        wait_until(tab, "location.hash === '#f=0,6,3'")
        assert self.features(tab) == ["0", "6", "3"]
        tab.keyboard.press("b")
        assert len(self.features(tab)) == 4
        assert tab.get_by_role("button", name="Compare").is_disabled()
        tab.keyboard.press("b")
        assert "at most" in text_of(tab, ".notice")
        assert len(self.features(tab)) == 4

    def test_keys_act_on_the_active_column(self, open_page, page):
        tab = open_page(page, "#f=0,9&log=1")
        assert tab.locator(".pane.active h2").text_content() == "Feature 0"
        tab.keyboard.press("j")
        assert self.features(tab) == ["3", "9"]
        tab.locator("article").nth(1).locator("h3").first.click()
        assert tab.locator(".pane.active h2").text_content() == "Feature 9"
        tab.keyboard.press("j")
        assert self.features(tab) == ["3", "12"]
        wait_until(tab, "location.hash === '#f=3,12&log=1'")
        assert tab.get_by_label("log counts").evaluate_all("all => all.every(e => e.checked)")
        second = tab.locator("article").nth(1)
        second.get_by_label("Previous feature").click()
        assert self.features(tab) == ["3", "9"]
        number = second.get_by_label("Go to feature")
        number.fill("21")
        number.press("Enter")
        assert self.features(tab) == ["3", "21"]
        number.fill("777")
        number.press("Enter")
        assert second.locator("[data-message=missing]").count() == 1
        second.get_by_role("button", name="Close feature 777").click()
        assert self.features(tab) == ["3"]
        assert tab.locator(".pane").count() == 0

    def test_parts_stand_in_common_rows(self, open_page, page, letters):
        tab = open_page(page, "#f=0,6,9", script=letters)  # 6 is dead: its parts are lower
        tab.locator("article").nth(2).wait_for()
        tops = [[part.top for part in boxes(card.locator(".part"))] for card in tab.locator("article").all()]
        assert len(tops[0]) >= 5
        assert len(tops) == 3
        assert all(aligned(row) for row in zip(*tops, strict=True))
        assert tops[0] == sorted(tops[0])

    def test_four_columns_fit(self, open_page, page, letters):
        tab = open_page(page, "#f=0,3,9,12", script=letters)
        assert tab.evaluate("document.documentElement.scrollWidth") <= 1500
        cards = boxes(tab.locator("article"))
        assert aligned(card.top for card in cards)
        assert places(card.left for card in cards) == 4
        assert aligned(card.right - card.left for card in cards)
        cut = "[...document.querySelectorAll('.part')].filter(e => e.scrollWidth > e.clientWidth + 1).length"
        assert tab.evaluate(cut) == 0
        for width, in_a_row in ((1000, 2), (420, 1)):
            tab.set_viewport_size({"width": width, "height": 900})
            assert tab.evaluate("document.documentElement.scrollWidth") <= width
            assert places(card.left for card in boxes(tab.locator("article"))) == in_a_row

    def test_a_token_is_marked_in_every_card_with_each_cards_own_activation(self, open_page, page):
        tab = open_page(shared_context(page), "#f=0,3")
        tab.locator("article").nth(1).wait_for()
        first, second = tab.locator("article").all()
        first.locator(FOCUS).first.hover()
        assert "Feature 0" in text_of(tab, "#tip")
        assert second.locator("[data-t].linked").count() == 1
        assert "4.00" in first.locator(f"{HISTOGRAM} .marker").first.text_content()
        assert "2.50" in second.locator(f"{HISTOGRAM} .marker").first.text_content()
        first.locator(FOCUS).first.click()
        second.locator("[data-t]").first.hover()
        assert "Pinned · feature 0" in text_of(tab, "#pin")
        assert "Feature 3" in text_of(tab, "#tip")
        assert second.locator("[data-t].held").count() == 1
        assert second.locator(".marker.pinned").count() >= 1
        second.locator(".picker").get_by_label("Next feature").click()
        assert tab.locator("#pin").is_visible()
        first.get_by_label("Next feature").click()
        assert not tab.locator("#pin").is_visible()

    def test_the_same_token_id_has_its_logit_line_in_other_cards(self, open_page, page):
        tab = open_page(page, "#f=0,3")
        known = {}
        for group in page.features[1].sequences:
            known |= dict(zip(group.contexts.tokens.tolist(), group.contexts.logits.tolist(), strict=True))
        table = page.features[0].logits_table
        row = next(i for i, t in enumerate(table.top_tokens.tolist()) if t in known)
        tab.locator("article").first.locator("table.logits.up tbody tr").nth(row).hover()
        marker = tab.locator("article").nth(1).locator(f"{HISTOGRAM} .marker")
        assert marker.count() == 1
        assert number(known[int(table.top_tokens[row])]) in marker.text_content()

    def test_one_decode_for_each_change(self, open_page, page):
        tab = open_page(page, "#f=0,9")
        tab.evaluate(
            """() => { const find = Document.prototype.getElementById; window.read = [];
            Document.prototype.getElementById = function (id) { window.read.push(id); return find.call(this, id) } }"""
        )
        tab.keyboard.press("j")
        assert tab.evaluate("window.read.filter(id => /^f\\d/.test(id))") == ["f3"]
        tab.keyboard.press("b")
        tab.get_by_role("button", name="Close feature 3").click()
        assert tab.evaluate("window.read.filter(id => /^f\\d/.test(id))") == ["f3", "f12"]

    def test_memory_is_flat_over_many_changes(self, open_page, page):
        tab = open_page(page, "#f=0,9")
        session = tab.context.new_cdp_session(tab)

        def nodes_and_heap():
            session.send("HeapProfiler.collectGarbage")
            counters = session.send("Memory.getDOMCounters")
            return counters["nodes"], counters["jsEventListeners"], session.send("Runtime.getHeapUsage")["usedSize"]

        def steps(n):
            tab.evaluate(
                """async n => { for (let i = 0; i < n; i++) { dispatchEvent(new KeyboardEvent('keydown', {key: 'j'}));
                const over = new PointerEvent('pointerover', {bubbles: true});
                document.querySelector('.focus[data-t]')?.dispatchEvent(over);
                await new Promise(requestAnimationFrame) } }""",
                n,
            )
            settle(tab)

        steps(32)
        before = nodes_and_heap()
        steps(96)
        after = nodes_and_heap()
        assert after[0] < before[0] * 1.3 + 200
        assert after[1] < before[1] * 1.2 + 20
        assert after[2] < before[2] + 3e6


def shared_context(page):
    """Two features that fire on the same tokens of the same sequence."""
    tokens = {i: f" w{i}".encode() for i in range(5)}
    views = []
    for feature, strength in ((0, 4.0), (3, 2.5), (6, 1.0)):
        acts = np.array([0.5, 0, strength, 0, 0.25], dtype=np.float32)
        context = p.Contexts(
            offsets=np.array([0, 5], dtype=np.int32),
            tokens=np.arange(5, dtype=np.int32),
            acts=acts,
            logits=acts / 10,
            effects=None,
            sequence=np.array([7 if feature < 6 else 8], dtype=np.int32),
            start=np.array([3], dtype=np.int32),
            focus=np.array([2], dtype=np.int32),
            repeats=np.zeros(1, dtype=np.int32),
        )
        view = view_of(feature, context)
        views.append(
            p.FeatureView(
                feature=feature,
                stats=view.stats,
                sequences=view.sequences,
                acts_histogram=page.features[0].acts_histogram,
                logits_histogram=page.features[0].logits_histogram,
            )
        )
    return page_of(views, tokens)


class TestThemes:
    def test_system_light_and_dark_and_the_address_keeps_it(self, open_page, page):
        paper = "getComputedStyle(document.querySelector('.card')).backgroundColor"
        tab = open_page(page, color_scheme="dark")
        dark = tab.evaluate(paper)
        tab.get_by_label("Theme").select_option("light")
        assert tab.evaluate(paper) == "rgb(255, 255, 255)" != dark
        wait_until(tab, "location.hash === '#f=0&theme=light'")
        tab.keyboard.press("Escape")
        tab.evaluate("document.activeElement.blur()")
        tab.keyboard.press("j")
        wait_until(tab, "location.hash === '#f=3&theme=light'")
        tab = open_page(page, "#f=3&theme=dark", color_scheme="light")
        assert tab.evaluate(paper) == dark
        assert tab.get_by_label("Theme").input_value() == "dark"
        tab.get_by_label("Theme").select_option("system")
        assert tab.evaluate(paper) == "rgb(255, 255, 255)"

    def test_forced_colours_keep_firing_tokens_apart(self, open_page, page):
        tab = open_page(page, forced_colors="active")
        drawn = focus_of(tab, 3).evaluate(
            "e => [getComputedStyle(e).backgroundColor, getComputedStyle(e).outlineStyle]"
        )
        assert drawn[0] != "rgba(0, 0, 0, 0)"
        assert drawn[1] == "solid"


HEBREW = ["שלום", " עולם", " זה", " טקסט", " ארוך", " מאוד", " שנקרא", " מימין", " לשמאל", " ועוד", " קצת"] * 3
LATIN = [" the", " quick", " brown", " fox", " jumps", " over", " a", " lazy", " dog", " and", " then"] * 3
OTHERS = ["日本", "語", "の", "テ", "キスト", "、", "東京", "🚀", "👍🏽", "。", "่ไทย"] * 3


@pytest.fixture(scope="module")
def languages():
    rows = [HEBREW, LATIN, OTHERS, HEBREW[:4] + LATIN[:2] + HEBREW[:5]]
    vocabulary = {word: i for i, word in enumerate(dict.fromkeys(word for row in rows for word in row))}
    lengths = [len(row) for row in rows]
    focus = np.array([16, 16, 16, 5], dtype=np.int32)
    offsets = np.cumsum([0, *lengths]).astype(np.int32)
    acts = np.zeros(offsets[-1], dtype=np.float32)
    acts[offsets[:-1] + focus] = 3.0
    context = p.Contexts(
        offsets=offsets,
        tokens=np.array([vocabulary[word] for row in rows for word in row], dtype=np.int32),
        acts=acts,
        logits=None,
        effects=None,
        sequence=np.arange(4, dtype=np.int32),
        start=np.zeros(4, dtype=np.int32),
        focus=focus,
        repeats=np.zeros(4, dtype=np.int32),
    )
    column = Column(SeqMultiGroupConfig(buffer=(16, 15), expand=16), width=420)
    layout = SaeVisLayoutConfig([column])
    return page_of([view_of(0, context)], {i: word.encode() for word, i in vocabulary.items()}, layout=layout)


PLACES = """row => { row.dispatchEvent(new PointerEvent('pointerover', {bubbles: true}));
  const text = row.querySelector('.text').getBoundingClientRect();
  return {left: text.left, right: text.right, tokens: [...row.querySelectorAll('[data-t]')].map(e => {
    const b = e.getBoundingClientRect(); return [b.left, b.right, e.classList.contains('focus')] })} }"""


class TestLanguages:
    def test_hebrew_reads_from_the_right_and_is_cut_off_at_the_far_ends(self, open_page, languages, letters):
        tab = open_page(languages, script=letters)
        hebrew, latin = (tab.locator(".examples li").nth(i).evaluate(PLACES) for i in (0, 1))
        at = next(i for i, token in enumerate(hebrew["tokens"]) if token[2])
        focus, before, after = (hebrew["tokens"][i] for i in (at, at - 1, at + 1))
        assert aligned([before[0], focus[1]])
        assert aligned([after[1], focus[0]])
        assert hebrew["tokens"][0][1] > hebrew["right"]  # the first word is cut off on the right,
        assert hebrew["tokens"][-1][0] < hebrew["left"]  # the last one on the left
        other = next(token for token in latin["tokens"] if token[2])
        assert aligned([hebrew["right"] - focus[1], other[0] - latin["left"]])
        assert latin["tokens"][0][0] < latin["left"]

    def test_rows_are_of_one_height_in_every_script(self, open_page, languages, letters):
        tab = open_page(languages, script=letters)
        heights = [row.bottom - row.top for row in boxes(tab.locator(".examples li"))]
        assert len(heights) == 4
        assert aligned(heights)

    def test_arrow_keys_go_the_way_of_the_text(self, open_page, languages):
        tab = open_page(languages)
        tab.get_by_role("group", name="Examples").focus()
        tab.keyboard.press("ArrowDown")
        tab.keyboard.press("ArrowLeft")
        assert "position 17" in text_of(tab, "#tip")


class TestPrint:
    @pytest.mark.parametrize("width", [720, 1100])
    def test_all_of_the_card_on_paper(self, open_page, page, width, letters):
        tab = open_page(page, "#f=0&theme=dark", script=letters)
        focus_of(tab, 3).click()
        tab.set_viewport_size({"width": width, "height": 900})
        tab.emulate_media(media="print")
        for gone in (".bar", ".tip", ".tools", ".switch", ".data"):
            assert tab.locator(gone).evaluate_all("l => l.every(e => getComputedStyle(e).display === 'none')"), gone
        assert "toy-transformer-4l" in text_of(tab, "header.about")
        assert tab.evaluate("getComputedStyle(document.querySelector('.card')).backgroundColor") == "rgb(255, 255, 255)"
        assert focus_of(tab, 3).evaluate("e => getComputedStyle(e).printColorAdjust") == "exact"
        clipped = tab.evaluate(
            """[...document.querySelectorAll('.card, .column, .part, .examples, .text, .before')]
            .filter(e => ['hidden', 'auto', 'scroll'].includes(getComputedStyle(e).overflowY)
              || getComputedStyle(e).position === 'sticky').map(e => e.className)"""
        )
        assert clipped == []
        assert tab.evaluate("document.documentElement.scrollWidth") <= width


class TestKeyboard:
    def test_help_lists_the_keys(self, tab):
        tab.get_by_role("button", name="Keys").click()
        dialog = tab.get_by_role("dialog", name="Keys")
        for words in ("feature before", "find a feature", "pin its details", "copy the text", "beside"):
            assert words in dialog.inner_text()
        tab.keyboard.press("j")
        assert text_of(tab, "article h2") == "Feature 0"
        tab.keyboard.press("?")
        assert dialog.count() == 0
        assert tab.evaluate("document.activeElement.getAttribute('aria-label')") == "Keys"

    def test_tab_reaches_every_control_and_shows_where_it_is(self, tab):
        seen = []
        for _ in range(60):
            tab.keyboard.press("Tab")
            name, ring = tab.evaluate(
                """(() => { const e = document.activeElement;
                return [e.getAttribute('aria-label') || e.textContent.trim(), getComputedStyle(e).outlineStyle] })()"""
            )
            if name and tab.evaluate("document.activeElement !== document.body"):
                assert ring != "none", name
                seen.append(name)
        for wanted in ("Previous feature", "Go to feature", "Next feature", "Compare", "Theme", "Keys"):
            assert wanted in seen
        assert any(name.startswith("Find a feature") for name in seen)
        assert any(name.startswith("Examples.") for name in seen)
        assert any(name.startswith("Histogram of") for name in seen)

    def test_row_buttons_follow_the_token_in_focus(self, open_page):
        tab = open_page(wide_page())
        tab.get_by_role("group", name="Examples").focus()
        tab.keyboard.press("ArrowDown")
        tab.keyboard.press("Tab")
        assert tab.evaluate("document.activeElement.textContent") == "More"
        tab.keyboard.press("Enter")
        assert n_tokens(tab) == 33
        tab.keyboard.press("Tab")
        assert tab.evaluate("document.activeElement.textContent") == "Copy"


def test_motion_is_kept_away_from_those_who_ask(open_page, page):
    tab = open_page(page, reduced_motion="reduce")
    moving = tab.evaluate(
        """[...document.querySelectorAll('*')].filter(e => getComputedStyle(e).transitionDuration.split(', ')
        .some(d => parseFloat(d) > 0) || getComputedStyle(e).animationName !== 'none').length"""
    )
    assert moving == 0
