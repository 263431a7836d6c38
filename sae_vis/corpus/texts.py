"""Documents as users have them: anything that is not text is refused by its number."""

from __future__ import annotations

import math
import warnings
from collections.abc import Iterable, Iterator, Mapping, Set
from os import PathLike

from sae_vis.checks import shown, surrogate_at
from sae_vis.corpus.labels import LabelledText
from sae_vis.errors import InputError


def documents_of(texts: object) -> Iterable[str | LabelledText]:
    """Documents, one after the other.

    Raises:
        InputError: one text in place of several, a path, a mapping, a table, a set, or nothing to go through.
    """
    if isinstance(texts, (str, bytes, LabelledText)):
        raise InputError(f"texts is one text, {shown(texts)}, expected several documents: give a list, such as [text]")
    if isinstance(texts, PathLike):
        raise InputError(f"texts is the path {str(texts)!r}, expected texts: give [path.read_text('utf-8')]")
    if isinstance(texts, Mapping):
        raise InputError("texts is a mapping, expected a list of documents: give list(texts.values())")
    if isinstance(texts, Set):
        raise InputError("texts is a set, whose order is another in every run: give a list, such as sorted(texts)")
    if hasattr(texts, "columns"):
        raise InputError(f"texts is a {type(texts).__name__}, expected texts: give one column of it")
    if not isinstance(texts, Iterable):
        raise InputError(f"texts is {shown(texts)}, expected a list of documents")
    return _numbered(texts)


def _numbered(texts: Iterable[object]) -> Iterator[str | LabelledText]:
    for number, document in enumerate(texts):
        text = document.text if isinstance(document, LabelledText) else document
        if not isinstance(text, str):
            raise InputError(f"document {number} is {shown(text)}, expected text{_hint(text)}")
        yield document if isinstance(document, LabelledText) else str(text)


def _hint(found: object) -> str:
    if found is None or (isinstance(found, float) and math.isnan(found)):  # by which tables say that there is none
        return ": leave it out"
    if isinstance(found, bytes):
        return ": decode it first, such as by .decode('utf-8')"
    if isinstance(found, Mapping):
        return ": give the column that holds the text"
    if isinstance(found, (list, tuple)) and all(isinstance(one, int) for one in found):
        return ": for token ids there is Corpus.from_tokens"
    return ""


def checked_texts(texts: Iterable[str]) -> Iterator[str]:
    """The texts; in place of half characters (lone surrogates) U+FFFD, and a warning that says so.

    Two surrogates that are one character together, as in JSON escapes, become that character.
    """
    damaged: list[int] = []
    for number, text in enumerate(texts):
        if surrogate_at(text) is None:
            yield text
            continue
        damaged.append(number)
        yield text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
    if damaged:
        several = f"{len(damaged)} documents hold" if len(damaged) > 1 else "a document holds"
        warnings.warn(
            f"{several} surrogates (halves of characters), which are not text; the first is document {damaged[0]}: "
            "they are read as U+FFFD, pairs as the characters that they stand for",
            stacklevel=5,  # where Corpus.from_texts is called, through `moved`
        )
