"""Decoder neighbours against every cosine by itself."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from sae_vis.errors import InputError
from sae_vis.saes import neighbours as module
from sae_vis.saes.neighbours import decoder_neighbours
from tests.whole_numbers import WholeSae


@settings(max_examples=40, deadline=None)
@given(
    d_sae=st.integers(1, 30),
    k=st.integers(1, 8),
    seed=st.integers(0, 100),
    block=st.sampled_from([4, 64, 1 << 20]),
)
def test_neighbours_are_the_largest_cosines(d_sae, k, seed, block):
    sae = WholeSae(d_sae=d_sae, seed=seed)
    features = list(np.random.default_rng(seed).integers(0, d_sae, 4))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "BLOCK_BYTES", block)
        found = decoder_neighbours(sae, features, k)
    unit = sae.decoder.double()
    unit = unit / unit.norm(dim=1, keepdim=True).clamp_min(1e-300)
    every = (unit @ unit.T).numpy()
    assert found.features.shape == found.cosine.shape == (4, min(k, d_sae - 1))
    for row, feature in enumerate(features):
        others = np.delete(every[feature], feature)
        assert feature not in found.features[row]
        np.testing.assert_allclose(found.cosine[row], np.sort(others)[::-1][:k], atol=1e-6)
        np.testing.assert_allclose(every[feature][found.features[row]], found.cosine[row], atol=1e-6)
        assert len(set(found.features[row])) == len(found.features[row])


def test_a_direction_of_length_0_points_nowhere():
    sae = WholeSae(d_sae=5)
    with torch.no_grad():
        sae.decoder[2] = 0
    assert (decoder_neighbours(sae, [2], 4).cosine == 0).all()


def test_a_feature_that_does_not_exist():
    with pytest.raises(InputError, match="asked for features 5 to 9 of an SAE of 9"):
        decoder_neighbours(WholeSae(d_sae=9), [5, 9], 3)
