"""Put a built documentation beside those of other versions, each with links to all.

Usage: add_version.py BUILT SITE     (BUILT: docs/_build/html, which `make docs` writes)

A release goes into SITE/1.2.3, a version in development into SITE/dev; what was there under that name is replaced. The
front page of SITE leads to the newest release. All addresses are relative, so SITE may lie under any path.
"""

from __future__ import annotations

import json
import re
import shutil
import sys
from pathlib import Path
from typing import NamedTuple

FRONT = """<!doctype html>
<html lang="en">
<meta charset="utf-8">
<title>sae_vis</title>
<meta http-equiv="refresh" content="0; url={folder}/index.html">
<p><a href="{folder}/index.html">The documentation of sae_vis {version}</a></p>
</html>
"""


class Version(NamedTuple):
    """One version of a site.

    Attributes:
        folder: its place in the site.
        version: what its pages say.
        release: whether it is one, and not in development.
        pages: names of its pages, without ``.html``.
    """

    folder: str
    version: str
    release: bool
    pages: list[str]


def read(built: Path) -> Version:
    """What a built documentation is of."""
    version = version_of(built)
    release = ".dev" not in version
    pages = sorted(path.relative_to(built).with_suffix("").as_posix() for path in built.rglob("*.html"))
    own = [page for page in pages if not page.startswith(("explorer/", "_"))]
    return Version(version if release else "dev", version, release, own)


def version_of(built: Path) -> str:
    """The version in the inventory that Sphinx writes."""
    inventory = built / "objects.inv"
    if not inventory.is_file():
        sys.exit(f"{built} is no built documentation: it has no objects.inv. Run make docs first")
    with inventory.open("rb") as file:
        head = [file.readline().decode() for _ in range(3)]
    return head[2].removeprefix("# Version:").strip()


def order(one: Version) -> tuple[bool, list[int]]:
    """What versions are sorted by: what is in development is newer than any release."""
    return not one.release, [int(number) for number in re.findall(r"\d+", one.version)]


def add(built: Path, site: Path) -> list[Version]:
    """Copy a build into a site and link all its versions; these, newest first."""
    folder = site / read(built).folder
    if folder.exists():
        shutil.rmtree(folder)
    shutil.copytree(built, folder)
    versions = sorted((read(path.parent) for path in site.glob("*/objects.inv")), key=order, reverse=True)
    listed = f"window.docsVersions = {json.dumps([one._asdict() for one in versions])};\n"
    for one in versions:
        (site / one.folder / "_static" / "versions.js").write_text(listed, encoding="utf-8")
    front = next((one for one in versions if one.release), versions[0])
    (site / "index.html").write_text(FRONT.format(folder=front.folder, version=front.version), encoding="utf-8")
    (site / ".nojekyll").touch()  # GitHub Pages would leave out _static
    return versions


def main() -> None:
    """Command line."""
    built, site = Path(sys.argv[1]), Path(sys.argv[2])
    site.mkdir(parents=True, exist_ok=True)
    print(f"{site}: versions {', '.join(one.version for one in add(built, site))}")


if __name__ == "__main__":
    main()
