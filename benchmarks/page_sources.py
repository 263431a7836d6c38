"""The real indices that the page is measured on; each is built once and opened from then on."""

from __future__ import annotations

import gzip
import os
from dataclasses import dataclass
from pathlib import Path

import torch

from sae_vis.api import ModelAndSae, index_features
from sae_vis.corpus.text import TokenText
from sae_vis.corpus.tokens import Corpus
from sae_vis.demo import run as demo
from sae_vis.index.index import Index

SEQ_LEN = 128
CORPORA = ("sotu", "python_docs", "austen")
SHARED = Path(__file__).resolve().parents[2] / "shared" / "testbed"


@dataclass(frozen=True, kw_only=True)
class Made:
    """An index, what it was made from, and its name in the table."""

    index: Index
    parts: ModelAndSae
    name: str


def testbed(folder: Path, n_tokens: int) -> Made:
    """SmolLM2-135M and its SAE after layer 8, over real text; where they stand is said in docs/dev-guide.md.

    Raises:
        SystemExit: a part of the test bed is not there.
    """
    from sae_vis.models.loading import load_model, load_tokenizer
    from sae_vis.saes.saelens_format import load_sae

    model_folder = _folder("SAE_VIS_TESTBED", Path.home() / ".cache" / "sae_vis" / "testbed", "model.safetensors")
    sae_folder = _folder("SAE_VIS_TESTBED_SAE", SHARED / "smollm2-l8-topk", "cfg.json")
    parts = ModelAndSae(model=load_model(model_folder, dtype=torch.float32), sae=load_sae(sae_folder))
    tokenizer = load_tokenizer(model_folder)
    whole = Corpus.from_texts(
        _texts(n_tokens),
        tokenizer,
        seq_len=SEQ_LEN,
        prepend_bos=False,
        mask=(1, None),
        source=", ".join(CORPORA),
    )
    n_seqs = min(n_tokens, whole.n_tokens) // SEQ_LEN
    rows = whole.tokens[: n_seqs * SEQ_LEN].reshape(n_seqs, SEQ_LEN)
    # what separates documents is the tokenizer's padding, too; there is none in these rows
    corpus = Corpus.from_tokens(rows, whole.mask, padding="keep", source=whole.source)
    out = folder / f"testbed-{n_seqs * SEQ_LEN}"
    folder.mkdir(parents=True, exist_ok=True)
    index = index_features(corpus, parts, out, text=TokenText.from_tokenizer(tokenizer))
    return Made(
        index=index, parts=parts, name=f"SmolLM2-135M after layer 8, 8,192 features, {n_seqs * SEQ_LEN:,} tokens"
    )


def demo_index(folder: Path, n_tokens: int) -> Made:
    """The embedded model and its residual SAE, over the first documents of the embedded text."""
    corpus, text = demo.demo_corpus()
    n_seqs = min(n_tokens, corpus.n_tokens) // SEQ_LEN
    corpus = Corpus.from_tokens(
        corpus.tokens[: n_seqs * SEQ_LEN].reshape(n_seqs, SEQ_LEN), corpus.mask, source=corpus.source
    )
    parts = demo.demo_parts(demo.RESID)
    folder.mkdir(parents=True, exist_ok=True)
    index = index_features(corpus, parts, folder / f"demo-{n_seqs * SEQ_LEN}", text=text)
    return Made(index=index, parts=parts, name=f"embedded model, residual stream, {n_seqs * SEQ_LEN:,} tokens")


def _folder(variable: str, default: Path, holds: str) -> Path:
    folder = Path(os.environ.get(variable, default))
    if not (folder / holds).exists():
        raise SystemExit(f"no {holds} in {folder}: run `make testbed`, or set {variable}; or use --source demo")
    return folder


def _texts(n_tokens: int) -> list[str]:
    """Documents of each corpus in turn, more than enough for ``n_tokens``."""
    folder = _folder("SAE_VIS_TESTBED_CORPORA", SHARED / "corpora", f"{CORPORA[0]}.txt.gz")
    n_characters = n_tokens * 6 // len(CORPORA)
    found: list[str] = []
    for name in CORPORA:
        with gzip.open(folder / f"{name}.txt.gz", "rt", encoding="utf-8") as file:
            found += file.read(n_characters).split("\n<|doc|>\n")
    return found
