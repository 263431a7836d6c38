"""Fixtures over the tiny models of every architecture."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator

import pytest
import torch
from transformers import PreTrainedModel

from sae_vis.models.huggingface import HuggingFaceModel
from sae_vis.models.loading import load_model
from tests.tiny_models import BUILDERS, N_LAYERS, build


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    """Threads cost more than they bring at these sizes: more only where they are asked for."""
    before = torch.get_num_threads()
    torch.set_num_threads(int(os.environ.get("OMP_NUM_THREADS", "1")))
    yield
    torch.set_num_threads(before)


@pytest.fixture(params=sorted(BUILDERS))
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def model(kind: str) -> PreTrainedModel:
    return build(kind)


@pytest.fixture
def adapter(model: PreTrainedModel) -> HuggingFaceModel:
    return load_model(model)


@pytest.fixture
def make() -> Callable[[str], PreTrainedModel]:
    """Builds a model of a kind by name."""
    return build


@pytest.fixture
def tokens() -> torch.Tensor:
    return torch.randint(1, 30, (2, 9), generator=torch.Generator().manual_seed(1))


@pytest.fixture
def n_layers() -> int:
    return N_LAYERS
