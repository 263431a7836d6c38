"""How a page's data travels: typed arrays in compact byte blocks, without loss.

A page is one *head* block (meta, layout, picker, token table) and one block for each feature, so that a reader opens
a feature without touching the others. Nothing is quantised: float32 values arrive as the same float32 values. What a
block is made of is in `sae_vis.deliver.blocks`.

The order of fields is that of `encode_head` and `encode_feature`; ``frontend/src/decode.ts`` is the reader. Token ids
travel as indices into the page's token table, which is sorted by how often a token occurs in the page. The logit
effect of a feature on a token is stored once for each distinct token of the feature, in order of first occurrence.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sae_vis.deliver.attention_encoding import encode_attention
from sae_vis.deliver.blocks import BlockWriter, encode_named, gaps
from sae_vis.errors import InputError
from sae_vis.views.payload import (
    F32,
    AlignmentTable,
    ComponentData,
    CorrelationTable,
    FeaturePage,
    FeatureSummary,
    FeatureView,
    Histogram,
    LabelProfile,
    LogitTable,
    NeighbourTable,
    PlaceWeights,
    PositionProfile,
    PromptPart,
    PromptView,
    SequenceGroup,
    TokenEffects,
    page_token_arrays,
)

FORMAT_VERSION = 4
"""Raised when the order or meaning of fields changes; a page and its reader are always written together."""

UNSAID = ("signed", "places")
"""Parts of the meta that are only said where they are so."""

GROUP_KINDS = ("top", "interval", "bottom", "label")
EFFECT_KINDS = ("direct", "full")
LOSSES_AGAINST = ("next", "reference")


class TokenIndex:
    """Token ids of a page as indices into its table, the most frequent token first.

    Raises:
        InputError: a view holds a token id whose bytes are not in ``page.token_bytes``.
    """

    def __init__(self, page: FeaturePage) -> None:
        used = np.concatenate([np.empty(0, dtype=np.int64), *page_token_arrays(page)])
        used = used[used >= 0]
        ids, counts = np.unique(used, return_counts=True)
        missing = [int(i) for i in ids if int(i) not in page.token_bytes]
        if missing:
            raise InputError(
                f"the page shows {len(missing)} token ids without bytes in token_bytes, such as {missing[0]}"
            )
        self.ids = ids[np.lexsort((ids, -counts))]
        """int64 ``[n_tokens]`` token id of each index."""
        self._sorted = ids
        self._rank = np.argsort(np.lexsort((ids, -counts)))

    def __call__(self, tokens: NDArray[np.integer]) -> NDArray[np.int64]:
        """The index of each token id; -1 for -1."""
        if len(self._sorted) == 0:
            return np.full(len(tokens), -1, dtype=np.int64)
        found = np.searchsorted(self._sorted, tokens).clip(0, len(self._sorted) - 1)
        return np.where(np.asarray(tokens) < 0, -1, self._rank[found]).astype(np.int64)


def encode_head(page: FeaturePage, index: TokenIndex) -> str:
    """Everything of a page but its features."""
    out = BlockWriter()
    out.uint(FORMAT_VERSION)
    words = {
        "meta": {name: value for name, value in asdict(page.meta).items() if name not in UNSAID or value},
        "layout": asdict(page.layout),
        "modules": [module.type for module in page.modules],
        "prompt": page.prompt is not None,
        "compare": page.compare is not None,
        "labellings": [asdict(labelling) for labelling in page.labellings],
        "board": None if page.board is None else asdict(page.board),
        "probes": [asdict(probe) for probe in page.probes],
    }
    out.blob(json.dumps(words, ensure_ascii=True, allow_nan=False, separators=(",", ":")).encode("ascii"))
    _encode_tokens(out, index.ids, page.token_bytes, page.special)
    encode_summary(out, page.summary, index)
    out.uint(len(page.label_ranks))
    for ranks in page.label_ranks:
        out.floats(ranks.unevenness)
        out.ints(ranks.top)
    return out.finish(level=0)  # it stands before the first picture: inflating costs more there than reading


def encode_prompt(part: PromptPart, index: TokenIndex) -> str:
    """What makes a page prompt-centric.

    Raises:
        InputError: arrays that contradict each other.
    """
    out = BlockWriter()
    words = {name: getattr(part, name) for name in ("metric", "position", "n_features")}
    out.blob(json.dumps(words).encode("ascii"))
    out.ints(part.aligned)
    encode_summary(out, part.firing, index)
    out.uint(len(part.prompts))
    for prompt in part.prompts:
        _check_prompt(prompt)
        _encode_prompt_view(out, prompt, index)
    return out.finish()


def _encode_prompt_view(out: BlockWriter, prompt: PromptView, index: TokenIndex) -> None:
    metrics = [
        {name: getattr(metric, name) for name in ("name", "title", "meaning", "first")} for metric in prompt.metrics
    ]
    words = {name: getattr(prompt, name) for name in ("title", "n_predicted", "n_targets", "attributed")}
    out.blob(json.dumps({**words, "metrics": metrics}, ensure_ascii=True).encode("ascii"))
    out.ints(index(prompt.tokens))
    out.ints(prompt.masked)
    out.floats(prompt.loss)
    out.ints(index(prompt.predicted))
    out.floats(prompt.predicted_prob)
    out.ints(np.diff(prompt.offsets))
    out.ints(np.diff(prompt.features, prepend=0))
    for metric in prompt.metrics:
        out.floats(metric.values)
    out.ints(index(prompt.targets))
    out.floats(prompt.logit_effects)


def _check_prompt(prompt: PromptView) -> None:
    n, n_pairs = len(prompt.tokens), len(prompt.features)
    expected = {
        "masked": n,
        "loss": n,
        "predicted": n * prompt.n_predicted,
        "predicted_prob": n * prompt.n_predicted,
        "offsets": n + 1,
        "targets": n * prompt.n_targets,
        "logit_effects": n_pairs * prompt.n_targets,
    }
    sizes = {name: (len(getattr(prompt, name)), size) for name, size in expected.items()}
    sizes |= {f"metric {metric.name}": (len(metric.values), n_pairs) for metric in prompt.metrics}
    for name, (found, size) in sizes.items():
        if found != size:
            raise InputError(f"prompt {prompt.title!r}: {name} has {found} values, expected {size}")


def encode_summary(out: BlockWriter, summary: FeatureSummary, index: TokenIndex) -> None:
    """Rows of a list of features."""
    out.ints(summary.feature)
    out.floats(summary.density)
    out.floats(summary.max)
    out.ints(index(summary.top_token))
    if out.present(summary.share) and summary.share is not None:
        out.floats(summary.share)


def _encode_tokens(
    out: BlockWriter, ids: NDArray[np.int64], token_bytes: Mapping[int, bytes], special: tuple[int, ...]
) -> None:
    texts = [token_bytes[int(i)] for i in ids]
    out.ints(ids)
    out.ints(np.array([len(text) for text in texts], dtype=np.int64))
    out.blob(b"".join(texts))
    out.ints(np.flatnonzero(np.isin(ids, np.array(special, dtype=np.int64))))


def encode_feature(view: FeatureView, index: TokenIndex, *, signed: bool = False) -> str:
    """One feature; `signed` as in the page's meta: the smallest activation then follows on the other statistics.

    Raises:
        InputError: the view's arrays contradict each other; names the feature.
    """
    out = BlockWriter()
    out.uint(view.feature)
    out.uint(view.stats.n_firings)
    for number in (view.stats.density, view.stats.max, view.stats.mean, view.stats.std):
        out.double(number)
    if signed:
        out.double(view.stats.min)
    _encode_alignment(out, view.neuron_alignment)
    for table in (view.correlated_neurons, view.correlated_features, view.correlated_b_features):
        _encode_correlation(out, table)
    _encode_neighbours(out, view.decoder_neighbours)
    _encode_histogram(out, view.acts_histogram)
    _encode_histogram(out, view.logits_histogram)
    _encode_logit_table(out, view.logits_table, index)
    _encode_profile(out, view.acts_by_position)
    _encode_labels(out, view.labels)
    _encode_places(out, view.places, index)
    try:
        _encode_sequences(out, view.sequences, index)
        _encode_custom(out, view.custom)
        _encode_boards(out, view)
    except InputError as error:
        raise InputError(f"feature {view.feature}: {error}") from error
    return out.finish()


def _encode_alignment(out: BlockWriter, table: AlignmentTable | None) -> None:
    if out.present(table) and table is not None:
        out.ints(table.index)
        out.floats(table.value)
        out.floats(table.share)


def _encode_correlation(out: BlockWriter, table: CorrelationTable | None) -> None:
    if out.present(table) and table is not None:
        out.ints(table.index)
        out.floats(table.pearson)
        out.floats(table.cosine)


def _encode_neighbours(out: BlockWriter, table: NeighbourTable | None) -> None:
    if out.present(table) and table is not None:
        out.ints(table.index)
        out.floats(table.cosine)


def _encode_profile(out: BlockWriter, profile: PositionProfile | None) -> None:
    if out.present(profile) and profile is not None:
        out.uint(profile.width)
        out.ints(profile.n_tokens)
        out.ints(profile.n_firings)
        out.floats(profile.mean)


def _encode_labels(out: BlockWriter, profiles: tuple[LabelProfile, ...]) -> None:
    out.uint(len(profiles))
    for profile in profiles:
        out.uint(profile.labelling)
        out.ints(profile.n_firings)
        out.ints(profile.n_documents)
        out.floats(profile.mean)
        out.floats(profile.peak)
        out.floats(profile.log_odds)
        out.double(profile.unevenness)
        out.double(profile.information)


def _encode_places(out: BlockWriter, places: PlaceWeights | None, index: TokenIndex) -> None:
    if out.present(places) and places is not None:
        out.floats(places.norms)
        out.floats(places.cosines)
        out.uint(len(places.logits))
        for table in places.logits:
            _encode_logit_table(out, table, index)


def _encode_histogram(out: BlockWriter, histogram: Histogram | None) -> None:
    if out.present(histogram) and histogram is not None:
        out.double(histogram.low)
        out.double(histogram.high)
        out.ints(histogram.counts)


def _encode_logit_table(out: BlockWriter, table: LogitTable | None, index: TokenIndex) -> None:
    if out.present(table) and table is not None:
        out.ints(index(table.top_tokens))
        out.floats(table.top_values)
        out.ints(index(table.bottom_tokens))
        out.floats(table.bottom_values)


def _encode_sequences(out: BlockWriter, groups: tuple[SequenceGroup, ...], index: TokenIndex) -> None:
    """Groups one by one, then the contexts of all of them, array by array (alike next to alike deflates better)."""
    out.uint(len(groups))
    for group in groups:
        out.uint(GROUP_KINDS.index(group.kind))
        out.double(group.low)
        out.double(group.high)
        out.uint(group.n_firings)
        out.double(group.share)
        out.uint(len(group.contexts.offsets) - 1)
        out.ints(np.array([group.labelling, group.label]))
    if not groups:
        return
    contexts = [group.contexts for group in groups]
    tokens = np.concatenate([c.tokens for c in contexts])
    out.ints(np.concatenate([np.diff(c.offsets) for c in contexts]))
    out.ints(index(tokens))
    acts = np.concatenate([c.acts for c in contexts])
    _same_length("acts", acts, tokens)
    out.sparse(acts)
    _encode_logits(out, [c.logits for c in contexts], tokens)
    _encode_effects(out, [c.effects for c in contexts], index)
    encode_attention(out, [c.sources for c in contexts], index)
    for name in ("sequence", "start", "focus", "repeats"):
        out.ints(np.concatenate([getattr(c, name) for c in contexts]))
    out.uint(len(contexts[0].labels))
    for own in zip(*(c.labels for c in contexts), strict=True):
        labels = np.concatenate(own)
        _same_length("labels", labels, tokens)
        out.ints(np.diff(labels, prepend=0))


def _joined(arrays: list[F32 | None], name: str, tokens: NDArray[np.integer]) -> F32 | None:
    """The arrays end to end; None if all are None."""
    there = [a for a in arrays if a is not None]
    if not there:
        return None
    if len(there) != len(arrays):
        raise InputError(f"{name} is None in some sequence groups and there in others, expected one or the other")
    joined = np.concatenate(there).astype(np.float32)
    _same_length(name, joined, tokens)
    return joined


def _same_length(name: str, values: NDArray[Any], tokens: NDArray[np.integer]) -> None:
    if len(values) != len(tokens):
        raise InputError(f"{name} has {len(values)} values for {len(tokens)} tokens")


def _encode_logits(out: BlockWriter, arrays: list[F32 | None], tokens: NDArray[np.integer]) -> None:
    logits = _joined(arrays, "logits", tokens)
    if not out.present(logits) or logits is None:
        return
    _, first, which = np.unique(tokens, return_index=True, return_inverse=True)
    if not np.array_equal(logits[first][which], logits, equal_nan=True):
        raise InputError("logits differ between occurrences of a token, expected one logit effect for each token")
    out.floats(logits[np.sort(first)])


def _encode_effects(out: BlockWriter, groups: list[TokenEffects | None], index: TokenIndex) -> None:
    """Number of tokens in each group, then the columns of all groups."""
    there = [effects for effects in groups if effects is not None]
    if not out.present(there or None):
        return
    if len(there) != len(groups):
        raise InputError("effects are None in some sequence groups and there in others, expected one or the other")
    first = there[0]
    if any((effects.kind, effects.n_changed) != (first.kind, first.n_changed) for effects in there):
        raise InputError("effects differ in kind or in n_changed between sequence groups, expected one kind for all")
    out.uint(EFFECT_KINDS.index(first.kind))
    out.uint(LOSSES_AGAINST.index(first.against))
    out.uint(first.n_changed)
    for name in ("at", "listed"):
        for effects in there:
            out.ints(gaps(getattr(effects, name)))
    for effects in there:
        _check_effects(effects)
    for name in ("loss", "prob", "up_values", "down_values"):
        out.floats(np.concatenate([getattr(effects, name) for effects in there]))
    for name in ("next_token", "up_tokens", "down_tokens"):
        out.ints(index(np.concatenate([getattr(effects, name) for effects in there])))


def _check_effects(effects: TokenEffects) -> None:
    for name in ("loss", "next_token", "prob"):
        _same_length(f"effects.{name}", getattr(effects, name), effects.at)
    expected = len(effects.listed) * effects.n_changed
    for name in ("up_tokens", "up_values", "down_tokens", "down_values"):
        found = len(getattr(effects, name))
        if found != expected:
            raise InputError(f"effects.{name} has {found} values, expected {effects.n_changed} for each that is listed")


def _encode_custom(out: BlockWriter, custom: Mapping[str, ComponentData]) -> None:
    out.uint(len(custom))
    for component, data in custom.items():
        out.blob(component.encode())
        encode_named(out, component, data)


def _encode_boards(out: BlockWriter, view: FeatureView) -> None:
    """Boards and readouts of probes, by the names of their fields."""
    if out.present(view.boards) and view.boards is not None:
        encode_named(out, "boards", vars(view.boards))
    out.uint(len(view.probes))
    for readout in view.probes:
        encode_named(out, "probes", vars(readout))


def encode_shared(component: str, data: ComponentData) -> str:
    """Data of a user's own component that all features of a page share, as a block."""
    out = BlockWriter()
    encode_named(out, component, data)
    return out.finish()
