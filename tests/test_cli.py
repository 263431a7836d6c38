"""The command line and the API, end to end on a piece of the embedded demo."""

from __future__ import annotations

import json
import re
import shutil
import sys
from dataclasses import dataclass
from pathlib import Path

import fsspec
import numpy as np
import pytest
import torch

import sae_vis
from sae_vis import Corpus, Index, ModelAndSae, TokenText, index_features, save_feature_page
from sae_vis.api import ComputeSettings, FeatureSettings
from sae_vis.cli import main
from sae_vis.cli.said import say_unused_gpu
from sae_vis.corpus.labels import LabelledText
from sae_vis.demo import run as demo
from sae_vis.errors import ForeignIndexError, InputError
from sae_vis.models import half
from sae_vis.saes.base import Dictionary
from sae_vis.saes.neighbours import decoder_neighbours
from sae_vis.views.feature import feature_page
from sae_vis.views.sources import ViewSources
from tests.fixtures.page_decoder import read_page
from tests.index.checks import check_correlations, check_feature, check_queries
from tests.reference import Dense
from tests.whole_numbers import dense_of

MODEL, TEXT_LENGTH = demo.assets() / "model", 6000


def command(*words: object) -> None:
    """Run `sae-vis WORDS` in this process."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("sys.argv", ["sae-vis", *map(str, words)])
        with pytest.raises(SystemExit) as left:
            main()
    if left.value.code:
        raise SystemExit(left.value.code)


def failure(capsys: pytest.CaptureFixture[str], *words: object) -> str:
    """The one line of a command that fails."""
    with pytest.raises(SystemExit) as left:
        command(*words)
    assert left.value.code == 1
    error = capsys.readouterr().err
    lines = [line for line in error.splitlines() if line.startswith("sae-vis: ")]
    assert len(lines) == 1, error
    assert "Traceback" not in error
    return lines[0]


@pytest.fixture(scope="module")
def small_text(tmp_path_factory: pytest.TempPathFactory) -> Path:
    whole = "\n".join(text for text in demo.demo_texts() if "self" in text)
    path = tmp_path_factory.mktemp("text") / "small.txt"
    path.write_text(whole[:TEXT_LENGTH] + " 🚀 東京 </script>", encoding="utf-8")
    return path


@pytest.fixture(scope="module")
def built(small_text: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("built") / "index"
    command("index", "--model", MODEL, "--sae", demo.assets() / "sae-resid", "--text", small_text, "--out", out)
    return out


def test_a_device_that_is_not_here(small_text: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    words = ["index", "--model", MODEL, "--sae", demo.assets() / "sae-resid", "--text", small_text, "--out"]
    if not torch.cuda.is_available():
        told = failure(capsys, *words, tmp_path / "none", "--device", "cuda:1")
        assert told == (
            "sae-vis: --device is cuda:1, but PyTorch sees no CUDA device here: leave it out, or install a driver"
        )
    command(*words, tmp_path / "index", "--device", "cpu")
    assert Index.open(tmp_path / "index").n_features > 0


@pytest.mark.parametrize(("device", "there", "said"), [(None, True, True), ("cpu", True, False), (None, False, False)])
def test_a_gpu_that_is_not_used_is_named(
    device: str | None, there: bool, said: bool, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: there)
    say_unused_gpu(device)
    assert ("--device cuda" in capsys.readouterr().out) == said


@pytest.fixture(scope="module")
def corpus(small_text: Path) -> Corpus:
    tokenizer = sae_vis.load_tokenizer(MODEL)
    return Corpus.from_texts([small_text.read_text(encoding="utf-8")], tokenizer, seq_len=64)


@pytest.mark.parametrize("sae", [demo.RESID, demo.MLP], ids=lambda sae: sae.name)
def test_real_activations_equal_the_slow_reference(sae: demo.DemoSae, corpus: Corpus):
    parts = demo.demo_parts(sae)
    hook = parts.model.hook_point(parts.hook_name)
    index = index_features(corpus, parts)
    assert ("correlated_neurons_index" in index.column_names) == (sae is demo.MLP)
    dense = dense_of(corpus, parts.model, parts.sae, hook)
    acts = np.zeros_like(dense.acts)  # the index's own activations: rounding by batch shape decides no order
    for feature in range(index.n_features):
        firings = index.firings(feature)
        acts[firings.positions, feature] = firings.acts
    counted = dense.counted
    different = (acts[counted] != 0) != (dense.acts[counted] != 0)
    assert different.sum() <= 1e-4 * (acts != 0).sum()
    np.testing.assert_allclose(acts[counted][~different], dense.acts[counted][~different], rtol=1e-4, atol=1e-4)
    own = Dense(acts, dense.x, dense.tokens, dense.offsets, dense.counted)
    order = np.argsort(index.column("n_firings"), kind="stable")
    for feature in [*order[:: len(order) // 12].tolist(), int(order[-1])]:
        check_feature(index, own, feature, exact=False)
        check_queries(index, own, feature, before=3, after=2)
        check_correlations(index, own, feature, tolerance=1e-5)


def test_index_info_and_feature_page(built: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    command("info", built)
    said = capsys.readouterr().out
    assert "2,048 features" in said
    assert "small.txt" in said
    assert "checksums right" in said
    command("feature", built, "--count", 20, "-o", tmp_path / "some.html")
    command("feature", built, 1945, 3, "-o", tmp_path / "two.html")
    assert (tmp_path / "some.html").stat().st_size > (tmp_path / "two.html").stat().st_size > 10_000
    assert "2 features" not in failure(capsys, "feature", built, 99999, "-o", tmp_path / "none.html")
    assert not (tmp_path / "none.html").exists()


def test_ranks_leave_the_index_of_one_process(built: Path, small_text: Path, tmp_path: Path):
    out = tmp_path / "index"
    words = ("index", "--model", MODEL, "--sae", demo.assets() / "sae-resid", "--text", small_text, "--out", out)
    command(*words, "--rank", 1, "--world", 2, "--stall", 0.1)
    files = {str(path.relative_to(out)): path.read_bytes() for path in out.rglob("*") if path.is_file()}
    assert "postings/part-00000.parquet" in files
    assert all((built / name).read_bytes() == data for name, data in files.items())


def test_an_index_is_built_at_an_address(built: Path, small_text: Path, capsys: pytest.CaptureFixture[str]):
    memory, out = fsspec.filesystem("memory"), "memory://cli/index"
    command("index", "--model", MODEL, "--sae", demo.assets() / "sae-resid", "--text", small_text, "--out", out)
    assert f"pages: sae-vis feature {out} -o features.html" in capsys.readouterr().out
    command("info", out)
    assert "checksums right" in capsys.readouterr().out
    files = {name.removeprefix("/cli/index/"): memory.cat_file(name) for name in memory.find("/cli/index")}
    memory.rm("/cli", recursive=True)
    assert "postings/part-00000.parquet" in files
    assert all((built / name).read_bytes() == data for name, data in files.items())


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("--rank", 0), "--rank and --world belong together: the number of this process, and how many there are"),
        (("--rank", 0, "--world", 2, "--ray", "auto"), "--ray and --rank are two ways to share the work: give one of"),
        (("--stall", 5), "--stall is for work that is shared: give --ray, or --rank and --world"),
        (("--rank", 2, "--world", 2), "Ranks.rank is 2 of 2: ranks are numbered from 0 to world - 1"),
        (("--ray", "127.0.0.1:1"), "there is no Ray cluster at '127.0.0.1:1'"),
    ],
)
def test_workers_that_make_no_sense(
    small_text: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], options, words
):
    both = ("--model", MODEL, "--sae", demo.assets() / "sae-resid")
    told = failure(capsys, "index", *both, "--text", small_text, "--out", tmp_path / "index", *options)
    assert told.startswith(f"sae-vis: {words}")


def test_without_the_package_ray_an_error_says_what_to_install(
    small_text: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setitem(sys.modules, "ray", None)
    both = ("--model", MODEL, "--sae", demo.assets() / "sae-resid")
    told = failure(capsys, "index", *both, "--text", small_text, "--out", tmp_path / "index", "--ray", "auto")
    assert told == "sae-vis: building with Ray needs the package ray: pip install 'sae-vis[ray]'"


def test_activations_rounded_to_bfloat16(small_text: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    made = ("index", "--model", MODEL, "--sae", demo.assets() / "sae-resid", "--text", small_text)
    said = failure(capsys, *made, "--acts-dtype", "float16", "--out", tmp_path / "no")
    assert said.endswith("IndexConfig.acts_dtype is 'float16'; it must be 'float32' or 'bfloat16'")
    assert not (tmp_path / "no").exists()
    command(*made, "--acts-dtype", "bfloat16", "--out", tmp_path / "index")
    command("info", tmp_path / "index")
    assert "features at blocks.2.hook_resid_post; activations rounded to bfloat16" in capsys.readouterr().out


def test_what_is_kept_is_chosen(small_text: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    made = ("index", "--model", MODEL, "--sae", demo.assets() / "sae-resid", "--text", small_text)
    said = failure(capsys, *made, "--neurons", "all", "--out", tmp_path / "no")
    assert said.endswith("IndexConfig.neuron_correlations is 'all'; it must be 'privileged', 'always' or 'never'")
    assert not (tmp_path / "no").exists()
    command(*made, "--neurons", "always", "--no-codes", "--out", tmp_path / "index")
    index = sae_vis.Index.open(tmp_path / "index")
    assert index.manifest.codes == ()
    assert len(index.lists("correlated_neurons_index", 1945)) > 0
    command(*made, "--out", tmp_path / "default")
    index = sae_vis.Index.open(tmp_path / "default")
    assert len(index.manifest.codes) > 0
    with pytest.raises(InputError, match="no column of lists 'correlated_neurons_index'"):
        index.lists("correlated_neurons_index", 1945)


def test_feature_page_with_a_layout_and_the_model(built: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    layout = tmp_path / "layout.json"
    layout.write_text(sae_vis.SaeVisLayoutConfig([sae_vis.Column(sae_vis.FeatureTablesConfig(n_rows=4))]).to_json())
    command("feature", built, 1945, "--layout", layout, "-o", tmp_path / "bare.html")
    both = ("--model", MODEL, "--sae", demo.assets() / "sae-resid")
    command("feature", built, 1945, "--layout", layout, *both, "-o", tmp_path / "full.html")
    bare, full = (read_page((tmp_path / name).read_text())[1][1945] for name in ("bare.html", "full.html"))
    assert bare.decoder_neighbours is None
    assert len(full.decoder_neighbours.index) == 4
    assert (bare.acts_histogram, full.acts_histogram, full.sequences) == (None, None, ())
    assert "belong together" in failure(capsys, "feature", built, "--model", MODEL, "-o", tmp_path / "no.html")
    layout.write_text('{"columns": [{"components": [{"type": "Hologram"}]}]}')
    assert "'Hologram'" in failure(capsys, "feature", built, "--layout", layout, "-o", tmp_path / "no.html")
    assert "no.json" in failure(capsys, "feature", built, "--layout", tmp_path / "no.json", "-o", tmp_path / "no.html")
    assert not (tmp_path / "no.html").exists()


@pytest.mark.parametrize("fast", [True, False])
def test_the_shell_and_python_load_a_model_in_one_dtype(
    fast: bool,
    small_text: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
):
    monkeypatch.setattr(half, "has_fast_products", lambda dtype: fast)
    by_default, other = ("bfloat16", "float32") if fast else ("float32", "bfloat16")
    sae = demo.assets() / "sae-resid"
    halved = tmp_path / "halved"
    sae_vis.load_model(MODEL, dtype="bfloat16").model.save_pretrained(halved)
    sae_vis.load_tokenizer(MODEL).save_pretrained(halved)
    both = ("--model", halved, "--sae", sae)
    command("index", *both, "--text", small_text, "--seq-len", 64, "-o", tmp_path / "index")
    corpus = Corpus.from_texts([small_text.read_text(encoding="utf-8")], sae_vis.load_tokenizer(halved), seq_len=64)
    text = TokenText.from_tokenizer(sae_vis.load_tokenizer(halved))
    parts = ModelAndSae(model=sae_vis.load_model(halved), sae=sae_vis.load_dictionary(sae))
    index = index_features(corpus, parts, tmp_path / "index", text=text)  # opened: it is the same
    model = index.manifest.provenance.model
    assert (model["dtype"], model.get("stored_dtype")) == (by_default, None if fast else "bfloat16")
    assert ("halved is stored in bfloat16, which this processor multiplies slowly" in caplog.text) is not fast
    capsys.readouterr()
    command("info", tmp_path / "index")
    assert f"run in {by_default}" in capsys.readouterr().out
    wide = ModelAndSae(model=sae_vis.load_model(halved, dtype=other), sae=parts.sae)
    index_features(corpus, wide, tmp_path / "other", text=text)
    for made in ("index", "other"):  # pages take the dtype of their index
        command("feature", tmp_path / made, 1945, *both, "-o", tmp_path / "page.html")
        command("prompt", tmp_path / made, "return self.tk", *both, "-o", tmp_path / "prompt.html")
    said = failure(capsys, "feature", tmp_path / "index", 1945, *both, "--dtype", other, "-o", tmp_path / "no.html")
    assert f"than the one given now (its model was run in {by_default}, the one given is in {other})" in said
    with pytest.raises(
        ForeignIndexError, match=rf"another model \(its model was run in {by_default}, the one given is"
    ):
        index_features(corpus, wide, tmp_path / "index", text=text)


@pytest.mark.parametrize(("expand", "reach"), [(0, 2), (1, 2), (9, 9), ("sequence", None)])
def test_contexts_hold_what_they_can_be_expanded_to(built: Path, expand, reach):
    index = Index.open(built)
    layout = sae_vis.SaeVisLayoutConfig([sae_vis.Column(sae_vis.SeqMultiGroupConfig(buffer=(2, 2), expand=expand))])
    view = feature_page(ViewSources(index=index, text=index.text), [1945], layout).features[0]
    top = index.top_examples(1945, 20, before=2, after=2)
    contexts = view.sequences[0].contexts
    windows = index.windows(1945, top.positions, before=reach, after=reach)
    assert contexts.offsets.tolist() == windows.offsets.tolist()
    assert contexts.tokens.tolist() == windows.tokens.tolist()
    assert contexts.focus.tolist() == windows.focus.tolist()
    assert contexts.start.tolist() == index.place(windows.positions[windows.offsets[:-1]])[1].tolist()


def test_effects_are_those_of_the_model_and_are_kept(built: Path, tmp_path: Path):
    index, parts = Index.open(built), demo.demo_parts(demo.RESID)
    layout = sae_vis.SaeVisLayoutConfig([sae_vis.Column(sae_vis.SeqMultiGroupConfig(top_logits_hoverdata=3))])
    features = index.select(3).tolist()
    save_feature_page(index, tmp_path / "with.html", features=features, parts=parts, layout=layout)
    _, views = read_page((tmp_path / "with.html").read_text())
    effects = parts.direct_effects()
    for feature in features:
        about = set(index.top_examples(feature, 20, before=10, after=10).positions.tolist())
        for group in views[feature].sequences:
            contexts, found = group.contexts, group.contexts.effects
            lengths = np.diff(contexts.offsets)
            first = index.offsets[contexts.sequence] + contexts.start
            every = np.repeat(first - contexts.offsets[:-1], lengths) + np.arange(lengths.sum())
            fires = (contexts.acts > 0) & ~np.isin(every, index.offsets[1:] - 1)  # at the end nothing comes next
            assert found.at.tolist() == np.flatnonzero(fires).tolist()
            positions, acts = every[found.at], contexts.acts[found.at]
            table = effects.at(
                effects.prepare_corpus(index.tokens, index.offsets, positions),
                positions,
                np.full(len(positions), feature),
                acts,
                n_changed=3,
            )
            np.testing.assert_allclose(found.loss, table.loss, atol=1e-5)
            np.testing.assert_allclose(found.prob, table.prob_with, atol=1e-5)
            np.testing.assert_allclose(found.prob * np.exp(found.loss), table.prob_without, atol=1e-5)
            assert found.next_token.tolist() == index.tokens[positions + 1].tolist()
            assert found.listed.tolist() == [i for i, position in enumerate(positions.tolist()) if position in about]
            for own, exact in ((found.up_values, table.top_changes), (found.down_values, table.bottom_changes)):
                np.testing.assert_allclose(own, exact[found.listed].reshape(-1), rtol=0.005, atol=1e-5)  # three digits
    again, made = tmp_path / "again.html", built / "effects"
    save_feature_page(Index.open(built), again, features=features, layout=layout)  # without the model
    _, kept = read_page(again.read_text())
    for feature in features:
        for a, b in zip(views[feature].sequences, kept[feature].sequences, strict=True):
            assert a.contexts.effects.loss.tolist() == b.contexts.effects.loss.tolist()
    other = next(f for f in index.select(20).tolist() if f not in features)
    save_feature_page(Index.open(built), again, features=[other], layout=layout)
    assert all(group.contexts.effects is None for group in read_page(again.read_text())[1][other].sequences)
    shutil.rmtree(made)
    save_feature_page(Index.open(built), again, features=features, layout=layout)
    assert all(group.contexts.effects is None for group in read_page(again.read_text())[1][features[0]].sequences)
    Index.open(built)  # the manifest never spoke of them


@dataclass(frozen=True)
class Counts(sae_vis.CustomComponent):
    type_name = "Counts"
    script = "export function mount(element, data) { element.textContent = data.n; }"
    needs = ("lens",)

    def data(self, query: sae_vis.FeatureQuery) -> dict[str, object]:
        return {"n": len(query.firings().acts), "tokens": query.tokens(query.firings().positions)}

    def shared(self, index: Index) -> dict[str, object]:
        return {"features": index.n_features}


def test_data_of_a_users_component(built: Path, tmp_path: Path):
    index, path = Index.open(built), tmp_path / "page.html"
    layout = sae_vis.SaeVisLayoutConfig([sae_vis.Column(Counts())])
    with pytest.raises(InputError, match="Counts needs logit effects, so the page must be made with the model"):
        save_feature_page(index, path, features=[1945], layout=layout)
    assert not path.exists()
    save_feature_page(index, path, features=[1945], layout=layout, parts=demo.demo_parts(demo.RESID))
    head, views = read_page(path.read_text())
    firings = index.firings(1945)
    assert head["shared"] == {"Counts": {"features": 2048}}
    assert views[1945].custom["Counts"]["n"] == len(firings.acts)
    assert views[1945].custom["Counts"]["tokens"].tolist() == index.tokens[firings.positions].tolist()


def test_prompt_page(built: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    both = ("--model", MODEL, "--sae", demo.assets() / "sae-resid")
    page = tmp_path / "prompt.html"
    options = ("--compare", "self.path", "--metric", "rarity", "--pos", 1, "--token", " the", "--title", "Two")
    command("prompt", built, "self.tk", *both, *options, "-o", page)
    head, _ = read_page(page.read_text())
    part = head["prompt"]
    assert head["meta"]["title"] == "Two"
    assert (len(part.prompts), part.metric, part.position) == (2, "rarity", 1)
    assert [prompt.n_targets for prompt in part.prompts] == [7, 7]
    before = page.read_bytes()
    wrong = {
        "--metric": ("size", "expected one of act_size"),
        "--pos": (99, "but the prompt has"),
        "--top": (0, "at least 1"),
    }
    for name, (value, words) in wrong.items():
        assert words in failure(capsys, "prompt", built, "self.tk", *both, name, value, "-o", page)
    assert "the prompt is empty" in failure(capsys, "prompt", built, "", *both, "-o", page)
    other = ("--model", MODEL, "--sae", demo.assets() / "sae-mlp")
    assert "made with another SAE" in failure(capsys, "prompt", built, "self.tk", *other, "-o", page)
    assert page.read_bytes() == before


def test_a_prompt_finds_model_and_sae_where_the_index_was_made_from(
    built: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    command("prompt", built, "self.tk", "-o", tmp_path / "found.html")
    command(
        "prompt", built, "self.tk", "--model", MODEL, "--sae", demo.assets() / "sae-resid", "-o", tmp_path / "b.html"
    )
    assert (tmp_path / "found.html").read_bytes() == (tmp_path / "b.html").read_bytes()
    moved = shutil.copytree(built, tmp_path / "moved")
    manifest = moved / "manifest.json"
    manifest.write_text(manifest.read_text().replace(str(MODEL), "/nowhere/model"))
    capsys.readouterr()
    said = failure(capsys, "prompt", moved, "self.tk", "-o", tmp_path / "c.html")
    assert said == (
        "sae-vis: the index was made with the model /nowhere/model, of which this machine has no folder: "
        f"say where to load from, as in sae-vis prompt {moved} TEXT --model MODEL"
    )
    command("prompt", moved, "self.tk", "--model", MODEL, "-o", tmp_path / "c.html")
    assert (tmp_path / "c.html").exists()


def test_what_cards_lack_without_model_and_sae_is_said(built: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    lacking = (
        "  without --model and --sae the cards have no logit effects of the tokens shown, "
        "no effects on the loss that the index does not keep yet, no decoder neighbours (sae-vis map keeps them)"
    )
    command("feature", built, 1945, "-o", tmp_path / "a.html")
    assert lacking in capsys.readouterr().out.splitlines()
    command("site", built, 1945, "-o", tmp_path / "site")
    assert lacking in capsys.readouterr().out.splitlines()
    command("feature", built, 1945, "--model", MODEL, "--sae", demo.assets() / "sae-resid", "-o", tmp_path / "b.html")
    assert "without --model" not in capsys.readouterr().out


def test_progress_of_cards_and_of_effects(built: Path, tmp_path: Path):
    told: list[tuple[str, int, int]] = []
    compute = ComputeSettings(progress=lambda *one: told.append(one))
    save_feature_page(Index.open(built), tmp_path / "a.html", features=[1945, 111, 18], compute=compute)
    assert told == [("cards", done, 3) for done in range(4)]
    told.clear()
    index = shutil.copytree(built, tmp_path / "index")
    parts = demo.demo_parts(demo.RESID)
    sae_vis.save_site(
        index, tmp_path / "site", features=range(100, 260), parts=parts, progress=lambda *one: told.append(one)
    )
    effects = [done for stage, done, _ in told if stage == "effects"]
    assert {total for stage, _, total in told if stage == "effects"} == {3}  # files of 64 cards
    assert (effects[0], effects[-1]) == (0, 3)
    assert effects == sorted(effects)
    assert effects.count(3) == 1


def test_what_a_page_says_of_itself(built: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    page = tmp_path / "a.html"
    said = ("--title", "Two features", "--selection", "picked", "--first", 18, "--seed", 3)
    command("feature", built, 1945, 18, *said, "-o", page)
    by_hand = tmp_path / "b.html"
    settings = FeatureSettings(title="Two features", selection="picked", first=18)
    Index.open(built).save_page(by_hand, features=[1945, 18], settings=settings, compute=ComputeSettings(seed=3))
    assert page.read_bytes() == by_hand.read_bytes()
    words = "--b-page is 'b.html', but there is no second index: give --index-b, too"
    assert words in failure(capsys, "feature", built, "--b-page", "b.html", "-o", page)


def test_two_saes(built: Path, small_text: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    resid, mlp = demo.assets() / "sae-resid", demo.assets() / "sae-mlp"
    other = tmp_path / "mlp"
    command("index", "--model", MODEL, "--sae", mlp, "--text", small_text, "--out", other)
    command("compare", built, other, "--count", 8, "--partners", 3, "-o", tmp_path / "both.html")
    head, views = read_page((tmp_path / "both.html").read_text(encoding="utf-8"))
    assert 4 <= len(views) <= 8
    assert head["meta"]["selection"].endswith("evenly spaced by number")
    assert all(one.table.decoder is None for one in head["compare"]["compared"].values())
    saes = ("--model", MODEL, "--sae-a", resid, "--sae-b", resid)
    command("compare", built, built, 1945, 18, *saes, "--b-page", "b.html", "-o", tmp_path / "same.html")
    head, views = read_page((tmp_path / "same.html").read_text(encoding="utf-8"))
    assert list(views) == [1945, 18]
    assert head["compare"]["b_page"] == "b.html"
    for feature, one in head["compare"]["compared"].items():
        assert one.table.index[0] == feature
        assert one.table.decoder[0] == pytest.approx(1)
    command("feature", built, 1945, "--index-b", other, "--compare-page", "both.html", "-o", tmp_path / "a.html")
    head, views = read_page((tmp_path / "a.html").read_text(encoding="utf-8"))
    assert head["meta"]["b"]["compare"] == "both.html"
    assert len(views[1945].correlated_b_features.index) > 0
    shorter = tmp_path / "shorter.txt"
    shorter.write_text(small_text.read_text(encoding="utf-8")[:900], encoding="utf-8")
    command("index", "--model", MODEL, "--sae", mlp, "--text", shorter, "--out", tmp_path / "shorter")
    said = failure(capsys, "compare", built, tmp_path / "shorter", "-o", tmp_path / "no.html")
    assert "the two indices are not over the same tokens: A has" in said
    assert "--sae-a and --sae-b belong together" in failure(capsys, "compare", built, other, "--sae-a", resid)
    assert not (tmp_path / "no.html").exists()


def test_page_with_the_model_has_logit_effects_of_its_tokens(built: Path, tmp_path: Path):
    index = Index.open(built)
    parts = demo.demo_parts(demo.RESID)
    with_model = save_feature_page(index, tmp_path / "a.html", features=[1945], parts=parts)
    without = save_feature_page(index, tmp_path / "b.html", features=[1945])
    assert with_model.bytes > without.bytes
    with pytest.raises(ForeignIndexError, match="made with another SAE"):
        save_feature_page(index, tmp_path / "c.html", parts=demo.demo_parts(demo.MLP))
    elsewhere = ModelAndSae(model=parts.model, sae=parts.sae, hook="blocks.1.hook_resid_post")
    with pytest.raises(ForeignIndexError, match="made with another hook point"):
        save_feature_page(index, tmp_path / "c.html", parts=elsewhere)
    with pytest.raises(InputError, match="asked for 0 features"):
        save_feature_page(index, tmp_path / "c.html", features=0)
    with pytest.raises(InputError, match=r"folder .* does not exist"):
        save_feature_page(index, tmp_path / "no" / "c.html", features=[1])
    with pytest.raises(InputError, match="feature 5000 does not exist: the SAE has features 0 to 2047"):
        save_feature_page(index, tmp_path / "c.html", features=[5000])
    assert not (tmp_path / "c.html").exists()


def test_layout_that_asks_for_more_than_the_index_holds(built: Path, tmp_path: Path):
    layout = sae_vis.SaeVisLayoutConfig([sae_vis.Column(sae_vis.LogitsTableConfig(n_rows=200))])
    with pytest.raises(InputError, match=r"LogitsTableConfig\.n_rows is 200, but the index holds 20 rows"):
        save_feature_page(Index.open(built), tmp_path / "page.html", features=[3], layout=layout)


def test_an_index_without_text_is_not_taken_for_one_with_text(corpus: Corpus, tmp_path: Path):
    parts = demo.demo_parts(demo.RESID)
    index_features(corpus, parts, tmp_path)
    text = TokenText.from_tokenizer(sae_vis.load_tokenizer(MODEL))
    with pytest.raises(ForeignIndexError, match="another setting token_text;"):
        index_features(corpus, parts, tmp_path, text=text)


def test_the_index_keeps_the_text_of_its_tokens(built: Path, small_text: Path):
    index = Index.open(built)
    spelled = b"".join(index.text.bytes_of(int(t)) for t in index.tokens if not index.text.is_special(int(t)))
    assert spelled.decode() == small_text.read_text(encoding="utf-8")


def test_wrong_words_are_one_line_each(
    built: Path, small_text: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    common = ("index", "--model", MODEL, "--text", small_text, "--out", tmp_path / "out")
    resid, mlp = demo.assets() / "sae-resid", demo.assets() / "sae-mlp"
    assert "width" in failure(capsys, *common, "--sae", mlp, "--hook", "blocks.2.hook_resid_post")
    assert re.search(
        "blocks.9.*4 layers", failure(capsys, *common, "--sae", resid, "--hook", "blocks.9.hook_resid_post")
    )
    assert "hook_resid_post" in failure(capsys, *common, "--sae", resid, "--hook", "blocks.2.hook_resid_pots")
    assert "cfg.json" in failure(capsys, *common, "--sae", tmp_path)
    empty = tmp_path / "empty.txt"
    empty.write_text("")
    assert "corpus is empty" in failure(capsys, *common[:3], "--text", empty, "--out", tmp_path / "out", "--sae", resid)
    assert not (tmp_path / "out").exists()
    other = failure(capsys, *common[:5], "--out", built, "--sae", mlp)
    assert "made from another" in other
    assert "nothing was written" in other
    assert "no manifest.json" in failure(capsys, "info", tmp_path).replace("has no", "no")
    latin = tmp_path / "latin.txt"
    latin.write_bytes("für".encode("latin-1"))
    assert "latin.txt is not UTF-8 text" in failure(
        capsys, *common[:3], "--text", latin, "--out", tmp_path / "out", "--sae", resid
    )
    missing = failure(capsys, *common[:3], "--text", tmp_path / "no.txt", "--out", tmp_path / "out", "--sae", resid)
    assert "No such file" in missing


def test_unknown_key_in_a_checkpoint(tmp_path: Path, capsys: pytest.CaptureFixture[str], small_text: Path):
    folder = tmp_path / "sae"
    folder.mkdir()
    for name in ("cfg.json", "sae_weights.safetensors"):
        (folder / name).write_bytes((demo.assets() / "sae-resid" / name).read_bytes())
    config = json.loads((folder / "cfg.json").read_text())
    (folder / "cfg.json").write_text(json.dumps(config | {"secret_scale": 2}))
    said = failure(capsys, "index", "--model", MODEL, "--sae", folder, "--text", small_text, "--out", tmp_path / "out")
    assert "secret_scale" in said


def test_vectorised_queries_equal_single_ones(built: Path):
    index = Index.open(built)
    features = index.select(15).tolist()
    values = [1.0 + 0.3 * i for i in range(15)]
    together = index.quantiles_of(features, values)
    assert together.tolist() == [index.quantile_of(f, [v])[0] for f, v in zip(features, values, strict=True)]
    features, values = [*features, features[3]], [*values, 1e9]  # one feature twice, in any order
    for among in ("tokens", "firings"):
        together = index.quantiles_of(features, values, among=among)
        single = [index.quantile_of(f, [v], among=among)[0] for f, v in zip(features, values, strict=True)]
        assert together.tolist() == single
    assert index.histogram([], 7).shape == (0, 7)
    histograms = index.histogram(features, 7)
    assert all(np.array_equal(histograms[i], index.histogram([f], 7)[0]) for i, f in enumerate(features))
    assert index.density(features).tolist() == [index.column("density")[f] for f in features]
    assert index.moments(features)["mean"].tolist() == [index.column("mean")[f] for f in features]


def test_demo_writes_pages(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, small_text: Path, capsys: pytest.CaptureFixture[str]
):
    labelled = LabelledText(small_text.read_text(encoding="utf-8"), {"source": "python_stdlib", "kind": "code"})
    monkeypatch.setattr(demo, "demo_documents", lambda: [labelled])
    command("demo", "--out", tmp_path)
    said = capsys.readouterr().out
    for name in ("resid", "mlp"):
        assert str(tmp_path / f"features-{name}.html") in said
        assert (tmp_path / f"features-{name}.html").stat().st_size > 100_000
        assert str(tmp_path / f"prompt-{name}.html") in said
        head, _ = read_page((tmp_path / f"prompt-{name}.html").read_text())
        assert head["prompt"].metric == "loss_effect"
    served: list[Path] = []
    monkeypatch.setattr(demo, "serve_demo", lambda out, **options: served.append(out))
    monkeypatch.setattr(demo, "run_demo", lambda *given, **options: pytest.fail("what is there is not made again"))
    command("demo", "--out", tmp_path, "--serve")
    assert served == [tmp_path]


class Silent(Dictionary):
    """A dictionary in which nothing fires."""

    def __init__(self, like: Dictionary) -> None:
        self.d_in, self.d_sae, self.hook_name, self._like = like.d_in, 4, like.hook_name, like

    def encode_dense(self, x: torch.Tensor) -> torch.Tensor:
        return torch.zeros(len(x), self.d_sae)

    def encode(self, x: torch.Tensor) -> sae_vis.saes.base.SparseCodes:
        return sae_vis.saes.base.dense_to_codes(self.encode_dense(x))

    @property
    def decoder(self) -> torch.Tensor:
        return self._like.decoder[:4]

    @property
    def centre(self) -> torch.Tensor:
        return self._like.centre

    def fingerprint(self) -> str:
        return "sha256:silent"

    def describe(self) -> dict[str, object]:
        return {"architecture": "silent"}


def test_nothing_fires(corpus: Corpus, tmp_path: Path):
    parts = demo.demo_parts(demo.RESID)
    silent = ModelAndSae(model=parts.model, sae=Silent(parts.sae))
    index = index_features(corpus, silent, text=TokenText.labels())
    with pytest.raises(InputError, match="no feature fires"):
        save_feature_page(index, tmp_path / "page.html")
    assert save_feature_page(index, tmp_path / "page.html", features=[2]).bytes > 0


def test_a_view_holds_the_numbers_of_its_index(built: Path):
    index = Index.open(built)
    parts = demo.demo_parts(demo.RESID)
    lens = parts.lens(sae_vis.IndexConfig())
    chosen = index.select(6).tolist()
    page = feature_page(ViewSources(index=index, text=index.text, lens=lens, sae=parts.sae, seed=4), chosen)
    assert [view.feature for view in page.features] == chosen
    for view in page.features:
        feature = view.feature
        firings = index.firings(feature)
        assert view.stats.n_firings == len(firings.acts)
        assert view.stats.max == firings.acts.max()
        assert view.acts_histogram.counts.tolist() == index.histogram([feature], 50)[0].tolist()
        assert view.logits_table.top_tokens.tolist() == index.lists("top_tokens", feature)[:10].tolist()
        assert (
            view.correlated_features.pearson.tolist()
            == index.lists("correlated_features_pearson", feature)[:3].tolist()
        )
        top, *intervals = view.sequences
        examples = index.top_examples(feature, 20, before=10, after=10)
        shown = top.contexts.offsets[:-1] + top.contexts.focus
        assert top.contexts.acts[shown].tolist() == examples.acts.tolist()
        assert top.contexts.repeats.tolist() == examples.repeats.tolist()
        by_position = index.by_position(feature, 32)
        assert view.acts_by_position.n_firings.tolist() == by_position.n_firings.tolist()
        assert view.acts_by_position.n_firings.sum() == len(firings.acts)
        assert view.acts_by_position.n_tokens.sum() == index.n_counted
        neighbours = decoder_neighbours(parts.sae, [feature], 3)
        assert view.decoder_neighbours.index.tolist() == neighbours.features[0].tolist()
        np.testing.assert_allclose(view.decoder_neighbours.cosine, neighbours.cosine[0], rtol=0, atol=1e-6)
        assert sum(group.n_firings for group in intervals) == len(firings.acts)
        assert sum(group.share for group in intervals) == pytest.approx(1.0)
        effects = lens.effects([feature])[0].numpy()
        np.testing.assert_allclose(top.contexts.logits, effects[top.contexts.tokens], atol=1e-5)
        assert all(group.contexts.effects is None for group in view.sequences)


def test_every_feature_that_fires(built: Path, tmp_path: Path):
    index = Index.open(built)
    layout = sae_vis.SaeVisLayoutConfig([sae_vis.Column(sae_vis.ActsHistogramConfig())])
    report = save_feature_page(index, tmp_path / "all.html", features=None, layout=layout)
    firing = int((index.column("n_firings") > 0).sum())
    assert report.bytes == pytest.approx(report.bytes_fixed + firing * report.bytes_per_feature)


def test_a_phrase_is_searched_in_an_index(built: Path, capsys: pytest.CaptureFixture[str]):
    command("search", built, "self", "--count", 3, "--matches", 2)
    lines = capsys.readouterr().out.splitlines()
    index = Index.open(built)
    found = index.find_text("self")
    text = b"".join(index.text.bytes_of(int(t)) for t in index.tokens if not index.text.is_special(int(t)))
    assert len(found.starts) == text.count(b"self") > 0
    assert (
        lines[0] == f"'self' stands {len(found.starts)} times in the text, {found.exact.sum()} of them as whole tokens"
    )
    assert lines[1].count("«self»") == 1
    assert [int(line.split()[0]) for line in lines[-3:]] == index.features_of(found.positions, 3).feature.tolist()
    command("search", built, "SELF", "--ignore-case", "--exact", "--last", "--rank", "count", "-n", 1)
    lines = capsys.readouterr().out.splitlines()
    exact = found.rows(found.exact)
    assert lines[0].startswith(f"'SELF' stands {len(exact.starts)} times")
    assert int(lines[-1].split()[0]) == index.features_of(exact.stops - 1, 1, rank="count").feature[0]
    command("search", built, "🚀 東京")
    assert "«🚀 東京»" in capsys.readouterr().out
    command("search", built, "zzqx")
    assert capsys.readouterr().out == "'zzqx' stands nowhere in the text\n"
    inside = {part: index.find_text(part) for part in ("elf", "eturn", "lass")}  # of self, return, class
    part = next(part for part, at in inside.items() if len(at.starts) > 0 and not at.exact.any())
    command("search", built, part, "--exact")
    said = capsys.readouterr().out
    assert said.startswith(f"{part!r} stands ")
    assert said.endswith(" in the text, never as whole tokens: leave out --exact\n")
    assert failure(capsys, "search", built, "") == "sae-vis: the phrase is empty, expected at least one character"


def test_convert_makes_an_old_index_a_new_one(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    old = Path(__file__).parent / "fixtures" / "format_1" / "plain"
    command("convert", old, tmp_path / "new")
    assert "9 features (1 never fire), 1,784 firings on 494 tokens" in capsys.readouterr().out
    assert "is not empty; nothing was written" in failure(capsys, "convert", old, tmp_path / "new")
    assert "sae-vis convert OLD NEW" in failure(capsys, "info", old)


def test_push_uploads_an_index_that_commands_then_read(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    old = Path(__file__).parent / "fixtures" / "format_1" / "plain"
    command("convert", old, tmp_path / "index")
    place = (tmp_path / "there" / "index").as_uri()
    command("push", tmp_path / "index", place)
    assert f"is at {place}" in capsys.readouterr().out
    command("info", place)
    assert "checksums right" in capsys.readouterr().out
    assert "is not an address to upload to" in failure(capsys, "push", tmp_path / "index", "elsewhere")
