"""A forward pass that reads places of a torch model and goes no further, or changes one and goes on."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from copy import copy
from functools import partial
from inspect import Parameter, signature
from typing import Any, cast

import torch
from torch import Tensor, nn

from sae_vis.errors import InputError
from sae_vis.models.base import Side
from sae_vis.models.precision import float64_device
from sae_vis.models.wrapped import is_compiled
from sae_vis.neutral import ordinary


def without_cache(model: nn.Module) -> dict[str, bool]:
    """The option of a forward that keeps keys and values out of it; {} where it has none."""
    named = signature(model.forward).parameters
    takes = "use_cache" in named or any(one.kind is Parameter.VAR_KEYWORD for one in named.values())
    return {"use_cache": False} if takes else {}


def with_cache(model: nn.Module, cache: object) -> dict[str, object]:
    """The options of a forward that reads `cache` and adds to it; transformers calls it ``cache`` from 5.24 on."""
    named = signature(model.forward).parameters
    name = "cache" if "cache" in named and "past_key_values" not in named else "past_key_values"
    return {"use_cache": True, name: cache}


class StopForward(Exception):  # noqa: N818 (not an error)
    """Raised inside a hook once its place has been read."""


def first_tensor(value: object) -> Tensor | None:
    """The tensor among what a module takes or gives: itself, or the first of a tuple, list or mapping."""
    if isinstance(value, Tensor):
        return value
    items: object = value.values() if isinstance(value, Mapping) else value
    if not isinstance(value, (Mapping, tuple, list)):
        return None
    return next((item for item in items if isinstance(item, Tensor)), None)  # type: ignore[attr-defined]


@contextmanager
def _attached(
    module: nn.Module, side: Side, on_input: Callable[..., Any], on_output: Callable[..., Any]
) -> Iterator[None]:
    """While open, one of the two is called at every call of the module: before it, or with what it gives."""
    if side == "input":
        handle = module.register_forward_pre_hook(on_input, with_kwargs=True)
    else:
        handle = module.register_forward_hook(on_output)
    try:
        yield
    finally:
        handle.remove()


@contextmanager
def hooked(module: nn.Module, side: Side, see: Callable[[Tensor | None], None]) -> Iterator[None]:
    """While open, `see` is given the module's input or output at every call (None where there is no tensor in it)."""

    def on_input(_: nn.Module, args: tuple[object, ...], kwargs: dict[str, object]) -> None:
        see(first_tensor((*args, *kwargs.values())))

    def on_output(_: nn.Module, args: tuple[object, ...], output: object) -> None:
        see(first_tensor(output))

    with _attached(module, side, on_input, on_output):
        yield


@contextmanager
def hooked_outputs(module: nn.Module, see: Callable[[object], None]) -> Iterator[None]:
    """While open, `see` is given all that the module gives, at every call."""
    handle = module.register_forward_hook(lambda _module, _args, output: see(output))
    try:
        yield
    finally:
        handle.remove()


@contextmanager
def eval_mode(model: nn.Module) -> Iterator[None]:
    """While open, no module of `model` is in training mode, compiled, or in autocast; in the end each is as it was.

    What ``torch.compile`` has made of a module does not see hooks that come later. Autocast is what accelerate puts
    around the forward of a model that it prepares for mixed precision.
    """
    parts = list(model.modules())
    mixed = [(part, vars(part)["forward"]) for part in parts if vars(part).keys() >= {"forward", "_original_forward"}]
    training = [module for module in parts if module.training]
    compiled = [(module, call) for module in parts if (call := module._compiled_call_impl) is not None]
    wrapped = [(part._modules, name, inner) for part in parts for name, inner in part._modules.items()]
    wrapped = [place for place in wrapped if is_compiled(place[2])]
    try:
        for module in training:
            module.training = False
        for module, _ in compiled:
            module._compiled_call_impl = None
        for children, name, inner in wrapped:
            children[name] = inner._orig_mod  # type: ignore[union-attr, assignment]
        for module, _ in mixed:
            vars(module)["forward"] = module._original_forward
        yield
    finally:
        for module in training:
            module.training = True
        for module, call in compiled:
            module._compiled_call_impl = call
        for children, name, inner in wrapped:
            children[name] = inner
        for module, forward in mixed:
            vars(module)["forward"] = forward


@contextmanager
def ordinary_weights(model: nn.Module) -> Iterator[None]:
    """While open, weights that were made in inference mode, which autograd refuses, stand as ordinary tensors."""
    holders = [holder for module in model.modules() for holder in (module._parameters, module._buffers)]
    every = [(cast("dict[str, Tensor | None]", holder), name) for holder in holders for name in holder]
    made = [(holder, name, x) for holder, name in every if (x := holder[name]) is not None and x.is_inference()]
    try:
        for holder, name, weight in made:
            holder[name] = ordinary(weight)
        yield
    finally:
        for holder, name, weight in made:
            holder[name] = weight


