"""Token streams of the training and held-out pieces, and rows cut from them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from transformers import PreTrainedTokenizerFast

from training.corpus import CorpusConfig, load_pieces

if TYPE_CHECKING:
    from training.corpus import Piece

Tokens = NDArray[np.uint16]


@dataclass(frozen=True, kw_only=True)
class Stream:
    """All pieces of one source and split, one after the other, an end-of-text token after each.

    Attributes:
        source: Name of the source.
        held_out: Which split.
        tokens: Token ids. [n_tokens]
        n_bytes: UTF-8 bytes of the text, the end-of-text tokens not counted.
    """

    source: str
    held_out: bool
    tokens: Tokens
    n_bytes: int


def load_streams(config: CorpusConfig, tokenizer: PreTrainedTokenizerFast) -> list[Stream]:
    """One stream for each source and split."""
    groups: dict[tuple[str, bool], list[Piece]] = {}
    for piece in load_pieces(config):
        groups.setdefault((piece.source, piece.held_out), []).append(piece)
    return [
        Stream(
            source=source,
            held_out=held_out,
            tokens=encode_stream([piece.text for piece in pieces], tokenizer),
            n_bytes=sum(len(piece.text.encode()) for piece in pieces),
        )
        for (source, held_out), pieces in groups.items()
    ]


def encode_stream(texts: list[str], tokenizer: PreTrainedTokenizerFast) -> Tokens:
    """Token ids of the texts, each followed by end-of-text. [n_tokens]."""
    end = tokenizer.eos_token_id
    encoded = tokenizer(texts, add_special_tokens=False)["input_ids"]
    return np.concatenate([np.array([*ids, end], dtype=np.uint16) for ids in encoded])


def cut_rows(tokens: Tokens, context: int, bos: int, offset: int = 0) -> Tokens:
    """Rows of BOS and `context - 1` tokens; the rest at the end is dropped. [n_rows, context]."""
    body = tokens[offset:]
    n_rows = len(body) // (context - 1)
    rows = body[: n_rows * (context - 1)].reshape(n_rows, context - 1)
    return np.concatenate([np.full((n_rows, 1), bos, dtype=np.uint16), rows], axis=1)


def endless_rows(streams: list[Stream], context: int, bos: int, seed: int) -> Iterator[Tokens]:
    """Rows of all training streams, shuffled; every epoch cuts at other places and shuffles again. Yields [context]."""
    rng = np.random.default_rng(seed)
    while True:
        cut = [
            cut_rows(stream.tokens, context, bos, offset=int(rng.integers(context - 1)))
            for stream in streams
            if not stream.held_out
        ]
        rows = np.concatenate(cut)
        yield from rows[rng.permutation(len(rows))]
