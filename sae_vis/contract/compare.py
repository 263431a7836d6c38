"""Two dictionaries over the same tokens."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal

from sae_vis.contract.annotations import F32, I32, Array
from sae_vis.contract.summary import FeatureSummary


@dataclass(frozen=True, kw_only=True)
class PairTable:
    """The features of B that correlate most with a feature of A, by descending Pearson correlation.

    Attributes:
        index: features of B.
        pearson: over all unmasked tokens.
        cosine: over all unmasked tokens.
        decoder: cosine of the two decoder directions; None where widths differ or directions are not
            known.
        together: tokens on which both fire.
        share_a: share of A's firings on which B's feature fires.
        share_b: share of the B feature's firings on which A's fires.
    """

    index: Annotated[I32, Array("n_rows")]
    pearson: Annotated[F32, Array("n_rows")]
    cosine: Annotated[F32, Array("n_rows")]
    decoder: Annotated[F32, Array("n_rows")] | None
    together: Annotated[I32, Array("n_rows")]
    share_a: Annotated[F32, Array("n_rows")]
    share_b: Annotated[F32, Array("n_rows")]


@dataclass(frozen=True, kw_only=True)
class PairGroup:
    """Texts on which both features of a pair fire, or only one of them; flattened as `Contexts`.

    Attributes:
        kind: ``both``, ``a`` (only A's fires) or ``b``.
        n_tokens: tokens of this kind (exact, not only those shown).
        offsets: where the tokens of each context begin, and where the last ones end.
        tokens: ids.
        acts_a: activation of A's feature, 0 where it does not fire, NaN where masked.
        acts_b: of B's.
        sequence: row in the corpus.
        start: position in the row of the first token shown.
        focus: index within the context of the token it is about.
        repeats: how many further tokens of this kind have this very context.
    """

    kind: Literal["both", "a", "b"]
    n_tokens: int
    offsets: Annotated[I32, Array("n_contexts + 1", "offsets", ends_at="n_shown")]
    tokens: Annotated[I32, Array("n_shown", "token")]
    acts_a: Annotated[F32, Array("n_shown", "sparse", unit="activation")]
    acts_b: Annotated[F32, Array("n_shown", "sparse", unit="activation")]
    sequence: Annotated[I32, Array("n_contexts")]
    start: Annotated[I32, Array("n_contexts")]
    focus: Annotated[I32, Array("n_contexts")]
    repeats: Annotated[I32, Array("n_contexts")]


@dataclass(frozen=True, kw_only=True)
class Compared:
    """A feature of A, what is near it in B, and where each of these fires without the other.

    Attributes:
        feature: of A.
        table: its nearest features of B.
        pairs: of each row of the table the groups ``both``, ``a``, ``b``.
    """

    feature: int
    table: PairTable
    pairs: tuple[tuple[PairGroup, ...], ...]


@dataclass(frozen=True, kw_only=True)
class MatchTable:
    """How well the other dictionary has each feature of one.

    Attributes:
        features: every feature of the dictionary, on the page or not.
        best: feature of the other with the largest Pearson correlation, -1 where none is positive.
        pearson: that correlation, 0 where there is none.
    """

    features: FeatureSummary
    best: Annotated[I32, Array("n_matched")]
    pearson: Annotated[F32, Array("n_matched")]


@dataclass(frozen=True, kw_only=True)
class SplitTable:
    """Features that the other dictionary has in several pieces; feature ``i`` owns parts ``offsets[i]:offsets[i + 1]``.

    Attributes:
        feature: those that are split.
        covered: share of its firings on which at least one of the parts fires.
        offsets: where the parts of each begin, and where the last ones end.
        parts: features of the other, the one that covers most first.
        covers: share of the split feature's firings on which the part fires.
        within: share of the part's firings on which the split feature fires.
    """

    feature: Annotated[I32, Array("n_split")]
    covered: Annotated[F32, Array("n_split")]
    offsets: Annotated[I32, Array("n_split + 1", "offsets", ends_at="n_parts")]
    parts: Annotated[I32, Array("n_parts")]
    covers: Annotated[F32, Array("n_parts")]
    within: Annotated[F32, Array("n_parts")]


@dataclass(frozen=True, kw_only=True)
class Overview:
    """What is known of all features of both dictionaries.

    Attributes:
        matches_a: how well B has each feature of A.
        matches_b: how well A has each feature of B.
        splits: features of A that B has in pieces.
        merges: features of B that A has in pieces.
        a_page: address of a page of A's features, relative to this page; None: there is none.
        b_page: of B's.
    """

    matches_a: MatchTable
    matches_b: MatchTable
    splits: SplitTable
    merges: SplitTable
    a_page: str | None
    b_page: str | None
