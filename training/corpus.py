"""The texts that the demo is trained on: read, cut into pieces, and split into training and held-out pieces."""

from __future__ import annotations

import gzip
import hashlib
import sysconfig
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

DOC_SEPARATOR = "<|doc|>"
SKIPPED_STDLIB_DIRS = frozenset(
    {"test", "tests", "idle_test", "site-packages", "encodings", "pydoc_data", "__pycache__"}
)


@dataclass(frozen=True, kw_only=True)
class CorpusConfig:
    """Which texts, how much of each, and which pieces are held out.

    Attributes:
        corpora: Directory with one `<source>.txt.gz` for each source, documents separated by a line `<|doc|>`.
        piece_chars: Documents are cut at blank lines (or line ends) into pieces of at most about this many characters.
        held_out_permille: Pieces in a thousand that are never trained on.
        max_chars: Upper limit on the characters of a source; a source that is not named has none.
    """

    corpora: Path
    piece_chars: int = 8_000
    held_out_permille: int = 20
    max_chars: dict[str, int] = field(default_factory=lambda: {"wordnet_glosses": 1_500_000})


@dataclass(frozen=True, kw_only=True)
class Piece:
    """A run of text from one document.

    Attributes:
        source: Name of the source, e.g. `austen`.
        text: The text, unchanged.
        held_out: True if the piece is kept out of all training.
    """

    source: str
    text: str
    held_out: bool


def split_text(text: str, max_chars: int) -> list[str]:
    """Cut at blank lines, or at line ends where a paragraph is too long; no character is lost or added."""
    pieces: list[str] = []
    current: list[str] = []
    size = 0
    for line in text.splitlines(keepends=True):
        at_break = not line.strip() and size > max_chars // 2
        if current and (at_break or size + len(line) > max_chars):
            pieces.append("".join(current))
            current, size = [], 0
        current.append(line)
        size += len(line)
    if current:
        pieces.append("".join(current))
    return pieces


def read_documents(path: Path) -> list[str]:
    """Documents of one `<|doc|>`-separated gzip file, in order, empty ones left out."""
    with gzip.open(path, "rt", encoding="utf-8") as file:
        text = file.read()
    documents = text.replace("\r\n", "\n").split(f"\n{DOC_SEPARATOR}\n")
    return [document for document in documents if document.strip()]


def read_stdlib() -> list[str]:
    """Source files of the running Python's standard library, without tests, tables and generated files."""
    root = Path(sysconfig.get_paths()["stdlib"])
    paths = [path for path in sorted(root.rglob("*.py")) if not SKIPPED_STDLIB_DIRS & set(path.relative_to(root).parts)]
    texts = [
        path.read_text(encoding="utf-8", errors="ignore") for path in paths if not path.name.startswith("_sysconfig")
    ]
    return [text for text in texts if text.strip()]


def is_held_out(text: str, permille: int) -> bool:
    """A function of the text alone, so that adding a source does not move the other sources' split."""
    digest = hashlib.sha256(text.encode()).digest()
    return int.from_bytes(digest[:4], "big") % 1000 < permille


def load_pieces(config: CorpusConfig) -> list[Piece]:
    """All pieces of all sources, in a fixed order: the files by name, then the standard library."""
    readers: dict[str, Callable[[], list[str]]] = {}
    for path in sorted(config.corpora.glob("*.txt.gz")):
        readers[path.name.removesuffix(".txt.gz")] = lambda path=path: read_documents(path)  # type: ignore[misc]
    if not readers:
        raise FileNotFoundError(f"no *.txt.gz in {config.corpora}: give the directory that holds the corpora")
    readers["python_stdlib"] = read_stdlib
    pieces: list[Piece] = []
    for source, read in readers.items():
        budget = config.max_chars.get(source)
        texts = [text for document in read() for text in split_text(document, config.piece_chars)]
        if budget is not None:  # evenly spaced, because the files are often sorted
            total = sum(map(len, texts))
            stride = max(1, -(-total // budget))
            texts = texts[::stride]
        held_out = [is_held_out(text, config.held_out_permille) for text in texts]
        pieces += [Piece(source=source, text=text, held_out=held) for text, held in zip(texts, held_out, strict=True)]
    return pieces
