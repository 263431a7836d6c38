"""Every block of code in the README and the documentation runs, or is held against what it names."""

from __future__ import annotations

import gzip
import json
import re
import runpy
import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from sae_vis.layout import SaeVisLayoutConfig
from tests.docs_blocks import ROOT, Block, blocks_of, check_names, commands, run_page

PAGES = sorted(
    [
        ROOT / "README.md",
        ROOT / "CONTRIBUTING.md",
        *(p for p in (ROOT / "docs").rglob("*.md") if "_build" not in p.parts),
    ]
)
WITH_CODE = [path for path in PAGES if any(block.language in ("python", "sh", "sql") for block in blocks_of(path))]
ASSETS = ROOT / "sae_vis" / "demo" / "assets"
MODELS = ("gpt2",)  # names in the documentation that stand for the embedded model here
SAES = ("path/to/sae", "path/to/transcoder")
N_SEQS = 160
MAKES_INDEX = re.compile(r"index_\w+\([^)]*\"my-index\"|-o my-index")


@pytest.fixture(scope="session")
def workplace(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder as a reader might have it: models, SAEs, texts, and an index; small ones that stand in for theirs."""
    from sae_vis.api import index_features
    from sae_vis.corpus.tokens import Corpus
    from sae_vis.demo.run import RESID, demo_corpus, demo_parts

    folder = tmp_path_factory.mktemp("workplace")
    for name in MODELS:
        (folder / name).symlink_to(ASSETS / "model")
    for name in SAES:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).symlink_to(ASSETS / "sae-resid")
    for name in ("sae_vis", "examples"):
        (folder / name).symlink_to(ROOT / name)
    with gzip.open(ASSETS / "text.jsonl.gz", "rt", encoding="utf-8") as lines:
        texts = [json.loads(line)["text"] for line in lines][:40]
    for name, part in (("a.txt", texts[:20]), ("b.txt", texts[20:])):
        (folder / name).write_text("\n\n".join(part), encoding="utf-8")
    explained = [{"feature": feature, "text": f"about {feature}", "score": 0.5} for feature in (12, 345)]
    (folder / "explanations.jsonl").write_text("".join(f"{json.dumps(one)}\n" for one in explained), encoding="utf-8")
    (folder / "layout.json").write_text(SaeVisLayoutConfig.default_feature_centric_layout().to_json(), encoding="utf-8")
    corpus, text = demo_corpus()
    cut = int(corpus.offsets[N_SEQS])
    small = Corpus(
        tokens=corpus.tokens[:cut],
        offsets=corpus.offsets[: N_SEQS + 1],
        documents=corpus.documents[corpus.documents < cut],
        mask=corpus.mask,
        source=corpus.source,
    )
    index_features(small, demo_parts(RESID), folder / "my-index", text=text)
    (folder / "sae-vis-demo").mkdir()
    for name in ("sae-vis-demo/index-resid", "index-a", "index-b"):
        shutil.copytree(folder / "my-index", folder / name)
    return folder


@pytest.fixture(scope="session")
def quarter(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The index that the tutorials make in their first block; the same block then opens it."""
    blocks = [block for block in blocks_of(ROOT / "docs" / "tutorials" / "finding.md") if block.language == "python"]
    folder = tmp_path_factory.mktemp("tutorials")
    run_page(blocks[:1], folder)
    return folder / "quarter"


@pytest.mark.slow
@pytest.mark.parametrize("path", WITH_CODE, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_code_runs(path: Path, workplace: Path, tmp_path: Path, request: pytest.FixtureRequest):
    folder = tmp_path / "here"
    shutil.copytree(workplace, folder, symlinks=True)
    if path.parent.name == "tutorials":
        shutil.copytree(request.getfixturevalue("quarter"), folder / "quarter")
    blocks = blocks_of(path)
    if any(MAKES_INDEX.search(block.code) for block in blocks):
        shutil.rmtree(folder / "my-index")
    names = run_page(blocks, folder)
    layout = names.get("layout")
    if isinstance(layout, SaeVisLayoutConfig):
        layout.to_spec("prompt" if path.stem == "Prompt" else "feature")


@pytest.mark.slow
def test_the_first_page_of_a_public_sae(workplace: Path, tmp_path: Path):
    """The README's commands for a model and an SAE of the hub, on folders of the same names and layout here."""
    folder = tmp_path / "here"
    shutil.copytree(workplace, folder, symlinks=True)
    block = next(block for block in blocks_of(ROOT / "README.md") if block.only_checked)
    sae = next(words for words in commands(block.code)[0] if ":" in words)
    repository, checkpoint = sae.split(":")
    (folder / repository).mkdir(parents=True)
    shutil.copytree(ASSETS / "sae-resid", folder / repository / checkpoint)
    (folder / repository / "another").mkdir()
    offline = re.sub(r"--dataset \S+ --tokens \d+", "--text a.txt", block.code.partition("\n")[2])
    assert "--text a.txt" in offline
    run_page([replace(block, code=offline)], folder)
    assert (folder / "gpt2.html").stat().st_size > 100_000
    assert (folder / "gpt2-layer8" / "manifest.json").exists()


def test_notebooks_are_those_of_the_tutorials():
    names = runpy.run_path(str(ROOT / "docs" / "make_notebooks.py"))
    made = {page.stem: names["notebook"](page) for page in names["pages"]()}
    kept = {path.stem: path.read_text(encoding="utf-8") for path in (ROOT / "examples" / "notebooks").glob("*.ipynb")}
    assert kept == made, "python docs/make_notebooks.py"


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_every_block_says_its_language(path: Path):
    fences = re.findall(r"^ *(```+)(.*)$", path.read_text(encoding="utf-8"), flags=re.MULTILINE)
    assert [i for i, (_, language) in enumerate(fences[::2]) if not language.strip()] == []
    assert [i for i, (_, language) in enumerate(fences[1::2]) if language.strip()] == []


@pytest.mark.parametrize(
    ("code", "complaint"),
    [
        ("import sae_vis as sv\nsv.load_modle('gpt2')", "has no load_modle"),
        ("import sae_vis as sv\nsv.load_model('gpt2', dtpye='float32')", r"has no \['dtpye'\]"),
        ("import sae_vis as sv\nsv.Index.open('x').firngs(3)", "Index has no firngs"),
        ("import sae_vis as sv\nindex = sv.Index.open('x')\nindex.top_examples(3, 20, befor=1)", r"has no \['befor'\]"),
        ("from sae_vis.api import save_page", "has no save_page"),
        ("import sae_vis.nonsense", "no module"),
        ("print(index)", "index is not defined"),
    ],
)
def test_wrong_names_are_seen_in_code_that_is_not_run(code: str, complaint: str):
    with pytest.raises(AssertionError, match=complaint):
        check_names(Block(page="page.md", line=1, language="python", code=code, output=None), {})
