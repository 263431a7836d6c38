"""An index of format 1 made one of format 2: the same numbers in other files. Nothing of the old one is changed."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from sae_vis.config import IndexConfig
from sae_vis.errors import DamagedIndexError, ForeignIndexError
from sae_vis.index.feature_table import mass_of
from sae_vis.index.files import FileRecord
from sae_vis.index.fired_tokens import token_columns
from sae_vis.index.index import Index
from sae_vis.index.lock import LOCK, build_lock
from sae_vis.index.manifest import FORMAT, MANIFEST, CodesRecord, Manifest, Provenance
from sae_vis.index.postings import Postings, sorted_by_act
from sae_vis.index.shards import RunCodes, offsets_of, plan_runs
from sae_vis.index.storage import DirectoryStore
from sae_vis.index.writing import (
    TOKENS,
    codes_record,
    part_record,
    single_records,
    write_codes,
    write_features,
    write_postings,
)

WORK = "build"
_MARK = f"{WORK}/convert.json"
Progress = Callable[[str, int, int], None]


def convert_index(
    old: str | Path, new: str | Path, *, config: IndexConfig | None = None, progress: Progress | None = None
) -> Index:
    """As `sae_vis.convert_index`, which gives it with pages."""
    config, note = config or IndexConfig(), progress or (lambda stage, done, total: None)
    store = DirectoryStore(Path(new))
    source = _Old(Path(old))
    if store.root.exists() and not store.exists(_MARK) and _holds_files(store.root):
        raise ForeignIndexError(f"{new} is not empty; nothing was written: choose a new or an empty directory")
    with build_lock(store.root):
        store.write_json(_MARK, {"from": str(old)})
        manifest = _converted(source, store, config, note)
        store.write_json(MANIFEST, manifest.to_json())
        store.delete(WORK)
    return Index.open(store.root)


def _holds_files(root: Path) -> bool:
    return not root.is_dir() or any(path.is_file() and path.name != LOCK for path in root.rglob("*"))


class _Old:
    """An index of format 1, its files compared with their checksums."""

    def __init__(self, root: Path) -> None:
        self.store = DirectoryStore(root)
        if not self.store.exists(MANIFEST):
            raise DamagedIndexError(f"{root} has no {MANIFEST}: there is no index to convert")
        self.facts = self.store.json(MANIFEST)
        found = self.facts.get("format"), self.facts.get("format_version")
        if found != (FORMAT, 1):
            raise DamagedIndexError(
                f"{root} has {found[0]!r}, format {found[1]}; only an index of format 1 is converted"
            )
        parts = [part["file"] for part in self.facts["parts"]]
        single = [self.facts.get(name) for name in ("tokens", "features", "vocabulary", "labels")]
        for record in [*parts, *(one for one in single if one)]:
            self.store.check(FileRecord.from_json(record), contents=True)
        self.provenance = Provenance(**self.facts["provenance"])
        self.tokens = self.store.arrays(self.facts["tokens"]["file"])
        self.n_tokens = len(self.tokens["tokens"])

    def postings(self) -> Iterator[tuple[int, Postings]]:
        """Each part's first feature and its postings."""
        for part in self.facts["parts"]:
            yield part["first_feature"], Postings(**self.store.arrays(part["file"]["file"]))


