"""Attribution: what every firing feature does to one number of the model's output, to first order.

The number is a target: the loss of next tokens, or the logit of one token over another's. With `x` the activations at
the hook point,

    attribution of feature f at a token = act · output_scale · decoder[f] · ∂target/∂x

which is the target with the feature minus the target without it, if the rest of the model were linear in between. One
backward pass serves all features (activation times gradient; Marks et al., Sparse Feature Circuits, 2024, section 3.1,
with the activation moved to 0).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from sae_vis.effects.pairs import check_positions, checked_text, output_scales
from sae_vis.effects.wiring import Wiring, wired
from sae_vis.errors import InputError
from sae_vis.models.base import HookPoint, RunnableModel
from sae_vis.models.precision import doubled, float64_device
from sae_vis.neutral import neutrally, ordinary
from sae_vis.saes.base import Dictionary

PAIR_BYTES = 1 << 27  # decoder directions gathered at a time

Target = Callable[[Tensor, Tensor], Tensor]
"""A scalar tensor of a text's logits ``[seq_len, d_vocab]`` and its tokens ``[seq_len]``."""


@dataclass(frozen=True, kw_only=True)
class NextTokenLoss:
    """Target: the loss of next tokens, in nats, summed over positions ``start`` to ``stop``.

    Attributes:
        start: first position whose next token counts.
        stop: position after the last one; None: all that have a next token.
    """

    start: int = 0
    stop: int | None = None

    def __call__(self, logits: Tensor, tokens: Tensor) -> Tensor:
        """Its value; raises `InputError` where the span holds no position with a next token."""
        last = len(tokens) - 1
        stop = last if self.stop is None else self.stop
        if not 0 <= self.start < stop <= last:
            raise InputError(
                f"there is no next token for positions {self.start} to {stop - 1}: the text has {len(tokens)} tokens, "
                f"the last position with a next one is {last - 1}"
            )
        span = slice(self.start, stop)
        logits = logits[span].to(torch.promote_types(logits.dtype, torch.float32))
        return torch.nn.functional.cross_entropy(logits, tokens[1:][span].to(logits.device), reduction="sum")


@dataclass(frozen=True, kw_only=True)
class LogitDifference:
    """Target: the logit of a token at a position, less that of another token where one is given.

    Attributes:
        position: whose output it is (its logits are for the token after it).
        token: id.
        against: id of the other token, or None.
    """

    position: int
    token: int
    against: int | None = None

    def __call__(self, logits: Tensor, tokens: Tensor) -> Tensor:
        """Its value; raises `InputError` for a position or a token that does not exist."""
        check_positions(np.array([self.position]), len(tokens))
        for token in (self.token, self.token if self.against is None else self.against):
            if not 0 <= token < logits.shape[1]:
                raise InputError(f"token id {token} does not exist: there are logits of 0 to {logits.shape[1] - 1}")
        here = logits[self.position]
        return here[self.token] if self.against is None else here[self.token] - here[self.against]


@dataclass(frozen=True, kw_only=True)
class AttributionTable:
    """Every firing feature of a text and its part in a target, by position, then feature.

    Attributes:
        positions: int64 ``[n_firings]``.
        features: int64 ``[n_firings]``.
        acts: float32 ``[n_firings]``.
        values: float64 ``[n_firings]``: attribution, in the target's unit (with the feature minus without it).
        target: the target's value.
    """

    positions: NDArray[np.int64]
    features: NDArray[np.int64]
    acts: NDArray[np.float32]
    values: NDArray[np.float64]
    target: float

    def largest(self, n: int) -> AttributionTable:
        """The entries of largest size, descending: a shortlist for full effects.

        Args:
            n: how many at most.

        Returns:
            A table of these entries. Equal ones stay in the table's order.
        """
        order = np.argsort(-np.abs(self.values), kind="stable")[:n]
        return AttributionTable(
            positions=self.positions[order],
            features=self.features[order],
            acts=self.acts[order],
            values=self.values[order],
            target=self.target,
        )


@neutrally
def attribute(
    model: RunnableModel, sae: Dictionary, hook: HookPoint | Wiring, tokens: Tensor, target: Target
) -> AttributionTable:
    """Attributions of all firing features of one text: one forward and one backward pass.

    Args:
        model: a model that can be run to its end.
        sae: the dictionary.
        hook: where it reads and writes, any place with one vector for each token; a `Wiring` for one that writes
            elsewhere, or at several places: attributions are then summed over these.
        tokens: ``[seq_len]``.
        target: `NextTokenLoss`, `LogitDifference`, or any function like them.

    Returns:
        An entry for each firing of the text, in the order of its tokens.

    Raises:
        InputError: an SAE of another width than the hook point, tokens the model does not have or too many, a target
            outside the text.
    """
    wiring, text = wired(model, sae, hook), ordinary(checked_text(tokens))
    found = model.gradients(text[None], wiring.hooks, lambda logits: target(logits[0], text))
    acts = found[0].acts[0] if wiring.in_place else wiring.reader.activations(text[None], wiring.read)[0]
    gradients = [doubled(one.gradient[0].to(sae.decoder.device)) for one in found]
    codes = sae.encode(acts)
    positions = torch.repeat_interleave(codes.offsets.diff())
    scale = output_scales(sae, acts)
    if scale is not None:
        gradients = [gradient * scale[:, None].to(gradient.device) for gradient in gradients]
    slopes = _slopes(model, wiring, sae.decoder, gradients, positions, codes.features)
    return AttributionTable(
        positions=positions.cpu().numpy(),
        features=codes.features.cpu().numpy(),
        acts=codes.acts.cpu().numpy(),
        values=(doubled(codes.acts) * slopes).cpu().numpy(),
        target=found[0].value,
    )


def _slopes(
    model: RunnableModel,
    wiring: Wiring,
    decoder: Tensor,
    gradients: list[Tensor],
    positions: Tensor,
    features: Tensor,
) -> Tensor:
    """``gradient[position] · step of the feature``, summed over the places, of each pair: float64 ``[n]``.

    The gradients are float64, the other tensors on the decoder's device.
    """
    height = max(1, PAIR_BYTES // (16 * decoder.shape[1]))
    rows = [torch.zeros(0, dtype=torch.float64, device=float64_device(decoder.device))]
    for at, f in zip(torch.split(positions, height), torch.split(features, height), strict=True):
        steps = zip(gradients, wiring.steps(model, decoder.index_select(0, f).detach()), strict=True)
        parts = [torch.linalg.vecdot(gradient[at.to(gradient.device)], doubled(step)) for gradient, step in steps]
        rows.append(torch.stack(parts).sum(0) if len(parts) > 1 else parts[0])
    return torch.cat(rows)
