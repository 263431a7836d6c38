"""The reader of the explorer: what it shows of the text, and every way through it, in a real browser."""

from __future__ import annotations

import re

import numpy as np
import pytest
from polling import wait_until

from sae_vis.explore.reader import Reader
from tests.browser.test_audit import AXE, GRAVE, RUN
from tests.explore.served import FIRST, TEXT, index_at, server_at
from tests.fixtures.live_server import running

pytestmark = [pytest.mark.browser, pytest.mark.explorer]
PIN = "Colour the text by feature {}"
COLOURED = """() => [...document.querySelectorAll('.reader-text .fires')].map((e) =>
  [Number(e.dataset.t), ...['--a0', '--a1', '--a2'].map((name) => e.style.getPropertyValue(name))])"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("reader")


@pytest.fixture(scope="module")
def index(folder):
    return index_at(folder / "index")


@pytest.fixture(scope="module")
def address(folder, index):
    with running(server_at(folder / "index")) as client:
        yield client.server.address


@pytest.fixture
def read(chromium, address):
    """``read(hash)`` opens the text; the test fails on a message, an error or a request to elsewhere."""
    noise, contexts = [], []

    def opener(where="", at=address, **options):
        context = chromium.new_context(viewport={"width": 1280, "height": 900}, **options)
        contexts.append(context)
        tab = context.new_page()
        tab.set_default_timeout(60_000)
        tab.on("console", lambda message: noise.append(message.text))
        tab.on("pageerror", lambda error: noise.append(str(error)))
        tab.on("request", lambda request: request.url.startswith(at) or noise.append(request.url))
        tab.goto(f"{at}#view=text{where}")
        return tab

    yield opener
    for context in contexts:
        context.close()
    assert [line for line in noise if "400 (Bad Request)" not in line] == []


def ready(tab):
    tab.locator(".reader[aria-busy=false] .reader-text").wait_for()


def go_to(tab, fields, document):
    """By the address alone, as a link elsewhere would."""
    tab.goto(tab.url.split("#")[0] + f"#view=text&doc={document}&{fields}")
    wait_until(tab, f"document.querySelector('[aria-label=\"Go to document\"]').value === '{document}'")
    ready(tab)


def token(tab, n):
    return tab.locator(f".reader-text [data-t='{n}']").first


def at(tab):
    """The token in focus."""
    return tab.evaluate("Number(document.activeElement.dataset.t ?? -1)")


def hash_of(tab, **expected):
    """Waits until the address says so; None: that it names no such field."""
    for name, value in expected.items():
        field = f"(new URLSearchParams(location.hash.slice(1)).get('{name}'))"
        wait_until(tab, f"{field} === {'null' if value is None else repr(str(value))}")


def rows(tab, selector):
    return [line.split("\n") for line in tab.locator(selector).all_inner_texts()]


def by_share(index, position):
    """Feature, activation and share of its maximum of what fires at a corpus position, the largest share first."""
    codes, most = index.codes([position]), index.column("max")
    found = [(int(f), float(a), float(a / most[f])) for f, a in zip(codes.features, codes.acts, strict=True)]
    return sorted(found, key=lambda one: (-one[2], one[0]))


def test_the_text_is_that_of_the_corpus_token_by_token(read, index):
    tab = read()
    ready(tab)
    page = Reader(index).page(0)
    assert tab.locator(".reader-text").text_content() == "<s>one two🚀</b> three.↵\né x and"
    assert tab.evaluate("[...document.querySelectorAll('.reader-text [data-t]')].map((e) => Number(e.dataset.t))") == (
        list(range(len(FIRST) + 1))
    )
    assert tab.locator(".reader-text .shared .bands [data-t]").count() == 2  # the emoji, drawn once
    masked = tab.evaluate("[...document.querySelectorAll('.reader-text .masked')].map((e) => Number(e.dataset.t))")
    assert masked == page.masked.tolist()
    assert tab.evaluate("[...document.querySelectorAll('.reader-text .begins')].map((e) => e.dataset.t)") == ["0"]
    assert tab.locator(".reader-where").inner_text().replace("\n", " ").endswith("12 tokens · kind: a")


def test_pointing_at_a_token_lists_what_fires_there(read, index):
    tab = read("&doc=2")
    ready(tab)
    start = Reader(index).page(2).start
    chosen = next(i for i in range(1, 40) if len(by_share(index, start + i)) > 2 and index.tokens[start + i] != 0)
    token(tab, chosen).hover()
    tip = tab.get_by_role("tooltip").filter(has_text="Token")
    tip.wait_for()
    expected = by_share(index, start + chosen)
    found = [line.split("\t") for line in tip.locator("tr").all_inner_texts()]
    assert [int(row[0]) for row in found] == [feature for feature, _, _ in expected]
    tops = {int(f): int(t) for f, t in zip(*(_summary(index)), strict=True)}
    for row, (feature, act, share) in zip(found, expected, strict=True):
        top = TEXT.bytes_of(tops[feature]).decode("utf-8", "backslashreplace")
        assert row[1].replace("·", " ").replace("↵", "\n").lower() == top
        assert float(row[2].replace(",", "")) == pytest.approx(act, rel=5e-3)
        assert float(row[3].rstrip("%")) == pytest.approx(100 * share, rel=5e-3)
    sequence, position = (int(value[0]) for value in index.place(np.array([start + chosen])))
    assert f"sequence {sequence}, position {position}" in tip.inner_text()
    tab.mouse.move(2, 2)
    tip.wait_for(state="hidden")
    masked = next(iter(Reader(index).page(2).masked.tolist()))
    token(tab, masked).hover()
    assert "Masked: in no statistic" in tip.inner_text()
    assert tip.locator("tr").count() == 0


def _summary(index):
    from sae_vis.views.feature import feature_summary

    summary = feature_summary(index, np.arange(index.n_features))
    return summary.feature, summary.top_token


def test_a_held_token_leads_to_cards_and_pins(read, index):
    tab = read("&doc=2")
    ready(tab)
    start = Reader(index).page(2).start
    chosen = next(i for i in range(1, 40) if len(by_share(index, start + i)) > 3)
    expected = by_share(index, start + chosen)
    token(tab, chosen).click()
    held = tab.get_by_role("region", name="What fires on the held token")
    assert held.locator("li a").all_inner_texts() == [str(feature) for feature, _, _ in expected]
    hash_of(tab, tok=chosen)
    held.get_by_role("link", name=str(expected[1][0]), exact=True).click()
    tab.get_by_role("article", name=f"Feature {expected[1][0]}").wait_for()
    hash_of(tab, f=expected[1][0], tok=chosen)
    for feature, _, _ in expected[:3]:
        button = held.get_by_role("button", name=PIN.format(feature))
        button.click()
        assert button.get_attribute("aria-pressed") == "true"
    held.get_by_role("button", name=PIN.format(expected[3][0])).click()
    tab.get_by_text("3 features colour the text: let go of one first").wait_for()
    hash_of(tab, pins=",".join(str(feature) for feature, _, _ in expected[:3]))
    tab.get_by_role("button", name=f"Let go of feature {expected[0][0]}").click()
    hash_of(tab, pins=",".join(str(feature) for feature, _, _ in expected[1:3]))
    tab.get_by_role("button", name="Let the token go").click()
    held.wait_for(state="hidden")
    hash_of(tab, tok=None)


def test_pinned_features_colour_exactly_where_they_fire(read, index):
    tab = read("&doc=2&pins=3,8,5")
    ready(tab)
    page = Reader(index).page(2, pinned=[3, 8, 5])
    most = index.column("max")
    expected: dict[int, list[str]] = {}
    for k, one in enumerate(page.pinned):
        for i, act in zip(one.at.tolist(), one.acts.tolist(), strict=True):
            strength = round((12 + 88 * act / float(most[one.feature])) * 10) / 10
            expected.setdefault(i, ["", "", ""])[k] = f"{strength:g}"
    assert {row[0]: row[1:] for row in tab.evaluate(COLOURED)} == expected
    said = tab.get_by_role("list", name="Features that colour the text").inner_text()
    assert f"{len(page.pinned[1].at)} here, to" in said
    tab.get_by_role("button", name="Let go of feature 8").click()
    left = {i: [row[0], row[2], ""] for i, row in expected.items() if row[0] or row[2]}
    wait_until(tab, "document.querySelector('.bands-2') !== null")
    assert {row[0]: row[1:] for row in tab.evaluate(COLOURED)} == left


def test_keys_go_from_firing_to_firing_over_pages_and_round_the_end(read, index):
    reader = Reader(index)
    feature = min(
        (f for f in range(9) if index.column("n_firings")[f] > 20), key=lambda f: index.column("n_firings")[f]
    )
    positions = index.firings(feature).positions.tolist()
    first = reader.place(positions[0])
    tab = read(f"&pins={feature}")
    ready(tab)
    for step in range(4):
        tab.keyboard.press("n")
        place = reader.place(positions[step])
        hash_of(tab, doc=place.document or None, page=place.page or None, tok=place.token)
        wait_until(tab, f"document.activeElement.dataset.t === '{place.token}'")
    for key in ("n", "n", "p", "p", "p"):  # faster than answers
        tab.keyboard.press(key)
    hash_of(tab, tok=reader.place(positions[2]).token)
    tab.get_by_text(f"Firing 3 of {len(positions):,} of feature {feature}").wait_for(state="attached")
    edge = next(i for i, p in enumerate(positions) if reader.place(p).page == 1)
    before, after = reader.place(positions[edge - 1]), reader.place(positions[edge])
    go_to(tab, f"pins={feature}&page=0&tok={before.token}", before.document)
    tab.get_by_role("button", name=f"Next firing of feature {feature}").click()
    hash_of(tab, doc=after.document, page=after.page, tok=after.token)
    last = reader.place(positions[-1])
    go_to(tab, f"pins={feature}&page={last.page}&tok={last.token}", last.document)
    tab.keyboard.press("n")
    tab.get_by_text("On from the beginning of the corpus").wait_for()
    hash_of(tab, doc=first.document or None, tok=first.token)


def test_nothing_pinned_and_a_feature_that_never_fires_are_said(read):
    tab = read("&f=0")
    ready(tab)
    tab.keyboard.press("n")
    tab.get_by_text("Pin a feature first").wait_for()
    tab.get_by_role("button", name="Colour by feature 0").click()
    tab.keyboard.press("n")
    tab.get_by_text("feature 0 fires nowhere in this text").wait_for()


def test_the_keyboard_walks_over_tokens_and_lines(read, index):
    tab = read("&doc=1&f=2")
    ready(tab)
    text = tab.locator(".reader-text")
    text.focus()
    tab.keyboard.press("ArrowRight")
    assert at(tab) == 0
    tab.keyboard.press("ArrowRight")
    tab.keyboard.press("ArrowRight")
    assert at(tab) == 2
    tab.keyboard.press("ArrowLeft")
    assert at(tab) == 1
    assert "f=2" in tab.url  # the table's own keys leave it alone
    name = tab.evaluate("document.activeElement.getAttribute('aria-label')")
    assert re.search(r"token 1, (masked|\d+ features? firing)$", name)
    tab.get_by_role("tooltip").filter(has_text="Token").wait_for()
    tab.keyboard.press("ArrowDown")
    below = tab.evaluate("""(() => {
      const both = [document.querySelector('[data-t="1"]'), document.activeElement];
      const [from, to] = both.map((e) => e.getClientRects()[0]);
      return [to.top - from.top, Math.max(to.left - from.right, from.left - to.right)];
    })()""")
    assert 5 < below[0] < 60
    assert below[1] < 40
    tab.keyboard.press("ArrowUp")
    assert at(tab) < 5
    tab.keyboard.press("End")
    assert at(tab) == len(Reader(index).page(1).tokens) - 1
    assert tab.evaluate("""(() => {
      const both = [document.activeElement, document.querySelector('.reader-text')];
      const [box, root] = both.map((e) => e.getBoundingClientRect());
      return box.top >= root.top && box.bottom <= root.bottom;
    })()""")
    tab.keyboard.press("Home")
    tab.keyboard.press("ArrowRight")
    start = Reader(index).page(1).start
    while not by_share(index, start + at(tab)):
        tab.keyboard.press("ArrowRight")
    here = at(tab)
    tab.keyboard.press("Enter")
    hash_of(tab, tok=here)
    assert tab.evaluate("document.activeElement.getAttribute('aria-pressed')") == "true"
    tab.keyboard.press("1")
    hash_of(tab, pins=by_share(index, start + here)[0][0])
    tab.keyboard.press("Escape")
    hash_of(tab, tok=None)
    assert at(tab) == here
    tab.keyboard.press("Escape")
    assert tab.evaluate("document.activeElement.classList.contains('reader-text')")


def test_documents_and_pages_by_number_button_and_key(read):
    tab = read()
    ready(tab)
    box = tab.get_by_role("textbox", name="Go to document")
    assert tab.get_by_role("button", name="Previous document").is_disabled()
    tab.get_by_role("button", name="Next document").click()
    hash_of(tab, doc=1)
    tab.get_by_role("button", name="Next page").click()
    hash_of(tab, doc=1, page=1)
    tab.get_by_role("button", name="Next page", disabled=True).wait_for()
    ready(tab)
    tab.keyboard.press("]")
    hash_of(tab, doc=2, page=None)
    ready(tab)
    tab.keyboard.press("[")
    hash_of(tab, doc=1)
    box.fill("99")
    box.press("Enter")
    hash_of(tab, doc=3)
    ready(tab)
    assert box.input_value() == "3"
    assert tab.get_by_role("button", name="Next document").is_disabled()
    tab.go_back()
    hash_of(tab, doc=1)
    tab.locator(".reader-where", has_text="kind: b").wait_for()


def test_an_address_that_names_a_feature_alone_begins_at_its_strongest_firing(read, index):
    tab = read("&f=5")
    first = Reader(index).place(int(index.top_examples(5, 1).positions[0]))
    hash_of(tab, view="text", f=5, doc=first.document or None, page=first.page or None, tok=first.token, pins=5)
    ready(tab)
    assert token(tab, first.token).evaluate("(e) => e.classList.contains('fires') && e.classList.contains('held')")


def test_an_example_leads_to_its_place_in_the_corpus(read, index, address):
    feature = 5
    tab = read(f"&f={feature}")
    hash_of(tab, pins=feature)
    ready(tab)
    tab.get_by_role("button", name="Features", exact=True).click()
    hash_of(tab, view=None)
    row = tab.locator(".examples .group").first.locator("li").nth(1)
    row.hover()
    row.get_by_role("button", name="Read").click()
    ready(tab)
    examples = index.top_examples(feature, 20)
    place = Reader(index).place(int(examples.positions[1]))
    hash_of(tab, view="text", doc=place.document or None, page=place.page or None, tok=place.token, pins=feature)
    wait_until(tab, f"document.activeElement.dataset.t === '{place.token}'")
    assert token(tab, place.token).evaluate("(e) => e.classList.contains('fires') && e.classList.contains('held')")
    tab.go_back()
    tab.locator(".examples").focus()
    tab.keyboard.press("ArrowDown")
    tab.keyboard.press("r")
    first = Reader(index).place(int(examples.positions[0]))
    hash_of(tab, view="text", tok=first.token)


def test_a_document_that_is_not_there_is_said(read):
    tab = read("&doc=77")
    tab.get_by_role("alert").filter(has_text="document 77 does not exist: the corpus has documents 0 to 3").wait_for()
    assert tab.locator(".reader-text").count() == 0
    box = tab.get_by_role("textbox", name="Go to document")
    box.fill("2")
    box.press("Enter")
    ready(tab)
    hash_of(tab, doc=2)


def test_without_codes_by_token_pinned_features_colour(folder, read):
    index = index_at(folder / "plain", codes=False, signed=True)
    with running(server_at(folder / "plain")) as own:
        tab = read("&doc=2&pins=1", at=own.server.address)
        ready(tab)
        page = Reader(index).page(2, pinned=[1])
        assert page.codes is None
        assert [row[0] for row in tab.evaluate(COLOURED)] == page.pinned[0].at.tolist()
        below = tab.evaluate("[...document.querySelectorAll('.below-0')].map((e) => Number(e.dataset.t))")
        assert below == page.pinned[0].at[page.pinned[0].acts < 0].tolist() != []
        token(tab, below[0]).hover()
        tip = tab.get_by_role("tooltip").filter(has_text="Token")
        tip.wait_for()
        assert "no codes by token: only pinned features are known here" in tip.inner_text()
        assert len(rows(tab, ".reader-tip tr")) == 1
        tab.get_by_role("button", name="Let go of feature 1").click()
        wait_until(tab, "document.querySelectorAll('.reader-text .fires').length === 0")
        tab.context.close()


@pytest.mark.parametrize("width", [390, 1280])
def test_nothing_is_wider_than_the_window(read, width):
    tab = read("&doc=1&tok=4&pins=3,8,5", reduced_motion="reduce")
    tab.set_viewport_size({"width": width, "height": 800})
    ready(tab)
    assert tab.evaluate("document.documentElement.scrollWidth") <= width


@pytest.mark.audit
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_no_serious_finding(read, scheme):
    if not AXE.exists():
        pytest.skip(f"no {AXE}: run `npm ci` in frontend/")
    tab = read("&doc=0&tok=4&pins=3,8,5", color_scheme=scheme, reduced_motion="reduce")
    ready(tab)
    tab.evaluate(AXE.read_text(encoding="utf-8"))
    assert [found for found in tab.evaluate(RUN) if found["impact"] in GRAVE] == []
