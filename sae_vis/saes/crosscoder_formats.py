"""Checkpoints of crosscoders and cross-layer transcoders, read without the code that wrote them.

Layouts, as read in the sources named:

- ``crosscoder``: ``cc_weights.pt`` and ``cfg.json``, the state dictionary of `CrossCoder` in ``crosscoder.py`` of
  ckkissane/crosscoder-model-diff-replication (read in the fork tbng/crosscoder-model-diff-replication, commit 25f0023):
  ``W_enc [n_models, d_in, d_hidden]``, ``W_dec [d_hidden, n_models, d_in]``, ``b_enc``, ``b_dec [n_models, d_in]``;
  ``relu(einsum(x, W_enc) + b_enc)``. Activations are divided by a size in training that is not in the checkpoint:
  give it as `scale`.
- ``dictionary_learning_crosscoder``: state dictionary of `CrossCoder` of the crosscoder branches of dictionary_learning
  (``dictionary_learning/dictionary.py``; read in superkaiba/dictionary_learning, commit 055ba9f):
  ``encoder.weight [n, d, d_sae]``, ``encoder.bias``, ``decoder.weight [n, d_sae, d]``, ``decoder.bias [n, d]``; ReLU.
  Later versions (science-of-finetuning's, as published copies of its ``dictionary.py`` have it) add
  ``code_normalization_id`` and, where activations are normalised, ``activation_mean``, ``activation_std [n, d]``,
  ``activation_global_scale [n]`` and ``target_rms``: ``(x - mean) * scale`` is encoded, unless mean or std hold NaN.
  `BatchTopKCrossCoder` has ``k`` and ``threshold``, too: ``f = relu(pre)`` where ``f * norm > threshold``, with a norm
  of the feature's decoders that ``code_normalization_id`` names.
- ``clt``: a folder with ``W_enc_{i}.safetensors`` and ``W_dec_{i}.safetensors`` for each layer i
  (``circuit_tracer/transcoder/cross_layer_transcoder.py`` of safety-research/circuit-tracer, commit b00048e):
  ``W_enc_i [d_sae, d_model]``, ``b_enc_i``, ``b_dec_i [d_model]``, ``threshold_i`` or ReLU, and
  ``W_dec_i [d_sae, n_layers - i, d_model]``. Where it reads and writes is in a ``config.yaml`` beside these, or else
  ``hook_resid_mid`` and ``hook_mlp_out``, that loader's defaults.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import torch
from torch import Tensor

from sae_vis.errors import CheckpointError
from sae_vis.neutral import neutrally
from sae_vis.saes.circuit_tracer_format import CROSS_LAYER, hook_name, read_config
from sae_vis.saes.crosscoder import Crosscoder, CrosscoderOptions, CrosscoderPlaces, crosscoder_of
from sae_vis.saes.dictionary_learning_format import config_of
from sae_vis.saes.weights import check_names, count, only_tensors, read_entries, read_json, scalar

WEIGHTS_NAME, CONFIG_NAME = "cc_weights.pt", "cfg.json"
_LEARNED = {"encoder.weight", "encoder.bias", "decoder.weight", "decoder.bias"}
_NORMALISER = frozenset({"activation_mean", "activation_std", "activation_global_scale", "target_rms"})
_BATCH_TOP_K = frozenset({"k", "threshold"})
_CODE_NORMALISATIONS = ("CROSSCODER", "SAE", "MIXED", "NONE", "DECOUPLED")  # by code_normalization_id, from 1
CLT_FILE = re.compile(r"W_enc_(\d+)\.safetensors")


def fits(names: frozenset[str]) -> bool:
    """Whether names are those of a crosscoder of dictionary_learning that can be told from its autoencoders."""
    return names >= _LEARNED and bool(names & {"code_normalization_id", *_BATCH_TOP_K, *_NORMALISER})


@neutrally
def load_crosscoder(
    path: str | Path,
    *,
    scale: Sequence[float] | None = None,
    places: CrosscoderPlaces | None = None,
    dtype: torch.dtype = torch.float32,
    device: str | torch.device | None = None,
) -> Crosscoder:
    """Load a crosscoder of two models or several layers, of the first two layouts of this module.

    Args:
        path: a weights file, or a folder with ``cc_weights.pt`` (and ``cfg.json``, for the hook point),
            ``model.safetensors`` or ``crosscoder.safetensors``.
        scale: what the activations of each place are multiplied by before they are encoded; None: 1, or what the file
            says (tensor ``scale``).
        places: where it reads; None: ``hook_point`` of ``cfg.json``, in a model for each set of weights.
        dtype: of the computation: float32, float16 or bfloat16.
        device: where the weights go; None: where they are.

    Returns:
        The crosscoder.

    Raises:
        CheckpointError: nothing there, another layout, a file that can't be read as what it says it is.
    """
    file = _file(Path(path))
    entries = read_entries(file)
    if "encoder.weight" in entries:
        entries = _of_dictionary_learning(entries, file)
    if scale is not None:
        entries["scale"] = torch.tensor([float(value) for value in scale])
    options = CrosscoderOptions(places=places or _two_models(entries, file), dtype=dtype, device=device)
    return crosscoder_of(entries, options, file)


def _file(path: Path) -> Path:
    if not path.is_dir():
        return path
    names = (WEIGHTS_NAME, "crosscoder.safetensors", "model.safetensors")
    found = next((path / name for name in names if (path / name).is_file()), None)
    if found is None:
        raise CheckpointError(f"{path} has no crosscoder: expected one of {', '.join(names)} in it")
    return found


def _of_dictionary_learning(entries: dict[str, object], file: Path) -> dict[str, object]:
    """In the names and the order of axes of the first layout."""
    optional = _NORMALISER | _BATCH_TOP_K | {"code_normalization_id"}
    check_names(entries, set(_LEARNED), file, what="a CrossCoder of dictionary_learning", optional=optional)
    found = only_tensors(entries, file)
    if found["decoder.weight"].ndim != 3:
        shape = list(found["decoder.weight"].shape)
        raise CheckpointError(f"{file}: decoder.weight of a CrossCoder is [n, d_sae, d]; found the shape {shape}")
    made: dict[str, object] = {
        "W_enc": found["encoder.weight"],
        "b_enc": found["encoder.bias"],
        "W_dec": found["decoder.weight"].permute(1, 0, 2).contiguous(),
        "b_dec": found["decoder.bias"],
    }
    return made | _normaliser(found, file) | _batch_top_k(found, file)


def _normaliser(found: dict[str, Tensor], file: Path) -> dict[str, object]:
    """Mean and scale of the activations; none where the library, too, takes them as they are."""
    if not found.keys() & _NORMALISER:
        return {}
    check_names(
        found, set(_NORMALISER), file, what="a CrossCoder with normalised activations", optional=frozenset(found)
    )
    mean, std = found["activation_mean"], found["activation_std"]
    if bool(mean.isnan().any()) or bool(std.isnan().any()):
        return {}
    return {"mean": mean, "scale": found["activation_global_scale"]}


def _batch_top_k(found: dict[str, Tensor], file: Path) -> dict[str, object]:
    """Threshold and weights of a BatchTopK crosscoder; none of a plain one."""
    kind = _code_normalisation(found, file)
    if not found.keys() & _BATCH_TOP_K:
        return {}
    check_names(found, set(_BATCH_TOP_K), file, what="a BatchTopKCrossCoder", optional=frozenset(found))
    if kind == "DECOUPLED":
        raise CheckpointError(
            f"{file}: its code normalisation is DECOUPLED: a feature has an activation of its own for each place, so "
            "it is not a dictionary of one activation a feature; only CROSSCODER, SAE, MIXED and NONE are read"
        )
    norms = found["decoder.weight"].float().norm(dim=2)  # [n, d_sae]
    sums, whole = norms.sum(dim=0), found["decoder.weight"].float().norm(dim=(0, 2))
    weight = {"CROSSCODER": sums, "SAE": whole, "NONE": torch.ones_like(sums)}.get(kind)
    if weight is None:
        alpha_sae, alpha_cc = _alphas(file)
        weight = whole * alpha_sae + sums * alpha_cc
    return {"threshold": found["threshold"], "threshold_weight": weight}


def _code_normalisation(found: dict[str, Tensor], file: Path) -> str:
    """A name in `_CODE_NORMALISATIONS`; files from before there was a choice don't say, and are of the first."""
    if "code_normalization_id" not in found:
        return _CODE_NORMALISATIONS[0]
    number = count("code_normalization_id", found["code_normalization_id"], file)
    if number > len(_CODE_NORMALISATIONS):
        known = dict(enumerate(_CODE_NORMALISATIONS, 1))
        raise CheckpointError(f"{file}: code_normalization_id is {number}; known: {known}")
    return _CODE_NORMALISATIONS[number - 1]


