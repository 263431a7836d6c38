"""What can be copied and saved of a card, in a real Chromium: number, link, Python, tables, charts as files."""

import csv
import io
import re

import pytest
from synthetic_page import synthetic_page

pytestmark = pytest.mark.browser
COPIES = """(() => {
  window.copied = [];
  const writeText = async (text) => { window.copied.push(text); };
  Object.defineProperty(navigator, "clipboard", { value: { writeText } });
})()"""


def take(tab, name):
    tab.locator(".copy-menu summary").click()
    tab.locator(".copy-menu").get_by_role("button", name=name, exact=True).click()
    tab.wait_for_function("window.copied.length > 0")
    return tab.evaluate("window.copied.splice(0)")[-1]


@pytest.fixture
def opened(open_page):
    page = synthetic_page(4, seed=3, dead=())
    tab = open_page(page, script=COPIES)
    return tab, page.features[0], page


def test_number_link_and_python(opened):
    tab, view, _ = opened
    assert take(tab, "number") == str(view.feature)
    assert take(tab, "link") == tab.url.partition("#")[0] + f"#f={view.feature}"
    code = take(tab, "Python")
    compile(code, "copied", "exec")
    assert f"index.feature({view.feature})" in code


def test_tables_are_csv_that_reads_back(opened):
    tab, view, page = opened
    rows = list(csv.reader(io.StringIO(take(tab, "logits, CSV"))))
    table = view.logits_table
    ids = [*table.top_tokens.tolist(), *table.bottom_tokens.tolist()]
    values = [*table.top_values.tolist(), *table.bottom_values.tolist()]
    assert rows[0] == ["token_id", "token", "logit_effect"]
    assert [int(row[0]) for row in rows[1:]] == ids
    assert [float(row[2]) for row in rows[1:]] == values  # in full: nothing is rounded
    for token, text, _ in rows[1:]:
        if (found := page.token_bytes[int(token)]).isascii():
            assert text == found.decode()
    rows = list(csv.reader(io.StringIO(take(tab, "correlated features, CSV"))))
    assert [int(row[0]) for row in rows[1:]] == view.correlated_features.index.tolist()
    rows = list(csv.reader(io.StringIO(take(tab, "activations, CSV"))))
    assert [int(row[2]) for row in rows[1:]] == view.acts_histogram.counts.tolist()
    assert float(rows[-1][1]) == pytest.approx(view.acts_histogram.high)


def test_the_menu_closes_by_escape_and_by_going_elsewhere(opened):
    tab, _, _ = opened
    menu = tab.locator(".copy-menu")
    menu.locator("summary").press("Enter")
    assert menu.get_attribute("open") is not None
    tab.keyboard.press("Tab")
    tab.keyboard.press("Escape")
    assert menu.get_attribute("open") is None
    assert tab.evaluate("document.activeElement.localName") == "summary"
    tab.keyboard.press("Enter")
    tab.locator("h3").first.click()
    assert menu.get_attribute("open") is None


@pytest.mark.parametrize("kind", ["svg", "png"])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_a_chart_as_a_file(open_page, tmp_path, kind, scheme):
    view = (page := synthetic_page(2, seed=3, dead=())).features[0]
    tab = open_page(page, color_scheme=scheme, accept_downloads=True)
    chart = tab.locator(".chart").first
    chart.locator("summary").click()
    with tab.expect_download() as caught:
        chart.get_by_role("button", name=f"Save as {kind.upper()}").click()
    name = caught.value.suggested_filename
    assert re.fullmatch(rf"[\w-]+-{view.feature}\.{kind}", name)
    caught.value.save_as(tmp_path / name)
    if kind == "png":
        assert (tmp_path / name).read_bytes().startswith(b"\x89PNG")
        return
    text = (tmp_path / name).read_text(encoding="utf-8")
    assert "var(" not in text
    shown = chart.locator("svg rect, svg path").count()
    alone = open_page(f"<!doctype html><title>chart</title><body>{text}</body>")
    assert alone.locator("svg rect, svg path").count() == shown + 1  # and the ground it stands on
    assert alone.locator("svg text").all_inner_texts() == chart.locator("svg text").all_inner_texts()


def test_effects_are_explained_where_they_stand(open_page):
    tab = open_page(synthetic_page(2, seed=3, dead=(), loss=True))
    why = tab.locator(".loss-key .why")
    why.locator("summary").click()
    words = why.locator("p").inner_text()
    assert "In nats" in words
    assert "taken out" in words
