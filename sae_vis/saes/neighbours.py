"""Features whose decoder directions point the same way."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from sae_vis.errors import InputError
from sae_vis.neutral import neutrally
from sae_vis.saes.base import Dictionary

BLOCK_BYTES = 1 << 26  # cosines held at a time


class Neighbours(NamedTuple):
    """Nearest features by decoder direction.

    Attributes:
        features: int32 ``[n, k]`` features, by descending cosine; the feature itself is not among them.
        cosine: float32 ``[n, k]``.
    """

    features: NDArray[np.int32]
    cosine: NDArray[np.float32]


@neutrally
def decoder_neighbours(sae: Dictionary, features: Sequence[int], k: int) -> Neighbours:
    """The ``k`` features whose decoder directions have the largest cosine with each feature's (fewer in a small SAE).

    Cosines are float32 products of float32 unit vectors: within 1e-6 of exact. A direction of length 0 has cosine 0
    with all.

    Raises:
        InputError: a feature that does not exist.
    """
    wanted = torch.as_tensor(list(features), dtype=torch.int64)
    if len(wanted) and not (int(wanted.min()) >= 0 and int(wanted.max()) < sae.d_sae):
        raise InputError(f"asked for features {int(wanted.min())} to {int(wanted.max())} of an SAE of {sae.d_sae}")
    k = min(k, sae.d_sae - 1)
    decoder = sae.decoder.detach()
    queries = _unit(decoder[wanted.to(decoder.device)])
    best = _Best(len(wanted), k)
    step = max(1, BLOCK_BYTES // (4 * max(len(wanted), decoder.shape[1], 1)))
    for first in range(0, sae.d_sae, step):
        cosines = queries @ _unit(decoder[first : first + step]).T  # [n, step]
        own = wanted - first
        rows = torch.nonzero((own >= 0) & (own < cosines.shape[1]))[:, 0]
        cosines[rows, own[rows]] = -torch.inf
        best.take(cosines.cpu(), first)
    return Neighbours(best.index.numpy().astype(np.int32), best.value.numpy())


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


class _Best:
    """The k largest of each row of a matrix that is seen in blocks of columns."""

    def __init__(self, n: int, k: int) -> None:
        self._k = k
        self.value = torch.empty((n, 0))
        self.index = torch.empty((n, 0), dtype=torch.int64)

    def take(self, block: Tensor, first: int) -> None:
        values, places = block.topk(min(self._k, block.shape[1]), dim=1)
        values, places = torch.cat([self.value, values], 1), torch.cat([self.index, places + first], 1)
        self.value, chosen = values.topk(min(self._k, values.shape[1]), dim=1)
        self.index = places.gather(1, chosen)


def _unit(directions: Tensor) -> Tensor:
    directions = directions.float()
    norm = directions.norm(dim=1, keepdim=True)
    return directions / torch.where(norm > 0, norm, 1.0)
