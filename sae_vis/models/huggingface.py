"""Hugging Face causal language models: hook points, activations, and the way to the logits."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cached_property, partial
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from sae_vis.errors import InputError, UnknownWiringError
from sae_vis.models.adapters import (
    adapters_of,
    own_names,
)
from sae_vis.models.anatomy import Ending
from sae_vis.models.attention import (
    attention_by_dispatch,
    attention_by_output,
    check_destinations,
    check_parts,
    dispatches,
)
from sae_vis.models.base import (
    AttentionParts,
    Destinations,
    Edit,
    Edits,
    HookGradient,
    HookPoint,
    PostNorm,
    Prefix,
    Side,
    Unembedding,
)
from sae_vis.models.discovery import SEQ_LEN
from sae_vis.models.fingerprint import fingerprint
from sae_vis.models.forward import float32_weights, with_cache, without_cache
from sae_vis.models.huggingface_places import HuggingFacePlaces
from sae_vis.models.linear_maps import bias_of, is_linear, linear_weight
from sae_vis.models.norms import gain_of
from sae_vis.models.offloaded import values_of
from sae_vis.models.runs import (
    Addition,
    Change,
    as_edits,
    cache_of,
    empty_cache,
    gradients,
    logits_of,
    remembered,
    remembers_exactly,
    run,
    values_in,
)
from sae_vis.models.wrapped import bare_name
from sae_vis.neutral import all_neutrally, ordinary

if TYPE_CHECKING:
    pass


@all_neutrally
class HuggingFaceModel(HuggingFacePlaces):
    """A causal language model of `transformers`, used as it is: never modified, moved, or left in another mode.

    How it is put together is found out, once, by running it on a few tokens (`sae_vis.models.discovery`). Hook points
    are TransformerLens names (``blocks.8.hook_resid_post``) of the parts that were found, and the paths of all modules,
    read at their output (``model.layers.8``) or input (``model.layers.8:input``).

    Attributes:
        model: the wrapped model.
        name: what pages call it: the name it was loaded by, of a local folder the last part. May be set.
        stored_dtype: of its checkpoint, where that is another than the dtype in which it runs; else None.
    """

    # Attention

    def attention(self, tokens: Tensor, heads: HookPoint, at: Destinations) -> AttentionParts:
        """Attention of a layer at some destinations; see `RunnableModel.attention`.

        Raises:
            InputError: tokens or destinations of another shape, dtype or range; a model whose attention can't be taken
                apart.
        """
        self._check_tokens(tokens)
        self._check_ours(heads)
        check_destinations(at, tokens)
        module = self._modules[heads.module.rpartition(".")[0]]
        decoder, inputs = self._modules[self._decoder_path], tokens.to(self._input_device)
        if dispatches(module):
            forward = partial(decoder, input_ids=inputs, **without_cache(decoder))
            return attention_by_dispatch(self.model, module, forward, at)
        cache = empty_cache()
        options = with_cache(decoder, cache) | {"output_attentions": True}
        assert heads.layer is not None
        values = partial(values_in, cache, heads.layer)
        parts = attention_by_output(self.model, module, lambda: decoder(input_ids=inputs, **options), at, values)
        check_parts(parts, self.activations(tokens, heads), at, type(module).__name__)
        return parts

    def _back_through(self, path: str, directions: Tensor) -> Tensor:
        """Directions read behind the projection or post-norm at `path`, as directions read before it."""
        module = self._modules[path]
        norm = self.anatomy.norms.get(path)
        if norm is not None:
            gained = directions * gain_of(module, norm, directions.shape[1]).to(directions)
            return gained - gained.mean(-1, keepdim=True) if norm.centred else gained
        return directions @ linear_weight(module).detach().to(directions)

    # Whole runs

    def logits(self, tokens: Tensor, edit: Edits = None, *, prefix: Prefix | None = None, start: int = 0) -> Tensor:
        """Logits of a whole run; see `RunnableModel.logits`.

        Raises:
            InputError: tokens of another shape, dtype or range, an edit of another shape or model, or a prefix that is
                shorter than `start`.
        """
        self._check_tokens(tokens, before=start)
        if prefix is not None and not 0 <= start <= prefix.n_tokens:
            raise InputError(f"start is {start}, but the prefix has {prefix.n_tokens} tokens")
        if prefix is None and start:
            raise InputError(f"start is {start}, but no prefix is given")
        with torch.inference_mode(mode=False), torch.no_grad():
            cache = None if prefix is None else cache_of(prefix, len(tokens), start)
            forward = partial(logits_of, self.model, tokens.to(self._input_device), cache)
            changes = [
                Change(Addition(self._checked_delta(one, tokens)), self._written(one.hook)) for one in as_edits(edit)
            ]
            return run(self.model, forward, changes)

    def gradients(
        self, tokens: Tensor, hooks: Sequence[HookPoint], target: Callable[[Tensor], Tensor]
    ) -> list[HookGradient]:
        """The gradients at some places of a scalar of the logits; see `RunnableModel.gradients`.

        Raises:
            InputError: tokens of another shape, dtype or range, or a hook point of another model.
        """
        self._check_tokens(tokens)
        dtype = torch.promote_types(self.model.dtype, torch.float32)
        changes = []
        for hook in hooks:
            self._check_ours(hook)
            with torch.inference_mode(mode=False):
                addition = Addition(torch.zeros(*tokens.shape, hook.d, dtype=dtype, device=self._input_device))
            changes.append(Change(addition, self._written(hook)))
        forward = partial(logits_of, self.model, ordinary(tokens).to(self._input_device))
        return gradients(self.model, forward, changes, target)

    def prefix(self, tokens: Tensor) -> Prefix | None:
        """Keys and values of ``tokens [seq_len]``; None for a model with a sliding window or of an unknown kind."""
        self._check_tokens(tokens[None])
        if not self._goes_on_exactly:
            return None
        with torch.inference_mode(mode=False), torch.no_grad():
            return remembered(self.model, tokens[None].to(self._input_device))

    @cached_property
    def _goes_on_exactly(self) -> bool:
        """Whether going on from remembered keys and values gives what a whole run gives; tried on a few tokens."""
        kinds = {part.kind for block in self.anatomy.blocks for part in block.parts}
        if "mixer" in kinds or "attn" not in kinds or not remembers_exactly(self.model.config.get_text_config()):
            return False
        tokens = torch.arange(SEQ_LEN, device=self._input_device).remainder(self.n_vocab)[None]
        half = SEQ_LEN // 2
        try:
            with torch.inference_mode(mode=False), torch.no_grad():
                cache = cache_of(remembered(self.model, tokens), 1, half)
                on = run(self.model, partial(logits_of, self.model, tokens[:, half:], cache))
                whole = run(self.model, partial(logits_of, self.model, tokens))[:, half:]
        except (TypeError, ValueError, RuntimeError, AttributeError, IndexError, KeyError):
            return False
        near = 64 * torch.finfo(whole.dtype).eps * whole.abs().max()
        return bool(((on - whole).abs() <= near).all())

    def _checked_delta(self, edit: Edit, tokens: Tensor) -> Tensor:
        self._check_ours(edit.hook)
        expected = (*tokens.shape, edit.hook.d)
        if edit.delta.shape != expected:
            raise InputError(f"an edit at {edit.hook.name!r} is {expected} here; got {tuple(edit.delta.shape)}")
        return edit.delta

    def _written(self, hook: HookPoint) -> list[tuple[nn.Module, Side]]:
        """Where a change is made so that it is one at `hook`.

        A norm (or sublayer) that reads the residual stream has a copy: the stream goes on past it. A change of the
        stream there is one where the block gets it, or, between attention and MLP, one of the copy and of the sum that
        the block gives in the end.
        """
        if hook.normalized:
            raise InputError(
                f"{hook.name!r} is inside a norm, where a model is only read: nothing can be changed there"
            )
        here = [(self._modules[hook.module], hook.side)]
        block = self._block(hook.layer)
        if block is None or hook.site != "resid" or hook.side != "input" or hook.module == block.path:
            return here
        readers = [part for part in block.parts if part.reads == hook.module]
        if not readers or readers[0].after is None:
            return here
        after = readers[0].after
        if not after:
            return [(self._modules[block.path], "input")]
        if block.carry != 1.0:
            raise InputError(
                f"{hook.name!r} is within a block that multiplies the stream by {block.carry:.4g} in the end; there it "
                "is only read: a change before or after the block can be made"
            )
        unknown = next((part.module for part in block.parts[after:] if part.after is None), None)
        if unknown is not None:
            raise InputError(
                f"{hook.name!r} is within a block, and it is not known where {unknown!r} there reads the stream: a "
                "change can be made before or after the block only"
            )
        later = {part.reads: None for part in block.parts if part.after is not None and part.after >= after}
        copies: list[tuple[nn.Module, Side]] = [(self._modules[path], "input") for path in later if path is not None]
        return [*copies, (self._modules[block.path], "output")]

    # From a place to the logits

    def unembedding(self) -> Unembedding:
        """Final norm and unembedding, float32 (sharing the model's memory where it is float32 already).

        Raises:
            InputError: a model of an architecture that we do not know, or without a head.
        """
        ending = self._ending()
        final_norm, norm = self._modules[ending.final_norm], self.anatomy.norms[ending.final_norm]
        head = self._modules[ending.head]
        weight = float32_weights(linear_weight(head))[: ending.n_logits]  # [d_vocab, d_model]
        if ending.projection is not None:
            weight = weight @ linear_weight(self._modules[ending.projection]).to(weight)
        head_bias, norm_bias = bias_of(head), bias_of(final_norm)
        bias = None if head_bias is None else head_bias[: ending.n_logits].to(weight.device)
        if norm_bias is not None:
            constant = ending.norm_factor * (weight @ norm_bias.to(weight.device))
            bias = constant if bias is None else bias + constant
        return Unembedding(
            gain=_times(gain_of(final_norm, norm, self.d_model).to(weight.device), ending.norm_factor * ending.factor),
            centred=norm.centred,
            weight=weight,
            bias=None if bias is None else _times(bias, ending.factor),
            eps=norm.eps,
        )

    def _ending(self) -> Ending:
        if self.anatomy.ending is None:
            raise UnknownWiringError(
                f"the way from the residual stream to the logits is unknown: {self._unknown('logits')}"
            )
        return self.anatomy.ending

    @property
    def n_context(self) -> int | None:
        """Tokens of the longest text that it was made for, or None where its configuration does not say."""
        found = getattr(self.model.config.get_text_config(), "max_position_embeddings", None)
        return None if found is None else int(found)

    @property
    def final_residual(self) -> HookPoint:
        """The residual stream that the final norm reads; raises `InputError` where there is none that is known."""
        return self.hook_point(f"{self._ending().final_norm}:input")

    def post_norm(self, hook: HookPoint) -> PostNorm | None:
        """The post-norm between `hook` and the residual stream, None where there is none."""
        path = next((path for path in hook.onward or () if path in self.anatomy.norms), None)
        if path is None:
            return None
        norm = self.anatomy.norms[path]
        return PostNorm(reads=self.hook_point(f"{path}:input"), centred=norm.centred, eps=norm.eps)

    def to_residual(self, directions: Tensor, hook: HookPoint) -> Tensor:
        """Directions ``[n, hook.d]`` as ``[n, d_model]``, float32 or finer; see `LanguageModel.to_residual`.

        Raises:
            InputError: directions of another width, or a place with no known way to the residual stream.
        """
        if directions.ndim != 2 or directions.shape[1] != hook.d:
            raise InputError(f"directions at {hook.name!r} are [n, {hook.d}]; got {tuple(directions.shape)}")
        if hook.onward is None:
            block = self._block(hook.layer)
            why = self._unknown("stream" if block is None else block.path)
            raise UnknownWiringError(
                f"no known way from {hook.name!r} to the residual stream ({why}): what it writes there can't be told"
            )
        written = directions.to(torch.promote_types(directions.dtype, torch.float32))
        for path in hook.onward:
            written = self._through(path, written)
        return _times(written, hook.scale)

    def _reading(self, hook: HookPoint) -> Tensor | None:
        """``W_in`` times the norm's gain where the MLP has one matrix that neurons are made with, else None."""
        block = self._block(hook.layer)
        if block is None or not hook.onward:
            return None
        part = next((part for part in block.parts if part.projection == hook.onward[0]), None)
        sublayer = self._modules[hook.onward[0].rpartition(".")[0]]
        shape = (hook.d, self.d_model)
        found = [weight for m in sublayer.children() if is_linear(m) and (weight := linear_weight(m)).shape == shape]
        if len(found) != 1:
            return None
        weight = found[0].detach().float()
        norm = None if part is None or part.reads is None else self.anatomy.norms.get(part.reads)
        if norm is None or part is None or part.reads is None:
            return weight
        weight = weight * gain_of(self._modules[part.reads], norm, self.d_model).to(weight)
        return weight - weight.mean(-1, keepdim=True) if norm.centred else weight

    def _through(self, path: str, directions: Tensor) -> Tensor:
        """Directions behind the projection or post-norm at `path`."""
        module, norm = self._modules[path], self.anatomy.norms.get(path)
        if norm is not None:
            centred = directions - directions.mean(-1, keepdim=True) if norm.centred else directions
            return centred * gain_of(module, norm, directions.shape[1]).to(directions)
        return directions @ linear_weight(module).detach().to(directions).T

    def _unknown(self, what: str) -> str:
        """Why something is not known of the model."""
        unknown = self.anatomy.unknown
        return unknown.get(what) or next(iter(unknown.values()), f"{type(self.model).__name__} has no such place")

    # Identity

    def fingerprint(self) -> str:
        """``sha256:…`` of weights and configuration: hashed at the first call, then remembered.

        Adapters (PEFT) are in it, those that work at the time. With none, it is that of the base model.

        Raises:
            InputError: weights that are not in memory.
        """
        adapters = adapters_of(self.model)
        state = repr(sorted(adapters.items()))
        if state not in self._fingerprints:
            weights = {bare_name(name): value for name, value in own_names(self.model, values_of(self.model)).items()}
            config = self.model.config.to_dict() | ({"adapters": adapters} if adapters else {})
            self._fingerprints[state] = fingerprint(weights, config)
        return self._fingerprints[state]

    def describe(self) -> dict[str, object]:
        """JSON-able facts: class, name, folder, architecture, sizes, dtype, names of adapters that work."""
        adapters = adapters_of(self.model)
        loaded = str(self.model.name_or_path)
        return {
            "class": type(self.model).__name__,
            "name": self.name,
            **({"source": str(Path(loaded).absolute())} if loaded and Path(loaded).is_dir() else {}),
            "model_type": str(self.model.config.model_type),
            "n_layers": self.n_layers,
            "d_model": self.d_model,
            "n_vocab": self.n_vocab,
            "n_parameters": sum(parameter.numel() for parameter in self.model.parameters()),
            "dtype": str(self.model.dtype).removeprefix("torch."),
            **({} if self.stored_dtype is None else {"stored_dtype": str(self.stored_dtype).removeprefix("torch.")}),
            **({"adapters": sorted({name.rpartition(":")[2] for name in adapters})} if adapters else {}),
        }


def _times(values: Tensor, factor: float) -> Tensor:
    return values if factor == 1.0 else values * factor
