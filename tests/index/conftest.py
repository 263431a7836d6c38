"""What builds by several workers are compared with."""

from __future__ import annotations

import pytest

from sae_vis.index import neurons
from tests.index.workers import RANGE, built, contents


@pytest.fixture
def small_ranges(monkeypatch: pytest.MonkeyPatch) -> None:
    """Sums over neurons in ranges so small that the tests' corpus has several."""
    monkeypatch.setattr(neurons, "RANGE", RANGE)
    monkeypatch.setattr(neurons, "CHUNK", 64)


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """What one process leaves."""
    out, saved = tmp_path_factory.mktemp("whole"), (neurons.RANGE, neurons.CHUNK)
    built(out)
    neurons.RANGE, neurons.CHUNK = saved
    return contents(out)
