"""The configuration of a SAELens checkpoint, of any version; no key is passed over."""

from __future__ import annotations

import re
from dataclasses import dataclass, fields
from pathlib import Path

from sae_vis.errors import CheckpointError
from sae_vis.saes.saelens_dense import (
    PursuitSettings,
    TemporalSettings,
)
from sae_vis.saes.weights import (
    count,
    read_json,
    scalar,
)

CONFIG_NAME = "cfg.json"
WEIGHTS_NAME = "sae_weights.safetensors"

TENSORS = {
    "standard": {"W_enc", "b_enc", "W_dec", "b_dec"},
    "topk": {"W_enc", "b_enc", "W_dec", "b_dec"},
    "abstopk": {"W_enc", "b_enc", "W_dec", "b_dec"},
    "jumprelu": {"W_enc", "b_enc", "W_dec", "b_dec", "threshold"},
    "batchtopk": {"W_enc", "b_enc", "W_dec", "b_dec", "topk_threshold"},
    "matryoshka_batchtopk": {"W_enc", "b_enc", "W_dec", "b_dec", "topk_threshold"},
    "gated": {"W_enc", "W_dec", "b_dec", "b_gate", "b_mag", "r_mag"},
    "transcoder": {"W_enc", "b_enc", "W_dec", "b_dec"},
    "skip_transcoder": {"W_enc", "b_enc", "W_dec", "b_dec", "W_skip"},
    "jumprelu_transcoder": {"W_enc", "b_enc", "W_dec", "b_dec", "threshold"},
    "jumprelu_skip_transcoder": {"W_enc", "b_enc", "W_dec", "b_dec", "threshold", "W_skip"},
    "matching_pursuit": {"W_dec", "b_dec"},
    "temporal": {"W_dec", "b_dec"},  # and those of its attention, see `temporal_shapes`
}

_TOPK = ("topk", "abstopk")


_RESCALES = (*_TOPK, "batchtopk", "matryoshka_batchtopk")


_SETTINGS = {"matching_pursuit": PursuitSettings, "temporal": TemporalSettings}


_SETTINGS_KEYS = {name: frozenset(key.name for key in fields(kind)) for name, kind in _SETTINGS.items()}


_RENAMED = {
    "hook_point": "hook_name",
    "hook_point_layer": "hook_layer",
    "hook_point_head_index": "hook_head_index",
    "activation_fn_str": "activation_fn",
}


_HONOURED = frozenset(
    """architecture d_in d_sae apply_b_dec_to_input normalize_activations reshape_activations k d_out hook_name_out
    rescale_acts_by_decoder_norm activation_fn activation_fn_kwargs finetuning_scaling_factor hook_name metadata
    sae_lens_version""".split()  # noqa: SIM905 (a list of words reads better without 14 pairs of quotes)
)


