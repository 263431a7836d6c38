"""The fonts of the pictures, cut to what they hold by `tests.gallery.cut_fonts`; their licence is in OFL.txt."""

from __future__ import annotations

import base64
import json
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from tests.fixtures.chrome import style_script

HERE = Path(__file__).resolve().parent
CHARACTERS = HERE / "characters.txt"
"""What the pictures hold beyond `ALWAYS`."""
ALWAYS = "".join(map(chr, (*range(0x20, 0x7F), *range(0xA0, 0x100)))) + "–—‘’“”•…‹›−×←↑→↓▸▾"


@dataclass(frozen=True)
class Face:
    """One font.

    Attributes:
        family: its name in a style sheet.
        weight: 400 or 700.
        source: the file that it was cut from.
        number: of the font in that file, where it holds several.
        only: the characters that it is for; all that no family before has, if empty.
        size: of its glyphs, a share of what the style sheet asks for.
    """

    family: str
    weight: int
    source: str
    number: int = -1
    only: str = ""
    size: float = 1.0

    @property
    def file(self) -> Path:
        """Where it is."""
        return HERE / f"{self.family.replace(' ', '')}-{self.weight}.woff2"


WEIGHTS = {400: "Regular", 700: "Bold"}
FACES = (
    *(
        Face(f"Gallery {script}".strip(), weight, f"NotoSans{script}-{name}.ttf")
        for script in ("", "Arabic", "Hebrew", "Thai")
        for weight, name in WEIGHTS.items()
    ),
    *(Face("Gallery CJK", weight, f"NotoSansCJK-{name}.ttc", 2) for weight, name in WEIGHTS.items()),  # 2: Chinese
    Face("Gallery Emoji", 400, "NotoColorEmoji.ttf"),
    Face("Gallery Return", 400, "NotoSansMath-Regular.ttf", only="↵", size=1.4),
    Face("Gallery Signs", 400, "NotoSansMath-Regular.ttf"),
    Face("Gallery Symbols", 400, "NotoSansSymbols2-Regular.ttf"),
)
FAMILIES = tuple(dict.fromkeys(face.family for face in FACES))
"""In the order in which a character looks for its font."""


@cache
def font_script(size: float = 1.0) -> str:
    """A script that draws a page in these fonts and no others.

    A font made from bytes is fetched from nowhere, so the page's policy on fonts does not touch it.

    Args:
        size: of the glyphs, a share of what the style sheet asks for.
    """
    faces = [
        [face.family, str(face.weight), f"{size * face.size:.0%}", base64.b64encode(face.file.read_bytes()).decode()]
        for face in FACES
    ]
    families = ", ".join(f'"{family}"' for family in FAMILIES)
    return f"""for (const [family, weight, sizeAdjust, data] of {json.dumps(faces)}) {{
      const bytes = Uint8Array.from(atob(data), (c) => c.charCodeAt(0));
      document.fonts.add(new FontFace(family, bytes, {{ weight, sizeAdjust }}));
    }}
    {style_script(f":root {{ font-family: {families} !important }}")}"""


@cache
def covered() -> frozenset[str]:
    """The characters that these fonts have."""
    return frozenset(ALWAYS + CHARACTERS.read_text(encoding="utf-8") + "\t\r")
