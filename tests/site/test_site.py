"""The files of a site: equal to the queries they stand for, made again only where they are missing."""

from __future__ import annotations

import dataclasses
import shutil

import numpy as np
import pytest

from sae_vis import Index, SiteSettings, save_site
from sae_vis.cli.commands import app
from sae_vis.demo import run as demo
from sae_vis.errors import InputError
from sae_vis.explore.columns import Columns
from sae_vis.explore.rows import row_texts
from sae_vis.explore.search import Search, spelled_words
from sae_vis.layout import SaeVisLayoutConfig
from sae_vis.site import files as site_files
from sae_vis.views.feature import feature_views
from sae_vis.views.sources import ViewSources
from tests.fixtures.page_decoder import read_answer, read_pack

pytestmark = pytest.mark.explorer


@pytest.fixture(scope="module")
def site(path, tmp_path_factory):
    folder = tmp_path_factory.mktemp("made") / "site"
    save_site(path, folder, settings=SiteSettings(workers=1))
    return folder


@pytest.fixture(scope="module")
def data(site):
    (found,) = (site / "data").iterdir()
    return found


def read(data, name, record):
    return read_answer((data / name).read_bytes(), record)


def same(one, other) -> None:
    """Two records, values and arrays alike."""
    assert type(one) is type(other)
    for field in dataclasses.fields(one):
        a, b = getattr(one, field.name), getattr(other, field.name)
        if isinstance(a, np.ndarray):
            np.testing.assert_array_equal(a, b, err_msg=field.name)
        elif dataclasses.is_dataclass(a):
            same(a, b)
        elif isinstance(a, tuple) and a and dataclasses.is_dataclass(a[0]):
            assert len(a) == len(b), field.name
            for x, y in zip(a, b, strict=True):
                same(x, y)
        else:
            assert a == b or (a != a and b != b), field.name


def head_of(data):
    return read(data, "head.bin", "SiteHead")[0]


