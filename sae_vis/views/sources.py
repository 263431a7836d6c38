"""What views are made from."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal, TypeVar

from sae_vis.boards.base import BoardGame
from sae_vis.corpus.text import TokenText
from sae_vis.effects.ablation import DirectEffects
from sae_vis.effects.attention import AttentionAttribution, NoAttention
from sae_vis.effects.logit_lens import LogitLens
from sae_vis.effects.probes import Probes
from sae_vis.index.between import Between
from sae_vis.index.build import Progress
from sae_vis.index.index import Index
from sae_vis.layout import FeatureQuery
from sae_vis.saes.base import Dictionary

Card = TypeVar("Card")


@dataclass(frozen=True, kw_only=True)
class SecondDictionary:
    """A second dictionary (B) over the tokens of the first.

    Attributes:
        index: its index.
        between: how the features of both go together.
        page: address of a page of its features, relative to the page made; None: there is none.
        compare: address of a page that compares both, relative to the page made; None: there is none.
    """

    index: Index
    between: Between
    page: str | None = None
    compare: str | None = None


@dataclass(frozen=True, kw_only=True)
class ViewSources:
    """What views are made from.

    Attributes:
        index: the index.
        text: the bytes of each token id.
        lens: logit effects on single tokens; None: a page made without the model, whose tokens have none.
        sae: the dictionary, for decoder neighbours; None: a page made without it, which has none.
        effects: direct effects of features, for the examples shown; None: only those that the index keeps from earlier
            pages are shown.
        probes: linear probes to compare features with; None: there are none.
        game: whose boards are drawn, where the layout asks for boards.
        attention: attribution to source tokens, of an attention SAE, or why there is none; None: not looked for.
        seed: of the interval samples.
        b: a second dictionary over the same tokens; None: pages have no table of its features.
        place_lenses: for each place of a dictionary that writes at several the logit lens of its direction there, None
            where the way to the logits is not known; empty for other dictionaries, and without the model.
        progress: called with stage, done, total as the cards of a page are made; None: nobody looks.
    """

    index: Index
    text: TokenText
    lens: LogitLens | None = None
    sae: Dictionary | None = None
    effects: DirectEffects | None = None
    probes: Probes | None = None
    game: BoardGame | None = None
    attention: AttentionAttribution | NoAttention | None = None
    seed: int = 0
    b: SecondDictionary | None = None
    place_lenses: tuple[LogitLens | None, ...] = ()
    progress: Progress | None = None

    @property
    def loss_against(self) -> Literal["next", "reference"]:
        """What loss effects are of: the token that follows, or a reference distribution."""
        return "next" if self.effects is None or self.effects.reference is None else "reference"

    def watched(self, cards: Iterator[Card], n: int) -> Iterator[Card]:
        """The ``n`` cards of a page as they come, each told to whoever looks on."""
        told = self.progress or (lambda stage, done, total: None)
        told("cards", 0, n)
        for done, card in enumerate(cards, start=1):
            told("cards", done, n)
            yield card

    def query(self, feature: int) -> FeatureQuery:
        """What the user's own components may ask about a feature."""
        return FeatureQuery(feature=feature, index=self.index, text=self.text, lens=self.lens, sae=self.sae)
