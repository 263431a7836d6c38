"""Cut the gallery's fonts to the characters of its pictures: ``python -m tests.gallery.cut_fonts``.

A picture must look the same on a machine with no fonts and on one with hundreds, so it is drawn in the fonts of
`tests.gallery.fonts` and in no others. They hold `ALWAYS` and what is in ``characters.txt``. A picture with another
character (`tests/browser/test_gallery.py` says which) has it added there; then this is run again, with
``pip install fonttools brotli`` and Debian's fonts-noto-core, fonts-noto-cjk and fonts-noto-color-emoji.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from tests.gallery.fonts import ALWAYS, CHARACTERS, FACES, Face

SYSTEM = Path("/usr/share/fonts")


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(prog="tests.gallery.cut_fonts", description=__doc__)
    parser.add_argument("--system", type=Path, default=SYSTEM, help="folder of the whole fonts")
    folder = parser.parse_args().system
    left = {ord(character) for character in ALWAYS + CHARACTERS.read_text(encoding="utf-8")} - {0x0A}
    taken: dict[str, set[int]] = {}
    for face in FACES:
        own = {ord(character) for character in face.only} or left
        covered = taken.setdefault(face.family, left & own & coverage(face, folder))
        left -= covered
        print(f"{face.file.name}: {len(covered)} characters, {cut(face, folder, covered) / 1024:.1f} KB")
    joiners = {0x200D, 0xFE0F}  # drawn by the font of what they join
    if left - joiners:
        raise SystemExit(f"no font has {', '.join(f'U+{code:04X}' for code in sorted(left - joiners))}")


def opened(face: Face, folder: Path):
    """The whole font."""
    from fontTools.ttLib import TTFont

    (path,) = folder.rglob(face.source)
    return TTFont(path, fontNumber=face.number)


def coverage(face: Face, folder: Path) -> set[int]:
    """The characters that a font has."""
    return set(opened(face, folder).getBestCmap())


def cut(face: Face, folder: Path, characters: set[int]) -> int:
    """Write the part of a font; returns its bytes."""
    from fontTools.subset import Options, Subsetter

    options = Options(
        flavor="woff2",
        layout_features=["*"],
        name_IDs=[0, 1, 2, 13, 14],
        hinting=False,
        notdef_outline=True,
        drop_tables=["vhea", "vmtx", "VORG", "BASE"],
    )
    font = opened(face, folder)
    subsetter = Subsetter(options)
    subsetter.populate(unicodes=characters | {0x20, 0x200C, 0x200D, 0xFE0F})
    subsetter.subset(font)
    font["head"].modified = font["head"].created  # the same bytes every time
    font.recalcTimestamp = False
    font.flavor = "woff2"
    font.save(face.file)
    return face.file.stat().st_size


if __name__ == "__main__":
    main()
