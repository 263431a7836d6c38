"""Other devices and dtypes than the CPU's float32. What needs CUDA runs where CUDA is."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from sae_vis.api import ModelAndSae, index_features, save_feature_page, save_prompt_page
from sae_vis.config import IndexConfig
from sae_vis.corpus.mask import MaskConfig
from sae_vis.corpus.tokens import Corpus
from sae_vis.effects.ablation import DirectEffects
from sae_vis.effects.attribution import NextTokenLoss, attribute
from sae_vis.effects.intervention import FullEffects
from sae_vis.effects.logit_lens import LogitLens
from sae_vis.errors import InputError
from sae_vis.index import shards
from sae_vis.index.index import Index
from sae_vis.models.loading import load_model
from sae_vis.saes.base import Dictionary, dense_to_codes
from sae_vis.saes.tensors import TensorOptions, from_tensors
from tests.fixtures.page_decoder import read_page
from tests.libraries import library
from tests.tiny_models import build

KINDS = ("gpt2", "llama", "gemma2")
SITE = "blocks.1.hook_resid_post"
TOKENS = torch.randint(1, 31, (12, 16), generator=torch.Generator().manual_seed(2))
CONFIG = IndexConfig(neuron_correlations="always")
needs_cuda = pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")


def sae_on(device: str, dtype: torch.dtype = torch.float32) -> Dictionary:
    generator = torch.Generator().manual_seed(0)
    tensors = {"W_enc": torch.randn(12, 40, generator=generator), "W_dec": torch.randn(40, 12, generator=generator)}
    tensors |= {"b_enc": torch.full((40,), -1.0), "b_dec": torch.randn(12, generator=generator)}
    return from_tensors(tensors, TensorOptions(hook_name=SITE, device=device, dtype=dtype, apply_b_dec_to_input=True))


def parts_on(kind: str, device: str, dtype: torch.dtype = torch.float32) -> ModelAndSae:
    return ModelAndSae(model=load_model(build(kind).to(device, dtype)), sae=sae_on(device, dtype))


def nearly_the_same(found: Index, expected: Index, tolerance: float, flips: int = 2) -> None:
    """Up to rounding, and few firings on the edge."""
    assert np.abs(found.column("n_firings") - expected.column("n_firings")).max() <= flips
    for name in ("max", "mean", "logits_std", "logits_high"):
        np.testing.assert_allclose(found.column(name), expected.column(name), rtol=tolerance, atol=tolerance)
    assert expected.column("n_firings").sum() > 500


@needs_cuda
@pytest.mark.parametrize("kind", KINDS)
def test_cuda_gives_what_the_cpu_gives(kind: str, tmp_path: Path):
    here, there = parts_on(kind, "cpu"), parts_on(kind, "cuda")
    corpus = Corpus.from_tokens(TOKENS)
    expected, found = (index_features(corpus, parts, config=CONFIG) for parts in (here, there))
    nearly_the_same(found, expected, 1e-3)
    save_feature_page(found, tmp_path / "page.html", features=5, parts=there)
    assert len(read_page((tmp_path / "page.html").read_text())[1]) == 5
    save_prompt_page(found, tmp_path / "prompt.html", TOKENS[0].tolist(), parts=there)
    pairs = [1, 4, 6], [2, 3, 3], [1.0, 2.0, 0.5]
    for measure in (DirectEffects, FullEffects):
        losses = []
        for parts in (here, there):
            effects = measure(parts.model, parts.sae, parts.model.hook_point(SITE))
            text = effects.prepare(TOKENS[0]) if isinstance(effects, DirectEffects) else TOKENS[0]
            losses.append(effects.at(text, *pairs).loss)
        np.testing.assert_allclose(*losses, atol=1e-3)


@needs_cuda
def test_a_model_on_one_device_and_the_dictionary_on_another():
    corpus = Corpus.from_tokens(TOKENS)
    mixed = ModelAndSae(model=parts_on("llama", "cuda").model, sae=sae_on("cpu"))
    nearly_the_same(index_features(corpus, mixed), index_features(corpus, parts_on("llama", "cpu")), 1e-3)


@needs_cuda
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=str)
@pytest.mark.parametrize("kind", [{}, {"k": 4}, {"threshold": torch.full((400,), 0.5)}], ids=["relu", "topk", "jump"])
def test_cuda_codes_are_those_of_its_own_dense_definition(kind: dict[str, object], dtype: torch.dtype):
    """Nothing waits for the device while a batch is begun, and what arrives is the definition, bit for bit."""
    dice = torch.Generator().manual_seed(0)
    tensors = {"W_enc": torch.randn(12, 400, generator=dice), "W_dec": torch.randn(400, 12, generator=dice)}
    sae = from_tensors(tensors | {"b_enc": torch.full((400,), -5.0)} | kind, TensorOptions(device="cuda", dtype=dtype))
    corpus = Corpus.from_tokens(torch.randint(1, 31, (40, 64), generator=dice), MaskConfig(ids=(3,)))
    batch, acts = corpus.batch(0, 40), torch.randn(40, 64, 12, generator=dice).to("cuda", dtype)
    shards._begun(corpus, batch, sae, acts).coded()  # whatever is made at the first call
    torch.cuda.set_sync_debug_mode("error")
    try:
        begun = shards._begun(corpus, batch, sae, acts)
    finally:
        torch.cuda.set_sync_debug_mode("default")
    assert begun.arriving is not None
    codes, x = begun.coded().codes, acts.flatten(0, 1)[batch.counted.flatten().cuda()]
    expected = dense_to_codes(sae.encode_dense(x))
    assert len(expected.features) > 500
    for found, wanted in zip(codes, expected, strict=True):
        assert torch.equal(found, wanted.cpu())


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16], ids=str)
@pytest.mark.parametrize("kind", KINDS)
def test_half_precision(kind: str, dtype: torch.dtype, tmp_path: Path):
    parts = parts_on(kind, "cpu", dtype)
    corpus = Corpus.from_tokens(TOKENS)
    index = index_features(corpus, parts)
    hook = parts.model.hook_point(SITE)
    x = parts.model.activations(TOKENS, hook).flatten(0, 1)
    assert x.dtype == dtype
    acts = parts.sae.encode_dense(x)
    assert acts.dtype == dtype
    for feature in range(0, 40, 9):
        found = index.firings(feature)
        where = acts[:, feature].float()
        assert found.positions.tolist() == where.nonzero()[:, 0].tolist()
        assert found.acts.tolist() == where[where != 0].tolist()
    save_feature_page(index, tmp_path / "page.html", features=3, parts=parts)
    assert len(read_page((tmp_path / "page.html").read_text())[1]) == 3


def test_overflow_of_half_precision_is_a_clear_error():
    model = build("llama")
    with torch.no_grad():
        model.model.layers[1].mlp.down_proj.weight *= 1e5
    parts = ModelAndSae(model=load_model(model.half()), sae=sae_on("cpu"))
    with pytest.raises(
        InputError, match=r"NaN or infinite at sequence 0, position 0 \(half-precision overflow.*float32 or bfloat16"
    ):
        index_features(Corpus.from_tokens(TOKENS), parts)


def test_overflow_within_the_dictionary_is_a_clear_error():
    tensors = {"W_enc": torch.full((12, 4), 6e4), "W_dec": torch.ones(4, 12)}
    sae = from_tensors(tensors, TensorOptions(hook_name=SITE, dtype=torch.float16))
    parts = ModelAndSae(model=load_model(build("llama").half()), sae=sae)
    with pytest.raises(InputError, match="activations of the SAE are NaN or infinite at sequence"):
        index_features(Corpus.from_tokens(TOKENS), parts)


@pytest.mark.parametrize("kind", KINDS)
def test_a_model_that_accelerate_dispatched(kind: str):
    accelerate = library("accelerate")
    plain = parts_on(kind, "cpu")
    model = build(kind)
    devices = {name: "cpu" for name, part in model.named_modules() if name.count(".") == 2 or not list(part.children())}
    dispatched = accelerate.dispatch_model(model, devices, force_hooks=True)
    assert any(hasattr(part, "_hf_hook") for part in dispatched.modules())
    parts = ModelAndSae(model=load_model(dispatched), sae=sae_on("cpu"))
    corpus = Corpus.from_tokens(TOKENS)
    found, expected = index_features(corpus, parts), index_features(corpus, plain)
    assert found.features.equals(expected.features)
    pairs = [1, 4, 6], [2, 3, 3], [1.0, 2.0, 0.5]
    losses = [
        FullEffects(each.model, each.sae, each.model.hook_point(SITE)).at(TOKENS[0], *pairs).loss
        for each in (parts, plain)
    ]
    np.testing.assert_array_equal(*losses)


def everything_is_the_plain_model_s(kind: str, spread: torch.nn.Module, tolerance: float, tmp_path: Path) -> None:
    """Index with its logit tables, logit lens, direct and full effects, attribution, pages: as of the plain model."""
    plain = parts_on(kind, "cpu")
    parts = ModelAndSae(model=load_model(spread), sae=sae_on("cpu"))
    corpus = Corpus.from_tokens(TOKENS)
    found, expected = index_features(corpus, parts, config=CONFIG), index_features(corpus, plain, config=CONFIG)
    nearly_the_same(found, expected, tolerance, flips=0 if tolerance < 1e-5 else 2)
    assert parts.model.fingerprint() == plain.model.fingerprint()
    hooks = [each.model.hook_point(SITE) for each in (parts, plain)]
    pairs = [1, 4, 6], [2, 3, 3], [1.0, 2.0, 0.5]
    losses, tables, lenses = [], [], []
    for each, hook in zip((parts, plain), hooks, strict=True):
        lenses.append(LogitLens(each.model, each.sae, hook, n_tokens=5, n_bins=5).effects([0, 7]).cpu())
        direct = DirectEffects(each.model, each.sae, hook)
        losses.append([direct.at(direct.prepare(TOKENS[0]), *pairs).loss])
        losses[-1].append(FullEffects(each.model, each.sae, hook).at(TOKENS[0], *pairs).loss[:, :-1])
        tables.append(attribute(each.model, each.sae, hook, TOKENS[0], NextTokenLoss()))
    np.testing.assert_allclose(*lenses, atol=tolerance)
    for ours, theirs in zip(*losses, strict=True):
        np.testing.assert_allclose(ours, theirs, atol=tolerance)
    assert len(tables[0].values) == len(tables[1].values)
    np.testing.assert_allclose(tables[0].values, tables[1].values, atol=10 * tolerance)
    save_feature_page(found, tmp_path / "page.html", features=4, parts=parts)
    save_prompt_page(found, tmp_path / "prompt.html", TOKENS[0].tolist(), parts=parts)
    assert len(read_page((tmp_path / "page.html").read_text())[1]) == 4


def places_of(model: torch.nn.Module, of_blocks: list[str | int], other: str | int) -> dict[str, str | int]:
    """A device map: the blocks' places one after the other, and one for all else."""
    blocks = next(name for name, part in model.named_modules() if isinstance(part, torch.nn.ModuleList))
    found: dict[str, str | int] = {f"{blocks}.{i}": of_blocks[i % len(of_blocks)] for i in range(3)}
    others = [name for name, part in model.named_modules() if not list(part.children())]
    return found | {name: other for name in others if not name.startswith(blocks)}