RECORDED = frozenset(
    """dtype device model_name model_class_name model_kwargs model_from_pretrained_kwargs hook_layer hook_head_index
    hook_layer_out hook_head_index_out
    hook_eval hf_hook_name hf_module neuronpedia_id prepend_bos exclude_special_tokens context_size seqpos_slice
    dataset_path dataset_trust_remote_code streaming is_dataset_tokenized tokenizer_name use_chat_formatting
    sae_lens_training_version training_architecture training_architecture_details release sae_id
    decoder_init_norm l1_coefficient lp_norm l1_warm_up_steps l1_warmup_steps use_sparse_activations
    aux_loss_coefficient jumprelu_init_threshold jumprelu_init_log_threshold jumprelu_bandwidth
    jumprelu_sparsity_loss_mode l0_coefficient l0_warm_up_steps pre_act_loss_coefficient jumprelu_tanh_scale
    jumprelu_ste_to_input target_l0 topk_threshold_lr matryoshka_widths use_matryoshka_aux_loss
    mse_loss_normalization scale_sparsity_penalty_by_decoder_norm decoder_heuristic_init decoder_heuristic_init_norm
    decoder_orthogonal_init normalize_sae_decoder init_encoder_as_decoder_transpose b_dec_init_method
    expansion_factor noise_scale use_ghost_grads ghost_grads_scale from_pretrained_path
    use_cached_activations cached_activations_path n_batches_in_buffer training_tokens finetuning_tokens
    finetuning_method store_batch_size store_batch_size_prompts train_batch_size train_batch_size_tokens
    disable_concat_sequences sequence_separator_token act_store_device llm_device prefetch_llm_batches
    activations_mixing_fraction seed autocast autocast_lm compile_llm llm_compilation_mode compile_sae
    sae_compilation_mode adam_beta1 adam_beta2 lr lr_scheduler_name lr_warm_up_steps lr_end lr_decay_steps
    n_restart_cycles dead_feature_window feature_sampling_window feature_sampling_method resample_batches
    feature_reinit_scale dead_feature_threshold dead_feature_estimation_method n_eval_batches
    eval_batch_size_prompts logger log_to_wandb log_activations_store_to_wandb log_optimizer_state_to_wandb
    log_weights_to_wandb wandb_project wandb_id run_name wandb_entity wandb_log_frequency eval_every_n_wandb_logs
    n_checkpoints checkpoint_path save_final_checkpoint output_path resume resume_from_checkpoint verbose
    tokens_per_buffer total_training_steps total_training_tokens n_batches_for_norm_estimate""".split()  # noqa: SIM905
)


@dataclass(frozen=True, kw_only=True)
class SaeLensConfig:
    """What of a ``cfg.json`` changes activations or says where they come from.

    Attributes:
        architecture: a key of the supported architectures.
        d_in: width of the activation that is read.
        d_sae: number of features.
        d_out: width of what it writes: `d_in` but for transcoders.
        k: for ``topk`` and ``abstopk`` alone, else None.
        apply_b_dec_to_input: whether the decoder bias is subtracted from the input.
        normalize_activations: as `InputMap.normalize`.
        rescale_acts_by_decoder_norm: whether pre-activations are multiplied by the decoder rows' norms.
        finetuning_scaling_factor: whether decoder rows are multiplied by a factor stored with the weights.
        settings: of matching pursuit and temporal SAEs, else None.
        hook_name: where the SAE reads, or None.
        hook_name_out: where a transcoder writes, or None.
        metadata: everything else, as found.
    """

    architecture: str
    d_in: int
    d_sae: int
    d_out: int
    k: int | None
    apply_b_dec_to_input: bool
    normalize_activations: str
    rescale_acts_by_decoder_norm: bool
    finetuning_scaling_factor: bool
    settings: PursuitSettings | TemporalSettings | None
    hook_name: str | None
    hook_name_out: str | None
    metadata: dict[str, object]

    @property
    def is_transcoder(self) -> bool:
        """Whether it writes at another place than it reads."""
        return self.architecture.endswith("transcoder")


def read_config(file: Path) -> SaeLensConfig:
    """Read and check a ``cfg.json``; raises `CheckpointError` for what can't be honoured."""
    if not file.is_file():
        raise CheckpointError(
            f"{file} does not exist: give a SAELens directory, with {CONFIG_NAME} and {WEIGHTS_NAME} in it"
        )
    return parse_config(read_json(file), file)


def parse_config(found: dict[str, object], file: Path | str) -> SaeLensConfig:
    """Check a configuration; ``file`` is what error messages call it."""
    raw = {_RENAMED.get(key, key): value for key, value in found.items()}
    _check_keys(raw, file)
    metadata = raw.get("metadata") or {}
    if not isinstance(metadata, dict):
        raise CheckpointError(f"{file}: metadata must be an object; found {metadata!r}")
    if _before_version_6(raw, metadata):
        raw = _modernised(raw)
    return _checked(raw, metadata, file)


def _check_keys(raw: dict[str, object], file: Path | str) -> None:
    honoured = _HONOURED | _SETTINGS_KEYS.get(str(raw.get("architecture")), frozenset())
    unknown = sorted(raw.keys() - honoured - RECORDED)
    if unknown:
        raise CheckpointError(
            f"{file} has unknown keys {unknown}: an unknown setting could change the activations. "
            f"Keys that are honoured: {sorted(honoured | _RENAMED.keys())}; "
            f"keys that are known to change no activation: {sorted(RECORDED)}"
        )


