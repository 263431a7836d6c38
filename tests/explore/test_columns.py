"""Columns of the table: what the feature table says, or a slow definition of it."""

from __future__ import annotations

import numpy as np
import pytest

from sae_vis.errors import InputError
from sae_vis.explore.columns import LISTS, Columns
from sae_vis.explore.rows import MOST_ROWS, TOKENS, row_texts


@pytest.fixture(scope="module")
def columns(demo_index, parts):
    return Columns(demo_index, parts.sae)


def test_every_column_has_a_value_of_each_feature(columns, demo_index):
    assert len(set(columns.names)) == len(columns.names)
    for name in columns.names:
        values = columns.values(name)
        assert values.shape == (demo_index.n_features,)
        kind = next(info.kind for info in columns.infos if info.name == name)
        assert values.dtype == (np.float32 if kind == "number" else np.int32), name


@pytest.mark.parametrize("name", ["density", "max", "n_firings", "n_fired_tokens"])
def test_numbers_are_those_of_the_feature_table(columns, demo_index, name):
    np.testing.assert_array_equal(columns.values(name), demo_index.column(name).astype(np.float32))


@pytest.mark.parametrize("name", ["mean", "std", "skewness", "kurtosis"])
def test_moments_of_features_that_never_fire_are_not_known(columns, demo_index, name):
    fires = demo_index.column("n_firings") > 0
    np.testing.assert_array_equal(columns.values(name)[fires], demo_index.column(name)[fires].astype(np.float32))
    assert np.isnan(columns.values(name)[~fires]).all()


def test_lists_by_their_first_entries(columns, demo_index):
    share, correlated, top = (columns.values(name) for name in ("top_share", "correlated", "top_token"))
    for feature in range(0, demo_index.n_features, 37):
        firings = demo_index.firings(feature)
        pearson = demo_index.lists("correlated_features_pearson", feature)
        if len(firings.acts) == 0:
            assert np.isnan(share[feature])
            assert top[feature] == -1
            continue
        _, counts = np.unique(demo_index.tokens[firings.positions], return_counts=True)
        assert share[feature] == pytest.approx(counts.max() / len(firings.acts), rel=1e-6)
        assert top[feature] == demo_index.tokens[firings.positions[np.argmax(firings.acts)]]
        assert np.isnan(correlated[feature]) if len(pearson) == 0 else correlated[feature] == pearson.max()


def test_reconstruction_is_the_mean_square_of_what_is_added(columns, demo_index, parts):
    values = columns.values("reconstruction")
    for feature in range(0, demo_index.n_features, 101):
        acts = demo_index.firings(feature).acts.astype(np.float64)
        added = acts[:, None] * parts.sae.decoder[feature].detach().numpy().astype(np.float64)
        assert values[feature] == pytest.approx((added**2).sum() / demo_index.n_counted, rel=1e-5)


def test_without_the_dictionary_there_is_no_reconstruction(demo_index):
    assert "reconstruction" not in Columns(demo_index).names


def test_densities_by_label_are_those_of_the_index(columns, demo_index):
    titles = {info.name: info.title for info in columns.infos}
    for number, labelling in enumerate(demo_index.labellings):
        density = demo_index.labels(labelling.name).density
        for code, label in enumerate(labelling.labels):
            np.testing.assert_array_equal(columns.values(f"on {number} {code}"), density[:, code].astype(np.float32))
            assert titles[f"on {number} {code}"] == f"On {label}"
    assert demo_index.labellings


def test_labels_are_those_of_the_index(columns, demo_index):
    for number, labelling in enumerate(demo_index.labellings):
        table = demo_index.labels(labelling.name)
        np.testing.assert_array_equal(columns.values(f"unevenness {number}"), table.unevenness.astype(np.float32))
        assert columns.values(f"label {number}").max() < len(labelling.labels)


def test_an_unknown_column_is_named(columns):
    with pytest.raises(InputError, match=r"no column 'colour'; there are density"):
        columns.values("colour")


def test_rows_have_the_first_tokens_of_each_list(demo_index):
    features = [3, 0, 3, demo_index.n_features - 1]
    texts = row_texts(demo_index, features)
    np.testing.assert_array_equal(texts.features, features)
    for name, own in (("fired_tokens", texts.fired), ("pushed_up", texts.up), ("pushed_down", texts.down)):
        for i, feature in enumerate(features):
            listed = demo_index.lists(LISTS[name], feature)[:TOKENS]
            np.testing.assert_array_equal(own.tokens[own.offsets[i] : own.offsets[i + 1]], listed)


@pytest.mark.parametrize(("features", "words"), [([-1], "does not exist"), ([10**6], "does not exist")])
def test_rows_of_no_feature(demo_index, features, words):
    with pytest.raises(InputError, match=words):
        row_texts(demo_index, features)


def test_too_many_rows(demo_index):
    with pytest.raises(InputError, match=f"at most {MOST_ROWS}"):
        row_texts(demo_index, [0] * (MOST_ROWS + 1))
    assert len(row_texts(demo_index, []).features) == 0
