"""The components that come with the library, one class for each file of the same name in the front end."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import ClassVar, Literal

from sae_vis.config import MOST_CHANGED
from sae_vis.errors import InputError
from sae_vis.layout.base import Component, option


@dataclass(frozen=True)
class PromptConfig(Component):
    """The prompt itself, with the feature's activation on each token. For prompt-centric pages."""

    type_name: ClassVar[str] = "Prompt"


@dataclass(frozen=True)
class SeqMultiGroupConfig(Component):
    """Texts that the feature fires on: the largest firings, and random ones from each activation interval.

    Raises:
        InputError: a number below its least, or nothing to show.
    """

    type_name: ClassVar[str] = "SeqMultiGroup"

    buffer: tuple[int, int] | None = option(
        (10, 10),
        "tokens of context before and after the firing token, of which a line shows as many as there is room for; "
        "None shows the whole sequence",
    )
    expand: int | Literal["sequence"] = option(
        0,
        "tokens of context on each side that an example can be expanded to on the page; 'sequence': the whole "
        "sequence; 0: none. Larger values make larger files, since what can be expanded is in them",
    )
    compute_buffer: bool = option(
        True, "colour every token of a context by its activation; False: the firing token only"
    )
    n_quantiles: int = option(
        10, "equal-width activation intervals of (0, max], one group each; 0 for top examples only"
    )
    top_acts_group_size: int = option(20, "examples in the group of largest firings")
    quantile_group_size: int = option(5, "examples in each interval group, a random sample of its firings")
    by_label: str | None = option(
        None, "labelling of the corpus, such as 'language': a group of largest firings for each of its labels"
    )
    label_group_size: int = option(5, "examples in the group of each label")
    n_label_groups: int = option(8, "labels that have a group, those on which the feature is densest")
    top_logits_hoverdata: int = option(5, "output tokens most helped and harmed, shown with a token's details")
    hover_below: bool = option(True, "a token's details open below it; False opens them above")
    othello: bool = option(
        False, "boards in place of text: of the game that the page is given, else of Othello, by the tokens' names"
    )
    n_boards_per_row: int = option(3, "boards in a row, with othello=True")
    dfa_for_attn_saes: bool | Literal["require"] = option(
        True,
        "for attention SAEs: the source tokens and heads that the activation comes from (direct feature attribution); "
        "'require': an error where there are none",
    )
    dfa_buffer: tuple[int, int] | None = option(
        (5, 5), "tokens of context around the largest source token; None: the whole sequence, up to the firing token"
    )

    def __post_init__(self) -> None:
        self._need_buffer("buffer")
        self._need_buffer("dfa_buffer")
        if self.expand != "sequence":
            self._need_count("expand", 0, or_else=" or 'sequence'")
        self._need_flags("compute_buffer", "hover_below", "othello")
        if self.dfa_for_attn_saes not in (True, False, "require"):
            raise InputError(f"{self._where('dfa_for_attn_saes')}, expected True, False or 'require'")
        self._need_count("n_quantiles", 0)
        self._need_count("top_acts_group_size", 0)
        self._need_count("quantile_group_size", 1)
        self._need_name("by_label")
        self._need_count("label_group_size", 1)
        self._need_count("n_label_groups", 1)
        self._need_count("top_logits_hoverdata", 0)
        if self.top_logits_hoverdata > MOST_CHANGED:
            raise InputError(f"{self._where('top_logits_hoverdata')}, expected at most {MOST_CHANGED}")
        self._need_count("n_boards_per_row", 1)
        if self.top_acts_group_size == 0 and self.n_quantiles == 0 and self.by_label is None:
            raise InputError(
                "SeqMultiGroupConfig: top_acts_group_size=0 and n_quantiles=0 leave nothing to show; "
                "give one of them a larger value or leave the component out of the layout"
            )


@dataclass(frozen=True)
class ActsHistogramConfig(Component):
    """Histogram of the feature's firings by activation."""

    type_name: ClassVar[str] = "ActsHistogram"

    n_bins: int = option(50, "bins of equal width")

    def __post_init__(self) -> None:
        self._need_count("n_bins", 1)


@dataclass(frozen=True)
class ActsByPositionConfig(Component):
    """Share of tokens on which the feature fires, by position in the sequence."""

    type_name: ClassVar[str] = "ActsByPosition"

    n_bins: int = option(32, "bins of equal width, at most; a bin holds a whole number of positions")

    def __post_init__(self) -> None:
        self._need_count("n_bins", 1)