def _before_version_6(raw: dict[str, object], metadata: dict[str, object]) -> bool:
    """SAELens' own rule: no version, or one before 6.0.0rc0."""
    version = str(raw.get("sae_lens_version") or metadata.get("sae_lens_version") or "0")
    major = re.match(r"\d+", version)
    return major is None or int(major.group()) < 6


def _modernised(raw: dict[str, object]) -> dict[str, object]:
    """A version 3 to 5 configuration in the words of version 6."""
    raw = dict(raw)
    if "hook_z" in str(raw.get("hook_name") or ""):
        raw.setdefault("reshape_activations", "hook_z")
    kwargs = raw.get("activation_fn_kwargs") or {}
    if raw.get("activation_fn") == "topk" and isinstance(kwargs, dict) and "k" in kwargs:
        raw["architecture"], raw["k"] = "topk", kwargs["k"]
    normalize = raw.get("normalize_activations")
    if normalize is None or isinstance(normalize, bool):
        raw["normalize_activations"] = "expected_average_only_in" if normalize else "none"
    raw.setdefault("architecture", "standard")
    return raw


def _checked(raw: dict[str, object], metadata: dict[str, object], file: Path | str) -> SaeLensConfig:
    architecture = raw.get("architecture")
    if architecture not in TENSORS:
        raise CheckpointError(f"{file}: architecture {architecture!r} is not supported; known: {sorted(TENSORS)}")
    wanted_function = "topk" if architecture == "topk" else "relu"  # AbsTopK's is told by its architecture
    if raw.get("activation_fn") not in (None, "relu", wanted_function):
        raise CheckpointError(
            f"{file}: activation function {raw['activation_fn']!r} is not supported with architecture {architecture!r}"
        )
    hook_name = raw.get("hook_name") or metadata.get("hook_name")
    hook = str(hook_name) if hook_name is not None else None
    _check_reshape(raw, hook, file)
    recorded = {key: value for key, value in raw.items() if key in RECORDED}
    is_transcoder = str(architecture).endswith("transcoder")
    name_out = raw.get("hook_name_out") or metadata.get("hook_name_out") if is_transcoder else None
    return SaeLensConfig(
        architecture=str(architecture),
        d_in=_size(raw, "d_in", file),
        d_sae=_size(raw, "d_sae", file),
        d_out=_size(raw, "d_out" if is_transcoder else "d_in", file),
        k=_topk_k(raw, file) if architecture in _TOPK else None,
        apply_b_dec_to_input=_applies_b_dec(raw, file, is_transcoder=is_transcoder),
        normalize_activations=_normalisation(raw, file, str(architecture)),
        rescale_acts_by_decoder_norm=architecture in _RESCALES
        and _flag(raw, "rescale_acts_by_decoder_norm", file, default=architecture not in _TOPK),
        finetuning_scaling_factor=_flag(raw, "finetuning_scaling_factor", file, default=False),
        settings=_settings(raw, str(architecture), file),
        hook_name=hook,
        hook_name_out=None if name_out is None else str(name_out),
        metadata=recorded | metadata,
    )


def _size(raw: dict[str, object], key: str, file: Path | str) -> int:
    value = raw.get(key)
    if not isinstance(value, int) or isinstance(value, bool) or value < 1:
        raise CheckpointError(f"{file}: {key} must be a positive integer; found {value!r}")
    return value


def _topk_k(raw: dict[str, object], file: Path | str) -> int:
    k, d_sae = _size(raw, "k", file), _size(raw, "d_sae", file)
    if k > d_sae:
        raise CheckpointError(f"{file}: k is {k}, but there are only {d_sae} features (d_sae)")
    return k


def _flag(raw: dict[str, object], key: str, file: Path | str, *, default: bool) -> bool:
    value = raw.get(key)
    if value is not None and not isinstance(value, bool):
        raise CheckpointError(f"{file}: {key} must be true or false; found {value!r}")
    return default if value is None else value


