"""Effects on single tokens, kept beside an index so that the next page that shows them is free.

Each is a function of model, SAE, hook point and tokens alone. Files are ``effects/KIND/block-00000.safetensors``,
each of `BLOCK` features; the manifest does not list them, and deleting them loses nothing but time.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from contextlib import suppress
from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from sae_vis.config import MOST_CHANGED
from sae_vis.errors import DamagedIndexError, IndexFileError
from sae_vis.index.manifest import mark_of
from sae_vis.index.storage import Arrays, Store

EffectKind = Literal["direct", "full"]
BLOCK = 1024  # features in a file
N_FLAT = 5  # columns of `StoredEffects` with a row for each token; the others have a row for each list


class StoredEffects(NamedTuple):
    """Effects at n tokens, ascending by feature, then by position.

    Attributes:
        feature: int32 ``[n]``.
        position: int64 ``[n]`` corpus positions.
        loss: float32 ``[n]`` effect on the next token's loss, NaN where a sequence has no next token.
        prob: float32 ``[n]`` probability of the next token with the feature.
        listed: bool ``[n]`` whether the lists below were made; the rows of those that were are the lists' rows.
        up_tokens: int32 ``[m, MOST_CHANGED]`` tokens whose log-probability is raised most, descending.
        up_values: float32 ``[m, MOST_CHANGED]`` by how much, in nats.
        down_tokens: int32 ``[m, MOST_CHANGED]`` tokens whose log-probability is lowered most, most lowered first.
        down_values: float32 ``[m, MOST_CHANGED]``.
    """

    feature: NDArray[np.int32]
    position: NDArray[np.int64]
    loss: NDArray[np.float32]
    prob: NDArray[np.float32]
    listed: NDArray[np.bool_]
    up_tokens: NDArray[np.int32]
    up_values: NDArray[np.float32]
    down_tokens: NDArray[np.int32]
    down_values: NDArray[np.float32]

    def rows(self, chosen: NDArray[Any]) -> StoredEffects:
        """Some of them: ``chosen`` holds row numbers, or whether each row is wanted."""
        numbers = np.flatnonzero(chosen) if chosen.dtype == bool else chosen
        lists = (np.cumsum(self.listed) - 1)[numbers[self.listed[numbers]]]
        every: tuple[NDArray[Any], ...] = tuple(self)
        columns: list[Any] = [column[numbers if i < N_FLAT else lists] for i, column in enumerate(every)]
        return StoredEffects(*columns)

    def find(self, positions: NDArray[np.int64]) -> NDArray[np.int64]:
        """Rows of corpus ``positions`` where all are of one feature; -1 where there is none."""
        at = np.minimum(np.searchsorted(self.position, positions), max(len(self.position) - 1, 0))
        known = self.position[at] == positions if len(self.position) else np.zeros(len(positions), dtype=bool)
        return np.where(known, at, -1)


def no_effects() -> StoredEffects:
    """Of no token."""
    kinds = (np.int32, np.int64, np.float32, np.float32, np.bool_, np.int32, np.float32, np.int32, np.float32)
    columns: list[Any] = [np.zeros(0 if i < N_FLAT else (0, MOST_CHANGED), kind) for i, kind in enumerate(kinds)]
    return StoredEffects(*columns)


def merged(old: StoredEffects, new: StoredEffects) -> StoredEffects:
    """Both; of two that are of one feature and position the one with lists, else the new one."""
    columns: list[Any] = [np.concatenate([a, b]) for a, b in zip(old, new, strict=True)]
    both = StoredEffects(*columns)
    age = np.repeat([1, 0], [len(old.feature), len(new.feature)])
    order = np.lexsort((age, ~both.listed, both.position, both.feature))
    feature, position = both.feature[order], both.position[order]
    first = np.ones(len(order), dtype=bool)
    first[1:] = (feature[1:] != feature[:-1]) | (position[1:] != position[:-1])
    return both.rows(order[first])


class EffectsCache:
    """The effects of one kind that an index keeps.

    Args:
        store: of the index.
        identity: what the index was made from; effects of another are not taken for its own.
        kind: of the effects.
        reference: fingerprint of the distributions that the loss is taken against; None: the next token.
    """

    def __init__(
        self, store: Store, identity: Mapping[str, Any], kind: EffectKind, reference: str | None = None
    ) -> None:
        against = {} if reference is None else {"reference": reference}
        self._store = store
        self._folder = kind if reference is None else f"{kind}-{hashlib.sha256(reference.encode()).hexdigest()[:16]}"
        self._mark = mark_of({**identity, "kind": kind, **against})
        self._held: dict[int, StoredEffects] = {}

    def of(self, feature: int) -> StoredEffects:
        """What is kept of one feature.

        Raises:
            DamagedIndexError: a file that can't be read; it may be deleted.
        """
        block = self.block(feature // BLOCK)
        start, stop = np.searchsorted(block.feature, [feature, feature + 1])
        return block.rows(np.arange(start, stop))

    def add(self, effects: StoredEffects) -> None:
        """Keep more of them: beside the index, or as long as it is open where nothing can be written there."""
        blocks = effects.feature // BLOCK
        for number in np.unique(blocks):
            whole = merged(self.block(int(number)), effects.rows(blocks == number))
            self._held[int(number)] = whole
            with suppress(IndexFileError):  # an index that may only be read, or a full disk
                self._store.write_arrays(self._name(int(number)), self._arrays(whole))

    def block(self, number: int) -> StoredEffects:
        """What is kept of the features ``BLOCK * number`` to before ``BLOCK * (number + 1)``; raises as `of` does."""
        if number not in self._held:
            self._held[number] = self._read(self._name(number))
        return self._held[number]

    def _read(self, name: str) -> StoredEffects:
        if not self._store.exists(name):
            return no_effects()
        try:
            arrays = self._store.arrays(name)
        except DamagedIndexError as error:
            raise DamagedIndexError(
                f"{name} of the index can't be read; delete it: effects are computed again when a page needs them"
            ) from error
        if not np.array_equal(arrays.pop("made_from"), self._mark):
            return no_effects()
        arrays["listed"] = arrays["listed"].astype(bool)
        return StoredEffects(**arrays)

    def _arrays(self, effects: StoredEffects) -> Arrays:
        return {**effects._asdict(), "listed": effects.listed.astype(np.uint8), "made_from": self._mark}

    def _name(self, number: int) -> str:
        return f"effects/{self._folder}/block-{number:05d}.safetensors"
