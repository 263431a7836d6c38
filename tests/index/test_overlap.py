"""Batches on a device that works by itself: the same index, one look a batch, and that at the batch before.

There is no such device here, so the CPU is pretended to be one: every step but the pinned memory and the side stream of
`OnTheirWay` is the one that a GPU's batches take.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import Tensor
from torch._subclasses.fake_tensor import FakeTensorMode

from sae_vis.config import IndexConfig
from sae_vis.corpus.mask import MaskConfig
from sae_vis.corpus.tokens import Corpus
from sae_vis.errors import IndexFileError, InputError
from sae_vis.index import shards, work
from sae_vis.index.behind import Behind
from sae_vis.index.build import Order, Source, build_index, build_indices
from sae_vis.index.shards import coded_batches
from sae_vis.index.units import IndexUnits
from sae_vis.index.work import Work
from sae_vis.models.loading import load_model
from sae_vis.models.transfers import OnTheirWay, to_device
from sae_vis.saes import linear
from sae_vis.saes.activations import JumpReLU
from sae_vis.saes.linear import SparseAutoencoder
from sae_vis.saes.tensors import TensorOptions, from_tensors
from tests.index.test_build import same
from tests.tiny_models import build

SITE = "blocks.1.hook_resid_post"
TOKENS = torch.randint(1, 31, (24, 16), generator=torch.Generator().manual_seed(2))
SMALL = IndexConfig(batch_tokens=48, shard_tokens=130)


def sae_of(seed: int = 0, dtype: torch.dtype = torch.float32, **more: object) -> SparseAutoencoder:
    dice = torch.Generator().manual_seed(seed)
    tensors = {"W_enc": torch.randn(12, 400, generator=dice), "W_dec": torch.randn(400, 12, generator=dice)}
    tensors |= {"b_enc": torch.full((400,), -9.0), **more}
    made = from_tensors(tensors, TensorOptions(hook_name=SITE, dtype=dtype))
    assert isinstance(made, SparseAutoencoder)
    return made


def source_of(sae: SparseAutoencoder, dtype: torch.dtype = torch.float32, mask: MaskConfig | None = None) -> Source:
    model = load_model(build("llama").to(dtype))
    return Source(corpus=Corpus.from_tokens(TOKENS, mask), model=model, sae=sae, hook=model.hook_point(SITE))


class Watched(OnTheirWay):
    """Notes when copies are begun and when they are waited for."""

    seen: list[str]

    def __init__(self, tensors: list[Tensor]) -> None:
        super().__init__(tensors)
        self.number = sum(one.startswith("begun") for one in self.seen)
        self.seen.append(f"begun {self.number}")

    def arrived(self) -> list[Tensor]:
        self.seen.append(f"arrived {self.number}")
        return super().arrived()


@pytest.fixture
def device(monkeypatch) -> Iterator[list[str]]:
    """The CPU stands for a device that works by itself; what is copied from it, and when."""
    monkeypatch.setattr(shards, "ASYNCHRONOUS", {"cpu"})
    monkeypatch.setattr(shards, "OnTheirWay", Watched)
    Watched.seen = []
    yield Watched.seen
    shards._ROOMS.clear()


@pytest.mark.parametrize("mask", [None, MaskConfig(bos_id=3, seqpos_slice=(1, None))], ids=["all", "masked"])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=str)
@pytest.mark.parametrize("kind", [{}, {"k": 4}, {"threshold": torch.full((400,), 0.5)}], ids=["relu", "topk", "jump"])
def test_the_index_is_the_ordinary_one(kind, dtype, mask, device, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr(shards, "ASYNCHRONOUS", set())
        expected = build_index(source_of(sae_of(dtype=dtype, **kind), dtype, mask), config=SMALL)
    assert not device
    found = build_index(source_of(sae_of(dtype=dtype, **kind), dtype, mask), config=SMALL)
    assert same(found, expected)
    assert expected.column("n_firings").sum() > 300
    assert len(device) == 2 * 9  # nine batches: each was begun, and waited for once


def test_the_host_looks_at_a_batch_once_the_next_is_begun(device):
    source = source_of(sae_of())
    batches = list(coded_batches(source.corpus, source.model, source.sae, source.hook, [(0, 3), (3, 9), (9, 24)]))
    assert device == ["begun 0", "begun 1", "arrived 0", "begun 2", "arrived 1", "arrived 2"]
    positions = np.concatenate([batch.positions for batch in batches])
    assert positions.tolist() == list(range(24 * 16))


def test_shards_are_written_while_the_next_are_made(device, tmp_path, monkeypatch):
    """Every shard is held back until the next one is begun; the last ones until no more come."""
    begun, written, put = [], [], IndexUnits.put
    most = threading.Semaphore(0)
    batches = Work._index

    def index(self, phase, unit, note):
        begun.append(unit)
        most.release()
        batches(self, phase, unit, note)

    def wait_and_put(self, run, *more):
        most.acquire(timeout=60)
        put(self, run, *more)
        written.append((run, len(begun), threading.current_thread() is threading.main_thread()))

    monkeypatch.setattr(Work, "_index", index)
    monkeypatch.setattr(IndexUnits, "put", wait_and_put)
    monkeypatch.setattr(work.os, "cpu_count", lambda: 8)
    most.acquire(blocking=False)
    source = source_of(sae_of())
    found = build_index(source, tmp_path / "index", config=SMALL)
    assert sorted(run for run, _, _ in written) == [0, 1, 2]
    assert not any(in_main for _, _, in_main in written)
    monkeypatch.setattr(shards, "ASYNCHRONOUS", set())
    written.clear()
    assert same(found, build_index(source_of(sae_of()), config=SMALL))
    assert all(in_main for _, _, in_main in written)


def test_what_goes_wrong_in_writing_ends_the_build(device, tmp_path, monkeypatch):
    """And what was written before is gone on with."""
    put = IndexUnits.put

    def refuse(self, run, *more):
        if run == 1:
            raise IndexFileError("the disk is full")
        put(self, run, *more)

    source = source_of(sae_of())
    with monkeypatch.context() as patch:
        patch.setattr(IndexUnits, "put", refuse)
        with pytest.raises(IndexFileError, match="the disk is full"):
            build_index(source, tmp_path / "index", config=SMALL)
    assert not (tmp_path / "index" / "build" / "shard-00001.safetensors").exists()
    left = tmp_path / "index" / "codes" / ".writing-1234" / "part-00001.parquet"  # by a thread that was killed
    left.parent.mkdir()
    left.touch()
    assert same(build_index(source, tmp_path / "index", config=SMALL), build_index(source, config=SMALL))
    assert not left.parent.exists()


def test_sums_over_neurons_go_from_shard_to_shard(device):
    config = replace(SMALL, neuron_correlations="always")
    found = build_index(source_of(sae_of()), config=config)
    shards.ASYNCHRONOUS.clear()
    assert same(found, build_index(source_of(sae_of()), config=config))


def test_calls_in_threads():
    """As many at a time as there are threads; the first error comes to the caller, and all have ended then."""
    running, most, lock = [0], [0], threading.Lock()

    def call() -> None:
        with lock:
            running[0] += 1
            most[0] = max(most[0], running[0])
        time.sleep(0.01)
        with lock:
            running[0] -= 1

    def fail() -> None:
        raise InputError("no")

    def give(threads: int, *calls: Callable[[], object]) -> None:
        with Behind(threads) as behind:
            for one in calls:
                behind.do(one)

    def err() -> None:
        with Behind(2) as behind:
            behind.do(fail)
            raise KeyError

    give(3, *[call] * 12)
    assert (running[0], most[0] <= 3) == (0, True)
    with pytest.raises(InputError, match="no"):
        give(2, fail, call)
    assert running[0] == 0
    with pytest.raises(InputError, match="no"):
        give(1, fail, fail, fail)
    with pytest.raises(KeyError):  # what the caller does wrong comes first
        err()


def test_several_dictionaries_of_one_pass(device):
    sources = [source_of(sae_of(seed)) for seed in (0, 1)]
    shared = [Source(corpus=sources[0].corpus, model=sources[0].model, sae=s.sae, hook=s.hook) for s in sources]
    found = build_indices([Order(source=source) for source in shared], config=SMALL)
    for one, source in zip(found, shared, strict=True):
        assert same(one, build_index(source, config=SMALL))


def test_where_slots_run_out_the_batch_is_encoded_again(device, monkeypatch):
    monkeypatch.setattr(shards, "_FIRST_ROOM", 1)
    sae, again = sae_of(), []
    plain = type(sae).encode
    monkeypatch.setattr(type(sae), "encode", lambda self, x: again.append(len(x)) or plain(self, x))
    found = build_index(source_of(sae), config=SMALL)
    assert 1 <= len(again) <= 2  # the first batch says how many there are
    monkeypatch.setattr(shards, "ASYNCHRONOUS", set())
    assert same(found, build_index(source_of(sae_of()), config=SMALL))


def test_an_activation_that_is_no_number_is_named(device):
    """In the last batch and in one before it; both are looked at one batch later."""
    for row, place in ((7, 5), (23, 15)):
        source = source_of(sae_of())
        tokens = TOKENS.clone()
        tokens[row, place] = 0  # no other token has this id
        with torch.no_grad():
            source.model.model.get_input_embeddings().weight[0] = torch.nan
        damaged = Source(corpus=Corpus.from_tokens(tokens), model=source.model, sae=source.sae, hook=source.hook)
        with pytest.raises(InputError, match=f"activations of the model are NaN or infinite at sequence {row}, posi.*"):
            build_index(damaged, config=SMALL)


def test_a_sum_that_overflows_is_no_number_that_is_not(device):
    x = torch.full((8, 12), 3e38)  # finite, and their sum is not
    batch = Corpus.from_tokens(TOKENS[:1, :8]).batch(0, 1)
    sae = sae_of(W_enc=torch.zeros(12, 400), b_enc=torch.zeros(400))
    coded = shards._begun(Corpus.from_tokens(TOKENS), batch, sae, x[None]).coded()
    assert len(coded.codes.features) == 0


def test_overflow_within_the_dictionary_is_named(device):
    sae = sae_of(W_enc=torch.full((12, 400), 3e38), b_enc=torch.zeros(400))
    with pytest.raises(InputError, match="activations of the SAE are NaN or infinite at sequence"):
        build_index(source_of(sae), config=SMALL)


@pytest.mark.parametrize("mask", [None, MaskConfig(seqpos_slice=(1, None))], ids=["all", "masked"])
def test_beginning_a_batch_asks_a_gpu_for_nothing(mask, monkeypatch):
    """On a pretended CUDA device, where every number that the host would have to wait for is an error."""
    copied: list[Tensor] = []

    class Noted:
        def __init__(self, tensors: list[Tensor]) -> None:
            copied.extend(tensors)

    mode = FakeTensorMode()
    monkeypatch.setattr(shards, "OnTheirWay", Noted)
    monkeypatch.setattr(linear, "has_static_selection", lambda device: True)

    def pretended(tensor: Tensor, device: torch.device) -> Tensor:
        with mode:
            return torch.zeros(tensor.shape, dtype=tensor.dtype, device=device)

    monkeypatch.setattr(shards, "to_device", pretended)
    corpus, sae = Corpus.from_tokens(TOKENS, mask), sae_of()
    pack = sae.pack
    with mode:
        weights = torch.zeros(12, 400, device="cuda"), torch.zeros(400, device="cuda")
        acts = torch.zeros(24, 16, 12, device="cuda", dtype=torch.bfloat16)
    vars(sae).update(_W_enc=weights[0], _b_enc=weights[1], _after=weights[1], _activation=JumpReLU(weights[1]))

    def packed(x: Tensor, room: int) -> object:
        with mode:
            return pack(x, room)

    monkeypatch.setattr(sae, "pack", packed)
    begun = shards._begun(corpus, corpus.batch(0, 24), sae, acts)
    assert begun.arriving is not None
    assert {tensor.device.type for tensor in copied} == {"cuda"}
    assert len(copied[0]) == corpus.n_counted


def test_without_a_gpu_copies_are_plain():
    x = torch.arange(5)
    assert to_device(x, torch.device("cpu")) is x
    assert OnTheirWay([x, x + 1]).arrived()[1].tolist() == [1, 2, 3, 4, 5]
