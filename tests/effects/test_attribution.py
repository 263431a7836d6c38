"""Attribution, by finite differences and feature by feature."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose

from sae_vis.effects import attribution
from sae_vis.effects.attribution import LogitDifference, NextTokenLoss, attribute
from sae_vis.effects.intervention import FullEffects
from sae_vis.errors import InputError
from sae_vis.models.base import Edit
from sae_vis.models.loading import load_model
from tests.effects.conftest import Bench, make_bench, tiny_sae
from tests.tiny_models import build

TARGETS = (
    NextTokenLoss(),
    NextTokenLoss(start=3, stop=4),
    NextTokenLoss(start=2, stop=6),
    LogitDifference(position=5, token=3),
    LogitDifference(position=8, token=3, against=11),
)


def in_float64(bench: Bench, kind: str) -> Bench:
    return bench._replace(model=load_model(build(kind).double()))


def table_of(bench: Bench, target: attribution.Target) -> attribution.AttributionTable:
    return attribute(bench.model, bench.sae, bench.hook, bench.tokens, target)


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("site", ["blocks.1.hook_resid_post", "blocks.1.hook_resid_mid", "blocks.2.mlp.hook_post"])
@pytest.mark.parametrize("kind", ["gpt2", "gemma2", "gpt_neox-sequential"])
def test_is_the_finite_difference(kind, site, target) -> None:
    """Of the target in float64, by scaling one feature's contribution, for a sample of firings."""
    bench = in_float64(make_bench(kind, site), kind)
    table = table_of(bench, target)
    # Gemma's norms compute in float32, whatever the model's dtype: a larger step, and what it brings
    step, rel, atol = (1e-2, 1e-2, 1e-3) if kind == "gemma2" else (1e-5, 1e-5, 1e-8)
    for i in range(0, len(table.values), 17):
        contribution = float(table.acts[i]) * bench.sae.decoder[table.features[i]].double()
        values = []
        for sign in (1, -1):
            delta = torch.zeros(1, 9, bench.hook.d, dtype=torch.float64)
            delta[0, table.positions[i]] = sign * step * contribution
            logits = bench.model.logits(bench.tokens[None], Edit(hook=bench.hook, delta=delta))
            values.append(float(target(logits[0], bench.tokens)))
        assert table.values[i] == pytest.approx((values[0] - values[1]) / (2 * step), rel=rel, abs=atol)


def test_equals_the_plain_gradient_feature_by_feature(bench) -> None:
    """Every firing, none missing: a loop over features, each scaled by a factor that has a gradient."""
    target = NextTokenLoss(start=4, stop=8)
    table = table_of(bench, target)
    x = bench.model.activations(bench.tokens[None], bench.hook)[0]
    acts = bench.sae.encode_dense(x)
    assert_allclose(np.array([table.positions, table.features]), torch.nonzero(acts).T)
    assert_allclose(table.acts, acts[acts != 0])
    module = bench.model.model.get_submodule(bench.hook.module)
    factor = torch.ones(acts.shape, requires_grad=True)

    def add(value):
        extra = ((factor - 1) * acts) @ bench.sae.decoder
        return value + extra if isinstance(value, torch.Tensor) else (value[0] + extra, *value[1:])

    if bench.hook.side == "input":
        handle = module.register_forward_pre_hook(
            lambda _, args, kwargs: (
                (add(args), kwargs) if args else (args, {**kwargs, "hidden_states": add(kwargs["hidden_states"])})
            ),
            with_kwargs=True,
        )
    else:
        handle = module.register_forward_hook(lambda _, __, output: add(output))
    try:
        value = target(bench.model.model(bench.tokens[None]).logits[0], bench.tokens)
        (gradient,) = torch.autograd.grad(value, factor)
    finally:
        handle.remove()
    assert table.target == pytest.approx(float(value.detach()), rel=1e-5)
    assert_allclose(table.values, gradient[acts != 0], rtol=1e-3, atol=1e-5)


