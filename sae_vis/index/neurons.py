"""Correlations of features with neurons, the coordinates of what the SAE reads, over all unmasked tokens, exact.

Neurons, whose means may be large against their spread, are centred before they are multiplied; sums are float64, and
each is of fixed ranges of the corpus: what lies in `CHUNK` positions is multiplied at a time, the sequences that begin
in `RANGE` positions are summed from zero, and the sums of ranges are added in corpus order. So batches, shards, and who
does which of the ranges, change no bit of them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from sae_vis.index.correlations import F64, Moments, reciprocal_root
from sae_vis.index.shards import CodedBatch, run_codes
from sae_vis.index.storage import Arrays
from sae_vis.saes.base import SparseCodes
from sae_vis.saes.selection import join_codes

CHUNK = 1 << 14
RANGE = 1 << 20
SQUARED_ROWS = 256
MOST_BYTES = 8 << 30
"""Of sums (`sums_bytes`) that are made unless they are asked for in so many words."""


class TopPairs(NamedTuple):
    """The largest correlations of some features, row by row.

    Attributes:
        other: int32 ``[n, k]`` which feature or neuron, -1 where there are fewer than k.
        pearson: float32 ``[n, k]``, descending.
        cosine: float32 ``[n, k]``.
    """

    other: NDArray[np.int32]
    pearson: NDArray[np.float32]
    cosine: NDArray[np.float32]


@dataclass
class Sums:
    """Float64 sums of features with neurons, centred on a constant, over some tokens.

    Attributes:
        cross: ``[d_sae, d_in]`` of ``Σ a_i (x_j - c_j)``.
        total: ``[d_in]`` of ``Σ (x_j - c_j)``.
        square: ``[d_in]`` of ``Σ (x_j - c_j)^2``.
    """

    cross: Tensor
    total: Tensor
    square: Tensor

    @classmethod
    def zeros(cls, d_sae: int, d_in: int) -> Sums:
        """Over no token."""
        cross, total, square = (torch.zeros(shape, dtype=torch.float64) for shape in ((d_sae, d_in), d_in, d_in))
        return cls(cross, total, square)

    @classmethod
    def from_arrays(cls, arrays: Arrays, prefix: str) -> Sums | None:
        """As `to_arrays` gave them; None where there are none of this prefix."""
        if f"{prefix}cross" not in arrays:
            return None
        return cls(*(torch.from_numpy(np.array(arrays[prefix + name])) for name in ("cross", "total", "square")))

    def to_arrays(self, prefix: str) -> Arrays:
        """By name, each with a prefix."""
        return {prefix + name: getattr(self, name).numpy() for name in ("cross", "total", "square")}

    def join(self, later: Sums) -> None:
        """Add the sums of the tokens after these."""
        self.cross += later.cross
        self.total += later.total
        self.square += later.square

    def add(self, tokens: CodedBatch, centre: Tensor) -> None:
        """Add some tokens in one product."""
        shard = run_codes([tokens]).by_feature(len(self.cross))
        x = tokens.x.double().sub_(centre)
        self.total += x.sum(0)
        for part in torch.split(x, SQUARED_ROWS):
            self.square += part.square().sum(0)
        offsets = torch.from_numpy(shard.feature_offsets.astype(np.int64))
        rows, acts = torch.from_numpy(shard.rows.astype(np.int64)), torch.from_numpy(shard.acts).double()
        if torch.backends.mkl.is_available():  # type: ignore[no-untyped-call]
            with _quiet_sparse_beta():
                codes = torch.sparse_csr_tensor(offsets, rows, acts, (len(self.cross), len(x)))
                torch.addmm(self.cross, codes, x, out=self.cross)
        else:
            self.cross += torch.nn.functional.embedding_bag(rows, x, offsets[:-1], mode="sum", per_sample_weights=acts)


class NeuronSums:
    """Running sums over the tokens of one range of a corpus, given batch by batch in corpus order."""

    def __init__(self, d_sae: int, centre: Tensor) -> None:
        """Before the first token."""
        self._d_sae, self._centre = d_sae, centre.detach().cpu().double()
        self._done: Sums | None = None  # of the chunks that are done
        self._chunk: list[CodedBatch] = []  # what is here of the chunk in hand

    @classmethod
    def from_arrays(cls, arrays: Arrays) -> NeuronSums:
        """As a store gave them back."""
        sums = cls(int(arrays["d_sae"][0]), torch.from_numpy(np.array(arrays["centre"])))
        sums._done = Sums.from_arrays(arrays, "done.")
        if len(arrays["chunk.positions"]):
            offsets, features, acts, x = (
                torch.from_numpy(np.array(arrays[f"chunk.{name}"])) for name in ("offsets", "features", "acts", "x")
            )
            sums._chunk = [CodedBatch(np.array(arrays["chunk.positions"]), SparseCodes(offsets, features, acts), x)]
        return sums

    def to_arrays(self) -> Arrays:
        """By name, as a store takes them."""
        arrays = {"d_sae": np.array([self._d_sae]), "centre": self._centre.numpy()}
        arrays |= self._done.to_arrays("done.") if self._done is not None else {}
        if not self._chunk:
            return {**arrays, "chunk.positions": np.zeros(0, dtype=np.int64)}
        tokens = _joined(self._chunk)
        codes = {name: getattr(tokens.codes, name).numpy() for name in SparseCodes._fields}
        held = {"positions": tokens.positions, **codes, "x": tokens.x.numpy()}
        return {**arrays, **{f"chunk.{name}": array for name, array in held.items()}}

    def add(self, batch: CodedBatch) -> None:
        """Add the tokens of one batch."""
        edges = np.searchsorted(batch.positions, _chunk_starts(batch.positions))
        for low, high in zip(edges, [*edges[1:], len(batch.positions)], strict=True):
            part = _rows(batch, int(low), int(high))
            if self._chunk and self._chunk[0].positions[0] // CHUNK != part.positions[0] // CHUNK:
                self._close_chunk()
            self._chunk.append(part)

    def _close_chunk(self) -> None:
        """Sum the chunk in hand."""
        if self._done is None:
            self._done = Sums.zeros(self._d_sae, len(self._centre))
        if self._chunk:
            self._done.add(_joined(self._chunk), self._centre)
        self._chunk = []

    def closed(self) -> Sums:
        """Over all tokens, after the last."""
        self._close_chunk()
        assert self._done is not None
        return self._done


def _chunk_starts(positions: NDArray[np.int64]) -> NDArray[np.int64]:
    """First position of each chunk that has some of ``positions``."""
    return np.unique(positions // CHUNK) * CHUNK


def _rows(batch: CodedBatch, low: int, high: int) -> CodedBatch:
    """Some tokens of a batch, on the CPU, half precision as float32."""
    x = batch.x[low:high].detach().cpu()
    offsets = batch.codes.offsets[low : high + 1]
    codes = SparseCodes(offsets - offsets[0], *(part[offsets[0] : offsets[-1]] for part in batch.codes[1:]))
    return CodedBatch(batch.positions[low:high], codes, x if x.dtype == torch.float64 else x.float())


def _joined(batches: list[CodedBatch]) -> CodedBatch:
    """The tokens of all, one after the other."""
    positions = np.concatenate([batch.positions for batch in batches])
    return CodedBatch(positions, join_codes([batch.codes for batch in batches]), torch.cat([b.x for b in batches]))


class NeuronTotals(NamedTuple):
    """`Sums` of some features over all tokens, and the constant ``centre [d_in]``."""

    cross: Tensor
    total: Tensor
    square: Tensor
    centre: Tensor

    def top_neurons(self, features: slice, moments: Moments, n_tokens: int, k: int) -> TopPairs:
        """The ``k`` neurons of largest Pearson correlation (signed) with each of ``features``, whose sums these are."""
        cross = self.cross
        k = min(k, cross.shape[1])
        centre, shift = self.centre.numpy(), self.total.numpy() / n_tokens
        square = self.square.numpy() / n_tokens
        variance = np.maximum(square - shift**2, 0.0)
        mean, scale = moments.mean[features], reciprocal_root(moments.variance[features])
        neuron_scale = reciprocal_root(variance)
        pearson = cross * torch.from_numpy(neuron_scale / n_tokens)
        pearson.addr_(torch.from_numpy(mean), torch.from_numpy(shift * neuron_scale), alpha=-1.0)
        pearson[:, torch.from_numpy(variance == 0)] = -torch.inf
        values, index = _largest(pearson, k)
        listed = np.isfinite(values) & (scale > 0)[:, None]
        raw = np.take_along_axis(cross.numpy(), index, axis=1) / n_tokens + mean[:, None] * centre[index]
        neuron_norm = reciprocal_root(square + 2 * centre * shift + centre**2)
        cosine = raw * reciprocal_root(moments.mean_square[features])[:, None] * neuron_norm[index]
        with np.errstate(invalid="ignore"):  # -inf times 0 where nothing varies
            return _listed(index, values * scale[:, None], cosine, listed)


class _quiet_sparse_beta:  # noqa: N801  reads as a context manager
    """PyTorch warns once that its CSR tensors are in beta; our use is covered by the tests."""

    def __enter__(self) -> None:
        import warnings

        self._catch = warnings.catch_warnings()
        self._catch.__enter__()
        warnings.filterwarnings("ignore", message=".*[Ss]parse.*", category=UserWarning)

    def __exit__(self, *error: object) -> None:
        self._catch.__exit__(None, None, None)


def sums_bytes(d_sae: int, d_in: int) -> int:
    """RAM of the sums: those of a range, and of the ranges before it, which they are added to."""
    return 2 * 8 * d_sae * d_in


def _largest(values: Tensor, k: int) -> tuple[F64, NDArray[np.int64]]:
    """The ``k`` largest of each row, descending, equal values by ascending index."""
    top, index = (part.numpy() for part in torch.topk(values, k, dim=1))
    order = np.lexsort((index, -top), axis=1)
    return np.take_along_axis(top, order, axis=1), np.take_along_axis(index, order, axis=1)


def _listed(index: NDArray[np.int64], pearson: F64, cosine: F64, listed: NDArray[np.bool_]) -> TopPairs:
    return TopPairs(
        np.where(listed, index, -1).astype(np.int32),
        np.where(listed, np.clip(pearson, -1.0, 1.0), 0.0).astype(np.float32),
        np.where(listed, np.clip(cosine, -1.0, 1.0), 0.0).astype(np.float32),
    )
