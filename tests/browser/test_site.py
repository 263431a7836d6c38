"""A site in Chromium: from a server of files that knows no ranges, under a path of its own; and by a double click."""

from __future__ import annotations

import numpy as np
import pytest
from file_server import serving_files
from polling import wait_until

from sae_vis import (
    Corpus,
    Explanation,
    SiteSettings,
    TokenText,
    index_features,
    keep_explanations,
    load_tokenizer,
    save_site,
)
from sae_vis.demo import run as demo
from sae_vis.explore.search import Search

pytestmark = [pytest.mark.browser, pytest.mark.explorer]


@pytest.fixture(scope="module")
def index(tmp_path_factory):
    tokenizer = load_tokenizer(demo.assets() / "model")
    texts = [text for number, text in enumerate(demo.demo_texts()) if number % 24 == 0]
    corpus = Corpus.from_texts(texts, tokenizer, seq_len=demo.SEQ_LEN)
    folder = tmp_path_factory.mktemp("of-site") / "index"
    made = index_features(corpus, demo.demo_parts(demo.MLP), folder, text=TokenText.from_tokenizer(tokenizer))
    said = ["the end of legal texts", "legal", "naïve names in texts", "the number of texts, legally"]
    keep_explanations(made, [Explanation(feature=7 * i + 1, text=said[i % 4], score=i / 50) for i in range(40)])
    return made


@pytest.fixture(scope="module")
def root(index, tmp_path_factory):
    """A folder that is served, with the site in a folder of it."""
    folder = tmp_path_factory.mktemp("served")
    save_site(
        index._store.root,
        folder / "my-sae",
        settings=SiteSettings(title="A small SAE", pages=(("One prompt", "prompt.html"),), base="/my-sae/"),
    )
    return folder


@pytest.fixture(scope="module")
def address(root):
    with serving_files(root) as home:
        yield f"{home}my-sae/"


@pytest.fixture
def tab(chromium, address):
    """The site; a console message or a request to anywhere else fails the test."""
    noise, asked = [], []
    context = chromium.new_context(viewport={"width": 1500, "height": 950})
    opened = context.new_page()
    opened.set_default_timeout(60_000)
    opened.on("console", lambda message: noise.append(f"console {message.type}: {message.text}"))
    opened.on("pageerror", lambda error: noise.append(f"error: {error}"))
    opened.on("request", lambda one: asked.append(one.url.removeprefix(address)))
    opened.goto(address)
    opened.locator(".grid-row").first.wait_for()
    opened.asked = asked
    opened.expected = []
    yield opened
    context.close()
    assert [one for one in noise if not any(words in one for words in opened.expected)] == []
    assert [url for url in asked if url.startswith("http")] == []


def rows(tab) -> list[int]:
    return tab.evaluate("Array.from(document.querySelectorAll('.grid-row'), (row) => Number(row.dataset.feature))")


def test_the_table_is_there_before_any_column(tab, index):
    order = np.argsort(-index.column("density").astype(np.float32), kind="stable")
    assert rows(tab)[:10] == order[:10].tolist()
    first = tab.asked.index(next(url for url in tab.asked if url.endswith("head.bin")))
    assert not any("columns/" in url for url in tab.asked[:first])
    assert f"{index.n_features:,}" in tab.inner_text(".chips")


def test_the_card_is_that_of_the_index(tab, index):
    feature = rows(tab)[3]
    tab.locator(f'.grid-row[data-feature="{feature}"]').click()
    tab.locator(f'article[aria-label="Feature {feature}"][aria-busy="false"] .examples li').first.wait_for()
    card = tab.inner_text("article")
    assert f"{index.column('n_firings')[feature]:,} times" in card
    assert f"{float(index.top_examples(feature, 1).acts[0]):.3g}" in card
    assert tab.locator("textarea").count() == 0  # nothing that would need a server


def test_sorting_asks_for_one_column(tab, index):
    before = len(tab.asked)
    tab.get_by_role("button", name="Max").click()
    largest = int(np.argsort(-index.column("max"), kind="stable")[0])
    wait_until(tab, f"document.querySelector('.grid-row')?.dataset.feature === '{largest}'")
    assert sum("columns/" in url for url in tab.asked[before:]) <= 2


@pytest.mark.parametrize("word", ["the", "self", "xyzzy"])
def test_a_token_is_found_as_in_the_index(tab, index, word):
    tab.get_by_role("searchbox").fill(word)
    hits = {one.way: one for one in Search(index).find(word).hits}
    n = len(hits["fires"].features)
    tab.get_by_role("button", name=f"{n:,} fire on it").wait_for()
    tab.get_by_role("button", name=f"{len(hits['pushes'].features):,} push it up").wait_for()
    if n:
        assert rows(tab)[:5] == hits["fires"].features[:5].tolist()


@pytest.mark.parametrize("words", ["legal", "LEGAL texts", "tex", "text le", "naïve", "nothing so"])
def test_explanations_are_found_as_in_the_index(tab, index, words):
    tab.get_by_role("searchbox").fill(words)
    hits = {one.way: one for one in Search(index).find(words).hits}["explanation"]
    tab.get_by_role("button", name=f"{len(hits.features)} explained so").wait_for()
    if len(hits.features):
        tab.get_by_role("button", name=f"{len(hits.features)} explained so").click()
        best = hits.features[:5].tolist()
        wait_until(tab, f"document.querySelector('.grid-row')?.dataset.feature === '{best[0]}'")
        assert rows(tab)[:5] == best


