"""Which modules of a block add to the residual stream: solved for in the numbers of one forward.

A block's output has to be a combination, the same for every token and coordinate, of its input and of what some modules
within it gave. There are many more numbers than modules, so that a combination that fits is the one that is computed.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import pairwise

import torch
from torch import Tensor, nn

from sae_vis.errors import InputError
from sae_vis.models.anatomy import Block, Norm, Part
from sae_vis.models.linear_maps import bias_of, is_linear, linear_weight
from sae_vis.models.norms import norm_of
from sae_vis.models.trace import Call, Trace

_NEARLY = 1e-4  # a factor that is so near 1 is 1, and the rest is rounding
_CHAIN = 6  # modules between what is added and the norm that reads the stream for it
_DEPTH = 4  # levels of modules below a block that are looked at
_EQUATIONS = 4096  # of which the coefficients are solved for; the rest is used to check them


@dataclass(frozen=True)
class Sum:
    """``output = carry * input + Σ coefficient * made``.

    Attributes:
        carry: of the input.
        terms: what is added, in the order in which it is computed, and its coefficient.
    """

    carry: float
    terms: tuple[tuple[Call, float], ...]


@dataclass(frozen=True)
class _Stream:
    """The residual stream within a block, and the sizes of what it is the sum of: both ``[n_tokens, d]``."""

    value: Tensor
    size: Tensor

    def plus(self, made: Tensor) -> _Stream:
        return _Stream(self.value + made, self.size + made.abs())


@dataclass(frozen=True)
class Frame:
    """What is needed to look at one block.

    Attributes:
        trace: of a forward.
        modules: all modules of the model, by path.
        norms: those found in it, by path; grows.
        constants: numbers that the model's configuration names: factors are taken from these where they fit.
    """

    trace: Trace
    modules: dict[str, nn.Module]
    norms: dict[str, Norm]
    constants: Sequence[float] = ()

    @cached_property
    def likely(self) -> list[float]:
        """Factors that a model may have: 1, the constants of its configuration, 1 by these."""
        return [1.0, *self.constants, *(1 / constant for constant in self.constants if constant)]

    def factor(self, one: Tensor | None, other: Tensor | None) -> float | None:
        """The number c with ``other = c * one``; a likely one where that fits as well. None: there is none."""
        return self.trace.factor(one, other, self.likely)

    def is_product(self, call: Call) -> bool:
        """Whether a call is of a linear module and gives ``x @ weight.T + bias``."""
        module, given, made = self.modules[call.path], call.given, call.made
        if not is_linear(module) or given is None or made is None:
            return False
        weight, bias = linear_weight(module).detach().float().cpu(), bias_of(module)
        if weight.shape != (made.shape[1], given.shape[1]):
            return False
        return self.trace.alike(given.float() @ weight.T + (0.0 if bias is None else bias.cpu()), made.float())

    def norm(self, call: Call) -> Norm | None:
        """What a call computes if it is a norm; remembered."""
        found = self.norms.get(call.path) or norm_of(self.trace, self.modules[call.path], call)
        if found is not None:
            self.norms[call.path] = found
        return found


def block_of(frame: Frame, own: Call, layer: int) -> Block:
    """The parts of a block, all of kind ``other`` still.

    Raises:
        InputError: its output is not its input and what some of its modules give.
    """
    found = summed(frame.trace, own, frame.constants, first=layer == 0)
    parts: list[Part] = []
    assert own.given is not None
    start = own.given * (1.0 if found.carry else 0.0)
    stream = [_Stream(start, start.abs())]
    for term, coefficient in found.terms:
        factor = coefficient / (found.carry or 1.0)
        factor = 1.0 if abs(factor - 1) < _NEARLY else factor
        parts.append(_part(frame, own, term, factor))
        assert term.made is not None
        stream.append(stream[-1].plus(factor * term.made))
    placed = tuple(_with_reads(frame, own, part, stream[:-1]) for part in parts)
    return Block(path=own.path, layer=layer, parts=placed, carry=found.carry)


def summed(trace: Trace, own: Call, constants: Sequence[float] = (), *, first: bool = False) -> Sum:
    """What a call's output is the sum of: its input, and outputs of modules within it, as few levels down as will do.

    Args:
        trace: of a forward.
        own: the call.
        constants: factors that are likely.
        first: whether the stream may begin within it, so that its input is no part of its output.

    Raises:
        InputError: there is no such sum.
    """
    if own.given is None or own.made is None or own.given.shape != own.made.shape:
        raise InputError("it does not give one vector for each token that has the width of its input")
    if not (own.given.isfinite().all() and own.made.isfinite().all()):
        raise InputError("it is given or gives numbers that are NaN or infinite")
    without: Sum | None = None
    for depth in range(1, _DEPTH + 1):
        found = _solved(trace, own, _candidates(trace, own, depth), constants)
        if found is not None and found.carry:
            return found
        without = without or found
    if trace.copies(own.given, own.made):
        return Sum(1.0, ())
    if without is None or not first:
        raise InputError("its output is not its input plus what some of its modules give")
    return without


def _candidates(trace: Trace, own: Call, depth: int) -> list[Call]:
    """Calls that many levels below a block, and those above that make none themselves; equal ones once."""
    inside = trace.within(own)
    followed = {id(call) for call, after in pairwise(inside) if after.depth > call.depth}  # makes calls itself
    found: list[Call] = []
    for call in inside:
        deep = call.depth - own.depth
        if deep != depth and not (deep < depth and id(call) not in followed):
            continue
        if call.made is None or own.made is None or call.made.shape != own.made.shape or not call.made.any():
            continue
        taken = (own.given, own.made, *(other.made for other in found))
        if call.made.isfinite().all() and not any(trace.copies(call.made, value) for value in taken):
            found.append(call)
    return sorted(found, key=lambda call: call.stop)


def _solved(trace: Trace, own: Call, terms: list[Call], constants: Sequence[float]) -> Sum | None:
    """The combination of a block's input and ``terms`` that is its output, with as few terms as will do."""
    assert own.given is not None
    assert own.made is not None
    if not terms:
        return None
    columns = torch.stack([own.given, *(term.made for term in terms)]).flatten(1).double()  # type: ignore[list-item]
    system = _System(columns, own.made.flatten().double(), trace)
    kept = list(range(len(columns)))
    if not system.holds(kept, system.coefficients(kept)):
        return None
    for place in range(len(terms), -1, -1):
        kept = kept if system.needs(place, kept) else [number for number in kept if number != place]
    coefficients = system.rounded(kept, constants)
    if coefficients is None or kept == [0]:
        return None
    found = dict(zip(kept, coefficients, strict=True))
    return Sum(found.pop(0, 0.0), tuple((terms[place - 1], c) for place, c in found.items()))


