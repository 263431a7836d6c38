"""A model through TransformerLens, folded and not, against the same model through Hugging Face."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose
from torch import Tensor

from sae_vis.api import ModelAndSae, index_features
from sae_vis.compat import SaeVisConfig, SaeVisData
from sae_vis.config import IndexConfig
from sae_vis.corpus.tokens import Corpus
from sae_vis.effects.ablation import DirectEffects
from sae_vis.effects.attribution import NextTokenLoss, attribute
from sae_vis.effects.intervention import FullEffects
from sae_vis.effects.logit_lens import LogitLens
from sae_vis.errors import InputError
from sae_vis.models.any_model import as_model, tokenizer_of
from sae_vis.models.base import Edit
from sae_vis.models.huggingface import HuggingFaceModel
from sae_vis.models.loading import load_model
from sae_vis.models.transformer_lens import TransformerLensModel
from sae_vis.saes.formats import as_dictionary
from tests.effects.conftest import tiny_sae
from tests.kernels import rounding
from tests.lens_models import FORMS, KINDS, hf_model, lens_model, need_transformer_lens
from tests.libraries import library

tl = need_transformer_lens()
pytestmark = pytest.mark.filterwarnings("ignore")

SITES = (
    "hook_embed",
    "blocks.0.hook_resid_pre",
    "blocks.1.hook_resid_mid",
    "blocks.1.hook_resid_post",
    "blocks.1.hook_mlp_out",
    "blocks.1.hook_attn_out",
    "blocks.2.mlp.hook_post",
    "blocks.1.attn.hook_z",
)
TOKENS = torch.randint(1, 30, (9,), generator=torch.Generator().manual_seed(1))


class Both(NamedTuple):
    """One model, twice."""

    hf: HuggingFaceModel
    lens: TransformerLensModel
    kind: str
    form: str

    @property
    def folded(self) -> bool:
        return self.form.endswith("folded") and self.form != "unfolded"


@pytest.fixture(scope="module", params=[(kind, form) for kind in KINDS for form in FORMS], ids="-".join)
def both(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Both:
    kind, form = request.param
    model = hf_model(kind)
    adapted = as_model(lens_model(model, form, tmp_path_factory.mktemp("lens")))
    assert isinstance(adapted, TransformerLensModel)
    return Both(load_model(model), adapted, kind, form)


@pytest.fixture(params=SITES)
def site(request: pytest.FixtureRequest, both: Both) -> str:
    name = str(request.param)
    if both.kind == "gpt_neox" and name.endswith("resid_mid"):
        pytest.skip("attention and MLP of this model read the same residual stream")
    return name


def up_to_folding(acts: Tensor, both: Both, site: str) -> Tensor:
    """Folding moves value biases out of ``z``, the same vector for each token, and centres what is written."""
    if site.endswith("hook_z"):
        return acts - acts.mean((0, 1))
    centres = both.kind in {"gpt2", "gpt_neox"} and not site.endswith("hook_post")
    return acts - acts.mean(-1, keepdim=True) if centres else acts


def test_the_same_activations(both, site):
    tokens = TOKENS.expand(2, -1)
    ours, theirs = (model.activations(tokens, model.hook_point(site)) for model in (both.lens, both.hf))
    assert ours.shape == theirs.shape
    if both.folded:
        ours, theirs = up_to_folding(ours, both, site), up_to_folding(theirs, both, site)
    assert_allclose(ours, theirs, atol=rounding(theirs, 10))  # of each block some four
    assert float(theirs.std()) > 0.01
    hook = both.lens.hook_point(site)
    assert (hook.site, hook.layer, hook.d) == (both.hf.hook_point(site).site, hook.layer, theirs.shape[-1])


def test_the_hook_is_what_run_with_cache_gives(both, site):
    _, cache = both.lens.model.run_with_cache(TOKENS[None], names_filter=site)
    ours = both.lens.activations(TOKENS[None], both.lens.hook_point(site))
    assert torch.equal(ours, cache[site].detach().flatten(2))


def test_the_same_logits(both):
    ours, theirs = both.lens.logits(TOKENS[None]), both.hf.logits(TOKENS[None])
    assert torch.equal(ours, both.lens.model(TOKENS[None]).detach())
    assert_allclose(ours.log_softmax(-1), theirs.log_softmax(-1), atol=rounding(theirs.log_softmax(-1), 10))
    end, residual = both.lens.unembedding(), both.lens.activations(TOKENS[None], both.lens.final_residual)
    x = residual - residual.mean(-1, keepdim=True) if end.centred else residual
    x = end.gain * x / (x.square().mean(-1, keepdim=True) + end.eps).sqrt()
    logits = x @ end.weight.T + (0 if end.bias is None else end.bias)
    cap = both.lens.logit_softcap
    assert_allclose(logits if cap is None else cap * torch.tanh(logits / cap), ours, atol=1e-4)


def test_the_same_logit_effects(both, site):
    hooks = [model.hook_point(site) for model in (both.lens, both.hf)]
    sae = tiny_sae(hooks[0].d)
    lenses = [
        LogitLens(model, sae, hook, n_tokens=5, n_bins=10)
        for model, hook in zip((both.lens, both.hf), hooks, strict=True)
    ]
    ours, theirs = (lens.effects(slice(0, 40)) for lens in lenses)
    assert_allclose(ours, theirs, atol=1e-4)
    assert float(theirs.std()) > 0.1


def firings(both: Both, site: str) -> tuple[Any, ...]:
    """Of the Hugging Face model: folding moves activations, and with them what fires."""
    hook = both.hf.hook_point(site)
    sae = tiny_sae(hook.d)
    codes = sae.encode(both.hf.activations(TOKENS[None], hook)[0])
    positions = torch.repeat_interleave(codes.offsets.diff())
    return sae, positions[::7], codes.features[::7], codes.acts[::7]


def test_the_same_direct_effects(both, site):
    sae, *pairs = firings(both, site)
    found = []
    for model in (both.lens, both.hf):
        effects = DirectEffects(model, sae, model.hook_point(site))
        found.append(effects.at(effects.prepare(TOKENS), *pairs))
    ours, theirs = found
    for name in ("loss", "prob_with", "prob_without", "top_changes", "bottom_changes"):
        assert_allclose(getattr(ours, name), getattr(theirs, name), atol=1e-4)
    assert np.nanmax(np.abs(theirs.loss)) > 0.01
    if not both.folded:  # centring the unembedding moves all logits alike
        assert_allclose(ours.logit, theirs.logit, atol=1e-4)


def test_the_same_full_effects(both, site):
    sae, *pairs = firings(both, site)
    ours, theirs = (
        FullEffects(model, sae, model.hook_point(site)).at(TOKENS, *(part[::3] for part in pairs))
        for model in (both.lens, both.hf)
    )
    assert_allclose(ours.loss, theirs.loss, atol=1e-4)
    assert_allclose(ours.kl, theirs.kl, atol=1e-4)
    assert np.nanmax(np.abs(theirs.loss)) > 0.01


def test_the_same_gradients_and_attributions(both, site):
    target = NextTokenLoss()
    found = [
        model.gradient(TOKENS[None], model.hook_point(site), lambda logits: target(logits[0], TOKENS))
        for model in (both.lens, both.hf)
    ]
    assert_allclose(found[0].gradient, found[1].gradient, atol=1e-4)
    assert found[0].value == pytest.approx(found[1].value, abs=1e-5)
    if both.folded:
        return
    sae = tiny_sae(found[0].acts.shape[-1])
    ours, theirs = (
        attribute(model, sae, model.hook_point(site), TOKENS, target).largest(20) for model in (both.lens, both.hf)
    )
    assert_allclose(ours.values, theirs.values, atol=1e-4)


def test_an_edit_is_one_of_the_stream_itself(both, site):
    """A hook of TransformerLens' own, with the same addition; not where its bridge reads a copy of the stream."""
    if both.form.startswith("bridge") and site.endswith("resid_mid"):
        pytest.skip("the bridge's own hook changes the copy that the norm reads")
    hook = both.lens.hook_point(site)
    delta = 0.1 * torch.randn(1, 9, hook.d, generator=torch.Generator().manual_seed(0))
    ours = both.lens.logits(TOKENS[None], Edit(hook=hook, delta=delta))

    def add(value: Tensor, hook: object) -> Tensor:
        return value + delta.reshape(value.shape)

    theirs = both.lens.model.run_with_hooks(TOKENS[None], fwd_hooks=[(site, add)]).detach()
    assert_allclose(ours, theirs, atol=1e-5)
    assert float((ours - both.lens.logits(TOKENS[None])).abs().max()) > 1e-3


