"""A phrase in an index's text: where it stands, and the features that fire there, as lines of text."""

from __future__ import annotations

from typing import get_args

import numpy as np
from numpy.typing import NDArray

from sae_vis.corpus.text import TokenText
from sae_vis.errors import InputError
from sae_vis.index.examples import spans
from sae_vis.index.index import Index
from sae_vis.index.text_search import Matches
from sae_vis.index.token_codes import FeatureRank

CONTEXT = 8  # tokens shown on either side of a match
TOKENS = 3  # of those that a feature fires on most


def match_lines(index: Index, phrase: str, matches: Matches, n: int) -> list[str]:
    """How many matches there are, and the first ``n`` in their context, between ``«`` and ``»``."""
    whole, exact = len(matches.starts), int(matches.exact.sum())
    if whole == 0:
        return [f"{phrase!r} stands nowhere in the text"]
    lines = [f"{phrase!r} stands {times(whole)} in the text, {exact:,} of them as whole tokens"]
    text = index.text
    for start, stop, before, after in zip(*(column[:n].tolist() for column in matches), strict=True):
        sequence, place = (int(one[0]) for one in index.place(np.array([start])))
        low = spans(index.offsets, np.array([start]), CONTEXT, 0)[0][0]
        high = spans(index.offsets, np.array([stop - 1]), 0, CONTEXT)[1][0]
        left, found, right = (
            _spelled(text, index.tokens[slice(*ends)]) for ends in ((low, start), (start, stop), (stop, high))
        )
        end = len(found) - after
        shown = left + found[:before] + "«".encode() + found[before:end] + "»".encode() + found[end:] + right
        lines.append(f"  sequence {sequence}, position {place}: {_one_line(shown)}")
    if whole > n:
        lines.append(f"  … {whole - n:,} more")
    return lines


def feature_lines(index: Index, positions: NDArray[np.int64], rank: str, n: int) -> list[str]:
    """The ``n`` features that fire on the tokens at ``positions`` most, a line each.

    Raises:
        InputError: no such rank, fewer than one feature asked for, an index without codes by token.
    """
    by: FeatureRank | None = next((known for known in get_args(FeatureRank) if known == rank), None)
    if by is None:
        raise InputError(f"--rank is {rank!r}, expected one of {', '.join(get_args(FeatureRank))}")
    if n < 1:
        raise InputError(f"--count is {n}, expected at least 1")
    found = index.features_of(positions, n, rank=by)
    lines = [f"{found.n_tokens:,} unmasked tokens, {len(np.unique(positions)) - found.n_tokens:,} masked ones"]
    if len(found.feature) == 0:
        return [*lines, "no feature fires there" + (" more than elsewhere" if by == "lift" else "")]
    heads = ("feature", by, "fires there", "elsewhere", "mass")
    listed = "fired_tokens" in index.column_names
    lines.append("{:>8} {:>11} {:>16} {:>9} {:>10}".format(*heads) + ("  fires most on" if listed else ""))
    text = index.text
    for feature, score, count, share, elsewhere, mass in zip(*found[:-1], strict=True):
        line = f"{feature:>8} {score:>11,.1f} {count:>8,} {share:>7.1%} {elsewhere:>9.3%} {mass:>10,.1f}"
        lines.append(line + (f"  {_fires_on(index, text, int(feature))}" if listed else ""))
    return lines


def times(n: int) -> str:
    """How often, in words."""
    return "once" if n == 1 else f"{n:,} times"


def _fires_on(index: Index, text: TokenText, feature: int) -> str:
    found = index.fired_tokens(feature)
    named = zip(found.tokens.tolist(), found.count_shares.tolist(), strict=True)
    return ", ".join(
        f"{text.bytes_of(token).decode('utf-8', 'backslashreplace')!r} {share:.0%}"
        for token, share in list(named)[:TOKENS]
    )


def _spelled(text: TokenText, tokens: NDArray[np.int32]) -> bytes:
    """Bytes of tokens, nothing for those that are not text."""
    return b"".join(text.bytes_of(token) for token in tokens.tolist() if not text.is_special(token))


def _one_line(data: bytes) -> str:
    """As text in one line: what is not printable, and halves of characters, as escapes."""
    text = data.decode("utf-8", "backslashreplace")
    return "".join(one if one.isprintable() else one.encode("unicode_escape").decode() for one in text)
