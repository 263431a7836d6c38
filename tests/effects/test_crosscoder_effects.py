"""Crosscoders and cross-layer transcoders: what they write is taken out of all places by plain hooks."""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import replace

import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose
from torch import Tensor

from sae_vis import Corpus, IndexConfig, ModelAndSae, index_features
from sae_vis.api import index_several, save_feature_page, save_prompt_page
from sae_vis.effects.attribution import NextTokenLoss, attribute
from sae_vis.effects.intervention import FullEffects
from sae_vis.errors import ForeignIndexError, InputError
from sae_vis.models.loading import load_model
from sae_vis.saes.crosscoder import Crosscoder, CrosscoderOptions, CrosscoderPlaces, from_crosscoder_tensors
from tests.effects.conftest import Bench, Firing, log_probs, plainly_edited
from tests.effects.test_direct_effects import in_the_stream, slow_logits
from tests.effects.test_full_effects import losses
from tests.fixtures.page_decoder import read_page
from tests.kernels import rounding
from tests.tiny_models import build

D, D_SAE = 12, 40
RESID = ["blocks.0.hook_resid_post", "blocks.1.hook_resid_mid", "blocks.2.hook_resid_post"]
ADDED = [f"blocks.{layer}.hook_mlp_out" for layer in range(3)]
MIXED = ["blocks.0.hook_attn_out", "blocks.0.hook_mlp_out", "blocks.1.hook_resid_pre", "blocks.2.hook_mlp_out"]
BEFORE_NORMS = ["model.layers.0.mlp", "model.layers.1.mlp", "blocks.2.hook_mlp_out"]  # three ways to the stream
CASES = [(kind, places) for kind in ("gpt2", "llama", "gemma2") for places in (RESID, ADDED, MIXED)]
CASES.append(("gemma2", BEFORE_NORMS))


def tiny_crosscoder(places: CrosscoderPlaces, n_reads: int, n_writes: int, *, seed: int = 3) -> Crosscoder:
    generator = torch.Generator().manual_seed(seed)
    weights = {
        "W_enc": torch.randn(n_reads, D, D_SAE, generator=generator),
        "W_dec": 0.3 * torch.randn(D_SAE, n_writes, D, generator=generator),
        "b_enc": 0.1 * torch.randn(D_SAE, generator=generator),
    }
    return from_crosscoder_tensors(weights, CrosscoderOptions(places=places))


def tokens_of(n: int = 9) -> Tensor:
    return torch.randint(1, 30, (n,), generator=torch.Generator().manual_seed(1))


def read(parts: ModelAndSae, tokens: Tensor) -> Tensor:
    """Activations at every place read, each by a run of its own: [seq_len, n_reads * d]."""
    models = (parts.model, *parts.other_models)
    found = [
        models[end.model].activations(tokens[None], models[end.model].hook_point(end.hook_name))[0]
        for end in parts.sae.reads
    ]
    return torch.cat(found, dim=-1).float()


class Case:
    """Parts, and for some firings what each writes where."""

    def __init__(self, parts: ModelAndSae, *, model: int = 0, every: int = 9) -> None:
        self.parts, self.tokens = parts, tokens_of()
        self.model = (parts.model, *parts.other_models)[model]
        dense = parts.sae.encode_dense(read(parts, self.tokens))
        at, features = torch.nonzero(dense, as_tuple=True)
        chosen = torch.arange(0, len(at), every)
        self.at, self.features = at[chosen], features[chosen]
        self.acts = dense[self.at, self.features]
        written = parts.sae.decoder.view(D_SAE, -1, D)[self.features] * self.acts[:, None, None]
        own = [i for i, end in enumerate(parts.sae.writes) if end.model == model]
        self.names = [parts.sae.writes[i].hook_name for i in own]
        self.written = [written[:, i] for i in own]

    def bench(self, name: str) -> Bench:
        name = name.replace("hook_resid_mid", "hook_attn_out")  # the stream changes there as by attention's output
        nothing = Firing(self.at, self.features, self.acts, torch.zeros(len(self.at), D))
        return Bench(self.model, self.model.hook_point(name), self.parts.sae, self.tokens, nothing)

    def steps(self) -> list[Tensor]:
        """What each place adds, by the definition: at a place in the stream what is new in it."""
        stream, found = torch.zeros(len(self.at), D), []
        for name, part in zip(self.names, self.written, strict=True):
            if "resid" in name:
                found.append(part - stream)
                stream = part
            else:
                found.append(part)
                stream = stream + part
        return found

    def without(self, i: int, share: float = 1.0, model: object = None) -> Tensor:
        """Log-probabilities with all that firing `i` adds taken out at all places."""
        with ExitStack() as on:
            for name, step in zip(self.names, self.steps(), strict=True):
                bench = self.bench(name)
                bench = bench if model is None else bench._replace(model=model)
                on.enter_context(plainly_edited(bench, int(self.at[i]), share * step[i].double()))
            return log_probs(self.bench(self.names[0]) if model is None else bench)


