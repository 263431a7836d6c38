"""Exact text of tokens: from the bytes each token id stands for, never from decoding ids one by one.

A token of a byte-level vocabulary is any byte string: a character such as an emoji is often split over several tokens.
Decoding a token alone turns such a piece into U+FFFD, and sentencepiece decoders strip a leading space. Here each id
has its bytes, and `TokenText.display` groups the tokens that share a character.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import NamedTuple, Protocol

from sae_vis.checks import is_whole_number, shown
from sae_vis.errors import InputError

_BYTE_TOKEN = re.compile(r"<0x([0-9A-Fa-f]{2})>")
_SPACE = "▁"


class Tokenizer(Protocol):
    """The part of a transformers or a tokenizers tokenizer that is needed."""

    def get_vocab(self) -> dict[str, int]:
        """All tokens as the vocabulary spells them, with their ids."""


class DisplaySpan(NamedTuple):
    r"""A group of neighbouring tokens that can be shown as text.

    Attributes:
        start: index of the first token.
        stop: index after the last token; ``stop - start > 1`` only where characters are split over tokens.
        text: the group's text; bytes that are no UTF-8 are shown as ``\xNN``.
        data: the group's bytes, exactly.
        special: whether it is a special token or an id without text, to be shown as a name.
    """

    start: int
    stop: int
    text: str
    data: bytes
    special: bool


class TokenText:
    """The bytes of every token id.

    Args:
        table: bytes of each id; an id that is missing is shown as a label such as ``⟨123⟩``.
        special: ids to be shown as names: special tokens such as the beginning of a sequence.
    """

    def __init__(self, table: Mapping[int, bytes], special: Iterable[int] = ()) -> None:
        self._table = dict(table)
        self._special = frozenset(special)

    @classmethod
    def from_tokenizer(cls, tokenizer: Tokenizer) -> TokenText:
        """The vocabulary of a tokenizer: byte-level BPE, sentencepiece with or without byte fallback, WordPiece.

        Added tokens are their literal text. What a tokenizer's normalizer changes (case, Unicode form, a space before
        the first word) is lost before there are tokens; the bytes are those of the normalised text.

        Args:
            tokenizer: a tokenizer of `transformers`, as `load_tokenizer` gives it.

        Returns:
            The bytes of every token.

        Raises:
            InputError: not a tokenizer.
        """
        if not hasattr(tokenizer, "get_vocab"):
            raise InputError(f"tokenizer is {shown(tokenizer)}, expected a tokenizer, as load_tokenizer gives")
        vocab = {token_id: token for token, token_id in tokenizer.get_vocab().items()}
        added = _added_tokens(tokenizer)
        spelling = _spelling(tokenizer, [token for token_id, token in vocab.items() if token_id not in added])
        table = {token_id: spelling(token) for token_id, token in vocab.items() if token_id not in added}
        for token_id, token in added.items():
            keep_literal = token.special or spelling is _byte_level
            table[token_id] = token.content.encode() if keep_literal else spelling(token.content)
        return cls(table, (token_id for token_id, token in added.items() if token.special))

    @classmethod
    def from_vocab(cls, vocab: Mapping[int, str]) -> TokenText:
        """Names given by the user. A tokenizer's raw vocabulary (``Ġ``, ``▁``) is recognised.

        Args:
            vocab: ``{id: text}``.

        Returns:
            The bytes of every token.

        Raises:
            InputError: ids or texts of another kind.
        """
        if not isinstance(vocab, Mapping):
            raise InputError(f"the vocabulary is {shown(vocab)}, expected the text of each token id, {{id: text}}")
        for token_id, token in vocab.items():
            if not is_whole_number(token_id) or not isinstance(token, str):
                raise InputError(
                    f"the vocabulary holds {shown(token_id)}: {shown(token)}, expected {{id: text}}; of a tokenizer's "
                    "get_vocab() it is {id: text for text, id in vocab.items()}"
                )
        spelling = _spelling_of_words(vocab.values())
        return cls({int(token_id): spelling(token) for token_id, token in vocab.items()})

    @classmethod
    def labels(cls) -> TokenText:
        """No text at all: every id is shown as ``⟨id⟩``.

        Returns:
            An empty vocabulary.
        """
        return cls({})

    def bytes_of(self, token_id: int) -> bytes:
        """The bytes that a token stands for.

        Args:
            token_id: the id.

        Returns:
            The bytes; ``⟨id⟩`` for an id without text.

        Raises:
            InputError: an id below 0.
        """
        if token_id < 0:
            raise InputError(f"{token_id} is not a token id; ids start at 0")
        known = self._table.get(int(token_id))
        return f"⟨{int(token_id)}⟩".encode() if known is None else known

    def is_special(self, token_id: int) -> bool:
        """Whether a token is shown as a name.

        Args:
            token_id: the id.

        Returns:
            True for a special token, and for an id without text.
        """
        return token_id in self._special or token_id not in self._table

    def entries(self) -> Iterator[tuple[int, bytes, bool]]:
        """All ids that have text.

        Returns:
            An iterator over id, bytes, and whether it is special; ids ascending.
        """
        return ((token_id, self._table[token_id], token_id in self._special) for token_id in sorted(self._table))

    def display(self, ids: Sequence[int]) -> list[DisplaySpan]:
        """Cut a text into spans for display, each token in exactly one.

        Tokens are grouped where a valid character crosses their border; special tokens always stand alone.

        Args:
            ids: the tokens.

        Returns:
            Spans in order; their ``data``, joined, is the tokens' bytes.
        """
        spans: list[DisplaySpan] = []
        start = 0
        while start < len(ids):
            stop = start + 1
            if self.is_special(ids[start]):
                data = self.bytes_of(ids[start])
                spans.append(DisplaySpan(start, stop, _shown(data), data, special=True))
            else:
                while stop < len(ids) and not self.is_special(ids[stop]):
                    stop += 1
                spans.extend(_spans([self.bytes_of(token_id) for token_id in ids[start:stop]], start))
            start = stop
        return spans


def token_bytes(tokenizer: Tokenizer) -> list[bytes]:
    """Bytes of each id from 0 to the largest of a tokenizer; labels at ids without a token."""
    text = TokenText.from_tokenizer(tokenizer)
    return [text.bytes_of(token_id) for token_id in range(max(tokenizer.get_vocab().values(), default=-1) + 1)]


def _spans(pieces: list[bytes], first: int) -> Iterable[DisplaySpan]:
    """Spans of consecutive ordinary tokens, the first of which has index ``first``."""
    borders = _character_borders(b"".join(pieces))
    start, group, end = 0, b"", 0
    for index, piece in enumerate(pieces):
        group += piece
        end += len(piece)
        if end in borders:
            yield DisplaySpan(first + start, first + index + 1, _shown(group), group, special=False)
            start, group = index + 1, b""


def _character_borders(data: bytes) -> set[int]:
    """Byte offsets between characters; each byte that belongs to no valid character stands alone."""
    borders, offset = {0}, 0
    for character in data.decode("utf-8", errors="surrogateescape"):
        offset += 1 if "\udc80" <= character <= "\udcff" else len(character.encode())
        borders.add(offset)
    return borders


def _shown(data: bytes) -> str:
    return data.decode("utf-8", errors="backslashreplace")


class _AddedToken(Protocol):
    content: str
    special: bool


def _added_tokens(tokenizer: Tokenizer) -> dict[int, _AddedToken]:
    """Tokens added to the model's vocabulary, of a transformers or of a bare tokenizers tokenizer."""
    found: Mapping[int, _AddedToken] | None = getattr(tokenizer, "added_tokens_decoder", None)
    if found is None:
        ask: Callable[[], Mapping[int, _AddedToken]] = getattr(tokenizer, "get_added_tokens_decoder", dict)
        found = ask()
    return dict(found)


