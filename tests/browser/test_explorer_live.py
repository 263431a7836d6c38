"""The explorer's notes, prompts, comparisons and indices in Chromium, and what it says when the server is gone."""

from __future__ import annotations

import re
from urllib.parse import quote

import numpy as np
import pytest
import torch
from explorer_server import serving
from playwright.sync_api import expect
from polling import wait_until

from sae_vis.api.options import ComputeSettings
from sae_vis.api.prompt_pages import named_prompts, prompt_sources
from sae_vis.effects.intervention import FullEffects
from sae_vis.explore.layers import layer_features
from sae_vis.explore.reader import Reader
from sae_vis.index.between import between
from sae_vis.views.prompt import PromptSettings, prompt_view

pytestmark = [pytest.mark.browser, pytest.mark.explorer, pytest.mark.xdist_group("the explorer's index")]

PROMPT = "def walk(self, master): return self"
SECOND = "It was the best of times"
REFUSED = "Failed to load resource"


@pytest.fixture(scope="module")
def index(demo_indices):
    return demo_indices.index


@pytest.fixture(scope="module")
def sources(index, demo_indices):
    return prompt_sources(index, demo_indices.parts[0], ComputeSettings(effects=False))


@pytest.fixture(scope="module")
def read(index, demo_indices, sources):
    """``read(text)``: the view of a prompt, and its token ids."""

    def made(text):
        [(name, ids)] = named_prompts(index, text, PromptSettings(), demo_indices.tokenizer)
        return prompt_view(sources, name, ids, PromptSettings(metric="attribution")), ids

    return made


def value_of(view, name):
    return next(metric.values for metric in view.metrics if metric.name == name)


def positions_of(view):
    return np.repeat(np.arange(len(view.tokens)), np.diff(view.offsets))


def strongest(view, pairs, values):
    """The value of largest size of each feature, of some pairs; masked tokens count for none."""
    counted = view.masked[positions_of(view)[pairs]] == 0
    most = {}
    for feature, value in zip(view.features[pairs][counted].tolist(), values[counted].tolist(), strict=True):
        most[feature] = max(most.get(feature, 0.0), value, key=abs)
    return most


def note_of(tab):
    return tab.get_by_role("textbox", name=re.compile("^Note"))


def ranked(tab):
    """Features of the prompt's ranking, in their order."""
    tab.locator(".ranks tbody tr").first.wait_for()
    return [int(text) for text in tab.locator(".ranks tbody tr td:nth-child(2)").all_inner_texts()]


def open_prompt(open_explorer, text=PROMPT, more="", **options):
    tab = open_explorer(f"#view=prompt&text={quote(text)}{more}", **options)
    tab.locator(".prompt-page .ranks tbody tr").first.wait_for()
    return tab


