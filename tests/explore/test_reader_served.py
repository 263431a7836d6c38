"""The reader's answers, as the server gives them."""

from __future__ import annotations

import json
import urllib.error
import urllib.request

import numpy as np
import pytest

from sae_vis.contract import ReaderFiring, ReaderPage, ReaderPlace
from sae_vis.explore.reader import Reader
from tests.explore.served import index_at, served
from tests.test_codec import page_decoder, same


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("served") / "index"


@pytest.fixture(scope="module")
def index(folder):
    return index_at(folder)


@pytest.fixture(scope="module")
def address(folder, index):
    with served(folder) as found:
        head = ask(f"{found}head")
        decoder = page_decoder.Decoder(head)
        decoder.r.int()
        decoder.ids = decoder.record("TokenTable").ids
        yield f"{found}i/{decoder.record('ExplorerHead').identity}"


def ask(address):
    with urllib.request.urlopen(address) as answer:
        return answer.read()


def refusal(address):
    with pytest.raises(urllib.error.HTTPError) as caught:
        ask(address)
    with caught.value:
        return caught.value.code, json.loads(caught.value.read())["error"]


def decoded(data, record):
    """The record of an answer, and the bytes of each token that it names."""
    decoder = page_decoder.Decoder(data)
    decoder.r.int()
    table = decoder.record("TokenTable")
    decoder.ids = table.ids
    found = decoder.record(record.__name__)
    decoder.r.end()
    ends = np.cumsum(table.lengths)
    texts = {int(i): table.text[e - n : e].tobytes() for i, n, e in zip(table.ids, table.lengths, ends, strict=True)}
    return found, texts


def test_pages_places_and_firings_are_those_of_the_index(index, address):
    reader = Reader(index)
    for document, page, pins in ((0, 0, ()), (1, 0, (3,)), (1, 1, (5, 2)), (3, 0, ())):
        asked = ",".join(map(str, pins))
        found, texts = decoded(ask(f"{address}/read/{document}/{page}?f={asked}"), ReaderPage)
        assert same(reader.page(document, page, pinned=pins), found)
        assert texts == {int(i): index.text.bytes_of(int(i)) for i in np.unique([*found.tokens, *_tops(found)])}
    assert decoded(ask(f"{address}/place/3/7"), ReaderPlace)[0] == reader.place_in(3, 7)
    last = len(index.tokens) - 1
    for asked, arguments in (("after=-1", (-1, 1)), ("before=50", (50, -1)), (f"after={last}", (last, 1))):
        found, _ = decoded(ask(f"{address}/firing/8?{asked}"), ReaderFiring)
        assert found == reader.next_firing(8, *arguments)
    assert found.wrapped


def _tops(page):
    return page.firing.top_token[page.firing.top_token >= 0]


def test_what_is_not_there_is_said(address):
    for path, status, said in (
        ("read/4/0", 400, "document 4 does not exist: the corpus has documents 0 to 3"),
        ("read/1/2", 400, "page 2 does not exist: document 1 has pages 0 to 1"),
        ("read/0/0?f=9", 400, "feature 9 does not exist: the SAE has features 0 to 8"),
        ("read/0/0?f=x", 400, "the features are 'x', expected numbers with commas between them"),
        ("read/x/0", 404, "nothing here"),
        ("place/99999/0", 400, "sequence 99999 does not exist"),
        ("firing/0?after=3", 400, "feature 0 fires nowhere in this text"),
        ("firing/8", 400, "the position is '', expected a whole number"),
        ("firing/8?after=1e3", 400, "the position is '1e3', expected a whole number"),
        ("firing/8?before=--2", 400, "the position is '--2', expected a whole number"),
        ("firing/8?after=999999", 400, "position 999999 does not exist"),
    ):
        code, reason = refusal(f"{address}/{path}")
        assert (code, reason[: len(said)]) == (status, said)