def _spelling(tokenizer: Tokenizer, words: list[str]) -> Callable[[str], bytes]:
    """How the vocabulary spells bytes: as the decoder of a fast tokenizer says, else as its words look."""
    backend = getattr(tokenizer, "backend_tokenizer", tokenizer)
    decoder = getattr(backend, "decoder", None)
    if decoder is None or not hasattr(backend, "to_str"):  # slow tokenizers have a `decoder` that is something else
        return _spelling_of_words(words)
    kinds = _decoder_kinds(json.loads(decoder.__getstate__()))
    if "ByteLevel" in kinds:
        return _byte_level
    if "WordPiece" in kinds:
        return _word_piece
    if "ByteFallback" in kinds:
        return _sentencepiece_bytes
    return _sentencepiece if kinds & {"Metaspace", "Replace"} else _spelling_of_words(words)


def _decoder_kinds(decoder: dict[str, object]) -> set[str]:
    """Types of the steps of a tokenizers decoder; of replacements, only that of ``▁``."""
    steps = decoder.get("decoders")
    if isinstance(steps, list):
        return {kind for step in steps for kind in _decoder_kinds(step)}
    if decoder.get("type") == "Replace" and decoder.get("pattern") != {"String": _SPACE}:
        return set()
    return {str(decoder.get("type"))}


def _spelling_of_words(words: Iterable[str]) -> Callable[[str], bytes]:
    """Of a bare vocabulary: byte-level if a word starts with ``Ġ``, sentencepiece if one starts with ``▁``."""
    words = list(words)
    if any(word.startswith("Ġ") for word in words):
        return _byte_level
    if any(word.startswith(_SPACE) for word in words):
        return _sentencepiece_bytes if "<0x0A>" in words else _sentencepiece
    return _literal


def _byte_alphabet() -> dict[str, int]:
    """The characters by which byte-level BPE spells bytes (Radford et al. 2019, GPT-2's ``bytes_to_unicode``)."""
    printable = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    others = [byte for byte in range(256) if byte not in printable]
    return {chr(byte): byte for byte in printable} | {chr(0x100 + i): byte for i, byte in enumerate(others)}


_BYTE_OF = _byte_alphabet()


def _byte_level(word: str) -> bytes:
    """Byte-level spelling; a word with a character outside the alphabet is literal, as in the tokenizers library."""
    if all(character in _BYTE_OF for character in word):
        return bytes(_BYTE_OF[character] for character in word)
    return word.encode()


def _sentencepiece(word: str) -> bytes:
    return word.replace(_SPACE, " ").encode()


def _sentencepiece_bytes(word: str) -> bytes:
    byte = _BYTE_TOKEN.fullmatch(word)
    return bytes([int(byte.group(1), 16)]) if byte else _sentencepiece(word)


def _word_piece(word: str) -> bytes:
    """WordPiece keeps no spaces: a word's first piece is shown with one before it."""
    return (word.removeprefix("##") if word.startswith("##") else f" {word}").encode()


def _literal(word: str) -> bytes:
    return word.encode("utf-8", "replace")
