"""What the server says is what written pages say, and what the model and the SAE give."""

from __future__ import annotations

import shutil
import struct
from dataclasses import fields, is_dataclass
from typing import Any

import numpy as np
import pytest
import torch

from sae_vis.api import ComputeSettings, Index, save_feature_page, save_prompt_page
from sae_vis.api.prompts import mask_of, prompt_ids
from sae_vis.contract import (
    Compared,
    ComparisonHead,
    EveryLayer,
    FeatureView,
    MeasuredEffects,
    NumberColumn,
    PromptPart,
    RowTexts,
    SearchAnswer,
    TriedText,
    WholeColumn,
)
from sae_vis.demo import run as demo
from sae_vis.views.prompt import PromptSettings
from tests.fixtures.live_server import Client, running
from tests.fixtures.page_decoder import read_page
from tests.server.conftest import decoded, identity_of, server_of

pytestmark = pytest.mark.explorer

NOISE = 1e-5  # how far kernels may go apart that get the same numbers in rows of another shape
THREE_DIGITS = ("logits", "up_values", "down_values")
STEP = 0.0101
"""Of what travels to three digits: noise may turn the third by one."""
TEXT = "The United States went to war"
FEATURES = (*demo.RESID.picked[:5], 0, 7, 2047)


def alike(a: Any, b: Any, noise: float = NOISE) -> bool:
    """Whether two records say the same: whole numbers, texts and what is missing exactly, numbers but for ``noise``."""
    if is_dataclass(a):
        return type(a) is type(b) and all(
            alike_field(f.name, getattr(a, f.name), getattr(b, f.name)) for f in fields(a)
        )
    if isinstance(a, (tuple, list)):
        return len(a) == len(b) and all(map(alike, a, b))
    if isinstance(a, dict):
        return a.keys() == b.keys() and all(alike(a[name], b[name]) for name in a)
    if isinstance(a, np.ndarray) and a.dtype.kind == "f":
        size = np.abs(a[np.isfinite(a)]).max(initial=0)
        return a.dtype == b.dtype and a.shape == b.shape and np.allclose(a, b, noise, NOISE * size, equal_nan=True)
    if isinstance(a, np.ndarray):
        return a.dtype == b.dtype and np.array_equal(a, b)
    if isinstance(a, float):
        return bool(np.isclose(a, b, NOISE, 1e-9, equal_nan=True))
    return bool(a == b)


def alike_field(name: str, a: Any, b: Any) -> bool:
    """As `alike`; of tokens in the order of their effects a few may change places, where noise decides."""
    if name in ("up_tokens", "down_tokens"):
        return a.shape == b.shape and bool((a != b).sum() <= 0.02 * a.size)
    return alike(a, b, STEP if name in THREE_DIGITS else NOISE)


def test_alike_is_not_always_so():
    one = NumberColumn(values=np.array([1.0, np.nan], dtype=np.float32))
    assert alike(one, NumberColumn(values=np.array([1.000001, np.nan], dtype=np.float32)))
    assert not alike(one, NumberColumn(values=np.array([1.001, np.nan], dtype=np.float32)))
    assert not alike(one, NumberColumn(values=np.array([1.0, 0.0], dtype=np.float32)))
    assert not alike(one, WholeColumn(values=np.array([1, 0], dtype=np.int32)))


@pytest.fixture
def index(made) -> Index:
    return Index.open(made)


def written(index: Index, path: Any, **options: Any) -> dict[int, FeatureView]:
    save_feature_page(index, path, features=list(FEATURES), **options)
    return read_page(path.read_text(encoding="utf-8"))[1]


def test_cards_are_those_of_a_page(client, identity, index, parts, tmp_path):
    views = written(index, tmp_path / "page.html", parts=parts, compute=ComputeSettings(effects=False))
    for feature in FEATURES:
        answer = client.get(f"i/{identity}/card/{feature}")
        assert alike(decoded(answer.body, FeatureView), views[feature])
        assert client.get(f"i/{identity}/card/{feature}").body == answer.body


def test_cards_without_a_model_are_those_of_a_page(made, index, tmp_path):
    views = written(index, tmp_path / "page.html")
    with running(server_of(made, notes=False)) as client:
        for feature in FEATURES:
            answer = client.get(f"i/{identity_of(client)}/card/{feature}")
            assert alike(decoded(answer.body, FeatureView), views[feature])
        for path in ("try", "wakes", "prompt", "effects", "layers"):
            refusal = client.send(f"i/{identity_of(client)}/{path}", {"text": TEXT, "pairs": 1})
            assert (refusal.status, "the server was started without a model" in refusal.error) == (400, True)


