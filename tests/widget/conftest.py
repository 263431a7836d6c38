"""A part of the demo's index, on disk; JupyterLab, and a Chromium for it."""

from __future__ import annotations

import os

import pytest

from sae_vis import Corpus, Index, TokenText, index_features, load_tokenizer
from sae_vis.demo import run as demo
from tests.fixtures.chrome import NoChromiumError, launched


@pytest.fixture(scope="session")
def index(tmp_path_factory) -> Index:
    tokenizer = load_tokenizer(demo.assets() / "model")
    texts = [text for number, text in enumerate(demo.demo_texts()) if number % 24 == 0]
    corpus = Corpus.from_texts(texts, tokenizer, seq_len=demo.SEQ_LEN)
    folder = tmp_path_factory.mktemp("widget") / "index"
    return index_features(corpus, demo.demo_parts(demo.MLP), folder, text=TokenText.from_tokenizer(tokenizer))


@pytest.fixture(scope="session")
def chromium():
    try:
        with launched() as browser:
            yield browser
    except NoChromiumError as absent:
        pytest.fail(str(absent)) if os.environ.get("CI") else pytest.skip(str(absent))
