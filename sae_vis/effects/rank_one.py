"""Many sums of two known rows of logits, and what a softmax needs of each: O(vocabulary), no matrix product.

A feature's direct effect moves the final residual along one direction, so that the changed logits are ``s u + c l``:
the row `u` belongs to the position, the row `l` to the feature, and two numbers `s` and `c` to the pair (derived in
`sae_vis.effects.ablation`). Rows are made once for each distinct position and feature.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn.functional import embedding_bag, pad

from sae_vis.effects.extremes import extremes

TABLE_BYTES = 1 << 28  # rows of logits kept at a time
STREAMED_ROWS = 256  # rows of one matrix product: enough for its full speed
CACHED_BYTES = 3 << 18  # logits of the pairs in work at a time, for each thread: they stay in its second-level cache
DEVICE_BYTES = 1 << 28  # the same on an accelerator
SAFE_EXPONENT = 60.0  # exp of it, summed over any vocabulary, is far from the ends of float32


class Head(NamedTuple):
    """The unembedding: ``logits = cap * tanh((weight @ x + bias) / cap)``.

    Attributes:
        weight: float32 ``[d_vocab, d_model]``.
        bias: float32 ``[d_vocab]`` or None.
        softcap: `cap`, or None for logits without it.
    """

    weight: Tensor
    bias: Tensor | None
    softcap: float | None


class Mixes(NamedTuple):
    """n pairs of a row and a direction, each with the logits ``scale * u + weight * l`` (plus bias, then capped).

    Attributes:
        rows: int64 ``[n]``: whose `u`.
        directions: int64 ``[n]``: whose `l`.
        scale, weight: float64 ``[n]``.
        clean_scale: float64 ``[n]``: without the change the logits are ``clean_scale * u``.
        targets: int64 ``[n]``: the token whose logit is wanted.
    """

    rows: Tensor
    directions: Tensor
    scale: Tensor
    weight: Tensor
    clean_scale: Tensor
    targets: Tensor


class Mixed(NamedTuple):
    """What was found of n pairs.

    Attributes:
        log_total: float64 ``[n]``: log-sum-exp of the logits, less `offset`.
        target: float64 ``[n]``: the target's logit, less `offset`.
        offset: float64 ``[n]``.
        tokens: int64 ``[n_changed_pairs, 2, k]``: those whose clean logit is most above the changed one, descending;
            and most below, ascending.
        changes: float64, same shape: clean log-probability minus changed one, but for what depends on the pair alone:
            ``log_total`` minus that of the clean logits must be added.
    """

    log_total: Tensor
    target: Tensor
    offset: Tensor
    tokens: Tensor
    changes: Tensor


class _Block(NamedTuple):
    """n pairs whose two rows are in the table now.

    Attributes:
        pairs: int64 ``[n]``, their numbers.
        table: float32 ``[n_table, d_vocab]``, the last row being the bias.
        places: int64 ``[n, 2]``, where `u` and `l` are in it.
        tops: float64 ``[n]``, what was taken off `u`.
    """

    pairs: Tensor
    table: Tensor
    places: Tensor
    tops: Tensor


def mixed(head: Head, us: Tensor, ls: Tensor, mixes: Mixes, *, n_changed: int = 0, n_asked: int = 0) -> Mixed:
    """Log-sum-exp and target logit of every pair, and the most changed tokens of the first `n_asked` pairs.

    Args:
        head: the unembedding.
        us: float32 ``[n_rows, d_model]``, what the unembedding reads to give `u`.
        ls: float32 ``[n_directions, d_model]``, the same for `l`.
        mixes: the pairs, in any order.
        n_changed: k, tokens at either end.
        n_asked: pairs for which they are wanted.
    """
    n, k = len(mixes.rows), min(n_changed, len(head.weight))
    found = us.new_zeros((3, n), dtype=torch.float64)
    tokens = torch.zeros((n_asked, 2, k), dtype=torch.int64, device=us.device)
    changes = us.new_zeros((n_asked, 2, k), dtype=torch.float64)
    for block in _blocks(head, us, ls, mixes) if n else ():
        here = Mixes(*(column[block.pairs] for column in mixes))
        sums = _with_bias(head, _Sums(block.table, block.places, torch.stack([here.scale, here.weight], dim=1).float()))
        found[0, block.pairs] = _log_totals(head, sums)
        found[1, block.pairs] = _targets(head, sums, here.targets)
        found[2, block.pairs] = here.scale * block.tops
        asked = torch.nonzero(block.pairs < n_asked)[:, 0]
        if k and len(asked):
            of = block.pairs[asked]
            tokens[of], changes[of] = _changed(head, block, Mixes(*(column[asked] for column in here)), asked, k)
    return Mixed(found[0], found[1], found[2], tokens, changes)


def _pairs_in_cache(weight: Tensor) -> int:
    room = CACHED_BYTES * torch.get_num_threads() if weight.device.type == "cpu" else DEVICE_BYTES
    return max(1, room // (4 * len(weight)))


def _blocks(head: Head, us: Tensor, ls: Tensor, mixes: Mixes) -> Iterator[_Block]:
    """Every pair once, in blocks whose rows fit the table.

    The smaller of the two sets of rows stays in the table, the other one streams by: each row is made once, unless the
    smaller set alone is too large.
    """
    swapped = len(us) > len(ls)
    kept, streamed = (ls, us) if swapped else (us, ls)
    kept_of, streamed_of = (mixes.directions, mixes.rows) if swapped else (mixes.rows, mixes.directions)
    most = max(2, TABLE_BYTES // (4 * len(head.weight)))
    n_streamed = min(len(streamed), STREAMED_ROWS, max(1, most // 4))
    n_kept = min(len(kept), most - n_streamed)
    table = us.new_empty((n_kept + n_streamed + 1, len(head.weight)))
    table[-1] = 0.0 if head.bias is None else head.bias
    for first in range(0, len(kept), n_kept):
        some = kept[first : first + n_kept]
        kept_tops = _fill(head, table[: len(some)], some, shift=not swapped)
        for start in range(0, len(streamed), n_streamed):
            row, column = kept_of - first, streamed_of - start
            pairs = torch.nonzero((row >= 0) & (row < n_kept) & (column >= 0) & (column < n_streamed))[:, 0]
            if not len(pairs):
                continue
            others = streamed[start : start + n_streamed]
            tops = _fill(head, table[n_kept : n_kept + len(others)], others, shift=swapped)
            pairs = pairs[torch.argsort(mixes.rows[pairs], stable=True)]  # a row that is used again is in the cache
            row, column = row[pairs], column[pairs]
            where = (column + n_kept, row) if swapped else (row, column + n_kept)
            yield _Block(pairs, table, torch.stack(where, dim=1), tops[column] if swapped else kept_tops[row])


def _fill(head: Head, rows: Tensor, inputs: Tensor, *, shift: bool) -> Tensor:
    """Writes ``inputs @ weight.T`` into `rows`; with `shift` less the largest of each row. Returns what was taken off.

    The largest is taken off once for each row instead of once for each pair. Capped logits need nothing taken off.
    """
    torch.matmul(inputs, head.weight.T, out=rows)
    if not shift or head.softcap is not None:
        return rows.new_zeros(len(rows), dtype=torch.float64)
    tops = rows.amax(dim=1)
    rows.sub_(tops[:, None])
    return tops.double()


class _Sums(NamedTuple):
    """n weighted sums of rows of a table: ``places`` int64 ``[n, few]`` which, ``weights`` float32 ``[n, few]``."""

    table: Tensor
    places: Tensor
    weights: Tensor

    def some(self, chosen: Tensor | slice) -> _Sums:
        return _Sums(self.table, self.places[chosen], self.weights[chosen])

    def made(self) -> Tensor:
        """``[n, d_vocab]``, in one pass over the rows."""
        return embedding_bag(self.places, self.table, per_sample_weights=self.weights, mode="sum")


def _with_bias(head: Head, sums: _Sums) -> _Sums:
    """With the bias, which is the table's last row, and with the cap's divisor."""
    places, weights = sums.places, sums.weights
    if head.bias is not None:
        places = pad(places, (0, 1), value=len(sums.table) - 1)
        weights = pad(weights, (0, 1), value=1.0)
    return _Sums(sums.table, places, weights if head.softcap is None else weights / head.softcap)


def _logits(head: Head, sums: _Sums) -> Tensor:
    logits = sums.made()
    return logits if head.softcap is None else logits.tanh_().mul_(head.softcap)


def _log_totals(head: Head, sums: _Sums) -> Tensor:
    """Log-sum-exp of the logits, float64 ``[n]``, a few pairs at a time."""
    totals, height = sums.weights.new_empty(len(sums.places)), _pairs_in_cache(head.weight)
    for start in range(0, len(totals), height):
        part = slice(start, start + height)
        torch.sum(_logits(head, sums.some(part)).exp_(), dim=1, out=totals[part])
    logs = totals.double().log()
    unsafe = torch.nonzero(~(logs.abs() < SAFE_EXPONENT))[:, 0]  # all logits moved far up or down: take the largest off
    for few in torch.split(unsafe, height) if len(unsafe) else ():
        logs[few] = _logits(head, sums.some(few)).logsumexp(dim=1).double()
    return logs


def _targets(head: Head, sums: _Sums, tokens: Tensor) -> Tensor:
    """The logit of one token for each pair, float64 ``[n]``."""
    logits = (sums.table[sums.places, tokens[:, None]].double() * sums.weights).sum(dim=1)
    return logits if head.softcap is None else logits.tanh() * head.softcap


def _changed(head: Head, block: _Block, mixes: Mixes, asked: Tensor, k: int) -> tuple[Tensor, Tensor]:
    """The most changed tokens of some pairs of a block and by how much; see `Mixed`."""
    places, clean = block.places[asked], torch.stack([mixes.clean_scale, torch.zeros_like(mixes.scale)], dim=1)
    changed = torch.stack([mixes.scale, mixes.weight], dim=1)
    found = []
    for part in torch.split(torch.arange(len(asked), device=asked.device), _pairs_in_cache(head.weight)):
        if head.softcap is None:
            differences = _Sums(block.table, places[part], (clean - changed)[part].float()).made()
        else:
            both = [_with_bias(head, _Sums(block.table, places[part], w[part].float())) for w in (clean, changed)]
            differences = _logits(head, both[0]).sub_(_logits(head, both[1]))
        found.append(both_ends(differences, k))
    return torch.cat([tokens for tokens, _ in found]), torch.cat([changes for _, changes in found])


def both_ends(values: Tensor, k: int) -> tuple[Tensor, Tensor]:
    """The k largest (descending) and the k smallest (ascending) entries of each row of ``[n, width]``.

    Returns:
        Where they stand, int64 ``[n, 2, k]``, and the entries, float64 ``[n, 2, k]``.
    """
    ends = [extremes(values, k, largest=largest) for largest in (True, False)]
    return torch.stack([places for _, places in ends], 1), torch.stack([found for found, _ in ends], 1).double()
