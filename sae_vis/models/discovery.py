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
from typing import Any

import torch
from torch import Tensor, nn

from sae_vis.errors import InputError
from sae_vis.models.anatomy import Anatomy, Block, Ending, Kind, Part
from sae_vis.models.ending import ending_of
from sae_vis.models.forward import changed
from sae_vis.models.mixing import Mixing
from sae_vis.models.stream import Frame, block_of
from sae_vis.models.trace import Call, Trace, traced

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
    stack = _stack(trace, modules)
    if stack is None:
        reason = "no list of blocks is called one after the other, each of them once, with one vector for each token"
        return Anatomy(unknown={"stream": reason, "logits": "no blocks were found"})
    path, calls = stack
    unknown: dict[str, str] = {}
    blocks = [_block(frame, call, int(call.path.rpartition(".")[2]), unknown) for call in calls]
    ending, scale = _ending(frame, calls[-1], trace.rows(_logits(output)), unknown)
    links = [trace.factor(one.made, other.given) for one, other in pairwise(calls)]
    blocks = _onward(blocks, [*links, scale])
    blocks = _proved(model, frame, blocks, lambda: forward(tokens), unknown)
    embed, positions = _embedding(frame, calls[0])
    return Anatomy(
        stack=path,
        width=int(calls[0].given.shape[1]),  # type: ignore[union-attr]
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
        elif isinstance(value, (int, float)) and not isinstance(value, bool) and value not in {0, 1}:
            yield float(value)


def _stack(trace: Trace, modules: Mapping[str, nn.Module]) -> tuple[str, list[Call]] | None:
    """The longest list of modules that are called once each, one after the other, on vectors of one width."""
    found: list[tuple[str, list[Call]]] = []
    for path, module in modules.items():
        if not isinstance(module, (nn.ModuleList, nn.Sequential)):
            continue
        calls = [call for name, _ in module.named_children() if (call := trace.of(f"{path}.{name}")) is not None]
        widths = {None if c.given is None or c.made is None else c.given.shape[1] for c in calls}
        ordered = all(one.stop < other.start for one, other in pairwise(calls))
        if calls and ordered and len(widths) == 1 and None not in widths and _feeds(trace, calls):
            found.append((path, calls))
    return max(found, key=lambda one: len(one[1]), default=None)


def _feeds(trace: Trace, calls: list[Call]) -> bool:
    """Whether what each gives has the width of what the next is given, and no two of them are given the same."""
    return all(
        one.made is not None and other.given is not None and one.made.shape == other.given.shape
        for one, other in pairwise(calls)
    ) and not any(trace.same(one.given, other.given) for one, other in pairwise(calls))


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
    model: nn.Module, frame: Frame, blocks: list[Block], forward: Callable[[], object], unknown: dict[str, str]
) -> list[Block]:
    """Blocks whose output, changed, is what the next one gets; their parts by kind."""
    mixing = Mixing(frame.modules, frame.trace.shape)
    with ExitStack() as on:
        changes = {block.path: _change(frame, block) for block in blocks}

        def watched() -> object:
            for block in blocks:
                for part in block.parts:
                    for path in {part.inner, part.module}:
                        on.enter_context(mixing.watching(path))
                on.enter_context(changed(frame.modules[block.path], "output", _adding(changes[block.path])))
            return forward()

        again, _ = traced(model, frame.modules, torch.empty(frame.trace.shape), watched)
    links = [frame.trace.factor(*_both(frame.trace, one, other)) for one, other in pairwise(blocks)]
    for (one, other), link in zip(pairwise(blocks), links, strict=True):
        before, after = again.of(one.path), again.of(other.path)
        if link is None:
            unknown.setdefault(other.path, f"it is not given what {one.path!r} gives")
        elif before is None or after is None or before.made is None:
            unknown.setdefault(one.path, "it is not called in every forward")
        elif not frame.trace.alike(link * (before.made + changes[one.path]), after.given):
            unknown.setdefault(one.path, f"a change of its output does not arrive at {other.path!r}")
    return [_kinds(block, mixing) for block in blocks]


def _both(trace: Trace, one: Block, other: Block) -> tuple[Tensor | None, Tensor | None]:
    first, second = trace.of(one.path), trace.of(other.path)
    assert first is not None
    assert second is not None
    return first.made, second.given


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


def _kinds(block: Block, mixing: Mixing) -> Block:
    """A block whose parts have their kinds: of each kind the first."""
    taken: set[Kind] = set()
    parts: list[Part] = []
    for part in block.parts:
        kind = mixing.kind(part.inner, part.module)
        parts.append(replace(part, kind="other" if kind in taken else kind))
        taken.add(kind)
    return replace(block, parts=tuple(parts))


def _embedding(frame: Frame, first: Call) -> tuple[str | None, int | None]:
    """The token embedding where something is added to it, and how many positions there are if these are learned."""
    trace, tables = frame.trace, []
    for call in trace.calls:
        module = frame.modules[call.path]
        weight = getattr(module, "weight", None)
        if call.start > first.start or trace.of(call.path) is not call or call.made is None or first.given is None:
            continue
        if isinstance(weight, Tensor) and weight.ndim == 2 and call.made.shape == first.given.shape:
            tables.append(call)
    made = [call.made for call in tables if call.made is not None]
    if len(made) < 2 or not trace.alike(torch.stack(made).sum(0), first.given):
        return None, None
    learned = [frame.modules[call.path].weight for call in tables[1:]]
    limits = [int(weight.shape[0]) for weight in learned if isinstance(weight, nn.Parameter)]
    return tables[0].path, max(limits, default=None)  # kinds of tokens have a table, too, of few rows
