"""Exact selection from wide pre-activation matrices without looking at every element twice.

Everything here reads a ``[n, d_sae]`` matrix that was just computed, mostly once, in pieces that stay in the CPU's
cache, and finds the few entries that matter. No approximation: each bound below is proved where it is used.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor

from sae_vis.saes.base import SparseCodes

_GROUPS = (32, 8)  # columns under one maximum; the wider is quicker, the narrower serves a larger k
_TILE = 1 << 19  # elements handled at a time where a second step reads what the first wrote: stays in the cores' caches
_WORD = 8  # mask bytes looked at together, as one int64


class Entries(NamedTuple):
    """Elements of a matrix, in row-major order.

    Attributes:
        rows: int64 ``[m]``.
        features: int64 ``[m]``, ascending within a row.
        values: ``[m]``.
    """

    rows: Tensor
    features: Tensor
    values: Tensor


class Chosen(NamedTuple):
    """What a selection found in each row of a matrix: `torch.topk`'s two results.

    Attributes:
        values: ``[n, k]``.
        features: int64 ``[n, k]``.
    """

    values: Tensor
    features: Tensor


Choose = Callable[[Tensor], Chosen]


def lower_bound(threshold: Tensor, bias: Tensor) -> Tensor:
    """A float32 ``[d_sae]`` bound ``l`` with: rounded(product + bias) > threshold implies product >= l.

    Rounding is monotone, so a rounded sum above the threshold means product + bias >= threshold in real numbers, that
    is product >= threshold - bias; that difference, rounded once, is lowered by one unit in the last place. So one
    comparison finds all candidates without the bias being added anywhere.
    """
    difference = threshold.float() - bias.float()
    return torch.nextafter(difference, torch.full_like(difference, -torch.inf))


def entries_at_least(matrix: Tensor, bound: Tensor) -> Entries:
    """The elements with ``matrix [n, d] >= bound [d]``."""
    n, d = matrix.shape
    if d % _WORD or n == 0 or matrix.device.type != "cpu":
        rows, features = torch.nonzero(matrix >= bound, as_tuple=True)
        return Entries(rows, features, matrix[rows, features])
    tiles = _tiles(matrix, _TILE // 2)
    flags = torch.empty(tiles[0].stop, d, dtype=torch.float32, device=matrix.device)
    mask = torch.empty_like(flags, dtype=torch.bool)
    places, words = [], []
    for tile in tiles:
        height = min(tile.stop, n) - tile.start
        torch.ge(matrix[tile], bound, out=flags[:height])  # into floats, then to bool: twice as quick as straight
        found = _set_words(mask[:height].copy_(flags[:height]))
        places.append(found.places + tile.start * d // _WORD)
        words.append(found.words)
    flat = _set_bytes(_Words(torch.cat(places), torch.cat(words)))
    rows = torch.div(flat, d, rounding_mode="floor")
    return Entries(rows, flat - rows * d, matrix.view(-1).index_select(0, flat))


def largest_of_rows(matrix: Tensor, k: int, bias: Tensor, scale: Tensor | None, choose: Choose) -> Entries:
    """The positive ones among the k largest elements of each row of ``(matrix + bias) * scale``.

    Overwrites ``matrix`` by the latter. ``choose`` is the plain selection: it decides which of equal elements at the
    k-th place are among the k. Bound: k + 1 disjoint groups of columns whose maxima are at least ``b`` hold
    k + 1 elements of at least ``b``, so the k + 1 largest elements of the row are all at least ``b``. With ``b`` the
    (k+1)-th largest group maximum hardly more than k + 1 elements pass; the k-th largest is found among these.
    """
    n, d = matrix.shape
    group = next((size for size in _GROUPS if d % (size * _WORD) == 0 and d // size >= 2 * (k + 1)), None)
    maxima = None if group is None or n == 0 else _finish_with_maxima(matrix, bias, scale, group)
    if maxima is None:
        _finish(matrix, bias, scale)
        return _plain_largest(matrix, torch.arange(n, device=matrix.device), choose)
    bound = _bound(maxima, k)
    if not bool(torch.isfinite(bound.sum())):  # an overflow: no bound to trust
        return _plain_largest(matrix, torch.arange(n, device=matrix.device), choose)
    return _largest_above(matrix, maxima, bound, k, choose)


def rows_to_codes(rows: Tensor, features: Tensor, acts: Tensor, n: int) -> SparseCodes:
    """`SparseCodes` of entries in row-major order, with the rows as offsets."""
    return SparseCodes(_offsets(torch.bincount(rows, minlength=n)), features, acts.float())


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


class _Words(NamedTuple):
    places: Tensor  # int64 [m], which word
    words: Tensor  # int64 [m], each the eight bytes of a mask, not all of them zero


def _set_words(mask: Tensor) -> _Words:
    """The words of a contiguous mask that have a bit set."""
    words = mask.view(-1).view(torch.int64)
    places = torch.nonzero(words).squeeze(1)
    return _Words(places, words.index_select(0, places))


def _set_bytes(found: _Words) -> Tensor:
    """Flat places ``[m]`` in the mask, ascending, of the bytes that are set."""
    at = torch.nonzero(found.words.view(torch.bool)).squeeze(1)
    word = torch.div(at, _WORD, rounding_mode="floor")
    return found.places.index_select(0, word).mul_(_WORD).add_(at).sub_(word, alpha=_WORD)


def _bound(maxima: Tensor, k: int) -> Tensor:
    """The (k+1)-th largest maximum ``[n]``, of groups joined as far as there are still three times as many as that."""
    n, groups = maxima.shape
    joined = 1
    while groups % (2 * joined) == 0 and groups // (2 * joined) >= 3 * (k + 1):
        joined *= 2
    if joined > 1:
        maxima = torch.amax(maxima.view(n, joined, -1), dim=1)
    return torch.topk(maxima, k + 1, dim=1).values[:, k]


def _largest_above(matrix: Tensor, maxima: Tensor, bound: Tensor, k: int, choose: Choose) -> Entries:
    """The positive ones among the k largest of each row, all of which are at least ``bound [n]``."""
    n, d = matrix.shape
    groups = maxima.shape[1]
    bound = bound.clamp(min=torch.finfo(bound.dtype).smallest_normal * torch.finfo(bound.dtype).eps)
    chosen = _set_bytes(_set_words(maxima >= bound[:, None]))  # [n_chosen], row * groups + group
    elements = matrix.view(n * groups, -1).index_select(0, chosen)  # [n_chosen, group]
    bounds = bound.index_select(0, torch.div(chosen, groups, rounding_mode="floor"))
    passed = _set_bytes(_set_words(elements >= bounds[:, None]))
    values = elements.view(-1).index_select(0, passed)
    group = d // groups
    flat = chosen.index_select(0, torch.div(passed, group, rounding_mode="floor")) * group + passed % group
    rows = torch.div(flat, d, rounding_mode="floor")
    return _cut(matrix, Entries(rows, flat - rows * d, values), k, choose)


def _cut(matrix: Tensor, candidates: Entries, k: int, choose: Choose) -> Entries:
    """The k largest candidates of each row; ``choose`` on the whole row where the k-th is not one value alone."""
    n = matrix.shape[0]
    counts = torch.bincount(candidates.rows, minlength=n)
    crowded = counts > 4 * (k + 1)  # many equal values
    width = max(k + 1, int(torch.where(crowded, 0, counts).max()))
    place = torch.arange(candidates.rows.shape[0], device=matrix.device)
    place -= _offsets(counts).index_select(0, candidates.rows)
    table = candidates.values.new_full((n, width), -torch.inf)
    if bool(crowded.any()):
        fits = ~crowded[candidates.rows]
        table[candidates.rows[fits], place[fits]] = candidates.values[fits]
    else:
        table[candidates.rows, place] = candidates.values
    largest = torch.topk(table, k + 1, dim=1).values
    tied = crowded | ((largest[:, k - 1] == largest[:, k]) & (largest[:, k] > 0))
    cut = torch.where(tied, torch.inf, largest[:, k - 1])
    kept = torch.nonzero(candidates.values >= cut.index_select(0, candidates.rows)).squeeze(1)
    entries = Entries(*(column.index_select(0, kept) for column in candidates))
    if not bool(tied.any()):
        return entries
    rows = torch.nonzero(tied).squeeze(1)
    return _merge(entries, _plain_largest(matrix[rows], rows, choose))


def _plain_largest(matrix: Tensor, rows: Tensor, choose: Choose) -> Entries:
    """The positive ones of what ``choose`` finds in each row; ``rows`` says which rows these are."""
    values, features = choose(matrix)
    features, order = features.sort(dim=1)
    values = values.gather(1, order)
    at, place = torch.nonzero(values > 0, as_tuple=True)
    return Entries(rows[at], features[at, place], values[at, place])


def _merge(one: Entries, other: Entries) -> Entries:
    """Two sets of entries with no row in common, in row order."""
    joined = Entries(*(torch.cat(columns) for columns in zip(one, other, strict=True)))
    order = torch.sort(joined.rows, stable=True).indices
    return Entries(*(column[order] for column in joined))


def _offsets(counts: Tensor) -> Tensor:
    offsets = torch.zeros(counts.shape[0] + 1, dtype=torch.int64, device=counts.device)
    torch.cumsum(counts, 0, out=offsets[1:])
    return offsets


def _finish(matrix: Tensor, bias: Tensor, scale: Tensor | None) -> None:
    """``(matrix + bias) * scale``, in place."""
    matrix.add_(bias)
    if scale is not None:
        matrix.mul_(scale)


def _finish_with_maxima(matrix: Tensor, bias: Tensor, scale: Tensor | None, group: int) -> Tensor:
    """`_finish`, and the maxima ``[n, d / group]`` of neighbouring columns while they are in the cache."""
    n, d = matrix.shape
    maxima = torch.empty(n, d // group, dtype=matrix.dtype, device=matrix.device)
    for tile in _tiles(matrix, _TILE):
        _finish(matrix[tile], bias, scale)
        torch.amax(matrix[tile].view(-1, d // group, group), dim=2, out=maxima[tile])
    return maxima


def _tiles(matrix: Tensor, elements: int) -> list[slice]:
    """Row ranges of about so many elements on CPU; all rows at once elsewhere."""
    n, d = matrix.shape
    height = min(n, max(1, elements // d)) if matrix.device.type == "cpu" else n
    return [slice(start, start + height) for start in range(0, n, height)]
