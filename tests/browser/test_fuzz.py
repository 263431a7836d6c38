"""Arbitrary bytes as tokens, arbitrary text in the header: shown as they are, by an independent reference; harmless."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from polling import wait_until
from synthetic_page import NASTY, page_of, single_context, view_of
from token_display import alone, chip, context_text

from sae_vis import contract as p
from sae_vis.deliver.page import write_page
from sae_vis.layout import Column, LogitsTableConfig, SaeVisLayoutConfig, SeqMultiGroupConfig

pytestmark = pytest.mark.browser
FUZZ = settings(
    max_examples=40,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow, HealthCheck.data_too_large],
)
LAYOUT = SaeVisLayoutConfig([Column(LogitsTableConfig()), Column(SeqMultiGroupConfig())])
JOINERS = [
    "\u200c",
    "\u200d",
    "\u0301",
    "\u202e",
    "\u2066",
    "\ufeff",
    "\u00ad",
    "\u2028",
    "👩‍🚀",
    "🏽",
    "🇫🇷",
    "नि",
    "각",
    "\U000e0067",
]
UNITS = "(text) => Array.from({length: text.length}, (_, i) => text.charCodeAt(i))"
TEXTS = f"[...document.querySelectorAll('.examples li .text')].map((e) => ({UNITS})(e.textContent))"
CHIPS = f"[...document.querySelectorAll('.logits .chip')].map((e) => ({UNITS})(e.textContent))"
HARMED = """[window.hacked === undefined,
  ...[...document.querySelectorAll('#app *')].map((e) => e.localName),
  ...[...document.querySelectorAll('#app *')].flatMap((e) => e.getAttributeNames())]"""
NEVER = {"img", "script", "iframe", "object", "embed", "link", "meta", "base", "src", "srcdoc", "onerror", "onload"}


text = st.text(st.one_of(st.characters(exclude_categories=["Cs", "Cn"]), st.sampled_from("ab \n\t</>&\"'")), max_size=8)


@st.composite
def pieces_of_text(draw):
    """A text's bytes, cut anywhere."""
    parts = draw(st.lists(st.one_of(text, st.sampled_from(JOINERS)), max_size=4))
    data = "".join(parts).encode()
    cuts = sorted(draw(st.lists(st.integers(0, len(data)), max_size=6)))
    return [data[a:b] for a, b in zip([0, *cuts], [*cuts, len(data)], strict=True)]


token = st.one_of(st.binary(max_size=5), st.sampled_from(NASTY))
context = st.lists(st.one_of(pieces_of_text(), token.map(lambda data: [data])), min_size=1, max_size=5)
contexts = st.lists(context.map(lambda lists: [data for each in lists for data in each]), min_size=1, max_size=8)


@pytest.fixture(scope="module")
def visit(chromium, tmp_path_factory):
    """``visit(page)`` writes a page and opens it in the one tab of this module; the page must stay quiet."""
    file = tmp_path_factory.mktemp("fuzz") / "page.html"
    browsing = chromium.new_context(offline=True)
    tab, noise = browsing.new_page(), []
    tab.on("console", lambda message: noise.append(f"console {message.type}: {message.text}"))
    tab.on("pageerror", lambda error: noise.append(f"error: {error}"))
    tab.on("dialog", lambda dialog: (noise.append(f"dialog {dialog.message}"), dialog.dismiss()))
    tab.on("request", lambda request: request.url == file.as_uri() or noise.append(f"asks for {request.url}"))

    def visitor(page, n_rows):
        noise.clear()
        write_page(page, file)
        tab.goto(file.as_uri())
        wait_until(tab, f"document.querySelectorAll('.examples li').length === {n_rows}")
        return tab, noise

    yield visitor
    browsing.close()


