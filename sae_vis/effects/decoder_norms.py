"""How strongly a feature of a crosscoder writes at each of its places, and how alike its directions there are."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from sae_vis.index.feature_table import Columns, ragged
from sae_vis.neutral import all_neutrally
from sae_vis.saes.crosscoder import Crosscoder


@all_neutrally
class DecoderNorms:
    """The decoder's norms and cosines of every feature; a statistic of the feature table.

    ``decoder_norms`` has the norm for each place, of the weights as stored. If all places have the same width,
    ``decoder_cosines`` has the cosine of the directions for each pair of places, in the order (0, 1), (0, 2), …,
    (1, 2). It is 0 where a direction is 0.

    Args:
        sae: the crosscoder.
    """

    def __init__(self, sae: Crosscoder) -> None:
        self._sae = sae
        self._widths = [end.d for end in sae.writes]

    def columns(self, first: int, stop: int) -> Columns:
        """The columns of the feature table for features ``first`` to ``stop``.

        Args:
            first: id of the first feature.
            stop: id after the last feature.

        Returns:
            Arrow arrays by column name, a row for each feature.
        """
        found = {"decoder_norms": _rows(self._sae.decoder_norms[first:stop])}
        if len(set(self._widths)) == 1:
            found["decoder_cosines"] = _rows(cosines(self._sae.decoder[first:stop].detach(), len(self._widths)))
        return found


def cosines(directions: Tensor, n_places: int) -> Tensor:
    """Cosines of the directions ``[n, n_places * d]`` for each pair of places, float32 ``[n, n_pairs]``."""
    parts = directions.float().view(len(directions), n_places, -1)
    norm = parts.norm(dim=2, keepdim=True)
    unit = parts / torch.where(norm > 0, norm, 1.0)
    every = unit @ unit.transpose(1, 2)
    a, b = torch.triu_indices(n_places, n_places, offset=1)
    return every[:, a, b]


def relative_norms(norms: NDArray[np.float32], models: NDArray[np.int64]) -> NDArray[np.float32]:
    """Relative norm of the second model's decoder, ``|d_B| / (|d_A| + |d_B|)``.

    As in the crosscoders of ckkissane/crosscoder-model-diff-replication, ``norms[:, 1] / norms.sum(-1)``, after Lindsey
    et al., 2024. Of a model that is written to at several places, the norm of all of them together.

    Args:
        norms: ``[n, n_places]``.
        models: ``[n_places]``, 0 or 1.

    Returns:
        float32 ``[n]``, NaN where both norms are 0.
    """
    squares = norms.astype(np.float64) ** 2
    a, b = (np.sqrt(squares[:, models == number].sum(axis=1)) for number in (0, 1))
    total = a + b
    share: NDArray[np.float32] = np.divide(b, total, out=np.full(len(b), np.nan), where=total > 0).astype(np.float32)
    return share


def _rows(values: Tensor) -> object:
    array = values.float().cpu().numpy()
    return ragged(array, np.ones(array.shape, dtype=bool))