def every_module(model: Any) -> list[torch.nn.Module]:
    return [*model.modules(), *getattr(model, "original_model", model).modules()]


def test_the_model_is_left_as_it_was(both):
    model = both.lens.model
    weights = {name: value.clone() for name, value in model.state_dict().items() if isinstance(value, Tensor)}
    state = torch.random.get_rng_state()
    model.train()
    try:
        hook = both.lens.hook_point("blocks.1.hook_mlp_out")
        modes = [module.training for module in every_module(model)]
        both.lens.activations(TOKENS[None], hook)
        both.lens.unembedding()
        both.lens.gradient(TOKENS[None], hook, lambda logits: logits[0, 3, 2])
        with pytest.raises(InputError, match="token ids from 0 to 99"):
            both.lens.activations(torch.tensor([[0, 99]]), hook)
        assert [module.training for module in every_module(model)] == modes
    finally:
        model.eval()
    assert torch.equal(state, torch.random.get_rng_state())
    assert all(parameter.grad is None for parameter in model.parameters())
    assert not any(module._forward_hooks or module._forward_pre_hooks for module in model.hook_dict.values())
    after = model.state_dict()
    assert all(torch.equal(after[name], value) for name, value in weights.items())


def test_indexing_gives_what_hugging_face_gives(both):
    if both.folded:
        pytest.skip("folding moves activations, and with them what fires")
    tokens = torch.randint(0, 31, (20, 12), generator=torch.Generator().manual_seed(4))
    site, sae = "blocks.1.hook_resid_post", tiny_sae(12)
    config = IndexConfig(logits_bins=10)
    ours, theirs = (
        index_features(Corpus.from_tokens(tokens), ModelAndSae(model=model, sae=sae, hook=site), config=config)
        for model in (both.lens, both.hf)
    )
    assert_allclose(ours.column("n_firings"), theirs.column("n_firings"), atol=1)  # on the edge of firing
    for name in ("max", "mean", "logits_std", "logits_high"):
        assert_allclose(ours.column(name), theirs.column(name), atol=1e-4)
    for feature in np.flatnonzero(theirs.column("n_firings") > 20)[:5].tolist():
        assert ours.lists("top_tokens", feature).tolist() == theirs.lists("top_tokens", feature).tolist()
        mine, other = ours.firings(feature), theirs.firings(feature)
        if len(mine.acts) == len(other.acts):
            assert mine.positions.tolist() == other.positions.tolist()
            assert_allclose(mine.acts, other.acts, atol=1e-4)


