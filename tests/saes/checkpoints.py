"""Writes small checkpoints in the SAELens layout, and says in plain PyTorch what each architecture computes."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path

import torch
from safetensors.torch import save_file
from torch import Tensor

from tests.kernels import binary

ARCHITECTURES = ("standard", "topk", "batchtopk", "jumprelu", "gated")


@dataclass
class Checkpoint:
    """Tensors and configuration of one SAE, to be altered by a test and written."""

    architecture: str
    cfg: dict[str, object]
    weights: dict[str, Tensor] = field(default_factory=dict)

    def write(self, path: Path) -> Path:
        path.mkdir(parents=True, exist_ok=True)
        (path / "cfg.json").write_text(json.dumps(self.cfg))
        save_file(
            {name: tensor.contiguous() for name, tensor in self.weights.items()}, path / "sae_weights.safetensors"
        )
        return path

    @property
    def exact(self) -> bool:
        """Whether `reference` is exact on binary fractions: no norms, exponentials or divisions in it."""
        normalizes = self.cfg.get("normalize_activations", "none") not in {"none", False}
        return not (normalizes or self.architecture == "gated" or self.cfg.get("rescale_acts_by_decoder_norm"))

    def reference(self, x: Tensor) -> Tensor:
        """Activations, written down as SAELens does: one line after the other, everything dense."""
        w = {name: tensor.float() for name, tensor in self.weights.items()}
        x = x.float()
        normalize = self.cfg.get("normalize_activations", "none")
        if normalize == "constant_norm_rescale":
            x = x * (x.shape[-1] ** 0.5 / x.norm(dim=-1, keepdim=True))
        if normalize == "layer_norm":
            x = x - x.mean(dim=-1, keepdim=True)
            x = x / (x.std(dim=-1, keepdim=True) + 1e-5)
        x = x - w["b_dec"] * self.cfg.get("apply_b_dec_to_input", True)
        if self.architecture == "gated":
            gate = ((x @ w["W_enc"] + w["b_gate"]) > 0).float()
            return gate * torch.relu(x @ (w["W_enc"] * w["r_mag"].exp()) + w["b_mag"])
        pre = x @ w["W_enc"] + w["b_enc"]
        if self.cfg.get("rescale_acts_by_decoder_norm"):
            pre = pre * w["W_dec"].norm(dim=-1)
        if self.architecture == "topk":
            values, indices = torch.topk(pre, self.cfg["k"], dim=-1, sorted=False)
            return torch.zeros_like(pre).scatter_(-1, indices, values.relu())
        threshold = {"jumprelu": w.get("threshold"), "batchtopk": w.get("topk_threshold")}.get(self.architecture, 0.0)
        return torch.relu(pre) * (pre > threshold).float()


def checkpoint(architecture: str, d_in: int = 12, d_sae: int = 64, seed: int = 0, **cfg: object) -> Checkpoint:
    """A random SAE of binary fractions; ``cfg`` adds to or replaces the configuration."""
    generator = torch.Generator().manual_seed(seed)

    def normal(*shape: int, size: float = 1.0) -> Tensor:
        return binary(size * torch.randn(*shape, generator=generator))

    config: dict[str, object] = {
        "architecture": architecture,
        "d_in": d_in,
        "d_sae": d_sae,
        "dtype": "float32",
        "device": "cpu",
        "apply_b_dec_to_input": True,
        "normalize_activations": "none",
        "reshape_activations": "none",
        "metadata": {"sae_lens_version": "6.5.0", "hook_name": "blocks.3.hook_resid_post", "anything": [1, 2]},
    }
    weights = {"W_enc": normal(d_in, d_sae), "W_dec": normal(d_sae, d_in), "b_dec": normal(d_in, size=0.3)}
    if architecture == "gated":
        weights |= {
            "b_gate": normal(d_sae, size=0.3),
            "b_mag": normal(d_sae, size=0.3),
            "r_mag": normal(d_sae, size=0.3),
        }
    else:
        weights["b_enc"] = normal(d_sae, size=0.3)
    if architecture == "topk":
        config |= {"k": min(5, d_sae), "rescale_acts_by_decoder_norm": False}
    if architecture == "batchtopk":
        config |= {"k": 5.0, "rescale_acts_by_decoder_norm": True, "topk_threshold_lr": 0.01, "decoder_init_norm": 0.1}
        weights["topk_threshold"] = torch.tensor(2.0, dtype=torch.float64)
    if architecture == "jumprelu":
        weights["threshold"] = normal(d_sae).abs()
    return Checkpoint(architecture, config | cfg, weights)
