"""What a language model is to us: activations at a hook point, and the way from there to the logits."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Literal

from torch import Tensor

Site = Literal["resid", "mlp_out", "attn_out", "neurons", "heads", "other"]


@dataclass(frozen=True, kw_only=True)
class HookPoint:
    """One place in a model where activations are read.

    Attributes:
        name: the name the user gave.
        module: path of the torch module that is hooked, such as ``model.layers.8``.
        side: whether the module's input or its output is read.
        layer: index of the transformer block, or None where the place is in no block.
        site: what is read: the residual stream, an MLP's or attention's output (as written to the residual stream,
            that is after a post-norm only if the module hooked is the post-norm), MLP neurons, attention heads (``z``).
        d: width of the activation (heads are flattened: n_heads * d_head).
    """

    name: str
    module: str
    side: Literal["input", "output"]
    layer: int | None
    site: Site
    d: int

    @property
    def privileged(self) -> bool:
        """Whether single coordinates mean something by themselves (neurons behind an element-wise non-linearity)."""
        return self.site == "neurons"


@dataclass(frozen=True)
class Unembedding:
    """The end of the model: final norm's gain and unembedding matrix.

    Attributes:
        gain: ``[d_model]``, what multiplies the normalised residual (1 + weight for Gemma's RMSNorm).
        centred: whether the final norm subtracts the mean (LayerNorm), as opposed to RMSNorm.
        weight: ``[d_vocab, d_model]``.
        bias: ``[d_vocab]`` or None (constant in the residual; it moves no logit effect of a feature).
    """

    gain: Tensor
    centred: bool
    weight: Tensor
    bias: Tensor | None


class LanguageModel(ABC):
    """A causal language model, adapted.

    Attributes:
        n_vocab: number of token ids the embedding accepts; ids are ``0 <= id < n_vocab``.
        d_model: width of the residual stream.
    """

    n_vocab: int
    d_model: int

    @abstractmethod
    def hook_point(self, name: str) -> HookPoint:
        """Resolve a hook name or a module path; raises `InputError` that lists near names when there is no such place."""

    @abstractmethod
    def activations(self, tokens: Tensor, hook: HookPoint) -> Tensor:
        """Activations ``[n_seqs, seq_len, hook.d]`` for ``tokens [n_seqs, seq_len]`` (int64).

        Rows are full: no attention mask, positions count from 0 (right padding changes nothing before it in a causal
        model). The forward stops after the hooked module. No gradients; dtype is the model's own.
        """

    @abstractmethod
    def unembedding(self) -> Unembedding:
        """Final norm gain and unembedding, float32, never modifying the model."""

    @abstractmethod
    def to_residual(self, directions: Tensor, hook: HookPoint) -> Tensor:
        """Directions ``[n, hook.d]`` written at `hook` as directions ``[n, d_model]`` in the residual stream.

        The identity for the residual stream; through ``W_out`` for neurons and ``W_O`` for heads; post-norm gains
        (Gemma 2/3) are applied for MLP and attention outputs.
        """

    @abstractmethod
    def fingerprint(self) -> str:
        """``sha256:…`` of the weights (names, shapes, dtypes, contents) and the configuration that fixes the forward."""

    @abstractmethod
    def describe(self) -> dict[str, object]:
        """JSON-able facts for the manifest: class, name or path, sizes, dtype."""
