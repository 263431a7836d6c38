"""Where a dictionary reads and writes in the model that its effects are measured on.

An SAE writes where it reads, a transcoder elsewhere, a cross-layer transcoder at several places, a crosscoder at
several places of one or more models. With one unit of its activation a feature adds a **step** at each place where it
writes in the model at hand:

- at an output of attention or an MLP (or their neurons or heads): its decoder direction for that place;
- in the residual stream: its decoder direction, less what its steps at earlier places have added to the stream by
  then. A direction of the stream describes the stream as it is there, with all that was added before; so the first
  place in the stream gets the direction itself, and the next one what is new in it.

Whatever is taken out of a model, by an edit or by a derivative, is made of these steps.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from sae_vis.errors import InputError
from sae_vis.models.base import HookPoint, LanguageModel, PostNorm, RunnableModel
from sae_vis.saes.base import Dictionary


@dataclass(frozen=True, kw_only=True)
class Write:
    """One place where a dictionary writes.

    Attributes:
        hook: the place.
        columns: which columns of the decoder are for it.
    """

    hook: HookPoint
    columns: slice

    @property
    def d(self) -> int:
        """Width of the columns."""
        return int(self.columns.stop - self.columns.start)


@dataclass(frozen=True, kw_only=True)
class Wiring:
    """Where a dictionary reads, and where it writes in one model.

    Attributes:
        reader: gives what is encoded; the model that effects are measured on, unless the dictionary reads another one,
            too.
        read: the place in it.
        writes: in the order of the forward pass (`in_order`), at least one.
    """

    reader: LanguageModel
    read: HookPoint
    writes: tuple[Write, ...]

    @property
    def hooks(self) -> tuple[HookPoint, ...]:
        """The places where it writes."""
        return tuple(write.hook for write in self.writes)

    @property
    def in_place(self) -> bool:
        """Whether it writes at the one place where it reads."""
        return [hook.place for hook in self.hooks] == [self.read.place]

    def steps(self, model: RunnableModel | LanguageModel, directions: Tensor) -> list[Tensor]:
        """What features add at each place, ``[n, d]`` each, for decoder directions ``[n, d_out]``.

        Raises:
            InputError: something written before a place in the residual stream reaches it through a post-norm, whose
                divisor differs from token to token.
        """
        parts = [directions[:, write.columns] for write in self.writes]
        if not any(hook.site == "resid" for hook in self.hooks[1:]):
            return parts
        stream, found = torch.zeros((len(directions), model.d_model), device=directions.device), []
        for hook, part in zip(self.hooks, parts, strict=True):
            if hook.site == "resid":
                found.append(part - stream.to(part) / hook.scale)
                stream = model.to_residual(part, hook).to(stream)
                continue
            self._require_no_post_norm(model, hook)
            found.append(part)
            stream = stream + model.to_residual(part, hook).to(stream)
        return found

    def in_residual(self, model: LanguageModel, directions: Tensor) -> Tensor:
        """What features add to the residual stream in all, ``[n, d_model]``, behind the last place.

        Behind a post-norm exact up to its divisor, so all places must share one, or have none.
        """
        steps = zip(self.writes, self.steps(model, directions), strict=True)
        written = [model.to_residual(step, write.hook) for write, step in steps]
        return torch.stack(written).sum(0) if len(written) > 1 else written[0]

    def post_norms(self, model: RunnableModel) -> list[PostNorm | None]:
        """The post-norm between each place and the residual stream, None where there is none."""
        return [model.post_norm(hook) for hook in self.hooks]

    def require_widths(self) -> None:
        """Raise `InputError` where a place has another width than its columns of the decoder."""
        for write in self.writes:
            if write.d != write.hook.d:
                raise InputError(
                    f"the dictionary writes {write.d} numbers at {write.hook.name!r}, which is {write.hook.d} wide: "
                    "give the place that it was trained to write to (hook_out=)"
                )

    def one_way(self, model: LanguageModel) -> bool:
        """Whether all places reach the residual stream through the same post-norm, or through none."""
        if not isinstance(model, RunnableModel):
            return True
        return len({None if norm is None else norm.reads.place for norm in self.post_norms(model)}) == 1

    def _require_no_post_norm(self, model: LanguageModel, hook: HookPoint) -> None:
        if isinstance(model, RunnableModel) and model.post_norm(hook) is not None:
            raise InputError(
                f"what is written at {hook.name!r} passes a post-norm before it reaches the residual stream, where the "
                "dictionary writes, too: what its features add there can't be told apart"
            )


def wired(model: LanguageModel, sae: Dictionary, hook: HookPoint | Wiring) -> Wiring:
    """The wiring of a dictionary; a hook point stands for reading and writing there.

    Raises:
        InputError: widths that don't fit.
    """
    wiring = writes_at(model, sae, hook) if isinstance(hook, HookPoint) else hook
    first = wiring.writes[0]
    if wiring.in_place and (first.d != first.hook.d or sae.d_in != wiring.read.d):
        raise InputError(
            f"the SAE reads {sae.d_in} numbers and writes {first.d}, but {first.hook.name!r} is {first.hook.d} wide: "
            "give the hook point that it was trained on, and hook_out= where it writes elsewhere"
        )
    if sae.d_in != wiring.read.d:
        raise InputError(
            f"the dictionary reads {sae.d_in} numbers, but {wiring.read.name!r} is {wiring.read.d} wide: give the "
            "place that it was trained to read"
        )
    wiring.require_widths()
    return wiring


def writes_at(model: LanguageModel, sae: Dictionary, hook: HookPoint) -> Wiring:
    """Reading and writing at one place."""
    return Wiring(reader=model, read=hook, writes=(Write(hook=hook, columns=slice(0, sae.decoder.shape[1])),))


def in_order(writes: Sequence[Write]) -> tuple[Write, ...]:
    """Places in the order of the forward pass: by layer, those of one layer as they are given."""

    def layer(write: Write) -> float:
        hook = write.hook
        outside = -1.0 if hook.side == "output" else float("inf")  # the embedding's output, the final norm's input
        return outside if hook.layer is None else hook.layer

    return tuple(sorted(writes, key=layer))