@pytest.mark.parametrize("kind", KINDS)
def test_blocks_on_disk(kind: str, tmp_path: Path):
    """What accelerate does with a model that doesn't fit: weights come from disk when their module runs."""
    accelerate, model = library("accelerate"), build(kind)
    places = places_of(model, ["cpu", "disk"], "cpu")
    spread = accelerate.dispatch_model(model, places, main_device="cpu", offload_dir=str(tmp_path / "weights"))
    assert sum(tensor.is_meta for tensor in spread.parameters()) > 3
    everything_is_the_plain_model_s(kind, spread, 1e-6, tmp_path)
    assert sum(tensor.is_meta for tensor in spread.parameters()) > 3


@pytest.mark.parametrize("kind", KINDS)
def test_every_weight_fetched_when_it_is_needed(kind: str, tmp_path: Path):
    spread = library("accelerate").cpu_offload(build(kind), execution_device="cpu")
    assert all(tensor.is_meta for tensor in spread.parameters())
    everything_is_the_plain_model_s(kind, spread, 1e-6, tmp_path)


@pytest.mark.parametrize("kind", KINDS)
def test_a_model_is_spread_as_it_is_loaded(kind: str, tmp_path: Path):
    """Some blocks in memory, the others read from the checkpoint when they run."""
    library("accelerate")
    model = build(kind)
    model.save_pretrained(tmp_path / "model")
    places = places_of(model, ["cpu", "disk"], "cpu")
    spread = load_model(tmp_path / "model", device_map=places).model
    assert sum(tensor.is_meta for tensor in spread.parameters()) > 3
    everything_is_the_plain_model_s(kind, spread, 1e-6, tmp_path)


