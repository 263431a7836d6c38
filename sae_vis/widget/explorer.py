"""The widget. Importing this module needs anywidget, which is an extra."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, quote, urlencode

import numpy as np

from sae_vis.errors import InputError, SaeVisError
from sae_vis.explore.column_words import SORT
from sae_vis.index.index import Index
from sae_vis.layout import SaeVisLayoutConfig
from sae_vis.neutral import neutrally
from sae_vis.parts import ModelAndSae
from sae_vis.server.served import Desk, Served
from sae_vis.views.feature import feature_views, sae_words
from sae_vis.widget.answers import Answers, as_text
from sae_vis.widget.script import LOADER, packed_script
from sae_vis.widget.still import still_card, still_prompt

try:
    import anywidget
    import traitlets
    from ipywidgets import Widget, widget_serialization
except ImportError as error:
    raise InputError(f'the widget needs {error.name}, which is not installed: pip install "sae-vis[widget]"') from error

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

log = logging.getLogger("sae_vis.widget")


@dataclass(frozen=True, kw_only=True)
class _Shown(Served):
    """An index in a notebook, in the notebook's own words."""

    @property
    def why_not_live(self) -> str:
        """Why nothing is live; empty where something is."""
        if self.parts is None:
            return "the widget was made without a model: index.explore(parts=…, tokenizer=…)"
        return "" if self.tokenizer is not None else "the widget was made without a tokenizer, so no text can be read"


class _Script(Widget):
    """What the explorers of a notebook run: one model that they share, so that a notebook keeps it once."""

    packed = traitlets.Unicode("").tag(sync=True)


_scripts: list[_Script] = []
"""The one of this process, once there is any."""


def _shared_script() -> _Script:
    if not _scripts or _scripts[0].comm is None:  # closed, by Widget.close_all say
        _scripts[:] = [_Script(packed=as_text(packed_script()))]
    return _scripts[0]