def test_names_and_errors(both):
    with pytest.raises(InputError, match=r"has 3 layers, 0 to 2"):
        both.lens.hook_point("blocks.3.hook_resid_post")
    with pytest.raises(InputError, match=r"near names: 'blocks.1.hook_"):
        both.lens.hook_point("blocks.1.hook_resid_poost")
    with pytest.raises(InputError, match=r"':input' or ':output', not at 'middle'"):
        both.lens.hook_point("blocks.1.hook_resid_post:middle")
    assert both.lens.hook_point("blocks.1.mlp:output").site == "other"
    with pytest.raises(InputError, match="no known way from"):
        both.lens.to_residual(torch.zeros(1, 12), both.lens.hook_point("ln_final.hook_normalized"))
    with pytest.raises(InputError, match=r"directions at 'hook_embed' are \[n, 12\]"):
        both.lens.to_residual(torch.zeros(1, 13), both.lens.hook_point("hook_embed"))
    with pytest.raises(InputError, match="give no prefix"):
        both.lens.logits(TOKENS[None], start=2)
    facts = both.lens.describe()
    assert facts["class"] == type(both.lens.model).__name__
    assert facts["n_layers"] == 3
    assert both.lens.activations(TOKENS[None][:, :0], both.lens.hook_point("hook_embed")).shape == (1, 0, 12)


def test_fingerprints_tell_weights_apart(both, tmp_path: Path):
    again = as_model(copy.deepcopy(both.lens.model) if not both.form.startswith("bridge") else both.lens.model)
    assert again.fingerprint() == both.lens.fingerprint()
    changed = as_model(lens_model(hf_model(both.kind), both.form, tmp_path))
    assert changed.fingerprint() == both.lens.fingerprint()
    with torch.no_grad():
        next(changed.model.get_submodule("embed").parameters())[3, 2] += 0.5
    assert as_model(changed.model).fingerprint() != both.lens.fingerprint()
    assert both.hf.fingerprint() != both.lens.fingerprint()


