"""The table of the tokens that a feature fires on most, against a count over all firings."""

from __future__ import annotations

from collections import Counter, defaultdict

import numpy as np
import pytest
import torch

from sae_vis.config import IndexConfig
from sae_vis.corpus.text import TokenText
from sae_vis.corpus.tokens import Corpus
from sae_vis.errors import InputError
from sae_vis.index.build import build_index
from sae_vis.index.from_activations import ActivationsSource
from sae_vis.index.index import Index
from sae_vis.layout import Column, SaeVisLayoutConfig, TopTokensConfig
from sae_vis.views.feature import feature_view
from sae_vis.views.sources import ViewSources


def made(**settings: object) -> Index:
    dice = torch.Generator().manual_seed(3)
    acts = torch.relu(torch.randn(6, 20, 5, generator=dice) - 0.5)
    acts[..., 4] = 0
    tokens = torch.randint(0, 7, (6, 20), generator=dice)
    source = ActivationsSource(corpus=Corpus.from_tokens(tokens), activations=acts, n_features=5)
    return build_index(source, config=IndexConfig(**settings))


def table(index: Index, feature: int, n_rows: int = 10):
    layout = SaeVisLayoutConfig([Column(TopTokensConfig(n_rows=n_rows))])
    return feature_view(ViewSources(index=index, text=TokenText.labels()), feature, layout).top_tokens


@pytest.mark.parametrize("n_rows", [3, 10])
def test_firings_and_mass_of_each_token(n_rows: int) -> None:
    index = made()
    for feature in range(4):
        firings, mass = index.firings(feature), defaultdict(float)
        tokens = index.tokens[firings.positions].tolist()
        for token, act in zip(tokens, firings.acts.astype(np.float64), strict=True):
            mass[token] += act
        counts = Counter(tokens)
        best = sorted(counts, key=lambda token: (-counts[token], -mass[token], token))[:n_rows]
        found = table(index, feature, n_rows)
        assert found.tokens.tolist() == best
        assert found.n_firings.tolist() == [counts[token] for token in best]
        whole = sum(mass.values())
        np.testing.assert_allclose(found.mass_share, [mass[token] / whole for token in best], rtol=1e-6)
        assert found.n_distinct == len(counts)


def test_a_dead_feature_has_an_empty_table() -> None:
    found = table(made(), 4)
    assert len(found.tokens) == found.n_distinct == 0


def test_an_index_without_them_has_no_table() -> None:
    assert table(made(fired_tokens=0), 1) is None


def test_more_rows_than_the_index_holds_are_refused() -> None:
    with pytest.raises(InputError, match=r"TopTokensConfig.n_rows is 4, but the index holds 3 rows"):
        table(made(fired_tokens=3), 1, n_rows=4)
