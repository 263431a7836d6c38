"""The owning library writes, we read: activations equal to its `encode`. Skipped where SAELens is not installed.

Weights and inputs are binary fractions: to the last bit where the arithmetic is exact on them (`is_exact`), else within
a bound. An SAE in memory shares its weights and is run on the same rows: to the last bit, in every class and dtype.
"""

from __future__ import annotations

import pytest
import torch

from sae_vis.api import ModelAndSae, index_features, save_prompt_page
from sae_vis.config import IndexConfig
from sae_vis.corpus.tokens import Corpus
from sae_vis.effects.ablation import DirectEffects
from sae_vis.effects.logit_lens import LogitLens
from sae_vis.errors import CheckpointError, InputError
from sae_vis.models.loading import load_model
from sae_vis.saes.base import dense_to_codes
from sae_vis.saes.directions import from_directions
from sae_vis.saes.formats import as_dictionary, load_dictionary
from sae_vis.saes.saelens_format import load_sae
from sae_vis.saes.saelens_objects import SaeLensDictionary, from_sae_lens
from tests.fixtures.page_decoder import read_page
from tests.kernels import binary
from tests.libraries import library
from tests.saes.compare import assert_activations, assert_equal, clear
from tests.saes.indexing import assert_indexed
from tests.tiny_models import build

sae_lens = library("sae_lens")
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
        parameter.data = binary(drawn.abs() if name == "threshold" else 0.3 * drawn).to(parameter.dtype)
    return sae


def rows(n, seed=1):
    return binary(torch.randn(n, 24, generator=torch.Generator().manual_seed(seed)))


def is_exact(name, options):
    """Whether its `encode` is exact on binary fractions: no norms, exponentials or attention, and one product."""
    normalizes = options.get("normalize_activations", "none") != "none"
    rounds = name in ("GatedSAE", "TemporalSAE", "MatchingPursuitSAE")
    return not (normalizes or rounds or options.get("rescale_acts_by_decoder_norm"))


@pytest.mark.parametrize("normalize", ["none", "constant_norm_rescale", "layer_norm"])
@pytest.mark.parametrize("apply_b_dec", [True, False])
@pytest.mark.parametrize(("name", "options"), CASES)
def test_what_sae_lens_writes(tmp_path, name, options, normalize, apply_b_dec):
    config_class = getattr(sae_lens, f"{name}Config")
    cfg = config_class(d_in=24, d_sae=512, normalize_activations=normalize, apply_b_dec_to_input=apply_b_dec, **options)
    theirs = randomised(getattr(sae_lens, name)(cfg))
    theirs.save_model(tmp_path / "sae")
    ours = load_sae(tmp_path / "sae")
    x, exact = rows(300), is_exact(name, {**options, "normalize_activations": normalize})
    expected = assert_activations(ours, theirs.encode, x, exact=exact)
    assert_indexed(ours, theirs.encode, exact=exact)
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
    x, encode = rows(300), sae_lens.SAE.load_from_disk(tmp_path / "inference").encode
    inference, checkpoint = load_sae(tmp_path / "inference"), load_sae(tmp_path / "training")
    expected = assert_activations(inference, encode, x, exact=not rescale)  # else weights are folded with norms
    assert_indexed(inference, encode, exact=not rescale)
    assert_equal(checkpoint.encode_dense(x), expected, clear(encode, x))
    torch.testing.assert_close(checkpoint.decoder, inference.decoder)


def test_training_checkpoints_of_every_architecture_are_read(tmp_path):
    for name in ("Standard", "TopK", "JumpReLU", "Gated", "MatryoshkaBatchTopK"):
        options = {"matryoshka_widths": [16, 64]} if name.startswith("Matryoshka") else {}
        cfg = getattr(sae_lens, f"{name}TrainingSAEConfig")(d_in=8, d_sae=64, **options)
        if hasattr(cfg, "k"):
            cfg.k = 4
        sae = randomised(getattr(sae_lens, f"{name}TrainingSAE")(cfg))
        sae.save_model(tmp_path / name)
        x = rows(20)[:, :8].contiguous()
        ours = load_sae(tmp_path / name).encode_dense(x)
        if not name.startswith("Matryoshka"):
            expected = sae.encode(x).detach()
            expected = expected.to_dense() if expected.is_sparse else expected
            torch.testing.assert_close(ours, expected)


