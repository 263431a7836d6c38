"""An index of a part of the demo, on disk."""

from __future__ import annotations

import pytest

from sae_vis import Corpus, Index, TokenText, index_features, load_tokenizer
from sae_vis.demo import run as demo


@pytest.fixture(scope="session")
def index(tmp_path_factory) -> Index:
    tokenizer = load_tokenizer(demo.assets() / "model")
    texts = [text for number, text in enumerate(demo.demo_texts()) if number % 24 == 0]
    corpus = Corpus.from_texts(texts, tokenizer, seq_len=demo.SEQ_LEN)
    folder = tmp_path_factory.mktemp("site") / "index"
    return index_features(corpus, demo.demo_parts(demo.MLP), folder, text=TokenText.from_tokenizer(tokenizer))


@pytest.fixture(scope="session")
def path(index):
    return index._store.root