def test_full_cards_are_those_of_a_page(made, parts, tokenizer, tmp_path):
    """The page is of a copy of the index: no effect is read that the server has computed."""
    here, there = (shutil.copytree(made, tmp_path / name) for name in ("here", "there"))
    views = written(Index.open(there), tmp_path / "page.html", parts=parts)
    with running(server_of(here, parts=parts, tokenizer=tokenizer)) as client:
        own = f"i/{identity_of(client)}"
        for feature in FEATURES:
            full = client.get(f"{own}/full/{feature}").body
            assert alike(decoded(full, FeatureView), views[feature])
            assert client.get(f"{own}/card/{feature}").body == full
    with running(server_of(here, parts=parts, tokenizer=tokenizer)) as client:  # kept beside the index
        for feature in FEATURES:
            answer = client.get(f"i/{identity_of(client)}/card/{feature}")
            assert alike(decoded(answer.body, FeatureView), views[feature])


def test_columns_and_rows_are_those_of_the_index(client, identity, index):
    own = f"i/{identity}"
    for name in ("density", "max", "n_firings"):
        values = decoded(client.get(f"{own}/column/{name}").body, NumberColumn).values
        assert np.array_equal(values, index.column(name).astype(np.float32))
    top = decoded(client.get(f"{own}/column/top_token").body, WholeColumn).values
    fires = index.column("n_firings") > 0
    assert (top[~fires] == -1).all()
    for feature in np.flatnonzero(fires)[:20].tolist():
        firings = index.firings(feature)
        assert top[feature] == index.tokens[firings.positions[np.argmax(firings.acts)]]
    asked = [18, 3, 18, 2047]
    rows = decoded(client.get(f"{own}/rows?f={','.join(map(str, asked))}").body, RowTexts)
    assert rows.features.tolist() == asked
    for row, feature in enumerate(asked):
        start, stop = rows.fired.offsets[row : row + 2]
        assert rows.fired.tokens[start:stop].tolist() == index.lists("fired_tokens", feature)[:6].tolist()
        assert rows.top[row] == top[feature]


def test_a_tried_text_is_what_the_sae_gives(client, identity, index, parts, tokenizer):
    tried = decoded(client.send(f"i/{identity}/try", {"text": TEXT}).body, TriedText)
    ids = prompt_ids(TEXT, tokenizer, mask_of(index))
    assert tried.tokens.tolist() == ids
    assert tried.masked.tolist() == [1] + [0] * (len(ids) - 1)  # the BOS
    codes = parts.sae.encode(parts.reader.activations(torch.tensor([ids]), parts.read)[0])
    assert tried.offsets.tolist() == codes.offsets.tolist()
    assert tried.features.tolist() == codes.features.tolist()
    assert alike(tried.acts, codes.acts.numpy())
    [hits] = decoded(client.send(f"i/{identity}/wakes", {"text": TEXT}).body, SearchAnswer).hits
    counted = np.repeat(np.arange(len(ids)) > 0, np.diff(tried.offsets))
    assert set(hits.features.tolist()) == set(tried.features[counted].tolist())
    best = int(hits.features[0])
    assert np.isclose(hits.scores[0], tried.acts[counted & (tried.features == best)].max() / index.column("max")[best])


@pytest.mark.parametrize("second", [None, "The United Kingdom went to bed"])
def test_a_prompt_is_that_of_a_page(client, identity, index, parts, tokenizer, tmp_path, second):
    settings = PromptSettings(metric="attribution", compare=second)
    path = tmp_path / "prompt.html"
    save_prompt_page(
        index, path, TEXT, parts=parts, tokenizer=tokenizer, settings=settings, compute=ComputeSettings(effects=False)
    )
    page = read_page(path.read_text(encoding="utf-8"))[0]["prompt"]
    live = decoded(client.send(f"i/{identity}/prompt", {"text": TEXT, "compare": second}).body, PromptPart)
    for ours, theirs in zip(live.prompts, page.prompts, strict=True):
        for field in fields(ours):
            if field.name != "metrics":
                assert alike(getattr(ours, field.name), getattr(theirs, field.name)), field.name
        measured = {metric.name: metric for metric in ours.metrics}
        for metric in theirs.metrics:
            assert alike(measured.pop(metric.name), metric)
        assert set(measured) == {"full_loss_effect", "full_later_effect"}  # places for what is measured on demand
        assert all(np.isnan(metric.values).all() for metric in measured.values())
    for field in fields(live):
        if field.name != "prompts":
            assert alike(getattr(live, field.name), getattr(page, field.name)), field.name


