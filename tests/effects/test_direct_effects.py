"""Direct effects, measured by editing the final residual and running the model's own norm and unembedding on it."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose
from torch import Tensor

from sae_vis.effects import rank_one
from sae_vis.effects.ablation import DirectEffects
from sae_vis.errors import InputError
from sae_vis.models.loading import load_model
from tests.effects.conftest import Bench, make_bench, tiny_sae
from tests.tiny_models import N_VOCAB, build

ARRAYS = ("loss", "logit", "prob_with", "prob_without", "top_changes", "bottom_changes")


def in_the_stream(bench: Bench, contributions: Tensor, positions: Tensor) -> Tensor:
    """What contributions at the hook are in the residual stream, each by the model's own modules: [n, d_model].

    Projections are linear up to their bias; a post-norm's divisor is held where the token has it.
    """
    written = contributions
    for path in bench.hook.onward:
        module = bench.model.model.get_submodule(path)
        if not path.endswith("norm"):
            written = module(written) - module(torch.zeros_like(written))
            continue
        y = bench.model.activations(bench.tokens[None], bench.model.hook_point(f"{path}:input"))[0, positions]
        gain_over_divisor = module(y) / y
        written = written * gain_over_divisor
    return written


@torch.no_grad()
def slow_logits(bench: Bench, residual: Tensor) -> Tensor:
    """The model's own final norm, unembedding and soft-capping."""
    final_norm = bench.model.model.get_submodule(bench.model.final_residual.module)
    logits = bench.model.model.get_output_embeddings()(final_norm(residual))
    cap = bench.model.model.config.get_text_config().to_dict().get("final_logit_softcapping")
    return logits if cap is None else cap * torch.tanh(logits / cap)


def slow(bench: Bench) -> tuple[Tensor, Tensor]:
    """Logits with and without each feature, [n, d_vocab]."""
    firing = bench.firing
    clean = bench.model.activations(bench.tokens[None], bench.model.final_residual)[0, firing.positions]
    with torch.no_grad():
        out = in_the_stream(bench, firing.contributions, firing.positions)
    return slow_logits(bench, clean), slow_logits(bench, clean - out)


def table_of(bench: Bench, n_changed: int = 4, **parts):
    effects = DirectEffects(bench.model, bench.sae, bench.hook)
    pairs = (bench.firing.positions, bench.firing.features, bench.firing.acts)
    return effects.at(effects.prepare(bench.tokens), *pairs, n_changed=n_changed, **parts)


def check_against_slow(bench: Bench) -> None:
    table = table_of(bench)
    with_, without = slow(bench)
    at = bench.firing.positions
    known = at < len(bench.tokens) - 1
    assert len(at) > 15
    assert 0 < int(known.sum()) < len(at)
    following = bench.tokens[at[known] + 1][:, None]
    logit = (with_ - without)[known].gather(1, following)[:, 0]
    with_, without = with_.log_softmax(1), without.log_softmax(1)
    loss_with, loss_without = (-lp[known].gather(1, following)[:, 0] for lp in (with_, without))
    assert_allclose(table.loss[known], loss_with - loss_without, atol=1e-4)
    assert float(np.abs(table.loss[known]).max()) > 0.01
    assert_allclose(table.logit[known], logit, atol=1e-4, rtol=1e-5)
    assert_allclose(table.prob_with[known], loss_with.neg().exp(), atol=1e-5)
    assert_allclose(table.prob_without[known], loss_without.neg().exp(), atol=1e-5)
    for name in ARRAYS[:4]:
        assert np.isnan(getattr(table, name)[~known]).all()
    change = with_ - without
    assert_allclose(table.top_changes, change.topk(4, 1).values, atol=1e-4)
    assert_allclose(table.bottom_changes, change.topk(4, 1, largest=False).values, atol=1e-4)
    assert_allclose(change.gather(1, torch.from_numpy(table.top_tokens)), table.top_changes, atol=1e-4)
    assert_allclose(change.gather(1, torch.from_numpy(table.bottom_tokens)), table.bottom_changes, atol=1e-4)