class Explorer(anywidget.AnyWidget):
    """The explorer of an index in a notebook's cell; `Index.explore` makes it.

    Attributes:
        selected: the feature that is open. None: the first of the table, until the page has said which one that is.
        filters: ranges that columns of the table must be in, each ``{"column": …, "low": …, "high": …}``; None at an
            end: no limit there.
        search: what is searched for.
        height: of the widget, in pixels.
    """

    _esm = LOADER
    selected = traitlets.Int(None, allow_none=True).tag(sync=True)
    filters = traitlets.List(traitlets.Dict()).tag(sync=True)
    search = traitlets.Unicode("").tag(sync=True)
    height = traitlets.Int(720, min=200).tag(sync=True)
    _script = traitlets.Instance(_Script).tag(sync=True, **widget_serialization)
    # The rest of what the page shows, as in an address; what it begins with; the card that was open last.
    _address = traitlets.Unicode("").tag(sync=True)
    _head = traitlets.Unicode("").tag(sync=True)
    _card = traitlets.Unicode("").tag(sync=True)

    def __init__(
        self,
        index: Index,
        *,
        parts: ModelAndSae | None = None,
        tokenizer: PreTrainedTokenizerBase | None = None,
        layout: SaeVisLayoutConfig | None = None,
    ) -> None:
        title = sae_words(index) or "Features"
        self._desk = Desk(_Shown(open=lambda: index, title=title, parts=parts, tokenizer=tokenizer, layout=layout))
        self._answers = Answers(self._desk, title)
        self._still = ("", "")  # a prompt, and it as plain HTML
        super().__init__(_head=as_text(self._answers.head()), _script=_shared_script())
        self.on_msg(self._asked)

    def open_prompt(self, text: str, compare: str | None = None) -> None:
        """Show a prompt, or two beside each other.

        Raises:
            InputError: the widget has no model or no tokenizer; an empty prompt, or one longer than the model takes.
        """
        self._still = text, self._prompt_html(text)
        if compare is not None:
            self._desk.layer(compare)  # raises for a text that can't be a prompt
        given = {"view": "prompt", "text": text, **({} if compare is None else {"with": compare})}
        self._address = urlencode(given, quote_via=quote)

    def _prompt_html(self, text: str) -> str:
        tokens, found = self._desk.layer(text)
        return still_prompt(tokens, found, self._desk.sources.text)

    def _prompt_shown(self) -> str:
        """The open prompt as plain HTML; empty where none is open."""
        said = parse_qs(self._address)
        if said.get("view") != ["prompt"] or not said.get("text"):
            return ""
        [text] = said["text"]
        if self._still[0] != text:
            self._still = text, self._prompt_html(text)
        return self._still[1]

    def __repr__(self) -> str:
        """What is open."""
        return f"Explorer(selected={self.selected}, filters={self.filters}, search={self.search!r})"

    @traitlets.validate("selected")
    def _feature(self, proposal: Mapping[str, Any]) -> int | None:
        feature: int | None = proposal["value"]
        n = self._desk.index.n_features
        if feature is not None and not 0 <= feature < n:
            raise InputError(f"selected is {feature}: the SAE has features 0 to {n - 1}")
        return feature

    @traitlets.validate("filters")
    def _ranges(self, proposal: Mapping[str, Any]) -> list[dict[str, Any]]:
        return [_range(one, self._desk.columns.names) for one in proposal["value"]]

    def _asked(self, _: object, content: object, __: object) -> None:
        """Answer a message, in one message for each part of the answer; whatever goes wrong is an answer, too."""
        if not isinstance(content, dict) or "path" not in content:
            return
        number = content.get("id")
        try:
            for block in self._blocks(str(content["path"]), content.get("body")):
                self.send({"id": number, "block": as_text(block)})
            self.send({"id": number, "end": True})
        except SaeVisError as error:
            self.send({"id": number, "error": str(error)})
        except Exception as error:
            log.exception("a request of the widget failed")
            self.send({"id": number, "error": f"this failed in the kernel: {type(error).__name__}: {error}"})

    @neutrally
    def _blocks(self, path: str, body: dict[str, Any] | None) -> Any:  # noqa: ANN401
        yield from self._answers.blocks(path, body)

    @neutrally
    def _repr_mimebundle_(self, **kwargs: Any) -> tuple[dict[str, Any], dict[str, Any]] | None:  # noqa: ANN401
        """The widget, and where none is shown the open card as plain HTML."""
        bundle = super()._repr_mimebundle_(**kwargs)
        if bundle is None:
            return None
        data, metadata = bundle
        feature = self.selected
        if feature is None:
            feature = int(np.argmax(self._desk.columns.values(SORT)))
        if self._card == "":
            self._card = f"{feature}:{as_text(self._desk.card(feature))}"
        [view] = feature_views(self._desk.sources, [feature], self._desk.layout)
        still = self._prompt_shown() + still_card(view, self._desk.sources.text)
        return {**data, "text/html": still}, metadata


def _range(one: Mapping[str, Any], names: list[str]) -> dict[str, Any]:
    """A filter with both ends. Raises `InputError` for one that is none."""
    column, unknown = one.get("column"), set(one) - {"column", "low", "high"}
    if unknown:
        raise InputError(f"a filter has {sorted(map(str, unknown))}, expected column, low and high")
    if column not in names:
        raise InputError(f"a filter is of the column {column!r}, expected one of {', '.join(names)}")
    low, high = (_end(one.get(name), name) for name in ("low", "high"))
    if low is not None and high is not None and low > high:
        raise InputError(f"the filter of {column!r} begins at {low}, above its end, {high}")
    return {"column": column, "low": low, "high": high}


def _end(value: object, name: str) -> float | None:
    """An end of a range; an infinite one is none, since JSON has no infinity."""
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float | np.number) or np.isnan(value):
        raise InputError(f"a filter's {name} is {value!r}, expected a number, or None for no limit")
    return float(value) if np.isfinite(value) else None
