"""A map and neighbours made of an index, kept beside it, and as the explorer and sites have them."""

from __future__ import annotations

import re

import numpy as np
import pytest

import sae_vis as sv
from sae_vis.api import maps
from sae_vis.errors import DamagedIndexError, ForeignIndexError, InputError
from sae_vis.explore.columns import Columns
from sae_vis.explore.map import decoder_map
from sae_vis.index.decoder_map import MAP, NEIGHBOURS, PlacedFeatures, keep_map
from sae_vis.layout import SaeVisLayoutConfig
from sae_vis.saes.flat_map import FlatMap, Kept
from sae_vis.saes.neighbours import decoder_neighbours
from sae_vis.server.served import Desk, Served
from sae_vis.site.build import save_site
from sae_vis.views.feature import feature_views
from sae_vis.views.sources import ViewSources
from tests.explore.served import index_at, server_at
from tests.fixtures.live_server import running
from tests.test_cli import command
from tests.whole_numbers import WholeSae

SAE = WholeSae(seed=2)


@pytest.fixture
def path(tmp_path):
    index_at(tmp_path / "index")
    return tmp_path / "index"


def refuse(*_args, **_options):
    raise AssertionError("made again")


def test_neighbours_and_map_are_kept(path, monkeypatch):
    seen = []
    made = sv.make_map(sv.Index.open(path), SAE, neighbours=4, progress=lambda stage, *_: seen.append(stage))
    assert set(seen) == {"neighbours", "map"}
    assert made.kept.k == 4
    index = sv.Index.open(path, verify="contents")
    assert index.has_map
    expected = decoder_neighbours(SAE, range(index.n_features), 4)
    for feature in range(index.n_features):
        found = index.neighbours(feature)
        assert found.features.tolist() == expected.features[feature].tolist()
        assert found.cosine.tolist() == expected.cosine[feature].tolist()
    monkeypatch.setattr(maps, "all_neighbours", refuse)
    monkeypatch.setattr(maps, "flat_map", refuse)
    again = sv.make_map(index, SAE, neighbours=4)
    assert (again.places.x == made.places.x).all()
    assert again.kept == made.kept
    with pytest.raises(InputError, match="feature 9 does not exist"):
        index.neighbours(9)


