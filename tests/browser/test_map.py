"""The map of the explorer in a real browser: what it says, the pointer, the keys, the lasso, both themes."""

from __future__ import annotations

import numpy as np
import pytest
from polling import wait_until

from sae_vis.explore.map import decoder_map
from sae_vis.index.decoder_map import PlacedFeatures, keep_map
from sae_vis.saes.flat_map import FlatMap, Kept
from tests.browser.test_audit import AXE, GRAVE, RUN
from tests.explore.served import index_at, server_at
from tests.fixtures.live_server import running

pytestmark = [pytest.mark.browser, pytest.mark.explorer]
# Features on a circle but for feature 4, which is in its middle, and feature 8, which has no place.
ANGLES = np.arange(9) * 2 * np.pi / 7
X = np.where(np.arange(9) == 4, 0, np.cos(ANGLES)).astype(np.float32)
Y = np.where(np.arange(9) == 4, 0, np.sin(ANGLES)).astype(np.float32)
X[8] = Y[8] = np.nan
DRAWN = """(() => { const canvas = document.querySelector('.map-box canvas');
  const data = canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height).data;
  return new Set(new Uint32Array(data.buffer)).size > 1 })()"""
SAID = "document.querySelector('.map-box [role=status]').innerText"
CHIPS = "document.querySelector('.chips').innerText"


@pytest.fixture(scope="module")
def index(tmp_path_factory):
    found = index_at(tmp_path_factory.mktemp("map") / "index")
    keep_map(found, PlacedFeatures(FlatMap(X, Y), Kept(0.2134, 7, 8)))
    return found


@pytest.fixture(scope="module")
def address(index):
    with running(server_at(index._store.root)) as client:
        yield client.server.address


@pytest.fixture
def see(chromium, address):
    """``see(hash)`` opens the map; the test fails on a message, an error or a request to elsewhere."""
    noise, contexts = [], []

    def opener(where="", **options):
        context = chromium.new_context(viewport={"width": 1280, "height": 900}, **options)
        contexts.append(context)
        tab = context.new_page()
        tab.set_default_timeout(60_000)
        tab.on("console", lambda message: noise.append(message.text))
        tab.on("pageerror", lambda error: noise.append(str(error)))
        tab.on("request", lambda request: request.url.startswith(address) or noise.append(request.url))
        tab.goto(f"{address}#view=map{where}")
        tab.locator(".map-box canvas").wait_for()
        wait_until(tab, DRAWN)
        return tab

    yield opener
    for context in contexts:
        context.close()
    assert noise == []


def middle(tab):
    box = tab.locator(".map-box").bounding_box()
    return box["x"] + box["width"] / 2, box["y"] + box["height"] / 2


def place_of(tab, index, feature):
    """Where a feature is on the screen while the whole map is in view."""
    found = decoder_map(index)
    box = tab.locator(".map-box").bounding_box()
    right, top = found.x.max(), found.y.max()
    scale = min((box["width"] - 2 - 28) / right, (box["height"] - 2 - 28) / top)
    x, y = middle(tab)
    return x + (found.x[feature] - right / 2) * scale, y - (found.y[feature] - top / 2) * scale


def opened(tab, feature):
    tab.locator(f'article[aria-label="Feature {feature}"]').first.wait_for()


def draw(tab, x, y, corners):
    """Drag around a place, from corner to corner."""
    (dx, dy), *others = corners
    tab.mouse.move(x + dx, y + dy)
    tab.mouse.down()
    for dx, dy in others:
        tab.mouse.move(x + dx, y + dy, steps=4)
    tab.mouse.up()


def test_it_says_what_it_keeps(see):
    tab = see()
    tab.locator(".map-legend").wait_for()
    said = tab.locator("#map-summary").inner_text()
    assert "A flat map keeps about 21% of true neighbours (of the 7 nearest); exact ones are in the card." in said
    assert "8 features" in said
    assert "1 feature without a decoder direction has no place" in said
    assert "Density" in said
    tab.get_by_label("Colour by").select_option(label="nothing")
    tab.locator(".map-legend").wait_for(state="detached")
    wait_until(tab, "window.location.hash.includes('colour=none')")
    tab.reload()
    tab.locator(".map-box canvas").wait_for()
    assert tab.locator(".map-legend").count() == 0


def test_a_click_opens_what_is_pointed_at(see, index):
    tab = see()
    for feature in (4, 2, 0):
        x, y = place_of(tab, index, feature)
        tab.mouse.click(x + 3, y - 2)
        opened(tab, feature)
    x, y = place_of(tab, index, 3)
    tab.mouse.move(x, y)
    tab.mouse.down()
    tab.mouse.move(x + 60, y + 40, steps=4)  # a drag opens nothing
    tab.mouse.up()
    opened(tab, 0)
    tab.mouse.click(x + 60, y + 40)  # it has moved along
    opened(tab, 3)


