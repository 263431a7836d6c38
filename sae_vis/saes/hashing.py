"""What a tensor adds to the fingerprint of a dictionary."""

from __future__ import annotations

from collections.abc import Callable

from torch import Tensor

_ELEMENTS = 1 << 22  # hashed at a time


def hash_tensor(update: Callable[[bytes], None], name: str, tensor: Tensor) -> None:
    """Name, shape and values in row-major order as little-endian float32, some rows at a time."""
    update(f"{name}{list(tensor.shape)}".encode())
    rows = tensor.detach().reshape(1) if tensor.ndim == 0 else tensor.detach()
    height = max(1, _ELEMENTS * rows.shape[0] // max(1, rows.numel()))
    for start in range(0, rows.shape[0], height):
        piece = rows[start : start + height].reshape(-1)
        update(piece.float().cpu().numpy().astype("<f4", copy=False).tobytes())
