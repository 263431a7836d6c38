"""Units of work may be done by anybody, in any order within a phase, twice at once, and be cut off at any write."""

from __future__ import annotations

import random
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sae_vis.config import IndexConfig
from sae_vis.corpus.mask import MaskConfig
from sae_vis.corpus.tokens import Corpus
from sae_vis.errors import DamagedIndexError, ForeignIndexError
from sae_vis.index import neurons
from sae_vis.index.build import Source, build_index, planned
from sae_vis.index.build_files import PLAN, WORK
from sae_vis.index.executors import Executor, InProcess, perform
from sae_vis.index.index import Index
from sae_vis.index.memory_store import MemoryStore
from sae_vis.index.plan import Plan
from sae_vis.index.units import IndexUnits
from sae_vis.index.work import Phase, Work
from tests.index.test_build import same, some_corpus
from tests.whole_numbers import WholeModel, WholeSae

CONFIG = IndexConfig(
    batch_tokens=20,
    shard_tokens=25,
    part_firings=60,
    block_bytes=1 << 16,
    neuron_correlations="always",
)


class Killed(BaseException):
    """Whoever worked is gone, in mid-air."""


class WatchedStore(MemoryStore):
    """Copies what it is given, as a disk does; says when something is about to be written, and that it is the same."""

    def __init__(self) -> None:
        super().__init__()
        self.stored: dict[str, object] = {}
        self.about_to_write: Callable[[], None] = lambda: None

    def write_arrays(self, name, arrays):
        self.about_to_write()
        copied = {key: np.array(array) for key, array in arrays.items()}
        if self.exists(name):
            before = self.arrays(name)
            assert before.keys() == copied.keys()
            assert all(np.array_equal(before[key], copied[key]) for key in copied), name
        super().write_arrays(name, copied)

    def write_table(self, name, table, *, group_rows=None):
        self.about_to_write()
        assert not self.exists(name) or self.table(name).equals(table), name
        super().write_table(name, table)

    def _present(self, name):
        if not self.exists(name):
            raise DamagedIndexError(f"{name} is missing")

    def arrays(self, name):
        self._present(name)
        return super().arrays(name)

    def table(self, name, columns=None):
        self._present(name)
        return super().table(name, columns)

    def json(self, name):
        self._present(name)
        return super().json(name)

    def names(self) -> set[str]:
        return set(self._held)


@pytest.fixture(autouse=True)
def small_ranges(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(neurons, "RANGE", 70)
    monkeypatch.setattr(neurons, "CHUNK", 16)


def sources(corpus: Corpus, n: int) -> list[Source]:
    model = WholeModel()
    return [
        Source(corpus=corpus, model=model, sae=WholeSae(seed=seed, d_sae=9 + 5 * seed), hook=model.hook_point("here"))
        for seed in range(n)
    ]


def begun(given_sources: list[Source], config: IndexConfig) -> list[WatchedStore]:
    stores = [WatchedStore() for _ in given_sources]
    for source, store in zip(given_sources, stores, strict=True):
        store.stored = planned(store, source, config, source.provenance(config))
    return stores


def worker(given_sources: list[Source], stores: list[WatchedStore], config: IndexConfig) -> Work:
    """Somebody who knows nothing but the plan and the files."""
    pairs = zip(given_sources, stores, strict=True)
    return Work([IndexUnits(source, config, (), store, store.stored) for source, store in pairs])


class Chaos(Executor):
    """Any worker, any order; units are cut off, done twice, and done by another while one is at them."""

    def __init__(self, anew: Callable[[], Work], stores: list[WatchedStore], dice: random.Random) -> None:
        self.anew, self.stores, self.dice = anew, stores, dice
        self.kills = self.overtaken = 0

    def run(self, work: Work, phase: Phase, progress) -> None:
        n_units = len(work.edges(phase)) - 1
        units = list(range(n_units)) * self.dice.choice([1, 2])
        self.dice.shuffle(units)
        while units:
            unit = units.pop()
            if self.cut_off(phase, unit):
                units.insert(self.dice.randint(0, len(units)), unit)
        assert work.sealed(phase) or all(work.done(phase, unit) for unit in range(n_units))

    def cut_off(self, phase: Phase, unit: int) -> bool:
        """Do a unit; at some write kill the worker, or let another one do all of the unit before it goes on."""
        left, what = self.dice.randint(0, 6), self.dice.choice(["", "kill", "overtake"])
        if phase.step == "seal" and self.stores[phase.which[0]].exists("manifest.json"):
            return False

        def at_write() -> None:
            nonlocal left
            left -= 1
            if left != 0 or not what:
                return
            if what == "kill":
                self.kills += 1
                raise Killed
            self.overtaken += 1
            self.anew().do(phase, unit, lambda reached: None)

        for store in self.stores:
            store.about_to_write = at_write
        try:
            self.anew().do(phase, unit, lambda reached: None)
        except Killed:
            return True
        except DamagedIndexError:  # a slow worker after whose unit others have sealed
            assert phase.step == "seal"
            assert self.stores[phase.which[0]].exists("manifest.json")
        finally:
            for store in self.stores:
                store.about_to_write = lambda: None
        return False


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    lengths=st.lists(st.integers(1, 25), min_size=1, max_size=25),
    n_indices=st.integers(1, 2),
    acts_dtype=st.sampled_from(["float32", "bfloat16"]),
    codes=st.booleans(),
    seed=st.integers(0, 1 << 20),
)
def test_any_order_duplication_and_kill_gives_the_same_index(lengths, n_indices, acts_dtype, codes, seed):
    dice = random.Random(seed)
    tokens = np.random.default_rng(seed).integers(0, 12, sum(lengths)).astype(np.int32)
    offsets = np.cumsum([0, *lengths]).astype(np.int64)
    corpus = Corpus(tokens=tokens, offsets=offsets, documents=offsets, mask=MaskConfig())
    config = IndexConfig(
        **{name: getattr(CONFIG, name) for name in ("batch_tokens", "shard_tokens", "part_firings", "block_bytes")},
        neuron_correlations=dice.choice(["always", "never"]),
        acts_dtype=acts_dtype,
        codes=codes,
    )
    given_sources = sources(corpus, n_indices)
    stores = begun(given_sources, config)
    chaos = Chaos(lambda: worker(given_sources, stores, config), stores, dice)
    for phase in worker(given_sources, stores, config).phases():
        chaos.run(worker(given_sources, stores, config), phase, None)
    for source, store in zip(given_sources, stores, strict=True):
        store.delete(WORK)
        whole = build_index(source, config=config)
        assert same(whole, Index(store))
        assert store.names() == set(whole._store._held)
        assert all(store.record(name) == whole._store.record(name) for name in store.names() - {"manifest.json"})


