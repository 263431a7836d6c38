"""Activation functions of SAEs: for each the plain dense definition, and a fast sparse version held equal to it.

Both take the encoder's matrix product and its bias apart, because the fast versions need not add the bias everywhere:
``product [n, d_sae]`` is ``input @ W_enc``, and the pre-activation is ``product + bias`` in the tensor's own dtype
(added after the product: `torch.addmm` rounds differently; for a library that uses it, the product comes with its bias
in it and ``bias`` is zero). ``codes`` may overwrite ``product``; ``dense`` does not.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass

import torch
from torch import Tensor

from sae_vis.saes.base import SparseCodes, dense_to_codes
from sae_vis.saes.packing import Slots, slots_at_least, slots_of_dense, slots_of_rows
from sae_vis.saes.selection import Chosen, entries_at_least, largest_of_rows, lower_bound, rows_to_codes


class Activation(ABC):
    """What turns pre-activations into activations. Two implementations of one function: the plain one and the fast."""

    @abstractmethod
    def dense(self, product: Tensor, bias: Tensor) -> Tensor:
        """Activations ``[n, d_sae]`` of the pre-activations ``product + bias``: the definition."""

    @abstractmethod
    def codes(self, product: Tensor, bias: Tensor) -> SparseCodes:
        """The non-zero entries of `dense` of this very product, equal to the last bit.

        ``product`` is scratch and may be overwritten.
        """

    def slots(self, product: Tensor, bias: Tensor, m: int) -> Slots:
        """The entries of `codes` in at most ``m`` slots, without waiting for the device.

        Here straight from the definition. ``product`` is scratch and may be overwritten.
        """
        return slots_of_dense(self.dense(product, bias), m)

    @abstractmethod
    def tensors(self) -> dict[str, Tensor]:
        """Parameters, for the fingerprint."""

    @abstractmethod
    def describe(self) -> dict[str, object]:
        """JSON-able facts, for the manifest and the fingerprint."""


@dataclass(frozen=True)
class JumpReLU(Activation):
    """``pre`` where ``pre > max(threshold, 0)``, else 0.

    ReLU is the case of threshold 0. BatchTopK at inference is the case of one threshold for all features; there the
    pre-activation may be multiplied by ``scale`` first (decoder norms that are not folded into the encoder).

    Attributes:
        threshold: ``[d_sae]``, strict: a pre-activation equal to it does not fire.
        scale: ``[d_sae]`` positive, or None.
    """

    threshold: Tensor
    scale: Tensor | None = None

    def dense(self, product: Tensor, bias: Tensor) -> Tensor:
        """The definition."""
        pre = product + bias
        if self.scale is not None:
            pre = pre * self.scale
        return torch.relu(pre) * (pre > self.threshold).to(pre.dtype)

    def codes(self, product: Tensor, bias: Tensor) -> SparseCodes:
        """One comparison with a bound that has the bias in it, then the exact test at the few places left."""
        bias, threshold = self._scaled(product, bias), self.threshold.clamp(min=0)
        rows, features, values = entries_at_least(product, lower_bound(threshold, bias))
        acts = values + bias[features]
        fires = acts > threshold[features]
        return rows_to_codes(rows[fires], features[fires], acts[fires], product.shape[0])

    def slots(self, product: Tensor, bias: Tensor, m: int) -> Slots:
        """As `codes`."""
        bias, threshold = self._scaled(product, bias), self.threshold.clamp(min=0)
        found = slots_at_least(product, lower_bound(threshold, bias), m)
        acts = found.acts + bias.index_select(0, found.features)
        return found._replace(acts=acts, fires=found.fires & (acts > threshold.index_select(0, found.features)))

    def _scaled(self, product: Tensor, bias: Tensor) -> Tensor:
        """Put bias and scale, where there is one, into the product; the bias that is left to be added."""
        if self.scale is None:
            return bias
        product.add_(bias).mul_(self.scale)
        return torch.zeros_like(bias)

    def tensors(self) -> dict[str, Tensor]:
        """Parameters, for the fingerprint."""
        return {"threshold": self.threshold} | ({} if self.scale is None else {"scale": self.scale})

    def describe(self) -> dict[str, object]:
        """Facts, for the manifest and the fingerprint."""
        return {"activation": "jumprelu", "scaled": self.scale is not None}


@dataclass(frozen=True)
class TopK(Activation):
    """The ``k`` largest pre-activations of each row, as far as they are positive; all others are 0.

    Ties at the k-th place are broken as `torch.topk` breaks them on that row (on CPU a function of the row's content).
    The last two attributes decide nothing but that.

    Attributes:
        k: how many features can fire at once, ``1 <= k <= d_sae``.
        scale: ``[d_sae]``, multiplied into the pre-activation before the selection, or None.
        relu_first: whether the k largest are chosen after the ReLU.
        ordered: whether `torch.topk` is asked to sort what it finds.
    """

    k: int
    scale: Tensor | None = None
    relu_first: bool = False
    ordered: bool = False

    def dense(self, product: Tensor, bias: Tensor) -> Tensor:
        """The definition."""
        pre = product + bias
        if self.scale is not None:
            pre = pre * self.scale
        values, features = self._choose(pre)
        return torch.zeros_like(pre).scatter_(-1, features, torch.relu(values))

    def codes(self, product: Tensor, bias: Tensor) -> SparseCodes:
        """The k largest, found through maxima of groups of columns."""
        rows, features, acts = largest_of_rows(product, self.k, bias, self.scale, self._choose)
        return rows_to_codes(rows, features, acts, product.shape[0])

    def slots(self, product: Tensor, bias: Tensor, m: int) -> Slots:
        """The plain choice, which has k slots a row whatever ``m`` is."""
        product.add_(bias)
        if self.scale is not None:
            product.mul_(self.scale)
        return slots_of_rows(*self._choose(product))

    def _choose(self, pre: Tensor) -> Chosen:
        return Chosen(*torch.topk(torch.relu(pre) if self.relu_first else pre, self.k, dim=-1, sorted=self.ordered))

    def tensors(self) -> dict[str, Tensor]:
        """Parameters, for the fingerprint."""
        return {} if self.scale is None else {"scale": self.scale}

    def describe(self) -> dict[str, object]:
        """Facts, for the manifest and the fingerprint."""
        return {"activation": "topk", "k": self.k, "scaled": self.scale is not None}


@dataclass(frozen=True)
class WeightedThreshold(Activation):
    """``relu(pre)`` where ``relu(pre) * weight > threshold``, else 0: BatchTopK crosscoders outside of training.

    Attributes:
        threshold: ``[d_sae]``, strict; below zero it lets all positive pre-activations through.
        weight: ``[d_sae]``, not negative: what an activation is multiplied by before it is compared.
    """

    threshold: Tensor
    weight: Tensor

    def dense(self, product: Tensor, bias: Tensor) -> Tensor:
        """The definition."""
        acts = torch.relu(product + bias)
        return acts * (acts * self.weight > self.threshold).to(acts.dtype)

    def codes(self, product: Tensor, bias: Tensor) -> SparseCodes:
        """One comparison with ``threshold / weight``, lowered; then the exact test at the few places left.

        ``rounded(act * weight) > threshold`` means ``act * weight * (1 + eps) >= threshold``, so ``act`` is at least
        ``threshold / weight`` times ``1 - eps``; seven more eps are for rounding that quotient and the sum with the
        bias.
        """
        least = self.threshold.float() / self.weight.float() * (1 - 8 * torch.finfo(product.dtype).eps)
        least = least.nan_to_num(nan=0.0, posinf=torch.inf, neginf=0.0).clamp(min=0)
        rows, features, values = entries_at_least(product, lower_bound(least, bias))
        acts = values + bias[features]
        fires = (acts > 0) & (acts * self.weight[features] > self.threshold[features])
        return rows_to_codes(rows[fires], features[fires], acts[fires], product.shape[0])

    def tensors(self) -> dict[str, Tensor]:
        """Parameters, for the fingerprint."""
        return {"threshold": self.threshold, "weight": self.weight}

    def describe(self) -> dict[str, object]:
        """Facts, for the manifest and the fingerprint."""
        return {"activation": "weighted threshold"}


@dataclass(frozen=True)
class SignedTopK(Activation):
    """``k`` pre-activations of each row as they are, also those below zero; all others are 0.

    Ties at the k-th place are broken as `torch.topk` breaks them on that row.

    Attributes:
        k: how many features fire at once, ``1 <= k <= d_sae``.
        by_size: whether those of largest size are chosen, or the largest.
        scale: ``[d_sae]``, multiplied into the pre-activation before the selection, or None.
    """

    k: int
    by_size: bool
    scale: Tensor | None = None

    def dense(self, product: Tensor, bias: Tensor) -> Tensor:
        """The definition."""
        pre = product + bias
        if self.scale is not None:
            pre = pre * self.scale
        chosen = self._choose(pre)
        return torch.zeros_like(pre).scatter_(-1, chosen.features, chosen.values)

    def codes(self, product: Tensor, bias: Tensor) -> SparseCodes:
        """The same choice, of which what is not 0 is kept; the quick one where the k largest are all positive."""
        if self.by_size:
            product.add_(bias)
            if self.scale is not None:
                product.mul_(self.scale)
        else:
            rows, features, acts = largest_of_rows(product, self.k, bias, self.scale, self._choose)
            if len(rows) == self.k * product.shape[0]:
                return rows_to_codes(rows, features, acts, product.shape[0])
        values, chosen = self._choose(product)
        chosen, order = chosen.sort(dim=1)
        values = values.gather(1, order)
        rows, place = torch.nonzero(values, as_tuple=True)
        return rows_to_codes(rows, chosen[rows, place], values[rows, place], product.shape[0])

    def _choose(self, pre: Tensor) -> Chosen:
        if not self.by_size:
            return Chosen(*torch.topk(pre, self.k, dim=-1))
        features = torch.topk(pre.abs(), self.k, dim=-1, sorted=False).indices
        return Chosen(pre.gather(-1, features), features)

    def tensors(self) -> dict[str, Tensor]:
        """Parameters, for the fingerprint."""
        return {} if self.scale is None else {"scale": self.scale}

    def describe(self) -> dict[str, object]:
        """Facts, for the manifest and the fingerprint."""
        scaled = {} if self.scale is None else {"scaled": True}
        return {"activation": "signed topk", "k": self.k, "by": "size" if self.by_size else "value", **scaled}


@dataclass(frozen=True)
class GroupMax(Activation):
    """The largest pre-activation of each of ``k`` groups of neighbouring features, as far as it is positive.

    Of equal ones the first in the group fires.

    Attributes:
        k: number of groups, a divisor of d_sae.
    """

    k: int

    def dense(self, product: Tensor, bias: Tensor) -> Tensor:
        """The definition."""
        pre = torch.relu(product + bias)
        values, within = self._grouped(pre).max(dim=-1)
        return torch.zeros_like(pre).scatter_(-1, self._features(within, pre.shape[1]), values)

    def codes(self, product: Tensor, bias: Tensor) -> SparseCodes:
        """The same maxima, of which the positive are kept."""
        values, within = self._grouped(product.add_(bias)).max(dim=-1)
        rows, groups = torch.nonzero(values > 0, as_tuple=True)
        features = self._features(within, product.shape[1])[rows, groups]
        return rows_to_codes(rows, features, values[rows, groups], product.shape[0])

    def tensors(self) -> dict[str, Tensor]:
        """None."""
        return {}

    def describe(self) -> dict[str, object]:
        """Facts, for the manifest and the fingerprint."""
        return {"activation": "groupmax", "k": self.k}

    def _grouped(self, pre: Tensor) -> Tensor:
        n, d_sae = pre.shape
        return pre.view(n, self.k, d_sae // self.k)

    def _features(self, within: Tensor, d_sae: int) -> Tensor:
        return within + torch.arange(0, d_sae, d_sae // self.k, device=within.device)


@dataclass(frozen=True)
class Linear(Activation):
    """The pre-activation itself, of either sign. Nearly every feature fires everywhere, so the codes are not sparse."""

    def dense(self, product: Tensor, bias: Tensor) -> Tensor:
        """The definition."""
        return product + bias

    def codes(self, product: Tensor, bias: Tensor) -> SparseCodes:
        """All entries but zeros."""
        return dense_to_codes(product.add_(bias))

    def tensors(self) -> dict[str, Tensor]:
        """None."""
        return {}

    def describe(self) -> dict[str, object]:
        """Facts, for the manifest and the fingerprint."""
        return {"activation": "linear"}


def gated_dense(gate: Tensor, gate_bias: Tensor, magnitude: Tensor, magnitude_bias: Tensor) -> Tensor:
    """Gated activations (Rajamanoharan et al. 2024, section 3.1): ReLU of the magnitude where the gate is positive."""
    opened = (gate + gate_bias > 0).to(magnitude.dtype)
    return opened * torch.relu(magnitude + magnitude_bias)


def gated_codes(gate: Tensor, gate_bias: Tensor, magnitude: Tensor, magnitude_bias: Tensor) -> SparseCodes:
    """The non-zero entries of `gated_dense` of the same products, equal to the last bit."""
    rows, features, gates = entries_at_least(gate, lower_bound(torch.zeros_like(gate_bias), gate_bias))
    acts = magnitude[rows, features] + magnitude_bias[features]
    fires = (gates + gate_bias[features] > 0) & (acts > 0)
    return rows_to_codes(rows[fires], features[fires], acts[fires], gate.shape[0])


def rescaled_gate_dense(product: Tensor, gate_bias: Tensor, scale: Tensor, magnitude_bias: Tensor) -> Tensor:
    """`gated_dense` where the magnitude is the gate's own product ``[n, d_sae]`` times ``scale [d_sae]``."""
    return gated_dense(product, gate_bias, scale * product, magnitude_bias)


def rescaled_gate_codes(product: Tensor, gate_bias: Tensor, scale: Tensor, magnitude_bias: Tensor) -> SparseCodes:
    """The non-zero entries of `rescaled_gate_dense` of the same product, equal to the last bit."""
    rows, features, products = entries_at_least(product, lower_bound(torch.zeros_like(gate_bias), gate_bias))
    acts = scale[features] * products + magnitude_bias[features]
    fires = (products + gate_bias[features] > 0) & (acts > 0)
    return rows_to_codes(rows[fires], features[fires], acts[fires], product.shape[0])
