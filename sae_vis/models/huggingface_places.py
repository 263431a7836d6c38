"""Hook points of a model of transformers, and the activations there."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from functools import cached_property
from inspect import signature
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from sae_vis.errors import InputError
from sae_vis.models.anatomy import Anatomy, Block
from sae_vis.models.base import (
    HookPoint,
    RunnableModel,
    Side,
)
from sae_vis.models.discovery import N_SEQS, SEQ_LEN, constants, discover
from sae_vis.models.forward import a_vector_a_token, check_tokens, read, without_cache
from sae_vis.models.hook_names import HookTable, Place
from sae_vis.models.linear_maps import own_matrix
from sae_vis.models.norms import normalized
from sae_vis.models.offloaded import device_of
from sae_vis.models.transfers import to_device
from sae_vis.models.wrapped import bare_modules
from sae_vis.neutral import all_neutrally

if TYPE_CHECKING:
    from transformers import PreTrainedModel

_FEW = 1000  # of a vocabulary this small no special token is drawn
_PLACEHOLDER = re.compile(r"(image|video|audio|vision)_token_(id|index)")


_ROTARY_TABLES = frozenset(["gptj", "codegen"])  # rotary positions looked up in a table of max_position_embeddings rows


@all_neutrally
class HuggingFacePlaces(RunnableModel):
    """What is known of a model of `transformers`: its parts, the places in it, what they hold on given tokens."""

    def __init__(self, model: PreTrainedModel, *, stored_dtype: torch.dtype | None = None) -> None:
        config = model.config.get_text_config()
        if model.config.is_encoder_decoder:
            raise InputError(f"{type(model).__name__} is an encoder-decoder; give a causal (decoder-only) model")
        self.model = model
        self.stored_dtype = stored_dtype
        self.name = shown_name(str(model.config._name_or_path)) or type(model).__name__
        embedding = _embeddings(model)
        if not isinstance(getattr(embedding, "weight", None), Tensor):
            raise InputError(
                f"{type(model).__name__} has no one table of token embeddings, but a {type(embedding).__name__}: give "
                "a model of text"
            )
        self.n_vocab = int(embedding.weight.shape[0])
        self._given_width = int(getattr(config, "hidden_size", embedding.weight.shape[1]))
        self._fingerprints: dict[str, str] = {}

    # What is known of it

    @cached_property
    def anatomy(self) -> Anatomy:
        """What was found out about the model, and proved, by two forwards of a few tokens."""
        special = {value for value in constants(self.model.config.to_dict()) if value == int(value)}
        ids = [number for number in range(self.n_vocab) if number not in special] if self.n_vocab < _FEW else None
        chosen = torch.Generator().manual_seed(0)
        drawn = torch.randint(0, self.n_vocab if ids is None else len(ids), (N_SEQS, SEQ_LEN), generator=chosen)
        tokens = drawn if ids is None else torch.tensor(ids)[drawn]
        model, device = self.model, self._input_device
        return discover(model, self._modules, model.config.to_dict(), tokens, lambda ids: self._whole(ids.to(device)))

    def _whole(self, tokens: Tensor) -> object:
        return self.model(input_ids=tokens, **without_cache(self.model))

    @cached_property
    def n_layers(self) -> int | None:
        """Number of blocks, or None where no blocks were found."""
        return self.anatomy.n_layers

    @cached_property
    def d_model(self) -> int:  # type: ignore[override]
        """Width of the residual stream; where no blocks were found, what the configuration says."""
        return self.anatomy.width or self._given_width

    @cached_property
    def logit_softcap(self) -> float | None:  # type: ignore[override]
        """See `LanguageModel`."""
        return None if self.anatomy.ending is None else self.anatomy.ending.softcap

    @cached_property
    def _n_positions(self) -> int | None:
        """Tokens of the longest sequence that it can be given, where it has a table of positions."""
        limits = [self.anatomy.positions]
        if self.anatomy.positions is not None or self.model.config.model_type in _ROTARY_TABLES:
            limits.append(self.n_context)
        return min((limit for limit in limits if limit is not None), default=None)

    @cached_property
    def _decoder_path(self) -> str:
        """Path of the module that runs the blocks without the unembedding; '' (the model) where there is none."""
        base = getattr(self.model, "base_model", self.model)
        fallback = next((path for path, module in self._modules.items() if module is base), "")
        stack, embedding = self.anatomy.stack, self.model.get_input_embeddings()
        if stack is None:
            return fallback
        parents = [stack.rsplit(".", n)[0] for n in range(1, stack.count(".") + 1)]
        return next((path for path in parents if self._runs(path, embedding)), fallback)

    def _runs(self, path: str, embedding: nn.Module) -> bool:
        """Whether a part of the model, given the tokens alone, makes of them what the whole model makes of them."""
        part = self._modules[path]
        takes = "input_ids" in signature(part.forward).parameters
        if not takes or all(module is not embedding for module in part.modules()):
            return False
        tokens = torch.arange(SEQ_LEN, device=self._input_device).remainder(self.n_vocab)[None]
        place: list[tuple[nn.Module, Side]] = [(self._modules[self.anatomy.blocks[-1].path], "output")]
        try:
            alone = read(self.model, place, lambda: part(input_ids=tokens, **without_cache(part)))[0]
        except (InputError, TypeError, ValueError, RuntimeError):
            return False
        return torch.equal(alone, read(self.model, place, lambda: self._whole(tokens))[0])

    @cached_property
    def placeholders(self) -> Mapping[int, str]:
        """Ids of image, video and audio tokens, as the configuration of a multi-modal model names them."""
        named = self.model.config.to_dict().items()
        return {int(value): name for name, value in named if _PLACEHOLDER.fullmatch(name) and isinstance(value, int)}

    def _block(self, layer: int | None) -> Block | None:
        return next((block for block in self.anatomy.blocks if block.layer == layer), None)

    # Hook points

    def hook_point(self, name: str) -> HookPoint:
        """The place called `name`: a TransformerLens name or a module path, ``:input`` or ``:output`` added at will.

        Raises:
            InputError: no such place; the message lists near names and the number of layers.
        """
        place = self._hooks.find(name)
        return HookPoint(
            name=name,
            module=place.module,
            side=place.side,
            layer=place.layer,
            site=place.site,
            d=self._width(name, place),
            onward=place.onward,
            scale=place.scale,
            normalized=place.normalized,
        )

    def _width(self, name: str, place: Place) -> int:
        if place.onward is None:
            # Nothing is known of this place: see what a forward of a few tokens gives there.
            return int(
                self._read(torch.zeros(2, 3, dtype=torch.int64), [(name, place.module, place.side)])[0].shape[-1]
            )
        if place.site in {"neurons", "heads", "mixer_inner"}:
            return int(own_matrix(self._modules[place.onward[0]]).shape[1])
        return self.d_model

    @cached_property
    def _modules(self) -> dict[str, nn.Module]:
        return bare_modules(self.model)

    @cached_property
    def _hooks(self) -> HookTable:
        self._decoder_path  # noqa: B018  found by running the model, so before anybody reads it
        return HookTable(self.anatomy, self._modules, type(self.model).__name__)

    # Activations

    def activations_at(self, tokens: Tensor, hooks: Sequence[HookPoint]) -> list[Tensor]:
        """Activations at several hook points in one forward; see `RunnableModel.activations_at`.

        Raises:
            InputError: tokens of another shape, dtype or range, or a hook point of another model.
        """
        self._check_tokens(tokens)
        for hook in hooks:
            self._check_ours(hook)
        if not tokens.numel():
            like = torch.empty(0, dtype=self.model.dtype, device=self._input_device)
            return [like.new_empty(*tokens.shape, hook.d) for hook in hooks]
        found = self._read(tokens, [(hook.name, hook.module, hook.side) for hook in hooks])
        return [self._normalized(x, hook) if hook.normalized else x for x, hook in zip(found, hooks, strict=True)]

    def _normalized(self, x: Tensor, hook: HookPoint) -> Tensor:
        """What the norm at a hook point makes of its input, before gain and bias; in float32 or finer, then rounded."""
        return normalized(x, self.anatomy.norms[hook.module]).to(x.dtype)

    def _check_ours(self, hook: HookPoint) -> None:
        if hook.module not in self._modules:
            raise InputError(f"hook point {hook.name!r} is of another model: this one has no module {hook.module!r}")

    def _read(self, tokens: Tensor, places: Sequence[tuple[str, str, Side]]) -> list[Tensor]:
        """Activations at places given as name, module path, side."""
        names = " and ".join(repr(name) for name, _, _ in places)
        decoder = self._modules[self._decoder_path]
        root = f"{self._decoder_path}."
        inside = all(path == self._decoder_path or path.startswith(root) for _, path, _ in places)
        runner = decoder if inside or not self._decoder_path else self.model
        inputs = to_device(tokens, self._input_device)
        modules = [(self._modules[path], side) for _, path, side in places]
        try:
            found = read(self.model, modules, lambda: runner(input_ids=inputs, **without_cache(runner)))
        except InputError as error:
            raise InputError(f"hook point {names}: {error}") from error
        what = [f"hook point {name!r}: the {side} of {path!r}" for name, path, side in places]
        return [a_vector_a_token(acts, tokens, said) for acts, said in zip(found, what, strict=True)]

    @property
    def _input_device(self) -> torch.device:
        return device_of(self.model.get_input_embeddings())

    def _check_tokens(self, tokens: Tensor, *, before: int = 0) -> None:
        name = type(self.model).__name__
        check_tokens(tokens, self.n_vocab, name)
        seq_len = before + tokens.shape[1]
        if self._n_positions is not None and seq_len > self._n_positions:
            raise InputError(f"sequences of {seq_len} tokens; {name} has {self._n_positions} positions")


def _embeddings(model: PreTrainedModel) -> Any:  # noqa: ANN401 (whatever module a model has for it)
    try:
        return model.get_input_embeddings()
    except NotImplementedError:
        raise InputError(
            f"{type(model).__name__} does not say which module its token embeddings are: give its class a method "
            "get_input_embeddings() that returns it"
        ) from None


def shown_name(name_or_path: str) -> str:
    """What pages call a model: its name, of a local folder the last part."""
    return Path(name_or_path).name if Path(name_or_path).is_dir() else name_or_path