def test_the_law_above_kills_and_overtakes():
    corpus, counted = some_corpus(30), []
    for seed in range(5):
        given_sources = sources(corpus, 1)
        stores = begun(given_sources, CONFIG)

        def anew(given_sources=given_sources, stores=stores) -> Work:
            return worker(given_sources, stores, CONFIG)

        chaos = Chaos(anew, stores, random.Random(seed))
        for phase in anew().phases():
            chaos.run(anew(), phase, None)
        counted.append((chaos.kills, chaos.overtaken))
    assert min(min(pair) for pair in counted) > 0
    assert min(map(sum, zip(*counted, strict=True))) > 20


def test_sums_of_ranges_are_those_of_one_pass_to_the_last_bit(monkeypatch: pytest.MonkeyPatch):
    """Whoever does which range, and in whatever order."""
    generator = np.random.default_rng(0)
    source = sources(some_corpus(60), 1)[0]
    source.model.table[:] = source.model.table + source.model.table.new_tensor(generator.normal(size=(12, 6)))
    one_go = build_index(source, config=CONFIG)
    stores = begun([source], CONFIG)
    work = worker([source], stores, CONFIG)
    for phase in work.phases():
        units = list(range(len(work.edges(phase)) - 1))
        if phase.step == "index":
            assert len(units) > 5
        for unit in reversed(units):
            worker([source], stores, CONFIG).do(phase, unit, lambda reached: None)
    assert same(one_go, Index(stores[0]))


def test_what_sums_went_into_is_deleted():
    source = sources(some_corpus(60), 1)[0]
    stores = begun([source], CONFIG)
    work, most = worker([source], stores, CONFIG), 0
    for phase in work.phases():
        for unit in range(len(work.edges(phase)) - 1):
            work.do(phase, unit, lambda reached: None)
            if phase.step == "index":
                most = max(most, sum("neurons" in name for name in stores[0].names()))
    assert most == 1


def test_runs_end_where_ranges_do():
    corpus = some_corpus(40, 9)
    source = sources(corpus, 1)[0]
    store = begun([source], CONFIG)[0]
    plan = Plan.of(store.stored, corpus.offsets)
    starts = [int(corpus.offsets[plan.runs[first][0]]) for first, _ in plan.ranges]
    assert plan.runs[0][0] == 0
    assert plan.runs[-1][1] == corpus.n_seqs
    assert all(a[1] == b[0] for a, b in zip(plan.runs, plan.runs[1:], strict=False))
    assert len({start // 70 for start in starts}) == len(starts) > 4
    for first, stop in plan.ranges:
        positions = [int(corpus.offsets[seq]) // 70 for run in plan.runs[first:stop] for seq in range(*run)]
        assert len(set(positions)) == 1


def test_the_stored_plan_is_followed_whatever_is_asked_for_now(monkeypatch: pytest.MonkeyPatch):
    source = sources(some_corpus(40), 1)[0]
    stores = begun([source], CONFIG)
    before = stores[0].stored
    monkeypatch.setattr(neurons, "RANGE", 1000)
    other = IndexConfig(shard_tokens=100, part_firings=1, neuron_correlations="always")
    assert planned(stores[0], source, other, source.provenance(other)) == before


def test_a_build_that_an_earlier_version_began_is_refused():
    source = sources(some_corpus(10), 1)[0]
    store = begun([source], CONFIG)[0]
    plan = store.json(PLAN)
    del plan["range_tokens"]
    store.write_json(PLAN, plan)
    with pytest.raises(ForeignIndexError, match=r"an earlier version of sae_vis began.*or delete the directory"):
        planned(store, source, CONFIG, source.provenance(CONFIG))


def test_progress_goes_up_to_the_end_of_each_step_once():
    source = sources(some_corpus(30), 1)[0]
    stores = begun([source], CONFIG)
    told: list[tuple[str, int, int]] = []
    perform(worker([source], stores, CONFIG), InProcess(), lambda *what: told.append(what))
    assert list(dict.fromkeys(step for step, _, _ in told)) == ["index", "count", "sort", "tables"]
    for step in ("index", "count", "sort", "tables"):
        own = [(done, total) for name, done, total in told if name == step]
        assert own == sorted(own)
        assert [done for done, total in own].count(own[-1][1]) == 1
