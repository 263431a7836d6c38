"""What a page shows and where."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from sae_vis.contract.annotations import ComponentData, Json


@dataclass(frozen=True, kw_only=True)
class ComponentSpec:
    """One component of the layout: the layout class's name without ``Config``, and its options by name."""

    type: str
    options: Annotated[dict[str, bool | int | float | str | list[int] | None], Json()]


@dataclass(frozen=True, kw_only=True)
class ComponentModule:
    """How a page draws a component of the user's own.

    Attributes:
        type: the component's type, as in `ComponentSpec`.
        script: text of an ES module with a top-level ``mount(element, data, context)``.
        style: text of a style sheet, or empty.
        shared: data that all features of the page share.
    """

    type: str
    script: str
    style: str
    shared: ComponentData


@dataclass(frozen=True, kw_only=True)
class ColumnSpec:
    """A column of components; width in pixels, or None for the default width."""

    width: int | None
    components: tuple[ComponentSpec, ...]


@dataclass(frozen=True, kw_only=True)
class LayoutSpec:
    """Columns from left to right; height of the card in pixels, or None for as high as its content."""

    columns: tuple[ColumnSpec, ...]
    height: int | None
