"""The explorer's page as the server gives it: what it begins with, and the parts of its script."""

from __future__ import annotations

import base64
import hashlib
import json
import re

import numpy as np

from sae_vis import Index
from sae_vis.contract import ExplorerHead
from sae_vis.explore.columns import Columns
from tests.server.conftest import decoded, identity_of


def block(page: bytes, name: str) -> str | None:
    """The text of a block of data in the page."""
    found = re.search(rf'<script type="text/plain" id="{name}">([^<]*)</script>', page.decode())
    return None if found is None else found.group(1)


def test_the_page_holds_the_head_with_its_first_rows(client, made):
    packed = block(client.get("").body, "head")
    assert packed is not None
    head = decoded(base64.b64decode(packed), ExplorerHead)
    assert head.identity == identity_of(client)
    density = Columns(Index.open(made)).values("density")
    assert head.first.features.tolist() == np.argsort(-density, kind="stable")[:128].tolist()


def test_the_page_of_an_index_that_is_not_there_is_without_a_head(client):
    answer = client.get("?index=elsewhere")
    assert answer.status == 200
    assert block(answer.body, "head") is None


def test_parts_are_of_the_hashes_that_the_policy_names(client):
    answer = client.get("")
    policy = dict(part.strip().split(" ", 1) for part in answer.headers["content-security-policy"].split(";") if part)
    parts = json.loads(block(answer.body, "parts") or "")
    assert [part["name"] for part in parts] == ["explorer-card", "explorer-map", "explorer-views"]
    for part in parts:
        for what in ("script", "style"):
            if part[what] is None:
                continue
            found = client.get(part[what])
            assert found.status == 200
            assert "immutable" in found.headers["cache-control"]
            digest = base64.b64encode(hashlib.sha256(found.body).digest()).decode()
            assert f"'sha256-{digest}'" in policy[f"{what}-src"]


def test_a_part_of_another_version_is_gone(client):
    answer = client.get("parts/card-000000000000.js")
    assert (answer.status, answer.error) == (410, "the page's script was replaced: load the page again")