OBJECTS = [
    ("StandardSAE", {}),
    ("StandardSAE", {"apply_b_dec_to_input": False, "normalize_activations": "layer_norm"}),
    ("StandardSAE", {"normalize_activations": "expected_average_only_in"}),
    ("TopKSAE", {"k": 7}),
    ("TopKSAE", {"k": 7, "rescale_acts_by_decoder_norm": True, "normalize_activations": "constant_norm_rescale"}),
    ("AbsTopKSAE", {"k": 7}),
    ("JumpReLUSAE", {}),
    ("GatedSAE", {}),
    ("Transcoder", {"d_out": 10}),
    ("SkipTranscoder", {"d_out": 24}),
    ("JumpReLUTranscoder", {"d_out": 10}),
    ("JumpReLUSkipTranscoder", {"d_out": 10, "normalize_activations": "layer_norm"}),
    ("TemporalSAE", {"n_heads": 2, "kval_topk": 6}),
    ("TemporalSAE", {"n_heads": 2, "sae_diff_type": "relu", "tied_weights": False}),
    ("MatchingPursuitSAE", {"max_iterations": 5}),
    ("MatchingPursuitSAE", {"max_iterations": 5, "normalize_activations": "constant_norm_rescale"}),
]


def made(name, options, dtype=torch.float32):
    config_class = getattr(sae_lens, f"{name}Config", None) or getattr(sae_lens.saes.temporal_sae, f"{name}Config")
    if "ranscoder" in name:
        options = {"apply_b_dec_to_input": False, **options}
    cfg = config_class(d_in=24, d_sae=512, dtype=str(dtype).removeprefix("torch."), **options)
    cfg.metadata.hook_name = "blocks.1.ln2.hook_normalized"
    if "ranscoder" in name:
        cfg.metadata.hook_name_out = "blocks.1.hook_mlp_out"
    sae_class = getattr(sae_lens, name, None) or getattr(sae_lens.saes.temporal_sae, name)
    return randomised(sae_class(cfg))


def encoded(sae, x):
    """What SAELens gives for rows ``[n, d_in]`` of one sequence."""
    with torch.no_grad():
        found = sae.encode(x[None])[0]
    return found.to_dense() if found.is_sparse else found


def everything(sae):
    """Attributes, weights, modes and configuration of an SAE, as far as they can be compared."""
    plain = {name: value for name, value in vars(sae).items() if not name.startswith("_")}
    weights = {name: (value.data_ptr(), value.clone()) for name, value in sae.state_dict().items()}
    return plain, weights, [part.training for part in sae.modules()], str(sae.cfg.to_dict())


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16], ids=lambda t: str(t)[6:])
@pytest.mark.parametrize(("name", "options"), OBJECTS)
def test_objects_of_every_architecture(name, options, dtype):
    theirs = made(name, options, dtype).train()
    x = rows(300).to(dtype)
    plain, weights, modes, config = everything(theirs)
    state = torch.random.get_rng_state()
    ours = as_dictionary(theirs)
    codes, dense = ours.encode(x), ours.encode_dense(x)
    ours.fingerprint(), ours.describe(), ours.output_scale(x)
    after = everything(theirs)
    assert torch.equal(state, torch.random.get_rng_state())
    assert after[0].keys() == plain.keys()
    assert all(after[0][key] is value or after[0][key] == value for key, value in plain.items())
    assert (after[2], after[3]) == (modes, config)
    assert all(after[1][key][0] == at and torch.equal(after[1][key][1], value) for key, (at, value) in weights.items())
    expected = encoded(theirs, x)
    assert dense.dtype == dtype
    assert torch.equal(dense, expected)
    assert float((expected != 0).float().mean()) > 0.001
    assert all(torch.equal(a, b) for a, b in zip(codes, dense_to_codes(expected), strict=True))
    whole = options.get("normalize_activations") not in {"expected_average_only_in"}
    assert isinstance(ours, SaeLensDictionary) == (not whole)
    assert ours.contextual == (name == "TemporalSAE")


