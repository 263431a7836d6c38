"""What `sae-vis search` prints: matches in context, and the features of their tokens."""

from __future__ import annotations

import re

import numpy as np
import pytest

from sae_vis.config import IndexConfig
from sae_vis.corpus.mask import MaskConfig
from sae_vis.corpus.text import TokenText
from sae_vis.corpus.tokens import Corpus
from sae_vis.errors import InputError
from sae_vis.index.build import Source, build_index
from sae_vis.index.index import Index
from sae_vis.views.search_lines import feature_lines, match_lines
from tests.whole_numbers import WholeModel, WholeSae

PIECES = {1: b"one", 2: b" t", 3: b"wo", 4: b"\n", 5: b"\xf0\x9f", 6: b"\x9a\x80", 7: b" seven", 0: b"<s>"}


def index_of(*rows: list[int], fired_tokens: int = 10, text: TokenText | None = None) -> Index:
    text = text or TokenText(PIECES, special=[0])
    corpus = Corpus.from_tokens([list(row) for row in rows], MaskConfig(ids=(0, 4)))
    model = WholeModel()
    source = Source(corpus=corpus, model=model, sae=WholeSae(), hook=model.hook_point("here"), text=text)
    return build_index(source, config=IndexConfig(fired_tokens=fired_tokens))


def test_matches_stand_in_their_context():
    index = index_of([0, 1, 2, 3, 4, 1], [0, 7, 5, 6, 2, 3], [0, 2, 3, 2, 3, 1])
    found = index.find_text("two")
    assert match_lines(index, "two", found, 3) == [
        "'two' stands 4 times in the text, 0 of them as whole tokens",
        "  sequence 0, position 2: one «two»\\none",
        "  sequence 1, position 4:  seven🚀 «two»",
        "  sequence 2, position 1:  «two» twoone",
        "  … 1 more",
    ]
    assert match_lines(index, "\x9f", index.find_text(b"\x9f"), 1)[1].endswith("seven\\xf0«\\x9f»\\x9a\\x80 two")
    assert match_lines(index, "zz", index.find_text("zz"), 3) == ["'zz' stands nowhere in the text"]
    assert match_lines(index, "seven", index.find_text("seven"), 0)[0].startswith("'seven' stands once in the text, ")


@pytest.mark.parametrize("rank", ["lift", "count", "mass"])
def test_features_are_those_of_the_tokens(rank):
    index = index_of([0, 1, 2, 3, 4, 1], [0, 7, 5, 6, 2, 3], [0, 2, 3, 2, 3, 1])
    positions = index.find_text("two\n").positions
    found = index.features_of(positions, 4, rank=rank)
    first, head, *lines = feature_lines(index, positions, rank, 4)
    assert first == "2 unmasked tokens, 1 masked ones"
    assert head.split() == ["feature", rank, "fires", "there", "elsewhere", "mass", "fires", "most", "on"]
    assert [int(line.split()[0]) for line in lines] == found.feature.tolist()
    for line, feature, n in zip(lines, found.feature, found.n_firings, strict=True):
        numbers, _, tokens = re.match(r"(.*%\s+[\d.,]+)(  )(.*)", line).groups()
        assert numbers.split()[2] == str(n)
        own = index.fired_tokens(int(feature))
        best = PIECES[int(own.tokens[0])].decode("utf-8", "backslashreplace")
        assert tokens.startswith(f"{best!r} {own.count_shares[0]:.0%}")


def test_an_index_without_fired_tokens_has_no_column_of_them():
    index = index_of([0, 1, 2, 3, 4, 1], fired_tokens=0)
    lines = feature_lines(index, np.arange(3), "count", 4)
    assert "fires most on" not in lines[1]
    assert len(lines) > 2


def test_nothing_fires_on_masked_tokens():
    index = index_of([0, 1, 2, 3, 4, 1])
    assert feature_lines(index, np.array([4]), "lift", 4) == [
        "0 unmasked tokens, 1 masked ones",
        "no feature fires there more than elsewhere",
    ]
    assert feature_lines(index, np.array([4]), "mass", 4)[1] == "no feature fires there"


def test_options_that_make_no_sense():
    index = index_of([0, 1, 2])
    with pytest.raises(InputError, match="--rank is 'best', expected one of lift, count, mass"):
        feature_lines(index, np.array([1]), "best", 4)
    with pytest.raises(InputError, match="--count is 0, expected at least 1"):
        feature_lines(index, np.array([1]), "lift", 0)
