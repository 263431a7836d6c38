"""The prompt view against brute force: every feature at every token, one by one, on the embedded demo."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from sae_vis import Corpus, Index, ModelAndSae, TokenText, index_features, load_tokenizer
from sae_vis.api import ComputeSettings, mask_of, save_prompt_page, token_ids
from sae_vis.corpus.mask import MaskConfig
from sae_vis.demo import run as demo
from sae_vis.effects.ablation import DirectEffects
from sae_vis.effects.attribution import LogitDifference, NextTokenLoss, attribute
from sae_vis.effects.intervention import FullEffects
from sae_vis.errors import ForeignIndexError, InputError
from sae_vis.layout import ActsHistogramConfig, Column, ProbeLogitsTablesConfig, PromptConfig, SaeVisLayoutConfig
from sae_vis.views.prompt import (
    METRICS,
    PromptSettings,
    PromptSources,
    PromptView,
    aligned,
    best,
    prompt_page,
    prompt_part,
    prompt_view,
    usual_max_density,
)
from sae_vis.views.sources import ViewSources
from tests.fixtures.page_decoder import read_page

TEXT = "def __init__(self, master): the United States, 🚀 東京"
SEQ_LEN = 64


@pytest.fixture(scope="module", params=[demo.RESID, demo.MLP], ids=lambda sae: sae.name)
def parts(request) -> ModelAndSae:
    return demo.demo_parts(request.param)


@pytest.fixture(scope="module")
def tokenizer():
    return load_tokenizer(demo.assets() / "model")


@pytest.fixture(scope="module")
def index(parts, tokenizer) -> Index:
    texts = [text for number, text in enumerate(demo.demo_texts()) if number % 64 == 0]
    corpus = Corpus.from_texts(texts, tokenizer, seq_len=SEQ_LEN)
    return index_features(corpus, parts, text=TokenText.from_tokenizer(tokenizer))


@pytest.fixture(scope="module")
def sources(index, parts) -> PromptSources:
    views = ViewSources(index=index, text=index.text)
    return PromptSources(views, parts.model, parts.sae, parts.model.hook_point(parts.hook_name), mask_of(index))


@pytest.fixture(scope="module")
def tokens(index, tokenizer) -> list[int]:
    return token_ids(TEXT, tokenizer, mask_of(index).bos_id)


@pytest.fixture(scope="module")
def view(sources, tokens) -> PromptView:
    return prompt_view(sources, "it", tokens, PromptSettings(full_effects=6))


@pytest.fixture(scope="module")
def dense(sources, tokens) -> np.ndarray:
    x = sources.model.activations(torch.tensor([tokens]), sources.hook)[0]
    return sources.sae.encode_dense(x).float().numpy()


def metric(view: PromptView, name: str) -> np.ndarray:
    return next(found.values for found in view.metrics if found.name == name)


def position_of(view: PromptView) -> np.ndarray:
    return np.repeat(np.arange(len(view.tokens)), np.diff(view.offsets))


def test_every_feature_that_fires_and_no_other(view, dense, tokens):
    assert view.tokens.tolist() == tokens
    rows, features = np.nonzero(dense)
    assert position_of(view).tolist() == rows.tolist()
    assert view.features.tolist() == features.tolist()
    assert metric(view, "act_size").tolist() == dense[rows, features].tolist()
    assert [found.name for found in view.metrics] == list(METRICS)


def test_quantile_and_rarity_are_those_of_the_index(view, sources):
    index = sources.views.index
    for i in range(0, len(view.features), 7):
        feature, act = int(view.features[i]), float(metric(view, "act_size")[i])
        assert metric(view, "act_quantile")[i] == np.float32(index.quantile_of(feature, [act])[0])
        density = max(index.column("density")[feature], 1 / index.n_counted)
        assert metric(view, "rarity")[i] == pytest.approx(-np.log(density) * act, rel=1e-6)


def logits_without(sources, tokens, position, feature, act):
    """Logits at a position where a feature's contribution is really taken out of the final residual."""
    model, end = sources.model, sources.model.unembedding()
    x = model.activations(torch.tensor([tokens]), model.final_residual)[0, position].double()
    x = x - act * model.to_residual(sources.sae.decoder[[feature]].detach(), sources.hook)[0].double()
    x = x - x.mean() if end.centred else x
    logits = end.weight.double() @ (end.gain.double() * x / (x.pow(2).mean() + end.eps).sqrt())
    return logits if end.bias is None else logits + end.bias.double()


