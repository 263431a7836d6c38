"""`explore_index` and `prompt`: an index in a notebook's cell."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from sae_vis.api.asked import require_parts
from sae_vis.checks import a_text
from sae_vis.errors import InputError
from sae_vis.index.index import Index
from sae_vis.layout import CustomComponent, SaeVisLayoutConfig
from sae_vis.neutral import neutrally
from sae_vis.parts import ModelAndSae

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

    from sae_vis.widget.explorer import Explorer

HEIGHT = 720


@neutrally
def explore_index(
    index: Index,
    *,
    parts: ModelAndSae | None = None,
    tokenizer: PreTrainedTokenizerBase | None = None,
    layout: SaeVisLayoutConfig | None = None,
    selected: int | None = None,
    filters: Sequence[Mapping[str, object]] = (),
    search: str = "",
    height: int = HEIGHT,
) -> Explorer:
    """The explorer of an index as a widget: all features in a table, search, cards; with ``parts`` live.

    Args:
        index: the index.
        parts: its model and dictionary, for all that is live.
        tokenizer: of the model, for texts of the user's own.
        layout: of the cards; None: the default.
        selected: the feature that is open; None: the first of the table.
        filters: ranges that columns of the table must be in: ``[{"column": "max", "low": 1, "high": None}]``.
        search: what is searched for.
        height: of the widget, in pixels.

    Returns:
        The widget: `selected`, `filters` and `search` are what the user has chosen, and may be set.

    Raises:
        InputError: anywidget is missing; no such feature, column or range; a layout with components of one's own.
        ForeignIndexError: ``parts`` are not those of the index.
    """
    made = _made(index, parts, tokenizer, layout)
    made.height = height
    made.filters, made.search, made.selected = [dict(one) for one in filters], search, selected
    return made


@neutrally
def prompt(
    index: Index,
    text: str,
    *,
    parts: ModelAndSae,
    tokenizer: PreTrainedTokenizerBase,
    compare: str | None = None,
    layout: SaeVisLayoutConfig | None = None,
    height: int = HEIGHT,
) -> Explorer:
    """One prompt in a notebook's cell: at every token the features that matter most, by attribution at first.

    It is the explorer of the index (`explore_index`) with its prompt open: the text can be changed there, effects be
    measured, and all else be looked at. A file of the same is made by `save_prompt_page`. Where a notebook runs nothing
    it shows the features that matter most to the prompt, as text.

    Args:
        index: the index.
        text: the prompt.
        parts: model and dictionary of the index.
        tokenizer: of the model.
        compare: a second prompt, shown beside the first.
        layout: of the cards; None: the default.
        height: of the widget, in pixels.

    Returns:
        The widget.

    Raises:
        InputError: anywidget is missing; an empty prompt, or one longer than the model takes.
        ForeignIndexError: ``parts`` are not those of the index.
    """
    made = _made(index, parts, tokenizer, layout)
    made.height = height
    made.open_prompt(a_text(text, "text"), None if compare is None else a_text(compare, "compare"))
    return made


def _made(
    index: Index,
    parts: ModelAndSae | None,
    tokenizer: PreTrainedTokenizerBase | None,
    layout: SaeVisLayoutConfig | None,
) -> Explorer:
    """The widget as it begins. Raises as `explore_index`."""
    own = [] if layout is None else [one.type_name for one in layout.components if isinstance(one, CustomComponent)]
    if own:
        raise InputError(
            f"the layout has components of your own ({', '.join(own)}), which the widget does not draw: "
            "leave them out, or serve the index (sae_vis.serve)"
        )
    if parts is not None:
        require_parts(index, parts)
    from sae_vis.widget.explorer import Explorer

    return Explorer(index, parts=parts, tokenizer=tokenizer, layout=layout)
