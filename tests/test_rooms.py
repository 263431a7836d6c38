"""The shape of the package: imports point downwards, functions stay short, importing is light and silent."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[1] / "sae_vis"
# From top to bottom; a room imports from itself and from rooms below it.
ROOMS = (
    "data_config_classes",
    "data_storing_fns",
    "cli",
    "demo",
    "site",
    "widget",
    "server",
    "compat",
    "api",
    "parts",
    "deliver",
    "explore",
    "views",
    "layout",
    "effects",
    "index",
    "saes",
    "models",
    "boards",
    "corpus",
    "config",
    "neutral",
    "moved",
    "contract",
    "checks",
    "errors",
)
MODULES = sorted(PACKAGE.rglob("*.py"))
LONGEST_FUNCTION = 60
MOST_PARAMETERS = 8
OF_SAE_VIS_0_3 = ("compat/data.py", "create")  # its ten parameters may be given by position, and one more has the rest
LONGEST_MODULE = {"": 425, "api": 280, "cli": 280, "compat": 280}  # lines, docstrings apart


def room(module: str) -> str:
    return module.split(".", maxsplit=1)[0]


def imported(path: Path) -> set[str]:
    """Names of sae_vis modules that a file imports, without the package's name."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        names = [node.module or ""] if isinstance(node, ast.ImportFrom) else []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        found |= {name.removeprefix("sae_vis.") for name in names if name.startswith("sae_vis.")}
    return found


@pytest.mark.parametrize("path", MODULES, ids=lambda p: str(p.relative_to(PACKAGE)))
def test_imports_point_downwards(path: Path):
    own = room(".".join(path.relative_to(PACKAGE).with_suffix("").parts))
    if own == "__init__":
        return
    for name in imported(path):
        assert ROOMS.index(room(name)) >= ROOMS.index(own), f"{own} imports {name}, which is above it"


@pytest.mark.parametrize("path", MODULES, ids=lambda p: str(p.relative_to(PACKAGE)))
def test_functions_are_short(path: Path):
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.FunctionDef):
            assert (node.end_lineno or 0) - node.lineno < LONGEST_FUNCTION, f"{node.name} is too long"


@pytest.mark.parametrize("path", MODULES, ids=lambda p: str(p.relative_to(PACKAGE)))
def test_calls_can_be_remembered(path: Path):
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
            given = node.args
            names = [one.arg for one in (*given.posonlyargs, *given.args, *given.kwonlyargs)]
            own = [name for name in names if name not in ("self", "cls")]
            name = getattr(node, "name", "a lambda")
            if (path.relative_to(PACKAGE).as_posix(), name) == OF_SAE_VIS_0_3:
                assert len(own) == 11
            else:
                assert len(own) <= MOST_PARAMETERS, f"{name} takes {len(own)} parameters"


@pytest.mark.parametrize("path", MODULES, ids=lambda p: str(p.relative_to(PACKAGE)))
def test_rooms_of_public_calls_are_of_short_modules(path: Path):
    most = LONGEST_MODULE.get(path.parent.name, LONGEST_MODULE[""])
    source = path.read_text(encoding="utf-8")
    documented = [
        node for node in ast.walk(ast.parse(source)) if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef)
    ]
    docs = [node.body[0] for node in documented if ast.get_docstring(node, clean=False) is not None]
    assert len(source.splitlines()) - sum(doc.end_lineno - doc.lineno + 1 for doc in docs) < most, (
        "split it by what it does"
    )


def test_import_is_light_and_silent():
    code = (
        "import sys; import sae_vis; "
        "print([m for m in ('torch', 'numpy', 'transformers', 'pyarrow', 'rich', 'typer') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-W", "error", "-c", code], check=True, capture_output=True, text=True)
    assert done.stdout == "[]\n"
    assert done.stderr == ""


def test_public_names_are_there():
    import sae_vis

    for name in sae_vis.__all__:
        assert getattr(sae_vis, name) is not None
    assert set(sae_vis.__all__) <= set(dir(sae_vis))
    with pytest.raises(AttributeError, match="no attribute 'nonsense'"):
        _ = sae_vis.nonsense
