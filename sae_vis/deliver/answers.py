"""Records of the contract by themselves, as a server answers with them: each with the text of the tokens it names.

An answer is the contract's digest, a `TokenTable` and one record, deflated (raw RFC 1951). It is what a block of a page
is, but that it needs no head: whoever reads it keeps the tokens' text beside that of the answers before.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import chain

import numpy as np
from numpy.typing import NDArray

from sae_vis.contract import TokenTable
from sae_vis.contract.tokens import token_arrays
from sae_vis.corpus.text import TokenText
from sae_vis.deliver.blocks import BlockWriter
from sae_vis.deliver.codec import encode
from sae_vis.deliver.encoding import TokenIndex, digest, token_table

QUICK = 1
"""How hard answers are deflated: they are made to be read once, mostly on the same machine."""


def answer(record: type, value: object, text: TokenText | None = None, *, level: int = QUICK) -> bytes:
    """One record and the text of its tokens.

    Args:
        record: its dataclass.
        value: it.
        text: what token ids spell; None where the record holds none.
        level: of deflating, 0 to 9.

    Raises:
        InputError: arrays that contradict each other, or data that can't travel; names the field.
    """
    out, index = _begun(token_arrays(record, value), text)
    encode(out, record, value, index)
    return out.deflated(level=level)


def pack(record: type, values: Sequence[object], text: TokenText, *, level: int) -> bytes:
    """Records that are read one by one, with one table of all their tokens: parts, each behind its length (`framed`).

    The first part is the contract's digest and the `TokenTable`, each of the others a record, deflated by itself.

    Args:
        record: their dataclass.
        values: they.
        text: what token ids spell.
        level: of deflating, 0 to 9.

    Raises:
        InputError: as `answer`.
    """
    head, index = _begun(chain.from_iterable(token_arrays(record, value) for value in values), text)
    parts = [head]
    for value in values:
        parts.append(BlockWriter())
        encode(parts[-1], record, value, index)
    return b"".join(framed(part.deflated(level=level)) for part in parts)


def framed(part: bytes) -> bytes:
    """A part behind its length: four bytes, the lowest first."""
    return len(part).to_bytes(4, "little") + part


def _begun(arrays: Iterable[NDArray[np.int32]], text: TokenText | None) -> tuple[BlockWriter, TokenIndex]:
    """A block with the digest and the text of some tokens, and their places in it."""
    out = BlockWriter()
    out.ints([digest()])
    index = TokenIndex(arrays)
    ids = [int(token) for token in index.ids]
    text = text or TokenText.labels()
    special = tuple(token for token in ids if text.is_special(token))
    encode(out, TokenTable, token_table(np.array(ids, np.int64), {one: text.bytes_of(one) for one in ids}, special))
    return out, index