def case_of(kind: str, places: list[str]) -> Case:
    reads = ["blocks.0.hook_resid_post", "blocks.1.hook_resid_post"]
    sae = tiny_crosscoder(CrosscoderPlaces(reads=reads, writes=places), 2, len(places))
    return Case(ModelAndSae(model=load_model(build(kind)), sae=sae))


@pytest.fixture(params=CASES, ids=lambda case: f"{case[0]}-{case[1][0]}-{len(case[1])}")
def case(request: pytest.FixtureRequest) -> Case:
    return case_of(*request.param)


def test_direct_effects_take_the_sum_out_of_the_final_residual(case) -> None:
    effects = case.parts.direct_effects()
    assert effects is not None
    found = effects.losses_only(effects.prepare(case.tokens), case.at, case.features, case.acts)
    added = torch.zeros(len(case.at), D)
    for name, step in zip(case.names, case.steps(), strict=True):
        with torch.no_grad():
            added = added + in_the_stream(case.bench(name), step, case.at)
    bench = case.bench(case.names[0])
    clean = bench.model.activations(case.tokens[None], bench.model.final_residual)[0, case.at]
    known = case.at < 8
    with_, without = (slow_logits(bench, x).log_softmax(1)[known] for x in (clean, clean - added))
    expected = (without - with_).gather(1, case.tokens[case.at[known] + 1][:, None])[:, 0]
    assert_allclose(found[known], expected, atol=1e-4)
    assert float(expected.abs().max()) > 0.01


def test_of_places_in_the_stream_the_last_one_counts() -> None:
    """Each direction describes the stream as it is there: the direct effect is that of an SAE at the last place."""
    case = case_of("llama", RESID)
    effects = case.parts.direct_effects()
    last = Case(ModelAndSae(model=case.model, sae=tiny_crosscoder(CrosscoderPlaces(reads=RESID), 3, 3)))
    lens = last.parts.lens(IndexConfig())
    end = case.model.unembedding()
    d = last.parts.sae.decoder.view(D_SAE, 3, D)[:, 2].double()
    logits = (end.gain.double() * d) @ end.weight.double().T
    assert_allclose(lens.effects(slice(0, D_SAE)), logits - logits.mean(1, keepdim=True), atol=1e-4)
    assert effects is not None


def test_full_effects_take_out_what_is_added_at_every_place(case) -> None:
    found = FullEffects(case.model, case.parts.sae, case.parts.wiring).at(
        case.tokens, case.at, case.features, case.acts
    )
    clean = log_probs(case.bench(case.names[0]))
    for i in range(len(case.at)):
        expected = losses(clean, case.tokens) - losses(case.without(i), case.tokens)
        assert_allclose(found.loss[i, :-1], expected, atol=1e-4)
    assert float(np.nanmax(np.abs(found.loss))) > 0.01


def test_everywhere_takes_a_feature_out_at_every_token(case) -> None:
    feature = int(case.features[0])
    found = FullEffects(case.model, case.parts.sae, case.parts.wiring).everywhere(case.tokens, [feature])
    acts = case.parts.sae.encode_dense(read(case.parts, case.tokens))[:, feature]
    one = case.steps()
    worth = [step[0] / case.acts[0] for step in one]  # for one unit of activation
    with ExitStack() as on:
        for name, step in zip(case.names, worth, strict=True):
            on.enter_context(plainly_edited(case.bench(name), slice(None), acts[:, None] * step))
        without = log_probs(case.bench(case.names[0]))
    clean = log_probs(case.bench(case.names[0]))
    assert_allclose(found.loss[0, :-1], losses(clean, case.tokens) - losses(without, case.tokens), atol=1e-4)


def test_attribution_is_the_slope_of_all_edits_together(case) -> None:
    table = attribute(case.model, case.parts.sae, case.parts.wiring, case.tokens, NextTokenLoss())
    dense = case.parts.sae.encode_dense(read(case.parts, case.tokens))
    rows, features = torch.nonzero(dense, as_tuple=True)
    assert (table.positions.tolist(), table.features.tolist()) == (rows.tolist(), features.tolist())
    at = {pair: i for i, pair in enumerate(zip(table.positions.tolist(), table.features.tolist(), strict=True))}
    double, step = load_model(build(case.model.model.config.model_type).double()), 1e-3
    for i in range(0, len(case.at), 6):
        low, high = (float(losses(case.without(i, sign * step, double), case.tokens).sum()) for sign in (1, -1))
        value = table.values[at[int(case.at[i]), int(case.features[i])]]
        assert value == pytest.approx((high - low) / (2 * step), rel=2e-2, abs=1e-3)