class TestNotes:
    def test_a_note_is_kept_and_found(self, open_explorer):
        tab = open_explorer("#f=100")
        note_of(tab).fill("fires on <b>names</b> & “places”")
        assert "kept when you leave it" in tab.locator(".own-note").inner_text()
        tab.locator("h2").first.click()
        tab.locator("#row-100 .noted, .chips").first.wait_for()
        wait_until(tab, "!document.querySelector('.own-note').textContent.includes('kept when')")
        tab.reload()
        note_of(tab).wait_for()
        wait_until(tab, "document.querySelector('.own-note textarea').value !== ''")
        assert note_of(tab).input_value() == "fires on <b>names</b> & “places”"
        assert tab.locator("#row-100 .noted").count() == 1
        tab.get_by_label("Find features").fill("NAMES")
        tab.locator(".ways button", has_text="1 noted").click()
        wait_until(tab, "document.querySelectorAll('.grid-row').length === 1")
        assert tab.locator(".grid-row").get_attribute("data-feature") == "100"

    def test_a_note_is_kept_by_ctrl_enter_and_by_stepping_on(self, open_explorer):
        tab = open_explorer("#f=101")
        note_of(tab).fill("one")
        note_of(tab).press("Control+Enter")
        wait_until(tab, "!document.querySelector('.own-note').textContent.includes('kept when')")
        note_of(tab).fill("two")
        tab.locator(".grid-row").nth(1).click()
        tab.reload()
        tab.goto(tab.url.partition("#")[0] + "#f=101")
        tab.get_by_role("article", name="Feature 101").wait_for()
        wait_until(tab, "document.querySelector('.own-note textarea').value !== ''")
        assert note_of(tab).input_value() == "two"

    def test_two_who_write_the_same_note_lose_nothing(self, open_explorer, demo_indices):
        first, second = (open_explorer("#f=102", expected=(REFUSED,)) for _ in range(2))
        for tab in (first, second):
            note_of(tab).wait_for()
        note_of(first).fill("from the first")
        note_of(first).press("Control+Enter")
        wait_until(first, "!document.querySelector('.own-note').textContent.includes('kept when')")
        note_of(second).fill("from the second")
        note_of(second).press("Control+Enter")
        wait_until(second, "document.querySelector('.own-note').textContent.includes('from the first')")
        assert "changed elsewhere" in second.locator(".own-note").inner_text()
        assert note_of(second).input_value() == "from the second"
        kept = (demo_indices.paths[0] / "notes.json").read_text()
        assert "from the first" in kept
        assert "from the second" not in kept
        second.locator(".grid-row").nth(
            5
        ).click()  # another feature, and back: the text that is not kept is still there
        second.goto(second.url.partition("#")[0] + "#f=102")
        second.get_by_role("article", name="Feature 102").wait_for()
        assert note_of(second).input_value() == "from the second"
        note_of(second).fill("from the first, and from the second")
        note_of(second).press("Control+Enter")
        wait_until(second, "!document.querySelector('.own-note').textContent.includes('kept when')")
        first.reload()
        wait_until(first, "(document.querySelector('.own-note textarea')?.value ?? '') !== ''")
        assert note_of(first).input_value() == "from the first, and from the second"


