"""Features against linear probes, and against the moves of a board game: readouts for tables and boards."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import chain

import numpy as np

from sae_vis.boards.base import BoardGame
from sae_vis.contract import F32, ProbeHead, ProbeReadout
from sae_vis.effects.logit_lens import LogitLens
from sae_vis.effects.probes import LinearProbe, Probes
from sae_vis.layout import ProbeLogitsTablesConfig
from sae_vis.views.sources import ViewSources

MOVES = "Logit effect of moves"


def probe_heads(sources: ViewSources, config: ProbeLogitsTablesConfig | None) -> tuple[ProbeHead, ...]:
    """What the readouts of `probe_readouts` are of, in the same order: a probe of planes is one for each plane."""
    if config is None:
        return ()
    heads: list[ProbeHead] = []
    game = sources.game if config.othello else None
    if game is not None and game.squares and sources.lens is not None:
        heads.append(ProbeHead(side="moves", name=MOVES, classes=_square_names(game), board=True))
    for probe in () if sources.probes is None else sources.probes.probes:
        n_planes = 0 if game is None else _planes(probe, game)
        for plane in range(n_planes):
            name = probe.name if n_planes == 1 else f"{probe.name}: {_plane_name(probe, game, plane)}"
            heads.append(ProbeHead(side=probe.side, name=name, classes=_square_names(game), board=True))
        if not n_planes:
            heads.append(ProbeHead(side=probe.side, name=probe.name, classes=probe.class_names, board=False))
    return tuple(heads)


def probe_readouts(
    sources: ViewSources, features: Sequence[int], config: ProbeLogitsTablesConfig | None
) -> list[tuple[ProbeReadout, ...]]:
    """Of each feature, one readout for each of `probe_heads`."""
    if config is None or not features:
        return [()] * len(features)
    columns: list[list[ProbeReadout]] = []
    game = sources.game if config.othello else None
    if game is not None and game.squares and sources.lens is not None:
        columns.append(_moves(sources.lens, game, features))
    for probe in () if sources.probes is None else sources.probes.probes:
        columns += _of_probe(sources.probes, probe, features, config.n_rows, game)
    return [tuple(chain.from_iterable([column[i]] for column in columns)) for i in range(len(features))]


def _of_probe(
    probes: Probes | None, probe: LinearProbe, features: Sequence[int], n_rows: int, game: BoardGame | None
) -> list[list[ProbeReadout]]:
    """One column for a table, or one for each board."""
    assert probes is not None
    values, cosines = probes.readings(probe, features)
    n_planes = 0 if game is None else _planes(probe, game)
    if not n_planes:
        return [[_ends(own, cosine, n_rows) for own, cosine in zip(values, cosines, strict=True)]]
    by_plane = [numbers.reshape(len(features), -1, n_planes) for numbers in (values, cosines)]
    return [
        [_board(own, cosine) for own, cosine in zip(*(numbers[:, :, plane] for numbers in by_plane), strict=True)]
        for plane in range(n_planes)
    ]


def _ends(values: F32, cosines: F32, n_rows: int) -> ProbeReadout:
    """The largest, then the smallest; where all classes fit, each once."""
    order = np.argsort(-values, kind="stable")
    n_top = min(n_rows, (len(order) + 1) // 2 if len(order) < 2 * n_rows else n_rows)
    n_bottom = min(n_rows, len(order) - n_top)
    classes = np.concatenate([order[:n_top], order[::-1][:n_bottom]])
    return ProbeReadout(classes=classes.astype(np.int32), n_top=n_top, values=values[classes], cosines=cosines[classes])


def _board(values: F32, cosines: F32) -> ProbeReadout:
    classes = np.arange(len(values), dtype=np.int32)
    own, cosine = (np.ascontiguousarray(numbers, dtype=np.float32) for numbers in (values, cosines))
    return ProbeReadout(classes=classes, n_top=0, values=own, cosines=cosine)


def _moves(lens: LogitLens, game: BoardGame, features: Sequence[int]) -> list[ProbeReadout]:
    tokens = np.array(sorted(game.squares), dtype=np.int32)
    squares = np.array([game.squares[int(token)] for token in tokens])
    readouts = []
    for feature in features:
        values = np.full(game.look.rows * game.look.columns, np.nan, dtype=np.float32)
        values[squares] = lens.effects_on(feature, tokens)
        readouts.append(_board(values, np.zeros(0, dtype=np.float32)))
    return readouts


def _planes(probe: LinearProbe, game: BoardGame) -> int:
    """Boards that a probe's classes fill: 1 for ``[rows, columns]`` or as many in one row, k for ``[…, k]``; else 0."""
    n_squares = game.look.rows * game.look.columns
    shape = probe.class_shape
    if shape[:2] == (game.look.rows, game.look.columns) and len(shape) <= len("rck"):
        return shape[2] if len(shape) == len("rck") else 1
    if shape[0] == n_squares and len(shape) <= len("sk"):
        return shape[1] if len(shape) == len("sk") else 1
    return 0


def _plane_name(probe: LinearProbe, game: BoardGame | None, plane: int) -> str:
    """What a plane's classes have in common, told by the last part of the first square's name."""
    n_planes = 1 if game is None else _planes(probe, game)
    return probe.class_names[plane % n_planes].rpartition(", ")[2]


def _square_names(game: BoardGame | None) -> tuple[str, ...]:
    if game is None:
        return ()
    look = game.look
    return tuple(row + column for row in look.row_names for column in look.column_names)
