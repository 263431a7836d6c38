"""Inputs that are none, at every entry point: the right value, or one line that says what was found and what to do."""

from __future__ import annotations

import os
import re
from pathlib import Path

import numpy as np
import pytest
import torch

import sae_vis
from sae_vis import (
    Corpus,
    Index,
    IndexConfig,
    MaskConfig,
    ModelAndSae,
    PromptSettings,
    SaeVisConfig,
    SaeVisData,
    save_compare_page,
    save_feature_page,
    save_prompt_page,
)
from sae_vis.api import ComputeSettings, FeatureSettings, index_activations, index_features
from sae_vis.compat import CreateOptions
from sae_vis.data_config_classes import SeqMultiGroupConfig, SequencesConfig
from sae_vis.demo import run as demo
from sae_vis.errors import IndexFileError, InputError
from sae_vis.views.compare import CompareSettings
from tests.fixtures.page_decoder import read_page
from tests.test_cli import command, failure

SAE, MODEL = demo.assets() / demo.RESID.folder, demo.assets() / "model"
BOS, PAD = 0, 3


def says(words: str):
    """Expect an `InputError` with exactly these words at its beginning."""
    return pytest.raises(InputError, match=f"^{re.escape(words)}")


@pytest.fixture(scope="module")
def tokens() -> torch.Tensor:
    corpus, _ = demo.demo_corpus()
    return torch.from_numpy(corpus.tokens[: 128 * 6].reshape(6, 128)[:, :16].copy()).long()


@pytest.fixture(scope="module")
def parts() -> ModelAndSae:
    return demo.demo_parts(demo.RESID)


@pytest.fixture(scope="module")
def index(tokens, parts) -> Index:
    text = sae_vis.TokenText.from_tokenizer(sae_vis.load_tokenizer(MODEL))
    return index_features(Corpus.from_tokens(tokens, MaskConfig(bos_id=BOS)), parts, text=text)


@pytest.fixture(scope="module")
def built(index, tokens, parts, tmp_path_factory) -> Path:
    out = tmp_path_factory.mktemp("odd") / "index"
    index_features(Corpus.from_tokens(tokens, MaskConfig(bos_id=BOS)), parts, out, text=index.text)
    return out


def pages(path: Path):
    return read_page(path.read_text(encoding="utf-8"))


# Features


@pytest.mark.parametrize(
    "given",
    [
        [7, 4],
        (7, 4),
        np.array([7, 4]),
        torch.tensor([7, 4]),
        [np.int32(7), torch.tensor(4)],
        range(7, 1, -3),
        (feature for feature in (7, 4)),
    ],
    ids=["list", "tuple", "array", "tensor", "scalars", "range", "generator"],
)
def test_any_series_of_feature_ids(given, index, tmp_path):
    save_feature_page(index, tmp_path / "a.html", features=given)
    assert list(pages(tmp_path / "a.html")[1]) == [7, 4]


def test_one_whole_number_of_any_kind(index, tmp_path):
    for four in (4, np.int64(4), torch.tensor(4), np.uint8(4)):
        assert SaeVisConfig(features=four).features == (4,)
        save_feature_page(index, tmp_path / "a.html", features=four)
        assert len(pages(tmp_path / "a.html")[1]) == 4
        save_compare_page(index, index, tmp_path / "b.html", features=four)
        assert len(pages(tmp_path / "b.html")[1]) <= 4
    assert SaeVisConfig(features={9, 4}).features == (4, 9)
    assert SaeVisConfig([4, 9]).features == (4, 9)  # as the first argument, as in sae_vis 0.3


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ([], "is empty, expected at least one feature id"),
        (range(0), "is empty, expected at least one feature id"),
        (np.zeros(0, dtype=int), "is empty, expected at least one feature id"),
        (4.0, "is 4.0 (float), expected feature ids, such as [4, 8] or range(64)"),
        (True, "is True (bool), expected feature ids, such as [4, 8] or range(64)"),
        ("4", "is '4', expected feature ids, such as [4, 8]"),
        (b"4", "is b'4', expected feature ids, such as [4, 8] or range(64)"),
        ({4: 1}, "is {4: 1} (dict), expected feature ids, such as [4, 8] or range(64)"),
        ([4.0], "holds 4.0 (float), expected whole numbers: the ids of features"),
        (torch.tensor([4.0]), "holds 4.0 (float), expected whole numbers: the ids of features"),
        (["4"], "holds '4', expected whole numbers: the ids of features"),
        ([[4]], "holds [4] (list), expected whole numbers: the ids of features"),
        (np.array([True, False]), "holds True (bool), expected whole numbers: the ids of features"),
        ([4, 9, 4], "names feature 4 more than once, expected each once"),
    ],
)
def test_what_is_no_features(given, words, index, tmp_path):
    if not isinstance(given, str):
        with says("SaeVisConfig.features " + words):
            SaeVisConfig(features=given)
    with says("features " + words):
        save_feature_page(index, tmp_path / "a.html", features=given)
    with says("features " + words):
        save_compare_page(index, index, tmp_path / "a.html", features=given)
    assert list(tmp_path.iterdir()) == []


