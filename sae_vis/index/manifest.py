"""The manifest: what an index was made from, and which files it consists of."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sae_vis.errors import DamagedIndexError, ForeignIndexError
from sae_vis.index.files import FileRecord

FORMAT = "sae_vis index"
FORMAT_VERSION = 2
MANIFEST = "manifest.json"


PLACES_WRITTEN = "place that the dictionary writes to"


def written_place(write: dict[str, Any]) -> str:
    """What tells one place of `Provenance.writes` from another."""
    return f"{write['place']} of model {write['model']}" + (", measured" if write.get("measured") else "")


def mark_of(facts: Mapping[str, Any]) -> NDArray[np.uint8]:
    """SHA-256 of what something was made from, uint8 ``[32]``: kept with it, so that it is not taken for another's."""
    words = json.dumps(facts, sort_keys=True, default=str)
    return np.frombuffer(hashlib.sha256(words.encode()).digest(), dtype=np.uint8)


@dataclass(frozen=True, kw_only=True)
class Provenance:
    """What the numbers were made from. Two builds with equal ``identity`` give the same index.

    Attributes:
        model: facts about the model with its ``fingerprint``, or None where activations came from elsewhere.
        sae: facts about the SAE, with its ``fingerprint``.
        hook: the hook point: name, module, side, layer, site, width.
        corpus: source, sizes, mask in words, ``fingerprint`` of tokens and mask; where there are labels, ``labellings``
            with their names, labels and sizes, and ``labels_fingerprint``.
        settings: the settings that change a result (`IndexConfig.content`), whether there is token text, and which
            statistics were added.
        writes: where a dictionary writes that does so elsewhere than it reads, or at several places: ``name``,
            ``place`` (``module:side``) and number of the ``model`` of each place; of several models, whether it is the
            one that effects are ``measured`` on.
        reads: where a dictionary reads that does so at several places, likewise; `hook` is then all of them as one.
    """

    model: dict[str, Any] | None
    sae: dict[str, Any]
    hook: dict[str, Any]
    corpus: dict[str, Any]
    settings: dict[str, Any]
    writes: list[dict[str, Any]] = field(default_factory=list)
    reads: list[dict[str, Any]] = field(default_factory=list)

    @property
    def identity(self) -> dict[str, Any]:
        """What must agree for two builds to be the same, by a name a user understands."""
        inside_norm = self.hook.get("normalized", False)
        elsewhere = {} if not self.writes else {PLACES_WRITTEN: [written_place(one) for one in self.writes]}
        return {
            "model": self.model["fingerprint"] if self.model else None,
            "SAE": self.sae["fingerprint"],
            "hook point": f"{self.hook['module']}:{self.hook['side']}" + (":normalized" if inside_norm else ""),
            "corpus": self.corpus["fingerprint"],
            **elsewhere,
            **({"labelling": self.corpus["labels_fingerprint"]} if self.corpus.get("labels_fingerprint") else {}),
            **{f"setting {name}": value for name, value in self.settings.items()},
        }

    def require_same(self, found: Provenance, where: object) -> None:
        """Raise `ForeignIndexError`, naming what differs, if ``found`` was made from something else."""
        mine, theirs = self.identity, found.identity
        differing = [name for name in {**mine, **theirs} if mine.get(name) != theirs.get(name)]
        if differing:
            raise ForeignIndexError(
                f"{where} holds an index made from another {', '.join(differing)}"
                f"{found.other_dtype(self.model)}; nothing was written: "
                "choose another output directory, or delete that one"
            )

    def other_dtype(self, model: Mapping[str, Any] | None) -> str:
        """For messages: in which dtype the index's model was run, where ``model`` (as described) has another."""
        there, here = (self.model or {}).get("dtype"), (model or {}).get("dtype")
        return (
            f" (its model was run in {there}, the one given is in {here})" if there and here and there != here else ""
        )


@dataclass(frozen=True, kw_only=True)
class PartRecord:
    """One file of postings and the features it holds: ``first_feature`` to ``first_feature + n_features - 1``."""

    first_feature: int
    n_features: int
    n_firings: int
    file: FileRecord


