"""Labels: what each stretch of the corpus is, such as its language, its source or its class.

A labelling gives every token at most one label. Labels come with documents, so they are kept by spans: neighbouring
tokens of one label are one span, wherever the rows are cut.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from sae_vis.checks import plain, shown
from sae_vis.errors import InputError

MOST_LABELS = 256
"""Different labels of one labelling at most."""

LabelValues = Mapping[str, Sequence[Any] | NDArray[Any]]
"""Labels by the name of the labelling: text, whole numbers, or None where there is none."""


class LabelledText(NamedTuple):
    """A document with its labels, by the name of the labelling; None or a name that is missing: no label."""

    text: str
    labels: Mapping[str, object]


@dataclass(frozen=True, kw_only=True, eq=False)
class Labelling:
    """One way to tell parts of the corpus apart.

    Attributes:
        name: such as ``language``.
        labels: its labels, ascending.
        starts: int64 ``[n_spans]`` corpus position where each span begins, ascending, the first of them 0.
        codes: int16 ``[n_spans]`` index in ``labels`` of each span's label; -1: none.
    """

    name: str
    labels: tuple[str, ...]
    starts: NDArray[np.int64]
    codes: NDArray[np.int16]

    def at(self, positions: NDArray[Any]) -> NDArray[np.int16]:
        """The labels of some tokens.

        Args:
            positions: corpus positions ``[n]``.

        Returns:
            int16 ``[n]`` indices of labels; -1: none.
        """
        found: NDArray[np.int16] = self.codes[np.searchsorted(self.starts, positions, side="right") - 1]
        return found

    def code(self, label: str) -> int:
        """Index of a label.

        Args:
            label: its name.

        Returns:
            The index.

        Raises:
            InputError: no such label; lists those there are.
        """
        if label not in self.labels:
            there = ", ".join(map(repr, self.labels[:12])) + (" …" if len(self.labels) > 12 else "")
            raise InputError(f"the labelling {self.name!r} has no label {label!r}; there are {there}")
        return self.labels.index(label)


def labelling_of(name: str, values: Iterable[object], starts: NDArray[np.int64]) -> Labelling:
    """A labelling from one value for each span of tokens; neighbours of one label are joined.

    Args:
        name: of the labelling.
        values: text, whole numbers, or None for no label, ``[n]``.
        starts: int64 ``[n]`` where each span begins.

    Raises:
        InputError: a name or a value that is no label, another number of values, or too many different ones.
    """
    if not isinstance(name, str) or not name.strip():
        raise InputError(f"a labelling is called {name!r}; give it a name, such as 'language'")
    words = [label_text(value, name) for value in values]
    if len(words) != len(starts):
        raise InputError(
            f"labels[{name!r}] has {len(words):,} entries for {len(starts):,} sequences or documents; "
            "give one for each, None where there is none"
        )
    labels = tuple(sorted({word for word in words if word is not None}))
    _require_few(name, len(labels))
    number = {label: i for i, label in enumerate(labels)} | {None: -1}
    codes = np.fromiter((number[word] for word in words), dtype=np.int16, count=len(words))
    keep = np.append(True, codes[1:] != codes[:-1])[: len(codes)]
    return Labelling(name=name, labels=labels, starts=starts[keep].astype(np.int64), codes=codes[keep])


def labellings_of_rows(
    labels: LabelValues, lengths: NDArray[np.int64], starts: NDArray[np.int64], stops: NDArray[np.int64]
) -> tuple[Labelling, ...]:
    """Labellings of rows of tokens: a label for each row ``[n_rows]``, or for each token, rows as those of the tokens.

    Args:
        labels: the labels, of the rows as they were given.
        lengths: int64 ``[n_rows]`` of the rows as they were given.
        starts: int64 ``[n_rows]`` position of the first token of each row that is kept.
        stops: int64 ``[n_rows]`` position after the last.

    Raises:
        InputError: as `labelling_of`.
    """
    found = []
    first = np.concatenate([[0], np.cumsum(stops - starts)]).astype(np.int64)
    for name, values in listed_labels(labels).items():
        own = [len(row) if isinstance(row, (list, tuple, np.ndarray)) else -1 for row in values]
        if own == lengths.tolist():
            kept = zip(values, starts.tolist(), stops.tolist(), strict=True)
            every = [value for row, start, stop in kept for value in row[start:stop]]
            found.append(labelling_of(name, every, np.arange(len(every), dtype=np.int64)))
        else:
            found.append(labelling_of(name, values, first[:-1]))
    return tuple(found)


def listed_labels(labels: LabelValues) -> dict[str, list[Any]]:
    """The values of each labelling as a list.

    Raises:
        InputError: no mapping of names to sequences of values.
    """
    if not isinstance(labels, Mapping):
        raise InputError(
            f"labels is {shown(labels)}, expected the labels by the labelling's name, such as "
            "{'language': ['de', 'fr', None]}"
        )
    for name, values in labels.items():
        if isinstance(values, (str, bytes, Mapping)) or not isinstance(values, Iterable):
            raise InputError(
                f"labels[{name!r}] is {shown(values)}, expected a list: one label for each sequence or document"
            )
    return {name: list(plain(values)) for name, values in labels.items()}


class DocumentLabels:
    """Takes the labels off documents that stream by.

    Args:
        labels: one value for each document, by labelling, where the documents themselves have none.
    """

    def __init__(self, labels: LabelValues | None = None) -> None:
        self._given = None if labels is None else listed_labels(labels)
        self._found: dict[str, list[str | None]] = {}
        self._different: dict[str, set[str]] = {}
        self._n = 0

    def texts(self, documents: Iterable[str | LabelledText]) -> Iterator[str]:
        """The texts of the documents, whose labels are kept.

        Raises:
            InputError: too many different labels, which is known before the last document; labels from two sides.
        """
        for document in documents:
            if isinstance(document, LabelledText):
                if self._given is not None:
                    raise InputError("the documents have labels of their own and labels= is given, too; give one")
                self._take(document.labels)
                yield document.text
            else:
                self._take({})
                yield document

    def _take(self, labels: Mapping[str, object]) -> None:
        for name in labels:
            if name not in self._found:
                self._found[name], self._different[name] = [None] * self._n, set()
        for name, values in self._found.items():
            word = label_text(labels.get(name), name)
            values.append(word)
            if word is not None:
                self._different[name].add(word)
                _require_few(name, len(self._different[name]))
        self._n += 1

    def labellings(self, kept: Sequence[int], starts: NDArray[np.int64]) -> tuple[Labelling, ...]:
        """The labellings of the documents that hold tokens.

        Args:
            kept: their numbers, ascending.
            starts: int64 ``[n_kept]`` corpus position from which on each one's label holds.

        Raises:
            InputError: as `labelling_of`.
        """
        found = []
        for name, values in (self._found if self._given is None else self._given).items():
            if len(values) != self._n:
                labelling_of(name, values, np.zeros(self._n, dtype=np.int64))  # says what is wrong
            found.append(labelling_of(name, [values[i] for i in kept], starts))
        return tuple(found)


def label_text(value: object, name: str) -> str | None:
    """A label as text; None for None, an empty text and NaN.

    Raises:
        InputError: neither text nor a whole number.
    """
    if value is None or (isinstance(value, (float, np.floating)) and math.isnan(value)):
        return None
    if isinstance(value, str):
        return value.encode("utf-8", "replace").decode("utf-8") or None
    if isinstance(value, (bool, int, np.integer, np.bool_)):
        return str(value)
    if isinstance(value, (float, np.floating)) and float(value).is_integer():
        return str(int(value))
    raise InputError(
        f"a label of {name!r} is {value!r}, expected text, a whole number, or None; make classes of other values first"
    )


def labels_fingerprint(labellings: Sequence[Labelling]) -> str | None:
    """``sha256:…`` of names, labels and spans; None where there is no labelling."""
    if not labellings:
        return None
    digest = hashlib.sha256()
    for labelling in labellings:
        digest.update(repr((labelling.name, labelling.labels)).encode())
        for array in (labelling.starts, labelling.codes):
            digest.update(str((array.dtype.str, array.shape)).encode())
            digest.update(np.ascontiguousarray(array).data)
    return f"sha256:{digest.hexdigest()}"


def _require_few(name: str, n: int) -> None:
    if n > MOST_LABELS:
        raise InputError(
            f"the labelling {name!r} has more than {MOST_LABELS} different labels: join rare ones, "
            "or label by something with fewer values"
        )
