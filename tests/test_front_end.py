"""The shape of the front end: rooms import downwards, nothing imports in a circle, modules stay short."""

from __future__ import annotations

import re
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

SOURCES = Path(__file__).parents[1] / "frontend" / "src"
# From top to bottom; a room imports from itself and from rooms below it.
ROOMS = ("pages", "components", "marks", "state", "data")
LONGEST_MODULE = 450
IMPORT = re.compile(r"""^(?:import|export)\b[^;]*?from "(\.[^"]+)";""", re.MULTILINE)

pytestmark = pytest.mark.skipif(not SOURCES.exists(), reason="not a source checkout")


def modules() -> dict[str, Path]:
    """The front end's modules by their paths, without what follows from the contract."""
    found = [path for path in SOURCES.rglob("*.ts*") if path.name != "styles.d.ts"]
    return {path.relative_to(SOURCES).as_posix().split(".")[0]: path for path in found}


def imports() -> dict[str, set[str]]:
    """What each module imports."""
    found = {}
    for name, path in modules().items():
        specs = IMPORT.findall(path.read_text(encoding="utf-8"))
        found[name] = {(path.parent / spec).resolve().relative_to(SOURCES.resolve()).as_posix() for spec in specs}
    return found


def styles_of(path: Path) -> list[str]:
    """The style sheets that a module or a sheet names."""
    found = re.findall(r"""^@?import "(\.[^"]+\.css)";""", path.read_text(encoding="utf-8"), flags=re.MULTILINE)
    return [(path.parent / spec).resolve().relative_to(SOURCES.resolve()).as_posix() for spec in found]


def test_every_import_is_of_a_module() -> None:
    known = set(modules())
    assert len(known) > 50
    for name, others in imports().items():
        assert others <= known, name


def test_rooms_import_downwards() -> None:
    for name, others in imports().items():
        for other in others:
            own, below = (ROOMS.index(module.split("/", maxsplit=1)[0]) for module in (name, other))
            assert own <= below, f"{name} imports {other}, which is above it"


def test_data_is_decoded_by_sources_only() -> None:
    readers = {name for name, others in imports().items() if others & {"data/blocks", "data/codec", "data/table"}}
    outside = {name for name in readers if not name.startswith("data/")}
    assert outside == set()
    decodes = re.compile(r"\bdecode(Head|Prompt|Feature|Shared|Overview|Compared)\(")
    calls = {name for name, path in modules().items() if decodes.search(path.read_text(encoding="utf-8"))}
    assert calls == {"data/blocks", "data/inline", "data/http", "data/packed"}


def test_each_style_sheet_has_its_place_in_the_order() -> None:
    sheets = {path.relative_to(SOURCES).as_posix() for path in SOURCES.rglob("*.css")}
    named = [
        found for path in SOURCES.rglob("*") if path.suffix in {".ts", ".tsx", ".css"} for found in styles_of(path)
    ]
    assert sheets - set(named) == set()
    assert set(named) <= sheets
    entries = {name for name, path in modules().items() if styles_of(path)}
    pages = {f"pages/{kind}" for kind in ("feature", "prompt", "compare", "explorer", "site", "widget")}
    assert entries == {*pages, "pages/parts/map", "pages/parts/views"}


def test_colours_are_in_one_file() -> None:
    own = re.compile(r"^\s*--[\w-]+:[^;]*(?:#[0-9a-f]{3,8}\b|light-dark\()", re.MULTILINE)
    found = {path.name for path in SOURCES.rglob("*.css") if own.search(path.read_text(encoding="utf-8"))}
    assert found == {"tokens.css", "narrow.css"}  # the latter for print: white paper


def test_nothing_imports_in_a_circle() -> None:
    try:
        TopologicalSorter(imports()).prepare()
    except CycleError as error:
        pytest.fail(" -> ".join(error.args[1]))


def test_modules_are_short() -> None:
    written = {name: path for name, path in modules().items() if name not in ("data/contract", "data/table")}
    for name, path in written.items():
        lines = len(path.read_text(encoding="utf-8").splitlines())
        assert lines < LONGEST_MODULE, f"{name} has {lines} lines"
