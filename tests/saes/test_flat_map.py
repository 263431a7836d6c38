"""The flat map: its forces against sums over all pairs, what it keeps against plain loops, and its odd ends."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from sae_vis.saes import flat_map as module
from sae_vis.saes.flat_map import FlatMap, flat_map, kept_share
from sae_vis.saes.neighbours import all_neighbours
from tests.saes.test_neighbours import Directions


def clusters(n: int = 4, each: int = 40, d: int = 24) -> torch.Tensor:
    """Directions around ``n`` middles, far from each other."""
    generator = torch.Generator().manual_seed(1)
    middles = torch.linalg.qr(torch.randn(d, d, generator=generator))[0][:n]
    return (middles[:, None] + 0.08 * torch.randn(n, each, d, generator=generator)).reshape(-1, d)


@pytest.mark.parametrize("spread", [1e-4, 1.0, 10.0])
def test_forces_are_those_of_the_gradient(spread: float):
    places = spread * torch.randn(2, 300, generator=torch.Generator().manual_seed(2)).double()
    apart = places[:, :, None] - places[:, None]
    w = 1 / (1 + (apart**2).sum(0))
    w.fill_diagonal_(0)
    expected = (w**2 / w.sum() * apart).sum(2)
    found = module._Grid().repulsion(places.float())
    error = (found - expected).norm() / expected.norm()
    assert error < 0.2  # similarities are linear between points of the grid

    edges = torch.randint(300, (300, 5), generator=torch.Generator().manual_seed(3))
    edges[7, 2] = -1
    p = torch.zeros(300, 300, dtype=torch.float64)
    for i, row in enumerate(edges.tolist()):
        for j in row:
            if j >= 0:
                p[i, j] += 1 / (2 * 300 * 5)
    p = p + p.T
    np.testing.assert_allclose(
        module._attraction(places.float(), edges), (p * w * apart).sum(2), rtol=1e-3, atol=1e-6 * spread
    )


def test_clusters_are_apart_and_maps_are_equal():
    sae = Directions(clusters())
    near = all_neighbours(sae, 16).features
    steps = []
    places = flat_map(sae, near, progress=lambda *said: steps.append(said))
    assert steps[-1] == ("map", module.STEPS, module.STEPS)
    again = flat_map(Directions(clusters()), near)
    assert (places.x == again.x).all()
    assert (places.y == again.y).all()
    at = np.stack(places, axis=1).reshape(4, 40, 2)
    middles = at.mean(1)
    within = np.linalg.norm(at - middles[:, None], axis=2).max()
    between = min(np.linalg.norm(middles[i] - middles[j]) for i in range(4) for j in range(i))
    assert within < between / 2
    kept = kept_share(places, near)
    assert kept[1:] == (10, 160)
    assert kept.share > 0.4  # 10 of 39 at random within the clusters would be 0.26


@pytest.mark.parametrize(
    "decoder",
    [torch.ones(1, 4), torch.eye(2), torch.eye(3), torch.ones(20, 6), torch.arange(1.0, 10)[:, None], torch.eye(40)],
    ids=["one", "two", "three", "all the same", "one dimension", "at right angles"],
)
def test_odd_dictionaries_have_maps(decoder: torch.Tensor):
    sae = Directions(decoder)
    near = all_neighbours(sae, 16).features
    places = flat_map(sae, near)
    assert np.isfinite(np.stack(places)).all()
    kept = kept_share(places, near)
    assert kept.k == min(10, len(decoder) - 1)
    assert np.isnan(kept.share) == (len(decoder) == 1)


def test_directions_of_length_0_have_no_place():
    decoder = clusters()
    decoder[[3, 50]] = 0
    sae = Directions(decoder)
    near = all_neighbours(sae, 16).features
    places = flat_map(sae, near)
    assert np.flatnonzero(np.isnan(places.x)).tolist() == np.flatnonzero(np.isnan(places.y)).tolist() == [3, 50]
    assert kept_share(places, near).n == 158
    nothing = Directions(torch.zeros(5, 3))
    near = all_neighbours(nothing, 2).features
    assert np.isnan(flat_map(nothing, near).x).all()
    assert kept_share(flat_map(nothing, near), near).n == 0


@settings(max_examples=60, deadline=None)
@given(
    n=st.integers(2, 25),
    k=st.integers(1, 12),
    side=st.integers(1, 9),
    seed=st.integers(0, 1000),
    most=st.integers(1, 900),
)
def test_kept_share_is_that_of_plain_loops(n: int, k: int, side: int, seed: int, most: int):
    """On whole numbers, where many distances are equal."""
    rng = np.random.default_rng(seed)
    x, y = rng.integers(0, side, (2, n)).astype(np.float32)
    if n > 3:
        x[1] = y[1] = np.nan
    k = min(k, n - 1)
    near = np.stack([rng.permutation(np.delete(np.arange(n), i))[:k] for i in range(n)]).astype(np.int32)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "MOST_PAIRS", most)
        found = kept_share(FlatMap(x, y), near)
    there = [i for i in range(n) if not np.isnan(x[i])]
    k = min(k, 10, len(there) - 1)
    m = min(len(there), max(most // len(there), 1))
    hits = 0
    for feature in [there[i * len(there) // m] for i in range(m)]:
        far = {j: (x[feature] - x[j]) ** 2 + (y[feature] - y[j]) ** 2 for j in there if j != feature}
        hits += len(set(sorted(far, key=lambda j: (far[j], j))[:k]) & set(near[feature, :k].tolist()))
    assert found == (pytest.approx(hits / (m * k)), k, m)