def test_features_that_do_not_exist_are_refused_before_the_model_runs(index, tokens, tmp_path):
    for wrong in (-1, 2048):
        with says(f"feature {wrong} does not exist: the SAE has features 0 to 2047"):
            save_feature_page(index, tmp_path / "a.html", features=[wrong])
    with says("feature 2048 does not exist: the SAE has features 0 to 2047"):
        SaeVisData.create(sae=SAE, model=MODEL, tokens=tokens, cfg=SaeVisConfig(features=[2048]))
    for given in (-1, [-1]):
        with pytest.raises(InputError, match="features is -1, expected at least 0"):
            SaeVisConfig(features=given)
    with says("asked for 0 features; give 1 or more, feature ids, or None for all that fire"):
        save_feature_page(index, tmp_path / "a.html", features=0)
    with says("SaeVisConfig.features is 'blocks.2', expected feature ids, such as features=[4, 8]; a hook point is"):
        SaeVisConfig("blocks.2")


def test_the_first_feature_of_a_page(index, tmp_path):
    save_feature_page(index, tmp_path / "a.html", features=[4, 7], settings=FeatureSettings(first=np.int64(7)))
    assert pages(tmp_path / "a.html")[0]["meta"]["first"] == 7
    with says("first is 7.0 (float), expected a whole number"):
        save_feature_page(index, tmp_path / "a.html", features=[4, 7], settings=FeatureSettings(first=7.0))


# Prompts


@pytest.mark.parametrize(
    "given",
    [[5, 6], np.array([5, 6]), torch.tensor([5, 6]), [torch.tensor(5), np.int64(6)], (i for i in (5, 6))],
    ids=["list", "array", "tensor", "scalars", "generator"],
)
def test_any_series_of_token_ids_is_a_prompt(given, index, parts, tmp_path):
    save_prompt_page(index, tmp_path / "a.html", given, parts=parts)
    assert pages(tmp_path / "a.html")[0]["prompt"].prompts[0].tokens.tolist() == [5, 6]


