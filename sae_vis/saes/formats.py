"""Any checkpoint, from a folder, a file or the Hugging Face hub: its format is recognised from the files in it."""

from __future__ import annotations

import glob
import re
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import cast

import torch
from torch import Tensor

from sae_vis.errors import CheckpointError, InputError
from sae_vis.models.wrapped import unwrapped
from sae_vis.neutral import neutrally
from sae_vis.saes import (
    circuit_tracer_format,
    crosscoder_formats,
    dictionary_learning_format,
    gemma_scope_2_format,
    gemma_scope_format,
    qwen_scope_format,
    saelens_config,
    sparsify_format,
    tensors,
)
from sae_vis.saes.base import Dictionary
from sae_vis.saes.circuit_tracer_format import load_transcoder
from sae_vis.saes.crosscoder import CrosscoderOptions
from sae_vis.saes.crosscoder_formats import load_clt_layer, load_crosscoder
from sae_vis.saes.dictionary_learning_format import load_dictionary_learning
from sae_vis.saes.directions import from_directions
from sae_vis.saes.gemma_scope_2_format import load_gemma_scope_2
from sae_vis.saes.gemma_scope_format import load_gemma_scope
from sae_vis.saes.layer_files import layer_files
from sae_vis.saes.module import Encoder, from_module
from sae_vis.saes.openai_format import load_openai, looks_like_openai
from sae_vis.saes.qwen_scope_format import load_qwen_scope
from sae_vis.saes.releases import load_release
from sae_vis.saes.saelens_format import load_sae
from sae_vis.saes.saelens_objects import SaeLensSae, from_sae_lens
from sae_vis.saes.sparsify_format import load_sparsify
from sae_vis.saes.tensors import TensorOptions, from_tensors, load_tensors
from sae_vis.saes.weights import SUFFIXES, entry_names
from sae_vis.saes.wrappings import unwrapped as without_wrappings

_REPOSITORY = re.compile(r"[\w.-]+/[\w.-]+")
_LOOKED_AT = 10_000  # paths below a folder without a checkpoint, to say where there is one


@dataclass(frozen=True, kw_only=True)
class Format:
    """One checkpoint format.

    Attributes:
        name: what ``format=`` calls it.
        files: names of the files that a folder of this format has, all of them; empty where the names are free.
        says: what it looks like, for error messages.
        fits: whether a lone weights file with these names in it is of this format.
        load: the dictionary at a path of this format.
    """

    name: str
    files: tuple[str, ...]
    says: str
    fits: Callable[[Path, frozenset[str]], bool]
    load: Callable[[Path, TensorOptions], Dictionary]


def _fits_dictionary_learning(file: Path, names: frozenset[str]) -> bool:
    """JumpReLU alone has names that any plain dictionary of tensors has: there, the configuration must be there too."""
    dict_class = dictionary_learning_format.class_of(names)
    configured = file.suffix == ".pt" and dictionary_learning_format.config_of(file) is not None
    return dict_class not in (None, "JumpReluAutoEncoder") or configured


def _crosscoder(path: Path, options: TensorOptions) -> Dictionary:
    return load_crosscoder(path, dtype=options.dtype, device=options.device)


def _clt_layer(path: Path, options: TensorOptions) -> Dictionary:
    found = crosscoder_formats.CLT_FILE.fullmatch(path.name)
    if found is None:
        raise CheckpointError(f"{path}: give the file of a layer, W_enc_0.safetensors, W_enc_1.safetensors, …")
    return load_clt_layer(path.parent, int(found[1]), CrosscoderOptions(dtype=options.dtype, device=options.device))


def _dictionary_learning(path: Path, options: TensorOptions) -> Dictionary:
    """Of this library, an autoencoder or a crosscoder: both may be called ``ae.pt``."""
    file = path / dictionary_learning_format.WEIGHTS_NAME if path.is_dir() else path
    if file.is_file() and crosscoder_formats.fits(entry_names(file)):
        return _crosscoder(file, options)
    return load_dictionary_learning(path, dtype=options.dtype, device=options.device)