class _System:
    """``wanted = Σ coefficient * column``, each number up to the roundings of the sum.

    What is smaller than these roundings everywhere can still be told by all equations together: leaving it out makes
    the sum of squares greater than chance does.

    Args:
        columns: ``[n_columns, n]``, the first of which is the block's input.
        wanted: ``[n]``.
        trace: says how large roundings are.
    """

    def __init__(self, columns: Tensor, wanted: Tensor, trace: Trace) -> None:
        self._columns, self._wanted, self._unit, self._least = columns, wanted, trace.unit, trace.least
        n = len(wanted)
        chosen = torch.arange(n) if n <= _EQUATIONS else torch.randperm(n, generator=_generator())[:_EQUATIONS]
        self._some, self._goal = columns[:, chosen], wanted[chosen]
        self._n = len(chosen)
        sizes = self._some[0].abs() + self._goal.abs()
        self._triangle = self._reduced(sizes + 1e-3 * sizes.mean())
        every = self.coefficients(list(range(len(columns))))
        sizes = (every[:, None] * self._some).abs().sum(0) + self._goal.abs()
        self._triangle = self._reduced(sizes + 1e-6 * sizes.mean())

    def _reduced(self, sizes: Tensor) -> Tensor:
        """The equations, each in units of its own size, as few that have the same sums of squares."""
        weighted: Tensor = torch.cat([self._some, self._goal[None]]) / (sizes + 1e-30)
        triangle: Tensor = torch.linalg.qr(weighted.T, mode="r").R
        return triangle

    def coefficients(self, kept: list[int], fixed: dict[int, float] | None = None) -> Tensor:
        """Of least squares, ``[len(kept)]``; those that are fixed as they are."""
        fixed = fixed or {}
        free = [number for number in kept if number not in fixed]
        goal = self._triangle[:, -1].clone()
        for number, coefficient in fixed.items():
            goal -= coefficient * self._triangle[:, number]
        if free:
            solved = torch.linalg.lstsq(self._triangle[:, free], goal[:, None], driver="gelsd").solution[:, 0]
            fixed = fixed | dict(zip(free, solved.tolist(), strict=True))
        return torch.tensor([fixed[number] for number in kept], dtype=torch.float64)

    def holds(self, kept: list[int], coefficients: Tensor) -> bool:
        """Whether the combination is what is wanted, everywhere."""
        return self._fits(self._some[kept], self._goal, coefficients) and self._fits(
            self._columns[kept], self._wanted, coefficients
        )

    def _fits(self, columns: Tensor, wanted: Tensor, coefficients: Tensor) -> bool:
        sizes = coefficients.abs() @ columns.abs() + wanted.abs()
        return bool(((coefficients @ columns - wanted).abs() <= self._unit * sizes + self._least).all())

    def needs(self, place: int, kept: list[int]) -> bool:
        """Whether the sum needs a column: without it, it does not hold, or is farther off than roundings explain.

        A column of the second kind has to have the input's coefficient, or that of a column that is needed anyway.
        """
        fewer = [number for number in kept if number != place]
        if not fewer:
            return True
        without = self.coefficients(fewer)
        if not self.holds(fewer, without):
            return True
        found = self.coefficients(kept)
        if not self._farther(fewer, without, than=self._rest(kept, found)):
            return False
        own = float(found[kept.index(place)])
        return any(abs(own - other) < 0.25 * abs(other) for other in without.tolist())

    def _rest(self, kept: list[int], coefficients: Tensor) -> float:
        """The sum of squares that a combination leaves."""
        return float((self._triangle[:, kept] @ coefficients - self._triangle[:, -1]).square().sum())

    def _farther(self, kept: list[int], coefficients: Tensor, *, than: float) -> bool:
        """Whether a combination leaves more than `than`, by more than chance and roundings of coefficients."""
        chance = 64 * than / self._n + self._n * torch.finfo(torch.float32).eps ** 2
        return self._rest(kept, coefficients) > than + chance

    def rounded(self, kept: list[int], constants: Sequence[float]) -> list[float] | None:
        """The coefficients: 1 or a constant of the configuration where that fits as well."""
        found = self.coefficients(kept)
        best = self._rest(kept, found)
        fixed: dict[int, float] = {}
        for number in kept:
            current = self.coefficients(kept, fixed)
            measured, carry = float(current[kept.index(number)]), float(current[0]) if kept[0] == 0 else 1.0
            # what is as small as a rounding is measured badly
            first = [one for one in (1.0, carry) if abs(measured - one) < 0.25 * abs(one)]
            near = [(abs(measured - one), one) for one in constants if abs(measured - one) < 0.02 * abs(one)]
            for constant in (*first, *(one for _, one in sorted(near))):
                tried = self.coefficients(kept, fixed | {number: constant})
                if self.holds(kept, tried) and not self._farther(kept, tried, than=best):
                    fixed[number] = constant
                    break
        found = self.coefficients(kept, fixed)
        return found.tolist() if self.holds(kept, found) else None