@pytest.mark.parametrize("normalize", ["constant_norm_rescale", "layer_norm"])
def test_with_a_dictionary_that_normalises_its_input(normalize) -> None:
    plain = make_bench("llama", "blocks.1.hook_resid_post")
    bench = plain._replace(sae=tiny_sae(plain.hook.d, normalize))
    found = bench.model.gradient(bench.tokens[None], bench.hook, lambda logits: logits[0, 4, 3])
    scale = bench.sae.output_scale(found.acts[0])
    table = table_of(bench, LogitDifference(position=4, token=3))
    slopes = (found.gradient[0] @ bench.sae.decoder.T) * scale[:, None]
    assert_allclose(table.values, table.acts * slopes[table.positions, table.features].numpy(), rtol=1e-4, atol=1e-6)


def test_little_memory_changes_nothing(monkeypatch) -> None:
    bench = make_bench("gpt2", "blocks.1.hook_resid_post")
    whole = table_of(bench, NextTokenLoss())
    monkeypatch.setattr(attribution, "PAIR_BYTES", 1)
    assert_allclose(table_of(bench, NextTokenLoss()).values, whole.values)


def test_the_largest_are_a_shortlist_for_full_effects() -> None:
    bench = make_bench("llama", "blocks.1.hook_resid_post")
    table = table_of(bench, NextTokenLoss())
    chosen = table.largest(6)
    assert len(chosen.values) == 6
    order = np.sort(np.abs(table.values))[::-1]
    assert_allclose(np.abs(chosen.values), order[:6])
    full = FullEffects(bench.model, bench.sae, bench.hook)
    effects = full.at(bench.tokens, chosen.positions, chosen.features, chosen.acts)
    assert np.corrcoef(effects.total_loss, chosen.values)[0, 1] > 0.5  # the same sign convention
    small = full.at(bench.tokens, chosen.positions, chosen.features, chosen.acts)
    assert_allclose(small.loss, effects.loss)


def test_small_contributions_have_the_effect_that_is_attributed() -> None:
    """With minus without, in both: to first order the full effect is the attribution."""
    bench = in_float64(make_bench("gpt2", "blocks.1.hook_resid_post"), "gpt2")
    sae = tiny_sae(bench.hook.d)
    sae.decoder.mul_(1e-3)
    bench = bench._replace(sae=sae)
    chosen = table_of(bench, NextTokenLoss()).largest(10)
    full = FullEffects(bench.model, sae, bench.hook)
    effects = full.at(bench.tokens, chosen.positions, chosen.features, chosen.acts)
    assert_allclose(effects.total_loss, chosen.values, rtol=0.02)


def test_model_and_random_state_are_untouched(bench) -> None:
    model = bench.model.model
    model.train()
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    state = torch.get_rng_state()
    with torch.inference_mode():
        table_of(bench, NextTokenLoss())
    assert torch.equal(torch.get_rng_state(), state)
    assert all(torch.equal(tensor, before[name]) for name, tensor in model.state_dict().items())
    assert all(module.training for module in model.modules())
    assert all(parameter.requires_grad and parameter.grad is None for parameter in model.parameters())
    assert not any(module._forward_hooks or module._forward_pre_hooks for module in model.modules())


def test_wrong_targets_and_texts() -> None:
    bench = make_bench("gpt2", "blocks.1.hook_resid_post")
    for target, text in (
        (
            NextTokenLoss(start=8, stop=9),
            "no next token for positions 8 to 8: the text has 9 tokens, the last position",
        ),
        (NextTokenLoss(start=5, stop=5), "no next token for positions 5 to 4"),
        (LogitDifference(position=9, token=0), "position 9 is out of range: there are 9 tokens, 0 to 8"),
        (LogitDifference(position=0, token=31), "token id 31 does not exist: there are logits of 0 to 30"),
        (LogitDifference(position=0, token=3, against=-1), "token id -1 does not exist"),
    ):
        with pytest.raises(InputError, match=text):
            table_of(bench, target)
    with pytest.raises(InputError, match="sequences of 17 tokens; GPT2LMHeadModel has 16 positions"):
        table_of(bench._replace(tokens=torch.zeros(17, dtype=torch.int64)), NextTokenLoss())
    with pytest.raises(InputError, match="the SAE reads 7 numbers and writes 7"):
        table_of(bench._replace(sae=tiny_sae(7)), NextTokenLoss())