KINDS = "expected a text, token ids [n], or a list of chat messages with role and content"


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ([[1, 2]], "the prompt is [[1, 2]] (list), expected one row of token ids [n]: give prompt[0]"),
        (torch.tensor([[1, 2]]), "the prompt is tensor([[1, 2]]) (Tensor), expected one row of token ids [n]: give"),
        (["a", "b"], f"the prompt is ['a', 'b'] (list), {KINDS}; for two prompts there is settings="),
        (["a", 1], f"the prompt is ['a', 1] (list), {KINDS}; for two prompts there is settings="),
        (None, f"the prompt is None, {KINDS}"),
        (5, f"the prompt is 5 (int), {KINDS}"),
        (b"abc", f"the prompt is b'abc', {KINDS}"),
        (bytearray(b"abc"), f"the prompt is bytearray(b'abc') (bytearray), {KINDS}"),
        ([1.0], f"the prompt is [1.0] (list), {KINDS}"),
        ([True], f"the prompt is [True] (list), {KINDS}"),
        ({"role": "user", "content": "x"}, f"the prompt is {{'role': 'user', 'content': 'x'}} (dict), {KINDS}"),
        ([{"role": "user"}], f"the prompt is [{{'role': 'user'}}] (list), {KINDS}"),
        ({"input_ids": [1]}, "the prompt is a tokenizer's output, expected token ids [n]: give its input_ids, of one"),
        ([], "the prompt is empty: give some text, messages or token ids"),
        ("", "the prompt is empty: give some text, messages or token ids"),
        ([-1], "a token of the prompt is -1, expected at least 0"),
        ([4096], "token ids from 4096 to 4096, but GPTNeoXForCausalLM has ids 0 to 4095"),
        (
            "a\ud800",
            "the prompt holds half a character (the surrogate '\\ud800' at index 1), which is not text: give",
        ),
        (
            [BOS, BOS, 5],
            "the prompt begins with 2 tokens of padding (id 0), which the model would attend to: give it without",
        ),
    ],
)
def test_what_is_no_prompt(given, words, index, parts, tmp_path, tokens):
    if given == [BOS, BOS, 5]:  # an index whose padding is known; its BOS has the same id
        index = index_features(Corpus.from_tokens(tokens, MaskConfig(bos_id=BOS, pad_id=BOS)), parts)
        save_prompt_page(index, tmp_path / "a.html", given[1:], parts=parts)
        (tmp_path / "a.html").unlink()
    tokenizer = sae_vis.load_tokenizer(MODEL)
    for prompt, second in ((given, None), ([5], given)):
        if prompt is not given and given is None:
            continue  # no second prompt
        settings = PromptSettings(compare=second)
        with says(words):
            save_prompt_page(index, tmp_path / "a.html", prompt, parts=parts, tokenizer=tokenizer, settings=settings)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("option", "words"),
    [
        ({"metric": 3}, "metric is 3, expected one of act_size"),
        ({"metric": []}, "metric is [], expected one of act_size"),
        ({"seq_pos": 1.0}, "seq_pos is 1.0 (float), expected a whole number"),
        ({"num_top_features": 0}, "num_top_features is 0, expected at least 1"),
        ({"num_top_features": -2}, "num_top_features is -2, expected at least 1"),
        ({"num_top_features": 2.5}, "num_top_features is 2.5 (float), expected a whole number"),
        ({"full_effects": "3"}, "full_effects is '3', expected a whole number"),
        ({"logit_tokens": 5}, "logit_tokens is 5 (int), expected token ids, such as (262, 290)"),
        ({"logit_tokens": ("a",)}, "a token of logit_tokens is 'a', expected a whole number"),
        ({"logit_tokens": (-1,)}, "a token of logit_tokens is -1, expected at least 0"),
    ],
)
def test_settings_of_a_prompt_of_a_wrong_kind(option, words):
    with says(words):
        PromptSettings(**option)


def test_settings_of_a_prompt_take_the_numbers_of_numpy():
    settings = PromptSettings(seq_pos=np.int64(-1), num_top_features=torch.tensor(3), logit_tokens=np.array([5, 6]))
    assert (settings.seq_pos, settings.num_top_features, settings.logit_tokens) == (-1, 3, (5, 6))


# Paths

WRITERS = {
    "feature": lambda index, parts, path: save_feature_page(index, path, features=[4]),
    "compare": lambda index, parts, path: save_compare_page(index, index, path, features=[4]),
    "prompt": lambda index, parts, path: save_prompt_page(index, path, [5, 6], parts=parts),
    "facade": lambda index, parts, path: SaeVisData(
        index=index, parts=parts, cfg=SaeVisConfig(features=4)
    ).save_feature_centric_vis(path),
}


