"""Transcoders: what they read and what they write are different places, of different widths as may be.

Effects are measured by plain hooks at the place that is written to; everything is compared within 1e-4.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose
from torch import Tensor

from sae_vis import Corpus, IndexConfig, ModelAndSae, index_features
from sae_vis.api import save_feature_page, save_prompt_page
from sae_vis.effects.ablation import DirectEffects
from sae_vis.effects.attribution import NextTokenLoss, attribute
from sae_vis.effects.intervention import FullEffects
from sae_vis.effects.logit_lens import LogitLens
from sae_vis.effects.wiring import Wiring, Write
from sae_vis.errors import ForeignIndexError, InputError
from sae_vis.models.base import Edit, HookPoint
from sae_vis.models.huggingface import HuggingFaceModel
from sae_vis.models.loading import load_model
from sae_vis.saes.activations import JumpReLU
from sae_vis.saes.linear import Decoder, InputMap, SparseAutoencoder
from sae_vis.saes.neighbours import decoder_neighbours
from sae_vis.saes.saelens_format import from_parts
from tests.effects.conftest import Bench, Firing, log_probs, plainly_edited
from tests.effects.test_direct_effects import slow
from tests.effects.test_full_effects import losses
from tests.fixtures.page_decoder import read_page
from tests.tiny_models import build

WAYS = [
    ("gpt2", "blocks.1.ln2.hook_normalized", "blocks.1.hook_mlp_out"),
    ("gpt2", "blocks.1.hook_mlp_in", "blocks.1.mlp.hook_post"),  # another width is written than read
    ("gpt2", "blocks.1.mlp.hook_in", "blocks.2.hook_resid_post"),
    ("llama", "blocks.1.ln2.hook_normalized", "blocks.1.hook_mlp_out"),
    ("llama", "blocks.1.mlp.hook_post", "blocks.1.hook_mlp_out"),
    ("llama", "blocks.0.ln1.hook_normalized", "blocks.0.attn.hook_z"),
    ("gemma2", "blocks.1.ln2.hook_normalized", "blocks.1.hook_mlp_out"),
    ("gemma2", "blocks.1.mlp.hook_in", "model.layers.1.mlp"),  # written before a post-norm
    ("gemma2", "blocks.1.hook_mlp_in", "blocks.2.mlp.hook_post"),
]
D_SAE = 40


def tiny_transcoder(d_in: int, d_out: int, *, hook_out: str | None = None) -> SparseAutoencoder:
    """Random, about half of its features firing; it says where it writes only if told so."""
    generator = torch.Generator().manual_seed(3)
    W_enc, W_dec = torch.randn(d_in, D_SAE, generator=generator), torch.randn(D_SAE, d_out, generator=generator)
    decoder = Decoder(directions=0.3 * W_dec, bias=torch.randn(d_out), elsewhere=True, hook_name_out=hook_out)
    bias = 0.1 * torch.randn(D_SAE, generator=generator)
    return SparseAutoencoder(W_enc, bias, JumpReLU(torch.zeros(D_SAE)), InputMap(), decoder)


class Wired(NamedTuple):
    """A bench at the place that is written to, and the parts with what is read."""

    bench: Bench
    parts: ModelAndSae


def make(kind: str, read: str, write: str, *, every: int = 5) -> Wired:
    model = load_model(build(kind))
    reads, writes = model.hook_point(read), model.hook_point(write)
    sae = tiny_transcoder(reads.d, writes.d)
    tokens = torch.randint(1, 30, (9,), generator=torch.Generator().manual_seed(1))
    rows, features = torch.nonzero(sae.encode_dense(model.activations(tokens[None], reads)[0].float()), as_tuple=True)
    acts = sae.encode_dense(model.activations(tokens[None], reads)[0].float())[rows, features]
    chosen = torch.arange(0, len(rows), every)
    at, features, acts = rows[chosen], features[chosen], acts[chosen]
    firing = Firing(at, features, acts, acts[:, None] * sae.decoder[features])
    parts = ModelAndSae(model=model, sae=sae, hook=read, hook_out=write)
    return Wired(Bench(model, writes, sae, tokens, firing), parts)


@pytest.fixture(params=WAYS, ids=lambda way: f"{way[0]}-{way[1]}-{way[2]}")
def both(request: pytest.FixtureRequest) -> Wired:
    return make(*request.param)


# What is read


@pytest.mark.parametrize("kind", ["gpt2", "llama", "gemma2", "gpt_neox-sequential", "gptj", "qwen3"])
@pytest.mark.parametrize("norm", ["ln1", "ln2"])
def test_hook_normalized_is_the_norm_before_its_gain(kind, norm) -> None:
    """The norm's own output is this times its gain, plus its bias."""
    model = load_model(build(kind))
    if (kind, norm) == ("gptj", "ln2"):  # attention and MLP read through one norm
        with pytest.raises(InputError, match="no hook point"):
            model.hook_point("blocks.1.ln2.hook_normalized")
        return
    hook = model.hook_point(f"blocks.1.{norm}.hook_normalized")
    assert (hook.site, hook.layer, hook.onward, hook.normalized) == ("other", 1, None, True)
    tokens = torch.randint(1, 30, (2, 9), generator=torch.Generator().manual_seed(1))
    found, made = model.activations_at(tokens, [hook, model.hook_point(f"{hook.module}:output")])
    module = model.model.get_submodule(hook.module)
    gain = module.weight + (1.0 if kind == "gemma2" else 0.0)
    bias = getattr(module, "bias", None)
    assert_allclose((found * gain + (0 if bias is None else bias)).detach(), made, atol=1e-5)
    assert hook.place != model.hook_point(f"{hook.module}:input").place


