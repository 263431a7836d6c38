"""An index of a part of the demo, in memory, with the model and dictionary that it was made from."""

from __future__ import annotations

import pytest

from sae_vis import Corpus, Index, ModelAndSae, TokenText, index_features, load_tokenizer
from sae_vis.demo import run as demo


@pytest.fixture(scope="session")
def parts() -> ModelAndSae:
    return demo.demo_parts(demo.RESID)


@pytest.fixture(scope="session")
def tokenizer():
    return load_tokenizer(demo.assets() / "model")


@pytest.fixture(scope="session")
def demo_index(parts, tokenizer) -> Index:
    documents = [document for number, document in enumerate(demo.demo_documents()) if number % 32 == 0]
    corpus = Corpus.from_texts(documents, tokenizer, seq_len=demo.SEQ_LEN)
    return index_features(corpus, parts, text=TokenText.from_tokenizer(tokenizer))