def test_places_behind_different_post_norms_have_no_logit_lens() -> None:
    case = case_of("gemma2", BEFORE_NORMS)
    assert case.parts.lens(IndexConfig()) is None
    index = index_features(Corpus.from_tokens(case.tokens[None]), case.parts)
    assert "top_tokens" not in index.column_names


def test_what_a_post_norm_hides_from_the_stream_is_refused() -> None:
    case = case_of("gemma2", ["model.layers.0.mlp", "blocks.1.hook_resid_post"])
    with pytest.raises(InputError, match=r"what is written at 'model\.layers\.0\.mlp' passes a post-norm before"):
        FullEffects(case.model, case.parts.sae, case.parts.wiring).everywhere(case.tokens, [0])
    assert case.parts.lens(IndexConfig()) is None


# Two models


def two_models(dtype: torch.dtype = torch.float32) -> tuple[ModelAndSae, Case]:
    base, tuned = build("gpt2").to(dtype), build("gpt2").to(dtype)
    with torch.no_grad():
        for number, parameter in enumerate(tuned.parameters()):
            noise = torch.randn(parameter.shape, generator=torch.Generator().manual_seed(number))
            parameter.add_(0.2 * noise)
    places = CrosscoderPlaces(reads=["blocks.1.hook_resid_post"] * 2, models=[0, 1])
    parts = ModelAndSae(
        model=load_model(base),
        sae=tiny_crosscoder(places, 2, 2),
        other_models=(load_model(tuned),),
        effects_model=1,
    )
    return parts, Case(parts, model=1)


def test_two_models_on_the_same_tokens(tmp_path) -> None:
    """In float64, since products of batches and of single sequences may round in other ways; the encoder is float32."""
    parts, _ = two_models(torch.float64)
    tokens = torch.randint(1, 31, (6, 9), generator=torch.Generator().manual_seed(2))
    index = index_features(Corpus.from_tokens(tokens), parts, tmp_path / "index", config=IndexConfig(batch_tokens=20))
    x = torch.cat([read(parts, row) for row in tokens])
    dense = parts.sae.encode_dense(x)
    for feature in range(0, D_SAE, 7):
        firings = index.firings(feature)
        assert firings.positions.tolist() == torch.nonzero(dense[:, feature])[:, 0].tolist()
        assert_allclose(firings.acts, dense[:, feature][dense[:, feature] > 0], atol=rounding(dense, 4))
    made = index.manifest.provenance
    place = {"name": "blocks.1.hook_resid_post", "place": "transformer.h.1:output"}
    assert made.reads == [{**place, "model": 0}, {**place, "model": 1}]
    assert made.writes == [{**place, "model": n, "measured": n == 1} for n in (0, 1)]
    assert made.hook["name"] == "blocks.1.hook_resid_post of 2 models"
    assert made.model["other_models"][0]["fingerprint"] == parts.other_models[0].fingerprint()
    assert_allclose(index.lists("decoder_norms", 5), parts.sae.decoder.view(D_SAE, 2, D)[5].norm(dim=1), rtol=1e-6)
    swapped = ModelAndSae(model=parts.other_models[0], sae=parts.sae, other_models=(parts.model,), effects_model=0)
    with pytest.raises(ForeignIndexError, match="another model"):
        save_feature_page(index, tmp_path / "never.html", parts=swapped)
    other_effects = replace(parts, effects_model=0)
    with pytest.raises(ForeignIndexError, match="another place that the dictionary writes to"):
        save_feature_page(index, tmp_path / "never.html", parts=other_effects)


def test_effects_are_of_the_model_that_is_chosen() -> None:
    parts, case = two_models()
    found = FullEffects(parts.measured, parts.sae, parts.wiring).at(case.tokens, case.at, case.features, case.acts)
    clean = log_probs(case.bench(case.names[0]))
    for i in range(len(case.at)):
        expected = losses(clean, case.tokens) - losses(case.without(i), case.tokens)
        assert_allclose(found.loss[i, :-1], expected, atol=1e-4)
    lens = parts.lens(IndexConfig())
    end = parts.other_models[0].unembedding()
    d = parts.sae.decoder.view(D_SAE, 2, D)[:, 1].double()
    d = d - d.mean(1, keepdim=True)
    logits = (end.gain.double() * d) @ end.weight.double().T
    assert_allclose(lens.effects(slice(0, D_SAE)), logits - logits.mean(1, keepdim=True), atol=1e-4)


