"""The files of a site: equal to the queries they stand for, made again only where they are missing."""

from __future__ import annotations

import dataclasses
import shutil
import subprocess
import sys
from collections import Counter
from functools import partial

import numpy as np
import pytest

from sae_vis import Index, SiteSettings, keep_explanations, save_site
from sae_vis.cli.commands import app
from sae_vis.demo import run as demo
from sae_vis.effects.ablation import DirectEffects
from sae_vis.errors import InputError
from sae_vis.explore.columns import Columns
from sae_vis.explore.rows import row_texts
from sae_vis.explore.search import Search, spelled_words
from sae_vis.index.explanations import Explanation
from sae_vis.layout import SaeVisLayoutConfig
from sae_vis.server.served import Desk, Served
from sae_vis.site import by_word
from sae_vis.site import files as site_files
from sae_vis.views import effects as view_effects
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
        cards, spelled = read_pack((data / f"cards/0/{number}.bin").read_bytes(), "FeatureView")
        features = list(range(number * size, min((number + 1) * size, index.n_features)))
        assert [card.feature for card in cards] == features
        for made, expected in zip(cards, feature_views(sources, features, layout), strict=True):
            same(made, expected)
        assert all(index.text.bytes_of(token) == data for token, data in spelled.items())
    assert len(list((data / "cards" / "0").iterdir())) == -(-index.n_features // size)


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


def test_no_folder_holds_more_files_than_hosts_take(path, tmp_path, monkeypatch):
    monkeypatch.setattr(site_files, "CARDS", 8)
    monkeypatch.setattr(site_files, "IN_FOLDER", 3)
    save_site(path, tmp_path / "site", features=range(64), settings=SiteSettings(workers=1))
    (data,) = (tmp_path / "site" / "data").iterdir()
    found = sorted(file.relative_to(data / "cards").as_posix() for file in (data / "cards").rglob("*.bin"))
    assert found == [f"{i // 3}/{i}.bin" for i in range(8)]
    assert (head_of(data).cards_in_file, head_of(data).files_in_folder) == (8, 3)


def test_the_first_rows_are_the_densest(index, data):
    first = head_of(data).explorer.first
    order = np.argsort(-index.column("density").astype(np.float32), kind="stable")[: len(first.features)]
    np.testing.assert_array_equal(first.features, order)
    density = first.values[: len(order)]
    np.testing.assert_array_equal(density, index.column("density")[order].astype(np.float32))
    assert first.columns[0] == "density"


def texts_of(data) -> tuple[list[str], list[int]]:
    """All texts of a site, and how many tokens each stands for."""
    texts, counts = [], []
    for number, first in enumerate(head_of(data).letters):
        part, _ = read(data, f"words/{number}.bin", "WordList")
        assert (part.first, part.words[0]) == (len(texts), first)
        texts += part.words
        counts += part.n_tokens.tolist()
    return texts, counts


def features_of(data) -> list[tuple[dict[int, float], dict[int, float]]]:
    """What fires on each text, and pushes it up, with the scores, in the order of the files."""
    out = []
    for number, first in enumerate(head_of(data).text_files):
        part, _ = read(data, f"texts/{number}.bin", "WordFeatures")
        assert first == len(out)
        for i in range(len(part.fires_offsets) - 1):
            (a, b), (c, d) = part.fires_offsets[i : i + 2], part.pushes_offsets[i : i + 2]
            fires = dict(zip(part.fires[a:b].tolist(), part.shares[a:b].tolist(), strict=True))
            out.append((fires, dict(zip(part.pushes[c:d].tolist(), part.effects[c:d].tolist(), strict=True))))
    return out


def check_texts(index, data) -> set[str]:
    """Every text is a word of the vocabulary or a beginning of some; gives those that are no words."""
    _, spelled = spelled_words(index)
    words = [word for word in spelled if word]
    texts, counts = texts_of(data)
    assert texts == sorted(set(texts), key=lambda text: text.encode("utf-16-be"))
    assert set(words) <= set(texts)
    alike, begin = Counter(words), Counter(word[:n] for word in words for n in range(1, len(word) + 1))
    assert counts == [alike[text] or begin[text] for text in texts]
    return set(texts) - set(words)


def check_search(index, texts, found) -> None:
    """The features of some texts are those that the index's own search finds, in the same order."""
    search = Search(index)
    for text, (fires, pushes) in zip(texts, found, strict=True):
        hits = {one.way: one for one in search.find(text).hits}
        assert list(fires) == hits["fires"].features.tolist(), text
        np.testing.assert_array_equal(np.float32(list(fires.values())), hits["fires"].scores, err_msg=text)
        assert list(pushes) == hits["pushes"].features.tolist(), text
        np.testing.assert_array_equal(np.float32(list(pushes.values())), hits["pushes"].scores, err_msg=text)


def test_features_of_a_word_are_those_of_the_search(index, data):
    check_texts(index, data)
    texts, found = texts_of(data)[0], features_of(data)
    assert len(found) == len(texts)
    check_search(index, texts[::97], found[::97])


def test_a_beginning_that_many_words_share_is_found_in_one_place(index, path, tmp_path, monkeypatch):
    monkeypatch.setattr(by_word, "MOST_READ", 4)
    monkeypatch.setattr(by_word, "ENTRIES", 60)
    monkeypatch.setattr(by_word, "WORDS", 300)
    save_site(path, tmp_path / "small", settings=SiteSettings(workers=1))
    (data,) = (tmp_path / "small" / "data").iterdir()
    shared = check_texts(index, data)
    texts, found = texts_of(data)[0], features_of(data)
    places = [i for i, text in enumerate(texts) if text in shared]
    assert len(places) > 10
    check_search(index, [texts[i] for i in places], [found[i] for i in places])
    # a beginning that is not listed is read from few words, and these have few features
    sizes = {text: len(fires) + len(pushes) for text, (fires, pushes) in zip(texts, found, strict=True)}
    for start in {text[:n] for text in texts for n in range(1, len(text))} - set(texts):
        own = [sizes[text] for text in texts if text.startswith(start)]
        assert len(own) <= 4
        assert sum(own) <= 60


def test_what_is_missing_is_made_again_and_nothing_else(path, site, data, tmp_path):
    copy = tmp_path / "site"
    shutil.copytree(site, copy)
    there = copy / "data" / data.name
    before = {file: file.stat().st_mtime_ns for file in there.rglob("*.bin")}
    lost = [there / "cards" / "0" / "3.bin", there / "texts" / "0.bin"]
    for file in lost:
        file.unlink()
    (there / "cards" / "0" / ".half.tmp").write_bytes(b"half a file")
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
    some = short.select(12).tolist()
    save_site(copy, tmp_path / "site", features=some, parts=demo.demo_parts(demo.MLP), layout=small)
    (data,) = (tmp_path / "site" / "data").iterdir()
    assert data.name.endswith("-effects")
    cards, _ = read_pack((data / "cards/0/0.bin").read_bytes(), "FeatureView")
    assert [card.feature for card in cards] == some
    for card in cards:
        assert card.sequences[0].contexts.effects is not None
        assert card.sequences[0].contexts.logits is not None


def test_a_site_of_some_features_holds_these_alone(index, path, tmp_path):
    chosen = [7, 3, *range(200, 280), 1001]
    save_site(path, tmp_path / "some", features=chosen, settings=SiteSettings(workers=1))
    (data,) = (tmp_path / "some" / "data").iterdir()
    chosen, head = sorted(chosen), head_of(data)
    assert head.chosen.tolist() == chosen
    assert not head.explorer.can.map
    cards = [read_pack((data / f"cards/0/{i}.bin").read_bytes(), "FeatureView")[0] for i in range(2)]
    assert [card.feature for part in cards for card in part] == chosen
    assert len(list((data / "cards" / "0").iterdir())) == len(cards)
    assert read(data, "rows/0.bin", "RowTexts")[0].features.tolist() == chosen
    density = index.column("density").astype(np.float32)
    np.testing.assert_array_equal(read(data, "columns/0.bin", "NumberColumn")[0].values, density[chosen])
    assert head.explorer.first.features.tolist() == sorted(chosen, key=lambda feature: -density[feature])
    search = Search(index)
    for text, (fires, pushes) in zip(texts_of(data)[0], features_of(data), strict=True):
        assert set(fires) | set(pushes) <= set(chosen)
        if text in ("the", "self", "return"):
            hits = {one.way: one for one in search.find(text).hits}
            assert list(fires) == [feature for feature in hits["fires"].features.tolist() if feature in chosen]
    # other features are another site
    again = save_site(path, tmp_path / "some", features=chosen[1:], settings=SiteSettings(workers=1))
    assert again.made > 0
    assert not data.exists()


def test_explanations_of_other_features_stay_out(path, tmp_path):
    shutil.copytree(path, tmp_path / "index")
    said = [Explanation(feature=3, text="legal words"), Explanation(feature=7, text="other words")]
    keep_explanations(Index.open(tmp_path / "index"), said)
    save_site(tmp_path / "index", tmp_path / "site", features=[3, 5], settings=SiteSettings(workers=1))
    (data,) = (tmp_path / "site" / "data").iterdir()
    found, _ = read(data, "explained/0.bin", "ExplainedWords")
    assert (found.words, found.features.tolist(), found.totals.tolist()) == (("legal", "words"), [3, 3], [1, 1])
    assert read(data, "rows/0.bin", "RowTexts")[0].explanations == ("legal words", "")


@pytest.mark.parametrize(
    ("features", "said"), [([3, 2048 * 8], "does not exist"), ([3, 3], "more than once"), ([], "at least one")]
)
def test_features_that_no_site_can_hold(path, tmp_path, features, said):
    with pytest.raises(InputError, match=said):
        save_site(path, tmp_path / "none", features=features)
    assert not (tmp_path / "none").exists()


def test_effects_are_the_same_however_many_texts_are_run_at_a_time(path, tmp_path, monkeypatch):
    parts, layout = demo.demo_parts(demo.MLP), SaeVisLayoutConfig.default_feature_centric_layout()
    chosen, run, kept = Index.open(path).select(6).tolist(), [], []
    prepare = DirectEffects.prepare_corpus

    def noted(self, tokens, offsets, positions):
        run[-1].append(set(np.searchsorted(offsets, positions, side="right").tolist()))
        return prepare(self, tokens, offsets, positions)

    monkeypatch.setattr(DirectEffects, "prepare_corpus", noted)
    for at_a_time in (view_effects.PART_TOKENS, 50):
        monkeypatch.setattr(view_effects, "PART_TOKENS", at_a_time)
        copy = tmp_path / str(at_a_time)
        shutil.copytree(path, copy)
        run.append([])
        served = Served(open=partial(Index.open, copy), title="", parts=parts, layout=layout)
        files = site_files.Files(Desk(served), chosen)
        files.compute_effects(["cards/0/0.bin"], lambda _: None)
        cache = Index.open(copy).effects("direct")
        kept.append([cache.of(feature) for feature in chosen])
    assert len(run[0]) == 1
    assert len(run[1]) > 5
    assert sum(map(len, run[1])) == len(set().union(*run[1])) == len(run[0][0])
    for one, other in zip(*kept, strict=True):
        assert len(one.loss) > 5
        np.testing.assert_array_equal(one.position, other.position)
        np.testing.assert_array_equal(one.listed, other.listed)
        np.testing.assert_allclose(one.loss, other.loss, atol=1e-5)
        np.testing.assert_allclose(one.up_values, other.up_values, atol=1e-5)


def test_effects_that_were_computed_before_an_end_are_kept(path, tmp_path, monkeypatch):
    monkeypatch.setattr(view_effects, "PART_TOKENS", 50)
    monkeypatch.setattr(view_effects, "KEEPS", -1.0)
    monkeypatch.setattr(site_files, "CARDS", 2)
    parts, layout = demo.demo_parts(demo.MLP), SaeVisLayoutConfig.default_feature_centric_layout()
    chosen, told, computed = Index.open(path).select(6).tolist(), [], []
    at = DirectEffects.at

    def noted(self, prepared, positions, *others, **more):
        computed.append(len(positions))
        return at(self, prepared, positions, *others, **more)

    monkeypatch.setattr(DirectEffects, "at", noted)

    def run(copy, ends):
        def progress(done):
            told.append(done)
            if ends and done >= 1:
                raise KeyboardInterrupt

        served = Served(open=partial(Index.open, copy), title="", parts=parts, layout=layout)
        names = [f"cards/0/{number}.bin" for number in range(3)]
        site_files.Files(Desk(served), chosen).compute_effects(names, progress)
        cache = Index.open(copy).effects("direct")
        return [cache.of(feature) for feature in chosen]

    for name in ("whole", "stopped"):
        shutil.copytree(path, tmp_path / name)
    whole = run(tmp_path / "whole", ends=False)
    n, told_of_whole = sum(computed), list(told)
    assert told_of_whole == sorted(told_of_whole)
    assert set(told_of_whole) == {0, 1, 2, 3}
    computed.clear()
    with pytest.raises(KeyboardInterrupt):
        run(tmp_path / "stopped", ends=True)
    before = sum(computed)
    assert 0 < before < n
    computed.clear()
    again = run(tmp_path / "stopped", ends=False)
    assert sum(computed) == n - before
    for one, other in zip(whole, again, strict=True):
        np.testing.assert_array_equal(one.position, other.position)
        np.testing.assert_allclose(one.loss, other.loss, atol=1e-5)


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
    app(
        ["site", str(path), "3", "17", "-o", out, "--workers", "1", "--page", "One prompt=prompt.html"],
        standalone_mode=False,
    )
    said = capsys.readouterr().out
    assert "files" in said
    assert "python -m http.server" in said
    (data,) = (tmp_path / "out" / "data").iterdir()
    assert [(page.title, page.address) for page in head_of(data).pages] == [("One prompt", "prompt.html")]
    assert head_of(data).chosen.tolist() == [3, 17]


def test_a_script_without_a_guard_makes_a_site_by_several_processes(path, tmp_path):
    script = tmp_path / "script.py"
    script.write_text(
        "import sae_vis as sv\n"
        f"report = sv.save_site({str(path)!r}, {str(tmp_path / 'site')!r}, settings=sv.SiteSettings(workers=2))\n"
        "print(report.made, __file__)\n",
        encoding="utf-8",
    )
    done = subprocess.run([sys.executable, script], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    made, file = done.stdout.split()
    assert int(made) > 16
    assert file == str(script)
