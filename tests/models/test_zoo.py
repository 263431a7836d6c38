"""Every causal language model class of the pinned transformers is in the zoo: it runs, or a note says why not."""

from __future__ import annotations

import pytest
import torch
from torch.testing import assert_close

from tests.models import zoo

pytestmark = pytest.mark.zoo
N_TOKENS, CHANGED = 12, 9


def check(kind: str) -> None:
    model = zoo.tiny_model(kind)
    tokens = zoo.random_tokens(N_TOKENS)
    before = zoo.logits(model, tokens)
    width = zoo.D_MODEL if kind.startswith("base:") else zoo.N_VOCAB
    assert before.shape == (1, N_TOKENS, width), f"{tuple(before.shape)} is not one logit vector a token"
    assert before.isfinite().all()
    assert 0.15 < float(before.std()) < 5
    assert torch.equal(before, zoo.logits(model, tokens))
    assert torch.equal(before, zoo.logits(zoo.tiny_model(kind), tokens)), "the seed doesn't say what the weights are"
    assert not model.training
    assert {weight.dtype for weight in model.parameters()} == {torch.float32}
    changed = tokens.clone()
    changed[0, CHANGED] = tokens[0, CHANGED] - 1
    difference = (zoo.logits(model, changed) - before).abs().amax(-1)[0]
    assert difference[CHANGED] > 0.01, "the token doesn't matter"
    assert difference[CHANGED + 1 :].max() > 0.01, "nothing is passed on to later tokens"
    looks_ahead = float(difference[:CHANGED].max()) > 1e-4
    assert looks_ahead == (kind in zoo.LOOK_AHEAD or kind.startswith("masked:") or kind == "base:bert")


@pytest.mark.parametrize("kind", zoo.made_types())
def test_a_tiny_model_runs(kind: str) -> None:
    check(kind)


@pytest.mark.parametrize("kind", sorted(zoo.NOTES))
def test_the_reason_why_there_is_none_is_true(kind: str) -> None:
    with pytest.raises(Exception, match=zoo.NOTES[kind].error):
        check(kind)


def test_notes_are_of_kinds_that_exist() -> None:
    assert set(zoo.NOTES) | set(zoo.LOOK_AHEAD) <= set(zoo.zoo_types())


def test_the_same_seed_gives_the_same_model_and_touches_no_random_state() -> None:
    state = torch.get_rng_state()
    first, again, other = (zoo.tiny_model("jamba", seed).state_dict() for seed in (3, 3, 4))
    assert torch.equal(torch.get_rng_state(), state)
    for name, weight in first.items():
        assert_close(weight, again[name], rtol=0, atol=0)
        assert not torch.equal(weight, other[name]), name
