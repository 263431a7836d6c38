"""SAELens checkpoints: a directory with ``cfg.json`` and ``sae_weights.safetensors``, read without importing SAELens.

Current files (SAELens 6) hold the configuration of the SAE and a free ``metadata`` object; older ones hold one flat
dictionary, in the oldest the whole configuration of the training run. Both are read as SAELens itself reads them. Every
key is either honoured, or known not to change an activation (`RECORDED`), or an error.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import torch
from torch import Tensor

from sae_vis.errors import CheckpointError
from sae_vis.neutral import neutrally
from sae_vis.saes.activations import Activation, JumpReLU, SignedTopK, TopK
from sae_vis.saes.base import Dictionary
from sae_vis.saes.linear import Decoder, GatedAutoencoder, InputMap, SparseAutoencoder
from sae_vis.saes.saelens_config import CONFIG_NAME, TENSORS, WEIGHTS_NAME, SaeLensConfig, parse_config, read_config
from sae_vis.saes.saelens_dense import (
    MatchingPursuit,
    PursuitSettings,
    Temporal,
    TemporalSettings,
    temporal_shapes,
)
from sae_vis.saes.weights import (
    check_dtype,
    check_names,
    check_tensor,
    converted,
    facts,
    only_tensors,
    read_entries,
)

# No activation of a trained SAE depends on these. `dtype` and `device` are how it was run; the caller chooses here.


@neutrally
def load_sae(
    path: str | Path, *, dtype: torch.dtype = torch.float32, device: str | torch.device | None = None
) -> Dictionary:
    """Load the dictionary of a SAELens checkpoint directory.

    Args:
        path: the directory with ``cfg.json`` and ``sae_weights.safetensors``.
        dtype: of the computation: float32 (weights stored in half precision are widened exactly), float16 or bfloat16.
        device: where the weights go; None: CPU.

    Returns:
        The dictionary.

    Raises:
        CheckpointError: a missing or damaged file, an unknown key, a shape or value that can't be right.
        InputError: a dtype that is not supported.
    """
    check_dtype(dtype)
    path = Path(path)
    config = read_config(path / CONFIG_NAME)
    weights = _read_weights(path / WEIGHTS_NAME, config)
    return _dictionary(config, weights, dtype, torch.device(device or "cpu"), str(path))


def from_parts(
    found: dict[str, object], weights: dict[str, Tensor], where: str, *, dtype: torch.dtype | None = None
) -> Dictionary:
    """The dictionary that a configuration and weights in memory make.

    Args:
        found: as in a ``cfg.json``.
        weights: by SAELens' names; those that have the dtype already are shared, not copied, and never written to.
        where: what error messages call them.
        dtype: of the computation; None: that of the weights.

    Raises:
        CheckpointError, InputError: as `load_sae`.
    """
    config = parse_config(found, where)
    checked = _checked_weights(weights, config, where)
    dtype = dtype or checked["W_dec"].dtype
    check_dtype(dtype)
    return _dictionary(config, checked, dtype, checked["W_dec"].device, "memory")


def _dictionary(
    config: SaeLensConfig, weights: dict[str, Tensor], dtype: torch.dtype, device: torch.device, source: str
) -> Dictionary:
    about = facts("saelens", config.architecture, source, weights["W_dec"], config.metadata)
    return _build(config, converted(weights, dtype, device, source), about)


def _read_weights(file: Path, config: SaeLensConfig) -> dict[str, Tensor]:
    """All tensors, checked: names, shapes, dtypes, finite values."""
    weights = only_tensors(read_entries(file), file)
    return _checked_weights(weights, config, file)


def _checked_weights(weights: dict[str, Tensor], config: SaeLensConfig, file: Path | str) -> dict[str, Tensor]:
    weights = _canonical_names(weights, config, file)
    expected = set(TENSORS[config.architecture])
    if isinstance(config.settings, TemporalSettings):
        expected |= temporal_shapes(config.d_sae, config.settings).keys()
        expected |= set() if config.settings.tied_weights else {"W_enc"}
    factor = frozenset({"finetuning_scaling_factor"} if config.settings is None else ())
    check_names(weights, expected, file, what=f"a {config.architecture} SAE", optional=factor)
    for name, tensor in weights.items():
        _check_tensor(name, tensor, config, file)
    return weights


def _canonical_names(weights: dict[str, Tensor], config: SaeLensConfig, file: Path | str) -> dict[str, Tensor]:
    """Older names in today's words; a fine-tuning factor that is all ones is dropped, as SAELens does."""
    if config.architecture == "jumprelu" and "log_threshold" in weights and "threshold" not in weights:
        weights["threshold"] = weights.pop("log_threshold").exp()
    if "scaling_factor" in weights:
        weights["finetuning_scaling_factor"] = weights.pop("scaling_factor")
    factor = weights.get("finetuning_scaling_factor")
    if factor is None:
        return weights
    if torch.allclose(factor, torch.ones_like(factor)):
        del weights["finetuning_scaling_factor"]
    elif not config.finetuning_scaling_factor:
        raise CheckpointError(
            f"{file} has a scaling factor, but finetuning_scaling_factor is not true in {CONFIG_NAME}"
        )
    return weights