def read(model: nn.Module, places: Sequence[tuple[nn.Module, Side]], forward: Callable[[], object]) -> list[Tensor]:
    """What the first calls of some modules take or give in ``forward()``, which is cut off after the last of them.

    The tensors are ordinary ones without gradient, also inside ``torch.inference_mode()``.

    Args:
        model: what is kept in evaluation mode meanwhile; every module of it has its own mode back in the end.
        places: modules somewhere in `model`, and which side of each to read.
        forward: runs the model, or as much of it as the modules need.

    Raises:
        InputError: where a module is not called, or has no tensor at that side.
    """
    seen: dict[int, Tensor | None] = {}

    def see(place: int, value: Tensor | None) -> None:
        if place in seen:
            return
        last = len(seen) == len(places) - 1
        # what comes after may write into what was read, where it goes on
        seen[place] = value if last or value is None else value.detach().clone()
        if last:
            raise StopForward

    with torch.inference_mode(mode=False), torch.no_grad(), eval_mode(model), suppress(StopForward), ExitStack() as on:
        for place, (module, side) in enumerate(places):
            on.enter_context(hooked(module, side, partial(see, place)))
        forward()
    return [_found(seen, place, side) for place, (_, side) in enumerate(places)]


def _found(seen: Mapping[int, Tensor | None], place: int, side: Side) -> Tensor:
    if place not in seen:
        raise InputError("the model's forward never calls this module, so there is nothing to read there")
    value = seen[place]
    if value is None:
        raise InputError(f"the module's {side} holds no tensor, so there is nothing to read there")
    return value.detach()


@contextmanager
def changed(module: nn.Module, side: Side, change: Callable[[Tensor], Tensor]) -> Iterator[None]:
    """While open, the tensor in the module's input or output (the first one) is replaced by ``change`` of it.

    Raises:
        InputError: at a call without a tensor there.
    """

    def on_input(_: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> tuple[Any, dict[str, Any]]:
        if first_tensor(args) is not None:
            return with_first(args, change), kwargs
        return args, with_first(kwargs, change)

    def on_output(_: nn.Module, args: tuple[object, ...], output: object) -> object:
        return with_first(output, change)

    with _attached(module, side, on_input, on_output):
        yield


def float32_weights(weight: Tensor) -> Tensor:
    """Weights as float32, where sums of them can be taken in float64."""
    return weight.detach().to(float64_device(weight.device)).float()


def check_tokens(tokens: Tensor, n_vocab: int, model: str) -> None:
    """Raise `InputError` unless tokens are integer ids ``[n_seqs, seq_len]`` below `n_vocab`; `model` is its name."""
    if tokens.ndim != 2:
        raise InputError(f"tokens are [n_seqs, seq_len]; got the shape {tuple(tokens.shape)}")
    if tokens.dtype not in {torch.int64, torch.int32}:
        raise InputError(f"tokens are integer ids (int64); got {tokens.dtype}")
    if not tokens.numel():
        return
    low, high = (int(end) for end in torch.aminmax(tokens))
    if low < 0 or high >= n_vocab:
        raise InputError(
            f"token ids from {low} to {high}, but {model} has ids 0 to {n_vocab - 1}: "
            "were the tokens made with another tokenizer?"
        )


def a_vector_a_token(acts: Tensor, tokens: Tensor, what: str) -> Tensor:
    """Activations as ``[n_seqs, seq_len, d]``, heads flattened; `what` says in an error what was read.

    Raises:
        InputError: where there is not one vector for each token.
    """
    if acts.ndim == 2 and acts.shape[0] == tokens.numel():
        return acts.reshape(*tokens.shape, -1)  # experts often take all tokens of a batch as one list
    if acts.shape[:2] != tokens.shape or acts.ndim < 3:
        raise InputError(
            f"{what} has the shape {tuple(acts.shape)} for tokens of shape {tuple(tokens.shape)}; activations are read "
            "where there is one vector a token, [n_seqs, seq_len, d]"
        )
    return acts.flatten(2) if acts.ndim > 3 else acts


def with_first(value: Any, change: Callable[[Tensor], Tensor]) -> Any:  # noqa: ANN401
    """`value` with `first_tensor` of it changed; what was given is left as it is."""
    if isinstance(value, Tensor):
        return change(value)
    if first_tensor(value) is None:
        raise InputError("this module's call holds no tensor there, so there is nothing to change")
    if isinstance(value, tuple):
        items = list(value)
        _change_first_item(items, range(len(items)), change)
        return type(value)(*items) if hasattr(value, "_fields") else tuple(items)
    held = copy(value)
    _change_first_item(held, list(held) if isinstance(held, Mapping) else range(len(held)), change)
    return held


def _change_first_item(held: Any, keys: Iterable[object], change: Callable[[Tensor], Tensor]) -> None:  # noqa: ANN401
    key = next(key for key in keys if isinstance(held[key], Tensor))
    held[key] = change(held[key])
