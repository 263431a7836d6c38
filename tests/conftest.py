"""Shared parts of the tests."""

from __future__ import annotations

import os
import sys

os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")

import pytest
from hypothesis import HealthCheck, settings

from tests.fixtures.chrome import ABSENT

settings.register_profile("any_machine", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("any_machine")


def pytest_addoption(parser: pytest.Parser) -> None:
    """``--few`` and ``--from``: a sample of the parameter sets, for a suite that is run many times (`kernel_runs`)."""
    parser.addoption("--few", type=int, help="run at most so many parameter sets of each test, evenly chosen")
    parser.addoption("--from", type=int, default=0, help="which ones: another number, another choice")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leaves out parameter sets where a few are asked for."""
    few = config.getoption("--few")
    if few is None:
        return
    sets: dict[str, list[pytest.Item]] = {}
    for item in items:
        sets.setdefault(item.nodeid.partition("[")[0], []).append(item)
    chosen = set()
    for own in sets.values():
        step = -(-len(own) // few)
        chosen.update(own[config.getoption("--from") % step :: step])
    config.hook.pytest_deselected(items=[item for item in items if item not in chosen])
    items[:] = [item for item in items if item in chosen]


def pytest_configure(config: pytest.Config) -> None:
    """Runs everything, fixtures included, under `ShapeNoise` where it is asked for."""
    if os.environ.get("SAE_VIS_SHAPE_NOISE") == "1":
        from tests.kernels import noise_everywhere

        config.add_cleanup(noise_everywhere())


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup() -> None:
    """Each test draws the same numbers whatever ran before it, if it draws them from the generator of all."""
    torch = sys.modules.get("torch")
    if torch is not None:
        torch.manual_seed(0)


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_terminal_summary(terminalreporter):
    """Behind all else one line that can't be missed: tests of pages that did not run."""
    result = yield
    skipped = sum(ABSENT in str(report.longrepr) for report in terminalreporter.stats.get("skipped", ()))
    if skipped:
        terminalreporter.write_line(f"{skipped} TESTS OF PAGES WERE SKIPPED: {ABSENT}", red=True, bold=True)
    return result
