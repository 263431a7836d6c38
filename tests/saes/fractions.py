"""Weights and inputs that are binary fractions: sums of their products are exact, so any order gives the same bits."""

from __future__ import annotations

import torch
from torch import Tensor


def fractions(*shape: int, seed: int, size: float = 1.0) -> Tensor:
    """Multiples of 1/256 between -2 and 2: a product of two has 16 bits behind the point, a sum of 60 fits float32."""
    drawn = size * torch.randn(*shape, generator=torch.Generator().manual_seed(seed))
    return (drawn.clamp(-2, 2) * 256).round() / 256
