"""A list column of all features, read by itself or with the others: the same lists."""

from __future__ import annotations

import numpy as np
import pytest

from sae_vis import Index
from sae_vis.index import feature_rows
from tests.explore.served import index_at


@pytest.fixture
def opened(tmp_path, monkeypatch):
    monkeypatch.setattr(feature_rows, "WIDE", 1)
    return index_at(tmp_path / "index"), Index.open(tmp_path / "index")


def test_a_wide_column_is_read_by_itself(opened, monkeypatch):
    index, wide = opened
    read = []
    column = type(wide._store).column
    monkeypatch.setattr(type(wide._store), "column", lambda *given: read.append(given[2]) or column(*given))
    for name in ("fired_tokens", "top_tokens", "top_logits"):
        if name not in index.column_names:
            continue
        found = wide.list_column(name)
        expected = [index.lists(name, feature) for feature in range(index.n_features)]
        assert found.to_pylist() == [one.tolist() for one in expected]
        np.testing.assert_array_equal(wide.list_column(name, 3, 9).to_pylist()[2], expected[5])
    assert "fired_tokens" in read
