"""Explanations beside an index: kept, found by their words, read from other tools' files."""

from __future__ import annotations

import gzip
import json
import math
import re

import numpy as np
import pyarrow as pa
import pyarrow.parquet
import pytest
from hypothesis import given
from hypothesis import strategies as st
from typer.testing import CliRunner

import sae_vis as sv
from sae_vis.cli import app
from sae_vis.errors import IndexFileError, InputError
from sae_vis.explore.columns import Columns
from sae_vis.explore.rows import row_texts
from sae_vis.explore.search import Search
from sae_vis.index import explanations as module
from sae_vis.index.explanations import Explanation, Explanations, words_of
from sae_vis.layout import SaeVisLayoutConfig
from sae_vis.views.feature import feature_view
from sae_vis.views.sources import ViewSources
from tests.explore.served import index_at

WORDS = ["legal", "legally", "text", "texts", "the", "a", "über", "x1", "Ⅷ", "don't", "naïve", "TEXT"]
SAID = [
    Explanation(feature=2, text="the end of   legal\ntexts", score=0.5, source="a model", measure="detection"),
    Explanation(feature=2, text="Legal words", score=0.75, source="a model"),
    Explanation(feature=2, text="no idea", source="me"),
    Explanation(feature=5, text="über <b>texts</b> & “names”", score=-1),
]


@pytest.fixture
def index(tmp_path):
    return index_at(tmp_path / "index")


def test_what_is_kept_is_there_when_the_index_is_opened_again(index, tmp_path):
    assert not index.has_explanations
    assert list(index.explanations) == []
    kept = sv.keep_explanations(sv.Index.open(tmp_path / "index"), SAID)
    again = sv.Index.open(tmp_path / "index").explanations
    assert [one.text for one in again.of_feature(2)] == ["Legal words", "the end of legal texts", "no idea"]
    assert [one.score for one in again.of_feature(2)][:2] == [0.75, 0.5]
    assert math.isnan(again.of_feature(2)[2].score)
    assert again.of_feature(3) == []
    assert again.mark == kept.mark
    assert again.words.words == kept.words.words
    sv.Index.open(tmp_path / "index", verify="contents")  # the index is the same as before


def test_others_are_added_and_the_same_one_takes_the_place(index):
    sv.keep_explanations(index, SAID)
    sv.keep_explanations(index, [Explanation(feature=2, text="no idea", score=0.9, source="me")])
    assert [one.score for one in index.explanations.of_feature(2)] == [0.9, 0.75, 0.5]
    assert len(index.explanations) == 4
    sv.keep_explanations(index, [Explanation(feature=0, text="new")], replace=True)
    assert [one.text for one in index.explanations] == ["new"]


def test_columns_rows_and_cards_show_the_best(index):
    assert "explanation" not in {info.name for info in Columns(index).infos}
    assert row_texts(index, [1, 2]).explanations == ()
    sv.keep_explanations(index, SAID)
    columns = Columns(index)
    assert {"explanation", "explained"} <= {info.name for info in columns.infos}
    scores = columns.values("explained")
    assert scores[[2, 5]].tolist() == [0.75, -1]
    assert np.isnan(np.delete(scores, [2, 5])).all()
    assert row_texts(index, [5, 1, 2]).explanations == ("über <b>texts</b> & “names”", "", "Legal words")
    layout = SaeVisLayoutConfig.default_feature_centric_layout()
    said = feature_view(ViewSources(index=index, text=index.text), 2, layout).explanations
    assert [(one.text, one.score, one.measure, one.source) for one in said] == [
        ("Legal words", 0.75, "", "a model"),
        ("the end of legal texts", 0.5, "detection", "a model"),
        ("no idea", None, "", "me"),
    ]


def slowly(said, asked):
    """Features by words, from the definition."""
    every = [re.findall(r"[^\W_]+", one.text.lower()) for one in said]
    known = {word for words in every for word in words}
    best = {}
    for one, words in zip(said, every, strict=True):
        share, holds = 0.0, bool(asked)
        for word in dict.fromkeys(re.findall(r"[^\W_]+", asked.lower())):
            n = sum(own == word if word in known else own.startswith(word) for own in words)
            holds, share = holds and n > 0, share + n / max(len(words), 1)
        if holds and share > 0:
            best[one.feature] = max(best.get(one.feature, 0), share)
    return sorted(best.items(), key=lambda item: (-item[1], item[0]))


