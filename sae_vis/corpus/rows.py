"""Rows of token ids as users have them: a rectangle, lists of unequal lengths, a tokenizer's output; with padding.

A model reads a row from its first token on, so padding at the left would be attended to and shift all positions:
rows are cut to begin with their first token. At the right padding changes nothing that comes before it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from sae_vis.checks import shown
from sae_vis.corpus.mask import MaskConfig
from sae_vis.errors import InputError

Tokens = torch.Tensor | NDArray[Any] | Iterable[Any] | Mapping[str, Any]
"""Token ids: a rectangle ``[n_seqs, seq_len]``, rows of any lengths, or what a tokenizer returns."""

I64 = NDArray[np.int64]


class Rows(NamedTuple):
    """Rows end to end.

    Attributes:
        values: whole numbers ``[n]``.
        offsets: int64 ``[n_rows + 1]``: row ``i`` is ``values[offsets[i]:offsets[i + 1]]``.
    """

    values: NDArray[Any]
    offsets: I64

    @property
    def lengths(self) -> I64:
        """Of each row."""
        return np.diff(self.offsets)


class Cut(NamedTuple):
    """What is kept of some rows.

    Attributes:
        starts: int64 ``[n_rows]`` position in each row of the first token kept.
        stops: int64 ``[n_rows]`` position after the last.
    """

    starts: I64
    stops: I64

    def of(self, rows: Rows) -> Rows:
        """The rows cut."""
        if not self.starts.any() and np.array_equal(self.stops, rows.lengths):
            return rows
        kept = np.zeros(len(rows.values) + 1, dtype=np.int8)  # +1 where something kept begins, -1 where it ends
        np.add.at(kept, rows.offsets[:-1] + self.starts, 1)
        np.add.at(kept, rows.offsets[:-1] + self.stops, -1)
        offsets = np.concatenate([[0], np.cumsum(self.stops - self.starts)]).astype(np.int64)
        return Rows(rows.values[np.cumsum(kept[:-1], dtype=np.int8).astype(bool)], offsets)


def token_rows(tokens: Tokens) -> tuple[Rows, Rows | None]:
    """Token ids, and the attention mask that came with them, if one did.

    Raises:
        InputError: something else than rows of whole numbers that are no less than 0.
    """
    attention = None
    if isinstance(tokens, Mapping):
        if "input_ids" not in tokens:
            names = ", ".join(map(repr, tokens)) or "nothing"
            raise InputError(
                f"tokens is a {type(tokens).__name__} that holds {names}, expected 'input_ids' as tokenizers return "
                "them: give the token ids"
            )
        attention = tokens.get("attention_mask")
        tokens = tokens["input_ids"]
    rows = _rows(tokens, "tokens")
    _require_ids(rows)
    return rows, None if attention is None else attention_rows(attention, rows)


def attention_rows(attention: object, rows: Rows) -> Rows:
    """An attention mask of some rows.

    Raises:
        InputError: another shape, or other values than 0 and 1.
    """
    if isinstance(attention, (torch.Tensor, np.ndarray)) and attention.dtype in (torch.bool, np.bool_):
        attention = attention.astype(np.uint8) if isinstance(attention, np.ndarray) else attention.to(torch.uint8)
    found = _rows(attention, "attention_mask")
    if not np.array_equal(found.offsets, rows.offsets):
        raise InputError(
            f"attention_mask has {_sizes(found)}, but the tokens have {_sizes(rows)}: give a 0 or 1 for every token"
        )
    if found.values.size and not np.isin(found.values, (0, 1)).all():
        other = found.values[~np.isin(found.values, (0, 1))][0]
        raise InputError(f"attention_mask holds {other}, expected 1 for tokens and 0 for padding")
    return found


def attended(attention: Rows) -> Cut:
    """Each row from its first to its last token that is attended to.

    Raises:
        InputError: a row with none, or with padding between tokens.
    """
    first, last, bare = _ends(attention, attention.values != 0)
    if bare.any():
        raise InputError(f"row {int(np.argmax(bare))} has no token: attention_mask is 0 in all of it; leave it out")
    _require_none_between(
        attention, attention.values != 0, first, last, "attention_mask is 0 there, expected at the ends only"
    )
    return Cut(first, last + 1)


def without_left_padding(rows: Rows, mask: MaskConfig) -> Cut:
    """Each row from its first token on that is no padding (id ``mask.pad_id``); rows of padding alone are left.

    Where padding has the same id as BOS, one of them at the beginning of every row is BOS.

    Raises:
        InputError: padding between tokens, or no way to tell padding from BOS.
    """
    whole = Cut(np.zeros(len(rows.lengths), dtype=np.int64), rows.lengths)
    if mask.pad_id is None or not (rows.values == mask.pad_id).any():
        return whole
    first, last, bare = _ends(rows, rows.values != mask.pad_id)
    leading = np.where(bare, 0, first)
    every = int(leading[~bare].min(initial=rows.values.size)) if not bare.all() else 0
    if every and mask.bos_id is None:
        raise InputError(
            f"every row begins with the padding id {mask.pad_id}, which may be BOS or padding: if it is BOS, give "
            f"MaskConfig(bos_id={mask.pad_id}, pad_id={mask.pad_id}), else attention_mask=, 0 where there is padding"
        )
    if mask.bos_id == mask.pad_id:
        return Cut(np.maximum(leading - min(every, 1), 0), rows.lengths)
    _require_none_between(
        rows,
        rows.values != mask.pad_id,
        first,
        np.where(bare, first - 1, last),
        f"it is the mask's pad_id, {mask.pad_id}; where that is a token of the text, such as the separator of "
        f"documents, give MaskConfig(ids=({mask.pad_id},)) in place of pad_id",
    )
    return Cut(leading, rows.lengths)


def _ends(rows: Rows, real: NDArray[np.bool_]) -> tuple[I64, I64, NDArray[np.bool_]]:
    """Position in each row of its first and its last real token, and whether it has none."""
    at = np.flatnonzero(real)
    low, high = (np.searchsorted(at, edges) for edges in (rows.offsets[:-1], rows.offsets[1:]))
    bare = low == high
    padded = np.append(at, 0)
    first = np.where(bare, 0, padded[np.minimum(low, len(at))] - rows.offsets[:-1])
    last = np.where(bare, 0, padded[np.maximum(high - 1, 0)] - rows.offsets[:-1])
    return first, last, bare


def _require_none_between(rows: Rows, real: NDArray[np.bool_], first: I64, last: I64, why: str) -> None:
    """Raise `InputError` where a row has padding between its first and last real token."""
    counts = np.concatenate([[0], np.cumsum(real)])
    starts, stops = rows.offsets[:-1] + first, rows.offsets[:-1] + last + 1
    holes = np.flatnonzero(counts[stops] - counts[starts] < stops - starts)
    if len(holes):
        row = int(holes[0])
        position = int(first[row]) + int(np.argmin(real[starts[row] : stops[row]]))
        raise InputError(f"row {row} has padding at position {position}, between tokens: {why}")


def _rows(given: Any, name: str) -> Rows:  # noqa: ANN401  what users have
    """Whole numbers in rows."""
    if isinstance(given, torch.Tensor):
        if given.is_nested:
            return _unequal(list(given.unbind()), name)
        _require_rectangle(given, str(given.dtype).removeprefix("torch."), name)
        return _rectangle(given.detach().cpu().numpy())
    if isinstance(given, np.ndarray) and given.dtype != object:
        _require_rectangle(given, given.dtype, name)
        return _rectangle(given)
    if isinstance(given, (str, bytes)) or not isinstance(given, Iterable):
        raise InputError(f"{name} is {shown(given)}, expected whole numbers [n_seqs, seq_len], or a list for each row")
    rows = list(given)
    if rows and not any(isinstance(row, Iterable) for row in rows):
        _require_rectangle(np.asarray(rows), np.asarray(rows).dtype, name)
    return _unequal(rows, name)


def _require_rectangle(array: torch.Tensor | NDArray[Any], dtype: object, name: str) -> None:
    whole = not str(dtype).startswith(("float", "bfloat", "complex", "bool", "<U", "object"))
    if array.ndim != 2 or not whole:
        one = f"; give one row as {name}[None]" if array.ndim == 1 and whole else ""
        raise InputError(
            f"{name} must be an integer array [n_seqs, seq_len], found {dtype} with shape {tuple(array.shape)}{one}"
        )


def _rectangle(array: NDArray[Any]) -> Rows:
    return Rows(array.reshape(-1), np.arange(array.shape[0] + 1, dtype=np.int64) * array.shape[1])


def _unequal(rows: list[Any], name: str) -> Rows:
    arrays = [_row(row, number, name) for number, row in enumerate(rows)]
    offsets = np.concatenate([[0], np.cumsum([len(array) for array in arrays])]).astype(np.int64)
    return Rows(np.concatenate([np.zeros(0, dtype=np.int64), *arrays]), offsets)


def _row(row: Any, number: int, name: str) -> NDArray[Any]:  # noqa: ANN401
    if isinstance(row, (str, bytes, Mapping)):
        raise InputError(
            f"row {number} of {name} is {shown(row)}, expected token ids; for texts there is Corpus.from_texts"
        )
    try:
        array = row.detach().cpu().numpy() if isinstance(row, torch.Tensor) else np.asarray(row)
    except (ValueError, TypeError):  # rows within rows, of unequal lengths
        array = np.asarray(None)
    if array.ndim == 1 and len(array) == 0:
        raise InputError(f"row {number} of {name} is empty, expected at least one token; leave it out")
    if array.ndim != 1 or not np.issubdtype(array.dtype, np.integer):
        raise InputError(f"row {number} of {name} is {shown(row)}, expected whole numbers [seq_len]")
    return array.astype(np.int64, copy=False)


def _require_ids(rows: Rows) -> None:
    ids = rows.values
    if ids.size and int(ids.min()) < 0:
        raise InputError(f"token ids must not be negative, found {int(ids.min())}; mask padding by id instead")
    if ids.size and int(ids.max()) > np.iinfo(np.int32).max:
        raise InputError(f"token id {int(ids.max())} does not fit 32 bits; no vocabulary is that large")


def _sizes(rows: Rows) -> str:
    lengths = np.unique(rows.lengths).tolist()
    some = ", ".join(map(str, lengths[:4])) + (", …" if len(lengths) > 4 else "")
    return f"{len(rows.lengths)} rows of {some or 0} entries"
