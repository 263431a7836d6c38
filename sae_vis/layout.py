"""Layouts: what a page shows and where. Columns, from left to right, of components, each with options.

A layout is plain frozen data. Views read it to know what to compute (`SaeVisLayoutConfig.find`), pages read it to know
what to draw (`SaeVisLayoutConfig.to_spec`). Every option carries its meaning, which `SaeVisLayoutConfig.help` prints.

A component of your own is a frozen dataclass that derives from `Component` and names itself in `type_name`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import MISSING, Field, dataclass, field, fields
from typing import Any, ClassVar, TypeVar

from rich.console import Console
from rich.markup import escape
from rich.tree import Tree

from sae_vis.errors import InputError
from sae_vis.views.payload import ColumnSpec, ComponentSpec, LayoutSpec

C = TypeVar("C", bound="Component")
Option = bool | int | float | str | list[int] | None

HELP_KEY = """\
The tree shows the components of each column, from left to right.
Options are [green]green[/], those changed from their default [bold dark_orange]orange[/] with the default beside them;
what each means is in [italic]italics[/]."""


def _option(default: Any, meaning: str) -> Any:  # noqa: ANN401 (a dataclass field takes any default)
    """A dataclass field that carries its meaning."""
    return field(default=default, metadata={"meaning": meaning})


@dataclass(frozen=True)
class Component:
    """Base of everything that can stand in a column."""

    type_name: ClassVar[str]
    """The name that the page knows the component by; the file of the same name in the front end draws it."""

    def unavailable(self) -> dict[str, str]:
        """Options whose present value a feature-centric page can't show yet, each with what to do instead."""
        return {}

    def to_spec(self) -> ComponentSpec:
        """This component as the page's payload names it.

        Raises:
            InputError: an option asks for something that is not available yet.
        """
        for name, remedy in self.unavailable().items():
            msg = f"{self._where(name)} is not available yet in a feature-centric page; {remedy}"
            raise InputError(msg)
        options = {f.name: _plain(getattr(self, f.name)) for f in fields(self)}
        return ComponentSpec(type=self.type_name, options=options)

    def _where(self, name: str) -> str:
        return f"{type(self).__name__}: {name}={getattr(self, name)!r}"

    def _need_count(self, name: str, minimum: int) -> None:
        value = getattr(self, name)
        if isinstance(value, bool) or not isinstance(value, int) or value < minimum:
            raise InputError(f"{self._where(name)}, expected a whole number of at least {minimum}")

    def _need_flags(self, *names: str) -> None:
        for name in names:
            if not isinstance(getattr(self, name), bool):
                raise InputError(f"{self._where(name)}, expected True or False")

    def _need_buffer(self, name: str) -> None:
        value = getattr(self, name)
        if value is None:
            return
        ok = isinstance(value, (tuple, list)) and len(value) == 2
        if not ok or any(isinstance(n, bool) or not isinstance(n, int) or n < 0 for n in value):
            raise InputError(
                f"{self._where(name)}, expected (tokens before, tokens after), both at least 0, "
                "or None for the whole sequence"
            )
        object.__setattr__(self, name, tuple(value))


def _plain(value: Any) -> Option:  # noqa: ANN401 (narrowed here)
    if isinstance(value, tuple):
        return [int(n) for n in value]
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    raise InputError(
        f"an option of a component is {value!r}, expected a number, text, True, False, None or whole numbers"
    )


@dataclass(frozen=True)
class PromptConfig(Component):
    """The prompt itself, with the feature's activation on each token. For prompt-centric pages."""

    type_name: ClassVar[str] = "Prompt"


@dataclass(frozen=True)
class SeqMultiGroupConfig(Component):
    """Texts that the feature fires on: the largest firings, and random ones from each activation interval."""

    type_name: ClassVar[str] = "SeqMultiGroup"

    buffer: tuple[int, int] | None = _option(
        (5, 5), "tokens of context shown before and after the firing token; None shows the whole sequence"
    )
    compute_buffer: bool = _option(True, "activations of the context's tokens too, not only of the firing token")
    n_quantiles: int = _option(
        10, "equal-width activation intervals of (0, max], one group each; 0 for top examples only"
    )
    top_acts_group_size: int = _option(20, "examples in the group of largest firings")
    quantile_group_size: int = _option(5, "examples in each interval group, a random sample of its firings")
    top_logits_hoverdata: int = _option(5, "output tokens most helped and harmed, shown with a token's details")
    hover_below: bool = _option(True, "a token's details open below it; False opens them above")
    othello: bool = _option(False, "Othello boards in place of text (needs an Othello model)")
    n_boards_per_row: int = _option(3, "boards in a row, with othello=True")
    dfa_for_attn_saes: bool = _option(True, "for attention SAEs: the source tokens that the activation comes from")
    dfa_buffer: tuple[int, int] | None = _option((5, 5), "tokens of context around each attention source token")

    def __post_init__(self) -> None:
        self._need_buffer("buffer")
        self._need_buffer("dfa_buffer")
        self._need_flags("compute_buffer", "hover_below", "othello", "dfa_for_attn_saes")
        self._need_count("n_quantiles", 0)
        self._need_count("top_acts_group_size", 0)
        self._need_count("quantile_group_size", 1)
        self._need_count("top_logits_hoverdata", 0)
        self._need_count("n_boards_per_row", 1)
        if self.top_acts_group_size == 0 and self.n_quantiles == 0:
            raise InputError(
                "SeqMultiGroupConfig: top_acts_group_size=0 and n_quantiles=0 leave nothing to show; "
                "give one of them a larger value or leave the component out of the layout"
            )

    def unavailable(self) -> dict[str, str]:
        """Othello boards, and other than default options of attention sources and hover logits."""
        leave = "leave it at its default"
        asked = {
            "compute_buffer": not self.compute_buffer,
            "othello": self.othello,
            "n_boards_per_row": self.n_boards_per_row != 3,
            "dfa_buffer": self.dfa_buffer != (5, 5),
            "top_logits_hoverdata": self.top_logits_hoverdata != 5,
        }
        return {name: leave for name, is_asked in asked.items() if is_asked}


