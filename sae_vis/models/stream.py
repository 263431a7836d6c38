"""Which modules of a block add to the residual stream: solved for in the numbers of one forward.

A block's output has to be a combination, the same for every token and coordinate, of its input and of what some modules
within it gave. There are many more numbers than modules, so that a combination that fits is the one that is computed.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

import torch
from torch import Tensor, nn

from sae_vis.errors import InputError
from sae_vis.models.anatomy import Block, Norm, Part
from sae_vis.models.linear_maps import bias_of, is_linear, linear_weight
from sae_vis.models.norms import norm_of
from sae_vis.models.trace import Call, Trace

_NEARLY = 1e-3  # a factor that is so near 1 is 1, and the rest is rounding
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

    def constant(self, factor: float) -> float:
        """A factor that was measured: 1 or a constant of the configuration (or 1 by it) where it is one of these."""
        likely = [1.0, *self.constants, *(1 / constant for constant in self.constants if constant)]
        near = [one for one in likely if abs(factor - one) < _NEARLY * abs(one)]
        return min(near, key=lambda one: abs(factor - one), default=factor)

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
    stream = [own.given * (1.0 if found.carry else 0.0)]
    for term, coefficient in found.terms:
        factor = coefficient / (found.carry or 1.0)
        factor = 1.0 if abs(factor - 1) < _NEARLY else factor
        parts.append(_part(frame, own, term, factor))
        assert term.made is not None
        stream.append(stream[-1] + factor * term.made)
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
    beginning = None
    for depth in range(1, _DEPTH + 1):
        found = _solved(trace, own, _candidates(trace, own, depth), constants)
        if found is not None and found.carry:
            return found
        beginning = beginning or found
    if beginning is None or not first:
        raise InputError("its output is not its input plus what some of its modules give")
    return beginning


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
        if not any(trace.same(call.made, value) for value in taken):
            found.append(call)
    return sorted(found, key=lambda call: call.stop)


def _solved(trace: Trace, own: Call, terms: list[Call], constants: Sequence[float]) -> Sum | None:
    """The combination of a block's input and ``terms`` that is its output, with as few terms as will do."""
    assert own.given is not None
    assert own.made is not None
    if not terms:
        return None
    columns = torch.stack([own.given, *(term.made for term in terms)]).flatten(1).double()  # type: ignore[list-item]
    wanted = own.made.flatten().double()
    system = _System(columns, wanted, trace.unit)
    kept = list(range(len(columns)))
    if not system.solves(kept):
        return None
    for place in range(len(terms), -1, -1):
        fewer = [number for number in kept if number != place]
        kept = fewer if fewer and system.solves(fewer) else kept
    coefficients = system.rounded(kept, constants)
    if coefficients is None or kept == [0]:
        return None
    found = dict(zip(kept, coefficients, strict=True))
    return Sum(found.pop(0, 0.0), tuple((terms[place - 1], c) for place, c in found.items()))


class _System:
    """``wanted = Σ coefficient * column``, each number up to the roundings of the sum.

    Args:
        columns: ``[n_columns, n]``, the first of which is the block's input.
        wanted: ``[n]``.
        unit: relative size of a rounding.
    """

    def __init__(self, columns: Tensor, wanted: Tensor, unit: float) -> None:
        self._columns, self._wanted, self._unit = columns, wanted, unit
        n = len(wanted)
        chosen = torch.arange(n) if n <= _EQUATIONS else torch.randperm(n, generator=_generator())[:_EQUATIONS]
        scale = (columns[0].abs() + wanted.abs())[chosen]
        self._weight = 1 / (scale + 1e-3 * scale.mean() + 1e-30)
        some, goal = columns[:, chosen] * self._weight, wanted[chosen] * self._weight
        self._scales = some.norm(dim=1).clamp(min=1e-30)
        some = some / self._scales[:, None]
        self._products, self._towards = some @ some.T, some @ goal

    def coefficients(self, kept: list[int]) -> Tensor:
        """Of least squares: the normal equations of columns of one length."""
        products, towards = self._products[kept][:, kept], self._towards[kept]
        found: Tensor = torch.linalg.lstsq(products, towards[:, None], driver="gelsd").solution
        scaled: Tensor = found[:, 0] / self._scales[kept]
        return scaled

    def holds(self, kept: list[int], coefficients: Tensor) -> bool:
        """Whether the combination is what is wanted, everywhere."""
        terms = coefficients[:, None] * self._columns[kept]
        off = (terms.sum(0) - self._wanted).abs()
        return bool((off <= self._unit * (terms.abs().sum(0) + self._wanted.abs()) + 1e-30).all())

    def solves(self, kept: list[int]) -> bool:
        """Whether some combination of these columns is what is wanted."""
        return self.holds(kept, self.coefficients(kept))

    def rounded(self, kept: list[int], constants: Sequence[float]) -> list[float] | None:
        """The coefficients: 1 or a constant of the configuration where that fits as well."""
        found = self.coefficients(kept)
        for place in range(len(kept)):
            for constant in (1.0, *constants):
                tried = found.clone()
                tried[place] = constant
                if abs(float(found[place]) - constant) < 0.02 * abs(constant) and self.holds(kept, tried):
                    found = tried
                    break
        return [float(c) for c in found] if self.holds(kept, found) else None


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
    for call in (source, *trace.within(source)):
        module = frame.modules[call.path]
        if not is_linear(module) or call.given is None or not trace.same(call.made, source.made):
            continue
        weight, bias = linear_weight(module).detach().float().cpu(), bias_of(module)
        if weight.shape != (source.made.shape[1], call.given.shape[1]):  # type: ignore[union-attr]
            continue
        expected = call.given.float() @ weight.T + (0.0 if bias is None else bias.cpu())
        if trace.alike(expected, call.made.float()):  # type: ignore[union-attr]
            return call
    return None


def _with_reads(frame: Frame, own: Call, part: Part, stream: list[Tensor]) -> Part:
    """A part with the module that hands it the stream, and how much of the block the stream has in it by then.

    From its innermost module back: the stream is given to it, or to what made what it is given, and so on.
    """
    trace, inside = frame.trace, frame.trace.within(own)
    reader = trace.of(part.inner)
    act = part.act
    for _ in range(_CHAIN):
        if reader is None:
            return part
        after = _reached(trace, reader, stream)
        if after is not None:
            frame.norm(reader)
            return replace(part, reads=reader.path, after=after, act=act)
        before = [c for c in inside if c.stop < reader.start and trace.same(c.made, reader.given)]
        reader = before[-1] if before else None
        if reader is not None and act is None and part.projection == part.inner:
            act = None if frame.norm(reader) else reader.path  # neurons of an MLP whose modules stand in the block
    return part


def _reached(trace: Trace, reader: Call, stream: list[Tensor]) -> int | None:
    """How many parts the stream that a call is given has in it; None where it is not given the stream."""
    exact = next((after for after, value in enumerate(stream) if trace.same(reader.given, value)), None)
    if exact is not None:
        return exact
    return next((after for after, value in enumerate(stream) if after and trace.alike(reader.given, value)), None)
