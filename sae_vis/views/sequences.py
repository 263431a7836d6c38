"""Examples of a feature: which, with how much text around them, and what is known of every token."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import pairwise
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from sae_vis.contract import F32, I32, AttentionSources, Contexts, SequenceGroup, TokenEffects
from sae_vis.index.index import Examples, Index, Windows
from sae_vis.index.many import FeatureBlock, blocks
from sae_vis.index.shards import offsets_of
from sae_vis.layout import SeqMultiGroupConfig
from sae_vis.views.attribution import Example, sources_of_examples, wanted_attribution
from sae_vis.views.effects import Asked, fires, keep_effects, kept_effects, token_effects
from sae_vis.views.groups import KINDS, ManyGroups, intervals, joined, largest
from sae_vis.views.labels import labels_to_show, token_labels
from sae_vis.views.sources import ViewSources

BLOCK_TOKENS = 16_384  # tokens whose effects are computed together, at most about


class Group(NamedTuple):
    """Examples of one kind with their text, before effects are known.

    Attributes:
        kind, low, high, n_firings, labelling, label: as in `SequenceGroup`.
        examples: which.
        windows: the text around them, as wide as the page holds.
        sequence, start, labels: as in `Contexts`.
    """

    kind: Literal["top", "bottom", "interval", "label"]
    low: float
    high: float
    n_firings: int
    examples: Examples
    windows: Windows
    sequence: I32
    start: I32
    labels: tuple[I32, ...]
    labelling: int = -1
    label: int = -1


class Exampled(NamedTuple):
    """A feature with its groups of examples.

    Attributes:
        feature: its number.
        n_firings: how often it fires.
        groups: the largest and the most negative firings, those on labels, then intervals; none if it is dead.
        n_firing_tokens: tokens of the groups' texts on which it fires.
    """

    feature: int
    n_firings: int
    groups: list[Group]
    n_firing_tokens: int


def sequence_groups(
    sources: ViewSources, exampled: Iterable[Exampled], config: SeqMultiGroupConfig | None
) -> Iterator[tuple[SequenceGroup, ...]]:
    """Of each feature its groups of examples, with all that is known of their tokens; () for dead features."""
    block: list[Exampled] = []
    n_tokens = 0
    for one in exampled:
        block.append(one)
        n_tokens += one.n_firing_tokens
        if n_tokens > BLOCK_TOKENS:
            yield from _finished(sources, block, config)
            block, n_tokens = [], 0
    yield from _finished(sources, block, config)


def _finished(
    sources: ViewSources, block: list[Exampled], config: SeqMultiGroupConfig | None
) -> Iterator[tuple[SequenceGroup, ...]]:
    n_listed = 0 if config is None else config.top_logits_hoverdata
    against = sources.loss_against
    asked = _asked(block, config) if sources.effects else []
    attributed = _attributed(sources, block, config)
    for one, kept in zip(block, kept_effects(sources, [one.feature for one in block], asked), strict=True):
        effects = [token_effects(sources.index, kept, group.windows, n_listed, against=against) for group in one.groups]
        known = _Known(None if all(e is None for e in effects) else effects, next(attributed))
        yield _contract_groups(sources, one, known)


def _asked(exampled: Iterable[Exampled], config: SeqMultiGroupConfig | None) -> list[Asked]:
    n_listed = 0 if config is None else config.top_logits_hoverdata
    whole = config is None or config.compute_buffer
    return [asked_of(one.feature, one.groups, n_listed, whole=whole) for one in exampled]


def compute_effects(
    sources: ViewSources,
    features: Sequence[int],
    config: SeqMultiGroupConfig | None,
    progress: Callable[[int, int], None] | None = None,
) -> None:
    """Compute effects at the tokens of all examples of many features, for the index to keep; needs a model.

    However many features there are, each sequence is run once; so the more at a time, the less it costs. ``progress``
    is called with how many tokens are done, and of how many.
    """
    every = (one for block in blocks(sources.index, features) for one in example_groups(sources, block, config))
    keep_effects(sources, _asked(every, config), progress)


def _attributed(
    sources: ViewSources, block: list[Exampled], config: SeqMultiGroupConfig | None
) -> Iterator[list[AttentionSources] | None]:
    """Of each feature the source tokens of its groups of examples."""
    attribution = wanted_attribution(sources, config)
    if attribution is None or config is None:
        yield from [None] * len(block)
        return
    examples = [
        [Example(one.feature, int(at), float(act)) for at, act in zip(*group.examples[:2], strict=True)]
        for one in block
        for group in one.groups
    ]
    made = iter(sources_of_examples(attribution, sources.index, examples, config))
    for one in block:
        yield [next(made) for _ in one.groups]


def asked_of(feature: int, groups: list[Group], n_listed: int, *, whole: bool) -> Asked:
    """Effects wherever the feature fires, or only at tokens in focus; lists at those that are in no interval."""
    chosen = [fires(group.windows.acts) if whole else _in_focus(group.windows) for group in groups]
    at = [group.windows.positions[own] for group, own in zip(groups, chosen, strict=True)]
    acts = [group.windows.acts[own] for group, own in zip(groups, chosen, strict=True)]
    about = [group.examples.positions for group in groups if group.kind != "interval" and n_listed]
    none = np.zeros(0, dtype=np.int64)
    positions, first = np.unique(np.concatenate([none, *at]), return_index=True)
    values = np.concatenate([none.astype(np.float32), *acts])[first]
    return Asked(feature, positions, values, np.isin(positions, np.concatenate([none, *about])))


def _in_focus(windows: Windows) -> NDArray[np.bool_]:
    """Which tokens of the windows are those that the examples are about."""
    found = np.zeros(len(windows.tokens), dtype=bool)
    found[windows.offsets[:-1] + windows.focus] = True
    return found


def example_groups(sources: ViewSources, block: FeatureBlock, config: SeqMultiGroupConfig | None) -> Iterator[Exampled]:
    """Of each feature of a block the groups of examples that a layout asks for; none without ``config``."""
    counts = block.postings.counts.tolist()
    if config is None:
        yield from (Exampled(feature, n, [], 0) for feature, n in zip(block.features, counts, strict=True))
        return
    found = joined(list(_groups(block, config, sources.seed)))
    before, after = config.buffer if config.buffer is not None else (None, None)
    wide = _widened(before, config.expand), _widened(after, config.expand)
    row = np.repeat(found.row, np.diff(found.examples.offsets))
    windows = block.windows(row, found.examples.positions, before=wide[0], after=wide[1])
    groups = list(_split(sources.index, found, windows))
    ends = np.searchsorted(found.row, np.arange(len(counts) + 1))
    n_fires = offsets_of(fires(windows.acts).astype(np.int8))[windows.offsets][found.examples.offsets][ends].tolist()
    for i, feature in enumerate(block.features):
        yield Exampled(feature, counts[i], groups[ends[i] : ends[i + 1]], n_fires[i + 1] - n_fires[i])


def _groups(block: FeatureBlock, config: SeqMultiGroupConfig, seed: int) -> Iterator[ManyGroups]:
    """The groups of all features, kind by kind in the order in which a feature shows them."""
    before, after = config.buffer if config.buffer is not None else (None, None)
    n = config.top_acts_group_size
    yield largest("top", block, block.top_examples(n, before=before, after=after))
    if block.index.signed:
        yield largest("bottom", block, block.bottom_examples(n, before=before, after=after))
    if config.by_label is not None:
        yield _label_groups(block, config.by_label, config)
    yield intervals(block.intervals(config.n_quantiles, config.quantile_group_size, seed=seed))


def _label_groups(block: FeatureBlock, name: str, config: SeqMultiGroupConfig) -> ManyGroups:
    index = block.index
    place, counts = index.labellings.index(index.labelling(name)), index.labels(name).counts
    shown = [labels_to_show(index, name, feature, config.n_label_groups) for feature in block.features]
    before, after = config.buffer if config.buffer is not None else (None, None)
    found = block.top_examples_by_label(name, shown, config.label_group_size, before=before, after=after)
    row = np.repeat(np.arange(len(shown)), [len(own) for own in shown])
    label = np.array([label for own in shown for label in own], dtype=np.int64)
    starts = found.offsets[:-1]
    return ManyGroups(
        kind=np.full(len(row), KINDS.index("label")),
        row=row,
        low=np.minimum.reduceat(found.acts, starts) if len(row) else np.zeros(0),
        high=np.maximum.reduceat(found.acts, starts) if len(row) else np.zeros(0),
        n_firings=counts.n_firings[np.asarray(block.features)[row], label],
        labelling=np.full(len(row), place),
        label=label,
        examples=found,
    )


def _widened(n: int | None, expand: int | Literal["sequence"]) -> int | None:
    """Tokens of context on one side that a page holds; None: to the end of the sequence."""
    return None if n is None or expand == "sequence" else max(n, expand)


def _split(index: Index, found: ManyGroups, windows: Windows) -> Iterator[Group]:
    """Group by group; what travels to the page has its final type."""
    first = windows.positions[windows.offsets[:-1]]
    sequence, start = (values.astype(np.int32) for values in index.place(first))
    labels = token_labels(index, windows.positions)
    numbers = (column.tolist() for column in (found.kind, found.low, found.high, found.n_firings))
    edges = found.examples.offsets.tolist()
    ends = windows.offsets[found.examples.offsets].tolist()
    every = zip(*numbers, found.labelling.tolist(), found.label.tolist(), pairwise(edges), pairwise(ends), strict=True)
    for kind, low, high, n_firings, labelling, label, (begin, stop), (first_token, stop_token) in every:
        own, tokens = slice(begin, stop), slice(first_token, stop_token)
        yield Group(
            KINDS[kind],
            low,
            high,
            n_firings,
            Examples(found.examples.positions[own], found.examples.acts[own], found.examples.repeats[own]),
            Windows(
                windows.offsets[begin : stop + 1] - first_token,
                windows.positions[tokens],
                windows.tokens[tokens],
                windows.acts[tokens],
                windows.focus[own],
            ),
            sequence[own],
            start[own],
            tuple(column[tokens] for column in labels),
            labelling,
            label,
        )


class _Known(NamedTuple):
    """What was computed for the groups of a feature, group by group; None: nothing."""

    effects: list[TokenEffects | None] | None
    sources: list[AttentionSources] | None

    def of(self, group: int) -> tuple[TokenEffects | None, AttentionSources | None]:
        """Of one group."""
        return (
            None if self.effects is None else self.effects[group],
            None if self.sources is None else self.sources[group],
        )


def _contract_groups(sources: ViewSources, one: Exampled, known: _Known) -> tuple[SequenceGroup, ...]:
    logits = _logits(sources, one.feature, [group.windows.tokens for group in one.groups])
    return tuple(
        SequenceGroup(
            kind=group.kind,
            low=group.low,
            high=group.high,
            n_firings=group.n_firings,
            share=group.n_firings / one.n_firings,
            labelling=group.labelling,
            label=group.label,
            contexts=_contexts(group, logits[i], *known.of(i)),
        )
        for i, group in enumerate(one.groups)
    )


def _logits(sources: ViewSources, feature: int, tokens: list[NDArray[np.int32]]) -> list[F32] | list[None]:
    """Logit effects of the feature on the tokens of each group, all at once."""
    if sources.lens is None or not tokens:
        return [None] * len(tokens)
    every = sources.lens.effects_on(feature, np.concatenate(tokens))
    ends = np.cumsum([0, *(len(own) for own in tokens)]).tolist()
    return [every[start:stop] for start, stop in pairwise(ends)]


def _contexts(
    group: Group, logits: F32 | None, effects: TokenEffects | None, attended: AttentionSources | None
) -> Contexts:
    windows = group.windows
    return Contexts(
        offsets=windows.offsets.astype(np.int32),
        tokens=windows.tokens,
        acts=windows.acts,
        logits=logits,
        effects=effects,
        sources=attended,
        sequence=group.sequence,
        start=group.start,
        focus=windows.focus.astype(np.int32),
        repeats=group.examples.repeats.astype(np.int32),
        labels=group.labels,
    )
