"""Token ids of prompts, whatever they are given as, and the mask that an index was made with."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from sae_vis.checks import is_whole_number, plain, shown, surrogate_at, whole_number
from sae_vis.corpus.mask import MaskConfig
from sae_vis.errors import InputError
from sae_vis.index.index import Index
from sae_vis.views.prompt import Prompt

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

PROMPTS = "a text, token ids [n], or a list of chat messages with role and content"
_NO_TOKENIZER = "the prompt is text, so its tokenizer is needed: give tokenizer=, or the prompt as token ids"


def token_ids(prompt: Prompt, tokenizer: PreTrainedTokenizerBase | None, bos_id: int | None = None) -> list[int]:
    """Token ids of a prompt.

    Args:
        prompt: a text, which gets `bos_id` in front; chat messages, through the tokenizer's template; or token ids,
            which are taken as they are.
        tokenizer: for text and messages.
        bos_id: what the index's sequences began with; None: nothing.

    Raises:
        InputError: an empty prompt, something else than one, text without a tokenizer, messages without a template.
    """
    if isinstance(prompt, str):
        return _text_ids(prompt, tokenizer, bos_id)
    listed = _listed_prompt(prompt)
    if all(is_whole_number(one) for one in listed):
        return [whole_number(one, "a token of the prompt", 0) for one in listed]
    if not all(isinstance(one, Mapping) and {"role", "content"} <= one.keys() for one in listed):
        raise InputError(
            f"the prompt is {shown(prompt)}, expected {PROMPTS}; for two prompts there is "
            "settings=PromptSettings(compare=…)"
        )
    if tokenizer is None:
        raise InputError(_NO_TOKENIZER)
    if tokenizer.chat_template is None:
        raise InputError("the prompt is a chat, but the tokenizer has no chat template: give the text, or token ids")
    found: Any = tokenizer.apply_chat_template(listed, tokenize=True, add_generation_prompt=True, return_dict=True)
    return [int(token) for token in found["input_ids"]]


def _text_ids(prompt: str, tokenizer: PreTrainedTokenizerBase | None, bos_id: int | None) -> list[int]:
    """Token ids of a text."""
    if not prompt:
        raise InputError("the prompt is empty: give some text, messages or token ids")
    if tokenizer is None:
        raise InputError(_NO_TOKENIZER)
    at = surrogate_at(prompt)
    if at is not None:
        raise InputError(
            f"the prompt holds half a character (the surrogate {prompt[at]!r} at index {at}), which is not text: give "
            "it without, or .encode('utf-16', 'surrogatepass').decode('utf-16', 'replace')"
        )
    ids = tokenizer(prompt, add_special_tokens=False)["input_ids"]
    return ([] if bos_id is None else [bos_id]) + [int(token) for token in ids]


def _listed_prompt(prompt: object) -> list[Any]:
    """What a prompt that is not text holds."""
    if isinstance(prompt, Mapping) and "input_ids" in prompt:
        raise InputError("the prompt is a tokenizer's output, expected token ids [n]: give its input_ids, of one text")
    if isinstance(prompt, (bytes, bytearray, Mapping)) or not isinstance(prompt, Iterable):
        raise InputError(f"the prompt is {shown(prompt)}, expected {PROMPTS}")
    values = plain(prompt)
    listed = list(values) if isinstance(values, Iterable) else [values]
    if not listed:
        raise InputError("the prompt is empty: give some text, messages or token ids")
    if all(isinstance(plain(one), (list, tuple)) for one in listed):
        raise InputError(f"the prompt is {shown(prompt)}, expected one row of token ids [n]: give prompt[0]")
    return listed


def prompt_ids(prompt: Prompt, tokenizer: PreTrainedTokenizerBase | None, mask: MaskConfig) -> list[int]:
    """Token ids of a prompt.

    Raises:
        InputError: as `token_ids`; ids that begin with padding, which would be attended to.
    """
    ids = token_ids(prompt, tokenizer, mask.bos_id)
    if isinstance(prompt, str) or mask.pad_id is None:
        return ids
    leading = next((i for i, token in enumerate(ids) if token != mask.pad_id), len(ids))
    if leading > (0 if mask.bos_id not in (None, mask.pad_id) else 1):
        raise InputError(
            f"the prompt begins with {leading} tokens of padding (id {mask.pad_id}), which the model would attend to: "
            "give it without"
        )
    return ids


def single_token(text: str, tokenizer: PreTrainedTokenizerBase) -> int:
    """The id of the one token that a text is.

    Raises:
        InputError: a text of another number of tokens.
    """
    ids = tokenizer(text, add_special_tokens=False)["input_ids"]
    if len(ids) != 1:
        raise InputError(f"{text!r} is {len(ids)} tokens, expected one; mind the space that most words begin with")
    return int(ids[0])


def mask_of(index: Index) -> MaskConfig:
    """The mask that an index was made with; an empty one where its manifest does not say."""
    settings = dict(index.manifest.provenance.corpus.get("mask_settings", {}))
    listed = {name: tuple(settings[name]) for name in ("ids", "seqpos_slice") if name in settings}
    return MaskConfig(**{**settings, **listed})