@pytest.mark.parametrize("writer", WRITERS)
def test_places_where_no_page_can_be_written(writer, index, parts, tmp_path, monkeypatch):
    write = WRITERS[writer]
    (tmp_path / "file").write_text("kept")
    (tmp_path / "link.html").symlink_to(tmp_path / "file")
    os.mkfifo(tmp_path / "pipe")  # stands for devices, such as /dev/null
    wrong = {
        tmp_path: f"can't write {tmp_path}: it is a folder; give the name of a file in it, such as page.html",
        tmp_path / "no" / "a.html": f"can't write {tmp_path}/no/a.html: the folder {tmp_path}/no does not exist; make",
        tmp_path / "file" / "a.html": f"can't write {tmp_path}/file/a.html: {tmp_path}/file is a file, not a folder;",
        tmp_path / ("x" * 300): f"can't write {tmp_path}/{'x' * 300}: File name too long; what was there before",
        tmp_path / "pipe": f"can't write {tmp_path}/pipe: it is not an ordinary file; give the name of one",
        "/proc/a.html": "can't write /proc/a.html: ",
        "a\0b": "can't write a\0b: embedded null ",
        "": "the path to write is '', expected the name of a file, such as 'page.html'",
        None: "the path to write is None, expected the name of a file, such as 'page.html'",
        5: "the path to write is 5 (int), expected the name of a file, such as 'page.html'",
    }
    for path, words in wrong.items():
        with says(words):
            write(index, parts, path)
    with monkeypatch.context() as patch:
        patch.setattr(os, "access", lambda path, mode: False)
        with says(f"can't write {tmp_path}/a.html: you may not write in {tmp_path}; choose another place"):
            write(index, parts, tmp_path / "a.html")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["file", "link.html", "pipe"]
    assert (tmp_path / "file").read_text() == "kept"
    write(index, parts, tmp_path / "link.html")
    assert (tmp_path / "link.html").is_symlink()
    assert (tmp_path / "file").read_text().startswith("<!doctype html>")
    write(index, parts, tmp_path / ("x" * 250 + ".html"))  # as long as a name may be


def test_places_where_no_index_can_be_built(tokens, parts, tmp_path):
    corpus = Corpus.from_tokens(tokens)
    (tmp_path / "file").write_text("kept")
    wrong = {
        tmp_path / "file" / "index": f"can't build an index in {tmp_path}/file/index: Not a directory; choose another",
        "/proc/index": "can't build an index in /proc/index: No such file or directory; choose another directory",
        "a\0b": "can't build an index in a\0b: embedded null byte; choose another directory",
    }
    for out, words in wrong.items():
        with pytest.raises(IndexFileError, match=f"^{re.escape(words)}"):
            index_features(corpus, parts, out)
    with pytest.raises(sae_vis.SaeVisError, match="file exists and is not a sae_vis index; nothing was written"):
        index_features(corpus, parts, tmp_path / "file")
    for out in ("", 5, b"index"):
        with says(f"out is {out!r}"):
            index_features(corpus, parts, out)
    assert (tmp_path / "file").read_text() == "kept"
    for path in (None, 5):
        with pytest.raises(InputError, match=r"the index's path is .*, expected a directory"):
            Index.open(path)


def test_a_disk_that_refuses_says_what_to_do(tokens, parts, tmp_path, monkeypatch):
    def refuse(self, target):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "replace", refuse)
    words = "Permission denied; what was finished before is kept: mend that, then run the same command again to go on"
    with pytest.raises(IndexFileError, match=rf"could not write {tmp_path}/index/.*: {words}"):
        index_features(Corpus.from_tokens(tokens), parts, tmp_path / "index")


def test_commands_name_the_place_in_one_line(built, tmp_path, capsys):
    both = ("--model", MODEL, "--sae", SAE)
    (tmp_path / "file").write_text("kept")
    for words in (("feature", built, 4), ("prompt", built, "self", *both), ("compare", built, built, 4)):
        said = failure(capsys, *words, "-o", tmp_path)
        assert (
            said == f"sae-vis: can't write {tmp_path}: it is a folder; give the name of a file in it, such as page.html"
        )
        said = failure(capsys, *words, "-o", tmp_path / "file" / "a.html")
        assert said.endswith(f"{tmp_path}/file is a file, not a folder; choose another place")
    (tmp_path / "a.txt").write_text("some text")
    index = ("index", *both, "--text", tmp_path / "a.txt", "--out", tmp_path / "file" / "index")
    assert failure(capsys, *index).endswith("Not a directory; choose another directory")
    index = ("index", *both, "--text", tmp_path, "--out", tmp_path / "index")
    assert failure(capsys, *index) == f"sae-vis: {tmp_path} is a folder, expected a text file; give the files in it"
    (tmp_path / "latin.json").write_bytes(b'{"height": "\xfc"}')
    layout = ("feature", built, 4, "--layout", tmp_path / "latin.json", "-o", tmp_path / "a.html")
    assert "latin.json is not UTF-8 text" in failure(capsys, *layout)
    assert "the prompt holds half a character" in failure(
        capsys, "prompt", built, "\udcff", *both, "-o", tmp_path / "a"
    )
    assert (tmp_path / "file").read_text() == "kept"
    assert not (tmp_path / "index").exists()


