"""The page of a real index, made as the demo makes it, driven as a visitor would."""

from __future__ import annotations

import pytest
from polling import wait_until

from sae_vis import Corpus, Index, TokenText, index_features, load_tokenizer, save_feature_page
from sae_vis.demo import run as demo

pytestmark = pytest.mark.browser


@pytest.fixture(scope="module")
def index() -> Index:
    tokenizer = load_tokenizer(demo.assets() / "model")
    texts = [text for number, text in enumerate(demo.demo_texts()) if number % 16 == 0]
    corpus = Corpus.from_texts(texts, tokenizer, seq_len=demo.SEQ_LEN)
    return index_features(corpus, demo.demo_parts(demo.MLP), text=TokenText.from_tokenizer(tokenizer))


@pytest.fixture
def page(index, open_page, tmp_path):
    report = save_feature_page(index, tmp_path / "made.html", features=30, parts=demo.demo_parts(demo.MLP))
    assert report.bytes / 30 < 16 * 1024  # script and style on few features
    return open_page(report.path.read_text(encoding="utf-8"))


def test_shows_the_numbers_of_the_index(page, index):
    feature = int(index.select(30)[0])
    shown = page.inner_text("body")
    assert f"{index.column('n_firings')[feature]:,}" in shown
    assert "MLP" in shown or "mlp" in shown
    top = index.top_examples(feature, 1)
    assert f"{float(top.acts[0]):.2f}"[:3] in shown
    neuron = int(index.lists("correlated_neurons_index", feature)[0])
    assert str(neuron) in shown


def test_steps_through_features_by_key(page, index):
    page.keyboard.press("ArrowRight")
    wait_until(page, "location.hash.includes('f=')")
    assert page.evaluate("location.hash") == f"#f={int(index.select(30)[1])}"