def test_equals_editing_the_final_residual(bench) -> None:
    check_against_slow(bench)


@pytest.mark.parametrize("site", ["blocks.1.hook_resid_post", "blocks.1.mlp.hook_post"])
def test_activations_below_zero(site) -> None:
    bench = make_bench("llama", site, every=11, signed=True)
    assert bench.firing.acts.min() < 0 < bench.firing.acts.max()
    check_against_slow(bench)


@pytest.mark.parametrize("normalize", ["constant_norm_rescale", "layer_norm"])
@pytest.mark.parametrize("site", ["blocks.1.hook_resid_post", "blocks.2.mlp.hook_post"])
def test_with_a_dictionary_that_normalises_its_input(normalize, site) -> None:
    check_against_slow(make_bench("llama", site, normalize=normalize))


@pytest.mark.parametrize("site", ["blocks.1.hook_resid_mid", "model.layers.1.mlp", "model.layers.2.self_attn"])
def test_at_places_before_post_norms_and_between_sublayers(site) -> None:
    check_against_slow(make_bench("gemma2", site))


def test_a_residual_far_larger_than_the_change_keeps_its_digits() -> None:
    """|x|² - 2a x·d + a²|d|² where x is nearly a d: nothing but what is left of x decides the new norm."""
    bench = make_bench("llama", "blocks.2.hook_resid_post", every=1)
    residual = bench.model.activations(bench.tokens[None], bench.hook)[0]
    sae = tiny_sae(bench.hook.d)
    sae.decoder[:9] = residual * 0.9999
    effects = DirectEffects(bench.model, sae, bench.hook)
    at = torch.arange(8)
    found = effects.losses_only(effects.prepare(bench.tokens), at, at, torch.ones(8))
    clean = residual[:8].double()
    double = bench._replace(model=load_model(build("llama").double()))
    logits = slow_logits(double, clean), slow_logits(double, clean - sae.decoder[:8].double())
    losses = [-part.log_softmax(1).gather(1, bench.tokens[1:, None])[:, 0] for part in logits]
    assert_allclose(found, losses[0] - losses[1], rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("kind", ["gptj", "llama"])
def test_logits_that_move_far_up_or_down(kind) -> None:
    """By hundreds: what is taken off the logits for all features of a position does not fit there."""
    bench = make_bench(kind, "blocks.2.hook_resid_post", every=2)
    model = bench.model.model
    with torch.no_grad():
        model.get_output_embeddings().weight *= 3000
    bench = bench._replace(model=load_model(model))
    with_, without = slow(bench)
    moved = without.amax(1) - with_.amax(1)
    assert float(moved.max()) > 100
    assert float(moved.min()) < -100
    known = bench.firing.positions < 8
    following = bench.tokens[bench.firing.positions[known] + 1][:, None]
    difference = (without.log_softmax(1) - with_.log_softmax(1))[known].gather(1, following)[:, 0]
    assert_allclose(table_of(bench).loss[known], difference, rtol=1e-4, atol=1e-5 * float(with_.abs().max()))


# Laws


@pytest.fixture(scope="module")
def some() -> Bench:
    return make_bench("gpt2", "blocks.1.hook_resid_post")


def test_no_activation_no_effect(bench) -> None:
    effects = DirectEffects(bench.model, bench.sae, bench.hook)
    at = torch.arange(8)
    table = effects.at(effects.prepare(bench.tokens), at, at, torch.zeros(8))
    assert (table.loss == 0).all()
    assert (table.logit == 0).all()
    assert (table.prob_with == table.prob_without).all()
    assert (table.top_changes == 0).all()


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 2**30), split=st.integers(0, 30))
def test_order_and_batching_of_pairs_change_nothing(some, seed, split) -> None:
    effects = DirectEffects(some.model, some.sae, some.hook)
    prepared = effects.prepare(some.tokens)
    whole = effects.at(prepared, *some.firing[:3])
    order = torch.randperm(len(some.firing.acts), generator=torch.Generator().manual_seed(seed))
    parts = [effects.at(prepared, *(c[part] for c in some.firing[:3])) for part in (order[:split], order[split:])]
    for name in ARRAYS:
        together = np.concatenate([getattr(part, name) for part in parts])
        assert_allclose(together, getattr(whole, name)[order], atol=2e-6, rtol=1e-5)


