"""Any module with an ``encode``, and directions and neurons, as dictionaries."""

from __future__ import annotations

import json
import pickle
from dataclasses import dataclass
from typing import NamedTuple

import pytest
import torch
from torch import nn

from sae_vis.errors import CheckpointError, InputError
from sae_vis.saes.base import dense_to_codes
from sae_vis.saes.directions import from_directions, from_neurons
from sae_vis.saes.formats import as_dictionary
from sae_vis.saes.module import from_module
from tests.saes.compare import same
from tests.saes.layouts import drawn, inputs


class Linear(nn.Module):
    """Encoder and decoder are linear layers; between them dropout, which evaluation mode turns off."""

    def __init__(self, d_in=24, d_sae=64, slope=0.0):
        super().__init__()
        self.encoder, self.decoder = nn.Linear(d_in, d_sae), nn.Linear(d_sae, d_in)
        self.dropout = nn.Dropout(0.5)
        self.slope = slope

    def encode(self, x):
        assert not torch.is_grad_enabled()
        return self.dropout(nn.functional.leaky_relu(self.encoder(x), self.slope))


class Rude(Linear):
    def encode(self, x):
        torch.rand(3)
        x += 1
        return super().encode(x)


class Returned(NamedTuple):
    top_acts: torch.Tensor
    top_indices: torch.Tensor


@dataclass
class Settings:
    k: int
    device: str = "cpu"


class Plain:
    """Not a module: an object with tensors."""

    def __init__(self, k=3):
        self.W_enc, self.W_dec, self.b_dec = drawn(24, 64), drawn(64, 24), drawn(24)
        self.cfg = Settings(k)

    def encode(self, x):
        top = (x @ self.W_enc).topk(self.cfg.k, sorted=False)
        return Returned(top.values, top.indices)


def test_activations_are_what_encode_returns():
    torch.manual_seed(0)
    module = Linear().eval()
    sae = from_module(module, hook_name="blocks.0.hook_resid_post")
    x = inputs()
    with torch.no_grad():
        expected = module.encode(x)
    assert torch.equal(sae.encode_dense(x), expected)
    assert same(sae.encode(x), dense_to_codes(expected))
    assert torch.equal(sae.decoder, module.decoder.weight.T)
    assert torch.equal(sae.centre, module.decoder.bias)
    assert (sae.d_in, sae.d_sae, sae.hook_name) == (24, 64, "blocks.0.hook_resid_post")
    assert sae.encode(torch.zeros(0, 24)).offsets.tolist() == [0]
    assert sae.decoder.requires_grad is False
    json.dumps(sae.describe())


def test_negative_activations_are_kept():
    module = Linear(slope=0.1).eval()
    codes = from_module(module).encode(inputs())
    assert (codes.acts < 0).any()


def test_the_module_the_input_and_the_random_state_are_left_alone():
    module = Rude()
    module.encoder.eval()
    modes = [part.training for part in module.modules()]
    before = {name: tensor.clone() for name, tensor in module.state_dict().items()}
    x = inputs()
    kept = x.clone()
    state = torch.get_rng_state()
    sae = from_module(module)
    first = sae.encode(x)
    assert same(first, sae.encode(x))  # no dropout
    assert torch.equal(torch.get_rng_state(), state)
    assert torch.equal(x, kept)
    assert [part.training for part in module.modules()] == modes
    assert all(torch.equal(module.state_dict()[name], before[name]) for name in before)
    assert all(parameter.grad is None and parameter.requires_grad for parameter in module.parameters())
    with torch.inference_mode():
        inside = sae.encode(inputs())
    assert not any(tensor.is_inference() for tensor in inside)


def test_the_mode_is_restored_after_an_error():
    module = Linear()
    sae = from_module(module)
    module.dropout = None
    with pytest.raises(TypeError):
        sae.encode(inputs())
    assert module.training
    assert module.encoder.training


def test_objects_and_named_results():
    plain = Plain()
    sae = from_module(plain)
    top = (inputs() @ plain.W_enc).topk(3)
    expected = torch.zeros(300, 64).scatter_(1, top.indices, top.values)
    assert torch.equal(sae.encode_dense(inputs()), expected)
    assert torch.equal(sae.centre, plain.b_dec)
    assert as_dictionary(plain, hook_name="hook_embed").hook_name == "hook_embed"


def test_a_tuple_begins_with_the_activations_and_sparse_tensors_are_read():
    module = Linear().eval()
    expected = from_module(module).encode_dense(inputs())
    plain = module.encode
    module.encode = lambda x: (plain(x), {"mu": 0})
    assert torch.equal(from_module(module).encode_dense(inputs()), expected)
    module.encode = lambda x: plain(x).to_sparse()
    assert torch.equal(from_module(module).encode_dense(inputs()), expected)


def test_fingerprint_is_of_weights_and_settings():
    torch.manual_seed(0)
    module = Linear()
    first = from_module(module).fingerprint()
    assert from_module(module.eval()).fingerprint() == first
    seen = {first}
    module.slope = 0.2
    seen.add(from_module(module).fingerprint())
    with torch.no_grad():
        module.encoder.bias[3] += 1
    seen.add(from_module(module).fingerprint())
    seen |= {from_module(Plain(k)).fingerprint() for k in (3, 4)}
    assert len(seen) == 5
    elsewhere = Plain()
    elsewhere.cfg.device = "cuda"
    assert from_module(elsewhere).fingerprint() == from_module(Plain()).fingerprint()


