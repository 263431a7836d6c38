"""What training scripts wrap around the tensors of a checkpoint, taken off: dictionaries, and names before names.

``{"state_dict": {…}, "optimizer": {…}, "step": 9}`` holds one dictionary of tensors under a name that says so; what
else is there must be known to be the training's, or it counts as part of the checkpoint, whose format then judges it.
``module.``, ``_orig_mod.`` and the like go where all names begin with them. Where it is not clear what is meant, that
is an error.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from torch import Tensor

from sae_vis.errors import CheckpointError

_HOLDERS = frozenset(
    """ae ae_state_dict autoencoder autoencoder_state_dict dictionary model model_state model_state_dict module net
    network params sae sae_model sae_state_dict sparse_autoencoder state_dict weights""".split()  # noqa: SIM905
)
_TRAINING = frozenset(
    """amp best_loss best_val_loss callbacks cuda_rng_state date epoch epochs git_commit git_hash global_step
    grad_scaler iter iteration iterations loops loss losses lr lr_scheduler lr_schedulers lr_scheduler_state_dict
    metrics n_steps n_tokens n_training_samples n_training_steps n_training_tokens np_rng_state numpy_rng_state optim
    optimizer optimizer_state optimizer_state_dict optimizer_states optimizers python_rng_state
    pytorch-lightning_version
    rng_state rng_states samples_seen scaler scaler_state_dict scheduler scheduler_state scheduler_state_dict
    schedulers seed step steps time timestamp tokens_seen torch_rng_state torch_version total_steps train_loss
    training_step val_loss version wandb_id wandb_run_id""".split()  # noqa: SIM905
)
_SETTINGS = frozenset("args cfg config configuration hparams hyper_parameters hyperparameters settings".split())  # noqa: SIM905
_HARMLESS = frozenset(  # settings that change no activation: sizes, which the weights have, and how it was trained
    """act_size activation_dim batch_size beta1 beta2 betas buffer_size context_length context_size ctx_len d d_dict
    d_hidden d_in d_mlp d_model d_sae dataset dataset_name dataset_path device dict_mult dict_size dtype epochs eps
    expansion_factor gradient_clip hidden_dim hidden_size hook hook_layer hook_name hook_point input_dim l1_coef
    l1_coeff l1_coefficient l1_penalty l1_weight latent_dim layer layers learning_rate lm_name log_every lr
    lr_warmup_steps max_steps model model_batch_size model_name n_dim n_epochs n_features n_latents n_steps n_tokens
    name num_batches num_epochs num_features num_steps num_tokens optimizer out_dir output_dir run_name save_dir
    save_every scheduler seed seq_len site sparsity_coeff sparsity_coefficient sparsity_penalty steps total_tokens
    train_batch_size training_tokens wandb_entity wandb_name wandb_project warmup warmup_steps
    weight_decay""".split()  # noqa: SIM905
)
_COMPILED = "_orig_mod."
_PREFIXES = ("ae.", "autoencoder.", "dictionary.", "model.", "module.", "sae.", "sparse_autoencoder.", "state_dict.")


def unwrapped(entries: Mapping[str, object], where: object) -> dict[str, object]:
    """The tensors and numbers of a checkpoint by their own names.

    Args:
        entries: what a file holds, or a mapping in memory.
        where: the file, for messages.

    Raises:
        CheckpointError: two dictionaries of tensors, or one under a name that does not say what it is, beside other
            things; settings that could change the activations; names that are the same without what is before them.
    """
    beside: dict[str, object] = {}
    while (holder := _holder(entries, where)) is not None:
        others = {name: value for name, value in entries.items() if name not in {holder, *_TRAINING}}
        for name in sorted(others.keys() & _SETTINGS):
            _require_harmless(others.pop(name), f"{where}: {name!r} beside {holder!r}")
        beside |= others
        entries = _named(entries[holder])
    names = bare_names(entries, where)
    found = {names[name]: value for name, value in entries.items()}
    twice = sorted(found.keys() & beside.keys())
    if twice:
        raise CheckpointError(f"{where}: {twice} are there twice, within the dictionary of tensors and beside it")
    return found | beside


def bare_names(names: Iterable[str], where: object) -> dict[str, str]:
    """Each name without what wrappers put before it; raises `CheckpointError` as `unwrapped`."""
    bare = {name: name.replace(_COMPILED, "") for name in names}
    while True:
        before = {next((p for p in _PREFIXES if own.startswith(p)), "") for own in bare.values()}
        if "" in before or not before:
            break
        if len(before) > 1:
            raise CheckpointError(
                f"{where} has tensors of {' and '.join(f'{p}*' for p in sorted(before))}: save those of the dictionary "
                "of features alone"
            )
        prefix = before.pop()
        bare = {name: own.removeprefix(prefix) for name, own in bare.items()}
    if len(set(bare.values())) < len(bare):
        own = list(bare.values())
        raise CheckpointError(f"{where} has {sorted(n for n, o in bare.items() if own.count(o) > 1)}: one tensor twice")
    return bare


def _holder(entries: Mapping[str, object], where: object) -> str | None:
    """The name of the one dictionary of tensors among the entries; None where they are tensors themselves."""
    if any(isinstance(value, Tensor) and value.ndim > 1 for value in entries.values()):
        return None
    holders = sorted(name for name, value in entries.items() if name not in _TRAINING and _holds_tensors(value))
    if not holders:
        return None
    if len(holders) > 1:
        raise CheckpointError(
            f"{where} has tensors in {' and in '.join(map(repr, holders))}, and only one can be the dictionary of "
            "features: save that one alone"
        )
    if holders[0] not in _HOLDERS and len(entries) > 1:
        raise CheckpointError(
            f"{where} has tensors in {holders[0]!r}, beside {sorted(entries.keys() - set(holders))}: if these are the "
            "dictionary of features, save them alone, or under 'state_dict'"
        )
    return holders[0]


def _holds_tensors(value: object) -> bool:
    """Whether it is a mapping with names in which there is a tensor that is more than a number, at any depth."""
    if not isinstance(value, Mapping) or not all(isinstance(name, str) for name in value):
        return False
    return any((isinstance(inner, Tensor) and inner.ndim > 0) or _holds_tensors(inner) for inner in value.values())


def _named(value: object) -> Mapping[str, object]:
    assert isinstance(value, Mapping)
    return value


def _require_harmless(settings: object, where: str) -> None:
    """Raise `CheckpointError` for settings of the training that could change an activation, such as ``k``."""
    if settings is None:
        return
    unknown = sorted(map(str, settings.keys() - _HARMLESS)) if isinstance(settings, Mapping) else [repr(settings)[:80]]
    if unknown:
        raise CheckpointError(
            f"{where} holds {', '.join(unknown)}: an unknown setting could change the activations. Save the tensors "
            "alone, with what they need, such as 'k' or 'threshold'"
        )
