"""Effects kept beside an index: what was put in comes out, whatever the order, and nothing of another index."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sae_vis.config import MOST_CHANGED
from sae_vis.errors import DamagedIndexError, IndexFileError
from sae_vis.index.effects_cache import BLOCK, EffectsCache, StoredEffects, merged, no_effects
from sae_vis.index.memory_store import MemoryStore
from sae_vis.index.storage import DirectoryStore


def effects_of(rows: dict[tuple[int, int], tuple[float, bool]]) -> StoredEffects:
    """Rows ``{(feature, position): (value, listed)}``, ascending; every number of a row follows from its value."""
    keys = sorted(rows)
    values = np.array([rows[key][0] for key in keys], dtype=np.float32)
    listed = np.array([rows[key][1] for key in keys], dtype=bool)
    lists = np.repeat(values[listed][:, None], MOST_CHANGED, axis=1)
    return StoredEffects(
        feature=np.array([key[0] for key in keys], dtype=np.int32),
        position=np.array([key[1] for key in keys], dtype=np.int64),
        loss=values,
        prob=values + 1,
        listed=listed,
        up_tokens=lists.astype(np.int32),
        up_values=lists,
        down_tokens=lists.astype(np.int32),
        down_values=-lists,
    )


def same(a: StoredEffects, b: StoredEffects) -> bool:
    return all(np.array_equal(x, y) and x.dtype == y.dtype for x, y in zip(a, b, strict=True))


keys = st.tuples(st.sampled_from([0, 1, 5, BLOCK - 1, BLOCK, 3 * BLOCK]), st.integers(0, 6))
tables = st.dictionaries(keys, st.tuples(st.integers(0, 99).map(float), st.booleans()), max_size=12)


@settings(max_examples=100, deadline=None)
@given(st.lists(tables, max_size=5))
def test_what_is_added_is_found(parts):
    store, expected = MemoryStore(), {}
    for rows in parts:
        EffectsCache(store, {"model": "m"}, "direct").add(effects_of(rows))
        for key, (value, listed) in rows.items():
            if listed or not expected.get(key, (0, False))[1]:
                expected[key] = (value, listed)
    cache = EffectsCache(store, {"model": "m"}, "direct")
    for feature in (0, 1, 2, 5, BLOCK - 1, BLOCK, 3 * BLOCK):
        own = {key: row for key, row in expected.items() if key[0] == feature}
        assert same(cache.of(feature), effects_of(own))
        found = cache.of(feature).find(np.arange(8))
        assert [at >= 0 for at in found] == [(feature, position) in own for position in range(8)]


@settings(max_examples=50, deadline=None)
@given(tables, tables)
def test_a_choice_of_rows_keeps_lists_with_their_rows(a, b):
    whole = merged(effects_of(a), effects_of(b))
    chosen = whole.rows(np.arange(len(whole.feature))[::2])
    assert np.array_equal(chosen.loss[chosen.listed], chosen.up_values[:, 0])
    assert np.array_equal(chosen.loss[chosen.listed], -chosen.down_values[:, -1])
    assert same(whole.rows(np.ones(len(whole.feature), dtype=bool)), whole)


def test_effects_of_another_index_or_kind_are_not_taken(tmp_path):
    store, rows = DirectoryStore(tmp_path), effects_of({(3, 4): (1.0, True)})
    EffectsCache(store, {"model": "m"}, "direct").add(rows)
    assert same(EffectsCache(store, {"model": "m"}, "direct").of(3), rows)
    assert same(EffectsCache(store, {"model": "other"}, "direct").of(3), no_effects())
    assert same(EffectsCache(store, {"model": "m"}, "full").of(3), no_effects())


def test_a_damaged_file_is_named(tmp_path):
    EffectsCache(DirectoryStore(tmp_path), {}, "direct").add(effects_of({(3, 4): (1.0, True)}))
    file = next(tmp_path.rglob("*.safetensors"))
    file.write_bytes(file.read_bytes()[:100])
    with pytest.raises(DamagedIndexError, match=r"effects/direct/block-00000.safetensors .* delete it"):
        EffectsCache(DirectoryStore(tmp_path), {}, "direct").of(3)


def test_where_nothing_can_be_written_they_are_kept_in_memory(tmp_path, monkeypatch):
    def refuse(name, arrays):
        raise IndexFileError(f"could not write {name}: Read-only file system")

    store, rows = DirectoryStore(tmp_path), effects_of({(3, 4): (1.0, True)})
    monkeypatch.setattr(store, "write_arrays", refuse)
    cache = EffectsCache(store, {}, "direct")
    cache.add(rows)
    assert same(cache.of(3), rows)
    assert list(tmp_path.iterdir()) == []
