"""A forward pass that reads one place of a torch model and goes no further."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress

import torch
from torch import Tensor, nn

from sae_vis.errors import InputError
from sae_vis.models.base import Side


class _StopForward(Exception):  # noqa: N818 (not an error)
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
def hooked(module: nn.Module, side: Side, see: Callable[[Tensor | None], None]) -> Iterator[None]:
    """While open, `see` is given the module's input or output at every call (None where there is no tensor in it)."""

    def on_input(_: nn.Module, args: tuple[object, ...], kwargs: dict[str, object]) -> None:
        see(first_tensor((*args, *kwargs.values())))

    def on_output(_: nn.Module, args: tuple[object, ...], output: object) -> None:
        see(first_tensor(output))

    if side == "input":
        handle = module.register_forward_pre_hook(on_input, with_kwargs=True)
    else:
        handle = module.register_forward_hook(on_output)
    try:
        yield
    finally:
        handle.remove()


@contextmanager
def eval_mode(model: nn.Module) -> Iterator[None]:
    """While open, no module of `model` is in training mode; each gets its own mode back in the end."""
    training = [module for module in model.modules() if module.training]
    try:
        for module in training:
            module.training = False
        yield
    finally:
        for module in training:
            module.training = True


def read(model: nn.Module, module: nn.Module, side: Side, forward: Callable[[], object]) -> Tensor:
    """What the first call of `module` takes or gives in ``forward()``, which is cut off there.

    The tensor is an ordinary one without gradient, also inside ``torch.inference_mode()``.

    Args:
        model: what is kept in evaluation mode meanwhile; every module of it has its own mode back in the end.
        module: the module to read, somewhere in `model`.
        side: which side of it.
        forward: runs the model, or as much of it as `module` needs.

    Raises:
        InputError: where `module` is not called, or has no tensor at that side.
    """
    seen: list[Tensor | None] = []

    def see(value: Tensor | None) -> None:
        seen.append(value)
        raise _StopForward

    with (
        torch.inference_mode(mode=False),
        torch.no_grad(),
        eval_mode(model),
        hooked(module, side, see),
        suppress(_StopForward),
    ):
        forward()
    if not seen:
        raise InputError("the model's forward never calls this module, so there is nothing to read there")
    if seen[0] is None:
        raise InputError(f"the module's {side} holds no tensor, so there is nothing to read there")
    return seen[0].detach()
