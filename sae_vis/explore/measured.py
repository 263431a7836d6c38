"""Full effects on a prompt, the pairs of largest attribution first, a few at a time."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from sae_vis.contract import MeasuredEffects, PromptMetric, PromptPart, PromptView
from sae_vis.effects.attribution import AttributionTable
from sae_vis.effects.intervention import FullEffects
from sae_vis.neutral import neutrally
from sae_vis.views.prompt import METRICS, PromptSettings, PromptSources, attributions, prompt_tensor

FULL = ("full_loss_effect", "full_later_effect")
STEP = 8
"""Pairs measured between two looks at whether anybody still waits."""


def unmeasured(part: PromptPart, *, signed: bool) -> PromptPart:
    """A prompt with places for full effects, none of them measured yet."""
    return replace(part, prompts=tuple(_with_places(view, signed=signed) for view in part.prompts))


def _with_places(view: PromptView, *, signed: bool) -> PromptView:
    none = np.full(len(view.features), np.nan, dtype=np.float32)
    infos = [(name, METRICS[name]) for name in FULL]
    more = [
        PromptMetric(
            name=name,
            title=info.title,
            meaning=info.meaning,
            first=info.first_of(signed=signed),
            max_density=1.0,
            values=none,
        )
        for name, info in infos
    ]
    return replace(view, metrics=(*view.metrics, *more))


def measured_in_steps(
    sources: PromptSources, prompts: Sequence[Sequence[int]], n: int, *, step: int = STEP
) -> Iterator[MeasuredEffects]:
    """Full effects of the ``n`` pairs of largest attribution of each prompt, ``step`` of them at a time.

    Pairs are counted as `PromptView` lists them: by position, then by feature. Where nothing can be attributed they
    come in that order.

    Raises:
        InputError: a prompt without tokens, or with more than the model takes.
    """
    chosen = [_chosen(sources, tokens, n) for tokens in prompts]
    total, done = sum(len(one.pairs) for one in chosen), 0
    for side, one in enumerate(chosen):
        for first in range(0, len(one.pairs), step):
            some = one.pairs[first : first + step]
            done += len(some)
            yield replace(_measured(sources, one, some), side=side, done=done, total=total)


class _Chosen(NamedTuple):
    """A prompt, its firings, and which of them are measured, in their order."""

    text: torch.Tensor
    table: AttributionTable
    pairs: NDArray[np.int64]


@neutrally
def _chosen(sources: PromptSources, tokens: Sequence[int], n: int) -> _Chosen:
    text = prompt_tensor(sources, tokens)
    table, _ = attributions(sources, text, PromptSettings())
    return _Chosen(text, table, np.argsort(-np.abs(np.nan_to_num(table.values)), kind="stable")[:n])


@neutrally
def _measured(sources: PromptSources, of: _Chosen, pairs: NDArray[np.int64]) -> MeasuredEffects:
    table = of.table
    found = FullEffects(sources.model, sources.sae, sources.hook).at(
        of.text, table.positions[pairs], table.features[pairs], table.acts[pairs]
    )
    return MeasuredEffects(
        side=0,
        done=0,
        total=0,
        pairs=pairs.astype(np.int32),
        loss=found.loss_at_first.astype(np.float32),
        later=found.total_loss.astype(np.float32),
    )
