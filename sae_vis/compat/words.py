"""What tokens and classes of probes are called."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from sae_vis.checks import require_a
from sae_vis.corpus.text import TokenText
from sae_vis.errors import InputError

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase


def vocabularies(
    given: Mapping[int, str] | Mapping[str, Mapping[int, str]] | None,
) -> tuple[Mapping[int, str] | None, Mapping[int, str] | None]:
    """Names of the tokens, and of the probes' classes.

    Raises:
        InputError: names of something else.
    """
    if given is None:
        return None, None
    require_a(Mapping, given, "vocab_dict", "the text of each token id, {id: text}")
    inner: dict[str, Mapping[int, str]] = {
        name: words for name, words in given.items() if isinstance(name, str) and isinstance(words, Mapping)
    }
    if not inner:
        by_id: Any = {int(token) if str(token).isdecimal() else token: text for token, text in given.items()}
        return by_id, None
    unknown = sorted(set(map(str, given)) - {"embed", "unembed", "probes"})
    if unknown or "embed" not in inner or inner.get("unembed", inner["embed"]) != inner["embed"]:
        raise InputError(
            "vocab_dict= holds the vocabularies 'embed' and 'probes' ('unembed' being equal to 'embed'); found "
            f"{', '.join(map(repr, given))}" + (", with 'unembed' different from 'embed'" if not unknown else "")
        )
    return inner["embed"], inner.get("probes")


def token_text(vocab: Mapping[int, str] | None, tokenizer: PreTrainedTokenizerBase | None) -> TokenText:
    """The text of each token id: as named, or the tokenizer's."""
    if vocab is not None:
        return TokenText.from_vocab(vocab)
    return TokenText.labels() if tokenizer is None else TokenText.from_tokenizer(tokenizer)
