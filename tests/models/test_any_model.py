"""Every causal language model of transformers: what the library claims of it holds, and docs/any-model.md says so."""

from __future__ import annotations

import pytest

pytest.importorskip("transformers")
from sae_vis.models.huggingface import load_model
from tests.models import zoo
from tests.models.proof import N_TOKENS, Proved, Trial


def proved(kind: str, folder) -> Proved:
    return Trial(load_model(zoo.tiny_model(kind)), zoo.random_tokens(N_TOKENS)).prove(folder)


@pytest.mark.parametrize("kind", zoo.made_types())
def test_what_is_claimed_holds(kind: str, tmp_path) -> None:
    proved(kind, tmp_path)
