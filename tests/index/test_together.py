"""Indices of several dictionaries are those of each by itself, and one model is run once for all of them."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from sae_vis.api import ModelAndSae, index_features, index_several
from sae_vis.config import IndexConfig
from sae_vis.corpus.tokens import Corpus
from sae_vis.demo import run as demo
from sae_vis.index.build import Order, Source, build_index, build_indices
from sae_vis.index.index import Index
from tests.index.test_build import same, some_corpus
from tests.whole_numbers import WholeModel, WholeSae

CONFIG = IndexConfig(batch_tokens=20, shard_tokens=50, neuron_correlations="always")


def sources(model: WholeModel, corpus: Corpus, hooks: tuple[str, ...] = ("here", "here")) -> list[Source]:
    saes = [WholeSae(seed=seed, d_sae=9 + 5 * seed) for seed in range(len(hooks))]
    return [
        Source(corpus=corpus, model=model, sae=sae, hook=model.hook_point(hook))
        for sae, hook in zip(saes, hooks, strict=True)
    ]


@pytest.mark.parametrize("on_disk", [False, True])
def test_each_is_what_it_is_by_itself(on_disk, tmp_path: Path):
    corpus, model = some_corpus(30), WholeModel()
    given = sources(model, corpus)
    orders = [Order(source=source, out=tmp_path / str(i) if on_disk else None) for i, source in enumerate(given)]
    found = build_indices(orders, config=CONFIG)
    assert model.tokens_seen == corpus.n_tokens
    assert all(same(index, build_index(source, config=CONFIG)) for index, source in zip(found, given, strict=True))
    if on_disk:
        assert all(same(index, Index.open(tmp_path / str(i))) for i, index in enumerate(found))


def test_one_that_is_finished_is_not_read_again(tmp_path: Path):
    corpus, model = some_corpus(30), WholeModel()
    orders = [Order(source=source, out=tmp_path / str(i)) for i, source in enumerate(sources(model, corpus))]
    build_index(orders[0].source, orders[0].out, config=CONFIG)
    build_indices(orders, config=CONFIG)
    assert model.tokens_seen == 2 * corpus.n_tokens
    build_indices(orders, config=CONFIG)
    assert model.tokens_seen == 2 * corpus.n_tokens


def test_a_build_that_was_stopped_goes_on_though_its_fellow_had_got_further(tmp_path: Path):
    corpus, model = some_corpus(30), WholeModel()
    given = sources(model, corpus)
    orders = [Order(source=source, out=tmp_path / str(i)) for i, source in enumerate(given)]

    def stop_at(tokens: int):
        def note(stage: str, done: int, total: int) -> None:
            if stage == "index" and done >= tokens:
                raise KeyboardInterrupt

        return note

    for orders_now, tokens in ((orders, 120), (orders[:1], 220)):
        with pytest.raises(KeyboardInterrupt):
            build_indices(orders_now, config=CONFIG, progress=stop_at(tokens))
    found = build_indices(orders, config=CONFIG)
    assert all(same(index, build_index(source, config=CONFIG)) for index, source in zip(found, given, strict=True))


def test_other_models_and_corpora_are_read_for_themselves():
    corpus, models = some_corpus(8), (WholeModel(), WholeModel(seed=1))
    other = some_corpus(9)
    given = [sources(models[0], corpus)[0], sources(models[1], corpus)[1], sources(models[0], other)[1]]
    found = build_indices([Order(source=source) for source in given])
    assert [model.tokens_seen for model in models] == [corpus.n_tokens + other.n_tokens, corpus.n_tokens]
    assert all(same(index, build_index(source)) for index, source in zip(found, given, strict=True))


def test_two_hook_points_of_a_real_model_are_read_in_one_pass():
    corpus, _ = demo.demo_corpus()
    corpus = Corpus.from_tokens(corpus.tokens[: 128 * 8].reshape(8, 128))
    parts = [demo.demo_parts(demo.RESID), demo.demo_parts(demo.MLP)]
    parts = [ModelAndSae(model=parts[0].model, sae=one.sae) for one in parts]
    passes = []
    embedding = parts[0].model.model.get_input_embeddings()
    # a pass of the corpus, not of the few tokens that find out how the model is put together
    handle = embedding.register_forward_hook(lambda _, args, __: passes.extend([1] if args[0].numel() >= 128 else []))
    with torch.no_grad():
        found = index_several(corpus, [(one, None) for one in parts], config=IndexConfig(batch_tokens=256))
    handle.remove()
    assert len(passes) == 4
    for one, index in zip(parts, found, strict=True):
        assert same(index, index_features(corpus, one, config=IndexConfig(batch_tokens=256)))
