"""Shared parts of the tests."""

from __future__ import annotations

import os

os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")

import pytest
from hypothesis import HealthCheck, settings

settings.register_profile("any_machine", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("any_machine")


def pytest_configure(config: pytest.Config) -> None:
    """Runs everything, fixtures included, under `ShapeNoise` where it is asked for."""
    if os.environ.get("SAE_VIS_SHAPE_NOISE") == "1":
        from tests.kernels import noise_everywhere

        config.add_cleanup(noise_everywhere())
