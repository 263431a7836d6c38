"""Code of the documentation: found in the text, run in a folder of stand-ins, or held against real signatures.

The blocks of a page are one program, run from top to bottom. Its first line may say what a block is beyond that:

- ``# needs the network``, ``# needs a GPU``, ``# needs a notebook``, ``# needs several machines``,
  ``# runs until you stop it``: it is compiled, and every name, attribute and keyword in it is looked up;
- ``# from PATH``: it must stand in that file of the repository, word for word.

A ``text`` block right after a block that prints is what it prints. A ``sql`` block is a query that DuckDB
answers with a row or more.
"""

from __future__ import annotations

import ast
import builtins
import contextlib
import importlib
import inspect
import io
import re
import runpy
import shlex
import sys
import typing
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from unittest import mock

import typer

from sae_vis.cli import app

ROOT = Path(__file__).parents[1]
FENCE = re.compile(
    r"^(?P<indent> *)```(?P<language>\w+)[^\n]*\n(?P<code>.*?)^(?P=indent)```$", re.MULTILINE | re.DOTALL
)
ONLY_CHECKED = re.compile(r"# (needs (the network|a GPU|a notebook|several machines)|runs until you stop it)\b")
EXCERPT = re.compile(r"# from (\S+)\n")


@dataclass(frozen=True)
class Block:
    """One fenced block.

    Attributes:
        page: path in the repository.
        line: where its code begins, from 1.
        language: of the fence.
        code: without the fence and its indentation.
        output: of the ``text`` block right behind it; None where there is none.
    """

    page: str
    line: int
    language: str
    code: str
    output: str | None

    @property
    def where(self) -> str:
        """Page and line, for messages."""
        return f"{self.page}:{self.line}"

    @property
    def only_checked(self) -> bool:
        """Whether it needs what the tests don't have."""
        return bool(ONLY_CHECKED.match(self.code))

    @property
    def excerpt_of(self) -> str | None:
        """The file that it is taken from."""
        found = EXCERPT.match(self.code)
        return found[1] if found else None


def blocks_of(path: Path) -> list[Block]:
    """All blocks of a page with their outputs."""
    text = path.read_text(encoding="utf-8")
    fences = list(FENCE.finditer(text))
    found = []
    for i, fence in enumerate(fences):
        after = fences[i + 1] if i + 1 < len(fences) else None
        has_output = (
            fence["language"] in ("python", "sh")
            and after is not None
            and after["language"] == "text"
            and not text[fence.end() : after.start()].strip()
        )
        found.append(
            Block(
                page=path.relative_to(ROOT).as_posix(),
                line=text.count("\n", 0, fence.start("code")) + 1,
                language=fence["language"],
                code=_dedent(fence["code"], len(fence["indent"])),
                output=_dedent(after["code"], len(after["indent"])) if has_output and after else None,
            )
        )
    return found


def _dedent(code: str, width: int) -> str:
    return "".join(line[width:] if line.strip() else "\n" for line in code.splitlines(keepends=True))


def run_page(blocks: list[Block], folder: Path) -> dict[str, object]:
    """Run a page's blocks, in order, in one namespace and a folder; the namespace at the end."""
    names: dict[str, object] = {"__name__": "__docs__"}
    with contextlib.chdir(folder) if sys.version_info >= (3, 11) else _chdir(folder):
        for block in blocks:
            if block.language == "sql":
                _query(block)
            if block.language not in ("python", "sh"):
                continue
            if block.excerpt_of:
                check_excerpt(block)
            elif block.only_checked:
                check_names(block, names) if block.language == "python" else check_commands(block)
            else:
                _run(block, names)
    return names


@contextlib.contextmanager
def _chdir(folder: Path) -> Iterator[None]:
    import os

    before = Path.cwd()
    os.chdir(folder)
    try:
        yield
    finally:
        os.chdir(before)


def _run(block: Block, names: dict[str, object]) -> None:
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        if block.language == "python":
            code = compile("\n" * (block.line - 1) + block.code, block.page, "exec")
            exec(code, names)
        else:
            for words in commands(block.code):
                run_command(words, block.where)
    if block.output is not None:
        assert _tidy(printed.getvalue()) == _tidy(block.output), block.where


