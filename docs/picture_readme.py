"""Take the pictures of the README: the explorer on the demo's SAE, moving and still, in light and dark.

Usage: python docs/picture_readme.py INDEX     (INDEX: sae-vis-demo/index-resid, which `make demo` writes)

Writes docs/gallery/explorer.webp and the stills explorer-*.png. Look at them before you commit them.
"""

from __future__ import annotations

import io
import shutil
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from PIL import Image, ImageDraw

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "tests" / "fixtures")]

from explorer_server import serving  # noqa: E402

from sae_vis import load_tokenizer  # noqa: E402
from sae_vis.demo import run as demo  # noqa: E402
from tests.fixtures.chrome import launched  # noqa: E402
from tests.fixtures.polling import settle, wait_until  # noqa: E402
from tests.gallery.camera import few_colours  # noqa: E402
from tests.gallery.fonts import font_script  # noqa: E402

GALLERY = ROOT / "docs" / "gallery"
WINDOW = {"width": 1360, "height": 800}
WIDTH = 1160  # of the moving picture, pixels
QUALITY = 70
MOST_BYTES = 2_000_000
ARROW = ((0, 0), (0, 17), (4, 13), (7, 20), (10, 19), (7, 12), (12, 12))
PIECES = ("The ", "President ", "of the ", "United", " States")  # a text, as it is typed


@dataclass
class Film:
    """Pictures of a tab, one after the other, with the pointer drawn in.

    Attributes:
        tab: the page.
        frames: taken so far.
        milliseconds: how long each is shown.
        pointer: where the mouse is.
    """

    tab: Any
    frames: list[Image.Image] = field(default_factory=list)
    milliseconds: list[int] = field(default_factory=list)
    pointer: tuple[float, float] = (680, 500)

    def take(self, milliseconds: int) -> None:
        """One frame of the page as it is, once nothing on it moves."""
        settle(self.tab)
        picture = Image.open(io.BytesIO(self.tab.screenshot(animations="disabled"))).convert("RGB")
        x, y = self.pointer
        corners = [(x + 1.4 * dx, y + 1.4 * dy) for dx, dy in ARROW]
        ImageDraw.Draw(picture).polygon(corners, fill="black", outline="white")
        height = round(picture.height * WIDTH / picture.width)
        self.frames.append(picture.resize((WIDTH, height), Image.Resampling.LANCZOS))
        self.milliseconds.append(round(1.3 * milliseconds))

    def point(self, place: Any, steps: int = 3) -> None:
        """Move the mouse onto an element, seen on its way."""
        place.scroll_into_view_if_needed()
        box = place.bounding_box()
        to = (box["x"] + min(box["width"] / 2, 60), box["y"] + box["height"] / 2)
        start = self.pointer
        for step in range(1, steps + 1):
            self.pointer = tuple(a + (b - a) * step / steps for a, b in zip(start, to, strict=True))
            if step < steps:
                self.take(60)
        self.tab.mouse.move(*self.pointer)

    def type(self, place: Any, text: str) -> None:
        """Type a text, letter by letter."""
        for letter in text:
            place.press_sequentially(letter)
            self.take(90)

    def save(self, file: Path) -> None:
        """Write all frames as one moving picture that begins anew at its end."""
        first, *others = self.frames
        first.save(
            file,
            save_all=True,
            append_images=others,
            duration=self.milliseconds,
            loop=0,
            quality=QUALITY,
            method=4,
        )
        size = file.stat().st_size
        print(f"{file.name}: {len(self.frames)} frames, {sum(self.milliseconds) / 1000:.0f} s, {size / 1e6:.2f} MB")
        if size > MOST_BYTES:
            sys.exit(f"{file} has {size:,} bytes, expected at most {MOST_BYTES:,}")


def loaded(tab: Any) -> None:
    """Wait until rows and card are there in full."""
    wait_until(tab, "document.querySelector('.grid-row')?.innerText.trim().split(/\\s+/).length > 4")
    wait_until(tab, "document.querySelectorAll('.explorer-card .group li').length > 5")
    wait_until(tab, "!document.querySelector('.explorer-card .message')")
    wait_until(tab, "!document.querySelector('.explorer-card')?.innerText.includes('computing effects')")


