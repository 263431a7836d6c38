"""The pictures: a name, the page it is of, and what is done on the page before it is taken.

A new component, layout or state gets an entry here; `python -m tests.gallery --update NAME` takes its picture, which is
looked at before it is committed.
"""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from sae_vis.contract import FeaturePage
from sae_vis.demo import run as demo
from sae_vis.layout import (
    ActsByPositionConfig,
    ActsHistogramConfig,
    Column,
    Component,
    FeatureTablesConfig,
    LabelsConfig,
    LogitsHistogramConfig,
    LogitsTableConfig,
    ProbeLogitsTablesConfig,
    SaeVisLayoutConfig,
    SeqMultiGroupConfig,
    TopTokensConfig,
)
from tests.fixtures.synthetic_page import synthetic_page
from tests.gallery.languages import languages_page
from tests.gallery.stage import COMMENT, SELF_DOT, UNITED, Stage

STATES = "The President of the United States"
"""The prompt of docs/tutorials/prompt.md."""
TWO_PROMPTS = ("The United States of America went to war.", "The United States of France made peace.")
OWN = Path(__file__).resolve().parents[2] / "examples" / "first_letters" / "first_letters.py"


@dataclass(frozen=True, kw_only=True)
class Entry:
    """One picture.

    Attributes:
        name: of the file in docs/gallery, without ``.png``.
        page: makes what is shown, or the file of it.
        width: of the window, pixels.
        height: of the window, pixels.
        scheme: the system's colour setting.
        media: screen or print.
        address: behind the file's name, such as ``#f=12``.
        part: CSS selector of what is in the picture; None: the window.
        act: what is done on the page first.
    """

    name: str
    page: Callable[[Stage], Path | FeaturePage]
    width: int = 1500
    height: int = 950
    scheme: Literal["light", "dark"] = "light"
    media: Literal["screen", "print"] = "screen"
    address: str = ""
    part: str | None = None
    act: Callable[[Any], None] | None = None


def alone(component: Component, *, width: int, height: int = 2000, feature: int = COMMENT) -> Entry:
    """A component by itself, under its own name."""
    layout = SaeVisLayoutConfig([Column(component, width=width)])
    return Entry(
        name=component.type_name,
        page=lambda stage: stage.page(feature, layout=layout),
        height=height,
        part=".column",
    )


EXAMPLES_ONLY = SaeVisLayoutConfig(
    [Column(SeqMultiGroupConfig(buffer=(12, 12), top_acts_group_size=30, n_quantiles=4, quantile_group_size=10))]
)
"""Wide contexts, nothing else."""

HISTOGRAMS_FIRST = SaeVisLayoutConfig(
    [
        Column(ActsHistogramConfig(n_bins=30), LogitsHistogramConfig(n_bins=30), width=460),
        Column(LogitsTableConfig(n_rows=20), width=380),
        Column(SeqMultiGroupConfig(buffer=(4, 4), n_quantiles=5)),
    ],
    height=720,
)
"""Charts, then a long logit table, then examples; the card has a fixed height and its columns scroll."""

READING = SaeVisLayoutConfig(
    [
        Column(
            SeqMultiGroupConfig(buffer=(20, 20), top_acts_group_size=8, n_quantiles=3, quantile_group_size=3),
            ActsHistogramConfig(),
            LogitsTableConfig(n_rows=5),
            width=680,
        )
    ]
)
"""One narrow column to read from top to bottom: long contexts, then the numbers."""

CUSTOM_LAYOUTS = {
    "layout-examples-only": EXAMPLES_ONLY,
    "layout-histograms-first": HISTOGRAMS_FIRST,
    "layout-reading": READING,
}


EXPANDING = SaeVisLayoutConfig(
    [Column(ActsHistogramConfig(), width=420), Column(SeqMultiGroupConfig(expand="sequence", n_quantiles=2))]
)
"""Contexts that open to the whole sequence."""


