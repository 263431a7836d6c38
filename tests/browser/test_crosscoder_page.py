"""A page of a crosscoder: its places and models, by mouse and keyboard. Made-up numbers, no model."""

from dataclasses import replace

import numpy as np
import pytest

from sae_vis import contract as p
from sae_vis.deliver.page import render_page
from sae_vis.layout import SaeVisLayoutConfig
from tests.fixtures.synthetic_page import synthetic_page

pytestmark = pytest.mark.browser
SHARES = [0.1, 0.5, 0.9, np.nan]


def crosscoder_page(*, logits=True):
    """Four features: one of the first model, one shared, one of the second, one without directions."""
    page = synthetic_page(4, layout=SaeVisLayoutConfig.default_crosscoder_layout(two_models=True), dead=())
    places = p.WrittenPlaces(
        labels=("base", "chat"),
        names=("blocks.2.hook_resid_post",) * 2,
        models=(0, 1),
        model_names=("base", "chat"),
        measured=1,
        shares=(10, 0, 80, 0, 9),
        undefined=1,
    )
    views = []
    for view, share in zip(page.features, SHARES, strict=True):
        table = view.logits_table
        other = p.LogitTable(
            top_tokens=table.bottom_tokens,
            top_values=-table.bottom_values,
            bottom_tokens=table.top_tokens,
            bottom_values=-table.top_values,
        )
        norms = np.nan_to_num(np.array([1 - share, share], dtype=np.float32))
        weights = p.PlaceWeights(
            norms=norms, cosines=np.array([0.25], dtype=np.float32), logits=(table, other) if logits else ()
        )
        views.append(replace(view, places=weights))
    summary = replace(page.summary, share=np.array(SHARES, dtype=np.float32))
    return replace(page, meta=replace(page.meta, places=places), features=tuple(views), summary=summary)


@pytest.fixture
def tab(open_page):
    return open_page(render_page(crosscoder_page()))


def section(tab, title):
    return tab.locator("section", has=tab.get_by_role("heading", name=title, exact=True))


def test_norms_and_the_models_share_are_said(tab):
    assert "Mostly base: relative norm 0.100 · cosine 0.250" in section(tab, "Two models").inner_text()
    rows = section(tab, "Decoder norms").locator("tbody tr").all_inner_texts()
    assert [row.split() for row in rows] == [["base", "0.900", "largest"], ["chat", "0.100", "0.250"]]
    marker = section(tab, "Two models").locator(".marker .value")
    assert marker.text_content() == "0.100"
    tab.keyboard.press("ArrowRight")
    tab.get_by_text("Shared: relative norm 0.500").wait_for()
    tab.keyboard.press("ArrowRight")
    tab.get_by_text("Mostly chat: relative norm 0.900").wait_for()
    tab.keyboard.press("ArrowRight")
    tab.get_by_text("No direction relative norm undefined").wait_for()


def test_logit_tables_of_either_model(tab):
    box = section(tab, "Logits").first
    first = box.locator("table.up td").first.inner_text()
    choice = box.get_by_role("combobox")
    assert choice.input_value() == "0"  # the largest norm
    choice.focus()
    tab.keyboard.press("ArrowDown")
    choice.select_option("1")
    assert box.locator("table.down td").first.inner_text() == first


def test_the_list_is_sorted_and_filtered_by_share(tab):
    tab.keyboard.press("/")
    rows = tab.locator("#features tbody tr")
    tab.get_by_role("button", name="Share of chat").click()
    assert [row.split()[0] for row in rows.all_inner_texts()][:3] == ["6", "3", "0"]
    models = tab.get_by_label("Models that the feature belongs to")
    for kind, feature in (("first", "0"), ("both", "3"), ("second", "6")):
        models.select_option(kind)
        assert [row.split()[0] for row in rows.all_inner_texts()] == [feature]


def test_bars_by_keyboard(tab):
    chart = section(tab, "Two models").locator("svg")
    chart.focus()
    tab.keyboard.press("ArrowRight")
    tab.get_by_text("0 to 0.200").wait_for()
    tab.get_by_text("10 features").wait_for()


def test_what_is_not_there_is_said(open_page):
    tab = open_page(render_page(crosscoder_page(logits=False)))
    tab.get_by_text("Not computed: logit tables by place").wait_for()
    plain = synthetic_page(2, layout=SaeVisLayoutConfig.default_crosscoder_layout(two_models=True))
    tab = open_page(render_page(plain))
    tab.get_by_text("Not computed: norms by place").wait_for()
    tab.get_by_text("Not computed: comparison of two models").wait_for()
