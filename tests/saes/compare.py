"""Activations of a dictionary against a definition written down in plain PyTorch, on any machine.

Two computations of one matrix product agree in every bit only where the product is exact: weights and inputs are then
binary fractions (`tests.kernels.binary`). Elsewhere (norms, square roots, exponentials on the way) they agree within
`BOUND`, and a feature at the edge of firing may fire on one side alone: such places are told apart (`clear`).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from sae_vis.saes.base import Dictionary, dense_to_codes

BOUND = 1e-5
"""Relative, and absolute: some dozens of float32 roundings of sums of a few hundred terms of order 1."""
_NUDGES = 16
_CLEAR = 0.98


def same(one: Sequence[Tensor], other: Sequence[Tensor]) -> bool:
    """Equal tensors, bit for bit."""
    return all(torch.equal(a, b) for a, b in zip(one, other, strict=True))


def assert_activations(
    sae: Dictionary, reference: Callable[[Tensor], Tensor], x: Tensor, *, exact: bool = True
) -> Tensor:
    """`encode_dense` and `encode` of ``x [n, d_in]`` are ``reference(x)``; returns the latter ``[n, d_sae]``."""
    with torch.no_grad():
        expected = reference(x) if len(x) else torch.zeros(0, sae.d_sae)
    dense = sae.encode_dense(x)
    assert_equal(dense, expected, clear(reference, x) if len(x) and not exact else None)
    assert same(sae.encode(x), dense_to_codes(dense))
    return expected


def assert_equal(found: Tensor, expected: Tensor, where: Tensor | None) -> None:
    """Equal in every bit; or, at the places `where` ``[n, d_sae]``: within `BOUND`, and the same features fire."""
    if where is None:
        assert torch.equal(found, expected)
        return
    assert found.shape == expected.shape
    assert torch.equal(found[where] != 0, expected[where] != 0)
    torch.testing.assert_close(found[where], expected[where].to(found.dtype), rtol=BOUND, atol=BOUND)


def clear(reference: Callable[[Tensor], Tensor], x: Tensor) -> Tensor:
    """Where ``[n, d_sae]`` a feature fires or not whatever the roundings: also if every input is a little off."""
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        fires = reference(x) != 0
        found = torch.ones_like(fires)
        for _ in range(_NUDGES):
            nudged = x * (1 + BOUND * torch.randn(x.shape, generator=generator))
            found &= (reference(nudged) != 0) == fires
    assert found.sum() >= _CLEAR * found.numel()
    return found