FIVE_GROUPS = SaeVisLayoutConfig([Column(SeqMultiGroupConfig(top_acts_group_size=8, n_quantiles=5), width=860)])
"""Few of the strongest firings, five ranges."""

SHE = 704
"""A feature of Austen's pages."""

BY_LABEL = SaeVisLayoutConfig(
    [
        Column(LabelsConfig(), ActsHistogramConfig(), width=400),
        Column(SeqMultiGroupConfig(by_label="source", label_group_size=4, top_acts_group_size=6, n_quantiles=0)),
    ]
)
"""Top examples of each source of text."""


PROBES = SaeVisLayoutConfig([Column(ProbeLogitsTablesConfig(othello=True), width=760)])
BOARDS = SaeVisLayoutConfig(
    [
        Column(
            SeqMultiGroupConfig(othello=True, buffer=None, compute_buffer=False, n_quantiles=0, top_acts_group_size=12)
        )
    ]
)
OTHELLO = SaeVisLayoutConfig.default_othello_layout()


def othello(stage: Stage, layout: SaeVisLayoutConfig) -> Path:
    """A feature of the Othello example."""
    return stage.othello_page(layout)


def own_component() -> SaeVisLayoutConfig:
    """The worked example of a component of one's own."""
    spec = importlib.util.spec_from_file_location("first_letters", OWN)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module.layout()


def focus(tab: Any, row: int) -> Any:
    """The firing token of an example in the first group."""
    return tab.locator(".group").first.locator("li").nth(row).locator(".focus").first


def pin_and_point(tab: Any) -> None:
    """Pin one token, point at another."""
    focus(tab, 2).click()
    focus(tab, 14).hover()


def expand(tab: Any) -> None:
    """Open the third example as far as it goes."""
    tab.get_by_role("group", name="Examples").focus()
    for key in ("ArrowDown", "ArrowDown", "ArrowDown", "e", "e"):
        tab.keyboard.press(key)


def press(key: str) -> Callable[[Any], None]:
    """A key of the page."""
    return lambda tab: tab.keyboard.press(key)


def point_at_label(tab: Any) -> None:
    """Point at the second label."""
    tab.locator("table.labels tbody tr").nth(1).hover()


def sort_by_label(tab: Any) -> None:
    """The list, most uneven first."""
    tab.keyboard.press("/")
    tab.get_by_role("button", name="By source").click()


def search_text(tab: Any) -> None:
    """Look for a text in the examples of all features."""
    tab.keyboard.press("/")
    tab.get_by_placeholder("Text in the examples").fill("self")


