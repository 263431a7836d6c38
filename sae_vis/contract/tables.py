"""Tables and charts of a feature."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from sae_vis.contract.annotations import F32, I32, Array


@dataclass(frozen=True, kw_only=True)
class Histogram:
    """Counts over equal-width bins.

    Attributes:
        low: left edge of the first bin.
        high: right edge of the last bin.
        counts: of each bin.
    """

    low: float
    high: float
    counts: Annotated[I32, Array("n_bins")]


@dataclass(frozen=True, kw_only=True)
class AlignmentTable:
    """Neurons that the feature's direction is made of: index, weight, share of the direction's L1 norm (0 to 1)."""

    index: Annotated[I32, Array("n_rows")]
    value: Annotated[F32, Array("n_rows")]
    share: Annotated[F32, Array("n_rows")]


@dataclass(frozen=True, kw_only=True)
class CorrelationTable:
    """What fires with the feature: index, Pearson correlation and cosine similarity over all unmasked tokens."""

    index: Annotated[I32, Array("n_rows")]
    pearson: Annotated[F32, Array("n_rows")]
    cosine: Annotated[F32, Array("n_rows")]


@dataclass(frozen=True, kw_only=True)
class NeighbourTable:
    """Features whose decoder directions point the same way: index and cosine of the two directions, descending."""

    index: Annotated[I32, Array("n_rows")]
    cosine: Annotated[F32, Array("n_rows")]


@dataclass(frozen=True, kw_only=True)
class PositionProfile:
    """Where in a sequence the feature fires; bin ``i`` holds positions ``i * width`` up to ``(i + 1) * width``.

    Attributes:
        width: positions in a bin.
        n_tokens: unmasked tokens of the corpus at these positions.
        n_firings: of them those on which the feature fires.
        mean: mean activation among these firings, NaN where there are none.
    """

    width: int
    n_tokens: Annotated[I32, Array("n_bins")]
    n_firings: Annotated[I32, Array("n_bins")]
    mean: Annotated[F32, Array("n_bins", unit="activation")]


@dataclass(frozen=True, kw_only=True)
class LogitTable:
    """Tokens that the feature pushes up (``top``, descending) and down (``bottom``, ascending), logit effect each."""

    top_tokens: Annotated[I32, Array("n_top", "token")]
    top_values: Annotated[F32, Array("n_top", unit="logits")]
    bottom_tokens: Annotated[I32, Array("n_bottom", "token")]
    bottom_values: Annotated[F32, Array("n_bottom", unit="logits")]


@dataclass(frozen=True, kw_only=True)
class TopTokens:
    """The tokens of the vocabulary that the feature fires on most, the most frequent one first.

    Attributes:
        tokens: ids.
        n_firings: firings on each of them.
        mass_share: share of each in the sum of the sizes of all the feature's activations, 0 to 1.
        n_distinct: how many different tokens it fires on, listed or not.
    """

    tokens: Annotated[I32, Array("n_listed", "token")]
    n_firings: Annotated[I32, Array("n_listed")]
    mass_share: Annotated[F32, Array("n_listed")]
    n_distinct: int


@dataclass(frozen=True, kw_only=True)
class PlaceWeights:
    """What a feature writes at each place of a dictionary that writes at several (`WrittenPlaces`).

    Attributes:
        norms: of its decoder directions, as stored.
        cosines: of its directions at places (0, 1), (0, 2), …, (1, 2), …; empty where they have
            different widths.
        logits: for each place the tokens that its direction there pushes up and down; empty where not computed.
    """

    norms: Annotated[F32, Array("n_places")]
    cosines: Annotated[F32, Array("n_pairs")]
    logits: tuple[LogitTable, ...] = ()


@dataclass(frozen=True, kw_only=True)
class WrittenPlaces:
    """The places where a dictionary writes that does so at several, and how its features share two models.

    Attributes:
        labels: of the places, short.
        names: of the places, as the model has them.
        models: of which model each is, counted from 0.
        model_names: of the models.
        measured: number of the model whose logits and losses the page's other effects are of.
        shares: features by relative norm of the second model's decoder, in equal bins of 0 to 1, the last one closed;
            empty unless there are two models.
        undefined: features without one, whose directions are 0.
    """

    labels: tuple[str, ...]
    names: tuple[str, ...]
    models: tuple[int, ...]
    model_names: tuple[str, ...]
    measured: int
    shares: tuple[int, ...]
    undefined: int


@dataclass(frozen=True, kw_only=True)
class LabellingWords:
    """A labelling of the corpus, such as by language, said once for all features of a page.

    Attributes:
        name: of the labelling.
        labels: ascending; arrays name a label by its place in here.
        n_tokens: unmasked tokens of each label; the last entry is of tokens without one.
        n_documents: documents that hold them.
    """

    name: str
    labels: tuple[str, ...]
    n_tokens: tuple[int, ...]
    n_documents: tuple[int, ...]


@dataclass(frozen=True, kw_only=True)
class LabelProfile:
    """One feature over the labels of a labelling; the last entry of an array is of tokens without a label.

    Attributes:
        labelling: its place among the page's labellings.
        n_firings: on tokens of each label.
        n_documents: documents with such a firing.
        mean: mean activation among them, 0 where there are none.
        peak: the one of largest size, with its sign.
        log_odds: odds of firing on this label over those on all others, as log2.
        unevenness: bits per firing by which the labels of firings differ from those of all tokens.
        information: mutual information between firing and label, bits per token.
    """

    labelling: int
    n_firings: Annotated[I32, Array("n_labels + 1")]
    n_documents: Annotated[I32, Array("n_labels + 1")]
    mean: Annotated[F32, Array("n_labels + 1", unit="activation")]
    peak: Annotated[F32, Array("n_labels + 1", unit="activation")]
    log_odds: Annotated[F32, Array("n_labels", unit="bits")]
    unevenness: float
    information: float


@dataclass(frozen=True, kw_only=True)
class LabelRanks:
    """Columns of the picker for one labelling: unevenness, and the label that each feature prefers (-1: none)."""

    unevenness: Annotated[F32, Array("n_features", unit="bits")]
    top: Annotated[I32, Array("n_features")]
