"""Whatever a user calls a model, as one; and the tokenizer that came with it."""

from __future__ import annotations

from os import PathLike
from typing import TYPE_CHECKING

from sae_vis.errors import InputError
from sae_vis.models.base import LanguageModel
from sae_vis.models.huggingface import HuggingFaceModel
from sae_vis.models.loading import load_model
from sae_vis.models.transformer_lens import TransformerLensModel, transformer_lens_classes
from sae_vis.models.wrapped import unwrapped
from sae_vis.neutral import neutrally

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase


@neutrally
def as_model(model: object) -> LanguageModel:
    """A model as this library sees it.

    Args:
        model: a Hugging Face causal language model, its hub name or local path; a TransformerLens model
            (`HookedTransformer`, its subclasses, `TransformerBridge`); or a model that is adapted already. One that is
            in memory is used as it is, without what ``torch.compile`` or ``DataParallel`` wrap around it; of a model of
            PEFT the base model is used, with the adapters in it.

    Returns:
        The model, as this library uses it.

    Raises:
        InputError: what is no model that it knows, or can't be loaded; a model in pieces on several processes.
    """
    from transformers import PreTrainedModel

    if isinstance(model, LanguageModel):
        return model
    inner = unwrapped(model)
    if isinstance(inner, transformer_lens_classes()):
        return TransformerLensModel(inner)  # type: ignore[arg-type]
    if isinstance(inner, (str, PathLike, PreTrainedModel)):
        return load_model(inner)
    within = "" if inner is model else f" (in a {type(model).__name__})"
    raise InputError(
        f"{type(inner).__name__}{within} is not a model that is known here; give a Hugging Face causal language model, "
        "its name or path, or a TransformerLens model"
    )


def tokenizer_of(model: LanguageModel) -> PreTrainedTokenizerBase | None:
    """The tokenizer of a model, if there is one: its own, or that beside its checkpoint; nothing is downloaded."""
    from transformers import AutoTokenizer

    if isinstance(model, TransformerLensModel):
        return model.tokenizer
    source = model.model.name_or_path if isinstance(model, HuggingFaceModel) else ""
    if not source:
        return None
    try:
        found: PreTrainedTokenizerBase = AutoTokenizer.from_pretrained(source, local_files_only=True)
    except (OSError, ValueError):
        return None
    return found


def bos_of(model: LanguageModel) -> int | None:
    """The id of the token that the model's sequences begin with, if it is known."""
    if isinstance(model, TransformerLensModel):
        found = getattr(model.tokenizer, "bos_token_id", None)
    else:
        found = getattr(getattr(getattr(model, "model", None), "config", None), "bos_token_id", None)
    return found if isinstance(found, int) else None