texts = st.lists(st.sampled_from(WORDS), min_size=1, max_size=6).map(" ".join)


@given(
    st.lists(
        st.builds(Explanation, feature=st.integers(0, 6), text=texts, score=st.sampled_from([0.0, 1.0, math.nan]))
    ),
    st.lists(st.sampled_from([*WORDS, "leg", "te", "zzz"]), max_size=3).map(" ".join),
)
def test_search_finds_what_the_definition_says(said, asked):
    kept = Explanations.of(said)
    found = kept.find(asked)
    expected = slowly(list(kept), asked)
    assert found.features.tolist() == [feature for feature, _ in expected]
    np.testing.assert_allclose(found.scores, [share for _, share in expected])


def test_a_word_that_stands_everywhere_is_looked_for_by_itself_only(monkeypatch):
    monkeypatch.setattr(module, "COMMON", 3)
    kept = Explanations.of(
        [Explanation(feature=i, text=f"the {'legal' if i == 2 else 'plain'} text") for i in range(6)]
    )
    assert kept.find("the").features.tolist() == [0, 1, 2, 3, 4, 5]
    assert kept.find("the legal").scores.tolist() == kept.find("legal").scores.tolist() == [1 / 3]


def test_the_search_box_finds_explanations(index):
    assert "explanation" not in {hits.way for hits in Search(index).find("legal").hits}
    sv.keep_explanations(index, SAID)
    hits = {hits.way: hits for hits in Search(index).find("LEGAL").hits}["explanation"]
    assert hits.n_places == 2
    assert hits.features.tolist() == [2]
    assert hits.scores.tolist() == [0.5]


def test_words_of_other_explanations_are_not_used(index, tmp_path):
    sv.keep_explanations(index, SAID)
    words = (tmp_path / "index" / module.WORDS).read_bytes()
    sv.keep_explanations(index, [Explanation(feature=0, text="new")], replace=True)
    (tmp_path / "index" / module.WORDS).write_bytes(words)  # as after a kill between the two files
    opened = sv.Index.open(tmp_path / "index").explanations
    assert opened.find("new").features.tolist() == [0]
    assert opened.find("legal").features.tolist() == []


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ([Explanation(feature=4_000, text="x")], "explanation of feature 4000, but the index has features 0 to"),
        (["x"], "expected sv.Explanation"),
    ],
)
def test_what_does_not_fit_is_refused_and_nothing_is_written(index, given, message):
    sv.keep_explanations(index, SAID)
    with pytest.raises(InputError, match=message):
        sv.keep_explanations(index, [SAID[0], *given], replace=True)
    assert len(index.explanations) == len(SAID)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"feature": -1, "text": "x"}, "expected at least 0"),
        ({"feature": 1, "text": "  \n"}, "empty, expected words"),
        ({"feature": 1, "text": "x", "score": "high"}, "expected a number"),
        ({"feature": 1, "text": "x", "score": math.inf}, "expected a finite number"),
        ({"feature": 1, "text": "\ud800"}, "half a character"),
    ],
)
def test_an_explanation_of_nonsense_is_refused(fields, message):
    with pytest.raises(InputError, match=message):
        Explanation(**fields)


def test_a_folder_that_can_not_be_written_to_is_said(index, tmp_path):
    (tmp_path / "index" / "explanations").write_text("in the way")
    with pytest.raises(IndexFileError):
        sv.keep_explanations(index, SAID)


ROWS = [{"feature": 3, "text": "one\u2028two, “three”", "score": 0.5}, {"feature": 1, "text": 'a "b"', "source": "me"}]


def written(path, rows):
    name = path.name
    lines = "\n".join(json.dumps(row, ensure_ascii=False) for row in rows) + "\n"
    if name.endswith(".parquet"):
        pyarrow.parquet.write_table(
            pa.Table.from_pylist([{"score": None, "source": None, **row} for row in rows]), path
        )
    elif name.endswith(".csv"):
        quoted = ['"{}"'.format(row["text"].replace('"', '""')) for row in rows]
        cells = [f"{row['feature']},{text},{row.get('score', '')}" for row, text in zip(rows, quoted, strict=True)]
        path.write_text("\n".join(["feature,text,score", *cells]) + "\n", encoding="utf-8")
    elif name.endswith(".gz"):
        path.write_bytes(gzip.compress(lines.encode()))
    else:
        path.write_text(json.dumps(rows) if name.endswith(".json") else lines, encoding="utf-8")
    return path