ENTRIES = {
    entry.name: entry
    for entry in (
        alone(FeatureTablesConfig(n_rows=5), width=300, feature=SELF_DOT),
        alone(ActsHistogramConfig(), width=460),
        alone(LogitsHistogramConfig(), width=460, feature=SELF_DOT),
        alone(LogitsTableConfig(), width=460, feature=UNITED),
        alone(ActsByPositionConfig(), width=460),
        alone(SeqMultiGroupConfig(), width=860, height=800, feature=SELF_DOT),
        alone(TopTokensConfig(), width=300, feature=UNITED),
        Entry(name="united", page=lambda stage: stage.page(UNITED, layout=FIVE_GROUPS), part=".column", height=1400),
        Entry(
            name="Labels",
            page=lambda stage: stage.labelled_page(SHE, layout=SaeVisLayoutConfig([Column(LabelsConfig(), width=420)])),
            part=".column",
        ),
        Entry(name="by-label", page=lambda stage: stage.labelled_page(SHE, layout=BY_LABEL), act=point_at_label),
        Entry(name="by-label-list", page=lambda stage: stage.labelled_page(SHE, layout=BY_LABEL), act=sort_by_label),
        Entry(
            name="sources",
            page=lambda stage: stage.attention_page(),
            height=760,
            part=".column:has(.examples)",
            act=lambda tab: tab.locator(".from .main").nth(2).hover(),
        ),
        Entry(name="ProbeLogitsTables", page=lambda stage: othello(stage, PROBES), part=".column", height=1600),
        Entry(name="boards", page=lambda stage: othello(stage, BOARDS), act=lambda tab: focus(tab, 1).hover()),
        Entry(name="boards-dark", page=lambda stage: othello(stage, OTHELLO), scheme="dark", height=1200),
        *(
            Entry(name=name, page=Stage.crosscoder, part=f".column >> nth={place}", height=900)
            for place, name in enumerate(("DecoderNorms", "LogitsByPlace", "ModelDiff"))
        ),
        Entry(name="Header", page=lambda stage: stage.page(SELF_DOT), part=".about"),
        Entry(name="default-light", page=lambda stage: stage.page(SELF_DOT)),
        Entry(name="default-dark", page=lambda stage: stage.page(SELF_DOT), scheme="dark"),
        *(
            Entry(name=name, page=lambda stage, layout=layout: stage.page(COMMENT, layout=layout))
            for name, layout in CUSTOM_LAYOUTS.items()
        ),
        Entry(name="narrow", page=lambda stage: stage.page(SELF_DOT), width=420, height=1400),
        Entry(name="print", page=lambda stage: stage.page(SELF_DOT), width=800, height=1130, media="print"),
        Entry(name="hover", page=lambda stage: stage.page(SELF_DOT), act=lambda tab: focus(tab, 2).hover()),
        Entry(name="list", page=Stage.long_page, act=press("/")),
        Entry(name="search", page=Stage.long_page, act=search_text),
        Entry(name="beside", page=lambda stage: stage.page(SELF_DOT), address=f"#f={SELF_DOT},{COMMENT}"),
        Entry(
            name="beside-dark",
            page=lambda stage: stage.page(SELF_DOT),
            address=f"#f={SELF_DOT},{COMMENT}",
            scheme="dark",
        ),
        Entry(name="pinned", page=lambda stage: stage.page(COMMENT), act=pin_and_point),
        Entry(name="expanded", page=lambda stage: stage.page(COMMENT, layout=EXPANDING), act=expand),
        Entry(name="help", page=lambda stage: stage.page(SELF_DOT), act=press("?")),
        Entry(name="own-component", page=lambda stage: stage.page(COMMENT, layout=own_component())),
        Entry(
            name="effects", page=lambda _: synthetic_page(3, seed=5, loss=True), act=lambda tab: focus(tab, 2).hover()
        ),
        Entry(name="Prompt", page=lambda stage: stage.prompt(demo.PROMPT), part=".own-prompt", height=1400),
        Entry(name="prompt", page=lambda stage: stage.prompt(demo.PROMPT), height=1400),
        Entry(name="prompt-dark", page=lambda stage: stage.prompt(demo.PROMPT), scheme="dark", address="#pos=12"),
        Entry(name="prompt-narrow", page=lambda stage: stage.prompt(demo.PROMPT), width=420, height=1400),
        Entry(name="prompts", page=lambda stage: stage.prompt(*TWO_PROMPTS, metric="act_size"), height=1400),
        Entry(name="states", page=lambda stage: stage.prompt(STATES, metric="attribution", at=-2), height=1100),
        Entry(name="compare", page=lambda stage: stage.compare(), height=1300),
        Entry(name="compare-dark", page=lambda stage: stage.compare(), height=1300, scheme="dark"),
        Entry(name="compare-lost", page=lambda stage: stage.compare(), address="#view=lost"),
        Entry(name="compare-merges", page=lambda stage: stage.compare(), address="#view=merges"),
        Entry(name="compare-narrow", page=lambda stage: stage.compare(), width=420, height=1400),
        Entry(name="languages", page=lambda _: languages_page(), height=800),
        Entry(name="languages-dark", page=lambda _: languages_page(), height=800, scheme="dark"),
        Entry(name="signed", page=lambda stage: stage.signed_page()),
        Entry(name="dead", page=lambda _: synthetic_page(3, seed=1, dead=(0,)), height=800),
    )
}
