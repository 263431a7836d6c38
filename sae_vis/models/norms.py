"""How a norm normalises: tried against what it made of what it was given."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import product

import torch
from torch import Tensor, nn

from sae_vis.models.adapters import base_of
from sae_vis.models.anatomy import Norm
from sae_vis.models.linear_maps import bias_of, weight_of
from sae_vis.models.trace import Call, Trace

_EPS_NAMES = ("eps", "variance_epsilon", "epsilon", "norm_eps", "layer_norm_epsilon")
_EPS_VALUES = (1e-5, 1e-6, 1e-8, 1e-12)


def norm_of(trace: Trace, module: nn.Module, call: Call) -> Norm | None:
    """What a module computes if it is a LayerNorm or an RMSNorm, with or without gain and bias; None if it is none."""
    x, y = call.given, call.made
    module = base_of(module)
    if x is None or y is None or x.shape != y.shape or any(True for _ in module.children()):
        return None
    if not _may_be_norm(module, x.shape[1]):
        return None
    tried = product((False, True), (0.0, 1.0), _eps_of(module))
    norms = [Norm(centred=centred, gain_offset=offset, eps=eps) for centred, offset, eps in tried]
    gains, shift = [gain_of(module, norm, x.shape[1]) for norm in norms], _shift(module)
    made = [normalized(x, norm) * gain + shift for norm, gain in zip(norms, gains, strict=True)]
    off = [float((one - y).abs().max()) for one in made]
    best = min(range(len(norms)), key=off.__getitem__)
    only_scaled = min(float((x * gain + shift - y).abs().max()) for gain in gains)  # dropout, LayerScale
    return norms[best] if trace.alike(made[best], y) and off[best] < only_scaled else None


def normalized(x: Tensor, norm: Norm) -> Tensor:
    """What a norm makes of ``x [..., d]`` before gain and bias; in float32 or finer."""
    wide = x.to(torch.promote_types(x.dtype, torch.float32))
    wide = wide - wide.mean(dim=-1, keepdim=True) if norm.centred else wide
    return wide * (wide.pow(2).mean(dim=-1, keepdim=True) + norm.eps).rsqrt()


def gain_of(module: nn.Module, norm: Norm, d: int) -> Tensor:
    """What multiplies the normalised vector, float32 ``[d]``; ones for a norm without a weight."""
    if not isinstance(getattr(base_of(module), "weight", None), Tensor):
        return torch.ones(d)
    return weight_of(module).detach().float() + norm.gain_offset


def _shift(module: nn.Module) -> Tensor | float:
    bias = bias_of(module)
    return 0.0 if bias is None else bias.cpu()


def _may_be_norm(module: nn.Module, d: int) -> bool:
    tensors = dict(module.named_parameters(recurse=False))
    return all(name in {"weight", "bias"} and tensor.shape == (d,) for name, tensor in tensors.items())


def _eps_of(module: nn.Module) -> Iterator[float]:
    named = [getattr(module, name, None) for name in _EPS_NAMES]
    found = [float(eps) for eps in named if isinstance(eps, (int, float)) and not isinstance(eps, bool)]
    yield from found or _EPS_VALUES