def _applies_b_dec(raw: dict[str, object], file: Path | str, *, is_transcoder: bool) -> bool:
    applies = _flag(raw, "apply_b_dec_to_input", file, default=not is_transcoder)
    if applies and is_transcoder:
        raise CheckpointError(
            f"{file}: apply_b_dec_to_input is true, but the decoder bias of a transcoder belongs to its output"
        )
    return applies


def _settings(raw: dict[str, object], architecture: str, file: Path | str) -> PursuitSettings | TemporalSettings | None:
    given = {key: raw[key] for key in _SETTINGS_KEYS.get(architecture, ()) if key in raw}
    if architecture == "matching_pursuit":
        iterations = given.get("max_iterations")
        return PursuitSettings(
            residual_threshold=scalar("residual_threshold", given.get("residual_threshold", 1e-2), file),
            max_iterations=None if iterations is None else count("max_iterations", iterations, file),
            stop_on_duplicate_support=_flag(raw, "stop_on_duplicate_support", file, default=True),
        )
    return _temporal(given, raw, file) if architecture == "temporal" else None


def _temporal(given: dict[str, object], raw: dict[str, object], file: Path | str) -> TemporalSettings:
    d_sae, kind, k = _size(raw, "d_sae", file), given.get("sae_diff_type", "topk"), given.get("kval_topk")
    if kind not in ("topk", "relu"):
        raise CheckpointError(f"{file}: sae_diff_type must be 'topk' or 'relu'; found {kind!r}")
    rescales = raw.get("normalize_activations") == "constant_scalar_rescale"
    factor = scalar("activation_normalization_factor", given.get("activation_normalization_factor", 1.0), file)
    sizes = {"n_heads": 8, "n_attn_layers": 1, "bottleneck_factor": 64}
    numbers = {name: count(name, given.get(name, default), file) for name, default in sizes.items()}
    made = TemporalSettings(
        n_heads=numbers["n_heads"],
        n_attn_layers=numbers["n_attn_layers"],
        bottleneck_factor=numbers["bottleneck_factor"],
        sae_diff_type=str(kind),
        kval_topk=None if k is None else count("kval_topk", k, file, most=d_sae),
        tied_weights=_flag(raw, "tied_weights", file, default=True),
        activation_normalization_factor=factor if rescales else 1.0,
    )
    if d_sae % (made.bottleneck_factor * made.n_heads):
        raise CheckpointError(
            f"{file}: d_sae is {d_sae}, no multiple of bottleneck_factor {made.bottleneck_factor} times n_heads "
            f"{made.n_heads}"
        )
    return made


def _normalisation(raw: dict[str, object], file: Path | str, architecture: str) -> str:
    """Normalisations that depend on the vector alone are computed; those that need unsaved statistics are refused."""
    value = raw.get("normalize_activations", "none")
    if value == "constant_scalar_rescale" and architecture == "temporal":
        return "none"  # its factor is one of the settings
    if value in ("none", "constant_norm_rescale", "layer_norm"):
        return str(value)
    if value in ("expected_average_only_in", "covariance_whitening"):
        raise CheckpointError(
            f"{file}: normalize_activations is {value!r}, which needs statistics of the training activations that are "
            "not part of the checkpoint. Fold them into the weights with SAELens (fold_activation_norm_scaling_factor "
            "or fold_activation_whitening) and save the SAE again; normalize_activations is 'none' after that"
        )
    raise CheckpointError(f"{file}: normalize_activations {value!r} is unknown")


def _check_reshape(raw: dict[str, object], hook_name: str | None, file: Path | str) -> None:
    """``hook_z`` reads all heads of a position as one vector, which is how activations arrive here anyway."""
    value = raw.get("reshape_activations") or "none"
    if value not in ("none", "hook_z"):
        raise CheckpointError(f"{file}: reshape_activations must be 'none' or 'hook_z'; found {value!r}")
    if value == "hook_z" and hook_name is not None and not hook_name.endswith("_z"):
        raise CheckpointError(f"{file}: reshape_activations is 'hook_z', but the hook is {hook_name!r}")
