"""What a board game is to us: moves in, pictures of boards out."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, NamedTuple, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from sae_vis.contract import BoardLook, Piece  # noqa: F401  what games describe themselves by

LAST: Final = 1
"""Bit of `BoardStates.marks`: a square of the last move."""
CAPTURED: Final = 2
"""Bit of `BoardStates.marks`: what stood here was captured or turned by the last move."""
LEGAL: Final = 4
"""Bit of `BoardStates.marks`: a legal next move."""


class Games(NamedTuple):
    """Beginnings of n sequences of tokens, each up to the position whose board is wanted.

    Attributes:
        tokens: int64 ``[n, longest]`` token ids, -1 behind the end of shorter ones.
        lengths: int64 ``[n]`` tokens of each, at least 1.
        sequence: int64 ``[n]`` row of the corpus, to be named in errors.
    """

    tokens: NDArray[np.int64]
    lengths: NDArray[np.int64]
    sequence: NDArray[np.int64]


class BoardStates(NamedTuple):
    """n boards, squares row by row from the top left.

    Attributes:
        pieces: uint8 ``[n, rows * columns]``: 0 for an empty square, else 1 + number of the piece.
        marks: uint8 ``[n, rows * columns]``: `LAST`, `CAPTURED` and `LEGAL`, added up.
        to_move: int32 ``[n]``: number of the player to move, -1 where the game is over.
    """

    pieces: NDArray[np.uint8]
    marks: NDArray[np.uint8]
    to_move: NDArray[np.int32]


@runtime_checkable
class BoardGame(Protocol):
    """A game whose moves are tokens. Anything with these three will do."""

    @property
    def look(self) -> BoardLook:
        """What its boards look like."""
        ...

    @property
    def squares(self) -> Mapping[int, int]:
        """The square, ``columns * row + column``, of each token that is a move to one square; others are left out.

        Logit effects on these tokens can be drawn as a board. Empty where moves are not squares.
        """
        ...

    def states(self, games: Games) -> BoardStates:
        """The board after the last token of each game.

        Args:
            games: the moves of each game.

        Returns:
            A board for each game.

        Raises:
            InputError: an illegal move; names sequence, position and move.
        """
        ...