def _alphas(file: Path) -> tuple[float, float]:
    """The two weights of the MIXED normalisation, from the trainer's ``config.json``."""
    names = ("code_normalization_alpha_sae", "code_normalization_alpha_cc")
    config = config_of(file)
    raw = {} if config is None else read_json(config)
    inner = raw.get("trainer", raw)
    trainer = inner if isinstance(inner, dict) else {}
    if not all(name in trainer for name in names):
        raise CheckpointError(
            f"{file}: its code normalisation is MIXED, whose weights are not in the file: put the trainer's "
            f"config.json beside it, with {' and '.join(names)}"
        )
    alpha_sae, alpha_cc = (scalar(name, trainer[name], file) for name in names)
    return alpha_sae, alpha_cc


def _two_models(entries: dict[str, object], file: Path) -> CrosscoderPlaces:
    """One place of as many models as there are sets of weights, named in ``cfg.json`` where that is there."""
    weight, config = entries.get("W_enc"), file.parent / CONFIG_NAME
    n = weight.shape[0] if isinstance(weight, Tensor) and weight.ndim == 3 else 0
    hook = read_json(config).get("hook_point") if config.is_file() else None
    return CrosscoderPlaces(reads=[None if hook is None else str(hook)] * n, models=range(n))


def clt_layers(folder: str | Path) -> int:
    """How many layers a cross-layer transcoder in a folder has; raises `CheckpointError` where there is none."""
    names = (CLT_FILE.fullmatch(file.name) for file in Path(folder).glob("W_enc_*.safetensors"))
    files = {int(found[1]) for found in names if found}
    if not files or files != set(range(len(files))):
        raise CheckpointError(
            f"{folder} has no cross-layer transcoder: expected W_enc_0.safetensors, W_enc_1.safetensors, … and "
            f"W_dec_0.safetensors, …; found layers {sorted(files) or 'none'}"
        )
    return len(files)


