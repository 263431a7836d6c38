"""Linear probes and boards of games."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal

from sae_vis.contract.annotations import F32, I32, U8, Array


@dataclass(frozen=True, kw_only=True)
class ProbeHead:
    """A linear probe, or the logit effects of a game's moves, without numbers of any feature.

    Attributes:
        side: what a feature is compared by: ``input``: its encoder direction; ``output``: its decoder direction in the
            residual stream; ``moves``: no probe, but its logit effect on each move of the game.
        name: the probe's.
        classes: name of each class.
        board: whether the classes are the squares of the page's board, row by row.
    """

    side: Literal["input", "output", "moves"]
    name: str
    classes: tuple[str, ...]
    board: bool


@dataclass(frozen=True, kw_only=True)
class ProbeReadout:
    """One feature against one probe.

    Attributes:
        classes: which classes are told: for a board all; else the largest dot products, descending, then
            the smallest, ascending.
        n_top: how many of them are the largest; 0 for a board.
        values: dot product of the feature's direction with the class's, NaN for a square without one.
        cosines: cosine of the two directions; empty for logit effects.
    """

    classes: Annotated[I32, Array("n_classes")]
    n_top: int
    values: Annotated[F32, Array("n_classes")]
    cosines: Annotated[F32, Array("n_cosines")]


@dataclass(frozen=True, kw_only=True)
class Boards:
    """Boards of a group's examples, at their tokens in focus. Example ``i`` owns squares ``i * n`` to ``(i + 1) * n``.

    Attributes:
        pieces: 0 for an empty square, else 1 + number of the piece.
        marks: 1 last move, 2 captured by it, 4 legal next move, added up.
        to_move: number of the player to move, -1 where the game is over.
    """

    pieces: Annotated[U8, Array("n_squares")]
    marks: Annotated[U8, Array("n_squares")]
    to_move: Annotated[I32, Array("n_boards")]


@dataclass(frozen=True, kw_only=True)
class Piece:
    """A kind of piece.

    Attributes:
        name: what it is called.
        look: how it is drawn: a dark or a light disc, or a text.
        text: the text, such as a chess symbol.
    """

    name: str
    look: Literal["dark", "light", "text"]
    text: str = ""


@dataclass(frozen=True, kw_only=True)
class BoardLook:
    """What a game's boards look like.

    Attributes:
        game: the game's name.
        rows: rows of squares.
        columns: columns of squares.
        row_names: name of each row, from the top.
        column_names: name of each column, from the left.
        pieces: kinds of pieces; number ``i + 1`` in a board's state is ``pieces[i]``.
        players: who can be to move.
        grid: whether pieces stand in squares or, as in Go, on crossings of lines.
    """

    game: str
    rows: int
    columns: int
    row_names: tuple[str, ...]
    column_names: tuple[str, ...]
    pieces: tuple[Piece, ...]
    players: tuple[str, ...]
    grid: Literal["squares", "crossings"] = "squares"
