"""What a release rests on: the README as PyPI shows it, addresses, workflows, versions of the documentation."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from tests.docs_blocks import ROOT, make_targets

DOCS = ROOT / "docs"
sys.path.insert(0, str(DOCS))

import add_version  # noqa: E402

tomllib = pytest.importorskip("tomllib")  # Python 3.11
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
SOURCE = PROJECT["project"]["urls"]["Source"]
WORKFLOWS = sorted((ROOT / ".github" / "workflows").glob("*.yml"))
ADDRESS = re.compile(r"\]\(([^)\s]+)\)|(?:src|srcset)=\"([^\"]+)\"")


def readme_for_pypi(version: str) -> str:
    """The README after the substitutions of pyproject.toml, as hatch-fancy-pypi-readme makes them."""
    made = PROJECT["tool"]["hatch"]["metadata"]["hooks"]["fancy-pypi-readme"]
    text = "".join((ROOT / part["path"]).read_text(encoding="utf-8") for part in made["fragments"])
    for one in made["substitutions"]:
        text = re.sub(one["pattern"], one["replacement"], text)
    return text.replace("$HFPR_VERSION", version)


def addresses(text: str) -> list[str]:
    return [one or other for one, other in ADDRESS.findall(text)]


def test_addresses_on_pypi_are_those_of_the_tag():
    raw = SOURCE.replace("github.com", "raw.githubusercontent.com")
    here = addresses((ROOT / "README.md").read_text(encoding="utf-8"))
    there = addresses(readme_for_pypi("1.2.3"))
    assert len(here) == len(there) > 30
    for own, made in zip(here, there, strict=True):
        if not own.startswith("https://"):
            picture = Path(own).suffix in (".png", ".webp", ".svg")
            assert made == (f"{raw}/v1.2.3/{own}" if picture else f"{SOURCE}/blob/v1.2.3/{own}")
            assert (ROOT / own.partition("#")[0]).is_file()


def test_code_of_the_readme_is_the_same_on_pypi():
    blocks = re.compile(r"^```.*?^```$", re.MULTILINE | re.DOTALL)
    own = blocks.findall((ROOT / "README.md").read_text(encoding="utf-8"))
    assert blocks.findall(readme_for_pypi("1.2.3")) == own


def test_all_pages_install_from_the_same_place():
    """From a clone until the day of release, from PyPI from then on."""
    pages = [ROOT / "README.md", *DOCS.rglob("*.md")]
    install = re.compile(r"pip install \"(\.|sae-vis)\[\w+\]\"")
    found = {
        str(page.relative_to(ROOT)): set(install.findall(page.read_text(encoding="utf-8")))
        for page in pages
        if page.name not in ("releasing.md", "changelog.md") and "_build" not in page.parts
    }
    places = {page: from_ for page, from_ in found.items() if from_}
    assert len(places) > 5
    used = set().union(*places.values())
    assert used in ({"."}, {"sae-vis"}), places
    released = used == {"sae-vis"}
    assert ("is not on PyPI yet" in (ROOT / "README.md").read_text(encoding="utf-8")) is not released


def test_the_repository_has_one_address():
    urls = PROJECT["project"]["urls"]
    assert [name for name in ("Changelog", "Issues") if not urls[name].startswith(f"{SOURCE}/")] == []
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    assert re.findall(r"git clone (\S+)", text) in ([], [SOURCE])
    assert set(re.findall(r"https://github\.com/[\w-]+/sae_vis", text)) <= {SOURCE}


# --- workflows


def steps(path: Path) -> list[dict[str, object]]:
    jobs = yaml.safe_load(path.read_text(encoding="utf-8"))["jobs"]
    return [step for job in jobs.values() for step in job["steps"]]


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.name)
def test_workflows_call_what_there_is(path: Path):
    flow = yaml.safe_load(path.read_text(encoding="utf-8"))
    assert flow[True]  # `on:` is a boolean in YAML 1.1
    for job in flow["jobs"].values():
        assert set(job.get("needs", "").split()) <= set(flow["jobs"])
    for step in steps(path):
        assert ("run" in step) != ("uses" in step)
        assert re.fullmatch(r"[\w-]+/[\w-]+@[\w/.]+", str(step.get("uses", "a/b@v1")))
        script = str(step.get("run", ""))
        for line in re.findall(r"^\s*make (.+)$", script, flags=re.MULTILINE):
            assert {word for word in line.split() if "=" not in word} <= make_targets(), line
        for file in re.findall(r"(?:^|python |bash )(\.?[\w/-]+\.py|\.ci/run)", script):
            assert (ROOT / file).is_file(), file


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.name)
def test_scripts_of_workflows_are_shell(path: Path):
    for step in steps(path):
        done = subprocess.run(
            ["bash", "-n"], input=str(step.get("run", "")), text=True, capture_output=True, check=False
        )
        assert done.returncode == 0, done.stderr


def test_the_release_reads_the_version_where_it_is():
    script = next(str(step["run"]) for step in steps(ROOT / ".github" / "workflows" / "release.yml") if "name" in step)
    found = re.search(r"\$\((sed .* pyproject\.toml)\)", script)
    assert found
    told = subprocess.run(["bash", "-c", found[1]], cwd=ROOT, text=True, capture_output=True, check=True)
    assert told.stdout.strip() == PROJECT["project"]["version"]


# --- versions of the documentation


def built(folder: Path, version: str, pages: tuple[str, ...]) -> Path:
    """What Sphinx leaves, as far as it matters here."""
    (folder / "_static").mkdir(parents=True)
    (folder / "objects.inv").write_bytes(
        f"# Sphinx inventory version 2\n# Project: p\n# Version: {version}\n#\n".encode()
    )
    for page in pages:
        (folder / page).parent.mkdir(parents=True, exist_ok=True)
        (folder / page).write_text(version, encoding="utf-8")
    return folder


def test_versions_stand_beside_each_other(tmp_path: Path):
    site = tmp_path / "site"
    for version in ("1.9.0", "1.10.0.dev0", "1.10.0", "1.11.0.dev0"):
        pages = ("index.html", "how-to/new.html") if version.startswith("1.1") else ("index.html",)
        made = add_version.add(built(tmp_path / version, version, pages), site)
    assert [one.folder for one in made] == ["dev", "1.10.0", "1.9.0"]
    assert [one.pages for one in made] == [["how-to/new", "index"], ["how-to/new", "index"], ["index"]]
    assert (site / "dev" / "index.html").read_text(encoding="utf-8") == "1.11.0.dev0"
    assert 'href="1.10.0/index.html"' in (site / "index.html").read_text(encoding="utf-8")
    lists = {(site / one.folder / "_static" / "versions.js").read_text(encoding="utf-8") for one in made}
    assert len(lists) == 1
    assert '"version": "1.11.0.dev0", "release": false' in lists.pop()
    assert (site / ".nojekyll").exists()


def test_what_is_no_documentation_is_refused(tmp_path: Path):
    with pytest.raises(SystemExit, match=r"no objects\.inv\. Run make docs first"):
        add_version.add(tmp_path, tmp_path / "site")
    assert not (tmp_path / "site").exists()
