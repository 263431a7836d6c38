"""The end of a model without the model: what logit effects of directions in the residual stream need."""

from __future__ import annotations

from typing import NoReturn

import torch
from torch import Tensor

from sae_vis.errors import InputError
from sae_vis.models.base import HookPoint, LanguageModel, Unembedding
from sae_vis.neutral import all_neutrally


@all_neutrally
class UnembeddingOnly(LanguageModel):
    """An unembedding that stands for a model; it reads no tokens.

    Args:
        unembedding: a matrix ``[d_vocab, d_model]``, with any gain of the final norm in it, or an `Unembedding`.
    """

    def __init__(self, unembedding: Tensor | Unembedding) -> None:
        if isinstance(unembedding, Tensor):
            if unembedding.ndim != 2:
                raise InputError(f"an unembedding is [d_vocab, d_model]; got the shape {tuple(unembedding.shape)}")
            weight = unembedding.detach().float()
            gain = torch.ones(weight.shape[1], device=weight.device)
            unembedding = Unembedding(gain=gain, centred=False, weight=weight, bias=None, eps=0.0)
        self._unembedding = unembedding
        self.n_vocab, self.d_model = (int(n) for n in unembedding.weight.shape)
        self.logit_softcap = None

    def hook_point(self, name: str) -> HookPoint:
        """The residual stream, whatever it is called."""
        return HookPoint(name=name, module=name, side="output", layer=None, site="resid", d=self.d_model, onward=())

    def activations(self, tokens: Tensor, hook: HookPoint) -> NoReturn:
        """Raises `InputError`: there is no model."""
        raise InputError("there is no model here, only its unembedding: it reads no tokens")

    def unembedding(self) -> Unembedding:
        """What was given."""
        return self._unembedding

    def to_residual(self, directions: Tensor, hook: HookPoint) -> Tensor:
        """The directions themselves: they are in the residual stream."""
        return directions

    def fingerprint(self) -> NoReturn:
        """Raises `InputError`: there is no model."""
        raise InputError("there is no model here, only its unembedding: it has no fingerprint")

    def describe(self) -> dict[str, object]:
        """Sizes."""
        return {"name": "unembedding only", "d_model": self.d_model, "n_vocab": self.n_vocab}
