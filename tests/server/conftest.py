"""A small index of the embedded demo, and servers of it."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

from sae_vis.api import Index, index_features
from sae_vis.contract import ExplorerHead
from sae_vis.corpus.text import TokenText
from sae_vis.corpus.tokens import Corpus
from sae_vis.deliver.encoding import digest
from sae_vis.demo import run as demo
from sae_vis.models.loading import load_tokenizer
from sae_vis.parts import ModelAndSae
from sae_vis.server.run import Server, ServerSettings
from sae_vis.server.serve import make_server
from tests.fixtures.live_server import Client, running
from tests.fixtures.page_decoder import Decoder


@pytest.fixture(scope="session")
def parts() -> ModelAndSae:
    return demo.demo_parts(demo.RESID)


@pytest.fixture(scope="session")
def tokenizer() -> Any:
    return load_tokenizer(demo.assets() / "model")


def small_index(folder: Path, parts: ModelAndSae, tokenizer: Any, n_seqs: int) -> Index:
    corpus, _ = demo.demo_corpus()
    tokens = torch.from_numpy(corpus.tokens[: demo.SEQ_LEN * n_seqs].reshape(n_seqs, demo.SEQ_LEN)).long()
    cut = Corpus.from_tokens(tokens, corpus.mask)
    return index_features(cut, parts, folder, text=TokenText.from_tokenizer(tokenizer))


@pytest.fixture(scope="session")
def made(tmp_path_factory, parts, tokenizer) -> Path:
    """An index directory that nobody changes."""
    folder = tmp_path_factory.mktemp("served") / "first"
    small_index(folder, parts, tokenizer, 24)
    return folder


@pytest.fixture(scope="session")
def made_other(tmp_path_factory, parts, tokenizer) -> Path:
    """The same of other text; nobody changes it either."""
    folder = tmp_path_factory.mktemp("served") / "other"
    small_index(folder, parts, tokenizer, 12)
    return folder


@pytest.fixture
def folder(made, tmp_path) -> Path:
    """A copy that a test may do anything with."""
    return shutil.copytree(made, tmp_path / "index")


def decoded(data: bytes, record: type) -> Any:
    """The record of an answer."""
    decoder = Decoder(data)
    assert decoder.r.ints(1) == [digest()]
    decoder.ids = decoder.record("TokenTable").ids
    found = decoder.record(record.__name__)
    decoder.r.end()
    return found


def identity_of(client: Client) -> str:
    """Of the server's first index as it is now."""
    return decoded(client.get("head").body, ExplorerHead).identity


def server_of(folder: Path | list[Path], settings: ServerSettings | None = None, **options: Any) -> Server:
    return make_server(folder, settings=settings or ServerSettings(port=0, open_browser=False), **options)


@pytest.fixture(scope="session")
def client(made, parts, tokenizer) -> Iterator[Client]:
    """A live server of an index that nobody changes, without notes."""
    with running(server_of(made, parts=parts, tokenizer=tokenizer, notes=False)) as found:
        yield found


@pytest.fixture(scope="session")
def identity(client) -> str:
    return identity_of(client)