FORMATS = (
    Format(
        name="saelens",
        files=(saelens_config.CONFIG_NAME, saelens_config.WEIGHTS_NAME),
        says="a folder with cfg.json and sae_weights.safetensors",
        fits=lambda file, names: False,
        load=lambda path, options: load_sae(_folder(path), dtype=options.dtype, device=options.device),
    ),
    Format(
        name="sparsify",
        files=(sparsify_format.CONFIG_NAME, sparsify_format.WEIGHTS_NAME),
        says="a folder with cfg.json and sae.safetensors",
        fits=lambda file, names: False,
        load=lambda path, options: load_sparsify(_folder(path), dtype=options.dtype, device=options.device),
    ),
    Format(
        name="crosscoder",
        files=(crosscoder_formats.WEIGHTS_NAME,),
        says="a folder with cc_weights.pt and cfg.json, or a BatchTopKCrossCoder's .pt or .safetensors",
        fits=lambda file, names: crosscoder_formats.fits(names),
        load=_crosscoder,
    ),
    Format(
        name="qwen_scope",
        files=(),
        says="a layer0.sae.pt, with the folder's config.json",
        fits=lambda file, names: (
            names == qwen_scope_format.TENSORS and qwen_scope_format.LAYER_FILE.fullmatch(file.name) is not None
        ),
        load=lambda path, options: load_qwen_scope(path, dtype=options.dtype, device=options.device),
    ),
    Format(
        name="dictionary_learning",
        files=(dictionary_learning_format.WEIGHTS_NAME,),
        says="a folder with ae.pt and config.json, or a .pt file of its tensors",
        fits=_fits_dictionary_learning,
        load=_dictionary_learning,
    ),
    Format(
        name="gemma_scope",
        files=(gemma_scope_format.WEIGHTS_NAME,),
        says="a params.npz, or the folder it is in",
        fits=lambda file, names: file.suffix == ".npz" and names == gemma_scope_format.TENSORS,
        load=lambda path, options: load_gemma_scope(path, dtype=options.dtype, device=options.device),
    ),
    Format(
        name="gemma_scope_2",
        files=(gemma_scope_2_format.WEIGHTS_NAME,),
        says="a folder with params.safetensors and config.json, or a params_layer_0.safetensors",
        fits=lambda file, names: file.suffix == ".safetensors" and gemma_scope_2_format.fits(names),
        load=lambda path, options: load_gemma_scope_2(path, dtype=options.dtype, device=options.device),
    ),
    Format(
        name="circuit_tracer",
        files=(),
        says="a layer_0.safetensors of a set of transcoders, with the folder's config.yaml",
        fits=circuit_tracer_format.fits,
        load=lambda path, options: load_transcoder(path, dtype=options.dtype, device=options.device),
    ),
    Format(
        name="clt",
        files=(),
        says="a W_enc_0.safetensors of a cross-layer transcoder, with W_dec_0.safetensors",
        fits=lambda file, names: file.stem in names and crosscoder_formats.CLT_FILE.fullmatch(file.name) is not None,
        load=_clt_layer,
    ),
    Format(
        name="openai",
        files=(),
        says="a .pt file with pre_bias, latent_bias, encoder.weight",
        fits=lambda file, names: looks_like_openai(names),
        load=lambda path, options: load_openai(path, dtype=options.dtype, device=options.device),
    ),
    Format(
        name="tensors",
        files=(),
        says="a .safetensors, .npz or .pt file with W_enc, W_dec and possibly b_enc, b_dec, threshold or k",
        fits=lambda file, names: names >= tensors.REQUIRED,
        load=load_tensors,
    ),
)
COMPANIONS = (
    dictionary_learning_format.CONFIG_NAME,
    sparsify_format.CONFIG_NAME,
    circuit_tracer_format.CONFIG_NAME,
)
FILE_NAMES = tuple(sorted({name for known in FORMATS for name in known.files} | set(COMPANIONS)))


