"""The owning library writes, we read: activations equal to its `encode`. Skipped where SAELens is not installed."""

from __future__ import annotations

import warnings

import pytest
import torch

from sae_vis.saes.base import dense_to_codes
from sae_vis.saes.formats import as_dictionary, load_dictionary
from sae_vis.saes.saelens_format import from_sae_lens, load_sae

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    sae_lens = pytest.importorskip("sae_lens")

pytestmark = pytest.mark.filterwarnings("ignore")

CASES = [
    ("StandardSAE", {}),
    ("TopKSAE", {"k": 7}),
    ("TopKSAE", {"k": 7, "rescale_acts_by_decoder_norm": True}),
    ("JumpReLUSAE", {}),
    ("GatedSAE", {}),
]


def randomised(sae, seed=0):
    generator = torch.Generator().manual_seed(seed)
    for name, parameter in sae.named_parameters():
        drawn = torch.randn(parameter.shape, generator=generator)
        parameter.data = (drawn.abs() if name == "threshold" else 0.3 * drawn).to(parameter.dtype)
    return sae


@pytest.mark.parametrize("normalize", ["none", "constant_norm_rescale", "layer_norm"])
@pytest.mark.parametrize("apply_b_dec", [True, False])
@pytest.mark.parametrize(("name", "options"), CASES)
def test_what_sae_lens_writes(tmp_path, name, options, normalize, apply_b_dec):
    config_class = getattr(sae_lens, f"{name}Config")
    cfg = config_class(d_in=24, d_sae=512, normalize_activations=normalize, apply_b_dec_to_input=apply_b_dec, **options)
    theirs = randomised(getattr(sae_lens, name)(cfg))
    theirs.save_model(tmp_path / "sae")
    ours = load_sae(tmp_path / "sae")
    x = torch.randn(300, 24)
    expected = theirs.encode(x).detach()
    assert torch.equal(ours.encode_dense(x), expected)
    assert all(torch.equal(a, b) for a, b in zip(ours.encode(x), dense_to_codes(expected), strict=True))
    in_memory = from_sae_lens(theirs)
    assert as_dictionary(theirs).fingerprint() == ours.fingerprint()
    assert load_dictionary(tmp_path, subfolder="sae").fingerprint() == ours.fingerprint()
    assert in_memory.fingerprint() == ours.fingerprint()
    assert torch.equal(in_memory.encode_dense(x), expected)
    scale = ours.output_scale(x)
    ours_adds = expected @ ours.decoder * (1.0 if scale is None else scale[:, None])
    theirs_adds = theirs.decode(theirs.encode(x)) - theirs.decode(0 * theirs.encode(x))
    torch.testing.assert_close(ours_adds, theirs_adds.detach(), rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("rescale", [True, False])
def test_batchtopk_as_trained_and_as_saved_for_inference(tmp_path, rescale):
    cfg = sae_lens.BatchTopKTrainingSAEConfig(d_in=24, d_sae=512, k=8, rescale_acts_by_decoder_norm=rescale)
    training = randomised(sae_lens.BatchTopKTrainingSAE(cfg))
    training.topk_threshold = torch.tensor(2.5, dtype=torch.float64)
    training.save_model(tmp_path / "training")
    training.save_inference_model(tmp_path / "inference")
    x = torch.randn(300, 24)
    theirs = sae_lens.SAE.load_from_disk(tmp_path / "inference").encode(x).detach()
    inference, checkpoint = load_sae(tmp_path / "inference"), load_sae(tmp_path / "training")
    assert torch.equal(inference.encode_dense(x), theirs)
    torch.testing.assert_close(checkpoint.encode_dense(x), theirs, rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(checkpoint.decoder, inference.decoder)


def test_training_checkpoints_of_every_architecture_are_read(tmp_path):
    for name in ("Standard", "TopK", "JumpReLU", "Gated", "MatryoshkaBatchTopK"):
        options = {"matryoshka_widths": [16, 64]} if name.startswith("Matryoshka") else {}
        cfg = getattr(sae_lens, f"{name}TrainingSAEConfig")(d_in=8, d_sae=64, **options)
        if hasattr(cfg, "k"):
            cfg.k = 4
        sae = randomised(getattr(sae_lens, f"{name}TrainingSAE")(cfg))
        sae.save_model(tmp_path / name)
        x = torch.randn(20, 8)
        ours = load_sae(tmp_path / name).encode_dense(x)
        if not name.startswith("Matryoshka"):
            expected = sae.encode(x).detach()
            expected = expected.to_dense() if expected.is_sparse else expected
            torch.testing.assert_close(ours, expected)
