"""What features read and write along linear probes, against plain products and by causing it in the model."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose

from sae_vis.effects.probes import LinearProbe, Probes, as_probes
from sae_vis.effects.wiring import writes_at
from sae_vis.errors import InputError
from sae_vis.models.loading import load_model
from tests.effects.conftest import D_SAE, tiny_sae
from tests.tiny_models import build

FEATURES = [0, 7, D_SAE - 1]


def probe_of(side: str, width: int, *shape: int) -> LinearProbe:
    return LinearProbe(side, "probe", torch.randn(width, *shape, generator=torch.Generator().manual_seed(1)))


def both(kind: str, place: str, side: str, width: int | None = None, shape: tuple[int, ...] = (6,)):
    model = load_model(build(kind))
    hook = model.hook_point(place)
    sae = tiny_sae(hook.d)
    probe = probe_of(side, width or model.d_model, *shape)
    return model, hook, sae, probe, Probes([probe], model, sae, hook, writes_at(model, sae, hook))


@pytest.mark.parametrize("kind", ["gpt2", "llama", "gemma2"])
@pytest.mark.parametrize("place", ["blocks.1.hook_resid_post", "blocks.2.mlp.hook_post", "blocks.1.hook_attn_out"])
def test_what_a_feature_writes_is_what_it_adds_to_the_probe(kind, place):
    model, hook, sae, probe, probes = both(kind, place, "output")
    found = probes.readings(probe, FEATURES)
    written = model.to_residual(sae.decoder[FEATURES].double(), hook)
    assert_allclose(found.values, written @ probe.directions.double(), rtol=1e-5, atol=1e-6)
    cosines = torch.nn.functional.cosine_similarity(written[:, :, None], probe.directions[None].double(), dim=1)
    assert_allclose(found.cosines, cosines, atol=1e-6)


@pytest.mark.parametrize("place", ["blocks.1.hook_resid_post", "blocks.1.hook_mlp_out"])
def test_what_a_feature_reads_is_its_response_to_the_probes_direction(place):
    """A step along a class's direction changes the activation by the dot product."""
    _, hook, sae, probe, probes = both("gpt2", place, "input")
    x = 3 * torch.randn(1, hook.d, generator=torch.Generator().manual_seed(3))
    fires = torch.nonzero(sae.encode_dense(x)[0] > 1)[:, 0][:4]
    steps = 1e-2 * probe.directions.T
    change = (sae.encode_dense(x + steps) - sae.encode_dense(x))[:, fires].T / 1e-2
    assert len(fires) > 2
    assert_allclose(probes.readings(probe, fires.tolist()).values, change, atol=1e-2, rtol=1e-3)


@pytest.mark.parametrize("kind", ["gpt2", "gpt_neox-parallel", "gptj"])
def test_neurons_are_read_through_their_weights(kind):
    """By the pre-activations that a step of the residual stream causes, behind the norm without its divisor."""
    model, hook, sae, probe, probes = both(kind, "blocks.2.mlp.hook_post", "input")
    mlp = model.model.get_submodule(hook.onward[0].rpartition(".")[0])
    first = next(m for m in mlp.children() if getattr(getattr(m, "weight", None), "ndim", 0) == 2)
    block = hook.onward[0].rpartition(".")[0].rpartition(".")[0]
    names = {"gpt2": "ln_2", "gpt_neox-parallel": "post_attention_layernorm", "gptj": "ln_1"}
    norm = model.model.get_submodule(f"{block}.{names[kind]}")
    stream = probe.directions.T
    scaled = (stream - stream.mean(1, keepdim=True)) * norm.weight
    with torch.no_grad():
        pre = first(scaled) - first(torch.zeros_like(scaled))
    expected = sae.encoder_directions(torch.tensor(FEATURES)) @ pre.T
    assert_allclose(probes.readings(probe, FEATURES).values, expected, rtol=1e-3, atol=1e-4)


def test_gated_neurons_and_heads_are_refused_and_take_probes_of_their_own_width():
    for kind, place in (("llama", "blocks.1.mlp.hook_post"), ("gpt2", "blocks.1.attn.hook_z")):
        model = load_model(build(kind))
        hook = model.hook_point(place)
        sae = tiny_sae(hook.d)
        if hook.d != model.d_model:
            own = probe_of("input", hook.d, 4)
            found = Probes([own], model, sae, hook, None).readings(own, FEATURES).values
            assert_allclose(
                found, sae.encoder_directions(torch.tensor(FEATURES)) @ own.directions, rtol=1e-4, atol=1e-5
            )
        with pytest.raises(InputError, match="no linear way is known from the residual stream to"):
            model.from_residual(torch.zeros(1, hook.d), hook)


def test_shapes_and_names_of_classes():
    _, _, _, probe, probes = both("gpt2", "blocks.1.hook_resid_post", "output", shape=(2, 3))
    assert probes.readings(probe, FEATURES).values.shape == (3, 6)
    assert probe.class_names == ("0, 0", "0, 1", "0, 2", "1, 0", "1, 1", "1, 2")
    given = [("input", "p", torch.ones(4, 2)), ("output", "p", torch.ones(4, 2), ["yes", "no"])]
    probes = as_probes(given, {0: "a", 1: "b"})
    assert [p.class_names for p in probes] == [("a", "b"), ("yes", "no")]
    assert as_probes(given, {0: "a", 1: "b", 2: "c"})[0].class_names == ("0", "1")


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ([("in", "p", torch.ones(4, 2))], "its side is 'in', expected 'input' or 'output'"),
        ([("input", "p", torch.ones(4))], r"expected a tensor \[d_model, \*class_shape\], got \(4,\)"),
        ([("input", "p", "x")], r"expected a tensor \[d_model, \*class_shape\], got str"),
        ([("input", "p", torch.full((4, 2), torch.nan))], "it holds NaN or infinity"),
        ([("input", "p", torch.ones(4, 2), ["a"])], "2 classes, but 1 names"),
        ([torch.ones(4, 2)], r"a list of \(side, name, tensor\).*found Tensor"),
        ([("input", "p", torch.ones(4, 2))] * 2, r"two linear probes are called 'p' \(input\)"),
    ],
)
def test_bad_probes(given, said):
    with pytest.raises(InputError, match=said):
        as_probes(given)


def test_a_probe_of_another_width_is_refused():
    model = load_model(build("gpt2"))
    hook = model.hook_point("blocks.1.hook_resid_post")
    sae = tiny_sae(hook.d)
    with pytest.raises(InputError, match=rf"has directions of 5 numbers, .*expected a tensor \[{model.d_model}, "):
        Probes([probe_of("output", 5, 3)], model, sae, hook, writes_at(model, sae, hook))
    with pytest.raises(InputError, match="no one way is known from where this dictionary writes"):
        Probes([probe_of("output", model.d_model, 3)], model, sae, hook, None)


def test_a_direction_of_zeros_has_no_cosine():
    _, _, sae, probe, probes = both("gpt2", "blocks.1.hook_resid_post", "output")
    sae.decoder[7] = 0
    found = probes.readings(probe, [7])
    assert not found.values.any()
    assert not found.cosines.any()
    assert np.isfinite(probes.readings(probe, FEATURES).cosines).all()