def view_of_tokens(rows, ids):
    """One feature whose examples are the rows, each with a firing token, and whose logit table holds all tokens."""
    flat = [ids[data] for row in rows for data in row]
    lengths = np.array([len(row) for row in rows])
    offsets = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int32)
    focus = (lengths // 2).astype(np.int32)
    acts = np.zeros(len(flat), dtype=np.float32)
    acts[offsets[:-1] + focus] = 2.0
    zeros = np.zeros(len(rows), dtype=np.int32)
    shown = dataclasses.replace(
        single_context(flat, acts), offsets=offsets, sequence=zeros, start=zeros, focus=focus, repeats=zeros
    )
    every = np.array(sorted(ids.values()), dtype=np.int32)
    values = np.linspace(1, 0.1, len(every), dtype=np.float32)
    table = p.LogitTable(top_tokens=every, top_values=values, bottom_tokens=every, bottom_values=-values)
    return dataclasses.replace(view_of(0, shown), logits_table=table)


def code_units(text):
    data = text.encode("utf-16-le", "surrogatepass")
    return [int.from_bytes(data[i : i + 2], "little") for i in range(0, len(data), 2)]


def assert_harmless(tab, noise):
    found = tab.evaluate(HARMED)
    assert found[0] is True
    assert NEVER & set(found[1:]) == set()
    assert noise == []


@FUZZ
@given(rows=contexts, data=st.data())
def test_tokens_are_shown_as_they_are(visit, rows, data):
    vocabulary = dict(enumerate(sorted({token for row in rows for token in row})))
    ids = {token: number for number, token in vocabulary.items()}
    special = set(data.draw(st.lists(st.sampled_from(sorted(vocabulary)), max_size=2)))
    page = page_of([view_of_tokens(rows, ids)], vocabulary, special=tuple(sorted(special)), layout=LAYOUT)
    tab, noise = visit(page, len(rows))
    expected = [code_units(context_text([ids[token] for token in row], vocabulary, special)) for row in rows]
    assert tab.evaluate(TEXTS) == expected
    tab.evaluate(
        "document.querySelectorAll('.examples li .text').forEach("
        "(e) => e.dispatchEvent(new PointerEvent('pointerover', {bubbles: true})))"
    )
    assert tab.evaluate(TEXTS) == expected  # each token has its own element now
    in_table = [code_units(chip(alone(token, vocabulary, special))) for token in sorted(vocabulary)]
    assert tab.evaluate(CHIPS) == in_table * 2
    assert_harmless(tab, noise)


def test_spaces_of_a_special_token_are_dots_in_a_table(visit):
    """Found by the test above."""
    vocabulary = {0: b"  a ", 1: b" "}
    page = page_of(
        [view_of_tokens([[b" ", b"  a "]], {b"  a ": 0, b" ": 1})], vocabulary, special=(0, 1), layout=LAYOUT
    )
    tab, noise = visit(page, 1)
    assert tab.evaluate(CHIPS) == [code_units("··a·"), code_units("·")] * 2
    assert tab.evaluate("document.querySelectorAll('.logits .chip i.special').length") == 4
    assert noise == []


words = st.one_of(
    st.text(max_size=20),
    st.text(st.characters(), max_size=4).map(lambda inner: f"</script><img src=x onerror=window.hacked=1>{inner}"),
    st.sampled_from(
        ["</title><script>window.hacked=1</script>", "-->", "\ud800", "{0}{policy}", "'; script-src *", ""]
    ),
)


@FUZZ
@given(title=words, corpus=words, mask=words, selection=words, sae=words, hook=words)
def test_words_of_the_header_are_shown_as_they_are(visit, **said):
    page = page_of([view_of(0, single_context([0], [1.0]))], {0: b"x"}, layout=LAYOUT)
    page = dataclasses.replace(page, meta=dataclasses.replace(page.meta, **said))
    tab, noise = visit(page, 1)
    heading = tab.evaluate(f"({UNITS})(document.querySelector('h1').textContent)")
    assert heading == code_units(said["title"])
    facts = tab.evaluate(
        f"Object.fromEntries([...document.querySelectorAll('.about dl > div')].map((e) => "
        f"[e.querySelector('dt').textContent, ({UNITS})(e.querySelector('dd').textContent)]))"
    )
    assert facts["Mask"] == code_units(said["mask"])
    assert facts["SAE"] == code_units(said["sae"])
    assert facts["Hook"] == code_units(said["hook"])
    assert facts["On this page"] == code_units(said["selection"])
    start = code_units(said["corpus"])
    assert facts["Text"][: len(start)] == start
    assert_harmless(tab, noise)
