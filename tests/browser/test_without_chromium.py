"""What a run of the tests says on a machine that has no Chromium."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.fixtures.chrome import ABSENT, ANYWHERE

pytestmark = pytest.mark.slow  # each is a run of pytest by itself

ROOT = Path(__file__).parents[2]
ONE_FILE = "tests/browser/test_crosscoder_page.py"
N_TESTS = (ROOT / ONE_FILE).read_text(encoding="utf-8").count("\ndef test_")


def run_without(*options: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """The tests of one file where no Chromium is found."""
    plain = {name: value for name, value in os.environ.items() if name != "CI" and not name.startswith("PYTEST_")}
    return subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *options, ONE_FILE],
        cwd=ROOT,
        env={**plain, ANYWHERE: "/nowhere/chromium", **environment},
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.parametrize("options", [(), ("-n", "2")], ids=["alone", "side by side"])
def test_one_line_says_how_many_were_skipped_and_how_to_have_them(options):
    run = run_without(*options)
    assert run.returncode == 0
    said = [line for line in run.stdout.splitlines() if "TESTS OF PAGES" in line]
    assert said == [f"{N_TESTS} TESTS OF PAGES WERE SKIPPED: {ABSENT}"]
    assert run.stdout.splitlines().index(said[0]) >= len(run.stdout.splitlines()) - 2  # behind all but the counts
    assert "`apt-get install chromium` on Debian, or `playwright install chromium`" in said[0]


def test_in_ci_it_is_a_failure():
    run = run_without(CI="true")
    assert run.returncode == 1
    assert "TESTS OF PAGES" not in run.stdout
    assert ABSENT in run.stdout


def test_playwright_is_not_needed_to_collect(tmp_path):
    (tmp_path / "playwright.py").write_text("raise ImportError('there is no playwright')")
    run = run_without(PYTHONPATH=f"{tmp_path}{os.pathsep}{ROOT}")
    assert run.returncode == 0
    assert f"{N_TESTS} TESTS OF PAGES WERE SKIPPED" in run.stdout
