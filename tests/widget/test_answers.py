"""What the widget's page asks for is answered as the server answers it; a card without a script; the packed script."""

from __future__ import annotations

import base64
import gzip
import html
import re
import sys
from dataclasses import dataclass, replace

import numpy as np
import pytest

import sae_vis
from sae_vis import Column, CustomComponent, SaeVisLayoutConfig
from sae_vis.contract import LayerFeatures
from sae_vis.corpus.text import TokenText
from sae_vis.deliver.page import static_file
from sae_vis.demo import run as demo
from sae_vis.errors import InputError
from sae_vis.models.loading import load_tokenizer
from sae_vis.server.served import Desk, Served
from sae_vis.views.feature import feature_views
from sae_vis.views.prompt import PromptSettings
from sae_vis.widget.answers import Answers, as_text
from sae_vis.widget.script import packed_script
from sae_vis.widget.still import still_card, still_prompt


@pytest.fixture(scope="module")
def desk(index) -> Desk:
    return Desk(Served(open=lambda: index, title="demo"))


@pytest.fixture(scope="module")
def answers(desk) -> Answers:
    return Answers(desk, "demo")


@pytest.mark.parametrize(
    ("path", "made"),
    [
        ("column/max", lambda desk: desk.column("max")),
        ("rows?f=3,1", lambda desk: desk.rows([3, 1])),
        ("card/17", lambda desk: desk.card(17)),
        ("search?q=the%20cat", lambda desk: desk.search("the cat")),
        ("read/1/0", lambda desk: desk.read(1, 0, [])),
        ("read/1/0?f=3,4", lambda desk: desk.read(1, 0, [3, 4])),
        ("place/2/5", lambda desk: desk.place(2, 5)),
        ("firing/544?after=-1", lambda desk: desk.next_firing(544, -1, 1)),
        ("firing/544?before=100", lambda desk: desk.next_firing(544, 100, -1)),
    ],
)
def test_a_path_is_answered_with_the_servers_block(desk, answers, path, made):
    assert list(answers.blocks(path)) == [made(desk)]


def test_the_head_is_of_this_index_alone(desk, answers):
    assert list(answers.blocks("head")) == [desk.head([(desk.identity, "demo", desk.index)])]


@pytest.mark.parametrize(
    ("path", "said"),
    [
        ("nonsense", "the widget has nothing at 'nonsense': serve the index for that"),
        ("card/x", "found 'x', expected a whole number"),
        ("card/-1", "found '-1', expected a whole number"),
        ("rows?f=1,,2", "found '', expected a whole number"),
        ("card/99999", "feature 99999 does not exist"),
        ("column/nope", "nope"),
        ("try", "the request has no 'text', expected a text"),
        ("page", "the request has no 'features', expected a list of numbers"),
        ("effects", "pairs"),
    ],
)
def test_what_is_wrong_is_said(answers, path, said):
    with pytest.raises(InputError, match=re.escape(said)):
        list(answers.blocks(path))


def test_what_needs_a_model_is_answered_with_one(index):
    folder = demo.assets() / "model"
    parts, tokenizer = demo.demo_parts(demo.MLP), load_tokenizer(folder)
    desk = Desk(Served(open=lambda: index, title="demo", parts=parts, tokenizer=tokenizer))
    answers, body = Answers(desk, "demo"), {"text": "The cat sat", "compare": None, "pairs": 3}
    assert list(answers.blocks("logits/3?q=the")) == [desk.logits(3, "the")]
    assert list(answers.blocks("try", body)) == [desk.tried("The cat sat")]
    assert list(answers.blocks("wakes", body)) == [desk.wakes("The cat sat")]
    assert list(answers.blocks("prompt", body)) == [desk.prompt("The cat sat", PromptSettings(metric="attribution"))]
    assert len(list(answers.blocks("effects", body))) >= 1


