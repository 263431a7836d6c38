"""An index uploaded to an address, where `Index.open` then reads it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from sae_vis.errors import DamagedIndexError, IndexFileError, InputError
from sae_vis.index.index import Index
from sae_vis.index.manifest import MANIFEST, Manifest
from sae_vis.index.remote import RemoteStore, file_system, is_address

Progress = Callable[[str, int, int], None]
_KINDS = {"datasets": "dataset", "spaces": "space"}


class HubPlace(NamedTuple):
    """A folder of a repository on the Hugging Face hub."""

    kind: str
    repository: str
    folder: str


def push_index(path: str | Path, address: str, *, progress: Progress | None = None) -> None:
    """Upload an index, its files compared with their checksums first and its manifest last.

    Effects, comparisons and maps kept beside it are left out. To the hub it is one commit, and the repository is made
    where there is none.

    Args:
        path: of the index.
        address: of a directory: ``hf://datasets/USER/NAME``, ``s3://BUCKET/FOLDER``, whatever fsspec writes to.
        progress: called with stage, done, total.

    Raises:
        InputError: no address, or one that names no repository.
        DamagedIndexError: no index, or a damaged one.
        ForeignIndexError: another index lies there.
        IndexFileError: the upload failed.
    """
    if not is_address(address):
        raise InputError(
            f"{address} is not an address to upload to; expected hf://datasets/USER/NAME, s3://… or the like"
        )
    index, root = Index.open(path, verify="contents"), Path(path)
    names = [*(record.file for record in index.manifest.files), MANIFEST]
    place = hub_place(address) if address.startswith("hf://") else None
    _require_room(index, address)
    try:
        if place is not None:
            _to_hub(root, names, place)
        else:
            _to_file_system(root, names, address, progress or (lambda stage, done, total: None))
    except Exception as error:  # file systems and the hub raise errors of many kinds
        raise IndexFileError(f"could not upload to {address}: {type(error).__name__}: {error}") from error


def hub_place(address: str) -> HubPlace:
    """What an ``hf://`` address names. Raises `InputError` where that is no repository."""
    parts = address.removeprefix("hf://").strip("/").split("/")
    kind = _KINDS.get(parts[0], "model")
    parts = parts[1:] if parts[0] in _KINDS else parts
    if len(parts) < 2 or not all(parts):
        raise InputError(f"{address} names no repository of the hub; expected hf://datasets/USER/NAME")
    return HubPlace(kind, "/".join(parts[:2]), "/".join(parts[2:]))


def _require_room(index: Index, address: str) -> None:
    """Raise `ForeignIndexError` if another index lies at the address."""
    store = RemoteStore(address)
    try:
        found = store.json(MANIFEST)
    except DamagedIndexError as error:
        if isinstance(error.__cause__, FileNotFoundError):
            return
        raise
    index.manifest.provenance.require_same(Manifest.from_json(found, address).provenance, address)


def _to_hub(root: Path, names: list[str], place: HubPlace) -> None:
    from huggingface_hub import HfApi

    api = HfApi()
    api.create_repo(place.repository, repo_type=place.kind, exist_ok=True)
    api.upload_folder(
        repo_id=place.repository,
        repo_type=place.kind,
        folder_path=root,
        path_in_repo=place.folder or None,
        allow_patterns=names,
        commit_message="Upload an index of sae_vis",
    )


def _to_file_system(root: Path, names: list[str], address: str, note: Progress) -> None:
    system, place = file_system(address)
    for number, name in enumerate(names):  # the manifest last: what has one is whole
        note("upload", number, len(names))
        system.makedirs(f"{place}/{name}".rpartition("/")[0], exist_ok=True)
        system.put_file(str(root / name), f"{place}/{name}")
    note("upload", len(names), len(names))
