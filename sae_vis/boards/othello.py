"""Othello: tokens of moves to boards, for many games at once."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from sae_vis.boards.base import CAPTURED, LAST, LEGAL, BoardStates, Games
from sae_vis.boards.othello_rules import (
    Discs,
    Squares,
    bit,
    captures,
    initial_discs,
    legal_moves,
    play,
    swap_where,
    unpack,
)
from sae_vis.contract import BoardLook, Piece
from sae_vis.errors import InputError

SIDE = 8
N_SQUARES = SIDE * SIDE
MIDDLE = (27, 28, 35, 36)
PASS, UNKNOWN = -1, -2

LOOK = BoardLook(
    game="Othello",
    rows=SIDE,
    columns=SIDE,
    row_names=tuple("ABCDEFGH"),
    column_names=tuple("01234567"),
    pieces=(Piece(name="black disc", look="dark"), Piece(name="white disc", look="light")),
    players=("Black", "White"),
)


def square_name(square: int) -> str:
    """Name of a square, ``8 * row + column``, as in the Othello-GPT papers: ``A0`` (top left) to ``H7``."""
    return LOOK.row_names[square // SIDE] + LOOK.column_names[square % SIDE]


def othello_vocabulary() -> dict[int, str]:
    """The 61 tokens of Othello-GPT: ``pass`` (0), then all squares but the four in the middle, row by row."""
    played = [square_name(square) for square in range(N_SQUARES) if square not in MIDDLE]
    return dict(enumerate(["pass", *played]))


class Othello:
    """Othello as a `BoardGame`.

    Black moves first; passes may be written as a token or left out, as in the Othello-GPT data, where the other player
    simply moves again. A pass after the end of a game changes nothing.

    Args:
        vocabulary: name of each token: a square, ``A0`` to ``H7``, or anything else with ``pass`` in it for a pass.
            None: `othello_vocabulary`.

    Raises:
        InputError: a vocabulary without a single square.
    """

    def __init__(self, vocabulary: Mapping[int, str] | None = None) -> None:
        vocabulary = othello_vocabulary() if vocabulary is None else vocabulary
        names = {square_name(square): square for square in range(N_SQUARES)}
        texts = {token: text.strip().upper() for token, text in vocabulary.items()}
        self.squares: Mapping[int, int] = {token: names[text] for token, text in texts.items() if text in names}
        self.look = LOOK
        if not self.squares:
            some = ", ".join(repr(text) for text in list(vocabulary.values())[:5])
            raise InputError(
                f"no token of the vocabulary names a square of the board ({some}, …): Othello boards need a model "
                "whose tokens are moves named A0 to H7; give vocab_dict=, such as othello_vocabulary()"
            )
        self._names = dict(vocabulary)
        self._place = np.full(max(texts) + 2, UNKNOWN, dtype=np.int64)  # of each token; the last one is for all others
        for token, text in texts.items():
            self._place[token] = self.squares.get(token, PASS if "PASS" in text else UNKNOWN)

    def states(self, games: Games) -> BoardStates:
        """The board after the last token of each game.

        Args:
            games: the moves of each game.

        Returns:
            A board for each game.

        Raises:
            InputError: an illegal move; names sequence, position and move.
        """
        tokens, lengths = games.tokens, games.lengths
        places = self._place[np.where((tokens >= 0) & (tokens < len(self._place) - 1), tokens, -1)]
        at = _Board(initial_discs(len(tokens)), np.zeros(len(tokens), dtype=np.int32))
        last, turned = np.zeros_like(at.discs.own), np.zeros_like(at.discs.own)
        for ply in range(tokens.shape[1]):
            on = lengths > ply
            legal, at = _turn(at, on & (places[:, ply] >= 0))
            move = np.where(on, bit(places[:, ply]), np.uint64(0))
            self._check(games, ply, on, places[:, ply], legal, at.mover)
            captured = captures(at.discs, move)
            after = play(at.discs, move, captured)
            moved = move != 0
            passes = on & (places[:, ply] == PASS) & (legal == 0)
            at = _Board(
                Discs(*(np.where(moved, new, old) for new, old in zip(after, at.discs, strict=True))),
                np.where(moved, 1 - at.mover, at.mover).astype(np.int32),
            )
            at = at.swapped(passes & (legal_moves(swap_where(at.discs, passes)) != 0))
            last, turned = np.where(on, move, last), np.where(on, captured, turned)
        return _states(at, last, turned)

    def _check(
        self,
        games: Games,
        ply: int,
        on: NDArray[np.bool_],
        places: NDArray[np.int64],
        legal: Squares,
        mover: NDArray[np.int32],
    ) -> None:
        """Raises for the first game whose move is not legal."""
        ok = np.where(places >= 0, (bit(places) & legal) != 0, (places == PASS) & (legal == 0))
        wrong = np.flatnonzero(on & ~ok)
        if not len(wrong):
            return
        row = wrong[0]
        token = int(games.tokens[row, ply])
        name = self._names.get(token, f"token {token}")
        can = [square_name(int(square)) for square in np.flatnonzero(unpack(legal[row]))]
        player = LOOK.players[mover[row]]
        said = "names no square and is not a pass" if places[row] == UNKNOWN else f"is not a legal move for {player}"
        raise InputError(
            f"sequence {games.sequence[row]}, position {ply}: {name!r} {said}; legal are {', '.join(can) or 'none'}. "
            "Boards need sequences that are legal games of Othello from their first move on"
        )


class _Board(NamedTuple):
    """Positions, and the number of the player to move in each."""

    discs: Discs
    mover: NDArray[np.int32]

    def swapped(self, condition: NDArray[np.bool_]) -> _Board:
        """The other player to move, where the condition holds."""
        mover = np.where(condition, 1 - self.mover, self.mover).astype(np.int32)
        return _Board(swap_where(self.discs, condition), mover)


def _turn(at: _Board, moves: NDArray[np.bool_]) -> tuple[Squares, _Board]:
    """Legal moves; where the player to move has none and a move follows, it is the other player's."""
    legal = legal_moves(at.discs)
    stuck = moves & (legal == 0)
    if stuck.any():
        at = at.swapped(stuck)
        legal = np.where(stuck, legal_moves(at.discs), legal)
    return legal, at


def _states(at: _Board, last: Squares, turned: Squares) -> BoardStates:
    """The player without a legal move passes, whether the pass was written or not."""
    legal, at = _turn(at, np.ones(len(at.mover), dtype=bool))
    own, other = unpack(at.discs.own), unpack(at.discs.other)
    mover = at.mover[:, None]
    pieces = own * (1 + mover) + other * (2 - mover)
    marks = unpack(last) * LAST + unpack(turned) * CAPTURED + unpack(legal) * LEGAL
    to_move = np.where(legal == 0, -1, at.mover)
    return BoardStates(pieces.astype(np.uint8), marks.astype(np.uint8), to_move.astype(np.int32))