def test_effects_are_caused_by_taking_features_out(view, sources, tokens):
    position, acts = position_of(view), metric(view, "act_size")
    targets = view.targets.reshape(-1, view.n_targets)
    effects = view.logit_effects.reshape(-1, view.n_targets)
    with torch.no_grad():
        clean = sources.model.logits(torch.tensor([tokens]))[0].double()
    for i in range(0, len(view.features), 23):
        at = int(position[i])
        without = logits_without(sources, tokens, at, int(view.features[i]), float(acts[i]))
        known = targets[at][targets[at] >= 0]
        np.testing.assert_allclose(effects[i][targets[at] >= 0], (clean[at] - without)[known].numpy(), atol=1e-4)
        if at + 1 < len(tokens):
            loss = [-each.log_softmax(0)[tokens[at + 1]] for each in (clean[at], without)]
            assert metric(view, "loss_effect")[i] == pytest.approx(float(loss[0] - loss[1]), abs=1e-4)
            assert metric(view, "logit_effect")[i] == effects[i][0]
        else:
            assert np.isnan([metric(view, "loss_effect")[i], metric(view, "logit_effect")[i]]).all()


def test_predictions_are_the_models(view, sources, tokens):
    with torch.no_grad():
        log_probs = sources.model.logits(torch.tensor([tokens]))[0].log_softmax(-1)
    top = log_probs.topk(view.n_predicted, dim=-1)
    predicted = view.predicted.reshape(len(tokens), -1)
    chosen = log_probs.exp().gather(1, torch.from_numpy(predicted).long())
    np.testing.assert_allclose(view.predicted_prob.reshape(len(tokens), -1), chosen, atol=1e-5)
    np.testing.assert_allclose(view.predicted_prob.reshape(len(tokens), -1), top.values.exp(), atol=1e-5)
    np.testing.assert_allclose(view.loss[:-1], -log_probs[range(len(tokens) - 1), tokens[1:]], atol=1e-4)
    assert np.isnan(view.loss[-1])
    assert view.targets.reshape(len(tokens), -1)[:, 0].tolist() == [*tokens[1:], -1]
    assert view.targets.reshape(len(tokens), -1)[:, 1:].tolist() == predicted.tolist()


def test_attribution_and_full_effects_of_its_shortlist(view, sources, tokens):
    text = torch.tensor(tokens)
    table = attribute(sources.model, sources.sae, sources.hook, text, NextTokenLoss())
    np.testing.assert_allclose(metric(view, "attribution"), table.values, rtol=1e-5, atol=1e-7)
    measured = np.flatnonzero(~np.isnan(metric(view, "full_later_effect")))
    assert set(measured) == set(np.argsort(-np.abs(table.values), kind="stable")[:6])
    pairs = position_of(view)[measured], view.features[measured], metric(view, "act_size")[measured]
    found = FullEffects(sources.model, sources.sae, sources.hook).at(text, *pairs)
    np.testing.assert_allclose(metric(view, "full_later_effect")[measured], found.total_loss, atol=1e-4)
    np.testing.assert_allclose(metric(view, "full_loss_effect")[measured], found.loss_at_first, atol=1e-4)


