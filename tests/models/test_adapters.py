"""Models with adapters of PEFT: the base model's hook points, and effects with the adapters in."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

import sae_vis as sv
from sae_vis.effects.ablation import DirectEffects
from sae_vis.effects.intervention import FullEffects
from sae_vis.errors import InputError
from sae_vis.models.any_model import as_model
from sae_vis.saes.tensors import TensorOptions, from_tensors
from tests.libraries import library
from tests.tiny_models import build

peft: Any = library("peft")
pytestmark = [pytest.mark.filterwarnings(f"ignore::{kind}") for kind in ("FutureWarning", "UserWarning")]  # of its own
KINDS = ("gpt2", "llama", "gemma2")
PROJECTIONS = {"gpt2": ["c_proj"], "llama": ["o_proj", "down_proj"], "gemma2": ["o_proj", "down_proj"]}
TOKENS = torch.randint(1, 31, (4, 12), generator=torch.Generator().manual_seed(3))
NEURONS, HEADS, OUT = "blocks.1.mlp.hook_post", "blocks.1.attn.hook_z", "blocks.1.hook_resid_post"


def drawn(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def shaken(model: nn.Module) -> None:
    """Weights of adapters begin such that they change nothing: no longer."""
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if any(part in name for part in ("lora_", "vera_", "ia3_", "hada_", "oft_", "modules_to_save")):
                parameter.add_(0.3 * torch.randn(parameter.shape, generator=generator))


def lora(kind: str, **options: Any) -> Any:
    """A config of LoRA on what attention and MLP write with."""
    settings = {"r": 3, "lora_alpha": 7, "lora_dropout": 0.4, "target_modules": PROJECTIONS[kind], **options}
    return peft.LoraConfig(fan_in_fan_out=kind == "gpt2", **settings)


def adapted(kind: str, **options: Any) -> Any:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        made = peft.get_peft_model(build(kind), lora(kind, **options))
    shaken(made)
    return made


def logits_of(model: Any) -> torch.Tensor:
    model.eval()
    with torch.no_grad():
        return model(input_ids=TOKENS, use_cache=False).logits  # a cache gives keys and values another layout


def sae_at(model: Any, site: str) -> Any:
    d = model.hook_point(site).d
    tensors = {"W_enc": drawn(d, 30, seed=4), "W_dec": drawn(30, d, seed=5), "b_enc": torch.full((30,), -1.0)}
    return from_tensors(tensors, TensorOptions(hook_name=site))


def as_merged(wrapped: Any) -> Any:
    """The model that PEFT itself makes of it, with the adapters in the weights."""
    return as_model(copy.deepcopy(wrapped).merge_and_unload())


def effects_have_the_adapters_in(wrapped: Any) -> None:
    """Ways to the stream and the unembedding are those of the merged model; direct effects those of really editing."""
    model, merged = as_model(wrapped), as_merged(wrapped)
    torch.testing.assert_close(model.logits(TOKENS), logits_of(wrapped), rtol=0, atol=0)
    torch.testing.assert_close(model.logits(TOKENS), merged.logits(TOKENS), rtol=1e-3, atol=1e-3)
    for site in (NEURONS, HEADS):
        hook, eye = model.hook_point(site), torch.eye(model.hook_point(site).d)
        torch.testing.assert_close(model.to_residual(eye, hook), merged.to_residual(eye, hook), rtol=1e-4, atol=1e-4)
    ours, theirs = model.unembedding(), merged.unembedding()
    torch.testing.assert_close(ours.weight, theirs.weight, rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(ours.gain, theirs.gain, rtol=0, atol=0)
    assert (ours.bias is None) == (theirs.bias is None)
    if ours.bias is not None:
        torch.testing.assert_close(ours.bias, theirs.bias, rtol=1e-4, atol=1e-4)
    last = model.hook_point("blocks.2.mlp.hook_post")
    sae, pairs = sae_at(model, last.name), ([10] * 5, range(5), [0.5] * 5)
    full = FullEffects(model, sae, last).at(TOKENS[0], *pairs).loss_at_first
    direct = DirectEffects(model, sae, last)
    assert np.abs(full).max() > 1e-3
    if model.post_norm(last) is None:  # nothing comes after but the final norm: direct is full
        np.testing.assert_allclose(direct.at(direct.prepare(TOKENS[0]), *pairs).loss, full, atol=1e-4)


@pytest.mark.parametrize("kind", KINDS)
def test_lora_works_under_the_base_model_s_hook_names(kind: str, tmp_path: Path):
    wrapped = adapted(kind)
    model, base = as_model(wrapped), as_model(build(kind))
    assert model.model is wrapped.base_model.model
    for name in (NEURONS, HEADS, OUT, "blocks.0.hook_mlp_out", "blocks.2.hook_attn_out", "hook_embed"):
        assert model.hook_point(name) == base.hook_point(name)
    assert (model.logits(TOKENS) - base.logits(TOKENS)).abs().max() > 0.01
    effects_have_the_adapters_in(wrapped)
    assert model.fingerprint() != base.fingerprint()
    assert model.describe()["adapters"] == ["default"]
    for found in (model, sv.load_model(wrapped), as_model(torch.compile(nn.DataParallel(wrapped), backend="eager"))):
        parts = sv.ModelAndSae(model=found, sae=sae_at(found, NEURONS))
        index = sv.index_features(sv.Corpus.from_tokens(TOKENS), parts, tmp_path / "index")
        sv.save_feature_page(index, tmp_path / "page.html", features=3, parts=parts)
        sv.save_prompt_page(index, tmp_path / "prompt.html", TOKENS[0].tolist(), parts=parts)


VARIANTS: dict[str, dict[str, Any]] = {
    "rank-stabilised": {"use_rslora": True},
    "DoRA": {"use_dora": True},
    "everything": {"target_modules": "all-linear"},
    "of some layers": {"layers_to_transform": [1]},
    "of other ranks": {"rank_pattern": {".*proj": 2}},
}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("options", VARIANTS.values(), ids=VARIANTS)
def test_variants_of_lora(kind: str, options: dict[str, Any]):
    effects_have_the_adapters_in(adapted(kind, **options))


@pytest.mark.parametrize("kind", ["gpt2", "llama"])
def test_a_bias_of_lora(kind: str):
    effects_have_the_adapters_in(adapted(kind, lora_bias=True))


CONFIGS: dict[str, Any] = {
    "IA3": lambda: peft.IA3Config(target_modules=["o_proj", "down_proj"], feedforward_modules=["down_proj"]),
    "LoHa": lambda: peft.LoHaConfig(r=2, target_modules=["o_proj", "down_proj"]),
    "LoKr": lambda: peft.LoKrConfig(r=2, target_modules=["o_proj", "down_proj"]),
    "VeRA": lambda: peft.VeraConfig(r=2, target_modules=["down_proj"]),
    "OFT": lambda: peft.OFTConfig(oft_block_size=2, r=0, target_modules=["o_proj", "down_proj"]),
}


@pytest.mark.parametrize("config", CONFIGS.values(), ids=CONFIGS)
def test_other_adapters_of_projections(config: Any):
    wrapped = peft.get_peft_model(build("llama"), config())
    shaken(wrapped)
    effects_have_the_adapters_in(wrapped)


def test_adapters_in_half_precision():
    wrapped = adapted("llama").to(torch.bfloat16)
    model = as_model(wrapped)
    hook = model.hook_point(NEURONS)
    found = model.to_residual(torch.eye(hook.d), hook)
    layer = wrapped.base_model.model.model.layers[1].mlp.down_proj
    exact = layer.base_layer.weight.float() + layer.scaling["default"] * (
        layer.lora_B["default"].weight.float() @ layer.lora_A["default"].weight.float()
    )
    torch.testing.assert_close(found, exact.T.detach(), rtol=0.02, atol=0.02)


@pytest.mark.parametrize("kind", KINDS)
def test_adapters_that_are_switched_off_leave_the_base_model(kind: str):
    wrapped, base = adapted(kind, modules_to_save=["lm_head"] if kind == "llama" else None), as_model(build(kind))
    model = as_model(wrapped)
    hook, on = model.hook_point(NEURONS), model.fingerprint()
    with wrapped.disable_adapter():
        assert model.fingerprint() == base.fingerprint()
        assert "adapters" not in model.describe()
        torch.testing.assert_close(model.logits(TOKENS), base.logits(TOKENS), rtol=0, atol=0)
        eye = torch.eye(hook.d)
        torch.testing.assert_close(model.to_residual(eye, hook), base.to_residual(eye, hook), rtol=0, atol=0)
        torch.testing.assert_close(model.unembedding().weight, base.unembedding().weight, rtol=0, atol=0)
    assert model.fingerprint() == on != base.fingerprint()


def test_merged_adapters_are_those_of_the_merged_model():
    wrapped = adapted("llama")
    before = logits_of(wrapped)
    wrapped.merge_adapter()
    model = as_model(wrapped)
    torch.testing.assert_close(model.logits(TOKENS), before, rtol=1e-4, atol=1e-4)
    found = model.fingerprint()
    with wrapped.disable_adapter(), pytest.raises(InputError, match="are merged into the weights and switched off at"):
        model.fingerprint()
    assert as_model(wrapped.merge_and_unload()).fingerprint() == found


def test_several_adapters():
    wrapped = adapted("llama")
    wrapped.add_adapter("second", lora("llama", r=2, target_modules=["down_proj"]))
    shaken(wrapped)
    model = as_model(wrapped)
    fingerprints = [model.fingerprint()]
    for active in (["second"], ["default", "second"]):
        wrapped.base_model.set_adapter(active)
        effects_have_the_adapters_in(wrapped)
        fingerprints.append(model.fingerprint())
        assert model.describe()["adapters"] == active
    assert len(set(fingerprints)) == 3
    wrapped.base_model.set_adapter("default")
    assert model.fingerprint() == fingerprints[0]
    wrapped.delete_adapter("second")
    assert as_model(wrapped).fingerprint() == fingerprints[0]


def test_the_fingerprint_is_of_the_adapter_s_weights_and_its_scale():
    found = {as_model(adapted("llama")).fingerprint(), as_model(adapted("llama", lora_alpha=8)).fingerprint()}
    other = adapted("llama")
    with torch.no_grad():
        other.base_model.model.model.layers[2].mlp.down_proj.lora_B["default"].weight[0, 0] += 1
    assert len(found | {as_model(other).fingerprint(), as_model(build("llama")).fingerprint()}) == 4
    assert as_model(adapted("llama")).fingerprint() in found


@pytest.mark.parametrize(
    "modules", [["lm_head"], ["lm_head", "norm"], ["down_proj"], ["post_attention_layernorm"]], ids=str
)
def test_modules_to_save(modules: list[str]):
    """Whole copies of modules, of which the active adapter's is used."""
    wrapped = adapted("llama", target_modules=["o_proj"], modules_to_save=modules)
    model = as_model(wrapped)
    effects_have_the_adapters_in(wrapped)
    assert model.fingerprint() != as_model(build("llama")).fingerprint()