def test_auto_is_this_machine_where_there_is_nothing_else(tmp_path: Path):
    library("accelerate")
    model = build("llama")
    model.save_pretrained(tmp_path / "model")
    found = load_model(tmp_path / "model", device_map="auto")
    assert found.fingerprint() == load_model(model).fingerprint()


def test_devices_that_contradict_each_other(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    with pytest.raises(InputError, match=r"device is cpu, device_map 'auto', tensor_parallel False: give one of them"):
        load_model(tmp_path, device="cpu", device_map="auto")
    library("accelerate")
    with pytest.raises(InputError, match="the model given is placed already; device_map and tensor_parallel are for"):
        load_model(build("llama"), device_map="auto")
    monkeypatch.setattr("sae_vis.models.loading.find_spec", lambda name: None)
    with pytest.raises(InputError, match="the package accelerate, which is not here: pip install accelerate"):
        load_model(tmp_path, device_map="auto")


@needs_cuda
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("other", ["cpu", "disk"])
def test_blocks_on_a_gpu_and_off_it(kind: str, other: str, tmp_path: Path):
    accelerate, model = library("accelerate"), build(kind)
    places = places_of(model, [0, other], 0)
    spread = accelerate.dispatch_model(model, places, offload_dir=str(tmp_path / "weights"), force_hooks=True)
    everything_is_the_plain_model_s(kind, spread, 1e-3, tmp_path)


@pytest.mark.skipif(torch.cuda.device_count() < 2, reason="no two CUDA devices")
@pytest.mark.parametrize("kind", KINDS)
def test_blocks_on_two_gpus(kind: str, tmp_path: Path):
    accelerate, model = library("accelerate"), build(kind)
    spread = accelerate.dispatch_model(model, places_of(model, [0, 1], 1 if kind == "llama" else 0))
    everything_is_the_plain_model_s(kind, spread, 1e-3, tmp_path)


def test_weights_that_are_nowhere_are_a_clear_error():
    with pytest.raises(InputError, match=r"'model.embed_tokens.weight' of a \w+ is not in memory .*, and no hook"):
        load_model(build("llama").to("meta")).fingerprint()
