"""Finds out how a model is put together, and proves it: by two forwards of a few tokens, and no table of names.

The first forward is watched. Blocks are the longest list of modules that are called one after the other; each has to be
its input plus what some of its modules give (`stream`), and each next one has to get what the last one gave. Norms are
tried against what they made (`norms`), the way to the logits likewise (`ending`). In the second forward something is
added to the output of every block, and has to arrive at the next; modules are asked whether they mix tokens, too. What
is not proved is not used, and why is kept.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from dataclasses import replace
from itertools import pairwise
from math import isfinite
from typing import Any, TypeGuard

import torch
from torch import Tensor, nn

from sae_vis.errors import InputError
from sae_vis.models.anatomy import Anatomy, Block, Ending
from sae_vis.models.ending import ending_of
from sae_vis.models.forward import changed
from sae_vis.models.mixing import Mixing
from sae_vis.models.offloaded import value_of
from sae_vis.models.stream import Frame, block_of
from sae_vis.models.trace import Call, Trace, traced
from sae_vis.models.wrapped import bare

N_SEQS, SEQ_LEN = 2, 6
_SIZE = 0.25  # of what is added to a block's output, in units of the output's own size

Forward = Callable[[Tensor], object]


def discover(
    model: nn.Module, modules: dict[str, nn.Module], config: Mapping[str, Any], tokens: Tensor, forward: Forward
) -> Anatomy:
    """All that can be found out about a model.

    Args:
        model: it; left as it is.
        modules: all modules in it, by the paths that they are to be called by.
        config: its configuration: numbers in it are tried first as factors.
        tokens: ``[n_seqs, seq_len]``, of text.
        forward: runs the model on tokens.
    """
    try:
        trace, output = traced(model, modules, tokens, lambda: forward(tokens))
    except Exception as error:
        return Anatomy(unknown={"stream": f"a forward of a few tokens failed ({type(error).__name__}: {error})"})
    frame = Frame(trace, modules, {}, tuple(constants(config)))
    stack = _stack(frame)
    if stack is None:
        reason = "no list of blocks is called one after the other, each of them once, with one vector for each token"
        return Anatomy(unknown={"stream": reason, "logits": "no blocks were found"})
    path, calls = stack
    unknown: dict[str, str] = {}
    blocks = [_block(frame, call, layer, unknown) for layer, call in calls.items()]
    first, last = next(iter(calls.values())), next(reversed(calls.values()))
    ending, scale = _ending(frame, last, trace.rows(_logits(output)), unknown)
    links = [frame.factor(one.made, other.given) for one, other in pairwise(calls.values())]
    try:
        blocks, links = _proved(model, frame, blocks, links, lambda: forward(tokens), unknown)
    except Exception as error:
        reason = f"a second forward, with changes at the blocks, failed ({type(error).__name__}: {error})"
        return Anatomy(unknown={"stream": reason, "logits": reason})
    blocks = _onward(blocks, [*links, scale])
    embed, positions = _embedding(frame, first, tokens)
    return Anatomy(
        stack=path,
        width=int(first.given.shape[1]),  # type: ignore[union-attr]
        blocks=tuple(blocks),
        embed=embed,
        positions=positions,
        norms=frame.norms,
        ending=ending,
        unknown=unknown,
    )


def constants(config: Mapping[str, Any]) -> Iterator[float]:
    """The numbers in a configuration that could be factors."""
    for value in config.values():
        if isinstance(value, Mapping):
            yield from constants(value)
        elif _is_number(value) and value not in {0, 1}:
            yield float(value)


def _is_number(value: object) -> TypeGuard[float]:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and isfinite(value)


def _stack(frame: Frame) -> tuple[str, dict[int, Call]] | None:
    """The longest list of modules that are called once each, one after the other, on vectors of one width; by number.

    Of several the longest in which something is added to a stream: the layers of an MLP may be a list, too.
    """
    trace, found = frame.trace, []
    names = {id(module): path for path, module in reversed(list(frame.modules.items()))}
    for path, module in frame.modules.items():
        if not isinstance(module, (nn.ModuleList, nn.Sequential)) or path != names[id(module)]:
            continue
        inner = [(name, bare(child)) for name, child in module.named_children()]
        children = [(name, names[id(child)]) for name, child in inner]
        numbered = all(name.isdigit() for name, _ in children)
        called = [(place, name, own) for place, (name, own) in enumerate(children) if trace.called(own)]
        calls = {int(name) if numbered else place: trace.of(own) for place, name, own in called}
        whole = {layer: call for layer, call in calls.items() if call is not None}
        if whole and len(whole) == len(calls) and _in_line(trace, list(whole.values())):
            found.append((path, whole))
    found.sort(key=lambda one: -len(one[1]))
    adding = (one for one in found if len(found) == 1 or any(_adds(frame, call) for call in one[1].values()))
    return next(adding, found[0] if found else None)


def _adds(frame: Frame, call: Call) -> bool:
    return bool(_block(frame, call, 0, {}).parts)


def _in_line(trace: Trace, calls: list[Call]) -> bool:
    widths = {None if c.given is None or c.made is None else c.given.shape[1] for c in calls}
    ordered = all(one.stop < other.start for one, other in pairwise(calls))
    return ordered and len(widths) == 1 and None not in widths and _feeds(trace, calls)


def _feeds(trace: Trace, calls: list[Call]) -> bool:
    """Whether what each gives has the width of what the next is given, and no two share what they are given.

    A block that adds nothing (its last weights are zeros) gives the next one what it was given itself.
    """
    return all(
        one.made is not None and other.given is not None and one.made.shape == other.given.shape
        for one, other in pairwise(calls)
    ) and not any(
        trace.same(one.given, other.given) and not trace.same(one.made, other.given) for one, other in pairwise(calls)
    )


def _block(frame: Frame, call: Call, layer: int, unknown: dict[str, str]) -> Block:
    try:
        return block_of(frame, call, layer)
    except InputError as error:
        unknown[call.path] = str(error)
        return Block(path=call.path, layer=layer, carries=False)


def _ending(
    frame: Frame, last: Call, logits: Tensor | None, unknown: dict[str, str]
) -> tuple[Ending | None, float | None]:
    try:
        return ending_of(frame, last, logits)
    except InputError as error:
        unknown["logits"] = str(error)
        return None, None


def _logits(output: object) -> Tensor | None:
    found = getattr(output, "logits", None)
    return found if isinstance(found, Tensor) else None


def _onward(blocks: list[Block], links: list[float | None]) -> list[Block]:
    """Blocks with what their output is multiplied by until the final norm; ``links`` are the factors behind each."""
    made: list[Block] = []
    # without a final norm: until the last block's output, if there is a stream at all
    onward = links[-1] if links[-1] is not None or not blocks[-1].carries else 1.0
    for block, link in zip(reversed(blocks), [None, *reversed(links[:-1])], strict=True):
        if made:
            behind = made[-1]
            known = onward is not None and link is not None and behind.carries
            onward = onward * link * behind.carry if known and onward is not None and link is not None else None
        made.append(replace(block, onward=onward or None))
    return made[::-1]


def _proved(
    model: nn.Module,
    frame: Frame,
    blocks: list[Block],
    links: list[float | None],
    forward: Callable[[], object],
    unknown: dict[str, str],
) -> tuple[list[Block], list[float | None]]:
    """Blocks with their parts by kind, and the links behind them; those on which a change does not arrive are None."""
    mixing = Mixing(frame.modules, frame.trace)
    with ExitStack() as on:
        changes = {block.path: _change(frame, block) for block in blocks}

        def watched() -> object:
            for block in blocks:
                on.enter_context(mixing.watching(block))
                on.enter_context(changed(frame.modules[block.path], "output", _adding(changes[block.path])))
            return forward()

        again, _ = traced(model, frame.modules, torch.empty(frame.trace.shape), watched)
    proved: list[float | None] = []
    for (one, other), link in zip(pairwise(blocks), links, strict=True):
        before, after = again.of(one.path), again.of(other.path)
        arrives = False
        if link is None:
            unknown.setdefault(other.path, f"it is not given what {one.path!r} gives")
        elif before is None or after is None or before.made is None:
            unknown.setdefault(one.path, "it is not called in every forward")
        elif not frame.trace.same(link * (before.made + changes[one.path]), after.given):
            unknown.setdefault(one.path, f"a change of its output does not arrive at {other.path!r}")
        else:
            arrives = True
        proved.append(link if arrives else None)
    return [_again_so(frame, mixing, block, again.of(block.path), unknown) for block in blocks], proved


def _again_so(frame: Frame, mixing: Mixing, block: Block, call: Call | None, unknown: dict[str, str]) -> Block:
    """A block with its parts by kind, if in the second forward, too, its output was what it is said to be."""
    expected, size = mixing.expected(block)
    if not block.carries or call is None or call.made is None or expected is None or size is None:
        return block
    off = (expected - call.made).abs()
    if bool((off <= frame.trace.unit * (size + call.made.abs()) + frame.trace.least).all()):
        return mixing.kinds(block)
    unknown[block.path] = "its output is a sum in one forward, and another, or none, in the next"
    return Block(path=block.path, layer=block.layer, carries=False)


def _change(frame: Frame, block: Block) -> Tensor:
    """What is added to a block's output ``[n_tokens, d]``."""
    call = frame.trace.of(block.path)
    assert call is not None
    assert call.made is not None
    drawn = torch.randn(call.made.shape, generator=torch.Generator().manual_seed(block.layer), dtype=call.made.dtype)
    return _SIZE * call.made.std() * drawn


