"""The same card as a file, from a server and from a site: equal pictures. Of the widget: tests/widget/test_lab.py."""

from __future__ import annotations

import pytest
from explorer_server import serving
from file_server import serving_files
from pictures import VIEW, card_picture, one_column, require_equal, with_linked

from sae_vis import Index, SiteSettings, save_feature_page, save_site

pytestmark = [pytest.mark.browser, pytest.mark.explorer]


@pytest.fixture(scope="module")
def feature(demo_indices):
    """One that fires often enough for every group of examples."""
    counts = demo_indices.index.column("n_firings")
    return int(abs(counts - 200).argmin())


@pytest.fixture(scope="module")
def addresses(demo_indices, feature, tmp_path_factory):
    """Where the card is, by delivery."""
    folder, path, layout = tmp_path_factory.mktemp("pictures"), demo_indices.paths[0], one_column()
    features = with_linked(demo_indices.index, feature)
    save_feature_page(Index.open(path), folder / "page.html", features=features, layout=layout)
    save_site(path, folder / "site", features=features, layout=layout, settings=SiteSettings(workers=1))
    with serving_files(folder / "site") as site, serving([path], layout=layout, notes=False) as server:
        yield {"file": (folder / "page.html").as_uri(), "server": server.address, "site": site}


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_a_card_looks_the_same_from_everywhere(chromium, addresses, feature, scheme):
    pictures = {}
    for name, address in addresses.items():
        context = chromium.new_context(viewport=VIEW, color_scheme=scheme, reduced_motion="reduce")
        tab = context.new_page()
        tab.set_default_timeout(60_000)
        tab.goto(f"{address}#f={feature}")
        pictures[name] = card_picture(tab, feature)
        context.close()
    require_equal(pictures)
