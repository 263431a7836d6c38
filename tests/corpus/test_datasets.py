"""Hugging Face datasets, from local copies of the layouts they have on the hub."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from sae_vis.corpus.datasets import DatasetConfig, TokenBudget, documents
from sae_vis.corpus.tokens import Corpus
from sae_vis.demo import run as demo
from sae_vis.errors import InputError
from sae_vis.index.index import Index
from sae_vis.models.loading import load_tokenizer
from tests.libraries import library
from tests.test_cli import command, failure

TEXTS = ["def run(self):\n    return 1\n", "for line in lines:\n    print(line)", "", "x = 東京 🚀"]
CHATS = [[{"role": "user", "content": text}, {"role": "assistant", "content": "ok"}] for text in TEXTS]
TEMPLATE = "{% for m in messages %}<{{ m.role }}>{{ m.content }}\n{% endfor %}"
MODEL = demo.assets() / "model"


def test_without_the_package_the_pip_command_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "datasets", None)
    with pytest.raises(InputError, match="pip install datasets"):
        next(documents(DatasetConfig(name="someone/texts")))


@pytest.fixture(autouse=True)
def own_cache(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    if "pip_command" in request.node.name:
        return
    library("datasets")
    monkeypatch.setenv("HF_DATASETS_CACHE", str(tmp_path / "cache"))


pytestmark = pytest.mark.filterwarnings("ignore")


def write_jsonl(path: Path, rows: list[dict[str, object]]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A repository with two configurations and two splits, as on the hub."""
    root = tmp_path / "texts"
    for subset, texts in (("plain", TEXTS), ("twice", [text * 2 for text in TEXTS])):
        (root / subset).mkdir(parents=True)
        for split, chosen in (("train", texts), ("test", texts[:1])):
            pq.write_table(
                pa.table({"id": list(range(len(chosen))), "text": chosen}), root / subset / f"{split}.parquet"
            )
    files = "".join(
        f"  - config_name: {name}\n    data_files:\n"
        + "".join(f"      - split: {split}\n        path: {name}/{split}.parquet\n" for split in ("train", "test"))
        for name in ("plain", "twice")
    )
    (root / "README.md").write_text(f"---\nconfigs:\n{files}---\n")
    return root


def test_a_folder_with_configurations_and_splits(folder):
    assert list(documents(DatasetConfig(name=str(folder), subset="plain"))) == TEXTS
    assert list(documents(DatasetConfig(name=str(folder), subset="twice", split="test"))) == [TEXTS[0] * 2]
    with pytest.raises(InputError, match=r"can't read the dataset .*split 'dev'"):
        list(documents(DatasetConfig(name=str(folder), subset="plain", split="dev")))
    with pytest.raises(InputError, match="can't read the dataset"):
        list(documents(DatasetConfig(name=str(folder), subset="other")))


@pytest.mark.parametrize("suffix", ["jsonl", "parquet", "csv"])
def test_single_files(tmp_path, suffix):
    path = tmp_path / f"data.{suffix}"
    if suffix == "jsonl":
        write_jsonl(path, [{"n": 1, "content": text} for text in TEXTS])
    elif suffix == "parquet":
        pq.write_table(pa.table({"content": TEXTS}), path)
    else:
        path.write_text("content\n" + "".join(f'"{text}"\n' for text in TEXTS if text), encoding="utf-8")
    expected = TEXTS if suffix != "csv" else [text for text in TEXTS if text]
    assert list(documents(DatasetConfig(name=str(path)))) == expected


def test_columns(tmp_path):
    path = write_jsonl(tmp_path / "a.jsonl", [{"title": "a", "body": text} for text in TEXTS])
    assert list(documents(DatasetConfig(name=str(path), column="body"))) == TEXTS
    with pytest.raises(InputError, match=r"which column of .* give --column, one of 'title', 'body'"):
        list(documents(DatasetConfig(name=str(path))))
    with pytest.raises(InputError, match=r"has no column 'text'; there are 'title', 'body'"):
        list(documents(DatasetConfig(name=str(path), column="text")))
    only = write_jsonl(tmp_path / "b.jsonl", [{"n": 1, "abstract": "x"}])
    assert list(documents(DatasetConfig(name=str(only)))) == ["x"]
    with pytest.raises(InputError, match="column 'n' holds no text in row 0 but a int"):
        list(documents(DatasetConfig(name=str(only), column="n")))
    other = tmp_path / "c.xml"
    other.write_text("<a/>")
    with pytest.raises(InputError, match=r"ends in one of \.jsonl"):
        list(documents(DatasetConfig(name=str(other))))


