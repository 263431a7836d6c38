"""Full effects, measured by a plain forward hook on the model."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose
from torch import Tensor

from sae_vis.effects import intervention
from sae_vis.effects.intervention import FullEffects
from sae_vis.errors import InputError
from sae_vis.models.base import Edit
from sae_vis.models.loading import load_model
from tests.effects.conftest import Bench, log_probs, make_bench, plainly_edited, tiny_sae
from tests.tiny_models import build

CACHING = ("gpt2", "llama", "gpt_neox-parallel", "gpt_neox-sequential", "olmo2", "gptj")


def effects_of(bench: Bench, **options) -> FullEffects:
    return FullEffects(bench.model, bench.sae, bench.hook, **options)


def losses(log_probs: Tensor, tokens: Tensor) -> Tensor:
    return -log_probs[:-1].gather(1, tokens[1:, None])[:, 0]


def check_against_slow(bench: Bench, **options) -> None:
    positions, features, acts, contributions = bench.firing
    table = effects_of(bench, **options).at(bench.tokens, positions, features, acts)
    clean = log_probs(bench)
    assert table.first.tolist() == positions.tolist()
    for i, position in enumerate(positions.tolist()):
        with plainly_edited(bench, position, contributions[i]):
            without = log_probs(bench)
        assert_allclose(table.loss[i, :-1], losses(clean, bench.tokens) - losses(without, bench.tokens), atol=1e-4)
        assert_allclose(table.kl[i], (clean.exp() * (clean - without)).sum(1), atol=1e-4)
        assert (table.loss[i, :position] == 0).all()
        assert np.isnan(table.loss[i, -1])
    assert float(np.nanmax(np.abs(table.loss))) > 0.01
    assert_allclose(table.loss_at_first, table.loss[np.arange(len(positions)), positions])
    assert_allclose(table.total_loss, table.loss[:, :-1].sum(1), atol=1e-6)


def test_equals_editing_the_model_at_the_hook(bench) -> None:
    check_against_slow(bench)


@pytest.mark.parametrize("site", ["blocks.1.hook_resid_post", "blocks.1.mlp.hook_post"])
def test_activations_below_zero(site) -> None:
    bench = make_bench("llama", site, every=11, signed=True)
    assert bench.firing.acts.min() < 0 < bench.firing.acts.max()
    check_against_slow(bench)


@pytest.mark.parametrize("normalize", ["constant_norm_rescale", "layer_norm"])
def test_with_a_dictionary_that_normalises_its_input(normalize) -> None:
    check_against_slow(make_bench("llama", "blocks.1.hook_resid_post", normalize=normalize))


def test_at_a_place_of_unknown_meaning() -> None:
    check_against_slow(make_bench("llama", "model.layers.1.mlp.gate_proj"))


@pytest.mark.parametrize("kind", ["gpt2", "llama", "gemma2", "gpt_neox-sequential", "olmo2"])
def test_between_attention_and_mlp_the_stream_itself_is_changed(kind) -> None:
    """What the MLP's norm reads is a copy: taking a contribution out of attention's output is taking it out there."""
    middle = make_bench(kind, "blocks.1.hook_resid_mid")
    table = effects_of(middle).at(middle.tokens, *middle.firing[:3])
    written = middle._replace(hook=middle.model.hook_point("blocks.1.hook_attn_out"))
    clean = log_probs(middle)
    for i, position in enumerate(middle.firing.positions.tolist()):
        with plainly_edited(written, position, middle.firing.contributions[i]):
            without = log_probs(middle)
        assert_allclose(table.kl[i], (clean.exp() * (clean - without)).sum(1), atol=1e-4)


@pytest.mark.parametrize(("kind", "norm"), [("gpt2", "transformer.h.1.ln_1"), ("gptj", "transformer.h.1.ln_1")])
def test_what_attention_reads_is_the_stream_before_the_block(kind, norm) -> None:
    copy, stream = make_bench(kind, f"{norm}:input"), make_bench(kind, "blocks.1.hook_resid_pre")
    tables = [effects_of(bench).at(bench.tokens, *bench.firing[:3]) for bench in (copy, stream)]
    assert_allclose(tables[0].kl, tables[1].kl, atol=1e-6)


def test_everywhere_takes_a_feature_out_wherever_it_fires(kind) -> None:
    bench = make_bench(kind, "blocks.1.hook_resid_post", every=1)
    x = bench.model.activations(bench.tokens[None], bench.hook)[0]
    acts = bench.sae.encode_dense(x)
    n_firings = (acts > 0).sum(0)
    features = torch.nonzero((n_firings > 1) & (n_firings < len(bench.tokens)))[:3, 0].tolist()
    table = effects_of(bench).everywhere(bench.tokens, features)
    clean = log_probs(bench)
    assert len(features) == 3
    for i, feature in enumerate(features):
        assert table.first[i] == int(torch.nonzero(acts[:, feature])[0])
        with plainly_edited(bench, slice(None), acts[:, feature, None] * bench.sae.decoder[feature]):
            without = log_probs(bench)
        assert_allclose(table.kl[i], (clean.exp() * (clean - without)).sum(1), atol=1e-4)
        assert_allclose(table.loss[i, :-1], losses(clean, bench.tokens) - losses(without, bench.tokens), atol=1e-4)


def test_a_feature_that_does_not_fire_has_no_effect() -> None:
    bench = make_bench("gpt2", "blocks.1.hook_resid_post")
    bench.sae._b_enc[7] = -1e6
    table = effects_of(bench).everywhere(bench.tokens, [7])
    assert table.first.tolist() == [8]
    assert (table.kl == 0).all()
    assert (table.total_loss == 0).all()


# Laws


@pytest.mark.parametrize("batch_tokens", [1, 20, 37, 10_000])
@pytest.mark.parametrize("kind", ["gpt2", "gemma2"])
def test_batches_change_nothing(kind, batch_tokens) -> None:
    bench = make_bench(kind, "blocks.1.hook_resid_post")
    backwards = [column.flip(0) for column in bench.firing[:3]]
    whole = effects_of(bench).at(bench.tokens, *bench.firing[:3])
    parts = effects_of(bench, batch_tokens=batch_tokens).at(bench.tokens, *backwards)
    assert_allclose(parts.loss[::-1], whole.loss, atol=1e-5)
    assert_allclose(parts.kl[::-1], whole.kl, atol=1e-5)


def test_little_memory_changes_nothing(monkeypatch) -> None:
    bench = make_bench("gpt2", "blocks.1.hook_resid_post")
    whole = effects_of(bench).at(bench.tokens, *bench.firing[:3])
    monkeypatch.setattr(intervention, "LOGIT_BYTES", 1)
    monkeypatch.setattr(intervention, "SOFTMAX_BYTES", 1)
    assert_allclose(effects_of(bench).at(bench.tokens, *bench.firing[:3]).loss, whole.loss, atol=1e-5)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_no_activation_no_effect(kind, dtype) -> None:
    bench = make_bench(kind, "blocks.1.hook_resid_post")
    bench = bench._replace(model=load_model(build(kind).to(dtype)))
    table = effects_of(bench).at(bench.tokens, [1, 4, 4, 7], [1, 2, 3, 4], [0.0] * 4)
    # rows of one product may round in other ways: some units in the last place of the logits
    assert_allclose(table.loss[:, :-1], 0, atol=1e-5)
    assert_allclose(table.kl, 0, atol=1e-5)


@pytest.mark.parametrize("kind", CACHING)
@pytest.mark.parametrize("site", ["blocks.1.hook_resid_post", "blocks.1.attn.hook_z", "blocks.0.hook_resid_pre"])
def test_cached_prefix_equals_full_rows(kind, site) -> None:
    bench = make_bench(kind, site)
    assert bench.model.prefix(bench.tokens).n_tokens == len(bench.tokens)
    cached, full = (effects_of(bench, use_cache=c).at(bench.tokens, *bench.firing[:3]) for c in (True, False))
    assert_allclose(cached.loss, full.loss, atol=1e-5)
    assert_allclose(cached.kl, full.kl, atol=1e-5)


@pytest.mark.parametrize("kind", CACHING)
@pytest.mark.parametrize("start", [0, 1, 6])
def test_logits_after_a_prefix_are_those_of_the_whole(kind, start) -> None:
    model, tokens = load_model(build(kind)), torch.arange(1, 10)
    prefix = model.prefix(tokens)
    other = torch.tensor([[*tokens[start:]], [*tokens[start:].flip(0)]])
    whole = torch.cat([tokens[:start].expand(2, -1), other], dim=1)
    part = model.logits(other, prefix=prefix, start=start)
    torch.testing.assert_close(part, model.logits(whole)[:, start:], rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("kind", ["gemma2", "mistral", "gpt_neo", "gemma3_text"])
def test_models_with_a_window_are_run_in_full(kind) -> None:
    assert load_model(build(kind)).prefix(torch.arange(1, 10)) is None


def test_model_and_random_state_are_untouched(bench) -> None:
    model = bench.model.model
    model.train()
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    state, kept = torch.get_rng_state(), bench.tokens.clone()
    effects_of(bench).at(bench.tokens, *bench.firing[:3])
    assert torch.equal(torch.get_rng_state(), state)
    assert torch.equal(bench.tokens, kept)
    assert all(torch.equal(tensor, before[name]) for name, tensor in model.state_dict().items())
    assert all(module.training for module in model.modules())
    assert not any(module._forward_hooks or module._forward_pre_hooks for module in model.modules())


# Bad input


@pytest.fixture(scope="module")
def some() -> Bench:
    return make_bench("gpt2", "blocks.1.hook_resid_post")


def test_wrong_pairs_and_texts(some) -> None:
    effects = effects_of(some)
    for tokens, pairs, text in (
        (some.tokens, ([9], [0], [1.0]), "position 9 is out of range: there are 9 tokens, 0 to 8"),
        (some.tokens, ([0], [40], [1.0]), "feature 40 does not exist: the SAE has features 0 to 39"),
        (some.tokens, ([0], [1, 2], [1.0]), "one of each for a pair; got 1, 2 and 1"),
        (torch.zeros(17, dtype=torch.int64), ([0], [0], [1.0]), "sequences of 17 tokens; GPT2LMHeadModel has 16"),
        (some.tokens[None], ([0], [0], [1.0]), r"one text are \[seq_len\], at least one; got the shape \(1, 9\)"),
    ):
        with pytest.raises(InputError, match=text):
            effects.at(tokens, *pairs)
    with pytest.raises(InputError, match="feature 40 does not exist"):
        effects.everywhere(some.tokens, [40])
    with pytest.raises(InputError, match=r"'blocks.1.hook_resid_post' is 12 wide: give the hook point"):
        FullEffects(some.model, tiny_sae(7), some.hook)


def test_wrong_edits_and_prefixes(some) -> None:
    model, tokens = some.model, some.tokens[None]
    with pytest.raises(
        InputError, match=r"an edit at 'blocks.1.hook_resid_post' is \(1, 9, 12\) here; got \(1, 9, 11\)"
    ):
        model.logits(tokens, Edit(hook=some.hook, delta=torch.zeros(1, 9, 11)))
    with pytest.raises(InputError, match="start is 10, but the prefix has 9 tokens"):
        model.logits(tokens[:, :2], prefix=model.prefix(some.tokens), start=10)
    with pytest.raises(InputError, match="start is 1, but no prefix is given"):
        model.logits(tokens, start=1)
    with pytest.raises(InputError, match="sequences of 18 tokens; GPT2LMHeadModel has 16 positions"):
        model.logits(tokens, prefix=model.prefix(some.tokens), start=9)
    foreign = load_model(build("llama")).hook_point("blocks.1.hook_resid_post")
    with pytest.raises(InputError, match=r"hook point 'blocks.1.hook_resid_post' is of another model"):
        model.logits(tokens, Edit(hook=foreign, delta=torch.zeros(1, 9, 12)))


def test_a_module_that_is_not_called_once(some, monkeypatch) -> None:
    block = some.model.model.transformer.h[1]
    monkeypatch.setattr(some.model.model.transformer.h[2], "forward", lambda x, *_, **__: block(block(x)))
    with pytest.raises(InputError, match="a run makes 3 calls where 1 was expected"):
        effects_of(some).at(some.tokens, [0], [0], [1.0])