def _query(block: Block) -> None:
    import duckdb

    assert duckdb.sql(block.code).fetchall(), block.where


def _tidy(text: str) -> list[str]:
    return [line.rstrip() for line in text.strip("\n").splitlines()]


def check_excerpt(block: Block) -> None:
    """The code stands in its file."""
    code = block.code.partition("\n")[2]
    assert code in (ROOT / str(block.excerpt_of)).read_text(encoding="utf-8"), block.where


# --- shell


def commands(code: str) -> list[list[str]]:
    """The words of each command, comments left out."""
    lines = code.replace("\\\n", " ").splitlines()
    return [words for words in (shlex.split(line, comments=True) for line in lines) if words]


def run_command(words: list[str], where: str) -> None:
    """Run a command of this library, or check one that builds or installs it."""
    program, arguments = words[0].removeprefix(".venv/bin/"), words[1:]
    if program == "sae-vis" and arguments[0] not in ("demo", "serve"):
        with (
            mock.patch("sae_vis.cli.pages.progress_bars", _no_progress),
            mock.patch("sae_vis.cli.indexing.progress_bars", _no_progress),
        ):
            app(arguments, standalone_mode=False)
    elif program == "python" and arguments[0].endswith(".py"):
        with mock.patch.object(sys, "argv", arguments):
            runpy.run_path(arguments[0], run_name="__main__")
    else:
        check_command(words, where)


@contextlib.contextmanager
def _no_progress() -> Iterator[None]:
    yield None


def check_commands(block: Block) -> None:
    """Each command's name and options exist."""
    for words in commands(block.code):
        check_command(words, block.where)


def check_command(words: list[str], where: str) -> None:
    """What isn't run here exists with its options: the demo (`make wheel-test` runs it), servers, installing, make."""
    program, arguments = words[0].removeprefix(".venv/bin/"), words[1:]
    if program == "sae-vis":
        known = typer.main.get_command(app).commands  # type: ignore[attr-defined]
        assert arguments[0] in known, f"{where}: no command {arguments[0]}"
        if "--help" not in arguments:
            known[arguments[0]].make_context(arguments[0], arguments[1:])
    elif program == "make":
        assert set(arguments) <= make_targets(), where
    elif program in ("python", "python3") and arguments[0] == "-m":
        module = ROOT / f"{arguments[1].replace('.', '/')}.py"
        assert (
            module.exists()
            or module.with_suffix("").is_dir()
            or arguments[1] in ("venv", "pip", "cProfile", "pstats", "http.server")
        ), where
        if module.exists():
            missing = [word for word in arguments[2:] if word.startswith("--") and word not in module.read_text()]
            assert not missing, f"{where}: {missing}"
    elif program == "pip":
        extras = set(re.findall(r"^([\w-]+) = \[", (ROOT / "pyproject.toml").read_text(), flags=re.MULTILINE))
        asked = {extra for word in arguments for group in re.findall(r"\[(.+)\]", word) for extra in group.split(",")}
        assert asked <= extras, where
    else:
        assert program in ("git", "cd", "ls", "source", "export"), f"{where}: unknown command {program}"


def make_targets() -> set[str]:
    """Targets of the Makefile."""
    return set(re.findall(r"^([a-z-]+):.*## ", (ROOT / "Makefile").read_text(encoding="utf-8"), flags=re.MULTILINE))


# --- names of code that is not run


def check_names(block: Block, before: Mapping[str, object]) -> None:
    """Compile a block; look up what it imports, the attributes it names, and the keywords of its calls.

    `before` is what earlier blocks of the page have left. Types of variables are followed through return annotations.
    """
    tree = ast.parse(block.code)
    compile(tree, block.where, "exec")
    _Names(block.where, before).visit(tree)


class _Unknown:
    """What is not known without running the code."""


class _Instance(typing.NamedTuple):
    """Some object of a class."""

    kind: type