@pytest.mark.parametrize("lora_bias", [True, False])
@pytest.mark.parametrize("kind", ["llama", "gemma2"])
def test_an_adapter_of_the_unembedding(kind: str, lora_bias: bool):
    """Logits are those of the final residual; PEFT can't merge what Gemma ties, nor a bias where there was none."""
    options = {"target_modules": ["lm_head", "down_proj"], "lora_alpha": 1}  # so small that no logit is at its cap
    wrapped = adapted(kind, lora_bias=lora_bias, **options)
    model = as_model(wrapped)
    end, x = model.unembedding(), model.activations(TOKENS, model.final_residual)
    assert (end.bias is not None and bool(end.bias.abs().max() > 0.1)) == lora_bias
    x = end.gain * x * (x.square().mean(-1, keepdim=True) + end.eps).rsqrt()
    logits = x @ end.weight.T + (0 if end.bias is None else end.bias)
    cap = model.logit_softcap
    torch.testing.assert_close(logits if cap is None else cap * torch.tanh(logits / cap), logits_of(wrapped))


def test_an_adapter_that_transformers_put_in():
    """``add_adapter`` of a model itself: nothing is wrapped around it."""
    model, base = build("llama"), as_model(build("llama"))
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model.add_adapter(lora("llama"))
    shaken(model)
    found = as_model(model)
    assert (found.logits(TOKENS) - base.logits(TOKENS)).abs().max() > 0.01
    hook, other = found.hook_point(NEURONS), as_model(adapted("llama"))
    assert torch.equal(found.to_residual(torch.eye(hook.d), hook), other.to_residual(torch.eye(hook.d), hook))
    assert found.fingerprint() == as_model(adapted("llama")).fingerprint()


