"""Gemma Scope 2 checkpoints: safetensors of w_enc, b_enc, w_dec, b_dec and threshold, and a ``config.json``.

Layout of the repositories ``google/gemma-scope-2-*``: as SAELens 6.54 (``get_gemma_3_config_from_hf``) and
circuit-tracer 0.5 (``load_gemma_scope_2_transcoder``, ``load_gemma_scope_2_clt``) read it, and with the classes
``JumpReLUSAE`` and ``JumpReLUMultiLayerSAE`` of its authors' tutorial, as published code repeats them:

- one layer (``resid_post``, ``mlp_out``, ``attn_out``, ``transcoder``): ``params.safetensors``, with
  ``w_enc [d_in, d_sae]``, ``w_dec [d_sae, d_out]`` and, in some transcoders, ``affine_skip_connection [d_in, d_out]``;
- several layers (``crosscoder``, ``clt``): ``params_layer_{i}.safetensors``, the features that read layer i of those in
  the configuration, with ``w_dec [d_sae, n_layers, d_out]``: what they add to each layer.

``pre = x @ w_enc + b_enc``, ``relu(pre)`` where ``pre > threshold``; b_dec is not subtracted from the input. A skip
connection adds to the reconstruction what no feature adds, so it changes neither activations nor directions.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import torch
from torch import Tensor

from sae_vis.errors import CheckpointError
from sae_vis.neutral import neutrally
from sae_vis.saes.activations import JumpReLU
from sae_vis.saes.base import Dictionary
from sae_vis.saes.crosscoder import CrosscoderOptions, CrosscoderPlaces, crosscoder_of
from sae_vis.saes.linear import Decoder, InputMap, SparseAutoencoder
from sae_vis.saes.weights import (
    check_dtype,
    check_keys,
    check_names,
    check_tensor,
    converted,
    count,
    facts,
    flag,
    matrix_shape,
    only_tensors,
    read_entries,
    read_json,
)

WEIGHTS_NAME, CONFIG_NAME = "params.safetensors", "config.json"
TENSORS = frozenset({"w_enc", "b_enc", "w_dec", "b_dec", "threshold"})
SKIP = "affine_skip_connection"
LAYER_FILE = re.compile(r"params_layer_(\d+)\.safetensors")
_HONOURED = frozenset({"architecture", "type", "hf_hook_point_in", "hf_hook_point_out", "width", "affine_connection"})
_RECORDED = frozenset({"model_name", "l0"})
_ELSEWHERE = ("transcoder", "clt")
_KINDS = ("sae", "crosscoder", *_ELSEWHERE)
_MLP_IN, _MLP_OUT = (f"model.layers.{{}}.{which}_feedforward_layernorm.output" for which in ("pre", "post"))
_SITES = {  # by the name of the folder: kind, where it reads, where it writes
    "resid_post": ("sae", "model.layers.{}.output", None),
    "mlp_out": ("sae", _MLP_OUT, None),
    "attn_out": ("sae", "model.layers.{}.self_attn.o_proj.input", None),
    "transcoder": ("transcoder", _MLP_IN, _MLP_OUT),
    "crosscoder": ("crosscoder", "model.layers.{}.output", None),
    "clt": ("clt", _MLP_IN, _MLP_OUT),
}
_HOOKS = {
    "output": "hook_resid_post",
    "self_attn.o_proj.input": "attn.hook_z",
    "pre_feedforward_layernorm.output": "mlp.hook_in",
    "post_feedforward_layernorm.output": "hook_mlp_out",
}


@dataclass(frozen=True, kw_only=True)
class _Config:
    """A ``config.json``, checked, or what the names of the folders say in place of one.

    Attributes:
        kind: one of `_KINDS`, or None where nothing says.
        reads: where it reads, as a path of the model's modules with the layers in it; None: not said.
        writes: where it writes, likewise; None: where it reads, or not said.
        width: features of all layers together; None: not said.
        skip: whether there is a skip connection; None: not said.
        metadata: the file, as found.
    """

    kind: str | None = None
    reads: str | None = None
    writes: str | None = None
    width: int | None = None
    skip: bool | None = None
    metadata: dict[str, object] = field(default_factory=dict)

    @property
    def elsewhere(self) -> bool:
        """Whether it writes at another place than it reads."""
        return self.kind in _ELSEWHERE


def fits(names: frozenset[str]) -> bool:
    """Whether these are the names of the tensors of a file of this format."""
    return names >= TENSORS and names <= TENSORS | {SKIP}


@neutrally
def load_gemma_scope_2(
    path: str | Path, *, dtype: torch.dtype = torch.float32, device: str | torch.device | None = None
) -> Dictionary:
    """The dictionary in a ``params.safetensors``, or one layer's of a crosscoder or cross-layer transcoder.

    Hook points are taken from ``config.json`` in TransformerLens' names; without that file, from the folders' names, as
    SAELens does.

    Args:
        path: the file, or the folder of a dictionary of one layer.
        dtype: of the computation: float32, float16 or bfloat16.
        device: where the weights go; None: CPU.

    Raises:
        CheckpointError: a missing or damaged file, an unknown key or name, shapes or values that can't be right.
        InputError: a dtype that is not supported.
    """
    check_dtype(dtype)
    path = Path(path)
    file = path / WEIGHTS_NAME if path.is_dir() else path
    config = _config_of(file)
    stored = only_tensors(read_entries(file), file)
    check_names(stored, set(TENSORS), file, what="a Gemma Scope 2 checkpoint", optional=frozenset({SKIP}))
    if config.skip is not None and config.skip != (SKIP in stored):
        raise CheckpointError(
            f"{file}: affine_connection is {str(config.skip).lower()} in {CONFIG_NAME}, but there is "
            f"{'an' if SKIP in stored else 'no'} {SKIP}: are the two from the same checkpoint?"
        )
    _check_shapes(stored, config, file)
    if stored["w_dec"].ndim == 3:
        return _of_layer(stored, config, file, (dtype, device))
    return _of_one_layer(converted(stored, dtype, device or "cpu", file), stored["w_enc"], config, file)


def _of_one_layer(weights: Mapping[str, Tensor], stored: Tensor, config: _Config, file: Path) -> Dictionary:
    layer = _layer(config.reads, file)
    decoder = Decoder(
        directions=weights["w_dec"].float(),
        bias=weights["b_dec"].float(),
        hook_name=_hook_name(config.reads, layer),
        facts=facts("gemma_scope_2", config.kind or "jumprelu", file, stored, config.metadata),
        elsewhere=config.elsewhere,
        hook_name_out=_hook_name(config.writes, layer) if config.elsewhere else None,
    )
    return SparseAutoencoder(weights["w_enc"], weights["b_enc"], JumpReLU(weights["threshold"]), InputMap(), decoder)


def _of_layer(
    stored: Mapping[str, Tensor], config: _Config, file: Path, how: tuple[torch.dtype, str | torch.device | None]
) -> Dictionary:
    """The features that read one of several layers. Decoders of zeros, to layers before theirs, are left out."""
    place, n_layers = _place(file), int(stored["w_dec"].shape[1])
    if place >= n_layers:
        raise CheckpointError(f"{file}: w_dec writes to {n_layers} layers, but the file's name says layer {place}")
    layers = _layers(config.reads, n_layers, file)
    written = [j for j in range(n_layers) if j >= place or bool(stored["w_dec"][:, j].any())]
    biases = torch.zeros(len(written), stored["b_dec"].shape[0], dtype=stored["b_dec"].dtype)
    biases[written.index(place)] = stored["b_dec"]
    entries = {
        "W_enc": stored["w_enc"][None],
        "b_enc": stored["b_enc"],
        "W_dec": stored["w_dec"][:, written],
        "b_dec": biases,
        "threshold": stored["threshold"],
    }
    places = CrosscoderPlaces(
        reads=[_hook_name(config.reads, layers[place])],
        writes=[_hook_name(config.writes or config.reads, layers[j]) for j in written],
    )
    about = facts("gemma_scope_2", config.kind or "crosscoder", file, stored["w_enc"], config.metadata)
    about |= {"place": place, "n_layers": n_layers}
    options = CrosscoderOptions(places=places, dtype=how[0], device=how[1] or "cpu", facts=about)
    return crosscoder_of(entries, options, file)


def _check_shapes(stored: Mapping[str, Tensor], config: _Config, file: Path) -> None:
    d_in, d_sae = matrix_shape("w_enc", stored["w_enc"], file)
    w_dec = stored["w_dec"]
    if w_dec.ndim not in (2, 3) or 0 in w_dec.shape:
        raise CheckpointError(
            f"{file}: w_dec has shape {list(w_dec.shape)}; expected [d_sae, d_out], or [d_sae, n_layers, d_out]"
        )
    several = [int(w_dec.shape[1])] if w_dec.ndim == 3 else []
    d_out = int(w_dec.shape[-1]) if config.kind in (None, *_ELSEWHERE) else d_in
    shapes = {"w_enc": [d_in, d_sae], "w_dec": [d_sae, *several, d_out], "b_dec": [d_out], SKIP: [d_in, d_out]}
    for name, tensor in stored.items():
        check_tensor(name, tensor, shapes.get(name, [d_sae]), file, reason=f"w_enc is {[d_in, d_sae]}")
    total = d_sae * (several[0] if several else 1)
    if config.width not in (None, total):
        raise CheckpointError(f"{file}: there are {total} features, but width is {config.width} in {CONFIG_NAME}")


def _config_of(file: Path) -> _Config:
    config = file.parent / CONFIG_NAME
    return _checked(read_json(config), config) if config.is_file() else _from_folders(file)


def _checked(raw: dict[str, object], file: Path) -> _Config:
    check_keys(raw, _HONOURED, _RECORDED, file)
    if raw.get("architecture") != "jump_relu":
        raise CheckpointError(f"{file}: architecture is {raw.get('architecture')!r}; expected 'jump_relu'")
    kind = raw.get("type")
    if kind not in (None, *_KINDS):
        raise CheckpointError(f"{file}: type is {kind!r}; expected one of {sorted(_KINDS)}")
    hooks = [raw.get(name) for name in ("hf_hook_point_in", "hf_hook_point_out")]
    reads, writes = (None if hook is None else str(hook) for hook in hooks)
    if kind is None and writes is not None:
        kind = "transcoder" if writes != reads else "sae"
    return _Config(
        kind=None if kind is None else str(kind),
        reads=reads,
        writes=writes,
        width=count("width", raw["width"], file) if "width" in raw else None,
        skip=flag("affine_connection", raw["affine_connection"], file) if "affine_connection" in raw else None,
        metadata=raw,
    )


def _from_folders(file: Path) -> _Config:
    """What ``resid_post_all/layer_17_width_16k_l0_big`` says."""
    for folder in reversed(file.absolute().parent.parts[-2:]):
        kind, reads, writes = _SITES.get(folder.removesuffix("_all"), (None, None, None))
        if kind is None or reads is None:
            continue
        numbers = re.match(r"layer_(\d+(?:_\d+)*)_", file.absolute().parent.name)
        layers = "{all}" if kind == "clt" else "{" + numbers[1].replace("_", ",") + "}" if numbers else None
        if layers is None:
            return _Config(kind=kind)
        layers = layers if "," in layers or kind == "clt" else layers.strip("{}")
        return _Config(kind=kind, reads=reads.format(layers), writes=None if writes is None else writes.format(layers))
    return _Config()


def _place(file: Path) -> int:
    found = LAYER_FILE.fullmatch(file.name)
    if found is None:
        raise CheckpointError(
            f"{file}: w_dec writes to several layers, so the name must say which of them is read: "
            "params_layer_0.safetensors, params_layer_1.safetensors, …"
        )
    return int(found[1])


def _layers(template: str | None, n: int, file: Path) -> list[int]:
    """The numbers of the layers in ``model.layers.{5,9,12}.output``; all from 0 for ``{all}``, or if not said."""
    found = re.search(r"\{(all|\d+(?:,\d+)*)\}", template or "{all}")
    if found is None:
        raise CheckpointError(f"{file}: the hook point {template!r} names no list of layers, but w_dec writes to {n}")
    layers = list(range(n)) if found[1] == "all" else [int(layer) for layer in found[1].split(",")]
    if len(layers) != n:
        raise CheckpointError(
            f"{file}: w_dec writes to {n} layers, but the hook point {template!r} names {len(layers)}"
        )
    return layers


def _layer(template: str | None, file: Path) -> int | None:
    if template is None:
        return None
    found = re.search(r"\.(\d+)\.", template)
    if found is None:
        raise CheckpointError(f"{file}: the hook point {template!r} names no layer")
    return int(found[1])


def _hook_name(template: str | None, layer: int | None) -> str | None:
    """TransformerLens' name of a place in a Gemma 3, or the module's path as sae_vis takes it."""
    if template is None or layer is None:
        return None
    path = re.sub(r"\{[^}]*\}", str(layer), template)
    found = re.fullmatch(r"model\.layers\.\d+\.(.+)", path)
    if found and found[1] in _HOOKS:
        return f"blocks.{layer}.{_HOOKS[found[1]]}"
    return f"{path.removesuffix('.input')}:input" if path.endswith(".input") else path.removesuffix(".output")
