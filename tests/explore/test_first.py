"""Rows that the explorer's table begins with."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from sae_vis.explore.columns import Columns
from sae_vis.explore.first import FIRST, first_rows, largest
from sae_vis.explore.rows import row_texts

VALUES = st.lists(st.sampled_from([0.0, 0.1, 0.25, 0.5, 3.0, np.inf]), max_size=40)


@given(VALUES, st.integers(1, 50))
def test_the_largest_are_the_first_of_all_sorted(values, n):
    array = np.array(values, dtype=np.float32)
    expected = sorted(range(len(values)), key=lambda place: -values[place])[:n]
    assert largest(array, n).tolist() == expected


def test_first_rows_are_the_densest_features(demo_index):
    columns = Columns(demo_index)
    found = first_rows(demo_index, columns)
    density = demo_index.column("density")
    assert found.features.tolist() == np.argsort(-density, kind="stable")[:FIRST].tolist()
    by_name = dict(zip(found.columns, found.values.reshape(len(found.columns), -1), strict=True))
    for name in found.columns:
        np.testing.assert_array_equal(by_name[name], columns.values(name)[found.features].astype(np.float32))
    assert {"density", "max"} <= set(found.columns)
    expected = row_texts(demo_index, found.features.tolist())
    assert found.texts.fired.tokens.tolist() == expected.fired.tokens.tolist()