def test_the_keyboard_alone_is_enough(see):
    tab = see("&f=2")
    tab.locator(".map-box").focus()
    wait_until(tab, f"{SAID}.includes('nearest to the middle: 4')")
    tab.keyboard.press("Enter")
    opened(tab, 4)
    for _ in range(6):
        tab.keyboard.press("ArrowLeft")
    wait_until(tab, f"/nearest to the middle: [^4]/.test({SAID})")
    tab.keyboard.press("0")
    for _ in range(4):
        tab.keyboard.press("+")
    wait_until(tab, f"{SAID}.includes('nearest to the middle: 4')")
    tab.keyboard.press("ArrowUp")
    tab.keyboard.press("-")
    tab.keyboard.press("Enter")
    opened(tab, 4)


def test_the_lasso_narrows_the_table_down(see, index):
    tab = see()
    tab.get_by_role("button", name="Lasso").click()
    draw(tab, *middle(tab), [(-60, -60), (60, -60), (60, 60), (-60, 60), (-60, -50)])
    wait_until(tab, f"{CHIPS}.includes('1 drawn around on the map')")
    tab.get_by_role("button", name="Features").click()
    wait_until(tab, f"{CHIPS}.startsWith('1 of 9')")
    assert tab.locator(".grid-row").count() == 1
    tab.get_by_role("button", name="1 drawn around on the map").click()
    wait_until(tab, f"{CHIPS}.startsWith('9 of 9')")
    tab.get_by_role("button", name="Map", exact=True).click()
    tab.locator(".map-box canvas").wait_for()
    tab.locator(".map-legend").wait_for()
    tab.keyboard.down("Shift")  # without the tool
    draw(tab, *place_of(tab, index, 2), [(-30, -30), (30, -30), (30, 30), (-30, 30)])
    tab.keyboard.up("Shift")
    wait_until(tab, f"{CHIPS}.includes('1 drawn around on the map')")


def test_the_tables_filters_are_the_maps(see, index):
    density = index.column("density")
    least = float(np.sort(density)[-4:-2].mean())
    passing = int((density[:8] >= least).sum())
    tab = see(f"&where=density:{least}~")
    wait_until(tab, f"document.querySelector('#map-summary').innerText.includes('{passing} pass the filters')")


def test_wheel_and_buttons_zoom(see, index):
    tab = see()
    tab.locator(".map-legend").wait_for()
    x, y = place_of(tab, index, 1)
    tab.mouse.move(x, y)
    for _ in range(4):
        tab.mouse.wheel(0, -300)
    tab.mouse.click(x, y)  # what is under the pointer stays there
    opened(tab, 1)
    tab.get_by_role("button", name="Whole map").click()
    tab.mouse.click(*place_of(tab, index, 4))
    opened(tab, 4)
    tab.get_by_role("button", name="Zoom in").click()
    tab.get_by_role("button", name="Zoom out").click()
    tab.mouse.click(*place_of(tab, index, 2))
    opened(tab, 2)


def test_two_fingers_zoom(see, index):
    """As a touch screen sends it: two pointers of which one stays."""
    tab = see()
    tab.locator(".map-legend").wait_for()
    x, y = place_of(tab, index, 1)
    tab.evaluate(
        """([x, y]) => { const box = document.querySelector('.map-box'); box.setPointerCapture = () => undefined;
          const send = (type, id, dx) => box.dispatchEvent(new PointerEvent(type,
            {pointerId: id, pointerType: 'touch', clientX: x + dx, clientY: y, button: 0, bubbles: true}));
          send('pointerdown', 1, 0); send('pointerdown', 2, 20);
          for (let dx = 30; dx <= 200; dx += 10) send('pointermove', 2, dx);
          send('pointerup', 2, 200); send('pointerup', 1, 0); }""",
        [x, y],
    )
    tab.mouse.click(x, y)
    opened(tab, 1)
    tab.mouse.click(*place_of(tab, index, 4))  # not there any more
    opened(tab, 1)


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_pixels_and_themes(see, scheme):
    tab = see(color_scheme=scheme, device_scale_factor=2)
    tab.locator(".map-legend").wait_for()
    box = tab.locator(".map-box").bounding_box()
    wide = tab.evaluate("document.querySelector('.map-box canvas').width")
    assert abs(wide - 2 * (box["width"] - 2)) <= 2
    tab.set_viewport_size({"width": 800, "height": 700})
    wait_until(tab, f"document.querySelector('.map-box canvas').width !== {wide}")
    if not AXE.exists():
        pytest.skip(f"no {AXE}: run `npm ci` in frontend/")
    tab.evaluate(AXE.read_text(encoding="utf-8"))
    assert [found for found in tab.evaluate(RUN) if found["impact"] in GRAVE] == []
