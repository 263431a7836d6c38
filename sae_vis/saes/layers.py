"""Dictionaries for every layer of a model: sets of transcoders, releases with an SAE a layer, folders of those."""

from __future__ import annotations

import glob
import re
from collections.abc import Iterator
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path

import torch

from sae_vis.errors import CheckpointError, InputError
from sae_vis.neutral import neutrally
from sae_vis.saes.base import Dictionary
from sae_vis.saes.circuit_tracer_format import SET, TracerConfig, hook_name, read_config
from sae_vis.saes.formats import COMPANIONS, FILE_NAMES, format_of_folder, load_dictionary, located, split_source
from sae_vis.saes.layer_files import PATTERNS, layer_files

_HUB = re.compile(r"hf://(?P<repository>[^/]+/[^/]+)/(?P<file>[^?]+)(?:\?revision=(?P<revision>.+))?")


@dataclass(frozen=True, kw_only=True)
class _Options:
    """How each dictionary is loaded; as `load_dictionary`."""

    dtype: torch.dtype | None
    device: str | torch.device | None


@neutrally
def load_dictionaries(
    source: str | Path,
    *,
    match: str | None = None,
    subfolder: str | None = None,
    dtype: torch.dtype | None = None,
    device: str | torch.device | None = None,
    revision: str | None = None,
) -> dict[str, Dictionary]:
    """Load the dictionaries of a folder or repository that has one for each layer.

    It reads three kinds of folders:

    - one file a layer: circuit-tracer's sets and cross-layer transcoders, Gemma Scope 2's crosscoders and cross-layer
      transcoders, Qwen Scope;
    - a ``config.yaml`` of circuit-tracer that lists where its transcoders are;
    - checkpoints of any format in folders below: ``layers.0``, ``layers.1``, … of sparsify, or a release of SAELens.

    The dictionaries are in the order of the numbers in their names. One that names no hook point is called by its path.

    Args:
        source: a folder, or the id of a Hugging Face repository; ``organisation/repository:folder`` as for
            `load_dictionary`.
        match: which of them, where there are several for a layer: a glob pattern for paths within the folder, such as
            ``layer_*_width_16k_l0_small`` or ``resid_post_layer_*/trainer_1``.
        subfolder: the folder within ``source``.
        dtype: of the computation: float32, float16 or bfloat16; None: float32.
        device: where the weights go; None: CPU. All are held at once.
        revision: branch, tag or commit of a repository.

    Returns:
        The dictionaries, by the hook name at which each reads.

    Raises:
        CheckpointError: no dictionaries there; for each what `load_dictionary` raises.
        InputError: two that read the same place.
    """
    source, subfolder = split_source(source, subfolder)
    root = located(source, subfolder, revision, _patterns(subfolder, match))
    options = _Options(dtype=dtype, device=device)
    found: dict[str, Dictionary] = {}
    paths: dict[str, str] = {}
    for path, sae in _loaded(root, match, options):
        name = sae.reads[0].hook_name if len(sae.reads) == 1 else None
        name = name or path
        if name in found:
            raise InputError(
                f"{root} has several dictionaries that read {name}: {paths[name]} and {path}. Choose one for each "
                "layer with match=, a pattern for their paths, or give a folder further down"
            )
        found[name], paths[name] = sae, path
    if not found:
        which = f" whose path matches {match!r}" if match else ""
        raise CheckpointError(
            f"{root} has no dictionaries{which}: expected files such as layer_0.safetensors, layer_1.safetensors, …, "
            "or folders with a checkpoint each"
        )
    return found


def is_layer_set(source: str | Path) -> bool:
    """Whether a folder on disk is no checkpoint of one dictionary, but has several in it."""
    path = Path(source).expanduser()
    if not path.is_dir() or format_of_folder(path) is not None:
        return False
    config = read_config(path)
    return bool(config and config.files) or next(_units(path), None) is not None


def _loaded(root: Path, match: str | None, options: _Options) -> Iterator[tuple[str, Dictionary]]:
    """Path within the root, and dictionary."""
    config = read_config(root) if root.is_dir() else None
    if config is not None and config.files:
        yield from _listed(root, config, match, options)
        return
    for unit in _units(root):
        path = unit.relative_to(root).as_posix()
        if match is None or fnmatchcase(path, match):
            yield path, load_dictionary(unit, dtype=options.dtype, device=options.device)


def _units(folder: Path) -> Iterator[Path]:
    """Files and folders with one dictionary each, in the order of the numbers in their names."""
    if not folder.is_dir() or format_of_folder(folder) is not None:
        yield folder
        return
    files = layer_files(folder)
    yield from files
    if not files:
        for below in sorted((path for path in folder.iterdir() if path.is_dir()), key=_by_numbers):
            yield from _units(below)


def _by_numbers(path: Path) -> list[tuple[int, str]]:
    """``layers.10`` after ``layers.9``."""
    return [(int(part), "") if part.isdigit() else (-1, part) for part in re.split(r"(\d+)", path.name)]


def _listed(root: Path, config: TracerConfig, match: str | None, options: _Options) -> Iterator[tuple[str, Dictionary]]:
    """The transcoders that a ``config.yaml`` lists, of layer 0, 1, …, at the places that it names."""
    for layer, path in enumerate(config.files):
        if match is not None and not fnmatchcase(path, match):
            continue
        sae = _from_list(root, path, options)
        if config.kind == SET:
            sae.hook_name, sae.hook_name_out = hook_name(layer, config.reads), hook_name(layer, config.writes)
            sae.writes_elsewhere = True
        yield path, sae


def _from_list(root: Path, path: str, options: _Options) -> Dictionary:
    hub = _HUB.fullmatch(path)
    if hub is None:
        here = root / path
        return load_dictionary(here if here.exists() else path, dtype=options.dtype, device=options.device)
    return load_dictionary(
        hub["repository"],
        subfolder=hub["file"],
        revision=hub["revision"],
        dtype=options.dtype,
        device=options.device,
    )


def _patterns(subfolder: str | None, match: str | None) -> list[str]:
    """Which files of a repository to fetch: all of its dictionaries, or those of a pattern."""
    prefix = f"{glob.escape(subfolder)}/" if subfolder else ""
    names = [*map(glob.escape, FILE_NAMES), *PATTERNS]
    if match is None:
        return [prefix + name for name in names] + [f"{prefix}*/{name}" for name in names]
    whole = [prefix + name for name in PATTERNS[:2]]  # of a cross-layer transcoder all files are needed
    settings = [prefix + glob.escape(name) for name in COMPANIONS]
    return [prefix + match, *(f"{prefix}{match}/{name}" for name in names), *settings, *whole]