def test_half_precision_and_other_widths():
    module = Linear().bfloat16().eval()
    sae = from_module(module)
    assert sae.encode_dense(inputs()).dtype == torch.bfloat16
    assert sae.decoder.dtype == torch.float32
    transcoder = Linear()
    transcoder.decoder = nn.Linear(64, 30)
    sae = from_module(transcoder)
    assert (sae.d_in, tuple(sae.decoder.shape), tuple(sae.centre.shape)) == (24, (64, 30), (24,))


def test_refused_modules():
    with pytest.raises(InputError, match=r"Linear has no method encode; give a module with one, or tensors"):
        from_module(nn.Linear(3, 4))
    module = Linear()
    module.decoder = None
    with pytest.raises(InputError, match=r"no decoder directions that are known: looked for W_dec, decoder and deco"):
        from_module(module)
    from_module(module, decoder=torch.zeros(64, 24))
    with pytest.raises(InputError, match=r"must be \[d_sae, d_out\]; found a tensor of shape \[64\]"):
        from_module(module, decoder=torch.zeros(64))
    with pytest.raises(InputError, match=r"Linear.encode returned a tensor of shape \[1, 64\]; expected .* \[1, 24\]"):
        from_module(module, decoder=torch.zeros(24, 64))
    with pytest.raises(InputError, match=r"Linear.encode failed on a \[1, 30\] tensor .*give d_in="):
        from_module(module, decoder=torch.zeros(64, 24), d_in=30)
    module.encode = lambda x: "nothing"
    with pytest.raises(InputError, match="returned a str; expected activations of shape"):
        from_module(module, decoder=torch.zeros(64, 24))
    module.encode = lambda x: torch.full((len(x), 64), torch.nan)
    with pytest.raises(InputError, match="returned NaN or infinity"):
        from_module(module, decoder=torch.zeros(64, 24))
    with pytest.raises(InputError, match=r"the dictionary has d_in 24, but the activations .* are 25 wide"):
        from_module(Linear()).encode(torch.zeros(2, 25))


def test_directions():
    vectors, bias, x = drawn(10, 24), drawn(10, seed=1), inputs()
    sae = from_directions(vectors, bias, hook_name="blocks.2.hook_resid_post")
    expected = torch.relu(x @ vectors.T + bias)
    assert torch.equal(sae.encode_dense(x), expected)
    assert same(sae.encode(x), dense_to_codes(expected))
    assert torch.equal(sae.decoder, vectors)
    assert not sae.centre.any()
    assert (sae.d_in, sae.d_sae, sae.hook_name) == (24, 10, "blocks.2.hook_resid_post")
    assert torch.equal(from_directions(vectors).encode_dense(x), torch.relu(x @ vectors.T))
    assert as_dictionary(vectors).fingerprint() == from_directions(vectors).fingerprint()
    assert as_dictionary(vectors).fingerprint() != sae.fingerprint()
    json.dumps(sae.describe())


def test_signed_directions():
    vectors, x = drawn(10, 24), inputs()
    sae = from_directions(vectors, signed=True)
    assert torch.equal(sae.encode_dense(x), x @ vectors.T)
    assert same(sae.encode(x), dense_to_codes(x @ vectors.T))
    assert (sae.encode(x).acts < 0).any()
    assert sae.fingerprint() != from_directions(vectors).fingerprint()


def test_refused_directions():
    with pytest.raises(InputError, match=r"directions must be \[n, d_in\], one a row; found a tensor of shape \[24\]"):
        from_directions(drawn(24))
    with pytest.raises(CheckpointError, match=r"bias has shape \[9\]; expected \[10\]"):
        from_directions(drawn(10, 24), drawn(9))
    with pytest.raises(CheckpointError, match="directions holds 240 values that are NaN or infinite"):
        from_directions(drawn(10, 24) / 0)


def test_neurons():
    x = inputs()
    sae = from_neurons(24, hook_name="blocks.0.mlp.hook_post")
    assert torch.equal(sae.encode_dense(x), torch.relu(x))
    assert same(sae.encode(x), dense_to_codes(torch.relu(x)))
    wide = from_neurons(1 << 20)  # its identity matrix would have 4 TB
    assert wide.encode(torch.ones(1, 1 << 20)).features.shape == (1 << 20,)
    assert wide.fingerprint() != sae.fingerprint()
    assert torch.equal(sae.decoder, torch.eye(24))
    assert sae.decoder is sae.decoder
    assert (sae.d_in, sae.d_sae, sae.centre.shape) == (24, 24, (24,))
    copy = pickle.loads(pickle.dumps(sae))
    assert torch.equal(copy.decoder, sae.decoder)
    assert copy.fingerprint() == sae.fingerprint()
    json.dumps(sae.describe())
    with pytest.raises(InputError, match="d_in must be the number of neurons, 1 or more; found 0"):
        from_neurons(0)
    poisoned = torch.zeros(2, 24)
    poisoned[1, 3] = torch.nan
    with pytest.raises(InputError, match="first in row 1"):
        sae.encode(poisoned)
