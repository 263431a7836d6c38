"""Pages of dictionaries whose activations are of either sign, from a real index."""

from itertools import islice

import numpy as np
import pytest

from sae_vis.api import ModelAndSae, index_features, save_feature_page, save_prompt_page
from sae_vis.corpus.text import TokenText
from sae_vis.corpus.tokens import Corpus
from sae_vis.demo import run as demo
from sae_vis.index.build import Source, build_index
from sae_vis.models.loading import load_tokenizer
from sae_vis.saes.directions import from_directions
from sae_vis.views.prompt import PromptSettings
from tests.index.test_build import some_corpus
from tests.whole_numbers import VOCAB, SignedSae, WholeModel

pytestmark = pytest.mark.browser

HISTOGRAM = ".chart svg[aria-label*='firings by activation']"


@pytest.fixture(scope="module")
def index():
    model, sae = WholeModel(), SignedSae()
    text = TokenText.from_vocab({token: f" w{token}" for token in range(VOCAB)})
    hook = model.hook_point("here")
    return build_index(Source(corpus=some_corpus(40), model=model, sae=sae, hook=hook, text=text))


@pytest.fixture(scope="module")
def html(index, tmp_path_factory):
    path = tmp_path_factory.mktemp("signed") / "page.html"
    save_feature_page(index, path, features=None)
    return path.read_text(encoding="utf-8")


def both_sided(index):
    """A feature with firings on both sides of zero, more on one than on the other."""
    return next(f for f in range(9) if (a := index.firings(f).acts).size and a.min() < -4 and a.max() > 4)


def minus(value):
    return f"{value:.3g}".replace("-", "−")


def test_header_groups_and_histogram_have_two_sides(open_page, html, index):
    feature = both_sided(index)
    acts = index.firings(feature).acts
    tab = open_page(html, f"#f={feature}")
    stats = tab.locator(".stats").inner_text()
    assert f"max {acts.max():.3g}"[:6] in stats
    assert f"min −{-acts.min():.3g}"[:7] in stats
    heads = tab.locator(".group h3").all_inner_texts()
    assert heads[:2] == ["Top activations", "Most negative activations"]
    assert heads[2].split(" to ")[0][0].isdigit()
    assert heads[-1].startswith("−")
    below = tab.locator(".group").nth(1)
    first = below.locator("li").first
    assert first.locator(".act").inner_text().startswith("−")
    assert "below" in first.locator(".focus").first.get_attribute("class")
    assert f"min −{-acts.min():.3g}"[:7] in below.locator("header").inner_text()
    table = tab.locator(".chart").filter(has=tab.locator("svg[aria-label*='firings by activation']")).locator("details")
    table.locator("summary").click()
    rows = [row.split("\t") for row in table.locator("tbody").inner_text().splitlines()]
    assert rows[0][0].startswith("−")
    assert not rows[-1][1].startswith("−")
    assert sum(int(row[2].replace(",", "")) for row in rows) == len(acts)
    edges = [float(row[0].replace("−", "-")) for row in rows]
    assert 0.0 in edges  # no bar is on both sides


def test_a_bar_below_zero_lights_its_tokens_up_and_no_others(open_page, html, index):
    tab = open_page(html, f"#f={both_sided(index)}")
    chart = tab.locator(HISTOGRAM).first
    chart.focus()
    chart.press("ArrowRight")  # the lowest bar, which holds the minimum
    lit = tab.locator(".examples .lit")
    assert lit.count() > 0
    assert all("below" in name for name in lit.evaluate_all("all => all.map(e => e.className)"))
    least = tab.locator(".group").nth(1).locator("li .focus").first
    assert "lit" in least.get_attribute("class")
    least.hover()
    words = tab.locator("#tip").inner_text()
    assert minus(float(index.firings(both_sided(index)).acts.min()))[:3] in words


def test_a_feature_that_fires_below_zero_only(open_page, html, index):
    tab = open_page(html, "#f=0")
    acts = index.firings(0).acts
    assert acts.max() < 0
    assert tab.locator(".group h3").first.inner_text() == "Most negative activations"
    assert "max 0" in tab.locator(".stats").inner_text()
    assert tab.locator(HISTOGRAM).first.get_attribute("aria-label").count("−") == 2  # the low end and the mean


def test_the_list_is_filtered_and_sorted_by_the_size_of_the_peak(open_page, html, index):
    tab = open_page(html)
    tab.keyboard.press("/")
    panel = tab.get_by_role("dialog", name="Find a feature")
    assert "Peak" in panel.locator("thead").inner_text()
    panel.get_by_role("button", name="Peak").click()
    peaks = [row.split("\t")[2] for row in panel.locator("tbody").inner_text().splitlines() if "\t" in row]
    assert peaks[0].startswith("−1,0")
    panel.get_by_label("Size of the peak at least").fill("900")
    assert panel.locator("tbody tr").count() == 1
    sizes = np.maximum(index.column("max"), -index.minima())
    panel.get_by_label("Size of the peak at least").fill("20")
    assert panel.locator("tbody tr").count() == int((sizes >= 20).sum())


@pytest.fixture(scope="module")
def prompt_html(tmp_path_factory):
    """Steering vectors on the demo's model."""
    parts = demo.demo_parts(demo.RESID)
    directions = parts.sae.decoder[:12] - parts.sae.decoder[12:24]
    parts = ModelAndSae(model=parts.model, sae=from_directions(directions, signed=True), hook=parts.hook_name)
    tokenizer = load_tokenizer(demo.assets() / "model")
    corpus = Corpus.from_texts(list(islice(demo.demo_texts(), 6)), tokenizer, seq_len=64)
    index = index_features(corpus, parts, text=TokenText.from_tokenizer(tokenizer))
    path = tmp_path_factory.mktemp("prompt") / "prompt.html"
    text, settings = "def __init__(self): the United States", PromptSettings(metric="act_size")
    save_prompt_page(index, path, text, parts=parts, tokenizer=tokenizer, settings=settings)
    return path.read_text(encoding="utf-8")


def test_a_prompt_page_ranks_by_size(open_page, prompt_html):
    tab = open_page(prompt_html, "#pos=3")
    order = tab.get_by_label("Order")
    assert order.evaluate("e => e.selectedOptions[0].textContent") == "largest first, either sign"
    words = tab.locator(".ranks td.value").all_inner_texts()
    values = [float(word.replace("−", "-").replace("+", "")) for word in words]
    assert min(values) < 0 < max(values)
    assert [abs(value) for value in values] == sorted((abs(value) for value in values), reverse=True)
    assert "below zero" in tab.locator(".heat .ends").inner_text()
    order.select_option(label="negative first")
    first = tab.locator(".ranks td.value").first
    assert float(first.inner_text().replace("−", "-")) == min(values)
    assert tab.locator(".ranks .spark .below").first.get_attribute("d") != ""
    tab.get_by_label("Rank by").select_option(label="Activation quantile")
    order = tab.get_by_label("Order")
    assert order.locator("option").all_inner_texts() == ["highest first", "lowest first"]
    high = tab.locator(".ranks tbody tr").first.get_attribute("data-feature")
    order.select_option(label="lowest first")
    assert tab.locator(".ranks tbody tr").first.get_attribute("data-feature") != high