def test_what_is_inside_a_norm_is_only_read() -> None:
    model = load_model(build("gpt2"))
    hook = model.hook_point("blocks.1.ln2.hook_normalized")
    tokens = torch.ones(1, 3, dtype=torch.int64)
    with pytest.raises(InputError, match=r"'blocks\.1\.ln2\.hook_normalized' is inside a norm, where a model is only"):
        model.logits(tokens, Edit(hook=hook, delta=torch.zeros(1, 3, 12)))


# Effects


def pairs_of(bench: Bench) -> tuple[Tensor, Tensor, Tensor]:
    return bench.firing.positions, bench.firing.features, bench.firing.acts


def test_direct_effects_are_those_of_editing_the_final_residual(both) -> None:
    bench, parts = both
    effects = parts.direct_effects()
    assert effects is not None
    found = effects.losses_only(effects.prepare(bench.tokens), *pairs_of(bench))
    known = bench.firing.positions < len(bench.tokens) - 1
    with_, without = (logits.log_softmax(1)[known] for logits in slow(bench))
    following = bench.tokens[bench.firing.positions[known] + 1][:, None]
    expected = (without - with_).gather(1, following)[:, 0]
    assert_allclose(found[known], expected, atol=1e-4)
    assert float(expected.abs().max()) > 0.01


def test_full_effects_are_those_of_editing_the_place_that_is_written(both) -> None:
    bench, parts = both
    found = FullEffects(bench.model, bench.sae, parts.wiring).at(bench.tokens, *pairs_of(bench))
    clean = log_probs(bench)
    for i, position in enumerate(bench.firing.positions.tolist()):
        with plainly_edited(bench, position, bench.firing.contributions[i]):
            without = log_probs(bench)
        assert_allclose(found.loss[i, :-1], losses(clean, bench.tokens) - losses(without, bench.tokens), atol=1e-4)
    assert float(np.nanmax(np.abs(found.loss))) > 0.01


def test_attribution_is_the_slope_of_editing_the_place_that_is_written(both) -> None:
    """Contributions are taken out in part: the change of the loss is that part of the attribution."""
    bench, parts = both
    table = attribute(bench.model, bench.sae, parts.wiring, bench.tokens, NextTokenLoss())
    x = bench.model.activations(bench.tokens[None], parts.read)[0]
    rows, features = torch.nonzero(bench.sae.encode_dense(x), as_tuple=True)
    assert (table.positions.tolist(), table.features.tolist()) == (rows.tolist(), features.tolist())
    at = {pair: i for i, pair in enumerate(zip(table.positions.tolist(), table.features.tolist(), strict=True))}
    double = bench._replace(model=load_model(build(bench.model.model.config.model_type).double()))
    step = 1e-3
    for i in range(0, len(bench.firing.positions), 4):
        position, ends = int(bench.firing.positions[i]), []
        for sign in (-1, 1):
            with plainly_edited(double, position, -sign * step * bench.firing.contributions[i].double()):
                ends.append(float(losses(log_probs(double), bench.tokens).sum()))
        value = table.values[at[position, int(bench.firing.features[i])]]
        assert value == pytest.approx((ends[1] - ends[0]) / (2 * step), rel=2e-2, abs=1e-3)


