"""Components of the user's own: drawn, linked, cleaned up; and their failures said on the page."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from polling import wait_until
from synthetic_page import synthetic_page

from examples.first_letters.first_letters import FirstLetters, first_letter
from sae_vis import Corpus, Index, TokenText, index_features, load_tokenizer, save_feature_page
from sae_vis.contract import ComponentModule
from sae_vis.demo import run as demo
from sae_vis.layout import ActsHistogramConfig, Column, CustomComponent, SaeVisLayoutConfig, SeqMultiGroupConfig

pytestmark = pytest.mark.browser


def page_with(script, data=None, shared=None, style=""):
    """A synthetic page of three features with one component, whose data differ by feature."""
    kind = type("Own", (CustomComponent,), {"type_name": "Own", "script": script})
    layout = SaeVisLayoutConfig([Column(kind(), ActsHistogramConfig()), Column(SeqMultiGroupConfig())])
    page = synthetic_page(3, seed=1, dead=(), layout=layout)
    views = [
        dataclasses.replace(view, custom={"Own": {**(data or {}), "feature": np.array([view.feature])}})
        for view in page.features
    ]
    module = ComponentModule(type="Own", script=script, style=style, shared=shared or {})
    return dataclasses.replace(page, features=tuple(views), modules=(module,))


ECHO = """
export function mount(element, data, context) {
  const { grid } = data;
  element.append(JSON.stringify({ shape: grid.shape, sum: grid.reduce((a, b) => a + b), kind: grid.constructor.name,
    big: data.big[0], words: data.words, own: data.feature[0], feature: context.feature, shared: context.shared,
    size: context.options, model: context.meta.model, firings: context.view.stats.n_firings,
    other: [context.has(3), context.has(4), context.href(3)] }));
  globalThis.mounted = (globalThis.mounted ?? 0) + 1;
  return () => { globalThis.cleaned = (globalThis.cleaned ?? 0) + 1; };
}
"""


def test_it_gets_its_data_and_is_cleaned_up(open_page):
    data = {
        "grid": np.arange(6, dtype=np.float32).reshape(2, 3),
        "big": np.array([4_000_000_000], dtype=np.uint32),
        "words": ["</script>", "é"],
    }
    page = page_with(ECHO, data, shared={"title": "of all"})
    tab = open_page(page)
    told = tab.evaluate("JSON.parse(document.querySelector('[data-component=Own] > div').textContent)")
    assert told == {
        "shape": [2, 3],
        "sum": 15,
        "kind": "Float32Array",
        "big": 4_000_000_000,
        "words": ["</script>", "é"],
        "own": 0,
        "feature": 0,
        "shared": {"title": "of all"},
        "size": {},
        "model": "toy-transformer-4l",
        "firings": page.features[0].stats.n_firings,
        "other": [True, False, "#f=3"],
    }
    for step in range(1, 5):
        tab.keyboard.press("j")
        assert tab.evaluate("[mounted, cleaned]") == [step + 1, step]
    assert tab.locator("[data-component=Own] > div").inner_text().count("shape") == 1


LINKED = """
export const mount = (element, data, { onToken, light, say, tokenText, go }) => {
  const line = document.createElement("p");
  const button = document.createElement("button");
  button.textContent = "strong ones";
  button.onclick = () => { light({ of: "act", low: 3, high: 1e9, closed: false }); say(["lit"], button); };
  button.ondblclick = () => { light(null); say(null); go(6); };
  element.append(line, button);
  return onToken((token) => {
    line.textContent = token === null ? "none" : tokenText(token.id) + " " + token.position;
  });
};
"""


def test_it_takes_part_in_the_linked_hover(open_page):
    page = page_with(LINKED, style="[data-component=Own] p { color: rgb(1, 2, 3) }")
    tab = open_page(page)
    contexts = page.features[0].sequences[0].contexts
    tab.locator(".group li").nth(2).locator(".focus[data-t], .focus [data-t]").first.hover()
    line = tab.locator("[data-component=Own] p")
    assert line.inner_text().endswith(f" {contexts.start[2] + contexts.focus[2]}")
    assert line.evaluate("e => getComputedStyle(e).color") == "rgb(1, 2, 3)"
    button = tab.locator("[data-component=Own] button")
    button.click()
    assert line.inner_text() == "none"
    assert tab.locator("[data-t].lit").count() > 0
    assert tab.locator("#tip").inner_text() == "lit"
    button.dblclick()
    assert tab.locator("[data-t].lit").count() == 0
    assert tab.locator("article h2").inner_text() == "Feature 6"


@pytest.mark.parametrize(
    ("script", "reason"),
    [
        ("export function mount() { throw new Error('no luck'); }", "no luck"),
        ("export function mount() { return () => { throw new Error('later'); }; }", None),
    ],
)
def test_its_failure_is_said_and_the_rest_of_the_page_lives(open_page, script, reason):
    tab = open_page(page_with(script))
    message = tab.locator("[data-message=own]")
    if reason is not None:
        assert reason in message.inner_text()
        assert "“Own”" in message.inner_text()
    tab.keyboard.press("j")
    assert tab.locator("article h2").inner_text() == "Feature 3"
    assert tab.locator(".bars").count() == 1


def test_a_module_that_never_defines_itself_is_said(open_page):
    page = page_with("export function mount() {}")
    module = dataclasses.replace(page.modules[0], type="Other")
    tab = open_page(dataclasses.replace(page, modules=(module,)))
    assert "does not know how to draw “Own”" in tab.locator("[data-message=unknown]").inner_text()
    stopped = page_with(
        "const stop = () => { globalThis.saeVisDefine = () => {}; }; stop(); export function mount() {}"
    )
    tab = open_page(stopped)
    wait_until(tab, "document.querySelector('[data-message=own]') !== null")
    assert "did not run to its end" in tab.locator("[data-message=own]").inner_text()


@pytest.fixture(scope="module")
def index() -> Index:
    tokenizer = load_tokenizer(demo.assets() / "model")
    texts = [text for number, text in enumerate(demo.demo_texts()) if number % 32 == 0]
    corpus = Corpus.from_texts(texts, tokenizer, seq_len=demo.SEQ_LEN)
    return index_features(corpus, demo.demo_parts(demo.RESID), text=TokenText.from_tokenizer(tokenizer))


def test_the_worked_example(index, open_page, tmp_path):
    feature = int(index.select(None)[index.column("n_firings")[index.select(None)].argmax()])
    layout = SaeVisLayoutConfig([Column(FirstLetters(), width=420), Column(SeqMultiGroupConfig(n_quantiles=2))])
    report = save_feature_page(index, tmp_path / "made.html", features=[feature], layout=layout)
    tab = open_page(report.path.read_text(encoding="utf-8"))
    chart = tab.locator("svg.first-letters")
    assert "Share of firings by first letter" in chart.get_attribute("aria-label")
    tokens = index.tokens[index.firings(feature).positions]
    letters = [first_letter(index.text.bytes_of(int(token))) for token in tokens]
    share = letters.count(26) / len(letters)
    chart.locator("[data-i='26']").hover()
    said = tab.locator("#tip").inner_text().splitlines()
    assert said[0] == "other"
    assert float(said[1].split("%")[0]) == pytest.approx(100 * share, rel=1e-2)
    tab.locator(".group li").first.locator(".focus[data-t], .focus [data-t]").first.hover()
    top = int(index.tokens[index.top_examples(feature, 1).positions[0]])
    assert chart.locator(".on").get_attribute("data-i") == str(first_letter(index.text.bytes_of(top)))


def test_first_letters():
    assert [first_letter(token) for token in (b" apple", b"Zoo", b"\n", b"9", b"\xff", "é".encode(), b"")] == [
        0, 25, 26, 26, 26, 26, 26,
    ]  # fmt: skip
