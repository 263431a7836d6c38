"""One forward of a few tokens with every module watched: what each took and gave, as plain numbers."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from sae_vis.models.forward import eval_mode, first_tensor
from sae_vis.models.half import HALF


@dataclass
class Call:
    """One call of a module.

    Attributes:
        path: of the module.
        start: where it begins in the order of all beginnings and ends of calls.
        stop: where it ends.
        depth: how many calls it is within.
        given: the first tensor of its arguments ``[n_tokens, d]``, or None where that is not one vector for each token.
        made: the first tensor of its result, likewise.
    """

    path: str
    start: int
    depth: int
    stop: int = -1
    given: Tensor | None = None
    made: Tensor | None = None


class Trace:
    """All calls of a forward, in the order of their beginnings.

    Args:
        shape: ``(n_seqs, seq_len)`` of the tokens.
        dtype: in which the model computes: decides how near two numbers must be to count as equal.
    """

    def __init__(self, shape: tuple[int, int], dtype: torch.dtype) -> None:
        self.shape, self.dtype = shape, dtype
        self.calls: list[Call] = []
        self._starts: list[int] = []
        self._of: dict[str, list[Call]] = {}

    def add(self, call: Call) -> None:
        """Note the beginning of a call."""
        self.calls.append(call)
        self._starts.append(call.start)
        self._of.setdefault(call.path, []).append(call)

    def of(self, path: str) -> Call | None:
        """The call of a module that is called exactly once and gives something."""
        found = self._of.get(path, [])
        return found[0] if len(found) == 1 and found[0].stop > 0 else None

    def within(self, call: Call) -> list[Call]:
        """Calls made during another, of modules that are called once in the whole forward."""
        first, last = (bisect_left(self._starts, edge) for edge in (call.start + 1, call.stop))
        return [one for one in self.calls[first:last] if self.of(one.path) is one]

    def rows(self, value: Tensor | None) -> Tensor | None:
        """``[n_tokens, d]`` float32 or finer on the CPU, a copy; None unless there is one vector for each token."""
        if value is None or not value.is_floating_point() or value.device.type == "meta":
            return None
        n_seqs, seq_len = self.shape
        if value.ndim >= 3 and tuple(value.shape[:2]) == (1, seq_len):
            value = value.expand(n_seqs, *value.shape[1:])  # the same for all sequences, such as positions
        whole = value.ndim >= 3 and tuple(value.shape[:2]) == self.shape
        flat = value.ndim == 2 and value.shape[0] == n_seqs * seq_len
        if not whole and not flat:
            return None
        wide = torch.promote_types(value.dtype, torch.float32)
        return value.detach().reshape(n_seqs * seq_len, -1).to("cpu", wide, copy=True)

    def called(self, path: str) -> bool:
        """Whether a module was called at all."""
        return path in self._of

    @property
    def unit(self) -> float:
        """How far two roundings of one number may be apart, relative to it: some units in the last place."""
        return (4 if self._half else 16) * self._eps

    @property
    def _half(self) -> bool:
        return self.dtype in HALF

    @property
    def _eps(self) -> float:
        # in models in float64, too, norms often compute in float32
        return torch.finfo(self.dtype if self._half else torch.float32).eps

    @property
    def least(self) -> float:
        """How far two roundings of one number may be apart, however small the number is."""
        subnormal = 2.0**-24 if self.dtype == torch.float16 else 0.0
        return 4 * subnormal + 1e-30

    def same(self, one: Tensor | None, other: Tensor | None) -> bool:
        """Whether two ``[n_tokens, d]`` are the same numbers, each up to its rounding."""
        if one is None or other is None or one.shape != other.shape:
            return False
        return bool(((one - other).abs() <= self.unit * one.abs().maximum(other.abs()) + self.least).all())

    def measured(self, one: Tensor, other: Tensor, likely: Sequence[float] = ()) -> float:
        """The number c for which ``c * one`` is nearest to ``other``; of `likely` the nearest that roundings allow.

        Allowed is what is within 6 standard errors of c, and what roundings that all go one way make of it: in half
        precision they depend on a hundred or so mantissas, in float32 a factor is not rounded as Python's numbers are.
        """
        one, other = one.double(), other.double()
        size = one.abs().sum()
        c = float((one.sign() * other).sum() / size)
        error = float((other - c * one).square().sum().sqrt() / size)
        one_way = self._eps / 8 if self._half else 2 * self._eps
        allowed = 6 * error + one_way * abs(c)
        return min((x for x in likely if abs(c - x) <= allowed), key=lambda x: abs(c - x), default=c)

    def copies(self, one: Tensor | None, other: Tensor | None) -> bool:
        """Whether two ``[n_tokens, d]`` are one tensor, at most rounded to the model's dtype in between."""
        if one is None or other is None or one.shape != other.shape:
            return False
        near = self._eps if self._half else 2 * self._eps
        return bool(((one - other).abs() <= near * one.abs().maximum(other.abs()) + self.least).all())

    def alike(self, one: Tensor | None, other: Tensor | None) -> bool:
        """Whether two computations ``[n_tokens, d]`` agree, up to roundings of the size of each token's largest."""
        if one is None or other is None or one.shape != other.shape:
            return False
        size = one.abs().amax(1, keepdim=True).maximum(other.abs().amax(1, keepdim=True))
        return bool(((one - other).abs() <= 8 * self.unit * size + 1e-30).all())

    def factor(self, one: Tensor | None, other: Tensor | None, likely: Sequence[float] = (1.0,)) -> float | None:
        """The number c with ``other = c * one``, each number up to its rounding, or None where there is none.

        It is measured to some hundredth of a rounding, and is one of the `likely` numbers only if one is as near.
        """
        if one is None or other is None or one.shape != other.shape or not one.any():
            return None
        measured = self.measured(one, other, likely)
        return measured if measured and self.same(one.double() * measured, other.double()) else None


