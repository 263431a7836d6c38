"""`Index` as users have it: what can be asked of an index, and the pages that can be made of it.

The queries are `sae_vis.index.index.Index`, in a room far below pages, where nothing may know of them. Pages take that
class; this one adds to it, so that a user finds what can be done with an index at the index, with all types.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from sae_vis.api.card import FeatureCard
from sae_vis.api.feature_pages import save_feature_page
from sae_vis.api.options import ComputeSettings, FeatureSettings, SecondIndex
from sae_vis.api.prompt_pages import save_prompt_page
from sae_vis.deliver.page import PageReport
from sae_vis.index.index import Index as Queries
from sae_vis.layout import SaeVisLayoutConfig
from sae_vis.parts import ModelAndSae
from sae_vis.views.prompt import Prompt, PromptSettings

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

    from sae_vis import Explorer


class Index(Queries):
    """Postings of every feature over a corpus, and the feature table: what is asked of them, and pages of them.

    Attributes:
        manifest: what it was made from.
        n_features: number of features of the dictionary.
        n_counted: unmasked tokens, what densities are shares of.
        tokens: int32 ``[n_tokens]`` of the corpus.
        offsets: int64 ``[n_seqs + 1]``.
        signed: whether some activation is negative.
        labellings: ways to tell parts of the corpus apart, such as by language; () where it has no labels.
    """

    @classmethod
    def of(cls, opened: Queries) -> Index:
        """Turn an index that is open into one of this class. Nothing is read again.

        Args:
            opened: the index.

        Returns:
            The same index, with the methods that write pages.
        """
        if isinstance(opened, Index):
            return opened
        index = cls.__new__(cls)
        vars(index).update(vars(opened))
        return index

    def save_page(
        self,
        path: str | Path,
        *,
        features: Sequence[int] | int | None = 256,
        parts: ModelAndSae | None = None,
        layout: SaeVisLayoutConfig | None = None,
        settings: FeatureSettings | None = None,
        compute: ComputeSettings | None = None,
        second: SecondIndex | None = None,
    ) -> PageReport:
        """Write a page of features of this index: `save_feature_page`.

        Args:
            path: the file.
            features: feature ids; or how many of those that fire; None: all that fire.
            parts: model and dictionary of the index, for effects.
            layout: columns of components; None: the default.
            settings: title, how the features were chosen, the first one.
            compute: what is computed beyond what the index holds.
            second: a second dictionary over the same tokens.

        Returns:
            Path and sizes of the page.

        Raises:
            InputError: as for `save_feature_page`.
        """
        return save_feature_page(
            self,
            path,
            features=features,
            parts=parts,
            layout=layout,
            settings=settings,
            compute=compute,
            second=second,
        )

    def save_prompt_page(
        self,
        path: str | Path,
        prompt: Prompt,
        *,
        parts: ModelAndSae,
        tokenizer: PreTrainedTokenizerBase | None = None,
        layout: SaeVisLayoutConfig | None = None,
        settings: PromptSettings | None = None,
        compute: ComputeSettings | None = None,
    ) -> PageReport:
        """Write a page of one prompt, with cards from this index: `sae_vis.save_prompt_page`.

        Args:
            path: the file.
            prompt: a text, token ids ``[n]``, or chat messages.
            parts: model and dictionary of the index.
            tokenizer: of the model; not needed for token ids.
            layout: of a feature's card; None: the default.
            settings: title, a second prompt, what is measured, how the page begins.
            compute: what is computed for the cards beside the prompt.

        Returns:
            Path and sizes of the page.

        Raises:
            InputError: as for `sae_vis.save_prompt_page`.
        """
        return save_prompt_page(
            self,
            path,
            prompt,
            parts=parts,
            tokenizer=tokenizer,
            layout=layout,
            settings=settings,
            compute=compute,
        )

    def explore(
        self,
        *,
        parts: ModelAndSae | None = None,
        tokenizer: PreTrainedTokenizerBase | None = None,
        layout: SaeVisLayoutConfig | None = None,
        selected: int | None = None,
        filters: Sequence[Mapping[str, object]] = (),
        search: str = "",
        height: int = 720,
    ) -> Explorer:
        """The explorer of this index in a notebook's cell: `sae_vis.explore_index`.

        Args:
            parts: model and dictionary of the index, for effects and prompts.
            tokenizer: of the model, for texts.
            layout: of the cards; None: the default.
            selected: the feature that is open at first.
            filters: ``{"column": …, "low": …, "high": …}`` each.
            search: what the search box holds at first.
            height: of the widget, in pixels.

        Returns:
            The widget.

        Raises:
            InputError: as for `sae_vis.explore_index`.
        """
        from sae_vis import explore_index  # by its public name: the widget is in a room above this one

        return explore_index(
            self,
            parts=parts,
            tokenizer=tokenizer,
            layout=layout,
            selected=selected,
            filters=filters,
            search=search,
            height=height,
        )

    def feature(
        self,
        number: int,
        *,
        parts: ModelAndSae | None = None,
        layout: SaeVisLayoutConfig | None = None,
        compute: ComputeSettings | None = None,
    ) -> FeatureCard:
        """One feature: a notebook shows its card, ``print`` its numbers.

        Args:
            number: of the feature.
            parts: model and dictionary of the index, for what a card shows with them, as for `save_feature_page`.
            layout: of the card; None: the default.
            compute: what is computed beyond what the index holds.

        Returns:
            The card.

        Raises:
            InputError: no such feature.
        """
        self.require_feature(number)
        return FeatureCard(index=self, feature=int(number), parts=parts, layout=layout, compute=compute)