@pytest.mark.parametrize("rows", [2, 3, 7, 20])
@pytest.mark.parametrize("flipped", [False, True])
def test_small_tables_change_nothing(some, monkeypatch, rows, flipped) -> None:
    chosen = torch.nonzero(some.firing.features < 4)[:, 0] if flipped else torch.arange(len(some.firing.acts))
    bench = some._replace(firing=type(some.firing)(*(column[chosen] for column in some.firing)))
    whole = table_of(bench)
    monkeypatch.setattr(rank_one, "TABLE_BYTES", rows * 4 * N_VOCAB)
    monkeypatch.setattr(rank_one, "CACHED_BYTES", 1)
    blocked = table_of(bench)
    for name in ARRAYS:
        assert_allclose(getattr(blocked, name), getattr(whole, name), atol=2e-6, rtol=1e-5)


def test_losses_alone_are_those_of_the_table(bench) -> None:
    effects = DirectEffects(bench.model, bench.sae, bench.hook)
    prepared = effects.prepare(bench.tokens)
    assert_allclose(effects.losses_only(prepared, *bench.firing[:3]), table_of(bench).loss, atol=0, rtol=0)


def test_no_pairs_no_effects(some) -> None:
    effects = DirectEffects(some.model, some.sae, some.hook)
    table = effects.at(effects.prepare(some.tokens), [], [], [], n_changed=3)
    assert table.loss.shape == (0,)
    assert table.top_tokens.shape == (0, 3)


def test_positions_of_a_corpus_are_those_of_its_sequences(kind, monkeypatch) -> None:
    """Of different lengths, in any order, repeated, in batches."""
    bench = make_bench(kind, "blocks.1.mlp.hook_post")
    effects = DirectEffects(bench.model, bench.sae, bench.hook)
    offsets = np.array([0, 9, 9, 13, 22, 23])
    tokens = torch.randint(1, 30, (23,), generator=torch.Generator().manual_seed(4)).numpy().astype(np.int32)
    wanted = np.array([21, 3, 12, 9, 3, 0, 22, 8])
    monkeypatch.setattr("sae_vis.effects.batches.BATCH_TOKENS", 14)
    prepared = effects.prepare_corpus(tokens, offsets, wanted)
    assert prepared.positions.tolist() == [0, 3, 8, 9, 12, 21, 22]
    assert prepared.next_tokens.tolist() == [tokens[1], tokens[4], -1, tokens[10], -1, -1, -1]
    acts = np.linspace(0.5, 2, len(wanted))
    found = effects.at(prepared, wanted, np.arange(len(wanted)), acts)
    for i, position in enumerate(wanted):
        sequence = np.searchsorted(offsets, position, side="right") - 1
        text = torch.from_numpy(tokens[offsets[sequence] : offsets[sequence + 1]].astype(np.int64))
        alone = effects.at(effects.prepare(text), [position - offsets[sequence]], [i], acts[i : i + 1])
        for name in ARRAYS:
            assert_allclose(getattr(found, name)[i], getattr(alone, name)[0], atol=1e-5, rtol=1e-4)


def test_a_corpus_without_wanted_positions(some) -> None:
    effects = DirectEffects(some.model, some.sae, some.hook)
    prepared = effects.prepare_corpus(np.arange(5), np.array([0, 5]), np.array([], dtype=np.int64))
    assert prepared.residual.shape == (0, some.model.d_model)


