"""The way from the residual stream to the logits, found in the numbers of one forward."""

from __future__ import annotations

import torch
from torch import Tensor

from sae_vis.errors import InputError
from sae_vis.models.anatomy import Ending
from sae_vis.models.linear_maps import bias_of, is_linear
from sae_vis.models.stream import Frame
from sae_vis.models.trace import Call


def ending_of(frame: Frame, last: Call, logits: Tensor | None) -> tuple[Ending, float]:
    """From the last block's output to the logits ``[n_tokens, n_logits]``, and what the output is multiplied by first.

    Raises:
        InputError: the way is another than norm, linear map, factors and soft cap.
    """
    trace = frame.trace
    after = [call for call in trace.calls if call.start > last.stop and trace.of(call.path) is call]
    norm, scale = _final_norm(frame, last, after)
    if logits is None:
        raise InputError("the model gives no logits: load it with its head, as a causal language model")
    for head in [call for call in after if call.start > norm.stop and is_linear(frame.modules[call.path])]:
        made = head.made
        if made is None or made.shape[1] < logits.shape[1] or not frame.is_product(head):
            continue
        found = _logits_from(frame, made[:, : logits.shape[1]], logits)
        between = _between(frame, norm, head, after)
        if found is not None and between is not None:
            projection, norm_factor = between
            factor, softcap = found
            return Ending(
                final_norm=norm.path,
                head=head.path,
                projection=projection,
                norm_factor=norm_factor,
                factor=factor,
                softcap=softcap,
                n_logits=int(logits.shape[1]),
            ), scale
    raise InputError(
        f"no linear module makes the logits of what the final norm {norm.path!r} gives, up to a factor and a soft cap"
    )


def _final_norm(frame: Frame, last: Call, after: list[Call]) -> tuple[Call, float]:
    """The norm that is given the last block's output, and the factor between."""
    for call in after:
        scale = frame.factor(last.made, call.given)
        if scale is not None and frame.norm(call) is not None:
            return call, scale
    raise InputError("the last block's output goes into no LayerNorm or RMSNorm")


def _between(frame: Frame, norm: Call, head: Call, after: list[Call]) -> tuple[str | None, float] | None:
    """A linear module between norm and unembedding, or None, and the factor on the norm's output."""
    trace = frame.trace
    factor = frame.factor(norm.made, head.given)
    if factor is not None:
        return None, factor
    for call in after:
        if norm.stop < call.start < head.start and frame.is_product(call):
            factor = frame.factor(norm.made, call.given)
            if factor is not None and trace.same(call.made, head.given) and bias_of(frame.modules[call.path]) is None:
                return call.path, factor
    return None


def _logits_from(frame: Frame, made: Tensor, logits: Tensor) -> tuple[float, float | None] | None:
    """Factor and soft cap that make logits of what the unembedding gives; None where there are none.

    A cap is one where it leaves a smaller sum of squares than no cap does, by more than chance: in half precision small
    logits are nearly the same with and without.
    """
    made, logits = made.double(), logits.double()
    if not made.any() or not made.isfinite().all():
        return None
    found: tuple[float, float | None] | None = None
    least, margin = float("inf"), 1.0
    if frame.trace.same(frame.trace.measured(made, logits) * made, logits):
        found, margin = (frame.trace.measured(made, logits, frame.likely), None), 1 + 64 / logits.numel()
        least = _rest(frame.trace.measured(made, logits) * made, logits)
    for cap in frame.constants:
        some = logits.abs() < 0.9 * cap
        if cap <= 0 or bool((logits.abs() > cap * 1.01).any()) or not made[some].any():
            continue
        raw = cap * torch.atanh(logits[some] / cap)
        capped = cap * torch.tanh(frame.trace.measured(made[some], raw) * made / cap)
        rest = _rest(capped, logits) * margin
        if rest < least and _capped_so(frame, capped, logits, cap):
            found, least = (frame.trace.measured(made[some], raw, frame.likely), cap), rest
    return found


def _capped_so(frame: Frame, capped: Tensor, logits: Tensor, cap: float) -> bool:
    """Whether logits are these, up to roundings before and after they are multiplied by the cap."""
    off = (capped - logits).abs()
    return bool((off <= frame.trace.unit * logits.abs() + frame.trace.least * max(1.0, cap)).all())


def _rest(made: Tensor, logits: Tensor) -> float:
    """The sum of squares that is left, in units of each logit's size."""
    size = logits.abs()
    return float(((made - logits) / (size + 1e-3 * size.mean() + 1e-30)).square().sum())