def test_blocks_travel_as_text():
    block = bytes(range(256))
    assert base64.b64decode(as_text(block)) == block


def test_the_script_is_packed_as_it_was_built():
    assert gzip.decompress(base64.b64decode(as_text(packed_script()))).decode() == static_file("widget.js")
    assert gzip.decompress(packed_script()).decode() == static_file("widget.js")


def test_a_card_without_a_script_has_numbers_and_examples(desk):
    [view] = feature_views(desk.sources, [544], desk.layout)
    made = still_card(view, desk.sources.text)
    assert len(made) < 20_000
    assert f"fires {view.stats.n_firings:,} times" in made
    assert "<script" not in made
    top = next(group.contexts for group in view.sequences if group.kind == "top")
    first = top.tokens[top.offsets[0] : top.offsets[1]]
    spelled = b"".join(desk.sources.text.bytes_of(int(token)) for token in first).decode("utf-8", "replace")
    [line] = re.findall(r"<li>(.*?)</li>", made)[:1]
    assert html.unescape(re.sub(r"<[^>]+>", "", line)) == spelled.replace("\n", "↵")


def test_a_card_without_a_script_escapes_text_and_joins_characters(desk):
    [view] = feature_views(desk.sources, [544], desk.layout)
    top = next(group.contexts for group in view.sequences if group.kind == "top")
    ids = top.tokens[top.offsets[0] : top.offsets[1]]
    pieces = dict(zip(ids.tolist(), [b"</li><script>", b"\xf0\x9f", b"\x9a\x80"], strict=False))
    made = still_card(view, TokenText({**{int(i): b"." for i in top.tokens}, **pieces}))
    assert "<script" not in made
    assert "&lt;/li&gt;&lt;script&gt;" in made
    assert "🚀" in re.sub(r"<[^>]+>", "", made)


def test_a_feature_that_never_fires_says_so(desk):
    [view] = feature_views(desk.sources, [3], desk.layout)
    view = replace(view, stats=replace(view.stats, n_firings=0), sequences=())
    assert "never fires on this text" in still_card(view, desk.sources.text)


def test_a_prompt_without_a_script_has_its_text_and_features(desk):
    found = LayerFeatures(
        identity="",
        metric="Attribution",
        features=np.array([7, 544], np.int32),
        values=np.array([-1.25, 0.5], np.float32),
        positions=np.array([1, 0], np.int32),
        top_tokens=np.array([12, -1], np.int32),
    )
    pieces = {5: b"a <b>", 6: b" c", 12: b"top"}
    made = still_prompt(np.array([5, 6], np.int32), found, TokenText(pieces))
    plain = html.unescape(re.sub(r"<[^>]+>", "", made))
    assert plain.startswith("Prompt a <b> cBy Attribution:")
    assert "feature 7: -1.25 at  c (fires most on top)" in plain
    assert "feature 544: 0.5 at a <b> (fires most on )" in plain


def test_a_missing_package_is_named(index, monkeypatch):
    monkeypatch.setitem(sys.modules, "anywidget", None)
    monkeypatch.delitem(sys.modules, "sae_vis.widget.explorer", raising=False)
    with pytest.raises(InputError, match=re.escape('which is not installed: pip install "sae-vis[widget]"')):
        index.explore()
    with pytest.raises(InputError, match="the widget needs anywidget"):
        sae_vis.prompt(index, "The cat", parts=demo.demo_parts(demo.MLP), tokenizer=None)
    with pytest.raises(InputError, match="the widget needs anywidget"):
        _ = sae_vis.Explorer


def test_components_of_ones_own_are_refused(index):
    @dataclass(frozen=True)
    class Mine(CustomComponent):
        type_name = "Mine"
        script = "export const mount = () => undefined"

    layout = SaeVisLayoutConfig(columns=[Column(Mine())])
    with pytest.raises(InputError, match=re.escape("the layout has components of your own (Mine)")):
        index.explore(layout=layout)
