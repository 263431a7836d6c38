"""Check the language of README, CONTRIBUTING and docs: words of the glossary, and sentences of 30 words at most.

Usage: python docs/check_words.py [FILE...]     (no file: all of them)

Code, addresses and generated pages are left out. A cell of a table counts as a text of its own. There a semicolon ends
a sentence, too, and names in code are no words: cells are lists more often than prose.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parents[1]
MOST_WORDS = 30
GENERATED = ("docs/any-model.md", "docs/changelog.md", "docs/contract.md")
"""Written by a program from other sources, or a list of them."""

SAY = {
    r"data[ -]sets?": "dataset",
    r"auto-encoders?": "autoencoder",
    r"latents?": "feature",
    r"hookpoints?": "hook point",
    r"time ?steps?": "position",
    r"(un)?embeddings? matrix": "embedding, unembedding",
    r"residual-stream": "residual stream",
    r"pre-?print": "paper",
    r"colors?|behaviors?|centers?|centered|gray": "the British spelling",
    r"\w*(normaliz|visualiz|initializ|summariz|recogniz|organiz)\w*": "the British spelling: -is-",
    r"one's own|of the user's own": "your own",
    r"but for": "except",
    r"anew": "again",
    r"likewise": "too, or: in the same way",
    r"from afar": "from another machine",
    r"in thought|as may be|be it": "something plainer",
    r"in order to": "to",
    r"utili[sz]e[sd]?": "use",
    r"e\.g\.|i\.e\.|etc\.": "for example, that is, and so on",
    r"simply|obviously|of course|please": "nothing",
    r"till": "until",
    r"neighbors?": "neighbour",
}
"""What not to write, as a pattern of whole words, and what to write instead."""

_WRONG = {re.compile(rf"\b(?:{pattern})(?!\w)", re.IGNORECASE): say for pattern, say in SAY.items()}
_LEFT_OUT = re.compile(
    r"^( *)(`{3,}|:{3,}).*?^\1\2 *$|<!--.*?-->|^ {4,}\S[^\n]*$(?=\n\n)|<[^>\n]+>", re.MULTILINE | re.DOTALL
)
_CODE = re.compile(r"(`+)[^`]+?\1|https?://\S+")
_LINK = re.compile(r"!?\[([^\]]*)\]\([^)]*\)")
_QUOTED = re.compile(r"[“\"'‘*][^“”\"'’*\n]{1,60}[”\"'’*]")
_BLOCK = re.compile(r"\n\s*\n|\n(?=\s*(?:[-*+]|\d+\.|>|#+)\s)")
_END = re.compile(r"(?<=[.!?])[\"”’)*\]]*\s+(?=[A-Z0-9*\"“‘(\[⟨`])")
_WORD = re.compile(r"[\w'’%&/+.,-]*\w[\w'’%]*")
MARK = "Code"


class Found(NamedTuple):
    """Something to mend.

    Attributes:
        file: its path in the repository.
        line: where, from 1.
        what: in words.
    """

    file: str
    line: int
    what: str


def texts(source: str) -> Iterator[tuple[int, str]]:
    """Line and text of each paragraph, heading, item and cell of a Markdown page, without its code."""

    def blank(found: re.Match[str]) -> str:
        return re.sub(r"[^\n]", "", found[0])

    source = _LEFT_OUT.sub(blank, source)
    at = 0
    for gap in [*_BLOCK.finditer(source), None]:
        block = source[at : gap.start() if gap else len(source)]
        line = source.count("\n", 0, at + len(block) - len(block.lstrip())) + 1
        if block.lstrip().startswith("|"):
            for number, row in enumerate(block.strip().splitlines()):
                for cell in _CODE.sub("", row).strip().strip("|").split("|"):
                    yield from ((line + number, _plain(item)) for item in cell.split(";"))
        else:
            yield line, _plain(block)
        at = gap.end() if gap else len(source)


def _plain(text: str) -> str:
    """A text in words alone."""
    text = _CODE.sub(MARK, _LINK.sub(r"\1", _CODE.sub(MARK, text)))
    return " ".join(re.sub(r"^\s*(?:[-*+]|\d+\.|>|#+)\s+", "", text).replace("**", "").split())


def sentences(text: str) -> list[str]:
    """The sentences of a text."""
    return [sentence for sentence in _END.split(text) if sentence]


def words(sentence: str) -> int:
    """How many words a sentence has."""
    return len(_WORD.findall(sentence))


def problems(name: str, source: str) -> list[Found]:
    """What is to be mended in a page."""
    found = []
    for line, text in texts(source):
        for wrong, say in _WRONG.items():
            found += [Found(name, line, f"“{hit[0]}”: write {say}") for hit in wrong.finditer(_QUOTED.sub(MARK, text))]
        for sentence in sentences(text):
            n = words(sentence)
            if n > MOST_WORDS:
                found.append(Found(name, line, f"a sentence of {n} words: {sentence}"))
    return found


def pages() -> list[Path]:
    """All pages that people write."""
    docs = (path for path in (ROOT / "docs").rglob("*.md") if "_build" not in path.parts)
    every = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted(docs)]
    return [path for path in every if path.relative_to(ROOT).as_posix() not in GENERATED]


def main() -> int:
    """Command line; 1 when there is something to mend."""
    chosen = [Path(name).resolve() for name in sys.argv[1:]] or pages()
    found = []
    for path in chosen:
        name = path.relative_to(ROOT).as_posix() if path.is_relative_to(ROOT) else str(path)
        found += problems(name, path.read_text(encoding="utf-8"))
    for one in found:
        print(f"{one.file}:{one.line}: {one.what}")
    print(f"{len(chosen)} pages, {len(found)} to mend")
    return 1 if found else 0


if __name__ == "__main__":
    raise SystemExit(main())
