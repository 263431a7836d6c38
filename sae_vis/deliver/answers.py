"""Records of the contract by themselves, as a server answers with them: each with the text of the tokens it names.

An answer is the contract's digest, a `TokenTable` and one record, deflated (raw RFC 1951). It is what a block of a page
is, but that it needs no head: whoever reads it keeps the tokens' text beside that of the answers before.
"""

from __future__ import annotations

import numpy as np

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
    out = BlockWriter()
    out.ints([digest()])
    index = TokenIndex(token_arrays(record, value))
    ids = [int(token) for token in index.ids]
    text = text or TokenText.labels()
    special = tuple(token for token in ids if text.is_special(token))
    encode(out, TokenTable, token_table(np.array(ids, np.int64), {one: text.bytes_of(one) for one in ids}, special))
    encode(out, record, value, index)
    return out.deflated(level=level)
