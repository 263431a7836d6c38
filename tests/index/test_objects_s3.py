"""Builds at an address of S3, as its own protocol has it: s3fs asks, moto's server answers, on this machine."""

from __future__ import annotations

import contextlib
import socket
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from sae_vis.config import Ranks
from sae_vis.errors import DamagedIndexError, IndexFileError
from sae_vis.index import objects
from sae_vis.index.build import build_index, build_indices
from sae_vis.index.build_files import WORK
from sae_vis.index.index import Index
from sae_vis.index.lock import LOCK
from sae_vis.index.objects import ObjectStore
from tests.index.test_build import same, some_corpus, source_of
from tests.index.test_faults import SMALL
from tests.index.workers import CONFIG, contents, orders_at, rank_process
from tests.libraries import library

pytestmark = pytest.mark.filterwarnings("ignore")  # of boto, and of sockets that it leaves to the collector


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    library("s3fs")
    threaded = library("moto.server").ThreadedMotoServer
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    running = threaded(ip_address="127.0.0.1", port=port, verbose=False)
    running.start()
    yield f"http://127.0.0.1:{port}"
    running.stop()


@pytest.fixture
def s3(server: str, monkeypatch: pytest.MonkeyPatch) -> Any:
    """The file system, a bucket `made` in it, and nobody waits."""
    import s3fs

    for name, value in {
        "AWS_ENDPOINT_URL": server,
        "AWS_ACCESS_KEY_ID": "someone",
        "AWS_SECRET_ACCESS_KEY": "secret",
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_MAX_ATTEMPTS": "1",
        "AWS_EC2_METADATA_DISABLED": "true",
    }.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(objects, "PAUSES", ())
    s3fs.S3FileSystem.clear_instance_cache()
    system = s3fs.S3FileSystem(use_listings_cache=False)
    if not system.exists("made"):
        system.mkdir("made")
    yield system
    if system.find("made"):
        system.rm("made", recursive=True)
    s3fs.S3FileSystem.clear_instance_cache()


def there(system: Any, folder: str) -> dict[str, bytes]:
    return {name.removeprefix(f"{folder}/"): system.cat_file(name) for name in system.find(folder)}


@contextlib.contextmanager
def account(monkeypatch: pytest.MonkeyPatch) -> Iterator[Counter[str]]:
    """Requests by kind."""
    import s3fs

    counted: Counter[str] = Counter()
    call = s3fs.S3FileSystem._call_s3

    async def counting(self, method, *given, **options):
        counted[method] += 1
        return await call(self, method, *given, **options)

    with monkeypatch.context() as patch:
        patch.setattr(s3fs.S3FileSystem, "_call_s3", counting)
        yield counted


def test_it_leaves_what_a_directory_build_leaves(s3, tmp_path: Path, monkeypatch):
    build_index(source_of(some_corpus(60)), tmp_path, config=SMALL)
    with account(monkeypatch) as requests:
        index = build_index(source_of(some_corpus(60)), "s3://made/index", config=SMALL)
    assert there(s3, "made/index") == contents(tmp_path)
    assert same(index, Index.open(tmp_path))
    assert same(Index.open("s3://made/index", verify="contents"), index)
    assert requests["put_object"] > len(contents(tmp_path))
    assert requests["get_object"] < 12
    assert requests["head_object"] + requests["list_objects_v2"] < 4 * requests["put_object"]


def test_the_first_is_the_one(s3):
    """Of an object that is put in one piece, and of one in several."""
    first, late = (ObjectStore("s3://made/index", shared=True) for _ in range(2))
    assert first.exclusive
    for name, size in (("build/small.safetensors", 10), ("build/large.safetensors", 101 << 20)):
        first.write_arrays(name, {"x": np.zeros(size, dtype=np.int8)})
        late.write_arrays(name, {"x": np.ones(size, dtype=np.int8)})
        assert late.arrays(name)["x"].max() == 0
    first.delete(WORK)
    assert not s3.find("made")


def test_a_place_where_somebody_begins_during_the_look_is_no_foreign_one(s3, monkeypatch):
    """s3fs finds nothing below the place, then looks once more whether there is such a directory."""
    import s3fs

    look, store = s3fs.S3FileSystem._info, ObjectStore("s3://made/index", shared=True)

    async def late(self, path, *given, **options):
        if path == "made/index":
            await self._pipe_file(f"{path}/{WORK}/plan.json", b"{}")
        return await look(self, path, *given, **options)

    monkeypatch.setattr(s3fs.S3FileSystem, "_info", late)
    store.require_empty()
    assert s3.find("made") == [f"made/index/{WORK}/plan.json"]


def test_ranks(s3, tmp_path: Path, whole):
    ranks = [rank_process("s3://made/ranks", rank, 2) for rank in range(2)]
    for process in ranks:
        process.join(240)
    assert [process.exitcode for process in ranks] == [0, 0]
    assert there(s3, "made/ranks") == whole


def test_a_build_that_was_stopped_goes_on(s3, tmp_path: Path, monkeypatch, small_ranges, whole):
    def stop(stage: str, done: int, total: int) -> None:
        if stage == "sort" and done:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        build_indices(orders_at("s3://made/stopped"), config=CONFIG, progress=stop)
    assert any("/build/shard-" in name for name in s3.find("made/stopped"))
    assert not any(f"/{LOCK}/" in name for name in s3.find("made/stopped"))
    build_indices(orders_at("s3://made/stopped"), config=replace(CONFIG, workers=Ranks(rank=0, world=1)))
    assert there(s3, "made/stopped") == whole


def test_what_goes_wrong(s3, monkeypatch):
    words = r"could not write s3://nowhere/index/.*: FileNotFoundError: .*there is no such bucket or container: make it"
    with pytest.raises(IndexFileError, match=words):
        build_index(source_of(some_corpus()), "s3://nowhere/index")
    with pytest.raises(DamagedIndexError, match=r"s3://made/nothing/manifest\.json is missing"):
        Index.open("s3://made/nothing")


def test_there_are_no_credentials(s3, monkeypatch, tmp_path: Path):
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    for name in ("AWS_SHARED_CREDENTIALS_FILE", "AWS_CONFIG_FILE"):
        monkeypatch.setenv(name, str(tmp_path / "none"))
    type(s3).clear_instance_cache()
    monkeypatch.setattr(objects, "PAUSES", (600.0,))  # they are not waited for
    with pytest.raises(IndexFileError, match=r"NoCredentialsError: .*this process needs credentials with which it may"):
        build_index(source_of(some_corpus()), "s3://made/index")


def test_nobody_answers(s3, monkeypatch):
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:1")
    type(s3).clear_instance_cache()
    with pytest.raises(
        IndexFileError, match=r"could not read s3://made/index/.*Could not connect.*run the same command"
    ):
        build_index(source_of(some_corpus()), "s3://made/index")
