"""A real Chromium for the tests of pages; each page fails its test on a console message or a request outside itself."""

import os
import sys
from pathlib import Path

import pytest

from tests.fixtures.chrome import NoChromiumError, launched, style_script
from tests.gallery.fonts import font_script

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "fixtures"))


LETTERS = {
    "system": "",
    "monospace": style_script(":root { font-family: monospace !important }"),
    "wide": font_script(1.2),
}


@pytest.fixture(params=LETTERS)
def letters(request):
    """A script for `open_page`: what a test measures must hold in narrow letters and in wide ones, and in any font."""
    return LETTERS[request.param]


@pytest.fixture(scope="session")
def chromium():
    try:
        with launched() as browser:
            from playwright.sync_api import expect

            expect.set_options(timeout=60_000)  # for slow machines; nothing waits for it to pass
            yield browser
    except NoChromiumError as absent:
        pytest.fail(str(absent)) if os.environ.get("CI") else pytest.skip(str(absent))


@pytest.fixture
def open_page(chromium, tmp_path):
    """``open_page(page_or_html, address="", script="", **context_options)`` opens it from a file, offline.

    The script runs before the page's own.
    """
    from sae_vis.deliver.page import write_page

    noise, contexts = [], []

    def opener(page, address="", script="", **options):
        path = tmp_path / f"page{len(contexts)}.html"
        if isinstance(page, str):
            path.write_text(page, encoding="utf-8")
        else:
            write_page(page, path)
        context = chromium.new_context(offline=True, viewport={"width": 1500, "height": 950}, **options)
        contexts.append(context)
        context.add_init_script(script)
        tab = context.new_page()
        tab.set_default_timeout(60_000)  # for slow machines; nothing waits for it to pass
        tab.on("console", lambda message: noise.append(f"console {message.type}: {message.text}"))
        tab.on("pageerror", lambda error: noise.append(f"error: {error}"))
        tab.on(
            "request", lambda request: request.url.startswith(path.as_uri()) or noise.append(f"asks for {request.url}")
        )
        tab.goto(path.as_uri() + address)
        return tab

    yield opener
    for context in contexts:
        context.close()
    assert noise == []


@pytest.fixture(scope="session")
def demo_indices(tmp_path_factory):
    """Both of the demo's SAEs over a part of its text, on disk. What is written into them stays there."""
    from explorer_server import demo_indices

    return demo_indices(tmp_path_factory.mktemp("explorer"))


@pytest.fixture(scope="session")
def explorer(demo_indices):
    """A server of both indices with all that is live."""
    from explorer_server import serving

    from sae_vis.demo import run as demo

    # Models of its own: one that runs in two threads at a time is stopped by the other's hook.
    own = [demo.demo_parts(sae) for sae in demo.SAES]
    with serving(demo_indices.paths, own, tokenizer=demo_indices.tokenizer) as server:
        yield server


@pytest.fixture
def open_explorer(chromium, explorer):
    """``open_explorer(address="", at=None, expected=(), **context_options)`` opens a page of the server `explorer`.

    ``at`` is the address of another server, ``expected`` what the console may say: parts of it.
    """
    noise, contexts = [], []

    def opener(address="", at=None, expected=(), **options):
        home = at or explorer.address
        context = chromium.new_context(**{"viewport": {"width": 1500, "height": 950}, **options})
        contexts.append(context)
        context.grant_permissions(["clipboard-read", "clipboard-write"], origin="/".join(home.split("/")[:3]))

        def heard(text):
            if not any(part in text for part in expected):
                noise.append(text)

        tab = context.new_page()
        tab.set_default_timeout(60_000)  # for slow machines; nothing waits for it to pass
        tab.on("console", lambda message: heard(f"console {message.type}: {message.text}"))
        tab.on("pageerror", lambda error: heard(f"error: {error}"))
        tab.on("request", lambda request: request.url.startswith(home) or heard(f"asks for {request.url}"))
        tab.goto(home + address)
        return tab

    yield opener
    for context in contexts:
        context.close()
    assert noise == []