def hooked(**options: object) -> Any:
    """A HookedTransformer that nobody trained."""
    common = {"n_layers": 2, "d_model": 12, "d_head": 4, "n_heads": 3, "n_ctx": 16, "d_vocab": 31, "act_fn": "relu"}
    return tl.HookedTransformer(tl.HookedTransformerConfig(**{**common, "device": "cpu", "seed": None, **options}))


def test_a_model_without_final_norm_has_no_logit_effects():
    model = as_model(hooked(normalization_type=None, d_mlp=20))
    assert model.activations(TOKENS[None], model.hook_point("blocks.1.hook_resid_post")).shape == (1, 9, 12)
    with pytest.raises(InputError, match="has no final norm"):
        model.unembedding()


def test_attention_only():
    model = as_model(hooked(attn_only=True, normalization_type="LNPre"))
    assert model.hook_point("blocks.1.attn.hook_z").onward == ("blocks.1.attn",)
    assert model.unembedding().gain.eq(1).all()
    with pytest.raises(InputError, match="never calls this module"):
        model.activations(TOKENS[None], model.hook_point("blocks.1.hook_mlp_out"))


def test_logits_that_are_not_norm_and_unembedding_are_refused():
    raw = hooked(d_mlp=20, normalization_type="LN")
    raw.unembed.hook_out.add_hook(lambda value, hook: value * 1.5, is_permanent=True)
    with pytest.raises(InputError, match="are not its final norm and unembedding"):
        as_model(raw).unembedding()


def test_too_long_and_half_precision():
    model = as_model(hooked(d_mlp=20, dtype=torch.bfloat16))
    with pytest.raises(InputError, match="17 tokens; HookedTransformer has 16 positions"):
        model.activations(torch.zeros(1, 17, dtype=torch.int64), model.hook_point("hook_embed"))
    acts = model.activations(TOKENS[None], model.hook_point("blocks.1.hook_resid_post"))
    assert acts.dtype == torch.bfloat16
    assert model.unembedding().weight.dtype == torch.float32


def test_a_tokenizer_that_pads_on_the_left_changes_nothing():
    from sae_vis.demo import run as demo
    from sae_vis.models.loading import load_tokenizer

    tokenizer = load_tokenizer(demo.assets() / "model")
    tokenizer.padding_side = "left"
    raw = hooked(d_mlp=20)
    plain = as_model(raw).logits(TOKENS[None])
    raw.tokenizer = tokenizer
    tokenizer.pad_token = tokenizer.decode([int(TOKENS[0])])
    model = as_model(raw)
    assert torch.equal(model.logits(TOKENS[None]), plain)
    assert tokenizer.padding_side == "left"
    assert tokenizer_of(model) is tokenizer


def test_an_attached_sae_reads_the_model_s_activation():
    sae_lens = library("sae_lens")
    config = sae_lens.StandardSAEConfig(d_in=12, d_sae=24)
    config.metadata.hook_name = "blocks.1.hook_resid_pre"
    sae = sae_lens.StandardSAE(config)
    torch.nn.init.normal_(sae.W_enc)
    torch.nn.init.normal_(sae.W_dec)
    raw = sae_lens.HookedSAETransformer(hooked(d_mlp=20).cfg)
    model = as_model(raw)
    assert isinstance(model, TransformerLensModel)
    before = model.activations(TOKENS[None], model.hook_point("blocks.1.hook_resid_pre"))
    raw.add_sae(sae)
    hook = model.hook_point("blocks.1.hook_resid_pre")
    assert (hook.site, hook.side) == ("resid", "input")
    assert torch.equal(model.activations(TOKENS[None], hook), before)
    after = model.activations(TOKENS[None], model.hook_point("blocks.1.hook_resid_mid"))
    raw.reset_saes()
    assert not torch.equal(after, model.activations(TOKENS[None], model.hook_point("blocks.1.hook_resid_mid")))


def test_five_lines(tmp_path):
    """A script of sae_vis 0.3: a TransformerLens model and tokens."""
    from tests.fixtures.page_decoder import read_page

    raw = hooked(d_mlp=20)
    sae = as_dictionary({"W_enc": torch.randn(12, 8), "W_dec": torch.randn(8, 12)}, hook_name="blocks.0.hook_mlp_out")
    data = SaeVisData.create(sae=sae, model=raw, tokens=TOKENS[None], cfg=SaeVisConfig(features=range(8)))
    data.save_feature_centric_vis(tmp_path / "page.html")
    assert sorted(read_page((tmp_path / "page.html").read_text())[1]) == list(range(8))
