"""Boards of the examples that a page shows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from sae_vis.boards.base import BoardGame, BoardStates, Games
from sae_vis.contract import Boards, FeatureView
from sae_vis.index.index import Index

BLOCK_GAMES = 16_384  # replayed together


def with_boards(index: Index, game: BoardGame, views: Sequence[FeatureView]) -> tuple[FeatureView, ...]:
    """The same views with a board for each example, at its token in focus; every place is replayed once.

    Raises:
        InputError: an illegal move; names sequence, position and move.
    """
    wanted = [_positions(index, view) for view in views]
    positions = np.unique(np.concatenate([np.zeros(0, dtype=np.int64), *wanted]))
    states = _states(index, game, positions)
    return tuple(
        replace(view, boards=_boards(states, np.searchsorted(positions, own))) if len(own) else view
        for view, own in zip(views, wanted, strict=True)
    )


def _positions(index: Index, view: FeatureView) -> NDArray[np.int64]:
    """Corpus position of the token in focus of every example, group by group."""
    contexts = [group.contexts for group in view.sequences]
    parts = [index.offsets[c.sequence] + c.start + c.focus for c in contexts]
    return np.concatenate([np.zeros(0, dtype=np.int64), *parts]).astype(np.int64)


def _states(index: Index, game: BoardGame, positions: NDArray[np.int64]) -> BoardStates:
    sequence, place = index.place(positions)
    parts = []
    for first in range(0, max(len(positions), 1), BLOCK_GAMES):
        rows, lengths = sequence[first : first + BLOCK_GAMES], place[first : first + BLOCK_GAMES] + 1
        steps = np.arange(lengths.max(initial=0))
        at = index.offsets[rows][:, None] + np.minimum(steps, lengths[:, None] - 1)
        tokens = np.where(steps < lengths[:, None], np.asarray(index.tokens)[at], -1)
        parts.append(game.states(Games(tokens.astype(np.int64), lengths.astype(np.int64), rows.astype(np.int64))))
    return BoardStates(*(np.concatenate(columns) for columns in zip(*parts, strict=True)))


def _boards(states: BoardStates, rows: NDArray[np.int64]) -> Boards:
    return Boards(
        pieces=states.pieces[rows].reshape(-1).astype(np.uint8),
        marks=states.marks[rows].reshape(-1).astype(np.uint8),
        to_move=states.to_move[rows].astype(np.int32),
    )
