"""Builds at an address of an object store leave what builds in a directory leave, whatever goes wrong on the way."""

from __future__ import annotations

import logging
import pickle
import random
import re
import shutil
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import fsspec
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sae_vis.config import IndexConfig, Ranks
from sae_vis.errors import BusyIndexError, DamagedIndexError, ForeignIndexError, IndexFileError, InputError
from sae_vis.index import leases, objects, scratch
from sae_vis.index.build import build_index, build_indices, planned
from sae_vis.index.build_files import PLAN, WORK
from sae_vis.index.index import Index
from sae_vis.index.lock import LOCK
from sae_vis.index.manifest import MANIFEST
from sae_vis.index.objects import ObjectStore, place_at
from sae_vis.index.parcel import packed, unpacked
from sae_vis.index.scratch import Scratch
from sae_vis.index.storage import DirectoryStore, SharedDirectoryStore
from sae_vis.index.units import IndexUnits
from sae_vis.index.work import Work
from tests.fixtures.object_shelf import BUCKET, Account, Shelf, bucket
from tests.index import test_units
from tests.index.test_build import same, some_corpus, source_of
from tests.index.test_units import Chaos, sources
from tests.index.workers import CONFIG, SlowModel, contents, orders_at, process_of, rank_process

SMALL = IndexConfig(shard_tokens=40, part_firings=60, block_bytes=1 << 16)


@pytest.fixture(autouse=True)
def a_shelf(monkeypatch: pytest.MonkeyPatch) -> None:
    """Shelves without faults, an account of their own for each test, and nobody waits."""
    monkeypatch.setattr(Shelf, "account", Account())
    for name in ("before", "after"):
        monkeypatch.setattr(Shelf, name, staticmethod(lambda kind, path: None))
    monkeypatch.setattr(Shelf, "creates", "yes")
    monkeypatch.setattr(objects, "PAUSES", ())
    monkeypatch.setattr(leases, "RENEWAL", 0.1)
    monkeypatch.setattr(leases, "POLL", 0.02)


@pytest.fixture
def address(tmp_path: Path) -> str:
    return f"{bucket(tmp_path / 'shelf')}/index"


def at(address: str) -> Path:
    return Path(address.removeprefix("shelf://"))


@pytest.fixture
def directory(tmp_path: Path) -> dict[str, bytes]:
    """What a build in a directory leaves."""
    build_index(source_of(some_corpus(60)), tmp_path / "directory", config=SMALL)
    return contents(tmp_path / "directory")


def build(address: str, **settings) -> Index:
    return build_index(source_of(some_corpus(60)), address, config=replace(SMALL, **settings))


# one process


def test_it_leaves_what_a_directory_build_leaves(address: str, directory):
    index = build(address)
    assert contents(at(address)) == directory
    assert same(index, build_index(source_of(some_corpus(60))))
    assert same(Index.open(address, verify="contents"), index)


def test_several_indices_and_their_sums_over_neurons(tmp_path: Path, small_ranges, whole):
    build_indices(orders_at(bucket(tmp_path)), config=CONFIG)
    (tmp_path / BUCKET).unlink()
    assert contents(tmp_path) == whole


def test_in_the_memory_of_fsspec(directory):
    memory = fsspec.filesystem("memory")
    index = build("memory://built/here")
    found = {name.removeprefix("/built/here/"): memory.cat_file(name) for name in memory.find("/built")}
    memory.rm("/built", recursive=True)
    assert found == directory
    assert index.n_features == 9


def test_one_process_fetches_nothing_of_what_it_put(address: str, directory, monkeypatch):
    fetched: list[str] = []
    monkeypatch.setattr(
        Shelf, "before", staticmethod(lambda kind, path: fetched.append(path) if kind == "get" else None)
    )
    index = build(address)
    found = {str(Path(path).relative_to(at(address))) for path in fetched}
    assert found <= {PLAN, MANIFEST, index.manifest.tokens.file}  # what was agreed on, and the finished index, opened
    requests = Shelf.account.requests
    assert requests["put"] > len(directory)
    assert requests["head"] < requests["put"]
    assert requests["get"] < 10


