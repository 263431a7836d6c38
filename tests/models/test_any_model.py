"""Every causal language model of transformers: what the library claims of it holds, and docs/any-model.md says so."""

from __future__ import annotations

import pytest

from tests.models import zoo
from tests.models.proof_page import proved, row, rows_of_page

pytestmark = pytest.mark.zoo


@pytest.mark.parametrize("kind", zoo.made_types())
def test_what_is_claimed_holds_and_is_what_the_page_says(kind: str, tmp_path) -> None:
    found = row(kind, proved(kind, tmp_path))
    assert found == rows_of_page().get(kind), "write docs/any-model.md again: python -m tests.models.proof_page"


def test_the_page_has_every_kind() -> None:
    assert set(rows_of_page()) == set(zoo.made_types())