def test_what_was_made_before_an_interruption_is_not_made_again(path, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr(maps, "flat_map", refuse)
        with pytest.raises(AssertionError, match="made again"):
            sv.make_map(sv.Index.open(path), SAE)
    assert not sv.Index.open(path).has_map
    monkeypatch.setattr(maps, "all_neighbours", refuse)
    sv.make_map(sv.Index.open(path), SAE)
    assert sorted(file.name for file in (path / "decoder").iterdir()) == ["map.safetensors", "neighbours.safetensors"]


def test_more_neighbours_than_are_kept_are_found(path):
    index = sv.Index.open(path)
    sv.make_map(index, SAE, neighbours=2)
    assert index.neighbours(0).features.shape == (2,)
    sv.make_map(index, SAE, neighbours=99)
    assert index.neighbours(0).features.shape == (8,)


@pytest.mark.parametrize("name", [NEIGHBOURS, MAP])
def test_a_damaged_file_is_named_and_made_again(path, name):
    index = sv.Index.open(path)
    made = sv.make_map(index, SAE)
    whole = (path / name).read_bytes()
    (path / name).write_bytes(whole[: len(whole) // 2])
    said = rf"{re.escape(name)} of the index can't be read; delete it: sv.make_map\(index, sae\), or `sae-vis map"
    with pytest.raises(DamagedIndexError, match=said):
        index.neighbours(0) if name == NEIGHBOURS else decoder_map(index)
    assert (sv.make_map(index, SAE).places.x == made.places.x).all()
    assert (path / name).read_bytes() == whole


def test_files_of_another_index_are_not_taken(path, tmp_path):
    other = index_at(tmp_path / "other", signed=True)
    sv.make_map(sv.Index.open(path), SAE)
    (tmp_path / "other" / "decoder").mkdir()
    for name in (NEIGHBOURS, MAP):
        (tmp_path / "other" / name).write_bytes((path / name).read_bytes())
    with pytest.raises(InputError, match=r"no decoder neighbours are kept beside this index: sv\.make_map"):
        other.neighbours(0)
    with pytest.raises(InputError, match=r"no map is kept beside this index: .* makes one"):
        decoder_map(other)


def test_what_is_no_dictionary_of_the_index(path):
    index = sv.Index.open(path)
    with pytest.raises(ForeignIndexError, match="made with another SAE than the one given now"):
        sv.make_map(index, WholeSae(seed=3))
    with pytest.raises(InputError, match="neighbours is 0, expected at least 1"):
        sv.make_map(index, SAE, neighbours=0)
    with pytest.raises(InputError, match="index is"):
        sv.make_map("index", SAE)
    with pytest.raises(InputError, match="no decoder neighbours are kept"):
        index.neighbours(0)


def test_places_are_whole_steps_with_the_same_scale(path):
    index = sv.Index.open(path)
    assert "nearest" not in Columns(index).names
    x = np.array([-3, 1, 0, np.nan, 2, 5, 5, 5, 5], dtype=np.float32)
    y = np.array([0, 1, 4, np.nan, 2, 0, 0, 0, 0], dtype=np.float32)
    keep_map(index, PlacedFeatures(FlatMap(x, y), Kept(0.25, 8, 8)))
    found = decoder_map(index)
    assert (found.kept, found.k, found.looked_at) == (0.25, 8, 8)
    assert (found.x[0], found.x[5], found.x[3], found.y[3], found.y[0]) == (1, 65535, 0, 0, 1)
    assert found.y[2] == 1 + round(4 / 8 * 65534)
    assert np.isnan(Columns(index).values("nearest")).all()  # a map, but no neighbours
    sv.make_map(index, SAE)
    assert Columns(index).values("nearest").tolist() == decoder_neighbours(SAE, range(9), 1).cosine[:, 0].tolist()


def test_cards_without_the_dictionary_have_the_kept_neighbours(path):
    index = sv.Index.open(path)
    sources, layout = ViewSources(index=index, text=index.text), SaeVisLayoutConfig.default_feature_centric_layout()
    assert next(feature_views(sources, [3], layout)).decoder_neighbours is None
    sv.make_map(index, SAE, neighbours=6)
    for feature, view in zip((7, 3), feature_views(sources, [7, 3], layout), strict=True):
        own = index.neighbours(feature)
        assert view.decoder_neighbours.index.tolist() == own.features[:3].tolist()
        assert view.decoder_neighbours.cosine.tolist() == own.cosine[:3].tolist()


def test_it_is_served_and_in_sites(path, tmp_path):
    save_site(path, tmp_path / "site")
    data = next((tmp_path / "site" / "data").iterdir())
    before = {file: file.read_bytes() for file in (data / "columns").iterdir()}
    sv.make_map(sv.Index.open(path), SAE)
    with running(server_at(path)) as client:
        identity = Desk(Served(open=lambda: sv.Index.open(path), title="")).identity
        answer = client.get(f"i/{identity}/map")
        assert answer.headers["cache-control"] == "no-store"
        assert len(answer.body) > 20
        (path / MAP).unlink()
        refused = client.get(f"i/{identity}/map")
        assert refused.status == 400
        assert "no map is kept beside this index" in refused.error
    sv.make_map(sv.Index.open(path), SAE)
    save_site(path, tmp_path / "site")
    assert (data / "map" / "0.bin").exists()
    assert {file: file.read_bytes() for file in before} == before
    assert len(list((data / "columns").iterdir())) == len(before) + 1


def test_the_command(path, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr("sae_vis.saes.formats.load_dictionary", lambda _: SAE)
    command("map", path, "--sae", "anything", "--neighbours", 5)
    assert re.search(r"map of 9 features: it keeps [\d.]+ % of the 5 nearest neighbours\n", capsys.readouterr().out)
    assert sv.Index.open(path).neighbours(3).features.shape == (5,)
