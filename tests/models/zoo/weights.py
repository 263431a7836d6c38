"""Random weights under which every part of a model matters."""

from __future__ import annotations

import math
import re

import torch
from torch import nn
from transformers import PreTrainedModel
from transformers.pytorch_utils import Conv1D

LEARNT_BUFFERS = re.compile("correction_bias|expert_bias|balancing_biases|layer_scalar")


@torch.no_grad()
def randomise(model: PreTrainedModel) -> None:
    """Draws all weights: products of order 1, gains around what they were, biases and sinks around theirs."""
    seen: set[int] = set()  # tied weights are drawn once, where they come first: as an embedding
    for module in model.modules():
        for name, weight in module.named_parameters(recurse=False):
            if id(weight) not in seen:
                seen.add(id(weight))
                _draw(module, name, weight)
        for name, buffer in module.named_buffers(recurse=False):
            if LEARNT_BUFFERS.search(name):
                buffer.add_(0.2 * torch.randn(buffer.shape))


def _draw(module: nn.Module, name: str, weight: torch.Tensor) -> None:
    noise = torch.randn(weight.shape)
    matrix = weight.ndim >= 2 and min(weight.shape[-2:]) > 1 and not re.search("A_log|norm", name)
    if isinstance(module, nn.Embedding):
        weight.copy_(0.25 * noise)
    elif isinstance(module, Conv1D) and weight.ndim == 2:
        weight.copy_(noise / math.sqrt(weight.shape[0]))
    elif isinstance(module, nn.modules.conv._ConvNd) and weight.ndim > 2:
        weight.copy_(noise / math.sqrt(weight[0].numel()))
    elif matrix:
        weight.copy_(noise / math.sqrt(weight.shape[-1]))
    else:
        weight.add_(0.2 * noise)
