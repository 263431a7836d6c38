"""The widget in a real JupyterLab: page and Python say the same; several widgets, keys, themes, no kernel any more."""

from __future__ import annotations

import json
import time
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("jupyterlab")
pytest.importorskip("anywidget")

from sae_vis import SiteSettings, save_feature_page, save_site
from tests.fixtures.explorer_server import serving
from tests.fixtures.file_server import serving_files
from tests.fixtures.pictures import VIEW, card_picture, one_column, require_equal, with_linked
from tests.widget.lab import Notebook, lab_server, write_notebook

pytestmark = pytest.mark.widget
MOST_BYTES = 200_000
WAITS = 60  # seconds that what is asked for may take
OPEN = "from sae_vis import Index\nindex = Index.open({path!r})"


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("notebooks")


@pytest.fixture(scope="module")
def address(folder):
    with lab_server(folder) as found:
        yield found


@pytest.fixture
def lab(chromium, address, folder, index, request):
    """``lab(*cells)`` opens a notebook of cells and runs it; a console error of ours fails the test."""
    noise, contexts = [], []

    def opened(*cells: str, run: bool = True) -> Notebook:
        path = folder / f"{request.node.name}{len(contexts)}.ipynb"
        write_notebook(path, [OPEN.format(path=str(index._store.root)), *cells])
        found = browse(path)
        if run:
            found.run()
        return found

    def browse(path) -> Notebook:
        context = chromium.new_context(viewport={"width": 1500, "height": 950})
        contexts.append(context)
        tab = context.new_page()
        tab.set_default_timeout(60_000)
        tab.on("pageerror", lambda error: noise.append(str(error)))
        return Notebook(tab, address, path)

    opened.browse = browse
    yield opened
    for context in contexts:
        context.close()
    assert noise == []


def card(page, feature: int):
    """The card of a feature, once it is there."""
    found = page.locator(f'article[aria-label="Feature {feature}"][aria-busy="false"]')
    found.wait_for()
    return found


def python_says(notebook: Notebook, expression: str, wanted: str) -> None:
    """Wait until an expression has a value in the kernel."""
    ends = time.monotonic() + WAITS
    while (said := notebook.python(f"print({expression})").strip()) != wanted:
        assert time.monotonic() < ends, f"{expression} is {said}, expected {wanted}"
        notebook.tab.wait_for_timeout(100)


def by_density(index) -> list[int]:
    return np.argsort(-index.column("density").astype(np.float32), kind="stable").tolist()


def test_the_page_and_python_say_the_same(lab, index):
    notebook = lab("w = index.explore()\nw")
    page, order = notebook.explorer(), by_density(index)
    first = card(page, order[0])
    assert f"{index.column('n_firings')[order[0]]:,} times" in first.inner_text()
    python_says(notebook, "w.selected", str(order[0]))
    page.locator(f"#row-{order[0]}.current").wait_for()
    page.get_by_role("grid").focus()
    notebook.tab.keyboard.press("ArrowDown")
    card(page, order[1])
    python_says(notebook, "w.selected", str(order[1]))
    page.get_by_role("searchbox").fill("the")
    python_says(notebook, "w.search", "the")
    # and the other way round
    notebook.python("w.selected = 17")
    card(page, 17)
    notebook.python("w.search = ''; w.filters = [{'column': 'max', 'low': 3.5}]")
    n = int((index.column("max").astype(np.float32) >= 3.5).sum())
    page.get_by_text(f"{n:,} of {index.n_features:,} features").wait_for()
    page.get_by_role("button", name="Max", exact=True).click()
    python_says(notebook, "w.filters", "[{'column': 'max', 'low': 3.5, 'high': None}]")
    page.locator(".chips .filter-chip").first.click()
    python_says(notebook, "w.filters", "[]")


def test_widgets_of_one_notebook_keep_to_themselves(lab, index):
    notebook = lab("a = index.explore(selected=3)\na", "b = index.explore(selected=5, search='self')\nb")
    one, other = notebook.explorer(0), notebook.explorer(1)
    card(one, 3)
    card(other, 5)
    before = notebook.tab.url
    one.get_by_role("searchbox").press("Escape")
    one.get_by_role("grid").focus()
    notebook.tab.keyboard.press("Home")
    card(one, by_density(index)[0])
    python_says(notebook, "(a.selected, b.selected, a.search, b.search)", str((by_density(index)[0], 5, "", "self")))
    assert notebook.tab.url == before
    # a second view of the same widget follows the first
    notebook.python("a.selected = 9; b.selected = 9")
    card(one, 9)
    card(other, 9)


