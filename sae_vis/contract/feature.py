"""One feature."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from sae_vis.contract.annotations import ComponentData
from sae_vis.contract.boards import Boards, ProbeReadout
from sae_vis.contract.examples import SequenceGroup
from sae_vis.contract.tables import (
    AlignmentTable,
    CorrelationTable,
    Histogram,
    LabelProfile,
    LogitTable,
    NeighbourTable,
    PlaceWeights,
    PositionProfile,
    TopTokens,
)


@dataclass(frozen=True, kw_only=True)
class FeatureStats:
    """Numbers of the header.

    Attributes:
        n_firings: unmasked tokens on which the feature fires.
        density: ``n_firings`` / number of unmasked tokens.
        max: largest activation (0 where none is above zero).
        mean: mean activation among firings (0 for a dead feature).
        std: population standard deviation among firings.
        min: most negative activation (0 where none is below zero).
    """

    n_firings: int
    density: float
    max: float
    mean: float
    std: float
    min: float = 0.0


@dataclass(frozen=True, kw_only=True)
class FeatureExplanation:
    """What somebody, or a model, says that the feature means.

    Attributes:
        text: what is said.
        score: how well it does, larger is better; None: nobody has looked.
        measure: what the score is, in words; may be empty.
        source: who says so; may be empty.
    """

    text: str
    score: float | None
    measure: str
    source: str


@dataclass(frozen=True, kw_only=True)
class FeatureView:
    """All that a page shows of one feature. None: not asked for by the layout, or not there to show.

    Attributes:
        explanations: what is said of it, the best first.
        labels: the feature over labels, for each labelling that the layout asks for.
        boards: boards of the examples of all groups, one after the other.
        probes: one for each of the page's `probes`.
        custom: data of the user's own components, by the component's type.
    """

    feature: int
    stats: FeatureStats
    explanations: tuple[FeatureExplanation, ...] = ()
    neuron_alignment: AlignmentTable | None = None
    correlated_neurons: CorrelationTable | None = None
    correlated_features: CorrelationTable | None = None
    correlated_b_features: CorrelationTable | None = None
    decoder_neighbours: NeighbourTable | None = None
    acts_histogram: Histogram | None = None
    logits_histogram: Histogram | None = None
    logits_table: LogitTable | None = None
    acts_by_position: PositionProfile | None = None
    top_tokens: TopTokens | None = None
    labels: tuple[LabelProfile, ...] = ()
    places: PlaceWeights | None = None
    sequences: tuple[SequenceGroup, ...] = ()
    boards: Boards | None = None
    probes: tuple[ProbeReadout, ...] = ()
    custom: Mapping[str, ComponentData] = field(default_factory=dict)
