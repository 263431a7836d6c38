"""Whether a module mixes tokens: asked by giving it one changed token, and seeing whether others change."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from sae_vis.models.anatomy import Kind
from sae_vis.models.forward import first_tensor, with_first

_ATTENTION = re.compile(r"attn|attention", re.IGNORECASE)


class Mixing:
    """What kind of part each module is; modules of one class are of one kind, and one of them is asked.

    Args:
        modules: of the model, by path.
        shape: ``(n_seqs, seq_len)`` of the tokens.
    """

    def __init__(self, modules: Mapping[str, nn.Module], shape: tuple[int, int]) -> None:
        self._modules, self._shape = modules, shape
        self._mixes: dict[type[nn.Module], bool] = {}

    def kind(self, *paths: str) -> Kind:
        """``attn``, ``mixer`` or ``mlp``, of a part with these modules in it."""
        mixing = [path for path in paths if self._mixes.get(type(self._modules[path]), False)]
        if not mixing:
            return "mlp"
        modules = [self._modules[path] for path in mixing]
        classes = [type(one).__name__ for module in modules for one in (module, *module.children())]
        names = [name for path in mixing for name in path.rsplit(".", 2)[1:]]
        return "attn" if any(_ATTENTION.search(name) for name in (*classes, *names)) else "mixer"

    @contextmanager
    def watching(self, path: str) -> Iterator[None]:
        """While open, the module is asked at its call, if none of its class was."""
        module = self._modules[path]
        handle = module.register_forward_hook(self._ask, with_kwargs=True)
        try:
            yield
        finally:
            handle.remove()

    def _ask(self, module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any], output: object) -> None:
        made = first_tensor(output)
        if type(module) in self._mixes or made is None:
            return
        self._mixes[type(module)] = False
        if first_tensor(args) is not None:
            args = with_first(args, self._altered)
        else:
            kwargs = with_first(kwargs, self._altered)
        again = first_tensor(module.forward(*args, **kwargs))
        if again is not None and again.shape == made.shape:
            one, other = self._second(made), self._second(again)
            near = 64 * torch.finfo(one.dtype).eps * one.abs().max()
            self._mixes[type(module)] = bool(((one - other).abs() > near).any())

    def _altered(self, x: Tensor) -> Tensor:
        """The input with the first token of every sequence another."""
        x = x.clone()
        self._by_token(x)[:, 0] += self._by_token(x)[:, 0].abs().mean() + 1
        return x

    def _second(self, x: Tensor) -> Tensor:
        """All tokens but the first of every sequence."""
        return self._by_token(x)[:, 1:]

    def _by_token(self, x: Tensor) -> Tensor:
        return x.view(*self._shape, -1) if x.ndim == 2 else x
