"""What a language model is to us: activations at a hook point, and the way from there to the logits."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Literal

from torch import Tensor

Side = Literal["input", "output"]
Site = Literal["resid", "mlp_out", "attn_out", "neurons", "heads", "other"]


@dataclass(frozen=True, kw_only=True)
class HookPoint:
    """One place in a model where activations are read.

    Two names of one place give hook points that differ in `name` only: compare `place` to see whether it is the same.

    Attributes:
        name: the name the user gave.
        module: path of the torch module that is hooked, such as ``model.layers.8``.
        side: whether the module's input or its output is read.
        layer: index of the transformer block, or None where the place is in no block.
        site: what is read: the residual stream, an MLP's or attention's output (before or after a post-norm: `onward`
            tells), MLP neurons, attention heads (``z``).
        d: width of the activation (heads are flattened: n_heads * d_head).
        onward: paths of the modules that a direction written here passes through, in order, before it is added to the
            residual stream; empty where it is added as it is, None where the way is not known (site ``other``).
    """

    name: str
    module: str
    side: Side
    layer: int | None
    site: Site
    d: int
    onward: tuple[str, ...] | None = None

    @property
    def place(self) -> str:
        """What is read, whatever it was called: ``module:side``."""
        return f"{self.module}:{self.side}"

    @property
    def privileged(self) -> bool:
        """Whether single coordinates mean something by themselves (neurons behind an element-wise non-linearity)."""
        return self.site == "neurons"


@dataclass(frozen=True)
class Unembedding:
    """The end of the model: logits = softcap(weight @ (gain * normalised residual) + bias).

    The normalised residual is ``x / sqrt(mean(x**2) + eps)``, of ``x`` minus its mean where `centred`.

    Attributes:
        gain: ``[d_model]``, what multiplies the normalised residual (1 + weight for Gemma's RMSNorm).
        centred: whether the final norm subtracts the mean (LayerNorm), as opposed to RMSNorm.
        weight: ``[d_vocab, d_model]``.
        bias: ``[d_vocab]`` or None: ``weight @`` the final norm's bias plus the unembedding's bias (constant in the
            residual; it moves no logit effect of a feature).
        eps: what the final norm adds to the variance.
    """

    gain: Tensor
    centred: bool
    weight: Tensor
    bias: Tensor | None
    eps: float


class LanguageModel(ABC):
    """A causal language model, adapted.

    Attributes:
        n_vocab: number of token ids the embedding accepts; ids are ``0 <= id < n_vocab``.
        d_model: width of the residual stream.
        logit_softcap: c where the model's logits are ``c * tanh(raw / c)`` (Gemma 2), or None.
    """

    n_vocab: int
    d_model: int
    logit_softcap: float | None

    @abstractmethod
    def hook_point(self, name: str) -> HookPoint:
        """Resolve a hook name or module path; raises `InputError` that lists near names when there is no such place."""

    @abstractmethod
    def activations(self, tokens: Tensor, hook: HookPoint) -> Tensor:
        """Activations ``[n_seqs, seq_len, hook.d]`` for ``tokens [n_seqs, seq_len]`` (int64).

        Rows are full: no attention mask, positions count from 0 (right padding changes nothing before it in a causal
        model). The forward stops after the hooked module. No gradients; dtype and device are the model's own.
        """

    @abstractmethod
    def unembedding(self) -> Unembedding:
        """Final norm gain and unembedding, float32, never modifying the model (they may share its memory)."""

    @abstractmethod
    def to_residual(self, directions: Tensor, hook: HookPoint) -> Tensor:
        """Directions ``[n, hook.d]`` written at `hook` as directions ``[n, d_model]`` in the residual stream.

        The identity for the residual stream; through ``W_out`` for neurons and ``W_O`` for heads; post-norm gains
        (Gemma 2/3) are applied wherever a post-norm still lies ahead. A post-norm also divides by the size of what it
        is given, which differs from token to token: behind one the result is exact up to a positive scale, the divisor
        held where it is.
        """

    @abstractmethod
    def fingerprint(self) -> str:
        """``sha256:…`` of the weights (names, shapes, dtypes, contents) and the configuration fixing the forward."""

    @abstractmethod
    def describe(self) -> dict[str, object]:
        """JSON-able facts for the manifest: class, name or path, sizes, dtype."""