def test_every_feature_has_its_card(index, data):
    size = head_of(data).cards_in_file
    assert size == site_files.CARDS
    layout = SaeVisLayoutConfig.default_feature_centric_layout()
    sources = ViewSources(index=index, text=index.text)
    for number in (0, (index.n_features - 1) // size):
        cards, spelled = read_pack((data / f"cards/{number}.bin").read_bytes(), "FeatureView")
        features = list(range(number * size, min((number + 1) * size, index.n_features)))
        assert [card.feature for card in cards] == features
        for made, expected in zip(cards, feature_views(sources, features, layout), strict=True):
            same(made, expected)
        assert all(index.text.bytes_of(token) == data for token, data in spelled.items())
    assert len(list((data / "cards").iterdir())) == -(-index.n_features // size)


def test_rows_are_those_of_the_index(index, data):
    size = head_of(data).rows_in_file
    texts, _ = read(data, "rows/0.bin", "RowTexts")
    every = list(range(min(size, index.n_features)))
    same(texts, row_texts(index, every, most=size))
    for feature in every[::97]:
        listed = index.lists("fired_tokens", feature)[:6]
        start, stop = texts.fired.offsets[feature : feature + 2]
        np.testing.assert_array_equal(texts.fired.tokens[start:stop], listed)


def test_columns_are_those_of_the_index(index, data):
    columns = Columns(index)
    infos = [info for info in head_of(data).explorer.columns if info.kind not in ("tokens", "words")]
    assert [info.name for info in infos] == columns.names
    for number, info in enumerate(infos):
        record = "NumberColumn" if info.kind == "number" else "WholeColumn"
        values = read(data, f"columns/{number}.bin", record)[0].values
        np.testing.assert_array_equal(values, columns.values(info.name))


def test_the_first_rows_are_the_densest(index, data):
    first = head_of(data).first
    order = np.argsort(-index.column("density").astype(np.float32), kind="stable")[: len(first.features)]
    np.testing.assert_array_equal(first.features, order)
    density = first.values[: len(order)]
    np.testing.assert_array_equal(density, index.column("density")[order].astype(np.float32))
    assert first.columns[0] == "density"


def test_words_lead_to_tokens_and_tokens_to_features(index, data):
    head = head_of(data)
    ids, words = spelled_words(index)
    expected: dict[str, set[int]] = {}
    for token, word in zip(ids.tolist(), words, strict=True):
        if word:
            expected.setdefault(word, set()).add(token)
    found: dict[str, set[int]] = {}
    ordered = []
    for number, letters in enumerate(head.letters):
        part, _ = read(data, f"words/{number}.bin", "WordList")
        assert part.words[0] == letters
        ordered += part.words
        for i, word in enumerate(part.words):
            found[word] = set(part.ids[part.offsets[i] : part.offsets[i + 1]].tolist())
    assert found == expected
    assert ordered == sorted(ordered, key=lambda word: word.encode("utf-16-be"))


def test_features_of_a_token_are_those_of_the_search(index, data):
    head = head_of(data)
    fires: dict[int, dict[int, float]] = {}
    pushes: dict[int, dict[int, float]] = {}
    for number, first in enumerate(head.token_files):
        part, _ = read(data, f"tokens/{number}.bin", "TokenFeatures")
        assert part.ids[0] == first
        for i, token in enumerate(part.ids.tolist()):
            a, b = part.fires_offsets[i : i + 2]
            fires[token] = dict(zip(part.fires[a:b].tolist(), part.shares[a:b].tolist(), strict=True))
            c, d = part.pushes_offsets[i : i + 2]
            pushes[token] = dict(zip(part.pushes[c:d].tolist(), part.effects[c:d].tolist(), strict=True))
    search, (ids, words) = Search(index), spelled_words(index)
    for word in sorted({words[i] for i in range(0, len(words), 331) if words[i]}):
        tokens = [int(token) for token, own in zip(ids, words, strict=True) if own == word]
        hits = {one.way: one for one in search.find(word).hits}
        summed: dict[int, float] = {}
        for token in tokens:
            for feature, share in fires.get(token, {}).items():
                summed[feature] = summed.get(feature, 0.0) + share
        assert set(hits["fires"].features.tolist()) == set(summed), word
        for feature, score in zip(hits["fires"].features.tolist(), hits["fires"].scores.tolist(), strict=True):
            assert summed[feature] == pytest.approx(score, rel=1e-6)
        best: dict[int, float] = {}
        for token in tokens:
            for feature, effect in pushes.get(token, {}).items():
                best[feature] = max(best.get(feature, 0.0), effect)
        assert dict(zip(hits["pushes"].features.tolist(), hits["pushes"].scores.tolist(), strict=True)) == best


def test_what_is_missing_is_made_again_and_nothing_else(path, site, data, tmp_path):
    copy = tmp_path / "site"
    shutil.copytree(site, copy)
    there = copy / "data" / data.name
    before = {file: file.stat().st_mtime_ns for file in there.rglob("*.bin")}
    lost = [there / "cards" / "3.bin", there / "tokens" / "0.bin"]
    for file in lost:
        file.unlink()
    (there / "cards" / ".half.tmp").write_bytes(b"half a file")
    report = save_site(path, copy, settings=SiteSettings(workers=1))
    assert report.made == len(lost)
    for file in before:
        assert file.read_bytes() == (data / file.relative_to(there)).read_bytes()
    untouched = [file for file in before if file not in lost and file.name != "head.bin"]
    assert all(file.stat().st_mtime_ns == before[file] for file in untouched)


def test_several_processes_make_the_same_files(path, data, tmp_path):
    save_site(path, tmp_path / "two", settings=SiteSettings(workers=2))
    (made,) = (tmp_path / "two" / "data").iterdir()
    files = {file.relative_to(data) for file in data.rglob("*.bin")}
    assert {file.relative_to(made) for file in made.rglob("*.bin")} == files
    for file in files:
        assert (made / file).read_bytes() == (data / file).read_bytes(), file


def test_data_of_a_build_before_is_deleted(path, site, tmp_path):
    copy = tmp_path / "site"
    shutil.copytree(site, copy)
    (old,) = (copy / "data").iterdir()
    layout = SaeVisLayoutConfig.default_feature_centric_layout()
    save_site(path, copy, layout=SaeVisLayoutConfig(layout.columns[:1]), settings=SiteSettings(workers=1))
    (new,) = (copy / "data").iterdir()
    assert new.name != old.name
    assert new.name in (copy / "index.html").read_text(encoding="utf-8")


def test_with_the_model_effects_are_in_the_cards(path, tmp_path):
    copy = tmp_path / "index"
    shutil.copytree(path, copy)
    short = Index.open(copy)
    layout = SaeVisLayoutConfig.default_feature_centric_layout()
    small = SaeVisLayoutConfig([column for column in layout.columns if any("Seq" in c.type_name for c in column)])
    save_site(copy, tmp_path / "site", parts=demo.demo_parts(demo.MLP), layout=small)
    (data,) = (tmp_path / "site" / "data").iterdir()
    assert data.name.endswith("-effects")
    cards, _ = read_pack((data / "cards/0.bin").read_bytes(), "FeatureView")
    firing = [card for card in cards if short.column("n_firings")[card.feature] > 0]
    assert firing
    for card in firing:
        assert card.sequences[0].contexts.effects is not None
        assert card.sequences[0].contexts.logits is not None


@pytest.mark.parametrize("what", ["file", "other"])
def test_other_files_are_left_as_they_are(path, tmp_path, what):
    folder = tmp_path / "mine"
    if what == "file":
        folder.write_text("mine")
    else:
        folder.mkdir()
        (folder / "thesis.txt").write_text("mine")
    with pytest.raises(InputError, match=r"mine (is a file|holds other files)"):
        save_site(path, folder)
    assert (folder if what == "file" else folder / "thesis.txt").read_text() == "mine"


@pytest.mark.parametrize("base", ["sub/", "/sub", "sub"])
def test_a_base_has_slashes_at_both_ends(base):
    with pytest.raises(InputError, match="slash at both ends"):
        SiteSettings(base=base)


def test_the_command_says_what_it_wrote(path, tmp_path, capsys):
    out = str(tmp_path / "out")
    app(["site", str(path), "-o", out, "--workers", "1", "--page", "One prompt=prompt.html"], standalone_mode=False)
    said = capsys.readouterr().out
    assert "files" in said
    assert "python -m http.server" in said
    (data,) = (tmp_path / "out" / "data").iterdir()
    assert [(page.title, page.address) for page in head_of(data).pages] == [("One prompt", "prompt.html")]
