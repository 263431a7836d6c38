"""Effects of features at the tokens of their examples: taken from what the index keeps, else computed and kept."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from sae_vis.config import MOST_CHANGED
from sae_vis.contract import TokenEffects
from sae_vis.effects.ablation import DirectEffects
from sae_vis.effects.direct import DirectEffectTable
from sae_vis.index.effects_cache import EffectsCache, StoredEffects, merged, no_effects
from sae_vis.index.index import Index, Windows
from sae_vis.views.sources import ViewSources

PART_TOKENS = 1 << 16
"""Tokens whose effects are computed at a time, about; their residuals have 0.3 GB at a width of 576."""
KEEPS = 60.0
"""Seconds after which what was computed is kept: whoever ends the process loses no more."""


class Asked(NamedTuple):
    """Tokens at which effects of one feature are wanted.

    Attributes:
        feature: which.
        positions: int64 ``[n]`` corpus positions, ascending.
        acts: float32 ``[n]`` the feature's activations there.
        listed: bool ``[n]`` whether the most changed tokens are wanted, too.
    """

    feature: int
    positions: NDArray[np.int64]
    acts: NDArray[np.float32]
    listed: NDArray[np.bool_]


def kept_effects(sources: ViewSources, features: Sequence[int], asked: Sequence[Asked]) -> list[StoredEffects]:
    """What is known of the effects of each feature, after computing and keeping what is asked for and was not.

    Without a model nothing is computed: what earlier pages left in the index is all there is.
    """
    if sources.effects is not None:
        keep_effects(sources, asked)
    cache = _cache(sources)
    return [cache.of(feature) for feature in features]


def keep_effects(
    sources: ViewSources, asked: Sequence[Asked], progress: Callable[[int, int], None] | None = None
) -> None:
    """Compute and keep what is asked for and was not known. Needs a model.

    Args:
        sources: where everything comes from.
        asked: at which tokens effects are wanted.
        progress: called with how many of the tokens are done, and of how many.
    """
    assert sources.effects is not None
    cache = _cache(sources)
    missing = [one for one in (_missing(one, cache.of(one.feature)) for one in asked) if len(one.positions)]
    if not missing:
        return
    done, total = 0, sum(len(one.positions) for one in missing)
    found, since = no_effects(), time.monotonic()
    for part in computed_effects(sources.effects, sources.index, missing):
        found, done = merged(found, part), done + len(part.feature)
        if time.monotonic() - since > KEEPS:
            cache.add(found)
            found, since = no_effects(), time.monotonic()
        if progress is not None:
            progress(done, total)
    cache.add(found)


def _cache(sources: ViewSources) -> EffectsCache:
    reference = None if sources.effects is None else sources.effects.reference
    return sources.index.effects("direct", None if reference is None else reference.fingerprint)


def _missing(asked: Asked, kept: StoredEffects) -> Asked:
    rows = kept.find(asked.positions)
    known = rows >= 0
    enough = known.copy()
    enough[known] = kept.listed[rows[known]] | ~asked.listed[known]
    return Asked(asked.feature, *(column[~enough] for column in asked[1:]))


def computed_effects(effects: DirectEffects, index: Index, asked: Sequence[Asked]) -> Iterator[StoredEffects]:
    """All of them with one forward pass of each sequence that holds any, a part of the sequences at a time."""
    positions, acts, listed = (np.concatenate([one[i] for one in asked]) for i in (1, 2, 3))
    features = np.repeat([one.feature for one in asked], [len(one.positions) for one in asked])
    for part in _by_sequence(index, positions):
        found = no_effects()
        prepared = effects.prepare_corpus(index.tokens, index.offsets, positions[part])
        for lists in (False, True):
            own = part[listed[part] == lists]
            if len(own):
                n_changed = MOST_CHANGED if lists else 0
                table = effects.at(prepared, positions[own], features[own], acts[own], n_changed=n_changed)
                found = merged(found, _stored(features[own], positions[own], table, listed=lists))
        yield found


def _by_sequence(index: Index, positions: NDArray[np.int64]) -> list[NDArray[np.int64]]:
    """Where each of some positions stands among them, cut between sequences into parts of about `PART_TOKENS`."""
    order = np.argsort(positions, kind="stable")
    sequences = np.searchsorted(index.offsets, positions[order], side="right")
    starts = np.flatnonzero(np.diff(sequences, prepend=-1))
    cuts = starts[np.flatnonzero(np.diff(starts // PART_TOKENS, prepend=0))]
    return np.split(order, cuts)


def _stored(
    features: NDArray[np.int64], positions: NDArray[np.int64], table: DirectEffectTable, *, listed: bool
) -> StoredEffects:
    lists = (table.top_tokens, table.top_changes, table.bottom_tokens, table.bottom_changes)
    made = lists if listed and table.top_tokens.shape[1] == MOST_CHANGED else no_effects()[5:]
    return StoredEffects(
        feature=features.astype(np.int32),
        position=positions,
        loss=table.loss,
        prob=table.prob_with,
        listed=np.full(len(features), listed and len(made[0]) > 0),
        up_tokens=made[0].astype(np.int32),
        up_values=made[1],
        down_tokens=made[2].astype(np.int32),
        down_values=made[3],
    )


def token_effects(
    index: Index,
    kept: StoredEffects,
    windows: Windows,
    n_listed: int,
    *,
    against: Literal["next", "reference"] = "next",
) -> TokenEffects | None:
    """What is known of the effects at the tokens of some windows; None where the feature has none anywhere.

    Args:
        index: whose tokens follow on those of the windows.
        kept: of the feature.
        windows: of one group of examples.
        n_listed: rows of the lists of most changed tokens.
        against: what the loss is of: the next token, or a reference distribution.
    """
    if len(kept.feature) == 0:
        return None
    rows = np.where(fires(windows.acts), kept.find(windows.positions), -1)
    at = np.flatnonzero((rows >= 0) & ~np.isnan(kept.loss[rows]))  # no next token: nothing to tell
    chosen = kept.rows(rows[at])
    n = min(n_listed, MOST_CHANGED)
    if against == "reference":
        following = np.full(len(at), -1, dtype=np.int32)
    else:
        following = index.tokens[windows.positions[at] + 1].astype(np.int32)
    return TokenEffects(
        kind="direct",
        against=against,
        at=at.astype(np.int32),
        loss=chosen.loss,
        next_token=following,
        prob=chosen.prob,
        listed=np.flatnonzero(chosen.listed).astype(np.int32) if n else np.zeros(0, dtype=np.int32),
        n_changed=n,
        **{name: getattr(chosen, name)[:, :n].reshape(-1) for name in _LISTS},
    )


def fires(acts: NDArray[np.float32]) -> NDArray[np.bool_]:
    """Where the feature fires: not 0, not masked."""
    return np.not_equal(acts, 0) & ~np.isnan(acts)


_LISTS = ("up_tokens", "up_values", "down_tokens", "down_values")