def test_commands_tell_the_page_and_its_features_apart(built, tmp_path, capsys):
    sizes = r"\(\d\.\d MB: \d+ KB for the page and \d+\.\d KB a feature{}\)"
    command("feature", built, 4, 7, "-o", tmp_path / "a.html")
    assert re.search(sizes.format(""), capsys.readouterr().out)
    command("compare", built, built, 4, "-o", tmp_path / "a.html")
    assert re.search(sizes.format(" of A"), capsys.readouterr().out)
    command("prompt", built, "self", "--model", MODEL, "--sae", SAE, "-o", tmp_path / "a.html")
    assert re.search(sizes.format(""), capsys.readouterr().out)


# Other options


def test_titles_and_seeds(index, tmp_path):
    path = tmp_path / "a.html"
    for title in (5, b"x"):
        with says("title is "):
            save_feature_page(index, path, features=[4], settings=FeatureSettings(title=title))
    for seed, words in ((2.5, "2.5 (float)"), ("1", "'1'"), (None, "None"), (True, "True (bool)")):
        with says(f"seed is {words}, expected a whole number"):
            save_feature_page(index, path, features=[4], compute=ComputeSettings(seed=seed))
        if seed is not None:
            with says(f"SaeVisConfig.seed is {words}, expected a whole number"):
                SaeVisConfig(seed=seed)
    for seed in (-1, np.int64(3), 1 << 70):
        save_feature_page(index, path, features=[4], compute=ComputeSettings(seed=seed))
    assert pages(path)[0]["meta"]["title"] == "Features at blocks.2.hook_resid_post — sae_vis"


def test_numbers_of_examples(index):
    feature = int(index.select(None)[0])
    for k, words in ((-1, "-1, expected at least 0"), (2.5, "2.5 (float), expected a whole number")):
        for ask in (index.top_examples, index.bottom_examples):
            with says(f"k is {words}"):
                ask(feature, k)
        with says(f"k is {words}"):
            index.intervals(feature, 2, k)
        with says(f"n is {words}"):
            index.intervals(feature, k, 2)
        with says(f"n is {words}"):
            index.select(k)
    assert len(index.top_examples(feature, np.int64(0)).acts) == 0
    for wrong in ("4", 4.0, True, None):
        with pytest.raises(InputError, match=r"^a feature is .*, expected a whole number$"):
            index.firings(wrong)
    assert len(index.firings(np.int64(feature)).acts) > 0


def test_sizes_of_a_build():
    assert IndexConfig(batch_tokens=np.int64(64)).batch_tokens == 64
    with says("IndexConfig.batch_tokens is 4096.0 (float), expected a whole number"):
        IndexConfig(batch_tokens=4096.0)
    with says("IndexConfig.quantiles is '5', expected a whole number"):
        IndexConfig(quantiles="5")
    with says("CompareSettings.partners is 0, expected at least 1"):
        CompareSettings(partners=0)
    with says("CompareSettings.examples is 2.5 (float), expected a whole number"):
        CompareSettings(examples=2.5)


def test_arguments_of_another_kind(index, parts, tokens, tmp_path):
    corpus = Corpus.from_tokens(tokens)
    for wrong in (tokens, ["abc"], parts):
        with pytest.raises(InputError, match=r"^corpus is .*, expected a Corpus: Corpus.from_texts or"):
            index_features(wrong, parts)
    with pytest.raises(InputError, match=r"^parts is .*, expected a ModelAndSae: ModelAndSae\(model=…, sae=…\)$"):
        index_features(corpus, parts.sae)
    with pytest.raises(InputError, match=r"^parts is .*, expected a ModelAndSae: ModelAndSae\(model=…, sae=…\)$"):
        save_feature_page(index, tmp_path / "a.html", parts=parts.sae)
    for save in (save_feature_page, lambda i, path: save_compare_page(index, i, path)):
        with says("index is 'my-index', expected an Index: Index.open(path) opens one, index_features builds one"):
            save("my-index", tmp_path / "a.html")