def test_the_table_and_the_card_say_what_a_feature_is_said_to_mean(tab, index):
    tab.evaluate("location.hash = '#f=8&sort=explained'")
    said = tab.locator('article[aria-label="Feature 8"] [aria-label="Explanations"]')
    said.wait_for()
    assert said.inner_text().split() == ["legal", "explanation", "score", "0.0200"]
    tab.locator('.grid-row[data-feature="15"] .words', has_text="naïve names in texts").wait_for()


@pytest.mark.parametrize("start", ["colle", "th", "wh"])
def test_a_beginning_of_a_word_is_found(tab, index, start):
    tab.get_by_role("searchbox").fill(start)
    hits = {one.way: one for one in Search(index).find(start).hits}
    tab.get_by_role("button", name=f"{len(hits['fires'].features):,} fire on it").wait_for()
    tab.get_by_role("button", name=f"{len(hits['pushes'].features):,} push it up").wait_for()


def test_the_page_is_small_and_under_its_policy(tab, root):
    page = (root / "my-sae" / "index.html").read_text(encoding="utf-8")
    assert len(page) < 170_000
    policy = tab.get_attribute('meta[http-equiv="Content-Security-Policy"]', "content")
    assert "unsafe" not in policy
    assert "blob:" not in policy.partition("img-src")[0]
    # a script that is not of the page does not run, in whatever way it comes in
    tab.expected.append("violates the following Content Security Policy")
    foreign = "own.textContent = 'window.foreign = 1'; document.head.append(own);"
    tab.evaluate(f"{{ const own = document.createElement('script'); {foreign} }}")
    assert tab.evaluate("window.foreign") is None


def test_a_link_opens_what_it_names(tab, address):
    tab.goto(f"{address}#f=17&sort=max")
    tab.reload()
    tab.locator(
        'article[aria-label="Feature 17"] .examples, article[aria-label="Feature 17"] [data-message]'
    ).first.wait_for()
    assert tab.locator('[aria-sort="descending"]').inner_text().startswith("Max")
    assert tab.get_by_role("link", name="One prompt").get_attribute("href") == "prompt.html"


def test_some_features_as_a_site_of_their_own(chromium, index, tmp_path, tab):
    tab.context.grant_permissions(["clipboard-read", "clipboard-write"])
    tab.get_by_role("searchbox").fill("self")
    n = len(Search(index).find("self").hits[0].features)
    tab.get_by_text(f"{n:,} of {index.n_features:,} features").wait_for()
    tab.get_by_text("Take along").click()
    tab.get_by_role("button", name="a site of them").click()
    tab.get_by_text(f"Copied {n} features").wait_for()
    command = tab.evaluate("navigator.clipboard.readText()").splitlines()[1].split()
    assert command[:3] == ["sae-vis", "site", "path/to/index"]
    chosen = [int(one) for one in command[3:-2]]
    assert chosen == sorted(Search(index).find("self").hits[0].features.tolist())
    save_site(index._store.root, tmp_path / "some", features=chosen, settings=SiteSettings(workers=1))
    with serving_files(tmp_path / "some") as address:
        page = chromium.new_page()
        page.goto(address)
        page.get_by_text(f"{n:,} of {index.n_features:,} features").wait_for()
        page.get_by_role("button", name="Max").click()
        best = sorted(chosen, key=lambda feature: -index.column("max")[feature])
        wait_until(page, f"document.querySelector('.grid-row')?.dataset.feature === '{best[0]}'")
        assert rows(page)[:5] == best[:5]
        page.locator(f'.grid-row[data-feature="{best[2]}"]').click()
        page.locator(f'article[aria-label="Feature {best[2]}"][aria-busy="false"] .examples li').first.wait_for()
        assert f"{index.column('n_firings')[best[2]]:,} times" in page.inner_text("article")
        other = next(feature for feature in range(index.n_features) if feature not in chosen)
        page.evaluate(f"location.hash = '#f={other}'")
        page.get_by_role("alert").filter(has_text=f"feature {other} is not on this site").wait_for()
        page.close()


def test_a_file_that_is_missing_is_said(tab, root):
    (data,) = (root / "my-sae" / "data").iterdir()
    last = sorted((data / "cards").rglob("*.bin"), key=lambda file: int(file.stem))[-1]
    kept = last.read_bytes()
    last.unlink()
    tab.expected.append("404")  # Chromium says so by itself
    try:
        feature = int(last.stem) * 64
        tab.evaluate(f"location.hash = '#f={feature}'")
        tab.get_by_role("alert").wait_for()
        assert "is not there" in tab.get_by_role("alert").inner_text()
    finally:
        last.write_bytes(kept)


def test_opened_by_a_double_click_it_says_how_to_serve_it(chromium, root):
    context = chromium.new_context(offline=True)
    page = context.new_page()
    page.goto((root / "my-sae" / "index.html").as_uri())
    said = page.locator('[data-message="from-file"]')
    said.wait_for()
    assert "python -m http.server -d my-sae" in said.inner_text()
    context.close()
