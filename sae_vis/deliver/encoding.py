"""The blocks of a page: what is in each of them. How a block is written, by the contract's annotations, is in `codec`.

========== ==========================================================================================================
``head``   the contract's digest (`digest`), a `TokenTable`, a `PageHead`; not deflated
``fN``     the `FeatureView` of feature N, so that a reader opens a feature without touching the others
``cN``     data that component N of the user's own shares over all features (`sae_vis.deliver.named`)
``prompt`` a `PromptPart`, of a prompt-centric page
========== ==========================================================================================================

A page that compares two dictionaries has all of these again, the names with ``b`` before them, for the second one; and
``compare``, an `Overview`, and ``pN``, the `Compared` of feature N of the first. Token ids are places in the token
table of the head they belong to, those of ``compare`` and ``pN`` in the first one's.
"""

from __future__ import annotations

import json
import zlib
from collections.abc import Iterable, Mapping
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sae_vis.contract import (
    Compared,
    ComparisonHead,
    ComponentData,
    DecoderMap,
    EveryLayer,
    ExplainedWords,
    ExplorerHead,
    FeaturePage,
    FeatureView,
    MeasuredEffects,
    Notes,
    NumberColumn,
    Overview,
    PageHead,
    PromptPart,
    ReaderFiring,
    ReaderPage,
    ReaderPlace,
    RowTexts,
    SearchAnswer,
    SiteHead,
    TokenLogits,
    TokenTable,
    TriedText,
    WholeColumn,
    WordFeatures,
    WordList,
)
from sae_vis.contract.schema import Record, below, record_of, told
from sae_vis.contract.tokens import page_token_arrays
from sae_vis.deliver.blocks import BlockWriter
from sae_vis.deliver.codec import encode
from sae_vis.deliver.named import encode_named
from sae_vis.errors import InputError

BLOCKS = (
    TokenTable,
    PageHead,
    FeatureView,
    PromptPart,
    Overview,
    Compared,
    ExplorerHead,
    NumberColumn,
    WholeColumn,
    RowTexts,
    SearchAnswer,
    TriedText,
    MeasuredEffects,
    ComparisonHead,
    EveryLayer,
    Notes,
    SiteHead,
    TokenLogits,
    ExplainedWords,
    WordList,
    WordFeatures,
    ReaderPage,
    ReaderPlace,
    ReaderFiring,
    DecoderMap,
)
"""The records that blocks are made of."""


@cache
def records() -> tuple[Record, ...]:
    """Every record that travels, those that others are made of first."""
    return tuple({record.name: record for block in BLOCKS for record in below(record_of(block))}.values())


@cache
def table() -> dict[str, list[list[Any]]]:
    """Every record that travels, by name: pairs of field and kind, as the page's decoder reads them."""
    return {record.name: [[field, told(kind)] for field, kind in record.fields] for record in records()}


@cache
def digest() -> int:
    """A number that differs where the table does: a page and its reader are always written together."""
    return zlib.crc32(json.dumps(table(), separators=(",", ":")).encode())


class TokenIndex:
    """Token ids as indices into a table of their text, the most frequent token first.

    Args:
        arrays: all ids that are to be written; -1 stands for none.
    """

    def __init__(self, arrays: Iterable[NDArray[np.integer[Any]]]) -> None:
        used = np.concatenate([np.empty(0, dtype=np.int64), *arrays])
        ids, counts = np.unique(used[used >= 0], return_counts=True)
        order = np.lexsort((ids, -counts))
        self.ids = ids[order]
        """int64 ``[n_tokens]`` token id of each index."""
        self._sorted = ids
        self._rank = np.argsort(order)

    @classmethod
    def of_page(cls, page: FeaturePage) -> TokenIndex:
        """Of the ids that a page shows.

        Raises:
            InputError: a view holds a token id whose bytes are not in ``page.token_bytes``.
        """
        index = cls(page_token_arrays(page))
        missing = [int(i) for i in index.ids if int(i) not in page.token_bytes]
        if missing:
            raise InputError(
                f"the page shows {len(missing)} token ids without bytes in token_bytes, such as {min(missing)}"
            )
        return index

    def __call__(self, tokens: NDArray[np.integer[Any]]) -> NDArray[np.int64]:
        """The index of each token id; -1 for -1."""
        if len(self._sorted) == 0:
            return np.full(len(tokens), -1, dtype=np.int64)
        found = np.searchsorted(self._sorted, tokens).clip(0, len(self._sorted) - 1)
        return np.where(np.asarray(tokens) < 0, -1, self._rank[found]).astype(np.int64)


def encode_head(page: FeaturePage, index: TokenIndex) -> str:
    """Everything of a page but its features."""
    out = BlockWriter()
    out.ints([digest()])
    encode(out, TokenTable, token_table(index.ids, page.token_bytes, page.special))
    head = PageHead(
        meta=page.meta,
        layout=page.layout,
        summary=page.summary,
        prompt=page.prompt is not None,
        compare=page.compare is not None,
        modules=tuple(module.type for module in page.modules),
        labellings=page.labellings,
        label_ranks=page.label_ranks,
        board=page.board,
        probes=page.probes,
    )
    encode(out, PageHead, head, index)
    return out.finish(level=0)  # it stands before the first picture: inflating costs more there than reading


def token_table(ids: NDArray[np.int64], token_bytes: Mapping[int, bytes], special: tuple[int, ...]) -> TokenTable:
    """The text of tokens.

    Args:
        ids: int64 ``[n_tokens]`` in the order of the table.
        token_bytes: the bytes of each of them, at least.
        special: ids of special tokens.
    """
    texts = [token_bytes[int(i)] for i in ids]
    return TokenTable(
        ids=ids.astype(np.int32),
        lengths=np.array([len(text) for text in texts], dtype=np.int32),
        text=np.frombuffer(b"".join(texts), dtype=np.uint8),
        special=np.flatnonzero(np.isin(ids, np.array(special, dtype=np.int64))).astype(np.int32),
    )


def encode_feature(view: FeatureView, index: TokenIndex) -> str:
    """One feature.

    Raises:
        InputError: the view's arrays contradict each other; names the feature.
    """
    return _block(FeatureView, view, index, f"feature {view.feature}")


def encode_prompt(part: PromptPart, index: TokenIndex) -> str:
    """What makes a page prompt-centric.

    Raises:
        InputError: arrays that contradict each other.
    """
    return _block(PromptPart, part, index, "prompt")


def encode_overview(part: Overview, index: TokenIndex) -> str:
    """What is known of all features of two dictionaries.

    Raises:
        InputError: arrays that contradict each other.
    """
    return _block(Overview, part, index, "two dictionaries")


def encode_compared(one: Compared, index: TokenIndex) -> str:
    """One feature of A and its pairs.

    Raises:
        InputError: arrays that contradict each other; names the feature.
    """
    rows = len(one.table.index)
    if len(one.pairs) != rows:
        raise InputError(f"feature {one.feature}: pairs has {len(one.pairs)} entries for a table of {rows} rows")
    return _block(Compared, one, index, f"feature {one.feature}")


def encode_shared(component: str, data: ComponentData) -> str:
    """Data of a user's own component that all features of a page share, as a block."""
    out = BlockWriter()
    encode_named(out, component, data)
    return out.finish()


def _block(record: type, value: object, index: TokenIndex, what: str) -> str:
    out = BlockWriter()
    try:
        encode(out, record, value, index)
    except InputError as error:
        raise InputError(f"{what}: {error}") from error
    return out.finish()