def test_a_finished_index_is_opened(address: str):
    build(address)
    source = source_of(some_corpus(60))
    source.model.tokens_seen = 0
    build_index(source, address, config=SMALL)
    assert source.model.tokens_seen == 0


def test_files_for_which_there_is_no_room_here_are_fetched_again(address: str, directory, monkeypatch):
    monkeypatch.setattr(Scratch, "settle", lambda self, name: self.forget(name))
    build(address)
    assert Shelf.account.requests["get"] > 100
    assert contents(at(address)) == directory


@pytest.mark.parametrize("room", [0, 3000, 1 << 30])
def test_what_is_kept_here_is_bounded(tmp_path: Path, room: int):
    held = Scratch(room)
    for number in range(10):
        name = f"build/{number}"
        held.path(name).write_bytes(bytes(1000))
        held.settle(name)
        assert sum(path.stat().st_size for path in held.files.root.rglob("build/*")) <= room
    kept = [number for number in range(10) if held.holds(f"build/{number}")]
    assert kept == list(range(min(10, room // 1000)))
    held.forget("build")
    assert not any(held.holds(f"build/{number}") for number in kept)


def test_maps_outlive_their_files(address: str):
    store = ObjectStore(address, room=0)
    store.write_arrays("build/a.safetensors", {"x": np.arange(5)})
    found = store.arrays("build/a.safetensors")
    assert not list(store._scratch.files.root.rglob("*.safetensors"))
    assert found["x"].tolist() == [0, 1, 2, 3, 4]


def test_folders_of_processes_that_are_gone_are_cleared_away(tmp_path: Path, monkeypatch):
    monkeypatch.setattr(scratch.tempfile, "tempdir", str(tmp_path))
    left = tmp_path / f"{scratch.PREFIX}left"
    left.mkdir()
    (left / "big").write_bytes(b"x")
    first, second = Scratch(), Scratch()
    folder = first.files.root
    assert not left.exists()
    assert second.files.root.exists()
    assert folder.exists()
    del first
    assert not folder.exists()


def test_no_room_for_files_on_their_way_says_so(address: str, monkeypatch):
    def full(**names):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(scratch.tempfile, "mkdtemp", full)
    with pytest.raises(IndexFileError, match=r"could not make a temporary folder: No space left.*set TMPDIR"):
        build(address)


# the first is the one


@pytest.mark.parametrize("creates", ["yes", "unnamed"])
def test_what_is_there_is_not_written_over(address: str, creates: str, monkeypatch):
    monkeypatch.setattr(Shelf, "creates", creates)
    first, late = (ObjectStore(address, shared=True) for _ in range(2))
    assert first.exclusive
    first.write_arrays("postings/x.safetensors", {"x": np.arange(5)})
    late.write_arrays("postings/x.safetensors", {"x": np.arange(6)})
    assert late.arrays("postings/x.safetensors")["x"].tolist() == [0, 1, 2, 3, 4]
    assert first.record("postings/x.safetensors") == late.record("postings/x.safetensors")
    first.delete(WORK)
    assert set(contents(at(address))) == {"postings/x.safetensors"}  # what was tried is gone


@pytest.mark.parametrize("creates", ["no", "refused"])
def test_a_store_that_can_not_refuse_is_found_out_and_told_of(
    address: str, creates: str, monkeypatch, caplog, directory
):
    monkeypatch.setattr(Shelf, "creates", creates)
    assert not ObjectStore(address).exclusive
    with caplog.at_level(logging.WARNING, logger="sae_vis"):
        build(address, workers=Ranks(rank=0, world=1))
    assert any("this store can't put an object only if there is none" in line for line in caplog.messages)
    assert contents(at(address)) == directory
    caplog.clear()
    shutil.rmtree(at(address))
    build(address)  # alone: nobody can come late
    assert not caplog.messages


def test_a_late_write_that_the_store_lets_through_is_seen(address: str, monkeypatch):
    """No wrong number: the index says that it is damaged."""
    monkeypatch.setattr(Shelf, "creates", "no")
    index = build(address)
    name, late = index.manifest.codes[0].file.file, ObjectStore(address)
    source = source_of(some_corpus(60))
    source.model.table *= 1 + 2.0**-12
    build_index(source, f"{address}-other", config=SMALL)
    late._system.put_file(at(f"{address}-other") / name, late._path(name), mode="create")
    with pytest.raises(DamagedIndexError, match=r"part-00000\.parquet does not match its checksum"):
        Index.open(address, verify="contents")


def test_an_answer_that_was_lost_does_no_harm(address: str, directory, monkeypatch):
    """Every object was put, nobody says so, and it is put again."""
    monkeypatch.setattr(objects, "PAUSES", (0.0,))
    lost: set[str] = set()

    def after(kind: str, path: str) -> None:
        if kind == "put" and LOCK not in path and path not in lost:
            lost.add(path)
            raise ConnectionResetError("the line is dead")

    monkeypatch.setattr(Shelf, "after", staticmethod(after))
    build(address)
    assert {f"{at(address)}/{name}" for name in directory} < lost
    assert contents(at(address)) == directory


# any order, twice, cut off


class Watch:
    """What the workers of one index have in common: its address, and who is told before and after each write."""

    def __init__(self, address: str) -> None:
        self.address = address
        self.about_to_write: Callable[[], None] = lambda: None
        self.stored: dict[str, object] = {}

    def exists(self, name: str) -> bool:
        return (at(self.address) / name).is_file()


class WatchedStore(ObjectStore):
    """A worker's own view of the address."""

    def __init__(self, watch: Watch) -> None:
        super().__init__(watch.address, shared=True, room=random.choice([0, 2000, 1 << 30]))
        self.watch = watch

    def _put(self, path, target):
        self.watch.about_to_write()
        put = super()._put(path, target)
        self.watch.about_to_write()
        return put


def anew(given_sources, watches: list[Watch], config: IndexConfig) -> Work:
    """Somebody who knows nothing but the plan and the address."""
    pairs = zip(given_sources, watches, strict=True)
    return Work([IndexUnits(source, config, (), WatchedStore(watch), watch.stored) for source, watch in pairs])


@settings(max_examples=6, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(n_seqs=st.integers(1, 25), n_indices=st.integers(1, 2), seed=st.integers(0, 1 << 20))
def test_any_order_duplication_and_kill_gives_the_same_files(tmp_path_factory, small_units, n_seqs, n_indices, seed):
    dice, folder = random.Random(seed), tmp_path_factory.mktemp("chaos")
    config = replace(test_units.CONFIG, neuron_correlations=dice.choice(["always", "never"]))
    given_sources = sources(some_corpus(n_seqs), n_indices)
    watches = [Watch(f"{bucket(folder)}/{number}") for number in range(n_indices)]
    for source, watch in zip(given_sources, watches, strict=True):
        watch.stored = planned(WatchedStore(watch), source, config, source.provenance(config))
    chaos = Chaos(lambda: anew(given_sources, watches, config), watches, dice)
    for phase in anew(given_sources, watches, config).phases():
        chaos.run(anew(given_sources, watches, config), phase, None)
    for number, (source, watch) in enumerate(zip(given_sources, watches, strict=True)):
        ObjectStore(watch.address).delete(WORK)
        build_index(source, folder / f"directory-{number}", config=config)
        assert contents(at(watch.address)) == contents(folder / f"directory-{number}")
    shutil.rmtree(folder)


@pytest.fixture
def small_units(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(test_units.neurons, "RANGE", 70)
    monkeypatch.setattr(test_units.neurons, "CHUNK", 16)


def test_checksums_hold_whatever_workers_with_other_last_bits_write_late(tmp_path: Path, small_units):
    """Every write is overtaken by a worker whose activations differ a little, or the other way round."""
    watch = Watch(f"{bucket(tmp_path)}/index")
    ours, theirs = sources(some_corpus(30), 1), sources(some_corpus(30), 1)
    theirs[0].model.table *= 1 + 2.0**-12
    config = replace(test_units.CONFIG, neuron_correlations="never")
    watch.stored = planned(WatchedStore(watch), ours[0], config, ours[0].provenance(config))
    dice, nested = random.Random(0), []
    for phase in anew(ours, [watch], config).phases():
        for unit in range(len(anew(ours, [watch], config).edges(phase)) - 1):
            first, second = dice.sample([ours, theirs], 2)

            def overtake(phase=phase, unit=unit, second=second) -> None:
                if not nested and not watch.exists(MANIFEST) and dice.random() < 0.3:
                    nested.append(unit)
                    anew(second, [watch], config).do(phase, unit, lambda reached: None)

            watch.about_to_write = overtake
            try:
                anew(first, [watch], config).do(phase, unit, lambda reached: None)
            except DamagedIndexError:  # others have sealed meanwhile
                assert watch.exists(MANIFEST)
            nested.clear()
    index = Index.open(watch.address, verify="contents")
    assert index.column("n_firings").sum() == sum(codes.n_firings for codes in index.manifest.codes)


def test_whoever_seals_fetches_no_file_of_others(address: str, directory, monkeypatch):
    """What a file is was noted by who put it; where that was cut off, the file is read."""
    ranks = (Ranks(rank=0, world=2, stall=0.3), Ranks(rank=1, world=2, stall=0.3))
    stop_at(monkeypatch, "build/more-")
    for workers in ranks:
        with pytest.raises(KeyboardInterrupt):
            build(address, workers=workers)
    noted = at(address) / WORK / "records" / "codes" / "part-00001.parquet.json"
    assert noted.is_file()
    noted.unlink()
    fetched: list[str] = []
    monkeypatch.setattr(
        Shelf, "before", staticmethod(lambda kind, path: fetched.append(path) if kind == "get" else None)
    )
    build(address, workers=ranks[0])
    assert contents(at(address)) == directory
    found = {str(Path(path).relative_to(at(address))) for path in fetched}
    assert {name for name in found if name.startswith(("codes/", "postings/"))} == {"codes/part-00001.parquet"}


def stop_at(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    def before(kind: str, path: str) -> None:
        if kind == "put" and name in path:
            raise KeyboardInterrupt

    monkeypatch.setattr(Shelf, "before", staticmethod(before))


def stop_after(writes: int, monkeypatch: pytest.MonkeyPatch):
    left = [writes]

    def before(kind: str, path: str) -> None:
        if kind == "put" and LOCK not in path:
            left[0] -= 1
            if left[0] < 0:
                raise KeyboardInterrupt

    monkeypatch.setattr(Shelf, "before", staticmethod(before))


@pytest.mark.parametrize("writes", [0, 1, 2, 3, 10, 40, 70])
def test_a_build_that_was_stopped_goes_on(address: str, directory, monkeypatch, writes: int):
    stop_after(writes, monkeypatch)
    with pytest.raises(KeyboardInterrupt):
        build(address)
    assert not (at(address) / MANIFEST).exists()
    words = "has no manifest.json: there is an unfinished build; run the same" if writes else "manifest.json is missing"
    with pytest.raises(DamagedIndexError, match=re.escape(words)):
        Index.open(address)
    monkeypatch.setattr(Shelf, "before", staticmethod(lambda kind, path: None))
    build(address)
    assert contents(at(address)) == directory


@pytest.mark.slow
def test_a_build_that_was_stopped_at_every_single_write_goes_on(address: str, tmp_path: Path, monkeypatch):
    def build_small(out: str | Path) -> None:
        build_index(source_of(some_corpus(20)), out, config=SMALL)

    build_small(tmp_path / "directory")
    stopped = 0
    while True:
        shutil.rmtree(at(address), ignore_errors=True)
        stop_after(stopped, monkeypatch)
        with suppress_interrupt():
            build_small(address)
        whole = (at(address) / MANIFEST).exists()
        monkeypatch.setattr(Shelf, "before", staticmethod(lambda kind, path: None))
        build_small(address)
        assert contents(at(address)) == contents(tmp_path / "directory")
        if whole:
            break
        stopped += 1
    assert stopped > 20


class suppress_interrupt:  # noqa: N801  as those of contextlib
    def __enter__(self) -> None:
        pass

    def __exit__(self, kind, error, trace) -> bool:
        return kind is KeyboardInterrupt


# one build at a time


def test_a_second_build_at_an_address_is_refused_and_told_who_and_since_when(address: str, directory):
    refused = []

    def interfere(stage: str, done: int, total: int) -> None:
        if stage == "index" and done and not refused:
            words = r"index is being built by another process \(process \d+ on .*, since 20\d\d-.* UTC by its clock\)"
            with pytest.raises(BusyIndexError, match=words):
                build(address)
            refused.append(done)

    build_index(source_of(some_corpus(60)), address, config=SMALL, progress=interfere)
    assert refused
    assert contents(at(address)) == directory  # no lease is left


class Pretended(leases.Shelf):
    """A shelf in memory."""

    place = "somewhere"

    def __init__(self) -> None:
        self.held: dict[str, dict] = {}

    def listed(self):
        return {name: str(facts) for name, facts in dict(self.held).items()}

    def read(self, name):
        return self.held.get(name)

    def write(self, name, facts):
        self.held[name] = dict(facts)

    def remove(self, name):
        self.held.pop(name, None)


def stale(state: str = leases.HOLDS, **more) -> dict:
    return {"state": state, "beat": 5, "pid": 1, "host": "afar", "since": "once", "machine": "x", "began": "1", **more}


@pytest.mark.parametrize("state", [leases.WANTS, leases.HOLDS])
@pytest.mark.parametrize("name", ["alone-0", "alone-z", "shared-0", "shared-z"])
def test_a_dead_lease_is_taken_over_and_one_that_waits_says_for_whom(state: str, name: str, caplog, monkeypatch):
    monkeypatch.setattr(leases, "LEASE", 1.0)
    shelf = Pretended()
    shelf.held[f"{name}.json"] = stale(state)
    began = time.monotonic()
    with caplog.at_level(logging.WARNING, logger="sae_vis"), leases.Lease(shelf, shared=False):
        assert time.monotonic() - began >= leases.LEASE
        assert list(shelf.held) == [n for n in shelf.held if n.startswith("alone-") and n != f"{name}.json"]
    assert shelf.held == {}
    words = "somewhere is being built by another process (process 1 on afar, since once by its clock)"
    assert [words in line and "within 1 s it is seen" in line for line in caplog.messages] == [True]


def test_the_lease_of_a_process_of_this_machine_that_is_gone_is_dead_at_once():
    own = leases._self_described()
    if own["machine"] is None:
        pytest.skip("this system does not tell")
    shelf = Pretended()
    shelf.held["alone-0.json"] = stale(machine=own["machine"], pid=own["pid"], began="another time")
    began = time.monotonic()
    with leases.Lease(shelf, shared=False):
        assert time.monotonic() - began < leases.LEASE
    shelf.held["alone-0.json"] = stale(machine=own["machine"], pid=own["pid"], began=own["began"])
    assert not leases._has_ended(shelf.held["alone-0.json"])


def test_what_is_no_lease_is_taken_for_one_of_somebody_unknown():
    assert leases.facts_of(b"\xff not JSON") == leases.facts_of(b"[1]")
    assert leases.facts_of(b"")["pid"] == "?"
    assert leases.facts_of(b'{"state": "wants"}')["state"] == leases.WANTS


def test_a_lease_that_was_taken_away_is_noticed(address: str):
    store = ObjectStore(address)
    with store.lock(shared=False):
        store.write_json("a.json", {})
        for path in (at(address) / LOCK).iterdir():
            path.unlink()
        until = time.monotonic() + 20
        while not store._lease._lost and time.monotonic() < until:
            time.sleep(0.02)
        with pytest.raises(BusyIndexError, match=r"built by somebody else: this process did not say that it lives"):
            store.write_json("b.json", {})
    assert not store.exists("b.json")


def test_those_that_share_let_each_other_in_and_keep_others_out():
    shelf = Pretended()
    with leases.Lease(shelf, shared=True), leases.Lease(shelf, shared=True):
        assert len(shelf.held) == 2
        with pytest.raises(BusyIndexError), leases.Lease(shelf, shared=False):
            pass
        assert len(shelf.held) == 2
    with leases.Lease(shelf, shared=False), pytest.raises(BusyIndexError), leases.Lease(shelf, shared=True):
        pass
    assert shelf.held == {}


class Slow(Pretended):
    """Answers take their time, each another one."""

    def __init__(self, seed: int) -> None:
        super().__init__()
        self.dice, self.lock = random.Random(seed), threading.Lock()

    def __getattribute__(self, name):
        if name in ("listed", "read", "write", "remove"):
            with super().__getattribute__("lock"):
                seconds = super().__getattribute__("dice").random() * 0.01
            time.sleep(seconds)
        return super().__getattribute__(name)


@pytest.mark.parametrize("seed", range(6))
def test_never_two_at_once_however_late_answers_are(seed: int, monkeypatch):
    shelf, dice = Slow(seed), random.Random(seed)
    inside: Counter[bool] = Counter()
    got, wrong, lock = [], [], threading.Lock()

    def come(shared: bool, wait: float) -> None:
        time.sleep(wait)
        try:
            with leases.Lease(shelf, shared=shared):
                with lock:
                    inside[shared] += 1
                    wrong.extend([dict(inside)] if inside[False] and sum(inside.values()) > 1 else [])
                    got.append(shared)
                time.sleep(0.05)
                with lock:
                    inside[shared] -= 1
        except BusyIndexError:
            pass

    threads = [threading.Thread(target=come, args=(dice.random() < 0.3, dice.random() * 0.01)) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert got
    assert not wrong
    assert shelf.held == {}


# what goes wrong


@pytest.mark.parametrize(
    ("where", "remedy"),
    [
        ("shelf", "give it the environment variables or the role with which this process"),
        ("plain", "on a file system that"),
    ],
)
def test_a_worker_that_does_not_see_the_place(tmp_path: Path, where: str, remedy: str):
    source, out = source_of(some_corpus()), bucket(tmp_path / "x") if where == "shelf" else str(tmp_path / "x")
    place = place_at(out, shared=True)
    stored = planned(place, source, SMALL, source.provenance(SMALL))
    parcel = packed([IndexUnits(source, SMALL, (), place, stored)], pickle.Pickler)
    assert unpacked(parcel.data, parcel.buffers).indices[0].stored == stored
    place.delete(WORK)
    with pytest.raises(InputError, match=rf"a worker does not see .*/build/plan\.json: .*{remedy}"):
        unpacked(parcel.data, parcel.buffers)


def test_addresses_where_nothing_can_be_built(tmp_path: Path, monkeypatch):
    with pytest.raises(InputError, match=r"built at hf://datasets/me/x: hf:// is no object store.*sae-vis push"):
        build("hf://datasets/me/x")
    with pytest.raises(InputError, match=r"https:// is no object store that is known to take files whole; expected"):
        build("https://example.org/x")
    with pytest.raises(InputError, match=r"can't be built at memory://b/run\[1\]: choose an address without \* \? \["):
        build("memory://b/run[1]")
    with pytest.raises(InputError, match="can't be built at simplecache::s3://"):
        build("simplecache::s3://b/x")
    with pytest.raises(
        InputError, match=r"out is the path 's3:/b/x', and paths can't name an address: give .*'s3://b/x'"
    ):
        build(Path("s3://b/x"))
    with pytest.raises(InputError, match=r"out is 3 \(int\), expected a directory, the address of one, or None"):
        build(3)
    monkeypatch.setitem(sys.modules, "s3fs", None)
    with pytest.raises(InputError, match=r"s3:// needs another package: pip install s3fs"):
        build("s3://bucket/index")


def test_addresses_of_files_are_directories(tmp_path: Path, directory):
    build((tmp_path / "here").as_uri())
    assert contents(tmp_path / "here") == directory
    assert type(place_at(tmp_path, shared=False)) is DirectoryStore
    assert type(place_at(str(tmp_path), shared=True)) is SharedDirectoryStore


def test_there_is_no_bucket(tmp_path: Path):
    words = r"could not write shelf://.*/build\.lock/.*does not exist; there is no such bucket or container: make it"
    with pytest.raises(IndexFileError, match=words):
        build(f"shelf://{tmp_path}/nowhere/index")


class ResourceNotFoundError(Exception):
    """What adlfs lets through where there is no container."""


def test_there_is_no_container(address: str, monkeypatch):
    monkeypatch.setattr(objects, "PAUSES", (600.0,))  # it is not waited for
    error = ResourceNotFoundError("The specified container does not exist.\nContent: <?xml")
    monkeypatch.setattr(Shelf, "before", failing(error, ("put",)))
    words = (
        r"ResourceNotFoundError: The specified container does not exist\.; there is no such bucket or container: make"
    )
    with pytest.raises(IndexFileError, match=words):
        build(address)


def failing(error: Exception, kinds: tuple[str, ...], *, once_there: str = ""):
    def before(kind: str, path: str) -> None:
        if kind in kinds and once_there in path:
            raise error

    return staticmethod(before)


@pytest.mark.parametrize("kind", ["put", "list", "head"])
def test_no_permission_says_what_is_needed(address: str, kind: str, monkeypatch):
    monkeypatch.setattr(objects, "PAUSES", (60.0,))  # it is not waited for
    monkeypatch.setattr(Shelf, "before", failing(PermissionError("Access Denied"), (kind,)))
    words = r"PermissionError: Access Denied; this process needs credentials with which it may list, read, write and"
    with pytest.raises(IndexFileError, match=words):
        build(address)


@pytest.mark.parametrize("error", [OSError(28, "the bucket is full"), ConnectionError("the line is dead")])
def test_a_fault_that_stays_says_where_and_what_is_kept(address: str, directory, error: Exception, monkeypatch):
    monkeypatch.setattr(Shelf, "before", failing(error, ("put",), once_there="postings/part-00002"))
    words = (
        rf"could not write shelf://.*/postings/part-00002\.parquet: {type(error).__name__}: .*{error.args[-1]}; mend "
        "that, then run the same command again: what was finished before is kept"
    )
    with pytest.raises(IndexFileError, match=words):
        build(address)
    assert list((at(address) / "build").glob("shard-*"))
    monkeypatch.setattr(Shelf, "before", staticmethod(lambda kind, path: None))
    build(address)
    assert contents(at(address)) == directory


def test_faults_that_pass_are_waited_for(address: str, directory, monkeypatch, caplog):
    monkeypatch.setattr(objects, "PAUSES", (0.0, 0.0, 0.0, 0.0))
    asked: Counter[str] = Counter()

    def before(kind: str, path: str) -> None:
        """Every fourth request of a kind fails, until the index is finished."""
        asked[kind] += 1
        if asked[kind] % 4 == 0 and not (at(address) / MANIFEST).exists():
            raise ConnectionError("the line is dead")

    monkeypatch.setattr(Shelf, "before", staticmethod(before))
    with caplog.at_level(logging.WARNING, logger="sae_vis"):
        build(address)
    monkeypatch.setattr(Shelf, "before", staticmethod(lambda kind, path: None))
    assert min(asked[kind] for kind in ("put", "head", "list")) > 8
    assert any("ConnectionError: the line is dead; tried again in 0 s" in line for line in caplog.messages)
    assert contents(at(address)) == directory


def test_what_lies_there_is_left_as_it_is(address: str):
    at(address).mkdir()
    (at(address) / "thesis.tex").write_text("years of work")
    with pytest.raises(ForeignIndexError, match=r"holds other files \(thesis\.tex\) and is not a sae_vis index"):
        build(address)
    assert contents(at(address)) == {"thesis.tex": b"years of work"}


def test_another_index_is_not_written_over(address: str, directory, monkeypatch):
    build(address)
    with pytest.raises(ForeignIndexError, match="made from another model, SAE; nothing was written"):
        build_index(source_of(some_corpus(60), seed=1), address, config=SMALL)
    assert contents(at(address)) == directory
    other = f"{address}-begun"
    stop_after(10, monkeypatch)
    with pytest.raises(KeyboardInterrupt):
        build(other)
    monkeypatch.setattr(Shelf, "before", staticmethod(lambda kind, path: None))
    with pytest.raises(ForeignIndexError, match=r"unfinished\) holds an index made from another corpus"):
        build_index(source_of(some_corpus()), other, config=SMALL)


def test_a_shard_that_is_cut_short_is_named_with_its_address(address: str, monkeypatch):
    stop_after(30, monkeypatch)
    with pytest.raises(KeyboardInterrupt):
        build(address)
    monkeypatch.setattr(Shelf, "before", staticmethod(lambda kind, path: None))
    shard = at(address) / "build" / "shard-00000.safetensors"
    shard.write_bytes(shard.read_bytes()[:-5])
    with pytest.raises(DamagedIndexError, match=r"shelf://.*build/shard-00000\.safetensors can't be read"):
        build(address)


# several processes


def test_a_rank_alone_and_one_whose_fellows_never_come(address: str, directory, caplog):
    build(address, workers=Ranks(rank=0, world=1))
    assert contents(at(address)) == directory
    with caplog.at_level(logging.WARNING, logger="sae_vis"):
        build(f"{address}-2", workers=Ranks(rank=1, world=3, stall=0.2))
    assert contents(at(f"{address}-2")) == directory
    assert any("no progress of rank 0, 2 for 0.2 s" in line for line in caplog.messages)


def test_looking_for_what_others_did_is_one_listing_however_many_units_there_are(address: str, monkeypatch):
    build(address, workers=Ranks(rank=1, world=2, stall=0.5))
    account = Shelf.account
    assert account.requests["head"] < 20 * account.requests["put"]
    store = ObjectStore(address)
    before = account.requests.total()
    with store.at_a_glance():
        assert [store.exists(name) for name in (MANIFEST, PLAN, "nothing")] == [True, False, False]
    assert account.requests.total() == before + 1


def leave(out: Path) -> dict[str, bytes]:
    """What is in a bucket when nobody is at work there any more."""
    (out / BUCKET).unlink()
    return contents(out)


@pytest.mark.ray
def test_four_ranks_leave_what_one_process_leaves(tmp_path: Path, whole):
    out = bucket(tmp_path / "out")
    ranks = [rank_process(out, rank, 4, model=SlowModel(0.02)) for rank in range(4)]
    for process in ranks:
        process.join(180)
    assert [process.exitcode for process in ranks] == [0] * 4
    assert leave(tmp_path / "out") == whole


@pytest.mark.ray
def test_four_ranks_of_which_one_is_killed(tmp_path: Path, whole):
    death = tmp_path / "death"
    death.touch()
    out = bucket(tmp_path / "out")
    ranks = [rank_process(out, r, 4, stall=3, model=SlowModel(0.05, str(death) if r == 2 else "")) for r in range(4)]
    for process in ranks:
        process.join(180)
    assert [process.exitcode for process in ranks] == [0, 0, -9, 0]
    assert leave(tmp_path / "out") == whole


@pytest.mark.ray
def test_a_process_that_is_killed_and_one_that_goes_on(tmp_path: Path, whole):
    """The lease of the dead one holds up nobody, nor do its temporary files stay."""
    death = tmp_path / "death"
    out = bucket(tmp_path / "out")
    for _ in range(3):
        death.touch()
        process = process_of(out, SlowModel(0.0, str(death)))
        process.join(60)
        assert process.exitcode == -9
    process = process_of(out)
    process.join(60)
    assert process.exitcode == 0
    assert leave(tmp_path / "out") == whole
