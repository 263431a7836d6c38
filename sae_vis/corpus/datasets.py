"""Documents of a Hugging Face dataset, streamed: from the hub, or from files of the same layouts on this machine.

The package `datasets` is optional and imported only here, when a dataset is read.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

from sae_vis.corpus.labels import LabelledText
from sae_vis.errors import InputError

_READERS = {".jsonl": "json", ".json": "json", ".parquet": "parquet", ".csv": "csv", ".txt": "text"}
_TEXT, _CHAT = ("text", "content", "document"), ("messages", "conversations", "conversation", "chat")


@dataclass(frozen=True, kw_only=True)
class DatasetConfig:
    """Which documents of a dataset.

    Attributes:
        name: hub name, or path of a folder or of a ``.jsonl``, ``.json``, ``.parquet``, ``.csv`` or ``.txt`` file.
        subset: configuration of the dataset, where it has several.
        split: which part of it.
        column: the column that holds the text (or the messages); None: of the usual names the first that is there.
        chat: whether the column holds lists of messages, which go through the tokenizer's chat template.
        labels: columns that label the documents, such as their language.
    """

    name: str
    subset: str | None = None
    split: str = "train"
    column: str | None = None
    chat: bool = False
    labels: tuple[str, ...] = ()

    @property
    def source(self) -> str:
        """The dataset in words."""
        name = Path(self.name).name if Path(self.name).expanduser().exists() else self.name
        return " ".join([name, *([self.subset] if self.subset else []), f"({self.split})"])


def documents(
    config: DatasetConfig,
    tokenizer: Any = None,  # noqa: ANN401  a transformers tokenizer
) -> Iterator[str | LabelledText]:
    """The texts of a dataset, one after the other, read as they are asked for, with labels where asked for.

    Args:
        config: which.
        tokenizer: for its chat template; needed for `DatasetConfig.chat` alone.

    Returns:
        An iterator over texts, which are read as they are asked for.

    Raises:
        InputError: `datasets` is not installed; nothing can be loaded from there; there is no such column; a row that
            holds no text (or no messages); a tokenizer without chat template.
    """
    if config.chat and getattr(tokenizer, "chat_template", None) is None:
        raise InputError("--chat needs a tokenizer with a chat template, and this model's has none: give a text column")
    column = config.column or ""
    for number, row in enumerate(_rows(config)):
        if number == 0:
            for label in config.labels:
                _require(label, row, config)
        column = column if column in row else _column(row, config)
        text = _chat(row[column], column, number, tokenizer) if config.chat else _text(row[column], column, number)
        yield LabelledText(text, {label: row.get(label) for label in config.labels}) if config.labels else text


def _rows(config: DatasetConfig) -> Iterator[Mapping[str, Any]]:
    try:
        datasets: Any = import_module("datasets")
    except ImportError as error:
        raise InputError("reading a dataset needs the package datasets: pip install datasets") from error
    path = Path(config.name).expanduser()
    options: dict[str, Any] = {"split": config.split, "streaming": True}
    try:
        if path.is_file():
            if path.suffix not in _READERS:
                raise InputError(f"{path}: a dataset's file ends in one of {', '.join(_READERS)}")
            rows = datasets.load_dataset(_READERS[path.suffix], data_files={config.split: str(path)}, **options)
        else:
            rows = datasets.load_dataset(str(path) if path.is_dir() else config.name, config.subset, **options)
        names = _class_names(rows, config.labels)
        for row in rows:
            yield {**row, **{label: _class_name(row.get(label), named) for label, named in names.items()}}
    except (OSError, ValueError) as error:
        if isinstance(error, InputError):
            raise
        reason = " ".join(str(error).split())[:300]
        raise InputError(f"can't read the dataset {config.name!r}, split {config.split!r}: {reason}") from error


def _class_names(rows: Any, columns: Iterable[str]) -> dict[str, list[str]]:  # noqa: ANN401  a dataset
    """What the numbers in columns of classes stand for, by column."""
    features = getattr(rows, "features", None) or {}
    return {name: features[name].names for name in columns if hasattr(features.get(name), "names")}


def _class_name(value: object, names: list[str]) -> object:
    return names[value] if isinstance(value, int) and 0 <= value < len(names) else None


def _require(column: str, row: Mapping[str, Any], config: DatasetConfig) -> None:
    if column not in row:
        there = ", ".join(map(repr, row))
        raise InputError(f"the dataset {config.name!r} has no column {column!r}; there are {there}")


def _column(row: Mapping[str, Any], config: DatasetConfig) -> str:
    """The column to read; raises `InputError` that lists those there are."""
    if config.column is not None:
        _require(config.column, row, config)
    usual = _CHAT if config.chat else _TEXT
    found = next((name for name in usual if name in row), None)
    if found is None:
        texts = [name for name, value in row.items() if isinstance(value, list if config.chat else str)]
        found = texts[0] if len(texts) == 1 else None
    if found is None:
        there = ", ".join(map(repr, row))
        raise InputError(f"which column of {config.name!r} to read is not clear; give --column, one of {there}")
    return found


def _text(value: object, column: str, number: int) -> str:
    if not isinstance(value, str):
        raise InputError(
            f"column {column!r} holds no text in row {number} but a {type(value).__name__}; give another --column"
            + (", or --chat for messages" if isinstance(value, list) else "")
        )
    return value


def _chat(value: object, column: str, number: int, tokenizer: Any) -> str:  # noqa: ANN401
    messages = value if isinstance(value, list) else []
    if not messages or not all(isinstance(one, dict) and {"role", "content"} <= one.keys() for one in messages):
        raise InputError(
            f"column {column!r} holds no list of messages with role and content in row {number}; give another --column"
        )
    text: str = tokenizer.apply_chat_template(messages, tokenize=False)
    return text


class TokenBudget:
    """A tokenizer that gives so many tokens in all, and documents that end when they are used up.

    Args:
        tokenizer: a `transformers` tokenizer.
        n_tokens: tokens of text; BOS and separators come on top.

    Raises:
        InputError: less than one token.
    """

    def __init__(self, tokenizer: Any, n_tokens: int) -> None:  # noqa: ANN401
        if n_tokens < 1:
            raise InputError(f"--tokens is {n_tokens}, expected at least 1")
        self._tokenizer, self._left = tokenizer, n_tokens

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401
        """Everything else is the tokenizer's."""
        return getattr(self._tokenizer, name)

    def __call__(self, texts: list[str], **options: object) -> dict[str, list[list[int]]]:
        """Token ids of some texts, the last of them cut off where the budget ends."""
        kept = []
        for ids in self._tokenizer(texts, **options)["input_ids"]:
            kept.append(ids[: self._left])
            self._left -= len(kept[-1])
        return {"input_ids": kept}

    def documents(self, texts: Iterable[str | LabelledText]) -> Iterator[str | LabelledText]:
        """Pass on texts as long as there are tokens left.

        Args:
            texts: documents.

        Returns:
            An iterator over these; the tokenizer cuts the last one off.
        """
        for text in texts:
            if self._left <= 0:
                return
            yield text
