"""Which token ids a page shows, found by the contract's annotations."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from sae_vis.contract.annotations import I32
from sae_vis.contract.compare import Compared, Overview
from sae_vis.contract.feature import FeatureView
from sae_vis.contract.page import FeaturePage
from sae_vis.contract.prompt import PromptPart
from sae_vis.contract.schema import Kind, Many, Maybe, One, Record, Values, record_of
from sae_vis.contract.summary import FeatureSummary


def page_token_arrays(page: FeaturePage) -> list[I32]:
    """Every array of token ids that a page holds: what its token table must cover (-1 stands for none)."""
    found = list(token_arrays(FeatureSummary, page.summary))
    for view in page.features:
        found += token_arrays(FeatureView, view)
    if page.prompt is not None:
        found += token_arrays(PromptPart, page.prompt)
    if page.compare is not None:
        found += token_arrays(Overview, page.compare)
        for one in page.compare.compared:
            found += token_arrays(Compared, one)
    return found


def token_arrays(record: type, value: object) -> Iterator[I32]:
    """Every array of token ids in a record: what the page's token table must cover (-1 stands for none)."""
    return _token_arrays(record_of(record), value)


def _token_arrays(kind: Kind, value: Any) -> Iterator[I32]:  # noqa: ANN401 (any field)
    match kind:
        case Record(_, fields):
            for name, inner in fields:
                yield from _token_arrays(inner, getattr(value, name))
        case Maybe(of):
            if value is not None:
                yield from _token_arrays(of, value)
        case Many(of):
            if not isinstance(of, One):
                for one in value:
                    yield from _token_arrays(of, one)
        case Values(_, array) if array.packing == "token":
            yield value
