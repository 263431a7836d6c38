"""circuit-tracer's sets of transcoders: ``layer_{i}.safetensors`` for each layer, and one ``config.yaml``.

Read as ``load_relu_transcoder`` and ``SingleLayerTranscoder.encode`` of circuit-tracer 0.5.0 read them: ``W_enc`` and
``W_dec [d_sae, d_model]``, ``b_enc``, ``b_dec``, perhaps ``activation_function.threshold`` and
``W_skip [d_model, d_model]``. ``pre = linear(x, W_enc, b_enc)``, then ``pre`` where ``pre > threshold`` with a
threshold, ``relu(pre)`` without. (That version has a class ``TopK``, which none of its loaders makes and no file asks
for.) A skip connection adds to the reconstruction what no feature adds: it changes neither activations nor directions.

``config.yaml`` is the same for its cross-layer transcoders, whose layout is in ``crosscoder_formats.py``.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path

import torch
from torch import Tensor

from sae_vis.errors import CheckpointError
from sae_vis.neutral import neutrally
from sae_vis.saes.activations import JumpReLU
from sae_vis.saes.base import Dictionary
from sae_vis.saes.linear import Decoder, InputMap, SparseAutoencoder
from sae_vis.saes.weights import (
    check_dtype,
    check_keys,
    check_names,
    check_tensor,
    converted,
    facts,
    matrix_shape,
    only_tensors,
    read_entries,
    read_yaml,
)

CONFIG_NAME = "config.yaml"
SET, CROSS_LAYER = "transcoder_set", "cross_layer_transcoder"
TENSORS = frozenset({"W_enc", "W_dec", "b_enc", "b_dec"})
THRESHOLD = "activation_function.threshold"
LAYER_FILE = re.compile(r"layer_(\d+)\.safetensors")
_HONOURED = frozenset({"model_kind", "feature_input_hook", "feature_output_hook", "transcoders"})
_RECORDED = frozenset({"model_name", "scan", "repo_id", "revision", "subfolder"})


@dataclass(frozen=True, kw_only=True)
class TracerConfig:
    """A ``config.yaml``, checked.

    Attributes:
        kind: `SET` or `CROSS_LAYER`.
        reads: hook within a block where features read, such as ``mlp.hook_in``; None: not said.
        writes: where they write; None: not said.
        files: paths of the transcoders, one a layer, where they are elsewhere (``hf://organisation/repository/file``).
        metadata: the file, as found, but `files`.
    """

    kind: str
    reads: str | None
    writes: str | None
    files: tuple[str, ...] = ()
    metadata: dict[str, object] = field(default_factory=dict)


def read_config(folder: Path) -> TracerConfig | None:
    """The ``config.yaml`` of a folder, or None. Raises `CheckpointError` for what can't be honoured."""
    file = folder / CONFIG_NAME
    if not file.is_file():
        return None
    raw = read_yaml(file)
    check_keys(raw, _HONOURED, _RECORDED, file)
    kind = raw.get("model_kind")
    if kind not in (SET, CROSS_LAYER):
        raise CheckpointError(f"{file}: model_kind is {kind!r}; expected {SET!r} or {CROSS_LAYER!r}")
    hooks = [raw.get(name) for name in ("feature_input_hook", "feature_output_hook")]
    reads, writes = (None if hook is None else str(hook) for hook in hooks)
    files = raw.get("transcoders") or ()
    if not isinstance(files, list | tuple) or not all(isinstance(path, str) for path in files):
        raise CheckpointError(f"{file}: transcoders must be a list of paths; found {files!r}")
    metadata = {name: value for name, value in raw.items() if name != "transcoders"}
    return TracerConfig(kind=str(kind), reads=reads, writes=writes, files=tuple(files), metadata=metadata)


def fits(file: Path, names: frozenset[str]) -> bool:
    """Whether a file is of this format: its names are, and it says so or the folder's ``config.yaml`` does."""
    tensors = names >= TENSORS and names <= TENSORS | {THRESHOLD, "W_skip"}
    told = THRESHOLD in names or "W_skip" in names or (file.parent / CONFIG_NAME).is_file()
    return tensors and told and LAYER_FILE.fullmatch(file.name) is not None


@neutrally
def load_transcoder(
    path: str | Path, *, dtype: torch.dtype = torch.float32, device: str | torch.device | None = None
) -> Dictionary:
    """The transcoder in a ``layer_{i}.safetensors``.

    Args:
        path: the file; where it reads and writes is in the ``config.yaml`` beside it.
        dtype: of the computation: float32, float16 or bfloat16.
        device: where the weights go; None: CPU.

    Raises:
        CheckpointError: a missing or damaged file, an unknown key or name, shapes or values that can't be right, a
            threshold below zero (which would let features fire below it).
        InputError: a dtype that is not supported.
    """
    check_dtype(dtype)
    file = Path(path)
    named = LAYER_FILE.fullmatch(file.name)
    if named is None:
        raise CheckpointError(
            f"{file}: the file of a layer is called layer_0.safetensors, layer_1.safetensors, …: give one of them"
        )
    layer = int(named[1])
    config = read_config(file.parent) or TracerConfig(kind=SET, reads=None, writes=None)
    if config.kind != SET:
        raise CheckpointError(f"{file}: model_kind is {config.kind!r} in {CONFIG_NAME}, but this is a file of {SET!r}")
    stored = _checked(file)
    weights = converted(stored, dtype, device or "cpu", file)
    decoder = Decoder(
        directions=weights["W_dec"].float(),
        bias=weights["b_dec"].float(),
        hook_name=hook_name(layer, config.reads),
        facts=facts("circuit_tracer", "transcoder", file, stored["W_enc"], config.metadata | {"layer": layer}),
        elsewhere=True,
        hook_name_out=hook_name(layer, config.writes),
    )
    zeros = torch.zeros_like(weights["b_enc"])
    activation = JumpReLU(weights.get(THRESHOLD, zeros))
    W_enc = weights["W_enc"].T  # a view: the memory layout is nn.Linear's
    return SparseAutoencoder(W_enc, weights["b_enc"], activation, InputMap(), decoder, fused_bias=True)


def hook_name(layer: int, hook: str | None) -> str | None:
    """``blocks.{layer}.{hook}``, what circuit-tracer hooks."""
    return None if hook is None else f"blocks.{layer}.{hook}"


def _checked(file: Path) -> dict[str, Tensor]:
    stored = only_tensors(read_entries(file), file)
    optional = frozenset({THRESHOLD, "W_skip"})
    check_names(stored, set(TENSORS), file, what="a transcoder of circuit-tracer", optional=optional)
    d_sae, d_model = matrix_shape("W_enc", stored["W_enc"], file)
    shapes = {
        "W_enc": [d_sae, d_model],
        "W_dec": [d_sae, d_model],
        "b_dec": [d_model],
        "W_skip": [d_model, d_model],
    }
    for name, tensor in stored.items():
        check_tensor(name, tensor, shapes.get(name, [d_sae]), file, reason=f"W_enc is {[d_sae, d_model]}")
    if THRESHOLD in stored and bool((stored[THRESHOLD] < 0).any()):
        raise CheckpointError(f"{file}: {THRESHOLD} is below zero, where features would be negative")
    return stored
