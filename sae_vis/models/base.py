"""What a language model is to us: activations at a hook point, and the way from there to the logits."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple

import torch
from torch import Tensor

from sae_vis.errors import InputError
from sae_vis.models.precision import doubled

Side = Literal["input", "output"]
Site = Literal["resid", "mlp_out", "attn_out", "mixer_out", "added", "neurons", "heads", "mixer_inner", "other"]


@dataclass(frozen=True, kw_only=True)
class HookPoint:
    """One place in a model where activations are read.

    Two names of one place give hook points that differ in `name` only: compare `place` to see whether it is the same.

    Attributes:
        name: the name the user gave.
        module: path of the torch module that is hooked, such as ``model.layers.8``.
        side: whether the module's input or its output is read.
        layer: index of the transformer block, or None where the place is in no block.
        site: what is read. The residual stream; the output of an MLP or of attention (`onward` tells whether before or
            after a post-norm); MLP neurons; attention heads (``z``). ``mixer_out`` is the output of another module
            that mixes tokens (state spaces, linear attention, convolutions); ``mixer_inner`` is what its output
            projection reads; ``added`` is any other module that adds to the stream.
        d: width of the activation (heads are flattened: n_heads * d_head).
        onward: paths of the modules that a direction written here passes through, in order, before it is added to the
            residual stream; empty where it is added as it is, None where the way is not known (site ``other``).
        scale: what is written here is multiplied by on its way into the residual stream that the final norm reads: 1 in
            most models.
        normalized: whether what is read is what the module, a norm, makes of its input before its gain and bias
            (TransformerLens' ``hook_normalized``). Such a place is read only.
    """

    name: str
    module: str
    side: Side
    layer: int | None
    site: Site
    d: int
    onward: tuple[str, ...] | None = None
    scale: float = 1.0
    normalized: bool = False

    @property
    def place(self) -> str:
        """What is read, whatever it was called: ``module:side``, and ``:normalized`` where it is inside a norm."""
        return f"{self.module}:{self.side}" + (":normalized" if self.normalized else "")

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

    @property
    def placeholders(self) -> Mapping[int, str]:
        """Token ids that stand for something other than text, such as a piece of an image, and their names."""
        return {}

    @abstractmethod
    def hook_point(self, name: str) -> HookPoint:
        """Find a hook point.

        Args:
            name: a hook name or the path of a module.

        Returns:
            The hook point.

        Raises:
            InputError: there is no such place; lists near names.
        """

    @abstractmethod
    def activations(self, tokens: Tensor, hook: HookPoint) -> Tensor:
        """Run the model up to a hook point, without gradients.

        Rows are full: no attention mask, positions count from 0 (right padding changes nothing before it in a causal
        model). The forward stops after the hooked module. No gradients; dtype and device are the model's own.

        Args:
            tokens: int64 ``[n_seqs, seq_len]``, full rows.
            hook: where to read.

        Returns:
            ``[n_seqs, seq_len, hook.d]``, in the model's own dtype and on its device.
        """

    @abstractmethod
    def unembedding(self) -> Unembedding:
        """Final norm and unembedding. The model is never modified; they may share its memory.

        Returns:
            Both, in float32.
        """

    @abstractmethod
    def to_residual(self, directions: Tensor, hook: HookPoint) -> Tensor:
        """What is written at a hook point, as directions in the residual stream.

        The identity for the residual stream; through ``W_out`` for neurons and ``W_O`` for heads. If a post-norm lies
        ahead (Gemma 2 and 3), its gain is applied. It also divides by the size of its input, which differs from token
        to token. This divisor is left out, so the result is exact up to a positive scale.

        Args:
            directions: ``[n, hook.d]``.
            hook: where they are written.

        Returns:
            ``[n, d_model]``.
        """

    def from_residual(self, directions: Tensor, hook: HookPoint) -> Tensor:
        """What is read at a hook point, as directions that are read in the residual stream.

        The identity wherever what is read stands in the coordinates of the residual stream. For neurons, through
        ``W_in`` and the gain of the norm before it: to first order, the slope of the activation function and the
        norm's divisor taken as 1.

        Args:
            directions: ``[n, hook.d]``.
            hook: where they are read.

        Returns:
            ``[n, d_model]``.

        Raises:
            InputError: directions of another width; heads, or neurons behind a gate, whose reading is not linear.
        """
        if directions.ndim != 2 or directions.shape[1] != hook.d:
            raise InputError(f"directions at {hook.name!r} are [n, {hook.d}]; got {tuple(directions.shape)}")
        if hook.site in {"resid", "mlp_out", "attn_out", "mixer_out", "added"} and hook.d == self.d_model:
            return directions
        if hook.site == "neurons":
            found = self._reading(hook)
            if found is not None:
                return directions @ found.to(directions)
        raise InputError(
            f"no linear way is known from the residual stream to {hook.name!r}, so directions read there can't be "
            f"compared with probes in the residual stream; give probes of its own width, [{hook.d}, *class_shape]"
        )

    def _reading(self, hook: HookPoint) -> Tensor | None:
        """What each neuron at `hook` reads in the residual stream ``[hook.d, d_model]``, or None where not linear."""
        return None

    @abstractmethod
    def fingerprint(self) -> str:
        """A hash of the weights (names, shapes, dtypes, contents) and of the configuration that fixes the forward pass.

        Returns:
            ``sha256:…``.
        """

    @abstractmethod
    def describe(self) -> dict[str, object]:
        """Facts for the manifest: class, name or path, sizes, dtype.

        Returns:
            Values that JSON has.
        """


@dataclass(frozen=True, kw_only=True)
class PostNorm:
    """The norm between a hook point and the residual stream (Gemma 2 and 3, OLMo 2): what it divides by.

    The divisor of a token is ``sqrt(mean(y**2) + eps)``, with ``y`` what the norm reads there, less its mean where
    `centred`.

    Attributes:
        reads: where ``y`` is read.
        centred: whether the norm subtracts the mean.
        eps: what it adds to the variance.
    """

    reads: HookPoint
    centred: bool
    eps: float

    def divisor(self, y: Tensor) -> Tensor:
        """What the norm divides by, float64 ``[n]``, for what it reads ``[n, d]``."""
        y = doubled(y)
        y = y - y.mean(dim=1, keepdim=True) if self.centred else y
        return (y.pow(2).mean(dim=1) + self.eps).sqrt()


@dataclass(frozen=True, kw_only=True)
class Edit:
    """A change of the activations at a hook point: `delta` ``[n_seqs, seq_len, hook.d]`` is added to what is there.

    The sum is taken in the finer of the model's dtype and float32, then rounded to the model's dtype.
    """

    hook: HookPoint
    delta: Tensor


Edits = Edit | Sequence[Edit] | None
"""One change, several at once, or none."""


@dataclass(frozen=True)
class Prefix:
    """What a model remembers of a text: keys and values ``[1, n_heads, n_tokens, d_head]`` of every layer."""

    layers: tuple[tuple[Tensor, Tensor], ...]

    @property
    def n_tokens(self) -> int:
        """Tokens remembered."""
        return int(self.layers[0][0].shape[-2])


class Destinations(NamedTuple):
    """Tokens whose attention is wanted.

    Attributes:
        rows: int64 ``[n]``, row of the batch.
        places: int64 ``[n]``, place in the row.
    """

    rows: Tensor
    places: Tensor


class AttentionParts(NamedTuple):
    """Attention of one layer at n destinations: what its heads give there is ``pattern`` times ``values``.

    Query head ``h`` reads the values of head ``h // (n_heads / n_kv_heads)``: in grouped-query attention several share
    one. There is nothing of the size of destinations times sources times heads times ``d_head``.

    Attributes:
        pattern: float32 or finer ``[n, n_heads, n_src]``, after softmax, masks and whatever else the model does to it.
        values: float32 or finer ``[n_seqs, n_src, n_kv_heads, d_head]``, their bias in them.
    """

    pattern: Tensor
    values: Tensor

    def spread(self, row: int) -> Tensor:
        """Values of one row for each query head ``[n_src, n_heads, d_head]``."""
        values = self.values[row]
        return values.repeat_interleave(self.pattern.shape[1] // values.shape[1], dim=1)


class HookGradient(NamedTuple):
    """A scalar, and what a change of the activations at a hook point does to it, to first order.

    Attributes:
        acts: ``[n_seqs, seq_len, hook.d]``, the activations.
        gradient: ``[n_seqs, seq_len, hook.d]``, of `value` by the activations.
        value: of the scalar.
    """

    acts: Tensor
    gradient: Tensor
    value: float


class RunnableModel(LanguageModel):
    """A language model that can be run to its end, also with one place changed: what effects are measured on.

    Nothing here modifies the model, its modes, the gradients of its parameters or the global random state.
    """

    @property
    @abstractmethod
    def final_residual(self) -> HookPoint:
        """The residual stream that the final norm reads; raises `InputError` where that is not known."""

    @property
    def n_context(self) -> int | None:
        """Tokens of the longest text that it was made for, or None where that is not known."""
        return None

    def activations(self, tokens: Tensor, hook: HookPoint) -> Tensor:
        """Run the model up to a hook point, as in `LanguageModel.activations`.

        Args:
            tokens: int64 ``[n_seqs, seq_len]``, full rows.
            hook: where to read.

        Returns:
            ``[n_seqs, seq_len, hook.d]``.
        """
        return self.activations_at(tokens, [hook])[0]

    @abstractmethod
    def activations_at(self, tokens: Tensor, hooks: Sequence[HookPoint]) -> list[Tensor]:
        """Activations at several hook points, in one forward pass that stops after the last of them.

        Args:
            tokens: int64 ``[n_seqs, seq_len]``, full rows.
            hooks: where to read.

        Returns:
            ``[n_seqs, seq_len, hook.d]`` for each.
        """

    @abstractmethod
    def post_norm(self, hook: HookPoint) -> PostNorm | None:
        """The post-norm between a hook point and the residual stream.

        Args:
            hook: the hook point.

        Returns:
            The norm; None where there is none.
        """

    @abstractmethod
    def prefix(self, tokens: Tensor) -> Prefix | None:
        """What the model remembers of a text, to go on from it.

        It is exact, up to rounding, where every layer attends to all tokens before.

        Args:
            tokens: int64 ``[seq_len]``.

        Returns:
            Keys and values; None where going on from them may not be exact.
        """

    @abstractmethod
    def logits(self, tokens: Tensor, edit: Edits = None, *, prefix: Prefix | None = None, start: int = 0) -> Tensor:
        """Run the model to its end, with edits, without gradient.

        Args:
            tokens: full rows; with a prefix, what follows its first `start` tokens.
            edit: what is added, and where; several at once, each at a place of its own. At a hook point of the
                residual stream the stream itself is changed: also what passes by the module that is hooked.
            prefix: of the text that all rows begin with.
            start: how many of its tokens.

        Returns:
            ``[n_seqs, seq_len, d_vocab]``.
        """

    def gradient(self, tokens: Tensor, hook: HookPoint, target: Callable[[Tensor], Tensor]) -> HookGradient:
        """The gradient of a target at one hook point.

        Args:
            tokens: int64 ``[n_seqs, seq_len]``, full rows.
            hook: where.
            target: a scalar of the logits ``[n_seqs, seq_len, d_vocab]``.

        Returns:
            The target's value, the activations there, and the gradient.
        """
        return self.gradients(tokens, [hook], target)[0]

    @abstractmethod
    def gradients(
        self, tokens: Tensor, hooks: Sequence[HookPoint], target: Callable[[Tensor], Tensor]
    ) -> list[HookGradient]:
        """The gradient of a target at several hook points, in one forward and one backward pass.

        One forward and one backward pass of ``tokens`` ``[n_seqs, seq_len]``. At a hook point of the residual stream it
        is that of the stream itself. Each is a total derivative: it has in it what a change there does through the
        other places.

        Args:
            tokens: int64 ``[n_seqs, seq_len]``, full rows.
            hooks: where.
            target: a scalar of the logits ``[n_seqs, seq_len, d_vocab]``.

        Returns:
            The target's value, the activations and the gradient, for each.
        """

    def heads_behind(self, hook: HookPoint) -> HookPoint:
        """The attention heads from which, by linear steps, what is read at a hook point comes.

        Args:
            hook: the hook point.

        Returns:
            The heads' hook point (site ``heads``).

        Raises:
            InputError: a hook point that has no attention pattern.
        """
        if hook.site not in {"heads", "attn_out"} or hook.layer is None:
            raise InputError(
                f"{hook.name!r} has no attention pattern (it is of the kind {hook.site!r}): source tokens are known of "
                "attention heads (blocks.N.attn.hook_z) and attention outputs (blocks.N.hook_attn_out)"
            )
        return self._heads_of(hook.layer)

    def _heads_of(self, layer: int) -> HookPoint:
        """The hook point of a layer's heads."""
        return self.hook_point(f"blocks.{layer}.attn.hook_z")

    def to_heads(self, directions: Tensor, hook: HookPoint) -> Tensor:
        """Directions that are read at a hook point, as directions that are read at its heads.

        Their product with the output of the heads is the product of the directions with what is at `hook`, less
        constants (biases). A post-norm in between multiplies it by its divisor.

        Args:
            directions: ``[n, hook.d]``.
            hook: where they are read.

        Returns:
            ``[n, heads.d]``, read at `heads_behind`.
        """
        heads = self.heads_behind(hook)
        assert heads.onward is not None
        assert hook.onward is not None
        between = heads.onward[: len(heads.onward) - len(hook.onward)]
        read = directions.to(torch.promote_types(directions.dtype, torch.float32))
        for path in reversed(between):
            read = self._back_through(path, read)
        return read

    def _back_through(self, path: str, directions: Tensor) -> Tensor:
        """Directions read behind the projection or post-norm at `path`, as directions read before it."""
        raise NotImplementedError

    def attention(self, tokens: Tensor, heads: HookPoint, at: Destinations) -> AttentionParts:
        """Attention of a layer at some destinations.

        Args:
            tokens: full rows ``[n_seqs, seq_len]``.
            heads: of the layer (`heads_behind`).
            at: which tokens.

        Returns:
            The attention pattern there, and the values of all tokens.

        Raises:
            InputError: tokens or destinations of another shape, dtype or range; attention that can't be taken apart.
        """
        raise InputError(f"the attention of a {type(self).__name__} can't be read")