def the_table(tab: Any) -> None:
    """The table, by largest activation, and a card."""
    tab.goto(tab.url.partition("#")[0] + "#f=1594&sort=max")
    loaded(tab)


def a_search(tab: Any) -> None:
    """Features that fire on a word."""
    tab.get_by_label("Find features").fill(" Mr")
    tab.locator(".ways button").first.wait_for()
    tab.locator("#row-955").click()
    loaded(tab)


def the_map(tab: Any) -> None:
    """All decoder directions."""
    tab.get_by_role("button", name="Map", exact=True).click()
    tab.locator(".map-pane canvas").first.wait_for()
    wait_until(tab, "!document.querySelector('.map-pane .message')")


def the_text(tab: Any) -> None:
    """The document of the first example, in the feature's colour."""
    example = tab.locator(".explorer-card .group").first.locator("li").first
    example.hover()
    example.get_by_role("button", name="Read").click()
    tab.locator(".reader").wait_for()
    wait_until(tab, "!document.querySelector('.reader .message')")


STILLS = {"explorer": the_table, "explorer-search": a_search, "explorer-map": the_map, "explorer-text": the_text}


def stills(browser: Any, address: str) -> None:
    """Each still, in light and dark."""
    for name, act in STILLS.items():
        for scheme in ("light", "dark"):
            with opened(browser, f"{address}#f=1594", scheme) as tab:
                loaded(tab)
                act(tab)
                settle(tab)
                picture = Image.open(io.BytesIO(tab.screenshot(animations="disabled"))).convert("RGB")
            file = GALLERY / f"{name}-{scheme}.png"
            few_colours(picture).save(file, optimize=True)
            print(f"{file.name}: {file.stat().st_size / 1024:.0f} KB", flush=True)


@contextmanager
def opened(browser: Any, address: str, scheme: str = "light") -> Iterator[Any]:
    """A tab on an address of the explorer."""
    context = browser.new_context(viewport=WINDOW, color_scheme=scheme, reduced_motion="reduce")
    context.add_init_script(font_script())
    tab = context.new_page()
    tab.set_default_timeout(60_000)
    tab.goto(address)
    tab.locator(".grid-row").first.wait_for()
    yield tab
    context.close()


def search(film: Film) -> None:
    """Look for features that fire on a word; open one."""
    box = film.tab.get_by_label("Find features")
    loaded(film.tab)
    film.take(1400)
    film.point(box)
    box.click()
    film.take(200)
    film.type(box, " United")
    film.tab.locator(".ways button").first.wait_for()
    film.take(900)
    row = film.tab.locator("#row-1594")
    film.point(row)
    row.click()
    loaded(film.tab)
    film.take(1500)


def hover(film: Film) -> None:
    """Point at tokens of its examples: a line appears in the histograms."""
    focus = film.tab.locator(".explorer-card .group").first.locator("li .focus")
    for row, milliseconds in ((0, 1400), (3, 900), (6, 900)):
        film.point(focus.nth(row), steps=2)
        film.take(milliseconds)


def prompt(film: Film) -> None:
    """Type a text of one's own: which features matter at every token."""
    tab = film.tab.get_by_role("button", name="Prompt", exact=True)
    film.point(tab)
    tab.click()
    box = film.tab.locator(".prompt-input textarea").first
    box.wait_for()
    film.take(300)
    film.point(box)
    for piece in PIECES:
        box.press_sequentially(piece)
        film.take(160)
    film.tab.locator(".prompt-page .ranks tbody tr").first.wait_for()
    film.take(1000)
    token = film.tab.locator(".prompt-page").get_by_text("United", exact=True).first
    film.point(token)
    token.click()
    film.take(2200)


def main() -> None:
    """Command line."""
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    with tempfile.TemporaryDirectory() as folder, launched() as browser:
        index = shutil.copytree(sys.argv[1], Path(folder) / "demo", ignore=shutil.ignore_patterns("notes.json"))
        tokenizer = load_tokenizer(demo.assets() / "model")
        with serving([index], [demo.demo_parts(demo.RESID)], tokenizer=tokenizer) as server:
            with opened(browser, server.address) as tab:
                film = Film(tab)
                for scene in (search, hover, prompt):
                    scene(film)
                film.save(GALLERY / "explorer.webp")
            stills(browser, server.address)


if __name__ == "__main__":
    main()