def test_a_folder_of_an_adapter(tmp_path: Path):
    """It names its base model, and transformers loads both."""
    build("llama").save_pretrained(tmp_path / "base")
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        wrapped = peft.get_peft_model(sv.load_model(tmp_path / "base").model, lora("llama"))
    shaken(wrapped)
    wrapped.save_pretrained(tmp_path / "adapter")
    found = sv.load_model(tmp_path / "adapter")
    assert torch.equal(found.logits(TOKENS), logits_of(wrapped))
    assert found.fingerprint() == as_model(wrapped).fingerprint()


def test_a_mixed_model():
    mixed = peft.get_peft_model(build("llama"), lora("llama", target_modules=["down_proj"]), mixed=True)
    shaken(mixed)
    effects_have_the_adapters_in(mixed)


def test_the_mode_and_the_weights_stay_as_they_are():
    wrapped = adapted("llama").train()
    weights = {name: value.clone() for name, value in wrapped.state_dict().items()}
    model = as_model(wrapped)
    assert torch.equal(model.logits(TOKENS), model.logits(TOKENS))
    model.unembedding()
    model.to_residual(drawn(2, 20), model.hook_point(NEURONS))
    assert all(part.training for part in wrapped.modules())
    assert all(torch.equal(value, weights[name]) for name, value in wrapped.state_dict().items())


