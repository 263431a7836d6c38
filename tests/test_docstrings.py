"""Docstrings of what the reference lists: a section for each argument, result and error, in sentences of 30 words."""

from __future__ import annotations

import ast
import dataclasses
import inspect
import re
import sys
import textwrap
from collections.abc import Callable, Iterator
from typing import Protocol

import pytest

from sae_vis import errors
from tests.docs_blocks import ROOT
from tests.test_docs_complete import DOCUMENTED, found, methods

sys.path.insert(0, str(ROOT / "docs"))

import check_words

ERRORS = {
    name for name, kind in vars(errors).items() if isinstance(kind, type) and issubclass(kind, errors.SaeVisError)
}
SECTIONS = ("Args", "Attributes", "Returns", "Yields", "Raises")
HEADING = re.compile(rf"^({'|'.join(SECTIONS)}):\n", re.MULTILINE)
CODE = re.compile(r"(`+)[^`]+?\1")


def described(path: str) -> Iterator[tuple[str, object]]:
    """What a name of the reference leads to: itself, and its methods and properties where it is a class."""
    thing = found(path)
    yield path, thing
    if isinstance(thing, type):
        yield from ((f"{path}.{name}", method) for name, method in methods(thing).items())


THINGS = dict(one for path in DOCUMENTED for one in described(path))
CALLS = {name: thing for name, thing in THINGS.items() if inspect.isfunction(thing)}
CLASSES = {name: thing for name, thing in THINGS.items() if isinstance(thing, type) and Protocol not in thing.__bases__}


def sections(doc: str) -> dict[str, str]:
    """Text of each section; what is in front of them all is ``""``."""
    parts = HEADING.split(f"{doc}\n")
    return {"": parts[0], **dict(zip(parts[1::2], parts[2::2], strict=True))}


def entries(section: str) -> dict[str, str]:
    """Name and text of each entry of a section."""
    return dict(re.findall(r"^    \*{0,2}(\w+): (\S.*(?:\n(?:     .*)?)*)", section, flags=re.MULTILINE))


def raised(call: Callable[..., object]) -> set[str]:
    """Errors of this library that a function raises in its own body."""
    tree = ast.parse(textwrap.dedent(inspect.getsource(inspect.unwrap(call))))
    made = (node.exc.func for node in ast.walk(tree) if isinstance(node, ast.Raise) and isinstance(node.exc, ast.Call))
    return {ast.unparse(kind).rpartition(".")[2] for kind in made} & ERRORS


def untold(errors_of: set[str], told: dict[str, str]) -> list[str]:
    """Errors that no section names, neither they nor what they are kinds of."""
    named = set(entries(told.get("Raises", "")))
    return sorted(name for name in errors_of if not named & {kind.__name__ for kind in getattr(errors, name).__mro__})


def complaints(call: Callable[..., object]) -> list[str]:
    """What a function's docstring lacks."""
    signature, told = inspect.signature(call), sections(inspect.getdoc(call) or "")
    arguments = [name for name in signature.parameters if name not in ("self", "cls")]
    gives = str(signature.return_annotation) not in ("None", "NoReturn")
    return [
        *(f"Args: {name}" for name in arguments if name not in entries(told.get("Args", ""))),
        *(f"no parameter {name}" for name in entries(told.get("Args", "")) if name not in arguments),
        *(["Returns"] if gives and not {"Returns", "Yields"} & set(told) else []),
        *(f"Raises: {name}" for name in untold(raised(call), told)),
    ]


def sentences(doc: str) -> Iterator[str]:
    """Sentences of a docstring. In a section each entry is a text, and a semicolon ends a sentence of it."""
    for name, section in sections(doc).items():
        texts = re.split(r"\n(?=    \w)|;", section) if name else re.split(r"\n\s*\n|\n(?=- )", section)
        for text in texts:
            yield from check_words.sentences(" ".join(CODE.sub(check_words.MARK, text).split()))


@pytest.mark.parametrize("name", sorted(CALLS))
def test_a_call_says_what_it_takes_gives_and_raises(name: str):
    assert complaints(CALLS[name]) == []


@pytest.mark.parametrize("name", sorted(CLASSES))
def test_a_class_says_what_it_is_made_of(name: str):
    kind = CLASSES[name]
    told = sections(inspect.getdoc(kind) or "")
    known = entries(told.get("Args", "") + told.get("Attributes", ""))
    own = vars(kind).get("__init__")
    if own is not None and not dataclasses.is_dataclass(kind):
        assert [name for name in inspect.signature(own).parameters if name != "self" and name not in known] == []
    makes = [vars(kind)[name] for name in ("__init__", "__post_init__") if inspect.isfunction(vars(kind).get(name))]
    written = [make for make in makes if inspect.unwrap(make).__code__.co_filename != "<string>"]
    assert untold({error for make in written for error in raised(make)}, told) == []


@pytest.mark.parametrize("name", sorted(THINGS))
def test_sentences_of_docstrings_are_short(name: str):
    thing = THINGS[name]
    doc = inspect.getdoc(thing) or ""
    counted = ((check_words.words(sentence), sentence) for sentence in sentences(doc))
    assert [sentence for n, sentence in counted if n > check_words.MOST_WORDS] == []


def test_what_is_missing_is_found():
    def call(a: int, *b: int, **c: int) -> int:
        """Add.

        Args:
            a: one.
            d: none of them.

        Raises:
            IndexFileError: never.
        """
        if not a:
            raise errors.InputError("a is 0, expected another number")
        return a + sum(b) + sum(c.values())

    assert complaints(call) == ["Args: b", "Args: c", "no parameter d", "Returns", "Raises: InputError"]
    long = " ".join(["word"] * 31)
    assert list(sentences(f"{long}.\n\nArgs:\n    a: one. W{long};\n        {long}")) == [
        f"{long}.",
        "a: one.",
        f"W{long}",
        long,
    ]
