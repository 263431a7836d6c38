"""The one mask: which tokens count, in every statistic and every example."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Set
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sae_vis.checks import plain, shown, whole_number
from sae_vis.errors import InputError

Positions = tuple[int | None, int | None] | tuple[int | None, int | None, int | None]


@dataclass(frozen=True, kw_only=True)
class MaskConfig:
    """Which tokens are left out.

    Attributes:
        bos_id: id of the beginning-of-sequence token, left out wherever it stands; None: not left out.
        pad_id: id of the padding token, left out wherever it stands; None: not left out.
        ids: further token ids that are left out.
        seqpos_slice: ``(start, stop)`` or ``(start, stop, step)`` as in a Python slice: the positions within a
            sequence that count. ``(1, None)`` leaves each sequence's first token out.

    Raises:
        InputError: ids that are no whole numbers, positions that are no slice.
    """

    bos_id: int | None = None
    pad_id: int | None = None
    ids: tuple[int, ...] = ()
    seqpos_slice: Positions = (None, None)

    def __post_init__(self) -> None:
        """Check everything; ids and positions become plain numbers and tuples."""
        for name in ("bos_id", "pad_id"):
            value = getattr(self, name)
            object.__setattr__(self, name, None if value is None else whole_number(value, f"MaskConfig.{name}"))
        object.__setattr__(self, "ids", _numbers(self.ids, "MaskConfig.ids", "token ids, such as (3, 7)"))
        parts: Any = self.seqpos_slice
        if isinstance(parts, slice):
            parts = (parts.start, parts.stop, parts.step)
        parts = _numbers(parts, "seqpos_slice", "(start, stop) or (start, stop, step)", or_none=True)
        if len(parts) not in (2, 3):
            raise InputError(f"seqpos_slice takes (start, stop) or (start, stop, step), found {self.seqpos_slice!r}")
        if len(parts) == 3 and parts[2] == 0:
            raise InputError("seqpos_slice has step 0; use a step of 1 or more")
        object.__setattr__(self, "seqpos_slice", parts)

    @property
    def masked_ids(self) -> tuple[int, ...]:
        """All ids that are left out, ascending."""
        ids = {*self.ids, *(i for i in (self.bos_id, self.pad_id) if i is not None)}
        return tuple(sorted(ids))

    def counted(self, tokens: NDArray[np.int32], offsets: NDArray[np.int64]) -> NDArray[np.bool_]:
        """Which tokens count.

        Args:
            tokens: int32 ``[n_tokens]``, all sequences end to end.
            offsets: int64 ``[n_seqs + 1]``, where sequences start and stop.

        Returns:
            bool ``[n_tokens]``.
        """
        keep = ~np.isin(tokens, np.array(self.masked_ids, dtype=np.int32))
        if any(part is not None for part in self.seqpos_slice):
            keep &= self._positions_kept(offsets)
        return keep

    def _positions_kept(self, offsets: NDArray[np.int64]) -> NDArray[np.bool_]:
        kept = np.zeros(int(offsets[-1]), dtype=bool)
        window = slice(*self.seqpos_slice)
        lengths = np.diff(offsets)
        for length in np.unique(lengths):
            starts = offsets[:-1][lengths == length]
            positions = np.arange(length)[window]
            kept[(starts[:, None] + positions[None, :]).ravel()] = True
        return kept

    def describe(self) -> str:
        """The mask in words.

        Returns:
            What the page's header says.
        """
        parts = []
        if self.bos_id is not None:
            parts.append(f"BOS (id {self.bos_id})")
        if self.pad_id is not None and self.pad_id != self.bos_id:
            parts.append(f"padding (id {self.pad_id})")
        if self.ids:
            parts.append("ids " + ", ".join(map(str, self.ids)))
        if any(part is not None for part in self.seqpos_slice):
            shown = ":".join("" if part is None else str(part) for part in self.seqpos_slice)
            parts.append(f"positions outside [{shown}]")
        return "left out: " + "; ".join(parts) if parts else "nothing left out"


def _numbers(given: Any, name: str, expected: str, *, or_none: bool = False) -> tuple[Any, ...]:  # noqa: ANN401
    """Whole numbers, of any sequence, as a tuple; sets ascending."""
    values = plain(given)
    if isinstance(values, (str, bytes, Mapping)) or not isinstance(values, Iterable):
        raise InputError(f"{name} is {shown(given)}, expected {expected}")
    found = [value if value is None and or_none else whole_number(value, f"a value in {name}") for value in values]
    return tuple(sorted(found) if isinstance(values, Set) else found)