class _Names(ast.NodeVisitor):
    def __init__(self, where: str, before: Mapping[str, object]) -> None:
        self.where = where
        self.names: dict[str, object] = {**vars(builtins), **before}

    def visit_Import(self, node: ast.Import) -> None:
        for alias in node.names:
            module, root = self._module(alias.name), alias.name.partition(".")[0]
            self.names[alias.asname or root] = module if alias.asname else self._module(root)

    def visit_ImportFrom(self, node: ast.ImportFrom) -> None:
        module = self._module(node.module or "")
        for alias in node.names:
            self.names[alias.asname or alias.name] = self._attribute(module, alias.name)

    def visit_Assign(self, node: ast.Assign) -> None:
        self.generic_visit(node)
        for target in node.targets:
            for name in ast.walk(target):
                if isinstance(name, ast.Name):
                    self.names[name.id] = self.value(node.value) if name is target else _Unknown

    def visit_FunctionDef(self, node: ast.FunctionDef) -> None:
        self.names |= {node.name: _Unknown} | {argument.arg: _Unknown for argument in node.args.args}
        self.generic_visit(node)

    def visit_ClassDef(self, node: ast.ClassDef) -> None:
        self.names[node.name] = _Unknown
        self.generic_visit(node)

    def visit_For(self, node: ast.For) -> None:
        self.names |= {name.id: _Unknown for name in ast.walk(node.target) if isinstance(name, ast.Name)}
        self.generic_visit(node)

    def visit_comprehension(self, node: ast.comprehension) -> None:
        self.names |= {name.id: _Unknown for name in ast.walk(node.target) if isinstance(name, ast.Name)}
        self.generic_visit(node)

    def visit_ListComp(self, node: ast.ListComp) -> None:
        for part in node.generators:
            self.visit(part)
        self.visit(node.elt)

    def visit_Name(self, node: ast.Name) -> None:
        if isinstance(node.ctx, ast.Load):
            assert node.id in self.names, f"{self.where}: {node.id} is not defined"

    def visit_Attribute(self, node: ast.Attribute) -> None:
        self.generic_visit(node)
        self.value(node)

    def visit_Call(self, node: ast.Call) -> None:
        self.generic_visit(node)
        called = self.value(node.func)
        if called is _Unknown or isinstance(called, _Instance) or not callable(called):
            return
        try:
            parameters = inspect.signature(called).parameters.values()
        except ValueError:
            return
        if any(parameter.kind is parameter.VAR_KEYWORD for parameter in parameters):
            return
        known = {parameter.name for parameter in parameters}
        wrong = [keyword.arg for keyword in node.keywords if keyword.arg and keyword.arg not in known]
        assert not wrong, f"{self.where}: {ast.unparse(node.func)} has no {wrong}"

    def value(self, node: ast.expr) -> object:
        """What an expression is, as far as it is known: an object, an `_Instance` of its class, or `_Unknown`."""
        if isinstance(node, ast.Name):
            return self.names.get(node.id, _Unknown)
        if isinstance(node, ast.Attribute):
            return self._attribute(self.value(node.value), node.attr)
        if isinstance(node, ast.Call):
            return self._returned(self.value(node.func))
        return _Unknown

    def _attribute(self, owner: object, name: str) -> object:
        if owner is _Unknown:
            return _Unknown
        holder = owner.kind if isinstance(owner, _Instance) else owner
        if isinstance(holder, type) and name in inspect.get_annotations(holder) and not hasattr(holder, name):
            return _Unknown
        if isinstance(owner, _Instance) and not hasattr(holder, name):
            source = inspect.getsource(holder)
            assert f"self.{name}" in source or f"{name}:" in source, f"{self.where}: {holder.__name__} has no {name}"
            return _Unknown
        assert hasattr(holder, name), f"{self.where}: {holder!r} has no {name}"
        return getattr(holder, name)

    def _returned(self, called: object) -> object:
        if isinstance(called, type) and called is not _Unknown:
            return _Instance(called)
        try:
            own = {"Self": getattr(called, "__self__", _Unknown)}
            kind = typing.get_type_hints(called, localns=own).get("return")
        except (TypeError, NameError):
            return _Unknown
        return _Instance(kind) if isinstance(kind, type) else _Unknown

    def _module(self, name: str) -> object:
        try:
            return importlib.import_module(name)
        except ModuleNotFoundError as error:
            if (error.name or "").startswith("sae_vis"):
                raise AssertionError(f"{self.where}: no module {name}") from error
            return _Unknown  # an optional package that isn't installed here
