"""The index of a real SAE on a real model, over real text, against dense activations computed by hand."""

from __future__ import annotations

import gzip
import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from sae_vis.api import ModelAndSae, index_features, save_feature_page
from sae_vis.config import IndexConfig
from sae_vis.corpus.text import TokenText
from sae_vis.corpus.tokens import Corpus
from sae_vis.index.index import Index
from tests.index.checks import check_correlations, check_feature, check_queries
from tests.reference import Dense

pytestmark = [pytest.mark.real, pytest.mark.slow]
N_SEQS, SEQ_LEN = 240, 128
SHARED = Path(__file__).parents[3] / "shared" / "testbed"


def _folder(variable: str, default: Path, holds: str) -> Path:
    folder = Path(os.environ.get(variable, default))
    if not (folder / holds).exists():
        pytest.skip(f"no {holds} in {folder}: run `make testbed`, or set {variable}")
    return folder


@pytest.fixture(scope="module")
def model_folder() -> Path:
    return _folder("SAE_VIS_TESTBED", Path.home() / ".cache" / "sae_vis" / "testbed", "model.safetensors")


@pytest.fixture(scope="module")
def sae_folder() -> Path:
    return _folder("SAE_VIS_TESTBED_SAE", SHARED / "smollm2-l8-topk", "cfg.json")


@pytest.fixture(scope="module")
def texts() -> list[str]:
    folder = _folder("SAE_VIS_TESTBED_CORPORA", SHARED / "corpora", "sotu.txt.gz")
    found = []
    for name in ("sotu", "python_docs", "austen"):
        with gzip.open(folder / f"{name}.txt.gz", "rt", encoding="utf-8") as file:
            found += file.read(120_000).split("\n<|doc|>\n")
    return found


@pytest.fixture(scope="module")
def parts(model_folder: Path, sae_folder: Path) -> ModelAndSae:
    from sae_vis.models.loading import load_model
    from sae_vis.saes.saelens_format import load_sae

    return ModelAndSae(model=load_model(model_folder, dtype=torch.float32), sae=load_sae(sae_folder))


@pytest.fixture(scope="module")
def corpus(model_folder: Path, texts: list[str]) -> Corpus:
    from sae_vis.models.loading import load_tokenizer

    whole = Corpus.from_texts(texts, load_tokenizer(model_folder), seq_len=SEQ_LEN, prepend_bos=False, mask=(1, None))
    rows = whole.tokens[: min(N_SEQS, whole.n_tokens // SEQ_LEN) * SEQ_LEN].reshape(-1, SEQ_LEN)
    separator = whole.mask.pad_id  # of documents, too
    return Corpus.from_tokens(rows, replace(whole.mask, pad_id=None, ids=(separator,)))


@pytest.fixture(scope="module")
def text(model_folder: Path) -> TokenText:
    from sae_vis.models.loading import load_tokenizer

    return TokenText.from_tokenizer(load_tokenizer(model_folder))


@pytest.fixture(scope="module")
def index(corpus: Corpus, parts: ModelAndSae, text: TokenText, tmp_path_factory: pytest.TempPathFactory) -> Index:
    out = tmp_path_factory.mktemp("real") / "index"
    config = IndexConfig(neuron_correlations="always", shard_tokens=10_000)
    return index_features(corpus, parts, out, text=text, config=config)


@pytest.fixture(scope="module")
def dense(corpus: Corpus, model_folder: Path, sae_folder: Path) -> Dense:
    """By hand: transformers for the hidden states, safetensors for the weights, the formulas of a TopK SAE."""
    from safetensors.torch import load_file
    from transformers import AutoModelForCausalLM

    model = AutoModelForCausalLM.from_pretrained(model_folder, dtype=torch.float32).model
    model.layers = model.layers[:10]  # what is read is what the tenth reads; the last state of all is normalised
    rows = torch.from_numpy(corpus.tokens.reshape(-1, SEQ_LEN).astype(np.int64))
    with torch.no_grad():
        x = torch.cat([model(part, output_hidden_states=True).hidden_states[9] for part in rows.split(16)])
    x = x.reshape(-1, x.shape[-1])
    weights = {name: tensor.float() for name, tensor in load_file(sae_folder / "sae_weights.safetensors").items()}
    pre = (x - weights["b_dec"]) @ weights["W_enc"] + weights["b_enc"]
    largest = pre.topk(32, dim=1)
    acts = torch.zeros_like(pre).scatter_(1, largest.indices, largest.values.relu())
    return Dense(acts.numpy(), x.numpy(), corpus.tokens, corpus.offsets, corpus.counted)


def settled(dense: Dense, feature: int, index: Index) -> bool:
    """Whether rounding (another batch shape, another order of a sum) left the set of firings as it was."""
    return [p for p, _ in dense.firings(feature)] == index.firings(feature).positions.tolist()


def features_to_check(index: Index) -> list[int]:
    """Dead, rare, common and the most common features."""
    order = np.argsort(index.column("n_firings"), kind="stable")
    return [int(order[i]) for i in np.linspace(0, len(order) - 1, 60).astype(int)]


def test_firings_equal_dense_activations(index: Index, dense: Dense):
    unsettled = [f for f in features_to_check(index) if not settled(dense, f, index)]
    assert len(unsettled) <= 2, unsettled  # ties at the k-th place, decided by the last bit
    total = int(np.count_nonzero(dense.acts[dense.counted]))
    assert abs(int(index.column("n_firings").sum()) - total) <= total * 1e-5


def test_statistics_equal_the_slow_reference(index: Index, dense: Dense):
    for feature in features_to_check(index):
        if settled(dense, feature, index):
            check_feature(index, dense, feature, exact=False)


def test_correlations_equal_the_slow_reference(index: Index, dense: Dense):
    for feature in features_to_check(index)[::10]:
        check_correlations(index, dense, feature, tolerance=2e-5)


def test_examples_equal_the_slow_reference(index: Index, dense: Dense, corpus: Corpus, parts: ModelAndSae):
    """On the very activations of the index, so that rounding decides no order."""
    acts = np.zeros_like(dense.acts)
    for feature in features_to_check(index)[::6]:
        firings = index.firings(feature)
        acts[firings.positions, feature] = firings.acts
        check_queries(
            index, Dense(acts, dense.x, dense.tokens, dense.offsets, dense.counted), feature, before=5, after=5
        )


def test_logit_lens_equals_the_plain_product(index: Index, parts: ModelAndSae):
    module = parts.model.model
    for feature in features_to_check(index)[::12]:
        direction = parts.sae.decoder[feature].double() * module.model.norm.weight.double()
        logits = module.lm_head.weight.double() @ direction
        logits = (logits - logits.mean()).detach().numpy()
        np.testing.assert_allclose(index.lists("top_logits", feature), np.sort(logits)[::-1][:20], atol=1e-4)
        np.testing.assert_allclose(logits[index.lists("bottom_tokens", feature)], np.sort(logits)[:20], atol=1e-4)
        assert index.column("logits_std")[feature] == pytest.approx(logits.std(), rel=1e-5)


def test_page_of_real_features(index: Index, parts: ModelAndSae, tmp_path: Path):
    report = save_feature_page(index, tmp_path / "page.html", features=256, parts=parts)
    assert report.bytes / 256 <= 8 * 1024