def test_the_logit_lens_is_that_of_the_directions_where_they_are_written(both) -> None:
    bench, parts = both
    lens = parts.lens(IndexConfig())
    assert lens is not None
    expected = LogitLens(bench.model, bench.sae, bench.hook, n_tokens=5, n_bins=5)
    assert torch.equal(lens.effects([0, 7, 31]), expected.effects([0, 7, 31]))
    end = bench.model.unembedding()
    d = bench.model.to_residual(bench.sae.decoder[[7]], bench.hook)[0].double()
    d = d - d.mean() if end.centred else d
    logits = end.weight.double() @ (end.gain.double() * d)
    assert_allclose(lens.effects([7])[0], logits - logits.mean(), atol=1e-4)


def test_what_a_skip_connection_gives_stays() -> None:
    """The place gets error + skip + all features but one: that is what taking the contribution out there makes."""
    model = load_model(build("llama"))
    generator = torch.Generator().manual_seed(0)

    def drawn(*shape: int) -> Tensor:
        return 0.3 * torch.randn(*shape, generator=generator)

    weights = {"W_enc": drawn(12, 40), "b_enc": drawn(40), "W_dec": drawn(40, 12), "b_dec": drawn(12)}
    weights["W_skip"] = drawn(12, 12)
    config = {"architecture": "skip_transcoder", "d_in": 12, "d_out": 12, "d_sae": 40}
    config["metadata"] = {"hook_name": "blocks.1.mlp.hook_in", "hook_name_out": "blocks.1.hook_mlp_out"}
    sae = from_parts(config, weights, "here")
    parts = ModelAndSae(model=model, sae=sae)
    tokens = torch.randint(1, 30, (9,), generator=generator)
    x = model.activations(tokens[None], parts.read)[0]
    acts = torch.relu(x @ weights["W_enc"] + weights["b_enc"])
    written = model.activations(tokens[None], parts.writes[0].hook)[0]
    position, feature = 3, int(acts[3].argmax())

    def output(acts: Tensor) -> Tensor:
        return acts @ weights["W_dec"] + weights["b_dec"] + x @ weights["W_skip"].T

    without = acts.clone()
    without[position, feature] = 0
    spliced = output(without) + (written - output(acts))
    bench = Bench(model, parts.writes[0].hook, sae, tokens, Firing(*[torch.zeros(0)] * 4))
    clean = log_probs(bench)
    with plainly_edited(bench, slice(None), written - spliced):
        expected = losses(clean, tokens) - losses(log_probs(bench), tokens)
    found = FullEffects(model, sae, parts.wiring).at(tokens, [position], [feature], [float(acts[position, feature])])
    assert_allclose(found.loss[0, :-1], expected, atol=1e-4)
    assert float(expected.abs().max()) > 1e-3


# Indices and pages


def test_the_index_holds_what_is_read_and_names_what_is_written(tmp_path) -> None:
    bench, parts = make("gpt2", "blocks.1.ln2.hook_normalized", "blocks.1.hook_mlp_out")
    tokens = torch.randint(1, 31, (6, 9), generator=torch.Generator().manual_seed(2))
    index = index_features(Corpus.from_tokens(tokens), parts, tmp_path / "index")
    dense = bench.sae.encode_dense(bench.model.activations(tokens, parts.read).flatten(0, 1))
    for feature in range(0, D_SAE, 7):
        firings = index.firings(feature)
        assert firings.positions.tolist() == torch.nonzero(dense[:, feature])[:, 0].tolist()
        assert_allclose(firings.acts, dense[:, feature][dense[:, feature] > 0], rtol=1e-5)
    made = index.manifest.provenance
    place = "transformer.h.1.mlp:output"
    assert made.writes == [{"name": "blocks.1.hook_mlp_out", "place": place, "model": 0}]
    assert made.hook["name"] == "blocks.1.ln2.hook_normalized"
    elsewhere = ModelAndSae(model=parts.model, sae=parts.sae, hook=parts.hook, hook_out="blocks.2.hook_mlp_out")
    with pytest.raises(ForeignIndexError, match="another place that the dictionary writes to"):
        index_features(Corpus.from_tokens(tokens), elsewhere, tmp_path / "index")
    with pytest.raises(ForeignIndexError, match="another place that the dictionary writes to"):
        save_feature_page(index, tmp_path / "never.html", parts=elsewhere)
    page = save_feature_page(index, tmp_path / "page.html", parts=parts)
    head, views = read_page(page.path.read_text(encoding="utf-8"))
    assert head["meta"]["hook"] == "blocks.1.ln2.hook_normalized → blocks.1.hook_mlp_out"
    feature = min(views)
    neighbours = decoder_neighbours(bench.sae, [feature], 3)
    assert views[feature].decoder_neighbours.index.tolist() == neighbours.features[0].tolist()


