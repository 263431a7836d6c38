"""axe-core on every view of the explorer: nothing serious or critical, in light and dark, wide and narrow."""

from __future__ import annotations

import json
from urllib.parse import quote

import pytest

from tests.browser.test_audit import GRAVE, NARROW, RUN, axe

__all__ = ["axe"]
pytestmark = [pytest.mark.browser, pytest.mark.audit, pytest.mark.xdist_group("the explorer's index")]


def at_rest(tab):
    tab.locator(".explorer-card[aria-busy=false]").wait_for()
    tab.locator(".grid-row .chip").first.wait_for()


def choose(tab):
    at_rest(tab)
    tab.locator(".chooser summary").click()


def take(tab):
    at_rest(tab)
    tab.locator(".table-tools .copy-menu summary").click()


def try_text(tab):
    at_rest(tab)
    tab.locator(".try-text [data-t]").first.wait_for()


def found(tab):
    at_rest(tab)
    tab.locator(".ways button", has_text="when the model reads it").wait_for()


def prompt(tab):
    tab.locator(".ranks tbody tr").first.wait_for()


def layers(tab):
    prompt(tab)
    tab.locator(".layer").nth(1).wait_for()


def compare(tab):
    tab.locator(".pairs tbody tr").first.wait_for()
    tab.locator(".pair-cards .card").nth(1).wait_for()


def facts(tab):
    at_rest(tab)
    tab.locator(".about summary").click()


TEXT = quote("def walk(self): return self")
VIEWS = {
    "table": ("", at_rest),
    "filters": ("#where=" + quote("max:5~20,density:0.001~") + "&sort=max", at_rest),
    "columns": ("", choose),
    "take": ("", take),
    "search": ("#q=self", found),
    "try": (f"#text={TEXT}", try_text),
    "facts": ("", facts),
    "prompt": (f"#view=prompt&text={TEXT}", prompt),
    "two prompts": (f"#view=prompt&text={TEXT}&with=" + quote("It was the best of times"), prompt),
    "layers": (f"#view=prompt&every=1&text={TEXT}", layers),
    "compare": ("#view=compare", compare),
}


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("view", VIEWS)
def test_no_serious_finding(view, scheme, open_explorer, axe):
    address, act = VIEWS[view]
    tab = open_explorer(address, color_scheme=scheme, reduced_motion="reduce")
    act(tab)
    tab.evaluate(axe)
    for size in (None, NARROW):
        if size is not None:
            tab.set_viewport_size(size)
        violations = tab.evaluate(RUN)
        for violation in violations:
            print(json.dumps(violation, ensure_ascii=False))
        assert [violation for violation in violations if violation["impact"] in GRAVE] == []
        assert tab.evaluate("document.documentElement.scrollWidth - window.innerWidth") <= 0
