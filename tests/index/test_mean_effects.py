"""Mean effects are those of the rows that an index keeps."""

from __future__ import annotations

import math
import statistics

import numpy as np
import pytest
from hypothesis import given, settings

from sae_vis.errors import InputError
from sae_vis.index.build import build_index
from sae_vis.index.effects_cache import BLOCK, EffectsCache
from sae_vis.index.mean_effects import mean_effects
from sae_vis.index.memory_store import MemoryStore
from tests.index.test_build import some_corpus, source_of
from tests.index.test_effects_cache import effects_of, tables


@settings(max_examples=100, deadline=None)
@given(tables)
def test_mean_and_standard_error_equal_their_definitions(rows):
    cache = EffectsCache(MemoryStore(), {}, "direct")
    cache.add(effects_of(rows))
    features = [5, 0, BLOCK, 2, 3 * BLOCK, BLOCK - 1, 1, 5]
    found = mean_effects(cache, np.array(features))
    for feature, n, mean, error in zip(features, *found, strict=True):
        own = [value for (of, _), (value, _) in rows.items() if of == feature]
        assert n == len(own)
        assert mean == pytest.approx(statistics.fmean(own) if own else math.nan, nan_ok=True)
        expected = statistics.stdev(own) / math.sqrt(n) if n > 1 else math.nan
        assert error == pytest.approx(expected, nan_ok=True, abs=1e-12)


def test_an_index_tells_what_it_keeps_and_what_was_not_computed():
    index = build_index(source_of(some_corpus()))
    kept = effects_of({(3, 4): (1.0, True), (3, 6): (2.0, False), (3, 9): (9.0, False), (4, 1): (5.0, False)})
    kept.loss[2] = np.nan  # the end of a sequence
    index.effects("direct").add(kept)
    assert index.mean_effect(3) == (2, 1.5, 0.5)
    one = index.mean_effect(4)
    assert one is not None
    assert (one.n, one.mean) == (1, 5.0)
    assert math.isnan(one.standard_error)
    assert index.mean_effect(5) is None
    assert index.mean_effect(3, kind="full") is None
    assert index.mean_effect(3, reference="another model") is None
    assert index.mean_effects().n.tolist() == [2 if f == 3 else int(f == 4) for f in range(index.n_features)]
    assert index.mean_effects([4, 3]).mean.tolist() == [5.0, 1.5]
    for features in ([9], [-1]):
        with pytest.raises(InputError, match="does not exist: the SAE has features 0 to 8"):
            index.mean_effects(features)
