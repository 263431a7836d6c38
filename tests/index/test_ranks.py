"""Ranks: processes that know of each other by files alone leave what one process leaves, whatever happens to them."""

from __future__ import annotations

import json
import logging
import random
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest

from sae_vis.config import Ranks
from sae_vis.errors import BusyIndexError, ForeignIndexError, InputError
from sae_vis.index.build import Progress, build_index, build_indices
from sae_vis.index.build_files import PLAN
from sae_vis.index.index import Index
from sae_vis.index.lock import LOCK, build_lock
from sae_vis.index.storage import SharedDirectoryStore
from tests.fixtures.object_shelf import Account, Shelf, bucket
from tests.index.test_build import same, some_corpus, source_of
from tests.index.test_faults import SMALL
from tests.index.workers import CONFIG, SlowModel, contents, orders_at, rank_process

pytestmark = pytest.mark.usefixtures("small_ranges")


def alone(out: Path, rank: int, world: int, stall: float, model: SlowModel | None = None) -> list[Index]:
    return build_indices(
        orders_at(out, model), config=replace(CONFIG, workers=Ranks(rank=rank, world=world, stall=stall))
    )


def test_one_rank_alone_leaves_what_one_process_leaves(tmp_path: Path, whole):
    alone(tmp_path, 0, 1, 60)
    assert contents(tmp_path) == whole


def test_a_rank_whose_fellows_never_come_does_their_part_and_says_so(tmp_path: Path, whole, caplog):
    with caplog.at_level(logging.WARNING, logger="sae_vis"):
        found = alone(tmp_path, 1, 3, 0.2)
    assert contents(tmp_path) == whole
    assert [index.n_features for index in found] == [9, 14]
    said = [record.getMessage() for record in caplog.records]
    words = "no progress of rank 0, 2 for 0.2 s; what is left of its part of the step 'index' is done here"
    assert f"rank 1 of 3: {words}" in said
    assert any("rank 1 of 3: done with its part of the step 'index', waiting for" in line for line in said)


def test_a_finished_index_is_opened_by_any_rank(tmp_path: Path):
    alone(tmp_path, 0, 1, 60)
    model = SlowModel()
    alone(tmp_path, 5, 9, 60, model)
    assert model.tokens_seen == 0


def test_what_one_process_began_ranks_go_on_with_and_the_other_way_round(tmp_path: Path, whole):
    def stop(stage: str, done: int, total: int) -> None:
        if stage == "index" and done > 300:
            raise KeyboardInterrupt

    for name, first, second in (("a", None, Ranks(rank=0, world=1)), ("b", Ranks(rank=0, world=1), None)):
        with pytest.raises(KeyboardInterrupt):
            build_indices(orders_at(tmp_path / name), config=replace(CONFIG, workers=first), progress=stop)
        build_indices(orders_at(tmp_path / name), config=replace(CONFIG, workers=second))
        assert contents(tmp_path / name) == whole


def test_ranks_let_each_other_in_and_keep_others_out(tmp_path: Path):
    shared = build_lock(tmp_path, shared=True), build_lock(tmp_path, shared=True)
    with shared[0], shared[1], pytest.raises(BusyIndexError), build_lock(tmp_path):
        pass
    assert not (tmp_path / LOCK).exists()
    with build_lock(tmp_path), pytest.raises(BusyIndexError), build_lock(tmp_path, shared=True):
        pass
    with build_lock(tmp_path, shared=True):
        with build_lock(tmp_path, shared=True):
            pass
        assert (tmp_path / LOCK).exists()  # the first still holds it
        with pytest.raises(BusyIndexError), build_lock(tmp_path):
            pass


def test_ranks_of_another_build_are_refused(tmp_path: Path):
    def stop(stage: str, done: int, total: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        build_indices(orders_at(tmp_path), config=replace(CONFIG, workers=Ranks(rank=0, world=2)), progress=stop)
    with pytest.raises(ForeignIndexError, match=r"unfinished\) holds an index made from another corpus"):
        build_indices(orders_at(tmp_path, n_seqs=50), config=replace(CONFIG, workers=Ranks(rank=1, world=2)))


def test_ranks_with_other_versions_are_refused(tmp_path: Path):
    def stop(stage: str, done: int, total: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        build_indices(orders_at(tmp_path), config=replace(CONFIG, workers=Ranks(rank=0, world=2)), progress=stop)
    path = tmp_path / "0" / PLAN
    plan = json.loads(path.read_text())
    plan["versions"]["numpy"] = "1.0"
    path.write_text(json.dumps(plan))
    with pytest.raises(InputError, match=r"was begun with numpy 1\.0 \(here .*\): all that build an index"):
        alone(tmp_path, 1, 2, 60)


def test_an_index_in_memory_is_built_by_one_process():
    order = orders_at(None)[0]
    with pytest.raises(InputError, match=r"an index in memory is built by one process.*give a directory"):
        build_index(order.source, config=replace(CONFIG, workers=Ranks(rank=0, world=2)))


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"rank": 2, "world": 2}, "Ranks.rank is 2 of 2: ranks are numbered from 0 to world - 1"),
        ({"rank": -1, "world": 2}, "Ranks.rank is -1"),
        ({"rank": 0, "world": 1, "stall": 0}, "Ranks.stall is 0 .*expected seconds above 0"),
    ],
)
def test_ranks_that_make_no_sense(given, words):
    with pytest.raises(InputError, match=words):
        Ranks(**given)


# what others do between any two looks


