"""The files of an index, opened: its corpus, and the columns of its feature table."""

from __future__ import annotations

from functools import cached_property
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from sae_vis.checks import shown, whole_number
from sae_vis.config import ActsDtype
from sae_vis.corpus.text import TokenText
from sae_vis.corpus.tokens import Corpus
from sae_vis.errors import DamagedIndexError, IndexFileError, InputError
from sae_vis.index.build_files import PLAN
from sae_vis.index.by_label import read_labellings, stored_labellings
from sae_vis.index.codes_by_position import CodeFiles
from sae_vis.index.decoder_map import MAP, neighbours_of
from sae_vis.index.explanations import TEXTS, WORDS, Explanations, WordTable, no_explanations, read_words, stored_words
from sae_vis.index.feature_rows import FeatureFiles
from sae_vis.index.manifest import MANIFEST, Manifest
from sae_vis.index.remote import RemoteStore, is_address
from sae_vis.index.storage import Arrays, DirectoryStore, Store
from sae_vis.saes.neighbours import Neighbours

if TYPE_CHECKING:
    from typing_extensions import Self

UNFINISHED = "an unfinished build; run the same command again to finish it"
SMALL_BYTES = 1 << 26
"""Files without checksums of their parts (tokens) are checked on opening up to this size."""


class OpenedIndex:
    """An index as it lies there: manifest, corpus, feature table."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self.manifest = Manifest.from_json(store.json(MANIFEST), MANIFEST)
        self.signed = self.manifest.signed
        arrays = store.arrays(self.manifest.tokens.file)
        self.tokens: NDArray[np.int32] = arrays["tokens"]
        self.offsets: NDArray[np.int64] = arrays["offsets"]
        self.documents: NDArray[np.int64] = arrays["documents"]
        self._counted: NDArray[np.uint8] = arrays["counted"]
        self.n_counted = int(self.manifest.provenance.corpus["n_counted"])
        self.labellings = read_labellings(self._label_facts, arrays)
        self.n_features = sum(part.n_features for part in self.manifest.parts)
        self._rows = FeatureFiles(store, self.manifest)
        self._codes = CodeFiles(store, self.manifest.codes)
        self._table: pa.Table | None = None
        self._held: dict[str, Arrays] = {}
        self._explained: Explanations | None = None

    @classmethod
    def open(cls, path: str | Path, *, verify: Literal["lazily", "contents", "sizes"] = "lazily") -> Self:
        """Open an index directory, or one at an address, of which only what is needed is fetched.

        Args:
            path: the directory, or the address of one: ``https://…``, ``s3://…``, ``hf://datasets/USER/NAME``, whatever
                fsspec reads.
            verify: ``lazily`` looks at the sizes of all files now (not at an address), and at the checksum of every
                part when it is read; ``contents`` compares every file with its checksum now (about a second a
                gigabyte), ``sizes`` only the sizes.

        Returns:
            The index.

        Raises:
            DamagedIndexError: no index there, or a missing, truncated or altered file, which is named.
            IndexFileError: an address that can't be read.
            InputError: an address for which a package is missing.
        """
        if not isinstance(path, (str, PathLike)):
            raise InputError(f"the index's path is {shown(path)}, expected a directory or an address")
        if is_address(path):
            return cls._at_address(str(path), verify)
        root = Path(path)
        store = DirectoryStore(root)
        if not store.exists(MANIFEST):
            state = UNFINISHED if (root / "build").exists() else ("no index" if root.exists() else "nothing")
            raise DamagedIndexError(f"{root} has no {MANIFEST}: there is {state}")
        manifest = Manifest.from_json(store.json(MANIFEST), root / MANIFEST)
        for record in manifest.files:
            small = verify == "lazily" and record.footer is None and record.bytes <= SMALL_BYTES
            store.check(record, contents=verify == "contents" or small)
        return cls(store)

    @classmethod
    def _at_address(cls, address: str, verify: str) -> Self:
        store = RemoteStore(address)
        try:
            index = cls(store)
        except DamagedIndexError as error:
            if isinstance(error.__cause__, FileNotFoundError) and store.exists(PLAN) and not store.exists(MANIFEST):
                raise DamagedIndexError(f"{address} has no {MANIFEST}: there is {UNFINISHED}") from error
            raise
        if verify != "lazily":
            for record in index.manifest.files:
                store.check(record, contents=verify == "contents")
        return index

    @property
    def features(self) -> pa.Table:
        """The feature table, one row a feature, all columns: at a million features about a gigabyte."""
        if self._table is None:
            self._table = self._rows.whole()
        return self._table

    @property
    def column_names(self) -> list[str]:
        """Of the feature table."""
        return self._rows.names

    @property
    def text(self) -> TokenText:
        """What the token ids spell; labels where the index was built without a tokenizer."""
        if self.manifest.vocabulary is None:
            return TokenText.labels()
        table = self._store.whole(self.manifest.vocabulary)
        ids, special = table["token"].to_numpy(), table["special"].to_numpy(zero_copy_only=False)
        return TokenText(dict(zip(ids.tolist(), table["bytes"].to_pylist(), strict=True)), ids[special].tolist())

    def neighbours(self, feature: int) -> Neighbours:
        """The nearest features of one by decoder direction, as `sae_vis.make_map` kept them.

        Args:
            feature: its id.

        Returns:
            ``[k]`` features with their cosines, nearest first.

        Raises:
            InputError: no such feature; none are kept.
            DamagedIndexError: a file that can't be read; it may be deleted.
        """
        self.require_feature(feature)
        return neighbours_of(self, int(feature))

    @property
    def has_map(self) -> bool:
        """Whether a map of decoder directions was kept beside the index (`sae_vis.make_map`)."""
        return self._store.exists(MAP) or MAP in self._held

    @property
    def has_explanations(self) -> bool:
        """Whether explanations of features are kept beside the index (`sae_vis.keep_explanations`)."""
        return self._explained is not None or self._store.exists(TEXTS)

    @property
    def explanations(self) -> Explanations:
        """What is said of the features, as it is kept beside the index; empty where nothing is.

        Raises:
            DamagedIndexError: a file that can't be read; deleting ``explanations/`` loses only what is in it.
        """
        if self._explained is None:
            if not self._store.exists(TEXTS):
                return no_explanations()
            self._explained = Explanations(self._store.table(TEXTS), self._words_of_explanations)
        return self._explained

    def write_explanations(self, explanations: Explanations) -> None:
        """Keep explanations beside the index, in place of those that are there.

        Args:
            explanations: all of them.

        Raises:
            IndexFileError: nothing can be written there.
        """
        self._store.write_table(WORDS, stored_words(explanations.words, explanations.mark))
        self._store.write_table(TEXTS, explanations.table)
        self._explained = explanations

    def _words_of_explanations(self, mark: str) -> WordTable | None:
        return read_words(self._store.table(WORDS), mark) if self._store.exists(WORDS) else None

    @property
    def acts_dtype(self) -> ActsDtype:
        """What the activations were rounded to before anything was computed; in memory they are float32."""
        found: ActsDtype = self.manifest.provenance.settings.get("acts_dtype", "float32")
        return found

    @cached_property
    def n_dead(self) -> int:
        """Number of features that never fire."""
        return int(np.count_nonzero(self.column("n_firings") == 0))

    @property
    def n_seqs(self) -> int:
        """Number of sequences of the corpus."""
        return len(self.offsets) - 1

    def column(self, name: str) -> NDArray[Any]:
        """A numeric column of the feature table.

        Args:
            name: of the column, such as ``density``.

        Returns:
            ``[n_features]``.
        """
        return self._rows.column(name)

    def lists(self, name: str, feature: int) -> NDArray[Any]:
        """One feature's entry in a list column of the feature table.

        Args:
            name: of the column, such as ``top_tokens``.
            feature: its id.

        Returns:
            The list, as an array.
        """
        self.require_feature(feature)
        values: NDArray[Any] = self.list_column(name, feature, feature + 1)[0].values.to_numpy(zero_copy_only=False)
        return values

    def list_rows(self, name: str, features: NDArray[np.int64]) -> pa.ListArray:
        """The entries of some features in a list column of the feature table.

        Args:
            name: of the column.
            features: int64 ``[n]`` ids.

        Returns:
            A list for each feature, in their order.
        """
        return self._rows.list_rows(name, features)

    def list_column(self, name: str, first: int = 0, stop: int | None = None) -> pa.ListArray:
        """A range of a list column of the feature table.

        Args:
            name: of the column.
            first: id of the first feature.
            stop: id after the last feature; None: all from ``first``.

        Returns:
            A list for each feature.
        """
        return self._rows.lists(name, first, self.n_features if stop is None else stop)

    def require_feature(self, feature: int) -> None:
        """Check that the dictionary has a feature.

        Args:
            feature: its id.

        Raises:
            InputError: there is no such feature.
        """
        if not 0 <= whole_number(feature, "a feature") < self.n_features:
            raise InputError(f"feature {feature} does not exist: the SAE has features 0 to {self.n_features - 1}")

    @property
    def counted(self) -> NDArray[np.bool_]:
        """Which tokens count, bool ``[n_tokens]``: the mask."""
        return self._counted.view(np.bool_)

    def kept(self, name: str) -> Arrays | None:
        """Arrays that `keep` has kept beside the index.

        Args:
            name: under which they were kept.

        Returns:
            The arrays by name; None where there are none.
        """
        return self._store.arrays(name) if self._store.exists(name) else self._held.get(name)

    def keep(self, name: str, arrays: Arrays) -> None:
        """Keep arrays beside the index. Where nothing can be written, they are kept as long as the index is open.

        Args:
            name: to find them by.
            arrays: by name.
        """
        try:
            self._store.write_arrays(name, arrays)
        except IndexFileError:  # an index that may only be read, or a full disk
            self._held[name] = arrays

    @property
    def _label_facts(self) -> list[dict[str, Any]]:
        return list(self.manifest.provenance.corpus.get("labellings", []))


def stored_corpus(corpus: Corpus) -> Arrays:
    """A corpus as the arrays of ``tokens.safetensors``."""
    return {
        "tokens": corpus.tokens,
        "offsets": corpus.offsets,
        "documents": corpus.documents,
        "counted": corpus.counted.astype(np.uint8),
        **stored_labellings(corpus.labellings),
    }


def stored_text(text: TokenText) -> pa.Table:
    """Token text as the table of ``vocabulary.parquet``."""
    schema = pa.schema([("token", pa.int32()), ("bytes", pa.binary()), ("special", pa.bool_())])
    return pa.Table.from_pylist([dict(zip(schema.names, entry, strict=True)) for entry in text.entries()], schema)
