"""Decoder neighbours against every cosine by itself."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from sae_vis.errors import InputError
from sae_vis.saes import neighbours as module
from sae_vis.saes.neighbours import all_neighbours, decoder_neighbours
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


class Directions:
    """A dictionary of which only the decoder is asked for."""

    def __init__(self, decoder):
        self.decoder, self.d_sae = decoder, len(decoder)


@settings(max_examples=60, deadline=None)
@given(
    d_sae=st.integers(1, 30),
    kinds=st.integers(1, 30),
    k=st.integers(1, 8),
    seed=st.integers(0, 1000),
    block=st.sampled_from([4, 64, 300, 1 << 20]),
    spare=st.sampled_from([0, 1, 8]),
    precision=st.sampled_from(["highest", "high"]),
)
def test_all_neighbours_are_exact_with_ties_by_number(d_sae, kinds, k, seed, block, spare, precision):
    """Of directions that come several times, some of length 0, against float64 cosines in plain loops."""
    rng = np.random.default_rng(seed)
    own = rng.normal(size=(kinds, 5)) * rng.choice([0, 1, 1, 1e-3], size=(kinds, 1))
    decoder = own[rng.integers(0, kinds, d_sae)].astype(np.float32)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "BLOCK_BYTES", block)
        patch.setattr(module, "SPARE", spare)
        patch.setattr(torch, "get_float32_matmul_precision", lambda: precision)
        found = all_neighbours(Directions(torch.from_numpy(decoder)), k)
        some = decoder_neighbours(Directions(torch.from_numpy(decoder)), range(0, d_sae, 2), k)
    k = min(k, d_sae - 1)
    assert found.features.shape == found.cosine.shape == (d_sae, k)
    wide = decoder.astype(np.float64)
    for feature in range(d_sae):
        products = [float((wide[feature] * other).sum()) for other in wide]
        lengths = [float(np.sqrt((wide[feature] ** 2).sum() * (other**2).sum())) for other in wide]
        cosines = [p / n if n > 0 else 0.0 for p, n in zip(products, lengths, strict=True)]
        order = sorted(set(range(d_sae)) - {feature}, key=lambda other: (-round(cosines[other], 12), other))[:k]
        assert found.features[feature].tolist() == order
        np.testing.assert_allclose(found.cosine[feature], [cosines[other] for other in order], rtol=0, atol=1e-7)
    assert (some.features == found.features[::2]).all()


def test_progress_ends_at_its_total():
    seen = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "BLOCK_BYTES", 64)
        all_neighbours(WholeSae(d_sae=30), 3, progress=lambda *said: seen.append(said))
    assert [done for _, done, _ in seen] == sorted(done for _, done, _ in seen)
    assert seen[-1] == ("neighbours", 900, 900)


def test_a_direction_of_length_0_points_nowhere():
    sae = WholeSae(d_sae=5)
    with torch.no_grad():
        sae.decoder[2] = 0
    assert (decoder_neighbours(sae, [2], 4).cosine == 0).all()


def test_a_feature_that_does_not_exist():
    with pytest.raises(InputError, match="asked for features 5 to 9 of an SAE of 9"):
        decoder_neighbours(WholeSae(d_sae=9), [5, 9], 3)
