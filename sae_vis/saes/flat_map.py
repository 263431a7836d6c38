"""A flat map of decoder directions, and how many true neighbours it keeps.

The objective is that of t-SNE (van der Maaten and Hinton, Visualizing data using t-SNE, JMLR 2008): places ``y`` whose
similarities ``q_ij = w_ij / Z``, ``w_ij = 1 / (1 + |y_i - y_j|²)``, ``Z = Σ w``, are near ``p`` by Kullback-Leibler
divergence. ``p`` is uniform over the exact nearest neighbours, made symmetric: no bandwidths are fitted. The gradient,
their equation 5, is ``4 Σ_j (p_ij - q_ij) w_ij (y_i - y_j)``. Its attraction is summed over the neighbours as it
stands. Its repulsion is a convolution with the density of all places, taken on a grid by FFT (Linderman et al., Fast
interpolation-based t-SNE, Nature Methods 2019), here with weights linear between points of the grid. Nothing is
random: a map begins with the two principal components, as Kobak and Berens advise (The art of using t-SNE for
single-cell transcriptomics, Nature Communications 2019). A step is ``n / exaggeration`` long (Belkina et al., Automated
optimized parameters for t-SNE, Nature Communications 2019).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from sae_vis.models.precision import doubled
from sae_vis.neutral import neutrally
from sae_vis.saes.base import Dictionary
from sae_vis.saes.neighbours import Progress

BLOCK_BYTES = 1 << 26
ATTRACTED_BY = 15
"""Nearest neighbours that attract a feature."""
EARLY, EARLY_STEPS, STEPS = 12.0, 125, 500
"""How much stronger attraction is in the first steps, how many these are, and how many there are in all."""
CELL, MOST_CELLS = 0.5, 2048
"""Width of the grid's cells, where similarity falls to a half at 1; cells on a side, at most (then they are wider)."""
SAMPLE = 1 << 16
"""Features that principal components are taken of; in larger dictionaries as many, evenly spaced."""
MEASURED_BY = 10
"""Nearest neighbours that `kept_share` looks for."""
MOST_PAIRS = 1 << 32
"""Distances that `kept_share` takes; in larger maps of some features only."""


class FlatMap(NamedTuple):
    """Places of features.

    Attributes:
        x: float32 ``[d_sae]``, NaN for a feature that has no place: a direction of length 0.
        y: float32 ``[d_sae]``.
    """

    x: NDArray[np.float32]
    y: NDArray[np.float32]


@neutrally
def flat_map(sae: Dictionary, nearest: NDArray[np.int32], *, progress: Progress | None = None) -> FlatMap:
    """Lay out decoder directions, those near each other that are among each other's nearest.

    Runs on the CPU. Equal dictionaries have equal maps on one machine with one number of threads; elsewhere the last
    bits of sums differ, and maps with them, but not what they keep.

    Args:
        sae: the dictionary.
        nearest: ``[d_sae, k]`` nearest features of each, nearest first (`all_neighbours`).
        progress: called with stage, done, total.
    """
    decoder = sae.decoder.detach()
    there = (decoder != 0).any(1).cpu()
    places = torch.full((2, sae.d_sae), torch.nan)
    n = int(there.sum())
    if n > 0:
        start = _principal(decoder[there.to(decoder.device)])
        number = torch.full((sae.d_sae,), -1, dtype=torch.int64)
        number[there] = torch.arange(n)
        edges = number[torch.from_numpy(nearest[:, :ATTRACTED_BY].astype(np.int64))[there]]  # [n, k]
        places[:, there] = _laid_out(start, edges, progress)
    x, y = places.numpy()
    return FlatMap(x, y)