@neutrally
def load_dictionary(
    source: str | Path,
    *,
    subfolder: str | None = None,
    format: str | None = None,  # noqa: A002 (the word that users look for)
    dtype: torch.dtype | None = None,
    device: str | torch.device | None = None,
    revision: str | None = None,
    apply_b_dec_to_input: bool | None = None,
) -> Dictionary:
    """Load a dictionary of features from a checkpoint of any known format, without the library that wrote it.

    Nothing in a checkpoint is run: pickles are read for tensors alone, and refused if there is anything else in them.

    Args:
        source: a folder, a weights file, or the id of a Hugging Face repository (``organisation/repository``). A path
            that exists comes first. Of a repository only the files of the checkpoint are fetched, through the usual
            cache; with ``HF_HUB_OFFLINE=1`` from the cache alone. ``organisation/repository:folder`` names the
            subfolder, too, and ``release:sae_id`` an SAE of SAELens' releases (`load_release`).
        subfolder: the checkpoint's folder or weights file within ``source``.
        format: name of a `Format` in `FORMATS`; None: recognised from the files.
        dtype: of the computation: float32, float16 or bfloat16; None: float32, into which halves are widened exactly.
        device: where the weights go; None: CPU.
        revision: branch, tag or commit of a repository.
        apply_b_dec_to_input: for plain tensors alone, which don't say (`TensorOptions`).

    Returns:
        The dictionary.

    Raises:
        CheckpointError: nothing there, no format recognised (the error lists the known), a file that can't be read as
            what it says it is.
        InputError: an unknown format name or a dtype that is not supported.
    """
    options = TensorOptions(
        apply_b_dec_to_input=apply_b_dec_to_input, dtype=dtype or torch.float32, device=device or "cpu"
    )
    known = None if format is None else _named(format)
    source, subfolder = split_source(source, subfolder)
    release, _, sae_id = str(source).partition(":")
    if release and sae_id and subfolder is None and not Path(source).expanduser().exists():
        return load_release(release, sae_id, dtype=dtype, device=device)
    path = _entered(located(source, subfolder, revision, _patterns(subfolder)))
    found = known or recognise(path)
    if apply_b_dec_to_input is not None and found.name != "tensors":
        raise InputError(
            f"apply_b_dec_to_input is for plain tensors; {path} is of format {found.name}, which says that itself"
        )
    return found.load(path, options)


@neutrally
def as_dictionary(sae: object, *, hook_name: str | None = None) -> Dictionary:
    """Turn whatever can serve as a dictionary of features into one.

    Args:
        sae: a `Dictionary`; a path or repository id (`load_dictionary`); a SAELens SAE in memory; a mapping of tensors
            (`from_tensors`); a matrix of directions (`from_directions`); anything with ``encode`` and decoder
            directions (`from_module`). ``torch.compile`` and ``DataParallel`` around it are taken off.
        hook_name: where it reads, for those that don't say: tensors, directions, modules.

    Returns:
        The dictionary.

    Raises:
        InputError: none of these, and what the functions above raise.
    """
    if isinstance(sae, Dictionary):
        return sae
    sae = unwrapped(sae)
    if isinstance(sae, str | Path):
        return load_dictionary(sae)
    if isinstance(sae, Mapping):
        return from_tensors(without_wrappings(sae, "memory"), TensorOptions(hook_name=hook_name))  # type: ignore[arg-type]
    if isinstance(sae, Tensor):
        return from_directions(sae, hook_name=hook_name)
    sae_lens = sys.modules.get("sae_lens")  # an object of its class can't be there without it
    if sae_lens is not None and isinstance(sae, sae_lens.SAE):
        return from_sae_lens(cast("SaeLensSae", sae))
    if callable(getattr(sae, "encode", None)):
        return from_module(cast("Encoder", sae), hook_name=hook_name)
    raise InputError(
        f"{type(sae).__name__} is not a dictionary of features; give a path, a repository id, a SAELens SAE, a mapping "
        "of tensors, a matrix of directions, or a module with encode and decoder directions"
    )


def split_source(source: str | Path, subfolder: str | None) -> tuple[str | Path, str | None]:
    """``organisation/repository:folder`` as repository and folder; anything else as it is."""
    repository, _, folder = str(source).partition(":")
    if subfolder is None and folder and _REPOSITORY.fullmatch(repository) and not Path(source).expanduser().exists():
        return repository, folder
    return source, subfolder


def recognise(path: Path) -> Format:
    """The format of a folder or weights file; raises `CheckpointError` if it is none that is known."""
    if not path.is_dir():
        return _of_file(path)
    found = format_of_folder(path)
    if found is not None:
        return found
    raise CheckpointError(f"{path} has no known checkpoint{_inside(path)}. {_known()}")


