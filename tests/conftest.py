"""Shared parts: a model and an SAE of whole numbers, in which float arithmetic is exact in any order."""

from __future__ import annotations

import os

os.environ.setdefault("HF_HUB_OFFLINE", "1")
