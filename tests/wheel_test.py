"""Install the built wheel into an empty environment; run the demo and the notebook from there.

Usage: wheel_test.py DIST     (DIST holds one .whl)
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tempfile
import venv
import zipfile
from pathlib import Path

CONSTRAINTS = Path(__file__).parents[1] / "requirements" / "constraints.txt"
DOCS = Path(__file__).parents[1] / "docs"
MOST_BYTES = 14_000_000
RELATIVE = re.compile(r"\]\((?!https?://|#)|(?:src|srcset)=\"(?!https?://)")


def main() -> None:
    """Command line."""
    wheel = next(Path(sys.argv[1]).glob("*.whl")).resolve()
    size = wheel.stat().st_size
    print(f"{wheel.name}: {size / 1e6:.1f} MB")
    if size > MOST_BYTES:
        sys.exit(f"the wheel has {size:,} bytes, expected at most {MOST_BYTES:,}")
    names = zipfile.ZipFile(wheel).namelist()
    for needed in ("sae_vis/py.typed", "sae_vis/static/common.js", "sae_vis/demo/assets/NOTICE"):
        if needed not in names:
            sys.exit(f"the wheel lacks {needed}")
    metadata = next(name for name in names if name.endswith(".dist-info/METADATA"))
    if RELATIVE.search(zipfile.ZipFile(wheel).read(metadata).decode()):
        sys.exit("the README in the wheel has relative addresses, which lead nowhere on PyPI")
    with tempfile.TemporaryDirectory() as folder:
        try_demo(wheel, Path(folder))


def try_demo(wheel: Path, folder: Path) -> None:
    """A new environment outside the checkout; `sae-vis demo`; the pages are there; the notebook runs."""
    venv.create(folder / "env", with_pip=True)
    binaries = folder / "env" / "bin"
    pip = [str(binaries / "python"), "-m", "pip", "install", "--quiet", "--no-compile"]
    install = [*pip, "--constraint", str(CONSTRAINTS)]
    subprocess.run([*install, "torch"], check=True)
    subprocess.run([*install, str(wheel)], check=True)
    environment = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"} | {"HF_HUB_OFFLINE": "1"}
    command = [str(binaries / "sae-vis"), "demo", "--out", str(folder / "demo")]
    subprocess.run(command, check=True, cwd=folder, env=environment)
    pages = sorted((folder / "demo").glob("*.html"))
    if not pages or any("http://" in page.read_text(encoding="utf-8").split("</style>")[0] for page in pages):
        sys.exit(f"expected pages without outside addresses, found {pages}")
    subprocess.run([*install, "nbclient", "nbformat", "ipykernel"], check=True)
    run_notebook = [str(binaries / "python"), str(DOCS / "run_notebook.py"), str(DOCS / "demo.ipynb")]
    subprocess.run(run_notebook, check=True, cwd=folder, env=environment)
    print(f"2 passed, 0 failed: the notebook, and the demo, which wrote {', '.join(page.name for page in pages)}")


if __name__ == "__main__":
    main()