def test_another_target_of_attribution(sources, tokens):
    target = LogitDifference(position=3, token=tokens[4], against=tokens[5])
    settings = PromptSettings(target=target, target_words="one logit over another")
    view = prompt_view(sources, "it", tokens, settings)
    table = attribute(sources.model, sources.sae, sources.hook, torch.tensor(tokens), target)
    np.testing.assert_allclose(metric(view, "attribution"), table.values, rtol=1e-5, atol=1e-7)
    assert view.attributed == "one logit over another"
    assert (metric(view, "attribution")[position_of(view) > 3] == 0).all()


def test_tokens_asked_for_are_targets_at_every_position(sources, tokens, view):
    asked = (tokens[3], 7)
    found = prompt_view(sources, "it", tokens, PromptSettings(logit_tokens=asked))
    targets = found.targets.reshape(len(tokens), -1)
    assert targets[:, -2:].tolist() == [list(asked)] * len(tokens)
    effects = found.logit_effects.reshape(-1, found.n_targets)
    np.testing.assert_allclose(effects[:, :-2].ravel(), view.logit_effects, atol=1e-6)
    i = int(found.offsets[4]) + 1
    with torch.no_grad():
        clean = sources.model.logits(torch.tensor([tokens]))[0, 4].double()
    without = logits_without(sources, tokens, 4, int(found.features[i]), float(metric(found, "act_size")[i]))
    np.testing.assert_allclose(effects[i, -2:], (clean - without)[list(asked)].numpy(), atol=1e-4)


def test_only_a_ranking_by_activation_leaves_out_dense_features(sources, tokens, view):
    usual = {found.name: found.max_density for found in view.metrics}
    assert usual.pop("act_size") == 0.1
    assert set(usual.values()) == {1.0}
    other = prompt_view(sources, "it", tokens, PromptSettings(max_density=1))
    assert {found.max_density for found in other.metrics} == {1.0}


def test_of_a_dictionary_that_is_not_sparse_nothing_is_left_out(sources, index, monkeypatch):
    dense = np.zeros(index.n_features)
    monkeypatch.setattr(Index, "column", lambda self, name: dense)
    for share, bound in ((0.5, 0.1), (0.51, 1.0)):
        dense[: int(share * index.n_features)] = 0.2
        assert usual_max_density(index) == bound


def test_dense_features_take_no_card_that_activation_would_give_them(sources, tokens):
    part = prompt_part(sources, [("it", tokens)], PromptSettings())
    by_act = replace(part.prompts[0], metrics=part.prompts[0].metrics[:1])
    bound = float(np.median(part.firing.density))
    metric = replace(by_act.metrics[0], max_density=bound)
    part = replace(part, prompts=(replace(by_act, metrics=(metric,)),))
    sparse = {f for f, d in zip(part.firing.feature.tolist(), part.firing.density.tolist(), strict=True) if d <= bound}
    assert set(best(part, len(sparse)).tolist()) == sparse


def test_a_prompt_of_one_token(sources, tokens):
    view = prompt_view(sources, "it", tokens[1:2], PromptSettings())
    assert np.isnan(metric(view, "attribution")).all()
    assert np.isnan(metric(view, "loss_effect")).all()
    assert not np.isnan(metric(view, "act_quantile")).any()


@pytest.mark.parametrize(
    ("n", "asked", "begins"), [(4, None, "attribution"), (1, None, "act_size"), (4, "rarity", "rarity")]
)
def test_a_ranking_begins_with_attribution_where_it_is_known(sources, tokens, n, asked, begins):
    part = prompt_part(sources, [("it", tokens[1 : 1 + n])], PromptSettings(metric=asked))
    assert part.metric == begins