@pytest.mark.parametrize(("name", "options"), OBJECTS)
def test_what_an_activation_adds(name, options):
    """One activation more, decoded by SAELens, is our direction more (times the scale that undoes a normalisation)."""
    theirs = made(name, options)
    ours = as_dictionary(theirs)
    x = rows(20)
    with torch.no_grad():
        acts = theirs.encode(x[None])
        more = acts.clone()
        more[..., 5] += 2.0
        theirs_adds = theirs.decode(more)[0]
        theirs.encode(x[None])  # SAELens forgets the norms of its input once it has decoded
        theirs_adds = theirs_adds - theirs.decode(acts)[0]
    scale = ours.output_scale(x)
    expected = 2.0 * ours.decoder[5] * (torch.ones(20, 1) if scale is None else scale[:, None])
    torch.testing.assert_close(theirs_adds, expected, rtol=1e-3, atol=1e-3)
    writes = (ours.writes_elsewhere, ours.hook_name, ours.hook_name_out)
    out = "blocks.1.hook_mlp_out" if "ranscoder" in name else None
    assert writes == (out is not None, "blocks.1.ln2.hook_normalized", out)


@pytest.mark.parametrize("name", ["Transcoder", "SkipTranscoder", "JumpReLUTranscoder", "JumpReLUSkipTranscoder"])
def test_transcoders_from_disk(tmp_path, name):
    theirs = made(name, {"d_out": 10})
    theirs.save_model(tmp_path)
    ours = load_sae(tmp_path)
    assert_activations(ours, lambda x: encoded(theirs, x), rows(50))
    assert_indexed(ours, lambda x: encoded(theirs, x))
    assert ours.fingerprint() == as_dictionary(theirs).fingerprint()
    assert (ours.d_in, ours.decoder.shape, ours.hook_name_out) == (24, (512, 10), "blocks.1.hook_mlp_out")
    assert ours.describe()["hook_name_out"] == "blocks.1.hook_mlp_out"
    assert float(ours.centre.abs().max()) == 0.0


NEWEST = [case for case in OBJECTS if case[0] in ("AbsTopKSAE", "TemporalSAE", "MatchingPursuitSAE")]
NEWEST += [
    ("AbsTopKSAE", {"k": 7, "rescale_acts_by_decoder_norm": True}),
    ("TemporalSAE", {"n_heads": 2, "n_attn_layers": 2, "kval_topk": 6, "apply_b_dec_to_input": False}),
    (
        "TemporalSAE",
        {"n_heads": 2, "normalize_activations": "constant_scalar_rescale", "activation_normalization_factor": 0.25},
    ),
    ("MatchingPursuitSAE", {"residual_threshold": 0.0, "stop_on_duplicate_support": False, "max_iterations": 3}),
]


@pytest.mark.parametrize(("name", "options"), NEWEST)
def test_the_newest_classes_from_disk(tmp_path, name, options):
    theirs = made(name, options)
    theirs.save_model(tmp_path)
    ours = load_dictionary(tmp_path)
    exact = is_exact(name, options)
    assert_activations(ours, lambda x: encoded(theirs, x), rows(50, seed=2), exact=exact)
    assert_indexed(ours, lambda x: encoded(theirs, x), exact=exact)
    assert ours.fingerprint() == as_dictionary(theirs).fingerprint()
    assert ours.contextual == (name == "TemporalSAE")
    assert ours.hook_name == "blocks.1.ln2.hook_normalized"


