"""An index of format 1, as an earlier version left it, converted: equal to one built anew."""

from __future__ import annotations

import dataclasses
import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from sae_vis.config import IndexConfig
from sae_vis.corpus.text import TokenText
from sae_vis.errors import DamagedIndexError, ForeignIndexError
from sae_vis.index.build import Source, build_index
from sae_vis.index.convert import convert_index
from sae_vis.index.index import Index
from tests.index.test_build import same, some_corpus, source_of
from tests.index.test_by_label import corpus_of
from tests.index.test_signed import signed_source

OLD = Path(__file__).parents[1] / "fixtures" / "format_1"
SMALL = IndexConfig(shard_tokens=150, part_firings=400, block_bytes=1 << 16, neuron_correlations="always")


def source_of_old(name: str) -> Source:
    """What the kept index was made from."""
    if name == "plain":
        text = TokenText({token: f" w{token}".encode() for token in range(12)}, [0])
        return dataclasses.replace(source_of(some_corpus(60)), text=text)
    return signed_source(corpus_of([*"abcab" * 4, None], length=6))


@pytest.mark.parametrize("name", ["plain", "signed-labelled"])
def test_a_converted_index_equals_one_built_anew(tmp_path: Path, name: str):
    converted = convert_index(OLD / name, tmp_path / "new", config=SMALL)
    anew = build_index(source_of_old(name), tmp_path / "anew", config=SMALL)
    assert same(converted, anew)
    assert converted.manifest.provenance.identity == anew.manifest.provenance.identity
    assert [part.file for part in converted.manifest.parts] == [part.file for part in anew.manifest.parts]
    assert converted.manifest.codes == anew.manifest.codes
    assert converted.manifest.list_columns == anew.manifest.list_columns
    assert converted.manifest.tokens == anew.manifest.tokens
    for here, there in zip(
        converted._codes_between(0, len(anew.tokens)), anew._codes_between(0, len(anew.tokens)), strict=True
    ):
        assert np.array_equal(here, there)
    if name != "plain":
        assert np.array_equal(converted.labels("source").counts.n_firings, anew.labels("source").counts.n_firings)


def test_a_build_finds_the_converted_index_finished(tmp_path: Path):
    convert_index(OLD / "plain", tmp_path / "new", config=SMALL)
    before = (tmp_path / "new" / "manifest.json").read_bytes()
    build_index(source_of_old("plain"), tmp_path / "new", config=SMALL)
    assert (tmp_path / "new" / "manifest.json").read_bytes() == before


def test_without_codes(tmp_path: Path):
    converted = convert_index(OLD / "plain", tmp_path / "new", config=dataclasses.replace(SMALL, codes=False))
    assert converted.manifest.codes == ()
    assert not (tmp_path / "new" / "codes").exists()


def test_the_old_index_is_left_as_it_was_and_read_only_then(tmp_path: Path):
    shutil.copytree(OLD / "plain", tmp_path / "old")
    before = {path: path.read_bytes() for path in (tmp_path / "old").rglob("*") if path.is_file()}
    convert_index(tmp_path / "old", tmp_path / "new")
    assert {path: path.read_bytes() for path in (tmp_path / "old").rglob("*") if path.is_file()} == before
    with pytest.raises(DamagedIndexError, match=r"has index format 1, this version reads 2; .*sae-vis convert OLD NEW"):
        Index.open(tmp_path / "old")


def test_what_is_no_index_of_format_1(tmp_path: Path):
    with pytest.raises(DamagedIndexError, match=r"has no manifest\.json: there is no index to convert"):
        convert_index(tmp_path, tmp_path / "new")
    convert_index(OLD / "plain", tmp_path / "new")
    with pytest.raises(DamagedIndexError, match="format 2; only an index of format 1 is converted"):
        convert_index(tmp_path / "new", tmp_path / "newer")
    assert not (tmp_path / "newer").exists()


def test_a_damaged_file_is_named(tmp_path: Path):
    shutil.copytree(OLD / "plain", tmp_path / "old")
    part = tmp_path / "old" / "postings" / "part-00001.safetensors"
    data = bytearray(part.read_bytes())
    data[-1] ^= 1
    part.write_bytes(data)
    with pytest.raises(DamagedIndexError, match=r"part-00001\.safetensors does not match its checksum"):
        convert_index(tmp_path / "old", tmp_path / "new")
    assert not (tmp_path / "new").exists()


def test_what_stands_in_the_new_directory_is_left_alone(tmp_path: Path):
    (tmp_path / "thesis.tex").write_text("years of work")
    with pytest.raises(ForeignIndexError, match="is not empty; nothing was written"):
        convert_index(OLD / "plain", tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.tex"]


def test_an_interrupted_conversion_is_done_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    def stopped(stage: str, done: int, total: int) -> None:
        if stage == "codes":
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        convert_index(OLD / "plain", tmp_path / "new", config=SMALL, progress=stopped)
    assert not (tmp_path / "new" / "manifest.json").exists()
    again = convert_index(OLD / "plain", tmp_path / "new", config=SMALL)
    assert same(again, build_index(source_of_old("plain"), config=SMALL))
    assert not (tmp_path / "new" / "build").exists()
    assert json.loads((tmp_path / "new" / "manifest.json").read_text())["format_version"] == 2