def test_keys_are_of_whatever_is_in_focus(lab, index):
    notebook = lab("w = index.explore(selected=3, search='')\nw")
    page = notebook.explorer()
    card(page, 3)
    page.get_by_role("grid").focus()
    for key in ("d", "d", "a", "b", "x"):
        notebook.tab.keyboard.press(key)
    assert notebook.tab.evaluate("jupyterapp.shell.currentWidget.content.widgets.length") == 2
    page.locator("#row-3.current").wait_for()
    page.get_by_role("grid").focus()
    notebook.tab.keyboard.press("j")
    python_says(notebook, "w.selected != 3", "True")
    now = int(notebook.python("print(w.selected)"))
    notebook.tab.evaluate("jupyterapp.shell.currentWidget.content.node.focus()")
    for key in ("j", "j", "j", "/"):
        notebook.tab.keyboard.press(key)
    # had the widget heard them, one more would lead to another feature
    page.locator(f"#row-{now}.current").wait_for()
    page.get_by_role("grid").focus()
    notebook.tab.keyboard.press("j")
    order = by_density(index)
    python_says(notebook, "w.selected", str(order[order.index(now) + 1]))


def test_the_theme_is_the_notebooks_and_styles_stay_where_they_are(lab):
    notebook = lab("w = index.explore(selected=3)\nw")
    page, tab = notebook.explorer(), notebook.tab
    card(page, 3)

    def ground() -> list[int]:
        colour = page.evaluate("(page) => getComputedStyle(page).backgroundColor")
        return [int(part) for part in colour.removeprefix("rgb(").removesuffix(")").split(",")]

    button = "getComputedStyle(document.querySelector('.jp-Toolbar button, .jp-ToolbarButtonComponent')).height"
    assert min(ground()) > 200
    before = [tab.evaluate(button), page.get_by_role("button", name="Keys").bounding_box()["height"]]
    notebook.do("apputils:change-theme", theme="JupyterLab Dark")
    tab.wait_for_function("document.body.dataset.jpThemeLight === 'false'")
    ends = time.monotonic() + WAITS
    while max(ground()) >= 60:
        assert time.monotonic() < ends, f"the ground is {ground()}, expected a dark one"
        tab.wait_for_timeout(50)
    tab.add_style_tag(content="button { height: 77px !important } .card { display: none } :root { --ink: red }")
    assert page.get_by_role("button", name="Keys").bounding_box()["height"] == before[1]
    assert page.locator(".card").is_visible()
    notebook.do("apputils:change-theme", theme="JupyterLab Light")


def test_details_of_a_token_stand_beside_it(lab):
    notebook = lab("w = index.explore(selected=3, height=600)\nw")
    page = notebook.explorer()
    token = card(page, 3).locator(".examples li .tok.on").first
    token.scroll_into_view_if_needed()
    token.hover()
    tip = page.locator(".tip:not(.pinned)")
    tip.wait_for()
    box, at = tip.bounding_box(), token.bounding_box()
    beside = max(box["y"] - (at["y"] + at["height"]), at["y"] - (box["y"] + box["height"]))
    aside = max(box["x"] - (at["x"] + at["width"]), at["x"] - (box["x"] + box["width"]))
    assert 0 <= max(beside, aside) <= 20