def test_adapters_that_are_more_than_layers_are_refused():
    prompt = peft.get_peft_model(build("llama"), peft.PromptTuningConfig(task_type="CAUSAL_LM", num_virtual_tokens=3))
    prefix = peft.get_peft_model(build("llama"), peft.PrefixTuningConfig(task_type="CAUSAL_LM", num_virtual_tokens=3))
    told = adapted("llama", alora_invocation_tokens=[3, 4])
    for model, kind in ((prompt, "PROMPT_TUNING"), (prefix, "PREFIX_TUNING"), (told, "LORA")):
        with pytest.raises(
            InputError, match=rf"\({kind}\) is more than layers within the base model: it adds tokens, or"
        ):
            as_model(model)


def test_an_adapter_of_a_norm_is_refused_where_its_gain_is_needed():
    wrapped = peft.get_peft_model(build("llama"), peft.LNTuningConfig(target_modules=["norm"]))
    model, base = as_model(wrapped), as_model(build("llama"))
    torch.testing.assert_close(model.logits(TOKENS), logits_of(wrapped), rtol=0, atol=0)
    with pytest.raises(InputError, match=r"a LlamaRMSNorm has an adapter \(LNTuningLayer\), and only adapters of proj"):
        model.unembedding()
    with wrapped.disable_adapter():
        assert torch.equal(model.unembedding().gain, base.unembedding().gain)
