"""A real Chromium for the tests of pages; each page fails its test on a console message or a request outside itself."""

import os
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "fixtures"))

CHROMIUM = Path("/usr/bin/chromium")


@pytest.fixture(scope="session")
def chromium():
    from playwright import sync_api

    options = {"executable_path": str(CHROMIUM)} if CHROMIUM.exists() else {}
    with sync_api.sync_playwright() as playwright:
        if not options and not Path(playwright.chromium.executable_path).exists():
            message = "no Chromium: install Debian's chromium, or run `playwright install chromium`"
            pytest.fail(message) if os.environ.get("CI") else pytest.skip(message)
        browser = playwright.chromium.launch(args=["--no-sandbox", "--disable-gpu"], **options)
        yield browser
        browser.close()


@pytest.fixture
def open_page(chromium, tmp_path):
    """``open_page(feature_page_or_html, hash="", **context_options)`` opens it from a file, offline."""
    from sae_vis.deliver.page import write_page

    noise, contexts = [], []

    def opener(page, address="", **options):
        path = tmp_path / f"page{len(contexts)}.html"
        if isinstance(page, str):
            path.write_text(page, encoding="utf-8")
        else:
            write_page(page, path)
        context = chromium.new_context(offline=True, viewport={"width": 1500, "height": 950}, **options)
        contexts.append(context)
        tab = context.new_page()
        tab.set_default_timeout(15_000)
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