@dataclass(frozen=True)
class ActsHistogramConfig(Component):
    """Histogram of the feature's firings by activation."""

    type_name: ClassVar[str] = "ActsHistogram"

    n_bins: int = _option(50, "bins of equal width")

    def __post_init__(self) -> None:
        self._need_count("n_bins", 1)


@dataclass(frozen=True)
class LogitsHistogramConfig(Component):
    """Histogram of the feature's effect on the logit of every token of the vocabulary."""

    type_name: ClassVar[str] = "LogitsHistogram"

    n_bins: int = _option(50, "bins of equal width")

    def __post_init__(self) -> None:
        self._need_count("n_bins", 1)


@dataclass(frozen=True)
class LogitsTableConfig(Component):
    """The output tokens that the feature pushes up most and down most."""

    type_name: ClassVar[str] = "LogitsTable"

    n_rows: int = _option(10, "rows, pushed up and pushed down each")

    def __post_init__(self) -> None:
        self._need_count("n_rows", 1)


@dataclass(frozen=True)
class ProbeLogitsTablesConfig(Component):
    """What the feature's direction does to each class of linear probes."""

    type_name: ClassVar[str] = "ProbeLogitsTables"

    n_rows: int = _option(10, "rows of each probe's table, top and bottom each")
    othello: bool = _option(False, "Othello boards in place of tables")

    def __post_init__(self) -> None:
        self._need_count("n_rows", 1)
        self._need_flags("othello")


@dataclass(frozen=True)
class FeatureTablesConfig(Component):
    """Neurons and other features that go with the feature."""

    type_name: ClassVar[str] = "FeatureTables"

    n_rows: int = _option(3, "rows of each table")
    neuron_alignment_table: bool = _option(True, "neurons that the feature's direction is made of")
    correlated_neurons_table: bool = _option(True, "neurons whose activations correlate with the feature's")
    correlated_features_table: bool = _option(True, "features of the same SAE that fire together with this one")
    correlated_b_features_table: bool = _option(
        False, "features of a second SAE (sae_B) that fire together with this one"
    )

    def __post_init__(self) -> None:
        self._need_count("n_rows", 1)
        self._need_flags(*(f.name for f in fields(self) if f.name != "n_rows"))


NOT_IN_FEATURE_PAGES: tuple[type[Component], ...] = (PromptConfig, ProbeLogitsTablesConfig)


@dataclass(frozen=True, init=False)
class Column:
    """Components from top to bottom.

    Args:
        *components: what to show.
        width: pixels; None for a width that suits the components.

    Raises:
        InputError: no components, something that is not a component, or a width that is not a positive whole number.
    """

    components: tuple[Component, ...]
    width: int | None

    def __init__(self, *components: Component, width: int | None = None) -> None:
        if not components:
            raise InputError("Column: no components, expected at least one")
        for component in components:
            if not isinstance(component, Component):
                raise InputError(f"Column: found {component!r}, expected a component such as ActsHistogramConfig()")
        _need_pixels("Column", "width", width)
        object.__setattr__(self, "components", components)
        object.__setattr__(self, "width", width)

    def __iter__(self) -> Iterator[Component]:
        return iter(self.components)

    def __getitem__(self, index: int) -> Component:
        return self.components[index]

    def __len__(self) -> int:
        return len(self.components)

    def to_spec(self) -> ColumnSpec:
        """This column as the page's payload names it."""
        return ColumnSpec(width=self.width, components=tuple(c.to_spec() for c in self.components))


