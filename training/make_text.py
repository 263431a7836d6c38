"""Make the text that the demo is indexed over: about a megabyte, a seeded mix of all sources.

Run: python -m training.make_text --corpora CORPORA --out text.jsonl.gz
"""

from __future__ import annotations

import argparse
import gzip
import json
import random
from dataclasses import dataclass, field
from pathlib import Path

from training.corpus import DOC_SEPARATOR, CorpusConfig, is_held_out, read_documents, read_stdlib, split_text

HAND_WRITTEN = Path(__file__).with_name("hand_written.txt")


@dataclass(frozen=True, kw_only=True)
class TextConfig:
    """How much of what.

    Attributes:
        n_bytes: UTF-8 bytes of each source's share.
        excerpt_chars: At most about this many characters in one excerpt.
        seed: Of the choice and the order.
    """

    n_bytes: dict[str, int] = field(
        default_factory=lambda: {
            "python_stdlib": 290_000,
            "python_docs": 220_000,
            "sotu": 230_000,
            "austen": 120_000,
            "mobydick": 90_000,
            "wordnet_glosses": 50_000,
        }
    )
    excerpt_chars: int = 2_400
    seed: int = 0


def carries_own_notice(text: str) -> bool:
    """True for files with a copyright notice besides Python's own; they are left out of the demo's text."""
    return "copyright" in text.lower() or "licence" in text.lower() or "license" in text.lower()


def cut_excerpts(text: str, max_chars: int) -> list[str]:
    """Cut at blank lines or line ends; where a single line is longer than `max_chars`, after a full stop."""
    cuts: list[str] = []
    for part in split_text(text, max_chars):
        start = 0
        while len(part) - start > max_chars:
            stop = part.rfind(". ", start, start + max_chars)
            end = stop + 1 if stop > start else start + max_chars
            cuts.append(part[start:end].strip(" "))
            start = end
        cuts.append(part[start:].strip(" ") if start else part)
    return cuts


def excerpts(source: str, corpora: Path, config: TextConfig) -> list[str]:
    """Shuffled excerpts of the pieces that the model was trained on, up to the source's share."""
    documents = read_stdlib() if source == "python_stdlib" else read_documents(corpora / f"{source}.txt.gz")
    if source.startswith("python"):
        documents = [text for text in documents if not carries_own_notice(text)]
    piece_chars, permille = CorpusConfig.piece_chars, CorpusConfig.held_out_permille
    pieces = [
        piece for text in documents for piece in split_text(text, piece_chars) if not is_held_out(piece, permille)
    ]
    candidates = [cut.strip("\n") for piece in pieces for cut in cut_excerpts(piece, config.excerpt_chars)]
    candidates = [text for text in candidates if len(text) > config.excerpt_chars // 4]
    random.Random(f"{config.seed} {source}").shuffle(candidates)
    chosen: list[str] = []
    size = 0
    for text in candidates:
        if size >= config.n_bytes[source]:
            break
        chosen.append(text)
        size += len(text.encode())
    return chosen


def make_records(corpora: Path, config: TextConfig) -> list[dict[str, str]]:
    """All excerpts in random order, the hand-written ones first."""
    records = [
        {"source": source, "text": text} for source in config.n_bytes for text in excerpts(source, corpora, config)
    ]
    random.Random(config.seed).shuffle(records)
    hand_written = HAND_WRITTEN.read_text(encoding="utf-8").split(f"\n{DOC_SEPARATOR}\n")
    return [{"source": "hand_written", "text": text.rstrip("\n")} for text in hand_written] + records


def main() -> None:
    """Command line: one JSON object a line, gzip without a time stamp so that a second run gives the same file."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--corpora", type=Path, required=True, help="directory with the *.txt.gz files")
    parser.add_argument("--out", type=Path, required=True, help="the file to write")
    args = parser.parse_args()
    records = make_records(args.corpora, TextConfig())
    lines = "".join(json.dumps(record, ensure_ascii=False) + "\n" for record in records)
    args.out.write_bytes(gzip.compress(lines.encode(), compresslevel=9, mtime=0))
    print(f"{len(records)} excerpts, {len(lines.encode())} bytes, {args.out.stat().st_size} compressed")


if __name__ == "__main__":
    main()