def test_rankings_equal_a_loop_over_all_features(view, sources, tokens, dense):
    """The exact top ten of every position, from every feature of the SAE with its effect found one at a time."""
    effects = DirectEffects(sources.model, sources.sae, sources.hook)
    prepared = effects.prepare(torch.tensor(tokens))
    for at in (1, len(tokens) // 2):
        own = slice(view.offsets[at], view.offsets[at + 1])
        found = view.features[own][np.argsort(metric(view, "loss_effect")[own], kind="stable")][:10]
        each = {f: effects.losses_only(prepared, [at], [f], [dense[at, f]])[0] for f in np.flatnonzero(dense[at])}
        assert [each[f] for f in found] == pytest.approx(sorted(each.values())[:10], abs=1e-5)


def test_page_and_cards(sources, tokens, tmp_path, parts, tokenizer):
    index, path = sources.views.index, tmp_path / "page.html"
    report = save_prompt_page(index, path, TEXT, parts=parts, tokenizer=tokenizer, settings=PromptSettings(seq_pos=-2))
    head, views = read_page(report.path.read_text(encoding="utf-8"))
    part = head["prompt"]
    assert part.prompts[0].tokens.tolist() == tokens
    assert part.prompts[0].masked.tolist() == [1, *[0] * (len(tokens) - 1)]  # BOS
    assert (part.metric, part.position, part.n_features) == ("attribution", len(tokens) - 2, 10)
    assert sorted(views) == part.firing.feature.tolist() == np.unique(part.prompts[0].features).tolist()
    assert part.firing.density.tolist() == index.column("density")[part.firing.feature].astype(np.float32).tolist()
    assert head["layout"]["columns"][0]["components"][0]["type"] == "Prompt"


def test_two_prompts(sources, tokens, tmp_path, parts):
    other = [*tokens[:5], tokens[2], *tokens[6:], tokens[3]]
    report = save_prompt_page(
        sources.views.index, tmp_path / "two.html", tokens, settings=PromptSettings(compare=other), parts=parts
    )
    head, views = read_page(report.path.read_text(encoding="utf-8"))
    part = head["prompt"]
    assert [prompt.tokens.tolist() for prompt in part.prompts] == [tokens, other]
    assert part.aligned.tolist() == [i for k in range(len(tokens)) for i in (k, k)]
    assert sorted(views) == sorted({f for prompt in part.prompts for f in prompt.features.tolist()})


@given(st.lists(st.integers(0, 3), max_size=12), st.lists(st.integers(0, 3), max_size=12))
def test_alignment_is_monotone_and_takes_equal_prompts_whole(a, b):
    left, right = np.array(a, dtype=np.int32), np.array(b, dtype=np.int32)
    pairs = aligned(left, right).reshape(-1, 2)
    assert (np.diff(pairs, axis=0) > 0).all()
    assert (pairs < [len(a), len(b)]).all() if len(pairs) else True
    assert aligned(left, left).tolist() == [i for k in range(len(a)) for i in (k, k)]


def test_the_best_stand_first_in_some_ranking(sources, tokens):
    part = prompt_part(sources, [("it", tokens)], PromptSettings(full_effects=6))
    (view,) = part.prompts
    density = dict(zip(part.firing.feature.tolist(), part.firing.density.tolist(), strict=True))
    chosen = best(part, 30)
    assert len(set(chosen.tolist())) == 30
    firsts = set()
    for found in view.metrics:
        for at in range(len(view.tokens)):
            own = range(view.offsets[at], view.offsets[at + 1])
            worth = {
                pair: found.values[pair] if found.first == "large" else abs(found.values[pair])
                for pair in own
                if not np.isnan(found.values[pair]) and density[int(view.features[pair])] <= found.max_density
            }
            if worth:
                firsts.add(int(view.features[max(worth, key=lambda pair: (worth[pair], -pair))]))
    assert set(best(part, len(firsts)).tolist()) == firsts
    assert set(best(part, 10**6).tolist()) == set(view.features.tolist())


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"metric": "size"}, ("metric is 'size'", "act_size, act_quantile", "attribution")),
        ({"num_top_features": 0}, ("num_top_features is 0",)),
        ({"full_effects": -1}, ("full_effects is -1",)),
        ({"max_density": 10}, ("max_density is 10", "a share from 0 to 1, such as 0.1 for 10%")),
        ({"metric": "full_loss_effect"}, ("full_effects is 0",)),
    ],
)
def test_settings_that_make_no_sense(settings, words):
    with pytest.raises(InputError) as error:
        PromptSettings(**settings)
    assert all(word in str(error.value) for word in words)


