"""Shared parts of the tests."""

from __future__ import annotations

import os

os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")

import pytest
from hypothesis import HealthCheck, settings

from tests.fixtures.chrome import ABSENT

settings.register_profile("any_machine", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("any_machine")


def pytest_configure(config: pytest.Config) -> None:
    """Runs everything, fixtures included, under `ShapeNoise` where it is asked for."""
    if os.environ.get("SAE_VIS_SHAPE_NOISE") == "1":
        from tests.kernels import noise_everywhere

        config.add_cleanup(noise_everywhere())


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_terminal_summary(terminalreporter):
    """Behind all else one line that can't be missed: tests of pages that did not run."""
    result = yield
    skipped = sum(ABSENT in str(report.longrepr) for report in terminalreporter.stats.get("skipped", ()))
    if skipped:
        terminalreporter.write_line(f"{skipped} TESTS OF PAGES WERE SKIPPED: {ABSENT}", red=True, bold=True)
    return result