def _generator() -> torch.Generator:
    return torch.Generator().manual_seed(0)


def _part(frame: Frame, own: Call, term: Call, factor: float) -> Part:
    """What is added: the module behind a post-norm, its projection, and what that reads."""
    trace = frame.trace
    inside = trace.within(own)
    source, post_norm = _shallowest(trace, term, inside), None
    if frame.norm(term) is not None:
        before = [call for call in inside if call.stop < term.start and trace.same(call.made, term.given)]
        if before:
            source, post_norm = _shallowest(trace, before[-1], inside), term.path
    projection = _projection(frame, source)
    child = next(one for one in inside if one.start <= source.start and source.stop <= one.stop)  # the outermost
    act = None
    if projection is not None:
        within = [call for call in trace.within(child) if call.stop < projection.start]
        act = next((call.path for call in within if trace.same(call.made, projection.given)), None)
    return Part(
        kind="other",
        module=source.path,
        post_norm=post_norm,
        factor=factor,
        inner=child.path,
        projection=None if projection is None else projection.path,
        act=act,
    )


def _shallowest(trace: Trace, call: Call, inside: list[Call]) -> Call:
    """The outermost of the modules that give what a call gives."""
    return min((one for one in inside if trace.same(one.made, call.made)), key=lambda one: one.depth)


def _projection(frame: Frame, source: Call) -> Call | None:
    """The linear module whose output is the output of a call: the call itself, or the outermost one within it."""
    trace = frame.trace
    calls = (source, *trace.within(source))
    return next((call for call in calls if trace.same(call.made, source.made) and frame.is_product(call)), None)


def _with_reads(frame: Frame, own: Call, part: Part, stream: list[_Stream]) -> Part:
    """A part with the module that hands it the stream, and how much of the block the stream has in it by then.

    From its innermost module back: the stream is given to it, or to what made what it is given, and so on.
    """
    inner = frame.trace.of(part.inner)
    way = None if inner is None else _way(frame, own, [inner], stream)
    if way is None:
        return part
    *between, reader = way
    is_norm = [frame.norm(call) is not None for call in way]
    act = part.act
    if act is None and part.projection == part.inner and len(way) > 1 and not is_norm[1]:
        act = way[1].path  # neurons of an MLP whose modules stand in the block
    before = [call.path for call, norm in zip(between, is_norm, strict=False) if not norm]
    after = _reached(frame.trace, reader, stream)
    return replace(part, reads=reader.path, after=after, act=act, before=tuple(before[1:]))


def _way(frame: Frame, own: Call, way: list[Call], stream: list[_Stream]) -> list[Call] | None:
    """Calls from one back to the one that is given the stream, each given what the next made; None: there is none."""
    trace, last = frame.trace, way[-1]
    if _reached(trace, last, stream) is not None:
        return way
    if len(way) == _CHAIN:
        return None
    before = [c for c in trace.within(own) if c.stop < last.start and trace.same(c.made, last.given)]
    onward = (_way(frame, own, [*way, call], stream) for call in reversed(before[-_CHAIN:]))
    return next((found for found in onward if found is not None), None)


def _reached(trace: Trace, reader: Call, stream: list[_Stream]) -> int | None:
    """How many parts the stream that a call is given has in it; None where it is not given the stream."""
    given, off = reader.given, {}
    for after, known in enumerate(stream):
        if given is None or given.shape != known.value.shape:
            continue
        away = (given - known.value).abs()
        if bool((away <= trace.unit * known.size + trace.least).all()):
            off[after] = float((away / (known.size + 1e-30)).square().sum())
    return min(off, key=off.__getitem__, default=None)
