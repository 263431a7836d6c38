"""Models and SAEs, whatever they are given as, put together."""

from __future__ import annotations

from os import PathLike
from typing import Any

from sae_vis.compat.config import SaeVisConfig
from sae_vis.compat.options import CreateOptions
from sae_vis.errors import InputError
from sae_vis.models.any_model import as_model
from sae_vis.models.base import LanguageModel
from sae_vis.models.loading import load_model
from sae_vis.parts import ModelAndSae, Names
from sae_vis.saes.formats import as_dictionary


def every_part(
    sae: object, sae_b: object, model: object, cfg: SaeVisConfig, options: CreateOptions
) -> list[ModelAndSae]:
    """Model and SAE, and the second SAE if there is one.

    Raises:
        InputError: one that is missing, a hook point given twice, a feature that the SAE does not have.
    """
    if sae is None or model is None:
        raise InputError(MISSING)
    hook = _one_hook(options.hook, cfg.hook_point)
    first = _parts(sae, _models(model, cfg), hook, options.hook_out, options.effects_model)
    _require_features(cfg.features, first)
    return [first] if sae_b is None else [first, _parts(sae_b, first.model, options.hook_B, None, 0)]


MISSING = "SaeVisData.create needs all of sae=, model= and tokens="


def _one_hook(hook: Names, hook_point: str | None) -> Names:
    """The hook point, which has two names; raises `InputError` where they say different things."""
    if hook is not None and hook_point is not None and hook != hook_point:
        raise InputError("hook and hook_point are two names of one parameter, and both are given; give one")
    return hook_point if hook is None else hook


def _models(model: object, cfg: SaeVisConfig) -> object:
    """The model or models, those given by name loaded as the settings say."""
    if cfg.device is None and cfg.dtype is None:
        return model
    return [_model(one, cfg) for one in model] if isinstance(model, list | tuple) else _model(model, cfg)


def _model(model: object, cfg: SaeVisConfig) -> object:
    if isinstance(model, str | PathLike):
        return load_model(model, dtype=cfg.dtype, device=cfg.device)  # type: ignore[arg-type]
    module: Any = getattr(model, "model", model) if isinstance(model, LanguageModel) else model
    first = next(module.parameters())
    for name, asked, found in (("device", cfg.device, first.device.type), ("dtype", cfg.dtype, first.dtype)):
        wanted = None if asked is None else str(asked).removeprefix("torch.").partition(":")[0]
        if wanted is not None and wanted != str(found).removeprefix("torch."):
            raise InputError(
                f"SaeVisConfig.{name} is {str(asked)!r}, but the model given is in {found}; it is used as it is: "
                "convert it yourself, such as by model.to(…)"
            )
    return model


def _require_features(features: object, parts: ModelAndSae) -> None:
    """Raise `InputError` for a feature that the SAE does not have, before it is run."""
    wrong = [feature for feature in features or () if not 0 <= feature < parts.sae.d_sae]  # type: ignore[attr-defined]
    if wrong:
        raise InputError(f"feature {wrong[0]} does not exist: the SAE has features 0 to {parts.sae.d_sae - 1}")


def _parts(sae: object, model: object, hook: Names, hook_out: Names, effects_model: int) -> ModelAndSae:
    """The first SAE with its model, or models."""
    first, *others = [as_model(one) for one in (model if isinstance(model, list | tuple) else [model])]
    return ModelAndSae(
        model=first,
        sae=as_dictionary(sae, hook_name=hook if isinstance(hook, str) else None),
        hook=hook,
        hook_out=hook_out,
        other_models=tuple(others),
        effects_model=effects_model,
    )
