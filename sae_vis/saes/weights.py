"""Tensors of a checkpoint file, read without running anything that is in it, and the checks all formats share.

A ``.pt`` file is a pickle, and a pickle can hold code. It is read by ``torch.load(weights_only=True)``, which builds
tensors, numbers, text and containers only; whatever else is in it is an error, never a question. ``.npz`` is read with
``allow_pickle=False``; safetensors can hold no code.
"""

from __future__ import annotations

import json
import math
import pickle
import re
import zipfile
import zlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TypeGuard

import numpy as np
import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from sae_vis.errors import CheckpointError, InputError
from sae_vis.saes.wrappings import bare_names, unwrapped

DTYPES = (torch.float32, torch.float16, torch.bfloat16)
STORED_DTYPES = (*DTYPES, torch.float64)
SUFFIXES = (".safetensors", ".npz", ".pt", ".pth", ".bin")


def read_json(file: Path) -> dict[str, object]:
    """The JSON object in a file; raises `CheckpointError`."""
    try:
        found = json.loads(file.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise CheckpointError(f"{file} does not exist: it says what the weights beside it are; fetch it, too") from None
    except (OSError, UnicodeDecodeError, json.JSONDecodeError) as error:
        raise CheckpointError(f"{file} is not readable JSON: {error}") from error
    if not isinstance(found, dict):
        raise CheckpointError(f"{file} must hold a JSON object; found {type(found).__name__}")
    return found


def read_yaml(file: Path) -> dict[str, object]:
    """The YAML mapping in a file, read for plain values alone; raises `CheckpointError`."""
    import yaml  # comes with huggingface_hub

    try:
        found: object = yaml.safe_load(file.read_text(encoding="utf-8"))  # type: ignore[no-untyped-call]
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        reason = " ".join(str(error).split())[:200]
        raise CheckpointError(f"{file} is not readable YAML: {reason}") from error
    if not _is_named(found):
        raise CheckpointError(f"{file} must hold settings by name; found {type(found).__name__}")
    return dict(found)


def check_keys(raw: Mapping[str, object], honoured: frozenset[str], recorded: frozenset[str], file: object) -> None:
    """Raises `CheckpointError` for a setting that is neither honoured nor known to change no activation."""
    unknown = sorted(raw.keys() - honoured - recorded)
    if unknown:
        raise CheckpointError(
            f"{file} has unknown keys {unknown}: an unknown setting could change the activations. "
            f"Keys that are honoured: {sorted(honoured)}; known to change no activation: {sorted(recorded)}"
        )


def flag(name: str, value: object, where: object) -> bool:
    """A setting that is true or false; raises `CheckpointError`."""
    if not isinstance(value, bool):
        raise CheckpointError(f"{where}: {name} must be true or false; found {value!r}")
    return value


def read_entries(file: Path) -> dict[str, object]:
    """What a weights file holds, by name: tensors on CPU, in ``.pt`` plain values, too. Raises `CheckpointError`.

    What training scripts wrap around tensors and names is taken off (`sae_vis.saes.wrappings`).
    """
    if not file.is_file():
        raise CheckpointError(
            f"{file} does not exist, or is not a file: give the path of the weights or of their folder"
        )
    if file.suffix == ".safetensors":
        return unwrapped(_read_safetensors(file), file)
    if file.suffix == ".npz":
        return unwrapped(_read_npz(file), file)
    if file.suffix in SUFFIXES:
        return unwrapped(_read_torch(file), file)
    raise CheckpointError(f"{file}: weights are read from files that end in {', '.join(SUFFIXES)}; convert it to one")


def entry_names(file: Path) -> frozenset[str]:
    """The names in a weights file, without reading its numbers. Errors as `read_entries`."""
    if file.is_file() and file.suffix == ".safetensors":
        try:
            with safe_open(file, framework="pt") as opened:
                return frozenset(bare_names(opened.keys(), file).values())
        except (SafetensorError, OSError) as error:
            raise _damaged(file, "safetensors", error) from error
    if file.is_file() and file.suffix == ".npz":
        with _opened_npz(file) as archive:
            return frozenset(bare_names(archive.files, file).values())
    if file.is_file() and file.suffix in SUFFIXES:
        return frozenset(unwrapped(_read_torch(file, mmap=True), file))
    return frozenset(read_entries(file))


def only_tensors(entries: Mapping[str, object], where: object) -> dict[str, Tensor]:
    """``entries``, all of which must be tensors; raises `CheckpointError` naming those that are not."""
    others = sorted(name for name, value in entries.items() if not isinstance(value, Tensor))
    if others:
        raise CheckpointError(f"{where}: {others} must be tensors; found {type(entries[others[0]]).__name__}")
    return {name: value.detach() for name, value in entries.items() if isinstance(value, Tensor)}


def tensors_but_k(entries: Mapping[str, object], where: object) -> dict[str, Tensor]:
    """The tensors of an encoder that is a TopK with a number ``k``, a JumpReLU with ``threshold``, or neither.

    A threshold may be one number. Raises `CheckpointError` where both are there, or anything else is no tensor.
    """
    if "k" in entries and "threshold" in entries:
        raise CheckpointError(f"{where}: both k (TopK) and threshold (JumpReLU); give the one that the encoder uses")
    numbers = {name: value for name, value in entries.items() if name != "k"}
    if isinstance(numbers.get("threshold"), float | int):
        numbers["threshold"] = torch.tensor(float(str(numbers["threshold"])))
    return only_tensors(numbers, where)


def check_names(
    found: Mapping[str, object], expected: set[str], where: object, *, what: str, optional: frozenset[str] = frozenset()
) -> None:
    """Raises `CheckpointError` unless the names are ``expected``, possibly with some of ``optional``."""
    missing, extra = sorted(expected - found.keys()), sorted(found.keys() - expected - optional)
    if missing or extra:
        also = f" and may have {sorted(optional)}" if optional else ""
        raise CheckpointError(
            f"{where}: {what} has the tensors {sorted(expected)}{also}; missing: {missing}, unexpected: {extra}"
        )


def check_tensor(name: str, tensor: Tensor, shape: list[int], where: object, *, reason: str) -> None:
    """Raises `CheckpointError` for another shape, a dtype that holds no weights, NaN or infinity.

    Args:
        name: what the tensor is called in the file.
        tensor: what was found.
        shape: what it must have.
        where: the file, for the message.
        reason: where ``shape`` comes from, such as ``d_in 12, d_sae 64 in cfg.json``.
    """
    if list(tensor.shape) != shape:
        raise CheckpointError(f"{where}: {name} has shape {list(tensor.shape)}; expected {shape} ({reason})")
    if tensor.dtype not in STORED_DTYPES:
        raise CheckpointError(
            f"{where}: {name} is {dtype_names([tensor.dtype])}; expected one of {dtype_names(STORED_DTYPES)}"
        )
    if tensor.layout != torch.strided:
        raise CheckpointError(f"{where}: {name} is stored as {tensor.layout}; expected an ordinary dense tensor")
    finite = torch.isfinite(tensor)
    if not bool(finite.all()):
        raise CheckpointError(f"{where}: {name} holds {int((~finite).sum())} values that are NaN or infinite")


def matrix_shape(name: str, tensor: Tensor, where: object) -> tuple[int, int]:
    """The two sizes of a matrix; raises `CheckpointError` for anything else, or if one is 0."""
    if tensor.ndim != 2 or 0 in tensor.shape:
        raise CheckpointError(f"{where}: {name} must be a matrix; found shape {list(tensor.shape)}")
    return tensor.shape[0], tensor.shape[1]


def scalar(name: str, value: object, where: object) -> float:
    """A number, or a tensor of one number; raises `CheckpointError`."""
    if isinstance(value, Tensor) and value.numel() == 1:
        value = value.item()
    if isinstance(value, bool) or not isinstance(value, int | float) or math.isnan(value):
        shown = f"a tensor of shape {list(value.shape)}" if isinstance(value, Tensor) else repr(value)
        raise CheckpointError(f"{where}: {name} must be one number; found {shown}")
    return value


def count(name: str, value: object, where: object, *, most: int | None = None) -> int:
    """A positive whole number, at most ``most``; raises `CheckpointError`."""
    number = scalar(name, value, where)
    if number < 1 or number != int(number):
        raise CheckpointError(f"{where}: {name} must be a positive integer; found {number}")
    if most is not None and number > most:
        raise CheckpointError(f"{where}: {name} is {number}, but there are only {most} features")
    return int(number)


def converted(
    weights: Mapping[str, Tensor], dtype: torch.dtype, device: str | torch.device | None, where: object
) -> dict[str, Tensor]:
    """The weights in the dtype of the computation, strides kept; a value too large for it raises `CheckpointError`."""
    made = {name: tensor.to(device or tensor.device, dtype) for name, tensor in weights.items()}
    for name, tensor in made.items():
        if tensor.dtype != weights[name].dtype and bool(torch.isinf(tensor).any()):
            raise CheckpointError(
                f"{where}: {name} has values up to {float(weights[name].abs().max()):.3g}, too large for "
                f"{dtype_names([dtype])}: choose bfloat16 or float32"
            )
    return made


def facts(
    name: str, architecture: str, source: object, stored: Tensor, metadata: Mapping[str, object]
) -> dict[str, object]:
    """What a dictionary says about its checkpoint, for the manifest: no part of the fingerprint.

    Args:
        name: of the format.
        architecture: in the format's own words.
        source: path, or ``memory``.
        stored: a tensor as it is in the file.
        metadata: JSON-able.
    """
    return {
        "format": name,
        "architecture": architecture,
        "source": _source(str(source)),
        "stored_dtype": dtype_names([stored.dtype]),
        "metadata": dict(metadata),
    }


def check_dtype(dtype: torch.dtype) -> None:
    """Raises `InputError` for a dtype that encoders can't compute in."""
    if dtype not in DTYPES:
        raise InputError(f"dtype {dtype} is not supported for an SAE; choose one of {dtype_names(DTYPES)}")


def dtype_names(dtypes: tuple[torch.dtype, ...] | list[torch.dtype]) -> str:
    """``float32, float16``."""
    return ", ".join(str(dtype).removeprefix("torch.") for dtype in dtypes)


def _read_safetensors(file: Path) -> dict[str, Tensor]:
    try:
        with safe_open(file, framework="pt") as opened:
            return {name: opened.get_tensor(name) for name in opened.keys()}  # noqa: SIM118
    except (SafetensorError, OSError) as error:
        raise _damaged(file, "safetensors", error) from error


@contextmanager
def _opened_npz(file: Path) -> Iterator[np.lib.npyio.NpzFile]:
    with file.open("rb") as handle:  # numpy leaves a path that it opened itself open where reading fails
        try:
            opened = np.load(handle, allow_pickle=False)
        except (OSError, ValueError, EOFError, zipfile.BadZipFile) as error:
            raise _damaged(file, "npz", error) from error
        if not isinstance(opened, np.lib.npyio.NpzFile):
            raise CheckpointError(f"{file} is not an archive of arrays, though its name ends in .npz: fetch it again")
        with opened:
            yield opened


def _read_npz(file: Path) -> dict[str, Tensor]:
    with _opened_npz(file) as archive:
        try:
            return {name: torch.from_numpy(archive[name]) for name in archive.files}
        except ValueError as error:  # from numpy, because of allow_pickle=False
            raise CheckpointError(
                f"{file} holds Python objects, which could run code when they are read: refused. "
                "Save plain arrays of numbers"
            ) from error
        except (OSError, EOFError, TypeError, zipfile.BadZipFile, zlib.error) as error:
            raise _damaged(file, "npz", error) from error


def _read_torch(file: Path, *, mmap: bool = False) -> dict[str, object]:
    """Only torch's zip format: readers of the older ones have run code even with ``weights_only`` (CVE-2025-32434)."""
    if not zipfile.is_zipfile(file):
        raise CheckpointError(
            f"{file} is not a whole file in torch's zip format: fetch it again, "
            "or, if it was saved by torch before 1.6, load it where you trust it and save it again"
        )
    try:
        found = torch.load(file, map_location="cpu", weights_only=True, mmap=mmap)
    except pickle.UnpicklingError as error:
        raise CheckpointError(
            f"{file} holds Python objects, which could run code when they are read: refused. Load it where you trust "
            "it, and save its state_dict() alone"
        ) from error
    except (RuntimeError, OSError, EOFError, ValueError, KeyError) as error:
        raise _damaged(file, "torch", error) from error
    if not _is_named(found):
        raise CheckpointError(f"{file} must hold a dictionary of tensors by name; found {type(found).__name__}")
    return dict(found)


def _is_named(found: object) -> TypeGuard[Mapping[str, object]]:
    return isinstance(found, Mapping) and all(isinstance(name, str) for name in found)


def _damaged(file: Path, kind: str, error: Exception) -> CheckpointError:
    reason = str(error).split("\n", maxsplit=1)[0][:200]
    return CheckpointError(f"{file} is not a whole {kind} file ({reason}): fetch it again")


def _source(path: str) -> str:
    """A path in the Hugging Face cache as ``organisation/repository@commit/file``; other paths as they are."""
    found = re.search(r"models--([^/\\]+?)--([^/\\]+)[/\\]snapshots[/\\]([^/\\]+)(?:[/\\](.*))?$", path)
    if found is None:
        return path
    organisation, repository, commit, rest = found.groups()
    return f"{organisation}/{repository}@{commit}" + (f"/{rest}" if rest else "")