@pytest.mark.parametrize("name", ["e.jsonl", "e.jsonl.gz", "e.json", "e.csv", "e.parquet"])
def test_files_are_read(tmp_path, name):
    found = sv.read_explanations(written(tmp_path / name, ROWS), source="file")
    assert [(one.feature, one.text) for one in found] == [(3, "one two, “three”"), (1, 'a "b"')]
    assert found[0].score == 0.5
    assert math.isnan(found[1].score)
    assert [one.source for one in found] == ["file", "file" if name == "e.csv" else "me"]


def neuronpedia(folder, layers=("8-res",)):
    (folder / "explanations").mkdir(parents=True)
    for number, layer in enumerate(layers):
        row = {"id": "x", "modelId": "m", "layer": layer, "index": "7", "description": f"of {layer}", "notes": None}
        more = {**row, "index": "9", "explanationModelName": "gpt", "typeName": "oai_token-act-pair"}
        written(folder / "explanations" / f"batch-{number}.jsonl.gz", [row, more])
    return folder


def test_an_export_of_neuronpedia_is_read(tmp_path):
    found = sv.read_explanations(neuronpedia(tmp_path), source="np")
    assert [(one.feature, one.text, one.source) for one in found] == [(7, "of 8-res", "np"), (9, "of 8-res", "gpt")]


def test_of_several_dictionaries_one_must_be_named(tmp_path):
    neuronpedia(tmp_path, ("8-res", "9-res"))
    with pytest.raises(InputError, match=r"several dictionaries \(m 8-res, m 9-res\)"):
        sv.read_explanations(tmp_path)
    assert {one.text for one in sv.read_explanations(tmp_path, only="9-res")} == {"of 9-res"}
    with pytest.raises(InputError, match="several dictionaries"):
        sv.read_explanations(tmp_path, only="10-res")


def test_results_of_delphi_are_read_with_the_share_of_right_answers(tmp_path):
    for folder in ("explanations", "scores/detection", "scores/fuzz"):
        (tmp_path / folder).mkdir(parents=True)
    for latent in (3, 12):
        name = f"layers.8_latent{latent}.txt"
        (tmp_path / "explanations" / name).write_text(json.dumps(f"latent {latent}"))
    samples = [{"prediction": True, "correct": True}, {"prediction": None, "correct": None}]
    samples += [{"prediction": False, "correct": False}] * 2
    (tmp_path / "scores" / "detection" / "layers.8_latent12.txt").write_text(json.dumps(samples))
    found = {one.feature: one for one in sv.read_explanations(tmp_path)}
    assert sorted(found) == [3, 12]
    assert math.isnan(found[3].score)
    assert (found[12].text, found[12].score) == ("latent 12", pytest.approx(1 / 3))
    assert (found[12].measure, found[12].source) == ("detection accuracy", "delphi")


@pytest.mark.parametrize(
    ("name", "data", "message"),
    [
        ("e.jsonl", b'{"feature": 1}\n', r"row 1 of .*e.jsonl has no 'text' \(it has feature\)"),
        ("e.jsonl", b'{"feature": "x", "text": "y"}\n', "expected its number"),
        ("e.jsonl", b"{broken\n", "can't be read as explanations"),
        ("e.jsonl", b"[1]", "expected an object"),
        ("e.jsonl.gz", b"no gzip", "can't be read as explanations"),
        ("e.parquet", b"no parquet", "can't be read as explanations"),
        ("e.jsonl", b"", "holds no explanations"),
    ],
)
def test_a_file_of_something_else_is_refused(tmp_path, name, data, message):
    (tmp_path / name).write_bytes(data)
    with pytest.raises(InputError, match=message):
        sv.read_explanations(tmp_path / name)
    with pytest.raises(InputError, match="is not there"):
        sv.read_explanations(tmp_path / "elsewhere")


def test_the_command_keeps_them(index, tmp_path):
    file = written(tmp_path / "e.jsonl", ROWS)
    said = CliRunner().invoke(app, ["explanations", str(tmp_path / "index"), str(file), "--source", "file"])
    assert said.exit_code == 0, said.output
    assert "2 explanations read" in said.output
    assert [one.source for one in sv.Index.open(tmp_path / "index").explanations] == ["me", "file"]


def test_words_are_runs_of_letters_and_digits():
    assert words_of("It's “Über-naïve”, x_1 Ⅷ 3.5") == ["it", "s", "über", "naïve", "x", "1", "ⅷ", "3", "5"]
