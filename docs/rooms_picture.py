"""Draw the rooms of the package as a picture, from the order that tests/test_rooms.py holds.

Usage: python docs/rooms_picture.py     (writes docs/gallery/rooms-light.svg and rooms-dark.svg)
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import NamedTuple
from xml.sax.saxutils import escape

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from tests.test_rooms import ROOMS  # noqa: E402

GALLERY = ROOT / "docs" / "gallery"
WIDTH, ROW, GAP = 780, 34, 10


class Floor(NamedTuple):
    """Rooms that are drawn beside each other.

    Attributes:
        words: what they are for.
        rooms: from left to right; all of them below those of the floor above.
    """

    words: str
    rooms: tuple[str, ...]


FLOORS = (
    Floor("names of version 0.3", ("data_config_classes", "data_storing_fns")),
    Floor("what people start", ("cli", "demo")),
    Floor("where it is shown", ("site", "widget", "server")),
    Floor("what people call", ("compat", "api", "parts")),
    Floor("what is shown", ("deliver", "explore", "views", "layout")),
    Floor("what it does", ("effects",)),
    Floor("where it fires", ("index",)),
    Floor("what is read", ("saes", "models", "boards", "corpus")),
    Floor("what all use", ("config", "neutral", "moved", "contract", "checks", "errors")),
)


class Colours(NamedTuple):
    """Of one scheme."""

    paper: str
    room: str
    line: str
    ink: str
    soft: str


SCHEMES = {
    "light": Colours("#ffffff", "#eef2fb", "#7d94c4", "#1c1e21", "#5b6068"),
    "dark": Colours("#16181c", "#232a38", "#5f7ab5", "#e8e9eb", "#a4a9b1"),
}


def checked_floors(rooms: tuple[str, ...] = ROOMS) -> tuple[Floor, ...]:
    """The floors with every room in its order; rooms that no floor names stand on a floor of their own.

    Raises:
        SystemExit: a floor has a room that does not exist, or the order differs.
    """
    drawn = [room for floor in FLOORS for room in floor.rooms]
    gone = [room for room in drawn if room not in rooms]
    if gone:
        sys.exit(f"no room {', '.join(gone)} in tests/test_rooms.py: take it out of FLOORS")
    missing = [room for room in rooms if room not in drawn]
    if missing:
        sys.exit(f"the room {', '.join(missing)} is on no floor: put it into FLOORS of {Path(__file__).name}")
    if drawn != list(rooms):
        sys.exit("FLOORS has another order than ROOMS of tests/test_rooms.py")
    return FLOORS


def picture(colours: Colours) -> str:
    """The picture as SVG."""
    floors = checked_floors()
    height = len(floors) * (ROW + GAP) + GAP + 26
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" width="{WIDTH}" height="{height}" '
        f'font-family="system-ui, sans-serif" font-size="13" role="img" aria-label="{_label(floors)}">',
        f'<rect width="{WIDTH}" height="{height}" fill="{colours.paper}"/>',
    ]
    left, top = 160, GAP
    for floor in floors:
        parts.append(
            f'<text x="{left - 14}" y="{top + ROW / 2 + 4.5}" text-anchor="end" fill="{colours.soft}">'
            f"{escape(floor.words)}</text>"
        )
        wide = (WIDTH - left - GAP * len(floor.rooms)) / len(floor.rooms)
        for number, room in enumerate(floor.rooms):
            x = left + number * (wide + GAP)
            size = min(13, wide * 1.75 / len(room))
            parts.append(
                f'<rect x="{x:.1f}" y="{top}" width="{wide:.1f}" height="{ROW}" rx="6" fill="{colours.room}" '
                f'stroke="{colours.line}"/><text x="{x + wide / 2:.1f}" y="{top + ROW / 2 + 4.5}" text-anchor="middle" '
                f'font-size="{size:.1f}" fill="{colours.ink}">{room}</text>'
            )
        top += ROW + GAP
    parts.append(
        f'<text x="{left}" y="{top + 14}" fill="{colours.soft}">'
        "A room imports from itself and from rooms below it, or to its right.</text></svg>\n"
    )
    return "\n".join(parts)


def _label(floors: tuple[Floor, ...]) -> str:
    """The picture in words."""
    return "The rooms of the package from top to bottom: " + "; ".join(
        f"{floor.words}: {', '.join(floor.rooms)}" for floor in floors
    )


def main() -> None:
    """Write both schemes."""
    for name, colours in SCHEMES.items():
        (GALLERY / f"rooms-{name}.svg").write_text(picture(colours), encoding="utf-8")


if __name__ == "__main__":
    main()