def _check_tensor(name: str, tensor: Tensor, config: SaeLensConfig, file: Path | str) -> None:
    d_in, d_sae, d_out = config.d_in, config.d_sae, config.d_out
    matrices = {"W_enc": [d_in, d_sae], "W_dec": [d_sae, d_out], "b_dec": [d_out], "W_skip": [d_out, d_in]}
    if isinstance(config.settings, TemporalSettings):
        matrices |= temporal_shapes(d_sae, config.settings)
    expected = [] if name == "topk_threshold" else matrices.get(name, [d_sae])
    wide = f", d_out {d_out}" if config.is_transcoder else ""
    check_tensor(name, tensor, expected, file, reason=f"d_in {d_in}, d_sae {d_sae}{wide} in {CONFIG_NAME}")


def _build(config: SaeLensConfig, weights: dict[str, Tensor], about: dict[str, object]) -> Dictionary:
    input_map = InputMap(
        normalize=config.normalize_activations, shift=weights["b_dec"] if config.apply_b_dec_to_input else None
    )
    norms = weights["W_dec"].norm(dim=-1) if config.rescale_acts_by_decoder_norm else None
    decoder = Decoder(
        directions=_directions(weights, norms),
        bias=weights["b_dec"].float(),
        hook_name=config.hook_name,
        facts=about,
        elsewhere=config.is_transcoder,
        hook_name_out=config.hook_name_out,
    )
    if config.settings is not None:
        return _build_dense(config, weights, input_map, decoder)
    if config.architecture == "gated":
        return GatedAutoencoder(
            weights["W_enc"], weights["r_mag"], weights["b_gate"], weights["b_mag"], input_map, decoder
        )
    activation = _activation(config, weights, norms)
    return SparseAutoencoder(weights["W_enc"], weights["b_enc"], activation, input_map, decoder)


def _build_dense(
    config: SaeLensConfig, weights: dict[str, Tensor], input_map: InputMap, decoder: Decoder
) -> Dictionary:
    """Of these the decoder bias is added only where it was subtracted, or of temporal SAEs where weights are untied."""
    settings = config.settings
    added = config.apply_b_dec_to_input or (isinstance(settings, TemporalSettings) and not settings.tied_weights)
    decoder = replace(decoder, bias=decoder.bias if added else torch.zeros_like(decoder.bias))
    if isinstance(settings, TemporalSettings):
        factor = settings.activation_normalization_factor
        decoder = replace(decoder, directions=decoder.directions / factor, bias=decoder.bias / factor)
        return Temporal(weights, input_map, decoder, settings)
    return MatchingPursuit(weights, input_map, decoder, settings or PursuitSettings())


def _activation(config: SaeLensConfig, weights: dict[str, Tensor], norms: Tensor | None) -> Activation:
    if config.k is not None and config.architecture == "abstopk":
        return SignedTopK(config.k, by_size=True, scale=norms)
    if config.k is not None:
        return TopK(config.k, norms)
    zeros = torch.zeros_like(weights["b_enc"])
    if "topk_threshold" in weights:
        return JumpReLU(zeros + weights["topk_threshold"], norms)
    return JumpReLU(weights.get("threshold", zeros))


def _directions(weights: dict[str, Tensor], norms: Tensor | None) -> Tensor:
    """What one unit of activation adds: rescaled activations are divided by the norms again on the way back."""
    directions = weights["W_dec"].float()
    if norms is not None:
        directions = directions / norms.float().clamp(min=torch.finfo(torch.float32).tiny)[:, None]
    if "finetuning_scaling_factor" in weights:
        directions = directions * weights["finetuning_scaling_factor"].float()[:, None]
    return directions
