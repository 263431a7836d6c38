"""The pictures in docs/gallery show the page as it is; ``make gallery`` takes them again."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from PIL import Image

from sae_vis.layout import Column, LogitsHistogramConfig, SaeVisLayoutConfig
from tests.gallery.__main__ import FOLDER
from tests.gallery.camera import opened, shoot, strangers, take
from tests.gallery.compare import difference
from tests.gallery.entries import ENTRIES
from tests.gallery.fonts import CHARACTERS
from tests.gallery.stage import SELF_DOT, Stage

pytestmark = [pytest.mark.browser, pytest.mark.gallery]
LARGEST = 150 * 1024
OF_OTHER_MODELS = {
    *("sources", "ProbeLogitsTables", "boards", "boards-dark", "DecoderNorms", "LogitsByPlace", "ModelDiff", "signed"),
    *("Labels", "by-label", "by-label-list", "effects", "languages", "languages-dark", "dead"),
}
"""Pictures that need no index of the demo, or one of their own."""


@pytest.fixture(scope="module")
def stage(tmp_path_factory) -> Stage:
    return Stage(tmp_path_factory.mktemp("gallery"))


def group(name: str) -> pytest.MarkDecorator:
    """With pytest-xdist, pictures of the same index are taken by one process."""
    return pytest.mark.xdist_group("other models" if name in OF_OTHER_MODELS else "the demo's index")


def committed(name: str) -> Image.Image:
    return Image.open(FOLDER / f"{name}.png")


@pytest.mark.parametrize("name", [pytest.param(name, marks=group(name)) for name in ENTRIES])
def test_picture(name: str, chromium, stage: Stage, tmp_path: Path):
    with opened(chromium, stage, ENTRIES[name]) as tab:
        unknown = strangers(tab)
        actual = shoot(tab, ENTRIES[name])
    assert unknown == [], f"put these into {CHARACTERS}, then: python -m tests.gallery.cut_fonts"
    found = difference(actual, committed(name))
    if not found.tolerable:
        actual.save(tmp_path / f"{name}.png")
    assert found.tolerable, (
        f"{found.share:.2%} of {name} differs from {FOLDER / name}.png, its size by {found.size:.1%}; now it is "
        f"{tmp_path / name}.png. If that is as it should be: python -m tests.gallery --update {name}"
    )


def test_each_picture_has_its_entry_and_is_small():
    files = {path.stem: path.stat().st_size for path in FOLDER.glob("*.png")}
    of_explorer = {
        name for name in files if name.startswith("explorer")
    }  # by docs/picture_readme.py: live, so not compared
    assert set(files) - of_explorer == set(ENTRIES)
    assert {name: size for name, size in files.items() if size > LARGEST} == {}


@group("default-light")
def test_a_missing_component_is_seen(chromium, stage: Stage):
    default = SaeVisLayoutConfig.default_feature_centric_layout()
    kept = [[c for c in column if not isinstance(c, LogitsHistogramConfig)] for column in default.columns]
    layout = SaeVisLayoutConfig([Column(*components) for components in kept])
    entry = replace(ENTRIES["default-light"], page=lambda stage: stage.page(SELF_DOT, layout=layout))
    assert not difference(take(chromium, stage, entry), committed("default-light")).tolerable


@group("default-light")
@pytest.mark.parametrize(
    ("name", "style"),
    [
        ("default-light", ".bars { visibility: hidden !important }"),
        ("default-light", ".numbers { visibility: hidden !important }"),
        ("default-light", ".tok { background: none !important }"),
        ("default-light", ":root { --act: #30c060 !important }"),
        ("default-dark", ":root { --paper: #ffffff !important }"),
        ("ActsHistogram", ":root { --act: #30c060 !important }"),
        ("LogitsTable", ":root { --up: #30c060 !important }"),
        ("LogitsHistogram", ".axis { visibility: hidden !important }"),
        ("SeqMultiGroup", ":root { --act: #30c060 !important }"),
        ("hover", ".tip { visibility: hidden !important }"),
    ],
)
def test_wrong_colours_and_lost_parts_are_seen(name: str, style: str, chromium, stage: Stage):
    picture = take(chromium, stage, ENTRIES[name], style)
    assert not difference(picture, committed(name)).tolerable
