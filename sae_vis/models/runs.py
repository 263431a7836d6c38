"""Whole runs of a model: with a change on the way, with a remembered prefix, with gradient."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from sae_vis.errors import InputError
from sae_vis.models.base import HookGradient, Prefix, Side
from sae_vis.models.forward import changed, eval_mode

if TYPE_CHECKING:
    from transformers import Cache, PreTrainedModel


class Addition:
    """Adds `delta` ``[n_seqs, seq_len, d]`` to what modules take or give, and keeps what the first of them had."""

    def __init__(self, delta: Tensor) -> None:
        self.delta = delta
        self.calls = 0
        self.before: Tensor | None = None

    def __call__(self, x: Tensor) -> Tensor:
        """``x + delta``, in the dtype of ``x``."""
        if x.shape[:2] != self.delta.shape[:2] or x[0].numel() != self.delta[0].numel():
            raise InputError(
                f"there is a tensor of shape {tuple(x.shape)}, and the change is {tuple(self.delta.shape)}: only one "
                "vector for each token can be changed"
            )
        self.calls += 1
        self.before = x if self.before is None else self.before
        delta = self.delta.to(x.device).reshape(x.shape)
        return (x.to(torch.promote_types(x.dtype, delta.dtype)) + delta).to(x.dtype)


def run(
    model: nn.Module,
    forward: Callable[[], Tensor],
    addition: Addition | None = None,
    places: Sequence[tuple[nn.Module, Side]] = (),
) -> Tensor:
    """The logits that `forward` gives, in which `addition` is made at every one of `places`, modules of `model`.

    Raises:
        InputError: where the forward does not call the module of a place exactly once.
    """
    with eval_mode(model), ExitStack() as on:
        if addition is not None:
            for module, side in places:
                on.enter_context(changed(module, side, addition))
        logits = forward()
    if addition is not None and addition.calls != len(places):
        raise InputError(
            f"a run makes {addition.calls} calls where {len(places)} was expected: an effect can be measured only at a "
            "module that is called once"
        )
    return logits


def gradient(
    model: nn.Module,
    forward: Callable[[], Tensor],
    addition: Addition,
    places: Sequence[tuple[nn.Module, Side]],
    target: Callable[[Tensor], Tensor],
) -> HookGradient:
    """The gradient of ``target(logits)`` by the addition, which should be zeros."""
    with torch.inference_mode(mode=False), torch.enable_grad():
        addition.delta.requires_grad_()
        value = target(run(model, forward, addition, places))
        (found,) = torch.autograd.grad(value, addition.delta)
    assert addition.before is not None
    return HookGradient(addition.before.detach().reshape(found.shape), found, float(value.detach()))


def logits_of(model: PreTrainedModel, tokens: Tensor, cache: Cache | None = None) -> Tensor:
    """Logits of a `transformers` model, as it is."""
    options = {"use_cache": False} if cache is None else {"use_cache": True, "past_key_values": cache}
    logits: Tensor = model(input_ids=tokens, **options).logits
    return logits


def remembered(model: PreTrainedModel, tokens: Tensor) -> Prefix:
    """Keys and values of ``tokens [1, seq_len]``."""
    from transformers import DynamicCache

    cache: Any = DynamicCache()
    run(model, lambda: logits_of(model, tokens, cache))
    if hasattr(cache, "layers"):
        return Prefix(tuple((layer.keys, layer.values) for layer in cache.layers))
    return Prefix(tuple(zip(cache.key_cache, cache.value_cache, strict=True)))  # transformers before 4.56


def cache_of(prefix: Prefix, n_seqs: int, start: int) -> Cache:
    """A cache of the first `start` tokens of a prefix, for `n_seqs` rows."""
    from transformers import DynamicCache

    cache: Cache = DynamicCache()
    for number, (keys, values) in enumerate(prefix.layers):
        first, second = (kept[:, :, :start].expand(n_seqs, -1, -1, -1) for kept in (keys, values))
        cache.update(first, second, number)
    return cache


def remembers_exactly(config: Any) -> bool:  # noqa: ANN401 (a transformers configuration)
    """Whether every layer of a known architecture attends to all tokens before, so that a cache holds all it needs."""
    kinds = set(getattr(config, "layer_types", None) or ())
    windows = getattr(config, "sliding_window", None), getattr(config, "attention_types", None)
    return kinds <= {"full_attention"} and windows == (None, None)
