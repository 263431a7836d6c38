"""Columns, from left to right, of components: what a card shows and where."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from dataclasses import MISSING, Field, dataclass, fields
from typing import Any, Literal, TypeVar

from rich.console import Console
from rich.markup import escape
from rich.tree import Tree

from sae_vis.contract import ColumnSpec, LayoutSpec
from sae_vis.errors import InputError
from sae_vis.layout.base import Component
from sae_vis.layout.components import (
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
)
from sae_vis.layout.parse import parsed_layout

C = TypeVar("C", bound="Component")
HELP_KEY = """\
The tree shows the components of each column, from left to right.
Options are [green]green[/], those changed from their default [bold dark_orange]orange[/] with the default beside them;
what each means is in [italic]italics[/]."""


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
        """This column as the contract names it.

        Returns:
            The record.
        """
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

    def to_json(self) -> str:
        """The layout as JSON, every option with its value; `from_json` reads it back.

        Returns:
            The JSON text.
        """
        columns = [
            {"width": column.width, "components": [{"type": c.type_name, "options": c.options()} for c in column]}
            for column in self.columns
        ]
        return json.dumps({"height": self.height, "columns": columns}, indent=2, allow_nan=False)

    @classmethod
    def from_json(cls, text: str, own: Iterable[type[Component]] = ()) -> SaeVisLayoutConfig:
        """A layout from JSON as `to_json` writes it; what is left out keeps its default.

        Args:
            text: the JSON.
            own: classes of the user's own components that the layout may name.

        Returns:
            The layout.

        Raises:
            InputError: no JSON, a key, component or option that does not exist, or a value that makes no sense; names
                component and option.
        """
        columns, height = parsed_layout(text, own)
        return cls([Column(*components, width=width) for components, width in columns], height)

    @property
    def components(self) -> tuple[Component, ...]:
        """All components, column by column."""
        return tuple(component for column in self.columns for component in column)

    def find(self, kind: type[C]) -> C | None:
        """The component of a kind.

        Args:
            kind: a class, such as ``SeqMultiGroupConfig``.

        Returns:
            The component; None where the layout has none.
        """
        return next((c for c in self.components if isinstance(c, kind)), None)

    def replacing(self, component: Component) -> SaeVisLayoutConfig:
        """The layout with its component of the same type replaced.

        Args:
            component: the new one.

        Returns:
            Another layout.
        """
        return SaeVisLayoutConfig(
            [
                Column(*(component if c.type_name == component.type_name else c for c in column), width=column.width)
                for column in self.columns
            ],
            self.height,
        )

    def to_spec(self, page: Literal["feature", "prompt"] = "feature") -> LayoutSpec:
        """This layout as the contract names it, of a feature-centric or prompt-centric page.

        Args:
            page: the kind of page that it is for.

        Returns:
            The record.

        Raises:
            InputError: the layout asks for something that such a page can't show; names it.
        """
        for component in self.components:
            if page == "feature" and isinstance(component, PromptConfig):
                raise InputError(f"a {page}-centric page can't show {type(component).__name__}; leave it out")
        return LayoutSpec(columns=tuple(column.to_spec() for column in self.columns), height=self.height)

    def help(self, title: str = "SaeVisLayoutConfig", key: bool = True) -> None:
        """Print the layout as a tree: every option with its value, its default where changed, and its meaning.

        Args:
            title: of the tree.
            key: whether to say first what the colours mean.
        """
        Console().print(self.help_tree(title, key))

    def help_tree(self, title: str = "SaeVisLayoutConfig", key: bool = True) -> Tree:
        """The tree that `help` prints.

        Args:
            title: the line at the top.
            key: whether to say what the colours mean.

        Returns:
            A tree for ``rich.print``.
        """
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
    def default_feature_centric_layout(cls, labels: bool = False) -> SaeVisLayoutConfig:
        """The default of feature pages: tables, positions | histograms, logit table | examples.

        Args:
            labels: whether to begin with the labels of the text.

        Returns:
            The layout.
        """
        first: tuple[Component, ...] = (LabelsConfig(),) if labels else ()
        return cls(
            [
                Column(*first, FeatureTablesConfig(), ActsByPositionConfig()),
                Column(ActsHistogramConfig(), LogitsTableConfig(), LogitsHistogramConfig()),
                Column(SeqMultiGroupConfig()),
            ]
        )

    @classmethod
    def default_prompt_centric_layout(cls) -> SaeVisLayoutConfig:
        """The default of a card on a prompt page: the prompt, histograms, logit table, top examples.

        Returns:
            The layout.
        """
        return cls(
            [
                Column(
                    PromptConfig(),
                    ActsHistogramConfig(),
                    LogitsTableConfig(n_rows=5),
                    SeqMultiGroupConfig(buffer=(5, 5), top_acts_group_size=10, n_quantiles=0),
                    LogitsHistogramConfig(),
                    width=420,
                ),
            ],
        )

    @classmethod
    def default_compare_layout(cls) -> SaeVisLayoutConfig:
        """The default of a card on a compare page: histogram, logit table, top examples.

        Returns:
            The layout.
        """
        return cls(
            [
                Column(
                    ActsHistogramConfig(),
                    LogitsTableConfig(n_rows=5),
                    SeqMultiGroupConfig(buffer=(5, 5), top_acts_group_size=10, n_quantiles=0),
                    width=420,
                ),
            ],
        )

    @classmethod
    def default_crosscoder_layout(cls, *, two_models: bool = False) -> SaeVisLayoutConfig:
        """The default for a crosscoder: decoder norms, tables | histogram, logit tables by place | examples.

        Args:
            two_models: whether to add the relative norm of two models.

        Returns:
            The layout.
        """
        first = (ModelDiffConfig(), DecoderNormsConfig()) if two_models else (DecoderNormsConfig(),)
        tables = FeatureTablesConfig(neuron_alignment_table=False, correlated_neurons_table=False)
        return cls(
            [
                Column(*first, tables, width=300),
                Column(ActsHistogramConfig(), LogitsByPlaceConfig(), LogitsHistogramConfig()),
                Column(SeqMultiGroupConfig()),
            ]
        )

    @classmethod
    def default_othello_layout(cls, boards: bool = True) -> SaeVisLayoutConfig:
        """The default for Othello models: tables | histogram, logit table, probe tables | boards.

        Args:
            boards: whether examples and probes are boards.

        Returns:
            The layout.
        """
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
                Column(ActsHistogramConfig(), LogitsTableConfig(), ProbeLogitsTablesConfig(othello=boards)),
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
