"""An index of activations that somebody else computed: token ids and codes of any dictionary, with no model at all."""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor

from sae_vis.config import IndexConfig, NeuronCorrelations
from sae_vis.corpus.text import TokenText
from sae_vis.corpus.tokens import Corpus
from sae_vis.errors import InputError
from sae_vis.index.feature_table import FeatureColumns
from sae_vis.index.manifest import Provenance
from sae_vis.index.shards import CodedBatch
from sae_vis.index.source import CodeSource, corpus_facts, settings_facts
from sae_vis.saes.base import SparseCodes, dense_to_codes
from sae_vis.saes.selection import join_codes

Block = Tensor | SparseCodes
Activations = Block | Callable[[], Iterable[Block]]
"""Activations of every token of a corpus, masked ones included, in corpus order.

Dense ``[n_seqs, seq_len, d_sae]`` or ``[n_tokens, d_sae]``, a strided or a sparse tensor; `SparseCodes` with a row for
each token; or a function that gives an iterator over blocks of any of these, each of any number of tokens: one block is
held at a time.
"""


@dataclass(frozen=True, kw_only=True)
class ActivationsSource(CodeSource):
    """Tokens and their activations, and what else is known of the dictionary.

    Attributes:
        corpus: the tokens and their mask.
        activations: of every token.
        n_features: number of features.
        directions: decoder directions ``[d_sae, d_out]``, or None.
        text: what the token ids spell; None: ids are shown.
        name: what pages call the dictionary.
        hook_name: where the activations come from, in words.
        fingerprint: what tells these activations from others; None: their contents do, or, of a stream, nothing: then
            a build of it can be neither resumed nor found finished.
        extra: what else the index is made from (an unembedding), hashed with the fingerprint.
    """

    corpus: Corpus
    activations: Activations
    n_features: int
    directions: Tensor | None = None
    text: TokenText | None = None
    name: str = "activations"
    hook_name: str = "own activations"
    fingerprint: str | None = None
    extra: tuple[Tensor, ...] = ()
    _reader: _Reader = field(init=False, repr=False)

    def __post_init__(self) -> None:
        """Nothing is read yet."""
        object.__setattr__(self, "_reader", _Reader(self.activations, self.n_features, self.corpus.n_tokens))

    @property
    def d_sae(self) -> int:
        """Number of features."""
        return self.n_features

    @property
    def decoder(self) -> Tensor | None:
        """The directions given, if any."""
        return self.directions

    @property
    def centre(self) -> Tensor:
        """Empty: nothing was encoded here."""
        return torch.zeros(0)

    def has_neurons(self, wanted: NeuronCorrelations) -> bool:
        """Never: what was encoded is not known. Raises `InputError` where they are asked for."""
        if wanted == "always":
            raise InputError("IndexConfig.neuron_correlations is 'always', but activations alone have no neurons")
        return False

    def check(self) -> None:
        """Raise `InputError` where decoder or activations, as far as they are here, don't fit."""
        if self.n_features < 1:
            raise InputError(f"there are {self.n_features} features; give activations of at least one")
        if self.directions is not None and self.directions.shape[0] != self.n_features:
            raise InputError(
                f"the decoder has {self.directions.shape[0]} directions, but the activations are of {self.n_features} "
                "features: give the decoder as [d_sae, d_out]"
            )

    def batches(self, runs: list[tuple[int, int]]) -> Iterator[CodedBatch]:
        """Codes of the unmasked tokens of runs of sequences, looked up."""
        corpus = self.corpus
        for start, stop in runs:
            first, last = int(corpus.offsets[start]), int(corpus.offsets[stop])
            codes = self._reader.rows(first, last)
            kept = np.flatnonzero(corpus.counted[first:last])
            if len(kept):
                chosen = _chosen(codes, torch.from_numpy(kept))
                yield CodedBatch(first + kept, chosen, torch.empty(len(kept), 0))

    def provenance(self, config: IndexConfig, columns: Sequence[FeatureColumns] = ()) -> Provenance:
        """What the manifest says about it, with the statistics that ``columns`` add."""
        digest = hashlib.sha256((self.fingerprint or self._contents()).encode())
        for part in (self.directions, *self.extra):
            digest.update(b"none" if part is None else _bytes_of(part))
        facts = {"format": "activations", "architecture": self.name, "d_sae": self.n_features}
        place = {"module": self.hook_name, "side": "output", "layer": None, "site": "other", "d": 0, "onward": None}
        return Provenance(
            model=None,
            sae={**facts, "fingerprint": f"sha256:{digest.hexdigest()}"},
            hook={"name": self.hook_name, **place},
            corpus=corpus_facts(self.corpus),
            settings=settings_facts(config, self.text, columns),
        )

    def _contents(self) -> str:
        """A hash of activations in memory; of a stream a number that no other has."""
        if callable(self.activations):
            return secrets.token_hex(16)
        parts = self.activations if isinstance(self.activations, SparseCodes) else (self.activations,)
        return hashlib.sha256(b"".join(_bytes_of(part) for part in parts)).hexdigest()


