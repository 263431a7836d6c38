"""The corpus itself, document by document and page by page, with what fires on it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from sae_vis.contract.annotations import F32, I32, Array
from sae_vis.contract.summary import FeatureSummary


@dataclass(frozen=True, kw_only=True)
class ReaderLabels:
    """The labels of a page's tokens by one labelling of the corpus, span by span.

    Attributes:
        name: of the labelling.
        starts: token of the page with which each span begins, ascending, the first of them 0.
        labels: of each span; None: it has none.
    """

    name: str
    starts: Annotated[I32, Array("n_spans", "gaps")]
    labels: tuple[str | None, ...]


@dataclass(frozen=True, kw_only=True)
class ReaderCodes:
    """Every feature that fires on a page, token by token; token ``i`` owns entries ``offsets[i]:offsets[i + 1]``.

    Attributes:
        features: ids, ascending within a token.
        acts: how strongly each fires there. Masked tokens have no entries.
    """

    offsets: Annotated[I32, Array("n_tokens + 1", "offsets", ends_at="n_codes")]
    features: Annotated[I32, Array("n_codes", "delta")]
    acts: Annotated[F32, Array("n_codes", unit="activation")]


@dataclass(frozen=True, kw_only=True)
class ReaderFeature:
    """One feature on a page, from its firings in the whole corpus.

    Attributes:
        feature: id.
        n_firings: in the whole corpus.
        at: tokens of the page on which it fires, ascending.
        acts: how strongly.
    """

    feature: int
    n_firings: int
    at: Annotated[I32, Array("n_here", "gaps")]
    acts: Annotated[F32, Array("n_here", unit="activation")]


@dataclass(frozen=True, kw_only=True)
class ReaderPage:
    """A page of a document: its tokens in the order of the corpus, and what fires on them.

    A document of more tokens than a page has is cut into pages, no character in two of them.

    Attributes:
        document: number of it in the corpus, from 0 on.
        n_documents: of the corpus.
        page: number of it in the document, from 0 on.
        n_pages: of the document.
        start: corpus position of the page's first token.
        document_start: corpus position of the document's first token.
        document_tokens: how many tokens the document has.
        sequence: row of the corpus that the page's first token is in.
        offset: position of this token within the row.
        tokens: ids.
        begins: tokens of the page that begin a row, ascending: the model read from there on.
        masked: tokens of the page that are in no statistic, ascending.
        labels: by each labelling of the corpus.
        codes: what fires on them; None where the index was built without codes by token.
        pinned: features that were asked for by number, from their own firings.
        firing: every feature in `codes` and `pinned`, with its largest activation in the whole corpus; by number.
    """

    document: int
    n_documents: int
    page: int
    n_pages: int
    start: int
    document_start: int
    document_tokens: int
    sequence: int
    offset: int
    tokens: Annotated[I32, Array("n_tokens", "token")]
    begins: Annotated[I32, Array("n_begins", "gaps")]
    masked: Annotated[I32, Array("n_masked", "gaps")]
    labels: tuple[ReaderLabels, ...]
    codes: ReaderCodes | None
    pinned: tuple[ReaderFeature, ...]
    firing: FeatureSummary


@dataclass(frozen=True, kw_only=True)
class ReaderPlace:
    """Where in the documents a token of the corpus is.

    Attributes:
        position: corpus position.
        document: the document that it is in.
        page: the page of the document.
        token: which token of the page it is, from 0 on.
    """

    position: int
    document: int
    page: int
    token: int


@dataclass(frozen=True, kw_only=True)
class ReaderFiring:
    """One firing of a feature: the next after a place of the corpus, or the one before.

    Attributes:
        feature: id.
        act: how strongly it fires there.
        number: of the firing among all those of the feature, in corpus order, from 0 on.
        n_firings: of the feature in the whole corpus.
        wrapped: whether there was none up to the end of the corpus, so that it is the first; or none back to its
            beginning, so that it is the last.
    """

    feature: int
    place: ReaderPlace
    act: float
    number: int
    n_firings: int
    wrapped: bool
