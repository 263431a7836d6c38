"""The reader of docs/index-format.md, written from that page alone, reads what `Index` reads."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from sae_vis import Corpus, Index, IndexConfig, MaskConfig, TokenText, index_activations
from tests.docs_blocks import ROOT, blocks_of

CODE = next(
    block.code
    for block in blocks_of(ROOT / "docs" / "index-format.md")
    if block.language == "python" and "class Reader" in block.code
)
N_FEATURES = 24


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """An index of several parts, with a mask, a dead feature and characters that are split over tokens."""
    import torch

    generator = np.random.default_rng(7)
    tokens = generator.integers(0, 40, (30, 32))
    acts = generator.gamma(1.0, 2.0, (30, 32, N_FEATURES)) * (generator.random((30, 32, N_FEATURES)) < 0.2)
    acts[..., 5] = 0
    vocabulary = {token: chr(97 + token % 26) for token in range(39)}
    index_activations(
        Corpus.from_tokens(tokens, MaskConfig(ids=(3,), seqpos_slice=(1, None))),
        torch.tensor(acts, dtype=torch.float32),
        tmp_path / "my-index",
        text=TokenText.from_vocab(vocabulary),
        config=IndexConfig(part_firings=600, shard_tokens=256),
    )
    return tmp_path / "my-index"


def reader_of(folder: Path, monkeypatch: pytest.MonkeyPatch):
    """The page's `Reader`, on the index in a folder."""
    monkeypatch.chdir(folder.parent)
    names: dict[str, object] = {}
    exec(compile(CODE, "docs/index-format.md", "exec"), names)
    return names["Reader"](folder)  # type: ignore[operator]


def test_the_reader_of_the_specification_reads_what_the_library_reads(folder, monkeypatch):
    ours, theirs = Index.open(folder), reader_of(folder, monkeypatch)
    assert len(theirs.manifest["parts"]) > 2
    assert np.array_equal(theirs.corpus["tokens"], ours.tokens)
    assert np.array_equal(theirs.corpus["offsets"], ours.offsets)
    assert np.count_nonzero(theirs.corpus["counted"]) == ours.n_counted
    for feature in range(N_FEATURES):
        positions, acts = theirs.firings(feature)
        assert np.array_equal(positions, ours.firings(feature).positions)
        assert np.array_equal(acts, ours.firings(feature).acts)
    assert len(theirs.firings(5)[0]) == 0
    for position in range(0, len(ours.tokens), 37):
        codes = ours.codes([position])
        for read, kept in zip(theirs.features_at(position), (codes.features, codes.acts), strict=True):
            assert np.array_equal(read, kept)


def test_what_it_reads_gives_the_feature_table_again(folder, monkeypatch):
    theirs = reader_of(folder, monkeypatch)
    counted = np.count_nonzero(theirs.corpus["counted"])
    for row in theirs.features.to_pylist():
        positions, acts = theirs.firings(row["feature"])
        assert row["n_firings"] == len(acts)
        assert row["density"] == len(acts) / counted
        assert theirs.corpus["counted"][positions].all()
        if len(acts):
            assert row["max"] == acts.max()
            assert row["max_position"] == positions[np.argmax(acts)]
            assert row["mean"] == pytest.approx(acts.astype(np.float64).mean(), rel=1e-12)


def test_it_sees_damage(folder, monkeypatch):
    theirs = reader_of(folder, monkeypatch)
    part = folder / theirs.manifest["parts"][0]["file"]["file"]
    data = bytearray(part.read_bytes())
    data[-1] ^= 1
    part.write_bytes(data)
    with pytest.raises(ValueError, match=r"part-00000\.parquet is damaged"):
        theirs.firings(0)
