"""The corpus of an index to be read: documents, cut into pages, what fires on them, where a feature fires next.

A document begins with its first token or, in a corpus that begins with a special token (BOS), with that token where it
begins the sequence and stands right in front. The first document has what may stand before it, the last one goes on to
the end of the corpus: each token is in one document.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from sae_vis.checks import feature_ids, whole_number
from sae_vis.contract import ReaderCodes, ReaderFeature, ReaderFiring, ReaderLabels, ReaderPage, ReaderPlace
from sae_vis.corpus.labels import Labelling
from sae_vis.corpus.text import TokenText
from sae_vis.corpus.tokens import starts_with_bos
from sae_vis.errors import InputError
from sae_vis.index.index import Index
from sae_vis.views.feature import feature_summary

I64 = NDArray[np.int64]
PAGE_TOKENS = 1024
"""Tokens of a page: what fires on as many is at hand, packed and sent in some ten milliseconds, at 32 firings each."""
LONGEST_CHARACTER = 4  # bytes, so tokens at most, that a character is spread over


class Reader:
    """The documents of an index's corpus.

    Args:
        index: the index.
        text: what its token ids spell; None: as the index says, which is read when it is first needed.
        page_tokens: how many tokens a page has. A page begins up to three tokens earlier, so that a character of
            several tokens is whole; it is longer by as many at most.

    Raises:
        InputError: pages of fewer than eight tokens.
    """

    def __init__(self, index: Index, text: TokenText | None = None, *, page_tokens: int = PAGE_TOKENS) -> None:
        self._index = index
        self._page_tokens = whole_number(page_tokens, "page_tokens", 2 * LONGEST_CHARACTER)
        if text is not None:
            self._text = text

    @cached_property
    def _text(self) -> TokenText:
        return self._index.text

    @cached_property
    def _starts(self) -> I64:
        """Where each document begins, and the end of the corpus, int64 ``[n_documents + 1]``."""
        index, bos = self._index, int(self._index.tokens[0])
        starts = index.documents[:-1]
        if self._text.is_special(bos):
            earlier = starts_with_bos(index.documents, index.offsets)
            starts = np.where(index.tokens[earlier] == bos, earlier, starts)
        return np.concatenate([[0], starts[1:], [len(index.tokens)]]).astype(np.int64)

    @property
    def n_documents(self) -> int:
        """Documents of the corpus."""
        return len(self._starts) - 1

    def page(self, document: int, page: int = 0, *, pinned: Sequence[int] = ()) -> ReaderPage:
        """A page of a document with everything that fires on it.

        Args:
            document: number of the document.
            page: number of the page; negative ones count from the last.
            pinned: features whose firings are wanted, whether the index has codes by token or not.

        Raises:
            InputError: no such document, page or feature, or a feature twice.
        """
        edges = self._edges(document)
        n_pages, number = len(edges) - 1, whole_number(page, "page")
        if not -n_pages <= number < n_pages:
            raise InputError(f"page {number} does not exist: document {document} has pages 0 to {n_pages - 1}")
        number %= n_pages
        return self._page(int(document), number, edges, self._pinned(pinned))

    def _page(self, document: int, page: int, edges: I64, pinned: list[int]) -> ReaderPage:
        index = self._index
        start, stop = int(edges[page]), int(edges[page + 1])
        at = int(np.searchsorted(index.offsets, start, side="right")) - 1
        rows = index.offsets[np.searchsorted(index.offsets, start) : np.searchsorted(index.offsets, stop)]
        codes = self._codes(start, stop) if index.manifest.codes else None
        fires = [] if codes is None else [codes.features]
        return ReaderPage(
            document=document,
            n_documents=self.n_documents,
            page=page,
            n_pages=len(edges) - 1,
            start=start,
            document_start=int(edges[0]),
            document_tokens=int(edges[-1] - edges[0]),
            sequence=at,
            offset=start - int(index.offsets[at]),
            tokens=np.array(index.tokens[start:stop]),
            begins=(rows - start).astype(np.int32),
            masked=np.flatnonzero(~index.counted[start:stop]).astype(np.int32),
            labels=tuple(_labels(labelling, start, stop) for labelling in index.labellings),
            codes=codes,
            pinned=tuple(self._feature(feature, start, stop) for feature in pinned),
            firing=feature_summary(index, np.unique(np.concatenate([*fires, np.array(pinned, np.int64)]))),
        )

    def _codes(self, start: int, stop: int) -> ReaderCodes:
        codes = self._index.codes(np.arange(start, stop))
        return ReaderCodes(offsets=codes.offsets.astype(np.int32), features=codes.features, acts=codes.acts)

    def _feature(self, feature: int, start: int, stop: int) -> ReaderFeature:
        low, high = (self._index.firings_before(feature, edge) for edge in (start, stop))
        positions, acts = self._index.firings(feature, low, high)
        n_firings = int(self._index.column("n_firings")[feature])
        return ReaderFeature(
            feature=feature, n_firings=n_firings, at=(positions - start).astype(np.int32), acts=np.array(acts)
        )

    def _pinned(self, features: Sequence[int]) -> list[int]:
        found = feature_ids(features, "pinned") if len(features) else []
        for feature in found:
            self._index.require_feature(feature)
        return found

    def next_firing(self, feature: int, position: int, direction: Literal[1, -1] = 1) -> ReaderFiring | None:
        """The first firing of a feature after a corpus position, or the last one before it; round the corpus's end.

        Args:
            feature: its number.
            position: of the corpus, itself left out; -1 is before the first token, ``n_tokens`` after the last.
            direction: 1: after it; -1: before it.

        Returns:
            None where the feature never fires.

        Raises:
            InputError: no such feature, position or direction.
        """
        self._index.require_feature(feature)
        n = len(self._index.tokens)
        if not -1 <= whole_number(position, "position") <= n:
            raise InputError(f"position {position} does not exist: the corpus has positions 0 to {n - 1}")
        if direction not in (1, -1):
            raise InputError(f"direction is {direction!r}, expected 1 (the next firing) or -1 (the one before)")
        n_firings = int(self._index.column("n_firings")[feature])
        if n_firings == 0:
            return None
        passed = self._index.firings_before(feature, position + (direction == 1))
        found = passed if direction == 1 else passed - 1
        number = found % n_firings
        firing = self._index.firings(feature, number, number + 1)
        return ReaderFiring(
            feature=int(feature),
            place=self.place(int(firing.positions[0])),
            act=float(firing.acts[0]),
            number=number,
            n_firings=n_firings,
            wrapped=number != found,
        )

    def place(self, position: int) -> ReaderPlace:
        """Document and page of a corpus position.

        Raises:
            InputError: the corpus has no such position.
        """
        n = len(self._index.tokens)
        if not 0 <= whole_number(position, "position") < n:
            raise InputError(f"position {position} does not exist: the corpus has positions 0 to {n - 1}")
        document = int(np.searchsorted(self._starts, position, side="right")) - 1
        edges = self._edges(document)
        page = int(np.searchsorted(edges, position, side="right")) - 1
        return ReaderPlace(position=int(position), document=document, page=page, token=int(position - edges[page]))

    def place_in(self, sequence: int, position: int) -> ReaderPlace:
        """Document and page of a token that is named by its row of the corpus and its position there, as in examples.

        Raises:
            InputError: no such sequence, or none that long.
        """
        offsets = self._index.offsets
        if not 0 <= whole_number(sequence, "sequence") < len(offsets) - 1:
            raise InputError(f"sequence {sequence} does not exist: the corpus has sequences 0 to {len(offsets) - 2}")
        length = int(offsets[sequence + 1] - offsets[sequence])
        if not 0 <= whole_number(position, "position") < length:
            raise InputError(f"position {position} does not exist: sequence {sequence} has positions 0 to {length - 1}")
        return self.place(int(offsets[sequence]) + int(position))

    def _edges(self, document: int) -> I64:
        """Where each page of a document begins, and where the last one ends, int64 ``[n_pages + 1]``.

        Raises:
            InputError: no such document.
        """
        if not 0 <= whole_number(document, "document") < self.n_documents:
            raise InputError(
                f"document {document} does not exist: the corpus has documents 0 to {self.n_documents - 1}"
            )
        start, stop = (int(edge) for edge in self._starts[document : document + 2])
        inner = [self._whole(edge) for edge in range(start + self._page_tokens, stop, self._page_tokens)]
        return np.array([start, *inner, stop], dtype=np.int64)

    def _whole(self, edge: int) -> int:
        """The position up to three tokens before ``edge`` at which a character begins; ``edge`` where there is none."""
        for position in range(edge, edge - LONGEST_CHARACTER, -1):
            data = self._text.bytes_of(int(self._index.tokens[position]))
            if not data or not 0x80 <= data[0] < 0xC0:  # not in the midst of a character of UTF-8
                return position
        return edge


def _labels(labelling: Labelling, start: int, stop: int) -> ReaderLabels:
    first = max(int(np.searchsorted(labelling.starts, start, side="right")) - 1, 0)
    last = max(int(np.searchsorted(labelling.starts, stop)), first + 1)
    starts = np.maximum(labelling.starts[first:last] - start, 0).astype(np.int32)
    words = tuple(None if code < 0 else labelling.labels[code] for code in labelling.codes[first:last].tolist())
    return ReaderLabels(name=labelling.name, starts=starts, labels=words)
