"""Whole runs of a model: with a change on the way, with a remembered prefix, with gradient."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from sae_vis.errors import InputError, UnknownWiringError
from sae_vis.models.base import Edit, Edits, HookGradient, Prefix, Side
from sae_vis.models.forward import changed, eval_mode, ordinary_weights, with_cache, without_cache

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
        listed = x.ndim == 2 and x.shape[0] == self.delta.shape[0] * self.delta.shape[1]  # all tokens as one list
        if not listed and (x.shape[:2] != self.delta.shape[:2] or x[0].numel() != self.delta[0].numel()):
            raise InputError(
                f"there is a tensor of shape {tuple(x.shape)}, and the change is {tuple(self.delta.shape)}: only one "
                "vector for each token can be changed"
            )
        self.calls += 1
        self.before = x if self.before is None else self.before
        delta = self.delta.to(x.device).reshape(x.shape)
        return (x.to(torch.promote_types(x.dtype, delta.dtype)) + delta).to(x.dtype)


@dataclass(frozen=True)
class Change:
    """An addition, and where it is made.

    Attributes:
        addition: what is added.
        places: modules and their sides: the addition is made at every one of them.
    """

    addition: Addition
    places: Sequence[tuple[nn.Module, Side]]


def run(model: nn.Module, forward: Callable[[], Tensor], changes: Sequence[Change] = ()) -> Tensor:
    """The logits that `forward` gives, in which all of `changes` are made to modules of `model`.

    Raises:
        InputError: where the forward does not call the module of a place exactly once.
    """
    with eval_mode(model), ExitStack() as on:
        for change in changes:
            for module, side in change.places:
                on.enter_context(changed(module, side, change.addition))
        logits = forward()
    for change in changes:
        calls, expected = change.addition.calls, len(change.places)
        if calls != expected:
            raise InputError(
                f"a run makes {calls} calls where {expected} was expected: an effect can be measured only at a module "
                "that is called once"
            )
    return logits


def gradients(
    model: nn.Module, forward: Callable[[], Tensor], changes: Sequence[Change], target: Callable[[Tensor], Tensor]
) -> list[HookGradient]:
    """The gradients of ``target(logits)`` by the additions, which should be zeros."""
    additions = [change.addition for change in changes]
    with torch.inference_mode(mode=False), torch.enable_grad(), ordinary_weights(model):
        for addition in additions:
            addition.delta.requires_grad_()
        value = target(run(model, forward, changes))
        found = torch.autograd.grad(value, [addition.delta for addition in additions], allow_unused=True)
    made = []
    for addition, gradient in zip(additions, found, strict=True):
        if gradient is None:
            raise UnknownWiringError("no gradient comes back from the logits to this place")
        assert addition.before is not None
        made.append(HookGradient(addition.before.detach().reshape(gradient.shape), gradient, float(value.detach())))
    return made


def as_edits(edit: Edits) -> list[Edit]:
    """One edit, several or none as a list; raises `InputError` for two at one place."""
    edits = [] if edit is None else [edit] if isinstance(edit, Edit) else list(edit)
    places: set[str] = set()
    for one in edits:
        if one.hook.place in places:
            raise InputError(f"there are two edits at {one.hook.name!r}: add them up to one")
        places.add(one.hook.place)
    return edits


def logits_of(model: PreTrainedModel, tokens: Tensor, cache: Cache | None = None) -> Tensor:
    """Logits of a `transformers` model, as it is."""
    options = without_cache(model) if cache is None else with_cache(model, cache)
    logits: Tensor | None = getattr(model(input_ids=tokens, **options), "logits", None)
    if logits is None:
        raise UnknownWiringError(f"{type(model).__name__} gives no logits: load it as a causal language model")
    return logits


def empty_cache() -> Cache:
    """A cache that keeps every key and value of every layer, whatever their windows."""
    from transformers import DynamicCache

    return DynamicCache()


def values_in(cache: Any, layer: int) -> Tensor:  # noqa: ANN401 (of any release of transformers)
    """Values ``[n_seqs, n_kv_heads, n_tokens, d_head]`` of one layer."""
    found: Tensor = cache.layers[layer].values if hasattr(cache, "layers") else cache.value_cache[layer]
    return found


def remembered(model: PreTrainedModel, tokens: Tensor) -> Prefix:
    """Keys and values of ``tokens [1, seq_len]``."""
    cache: Any = empty_cache()
    run(model, lambda: logits_of(model, tokens, cache))
    if hasattr(cache, "layers"):
        return Prefix(tuple((layer.keys, layer.values) for layer in cache.layers))
    return Prefix(tuple(zip(cache.key_cache, cache.value_cache, strict=True)))  # transformers before 4.56


def cache_of(prefix: Prefix, n_seqs: int, start: int) -> Cache:
    """A cache of the first `start` tokens of a prefix, for `n_seqs` rows."""
    cache = empty_cache()
    for number, (keys, values) in enumerate(prefix.layers):
        first, second = (kept[:, :, :start].expand(n_seqs, -1, -1, -1) for kept in (keys, values))
        cache.update(first, second, number)
    return cache


def remembers_exactly(config: Any) -> bool:  # noqa: ANN401 (a transformers configuration)
    """Whether every layer of a known architecture attends to all tokens before, so that a cache holds all it needs."""
    kinds = set(getattr(config, "layer_types", None) or ())
    windows = getattr(config, "sliding_window", None), getattr(config, "attention_types", None)
    return kinds <= {"full_attention"} and windows == (None, None)