class TestPrompt:
    def test_it_is_typed_and_ranked_by_attribution(self, open_explorer, read):
        tab = open_explorer()
        tab.get_by_role("navigation", name="Views").get_by_role("button", name="Prompt").click()
        tab.get_by_role("textbox", name="Prompt", exact=True).press_sequentially(PROMPT)
        view, ids = read(PROMPT)
        found = ranked(tab)
        assert tab.get_by_label("Rank by").input_value() == "attribution"
        most = strongest(view, np.arange(len(view.features)), value_of(view, "attribution"))
        expected = sorted(most, key=lambda feature: -abs(most[feature]))
        assert found == expected[: len(found)]
        shown = [
            float(text.replace("−", "-").replace("+", "")) for text in tab.locator(".ranks .value").all_inner_texts()
        ]
        assert shown == pytest.approx([most[feature] for feature in found], rel=0.006, abs=5e-4)
        assert tab.locator(".strip [data-t]").count() == len(ids)

    def test_an_empty_prompt_offers_a_text_of_the_corpus(self, open_explorer, index):
        tab = open_explorer("#view=prompt&f=111")
        offered = tab.locator(".prompt-pane .earlier")
        expect(offered).to_contain_text("where feature 111 fires most strongly")
        asked = []
        tab.on("request", lambda request: asked.append(request.url.rpartition("/")[2]))
        text = offered.get_by_role("button").get_attribute("title")
        position = int(index.top_examples(111, 1).positions[0])
        around = index.tokens[max(position - 16, 0) : position + 7]
        window = b"".join(index.text.bytes_of(int(token)) for token in around if not index.text.is_special(int(token)))
        assert text.encode() in window
        assert index.text.bytes_of(int(index.tokens[position])) in text.encode()
        assert "prompt" not in asked
        offered.get_by_role("button").click()
        tab.locator(".strip [data-t]").first.wait_for()
        assert asked.count("prompt") == 1
        assert tab.get_by_role("textbox", name="Prompt", exact=True).input_value() == text
        assert offered.get_by_text("Try").count() == 0

    def test_without_an_open_feature_it_is_the_beginning_of_the_corpus(self, open_explorer, index):
        tab = open_explorer("#view=prompt")
        button = tab.locator(".prompt-pane .earlier").get_by_role("button")
        tokens = [int(token) for token in index.tokens[:22] if not index.text.is_special(int(token))]
        first = b"".join(index.text.bytes_of(token) for token in tokens).decode("utf-8", "replace")
        assert first.endswith("\ufffd")  # half of a character, which is left out
        assert button.get_attribute("title") == first.rstrip("\ufffd")

    def test_a_second_prompt_beside_it(self, open_explorer):
        tab = open_prompt(open_explorer)
        tab.get_by_label("Compare with").fill(SECOND)
        wait_until(tab, "document.querySelector('.prompt-page').textContent.includes('the best of')")
        assert "with=" in tab.url
        tab.reload()
        wait_until(tab, "(document.querySelector('.prompt-page')?.textContent ?? '').includes('the best of')")

    def test_full_effects_are_those_of_editing_the_model(self, open_explorer, read, sources):
        tab = open_prompt(open_explorer)
        full = tab.get_by_label("Rank by").locator("option[value=full_loss_effect]")
        assert full.is_disabled()
        assert full.inner_text() == "Loss effect, full: measure first"
        tab.get_by_role("button", name=re.compile("^Measure the full effects")).click()
        expect(tab.locator(".measuring")).to_have_text("64 full effects measured.")
        assert full.is_enabled()
        tab.get_by_role("button", name="Rank by the measured full effects").click()
        tab.locator(".ranks th", has_text="Loss effect, full").wait_for()
        assert tab.get_by_label("Rank by").input_value() == "full_loss_effect"
        assert tab.get_by_role("button", name="Rank by the measured full effects").count() == 0
        view, ids = read(PROMPT)
        order = np.argsort(-np.abs(value_of(view, "attribution")), kind="stable")[:64]
        acts = value_of(view, "act_size")
        measured = FullEffects(sources.model, sources.sae, sources.hook).at(
            torch.tensor(ids), positions_of(view)[order], view.features[order], acts[order]
        )
        most = strongest(view, order, measured.loss_at_first)
        found = ranked(tab)
        shown = [
            float(text.replace("−", "-").replace("+", "")) for text in tab.locator(".ranks .value").all_inner_texts()
        ]
        assert len(found) > 5
        assert shown == pytest.approx([most[feature] for feature in found], rel=0.01, abs=2e-3)

    def test_an_error_on_the_way_is_told_and_what_was_measured_stays(self, open_explorer, monkeypatch):
        measure, calls = FullEffects.at, []

        def at(self, *args):
            calls.append(0)
            if len(calls) == 2:
                raise RuntimeError("odd")
            return measure(self, *args)

        monkeypatch.setattr(FullEffects, "at", at)
        tab = open_prompt(open_explorer)
        tab.get_by_role("button", name=re.compile("^Measure the full effects")).click()
        tab.locator(".measuring").get_by_text("this failed in the server: RuntimeError: odd").wait_for()
        tab.get_by_label("Rank by").select_option("full_loss_effect")
        tab.locator(".ranks tbody tr").first.wait_for()

    def test_measuring_is_stopped(self, open_explorer):
        tab = open_prompt(open_explorer, "a long text of which much is measured, so that there is time to stop it " * 3)
        tab.get_by_role("button", name=re.compile("^Measure the full effects")).click()
        tab.get_by_role("progressbar", name="Full effects measured").wait_for()
        tab.get_by_role("button", name="Stop").click()
        tab.get_by_role("button", name=re.compile("^Measure the full effects")).wait_for()
        assert tab.get_by_role("progressbar").count() == 0
        assert tab.get_by_role("alert").count() == 0

    def test_a_prompt_that_is_too_long_says_so(self, open_explorer):
        tab = open_explorer(f"#view=prompt&text={quote('word ' * 600)}", expected=(REFUSED,))
        tab.locator(".message.failed").wait_for()
        assert "tokens" in tab.locator(".message.failed").inner_text()

    def test_earlier_prompts_come_back(self, open_explorer):
        tab = open_prompt(open_explorer)
        tab.get_by_role("textbox", name="Prompt", exact=True).fill(SECOND)
        tab.locator(".earlier button", has_text=PROMPT[:20]).click()
        assert tab.get_by_role("textbox", name="Prompt", exact=True).input_value() == PROMPT
        wait_until(tab, "document.querySelector('.strip').textContent.includes('master')")

    def test_at_every_index(self, open_explorer, demo_indices):
        tab = open_prompt(open_explorer)
        tab.get_by_label("at every index (2)").check()
        tab.locator(".layer").nth(1).wait_for()
        for place, (index, parts) in enumerate(
            zip((demo_indices.index, demo_indices.second), demo_indices.parts, strict=True)
        ):
            own = prompt_sources(index, parts, ComputeSettings(effects=False))
            [(name, ids)] = named_prompts(index, PROMPT, PromptSettings(), demo_indices.tokenizer)
            expected = layer_features(index, prompt_view(own, name, ids, PromptSettings()), "")
            shown = tab.locator(".layer").nth(place).locator("li b").all_inner_texts()
            assert [int(text) for text in shown] == expected.features.tolist()
        tab.locator(".layer").nth(1).locator("a").first.click()
        tab.get_by_role("article", name=re.compile("^Feature ")).wait_for()
        assert "index=" in tab.url
        assert tab.get_by_role("textbox", name="Try a text").input_value() == PROMPT