def test_half_precision_models_are_measured_in_float32(some) -> None:
    bench = make_bench("llama", "blocks.1.hook_resid_post")
    model = load_model(build("llama").to(torch.bfloat16))
    effects = DirectEffects(model, bench.sae, bench.hook)
    prepared = effects.prepare(bench.tokens)
    assert prepared.residual.dtype == torch.float32
    assert np.isfinite(effects.losses_only(prepared, [1, 2], [3, 4], [1.0, 2.0])).all()


def test_model_and_random_state_are_untouched(bench) -> None:
    model = bench.model.model
    model.train()
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    state = torch.get_rng_state()
    table_of(bench)
    assert torch.equal(torch.get_rng_state(), state)
    assert all(torch.equal(tensor, before[name]) for name, tensor in model.state_dict().items())
    assert all(module.training for module in model.modules())
    assert all(parameter.grad is None for parameter in model.parameters())


@pytest.mark.parametrize(("n", "k", "width"), [(3, 4, 31), (2, 5, 64), (4, 3, 1000), (1, 1, 32), (3, 6, 205)])
def test_extremes_are_those_of_the_whole_row(n, k, width) -> None:
    values = torch.randn(n, width, generator=torch.Generator().manual_seed(width))
    places, found = rank_one.both_ends(values, k)
    assert torch.equal(found[:, 0], values.topk(k).values.double())
    assert torch.equal(found[:, 1], values.topk(k, largest=False).values.double())
    for end in (0, 1):
        assert torch.equal(values.gather(1, places[:, end]).double(), found[:, end])


# Bad input


def test_wrong_pairs(some) -> None:
    effects = DirectEffects(some.model, some.sae, some.hook)
    prepared = effects.prepare(some.tokens)
    for pairs, text in (
        (([9], [0], [1.0]), "position 9 was not prepared; 9 positions were, 0 to 8"),
        (([-1], [0], [1.0]), "position -1 was not prepared"),
        (([0], [40], [1.0]), "feature 40 does not exist: the SAE has features 0 to 39"),
        (([0], [-1], [1.0]), "feature -1 does not exist"),
        (([0, 1], [0], [1.0]), "one of each for a pair; got 2, 1 and 1"),
        (([0], [0], [float("nan")]), r"an activation is NaN or infinite \(NaN marks masked tokens\)"),
        (([[0]], [[0]], [[1.0]]), r"flat lists; got an array of shape \(1, 1\)"),
        (([0.5], [0], [1.0]), "positions and features are whole numbers; got float64"),
    ):
        with pytest.raises(InputError, match=text):
            effects.at(prepared, *pairs)


def test_wrong_texts(some) -> None:
    effects = DirectEffects(some.model, some.sae, some.hook)
    with pytest.raises(InputError, match="sequences of 17 tokens; GPT2LMHeadModel has 16 positions"):
        effects.prepare(torch.zeros(17, dtype=torch.int64))
    with pytest.raises(InputError, match=r"tokens of one text are \[seq_len\], at least one; got the shape \(1, 9\)"):
        effects.prepare(some.tokens[None])
    with pytest.raises(InputError, match=r"at least one; got the shape \(0,\)"):
        effects.prepare(some.tokens[:0])
    with pytest.raises(InputError, match="position 23 is out of range: there are 5 tokens, 0 to 4"):
        effects.prepare_corpus(np.arange(5), np.array([0, 5]), np.array([2, 23]))


def test_places_without_a_known_way_to_the_logits(some) -> None:
    hook = some.model.hook_point("transformer.h.0.attn.c_attn")
    with pytest.raises(InputError, match=r"no way is known from 'transformer.h.0.attn.c_attn' .*the full effect"):
        DirectEffects(some.model, tiny_sae(hook.d), hook)
    with pytest.raises(InputError, match=r"reads 7 numbers and writes 7, but 'blocks.1.hook_resid_post' is 12 wide"):
        DirectEffects(some.model, tiny_sae(7), some.hook)
