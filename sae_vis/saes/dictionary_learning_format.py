"""dictionary_learning checkpoints: ``ae.pt`` and ``config.json``, read without importing dictionary_learning.

Each class of that library is read as its own ``from_pretrained`` and ``encode`` read it (version 0.1.0), down to the
order of operations and the memory layout of the encoder's matrix, on which the last bits can depend. In its words:

- ``AutoEncoder``: ``relu(encoder(x - bias))``, where ``from_pretrained`` first scales the decoder's columns to norm 1
  and the encoder's rows by the norms they had;
- ``AutoEncoderNew``: ``relu(encoder(x))``;
- ``GatedAutoEncoder``: ``pre = encoder(x - decoder_bias)``, then
  ``(pre + gate_bias > 0) * relu(exp(r_mag) * pre + mag_bias)``;
- ``AutoEncoderTopK``: the k largest of ``relu(encoder(x - b_dec))``;
- ``BatchTopKSAE``: ``acts = relu(encoder(x - b_dec))`` where ``acts > threshold``;
- ``MatryoshkaBatchTopKSAE``: the same with ``relu((x - b_dec) @ W_enc + b_enc)``;
- ``JumpReluAutoEncoder``: ``pre = x @ W_enc + b_enc``, ``relu(pre)`` where ``pre > threshold``.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from sae_vis.errors import CheckpointError
from sae_vis.neutral import neutrally
from sae_vis.saes.activations import Activation, JumpReLU, TopK
from sae_vis.saes.base import Dictionary
from sae_vis.saes.linear import Decoder, GatedAutoencoder, InputMap, SparseAutoencoder
from sae_vis.saes.weights import (
    check_dtype,
    check_names,
    check_tensor,
    converted,
    count,
    facts,
    matrix_shape,
    only_tensors,
    read_entries,
    read_json,
)

WEIGHTS_NAME = "ae.pt"
CONFIG_NAME = "config.json"

_LINEAR = {"encoder.weight", "encoder.bias", "decoder.weight"}
_MATRICES = {"W_enc", "b_enc", "W_dec", "b_dec"}
TENSORS = {
    "AutoEncoder": {*_LINEAR, "bias"},
    "AutoEncoderNew": {*_LINEAR, "decoder.bias"},
    "GatedAutoEncoder": {"encoder.weight", "decoder.weight", "decoder_bias", "r_mag", "gate_bias", "mag_bias"},
    "AutoEncoderTopK": {*_LINEAR, "b_dec"},
    "BatchTopKSAE": {*_LINEAR, "b_dec", "threshold"},
    "MatryoshkaBatchTopKSAE": {*_MATRICES, "threshold", "group_sizes"},
    "JumpReluAutoEncoder": {*_MATRICES, "threshold"},
}
_OPTIONAL = {
    "AutoEncoderTopK": frozenset({"k", "threshold"}),  # its threshold has no part in `encode`
    "BatchTopKSAE": frozenset({"k"}),
    "MatryoshkaBatchTopKSAE": frozenset({"k"}),
}
_BIASES = {"AutoEncoder": "bias", "AutoEncoderNew": "decoder.bias", "GatedAutoEncoder": "decoder_bias"}  # else b_dec
_COUNTS = frozenset({"k", "group_sizes"})  # stored as whole numbers
# What a trainer writes down. `k`, the sizes and the class are checked against the weights; the others change nothing.
_TRAINER = frozenset(
    """activation_dim anneal_start auxk_alpha bandwidth decay_start device dict_class dict_size group_fractions
    group_sizes group_weights k l1_penalty layer lm_name lr n_sparsity_updates norm_factor p_end p_start
    resample_steps seed sparsity_function sparsity_penalty sparsity_queue_length sparsity_warmup_steps steps
    submodule_name target_l0 threshold_beta threshold_start_step top_k_aux trainer_class wandb_name
    warmup_steps""".split()  # noqa: SIM905 (a list of words reads better without 34 pairs of quotes)
)
_TOP = frozenset({"trainer", "buffer"})


@dataclass(frozen=True, kw_only=True)
class _Read:
    """A checkpoint as it was found, names checked.

    Attributes:
        file: the weights' file.
        dict_class: a key of `TENSORS`.
        weights: tensors by their names in the file, those of `_COUNTS` left out.
        counts: the tensors of `_COUNTS`.
        trainer: ``trainer`` of the configuration; empty without one.
    """

    file: Path
    dict_class: str
    weights: dict[str, Tensor]
    counts: dict[str, Tensor]
    trainer: dict[str, object]


@neutrally
def load_dictionary_learning(
    path: str | Path,
    *,
    dtype: torch.dtype = torch.float32,
    device: str | torch.device | None = None,
    normalize_decoder: bool = True,
) -> Dictionary:
    """The dictionary in a dictionary_learning folder or weights file.

    Args:
        path: the folder with ``ae.pt`` and ``config.json``, or a ``.pt`` file; its ``config.json`` is looked for beside
            it, then one folder up (``checkpoints/ae_1000.pt``). Without one, the class must be clear from the names.
        dtype: of the computation: float32, float16 or bfloat16.
        device: where the weights go; None: CPU.
        normalize_decoder: for ``AutoEncoder`` alone: read it as its ``from_pretrained`` does by default, with a decoder
            of unit norms; False: weights as they are in the file.

    Raises:
        CheckpointError: a missing or damaged file, code in it, an unknown class or key, a shape or value that can't be
            right.
        InputError: a dtype that is not supported.
    """
    check_dtype(dtype)
    read = _read(Path(path))
    d_in, d_sae = _check_shapes(read)
    k = _check_config(read, d_in, d_sae)
    weights = {name: tensor.float() for name, tensor in read.weights.items()}
    normalized = read.dict_class == "AutoEncoder" and normalize_decoder and _normalize(weights, read.file)
    metadata = read.trainer | {"decoder_normalized": normalized}
    stored = next(iter(read.weights.values()))
    about = facts("dictionary_learning", read.dict_class, path, stored, metadata)
    return _build(read, converted(_laid_out(weights), dtype, device or "cpu", read.file), k, about)


def class_of(names: frozenset[str]) -> str | None:
    """The one class whose checkpoints have these names, or None if there is none or more than one."""
    fitting = [
        dict_class
        for dict_class, expected in TENSORS.items()
        if expected <= names and not names - expected - _OPTIONAL.get(dict_class, frozenset())
    ]
    return fitting[0] if len(fitting) == 1 else None


def config_of(path: Path) -> Path | None:
    """The ``config.json`` that belongs to a folder or to a weights file, or None."""
    folders = [path] if path.is_dir() else [path.parent, path.parent.parent]
    return next((folder / CONFIG_NAME for folder in folders if (folder / CONFIG_NAME).is_file()), None)


def _read(path: Path) -> _Read:
    file = path / WEIGHTS_NAME if path.is_dir() else path
    entries = only_tensors(read_entries(file), file)
    config = config_of(path)
    trainer = {} if config is None else _trainer(config)
    dict_class = trainer.get("dict_class") or class_of(frozenset(entries))
    if dict_class is None:
        raise CheckpointError(
            f"{file}: the tensors {sorted(entries)} don't say which class of dictionary_learning this is; put its "
            f"{CONFIG_NAME} beside it, with trainer.dict_class one of {sorted(TENSORS)}"
        )
    if dict_class not in TENSORS:
        raise CheckpointError(f"{config}: dict_class {dict_class!r} is not supported; known: {sorted(TENSORS)}")
    name = str(dict_class)
    check_names(
        entries, TENSORS[name], file, what=f"a dictionary_learning {name}", optional=_OPTIONAL.get(name, frozenset())
    )
    counts = {key: tensor for key, tensor in entries.items() if key in _COUNTS}
    weights = {key: tensor for key, tensor in entries.items() if key not in _COUNTS}
    return _Read(file=file, dict_class=name, weights=weights, counts=counts, trainer=trainer)


def _trainer(config: Path) -> dict[str, object]:
    """The ``trainer`` part of a configuration, its keys checked."""
    found = read_json(config)
    trainer = found.get("trainer")
    if not isinstance(trainer, dict):
        raise CheckpointError(f"{config}: trainer must be an object, as the library writes it; found {trainer!r}")
    unknown = sorted(found.keys() - _TOP) + sorted(f"trainer.{key}" for key in trainer.keys() - _TRAINER)
    if unknown:
        raise CheckpointError(
            f"{config} has unknown keys {unknown}: an unknown setting could change the activations. "
            f"Known: {sorted(_TOP)}; in trainer: {sorted(_TRAINER)}"
        )
    return trainer


def _check_shapes(read: _Read) -> tuple[int, int]:
    """``d_in`` and ``d_sae``; raises `CheckpointError` unless all tensors agree on them."""
    if "encoder.weight" in read.weights:
        d_sae, d_in = matrix_shape("encoder.weight", read.weights["encoder.weight"], read.file)
    else:
        d_in, d_sae = matrix_shape("W_enc", read.weights["W_enc"], read.file)
    shapes = {
        "encoder.weight": [d_sae, d_in],
        "decoder.weight": [d_in, d_sae],
        "W_enc": [d_in, d_sae],
        "W_dec": [d_sae, d_in],
        "threshold": [d_sae] if read.dict_class == "JumpReluAutoEncoder" else [],
        **{name: [d_in] for name in ("bias", "decoder.bias", "decoder_bias", "b_dec")},
    }
    for name, tensor in read.weights.items():
        reason = f"activation_dim {d_in}, dict_size {d_sae} in the encoder's weights"
        check_tensor(name, tensor, shapes.get(name, [d_sae]), read.file, reason=reason)
    groups = read.counts.get("group_sizes")
    if groups is not None and int(groups.sum()) != d_sae:
        raise CheckpointError(
            f"{read.file}: group_sizes add up to {int(groups.sum())}; expected {d_sae}, the dict_size"
        )
    return d_in, d_sae


def _check_config(read: _Read, d_in: int, d_sae: int) -> int | None:
    """``k`` where there is one; raises `CheckpointError` where configuration and weights differ."""
    for name, size in (("activation_dim", d_in), ("dict_size", d_sae)):
        if read.trainer.get(name, size) != size:
            raise CheckpointError(
                f"{read.file}: {name} is {size} in the weights, but {read.trainer[name]!r} in {CONFIG_NAME}: "
                "are the two from the same run?"
            )
    found = {
        place: count("k", value, read.file, most=d_sae)
        for place, value in (("the weights", read.counts.get("k")), (CONFIG_NAME, read.trainer.get("k")))
        if value is not None
    }
    if len(set(found.values())) > 1:
        raise CheckpointError(f"{read.file}: k differs: {found}; are weights and {CONFIG_NAME} from the same run?")
    k = next(iter(found.values()), None)
    if k is None and read.dict_class == "AutoEncoderTopK":
        raise CheckpointError(f"{read.file}: an AutoEncoderTopK needs k, in the weights or in {CONFIG_NAME}")
    return k


def _normalize(weights: dict[str, Tensor], file: Path) -> bool:
    """Decoder columns to norm 1, encoder rows times what it was, as ``from_pretrained``; False if it was 1."""
    decoder = weights["decoder.weight"].contiguous()
    norms = torch.norm(decoder, dim=0)
    if torch.allclose(norms, torch.ones_like(norms)):
        return False
    if not bool(norms.all()):
        raise CheckpointError(
            f"{file}: {int((norms == 0).sum())} decoder directions are zero and can't be scaled to norm 1; "
            "load_dictionary_learning(normalize_decoder=False) reads the weights as they are"
        )
    weights["decoder.weight"] = decoder / norms
    weights["encoder.weight"] = weights["encoder.weight"] * norms[:, None]
    weights["encoder.bias"] = weights["encoder.bias"] * norms
    return True


def _laid_out(weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """``W_enc [d_in, d_sae]`` and ``W_dec [d_sae, d_in]`` among the others, in memory as the library lays them out.

    Its constructors make the encoder's ``nn.Linear`` weight as a transposed view, and ``W_enc`` too.
    """
    weights = dict(weights)
    if "encoder.weight" in weights:
        weights["W_enc"] = weights.pop("encoder.weight").T.contiguous()
        weights["W_dec"] = weights.pop("decoder.weight").T.contiguous()
    else:
        weights["W_enc"] = weights["W_enc"].T.contiguous().T
    return weights


def _build(read: _Read, weights: dict[str, Tensor], k: int | None, about: dict[str, object]) -> Dictionary:
    dict_class = read.dict_class
    bias = weights[_BIASES.get(dict_class, "b_dec")]
    shifts = dict_class not in ("AutoEncoderNew", "JumpReluAutoEncoder")
    input_map = InputMap(shift=bias if shifts else None)
    decoder = Decoder(
        directions=weights["W_dec"].float(), bias=bias.float(), hook_name=_hook_name(read.trainer), facts=about
    )
    if dict_class == "GatedAutoEncoder":
        inner = (weights["r_mag"], weights["gate_bias"], weights["mag_bias"])
        return GatedAutoencoder(weights["W_enc"], *inner, input_map, decoder, rescale_product=True)
    fused = "encoder.bias" in weights
    b_enc = weights["encoder.bias" if fused else "b_enc"]
    activation = _activation(dict_class, weights, b_enc, k)
    return SparseAutoencoder(weights["W_enc"], b_enc, activation, input_map, decoder, fused_bias=fused)


def _activation(dict_class: str, weights: dict[str, Tensor], b_enc: Tensor, k: int | None) -> Activation:
    if dict_class == "AutoEncoderTopK" and k is not None:
        return TopK(k, relu_first=True)
    zeros = torch.zeros_like(b_enc)
    return JumpReLU(zeros if dict_class in _BIASES else zeros + weights["threshold"])


def _hook_name(trainer: Mapping[str, object]) -> str | None:
    """Only the residual stream: other names of submodules don't say on which side of a post-norm they are."""
    found = re.fullmatch(r"resid_post_layer_(\d+)", str(trainer.get("submodule_name")))
    return None if found is None else f"blocks.{found.group(1)}.hook_resid_post"