@pytest.mark.parametrize("way", [WAYS[0], WAYS[4], WAYS[7]], ids=lambda way: f"{way[0]}-{way[1]}")
def test_a_prompt_page_holds_what_editing_the_model_does(way, tmp_path) -> None:
    bench, parts = make(*way)
    corpus = Corpus.from_tokens(torch.randint(1, 31, (6, 9), generator=torch.Generator().manual_seed(2)))
    index = index_features(corpus, parts)
    path = tmp_path / "prompt.html"
    save_prompt_page(index, path, bench.tokens.tolist(), parts=parts)
    head, _ = read_page(path.read_text(encoding="utf-8"))
    view = head["prompt"].prompts[0]
    values = {metric.name: metric.values for metric in view.metrics}
    positions = np.repeat(np.arange(9), np.diff(view.offsets))
    at = {pair: i for i, pair in enumerate(zip(positions.tolist(), view.features.tolist(), strict=True))}
    with_, without = (logits.log_softmax(1) for logits in slow(bench))
    for i, position in enumerate(bench.firing.positions.tolist()):
        row = at[position, int(bench.firing.features[i])]
        assert values["act_size"][row] == pytest.approx(float(bench.firing.acts[i]), rel=1e-5)
        if position < 8:
            expected = float((without - with_)[i, bench.tokens[position + 1]])
            assert values["loss_effect"][row] == pytest.approx(expected, abs=1e-4)


# Bad input


def test_a_place_that_nobody_names() -> None:
    model = load_model(build("gpt2"))
    parts = ModelAndSae(model=model, sae=tiny_transcoder(12, 12), hook="blocks.1.hook_mlp_in")
    assert parts.writes == ()
    assert parts.lens(IndexConfig()) is None
    assert parts.direct_effects() is None
    index = index_features(Corpus.from_tokens(torch.ones(2, 5, dtype=torch.int64)), parts)
    message = (
        r"reads at 'blocks\.1\.hook_mlp_in' and writes elsewhere, but its checkpoint does not say where: give "
        r"hook_out=, such as ModelAndSae\(…, hook_out='blocks\.8\.hook_mlp_out'\)"
    )
    with pytest.raises(InputError, match=message):
        save_prompt_page(index, "never.html", [1, 2], parts=parts)


def test_a_checkpoint_that_says_where_it_writes() -> None:
    model = load_model(build("gpt2"))
    sae = tiny_transcoder(12, 12, hook_out="blocks.1.hook_mlp_out")
    parts = ModelAndSae(model=model, sae=sae, hook="blocks.1.hook_mlp_in")
    assert [write.hook.name for write in parts.writes] == ["blocks.1.hook_mlp_out"]


def wiring(model: HuggingFaceModel, read: HookPoint, write: HookPoint, d: int) -> Wiring:
    return Wiring(reader=model, read=read, writes=(Write(hook=write, columns=slice(0, d)),))


def test_widths_that_do_not_fit() -> None:
    model = load_model(build("gpt2"))
    narrow, wide = model.hook_point("blocks.1.hook_mlp_in"), model.hook_point("blocks.1.mlp.hook_post")
    sae = tiny_transcoder(12, 12)
    with pytest.raises(InputError, match=r"writes 12 numbers at 'blocks\.1\.mlp\.hook_post', which is 48 wide"):
        FullEffects(model, sae, wiring(model, narrow, wide, 12))
    with pytest.raises(InputError, match=r"writes 12 numbers at 'blocks\.1\.mlp\.hook_post', which is 48 wide"):
        ModelAndSae(model=model, sae=sae, hook=narrow.name, hook_out=wide.name).lens(IndexConfig())
    with pytest.raises(InputError, match=r"reads 12 numbers, but 'blocks\.1\.mlp\.hook_post' is 48 wide"):
        DirectEffects(model, sae, wiring(model, wide, narrow, 12))
    with pytest.raises(InputError, match=r"reads 12 numbers and writes 12, but 'blocks\.1\.mlp\.hook_post' is 48 wide"):
        attribute(model, sae, wide, torch.ones(3, dtype=torch.int64), NextTokenLoss())


def test_two_edits_at_one_place() -> None:
    model = load_model(build("gpt2"))
    edit = Edit(hook=model.hook_point("blocks.1.hook_mlp_out"), delta=torch.zeros(1, 3, 12))
    with pytest.raises(InputError, match=r"there are two edits at 'blocks\.1\.hook_mlp_out': add them up to one"):
        model.logits(torch.ones(1, 3, dtype=torch.int64), [edit, edit])