class TestSeveral:
    def test_the_chooser_goes_to_another_index(self, open_explorer, demo_indices):
        tab = open_explorer()
        tab.locator(".grid-row").first.wait_for()
        assert f"of {demo_indices.index.n_features:,} features" in tab.locator(".chips").inner_text()
        with tab.expect_navigation():
            tab.get_by_label("Index").select_option(index=1)
        tab.locator(".grid-row").first.wait_for()
        wait_until(
            tab,
            f"(document.querySelector('.chips')?.textContent ?? '').includes('of {demo_indices.second.n_features:,}')",
        )
        density = demo_indices.second.column("density").astype(np.float32)
        best = int(np.lexsort((np.arange(len(density)), -density))[0])
        tab.locator(".grid-row").first.wait_for()
        assert tab.locator(".grid-row").first.get_attribute("data-feature") == str(best)

    def test_a_prompt_goes_along_to_another_index(self, open_explorer, demo_indices):
        tab = open_explorer(f"#view=prompt&text={quote(PROMPT)}")
        tab.locator(".strip [data-t]").first.wait_for()
        with tab.expect_navigation():
            tab.get_by_label("Index", exact=True).select_option(index=1)
        tab.locator(".strip [data-t]").first.wait_for()
        assert "index=" in tab.url
        assert tab.get_by_role("textbox", name="Prompt", exact=True).input_value() == PROMPT

    def test_two_indices_are_compared(self, open_explorer, demo_indices):
        tab = open_explorer()
        tab.get_by_role("navigation", name="Views").get_by_role("button", name="Compare").click()
        tab.locator(".pairs tbody tr").first.wait_for()
        feature = int(tab.locator(".compare-page .picker input").input_value())
        partners = between(demo_indices.index, demo_indices.second).of_a.other[feature]
        shown = [int(text) for text in tab.locator(".pairs tbody tr td:first-child").all_inner_texts()]
        assert shown == partners[: len(shown)].tolist()

    def test_the_open_feature_goes_along_to_the_comparison_and_back(self, open_explorer):
        views = {"name": "Views"}
        tab = open_explorer("#f=111")
        tab.get_by_role("article", name="Feature 111").wait_for()
        tab.get_by_role("navigation", **views).get_by_role("button", name="Compare").click()
        picker = tab.locator(".compare-page .picker input")
        expect(picker).to_have_value("111")
        tab.locator(".pairs tbody tr").nth(1).get_by_role("link").first.click()
        wait_until(tab, "location.hash.includes('c.b=')")
        picker.fill("228")
        picker.press("Enter")
        expect(picker).to_have_value("228")
        wait_until(tab, "location.hash.includes('f=228') && !location.hash.includes('c.b=')")
        tab.get_by_role("navigation", **views).get_by_role("button", name="Features").click()
        tab.get_by_role("article", name="Feature 228").wait_for()
        tab.locator(".grid-row").nth(3).click()
        wait_until(tab, "!location.hash.includes('f=228')")
        chosen = re.search(r"f=(\d+)", tab.url)[1]
        tab.get_by_role("navigation", **views).get_by_role("button", name="Compare").click()
        expect(picker).to_have_value(chosen)
        tab.reload()
        expect(picker).to_have_value(chosen)


