"""Hugging Face causal language models: hook points, activations, and the way to the logits."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cached_property, partial
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from sae_vis.errors import InputError
from sae_vis.models.adapters import (
    adapters_of,
    base_of,
    bias_of,
    in_use,
    is_adapted,
    own_names,
    require_idle,
    written_by,
)
from sae_vis.models.architectures import ARCHITECTURES, Architecture, architecture_of
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
    RunnableModel,
    Side,
    Unembedding,
)
from sae_vis.models.fingerprint import fingerprint
from sae_vis.models.forward import a_vector_a_token, check_tokens, float32_weights, read
from sae_vis.models.half import dtype_to_run, say_if_slow, say_widened
from sae_vis.models.hook_names import HookTable, Place
from sae_vis.models.offloaded import device_of, value_of, values_of
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
from sae_vis.models.wrapped import bare_modules, bare_name, unwrapped
from sae_vis.neutral import all_neutrally, neutrally, ordinary

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase


@all_neutrally
class HuggingFaceModel(RunnableModel):
    """A causal language model of `transformers`, used as it is: never modified, moved, or left in another mode.

    Hook points are TransformerLens names (``blocks.8.hook_resid_post``) for the architectures in
    `sae_vis.models.architectures`, and for any model the paths of its modules, read at their output
    (``model.layers.8``) or input (``model.layers.8:input``).

    Attributes:
        model: the wrapped model.
        name: what pages call it: the name it was loaded by, of a local folder the last part. May be set.
        n_layers: number of transformer blocks, or None where the architecture is not known.
        stored_dtype: of its checkpoint, where that is another than the dtype in which it runs; else None.
    """

    def __init__(self, model: PreTrainedModel, *, stored_dtype: torch.dtype | None = None) -> None:
        config = model.config.get_text_config()
        if model.config.is_encoder_decoder:
            raise InputError(f"{type(model).__name__} is an encoder-decoder; give a causal (decoder-only) model")
        self.model = model
        self.stored_dtype = stored_dtype
        self.name = shown_name(str(model.config._name_or_path))
        self._arch = architecture_of(model.config)
        self._decoder_path = _decoder_path(model, self._arch)
        self.n_layers = None if self._arch is None else _count(model, f"{self._decoder_path}.{self._arch.layers}")
        embedding: Any = model.get_input_embeddings()
        self.n_vocab, width = (int(n) for n in embedding.weight.shape)
        self.d_model = int(getattr(config, "hidden_size", width))
        self.logit_softcap: float | None = getattr(config, "final_logit_softcapping", None)
        fixed = self._arch is not None and self._arch.fixed_positions
        self._n_positions = int(config.max_position_embeddings) if fixed else None
        self._fingerprints: dict[str, str] = {}

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
            normalized=place.normalized,
        )

    def _width(self, name: str, place: Place) -> int:
        if place.onward is None:
            # Nothing is known of this place: see what a forward of a few tokens gives there.
            return int(
                self._read(torch.zeros(2, 3, dtype=torch.int64), [(name, place.module, place.side)])[0].shape[-1]
            )
        if place.site in {"neurons", "heads"}:
            return int(_own_matrix(self._modules[place.onward[0]]).shape[1])
        return self.d_model

    @cached_property
    def _modules(self) -> dict[str, nn.Module]:
        return bare_modules(self.model)

    @cached_property
    def _hooks(self) -> HookTable:
        names = (type(self.model).__name__, str(self.model.config.model_type))
        return HookTable(self._arch, self._decoder_path, self.n_layers, self._modules, names)

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
        assert self._arch is not None
        wide = x.to(torch.promote_types(x.dtype, torch.float32))
        wide = wide - wide.mean(dim=-1, keepdim=True) if self._arch.norm.centred else wide
        variance = wide.pow(2).mean(dim=-1, keepdim=True)
        return (wide * (variance + _eps(self._modules[hook.module])).rsqrt()).to(x.dtype)

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
        inputs = tokens.to(self._input_device)
        modules = [(self._modules[path], side) for _, path, side in places]
        try:
            found = read(self.model, modules, lambda: runner(input_ids=inputs, use_cache=False))
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
            return attention_by_dispatch(self.model, module, lambda: decoder(input_ids=inputs, use_cache=False), at)
        cache = empty_cache()
        options = {"use_cache": True, "past_key_values": cache, "output_attentions": True}
        assert heads.layer is not None
        values = partial(values_in, cache, heads.layer)
        parts = attention_by_output(self.model, module, lambda: decoder(input_ids=inputs, **options), at, values)
        check_parts(parts, self.activations(tokens, heads), at, type(module).__name__)
        return parts

    def _back_through(self, path: str, directions: Tensor) -> Tensor:
        """Directions read behind the projection or post-norm at `path`, as directions read before it."""
        module = self._modules[path]
        if self._arch is not None and self._is_norm(path):
            gained = directions * self._gain(module, self._arch).to(directions)
            return gained - gained.mean(-1, keepdim=True) if self._arch.norm.centred else gained
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
        if self._arch is None or not remembers_exactly(self.model.config.get_text_config()):
            return None
        with torch.inference_mode(mode=False), torch.no_grad():
            return remembered(self.model, tokens[None].to(self._input_device))

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
        copies = self._copies_of_the_stream(hook.layer)
        here = [(self._modules[hook.module], hook.side)]
        if hook.site != "resid" or hook.layer is None or hook.side != "input" or hook.module not in copies:
            return here
        assert self._arch is not None
        block = self._modules[f"{self._decoder_path}.{self._arch.layers}.{hook.layer}"]
        return [*here, (block, "output")] if copies[hook.module] else [(block, "input")]

    def _copies_of_the_stream(self, layer: int | None) -> dict[str, bool]:
        """Modules of a block that read the stream, and whether attention has been added to it by then."""
        if self._arch is None or layer is None:
            return {}
        block = f"{self._decoder_path}.{self._arch.layers}.{layer}"
        mlp = {f"{block}.{self._arch.mlp_reads}": not self._arch.parallel}
        return mlp | {f"{block}.{self._arch.attn_reads}": False}

    # From a place to the logits

    def unembedding(self) -> Unembedding:
        """Final norm and unembedding, float32 (sharing the model's memory where it is float32 already).

        Raises:
            InputError: a model of an architecture that we do not know, or without a head.
        """
        if self._arch is None:
            raise InputError(f"the final norm is not known for {self._unknown()}")
        head: nn.Module | None = self.model.get_output_embeddings()  # type: ignore[no-untyped-call]
        if head is None:
            raise InputError(f"{type(self.model).__name__} has no unembedding; load it as a causal language model")
        final_norm = self._modules[f"{self._decoder_path}.{self._arch.final_norm}"]
        weight = float32_weights(linear_weight(head))  # [d_vocab, d_model]
        head_bias, norm_bias = _bias(head), _bias(final_norm)
        if norm_bias is not None:
            constant = weight @ norm_bias.to(weight.device)
            head_bias = constant if head_bias is None else head_bias.to(weight.device) + constant
        return Unembedding(
            gain=self._gain(final_norm, self._arch).to(weight.device),
            centred=self._arch.norm.centred,
            weight=weight,
            bias=None if head_bias is None else head_bias.to(weight.device),
            eps=_eps(final_norm),
        )

    @property
    def n_context(self) -> int | None:
        """Tokens of the longest text that it was made for, or None where its configuration does not say."""
        found = getattr(self.model.config.get_text_config(), "max_position_embeddings", None)
        return None if found is None else int(found)

    @property
    def final_residual(self) -> HookPoint:
        """The residual stream that the final norm reads; raises `InputError` where the architecture is not known."""
        if self._arch is None:
            raise InputError(f"the final norm is not known for {self._unknown()}")
        return self.hook_point(f"{self._decoder_path}.{self._arch.final_norm}:input")

    def post_norm(self, hook: HookPoint) -> PostNorm | None:
        """The post-norm between `hook` and the residual stream, None where there is none."""
        path = next((path for path in hook.onward or () if self._is_norm(path)), None)
        if path is None or self._arch is None:
            return None
        reads = self.hook_point(f"{path}:input")
        return PostNorm(reads=reads, centred=self._arch.norm.centred, eps=_eps(self._modules[path]))

    def to_residual(self, directions: Tensor, hook: HookPoint) -> Tensor:
        """Directions ``[n, hook.d]`` as ``[n, d_model]``, float32 or finer; see `LanguageModel.to_residual`.

        Raises:
            InputError: directions of another width, or a place with no known way to the residual stream.
        """
        if directions.ndim != 2 or directions.shape[1] != hook.d:
            raise InputError(f"directions at {hook.name!r} are [n, {hook.d}]; got {tuple(directions.shape)}")
        if hook.onward is None:
            unknown = f" ({self._unknown()})" if self._arch is None else ""
            raise InputError(
                f"no known way from {hook.name!r} to the residual stream{unknown}: what it writes there can't be told"
            )
        written = directions.to(torch.promote_types(directions.dtype, torch.float32))
        for path in hook.onward:
            written = self._through(path, written)
        return written

    def _reading(self, hook: HookPoint) -> Tensor | None:
        """``W_in`` times the norm's gain where the MLP has one matrix that neurons are made with, else None."""
        if self._arch is None or not hook.onward:
            return None
        sublayer = self._modules[hook.onward[0].rpartition(".")[0]]
        shape = (hook.d, self.d_model)
        weights = [linear_weight(m) for m in sublayer.children() if getattr(getattr(m, "weight", None), "ndim", 0) == 2]
        found = [weight for weight in weights if tuple(weight.shape) == shape]
        if len(found) != 1:
            return None
        norm = self._modules.get(f"{self._decoder_path}.{self._arch.layers}.{hook.layer}.{self._arch.mlp_reads}")
        weight = found[0].detach().float()
        if norm is None or not isinstance(getattr(norm, "weight", None), Tensor) or _weight(norm).ndim != 1:
            return weight
        weight = weight * self._gain(norm, self._arch)
        return weight - weight.mean(-1, keepdim=True) if self._arch.norm.centred else weight

    def _through(self, path: str, directions: Tensor) -> Tensor:
        """Directions behind the projection or post-norm at `path`."""
        module = self._modules[path]
        if self._arch is not None and self._is_norm(path):
            centred = directions - directions.mean(-1, keepdim=True) if self._arch.norm.centred else directions
            return centred * self._gain(module, self._arch).to(directions)
        return directions @ linear_weight(module).detach().to(directions).T

    def _is_norm(self, path: str) -> bool:
        weight = getattr(self._modules[path], "weight", None)
        return isinstance(weight, Tensor) and weight.ndim == 1

    def _gain(self, norm: nn.Module, arch: Architecture) -> Tensor:
        return _weight(norm).detach().float() + arch.norm.gain_offset

    def _unknown(self) -> str:
        return (
            f"the architecture {self.model.config.model_type!r} ({type(self.model).__name__}); "
            f"known are {', '.join(sorted(ARCHITECTURES))}"
        )

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
        """JSON-able facts: class, name or path, architecture, sizes, dtype, names of adapters that work."""
        adapters = adapters_of(self.model)
        return {
            "class": type(self.model).__name__,
            "name": self.name,
            "model_type": str(self.model.config.model_type),
            "n_layers": self.n_layers,
            "d_model": self.d_model,
            "n_vocab": self.n_vocab,
            "n_parameters": sum(parameter.numel() for parameter in self.model.parameters()),
            "dtype": str(self.model.dtype).removeprefix("torch."),
            **({} if self.stored_dtype is None else {"stored_dtype": str(self.stored_dtype).removeprefix("torch.")}),
            **({"adapters": sorted({name.rpartition(":")[2] for name in adapters})} if adapters else {}),
        }


def shown_name(name_or_path: str) -> str:
    """What pages call a model: its name, of a local folder the last part."""
    return Path(name_or_path).name if Path(name_or_path).is_dir() else name_or_path


def _weight(module: nn.Module) -> Tensor:
    module = in_use(module)
    if is_adapted(module):
        require_idle(module)
    return value_of(base_of(module), "weight")


def _bias(module: nn.Module) -> Tensor | None:
    module = in_use(module)
    if is_adapted(module) and base_of(module).weight.ndim == 2:
        return bias_of(module, _own_matrix(module).shape[1])
    module = base_of(module)
    has = isinstance(getattr(module, "bias", None), Tensor)
    return value_of(module, "bias").detach().float() if has else None


def linear_weight(module: nn.Module) -> Tensor:
    """The matrix of a projection as ``[d_out, d_in]``, with the adapters that work at the time."""
    module = in_use(module)
    own = _own_matrix(module)
    return written_by(module, own) if is_adapted(module) else own


def _own_matrix(module: nn.Module) -> Tensor:
    """The matrix without adapters, as it is kept; GPT-2's ``Conv1D`` keeps it the other way round."""
    from transformers.pytorch_utils import Conv1D

    module = base_of(module)
    weight = _weight(module)
    if not weight.is_floating_point():
        raise InputError(f"the weights of a {type(module).__name__} are {weight.dtype}: load the model unquantised")
    return weight.T if isinstance(module, Conv1D) else weight


def _eps(norm: nn.Module) -> float:
    norm = base_of(norm)
    eps = getattr(norm, "eps", None) or getattr(norm, "variance_epsilon", None)
    if eps is None:
        raise InputError(f"the norm {type(norm).__name__} has neither 'eps' nor 'variance_epsilon'")
    return float(eps)


def _decoder_path(model: nn.Module, arch: Architecture | None) -> str:
    """Path of the module that runs the blocks without the unembedding; '' (the model itself) where there is none."""
    if arch is None:
        base = getattr(model, "base_model", model)
        return next((path for path, module in model.named_modules() if module is base), "")
    for path in arch.decoder:
        try:
            model.get_submodule(f"{path}.{arch.layers}")
        except AttributeError:
            continue
        return path
    raise InputError(
        f"{type(model).__name__} has no {' or '.join(f'{path}.{arch.layers}' for path in arch.decoder)}: "
        "load it as a causal language model (AutoModelForCausalLM)"
    )


def _count(model: nn.Module, layers: str) -> int:
    return sum(1 for _ in model.get_submodule(layers).children())


@neutrally
def load_model(
    name_or_path_or_module: str | PathLike[str] | PreTrainedModel,
    *,
    dtype: torch.dtype | str | None = None,
    device: torch.device | str | None = None,
) -> HuggingFaceModel:
    """A model by hub name or local path, or one that is in memory already.

    Args:
        name_or_path_or_module: what ``AutoModelForCausalLM.from_pretrained`` takes, or a `transformers` model, which is
            used as it is, without what ``torch.compile``, ``DataParallel`` or PEFT wrap around it.
        dtype: of the weights, such as ``torch.bfloat16`` or ``"bfloat16"``; None for that of the checkpoint, but
            float32 where the checkpoint is in half precision and the device a CPU without fast products of it (one
            line of the log of ``sae_vis`` says so).
        device: where to put the model; None for the CPU.

    Raises:
        InputError: nothing can be loaded from there, or a model in memory has another dtype or device than asked for.
    """
    from transformers import PreTrainedModel

    asked_dtype, given = _dtype(dtype), unwrapped(name_or_path_or_module)
    if isinstance(given, PreTrainedModel):
        _check_as_asked(given, asked_dtype, device)
        say_if_slow(type(given).__name__, given.dtype, given.device)
        return HuggingFaceModel(given)
    if isinstance(given, nn.Module):
        raise InputError(
            f"a {type(given).__name__} is no transformers model (PreTrainedModel); give one, or a hub name or path"
        )
    name = str(given)
    model, stored = _from_pretrained(name, asked_dtype), None
    if asked_dtype is None and dtype_to_run(model.dtype, device) != model.dtype:
        stored = model.dtype
        say_widened(shown_name(name), stored)
        del model
        model = _from_pretrained(name, torch.float32)  # not `.float()`: buffers made in half precision stay rounded
    if device is not None:
        nn.Module.to(model, device)
    return HuggingFaceModel(model, stored_dtype=stored)


def _from_pretrained(name: str, dtype: torch.dtype | None) -> PreTrainedModel:
    import transformers
    from transformers import AutoModelForCausalLM

    version = tuple(int(part) for part in transformers.__version__.split(".")[:2])
    keyword = "dtype" if version >= (4, 56) else "torch_dtype"
    options: dict[str, Any] = {keyword: "auto" if dtype is None else dtype}
    try:
        with torch.random.fork_rng(devices=range(torch.cuda.device_count())):
            return AutoModelForCausalLM.from_pretrained(name, **options)
    except (OSError, ValueError) as error:
        raise InputError(f"can't load a causal language model from {name!r}: {error}") from error


def _dtype(dtype: torch.dtype | str | None) -> torch.dtype | None:
    if not isinstance(dtype, str):
        return dtype
    found = getattr(torch, dtype.removeprefix("torch."), None)
    if not isinstance(found, torch.dtype):
        raise InputError(f"no torch dtype {dtype!r}; such as 'float32', 'bfloat16', 'float16'")
    return found


def _check_as_asked(model: PreTrainedModel, dtype: torch.dtype | None, device: torch.device | str | None) -> None:
    if dtype is not None and model.dtype != dtype:
        raise InputError(f"the model given is {model.dtype}, not {dtype}; it is used as it is: convert it yourself")
    if device is not None and model.device.type != torch.device(device).type:
        raise InputError(f"the model given is on {model.device}, not {device}; it is used as it is: move it yourself")


def load_tokenizer(name_or_path: str | PathLike[str]) -> PreTrainedTokenizerBase:
    """The tokenizer of a model.

    Args:
        name_or_path: hub name or local path.

    Raises:
        InputError: nothing can be loaded from there.
    """
    from transformers import AutoTokenizer

    try:
        return AutoTokenizer.from_pretrained(str(name_or_path))
    except (OSError, ValueError) as error:
        raise InputError(f"can't load a tokenizer from {str(name_or_path)!r}: {error}") from error
