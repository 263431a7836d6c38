"""Take pictures of the page: ``python -m tests.gallery [--update] [NAME ...]``.

Without ``--update`` each picture is compared with the one in docs/gallery. ``--out DIR`` takes them into a folder.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

from PIL import Image

from tests.fixtures.chrome import launched
from tests.gallery.camera import few_colours, take
from tests.gallery.compare import difference
from tests.gallery.entries import ENTRIES
from tests.gallery.stage import Stage

FOLDER = Path(__file__).resolve().parents[2] / "docs" / "gallery"


def main() -> int:
    """Command line; 1 when a picture differs."""
    parser = argparse.ArgumentParser(prog="tests.gallery", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"of {', '.join(ENTRIES)}; all if none is given")
    parser.add_argument("--update", action="store_true", help="replace the pictures in docs/gallery")
    parser.add_argument("--out", type=Path, help="take the pictures into this folder")
    options = parser.parse_args()
    unknown = [name for name in options.names if name not in ENTRIES]
    if unknown:
        parser.error(f"no entry {', '.join(unknown)}; there are {', '.join(ENTRIES)}")
    folder = FOLDER if options.update else options.out
    differing = []
    with tempfile.TemporaryDirectory() as scratch, launched() as browser:
        stage = Stage(Path(scratch))
        for name in options.names or ENTRIES:
            picture = take(browser, stage, ENTRIES[name])
            if folder is not None:
                keep(picture, folder, name)
            elif not matches(picture, name):
                differing.append(name)
    return 1 if differing else 0


def keep(picture: Image.Image, folder: Path, name: str) -> None:
    """Write a picture."""
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / f"{name}.png"
    few_colours(picture).save(file, optimize=True)
    print(f"{name:28s} {picture.width} x {picture.height}, {file.stat().st_size / 1024:.0f} KB")


def matches(picture: Image.Image, name: str) -> bool:
    """Say how a picture differs from the one in docs/gallery."""
    found = difference(picture, Image.open(FOLDER / f"{name}.png"))
    print(
        f"{name:28s} {found.share:.2%} of it differs, size by {found.size:.1%}{'' if found.tolerable else '  TOO FAR'}"
    )
    return found.tolerable


if __name__ == "__main__":
    raise SystemExit(main())
