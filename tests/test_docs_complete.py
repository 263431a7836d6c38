"""Nothing public is undocumented: names, parameters, options, commands, metrics, targets, packages."""

from __future__ import annotations

import ast
import dataclasses
import importlib
import inspect
import json
import re

import pytest
import typer

import sae_vis
from sae_vis.cli import app
from sae_vis.layout import Component
from sae_vis.views.prompt import METRICS
from tests.docs_blocks import ROOT, make_targets

DOCS = ROOT / "docs"
DIRECTIVE = re.compile(r"^\.\. auto(?:class|function):: sae_vis\.(\S+)$", re.MULTILINE)
DOCUMENTED = [
    name for path in sorted((DOCS / "reference").glob("*.md")) for name in DIRECTIVE.findall(path.read_text("utf-8"))
]
COMMANDS = typer.main.get_command(app).commands  # type: ignore[attr-defined]


def found(path: str) -> object:
    """What a path below `sae_vis` names."""
    if "." not in path:
        return getattr(sae_vis, path)
    module, _, name = path.rpartition(".")
    return getattr(importlib.import_module(f"sae_vis.{module}"), name)


def methods(kind: type) -> dict[str, object]:
    """Public functions and properties of a class that the library defines."""
    ours = [base for base in reversed(kind.__mro__) if base.__module__.startswith("sae_vis")]
    return {
        name: getattr(value, "__func__", value)
        for base in ours
        for name, value in vars(base).items()
        if not name.startswith("_")
        and (inspect.isfunction(value) or isinstance(value, (property, classmethod, staticmethod)))
    }


def undescribed(function: object, doc: str) -> list[str]:
    """Parameters that a docstring doesn't name."""
    parameters = [p for p in inspect.signature(function).parameters if p not in ("self", "cls")]  # type: ignore[arg-type]
    return [name for name in parameters if not re.search(rf"(`|\b){name}\b", doc)]


def test_every_public_name_is_in_the_reference_once():
    assert sorted(set(sae_vis.__all__) - set(DOCUMENTED)) == [], "add each to a page of docs/reference"
    assert sorted({name for name in DOCUMENTED if DOCUMENTED.count(name) > 1}) == []


@pytest.mark.parametrize("path", DOCUMENTED)
def test_docstrings_describe_parameters_and_fields(path: str):
    thing = found(path)
    doc = inspect.getdoc(thing) or ""
    assert len(doc) > 20
    if not isinstance(thing, type):
        assert undescribed(thing, doc) == []
        return
    if dataclasses.is_dataclass(thing) and not issubclass(thing, Component):
        fields = [field.name for field in dataclasses.fields(thing) if not field.name.startswith("_")]
        assert [name for name in fields if not re.search(rf"^ +\*?{name}\b|``{name}", doc, re.MULTILINE)] == []
    for name, method in methods(thing).items():
        getter = method.fget if isinstance(method, property) else method
        own = inspect.getdoc(getattr(thing, name)) or ""
        assert own, f"{path}.{name} has no docstring"
        told = "`" in own.replace("``", "")  # of another function, whose arguments these are
        if not isinstance(method, property) and not told and len(inspect.signature(getter).parameters) > 2:
            assert undescribed(getter, own) == [], f"{path}.{name}"


@pytest.mark.parametrize("name", sorted(COMMANDS))
def test_every_command_and_option_has_its_help(name: str):
    command = COMMANDS[name]
    assert command.help
    assert [parameter.name for parameter in command.params if not getattr(parameter, "help", None)] == []
    assert "```{sae-vis-commands}" in (DOCS / "command-line.md").read_text(encoding="utf-8")
    assert f"`sae-vis {name}" in (DOCS / "command-line.md").read_text(encoding="utf-8")


def test_every_metric_is_defined():
    text = (DOCS / "numerics.md").read_text(encoding="utf-8")
    assert [name for name in METRICS if f"| `{name}` |" not in text] == []


@pytest.mark.parametrize("page", ["numerics.md", "dev-guide.md", "index-format.md", "checkpoints.md"])
def test_tests_that_are_cited_exist(page: str):
    cited = set(re.findall(r"`(test_\w+)(?:\[[^\]`]*\])?`", (DOCS / page).read_text(encoding="utf-8")))
    sources = "\n".join(path.read_text(encoding="utf-8") for path in (ROOT / "tests").rglob("*.py"))
    assert sorted(name for name in cited if f"def {name}(" not in sources) == []


