"""What the views of a page are made from: an index, with its model and dictionary where they are given."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from sae_vis.api.options import ComputeSettings
from sae_vis.config import IndexConfig
from sae_vis.effects.probes import Probes
from sae_vis.effects.reference import Reference, Rows
from sae_vis.errors import InputError
from sae_vis.index.index import Index
from sae_vis.neutral import neutrally
from sae_vis.parts import ModelAndSae
from sae_vis.views.sources import ViewSources


def view_sources(index: Index, parts: ModelAndSae | None, compute: ComputeSettings, *, effects: bool) -> ViewSources:
    """What views of an index are made from.

    Args:
        index: where the numbers come from.
        parts: its model and dictionary, which are known to be those.
        compute: what is computed.
        effects: whether direct effects are, where `compute` does not say.

    Raises:
        InputError: what can't be computed without ``parts``; probes or target logits that don't fit.
    """
    probes, seed = _probes(parts, compute.linear_probes), compute.seed
    if parts is None:
        if compute.target_logits is not None:
            raise InputError("target_logits= change the loss that effects are of: give parts=, the model and the SAE")
        return ViewSources(
            index=index, text=index.text, probes=probes, game=compute.game, seed=seed, progress=compute.progress
        )
    reference = reference_of(index, parts, compute.target_logits)
    effects = effects if compute.effects is None else compute.effects
    return ViewSources(
        index=index,
        text=index.text,
        lens=parts.lens(IndexConfig()),
        place_lenses=parts.place_lenses(IndexConfig()),
        sae=parts.sae,
        effects=parts.direct_effects(reference) if effects else None,
        probes=probes,
        game=compute.game,
        seed=seed,
        progress=compute.progress,
    )


def _probes(parts: ModelAndSae | None, given: Sequence[object] | Probes | None) -> Probes | None:
    if given is None or isinstance(given, Probes):
        return given
    if parts is None:
        raise InputError("linear_probes= are compared with the SAE's directions: give parts=, the model and the SAE")
    return parts.probes(given)


@neutrally
def reference_of(
    index: Index, parts: ModelAndSae, target_logits: torch.Tensor | Rows | Reference | None
) -> Reference | None:
    """Target logits as reference distributions over the tokens of an index; None for none.

    Raises:
        InputError: another shape than the index's tokens and the model's vocabulary have.
    """
    if target_logits is None or isinstance(target_logits, Reference):
        return target_logits
    d_vocab = len(parts.measured.unembedding().weight)
    return Reference(target_logits, n_tokens=len(index.tokens), d_vocab=d_vocab)