def test_own_activations_of_padded_rows():
    """Every token has its activations, so rows stay as they are; rows of unequal lengths are end to end."""
    tokens = torch.tensor([[PAD, PAD, 5], [4, 5, 6]])
    acts = torch.arange(12.0).reshape(2, 3, 2)
    index = index_activations(tokens, acts, mask=MaskConfig(pad_id=PAD, bos_id=BOS))
    assert index.firings(1).positions.tolist() == [2, 3, 4, 5]
    assert index.firings(1).acts.tolist() == [5.0, 7.0, 9.0, 11.0]
    with says("there are activations of 6 tokens, but the corpus has 4: give one row for each token, masked ones incl"):
        index_activations(Corpus.from_tokens(tokens, MaskConfig(pad_id=PAD, bos_id=BOS)), acts)
    unequal = index_activations([[5], [4, 5, 6]], acts.reshape(6, 2)[2:])
    assert unequal.offsets.tolist() == [0, 1, 4]
    assert unequal.firings(1).acts.tolist() == [5.0, 7.0, 9.0, 11.0]


# The facade


def test_tokens_of_the_facade(tokens):
    """Rows of any lengths, and what a tokenizer returns; padding is cut off, and refused where it is not marked."""
    cfg = SaeVisConfig(features=[4])
    bare = [[BOS, *row[1 : 4 + i].tolist()] for i, row in enumerate(tokens)]
    made = SaeVisData.create(sae=SAE, model=MODEL, tokens=bare, cfg=cfg).index
    widest = max(map(len, bare))
    left = torch.tensor([[BOS] * (widest - len(row)) + row for row in bare])
    attention = torch.tensor([[0] * (widest - len(row)) + [1] * len(row) for row in bare])
    padded = SaeVisData.create(
        sae=SAE, model=MODEL, tokens={"input_ids": left, "attention_mask": attention}, cfg=cfg
    ).index
    assert padded.tokens.tolist() == made.tokens.tolist() == [token for row in bare for token in row]
    assert (
        made.manifest.provenance.corpus["mask"] == padded.manifest.provenance.corpus["mask"] == "left out: BOS (id 0)"
    )
    for feature in made.select(20).tolist():
        assert padded.firings(feature).positions.tolist() == made.firings(feature).positions.tolist()
        np.testing.assert_allclose(padded.firings(feature).acts, made.firings(feature).acts, rtol=1e-4, atol=1e-4)
    words = (
        "row 0 of tokens begins with padding (id 0), which the model would attend to: give what the tokenizer "
        "returned, with its attention_mask, as tokens="
    )
    with says(words):
        SaeVisData.create(sae=SAE, model=MODEL, tokens=left, cfg=cfg)


def test_settings_of_sae_vis_0_2_and_saedashboard(tokens, tmp_path, capsys):
    cfg = SaeVisConfig(
        hook_point="blocks.2.hook_resid_post",
        features=[int(f) for f in range(3)],
        minibatch_size_features=64,
        minibatch_size_tokens=4,
        quantile_feature_batch_size=64,
        perform_ablation_experiments=False,
        device="cpu",
        dtype="float32",
        ignore_tokens={12, 261},
        ignore_positions=[0, 1],
        ignore_high_activation_norm_multiple=None,
        use_dfa=False,
        seed=0,
        verbose=True,
        cache_dir=None,
        batch_size=None,
    )
    data = SaeVisData.create(sae=SAE, model=str(MODEL), tokens=tokens, cfg=cfg)
    assert "seconds" in capsys.readouterr().out
    rest = tokens[:, 2:]
    assert data.index.n_counted == int(((rest != BOS) & (rest != 12) & (rest != 261)).sum())
    data.save_feature_centric_vis(tmp_path / "a.html", feature=2)
    head, views = pages(tmp_path / "a.html")
    assert head["meta"]["first"] == 2
    assert all(group.contexts.effects is None for view in views.values() for group in view.sequences)
    [sequences] = [
        c for column in head["layout"]["columns"] for c in column["components"] if c["type"] == "SeqMultiGroup"
    ]
    assert sequences["options"]["dfa_for_attn_saes"] is False