class Meanwhile:
    """Lets others build whenever a rank has looked or written so many times.

    Args:
        after: how many times.
        whole: whether they finish; or are stopped when they have begun.
    """

    def __init__(self, after: int, *, whole: bool) -> None:
        self.left, self.whole, self.thread = after, whole, threading.get_ident()
        self.came = False

    def look(self, build: Callable[[Ranks, Progress | None], object]) -> None:
        if threading.get_ident() != self.thread or self.came:
            return
        self.left -= 1
        if self.left < 0:
            self.came = True
            with suppress(KeyboardInterrupt):
                build(Ranks(rank=0, world=1), None if self.whole else stop)


def stop(stage: str, done: int, total: int) -> None:
    if stage == "index" and done:
        raise KeyboardInterrupt


def small(out: Path | str, workers: Ranks | None = None, progress: Progress | None = None) -> Index:
    source = source_of(some_corpus(20))
    return build_index(source, out, config=replace(SMALL, workers=workers), progress=progress)


def looked(out: Path | str, meanwhile: Meanwhile, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every look and every write of a rank of a directory, or of a shelf, gives way to others."""
    give_way = partial(meanwhile.look, partial(small, out))
    if isinstance(out, str):
        monkeypatch.setattr(Shelf, "before", staticmethod(lambda kind, path: give_way()))
        return
    for name in ("exists", "json", "arrays", "table", "lock", "require_empty", "delete", "_write", "beat"):
        monkeypatch.setattr(SharedDirectoryStore, name, after_that(give_way, getattr(SharedDirectoryStore, name)))


def after_that(give_way: Callable[[], None], method: Callable[..., object]) -> Callable[..., object]:
    def called(*given, **options):
        give_way()
        return method(*given, **options)

    return called


def built_while(place: Path, after: int, monkeypatch: pytest.MonkeyPatch, *, whole: bool, at_address: bool) -> bool:
    """Build as one of two ranks; whether others came."""
    out = f"{bucket(place)}/index" if at_address else place / "index"
    meanwhile = Meanwhile(after, whole=whole)
    with monkeypatch.context() as patch:
        patch.setattr(Shelf, "account", Account())
        looked(out, meanwhile, patch)
        index = small(out, Ranks(rank=1, world=2, stall=0.05))
    found = contents(place / "index")
    small(place / "alone")
    assert found == contents(place / "alone")
    assert same(index, Index.open(place / "alone"))
    return meanwhile.came


@pytest.mark.parametrize("at_address", [False, True], ids=["directory", "address"])
@pytest.mark.parametrize("whole", [False, True], ids=["begin", "finish"])
@pytest.mark.parametrize("after", [0, 4, 9, 14])
def test_others_come_while_a_rank_looks_what_is_there(tmp_path: Path, monkeypatch, after, whole, at_address):
    assert built_while(tmp_path, after, monkeypatch, whole=whole, at_address=at_address)


@pytest.mark.slow
@pytest.mark.parametrize("at_address", [False, True], ids=["directory", "address"])
@pytest.mark.parametrize("whole", [False, True], ids=["begin", "finish"])
def test_others_come_between_any_two_looks_of_a_rank(tmp_path: Path, monkeypatch, whole, at_address):
    after, dice = 0, random.Random(0)
    while built_while(tmp_path / str(after), after, monkeypatch, whole=whole, at_address=at_address):
        after += 1 if after < 20 else dice.randint(5, 40)
    assert after > 100


# processes of their own


@pytest.mark.ray
def test_four_ranks_leave_what_one_process_leaves(tmp_path: Path, whole):
    ranks = [rank_process(tmp_path, rank, 4, model=SlowModel(0.02)) for rank in range(4)]
    for process in ranks:
        process.join(120)
    assert [process.exitcode for process in ranks] == [0] * 4
    assert contents(tmp_path) == whole


@pytest.mark.ray
def test_four_ranks_of_which_one_is_killed_are_done_by_the_other_three(tmp_path: Path, whole):
    death = tmp_path / "death"
    death.touch()
    out = tmp_path / "out"
    ranks = [rank_process(out, r, 4, stall=3, model=SlowModel(0.05, str(death) if r == 2 else "")) for r in range(4)]
    for process in ranks:
        process.join(120)
    assert [process.exitcode for process in ranks] == [0, 0, -9, 0]
    assert contents(out) == whole


@pytest.mark.ray
def test_four_ranks_of_which_one_is_killed_and_started_again(tmp_path: Path, whole):
    death = tmp_path / "death"
    death.touch()
    out = tmp_path / "out"
    ranks = [rank_process(out, r, 4, stall=300, model=SlowModel(0.05, str(death) if r == 2 else "")) for r in range(4)]
    ranks[2].join(120)
    assert ranks[2].exitcode == -9
    time.sleep(1)
    ranks[2] = rank_process(out, 2, 4, stall=300, model=SlowModel(0.05))
    for process in ranks:
        process.join(120)
    assert [process.exitcode for process in ranks] == [0] * 4
    assert contents(out) == whole


@pytest.mark.ray
def test_all_ranks_killed_and_others_started_in_another_number(tmp_path: Path, whole):
    out = tmp_path / "out"
    ranks = [rank_process(out, rank, 4, model=SlowModel(0.05)) for rank in range(4)]
    while not list(out.glob("*/build/shard-*")):
        time.sleep(0.05)
    for process in ranks:
        process.kill()
        process.join()
    ranks = [rank_process(out, rank, 2, model=SlowModel(0.01)) for rank in range(2)]
    for process in ranks:
        process.join(120)
    assert [process.exitcode for process in ranks] == [0] * 2
    assert contents(out) == whole