def test_every_class_that_sae_lens_registers_is_read(tmp_path):
    """Written by its own class with its own defaults, trained classes as they save themselves for inference."""
    registry = sae_lens.registry
    for name, (sae_class, config_class) in registry.SAE_CLASS_REGISTRY.items():
        options = {"n_heads": 2} if name == "temporal" else {"d_out": 24} if "transcoder" in name else {}
        options |= {"apply_b_dec_to_input": False} if "transcoder" in name else {}
        options |= {"k": 7} if "topk" in name else {}
        randomised(sae_class(config_class(d_in=24, d_sae=512, **options))).save_model(tmp_path / name)
        assert load_dictionary(tmp_path / name).describe()["architecture"] == name
    for name, (sae_class, config_class) in registry.SAE_TRAINING_CLASS_REGISTRY.items():
        options = {"matryoshka_widths": [64, 256]} if name.startswith("matryoshka") else {}
        options |= {"k": 7} if "topk" in name else {}
        theirs = randomised(sae_class(config_class(d_in=24, d_sae=512, **options)))
        theirs.save_inference_model(tmp_path / f"{name}-inference")
        theirs.save_model(tmp_path / f"{name}-training")
        for saved in ("inference", "training"):
            assert load_dictionary(tmp_path / f"{name}-{saved}").d_sae == 512
    assert len(registry.SAE_CLASS_REGISTRY) == 11


def test_hook_z_comes_flat():
    cfg = sae_lens.MatchingPursuitSAEConfig(d_in=24, d_sae=64, reshape_activations="hook_z")
    cfg.metadata.hook_name = "blocks.0.attn.hook_z"
    theirs = randomised(sae_lens.MatchingPursuitSAE(cfg))
    ours = as_dictionary(theirs)
    x = rows(30)
    found = ours.encode_dense(x)
    assert not hasattr(theirs, "d_head")  # as it was: its own encode sets it
    assert torch.equal(found, theirs.encode(x.view(30, 4, 6)).detach())


def test_hooks_and_own_classes_are_honoured():
    theirs = made("StandardSAE", {})
    theirs.hook_sae_acts_post.add_hook(lambda value, hook: value * 3.0)
    x = rows(30)
    assert torch.equal(as_dictionary(theirs).encode_dense(x), theirs.encode(x).detach())

    class Own(sae_lens.StandardSAE):
        def encode(self, x):
            return super().encode(x) + 1.0

    own = randomised(Own(sae_lens.StandardSAEConfig(d_in=24, d_sae=512)))
    ours = as_dictionary(own)
    assert torch.equal(ours.encode_dense(x), own.encode(x).detach())
    with pytest.raises(InputError, match=r"is encoded by its own encode, in torch\.float32; for torch\.bfloat16"):
        from_sae_lens(own, dtype=torch.bfloat16)


def test_batchtopk_and_matryoshka_loaded_for_inference(tmp_path):
    for name, options in (("BatchTopK", {}), ("MatryoshkaBatchTopK", {"matryoshka_widths": [64, 256]})):
        cfg = getattr(sae_lens, f"{name}TrainingSAEConfig")(d_in=24, d_sae=512, k=8, **options)
        training = randomised(getattr(sae_lens, f"{name}TrainingSAE")(cfg))
        training.topk_threshold = torch.tensor(2.5, dtype=torch.float64)
        training.save_inference_model(tmp_path / name)
        theirs = sae_lens.SAE.load_from_disk(tmp_path / name)
        x = rows(300)
        ours = as_dictionary(theirs)
        assert not isinstance(ours, SaeLensDictionary)
        assert torch.equal(ours.encode_dense(x), encoded(theirs, x))
        # weights are folded with norms, and in memory elsewhere
        assert_indexed(load_sae(tmp_path / name), lambda x, theirs=theirs: encoded(theirs, x), exact=False)


