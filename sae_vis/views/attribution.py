"""Where the activations of examples come from: source tokens and heads, for the views of attention SAEs."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from sae_vis.contract import F32, AttentionSources
from sae_vis.effects.attention import AttentionAttribution, NoAttention
from sae_vis.errors import InputError
from sae_vis.index.index import Index
from sae_vis.layout import SeqMultiGroupConfig
from sae_vis.views.sources import ViewSources

SIGNIFICANT_BITS = 12
"""Of the parts that a page holds: they are off by at most 2⁻¹² of themselves, and take two thirds of the room."""
NAMED = 0.05
"""The head of a source is told where the source's part is at least this share of the example's largest."""


class Example(NamedTuple):
    """A feature at the token that an example is about.

    Attributes:
        feature: which.
        position: int, in the corpus.
        act: the feature's activation there.
    """

    feature: int
    position: int
    act: float


@dataclass(frozen=True, kw_only=True)
class _Found:
    """What a page holds of one example's parts.

    Attributes:
        total: sum of all parts.
        heads: float32 ``[n_heads]``, each head's sum over sources.
        start: place in the sequence of the first source token shown.
        main: which of those shown has the largest part.
        parts: float32 ``[n]`` of the source tokens shown, summed over heads.
        head: int ``[n]`` the head with the largest share in each, -1 where it is not told.
        head_part: float32 ``[n]`` that head's part, 0 where it is not told.
    """

    total: float
    heads: F32
    start: int
    main: int
    parts: F32
    head: NDArray[np.int64]
    head_part: F32


def wanted_attribution(sources: ViewSources, config: SeqMultiGroupConfig | None) -> AttentionAttribution | None:
    """What attributes the examples of a page; None where the layout or what is given asks for none.

    Raises:
        InputError: the layout insists (``dfa_for_attn_saes="require"``) on what can't be had.
    """
    if config is None or config.dfa_for_attn_saes is False:
        return None
    if not isinstance(sources.attention, NoAttention):
        return sources.attention
    if config.dfa_for_attn_saes == "require":
        raise InputError(
            f"SeqMultiGroupConfig.dfa_for_attn_saes is 'require', but {sources.attention.reason}; leave it at True to "
            "show source tokens only where there are any"
        )
    return None


def no_sources(sources: ViewSources, config: SeqMultiGroupConfig | None) -> str | None:
    """Why examples have no source tokens, where a page should say so: an attention SAE, a layout that wants them."""
    if config is None or config.dfa_for_attn_saes is False or not isinstance(sources.attention, NoAttention):
        return None
    return sources.attention.reason if sources.attention.unexpected else None


def sources_of_examples(
    attribution: AttentionAttribution, index: Index, groups: Sequence[Sequence[Example]], config: SeqMultiGroupConfig
) -> list[AttentionSources]:
    """The sources of groups of examples, of many features at once: each sequence is run once.

    Args:
        attribution: of the dictionary.
        index: whose corpus the examples are from.
        groups: of examples.
        config: `dfa_buffer` says how much text around the largest source is kept.
    """
    examples = [example for group in groups for example in group]
    positions = np.array([example.position for example in examples], dtype=np.int64)
    features = np.array([example.feature for example in examples], dtype=np.int64)
    found: dict[int, _Found] = {}
    for pair, parts in attribution.of_corpus(index.tokens, index.offsets, positions, features):
        found[pair] = _found(parts, examples[pair].act, config.dfa_buffer)
    _, place = index.place(positions)
    made, first = [], 0
    for group in groups:
        own = range(first, first + len(group))
        made.append(_sources_of(index, [found[i] for i in own], positions[own], place[own]))
        first += len(group)
    return made


def _found(parts: F32, act: float, buffer: tuple[int, int] | None) -> _Found:
    """Of the parts ``[n_heads, n_src]`` of one example, what a page holds.

    The largest source is the one that does most for the activation as it is: the most negative part where that is
    negative.
    """
    by_source = parts.sum(axis=0, dtype=np.float64)
    main = int(np.argmax(by_source if act >= 0 else -by_source))
    before, after = (len(by_source), len(by_source)) if buffer is None else buffer
    start, stop = max(main - before, 0), min(main + after + 1, len(by_source))
    shown = by_source[start:stop]
    head = np.abs(parts[:, start:stop]).argmax(axis=0)
    told = np.abs(shown) >= NAMED * abs(by_source[main])
    return _Found(
        total=float(by_source.sum()),
        heads=parts.sum(axis=1, dtype=np.float64).astype(np.float32),
        start=start,
        main=main - start,
        parts=shown.astype(np.float32),
        head=np.where(told, head, -1),
        head_part=np.where(told, parts[head, np.arange(start, stop)], 0).astype(np.float32),
    )


def _sources_of(
    index: Index, found: list[_Found], positions: NDArray[np.int64], place: NDArray[np.int64]
) -> AttentionSources:
    lengths = [len(one.parts) for one in found]
    begins = positions - place  # of the sequences
    tokens = [
        index.tokens[begin + one.start : begin + one.start + len(one.parts)]
        for begin, one in zip(begins, found, strict=True)
    ]
    return AttentionSources(
        n_heads=len(found[0].heads) if found else 0,
        total=np.array([one.total for one in found], dtype=np.float32),
        heads=rounded(_joined(one.heads for one in found)),
        offsets=np.concatenate([[0], np.cumsum(lengths)]).astype(np.int32),
        start=np.array([one.start for one in found], dtype=np.int32),
        main=np.array([one.main for one in found], dtype=np.int32),
        tokens=np.concatenate([np.zeros(0, dtype=np.int64), *tokens]).astype(np.int32),
        parts=rounded(_joined(one.parts for one in found)),
        head=np.concatenate([np.zeros(0, dtype=np.int64), *(one.head for one in found)]).astype(np.int32),
        head_parts=rounded(_joined(one.head_part for one in found)),
    )


def _joined(arrays: Iterable[F32]) -> F32:
    return np.concatenate([np.zeros(0, dtype=np.float32), *arrays])


def rounded(values: F32) -> F32:
    """Float32 values to `SIGNIFICANT_BITS`, half away from zero: what is cut off is zeros, which deflate to nothing."""
    drop = 24 - SIGNIFICANT_BITS
    bits = np.ascontiguousarray(values, dtype=np.float32).view(np.uint32)
    cut = (bits + np.uint32(1 << (drop - 1))) & np.uint32(0xFFFFFFFF << drop & 0xFFFFFFFF)
    made: F32 = cut.view(np.float32)
    return made