def test_files_that_are_cited_exist():
    text = "\n".join(path.read_text(encoding="utf-8") for path in [*DOCS.glob("*.md"), *DOCS.glob("*/*.md")])
    cited = set(re.findall(r"`((?:sae_vis|tests|frontend|benchmarks|examples|training|docs)/[\w./-]+\.\w+)`", text))
    assert cited
    assert sorted(name for name in cited if not (ROOT / name).exists()) == []


def test_every_target_of_the_makefile_is_in_the_guide():
    text = (DOCS / "dev-guide.md").read_text(encoding="utf-8")
    listed = set(re.findall(r"`([a-z-]+)`", text.partition("## Make targets")[2].partition("\n## ")[0]))
    assert sorted(make_targets() - listed - {"help"}) == []


def test_every_package_is_in_the_guide_with_its_reason():
    tables = (DOCS / "dev-guide.md").read_text(encoding="utf-8").partition("## Dependencies")[2].partition("\n## ")[0]
    rows = " ".join(row.split("|")[1] for row in tables.splitlines() if row.startswith("|"))
    project = (ROOT / "pyproject.toml").read_text(encoding="utf-8").partition("[project.scripts]")[0]
    project = project.partition("dependencies = [")[2]
    named = {name.lower() for name in re.findall(r'"([A-Za-z][\w-]*)[\[>=<~"]', project)}
    script = json.loads((ROOT / "frontend" / "package.json").read_text(encoding="utf-8"))
    named |= {*script.get("dependencies", {}), *script.get("devDependencies", {})} - {"axe-core"}
    assert sorted(name for name in named if name not in rows.lower()) == []


def test_the_version_is_one():
    project = re.findall(r'^version = "(.+)"$', (ROOT / "pyproject.toml").read_text(encoding="utf-8"), re.MULTILINE)
    citation = re.findall(r"^version: (.+)$", (ROOT / "CITATION.cff").read_text(encoding="utf-8"), re.MULTILINE)
    assert project == citation == [sae_vis.__version__]
    assert f"## {sae_vis.__version__.partition('.dev')[0]} " in (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")


def test_the_notebook_is_kept_without_outputs():
    cells = json.loads((DOCS / "demo.ipynb").read_text(encoding="utf-8"))["cells"]
    code = [cell for cell in cells if cell["cell_type"] == "code"]
    assert [cell["id"] for cell in code if cell["outputs"] or cell["execution_count"] is not None] == []
    for cell in code:
        tagged = "network" in cell["metadata"].get("tags", [])
        assert tagged == "".join(cell["source"]).startswith("# needs the network")


def test_messages_of_the_troubleshooting_page_are_the_librarys():
    sources = [path.read_text(encoding="utf-8") for path in (ROOT / "sae_vis").rglob("*.py")]
    constants = [node.value for text in sources for node in ast.walk(ast.parse(text)) if isinstance(node, ast.Constant)]
    every = "\n".join(value for value in constants if isinstance(value, str))
    rows = (DOCS / "troubleshooting.md").read_text(encoding="utf-8").splitlines()
    cells = [row.split("|")[1] for row in rows if row.startswith("| ")]
    quoted = [text for cell in cells for text in re.findall(r"`([^`]* [^`]*)`", cell)]
    parts = [part.strip() for text in quoted for part in text.split("…") if part.strip()]
    assert len(parts) > 5
    assert [part for part in parts if part.lower() not in every.lower()] == []


def test_words_of_the_pages_mean_what_the_docs_say():
    words = (ROOT / "frontend" / "src" / "data" / "words.ts").read_text(encoding="utf-8")
    said = dict(re.findall(r'^  "?([a-z -]+)"?: "(.*)",$', words, re.MULTILINE))
    assert len(said) == words.count('",\n') > 10
    page = (ROOT / "docs" / "numerics.md").read_text(encoding="utf-8").partition("## Words on the pages")[2]
    assert dict(re.findall(r"^\| ([a-z -]+) \| (.*) \|$", page, re.MULTILINE)) == {"word": "meaning", **said}