def test_objects_that_can_t_be_right():
    theirs = made("StandardSAE", {})
    theirs.W_enc.data[3, 4] = float("nan")
    with pytest.raises(CheckpointError, match="W_enc"):
        as_dictionary(theirs)
    broken = made("MatchingPursuitSAE", {"max_iterations": 3})
    broken.W_dec.data[:] = float("inf")
    with pytest.raises(CheckpointError, match="W_dec holds 12288 values that are NaN or infinite"):
        as_dictionary(broken)

    class Own(sae_lens.MatchingPursuitSAE):
        pass

    own = Own(sae_lens.MatchingPursuitSAEConfig(d_in=24, d_sae=512))
    own.W_dec.data[:] = float("inf")
    with pytest.raises(InputError, match="NaN or infinity"):
        as_dictionary(own)


@pytest.mark.parametrize(("name", "options"), OBJECTS)
def test_the_index_holds_what_encode_gives(name, options):
    theirs = made(name, options)
    assert_indexed(as_dictionary(theirs), lambda x: encoded(theirs, x))


def test_a_transcoder_writes_where_it_says(tmp_path):
    """Its logit lens and its effects are those of the place it writes to."""
    model = load_model(build("gpt2"))
    cfg = sae_lens.TranscoderConfig(d_in=48, d_out=12, d_sae=40, apply_b_dec_to_input=False)
    cfg.metadata.hook_name, cfg.metadata.hook_name_out = "blocks.1.mlp.hook_post", "blocks.1.hook_mlp_out"
    sae = as_dictionary(randomised(sae_lens.Transcoder(cfg)))
    parts = ModelAndSae(model=model, sae=sae)
    expected = LogitLens(model, sae, model.hook_point("blocks.1.hook_mlp_out"), n_tokens=5, n_bins=5)
    index = index_features(Corpus.from_tokens(torch.randint(1, 31, (6, 9))), parts, config=IndexConfig(logit_tokens=5))
    for feature in range(0, 40, 7):
        top = expected.effects([feature])[0].topk(5)
        assert index.lists("top_tokens", feature).tolist() == top.indices.tolist()
    path = tmp_path / "prompt.html"
    save_prompt_page(index, path, [1, 2, 3, 4], parts=parts)
    view = read_page(path.read_text(encoding="utf-8"))[0]["prompt"].prompts[0]
    effects, tokens = parts.direct_effects(), torch.tensor([1, 2, 3, 4])
    positions = torch.repeat_interleave(torch.from_numpy(view.offsets).diff())
    values = {metric.name: metric.values for metric in view.metrics}
    found = effects.losses_only(effects.prepare(tokens), positions, view.features.astype("int64"), values["act_size"])
    torch.testing.assert_close(torch.from_numpy(found), torch.from_numpy(values["loss_effect"]), equal_nan=True)
    cfg.metadata.hook_name_out = None
    nowhere = ModelAndSae(model=model, sae=as_dictionary(sae_lens.Transcoder(cfg)))
    assert nowhere.lens(IndexConfig()) is None
    assert nowhere.direct_effects() is None


def test_direct_effects_of_a_transcoder_between_places_of_one_width():
    """Of the feature's contribution to the place it writes to, as for an SAE with the same directions there."""
    model = load_model(build("gpt2"))
    cfg = sae_lens.TranscoderConfig(d_in=12, d_out=12, d_sae=40, apply_b_dec_to_input=False)
    cfg.metadata.hook_name, cfg.metadata.hook_name_out = "blocks.1.hook_resid_mid", "blocks.1.hook_mlp_out"
    sae = as_dictionary(randomised(sae_lens.Transcoder(cfg)))
    ours = ModelAndSae(model=model, sae=sae).direct_effects()
    assert ours is not None
    plain = from_directions(sae.decoder, hook_name="blocks.1.hook_mlp_out")
    theirs = DirectEffects(model, plain, model.hook_point("blocks.1.hook_mlp_out"))
    tokens = torch.randint(1, 30, (9,))
    pairs = [0, 3, 5], [4, 5, 6], [1.5, 2.0, 0.5]
    found, expected = (effects.at(effects.prepare(tokens), *pairs).loss for effects in (ours, theirs))
    assert found.tolist() == expected.tolist()
    assert abs(found).max() > 0.01
