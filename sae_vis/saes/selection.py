"""Exact selection from wide pre-activation matrices without looking at every element twice.

Everything here reads a ``[n, d_sae]`` matrix that was just computed, mostly once, in pieces that stay in the CPU's
cache, and finds the few entries that matter. No approximation: each bound below is proved where it is used.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from sae_vis.saes.base import SparseCodes

_GROUP = 32  # columns under one maximum: about the square root of d_sae / k, and whole vector registers
_TILE = 1 << 18  # elements handled at a time: 1 MB of float32 stays in a core's cache
_WORD = 8  # mask bytes read at a time, as one int64


class Entries(NamedTuple):
    """Places in a matrix, in row-major order.

    Attributes:
        rows: int64 ``[m]``.
        features: int64 ``[m]``, ascending within a row.
    """

    rows: Tensor
    features: Tensor


class Largest(NamedTuple):
    """The k largest elements of each row, in no particular order.

    Attributes:
        values: ``[n, k]``.
        features: int64 ``[n, k]``.
    """

    values: Tensor
    features: Tensor


def lower_bound(threshold: Tensor, bias: Tensor) -> Tensor:
    """A float32 ``[d_sae]`` bound ``l`` with: rounded(product + bias) > threshold implies product >= l.

    Rounding is monotone, so a rounded sum above the threshold means product + bias >= threshold in real numbers, that
    is product >= threshold - bias; that difference, rounded once, is lowered by one unit in the last place. So one
    comparison finds all candidates without the bias being added anywhere.
    """
    difference = threshold.float() - bias.float()
    return torch.nextafter(difference, torch.full_like(difference, -torch.inf))


def entries_at_least(matrix: Tensor, bound: Tensor) -> Entries:
    """Where ``matrix [n, d] >= bound [d]``. Reads the mask eight bytes at a time, since nearly all are zero."""
    mask = torch.empty(matrix.shape, dtype=torch.bool, device=matrix.device)
    for rows in _tiles(matrix):
        torch.ge(matrix[rows], bound, out=mask[rows])
    if matrix.shape[1] % _WORD or matrix.shape[0] == 0:
        return Entries(*torch.nonzero(mask, as_tuple=True))
    rows_of, words = torch.nonzero(mask.view(torch.int64), as_tuple=True)
    in_words = mask.view(matrix.shape[0], -1, _WORD)[rows_of, words]  # [n_words, 8]
    at, byte = torch.nonzero(in_words, as_tuple=True)
    return Entries(rows_of[at], words[at] * _WORD + byte)


def largest_of_rows(matrix: Tensor, k: int, bias: Tensor, scale: Tensor | None) -> Largest:
    """The k largest elements of each row of ``(matrix + bias) * scale``, which overwrites ``matrix``.

    With k + 1 groups of columns chosen by their maxima, at least k + 1 elements are as large as the smallest of these
    maxima, and no element elsewhere is larger: so if the k-th and the (k+1)-th largest of the chosen groups' elements
    differ, the k largest are those of the whole row. If they are equal (a tie), `torch.topk` decides on the whole row.
    """
    n, d = matrix.shape
    if n == 0 or d % _GROUP or d // _GROUP <= k + 1:
        _finish(matrix, bias, scale)
        return Largest(*torch.topk(matrix, k, dim=1, sorted=False))
    grouped = matrix.view(n, -1, _GROUP)
    maxima = torch.empty(grouped.shape[:2], dtype=matrix.dtype, device=matrix.device)
    for rows in _tiles(matrix):
        _finish(matrix[rows], bias, scale)
        torch.amax(grouped[rows], dim=2, out=maxima[rows])
    groups = torch.topk(maxima, k + 1, dim=1, sorted=False).indices  # [n, k + 1]
    first_group = torch.arange(n, device=matrix.device)[:, None] * grouped.shape[1]
    chosen = grouped.reshape(-1, _GROUP).index_select(0, (groups + first_group).view(-1)).view(n, -1)
    values, places = torch.topk(chosen, k + 1, dim=1)
    features = groups.gather(1, places // _GROUP) * _GROUP + places % _GROUP
    return _break_ties(matrix, values, features)


def _break_ties(matrix: Tensor, values: Tensor, features: Tensor) -> Largest:
    """The first k of k + 1 sorted columns, taken from `torch.topk` on the whole row where the last two are equal."""
    k = values.shape[1] - 1
    tied = torch.nonzero((values[:, k - 1] == values[:, k]) & (values[:, k] > 0)).squeeze(1)
    values, features = values[:, :k], features[:, :k]
    if tied.numel():
        exact = torch.topk(matrix[tied], k, dim=1, sorted=False)
        values, features = values.clone(), features.clone()
        values[tied], features[tied] = exact.values, exact.indices
    return Largest(values, features)


def rows_to_codes(rows: Tensor, features: Tensor, acts: Tensor, n: int) -> SparseCodes:
    """`SparseCodes` of entries in row-major order, with the rows as offsets."""
    offsets = torch.zeros(n + 1, dtype=torch.int64, device=rows.device)
    torch.cumsum(torch.bincount(rows, minlength=n), 0, out=offsets[1:])
    return SparseCodes(offsets, features, acts.float())


def join_codes(parts: list[SparseCodes]) -> SparseCodes:
    """The rows of all parts, one after the other."""
    if len(parts) == 1:
        return parts[0]
    starts, total = [parts[0].offsets[:1]], 0
    for part in parts:
        starts.append(part.offsets[1:] + total)
        total += part.features.shape[0]
    return SparseCodes(
        torch.cat(starts), torch.cat([part.features for part in parts]), torch.cat([part.acts for part in parts])
    )


def _finish(matrix: Tensor, bias: Tensor, scale: Tensor | None) -> None:
    matrix.add_(bias)
    if scale is not None:
        matrix.mul_(scale)


def _tiles(matrix: Tensor) -> list[slice]:
    """Row ranges of about `_TILE` elements on CPU; all rows at once elsewhere."""
    n = matrix.shape[0]
    height = max(1, _TILE // matrix.shape[1]) if matrix.device.type == "cpu" else max(1, n)
    return [slice(start, start + height) for start in range(0, n, height)]
