"""A model whose matrices are cut over several processes, one GPU each (tensor parallel, by transformers).

Every process that `torchrun` started loads the model. The first one leads: there it is used like any other model. The
others follow: they take part in each forward pass that the first one makes, until it lets them go. So there is one
index, built by one process, whatever that does between two passes.
"""

from __future__ import annotations

import atexit
import os
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import fields
from datetime import timedelta
from typing import TYPE_CHECKING, Any, NoReturn

import torch
from torch import Tensor
from torch import distributed as dist

from sae_vis.errors import InputError, UnknownWiringError
from sae_vis.models.base import (
    AttentionParts,
    Destinations,
    Edits,
    HookGradient,
    HookPoint,
    Prefix,
    Side,
    Unembedding,
)
from sae_vis.models.huggingface import HuggingFaceModel
from sae_vis.models.wrapped import in_pieces
from sae_vis.neutral import all_neutrally

if TYPE_CHECKING:
    from transformers import PreTrainedModel

_WHOLE = frozenset({"resid", "mlp_out", "attn_out", "mixer_out", "added"})
"""Sites where every process has the whole activation."""
_PATIENCE = timedelta(days=30)  # between two passes a build makes its tables


def options() -> dict[str, Any]:
    """What ``from_pretrained`` takes to cut a model over the processes that are here.

    Raises:
        InputError: there is one process alone.
    """
    world = int(os.environ.get("WORLD_SIZE", "1"))
    if world < 2:
        raise InputError(
            "tensor_parallel cuts a model over several processes, and there is one here: start the script with "
            "torchrun --nproc-per-node N, one process for each GPU"
        )
    try:
        from transformers.distributed import DistributedConfig  # type: ignore[attr-defined]
    except ImportError:
        return {"tp_plan": "auto"}
    if "tp_size" not in {field.name for field in fields(DistributedConfig)}:
        return {"tp_plan": "auto"}
    return {"distributed_config": DistributedConfig(tp_size=world)}


@all_neutrally
class TensorParallelModel(HuggingFaceModel):
    """A causal language model in pieces. Activations where they are whole: the residual stream, and what adds to it.

    Attributes:
        leads: whether this is the first process, which uses the model; the others call `follow`.
    """

    def __init__(self, model: PreTrainedModel, *, stored_dtype: torch.dtype | None = None) -> None:
        super().__init__(model, stored_dtype=stored_dtype)
        if not any(in_pieces(module) for module in model.modules()):
            raise InputError(f"transformers has no plan by which a {type(model).__name__} is cut over processes")
        self.leads = dist.get_rank() == 0
        self._led = False
        self._words = dist.new_group(backend="gloo", timeout=_PATIENCE)
        self._hooks  # noqa: B018  here, and below: what needs the pieces of all, while all are at the same place
        super().fingerprint()
        self._end: Unembedding | None = None
        with suppress(UnknownWiringError):
            self._end = super().unembedding()
        self._led = True
        if self.leads:
            atexit.register(self.release)

    def follow(self) -> None:
        """Take part in the passes of the process that leads, until it calls `release` or ends."""
        if self.leads:
            raise InputError("the first process leads: it uses the model, and the others follow it")
        self._end = None
        while True:
            said: list[Any] = [None]
            dist.broadcast_object_list(said, src=0, group=self._words)
            if said[0] is None:
                return
            with suppress(InputError):  # which the one that leads gets, too
                super()._read(*said[0])

    def release(self) -> None:
        """Let the other processes go; after this the model can't be run."""
        if self.leads and self._led:
            self._led = False
            dist.broadcast_object_list([None], src=0, group=self._words)

    def hook_point(self, name: str) -> HookPoint:
        """See `HuggingFaceModel.hook_point`.

        Raises:
            InputError: no such place, or one where each process has a piece of the activation.
        """
        found = super().hook_point(name)
        if found.site not in _WHOLE:
            raise InputError(
                f"at {name!r} each process has a piece of the activation: a model that is cut over processes is read "
                "in the residual stream, and at what adds to it (hook_resid_post, hook_mlp_out, hook_attn_out)"
            )
        return found

    def _read(self, tokens: Tensor, places: Sequence[tuple[str, str, Side]]) -> list[Tensor]:
        if not self.leads or not self._led:
            raise InputError(
                "the other processes don't follow: only the first one runs the model, until it is released"
            )
        dist.broadcast_object_list([(tokens.cpu(), list(places))], src=0, group=self._words)
        return super()._read(tokens, places)

    def unembedding(self) -> Unembedding:
        """Final norm and unembedding, float32; raises `UnknownWiringError` where they are not known."""
        if self._end is None:
            self._ending()
            raise InputError("the unembedding is with the process that leads")
        return self._end

    def prefix(self, tokens: Tensor) -> Prefix | None:
        """None: nothing is remembered."""
        return None

    def logits(self, tokens: Tensor, edit: Edits = None, *, prefix: Prefix | None = None, start: int = 0) -> Tensor:
        """Raises `InputError`."""
        self._refuse("logits")

    def gradients(
        self, tokens: Tensor, hooks: Sequence[HookPoint], target: Callable[[Tensor], Tensor]
    ) -> list[HookGradient]:
        """Raises `InputError`."""
        self._refuse("gradients")

    def attention(self, tokens: Tensor, heads: HookPoint, at: Destinations) -> AttentionParts:
        """Raises `InputError`."""
        self._refuse("attention")

    def _refuse(self, what: str) -> NoReturn:
        raise InputError(
            f"the {what} of a model that is cut over processes can't be had: it is there for indexing; load it in one "
            "process, spread over its GPUs: load_model(…, device_map='auto')"
        )
