"""Othello on bitboards against plain loops, and what is said of illegal moves."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sae_vis.boards.base import CAPTURED, LAST, LEGAL, BoardGame, Games
from sae_vis.boards.othello import Othello, othello_vocabulary, square_name
from sae_vis.boards.othello_rules import Discs, bit, captures, initial_discs, legal_moves, play, swap_where, unpack
from sae_vis.errors import InputError
from tests.boards.slow_othello import SlowGame

TOKEN = {name: token for token, name in othello_vocabulary().items()}


def games_of(*rows: list[int]) -> Games:
    longest = max(map(len, rows))
    tokens = np.array([row + [-1] * (longest - len(row)) for row in rows], dtype=np.int64)
    return Games(tokens, np.array([len(row) for row in rows]), 10 + np.arange(len(rows)))


def random_game(choices: list[int]) -> tuple[list[int], SlowGame, list[tuple[int, int]]]:
    """Tokens, the game after them, the discs that the last move turned."""
    game, tokens, turned = SlowGame(), [], []
    for choice in choices:
        legal = game.legal(game.mover)
        if not legal:
            break
        row, column = legal[choice % len(legal)]
        turned = game.play(row, column)
        tokens.append(TOKEN[square_name(8 * row + column)])
    return tokens, game, turned


@given(st.lists(st.lists(st.integers(0, 30), min_size=1, max_size=60), min_size=1, max_size=4))
@settings(max_examples=40, deadline=None)
def test_boards_are_those_of_plain_loops(rows):
    played = [random_game(row) for row in rows]
    states = Othello().states(games_of(*(tokens for tokens, _, _ in played)))
    for i, (tokens, game, turned) in enumerate(played):
        expected = np.array(game.board).reshape(-1)
        assert states.pieces[i].tolist() == np.where(expected == 1, 1, np.where(expected == -1, 2, 0)).tolist()
        legal = {8 * r + c for r, c in game.legal(game.mover)}
        assert set(np.flatnonzero(states.marks[i] & LEGAL)) == legal
        assert set(np.flatnonzero(states.marks[i] & CAPTURED)) == {8 * r + c for r, c in turned}
        last = np.flatnonzero(states.marks[i] & LAST).tolist()
        assert [TOKEN[square_name(square)] for square in last] == tokens[-1:]
        assert states.to_move[i] == ((0 if game.mover == 1 else 1) if legal else -1)


def test_numbers_of_games_from_the_start_are_the_known_ones():
    """Perft of Othello: sequences of n moves, passes counting as moves (there are none so early)."""
    discs, found = initial_discs(1), []
    for _ in range(7):
        squares = unpack(legal_moves(discs))
        rows, moves = np.nonzero(squares)
        found.append(len(rows))
        here, move = Discs(discs.own[rows], discs.other[rows]), bit(moves)
        discs = play(here, move, captures(here, move))
    assert found == [4, 12, 56, 244, 1396, 8200, 55092]


def test_written_and_left_out_passes_are_one():
    rng = np.random.default_rng(0)
    for _ in range(400):
        tokens, passes, game = [], [], SlowGame()
        while legal := game.legal(game.mover):
            before = game.mover
            row, column = legal[rng.integers(len(legal))]
            game.play(row, column)
            tokens.append(TOKEN[square_name(8 * row + column)])
            if game.mover == before and game.legal(game.mover):
                passes.append(len(tokens))
        if passes:
            break
    assert passes
    written = np.insert(np.array(tokens), passes, TOKEN["pass"]).tolist()
    states = Othello().states(games_of(tokens, written, [*tokens, 0, 0]))
    assert np.array_equal(states.pieces[0], states.pieces[1])
    assert np.array_equal(states.pieces[0], states.pieces[2])
    assert states.to_move.tolist() == [-1, -1, -1]


def test_order_and_company_change_nothing():
    rows = [random_game(np.random.default_rng(seed).integers(0, 20, 5 + 7 * seed).tolist())[0] for seed in range(6)]
    together = Othello().states(games_of(*rows))
    for i, row in enumerate(rows):
        alone = Othello().states(games_of(row))
        assert all(np.array_equal(a[i], b[0]) for a, b in zip(together, alone, strict=True))


@pytest.mark.parametrize(
    ("moves", "said"),
    [
        (
            ["A0"],
            r"sequence 10, position 0: 'A0' is not a legal move for Black; legal are C3, D2, E5, F4\. Boards need",
        ),
        (["F4", "F4"], "sequence 10, position 1: 'F4' is not a legal move for White; legal are D5, F3, F5\\."),
        (["F4", "pass"], "sequence 10, position 1: 'pass' is not a legal move for White"),
    ],
)
def test_illegal_moves_are_named(moves, said):
    with pytest.raises(InputError, match=said):
        Othello().states(games_of([TOKEN[move] for move in moves]))


def test_tokens_that_are_no_moves_are_named():
    game = Othello({**othello_vocabulary(), 61: "<eos>"})
    for token, name in ((61, "'<eos>'"), (99, "'token 99'")):
        with pytest.raises(InputError, match=f"sequence 10, position 0: {name} names no square and is not a pass"):
            game.states(games_of([token]))
    with pytest.raises(InputError, match="no token of the vocabulary names a square"):
        Othello({0: "the", 1: " cat"})


def test_is_a_board_game_with_the_papers_vocabulary():
    game = Othello()
    assert isinstance(game, BoardGame)
    assert len(othello_vocabulary()) == 61
    assert game.squares[1] == 0
    assert game.squares[27] == 26
    assert game.squares[28] == 29
    assert Othello({5: " h7 "}).squares == {5: 63}


def test_swapping_is_its_own_inverse():
    discs = initial_discs(3)
    some = np.array([True, False, True])
    again = swap_where(swap_where(discs, some), some)
    assert all(np.array_equal(a, b) for a, b in zip(discs, again, strict=True))