def test_bad_prompts(sources, tokens, tmp_path, parts, tokenizer):
    index, path = sources.views.index, tmp_path / "no.html"
    with pytest.raises(InputError, match="the prompt is empty"):
        save_prompt_page(index, path, "", parts=parts, tokenizer=tokenizer)
    with pytest.raises(InputError, match="tokenizer is needed"):
        save_prompt_page(index, path, "text", parts=parts)
    with pytest.raises(InputError, match="no chat template"):
        save_prompt_page(index, path, [{"role": "user", "content": "hi"}], parts=parts, tokenizer=tokenizer)
    longest = sources.model.n_context
    with pytest.raises(InputError, match=f"has {longest + 1} tokens, but the model takes {longest}"):
        save_prompt_page(index, path, [5] * (longest + 1), parts=parts)
    with pytest.raises(InputError, match=f"seq_pos is 99, but the prompt has {len(tokens)} tokens"):
        save_prompt_page(index, path, tokens, parts=parts, settings=PromptSettings(seq_pos=99))
    with pytest.raises(InputError, match="ids from"):
        save_prompt_page(index, path, [10**6], parts=parts)
    with pytest.raises(InputError, match="one prompt, or compares two; got 3"):
        prompt_page(sources, [("a", tokens)] * 3)
    elsewhere = ModelAndSae(model=parts.model, sae=parts.sae, hook="blocks.1.hook_resid_post")
    if elsewhere.model.hook_point(elsewhere.hook_name).d == parts.sae.d_in:
        with pytest.raises(ForeignIndexError, match="another hook point"):
            save_prompt_page(index, path, tokens, parts=elsewhere)
    assert not path.exists()


def test_cards_have_probes(parts, index, tokens, tmp_path):
    classes = torch.randn(parts.model.d_model, 5, generator=torch.Generator().manual_seed(4))
    path = tmp_path / "probes.html"
    layout = SaeVisLayoutConfig([Column(ProbeLogitsTablesConfig(n_rows=2))])
    save_prompt_page(
        index,
        path,
        tokens,
        parts=parts,
        layout=layout,
        compute=ComputeSettings(linear_probes=[("output", "kind", classes)]),
    )
    head, views = read_page(path.read_text(encoding="utf-8"))
    assert [probe["name"] for probe in head["probes"]] == ["kind"]
    feature, view = next(iter(views.items()))
    written = (
        parts.model.to_residual(parts.sae.decoder[[feature]], parts.model.hook_point(parts.hook_name))[0] @ classes
    )
    (readout,) = view.probes
    assert readout.values == pytest.approx(written[readout.classes.tolist()].numpy(), abs=1e-5)


def test_chat_messages_go_through_the_template(tokenizer):
    import copy

    chat = copy.deepcopy(tokenizer)
    chat.chat_template = "{% for m in messages %}[{{ m['role'] }}] {{ m['content'] }}\n{% endfor %}"
    ids = token_ids([{"role": "user", "content": "hello"}], chat, bos_id=0)
    assert chat.decode(ids) == "[user] hello\n"


def test_a_layout_of_cards(sources, tokens):
    layout = SaeVisLayoutConfig([Column(PromptConfig(), ActsHistogramConfig(n_bins=7))])
    page = prompt_page(sources, [("it", tokens)], layout=layout)
    assert all(len(view.acts_histogram.counts) == 7 for view in page.features if view.stats.n_firings)


def test_the_mask_of_an_index_is_read_back(parts, tokenizer, tmp_path: Path):
    corpus = Corpus.from_tokens(
        np.arange(1, 25).reshape(4, 6), MaskConfig(bos_id=0, ids=(3, 4), seqpos_slice=(1, None))
    )
    assert mask_of(index_features(corpus, parts, tmp_path)) == corpus.mask
