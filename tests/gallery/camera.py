"""From a page to a picture, always in the same fonts and without anything that moves."""

from __future__ import annotations

import io
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from sae_vis.deliver.page import write_page
from tests.fixtures.chrome import style_script
from tests.fixtures.polling import settle, wait_until
from tests.gallery.entries import Entry
from tests.gallery.fonts import covered, font_script
from tests.gallery.stage import Stage

MARGIN = 16
COLOURS, EXACT = 256, 96
DRAWN = """() => { const out = new Set(), add = (text) => { for (const c of text) out.add(c) };
  const walk = document.createTreeWalker(document.querySelector('#app'), NodeFilter.SHOW_TEXT);
  while (walk.nextNode()) add(walk.currentNode.data);
  for (const field of document.querySelectorAll('input')) add(field.value + field.placeholder);
  return [...out] }"""


@contextmanager
def opened(browser: Any, stage: Stage, entry: Entry, style: str = "") -> Iterator[Any]:
    """The entry's page in a tab, ready for its picture, with a style on top of its own."""
    made = entry.page(stage)
    file = made if isinstance(made, Path) else write_page(made, stage.folder / f"{entry.name}.html").path
    context = browser.new_context(
        offline=True,
        viewport={"width": entry.width, "height": entry.height},
        color_scheme=entry.scheme,
        reduced_motion="reduce",
    )
    context.add_init_script(font_script())
    context.add_init_script(style_script(style))
    tab = context.new_page()
    tab.set_default_timeout(60_000)  # for slow machines; nothing waits for it to pass
    tab.emulate_media(media=entry.media)
    tab.goto(file.as_uri() + entry.address)
    wait_until(tab, "document.querySelector('article, .message, .list') !== null")
    settle(tab)
    if entry.act is not None:
        entry.act(tab)
        settle(tab)
    yield tab
    context.close()


def strangers(tab: Any) -> list[str]:
    """The characters of a page that the gallery's fonts lack: each machine draws them in another font."""
    return sorted(set(tab.evaluate(DRAWN)) - covered())


def shoot(tab: Any, entry: Entry) -> Image.Image:
    """The picture: the window, or the part that the entry names with a margin."""
    clip = None
    if entry.part is not None:
        box = tab.locator(entry.part).first.bounding_box()
        left, top = max(box["x"] - MARGIN, 0), max(box["y"] - MARGIN, 0)
        clip = {
            "x": left,
            "y": top,
            "width": min(box["width"] + 2 * MARGIN, entry.width - left),
            "height": min(box["height"] + 2 * MARGIN, entry.height - top),
        }
    data = tab.screenshot(animations="disabled", **({"clip": clip} if clip else {}))
    return Image.open(io.BytesIO(data)).convert("RGB")


def few_colours(picture: Image.Image) -> Image.Image:
    """The picture with a palette, to be kept: its most frequent colours as they are, the rest by the nearest."""
    pixels = np.asarray(picture).reshape(-1, 3).astype(np.int32)
    packed, which, counts = np.unique(pixels @ (65536, 256, 1), return_inverse=True, return_counts=True)
    colours = np.stack([packed >> 16, packed >> 8 & 255, packed & 255], axis=1)
    order = np.argsort(-counts, kind="stable")
    frequent, rare = colours[order[:EXACT]], colours[order[EXACT:]]
    palette = frequent
    if len(rare):
        spread = Image.fromarray(rare[None].astype(np.uint8)).quantize(COLOURS - EXACT).getpalette() or []
        palette = np.concatenate([frequent, np.array(spread).reshape(-1, 3)])
    nearest = np.array([np.square(palette - colour).sum(axis=1).argmin() for colour in colours])
    made = Image.fromarray(nearest[which.ravel()].astype(np.uint8).reshape(picture.height, picture.width))
    made.putpalette(palette.astype(np.uint8).ravel().tolist())
    return made


def take(browser: Any, stage: Stage, entry: Entry, style: str = "") -> Image.Image:
    """An entry's picture."""
    with opened(browser, stage, entry, style) as tab:
        return shoot(tab, entry)
