"""Effects on the cross entropy against a reference distribution, measured by editing the final residual."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose

from sae_vis.effects.ablation import DirectEffects
from sae_vis.effects.reference import Reference
from sae_vis.errors import InputError
from sae_vis.index.effects_cache import EffectsCache
from sae_vis.index.memory_store import MemoryStore
from tests.effects.conftest import make_bench
from tests.effects.test_direct_effects import slow
from tests.tiny_models import N_VOCAB


def target_logits(n_tokens: int) -> torch.Tensor:
    """Random, some impossible tokens among them."""
    generator = torch.Generator().manual_seed(5)
    logits = 2 * torch.randn(n_tokens, N_VOCAB, generator=generator)
    return logits.masked_fill(torch.rand(n_tokens, N_VOCAB, generator=generator) < 0.4, -torch.inf)


def effects_of(bench, targets, **how):
    reference = Reference(targets, n_tokens=len(bench.tokens), d_vocab=N_VOCAB, **how)
    return DirectEffects(bench.model, bench.sae, bench.hook, reference)


def test_equals_editing_the_final_residual(bench) -> None:
    targets = target_logits(len(bench.tokens))
    effects = effects_of(bench, targets)
    firing = bench.firing
    table = effects.at(effects.prepare(bench.tokens), firing.positions, firing.features, firing.acts)
    p = targets[firing.positions].double().softmax(1)
    with_, without = (-(p * logits.double().log_softmax(1)).sum(1) for logits in slow(bench))
    assert_allclose(table.loss, with_ - without, atol=1e-4)
    assert float(np.abs(table.loss).max()) > 0.01
    assert not np.isnan(table.loss).any()  # there is a reference at the end of a text, too
    assert np.isnan(table.prob_with).all()
    plain = DirectEffects(bench.model, bench.sae, bench.hook)
    same = plain.at(plain.prepare(bench.tokens), firing.positions, firing.features, firing.acts)
    for name in ("logit", "top_changes", "bottom_changes"):
        assert np.array_equal(getattr(table, name), getattr(same, name), equal_nan=True)


@pytest.mark.parametrize("kind", ["gpt2", "gemma2"])
def test_all_weight_on_the_next_token_is_its_loss(kind) -> None:
    bench = make_bench(kind, "blocks.1.hook_resid_post")
    targets = torch.full((len(bench.tokens), N_VOCAB), -torch.inf)
    targets[torch.arange(len(bench.tokens)), bench.tokens.roll(-1)] = 0.0
    firing = bench.firing
    pairs = (firing.positions, firing.features, firing.acts)
    effects, plain = effects_of(bench, targets), DirectEffects(bench.model, bench.sae, bench.hook)
    found = effects.losses_only(effects.prepare(bench.tokens), *pairs)
    expected = plain.losses_only(plain.prepare(bench.tokens), *pairs)
    known = ~np.isnan(expected)
    assert_allclose(found[known], expected[known], atol=2e-5)


def test_no_activation_no_effect_and_constants_change_nothing() -> None:
    bench = make_bench("gpt2", "blocks.1.hook_resid_post")
    targets = target_logits(len(bench.tokens))
    firing = bench.firing
    effects = effects_of(bench, targets)
    prepared = effects.prepare(bench.tokens)
    assert not effects.losses_only(prepared, firing.positions, firing.features, 0 * firing.acts).any()
    log_probs = effects_of(bench, targets.log_softmax(1))
    found = (e.losses_only(prepared, firing.positions, firing.features, firing.acts) for e in (effects, log_probs))
    assert_allclose(*found, atol=1e-6)


def test_a_function_and_any_shape_are_the_same() -> None:
    bench = make_bench("llama", "blocks.1.hook_resid_post")
    n = len(bench.tokens)
    targets = target_logits(n)
    given = (
        effects_of(bench, targets),
        effects_of(bench, targets[None]),
        effects_of(bench, lambda positions: targets[positions], fingerprint="x"),
    )
    pairs = (bench.firing.positions, bench.firing.features, bench.firing.acts)
    losses = [effects.losses_only(effects.prepare(bench.tokens), *pairs) for effects in given]
    assert np.array_equal(losses[0], losses[1])
    assert np.array_equal(losses[0], losses[2])
    assert given[0].reference.fingerprint == given[1].reference.fingerprint != given[2].reference.fingerprint


def test_bad_input() -> None:
    with pytest.raises(
        InputError, match=r"has the shape \(2, 3\); expected \[n_seqs, seq_len, d_vocab\].* 4 positions"
    ):
        Reference(torch.zeros(2, 3), n_tokens=4, d_vocab=3)
    with pytest.raises(InputError, match="is a str; expected a tensor or a function"):
        Reference("uniform", n_tokens=4, d_vocab=3)
    with pytest.raises(InputError, match="fingerprint"):
        Reference(lambda positions: torch.zeros(len(positions), 3), n_tokens=4, d_vocab=3)
    impossible = torch.zeros(4, 3)
    impossible[2] = -torch.inf
    with pytest.raises(InputError, match="nothing but -infinity at position 2"):
        Reference(impossible, n_tokens=4, d_vocab=3).probabilities(np.array([0, 2]))
    short = Reference(lambda positions: torch.zeros(len(positions), 2), n_tokens=4, d_vocab=3, fingerprint="f")
    with pytest.raises(InputError, match=r"gave \(1, 2\) for 1 positions, expected \[1, 3\]"):
        short.probabilities(np.array([1]))


def test_effects_of_one_reference_are_not_taken_for_anothers() -> None:
    store, identity = MemoryStore(), {"model": "m"}
    from sae_vis.index.effects_cache import no_effects

    made = no_effects()._replace(
        feature=np.zeros(1, np.int32),
        position=np.array([3]),
        loss=np.ones(1, np.float32),
        prob=np.ones(1, np.float32),
        listed=np.zeros(1, bool),
    )
    EffectsCache(store, identity, "direct", "reference a").add(made)
    assert len(EffectsCache(store, identity, "direct", "reference a").of(0).feature) == 1
    assert len(EffectsCache(store, identity, "direct", "reference b").of(0).feature) == 0
    assert len(EffectsCache(store, identity, "direct").of(0).feature) == 0
