"""Processes that build indices together, and ways to hurt them."""

from __future__ import annotations

import multiprocessing
import os
import signal
import time
from dataclasses import replace
from multiprocessing.process import BaseProcess
from pathlib import Path

import torch

from sae_vis.config import IndexConfig, Ranks, RayWorkers
from sae_vis.corpus.tokens import Corpus
from sae_vis.index import neurons
from sae_vis.index.build import Order, Source, build_indices
from sae_vis.index.remote import below
from tests.fixtures import object_shelf  # noqa: F401  workers know its addresses
from tests.index.test_build import some_corpus
from tests.whole_numbers import WholeModel, WholeSae

CONFIG = IndexConfig(
    batch_tokens=40, shard_tokens=60, part_firings=400, block_bytes=1 << 16, neuron_correlations="always"
)
N_SEQS = 120
RANGE = 200
"""Tokens whose sums over neurons are made together."""


class SlowModel(WholeModel):
    """Takes its time with each batch; where a file of that name is there, the process that works on it dies, once.

    Args:
        seconds: of a batch.
        death: path of that file; it is taken away by whoever dies of it.
    """

    def __init__(self, seconds: float = 0.0, death: str = "") -> None:
        super().__init__()
        self.seconds, self.death = seconds, death

    def activations(self, tokens, hook):
        time.sleep(self.seconds)
        if self.death:
            try:
                Path(self.death).unlink()
            except FileNotFoundError:
                pass
            else:
                os.kill(os.getpid(), signal.SIGKILL)
        return super().activations(tokens, hook)


def corpus_of(n_seqs: int = N_SEQS) -> Corpus:
    return some_corpus(n_seqs)


def orders_at(out: Path | str | None, model: WholeModel | None = None, n_seqs: int = N_SEQS) -> list[Order]:
    """Two dictionaries that share the passes of one model."""
    corpus, model = corpus_of(n_seqs), model or SlowModel()
    made = []
    for seed in range(2):
        sae = WholeSae(seed=seed, d_sae=9 + 5 * seed)
        source = Source(corpus=corpus, model=model, sae=sae, hook=model.hook_point("here"))
        made.append(Order(source=source, out=None if out is None else below(out, str(seed))))
    return made


def built(out: Path | str | None, workers: Ranks | RayWorkers | None = None, model: WholeModel | None = None) -> None:
    """Build both."""
    neurons.RANGE, neurons.CHUNK = RANGE, 64
    torch.set_num_threads(1)
    build_indices(orders_at(out, model), config=replace(CONFIG, workers=workers))


def rank_process(
    out: Path | str, rank: int, world: int, *, stall: float = 60.0, model: SlowModel | None = None
) -> BaseProcess:
    """A rank, in a process of its own."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["tests.index.workers"])
    process = context.Process(target=built, args=(out, Ranks(rank=rank, world=world, stall=stall), model))
    process.start()
    return process


def process_of(out: Path | str, model: SlowModel | None = None) -> BaseProcess:
    """A build that is not shared, in a process of its own."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["tests.index.workers"])
    process = context.Process(target=built, args=(out, None, model))
    process.start()
    return process


def contents(root: Path) -> dict[str, bytes]:
    """Every file of finished indices."""
    return {str(path.relative_to(root)): path.read_bytes() for path in sorted(root.rglob("*")) if path.is_file()}
