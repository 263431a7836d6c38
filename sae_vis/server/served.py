"""An index as the server answers from it: every answer a block of bytes."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np
from numpy.typing import NDArray

from sae_vis.api.asked import hooks_of
from sae_vis.api.feature_pages import card_layout, made_feature_page
from sae_vis.api.options import ComputeSettings, FeatureSettings
from sae_vis.api.prompt_pages import named_prompts, prompt_sources
from sae_vis.api.prompts import mask_of, prompt_ids
from sae_vis.api.sources import view_sources
from sae_vis.contract import (
    DecoderMap,
    ExplorerHead,
    FeatureView,
    FirstRows,
    LayerFeatures,
    MeasuredEffects,
    NumberColumn,
    PromptPart,
    ReaderFiring,
    ReaderPage,
    ReaderPlace,
    RowTexts,
    SearchAnswer,
    TokenLogits,
    TriedText,
    WholeColumn,
)
from sae_vis.deliver.answers import answer
from sae_vis.deliver.encoding import digest
from sae_vis.deliver.page import render_page
from sae_vis.errors import InputError
from sae_vis.explore.columns import Columns
from sae_vis.explore.first import first_rows
from sae_vis.explore.head import can_of, explorer_head, index_choice
from sae_vis.explore.layers import layer_features
from sae_vis.explore.logits import token_logits
from sae_vis.explore.map import decoder_map
from sae_vis.explore.measured import measured_in_steps, unmeasured
from sae_vis.explore.reader import Reader
from sae_vis.explore.rows import row_texts
from sae_vis.explore.search import Search
from sae_vis.explore.tried import tried_text, woken
from sae_vis.index.index import Index
from sae_vis.layout import SaeVisLayoutConfig
from sae_vis.parts import ModelAndSae
from sae_vis.views.feature import feature_views
from sae_vis.views.prompt import PromptSettings, PromptSources, prompt_part, prompt_view
from sae_vis.views.sources import ViewSources

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

FLAT = 0  # deflating whole columns costs more than sending them
MOST_ON_PAGE = 2_000  # features of a page made from the table
NO_MODEL = "the server was started without a model: start it with --model and --sae"


@dataclass(frozen=True, kw_only=True)
class Served:
    """What is served of one index.

    Attributes:
        open: opens the index; called once for each thread that reads it.
        title: short, for the chooser.
        parts: its model and dictionary; None: nothing is live.
        tokenizer: of the model; None: texts can't be given.
        layout: of the cards.
        notes: file of the notes; None: none can be written.
        manifest: the index's manifest where it is a file, to see when the index was replaced.
    """

    open: Callable[[], Index]
    title: str
    parts: ModelAndSae | None = None
    tokenizer: PreTrainedTokenizerBase | None = None
    layout: SaeVisLayoutConfig | None = None
    notes: Path | None = None
    manifest: Path | None = None

    @property
    def why_not_live(self) -> str:
        """Why nothing is live; empty where something is."""
        if self.parts is None:
            return NO_MODEL
        return "" if self.tokenizer is not None else "the server has no tokenizer, so no text can be read"


class Desk:
    """Answers about one index in one thread.

    Args:
        served: what is served.
    """

    def __init__(self, served: Served) -> None:
        self._served = served
        self.index = served.open()
        default = SaeVisLayoutConfig.default_feature_centric_layout(labels=bool(self.index.labellings))
        self.layout = card_layout(self.index, served.layout) or default

    @cached_property
    def identity(self) -> str:
        """Of the index and of how its answers look: a part of their addresses, so that they may be kept for good."""
        parts = self._served.parts
        said = self.index.explanations.mark if self.index.has_explanations else None
        facts = [self.index.manifest.to_json(), self.layout.to_json(), digest(), parts is not None, said]
        return hashlib.sha256(json.dumps(facts, sort_keys=True, default=str).encode()).hexdigest()[:20]

    def prepare(self) -> None:
        """What has to be found out by running the model, before a thread of its own runs it; and the first rows."""
        _ = self.sources, self.first

    @cached_property
    def sources(self) -> ViewSources:
        """What cards are made from: nothing is computed but what the index and the dictionary's weights give."""
        return view_sources(self.index, self._served.parts, ComputeSettings(effects=False), effects=False)

    @cached_property
    def columns(self) -> Columns:
        """Of the table."""
        return Columns(self.index, None if self._served.parts is None else self._served.parts.sae)

    @cached_property
    def first(self) -> FirstRows:
        """Rows that the table begins with."""
        return first_rows(self.index, self.columns)

    @cached_property
    def _search(self) -> Search:
        return Search(self.index)

    @cached_property
    def _reader(self) -> Reader:
        return Reader(self.index, self.sources.text)

    def head(self, others: Sequence[tuple[str, str, Index]]) -> bytes:
        """What the explorer begins with; ``others``: identity, title and index of all that are served."""
        made = self.explorer_head(others, f"{self._served.title} at {hooks_of(self.index)}")
        return answer(ExplorerHead, made, self.sources.text)

    def explorer_head(self, others: Sequence[tuple[str, str, Index]], title: str) -> ExplorerHead:
        """As `head`, before it is packed."""
        return explorer_head(
            self.sources,
            self.layout,
            self.columns,
            can_of(self.index, why_not_live=self._served.why_not_live, notes=self._served.notes is not None),
            title=title,
            identity=self.identity,
            first=self.first,
            indices=[index_choice(index, identity, name, self.index) for identity, name, index in others],
        )

    def column(self, name: str) -> bytes:
        """A column of all features."""
        values = self.columns.values(name)
        if values.dtype == np.float32:
            return answer(NumberColumn, NumberColumn(values=values.astype(np.float32)), level=FLAT)
        return answer(WholeColumn, WholeColumn(values=values.astype(np.int32)), level=FLAT)

    def map(self) -> bytes:
        """Where every feature lies on the map of decoder directions."""
        return answer(DecoderMap, decoder_map(self.index), level=FLAT)

    def rows(self, features: Sequence[int]) -> bytes:
        """Tokens of rows in sight."""
        return answer(RowTexts, row_texts(self.index, features), self.sources.text)

    def card(self, feature: int) -> bytes:
        """A feature's card, of what needs no run of the model."""
        return self._card(self.sources, feature)

    def _card(self, sources: ViewSources, feature: int) -> bytes:
        self.index.require_feature(feature)
        view = next(feature_views(sources, [feature], self.layout))
        return answer(FeatureView, view, sources.text)

    def page(self, features: Sequence[int], title: str) -> bytes:
        """A page of some features as one HTML file, of what the index and the dictionary's weights give."""
        if not 0 < len(features) <= MOST_ON_PAGE:
            raise InputError(f"asked for a page of {len(features):,} features, expected 1 to {MOST_ON_PAGE:,}")
        made = made_feature_page(
            self.index,
            features=features,
            parts=self._served.parts,
            layout=self.layout,
            settings=FeatureSettings(title=title or None, selection="features chosen in the explorer"),
            compute=ComputeSettings(effects=False),
            second=None,
        )
        return render_page(made).encode()

    def logits(self, feature: int, words: str) -> bytes:
        """A feature's logit effects on the tokens that hold some words."""
        self.index.require_feature(feature)
        if self.sources.lens is None:
            raise InputError("logit effects are not known here: the server needs the model, and a way to its logits")
        if not words:
            raise InputError("there is nothing to look for: type a part of a token")
        return answer(
            TokenLogits, token_logits(self.sources.lens, self.sources.text, feature, words), self.sources.text
        )

    def search(self, words: str) -> bytes:
        """Features by a text, without the model."""
        return answer(SearchAnswer, self._search.find(words))

    def read(self, document: int, page: int, pinned: Sequence[int]) -> bytes:
        """A page of a document, with what fires on it."""
        return answer(ReaderPage, self._reader.page(document, page, pinned=pinned), self.sources.text)

    def place(self, sequence: int, position: int) -> bytes:
        """Where in the documents a token of an example is."""
        return answer(ReaderPlace, self._reader.place_in(sequence, position))

    def next_firing(self, feature: int, position: int, direction: Literal[1, -1]) -> bytes:
        """The next firing of a feature, or the one before. Raises `InputError` where it never fires."""
        found = self._reader.next_firing(feature, position, direction)
        if found is None:
            raise InputError(f"feature {feature} fires nowhere in this text")
        return answer(ReaderFiring, found)

    # What needs the model

    @cached_property
    def live(self) -> ViewSources:
        """What cards with all effects are made from. Raises `InputError` where there is no model."""
        parts = self.parts
        sources = view_sources(self.index, parts, ComputeSettings(), effects=True)
        return replace(sources, attention=parts.attribution())

    @property
    def parts(self) -> ModelAndSae:
        """Model and dictionary. Raises `InputError` where there are none."""
        if self._served.parts is None:
            raise InputError(NO_MODEL)
        return self._served.parts

    def full_card(self, feature: int) -> bytes:
        """A feature's card with all effects computed, which the index keeps."""
        return self._card(self.live, feature)

    def tried(self, text: str) -> bytes:
        """Which features fire on a text."""
        return answer(TriedText, self._tried(text), self.sources.text)

    def wakes(self, text: str) -> bytes:
        """Features that fire when the model reads a text."""
        tried = self._tried(text)
        found = SearchAnswer(hits=(woken(self.index, tried),), tokens=tried.tokens[tried.masked == 0])
        return answer(SearchAnswer, found, self.sources.text)

    def _tried(self, text: str) -> TriedText:
        self._require_live()
        parts, mask = self.parts, mask_of(self.index)
        ids = prompt_ids(text, self._served.tokenizer, mask)
        return tried_text(parts.reader, parts.read, parts.sae, mask, ids)

    def prompt(self, text: str, settings: PromptSettings) -> bytes:
        """A prompt, or two, by every metric that needs no run for each pair."""
        prompts = self._named(text, settings)
        made = prompt_part(self._prompts, prompts, settings)
        return answer(PromptPart, unmeasured(made, signed=self.index.signed), self.sources.text)

    def _named(self, text: str, settings: PromptSettings) -> list[tuple[str, list[int]]]:
        """Title and tokens of a prompt, or of two."""
        self._require_live()
        return named_prompts(self.index, text, settings, self._served.tokenizer)

    def _require_live(self) -> None:
        if self._served.why_not_live:
            raise InputError(self._served.why_not_live)

    @cached_property
    def _prompts(self) -> PromptSources:
        return prompt_sources(self.index, self.parts, ComputeSettings(effects=False))

    def layer(self, text: str) -> tuple[NDArray[np.int32], LayerFeatures]:
        """The tokens of a prompt, and what matters most to it here."""
        [(name, ids)] = self._named(text, PromptSettings())
        view = prompt_view(self._prompts, name, ids, PromptSettings())
        return view.tokens, layer_features(self.index, view, self.identity)

    def full_effects(self, text: str, settings: PromptSettings) -> Iterator[bytes]:
        """Full effects on a prompt, or two, of ``settings.full_effects`` pairs each, a few at a time."""
        prompts = self._named(text, settings)
        ids = [tokens for _, tokens in prompts]
        for some in measured_in_steps(self._prompts, ids, settings.full_effects):
            yield answer(MeasuredEffects, some)