def format_of_folder(folder: Path) -> Format | None:
    """The format whose files a folder has, or None."""
    complete = (known for known in FORMATS if all((folder / name).is_file() for name in known.files))
    return next((known for known in complete if known.files), None)


def _entered(path: Path) -> Path:
    """The one weights file of a folder whose names say nothing; otherwise the path itself."""
    if not path.is_dir() or format_of_folder(path) is not None:
        return path
    lone = [file for file in path.iterdir() if file.suffix in SUFFIXES]
    return lone[0] if len(lone) == 1 else path


def _of_file(file: Path) -> Format:
    for known in FORMATS:
        if file.name in known.files and all((file.parent / name).is_file() for name in known.files):
            return known
    names = entry_names(file)
    found = next((known for known in FORMATS if known.fits(file, names)), None)
    if found is None:
        shown = sorted(names)[:12] + (["…"] if len(names) > 12 else [])
        raise CheckpointError(f"{file} is of no known format; it has {shown}. {_known()}")
    return found


def _inside(folder: Path) -> str:
    """What folders below have checkpoints, for an error message."""
    layers = [file.name for file in layer_files(folder)]
    if layers:
        shown = ", ".join(layers[:3]) + (", …" if len(layers) > 3 else "")
        return (
            f" of its own, but one for each layer ({shown}): give one as subfolder=, or read all by load_dictionaries"
        )
    markers = {name for known in FORMATS for name in known.files} - set(COMPANIONS)
    looked_at = islice(folder.rglob("*"), _LOOKED_AT)
    files = (file for file in looked_at if file.name in markers)
    folders = sorted({file.parent.relative_to(folder).as_posix() for file in files})
    if not folders:
        return ""
    more = f" and {len(folders) - 5} more" if len(folders) > 5 else ""
    return f" of its own, but there are some in {', '.join(folders[:5])}{more}: give subfolder="


def _known() -> str:
    listed = "; ".join(f"{known.name} ({known.says})" for known in FORMATS)
    return f"Known formats: {listed}"


def _named(name: str) -> Format:
    found = next((known for known in FORMATS if known.name == name), None)
    if found is None:
        raise InputError(f"format {name!r} is unknown; choose one of {[known.name for known in FORMATS]}")
    return found


def _folder(path: Path) -> Path:
    """The folder of a checkpoint that was given by one of its files."""
    return path.parent if path.is_file() else path


def located(source: str | Path, subfolder: str | None, revision: str | None, patterns: list[str]) -> Path:
    """The local path of a checkpoint, fetched where it has to be: of a repository the files of some glob patterns."""
    path = Path(source).expanduser()
    if not path.exists() and isinstance(source, str) and _REPOSITORY.fullmatch(source):
        path = _fetched(source, patterns, revision)
    elif revision is not None:
        raise InputError(f"revision {revision!r} is for a Hugging Face repository, but {path} is a path")
    whole = path / subfolder if subfolder else path
    if not whole.exists():
        raise CheckpointError(
            f"{whole} does not exist: give a folder, a weights file, or the id of a Hugging Face repository "
            "(organisation/repository)"
        )
    return whole


def _fetched(repository: str, patterns: list[str], revision: str | None) -> Path:
    """The cached copy of a repository, with the files of these patterns in it."""
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HfHubHTTPError

    try:
        return Path(snapshot_download(repository, revision=revision, allow_patterns=patterns))
    except (OSError, ValueError, HfHubHTTPError) as error:
        reason = str(error).strip().split("\n", maxsplit=1)[0][:200]
        raise CheckpointError(
            f"{repository} is not a path here, and could not be fetched from the Hugging Face hub ({reason}): check "
            "the name, the network, and that you may read it (hf auth login)"
        ) from error


def _patterns(subfolder: str | None) -> list[str]:
    """The names of the files to fetch: of a whole repository of SAEs only those of one checkpoint."""
    inner = Path(subfolder or "")
    if inner.suffix in SUFFIXES:
        folders = [inner.parent, inner.parent.parent]
        names = [inner, *(folder / name for folder in folders for name in COMPANIONS)]
    else:
        names = [inner / name for name in FILE_NAMES]
    return [glob.escape(name.as_posix()) for name in names]