def frames(data: bytes) -> list[MeasuredEffects]:
    found = []
    while data:
        [size] = struct.unpack("<I", data[:4])
        found.append(decoded(data[4 : 4 + size], MeasuredEffects))
        data = data[4 + size :]
    return found


def test_full_effects_are_those_of_a_page(client, identity, index, parts, tokenizer, tmp_path):
    path, n = tmp_path / "prompt.html", 20
    settings = PromptSettings(metric="attribution", full_effects=n)
    save_prompt_page(index, path, TEXT, parts=parts, tokenizer=tokenizer, settings=settings)
    [view] = read_page(path.read_text(encoding="utf-8"))[0]["prompt"].prompts
    page = {metric.name: metric.values for metric in view.metrics}
    found = frames(client.send(f"i/{identity}/effects", {"text": TEXT, "pairs": n}).body)
    assert [one.done for one in found] == [8, 16, 20]
    assert {one.total for one in found} == {n}
    pairs = np.concatenate([one.pairs for one in found])
    assert sorted(pairs.tolist()) == np.flatnonzero(~np.isnan(page["full_loss_effect"])).tolist()
    assert alike(np.concatenate([one.loss for one in found]), page["full_loss_effect"][pairs])
    assert alike(np.concatenate([one.later for one in found]), page["full_later_effect"][pairs])


def test_two_indices_beside_each_other(made, made_other, parts, tokenizer):
    with running(server_of([made, made_other], parts=[parts, parts], tokenizer=tokenizer, notes=False)) as client:
        own = identity_of(client)
        layers = decoded(client.send(f"i/{own}/layers", {"text": TEXT}).body, EveryLayer)
        assert [len(set(layer.features.tolist())) for layer in layers.layers] == [len(layers.layers[0].features)] * 2
        assert alike(layers.layers[0].values, layers.layers[1].values)  # of the same SAE, whatever it was indexed over
        other = layers.layers[1].identity
        assert other != own
        refusal = client.get(f"i/{own}/with/{other}/head")
        assert refusal.status == 400
        assert "token" in refusal.error
        head = decoded(client.get(f"i/{own}/with/{own}/head").body, ComparisonHead)
        assert len(head.overview.matches_a.features.feature) > 0
        pair = decoded(client.get(f"i/{own}/with/{own}/pair/18").body, Compared)
        assert pair.feature == 18


def test_many_at_once_get_what_one_gets(client, identity):
    """Answers of threads beside each other: none has another's numbers."""
    from concurrent.futures import ThreadPoolExecutor

    paths = [f"i/{identity}/{path}" for path in (*(f"card/{f}" for f in range(24)), "column/density", "search?q=the")]
    alone = {path: client.get(path).body for path in paths}
    fresh = [f"i/{identity}/card/{feature}" for feature in range(24, 40)]
    with ThreadPoolExecutor(16) as pool:
        for path, answer in zip(paths * 4, pool.map(client.get, paths * 4), strict=True):
            assert answer.body == alone[path]
        together = list(pool.map(client.get, fresh * 4))
    for number, answer in enumerate(together):
        view = decoded(answer.body, FeatureView)
        assert view.feature == 24 + number % len(fresh)
        assert answer.body == together[number % len(fresh)].body


def test_a_connection_that_is_kept_is_answered_in_turn(client: Client, identity):
    import http.client

    connection = http.client.HTTPConnection(*client.at)
    bodies = []
    for feature in (5, 6, 5, 9999, 6):
        connection.request("GET", f"/{client.token}/i/{identity}/card/{feature}")
        answer = connection.getresponse()
        bodies.append((answer.status, answer.read()))
    connection.close()
    assert [status for status, _ in bodies] == [200, 200, 200, 400, 200]
    assert bodies[0] == bodies[2] != bodies[1] == bodies[4]
