"""An index uploaded and opened where it lies."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import fsspec
import pytest

from sae_vis.errors import DamagedIndexError, ForeignIndexError, IndexFileError, InputError
from sae_vis.index import push
from sae_vis.index.build import build_index
from sae_vis.index.index import Index
from sae_vis.index.push import HubPlace, hub_place, push_index
from tests.index.test_build import same, some_corpus, source_of


@pytest.fixture
def index(tmp_path: Path) -> Path:
    build_index(source_of(some_corpus()), tmp_path / "index")
    return tmp_path / "index"


@pytest.fixture
def memory():
    system = fsspec.filesystem("memory")
    yield system
    if system.exists("/pushed"):
        system.rm("/pushed", recursive=True)


def test_what_is_uploaded_opens_there(index: Path, memory):
    (index / "effects").mkdir()
    (index / "effects" / "left.out").write_bytes(b"x")
    push_index(index, "memory://pushed/here")
    assert same(Index.open("memory://pushed/here", verify="contents"), Index.open(index))
    assert not memory.exists("/pushed/here/effects")
    push_index(index, "memory://pushed/here")  # again: the same


def test_another_index_is_not_written_over(index: Path, tmp_path: Path, memory):
    push_index(index, "memory://pushed/here")
    build_index(source_of(some_corpus(), seed=1), tmp_path / "other")
    with pytest.raises(ForeignIndexError, match=r"memory://pushed/here holds an index made from another model, SAE"):
        push_index(tmp_path / "other", "memory://pushed/here")
    assert same(Index.open("memory://pushed/here"), Index.open(index))


def test_the_manifest_comes_last(index: Path, memory, monkeypatch: pytest.MonkeyPatch):
    put = type(memory).put_file

    def failing(self, source, target, **options):
        if "postings" in target:
            raise ConnectionError("the line is dead")
        put(self, source, target, **options)

    monkeypatch.setattr(type(memory), "put_file", failing)
    with pytest.raises(IndexFileError, match=r"could not upload to memory://pushed/here: ConnectionError: the line"):
        push_index(index, "memory://pushed/here")
    with pytest.raises(DamagedIndexError, match=r"manifest\.json is missing"):
        Index.open("memory://pushed/here")


def test_addresses():
    assert hub_place("hf://datasets/me/sae") == HubPlace("dataset", "me/sae", "")
    assert hub_place("hf://datasets/me/sae/layer-3/index/") == HubPlace("dataset", "me/sae", "layer-3/index")
    assert hub_place("hf://me/sae") == HubPlace("model", "me/sae", "")
    for wrong in ("hf://datasets/me", "hf://me", "hf://datasets/me//x"):
        with pytest.raises(InputError, match="names no repository of the hub; expected hf://datasets/USER/NAME"):
            hub_place(wrong)


def test_no_address_and_a_damaged_index(index: Path):
    with pytest.raises(InputError, match="somewhere is not an address to upload to"):
        push_index(index, "somewhere")
    (index / "tokens.safetensors").unlink()
    with pytest.raises(DamagedIndexError, match="is missing"):
        push_index(index, "memory://pushed/here")


def test_the_hub_gets_one_commit_of_these_files(index: Path, monkeypatch: pytest.MonkeyPatch):
    calls = []
    api = SimpleNamespace(
        create_repo=lambda *names, **options: calls.append((names, options)),
        upload_folder=lambda **options: calls.append(options),
    )
    monkeypatch.setattr("huggingface_hub.HfApi", lambda: api)
    monkeypatch.setattr(push, "_require_room", lambda index, address: None)  # asks the hub
    push_index(index, "hf://datasets/me/sae/layer-3")
    made, sent = calls
    assert made == (("me/sae",), {"repo_type": "dataset", "exist_ok": True})
    assert (sent["repo_id"], sent["repo_type"], sent["path_in_repo"]) == ("me/sae", "dataset", "layer-3")
    assert set(sent["allow_patterns"]) == {str(path.relative_to(index)) for path in index.rglob("*") if path.is_file()}
