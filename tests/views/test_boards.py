"""Boards and probes of a page, from the tokens of an index: against games played by hand and plain products."""

from __future__ import annotations

from typing import ClassVar

import numpy as np
import pytest
import torch

from sae_vis.api import ComputeSettings, index_activations, save_feature_page
from sae_vis.boards.base import LAST, LEGAL, BoardStates, Games
from sae_vis.boards.othello import othello_vocabulary, square_name
from sae_vis.contract import BoardLook, Piece
from sae_vis.corpus.mask import MaskConfig
from sae_vis.corpus.text import TokenText
from sae_vis.effects.probes import LinearProbe, Readings
from sae_vis.errors import InputError
from sae_vis.layout import Column, ProbeLogitsTablesConfig, SaeVisLayoutConfig, SeqMultiGroupConfig
from sae_vis.views.probes import probe_heads, probe_readouts
from sae_vis.views.sources import ViewSources
from tests.boards.slow_othello import SlowGame
from tests.fixtures.page_decoder import read_page

N_GAMES, SEQ_LEN, N_FEATURES = 6, 30, 3
TOKEN = {name: token for token, name in othello_vocabulary().items()}
BOARDS = SaeVisLayoutConfig([Column(SeqMultiGroupConfig(othello=True, buffer=(2, 1), n_quantiles=2))])


def games() -> torch.Tensor:
    """Random games ``[N_GAMES, SEQ_LEN]``."""
    rng, rows = np.random.default_rng(0), []
    for _ in range(N_GAMES):
        game, tokens = SlowGame(), []
        for _ in range(SEQ_LEN):
            legal = game.legal(game.mover)
            row, column = legal[rng.integers(len(legal))]
            game.play(row, column)
            tokens.append(TOKEN[square_name(8 * row + column)])
        rows.append(tokens)
    return torch.tensor(rows)


def index_of(tokens: torch.Tensor, text: TokenText | None = None):
    generator = torch.Generator().manual_seed(1)
    acts = torch.relu(torch.randn(*tokens.shape, N_FEATURES, generator=generator))
    text = text or TokenText.from_vocab(othello_vocabulary())
    return index_activations(tokens, acts, text=text, mask=MaskConfig(seqpos_slice=(3, -2)))


def test_every_example_has_the_board_at_its_token_in_focus(tmp_path):
    tokens = games()
    index = index_of(tokens)
    save_feature_page(index, tmp_path / "a.html", features=None, layout=BOARDS)
    head, views = read_page((tmp_path / "a.html").read_text(encoding="utf-8"))
    assert (head["board"]["rows"], head["board"]["columns"]) == (8, 8)
    n = 0
    for view in views.values():
        every = [group.contexts for group in view.sequences]
        at = [(int(s), int(p)) for c in every for s, p in zip(c.sequence, c.start + c.focus, strict=True)]
        assert len(view.boards.to_move) == len(at)
        for i, (sequence, position) in enumerate(at):
            game = SlowGame()
            for token in tokens[sequence, : position + 1].tolist():
                square = [*TOKEN].index(othello_vocabulary()[token])
                name = [*TOKEN][square]
                game.play("ABCDEFGH".index(name[0]), int(name[1]))
            board = np.array(game.board).reshape(-1)
            assert view.boards.pieces[64 * i : 64 * i + 64].tolist() == np.where(board < 0, 2, board).tolist()
            last = othello_vocabulary()[int(tokens[sequence, position])]
            marks = view.boards.marks[64 * i : 64 * i + 64]
            assert [square_name(int(s)) for s in np.flatnonzero(marks & LAST)] == [last]
            assert set(np.flatnonzero(marks & LEGAL)) == {8 * r + c for r, c in game.legal(game.mover)}
            n += 1
    assert n > 40


def test_an_illegal_move_is_named_with_sequence_and_position(tmp_path):
    tokens = games()
    tokens[4, 3] = tokens[4, 0]
    again = othello_vocabulary()[int(tokens[4, 0])]
    said = f"sequence 4, position 3: '{again}' is not a legal move for White; legal are .*Boards need sequences"
    with pytest.raises(InputError, match=said):
        save_feature_page(index_of(tokens), tmp_path / "a.html", features=None, layout=BOARDS)


