"""Pages of one prompt, or of two."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from sae_vis.api.asked import checked_file, hooks_of, require_parts
from sae_vis.api.options import ComputeSettings
from sae_vis.api.prompts import mask_of, prompt_ids
from sae_vis.api.sources import view_sources
from sae_vis.deliver.page import PageReport, write_page
from sae_vis.errors import InputError
from sae_vis.index.index import Index
from sae_vis.layout import SaeVisLayoutConfig
from sae_vis.models.base import RunnableModel
from sae_vis.moved import Moved, moved
from sae_vis.neutral import neutrally
from sae_vis.parts import ModelAndSae
from sae_vis.views.prompt import Prompt, PromptSettings, PromptSources, prompt_page

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase


@moved(
    Moved("settings", PromptSettings, ("title", "compare")),
    Moved("compute", ComputeSettings, ("linear_probes", "game")),
)
@neutrally
def save_prompt_page(
    index: Index,
    path: str | Path,
    prompt: Prompt,
    *,
    parts: ModelAndSae,
    tokenizer: PreTrainedTokenizerBase | None = None,
    layout: SaeVisLayoutConfig | None = None,
    settings: PromptSettings | None = None,
    compute: ComputeSettings | None = None,
) -> PageReport:
    """Write a page about one text, which ranks at every token the features that matter most: one HTML file.

    Args:
        index: of the model and dictionary; the features' cards are made from it.
        path: the file.
        prompt: a text, token ids ``[n]``, or chat messages ``[{"role": …, "content": …}, …]``.
        parts: model and dictionary of the index.
        tokenizer: of the model; not needed for token ids.
        layout: of a feature's card; None: the default of prompt-centric pages.
        settings: the title, a second prompt to compare with, what is measured, and how the page begins.
        compute: what is computed for the cards beside the prompt, as for `save_feature_page`.

    Returns:
        Path and sizes of the page.

    Raises:
        InputError: an empty prompt, one longer than the model takes, no tokenizer for a text, a position out of range.
        ForeignIndexError: ``parts`` are not those of the index.
    """
    path = checked_file(path, index)
    settings = settings or PromptSettings()
    require_parts(index, parts)
    sources = prompt_sources(index, parts, compute or ComputeSettings())
    prompts = named_prompts(index, prompt, settings, tokenizer)
    title = settings.title or f"Prompt at {hooks_of(index)} — sae_vis"
    return write_page(prompt_page(sources, prompts, settings, layout, title=title), path)


def prompt_sources(index: Index, parts: ModelAndSae, compute: ComputeSettings) -> PromptSources:
    """What prompts are read with.

    Raises:
        InputError: a model that can't be run to its end.
    """
    if not isinstance(parts.measured, RunnableModel):
        raise InputError(f"a prompt page runs the model to its end, which a {type(parts.measured).__name__} can't")
    return PromptSources(
        views=view_sources(index, parts, compute, effects=False),
        model=parts.measured,
        sae=parts.sae,
        hook=parts.wiring,
        mask=mask_of(index),
    )


def named_prompts(
    index: Index, prompt: Prompt, settings: PromptSettings, tokenizer: PreTrainedTokenizerBase | None
) -> list[tuple[str, list[int]]]:
    """Names and token ids of a prompt, and of the one that it is compared with.

    Raises:
        InputError: as `save_prompt_page`.
    """
    mask, second = mask_of(index), settings.compare
    named = [("Prompt", prompt)] if second is None else [("Prompt A", prompt), ("Prompt B", second)]
    return [(name, prompt_ids(one, tokenizer, mask)) for name, one in named]