def test_without_a_kernel_what_is_shown_stays(lab, index):
    notebook = lab("w = index.explore()\nw")
    page, order = notebook.explorer(), by_density(index)
    card(page, order[0])
    page.locator(".grid-row").nth(3).wait_for()
    notebook.tab.evaluate("() => jupyterapp.shell.currentWidget.sessionContext.shutdown()")
    shown = card(page, order[0])
    assert shown.locator(".examples li").count() > 3
    far = order[len(order) // 2]
    page.get_by_role("searchbox").fill(str(far))
    notebook.tab.keyboard.press("Enter")
    page.get_by_role("alert").filter(has_text="kernel is not running any more").first.wait_for()
    assert page.locator(".grid-row").count() > 3


def test_a_saved_notebook_holds_the_open_card(lab, index, folder):
    notebook = lab("w = index.explore(selected=3)\nw", "v = index.explore(selected=5)\nv")
    page = notebook.explorer()
    card(page, 3)
    card(notebook.explorer(1), 5)
    notebook.python("w.selected = 21")
    card(page, 21)
    python_says(notebook, "w._card.split(':')[0]", "21")
    plain = notebook.save()
    assert "Feature 3" in "".join(plain["cells"][1]["outputs"][0]["data"]["text/html"])
    notebook.do("@jupyter-widgets/jupyterlab-manager:saveWidgetState")
    ends = time.monotonic() + WAITS
    while "widgets" not in (saved := notebook.save())["metadata"]:  # a setting, which takes its time
        assert time.monotonic() < ends, "the notebook is saved without the state of its widgets"
    assert "application/vnd.jupyter.widget-state+json" in saved["metadata"]["widgets"]
    assert len(json.dumps(saved)) < MOST_BYTES
    # opened again, in a browser that never saw the kernel
    notebook.tab.evaluate("() => jupyterapp.shell.currentWidget.sessionContext.shutdown()")
    again = lab.browse(notebook.path)
    again_card = card(again.explorer(), 21)
    assert f"{index.column('n_firings')[21]:,} times" in again_card.inner_text()
    card(again.explorer(1), 5)


LIVE = """\
from sae_vis import load_tokenizer, prompt
from sae_vis.demo import run as demo
parts, tokenizer = demo.demo_parts(demo.MLP), load_tokenizer(demo.assets() / "model")"""


def test_a_prompt_in_a_cell(lab, index):
    notebook = lab(LIVE, "w = prompt(index, 'The cat sat on the mat', parts=parts, tokenizer=tokenizer)\nw")
    page = notebook.explorer()
    tokens, found = "w._desk.layer('The cat sat on the mat')[0]", "w._desk.layer('The cat sat on the mat')[1].features"
    n, said = int(notebook.python(f"print(len({tokens}))")), notebook.python(f"print({found}[:3].tolist())")
    page.locator(".strip [data-t]").nth(n - 1).wait_for()
    page.locator('.ranks [aria-label$="open its card"]').first.wait_for()
    assert page.locator(".strip [data-t]").count() == n
    assert page.get_by_role("textbox").first.input_value() == "The cat sat on the mat"
    saved = notebook.save()
    plain = "".join(saved["cells"][2]["outputs"][0]["data"]["text/html"])
    assert all(f"feature {feature}:" in plain for feature in json.loads(said))
    assert "Feature " in plain
    assert len(json.dumps(saved)) < MOST_BYTES


@pytest.fixture(scope="module")
def elsewhere(index, folder):
    """A feature that fires often enough for every group of examples; where its card is, by delivery."""
    feature, layout = int(abs(index.column("n_firings") - 200).argmin()), one_column()
    path, features = Path(index._store.root), with_linked(index, feature)
    save_feature_page(index, folder / "page.html", features=features, layout=layout)
    save_site(path, folder / "site", features=features, layout=layout, settings=SiteSettings(workers=1))
    with serving_files(folder / "site") as site, serving([path], layout=layout, notes=False) as server:
        yield feature, {"file": (folder / "page.html").as_uri(), "server": server.address, "site": site}


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_a_card_looks_the_same_in_a_file_from_a_server_on_a_site_and_in_a_widget(lab, chromium, elsewhere, scheme):
    pictures = {}
    feature, addresses = elsewhere
    for name, address in addresses.items():
        context = chromium.new_context(viewport=VIEW, color_scheme=scheme, reduced_motion="reduce")
        tab = context.new_page()
        tab.set_default_timeout(60_000)
        tab.goto(f"{address}#f={feature}")
        pictures[name] = card_picture(tab, feature)
        context.close()
    given = f"layout=SaeVisLayoutConfig.from_json({one_column().to_json()!r})"
    notebook = lab(
        f"from sae_vis import SaeVisLayoutConfig\nw = index.explore(selected={feature}, height=4000, {given})\nw"
    )
    notebook.tab.set_viewport_size(VIEW)
    if scheme == "dark":
        notebook.do("apputils:change-theme", theme="JupyterLab Dark")
        notebook.tab.wait_for_function("document.body.dataset.jpThemeLight === 'false'")
    pictures["widget"] = card_picture(notebook.explorer(), feature)
    if scheme == "dark":
        notebook.do("apputils:change-theme", theme="JupyterLab Light")
    assert list(pictures) == ["file", "server", "site", "widget"]
    require_equal(pictures)
