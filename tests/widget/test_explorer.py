"""The widget's Python side without a front end: what is chosen, messages, what a notebook keeps."""

from __future__ import annotations

import base64
import gzip
import json
import re
from urllib.parse import parse_qs

import numpy as np
import pytest

pytest.importorskip("anywidget")

from sae_vis import load_tokenizer, prompt
from sae_vis.deliver.page import static_file
from sae_vis.demo import run as demo
from sae_vis.errors import InputError
from sae_vis.server.served import Desk, Served

pytestmark = pytest.mark.filterwarnings("ignore:The `comm` package:UserWarning")


@pytest.fixture
def widget(index):
    return index.explore()


def asked(widget, *messages) -> list[dict]:
    """What the widget sends when these messages come."""
    sent: list[dict] = []
    widget.send = sent.append
    for message in messages:
        widget._handle_custom_msg(message, [])
    return sent


def test_a_question_is_answered_with_its_number(widget, index):
    sent = asked(widget, {"id": 7, "path": "card/17", "body": None}, {"id": 8, "path": "rows?f=1"})
    desk = Desk(Served(open=lambda: index, title=""))
    assert [one["id"] for one in sent] == [7, 7, 8, 8]
    assert base64.b64decode(sent[0]["block"]) == desk.card(17)
    assert sent[1] == {"id": 7, "end": True}
    json.dumps(sent)  # nothing in it but text


def test_what_goes_wrong_is_an_answer(widget, monkeypatch, caplog):
    n = widget._desk.index.n_features
    [said] = asked(widget, {"id": 1, "path": "card/99999"})
    assert said == {"id": 1, "error": f"feature 99999 does not exist: the SAE has features 0 to {n - 1}"}
    monkeypatch.setattr(widget._desk, "card", lambda _: 1 / 0)
    [said] = asked(widget, {"id": 2, "path": "card/3"})
    assert said == {"id": 2, "error": "this failed in the kernel: ZeroDivisionError: division by zero"}
    assert "a request of the widget failed" in caplog.text
    assert asked(widget, {"something": "else"}, "nonsense") == []


def test_what_is_chosen_is_checked(index, widget):
    n = index.n_features
    with pytest.raises(InputError, match=f"selected is {n}: the SAE has features 0 to {n - 1}"):
        widget.selected = n
    with pytest.raises(InputError, match="of the column 'nope', expected one of density"):
        widget.filters = [{"column": "nope"}]
    with pytest.raises(InputError, match=re.escape("has ['above'], expected column, low and high")):
        widget.filters = [{"column": "max", "above": 3}]
    with pytest.raises(InputError, match="low is 'a', expected a number, or None"):
        widget.filters = [{"column": "max", "low": "a"}]
    with pytest.raises(InputError, match=r"begins at 3\.0, above its end, 2\.0"):
        widget.filters = [{"column": "max", "low": 3, "high": 2}]
    assert (widget.selected, widget.filters) == (None, [])


def test_widgets_share_their_script(widget, index):
    other = index.explore()
    assert widget.get_state()["_script"] == other.get_state()["_script"] == f"IPY_MODEL_{widget._script.model_id}"
    assert gzip.decompress(base64.b64decode(widget._script.packed)).decode() == static_file("widget.js")
    assert len(json.dumps(other.get_state())) < 40_000
    # where a notebook shares no models the page asks for it
    sent = asked(widget, {"id": "script", "path": "script", "body": None})
    assert sent[0]["id"] == "script"
    assert sent[0]["block"] == widget._script.packed
    # one that was closed is made anew
    widget._script.close()
    assert index.explore()._script.packed == sent[0]["block"]


def test_filters_have_both_ends(index):
    made = index.explore(filters=[{"column": "max", "low": np.float32(2)}, {"column": "density", "high": float("inf")}])
    assert made.filters == [
        {"column": "max", "low": 2.0, "high": None},
        {"column": "density", "low": None, "high": None},
    ]
    json.dumps(made.filters)
    assert repr(index.explore(selected=3)) == "Explorer(selected=3, filters=[], search='')"


def test_it_says_why_nothing_is_live(widget):
    assert (
        widget._desk._served.why_not_live == "the widget was made without a model: index.explore(parts=…, tokenizer=…)"
    )


def test_a_notebook_keeps_the_card_for_where_no_widget_is_shown(index):
    widget = index.explore(selected=21)
    bundle, _ = widget._repr_mimebundle_()
    assert {"text/plain", "text/html", "application/vnd.jupyter.widget-view+json"} <= set(bundle)
    assert f"fires {index.column('n_firings')[21]:,} times" in bundle["text/html"]
    feature, block = widget._card.split(":")
    assert feature == "21"
    assert base64.b64decode(block) == widget._desk.card(21)
    state = {name: value for name, value in widget.get_state().items() if isinstance(value, str | list)}
    assert len(json.dumps([bundle, state])) < 180_000


@pytest.fixture(scope="module")
def live():
    return {"parts": demo.demo_parts(demo.MLP), "tokenizer": load_tokenizer(demo.assets() / "model")}


def test_a_prompt_is_what_the_widget_begins_with(index, live):
    widget = prompt(index, "A & B; 100 %", compare="A = B", height=500, **live)
    said = parse_qs(widget._address)
    assert said == {"view": ["prompt"], "text": ["A & B; 100 %"], "with": ["A = B"]}
    assert widget.height == 500
    data, _ = widget._repr_mimebundle_()
    _, found = widget._desk.layer("A & B; 100 %")
    assert len(found.features) > 0
    assert all(f"feature {feature}:" in data["text/html"] for feature in found.features.tolist())
    assert "A &amp; B" in data["text/html"]
    # whatever prompt is open when the notebook shows it again, and none where none is
    widget._address = "view=prompt&text=def%20main"
    assert "def main" in widget._repr_mimebundle_()[0]["text/html"]
    widget._address = ""
    assert "Prompt" not in widget._repr_mimebundle_()[0]["text/html"]


def test_texts_that_are_no_prompts(index, live):
    with pytest.raises(InputError, match="prompt"):
        prompt(index, "", **live)
    with pytest.raises(InputError, match="compare is 3"):
        prompt(index, "a", compare=3, **live)
    with pytest.raises(InputError, match="without a tokenizer"):
        prompt(index, "a", parts=live["parts"], tokenizer=None)
