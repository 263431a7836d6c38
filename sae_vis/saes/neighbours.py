"""Features whose decoder directions point the same way."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import isqrt
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from sae_vis.errors import InputError
from sae_vis.models.precision import doubled
from sae_vis.neutral import neutrally
from sae_vis.saes.base import Dictionary

MARGIN = 2.0**-18  # of cosines of two products of the same numbers, at most
BLOCK_BYTES = 1 << 26  # cosines, or directions, held at a time
NEIGHBOURS = 16
"""How many are kept of each feature, unless asked for otherwise."""
SPARE, SPARE_COARSE = 8, 112
"""Candidates beyond the k nearest: with float32 products, and where torch is told that coarser ones will do."""

Progress = Callable[[str, int, int], None]


class Neighbours(NamedTuple):
    """Nearest features by decoder direction.

    Attributes:
        features: int32 ``[n, k]`` features, by descending cosine, equal ones by number; the feature itself is not among
            them.
        cosine: float32 ``[n, k]``.
    """

    features: NDArray[np.int32]
    cosine: NDArray[np.float32]


@neutrally
def decoder_neighbours(sae: Dictionary, features: Sequence[int], k: int) -> Neighbours:
    """The ``k`` features whose decoder directions have the largest cosine with each feature's (fewer in a small SAE).

    Cosines are of float64 sums over the float32 directions, and so is the order: float32 products only choose
    candidates, and where their error could leave one out, all cosines of that feature are taken in float64. A direction
    of length 0 has cosine 0 with all.

    Raises:
        InputError: a feature that does not exist.
    """
    wanted = torch.as_tensor(list(features), dtype=torch.int64)
    if len(wanted) and not (int(wanted.min()) >= 0 and int(wanted.max()) < sae.d_sae):
        raise InputError(f"asked for features {int(wanted.min())} to {int(wanted.max())} of an SAE of {sae.d_sae}")
    directions = _Directions(sae.decoder.detach())
    wanted = wanted.to(directions.device)
    found = _Candidates(len(wanted), directions, k)
    step = max(1, BLOCK_BYTES // (4 * max(len(wanted), directions.d, 1)))
    queries = directions.units(wanted)
    for first in range(0, sae.d_sae, step):
        cosines = queries @ directions.units(slice(first, first + step)).T  # [n, step]
        own = wanted - first
        rows = torch.nonzero((own >= 0) & (own < cosines.shape[1]))[:, 0]
        cosines[rows, own[rows]] = -torch.inf
        found.take(slice(None), cosines, first)
    return found.exact(wanted)


@neutrally
def all_neighbours(sae: Dictionary, k: int = NEIGHBOURS, *, progress: Progress | None = None) -> Neighbours:
    """`decoder_neighbours` of every feature. Each pair's cosine is taken once, a square of features at a time.

    Args:
        sae: the dictionary; products are taken on its device.
        k: how many of each feature.
        progress: called with stage, done, total (pairs of features).
    """
    directions = _Directions(sae.decoder.detach())
    found = _Candidates(sae.d_sae, directions, k)
    side = isqrt(BLOCK_BYTES // 4)
    blocks = [slice(first, min(first + side, sae.d_sae)) for first in range(0, sae.d_sae, side)]
    for i, rows in enumerate(blocks):
        units = directions.units(rows)
        found.take(rows, (units @ units.T).fill_diagonal_(-torch.inf), rows.start)
        for columns in blocks[i + 1 :]:
            cosines = units @ directions.units(columns).T
            found.take(rows, cosines, columns.start)
            found.take(columns, cosines.T.contiguous(), rows.start)
        if progress is not None:
            progress("neighbours", rows.stop * (2 * sae.d_sae - rows.stop), sae.d_sae**2)
    return found.exact(torch.arange(sae.d_sae, device=directions.device))


@neutrally
def decoder_cosines(
    a: Dictionary, b: Dictionary, of_a: Sequence[int], of_b: Sequence[int]
) -> NDArray[np.float32] | None:
    """Cosines of the decoder directions of pairs of features, one of each dictionary: float32 ``[n]``.

    Within 1e-6 of exact; 0 for a direction of length 0. None where the directions have different widths.
    """
    first, second = a.decoder.detach(), b.decoder.detach()
    if first.shape[1] != second.shape[1]:
        return None
    rows = [torch.as_tensor(list(ids), dtype=torch.int64) for ids in (of_a, of_b)]
    units = [_unit(part[ids.to(part.device)]).cpu() for part, ids in zip((first, second), rows, strict=True)]
    found: NDArray[np.float32] = (units[0] * units[1]).sum(1).numpy()
    return found


class _Directions:
    """Decoder directions ``[n, d]`` and their lengths."""

    def __init__(self, decoder: Tensor) -> None:
        self.decoder, self.device = decoder, decoder.device
        self.n, self.d = decoder.shape
        step = max(1, BLOCK_BYTES // (8 * max(self.d, 1)))
        lengths = [doubled(decoder[at : at + step]).norm(dim=1) for at in range(0, self.n, step)]
        self.length = torch.cat(lengths)  # float64 [n]

    def units(self, features: Tensor | slice) -> Tensor:
        """Float32 ``[n, d]`` of length 1, but for those of length 0."""
        length = self.length[features.to(self.length.device) if isinstance(features, Tensor) else features]
        scaled = doubled(self.decoder[features]) / torch.where(length > 0, length, 1.0)[:, None]
        return scaled.float().to(self.device)

    def cosines(self, features: Tensor, others: Tensor) -> Tensor:
        """Float64 ``[n, m]`` of each feature ``[n]`` with its own row of others ``[n, m]``."""
        products = (doubled(self.decoder[features])[:, None] * doubled(self.decoder[others])).sum(2)
        at, there = (ids.to(self.length.device) for ids in (features, others))
        scale = self.length[at][:, None] * self.length[there]
        return products / torch.where(scale > 0, scale, 1.0)

    @property
    def error(self) -> float:
        """How far a float32 product of units may be from exact: ``γ_d`` of d additions, and rounding of the units.

        (Higham, Accuracy and Stability of Numerical Algorithms, section 3.1, for sums in any order.) ``MARGIN`` is for
        kernels that don't keep to it. Where torch may take products in bfloat16, twice its rounding comes on top.
        """
        coarse = 0.0 if torch.get_float32_matmul_precision() == "highest" else 2.0**-6.9
        return (self.d + 8) * 2.0**-24 + MARGIN + coarse


class _Candidates:
    """The largest cosines of each of n features, as float32 products have them, seen in blocks of other features."""

    def __init__(self, n: int, directions: _Directions, k: int) -> None:
        spare = SPARE if torch.get_float32_matmul_precision() == "highest" else SPARE_COARSE
        self._directions, self._k = directions, min(k, directions.n - 1)
        size = (n, min(self._k + spare, directions.n - 1))
        self._value = torch.full(size, -torch.inf, device=directions.device)
        self._index = torch.zeros(size, dtype=torch.int64, device=directions.device)

    def take(self, rows: slice, cosines: Tensor, first: int) -> None:
        """Look at the cosines of some rows with the features from ``first`` on."""
        keep = self._value.shape[1]
        values, places = cosines.topk(min(keep, cosines.shape[1]), dim=1)
        values, index = torch.cat([self._value[rows], values], 1), torch.cat([self._index[rows], places + first], 1)
        self._value[rows], chosen = values.topk(keep, dim=1)
        self._index[rows] = index.gather(1, chosen)

    def exact(self, features: Tensor) -> Neighbours:
        """The k nearest of the rows' ``features``, by float64 cosines."""
        n, k = len(features), self._k
        found = Neighbours(np.empty((n, k), dtype=np.int32), np.empty((n, k), dtype=np.float32))
        step = max(1, BLOCK_BYTES // (8 * max(self._value.shape[1] * self._directions.d, 1)))
        for first in range(0, n, step):
            rows = slice(first, min(first + step, n))
            others = self._index[rows].sort(dim=1).values
            cosines = self._directions.cosines(features[rows], others).to(others.device)
            cosines, order = cosines.sort(dim=1, descending=True, stable=True)
            found.features[rows] = others.gather(1, order)[:, :k].cpu().numpy()
            found.cosine[rows] = cosines[:, :k].float().cpu().numpy()
            for row in self._open(rows, cosines):
                found.features[row], found.cosine[row] = self._of_all(int(features[row]))
        return found

    def _open(self, rows: slice, cosines: Tensor) -> list[int]:
        """Rows of which a feature that is no candidate may be as near as the k-th nearest candidate."""
        if self._k == 0 or self._value.shape[1] == self._directions.n - 1:
            return []
        sure = cosines[:, self._k - 1] > self._value[rows].min(1).values + self._directions.error
        found: list[int] = (torch.nonzero(~sure)[:, 0] + rows.start).tolist()
        return found

    def _of_all(self, feature: int) -> tuple[NDArray[np.int32], NDArray[np.float32]]:
        """The k nearest of one feature among all others."""
        directions, k = self._directions, self._k
        if not directions.length[feature]:
            others = np.arange(k + 1, dtype=np.int32)
            return others[others != feature][:k], np.zeros(k, dtype=np.float32)
        one, every = torch.tensor([feature], device=directions.device), torch.arange(directions.n)
        step = max(1, BLOCK_BYTES // (8 * max(directions.d, 1)))
        parts = [every[at : at + step].to(directions.device) for at in range(0, directions.n, step)]
        cosines = torch.cat([directions.cosines(one, part[None])[0].cpu() for part in parts])
        cosines[feature] = -torch.inf
        cosines, order = cosines.sort(descending=True, stable=True)
        return order[:k].numpy().astype(np.int32), cosines[:k].float().numpy()


def _unit(directions: Tensor) -> Tensor:
    directions = directions.float()
    norm = directions.norm(dim=1, keepdim=True)
    return directions / torch.where(norm > 0, norm, 1.0)
