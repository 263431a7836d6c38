"""The search box: every way of finding features against a slow definition."""

from __future__ import annotations

import numpy as np
import pytest

from sae_vis.errors import InputError
from sae_vis.explore.search import MOST_FOUND, Search


@pytest.fixture(scope="module")
def search(demo_index):
    return Search(demo_index)


def by_way(answer):
    return {hits.way: hits for hits in answer.hits}


def tokens_of(index, word):
    spelled = {
        token: data.decode("utf-8", "replace").strip().lower()
        for token, data, special in index.text.entries()
        if not special
    }
    same = [token for token, text in spelled.items() if text == word]
    return same or [token for token, text in spelled.items() if text.startswith(word)]


@pytest.mark.parametrize("word", ["the", "self", "WAR", " of ", "colle", "xyzzy"])
def test_features_that_fire_on_a_token(search, demo_index, word):
    tokens = tokens_of(demo_index, word.strip().lower())
    expected = {}
    for feature in range(demo_index.n_features):
        listed = demo_index.fired_tokens(feature)
        share = sum(n for token, n in zip(listed.tokens, listed.counts, strict=True) if token in tokens)
        if share:
            expected[feature] = share / demo_index.column("n_firings")[feature]
    hits = by_way(search.find(word))["fires"]
    assert hits.n_places == len(tokens)
    assert len(hits.features) == min(len(expected), MOST_FOUND)
    assert hits.features.tolist() == sorted(expected, key=lambda feature: (-expected[feature], feature))[:MOST_FOUND]
    np.testing.assert_allclose(hits.scores, [expected[feature] for feature in hits.features.tolist()], rtol=1e-6)


@pytest.mark.parametrize("word", ["the", "self", "xyzzy"])
def test_features_that_push_a_token_up(search, demo_index, word):
    tokens = tokens_of(demo_index, word)
    expected = {}
    for feature in range(demo_index.n_features):
        listed = zip(demo_index.lists("top_tokens", feature), demo_index.lists("top_logits", feature), strict=True)
        effects = [float(effect) for token, effect in listed if token in tokens]
        if effects and max(effects) > 0:
            expected[feature] = max(effects)
    hits = by_way(search.find(word))["pushes"]
    assert dict(zip(hits.features.tolist(), hits.scores.tolist(), strict=True)) == expected
    assert (np.diff(hits.scores) <= 0).all()


def test_features_of_a_phrase(search, demo_index):
    hits = by_way(search.find("of the"))["phrase"]
    matches = demo_index.find_text("of the", ignore_case=True)
    found = demo_index.features_of(matches.positions, MOST_FOUND)
    assert hits.n_places == len(matches.starts) > 0
    np.testing.assert_array_equal(hits.features, found.feature)
    np.testing.assert_array_equal(hits.scores, found.score.astype(np.float32))


def test_a_phrase_that_stands_nowhere(search):
    hits = by_way(search.find("zzzz qqqq"))["phrase"]
    assert hits.n_places == 0
    assert len(hits.features) == 0


def test_letters_that_are_no_ascii_are_looked_for_as_they_are(search):
    assert {hits.way for hits in search.find("Ärger").hits} == {"fires", "pushes", "phrase"}


@pytest.mark.parametrize("words", ["", "  ", "\n"])
def test_nothing_to_look_for(search, words):
    with pytest.raises(InputError, match="nothing to look for"):
        search.find(words)