def test_a_prompt_page_of_two_models(tmp_path) -> None:
    parts, case = two_models()
    index = index_features(Corpus.from_tokens(torch.stack([tokens_of(), tokens_of().flip(0)])), parts)
    save_prompt_page(index, tmp_path / "prompt.html", case.tokens.tolist(), parts=parts)
    head, _ = read_page((tmp_path / "prompt.html").read_text(encoding="utf-8"))
    view = head["prompt"].prompts[0]
    values = {metric.name: metric.values for metric in view.metrics}
    positions = np.repeat(np.arange(9), np.diff(view.offsets))
    at = {pair: i for i, pair in enumerate(zip(positions.tolist(), view.features.tolist(), strict=True))}
    effects = parts.direct_effects()
    found = effects.losses_only(effects.prepare(case.tokens), case.at, case.features, case.acts)
    for i, pair in enumerate(zip(case.at.tolist(), case.features.tolist(), strict=True)):
        assert values["act_size"][at[pair]] == pytest.approx(float(case.acts[i]), rel=1e-5)
        assert values["loss_effect"][at[pair]] == pytest.approx(found[i], abs=1e-5, nan_ok=True)


# All layers of a cross-layer transcoder


def test_layers_of_a_cross_layer_transcoder_share_a_pass(monkeypatch) -> None:
    model = load_model(build("gpt2"))
    saes = [
        tiny_crosscoder(
            CrosscoderPlaces(reads=[f"blocks.{layer}.hook_mlp_in"], writes=ADDED[layer:]), 1, 3 - layer, seed=layer
        )
        for layer in range(3)
    ]
    parts = [ModelAndSae(model=model, sae=sae) for sae in saes]
    corpus = Corpus.from_tokens(torch.randint(1, 31, (4, 9), generator=torch.Generator().manual_seed(2)))
    calls = []
    run = type(model).activations_at
    monkeypatch.setattr(type(model), "activations_at", lambda *args: calls.append(1) or run(*args))
    together = index_several(corpus, [(one, None) for one in parts])
    assert len(calls) == 1
    for index, one in zip(together, parts, strict=True):
        alone = index_features(corpus, one)
        assert index.column("n_firings").tolist() == alone.column("n_firings").tolist()
        assert [write["name"] for write in index.manifest.provenance.writes] == [
            end.hook_name for end in one.sae.writes
        ]


# Bad input


def test_models_of_different_vocabularies() -> None:
    parts, _ = two_models()
    other = build("gpt2")
    other.resize_token_embeddings(40)
    wrong = ModelAndSae(model=parts.model, sae=parts.sae, other_models=(load_model(other),))
    message = r"the first has ids 0 to 30, model 1 ids 0 to 39; a crosscoder needs models with one tokenizer"
    with pytest.raises(InputError, match=message):
        index_features(Corpus.from_tokens(tokens_of()[None]), wrong)


def test_parts_that_do_not_fit_together() -> None:
    parts, _ = two_models()
    with pytest.raises(InputError, match=r"the dictionary reads 2 models, but 1 is given: give the others"):
        ModelAndSae(model=parts.model, sae=parts.sae)
    sae = tiny_crosscoder(CrosscoderPlaces(reads=RESID), 3, 3)
    with pytest.raises(InputError, match=r"the dictionary reads 1 model, but 2 are given"):
        ModelAndSae(model=parts.model, sae=sae, other_models=parts.other_models)
    with pytest.raises(InputError, match="effects_model is 2; there are 2 models, 0 to 1"):
        ModelAndSae(model=parts.model, sae=parts.sae, other_models=parts.other_models, effects_model=2)
    few = ModelAndSae(
        model=parts.model, sae=parts.sae, other_models=parts.other_models, hook=["blocks.1.hook_resid_post"]
    )
    with pytest.raises(InputError, match="hook= names 1 places, but the dictionary has 2 there"):
        _ = few.read
    unnamed = ModelAndSae(model=parts.model, sae=tiny_crosscoder(CrosscoderPlaces(), 3, 3))
    with pytest.raises(InputError, match="names no hook point; give one"):
        _ = unnamed.read
    named = ModelAndSae(model=parts.model, sae=unnamed.sae, hook=RESID)
    assert [write.hook.name for write in named.writes] == RESID