def test_chats(tmp_path):
    tokenizer = load_tokenizer(MODEL)
    path = write_jsonl(tmp_path / "a.jsonl", [{"messages": chat} for chat in CHATS])
    with pytest.raises(InputError, match="needs a tokenizer with a chat template"):
        list(documents(DatasetConfig(name=str(path), chat=True), tokenizer))
    tokenizer.chat_template = TEMPLATE
    found = list(documents(DatasetConfig(name=str(path), chat=True), tokenizer))
    assert found[1] == f"<user>{TEXTS[1]}\n<assistant>ok\n"
    with pytest.raises(InputError, match="holds no text in row 0 but a list; give another --column, or --chat"):
        list(documents(DatasetConfig(name=str(path), column="messages")))
    wrong = write_jsonl(tmp_path / "b.jsonl", [{"messages": [{"from": "me"}]}])
    with pytest.raises(InputError, match="no list of messages with role and content in row 0"):
        list(documents(DatasetConfig(name=str(wrong), chat=True), tokenizer))


def test_columns_that_label_the_documents(tmp_path):
    rows = [
        {"text": text, "language": word, "n": i % 2} for i, (text, word) in enumerate(zip(TEXTS, "abab", strict=True))
    ]
    path = write_jsonl(tmp_path / "a.jsonl", [*rows, {"text": "x", "language": None, "n": 7}])
    found = list(documents(DatasetConfig(name=str(path), labels=("language", "n"))))
    assert [one.text for one in found] == [*TEXTS, "x"]
    assert [one.labels for one in found][-2:] == [{"language": "b", "n": 1}, {"language": None, "n": 7}]
    corpus = Corpus.from_texts(found, load_tokenizer(MODEL), seq_len=16)
    assert [(one.name, one.labels) for one in corpus.labellings] == [("language", ("a", "b")), ("n", ("0", "1", "7"))]
    with pytest.raises(InputError, match=r"has no column 'lang'; there are 'text', 'language', 'n'"):
        list(documents(DatasetConfig(name=str(path), labels=("lang",))))


def test_classes_are_called_by_their_names(tmp_path):
    import datasets

    kinds = datasets.Features({"text": datasets.Value("string"), "label": datasets.ClassLabel(names=["neg", "pos"])})
    made = datasets.Dataset.from_dict({"text": ["a", "b", "c"], "label": [1, 0, -1]}, features=kinds)
    made.to_parquet(tmp_path / "classes.parquet")
    found = documents(DatasetConfig(name=str(tmp_path / "classes.parquet"), labels=("label",)))
    assert [one.labels["label"] for one in found] == ["pos", "neg", None]


def test_a_budget_of_tokens_is_exact():
    tokenizer = load_tokenizer(MODEL)
    whole = Corpus.from_texts(TEXTS, tokenizer, seq_len=8, prepend_bos=False)
    asked = []

    def texts():
        for number in range(100_000):
            asked.append(number)
            yield TEXTS[number % 2]

    budget = TokenBudget(tokenizer, 1000)
    corpus = Corpus.from_texts(budget.documents(texts()), budget, seq_len=8, prepend_bos=False)
    separators = int((corpus.tokens == tokenizer.eos_token_id).sum())
    assert corpus.n_tokens - separators == 1000
    assert corpus.tokens[:20].tolist() == whole.tokens[:20].tolist()
    assert len(asked) < 1000
    with pytest.raises(InputError, match="--tokens is 0"):
        TokenBudget(tokenizer, 0)


def test_the_command_reads_a_dataset_as_it_reads_files(tmp_path, folder, capsys):
    texts = []
    for number, text in enumerate(TEXTS):
        path = tmp_path / f"{number}.txt"
        path.write_text(text, encoding="utf-8")
        texts += ["--text", path]
    base = ("index", "--model", MODEL, "--sae", demo.assets() / "sae-resid", "--seq-len", 16)
    command(*base, *texts, "--out", tmp_path / "a")
    command(*base, "--dataset", folder, "--subset", "plain", "--out", tmp_path / "b")
    first, second = Index.open(tmp_path / "a"), Index.open(tmp_path / "b")
    assert first.features.equals(second.features)
    assert second.manifest.provenance.corpus["source"] == "texts plain (train)"
    command(*base, *texts, "--label", "file", "--out", tmp_path / "labelled")
    labelled = Index.open(tmp_path / "labelled").labels("file")
    assert labelled.labels == ("0.txt", "1.txt", "3.txt")  # the third is empty
    assert labelled.counts.n_firings.sum() == first.column("n_firings").sum()
    assert "no column 'kind'; label them by 'file'" in failure(
        capsys, *base, *texts, "--label", "kind", "--out", tmp_path / "d"
    )
    command(*base, "--dataset", folder, "--subset", "plain", "--tokens", 7, "--out", tmp_path / "c")
    assert 7 <= Index.open(tmp_path / "c").manifest.provenance.corpus["n_tokens"] <= 7 + 3
    assert "one of the two" in failure(capsys, *base, "--out", tmp_path / "d")
    assert "one of the two" in failure(capsys, *base, *texts, "--dataset", folder, "--out", tmp_path / "d")
    assert "can't read the dataset 'no/such'" in failure(capsys, *base, "--dataset", "no/such", "--out", tmp_path / "d")
