"""Components of the user's own: a Python class that gets the data, and an ES module that draws it.

.. code-block:: python

    @dataclass(frozen=True)
    class FirstLetters(CustomComponent):
        type_name = "FirstLetters"
        script = Path(__file__).with_name("first_letters.js")

        n_letters: int = option(26, "bars")

        def data(self, query):
            firings = query.firings()
            ...
            return {"letters": letters, "counts": counts}

The module has a function ``mount(element, data, context)`` at its top level, which draws into ``element`` and may
return a function that cleans up. It becomes part of the page, which loads nothing: it must be whole in itself.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from sae_vis.contract import ComponentData, ComponentModule
from sae_vis.errors import InputError
from sae_vis.layout.base import Component

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from sae_vis.corpus.text import TokenText
    from sae_vis.effects.logit_lens import LogitLens
    from sae_vis.index.index import Examples, Firings, Index, Windows
    from sae_vis.saes.base import Dictionary

Need = Literal["lens", "sae"]
REMEDIES: Mapping[Need, str] = {
    "lens": "logit effects, so the page must be made with the model and the SAE",
    "sae": "the SAE's weights, so the page must be made with the SAE",
}
TYPE_NAME = re.compile(r"[A-Za-z][A-Za-z0-9]*")
IMPORT = re.compile(r"^\s*(import\b|export\b[^;\n]*\bfrom\b)|\bimport\s*\(", re.MULTILINE)
MOUNT = re.compile(r"^\s*(?:export\s+)?(?:async\s+)?(?:function|const|let|var)\s+mount\b", re.MULTILINE)
CLOSES_SCRIPT = re.compile(r"</script|<!--", re.IGNORECASE)
CLOSES_STYLE = re.compile(r"</style|<!--|@import|url\s*\(", re.IGNORECASE)


@dataclass(frozen=True, kw_only=True)
class FeatureQuery:
    """What a component of the user's own can ask about one feature.

    Attributes:
        feature: the feature's id.
        index: every query on the corpus and on other features.
        text: the bytes of each token id.
        lens: logit effects; None where the page is made without the model.
        sae: the dictionary; None where the page is made without it.
    """

    feature: int
    index: Index
    text: TokenText
    lens: LogitLens | None = None
    sae: Dictionary | None = None

    def firings(self) -> Firings:
        """All firings of the feature.

        Returns:
            Corpus positions, ascending, and activations.
        """
        return self.index.firings(self.feature)

    def tokens(self, positions: NDArray[Any]) -> NDArray[np.int32]:
        """Token ids at some corpus positions.

        Args:
            positions: ``[n]``.

        Returns:
            int32 ``[n]``.
        """
        found: NDArray[np.int32] = self.index.tokens[positions]
        return found

    def top_examples(self, k: int, *, before: int | None = 5, after: int | None = 5) -> Examples:
        """The largest firings with different contexts, as `Index.top_examples` gives them.

        Args:
            k: how many at most.
            before: tokens of context before the firing; None: all of the sequence.
            after: tokens of context after it; None: all of the sequence.

        Returns:
            The firings, the largest first.
        """
        return self.index.top_examples(self.feature, k, before=before, after=after)

    def windows(self, positions: NDArray[Any], *, before: int | None = 5, after: int | None = 5) -> Windows:
        """Text around some corpus positions, as `Index.windows` gives it.

        Args:
            positions: ``[n]``.
            before: tokens before each position; None: all of the sequence.
            after: tokens after it; None: all of the sequence.

        Returns:
            A window for each position, with the feature's activation on every token.
        """
        return self.index.windows(self.feature, positions, before=before, after=after)


@dataclass(frozen=True)
class CustomComponent(Component):
    """Base of a component of the user's own: a frozen dataclass whose fields are its options.

    Attributes:
        type_name: its name in layouts and on the page; letters and digits.
        script: text of an ES module with a top-level ``mount(element, data, context)``, or the path of its file.
        style: text of a style sheet for it, or the path of its file.
        needs: what it needs beside the index: ``lens`` for logit effects, ``sae`` for the SAE's weights.
    """

    script: ClassVar[str | Path]
    style: ClassVar[str | Path] = ""
    needs: ClassVar[tuple[Need, ...]] = ()

    def data(self, query: FeatureQuery) -> ComponentData:
        """The data of one feature.

        An array arrives in the browser as a typed array of its values, row by row, with a property ``shape``.

        Args:
            query: what can be asked about the feature.

        Returns:
            The data by name: NumPy arrays of numbers or booleans, or plain JSON values.
        """
        return {}

    def shared(self, index: Index) -> ComponentData:
        """The data that all features of a page share, such as pictures or names.

        Args:
            index: of the page.

        Returns:
            The data by name, as for `data`; the script finds it in ``context.shared``.
        """
        return {}

    def module(self, index: Index) -> ComponentModule:
        """What a page needs to draw the component.

        Args:
            index: of the page.

        Returns:
            Script, style and shared data.

        Raises:
            InputError: a name, a script or a style sheet that can't stand in a page; says why.
        """
        return ComponentModule(
            type=checked_type(type(self)), script=self._script(), style=self._style(), shared=self.shared(index)
        )

    def require(self, query: FeatureQuery) -> None:
        """Check that everything is there that the component needs.

        Args:
            query: what can be asked about a feature.

        Raises:
            InputError: something it needs is missing.
        """
        for need in self.needs:
            if getattr(query, need) is None:
                raise InputError(f"{type(self).__name__} needs {REMEDIES[need]}")

    def _script(self) -> str:
        text, name = _read(self, "script"), type(self).__name__
        if CLOSES_SCRIPT.search(text):
            raise InputError(f"{name}.script holds '</script' or '<!--', which would end it early; write '<\\/script'")
        if IMPORT.search(text):
            raise InputError(
                f"{name}.script imports another module, but a page loads nothing; bundle it into one file first"
            )
        if not MOUNT.search(text):
            raise InputError(
                f"{name}.script has no function mount at its top level; "
                "expected `export function mount(element, data, context)`"
            )
        return text

    def _style(self) -> str:
        text = _read(self, "style")
        if CLOSES_STYLE.search(text):
            raise InputError(
                f"{type(self).__name__}.style holds '</style', '<!--', '@import' or 'url(', "
                "but a page loads nothing and its style must not end early"
            )
        return text


def checked_type(kind: type[Component]) -> str:
    """The component's type name.

    Raises:
        InputError: none, or one that isn't letters and digits.
    """
    found = getattr(kind, "type_name", None)
    if not isinstance(found, str) or not TYPE_NAME.fullmatch(found):
        raise InputError(f"{kind.__name__}.type_name is {found!r}, expected a name of letters and digits")
    return found


def _read(component: CustomComponent, name: str) -> str:
    where, found = f"{type(component).__name__}.{name}", getattr(component, name, None)
    if isinstance(found, Path):
        try:
            return found.read_text(encoding="utf-8").strip()
        except (OSError, UnicodeDecodeError) as error:
            raise InputError(f"{where}: can't read {found}: {error}") from error
    if not isinstance(found, str):
        raise InputError(f"{where} is {found!r}, expected the text of a file, or its path as a pathlib.Path")
    return found.strip()