class _Reader:
    """Codes of tokens asked for in ascending order; a stream is begun again where an earlier one is asked for."""

    def __init__(self, activations: Activations, d_sae: int, n_tokens: int) -> None:
        self._activations, self._d_sae, self._n_tokens = activations, d_sae, n_tokens
        self._blocks: Iterator[Block] = iter(())
        self._held: SparseCodes | None = None
        self._first = 0  # token of the held block's first row

    def rows(self, first: int, stop: int) -> SparseCodes:
        """Codes of tokens ``first`` to ``stop``."""
        if not callable(self._activations):
            return self._of_memory(self._activations, first, stop)
        if self._held is None or first < self._first:
            self._blocks, self._first, self._held = iter(self._activations()), 0, _none()
        parts = []
        while True:
            end = self._first + _n_rows(self._held)
            if first < end:
                parts.append(_slice(self._held, first - self._first, min(stop, end) - self._first))
                first = min(stop, end)
            if end >= stop:
                break
            self._first, self._held = end, self._next(end)
        if stop == self._n_tokens:
            self._require_the_end()
        return join_codes(parts)

    def _of_memory(self, given: Block, first: int, stop: int) -> SparseCodes:
        if _n_rows(given) != self._n_tokens:
            raise InputError(
                f"there are activations of {_n_rows(given):,} tokens, but the corpus has {self._n_tokens:,}: give one "
                "row for each token, masked ones included (of padding, too: Corpus.from_tokens(…, padding='keep'))"
            )
        if isinstance(given, SparseCodes):
            return _checked(_slice(given, first, stop), self._d_sae)
        flat = given.reshape(-1, given.shape[-1]) if given.layout == torch.strided else given
        return _codes(flat[first:stop] if flat.layout == torch.strided else flat, self._d_sae, first, stop)

    def _next(self, so_far: int) -> SparseCodes:
        found = next(self._blocks, None)
        if found is None:
            raise InputError(
                f"the activations end after {so_far:,} tokens, but the corpus has {self._n_tokens:,}: give one row for "
                "each token, masked ones included"
            )
        if isinstance(found, SparseCodes):
            return _checked(found, self._d_sae)
        flat = found.reshape(-1, found.shape[-1]) if found.layout == torch.strided else found
        return _codes(flat, self._d_sae, 0, flat.shape[0])

    def _require_the_end(self) -> None:
        assert self._held is not None
        over = self._first + _n_rows(self._held) - self._n_tokens
        over += sum(_n_rows(block) for block in self._blocks)
        if over:
            raise InputError(f"there are activations of {over:,} more tokens than the {self._n_tokens:,} of the corpus")


