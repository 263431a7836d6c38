"""A small index to be read, and its server."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from sae_vis.config import IndexConfig
from sae_vis.corpus.labels import labelling_of
from sae_vis.corpus.mask import MaskConfig
from sae_vis.corpus.text import TokenText
from sae_vis.corpus.tokens import Corpus
from sae_vis.index.build import Source, build_index
from sae_vis.index.index import Index
from sae_vis.server.run import Server, ServerSettings
from sae_vis.server.serve import make_server
from tests.whole_numbers import SignedSae, WholeModel, WholeSae

ROW = 40  # tokens of a sequence, BOS included
PIECES = [b"one", b" two", b"\xf0\x9f", b"\x9a\x80", b"\n", b"</b>", b" three", b".", "é".encode(), b" x", b" and"]
TEXT = TokenText({0: b"<s>", **{1 + i: piece for i, piece in enumerate(PIECES)}}, special=[0])
# Token ids of the documents: the first has an emoji in two tokens, the second is of more tokens than a page has.
FIRST = [1, 2, 3, 4, 6, 7, 8, 5, 9, 10, 11]
LENGTHS = (len(FIRST), 1500, 60, 5)


def corpus() -> Corpus:
    """Four documents, packed into rows with BOS in front of each."""
    rng = np.random.default_rng(4)
    documents = [FIRST, *(rng.choice(np.delete(np.arange(1, 12), [2, 3]), n).tolist() for n in LENGTHS[1:])]
    flat: list[int] = []
    begins, starts = [], []
    for document in documents:
        for i, token in enumerate(document):
            if len(flat) % ROW == 0:
                begins.append(len(flat))
                flat.append(0)
            if i == 0:
                starts.append(len(flat))
            flat.append(token)
    first = [start - 1 if start - 1 in begins else start for start in starts]
    return Corpus(
        tokens=np.array(flat, dtype=np.int32),
        offsets=np.array([*begins, len(flat)], dtype=np.int64),
        documents=np.array([*starts, len(flat)], dtype=np.int64),
        mask=MaskConfig(bos_id=0, ids=(8,)),
        labellings=(labelling_of("kind", ["a", "b", None, "<i>"], np.array(first, dtype=np.int64)),),
    )


def index_at(path: Path, *, codes: bool = True, signed: bool = False) -> Index:
    """An index of these documents on disk."""
    model, sae = WholeModel(seed=2), (SignedSae if signed else WholeSae)(seed=2)
    source = Source(corpus=corpus(), model=model, sae=sae, hook=model.hook_point("here"), text=TEXT)
    return build_index(source, path, config=IndexConfig(codes=codes))


def server_at(path: Path) -> Server:
    """Of the explorer of an index."""
    return make_server(path, notes=False, settings=ServerSettings(port=0, open_browser=False))
