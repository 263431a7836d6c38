"""Install the built wheel into an empty environment and run the demo from there.

Usage: wheel_test.py DIST     (DIST holds one .whl)
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import venv
import zipfile
from pathlib import Path

CONSTRAINTS = Path(__file__).parents[1] / "constraints.txt"
MOST_BYTES = 14_000_000


def main() -> None:
    """Command line."""
    wheel = next(Path(sys.argv[1]).glob("*.whl")).resolve()
    size = wheel.stat().st_size
    print(f"{wheel.name}: {size / 1e6:.1f} MB")
    if size > MOST_BYTES:
        sys.exit(f"the wheel has {size:,} bytes, expected at most {MOST_BYTES:,}")
    names = zipfile.ZipFile(wheel).namelist()
    for needed in ("sae_vis/py.typed", "sae_vis/static/feature.js", "sae_vis/demo/assets/NOTICE"):
        if needed not in names:
            sys.exit(f"the wheel lacks {needed}")
    with tempfile.TemporaryDirectory() as folder:
        try_demo(wheel, Path(folder))


def try_demo(wheel: Path, folder: Path) -> None:
    """A new environment outside the checkout; `sae-vis demo`; the pages are there."""
    venv.create(folder / "env", with_pip=True)
    binaries = folder / "env" / "bin"
    install = [str(binaries / "python"), "-m", "pip", "install", "--quiet", "--constraint", str(CONSTRAINTS)]
    subprocess.run([*install, "torch"], check=True)
    subprocess.run([*install, str(wheel)], check=True)
    environment = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"} | {"HF_HUB_OFFLINE": "1"}
    command = [str(binaries / "sae-vis"), "demo", "--out", str(folder / "demo")]
    subprocess.run(command, check=True, cwd=folder, env=environment)
    pages = sorted((folder / "demo").glob("*.html"))
    if not pages or any("http://" in page.read_text(encoding="utf-8").split("</style>")[0] for page in pages):
        sys.exit(f"expected pages without outside addresses, found {pages}")
    print(f"1 passed, 0 failed: demo of the installed wheel wrote {', '.join(page.name for page in pages)}")


if __name__ == "__main__":
    main()