def _converted(old: _Old, store: DirectoryStore, config: IndexConfig, note: Progress) -> Manifest:
    """Write all files but the manifest."""
    store.write_arrays(TOKENS, old.tokens)
    for name in ("vocabulary", "labels"):
        if old.facts.get(name):
            store.write_table(old.facts[name]["file"], old.store.table(old.facts[name]["file"]))
    parts, n_parts, fresh = [], len(old.facts["parts"]), []
    for number, (first, postings) in enumerate(old.postings()):
        note("postings", number, n_parts)
        write_postings(store, number, postings, first)
        fresh.append(pa.table(_new_columns(postings, old, config)))
        if config.codes:
            store.write_arrays(_sorted_name(number), _by_position(postings, first))
        parts.append(part_record(store, number, first, postings.counts))
    note("postings", n_parts, n_parts)
    codes = _codes(old, store, n_parts, config, note) if config.codes else ()
    table = _in_order(old.store.table(old.facts["features"]["file"]), pa.concat_tables(fresh))
    lists, names = write_features(store, table.num_rows, lambda first, stop: table.slice(first, stop - first))
    return Manifest(
        version=old.facts["version"],
        versions=dict(old.facts.get("versions", {})),
        provenance=replace(old.provenance, settings={**_new_settings(config), **old.provenance.settings}),
        **single_records(store),
        parts=tuple(parts),
        codes=codes,
        lists=lists,
        list_columns=names,
        signed=old.facts.get("signed", False),
    )


def _new_settings(config: IndexConfig) -> dict[str, Any]:
    """Those that format 1 did not have."""
    return {"codes": config.codes, "fired_tokens": config.fired_tokens}


def _new_columns(postings: Postings, old: _Old, config: IndexConfig) -> dict[str, pa.Array]:
    """Columns that format 1 did not have, as a build makes them."""
    ordered = sorted_by_act(postings.feature, postings.acts)
    return {
        "mass": pa.array(mass_of(postings, ordered)),
        **(token_columns(postings, old.tokens["tokens"], config.fired_tokens) if config.fired_tokens else {}),
    }


def _in_order(table: pa.Table, fresh: pa.Table) -> pa.Table:
    """All columns in the order of a build."""
    columns = {}
    for name in table.column_names:
        columns[name] = table[name]
        if name == "kurtosis":
            columns["mass"] = fresh["mass"]
        if name == "acts_histogram":
            columns |= {one: fresh[one] for one in fresh.column_names if one != "mass"}
    return pa.table(columns)


def _by_position(postings: Postings, first: int) -> dict[str, NDArray[Any]]:
    """The firings of a part by position; those of one position by feature."""
    order = np.argsort(postings.positions, kind="stable")
    return {
        "positions": postings.positions[order],
        "features": (first + postings.feature[order]).astype(np.int32),
        "acts": postings.acts[order],
    }


def _codes(
    old: _Old, store: DirectoryStore, n_parts: int, config: IndexConfig, note: Progress
) -> tuple[CodesRecord, ...]:
    """Codes by position, run of sequences by run, merged from the parts' own."""
    offsets, counted = old.tokens["offsets"], old.tokens["counted"]
    runs, found = plan_runs(offsets, 0, len(offsets) - 1, config.shard_tokens), []
    parts = [store.arrays(_sorted_name(number)) for number in range(n_parts)]
    for number, (begin, end) in enumerate(runs):
        note("codes", int(offsets[begin]), old.n_tokens)
        start, stop = int(offsets[begin]), int(offsets[end])
        here = [_slice(part, start, stop) for part in parts]
        positions, features, acts = (
            np.concatenate([part[k] for part in here]) for k in ("positions", "features", "acts")
        )
        order = np.argsort(positions, kind="stable")  # parts ascend by feature
        rows = start + np.flatnonzero(counted[start:stop])
        counts = np.bincount(positions.astype(np.int64) - start, minlength=stop - start)[rows - start]
        codes = RunCodes(rows, offsets_of(counts), features[order], acts[order])
        write_codes(store, number, codes, old.n_tokens)
        found.append(codes_record(store, number, start, len(acts)))
    note("codes", old.n_tokens, old.n_tokens)
    return tuple(found)


def _slice(part: dict[str, NDArray[Any]], start: int, stop: int) -> dict[str, NDArray[Any]]:
    positions = part["positions"]
    low, high = np.searchsorted(positions, np.array([start, stop], dtype=positions.dtype))
    return {name: array[low:high] for name, array in part.items()}


def _sorted_name(number: int) -> str:
    return f"{WORK}/sorted-{number:05d}.safetensors"
