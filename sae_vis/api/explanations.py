"""Explanations of features, kept beside an index."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from sae_vis.checks import require_a, shown
from sae_vis.errors import InputError
from sae_vis.index.explanation_files import read_explanations
from sae_vis.index.explanations import Explanation, Explanations
from sae_vis.index.index import Index


def keep_explanations(
    index: Index,
    explanations: str | Path | Iterable[Explanation],
    *,
    replace: bool = False,
    source: str = "",
    only: str | None = None,
) -> Explanations:
    """Keep what is said of features beside an index: cards show it, the explorer lists, sorts and searches it.

    Args:
        index: the index.
        explanations: a file or a folder (`read_explanations`), or `Explanation` objects.
        replace: whether to forget those that are there; else they are added to, and one of the same feature, text and
            source takes the place of the one there.
        source: who says so, where a file does not.
        only: of files that hold several dictionaries, which.

    Returns:
        All that are kept now.

    Raises:
        InputError: no explanations, or a feature that the index does not have; nothing is written.
        IndexFileError: they can't be written beside the index.
    """
    require_a(Index, index, "index", 'Index.open("my-index")')
    if isinstance(explanations, (str, Path)):
        given = read_explanations(explanations, source=source, only=only)
    else:
        given = list(explanations)
    for one in given:
        if not isinstance(one, Explanation):
            raise InputError(f"explanations hold {shown(one)}, expected sv.Explanation(feature=…, text=…)")
    outside = [one.feature for one in given if one.feature >= index.n_features]
    if outside:
        raise InputError(
            f"there is an explanation of feature {outside[0]}, but the index has features 0 to {index.n_features - 1}: "
            "are these explanations of its dictionary? Nothing was written"
        )
    before = [] if replace else list(index.explanations)
    made = Explanations.of([*before, *given])
    index.write_explanations(made)
    return made
