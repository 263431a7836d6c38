"""An index at an address: the same answers as from the directory, and little of it fetched."""

from __future__ import annotations

import sys
from pathlib import Path

import fsspec
import numpy as np
import pytest
import torch

from sae_vis import Corpus, Index, IndexConfig, TokenText, index_activations, save_feature_page
from sae_vis.errors import DamagedIndexError, IndexFileError, InputError
from sae_vis.index import remote
from sae_vis.index.remote import BLOCK, RemoteArray
from tests.fixtures.range_server import range_server
from tests.index.test_build import same

N_FEATURES = 700


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An index of several parts, of which each row group is a small share."""
    root = tmp_path_factory.mktemp("remote") / "index"
    rng = np.random.default_rng(0)
    tokens = rng.integers(0, 50, (300, 64))
    acts = torch.tensor(rng.gamma(2.0, 1.0, (300 * 64, N_FEATURES)) * (rng.random((300 * 64, N_FEATURES)) < 0.05))
    index_activations(
        Corpus.from_tokens(tokens),
        acts.float(),
        root,
        text=TokenText({token: f" w{token}".encode() for token in range(50)}, []),
        config=IndexConfig(part_firings=400_000, shard_tokens=8192, correlated_features=4),
    )
    return root


@pytest.fixture
def served(folder: Path):
    with range_server(folder) as account:
        yield account


def test_it_gives_what_the_directory_gives(folder: Path, served, tmp_path: Path):
    here, there = Index.open(folder), Index.open(served.address)
    assert same(here, there)
    assert np.array_equal(np.asarray(there.tokens), here.tokens)
    for ours, theirs in zip(here.codes([5, 900, 17]), there.codes([5, 900, 17]), strict=True):
        assert np.array_equal(ours, theirs)
    assert np.array_equal(here.find_text(" w7 w8").starts, there.find_text(" w7 w8").starts)
    save_feature_page(here, tmp_path / "here.html", features=[3, 400])
    save_feature_page(there, tmp_path / "there.html", features=[3, 400])
    assert (tmp_path / "here.html").read_bytes() == (tmp_path / "there.html").read_bytes()


def test_one_feature_costs_four_requests_at_most(folder: Path, served):
    index = Index.open(served.address)
    len(index.column("n_firings"))
    served.take()
    index.firings(350)
    index.lists("quantiles", 350)
    asked = served.take()
    assert 0 < len(asked) <= 4
    assert sum(size for _, size in asked) < 0.25 * sum(record.bytes for record in index.manifest.files)
    index.firings(351)
    index.lists("acts_histogram", 351)
    assert len(served.take()) <= 1  # the same row groups, or the next one of the postings


def test_tokens_are_fetched_in_blocks(served, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(remote, "WHOLE_BYTES", 1)
    monkeypatch.setattr(remote, "BLOCK", 1000)
    index = Index.open(served.address)
    assert isinstance(index.tokens, RemoteArray)
    served.take()
    assert index.tokens[np.array([5, 1005, 15])].shape == (3,)
    assert [size for _, size in served.take()] == [2000 * 4]  # neighbouring blocks come in one range
    index.tokens[700:900]
    assert served.take() == []


def test_an_array_afar_is_indexed_as_an_array():
    values = np.arange(3 * BLOCK + 7, dtype=np.int32)
    data, asked = b"head" + values.tobytes(), []

    def fetch(ranges):
        asked.extend(ranges)
        return [data[start:stop] for start, stop in ranges]

    array = RemoteArray(fetch, 4, {"dtype": "I32", "shape": [len(values)], "data_offsets": [0, values.nbytes]})
    assert array[-1] == values[-1]
    assert len(asked) == 1
    for key in (3, slice(2, 9), slice(None, None, 5000), np.array([[1, BLOCK], [2 * BLOCK, 0]]), values % 977 == 3):
        assert np.array_equal(array[key], values[key])
    assert np.array_equal(np.asarray(array), values)
    assert (array != values).sum() == 0
    assert len(array) == len(values)


def test_other_file_systems(folder: Path):
    memory = fsspec.filesystem("memory")
    memory.put(str(folder), "/copy", recursive=True)
    assert same(Index.open("memory://copy"), Index.open(folder))
    assert same(Index.open(folder.as_uri(), verify="contents"), Index.open(folder))
    memory.rm("/copy", recursive=True)


def test_damage_is_named_with_its_address(folder: Path):
    memory = fsspec.filesystem("memory")
    memory.put(str(folder), "/harmed", recursive=True)
    part = "/harmed/" + Index.open(folder).manifest.parts[0].file.file
    data = bytearray(memory.cat_file(part))
    data[5000] ^= 255
    memory.pipe_file(part, bytes(data))
    with pytest.raises(DamagedIndexError, match=r"memory://harmed/postings/part-00000\.parquet can't be read"):
        Index.open("memory://harmed").postings(range(100))
    with pytest.raises(DamagedIndexError, match="does not match its checksum in the manifest"):
        Index.open("memory://harmed", verify="contents")
    memory.rm_file(part)
    with pytest.raises(DamagedIndexError, match=r"part-00000\.parquet is missing"):
        Index.open("memory://harmed").firings(0)
    memory.rm("/harmed", recursive=True)


def test_nothing_is_written_there_and_what_is_made_is_held(folder: Path, served):
    index = Index.open(served.address)
    index.keep("between/some.safetensors", {"x": np.arange(3)})
    assert not (folder / "between").exists()


def test_addresses_that_can_not_be_read(folder: Path, served, monkeypatch: pytest.MonkeyPatch):
    with pytest.raises(DamagedIndexError, match=r"nowhere/manifest\.json is missing"):
        Index.open(f"{served.address}/nowhere")
    with pytest.raises(InputError, match=r"gopher://x/y is not an address that can be read"):
        Index.open("gopher://x/y")
    with pytest.raises(IndexFileError, match=r"could not read http://127\.0\.0\.1:1/x/manifest\.json"):
        Index.open("http://127.0.0.1:1/x")
    monkeypatch.setitem(sys.modules, "s3fs", None)
    with pytest.raises(InputError, match=r"reading s3:// needs another package: pip install s3fs"):
        Index.open("s3://bucket/index")


def test_a_server_without_ranges_is_told(folder: Path):
    with (
        range_server(folder, ranges=False) as account,
        pytest.raises(IndexFileError, match="does not answer range requests"),
    ):
        Index.open(account.address).firings(0)