class TestText:
    def test_it_opens_at_the_strongest_firing_of_the_open_feature(self, open_explorer, index):
        tab = open_explorer("#f=111")
        tab.get_by_role("article", name="Feature 111").wait_for()
        go = tab.get_by_role("navigation", name="Views").get_by_role("button", name="Text")
        go.click()
        place = Reader(index).place(int(index.top_examples(111, 1).positions[0]))
        wait_until(tab, "location.hash.includes('tok=')")
        said = dict(part.split("=") for part in tab.url.partition("#")[2].split("&"))
        assert (int(said["doc"]), int(said.get("page", 0)), int(said["tok"])) == (
            place.document,
            place.page,
            place.token,
        )
        assert said["pins"] == "111"
        tab.locator(f".reader-text [data-t='{place.token}']").wait_for()

    def test_it_stays_where_one_has_read(self, open_explorer):
        tab = open_explorer("#f=111&view=text&doc=3&pins=111")
        tab.locator(".reader-text [data-t]").first.wait_for()
        views = tab.get_by_role("navigation", name="Views")
        views.get_by_role("button", name="Features").click()
        tab.locator(".grid-row").first.wait_for()
        views.get_by_role("button", name="Text").click()
        tab.locator(".reader-text [data-t]").first.wait_for()
        wait_until(tab, "location.hash.includes('doc=3')")

    def test_without_a_chosen_feature_it_begins_with_the_first_document(self, open_explorer):
        tab = open_explorer()
        tab.locator(".grid-row").first.wait_for()
        tab.get_by_role("navigation", name="Views").get_by_role("button", name="Text").click()
        tab.locator(".reader-text [data-t]").first.wait_for()
        wait_until(tab, "location.hash.includes('view=text')")
        assert "doc=" not in tab.url


class TestGone:
    def test_a_server_that_was_stopped(self, open_explorer, demo_indices):
        with serving(demo_indices.paths[:1]) as server:
            tab = open_explorer("#f=7", at=server.address, expected=(REFUSED,))
            tab.locator(".explorer-card[aria-busy=false]").wait_for()
            tab.wait_for_load_state("networkidle")  # what it asks for in advance
            server.stop()
        first = tab.locator(".grid-row").count()
        assert first > 5
        tab.locator(".grid-row").nth(first - 3).click()
        said = tab.get_by_role("alert")
        said.wait_for()
        assert "does not answer" in said.inner_text()
        tab.get_by_label("Find features").fill("self")
        wait_until(tab, "document.querySelector('.ways').textContent.includes('does not answer')")
        assert tab.locator(".grid-row").count() > 5  # what is there stays

    def test_without_a_model_what_is_live_is_left_out(self, open_explorer, demo_indices):
        with serving(demo_indices.paths[:1]) as server:
            tab = open_explorer("#view=prompt", at=server.address)
            tab.locator(".grid-row").first.wait_for()
            assert tab.get_by_role("button", name="Prompt").count() == 0
            assert tab.get_by_role("textbox", name="Try a text").count() == 0
            tab.locator(".about summary").click()
            assert "--model" in tab.locator(".about dl").inner_text()
            tab.goto("about:blank")  # it would ask for more of a server that has ended
