"""TransformerLens models: `HookedTransformer`, its subclasses, and the `TransformerBridge` of version 3 and later.

TransformerLens is never imported here: an object of its classes can't be there without it. A hook point of theirs is
a torch module that gives what it takes, so it is read and changed by torch's own hooks, which are always removed.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping, Sequence
from functools import cached_property, partial
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from sae_vis.errors import InputError
from sae_vis.models.attention import check_destinations, check_parts
from sae_vis.models.base import (
    AttentionParts,
    Destinations,
    Edits,
    HookGradient,
    HookPoint,
    PostNorm,
    Prefix,
    Side,
    Unembedding,
)
from sae_vis.models.fingerprint import fingerprint
from sae_vis.models.forward import float32_weights, read
from sae_vis.models.runs import Addition, Change, as_edits, gradients, run
from sae_vis.models.transformer_lens_places import TransformerLensPlaces
from sae_vis.models.wrapped import bare_name
from sae_vis.neutral import all_neutrally, ordinary

if TYPE_CHECKING:
    pass

_NOT_WEIGHTS = (".mask", ".IGNORE")  # made from the configuration
_ELSEWHERE = frozenset(  # fields of a configuration that no forward depends on
    """default_prepend_bos device init_mode init_weights model_name n_devices seed tokenizer_name
    tokenizer_prepends_bos""".split()  # noqa: SIM905 (a list of words)
)
_TRIED = 5  # tokens on which the way from the final residual to the logits is tried out
_TOLERANCE = {torch.float32: 1e-3, torch.float64: 1e-3}  # of logits, in units of their spread
_HALF_TOLERANCE = 5e-2


def transformer_lens_classes() -> tuple[type, ...]:
    """The classes of TransformerLens models, as far as the user has imported them."""
    homes = {"transformer_lens": "HookedTransformer", "transformer_lens.model_bridge": "TransformerBridge"}
    found = (getattr(sys.modules.get(home), name, None) for home, name in homes.items())
    return tuple(kind for kind in found if isinstance(kind, type))


@all_neutrally
class TransformerLensModel(TransformerLensPlaces):
    """A TransformerLens model, used as it is: never modified, moved, or left in another mode.

    Hook points are its own hook names (``blocks.8.hook_resid_post``), and the paths of its modules, read at their
    output or input (``blocks.8.mlp:input``). Where an SAE is attached in place of a hook point
    (`HookedSAETransformer`), the place is what the model gives to the SAE.

    Attributes:
        model: the wrapped model.
        name: what pages call it; may be set.
        n_layers: number of transformer blocks.
    """

    # Attention

    def attention(self, tokens: Tensor, heads: HookPoint, at: Destinations) -> AttentionParts:
        """Attention of a layer at some destinations, from its own ``hook_pattern`` and ``hook_v``.

        Raises:
            InputError: tokens or destinations of another shape, dtype or range; a layer without these hook points.
        """
        self._check_tokens(tokens)
        check_destinations(at, tokens)
        names = [f"blocks.{heads.layer}.attn.{name}" for name in ("hook_v", "hook_pattern", "hook_z")]
        absent = [name for name in names if name not in self._hook_names]
        if absent:
            raise InputError(f"{type(self.model).__name__} has no {absent[0]!r}, so its attention can't be read")
        points = [self._hook_names[name] for name in names]
        v, pattern, z = read(self.model, [(point, "output") for point in points], partial(self._forward, tokens))
        wide = torch.promote_types(v.dtype, torch.float32)
        chosen = pattern[at.rows.to(pattern.device), :, at.places.to(pattern.device)].to(wide)
        parts = AttentionParts(pattern=chosen, values=v.reshape(*tokens.shape, -1, self._config.d_head).to(chosen))
        check_parts(parts, z.reshape(*tokens.shape, -1), at, names[0].rpartition(".")[0])
        return parts

    def _back_through(self, path: str, directions: Tensor) -> Tensor:
        """Directions read behind the projection or post-norm at `path`, as directions read before it."""
        if self._projection(path) is not None:
            return directions @ self._weight(path).to(directions).T
        norm = self._at(path)
        gained = directions * self._gain(norm).to(directions)
        return gained - gained.mean(-1, keepdim=True) if self._centres(norm) else gained

    # Whole runs

    def logits(self, tokens: Tensor, edit: Edits = None, *, prefix: Prefix | None = None, start: int = 0) -> Tensor:
        """Logits of a whole run; see `RunnableModel.logits`.

        Raises:
            InputError: tokens of another shape, dtype or range, an edit of another shape or model, or a prefix: these
                models are run over whole texts.
        """
        if prefix is not None or start:
            raise InputError("TransformerLens models are run over whole texts here: give no prefix")
        self._check_tokens(tokens)
        with torch.inference_mode(mode=False), torch.no_grad():
            forward = partial(self._forward, tokens)
            changes = []
            for one in as_edits(edit):
                expected = (*tokens.shape, one.hook.d)
                if one.delta.shape != expected:
                    raise InputError(f"an edit at {one.hook.name!r} is {expected} here; got {tuple(one.delta.shape)}")
                changes.append(Change(Addition(one.delta), self._written(one.hook)))
            return run(self.model, forward, changes)

    def gradients(
        self, tokens: Tensor, hooks: Sequence[HookPoint], target: Callable[[Tensor], Tensor]
    ) -> list[HookGradient]:
        """The gradients at some places of a scalar of the logits; see `RunnableModel.gradients`.

        Raises:
            InputError: tokens of another shape, dtype or range, or a hook point of another model.
        """
        self._check_tokens(tokens)
        like = self._embedding
        dtype, changes = torch.promote_types(like.dtype, torch.float32), []
        for hook in hooks:
            with torch.inference_mode(mode=False):
                addition = Addition(torch.zeros(*tokens.shape, hook.d, dtype=dtype, device=like.device))
            changes.append(Change(addition, self._written(hook)))
        return gradients(self.model, partial(self._forward, ordinary(tokens)), changes, target)

    def prefix(self, tokens: Tensor) -> Prefix | None:
        """None: texts are run whole."""
        self._check_tokens(tokens[None])
        return None

    def _written(self, hook: HookPoint) -> list[tuple[nn.Module, Side]]:
        """Where a change is made so that it is one at `hook`.

        The bridge reads the stream between attention and MLP in the norm behind it, which has a copy: a change there is
        one of the copy and of the sum that the block gives in the end.
        """
        here = [(self._at(hook.module), hook.side)]
        between = self._hook_names.get(f"blocks.{hook.layer}.hook_resid_mid")
        if not self._is_bridge or between is None or between is not here[0][0]:
            return here
        return [*here, (self._hook_names[f"blocks.{hook.layer}.hook_resid_post"], "output")]

    @property
    def n_context(self) -> int | None:
        """Tokens of the longest text that it was made for, or None where its configuration does not say."""
        found = getattr(self._config, "n_ctx", None)
        return None if found is None else int(found)

    # From a place to the logits

    @property
    def final_residual(self) -> HookPoint:
        """The residual stream that the final norm reads; raises `InputError` for a model without final norm."""
        if self._final_norm is None:
            raise InputError(
                f"{type(self.model).__name__} has no final norm (normalization_type "
                f"{getattr(self._config, 'normalization_type', None)!r}): logit effects are defined behind one"
            )
        name = "ln_final:input"
        return HookPoint(
            name=name, module="ln_final", side="input", layer=None, site="resid", d=self.d_model, onward=()
        )

    @property
    def _final_norm(self) -> nn.Module | None:
        return None if self._config.normalization_type is None and not self._is_bridge else self._norm_at("ln_final")

    def unembedding(self) -> Unembedding:
        """Final norm and unembedding, float32 (sharing the model's memory where it is float32 already).

        Norms may be folded into the unembedding or not, and its columns centred or not: what is there is read. It is
        tried out once on a few tokens.

        Raises:
            InputError: a model whose logits are not its final norm and unembedding.
        """
        return self._unembedding

    @cached_property
    def _unembedding(self) -> Unembedding:
        residual = self.final_residual
        norm, head = self._at("ln_final"), self._at("unembed")
        weight = float32_weights(head.W_U).T  # type: ignore[arg-type]  # [d_vocab, d_model]
        bias = float32_weights(head.b_U).to(weight.device)  # type: ignore[arg-type]
        norm_bias = _vector(norm, "b", "bias")
        if norm_bias is not None:
            bias = bias + weight @ norm_bias.to(weight.device)
        made = Unembedding(
            gain=self._gain(norm).to(weight.device),
            centred=self._centres(norm),
            weight=weight,
            bias=bias,
            eps=_eps(norm),
        )
        self._try_out(made, residual)
        return made

    def _try_out(self, end: Unembedding, residual: HookPoint) -> None:
        tokens = torch.arange(_TRIED)[None] % self.n_vocab
        x = self.activations(tokens, residual)[0].float().to(end.weight.device)
        x = x - x.mean(-1, keepdim=True) if end.centred else x
        x = end.gain * x * (x.square().mean(-1, keepdim=True) + end.eps).rsqrt()
        expected = x @ end.weight.T + (0 if end.bias is None else end.bias)
        if self.logit_softcap is not None:
            expected = self.logit_softcap * torch.tanh(expected / self.logit_softcap)
        logits = self.logits(tokens)[0].float().to(expected.device)
        difference = float((logits - expected).abs().max() / logits.std().clamp(min=1e-6))
        if not difference <= _TOLERANCE.get(self._embedding.dtype, _HALF_TOLERANCE):
            raise InputError(
                f"the logits of this {type(self.model).__name__} are not its final norm and unembedding (off by "
                f"{difference:.2g} of their spread), so logit effects can't be computed from these"
            )

    def _centres(self, norm: nn.Module) -> bool:
        if self._is_bridge:
            return not bool(norm.uses_rms_norm)
        return str(self._config.normalization_type).startswith("LN")

    def _gain(self, norm: nn.Module) -> Tensor:
        """What a norm multiplies with, float32 ``[d_model]``: ones where that is folded into what follows."""
        gain = _vector(norm, "w", "weight")
        if gain is None:
            return torch.ones(self.d_model, device=self._embedding.device)
        return gain + 1.0 if self._is_bridge and getattr(self._config, "rmsnorm_uses_offset", False) else gain

    def post_norm(self, hook: HookPoint) -> PostNorm | None:
        """The post-norm between `hook` and the residual stream, None where there is none."""
        if hook.onward is None or len(hook.onward) < 2:
            return None
        path = hook.onward[1]
        norm = self._at(path)
        reads = HookPoint(
            name=f"{path}:input",
            module=path,
            side="input",
            layer=hook.layer,
            site="attn_out" if hook.site == "heads" else "mlp_out",
            d=self.d_model,
            onward=(path,),
        )
        return PostNorm(reads=reads, centred=self._centres(norm), eps=_eps(norm))

    def to_residual(self, directions: Tensor, hook: HookPoint) -> Tensor:
        """Directions ``[n, hook.d]`` as ``[n, d_model]``, float32 or finer; see `LanguageModel.to_residual`.

        Raises:
            InputError: directions of another width, or a place with no known way to the residual stream.
        """
        if directions.ndim != 2 or directions.shape[1] != hook.d:
            raise InputError(f"directions at {hook.name!r} are [n, {hook.d}]; got {tuple(directions.shape)}")
        if hook.onward is None:
            raise InputError(
                f"no known way from {hook.name!r} to the residual stream: what it writes there can't be told"
            )
        written = directions.to(torch.promote_types(directions.dtype, torch.float32))
        for path in hook.onward:
            if self._projection(path) is not None:
                written = written @ self._weight(path).to(written)
                continue
            norm = self._at(path)
            centred = written - written.mean(-1, keepdim=True) if self._centres(norm) else written
            written = centred * self._gain(norm).to(written)
        return written

    def _reading(self, hook: HookPoint) -> Tensor | None:
        """``W_in`` times the gain of the norm before it; None where there is a gate, or where the bridge wraps it."""
        mlp = None if self._is_bridge or hook.layer is None else self._at(f"blocks.{hook.layer}.mlp")
        matrix = getattr(mlp, "W_in", None)
        if not isinstance(matrix, Tensor) or hasattr(mlp, "W_gate"):
            return None
        weight = matrix.detach().float().T
        parallel = bool(getattr(self._config, "parallel_attn_mlp", False))
        norm = getattr(self._at(f"blocks.{hook.layer}"), "ln1" if parallel else "ln2", None)
        if not isinstance(norm, nn.Module) or self._config.normalization_type is None:
            return weight
        weight = weight * self._gain(norm).to(weight)
        return weight - weight.mean(-1, keepdim=True) if self._centres(norm) else weight

    # Identity

    def fingerprint(self) -> str:
        """``sha256:…`` of weights and configuration: hashed at the first call, then remembered.

        Another one than that of the `transformers` model with the same weights, as these are stored in other shapes,
        folded or not.
        """
        return self._fingerprint

    @cached_property
    def _fingerprint(self) -> str:
        weights = {
            bare_name(name): value
            for name, value in self.model.state_dict().items()
            if isinstance(value, Tensor) and not name.endswith(_NOT_WEIGHTS)
        }
        config = {name: value for name, value in vars(self._config).items() if name not in _ELSEWHERE}
        plain = {name: value for name, value in config.items() if _is_plain(value)}
        return fingerprint(weights, {"class": type(self.model).__name__, **plain})

    def describe(self) -> dict[str, object]:
        """JSON-able facts: class, name, architecture, normalisation (folded or not), sizes, dtype."""
        return {
            "class": type(self.model).__name__,
            "name": self.name,
            "model_type": str(getattr(self._config, "original_architecture", None) or ""),
            "normalization": str(getattr(self._config, "normalization_type", None)),
            "n_layers": self.n_layers,
            "d_model": self.d_model,
            "n_vocab": self.n_vocab,
            "n_parameters": sum(parameter.numel() for parameter in self.model.parameters()),
            "dtype": str(self._embedding.dtype).removeprefix("torch."),
        }


def _vector(norm: nn.Module, own: str, wrapped: str) -> Tensor | None:
    """A norm's gain or bias, float32: its own, or of the module that it wraps; None where there is none."""
    inner = getattr(norm, "original_component", None)
    found = getattr(norm, own, None) if inner is None else getattr(inner, wrapped, None)
    return found.detach().float() if isinstance(found, Tensor) else None


def _eps(norm: nn.Module) -> float:
    inner = getattr(norm, "original_component", None)
    places = [(norm, "eps"), (inner, "eps"), (inner, "variance_epsilon"), (getattr(norm, "config", None), "eps")]
    found = (getattr(place, name, None) for place, name in places)
    eps = next((value for value in found if isinstance(value, float)), None)
    if eps is None:
        raise InputError(f"the norm {type(norm).__name__} has no 'eps'")
    return eps


def _is_plain(value: object) -> bool:
    """Whether a configuration's value is the same text in every process."""
    if isinstance(value, (list, tuple)):
        return all(_is_plain(item) for item in value)
    if isinstance(value, Mapping):
        return all(_is_plain(item) for item in value.values())
    return value is None or isinstance(value, (bool, int, float, str, torch.dtype))