def test_tokens_that_are_no_moves_are_refused(tmp_path):
    index = index_of(games(), TokenText.from_vocab({i: f" word{i}" for i in range(61)}))
    with pytest.raises(InputError, match="no token of the vocabulary names a square"):
        save_feature_page(index, tmp_path / "a.html", features=None, layout=BOARDS)


class Counter:
    """A game of one row: the number of moves so far, modulo four."""

    look = BoardLook(
        game="Counter",
        rows=1,
        columns=4,
        row_names=("",),
        column_names=("0", "1", "2", "3"),
        pieces=(Piece(name="here", look="text", text="x"),),
        players=("nobody",),
        grid="crossings",
    )
    squares: ClassVar[dict[int, int]] = {}

    def states(self, games: Games) -> BoardStates:
        pieces = np.eye(4, dtype=np.uint8)[games.lengths % 4]
        assert (games.tokens >= 0).sum() == games.lengths.sum()
        return BoardStates(pieces, np.zeros_like(pieces), np.zeros(len(pieces), dtype=np.int32))


def test_a_game_of_ones_own(tmp_path):
    tokens = torch.randint(0, 9, (4, 12), generator=torch.Generator().manual_seed(0))
    index = index_of(tokens, TokenText.labels())
    save_feature_page(index, tmp_path / "a.html", features=None, layout=BOARDS, compute=ComputeSettings(game=Counter()))
    head, views = read_page((tmp_path / "a.html").read_text(encoding="utf-8"))
    assert head["board"]["game"] == "Counter"
    for view in views.values():
        contexts = [group.contexts for group in view.sequences]
        places = np.concatenate([c.start + c.focus for c in contexts])
        assert view.boards.pieces.reshape(-1, 4).argmax(1).tolist() == ((places + 1) % 4).tolist()


class FakeProbes:
    """Readings that are what they are: value ``100 * feature + class``."""

    def __init__(self, *probes: LinearProbe) -> None:
        self.probes = probes

    def readings(self, probe, features):
        n = int(np.prod(probe.class_shape))
        values = (100 * np.array(features)[:, None] + np.arange(n)).astype(np.float32)
        return Readings(values, values / 1000)


def probe(*shape: int, classes=None) -> LinearProbe:
    return LinearProbe("input", "p", torch.ones(3, *shape), classes)


def readouts(config, *probes):
    index = index_of(games())
    sources = ViewSources(index=index, text=index.text, probes=FakeProbes(*probes), game=None)
    if config.othello:
        from sae_vis.boards.othello import Othello

        sources = ViewSources(index=index, text=index.text, probes=FakeProbes(*probes), game=Othello())
    return probe_heads(sources, config), probe_readouts(sources, [1, 2], config)


@pytest.mark.parametrize(("n_rows", "expected"), [(2, [4, 3, 0, 1]), (3, [4, 3, 2, 0, 1]), (9, [4, 3, 2, 0, 1])])
def test_tables_have_the_largest_and_smallest_each_once(n_rows, expected):
    heads, found = readouts(ProbeLogitsTablesConfig(n_rows=n_rows), probe(5))
    assert [head.board for head in heads] == [False]
    assert heads[0].classes == ("0", "1", "2", "3", "4")
    assert found[1][0].classes.tolist() == expected
    assert found[1][0].n_top == (2 if n_rows == 2 else 3)
    assert found[1][0].values.tolist() == [200 + c for c in expected]


@pytest.mark.parametrize("shape", [(8, 8), (64,), (8, 8, 2), (64, 2)])
def test_probes_of_squares_are_boards(shape):
    n_planes = 2 if shape[-1] == 2 else 1
    names = tuple(f"{s}, {k}" for s in range(64) for k in "ab"[:n_planes])
    heads, found = readouts(ProbeLogitsTablesConfig(othello=True), probe(*shape, classes=names))
    assert [head.name for head in heads] == (["p"] if n_planes == 1 else ["p: a", "p: b"])
    assert all(head.board and head.classes[9] == "B1" for head in heads)
    for plane, readout in enumerate(found[0]):
        assert readout.values.tolist() == [100 + n_planes * square + plane for square in range(64)]


def test_probes_of_something_else_stay_tables():
    heads, found = readouts(ProbeLogitsTablesConfig(othello=True, n_rows=1), probe(60), probe(64))
    assert [head.board for head in heads] == [False, True]
    assert found[0][0].classes.tolist() == [59, 0]
