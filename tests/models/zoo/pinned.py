"""Skips the tests that need the zoo where another transformers is installed than the one it was fitted to."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import transformers as hf

CONSTRAINTS = Path(__file__).parents[3] / "requirements" / "constraints.txt"
PINNED = re.findall(r"^transformers==(.+)$", CONSTRAINTS.read_text(), re.MULTILINE) if CONSTRAINTS.exists() else []

if hf.__version__ not in PINNED:
    pytest.skip(f"the zoo is of transformers {PINNED}, not of {hf.__version__}", allow_module_level=True)