def traced(
    model: nn.Module, modules: Mapping[str, nn.Module], tokens: Tensor, forward: Callable[[], Any]
) -> tuple[Trace, Any]:
    """A forward of ``tokens [n_seqs, seq_len]`` without gradient, its ``modules`` watched, and what it gives."""
    dtype = next((p.dtype for p in model.parameters() if p.is_floating_point()), torch.float32)
    trace = Trace((int(tokens.shape[0]), int(tokens.shape[1])), dtype)
    clock = [0, 0]  # beginnings and ends so far, calls that are open
    open_calls: dict[str, list[Call]] = {}

    def begin(path: str, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        clock[0] += 1
        call = Call(path, clock[0], clock[1], given=trace.rows(first_tensor((*args, *kwargs.values()))))
        trace.add(call)
        clock[1] += 1
        open_calls.setdefault(path, []).append(call)

    def end(path: str, output: object) -> None:
        clock[0] += 1
        clock[1] -= 1
        call = open_calls[path].pop()
        call.stop, call.made = clock[0], trace.rows(first_tensor(output))

    with torch.inference_mode(mode=False), torch.no_grad(), eval_mode(model), ExitStack() as on:
        named = reversed(list(modules.items()))  # of several names of one module the first
        watched = {id(module): (path, module) for path, module in named}
        for path, module in watched.values():
            if module is not model:
                on.callback(_watch(module, path, begin, end))
        output = forward()
    return trace, output


def _watch(
    module: nn.Module,
    path: str,
    begin: Callable[[str, tuple[Any, ...], dict[str, Any]], None],
    end: Callable[[str, object], None],
) -> Callable[[], None]:
    before = module.register_forward_pre_hook(lambda _, args, kwargs: begin(path, args, kwargs), with_kwargs=True)
    after = module.register_forward_hook(lambda _, __, output: end(path, output))

    def remove() -> None:
        before.remove()
        after.remove()

    return remove
