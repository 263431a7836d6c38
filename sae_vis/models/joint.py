"""Several places of one or more models, read as one: what a crosscoder is given."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

import torch
from torch import Tensor

from sae_vis.errors import InputError
from sae_vis.models.base import HookPoint, LanguageModel, RunnableModel, Unembedding
from sae_vis.neutral import all_neutrally


@all_neutrally
class JointModel(LanguageModel):
    """Activations of several places side by side: one forward pass of each model, on the same tokens.

    What is not about activations is the first model's.

    Args:
        models: of one vocabulary.
        reads: number of the model and place, for each part of the activations.

    Raises:
        InputError: models of different vocabularies.
    """

    def __init__(self, models: Sequence[LanguageModel], reads: Sequence[tuple[int, HookPoint]]) -> None:
        self._models, self._reads = tuple(models), tuple(reads)
        first = models[0]
        for number, model in enumerate(models):
            if model.n_vocab != first.n_vocab:
                raise InputError(
                    f"the models read different tokens: the first has ids 0 to {first.n_vocab - 1}, model {number} ids "
                    f"0 to {model.n_vocab - 1}; a crosscoder needs models with one tokenizer"
                )
        self.n_vocab, self.d_model, self.logit_softcap = first.n_vocab, first.d_model, first.logit_softcap

    @property
    def hook(self) -> HookPoint:
        """All places as one: site ``other``, no way to the residual stream."""
        several = len({number for number, _ in self._reads}) > 1
        names = [hook.name + (f" of model {number}" if several else "") for number, hook in self._reads]
        places = [f"{number}:{hook.place}" if several else hook.place for number, hook in self._reads]
        alike = several and len({hook.name for _, hook in self._reads}) == 1
        return HookPoint(
            name=f"{self._reads[0][1].name} of {len(names)} models" if alike else " + ".join(names),
            module=" + ".join(places),
            side="output",
            layer=None,
            site="other",
            d=sum(hook.d for _, hook in self._reads),
        )

    def hook_point(self, name: str) -> HookPoint:
        """The joint place by its own name, else a place of the first model."""
        joint = self.hook
        return joint if name == joint.name else self._models[0].hook_point(name)

    def activations(self, tokens: Tensor, hook: HookPoint) -> Tensor:
        """Those of all places side by side, ``[n_seqs, seq_len, d]``, on the first one's device, in the finer dtype."""
        if hook.place != self.hook.place:
            return self._models[0].activations(tokens, hook)
        found: dict[int, Tensor] = {}
        for number, model in enumerate(self._models):
            own = [i for i, (of, _) in enumerate(self._reads) if of == number]
            found |= dict(zip(own, _read(model, tokens, [self._reads[i][1] for i in own]), strict=True))
        parts = [found[i].to(found[0].device) for i in range(len(found))]
        dtype = parts[0].dtype
        for part in parts:
            dtype = torch.promote_types(dtype, part.dtype)
        return torch.cat([part.to(dtype) for part in parts], dim=-1)

    def unembedding(self) -> Unembedding:
        """The first model's."""
        return self._models[0].unembedding()

    def to_residual(self, directions: Tensor, hook: HookPoint) -> Tensor:
        """The first model's."""
        return self._models[0].to_residual(directions, hook)

    def fingerprint(self) -> str:
        """Of all models, in order; the model's own if there is one."""
        own = [model.fingerprint() for model in self._models]
        return own[0] if len(own) == 1 else f"sha256:{hashlib.sha256(' '.join(own).encode()).hexdigest()}"

    def describe(self) -> dict[str, object]:
        """The first model's facts, the names of all, its own, and the facts of the others under ``other_models``."""
        told = [model.describe() for model in self._models]
        if len(told) == 1:
            return told[0]
        others = [{**facts, "fingerprint": m.fingerprint()} for facts, m in zip(told, self._models, strict=True)][1:]
        name = " and ".join(str(facts.get("name", facts.get("class"))) for facts in told)
        return {**told[0], "name": name, "own_name": told[0].get("name"), "other_models": others}


def _read(model: LanguageModel, tokens: Tensor, hooks: list[HookPoint]) -> list[Tensor]:
    if not hooks:
        return []
    if isinstance(model, RunnableModel):
        return model.activations_at(tokens, hooks)
    return [model.activations(tokens, hook) for hook in hooks]
