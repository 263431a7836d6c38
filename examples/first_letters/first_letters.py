"""A component of one's own: which letters the tokens begin with on which a feature fires.

Usage: python first_letters.py INDEX OUT.html [FEATURE ...]
"""

from __future__ import annotations

import string
import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np

import sae_vis as sv
from sae_vis.layout import CustomComponent, FeatureQuery, option

LETTERS = string.ascii_uppercase


def first_letter(token: bytes) -> int:
    """0 to 25 for a token that begins with A to Z in either case, white space aside; 26 for any other."""
    text = token.decode("utf-8", "replace").strip().upper()
    return LETTERS.index(text[0]) if text and text[0] in LETTERS else len(LETTERS)


@dataclass(frozen=True)
class FirstLetters(CustomComponent):
    """Firings by the first letter of the token, beside what is usual in the corpus."""

    type_name = "FirstLetters"
    script = Path(__file__).with_name("first_letters.js")
    style = Path(__file__).with_name("first_letters.css")

    height: int = option(120, "height of the chart in pixels")

    def data(self, query: FeatureQuery) -> dict[str, np.ndarray]:
        """Firings by first letter."""
        tokens, counts = np.unique(query.tokens(query.firings().positions), return_counts=True)
        return {"firings": by_letter(query.text, tokens, counts)}

    def shared(self, index: sv.Index) -> dict[str, object]:
        """Tokens of the whole corpus by first letter: what a feature that does not care would show."""
        tokens, counts = np.unique(index.tokens, return_counts=True)
        return {"letters": [*LETTERS, "other"], "tokens": by_letter(index.text, tokens, counts)}


def by_letter(text: sv.TokenText, tokens: np.ndarray, counts: np.ndarray) -> np.ndarray:
    """Counts of token ids as counts of first letters, int64 ``[27]``."""
    letters = [first_letter(text.bytes_of(int(token))) for token in tokens]
    return np.bincount(np.array(letters, dtype=np.int64), weights=counts, minlength=27).astype(np.int64)


def layout() -> sv.SaeVisLayoutConfig:
    """The component beside the activation histogram and the examples."""
    return sv.SaeVisLayoutConfig(
        [
            sv.Column(FirstLetters(), sv.ActsHistogramConfig(), sv.LogitsTableConfig(), width=420),
            sv.Column(sv.SeqMultiGroupConfig(n_quantiles=5)),
        ]
    )


if __name__ == "__main__":
    features = [int(number) for number in sys.argv[3:]] or 50
    print(sv.save_feature_page(sv.Index.open(sys.argv[1]), sys.argv[2], features=features, layout=layout()))