@pytest.mark.parametrize(
    ("option", "words"),
    [
        (
            {"batch_size": 64},
            "SaeVisConfig.batch_size is 64 (int), but as many sequences are used as are given: give",
        ),
        (
            {"cache_dir": "a"},
            "SaeVisConfig.cache_dir is 'a', but nothing is cached: index_features(corpus, parts, out=…)",
        ),
        (
            {"ignore_high_activation_norm_multiple": 10.0},
            "SaeVisConfig.ignore_high_activation_norm_multiple is 10.0 (float), but tokens can't be left out by",
        ),
        (
            {"ignore_positions": [3]},
            "SaeVisConfig.ignore_positions is [3], expected the first positions, such as [0, 1]",
        ),
        (
            {"ignore_positions": [0], "seqpos_slice": (1, None)},
            "SaeVisConfig.ignore_positions and seqpos_slice are",
        ),
        ({"hook_point": 5}, "SaeVisConfig.hook_point is 5 (int), expected text"),
        ({"minibatch_size_tokens": 2.5}, "SaeVisConfig.minibatch_size_tokens is 2.5 (float), expected a whole number"),
        ({"minibatch_size_features": 0}, "SaeVisConfig.minibatch_size_features is 0, expected at least 1"),
        ({"quantile_feature_batch_size": 0}, "SaeVisConfig.quantile_feature_batch_size is 0, expected at least 1"),
        (
            {"feature_centric_layout": None},
            "SaeVisConfig.feature_centric_layout is None, expected a SaeVisLayout",
        ),
    ],
)
def test_settings_that_mean_nothing_here_name_the_new_way(option, words):
    with says(words):
        SaeVisConfig(**option)


def test_positions_that_are_ignored():
    assert SaeVisConfig(ignore_positions=[1, 0]).seqpos_slice == (2, None)
    assert SaeVisConfig(ignore_positions=(-1,)).seqpos_slice == (None, -1)
    assert SaeVisConfig(seqpos_slice=(1, None, None)).seqpos_slice == (1, None, None)


def test_arguments_of_sae_vis_0_2(index, parts, tokens, tmp_path):
    data = SaeVisData(index=index, parts=parts, cfg=SaeVisConfig(features=[4]))
    with says("the prompt is 'a.html' and the file 'some text': the file comes first, then the prompt; name them"):
        data.save_prompt_centric_vis("some text", "a.html")
    with says("sae and encoder are two names of one parameter, and both are given; give one"):
        SaeVisData.create(sae=SAE, encoder=MODEL, model=MODEL, tokens=tokens)
    with says("hook and hook_point are two names of one parameter, and both are given; give one"):
        SaeVisData.create(
            SAE, MODEL, tokens, SaeVisConfig(hook_point="blocks.2"), options=CreateOptions(hook="blocks.1")
        )
    with says("feature and feature_idx are two names of one parameter, and both are given; give one"):
        data.save_feature_centric_vis(tmp_path / "a.html", 4, feature_idx=5)
    for given in ({"model": MODEL, "tokens": tokens}, {"sae": SAE, "tokens": tokens}, {"sae": SAE, "model": MODEL}):
        with says("SaeVisData.create needs all of sae=, model= and tokens="):
            SaeVisData.create(**given)
    with says("SaeVisConfig.dtype is 'bfloat16', but the model given is in torch.float32; it is used as it is:"):
        SaeVisData.create(sae=SAE, model=parts.model, tokens=tokens, cfg=SaeVisConfig(dtype="bfloat16"))
    with says("SaeVisConfig.device is 'cuda:0', but the model given is in cpu; it is used as it is:"):
        SaeVisData.create(sae=SAE, model=parts.model.model, tokens=tokens, cfg=SaeVisConfig(device="cuda:0"))
    with pytest.raises(
        InputError, match=r"^vocab_dict is \['a'\] \(list\), expected a Mapping: the text of each token"
    ):
        SaeVisData.create(sae=SAE, model=MODEL, tokens=tokens, vocab_dict=["a"])
    named = SaeVisData.create(sae=SAE, model=MODEL, tokens=tokens, vocab_dict={"5": "five"})
    assert named.index.text.bytes_of(5) == b"five"  # as JSON has the ids


def test_the_component_of_examples_under_its_old_name():
    assert SequencesConfig(buffer=(2, 3), stack_mode="stack-all") == SeqMultiGroupConfig(buffer=(2, 3))
    with says("SequencesConfig.stack_mode is 'stack-none', but groups of examples stand in one column: leave it out"):
        SequencesConfig(stack_mode="stack-none")
