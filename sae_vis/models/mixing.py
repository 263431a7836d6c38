"""Whether a part mixes tokens: blocks are given one changed token, and parts are seen to change at others, or not."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import replace

import torch
from torch import Tensor, nn

from sae_vis.models.anatomy import Block, Kind, Part
from sae_vis.models.forward import changed
from sae_vis.models.trace import Trace

_ATTENTION = re.compile(r"attn|attention", re.IGNORECASE)

_TOLD = 1e-4  # a change that is passed on is larger; experts that get other numbers of tokens round in other ways


class Mixing:
    """Of what kind each part of some blocks is.

    While watched, every block is given what it was given in an earlier forward, but the first token of each sequence
    another; and every part, once it was seen, adds what it added then. So what a part adds at a later token changes
    only if the part itself, with all that is between it and the stream, mixes tokens.

    Args:
        modules: of the model, by path.
        trace: of the earlier forward.
    """

    def __init__(self, modules: Mapping[str, nn.Module], trace: Trace) -> None:
        self._modules, self._trace = modules, trace
        self._mixes: dict[str, bool] = {}

    @contextmanager
    def watching(self, block: Block) -> Iterator[None]:
        """While open, a block is run so."""
        own = self._trace.of(block.path)
        with ExitStack() as on:
            if own is not None and own.given is not None and block.carries:
                given = self._altered(own.given)
                on.enter_context(changed(self._modules[block.path], "input", lambda x: _as(given, x)))
            for part in block.parts:
                on.enter_context(self._holding(_added(part), self._held(block, part)))
            yield

    def expected(self, block: Block) -> tuple[Tensor | None, Tensor | None]:
        """What a block gives while it is watched, and the size of what that is the sum of: both ``[n_tokens, d]``."""
        own = self._trace.of(block.path)
        if own is None or own.given is None:
            return None, None
        terms = [block.carry * self._altered(own.given)]
        terms += [(block.carry or 1.0) * part.factor * self._held(block, part) for part in block.parts]
        return torch.stack(terms).sum(0), torch.stack(terms).abs().sum(0)

    def _held(self, block: Block, part: Part) -> Tensor:
        """What a part adds while its block is watched; where the stream begins with a part, that is altered."""
        call = self._trace.of(_added(part))
        assert call is not None
        assert call.made is not None
        begins = not block.carry and part is block.parts[0]
        return self._altered(call.made) if begins else call.made

    def kinds(self, block: Block) -> Block:
        """The block with the kinds of its parts: of each kind the first, the rest are ``other``."""
        taken: set[Kind] = set()
        parts: list[Part] = []
        for part in block.parts:
            kind = self._kind(part)
            parts.append(replace(part, kind="other" if kind in taken else kind))
            taken.add(kind)
        return replace(block, parts=tuple(parts))

    def _kind(self, part: Part) -> Kind:
        if not self._mixes.get(_added(part), False):
            return "mlp"
        paths = (part.inner, part.module, *part.before)
        modules = [self._modules[path] for path in paths]
        classes = [type(one).__name__ for module in modules for one in (module, *module.children())]
        names = [name for path in paths for name in path.rsplit(".", 2)[1:]]
        return "attn" if any(_ATTENTION.search(name) for name in (*classes, *names)) else "mixer"

    @contextmanager
    def _holding(self, path: str, value: Tensor) -> Iterator[None]:
        call = self._trace.of(path)
        assert call is not None
        assert call.made is not None
        before = call.made

        def held(x: Tensor) -> Tensor:
            now = self._trace.rows(x)
            if now is None or now.shape != before.shape:
                return x
            one, other = self._later(before), self._later(now)
            self._mixes[path] = bool(((one - other).abs() > max(self._trace.unit / 2, _TOLD) * one.abs().max()).any())
            return _as(value, x)

        with changed(self._modules[path], "output", held):
            yield

    def _altered(self, x: Tensor) -> Tensor:
        """``[n_tokens, d]`` with the first token of every sequence another of the same size."""
        signs = torch.randint(0, 2, x.shape[1:], generator=torch.Generator().manual_seed(0)) * 2 - 1
        x = x.clone().view(*self._trace.shape, -1)
        x[:, 0] *= signs
        return x.flatten(0, 1)

    def _later(self, x: Tensor) -> Tensor:
        """All tokens but the first of every sequence."""
        return x.view(*self._trace.shape, -1)[:, 1:]


def _added(part: Part) -> str:
    """The module whose output is added to the stream."""
    return part.post_norm or part.module


def _as(value: Tensor, x: Tensor) -> Tensor:
    """``[n_tokens, d]`` in the shape and dtype of a tensor that holds as much; a copy, as blocks may write into it."""
    return value.reshape(x.shape).to(x, copy=True) if value.numel() == x.numel() else x