def _codes(block: Tensor, d_sae: int, first: int, stop: int) -> SparseCodes:
    """Codes of a matrix of activations: all its rows, of a sparse one those from `first` to `stop`."""
    if block.ndim != 2 or block.shape[1] != d_sae:
        raise InputError(f"activations are of {d_sae} features; found a block of shape {list(block.shape)}")
    if block.layout == torch.strided:
        return _finite(dense_to_codes(block.detach().cpu()))
    sparse = block.detach().cpu().to_sparse_coo().coalesce()  # type: ignore[no-untyped-call]
    where, values = sparse.indices(), sparse.values().float()
    kept = (where[0] >= first) & (where[0] < stop) & (values != 0)
    counts = torch.bincount(where[0][kept] - first, minlength=stop - first)
    return _finite(SparseCodes(torch.nn.functional.pad(counts.cumsum(0), (1, 0)), where[1][kept], values[kept]))


def _checked(codes: SparseCodes, d_sae: int) -> SparseCodes:
    """Sparse codes that are what they should be."""
    offsets, features, acts = (part.detach().cpu() for part in codes)
    counts = offsets.diff()
    if len(offsets) == 0 or int(offsets[0]) != 0 or int(offsets[-1]) != len(features) or bool((counts < 0).any()):
        raise InputError("offsets of sparse codes go up from 0 to the number of entries, one more than there are rows")
    if len(features) != len(acts) or (len(features) and not 0 <= int(features.min()) <= int(features.max()) < d_sae):
        raise InputError(f"sparse codes have one activation for each feature id, and ids from 0 to {d_sae - 1}")
    rows = torch.repeat_interleave(torch.arange(len(counts)), counts)
    keys = rows * d_sae + features
    if bool((keys.diff() <= 0).any()):
        raise InputError("the features of each row of sparse codes are in ascending order, each once")
    kept = acts != 0
    offsets = torch.nn.functional.pad(torch.bincount(rows[kept], minlength=len(counts)).cumsum(0), (1, 0))
    return _finite(SparseCodes(offsets, features[kept].long(), acts[kept].float()))


def _finite(codes: SparseCodes) -> SparseCodes:
    bad = (~torch.isfinite(codes.acts)).nonzero()
    if len(bad):
        raise InputError(f"the activations of feature {int(codes.features[int(bad[0])])} hold NaN or infinity")
    return codes


def _n_rows(block: Block) -> int:
    if isinstance(block, SparseCodes):
        return len(block.offsets) - 1
    return int(np.prod(block.shape[:-1]))


def _none() -> SparseCodes:
    empty = torch.zeros(0, dtype=torch.int64)
    return SparseCodes(torch.zeros(1, dtype=torch.int64), empty, torch.zeros(0))


def _slice(codes: SparseCodes, first: int, stop: int) -> SparseCodes:
    """Rows ``first`` to ``stop``."""
    low, high = int(codes.offsets[first]), int(codes.offsets[stop])
    return SparseCodes(codes.offsets[first : stop + 1] - low, codes.features[low:high], codes.acts[low:high])


def _chosen(codes: SparseCodes, rows: Tensor) -> SparseCodes:
    """Some rows, in ascending order."""
    counts = codes.offsets.diff()
    kept = torch.zeros(len(counts), dtype=torch.bool)
    kept[rows] = True
    entries = torch.repeat_interleave(kept, counts)
    offsets = torch.nn.functional.pad(counts[rows].cumsum(0), (1, 0))
    return SparseCodes(offsets, codes.features[entries], codes.acts[entries])


def _bytes_of(tensor: Tensor) -> bytes:
    """Shape, dtype and values of a tensor, hashed."""
    found = tensor.detach().cpu()
    if found.layout != torch.strided:
        sparse = found.to_sparse_coo().coalesce()  # type: ignore[no-untyped-call]
        return b"".join(_bytes_of(part) for part in (torch.tensor(found.shape), sparse.indices(), sparse.values()))
    digest = hashlib.sha256(f"{tuple(found.shape)} {found.dtype}".encode())
    digest.update(found.contiguous().reshape(-1).view(torch.uint8).numpy().data)
    return digest.digest()
