"""Hook points of a model of TransformerLens, and the activations there."""

from __future__ import annotations

import difflib
import re
import sys
from collections.abc import Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple

import torch
from torch import Tensor, nn

from sae_vis.errors import InputError
from sae_vis.models.base import (
    HookPoint,
    RunnableModel,
    Side,
    Site,
)
from sae_vis.models.forward import a_vector_a_token, check_tokens, eval_mode, ordinary_weights, read
from sae_vis.models.huggingface_places import shown_name
from sae_vis.models.linear_maps import linear_weight
from sae_vis.models.transfers import to_device
from sae_vis.models.wrapped import bare_name
from sae_vis.neutral import all_neutrally

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

_STREAM = re.compile(r"hook_embed|hook_pos_embed|blocks\.(\d+)\.hook_resid_(?:pre|mid|post)")
_INSIDE = re.compile(r"blocks\.(\d+)\.(hook_attn_out|hook_mlp_out|attn\.hook_z|mlp\.hook_post)")


SITES: dict[str, Site] = {
    "hook_attn_out": "attn_out",
    "hook_mlp_out": "mlp_out",
    "attn.hook_z": "heads",
    "mlp.hook_post": "neurons",
}


@all_neutrally
class TransformerLensPlaces(RunnableModel):
    """What is known of a model of TransformerLens: the places in it, and what they hold on given tokens."""

    def __init__(self, model: nn.Module) -> None:
        config: Any = model.cfg
        self.model = model
        self.name = shown_name(str(getattr(config, "model_name", None) or type(model).__name__))
        self.n_layers = int(config.n_layers)
        self.n_vocab, self.d_model = int(config.d_vocab), int(config.d_model)
        cap = float(getattr(config, "output_logits_soft_cap", None) or 0)
        self.logit_softcap = cap if cap > 0 else None
        self._config = config
        self._is_bridge = hasattr(model, "original_model")  # wraps a `transformers` model; the other has weights itself

    @property
    def tokenizer(self) -> PreTrainedTokenizerBase | None:
        """The model's own tokenizer, or None."""
        return getattr(self.model, "tokenizer", None)

    # Hook points

    def hook_point(self, name: str) -> HookPoint:
        """The place called `name`: one of the model's hook names or a module path.

        Raises:
            InputError: no such place; the message lists near names and the number of layers.
        """
        base, _, asked = name.partition(":")
        if asked not in {"", "input", "output"}:
            raise InputError(f"hook point {name!r}: a module is read at ':input' or ':output', not at {asked!r}")
        found = self._module(base)
        if found is None:
            raise InputError(self._nothing_called(name))
        path, module = found
        meaning = self._meaning(base, module)
        replaced = meaning.site != "other" and not self._is_hook_point(module)
        side: Side = "input" if asked == "input" or (replaced and not asked) else "output"
        d = self._width(meaning, name, path, side)
        return HookPoint(
            name=name, module=path, side=side, layer=meaning.layer, site=meaning.site, d=d, onward=meaning.onward
        )

    @property
    def _hook_names(self) -> Mapping[str, nn.Module]:
        """The model's hook points by all their names."""
        found: Mapping[str, nn.Module] = self.model.hook_dict  # type: ignore[assignment]
        return found

    def _module(self, name: str) -> tuple[str, nn.Module] | None:
        """Path and module of a hook name or a module path."""
        point = self._hook_names.get(name)
        if point is not None:
            paths = (path for path, part in self.model.named_modules() if part is point)
            return bare_name(next(paths, name)), point
        try:
            return (name, self.model.get_submodule(name)) if name else None
        except AttributeError:
            return None

    def _at(self, path: str) -> nn.Module:
        try:
            return self.model.get_submodule(path)
        except AttributeError as error:
            raise InputError(f"hook point of another model: this one has no module {path!r}") from error

    def _is_hook_point(self, module: nn.Module) -> bool:
        return any(module is point for point in self._hook_names.values())

    def _meaning(self, name: str, module: nn.Module) -> _Meaning:
        """What is known of a place, by its name or another name of the same hook point."""
        same = [other for other, point in self._hook_names.items() if point is module]
        for candidate in (name, *same):
            stream, inside = _STREAM.fullmatch(candidate), _INSIDE.fullmatch(candidate)
            if stream is not None:
                return _Meaning(None if stream[1] is None else int(stream[1]), "resid", ())
            if inside is not None:
                return self._inside(int(inside[1]), inside[2])
        layer = re.match(r"blocks\.(\d+)\.", name)
        return _Meaning(None if layer is None else int(layer[1]), "other", None)

    def _inside(self, layer: int, name: str) -> _Meaning:
        """A place in attention or MLP; what they write to the stream is read behind a post-norm, where there is one."""
        site = SITES[name]
        if site in {"attn_out", "mlp_out"}:
            return _Meaning(layer, site, ())
        sublayer = "attn" if site == "heads" else "mlp"
        projection = f"blocks.{layer}.{sublayer}"
        if self._projection(projection) is None:  # experts, for one: no single matrix
            return _Meaning(layer, "other", None)
        post_norm = self._post_norm_path(layer, sublayer)
        return _Meaning(layer, site, (projection, post_norm) if post_norm else (projection,))

    def _post_norm_path(self, layer: int, sublayer: str) -> str | None:
        """Path of the norm between a sublayer and the residual stream."""
        number = 1 if sublayer == "attn" else 2
        block = self._at(f"blocks.{layer}")
        for name in (f"ln{number}_post", f"ln{number}"):
            norm = getattr(block, name, None)
            if isinstance(norm, nn.Module) and self._is_behind(norm, layer, sublayer, name):
                return f"blocks.{layer}.{name}"
        return None

    def _is_behind(self, norm: nn.Module, layer: int, sublayer: str, name: str) -> bool:
        """Whether a norm of a block stands between a sublayer and the residual stream."""
        if name.endswith("_post"):
            return True
        if self._is_bridge:
            written = self._hook_names.get(f"blocks.{layer}.hook_{sublayer}_out")
            own = (point for path, point in norm.named_modules() if path == "hook_out")
            return written is not None and written is next(own, None)
        home = sys.modules[type(self._at(f"blocks.{layer}")).__module__]
        return self._config.original_architecture in getattr(home, "POST_NORM_ARCHITECTURES", ())

    def _width(self, meaning: _Meaning, name: str, path: str, side: Side) -> int:
        if meaning.onward is None:
            # Nothing is known of this place: see what a forward of a few tokens gives there.
            return int(self._read(torch.zeros(2, 3, dtype=torch.int64), [(name, path, side)])[0].shape[-1])
        if meaning.site in {"heads", "neurons"}:
            return int(self._weight(meaning.onward[0]).shape[0])
        return self.d_model

    def _nothing_called(self, name: str) -> str:
        kind = type(self.model).__name__
        layer = re.search(r"\.(\d+)(?=[.:]|$)", name)
        if layer is not None and int(layer[1]) >= self.n_layers:
            return f"no hook point {name!r}: {kind} has {self.n_layers} layers, 0 to {self.n_layers - 1}"
        near = difflib.get_close_matches(name, self._hook_names, n=3)
        facts = [f"no hook point {name!r} in {kind} ({self.n_layers} layers, 0 to {self.n_layers - 1})"]
        facts += ["near names: " + ", ".join(map(repr, near))] if near else []
        return "; ".join([*facts, "model.hook_dict has all names"])

    # Activations

    def activations_at(self, tokens: Tensor, hooks: Sequence[HookPoint]) -> list[Tensor]:
        """Activations at several hook points in one forward; see `RunnableModel.activations_at`.

        Raises:
            InputError: tokens of another shape, dtype or range, or a hook point of another model.
        """
        self._check_tokens(tokens)
        if not tokens.numel():
            like = self._embedding.new_empty(0).detach()
            return [like.new_empty(*tokens.shape, hook.d) for hook in hooks]
        return self._read(tokens, [(hook.name, hook.module, hook.side) for hook in hooks])

    def _read(self, tokens: Tensor, places: Sequence[tuple[str, str, Side]]) -> list[Tensor]:
        """Activations at places given as name, module path, side."""
        modules = [(self._at(path), side) for _, path, side in places]
        try:
            found = read(self.model, modules, partial(self._forward, tokens))
        except InputError as error:
            names = " and ".join(repr(name) for name, _, _ in places)
            raise InputError(f"hook point {names}: {error}") from error
        return [
            a_vector_a_token(acts, tokens, f"hook point {name!r}: the {side} of {path!r}")
            for acts, (name, path, side) in zip(found, places, strict=True)
        ]

    def _forward(self, tokens: Tensor) -> Tensor:
        """Logits of full rows: a tokenizer that pads on the left must not make a mask from its padding id."""
        padded_left = not self._is_bridge and getattr(self.tokenizer, "padding_side", None) == "left"
        options = {"padding_side": "right"} if padded_left else {}
        wrapped = self.model.original_model if self._is_bridge else self.model  # the bridge has modules that it hides
        with eval_mode(wrapped), ordinary_weights(wrapped):  # type: ignore[arg-type]
            logits: Tensor = self.model(to_device(tokens, self._embedding.device), return_type="logits", **options)
        return logits

    @property
    def _embedding(self) -> Tensor:
        return next(self._at("embed").parameters())

    def _check_tokens(self, tokens: Tensor) -> None:
        name = type(self.model).__name__
        check_tokens(tokens, self.n_vocab, name)
        if not self._is_bridge and tokens.shape[1] > self._config.n_ctx:
            raise InputError(f"sequences of {tokens.shape[1]} tokens; {name} has {self._config.n_ctx} positions")

    def _projection(self, path: str) -> Tensor | nn.Module | None:
        """The output projection of attention or an MLP: their own matrix, or the module that the bridge wraps."""
        if not path.endswith((".attn", ".mlp")):
            return None
        sublayer, attention = self._norm_at(path), path.endswith(".attn")
        if self._is_bridge:
            wrapped = getattr(getattr(sublayer, "o" if attention else "out", None), "original_component", None)
            return wrapped if isinstance(wrapped, nn.Module) and hasattr(wrapped, "weight") else None
        matrix = getattr(sublayer, "W_O" if attention else "W_out", None)
        return matrix if isinstance(matrix, Tensor) else None

    def _weight(self, path: str) -> Tensor:
        """The output projection at `path`, ``[d, d_model]``, the heads flattened."""
        projection = self._projection(path)
        assert projection is not None
        matrix = linear_weight(projection).T if isinstance(projection, nn.Module) else projection
        if not matrix.is_floating_point():
            raise InputError(f"the weights of {path!r} are {matrix.dtype}: load the model unquantised")
        return matrix.detach().reshape(-1, matrix.shape[-1])

    def _norm_at(self, path: str) -> nn.Module | None:
        try:
            return self.model.get_submodule(path)
        except AttributeError:
            return None


class _Meaning(NamedTuple):
    """What is known of a place: block, site, and the way to the residual stream (as in `HookPoint`)."""

    layer: int | None
    site: Site
    onward: tuple[str, ...] | None