def _adding(delta: Tensor) -> Callable[[Tensor], Tensor]:
    def added(x: Tensor) -> Tensor:
        wide = x.to(torch.promote_types(x.dtype, torch.float32))
        return (wide + delta.to(x.device).reshape(x.shape)).to(x.dtype)

    return added


def _embedding(frame: Frame, first: Call, tokens: Tensor) -> tuple[str | None, int | None]:
    """The token embedding where something is added to it, and how many positions there are if these are learned."""
    trace, tables = frame.trace, []
    for call in trace.calls:
        module = frame.modules[call.path]
        weight = getattr(module, "weight", None)
        if call.start > first.start or trace.of(call.path) is not call or call.made is None or first.given is None:
            continue
        is_table = isinstance(module, nn.Embedding) or call.given is None
        if is_table and isinstance(weight, Tensor) and weight.ndim == 2 and call.made.shape == first.given.shape:
            tables.append(call)
    made = torch.stack([call.made for call in tables if call.made is not None]) if len(tables) > 1 else None
    if made is None or not _is_sum(trace, made, first.given):
        return None, None
    embed = next((call for call in tables if _is_looked_up(frame, call, tokens)), None)
    if embed is None:
        return None, None
    learned = [frame.modules[call.path].weight for call in tables if call is not embed]
    limits = [int(weight.shape[0]) for weight in learned if isinstance(weight, nn.Parameter)]
    return embed.path, max(limits, default=None)  # kinds of tokens have a table, too, of few rows


def _is_sum(trace: Trace, made: Tensor, whole: Tensor | None) -> bool:
    """Whether ``made [n, n_tokens, d]`` add up to a whole."""
    if whole is None:
        return False
    return bool(((made.sum(0) - whole).abs() <= trace.unit * made.abs().sum(0) + trace.least).all())


def _is_looked_up(frame: Frame, call: Call, tokens: Tensor) -> bool:
    """Whether a module gives the rows of its table that have the tokens' numbers, times a number."""
    table = value_of(frame.modules[call.path], "weight").detach()
    ids = tokens.flatten().to(table.device)
    return len(table) > int(ids.max()) and frame.factor(table[ids].float().cpu(), call.made) is not None