@dataclass(frozen=True, kw_only=True)
class CodesRecord:
    """One file of codes by position: of the tokens from corpus position ``first_position`` to the next file's."""

    first_position: int
    n_firings: int
    file: FileRecord


@dataclass(frozen=True, kw_only=True)
class ListsRecord:
    """One file of the feature table's list columns: of features ``first_feature`` to ``… + n_features - 1``."""

    first_feature: int
    n_features: int
    file: FileRecord


@dataclass(frozen=True, kw_only=True)
class Manifest:
    """All that `manifest.json` says.

    Attributes:
        version: of sae_vis.
        versions: of Python and of the packages that compute the numbers; {} in older indices. No part of the identity.
        provenance: what the index was made from.
        tokens, features, vocabulary, labels: its files.
        parts: files of postings, by ascending feature.
        codes: files of codes by position, ascending; () where it was built without.
        lists: files of the feature table's list columns, by ascending feature.
        list_columns: names of these columns.
        signed: whether some activation is negative: then the feature table has a minimum, and histograms have bins
            below zero. In the file only where true.
    """

    version: str
    provenance: Provenance
    tokens: FileRecord
    features: FileRecord
    vocabulary: FileRecord | None
    labels: FileRecord | None = None
    parts: tuple[PartRecord, ...]
    codes: tuple[CodesRecord, ...] = ()
    lists: tuple[ListsRecord, ...] = ()
    list_columns: tuple[str, ...] = ()
    versions: dict[str, str] = field(default_factory=dict)
    signed: bool = False

    def to_json(self) -> dict[str, Any]:
        """As written to disk."""
        single = {name: getattr(self, name) for name in _FILES}
        return {
            "format": FORMAT,
            "format_version": FORMAT_VERSION,
            "version": self.version,
            "versions": self.versions,
            "provenance": asdict(self.provenance),
            **{name: one.to_json() for name, one in single.items() if one is not None},
            **{name: [_with_file(one) for one in getattr(self, name)] for name in _SERIES},
            "list_columns": list(self.list_columns),
            **({"signed": True} if self.signed else {}),
        }

    @property
    def files(self) -> tuple[FileRecord, ...]:
        """All files of the index but the manifest itself."""
        single = (getattr(self, name) for name in _FILES)
        series = (one.file for name in _SERIES for one in getattr(self, name))
        return tuple(record for record in (*single, *series) if record is not None)

    @classmethod
    def from_json(cls, value: dict[str, Any], where: object) -> Manifest:
        """Read back; raises `DamagedIndexError` if it isn't a manifest this version can read."""
        if value.get("format") != FORMAT:
            raise DamagedIndexError(f"{where} is not the manifest of a sae_vis index (format {value.get('format')!r})")
        if value.get("format_version") != FORMAT_VERSION:
            remedy = (
                "make it one of this format: sae-vis convert OLD NEW"
                if value.get("format_version") == 1
                else "open it with the version that wrote it, or build it again"
            )
            raise DamagedIndexError(
                f"{where} has index format {value.get('format_version')}, this version reads {FORMAT_VERSION}; {remedy}"
            )
        try:
            single: dict[str, Any] = {name: FileRecord.from_json(value[name]) for name in _FILES if value.get(name)}
            series: dict[str, Any] = {
                name: tuple(kind(**{**one, "file": FileRecord.from_json(one["file"])}) for one in value[name])
                for name, kind in _SERIES.items()
            }
            return cls(
                version=value["version"],
                provenance=Provenance(**value["provenance"]),
                vocabulary=single.pop("vocabulary", None),
                list_columns=tuple(value["list_columns"]),
                versions=dict(value.get("versions", {})),
                signed=value.get("signed", False),
                **single,
                **series,
            )
        except (KeyError, TypeError) as error:
            raise DamagedIndexError(f"{where} is incomplete ({error}); build the index again") from error


_FILES = ("tokens", "vocabulary", "features", "labels")
_SERIES: dict[str, Any] = {"parts": PartRecord, "codes": CodesRecord, "lists": ListsRecord}


def _with_file(record: Any) -> dict[str, Any]:  # noqa: ANN401  any of the records above
    return {**asdict(record), "file": record.file.to_json()}
