"""Texts of the user's own: tried, ranked, measured, at every layer, on any token."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from sae_vis.api.options import ComputeSettings
from sae_vis.api.prompt_pages import named_prompts, prompt_sources
from sae_vis.api.prompts import mask_of, prompt_ids
from sae_vis.config import IndexConfig
from sae_vis.effects.intervention import FullEffects
from sae_vis.errors import InputError
from sae_vis.explore.layers import layer_features
from sae_vis.explore.logits import token_logits
from sae_vis.explore.measured import FULL, measured_in_steps, unmeasured
from sae_vis.explore.tried import tried_text, woken
from sae_vis.views.prompt import PromptSettings, prompt_part, prompt_view

TEXT = "the United States went to war"


@pytest.fixture(scope="module")
def ids(demo_index, tokenizer):
    return prompt_ids(TEXT, tokenizer, mask_of(demo_index))


@pytest.fixture(scope="module")
def tried(demo_index, parts, ids):
    return tried_text(parts.reader, parts.read, parts.sae, mask_of(demo_index), ids)


@pytest.fixture(scope="module")
def sources(demo_index, parts):
    return prompt_sources(demo_index, parts, ComputeSettings(effects=False))


def test_a_text_is_encoded_as_an_index_would(tried, parts, ids):
    acts = parts.sae.encode_dense(parts.reader.activations(torch.tensor(ids)[None], parts.read)[0]).detach().numpy()
    for position in range(len(ids)):
        own = slice(tried.offsets[position], tried.offsets[position + 1])
        fires = np.flatnonzero(acts[position])
        np.testing.assert_array_equal(tried.features[own], fires)
        np.testing.assert_allclose(tried.acts[own], acts[position][fires], rtol=1e-5)
    assert tried.masked.tolist() == [1] + [0] * (len(ids) - 1)  # the BOS


def test_what_a_text_wakes_is_ranked_by_shares_of_maxima(tried, demo_index):
    hits = woken(demo_index, tried)
    largest = {}
    for position in np.flatnonzero(tried.masked == 0):
        for at in range(tried.offsets[position], tried.offsets[position + 1]):
            feature = int(tried.features[at])
            largest[feature] = max(largest.get(feature, 0.0), float(tried.acts[at]))
    peaks = demo_index.column("max")
    expected = {f: (act / peaks[f] if peaks[f] > 0 else np.inf) for f, act in largest.items()}
    assert set(hits.features.tolist()) == set(expected)
    np.testing.assert_allclose(hits.scores, [expected[f] for f in hits.features.tolist()], rtol=1e-6)
    assert (np.diff(hits.scores) <= 0).all()


def test_an_empty_text(parts, demo_index):
    with pytest.raises(InputError, match="type something"):
        tried_text(parts.reader, parts.read, parts.sae, mask_of(demo_index), [])


def test_full_effects_come_in_the_order_of_attribution(sources, ids, parts):
    view = prompt_view(sources, "Prompt", ids, PromptSettings())
    attribution = next(metric.values for metric in view.metrics if metric.name == "attribution")
    steps = list(measured_in_steps(sources, [ids], 10, step=4))
    assert [step.done for step in steps] == [4, 8, 10]
    assert {step.total for step in steps} == {10}
    pairs = np.concatenate([step.pairs for step in steps])
    np.testing.assert_array_equal(pairs, np.argsort(-np.abs(attribution), kind="stable")[:10])
    positions = np.repeat(np.arange(len(ids)), np.diff(view.offsets))
    acts = next(metric.values for metric in view.metrics if metric.name == "act_size")
    whole = FullEffects(parts.measured, parts.sae, parts.wiring).at(
        torch.tensor(ids), positions[pairs], view.features[pairs], acts[pairs]
    )
    np.testing.assert_allclose(np.concatenate([step.loss for step in steps]), whole.loss_at_first, atol=1e-4)
    np.testing.assert_allclose(np.concatenate([step.later for step in steps]), whole.total_loss, atol=1e-4)


def test_two_prompts_are_measured_one_after_the_other(sources, ids):
    steps = list(measured_in_steps(sources, [ids, ids[:3]], 4, step=4))
    assert [(step.side, step.done, step.total) for step in steps] == [(0, 4, 8), (1, 8, 8)]


def test_a_prompt_has_places_for_what_is_measured(sources, demo_index, tokenizer):
    prompts = named_prompts(demo_index, TEXT, PromptSettings(), tokenizer)
    part = unmeasured(prompt_part(sources, prompts, PromptSettings()), signed=False)
    names = [metric.name for metric in part.prompts[0].metrics]
    assert tuple(names[-2:]) == FULL
    assert all(np.isnan(metric.values).all() for metric in part.prompts[0].metrics[-2:])


def test_layers_are_ranked_by_attribution_each_feature_once(sources, demo_index, ids):
    view = prompt_view(sources, "Prompt", ids, PromptSettings())
    found = layer_features(demo_index, view, "here", n=8)
    attribution = next(metric.values for metric in view.metrics if metric.name == "attribution")
    positions = np.repeat(np.arange(len(ids)), np.diff(view.offsets))
    best = {}
    for feature, position, value in zip(view.features, positions, attribution, strict=True):
        if view.masked[position] == 0 and abs(value) > abs(best.get(int(feature), (0, 0.0))[1]):
            best[int(feature)] = (int(position), float(value))
    expected = sorted(best, key=lambda feature: (-abs(best[feature][1]), feature))[:8]
    assert found.features.tolist() == expected
    assert found.positions.tolist() == [best[feature][0] for feature in expected]
    np.testing.assert_allclose(found.values, [best[feature][1] for feature in expected], rtol=1e-6)


def test_any_token_has_its_logit_effect_and_rank(demo_index, parts):
    lens = parts.lens(IndexConfig())
    effects = lens.effects([7])[0].numpy()
    found = token_logits(lens, demo_index.text, 7, " the", n=5)
    spelled = [demo_index.text.bytes_of(i).decode("utf-8", "replace").lower() for i in range(lens.n_vocab)]
    held = [i for i, text in enumerate(spelled) if " the" in text]
    order = sorted(held, key=lambda i: (spelled[i].strip() != "the", -effects[i], i))
    assert found.n_found == len(held)
    assert found.tokens.tolist() == order[:5]
    np.testing.assert_array_equal(found.effects, effects[found.tokens])
    assert found.ranks.tolist() == [int((effects > effects[i]).sum()) for i in found.tokens]
    assert token_logits(lens, demo_index.text, 7, "\x00\x01").n_found == 0