@dataclass(frozen=True)
class LabelsConfig(Component):
    """How the feature fires over the labels of the corpus: density, lift and counts of each."""

    type_name: ClassVar[str] = "Labels"

    labelling: str | None = option(None, "which labelling of the corpus; None: each of them")
    n_rows: int = option(10, "labels shown at first: the densest and the least dense; the others open on request")

    def __post_init__(self) -> None:
        self._need_name("labelling")
        self._need_count("n_rows", 2)


@dataclass(frozen=True)
class LogitsHistogramConfig(Component):
    """Histogram of the feature's effect on the logit of every token of the vocabulary."""

    type_name: ClassVar[str] = "LogitsHistogram"

    n_bins: int = option(50, "bins of equal width")

    def __post_init__(self) -> None:
        self._need_count("n_bins", 1)


@dataclass(frozen=True)
class LogitsTableConfig(Component):
    """The output tokens that the feature pushes up most and down most."""

    type_name: ClassVar[str] = "LogitsTable"

    n_rows: int = option(10, "rows, pushed up and pushed down each")

    def __post_init__(self) -> None:
        self._need_count("n_rows", 1)


@dataclass(frozen=True)
class TopTokensConfig(Component):
    """The tokens that the feature fires on most: firings on each, and its share of the feature's mass."""

    type_name: ClassVar[str] = "TopTokens"

    n_rows: int = option(10, "tokens, at most as many as the index holds")

    def __post_init__(self) -> None:
        self._need_count("n_rows", 1)


@dataclass(frozen=True)
class ProbeLogitsTablesConfig(Component):
    """How much of each class of linear probes the feature reads or writes."""

    type_name: ClassVar[str] = "ProbeLogitsTables"

    n_rows: int = option(10, "rows of each probe's table, top and bottom each")
    othello: bool = option(
        False, "probes whose classes are the squares of the page's board, and logit effects of moves, as boards"
    )

    def __post_init__(self) -> None:
        self._need_count("n_rows", 1)
        self._need_flags("othello")


@dataclass(frozen=True)
class FeatureTablesConfig(Component):
    """Neurons and other features that go with the feature."""

    type_name: ClassVar[str] = "FeatureTables"

    n_rows: int = option(3, "rows of each table")
    neuron_alignment_table: bool = option(True, "neurons that the feature's direction is made of")
    correlated_neurons_table: bool = option(True, "neurons whose activations correlate with the feature's")
    correlated_features_table: bool = option(True, "features of the same SAE that fire together with this one")
    correlated_b_features_table: bool = option(
        False, "features of a second SAE (sae_B) that fire together with this one"
    )
    decoder_neighbours_table: bool = option(
        True, "features whose decoder directions have the largest cosine with this one's (needs the SAE)"
    )

    def __post_init__(self) -> None:
        self._need_count("n_rows", 1)
        self._need_flags(*(f.name for f in fields(self) if f.name != "n_rows"))


@dataclass(frozen=True)
class DecoderNormsConfig(Component):
    """How strongly a crosscoder's feature writes at each layer or in each model, and how alike its directions are."""

    type_name: ClassVar[str] = "DecoderNorms"


@dataclass(frozen=True)
class LogitsByPlaceConfig(Component):
    """The output tokens that a crosscoder's feature pushes up and down, for each layer or model that it writes to."""

    type_name: ClassVar[str] = "LogitsByPlace"

    n_rows: int = option(10, "rows, pushed up and pushed down each")

    def __post_init__(self) -> None:
        self._need_count("n_rows", 1)


@dataclass(frozen=True)
class ModelDiffConfig(Component):
    """Which of two models a crosscoder's feature belongs to, among all features: the relative norm of its decoders."""

    type_name: ClassVar[str] = "ModelDiff"

    n_bins: int = option(50, "bins of equal width")

    def __post_init__(self) -> None:
        self._need_count("n_bins", 1)


BUILT_IN: tuple[type[Component], ...] = (
    ActsByPositionConfig,
    ActsHistogramConfig,
    DecoderNormsConfig,
    FeatureTablesConfig,
    LabelsConfig,
    LogitsByPlaceConfig,
    LogitsHistogramConfig,
    LogitsTableConfig,
    ModelDiffConfig,
    ProbeLogitsTablesConfig,
    PromptConfig,
    SeqMultiGroupConfig,
    TopTokensConfig,
)