def _principal(directions: Tensor) -> Tensor:
    """The unit directions along their two principal components, ``[2, n]``; the larger has standard deviation 1e-4."""
    n, d = directions.shape
    some = directions[:: -(-n // SAMPLE)]
    mean = torch.stack([_unit(some[rows]).sum(0) for rows in _rows(len(some), d)]).sum(0) / len(some)
    products = []
    for rows in _rows(len(some), d):
        apart = _unit(some[rows]) - mean
        products.append(apart.T @ apart)
    covariance = torch.stack(products).sum(0)
    axes = torch.linalg.eigh(covariance).eigenvectors[:, -2:].flip(1)  # [d, 2 at most]
    axes = axes * axes.gather(0, axes.abs().argmax(0, keepdim=True)).sign()
    found = [(_unit(directions[rows]) - mean) @ axes for rows in _rows(n, d)]
    places = torch.zeros((2, n))
    places[: axes.shape[1]] = torch.cat(found).T.float().cpu()
    return places * (1e-4 / places[0].std(correction=0).clamp_min(1e-30))


def _unit(directions: Tensor) -> Tensor:
    exact = doubled(directions)
    unit: Tensor = exact / exact.norm(dim=1, keepdim=True)
    return unit


def _rows(n: int, width: int) -> Iterator[slice]:
    """Slices of n rows of so many float64 numbers, `BLOCK_BYTES` at a time."""
    step = max(1, BLOCK_BYTES // (8 * max(width, 1)))
    return (slice(first, min(first + step, n)) for first in range(0, n, step))


def _laid_out(places: Tensor, edges: Tensor, progress: Progress | None) -> Tensor:
    """Descend from ``places [2, n]`` along ``edges [n, k]`` (-1: to a feature without a place).

    With momentum, and gains that grow where the gradient keeps its sign (Jacobs, Increased rates of convergence through
    learning rate adaptation, 1988), as in van der Maaten's implementation.
    """
    n = places.shape[1]
    speed, gains = torch.zeros_like(places), torch.ones_like(places)
    grid = _Grid()
    for step in range(STEPS):
        early = step < EARLY_STEPS
        exaggeration = EARLY if early else 1.0
        gradient = 4 * (exaggeration * _attraction(places, edges) - grid.repulsion(places))
        same = gradient.sign() == speed.sign()
        gains = torch.where(same, gains * 0.8, gains + 0.2).clamp_min(0.01)
        speed = (0.5 if early else 0.8) * speed - n / exaggeration * gains * gradient
        places = places + speed
        places = places - places.mean(1, keepdim=True)
        if progress is not None:
            progress("map", step + 1, STEPS)
    return places


def _attraction(places: Tensor, edges: Tensor) -> Tensor:
    """``Σ_j p_ij w_ij (y_i - y_j)``, ``[2, n]``."""
    n, k = edges.shape
    there = edges >= 0
    to = edges.clamp_min(0)
    apart = places[:, :, None] - places[:, to]  # [2, n, k]
    pull = apart * (there / (1 + (apart**2).sum(0)) / (2 * n * max(k, 1)))
    back = [torch.zeros(n).index_add_(0, to.reshape(-1), part.reshape(-1)) for part in pull]
    return pull.sum(2) - torch.stack(back)


class _Grid:
    """Sums over all pairs of places, by way of a grid."""

    def __init__(self) -> None:
        self._kernels: tuple[int, float, Tensor] | None = None

    def repulsion(self, places: Tensor) -> Tensor:
        """``Σ_j q_ij w_ij (y_i - y_j)``, ``[2, n]``."""
        n = places.shape[1]
        low = places.min(1, keepdim=True).values
        span = max(float((places - low).max()), 1e-12)
        cells = min(64 * -(-int(span / CELL + 3) // 64), MOST_CELLS)
        width = CELL if CELL * 61 < span < CELL * (cells - 2) else span / (cells - 3)
        at = (places - low) / width
        corner = at.floor()
        part = at - corner  # [2, n] 0 to 1
        first = (corner[0] * cells + corner[1]).long()
        corners = torch.stack([first, first + 1, first + cells, first + cells + 1])  # [4, n]
        near, far = 1 - part, part
        shares = torch.stack([near[0] * near[1], near[0] * far[1], far[0] * near[1], far[0] * far[1]])
        density = torch.zeros(cells * cells).index_add_(0, corners.reshape(-1), shares.reshape(-1))
        size = (2 * cells, 2 * cells)
        spectrum = torch.fft.rfft2(density.reshape(cells, cells), s=size) * self._transformed(cells, width)
        fields = torch.fft.irfft2(spectrum, s=size)[:, :cells, :cells].reshape(3, -1)
        weight, *force = (fields[:, corners] * shares).sum(1)
        total = float((weight - _with_itself(shares, width)).sum(dtype=torch.float64))
        return torch.stack(force) / max(total, 1e-6 * n)  # rounding of the FFT, where all are far from each other

    def _transformed(self, cells: int, width: float) -> Tensor:
        """Spectra of ``w``, ``w² Δx`` and ``w² Δy`` around 0."""
        if self._kernels is None or self._kernels[:2] != (cells, width):
            steps = torch.fft.fftfreq(2 * cells, d=1 / (2 * cells)) * width
            w = 1 / (1 + steps[:, None] ** 2 + steps[None] ** 2)
            kernels = torch.stack([w, w**2 * steps[:, None], w**2 * steps[None]])
            self._kernels = (cells, width, torch.fft.rfft2(kernels))
        spectra: Tensor = self._kernels[2]
        return spectra


def _with_itself(shares: Tensor, width: float) -> Tensor:
    """What the grid has of each place's similarity with itself, ``[n]``, by its ``shares [4, n]`` at corners."""
    a, b, c, d = shares
    beside = (a * b + c * d + a * c + b * d) / (1 + width**2)
    across = (a * d + b * c) / (1 + 2 * width**2)
    itself: Tensor = (shares**2).sum(0) + 2 * beside + 2 * across
    return itself


class Kept(NamedTuple):
    """How much of true nearness a map keeps.

    Attributes:
        share: of the k nearest features by decoder cosine, those that are among the k nearest on the map, averaged; NaN
            where no two features have a place.
        k: how many, `MEASURED_BY` or fewer in a small dictionary.
        n: features that were looked at: all that have a place, or as many of them, evenly spaced.
    """

    share: float
    k: int
    n: int


@neutrally
def kept_share(places: FlatMap, nearest: NDArray[np.int32]) -> Kept:
    """The share of true neighbours that a map keeps.

    Distances on the map are float64, equal ones by number of the feature. Of more than 65,536 features some are looked
    at, ``2³² / n`` of them, each against all others.

    Args:
        places: the map.
        nearest: ``[d_sae, k]`` nearest features of each, nearest first.
    """
    there = np.flatnonzero(~np.isnan(places.x))
    n = len(there)
    k = min(MEASURED_BY, n - 1, nearest.shape[1])
    if k < 1:
        return Kept(float("nan"), 0, 0)
    at = torch.from_numpy(np.stack([places.x[there], places.y[there]])).double()
    m = min(n, max(MOST_PAIRS // n, 1))
    looked_at = torch.arange(m) * n // m
    hits = 0
    for part in _rows(m, 2 * n):
        rows = looked_at[part]
        apart = (at[0, rows, None] - at[0]) ** 2 + (at[1, rows, None] - at[1]) ** 2  # [rows, n]
        apart[torch.arange(len(rows)), rows] = torch.inf
        near = there[_smallest(apart, k).numpy()]
        true = nearest[there[rows.numpy()], :k]
        hits += int((near[:, :, None] == true[:, None, :]).any(2).sum())
    return Kept(hits / (m * k), k, m)


def _smallest(values: Tensor, k: int) -> Tensor:
    """Places of the k smallest of each row, of equal ones those that come first."""
    found, order = values.topk(k, dim=1, largest=False)
    tied = torch.nonzero((values <= found[:, -1:]).sum(1) > k)[:, 0]
    for row in tied.tolist():
        order[row] = values[row].argsort(stable=True)[:k]
    return order
