"""The saved SAEs as plain formulas."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors.torch import load_file
from torch import Tensor


@dataclass(frozen=True, kw_only=True)
class Sae:
    """Weights in float32; `encode` and `decode` as the configuration on disk says.

    Attributes:
        w_enc: [d_in, d_sae]
        b_enc: [d_sae]
        w_dec: [d_sae, d_in]
        b_dec: [d_in]
        k: Firings a token of a TopK SAE, else None.
        threshold: Of a JumpReLU SAE, else None. [d_sae]
    """

    w_enc: Tensor
    b_enc: Tensor
    w_dec: Tensor
    b_dec: Tensor
    k: int | None
    threshold: Tensor | None

    def encode(self, x: Tensor) -> Tensor:
        """Feature activations. x: [n, d_in] -> [n, d_sae]."""
        pre = (x - self.b_dec) @ self.w_enc + self.b_enc
        positive = torch.relu(pre)
        if self.threshold is not None:
            return positive * (pre > self.threshold)
        assert self.k is not None
        top = positive.topk(self.k, dim=1)
        return torch.zeros_like(positive).scatter(1, top.indices, top.values)

    def decode(self, acts: Tensor) -> Tensor:
        """Reconstruction. acts: [n, d_sae] -> [n, d_in]."""
        return acts @ self.w_dec + self.b_dec


def load_sae(directory: Path) -> Sae:
    """Read cfg.json and sae_weights.safetensors; refuses what `encode` does not do."""
    cfg = json.loads((directory / "cfg.json").read_text(encoding="utf-8"))
    if cfg["architecture"] not in {"topk", "jumprelu"} or not cfg["apply_b_dec_to_input"]:
        raise ValueError(f"expected a topk or jumprelu SAE with apply_b_dec_to_input, found {cfg}")
    weights = {name: tensor.float() for name, tensor in load_file(directory / "sae_weights.safetensors").items()}
    return Sae(
        w_enc=weights["W_enc"],
        b_enc=weights["b_enc"],
        w_dec=weights["W_dec"],
        b_dec=weights["b_dec"],
        k=cfg.get("k"),
        threshold=weights.get("threshold"),
    )