@dataclass(frozen=True, init=False)
class SaeVisLayoutConfig:
    """The whole layout of a card.

    Args:
        columns: columns from left to right.
        height: pixels of the card, whose columns then scroll; None for as high as its content.

    Raises:
        InputError: no columns, something that is not a column, a component type that stands in the layout twice, or
            a height that is not a positive whole number.
    """

    columns: tuple[Column, ...]
    height: int | None

    def __init__(self, columns: Iterable[Column], height: int | None = None) -> None:
        columns = tuple(columns)
        if not columns:
            raise InputError("SaeVisLayoutConfig: columns is empty, expected at least one Column")
        for column in columns:
            if not isinstance(column, Column):
                raise InputError(f"SaeVisLayoutConfig: columns holds {column!r}, expected Column(...) objects")
        _need_pixels("SaeVisLayoutConfig", "height", height)
        names = [component.type_name for column in columns for component in column]
        for name in names:
            if names.count(name) > 1:
                raise InputError(
                    f"SaeVisLayoutConfig: {name} stands in the layout {names.count(name)} times, expected once"
                )
        object.__setattr__(self, "columns", columns)
        object.__setattr__(self, "height", height)

    @property
    def components(self) -> tuple[Component, ...]:
        """All components, column by column."""
        return tuple(component for column in self.columns for component in column)

    def find(self, kind: type[C]) -> C | None:
        """The component of a kind, such as ``layout.find(SeqMultiGroupConfig)``; None where the layout has none."""
        return next((c for c in self.components if isinstance(c, kind)), None)

    def to_spec(self) -> LayoutSpec:
        """This layout as a feature-centric page's payload names it.

        Raises:
            InputError: the layout asks for something that a feature-centric page can't show (yet); names component and
                option.
        """
        for component in self.components:
            if isinstance(component, NOT_IN_FEATURE_PAGES):
                raise InputError(
                    f"{type(component).__name__} is not available yet in a feature-centric page; leave it out"
                )
        return LayoutSpec(columns=tuple(column.to_spec() for column in self.columns), height=self.height)

    def help(self, title: str = "SaeVisLayoutConfig", key: bool = True) -> None:
        """Print the layout as a tree: every option with its value, its default where changed, and its meaning."""
        Console().print(self.help_tree(title, key))

    def help_tree(self, title: str = "SaeVisLayoutConfig", key: bool = True) -> Tree:
        """The tree that `help` prints."""
        tree = Tree(f"[bold]{escape(title)}[/]" + (f"\n{HELP_KEY}" if key else ""))
        tree.add(f"height: {self.height!r} [italic]pixels; None: as high as the content[/]")
        for number, column in enumerate(self.columns):
            width = "" if column.width is None else f" ({column.width} pixels wide)"
            branch = tree.add(f"[bold]Column {number}[/]{width}")
            for component in column:
                leaf = branch.add(f"[bold]{escape(type(component).__name__)}[/]")
                for option in fields(component):
                    leaf.add(_describe(component, option))
        return tree

    @classmethod
    def default_feature_centric_layout(cls) -> SaeVisLayoutConfig:
        """Tables | activation histogram, logit table, logit histogram | sequences."""
        return cls(
            [
                Column(FeatureTablesConfig()),
                Column(ActsHistogramConfig(), LogitsTableConfig(), LogitsHistogramConfig()),
                Column(SeqMultiGroupConfig()),
            ]
        )

    @classmethod
    def default_prompt_centric_layout(cls) -> SaeVisLayoutConfig:
        """One column for each feature: the prompt, histograms, logit table and top examples."""
        return cls(
            [
                Column(
                    PromptConfig(),
                    ActsHistogramConfig(),
                    LogitsTableConfig(n_rows=5),
                    SeqMultiGroupConfig(top_acts_group_size=10, n_quantiles=0),
                    LogitsHistogramConfig(),
                    width=420,
                ),
            ],
        )

    @classmethod
    def default_othello_layout(cls, boards: bool = True) -> SaeVisLayoutConfig:
        """For Othello models: tables | histogram, logit table, probe tables | boards."""
        sequences = SeqMultiGroupConfig(
            othello=boards,
            buffer=None,
            compute_buffer=not boards,
            n_quantiles=5,
            quantile_group_size=6,
            top_acts_group_size=24,
        )
        return cls(
            [
                Column(FeatureTablesConfig()),
                Column(ActsHistogramConfig(), LogitsTableConfig(), ProbeLogitsTablesConfig()),
                Column(sequences),
            ],
        )


def _describe(component: Component, option: Field[Any]) -> str:
    value = getattr(component, option.name)
    meaning = f"\n[italic]{escape(option.metadata.get('meaning', ''))}[/]"
    text = escape(f"{option.name}: {value!r}")
    if option.default is MISSING or value == option.default:
        return f"[green]{text}[/]{meaning}"
    return f"[bold dark_orange]{text}[/] (default {escape(repr(option.default))}){meaning}"


def _need_pixels(where: str, name: str, value: object) -> None:
    if value is None:
        return
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        raise InputError(f"{where}: {name}={value!r}, expected a positive whole number of pixels, or None")
