"""The map half of a build: a run of sequences through model and SAE to one shard of sparse codes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple
from weakref import WeakKeyDictionary

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from sae_vis.corpus.tokens import Corpus, TokenBatch
from sae_vis.errors import InputError
from sae_vis.index.storage import Arrays
from sae_vis.models.base import HookPoint, LanguageModel, RunnableModel
from sae_vis.models.transfers import OnTheirWay, to_device
from sae_vis.saes.base import Dictionary, PackedCodes, SparseCodes
from sae_vis.saes.linear import LinearDictionary
from sae_vis.saes.packing import unpacked
from sae_vis.saes.selection import join_codes

ASYNCHRONOUS = {"cuda"}
"""Kinds of devices that work while the host goes on."""
_FIRST_ROOM = 256  # firings a token that there is memory for before any were counted
_LEAST_ROOM = 16
_ROOMS: WeakKeyDictionary[Dictionary, int] = WeakKeyDictionary()
"""Of each dictionary, for how many firings a token there should be memory, from those of batches before."""


class CodedBatch(NamedTuple):
    """The unmasked tokens of one batch.

    Attributes:
        positions: int64 ``[n]`` corpus positions, ascending.
        codes: their sparse codes, on the CPU.
        x: the activations that were encoded ``[n, d_in]``.
    """

    positions: NDArray[np.int64]
    codes: SparseCodes
    x: Tensor


class RunCodes(NamedTuple):
    """Codes of one run of tokens, token by token.

    Attributes:
        positions: int64 ``[n]`` corpus position of each token.
        offsets: int64 ``[n + 1]``: token ``t`` owns codes ``offsets[t]:offsets[t + 1]``.
        features: int32 ``[n_firings]``, ascending within a token.
        acts: float32 ``[n_firings]``.
    """

    positions: NDArray[np.int64]
    offsets: NDArray[np.int64]
    features: NDArray[np.int32]
    acts: NDArray[np.float32]

    def to_arrays(self) -> Arrays:
        """By name, as a store takes them."""
        return dict(self._asdict())

    def by_feature(self, d_sae: int) -> Shard:
        """The same codes feature by feature."""
        counts = np.diff(self.offsets)
        order = counting_sort(self.features, d_sae)
        rows = np.repeat(np.arange(len(counts)).astype(row_dtype(len(counts))), counts)
        offsets = offsets_of(np.bincount(self.features, minlength=d_sae))
        return Shard(self.positions, offsets.astype(offset_dtype(len(self.acts))), rows[order], self.acts[order])


class Shard(NamedTuple):
    """Codes of one run of tokens, each once, feature by feature: any range of features is one piece of it.

    Attributes:
        positions: int64 ``[n]`` corpus position of each row (a token that counts), ascending.
        feature_offsets: int32 ``[d_sae + 1]`` (int64 from 2^31 firings on): feature ``i`` owns firings
            ``feature_offsets[i]:feature_offsets[i + 1]``.
        rows: uint16 ``[n_firings]`` (int32 where there are more than 65,536 rows) row of each firing, ascending within
            a feature.
        acts: float32 ``[n_firings]``.
    """

    positions: NDArray[np.int64]
    feature_offsets: NDArray[Any]
    rows: NDArray[Any]
    acts: NDArray[np.float32]

    def to_arrays(self) -> Arrays:
        """By name, as a store takes them."""
        return dict(self._asdict())

    def sums_over_firings(self, of_rows: NDArray[np.int64]) -> NDArray[np.int64]:
        """For each feature the sum over its firings of what ``of_rows`` has for their rows."""
        sums: NDArray[np.int64] = np.diff(offsets_of(of_rows[self.rows])[self.feature_offsets])
        return sums

    def edges(self, features: range) -> NDArray[np.int64]:
        """Where each of consecutive features begins among the firings, and where the last one ends."""
        return self.feature_offsets[features.start : features.stop + 1].astype(np.int64)

    def by_token(self) -> RunCodes:
        """The same codes token by token."""
        n_rows, counts = len(self.positions), np.diff(self.feature_offsets)
        order = counting_sort(self.rows, n_rows)
        features = np.repeat(np.arange(len(counts), dtype=np.int32), counts)[order]
        offsets = offsets_of(np.bincount(self.rows, minlength=n_rows))
        return RunCodes(self.positions, offsets, features, self.acts[order])


def plan_runs(offsets: NDArray[np.int64], start: int, stop: int, n_tokens: int) -> list[tuple[int, int]]:
    """Cut sequences ``start`` to ``stop`` into runs of at most ``n_tokens`` tokens, at least one sequence each."""
    runs = []
    while start < stop:
        end = int(np.searchsorted(offsets, offsets[start] + n_tokens, side="right")) - 1
        end = min(stop, max(start + 1, end))
        runs.append((start, end))
        start = end
    return runs


def plan_batches(offsets: NDArray[np.int64], start: int, stop: int, n_tokens: int) -> list[tuple[int, int]]:
    """Cut sequences into runs whose rectangle, filled up to the longest, has at most ``n_tokens`` (or one row)."""
    runs = []
    first, longest = start, 0
    for sequence in range(start, stop):
        longest = max(longest, int(offsets[sequence + 1] - offsets[sequence]))
        if sequence > first and longest * (sequence + 1 - first) > n_tokens:
            runs.append((first, sequence))
            first, longest = sequence, int(offsets[sequence + 1] - offsets[sequence])
    return [*runs, (first, stop)]


def coded_batches(
    corpus: Corpus, model: LanguageModel, sae: Dictionary, hook: HookPoint, runs: list[tuple[int, int]]
) -> Iterator[CodedBatch]:
    """Model, up to the hook, and SAE over runs of sequences; only unmasked tokens are encoded."""
    return (batch for (batch,) in coded_batches_of(corpus, model, [(sae, hook)], runs))


def coded_batches_of(
    corpus: Corpus,
    model: LanguageModel,
    readers: Sequence[tuple[Dictionary, HookPoint]],
    runs: list[tuple[int, int]],
) -> Iterator[tuple[CodedBatch, ...]]:
    """`coded_batches` of several dictionaries, each at its hook point, all from one forward pass."""
    before: list[_Coding] = []
    for start, stop in runs:
        batch = corpus.batch(start, stop)
        if len(batch.positions) == 0:
            continue
        acts = _activations(model, batch.tokens, [hook for _, hook in readers])
        begun = [_begun(corpus, batch, sae, own) for (sae, _), own in zip(readers, acts, strict=True)]
        if before:
            yield tuple(one.coded() for one in before)
        before = begun
        if not any(one.arriving for one in begun):  # nothing is won by a look at the next batch first
            yield tuple(one.coded() for one in begun)
            before = []
    if before:
        yield tuple(one.coded() for one in before)


def _activations(model: LanguageModel, tokens: Tensor, hooks: Sequence[HookPoint]) -> list[Tensor]:
    """At each hook point; one that is asked for twice is read once."""
    places = {hook.place: hook for hook in hooks}
    if len(places) > 1 and isinstance(model, RunnableModel):
        found = dict(zip(places, model.activations_at(tokens, list(places.values())), strict=True))
    else:
        found = {place: model.activations(tokens, hook) for place, hook in places.items()}
    return [found[hook.place] for hook in hooks]


@dataclass(frozen=True)
class _Coding:
    """A batch at one reader: its codes, or, where a device is still at work on them, where they will arrive.

    The host looks at what has arrived once the device has its next batch, so that the device never waits; that look,
    at the end of one copy, is the only time that the host waits for the device. What the codes must be checked for
    comes with them.
    """

    corpus: Corpus
    batch: TokenBatch
    sae: Dictionary
    x: Tensor
    codes: SparseCodes | None = None
    arriving: OnTheirWay | None = None

    def coded(self) -> CodedBatch:
        """The batch. Raises `InputError` for an activation that is NaN or infinite."""
        codes = self.codes if self.arriving is None else self._arrived(*self.arriving.arrived())
        assert codes is not None
        if not bool(torch.isfinite(codes.acts).all()):
            rows = torch.repeat_interleave(torch.arange(len(self.x)), codes.offsets.diff())
            row = rows[~torch.isfinite(codes.acts)][0]
            _refuse("activations of the SAE", self.corpus, int(self.batch.positions[row]))
        return CodedBatch(self.batch.positions, codes, self.x)

    def _arrived(self, counts: Tensor, features: Tensor, acts: Tensor, short: Tensor, finite: Tensor) -> SparseCodes:
        if not bool(finite):
            _require_finite(self.x, "activations of the model", self.corpus, self.batch.positions)
        codes = (
            _on_cpu(self.sae.encode(self.x)) if bool(short) else unpacked(PackedCodes(counts, features, acts, short))
        )
        needed = 1 + 3 * len(codes.features) // (2 * len(self.x))  # half as many more than there were
        _ROOMS[self.sae] = max(_LEAST_ROOM, needed, _ROOMS.get(self.sae, 0))
        return codes


def _begun(corpus: Corpus, batch: TokenBatch, sae: Dictionary, acts: Tensor) -> _Coding:
    """Have a batch encoded; on a device that works by itself, without waiting for it."""
    x = acts.reshape(-1, acts.shape[-1])
    if not bool(batch.counted.all()):
        x = x.index_select(0, to_device(batch.counted.flatten().nonzero().squeeze(1), x.device))
    if x.device.type in ASYNCHRONOUS and isinstance(sae, LinearDictionary):
        packed = sae.pack(x, _ROOMS.get(sae, min(_FIRST_ROOM, sae.d_sae // 4)))
        if packed is not None:
            finite = torch.isfinite(x.sum(dtype=torch.float32))
            if x.device != packed.short.device:  # one of several GPUs
                finite = finite.to(packed.short.device)
            return _Coding(corpus, batch, sae, x, arriving=OnTheirWay([*packed, finite]))
    _require_finite(x, "activations of the model", corpus, batch.positions)
    codes = _in_context(sae, acts, batch.counted) if sae.contextual else sae.encode(x)
    return _Coding(corpus, batch, sae, x, codes=_on_cpu(codes))


def _on_cpu(codes: SparseCodes) -> SparseCodes:
    return SparseCodes(codes.offsets.cpu(), codes.features.cpu(), codes.acts.cpu())


def _in_context(sae: Dictionary, acts: Tensor, counted: Tensor) -> SparseCodes:
    """Codes of the unmasked tokens, where those of a token depend on the tokens before it, masked or not."""
    codes = join_codes([sae.encode(sequence) for sequence in acts])
    counts, kept = codes.offsets.diff(), counted.flatten().to(codes.offsets.device)
    entries = torch.repeat_interleave(kept, counts)
    offsets = torch.nn.functional.pad(counts[kept].cumsum(0), (1, 0))
    return SparseCodes(offsets, codes.features[entries], codes.acts[entries])


def run_codes(batches: list[CodedBatch]) -> RunCodes:
    """The codes of one run from coded batches in corpus order."""
    if not batches:
        none = np.zeros(0, dtype=np.int64)
        return RunCodes(none, offsets_of(none), none.astype(np.int32), none.astype(np.float32))
    return RunCodes(
        positions=np.concatenate([batch.positions for batch in batches]),
        offsets=offsets_of(torch.cat([batch.codes.offsets.diff() for batch in batches]).numpy()),
        features=torch.cat([batch.codes.features for batch in batches]).to(torch.int32).numpy(),
        acts=torch.cat([batch.codes.acts for batch in batches]).numpy(),
    )


def row_dtype(n_rows: int) -> type[np.integer[Any]]:
    """The dtype of `Shard.rows`."""
    return np.uint16 if n_rows <= 1 << 16 else np.int32


def offset_dtype(n_firings: int) -> type[np.integer[Any]]:
    """The dtype of `Shard.feature_offsets`."""
    return np.int32 if n_firings < 1 << 31 else np.int64


def counting_sort(keys: NDArray[Any], n_keys: int) -> NDArray[np.int64]:
    """The stable order that sorts whole numbers ``0 <= key < n_keys <= 2^32``: one pass of a radix sort for 16 bits."""
    order = np.argsort(keys.astype(np.uint16), kind="stable")  # the low 16 bits; NumPy sorts those by radix
    if n_keys > 1 << 16:
        high = (keys >> 16).astype(np.uint16)[order]
        order = order[np.argsort(high, kind="stable")]
    return order


def offsets_of(counts: NDArray[np.integer]) -> NDArray[np.int64]:
    """Where each run starts and the last one ends, int64 ``[n + 1]``, for run lengths ``counts [n]``."""
    offsets = np.zeros(len(counts) + 1, dtype=np.int64)
    np.cumsum(counts, out=offsets[1:])
    return offsets


def ranges(starts: NDArray[np.int64], lengths: NDArray[np.int64]) -> NDArray[np.int64]:
    """``starts[0] … starts[0] + lengths[0] - 1, starts[1] …`` as one array."""
    offsets = offsets_of(lengths)
    return np.repeat(starts - offsets[:-1], lengths) + np.arange(int(offsets[-1]))


def owners(offsets: NDArray[np.int64]) -> NDArray[np.int64]:
    """Which run each entry lies in, int64 ``[offsets[-1]]``, for ``offsets [n + 1]`` of n runs."""
    n = int(offsets[-1])
    ends = np.bincount(offsets[1:-1], minlength=n + 1)[:n]  # runs that begin at each entry; np.repeat keeps the GIL
    return np.cumsum(ends, out=ends)


def _require_finite(x: Tensor, what: str, corpus: Corpus, positions: NDArray[np.int64]) -> None:
    if bool(torch.isfinite(x.sum(dtype=torch.float32))):  # one cheap pass; where the sum alone overflows, look closer
        return
    bad = (~torch.isfinite(x)).any(dim=1).nonzero().flatten()
    if len(bad):
        _refuse(what, corpus, int(positions[int(bad[0])]))


def _refuse(what: str, corpus: Corpus, position: int) -> None:
    seq = int(np.searchsorted(corpus.offsets, position, side="right")) - 1
    raise InputError(
        f"the {what} are NaN or infinite at sequence {seq}, position {position - int(corpus.offsets[seq])} "
        "(half-precision overflow, or damaged weights): load the model in float32 or bfloat16, or mask that position"
    )
