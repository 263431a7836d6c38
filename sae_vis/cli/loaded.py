"""What the options of commands name: models, SAEs, layouts."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from sae_vis.cli.said import hide_loading_bars

if TYPE_CHECKING:
    from sae_vis.index.index import Index
    from sae_vis.layout import SaeVisLayoutConfig
    from sae_vis.models.huggingface import HuggingFaceModel
    from sae_vis.parts import ModelAndSae
    from sae_vis.saes.base import Dictionary


def load_parts(
    model: str, sae: str, hooks: tuple[str | None, str | None], dtype: str | None, device: str | None = None
) -> ModelAndSae:
    """Model and SAE by their names; `hooks`: where the SAE reads and writes; `device`: as `load_placed` has it."""
    from sae_vis.parts import ModelAndSae
    from sae_vis.saes.formats import load_dictionary

    hide_loading_bars()
    hook, hook_out = hooks
    found = load_dictionary(sae, device=sae_device(device))
    return ModelAndSae(model=load_placed(model, dtype, device), sae=found, hook=hook, hook_out=hook_out)


def known_parts(index: Index, at: str, model: str | None, sae: str | None) -> tuple[str, str]:
    """Where model and SAE are: as given, else in the folders that the index was made from, where they are still there.

    Args:
        index: the index.
        at: where it is, for the message.
        model: as given, None for nothing.
        sae: likewise.

    Raises:
        InputError: not given, and not to be found.
    """
    from sae_vis.errors import InputError

    made = index.manifest.provenance
    sources = {"model": str((made.model or {}).get("source", "")), "sae": str(made.sae.get("source", ""))}
    given = {"model": model, "sae": sae}
    found = {name: given[name] or (sources[name] if _is_there(sources[name]) else None) for name in given}
    if found["model"] is not None and found["sae"] is not None:
        return found["model"], found["sae"]
    names = {"model": str((made.model or {}).get("name", "MODEL")), "sae": "SAE"}  # of a hub, where it was no folder
    lacking = [name for name in given if found[name] is None]
    what = " and ".join(f"the {name.replace('sae', 'SAE')} {sources[name] or names[name]}" for name in lacking)
    options = " ".join(f"--{name} {name.upper() if sources[name] else names[name]}" for name in lacking)
    raise InputError(
        f"the index was made with {what}, of which this machine has no folder: say where to load from, as in "
        f"sae-vis prompt {at} TEXT {options}"
    )


def _is_there(source: str) -> bool:
    """Whether a source is a file or a folder of this machine."""
    return Path(source).is_absolute() and Path(source).exists()


def load_placed(model: str, dtype: str | None, device: str | None) -> HuggingFaceModel:
    """A model by its name, on a device, or, where that is ``auto``, spread over what there is."""
    from sae_vis.models.loading import load_model

    if device == "auto":
        return load_model(model, dtype=dtype, device_map=device)
    return load_model(model, dtype=dtype, device=device)


def sae_device(device: str | None) -> str | None:
    """Where the SAE of a model goes that is on a device: of one that is spread, to the first GPU."""
    import torch

    from sae_vis.errors import InputError

    if device is not None and device.startswith("cuda") and not torch.cuda.is_available():
        raise InputError(
            f"--device is {device}, but PyTorch sees no CUDA device here: leave it out, or install a driver"
        )
    return device if device != "auto" else "cuda" if torch.cuda.is_available() else None


def load_layers(sae: str, match: str | None, *, every_layer: bool, device: str | None = None) -> dict[str, Dictionary]:
    """Those of every layer, where `sae` has them; empty where it is one dictionary."""
    from sae_vis.errors import InputError
    from sae_vis.saes.layers import is_layer_set, load_dictionaries

    if every_layer or is_layer_set(sae):
        return load_dictionaries(sae, match=match, device=sae_device(device))
    if match is not None:
        raise InputError(f"--match chooses among the layers of --sae, but {sae} is one SAE: leave it out")
    return {}


def dtype_of(index: Index) -> str | None:
    """In which dtype the index's model was run."""
    made = index.manifest.provenance.model or {}
    return str(made["dtype"]) if "dtype" in made else None


def read_layout(path: Path | None) -> SaeVisLayoutConfig | None:
    """The layout in a JSON file; None for none."""
    from sae_vis.corpus.tokens import read_document
    from sae_vis.layout import SaeVisLayoutConfig

    return None if path is None else SaeVisLayoutConfig.from_json(read_document(path))