@neutrally
def load_clt_layer(folder: str | Path, layer: int, options: CrosscoderOptions | None = None) -> Crosscoder:
    """Load the features of a cross-layer transcoder that read one layer. They write there and at all later layers.

    Of the folder only the two files of this layer are read.

    Args:
        folder: of the ``clt`` layout of this module.
        layer: whose features.
        options: other places than those the folder says; dtype and device.

    Returns:
        The features, as a crosscoder.

    Raises:
        CheckpointError: no such layer, another layout, a threshold below zero (which would let features fire below it).
    """
    root, n_layers = Path(folder), clt_layers(folder)
    if not 0 <= layer < n_layers:
        raise CheckpointError(f"{root} has {n_layers} layers, 0 to {n_layers - 1}; there is no layer {layer}")
    encoder = only_tensors(read_entries(root / f"W_enc_{layer}.safetensors"), root)
    names = {f"{name}_{layer}" for name in ("W_enc", "b_enc", "b_dec")}
    check_names(encoder, names, root, what="the encoder of a layer", optional=frozenset({f"threshold_{layer}"}))
    entries: dict[str, object] = {
        "W_enc": encoder[f"W_enc_{layer}"].T.contiguous()[None],
        "b_enc": encoder[f"b_enc_{layer}"],
        "W_dec": _decoder(root, layer, n_layers),
    }
    threshold = encoder.get(f"threshold_{layer}")
    if threshold is not None:
        if bool((threshold < 0).any()):
            raise CheckpointError(f"{root}: threshold_{layer} is below zero, where its features would be negative")
        entries["threshold"] = threshold.flatten()
    options = options or CrosscoderOptions()
    if options.places == CrosscoderPlaces():
        options = replace(options, places=_clt_places(root, layer, n_layers))
    about = {"format": "clt", "layer": layer, "n_layers": n_layers}
    return crosscoder_of(entries, replace(options, facts={**about, **options.facts}), root)


def _decoder(root: Path, layer: int, n_layers: int) -> Tensor:
    entries = only_tensors(read_entries(root / f"W_dec_{layer}.safetensors"), root)
    check_names(entries, {f"W_dec_{layer}"}, root, what="the decoder of a layer")
    found = entries[f"W_dec_{layer}"]
    if found.ndim != 3 or found.shape[1] != n_layers - layer:
        raise CheckpointError(
            f"{root}: W_dec_{layer} has shape {list(found.shape)}; expected [d_sae, {n_layers - layer}, d_model], as "
            f"there are {n_layers} layers"
        )
    return found


def _clt_places(root: Path, layer: int, n_layers: int) -> CrosscoderPlaces:
    config = read_config(root)
    if config is not None and config.kind != CROSS_LAYER:
        raise CheckpointError(f"{root}: model_kind is {config.kind!r} in config.yaml; expected {CROSS_LAYER!r}")
    reads = (config and config.reads) or "hook_resid_mid"
    writes = (config and config.writes) or "hook_mlp_out"
    return CrosscoderPlaces(
        reads=[hook_name(layer, reads)], writes=[hook_name(later, writes) for later in range(layer, n_layers)]
    )
